"""`deliv warm-up`: from what a domain sends to what it wants to send, and what was sent against the plan."""
