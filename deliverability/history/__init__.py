"""What was seen in earlier runs: the store, what changed since, and trends. May import model."""
