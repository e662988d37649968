"""`deliv audit`, `facts`, `judge`, `fix` and `handout`: one audit, and what is made of it."""
