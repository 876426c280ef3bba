"""What a sentence for a visitor must be, whatever it says."""


def assert_is_a_sentence(text: str) -> None:
    """That it speaks of the file, in one line, without the inside of Python, and is not long."""
    assert text.startswith(("This ", "The ", "At most ")) and text.endswith(".") and "\n" not in text, text
    assert "Error" not in text and "0x" not in text and "Traceback" not in text and len(text) < 300, text
