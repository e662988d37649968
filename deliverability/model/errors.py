"""What was given and cannot be used."""


class InputError(ValueError):
    """What was given cannot be used; the text says what to give instead."""
