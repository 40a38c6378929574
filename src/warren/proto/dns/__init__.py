"""DNS between two sides of which one may lie: messages, what an answer proves, and who is asked when."""
