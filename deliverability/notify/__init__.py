"""Tells people and machines about runs: mail, webhook, metrics."""
