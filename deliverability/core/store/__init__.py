"""The history: what earlier runs saw, what changed since, and trends."""
