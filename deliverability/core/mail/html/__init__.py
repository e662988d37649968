"""The HTML of a message: cut into tokens, accounted for, made smaller."""
