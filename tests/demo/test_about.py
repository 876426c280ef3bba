"""What the tab "About" says of any checkpoint, and where it sends questions."""

import json

import pytest

from brain_tumor.demo.about import about, by_heading, contact, how_to_cite, made_by, scorecard_html
from brain_tumor.evaluation.scorecard import Line
from tests.serving import ROOT


@pytest.mark.parametrize(
    "missing", ["datasets", "about_sets", "model_name_or_path", "counts_by_set", "by_kind", "sequence"]
)
def test_a_checkpoint_whose_results_hold_less_shows_the_figures_that_they_hold(missing, tmp_path):
    results = json.loads((ROOT / "model" / "results.json").read_text())
    results.pop(missing, None)
    results["test"].pop(missing, None)
    for row in results["test"].get("by_kind", []):
        row.pop(missing, None)
    (tmp_path / "results.json").write_text(json.dumps(results))
    known = about(str(tmp_path))
    assert "| Accuracy |" in known.figures
    assert known.lines or missing == "sequence"


def test_the_bundled_checkpoint_tells_what_it_was_made_from():
    known = about(str(ROOT / "model"))
    results = json.loads((ROOT / "model" / "results.json").read_text())
    assert len(known.lines) == 5 and known.caption
    assert {*results["datasets"], *results["other_pictures"]} == results["about_sets"].keys()
    for name, told in results["about_sets"].items():
        named = f"| {name} |" if name in results["datasets"] else f"`{name}` ({told['from']}"
        assert named in known.made_from and told["terms"] in known.made_from
    assert "`google/mobilenet_v2_1.0_224`, Apache-2.0" in known.made_from
    assert results["weights_license"].upper() in known.made_from


def test_parts_of_the_figures_are_folded_by_their_titles():
    assert by_heading("All.\n\n### One\n\na\n\n### Two\n\nb") == {"On the test part": "All.", "One": "a", "Two": "b"}


def test_only_what_is_known_is_said_of_who_made_a_checkpoint(tmp_path):
    assert made_by(str(ROOT / "model"), True) == "Trained by the maintainers of the brain tumor MRI classifier."
    assert made_by(str(tmp_path), False) == ""
    assert made_by("somebody/model", False) == "Published on the Hub by `somebody`."


def test_the_sets_of_the_bundled_checkpoint_are_cited_with_it_alone():
    assert "figshare" in how_to_cite(True) and "figshare" not in how_to_cite(False)
    assert "@software{" in how_to_cite(False)


def test_questions_go_where_the_page_is_known_to_come_from(tmp_path):
    assert "://" not in contact(str(tmp_path)), "no address is made up"
    assert "(https://huggingface.co/spaces/me/space/discussions)" in contact(str(tmp_path), "me/space")
    assert "(https://huggingface.co/me/model/discussions)" in contact("me/model")


def test_html_in_results_stays_text():
    evil = "<img src=x onerror=alert(1)>"
    assert "<img" not in scorecard_html([Line(evil, evil, evil, evil)], evil)
