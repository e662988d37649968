"""Mutated inputs for every reader of outside octets."""
