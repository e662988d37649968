"""Values that rooms hand each other: no input, no output, no decisions."""
