"""Zones and plans as other tools write them, read into one normal form: what there will be, and what there was."""
