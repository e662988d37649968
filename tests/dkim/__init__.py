"""Helpers and data of the DKIM tests."""
