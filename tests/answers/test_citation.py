"""How to cite is what CITATION.cff says, in a sentence and as BibTeX."""

import doctest

import pytest

from brain_tumor.answers import citation
from brain_tumor.answers.citation import bibtex, read_citations, sentence


def test_the_examples_of_the_docstrings_hold():
    assert doctest.testmod(citation).attempted > 1 and not doctest.testmod(citation).failed


def test_the_work_comes_first_with_its_version_and_what_it_refers_to_has_its_doi():
    work, *others = read_citations()
    assert "version" in sentence(work) and f"version = {{{work['version']}}}" in bibtex(work)
    assert any(sentence(other).endswith("https://doi.org/10.6084/m9.figshare.1512427") for other in others)
    assert any("doi = {10.6084/m9.figshare.1512427}" in bibtex(other) for other in others)
    for entry in map(bibtex, (work, *others)):
        assert entry.count("{") == entry.count("}") and entry.startswith("@")


def test_names_of_people_keep_their_order():
    work = {"title": "T", "authors": [{"given-names": "Ada", "family-names": "B"}, {"name": "C and D"}], "url": "u"}
    assert sentence(work) == "Ada B, C and D: T. u"
    assert "author = {B, Ada and {C and D}}" in bibtex(work) and "url = {u}" in bibtex(work)


@pytest.mark.parametrize("content", [None, "", "[1, 2]", "title: [", "title: T"])
def test_a_missing_or_damaged_file_gives_nothing(content, tmp_path):
    if content is not None:
        (tmp_path / "CITATION.cff").write_text(content)
    assert read_citations(tmp_path / "CITATION.cff") == []
