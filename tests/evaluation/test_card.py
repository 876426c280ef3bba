"""A model's card says what the Hub needs, only what was measured, and claims nothing about whose data it was."""

import re

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard

from benchmarks.quality.accuracy import RESULTS, ROOT
from benchmarks.quality.checkpoints import recipe_sets
from brain_tumor.answers.citation import read_citations
from brain_tumor.evaluation.card import KNOWN_WEIGHTS, made_from, write_card
from brain_tumor.evaluation.figures import evaluate_parts
from brain_tumor.evaluation.figures_text import figures_section, shown_bounds, shown_value
from brain_tumor.inference.verdict import Thresholds
from brain_tumor.labels import NO_TUMOR
from brain_tumor.provenance import VERSION, read_results
from brain_tumor.training.summary import summary
from tests.evaluation.drawn_logits import part_of, random_logits


def front_matter(text: str) -> dict:
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.DOTALL).group(1))


@pytest.fixture(scope="module")
def results():
    return read_results(ROOT / "model" / "results.json")


def test_bundled_card_holds_every_field_of_the_hub_and_the_figures_of_its_results(results):
    card = ModelCard.load(ROOT / "model" / "README.md")
    fields = front_matter(str(card))
    assert fields["license"] == "cc-by-nc-sa-4.0"
    assert fields["pipeline_tag"] == "image-classification"
    assert fields["library_name"] == "transformers"
    assert fields["base_model"] == "google/mobilenet_v2_1.0_224"
    assert fields["datasets"] == ["Simezu/brain-tumour-MRI-scan"]
    for entry in fields["model-index"]:
        assert entry["name"]
        for result in entry["results"]:
            assert result["task"]["type"] == "image-classification"
            assert result["dataset"].keys() >= {"type", "name", "split"}
            for metric in result["metrics"]:
                assert metric["value"] == pytest.approx(results["test"][metric["type"]], abs=5e-5)
    measured = {result.metric_type for result in card.data.eval_results}
    assert measured == {"accuracy", "macro_recall", "sensitivity", "specificity", "ece"}


def test_the_bundled_card_has_the_fields_headings_its_sets_its_command_and_what_it_is_not(results):
    text = (ROOT / "model" / "README.md").read_text()
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert titles == ["Intended use", "Where it fails first", "Evaluation", "By whom", "Data", "Training", "License"]
    used = sum(sum(part.values()) for part in results["counts"].values())
    assert f"{used} slices were used" in text and "train.py recipes/bundled.json" in text
    sets = rows_of(text, "| set | slices | from | terms |")
    assert [row[0] for row in sets] == results["datasets"] == recipe_sets()
    assert sum(int(row[1]) for row in sets) == used and all(row[2] and row[3] for row in sets)
    for words in (
        "Not a medical device",
        "The code: Apache-2.0",
        "CC BY-NC-SA",
        "more than 8 bits",
        f"Version {VERSION}",
    ):
        assert words in text, words
    assert "/work" not in text and "licences" not in text


def test_the_bundled_card_is_what_the_template_makes_of_its_results(results, tmp_path):
    write_card(results, tmp_path / "README.md", exported="x")
    template, bundled = (path.read_text() for path in (tmp_path / "README.md", ROOT / "model" / "README.md"))
    for title in ("| figure | test", "| class | precision", "### By kind of scan", "### The verdict", "## Data"):
        assert rows_of(template, title) == rows_of(bundled, title), title


def test_a_kind_of_scan_where_it_fails_is_named_first_with_its_share(results):
    text = (ROOT / "model" / "README.md").read_text()
    rows = [row for row in results["test"]["by_kind"] if row["missed"] and not row["plane"]]
    worst = max(rows, key=lambda row: row["missed"]["value"])
    named = ", ".join(filter(None, (worst["set"], worst["sequence"])))
    assert f'Tumors called "no tumor", most in: {named} {100 * worst["missed"]["value"]:.1f} %' in text


SET, BASE = "Simezu/brain-tumour-MRI-scan", "google/mobilenet_v2_1.0_224"


