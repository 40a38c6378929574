"""The leak suite: whatever happens to a host, nothing of a portal is ever seen in the clear where it must not be."""
