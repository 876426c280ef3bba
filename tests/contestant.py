"""A contestant for the test of `benchmarks.speed.timing.Contestant`, in a module that its process imports in no time."""


def even_numbers(turns, factor: int) -> None:
    """Answers `factor` times what it is asked, and fails when that is odd."""
    for number in turns:
        if number % 2:
            raise ValueError("an odd number")
        turns.answer(factor * number)