def card_of(results: dict, tmp_path, **named) -> tuple[str, dict]:
    """A card's text and its front matter, of results with these names in them."""
    if "dataset" in named:
        named["datasets"] = [named["dataset"]]
        test = results["test"] | {"by_kind": [], "figures_of": [named["dataset"]]}
        named |= {"test": test, "counts_by_set": {}, "familiarity": []}
    of_one_set = {"about_sets": {}, "weights_license": "apache-2.0", "command": "python train.py"}
    write_card({**results, **of_one_set, **named}, tmp_path / "c.md")
    text = (tmp_path / "c.md").read_text()
    return text, front_matter(text)


def test_a_folder_that_is_only_named_like_a_public_one_gets_nothing_of_its_identity(results, tmp_path):
    named = {"dataset": SET.split("/")[1], "model_name_or_path": BASE.split("/")[1], "base_weights_sha256": None}
    text, fields = card_of(results, tmp_path, **named)
    for claim in (SET, BASE, "CC0", "Nickparvar", "derived from", "huggingface.co/google"):
        assert claim not in text, claim
    assert "a local folder named `brain-tumour-MRI-scan`" in text
    assert "a local folder named `mobilenet_v2_1.0_224`" in text
    assert text.count("whose license is not known here") == 2
    assert "datasets" not in fields and "base_model" not in fields
    assert {result["dataset"]["type"] for entry in fields["model-index"] for result in entry["results"]} == {
        "imagefolder"
    }


def test_a_hub_id_that_the_run_was_told_is_named_with_its_license(results, tmp_path):
    text, fields = card_of(results, tmp_path, dataset=SET, model_name_or_path=BASE, earlier_trainings=[])
    assert fields["datasets"] == [SET] and fields["base_model"] == BASE
    (row,) = rows_of(text, "| set | slices | from | terms |")
    assert (
        row[0] == SET
        and row[2] == f"`{SET}`"
        and row[3].startswith("CC0-1.0")
        and f"- Base checkpoint: `{BASE}`, Apache-2.0." in text
    )
    assert f"fine-tuned from [`{BASE}`](https://huggingface.co/{BASE})" in text
    assert "local folder" not in text and "derived from" not in text


def test_a_hub_id_of_somebody_else_gets_no_license_that_was_not_looked_up(results, tmp_path):
    text, fields = card_of(results, tmp_path, dataset="somebody/scans", model_name_or_path="somebody/net")
    assert fields["datasets"] == ["somebody/scans"] and fields["base_model"] == "somebody/net"
    assert rows_of(text, "| set | slices | from | terms |")[0][3] == "see its own page for the license"
    assert "`somebody/net`, see its own page for the license" in text
    assert "CC0" not in text


def test_a_folder_whose_weights_are_known_by_their_sha256_is_derived_from_the_base_checkpoint(results, tmp_path):
    (digest,) = KNOWN_WEIGHTS
    text, fields = card_of(results, tmp_path, model_name_or_path="anything", base_weights_sha256=digest)
    assert fields["base_model"] == BASE
    assert f"derived from [`{BASE}`]" in text and "restored from quantized weights" in text
    other = digest.replace("6", "7")
    text, fields = card_of(results, tmp_path, model_name_or_path="anything", base_weights_sha256=other)
    assert "base_model" not in fields and BASE not in text


def test_a_card_says_whose_the_code_and_the_checkpoint_are(results, tmp_path):
    by = {}
    for owner in (None, "you/name"):
        write_card(results, tmp_path / "c.md", owner)
        by[owner] = (tmp_path / "c.md").read_text().split("## By whom")[1].split("## Data")[0]
        assert read_citations()[0]["authors"][0]["name"] in by[owner]
    assert "whoever ran the command under Training" in by[None]
    assert "The checkpoint: you." in by["you/name"]


def test_sets_are_said_to_hold_tumors_and_others_in_several_sequences_only_where_they_do(results, tmp_path):
    text, _ = card_of(results, tmp_path)
    assert "hold both in several sequences" in text
    for kept in (("", "T1C+", "T2"), ()):
        fewer = [row for row in results["test"]["by_kind"] if row["sequence"] in kept]
        text, _ = card_of(results | {"test": results["test"] | {"by_kind": fewer}}, tmp_path)
        assert "several sequences" not in text and "can tell them apart by that alone" in text


