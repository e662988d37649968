"""`deliv explain`: what a receiver's reply means, and whether the rules behind it are unmet now."""
