"""Pure types, shared by everything."""
