"""What goes wrong with sets of slices."""


class DatasetError(ValueError):
    """A dataset that cannot be used. The message says what was found, what was expected, and what to do."""
