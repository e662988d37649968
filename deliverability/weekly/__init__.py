"""`deliv weekly`: all domains of the settings audited, compared with the run before, told to people."""
