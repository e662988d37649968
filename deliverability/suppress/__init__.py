"""`deliv suppress`: the addresses to take off a list, as files."""
