"""A report in words and in reading order, for every output to lay out."""
