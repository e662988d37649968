"""Pure types, shared by everything. Imports nothing of ours."""
