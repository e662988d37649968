"""What was seen in earlier runs: the store, what changed since, and trends."""
