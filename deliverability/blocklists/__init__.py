"""`deliv blocklists`: the catalogue of block lists, how each answers, and what they say of the sender."""