@pytest.mark.parametrize("split", ["patients", "published"])
def test_a_card_of_slices_that_were_held_out_names_their_sets_and_not_the_main_one(split, results, tmp_path):
    logits, labels = random_logits(90, 3)
    parts = {"validation": [0] * 90, "test": [1] * 60 + [2] * 30}
    parts = {
        name: part_of(labels, np.arange(90), np.zeros(90, bool), sets=("owner/main", "a|b", "c"), numbers=numbers)
        for name, numbers in parts.items()
    }
    sections = evaluate_parts(dict.fromkeys(parts, logits), parts, 2.0, Thresholds(0.9, 0.6))
    assert (sections["validation"]["figures_of"], sections["test"]["figures_of"]) == (["owner/main"], ["a|b", "c"])
    named = {"dataset": "owner/main", "datasets": ["owner/main", "a|b", "c"], "hold_out": ["a|b", "c"], "split": split}
    write_card({**results, **sections, **named, "counts_by_set": {}}, tmp_path / "c.md")
    text = (tmp_path / "c.md").read_text()
    assert "Test part of a local folder named `a|b`, a local folder named `c`" in text
    assert "were held out (a|b, c)" in text and "leak" not in text
    assert rows_of(text, "### By kind of scan")[0][0] == "a\\", "the bar is escaped"
    tested = front_matter(text)["model-index"][0]["results"][0]["dataset"]
    assert tested["name"] == "local folder a|b, local folder c (held out)" and tested["type"] == "imagefolder"
    said = summary({**results, **sections, **named}, "runs/x")
    assert said.startswith("Test part of a|b, c, held out:")


def test_a_network_trained_from_scratch_has_no_base_checkpoint(results, tmp_path):
    text, fields = card_of(results, tmp_path, model_name_or_path="baseline-cnn", base_weights_sha256=None)
    assert "base_model" not in fields and "Base checkpoint" not in text
    assert "trained from scratch" in text and "trust_remote_code=True" in text


