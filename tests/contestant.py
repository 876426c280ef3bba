"""A contestant for the tests of `speed.timing.Contestant`, in a module that is quick to import."""


def even_numbers(turns, factor: int) -> None:
    """Answers `factor` times what it is asked, and fails when that is odd."""
    for number in turns:
        if number % 2:
            raise ValueError("an odd number")
        turns.answer(factor * number)
