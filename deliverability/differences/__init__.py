"""`deliv diff`: what a change of zones does to mail, receiver by receiver, before it is published."""
