"""The exact record to publish: the smallest edit of the user's own record."""
