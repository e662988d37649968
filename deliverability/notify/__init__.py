"""Tells people and machines about runs: letters, webhooks, metrics."""
