"""`deliv contact`: what a receiver's postmaster wants to be told, and what to mend before."""
