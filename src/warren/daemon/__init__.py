"""What keeps a network alive between two applies."""
