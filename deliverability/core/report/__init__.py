"""The report of an audit: in words and in reading order, and laid out in every format."""
