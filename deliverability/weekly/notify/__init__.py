"""Tells people and machines about a weekly run: mail, webhook, metrics."""