@pytest.fixture(scope="module")
def new_results(results):
    """The bundled results with everything that an evaluation measures, of random predictions."""
    logits, labels = random_logits(300, 21, skill=3.0)
    of = {"numbers": [i // 150 for i in range(300)], "sets": ("owner/main", "other"), "diagnoses": ["mild"] * 300}
    parts = {
        name: part_of(labels, np.arange(300), np.zeros(300, bool), ["x"] * 2 + [""] * 298, **of)
        for name in ("validation", "test")
    }
    sections = evaluate_parts(dict.fromkeys(parts, 2 * logits), parts, 2.0, Thresholds(0.9312, 0.6178, 0.5))
    rows = [{"name": "at 112 px", "value": 0.4321, "interval": [0.4, 0.5], "note": "a note"}]
    return {**results, **sections, "probes": rows}


def rows_of(text: str, title: str) -> list[list[str]]:
    """The cells of the first table after these words."""
    lines = text[text.index(title) :].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|---"))
    table = lines[start + 1 :]
    end = next((i for i, line in enumerate(table) if not line.startswith("|")), len(table))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[:end]]


def test_card_tells_verdicts_misses_calibration_patients_and_kinds_of_scan_from_the_results(new_results, tmp_path):
    write_card(new_results, tmp_path / "README.md")
    text = (tmp_path / "README.md").read_text()
    test = new_results["test"]
    verdicts = rows_of(text, "### The verdict")
    assert [row[1] for row in verdicts] == ["{} of {}".format(*c) for c in test["decision"]["counts"].values()]
    assert verdicts[0][2:] == [
        shown_value("", test["decision"]["sensitivity"]),
        shown_bounds("", test["decision"]["intervals"]["sensitivity"]),
    ]
    assert "0.9312" in text and "0.6178" in text and "decision_thresholds" in text
    assert f"0.9: {test['dangerous_misses']['count']} of {test['dangerous_misses']['tumors']}" in text
    calibration = rows_of(text, "### Calibration before and after")
    for row, when in zip(calibration, ("before", "after"), strict=True):
        assert row == [when, *(f"{test['calibration'][when][n]:.3f}" for n in ("nll", "brier", "ece", "classwise_ece"))]
    kinds = rows_of(text, "### By kind of scan")
    assert [row[0] for row in kinds] == ["owner/main", "other"]
    missed = test["by_kind"][1]["missed"]
    bounds = shown_bounds("", missed["interval"])
    assert kinds[1][3] == f"{shown_value('', missed['value'])} ({bounds}; {missed['slices']} of {missed['patients']})"
    healthy = rows_of(text, "### Other diagnoses")
    shown = [shown_value("", test["by_diagnosis"][1][name]["value"]) for name in ("no_tumor", "tumor", "uncertain")]
    assert healthy[1][:2] == ["owner/main", "mild"] and [cell.split(" (")[0] for cell in healthy[1][2:]] == shown
    assert f'tumors called "no tumor" {shown_value("", test["over_sets"]["missed"])}' in text
    over_patients = next(row for row in rows_of(text, "| figure | test") if "mean over patients" in row[0])
    assert over_patients[1] == shown_value("", test["by_patient"]["accuracy"])
    assert "at least 0.5 of p(any tumor)" in text
    assert rows_of(text, "Does it look at the tumor?") == [["at 112 px", "43.2 %", "40.0 to 50.0", "a note"]]
    glioma = rows_of(text, "| class | precision")[0]
    assert glioma[1].endswith(f"({shown_bounds('', test['per_class']['glioma']['intervals']['precision'])})")
    assert "{{" not in text and "{%" not in text and "None" not in text and "Undefined" not in text


def test_card_says_the_share_of_tumors_that_confidences_hold_at(results, tmp_path):
    counts = {part: {"glioma": 3, "meningioma": 2, "no_tumor": 9, "pituitary": 4} for part in results["counts"]}
    write_card({**results, "counts": counts}, tmp_path / "README.md")
    assert "share of tumors, 50 % of the slices" in (tmp_path / "README.md").read_text()
    counts = {part: of | {"tumor": 18} for part, of in counts.items()}
    write_card({**results, "counts": counts}, tmp_path / "README.md")
    assert "share of tumors, 75 % of the slices" in (tmp_path / "README.md").read_text()


def test_tables_of_a_card_are_whole(new_results, results, tmp_path):
    for number, content in enumerate((new_results, results)):
        write_card(content, tmp_path / f"{number}.md")
        lines = (tmp_path / f"{number}.md").read_text().splitlines()
        for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
            if line.startswith("|---"):
                assert before.count("|") == line.count("|") == after.count("|"), (before, line, after)


def test_what_was_not_measured_is_not_in_the_card():
    older = read_results(RESULTS / "scans_copy-free_baseline-cnn_seed42.json")
    text = figures_section(older, "test")
    for title in ("The verdict", "By kind of scan", "Dangerous", "mean over patients", "Does it look", "Brier"):
        assert title not in text


def test_part_without_healthy_slices_shows_dashes():
    logits, labels = random_logits(40, 3)
    labels = np.where(labels == NO_TUMOR, 0, labels)
    part = part_of(labels, np.arange(40), np.zeros(40, bool))
    sections = evaluate_parts({"test": logits}, {"test": part}, thresholds=Thresholds(0.9, 0.6))
    text = figures_section({"dataset": "x", "split": "patients", **sections}, "test")
    assert rows_of(text, "### The verdict")[1][1:] == ["0 of 0", "-", "-"]


def test_no_license_is_made_up_for_weights_of_sets_whose_terms_are_not_known(results, tmp_path):
    named = {"weights_license": None, "model_name_or_path": BASE}
    text, fields = card_of(results, tmp_path, dataset="a-folder", **named)
    assert fields["license"] == "unknown" and "The weights: not stated" in text and "--weights_license" in text
    assert "No license of the weights is stated" in made_from(results | {"datasets": ["a-folder"]} | named)
    assert card_of(results, tmp_path, dataset=SET, **named)[1]["license"] == "apache-2.0"
