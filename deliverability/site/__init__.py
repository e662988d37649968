"""`deliv docs`: rules, receivers, replies and services as a static site, and the manual page."""
