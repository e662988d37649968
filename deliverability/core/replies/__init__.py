"""Replies of receivers: how they are found in what users have, and what they mean."""
