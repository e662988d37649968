"""Runs: one subject, many, and every week."""
