"""What a visitor is told when something goes wrong, and what the log is not told."""

import gradio as gr
import pytest

from brain_tumor.demo.errors import in_words
from brain_tumor.demo.one_scan import judge_scan
from brain_tumor.demo.several_scans import judge_scans
from tests.serving import EXAMPLES


class Broken:
    """A classifier that fails with the name of a file."""

    def predict(self, slices):
        raise RuntimeError("cannot read /home/somebody/MUSTERMANN.png")


def test_an_error_that_nobody_foresaw_is_a_sentence_and_the_log_says_where_but_names_no_file(capsys):
    paths = [str(EXAMPLES / "glioma.png")]
    for ask in (
        lambda: judge_scan(Broken(), paths[0]),
        lambda: list(judge_scans(Broken(), paths, None, gr.Progress())),
    ):
        with pytest.raises(gr.Error) as error:
            ask()
        assert error.value.message.startswith("Something went wrong with this upload.")
        assert not error.value.print_exception
        log = capsys.readouterr().err
        assert log.startswith("RuntimeError in test_errors.py, line ")
        assert "MUSTERMANN" not in log


def test_a_sentence_for_the_visitor_passes_as_it_is():
    sentence = gr.Error("A sentence.")
    with pytest.raises(gr.Error) as error, in_words():
        raise sentence
    assert error.value is sentence
