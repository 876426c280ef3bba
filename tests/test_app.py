"""The demo over HTTP, as a program sees it: `python app.py` in its own process, asked with `gradio_client`."""

import base64
import concurrent.futures
import csv
import io
import json
import re
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from gradio_client.utils import QueueError
from PIL import Image
from transformers import MobileNetV2ImageProcessor, pipeline

from brain_tumor.answers.words import Said
from brain_tumor.demo import page, server
from brain_tumor.demo.about import NOTHING_KNOWN, about, copies_table
from brain_tumor.labels import LABELS
from brain_tumor.network.baseline_cnn import BaselineCnnConfig, BaselineCnnForImageClassification
from brain_tumor.reading.pictures import ScanError, window
from brain_tumor.reading.readers import read_one
from brain_tumor.reading.uploads import MAX_TOTAL_BYTES
from tests.scan_files import dicom
from tests.serving import (
    EXAMPLES,
    FILE_META,
    ROOT,
    ask_as_page,
    bad_files,
    call_endpoint,
    comes_true,
    config_of,
    deep_values,
    demo_environment,
    dicom_series,
    event_of,
    good_pictures,
    page_in_this_process,
    photograph,
    running_demo,
    served_files,
    stretch_volume,
    template_volume,
    upload_file,
    zipped_series,
)

GOOD = EXAMPLES / "meningioma.png"


@pytest.fixture(scope="module")
def client(demo, tmp_path_factory):
    return Client(demo.url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))


@pytest.fixture(scope="module")
def credulous(model_id, tmp_path_factory):
    """A page whose checkpoint cannot tell what is no brain MRI, and comes without results."""
    folder = tmp_path_factory.mktemp("credulous")
    left_out = shutil.ignore_patterns("familiarity.safetensors", "results.json", "*.png", "README.md", "examples")
    shutil.copytree(model_id, folder / "model", ignore=left_out)
    with page_in_this_process(folder / "model", folder / "cache") as demo:
        yield demo


@pytest.fixture(scope="module")
def credulous_client(credulous, tmp_path_factory):
    return Client(credulous.url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))


@pytest.fixture(scope="module")
def plain_pipeline(model_id):
    return pipeline("image-classification", model=str(model_id), top_k=None)


def ask(client, path) -> dict[str, float]:
    return client.predict(handle_file(path), api_name="/predict")["confidences"]


def ask_batch(client, paths, **options) -> list[dict]:
    answer = client.predict([handle_file(path) for path in paths], api_name="/predict_batch", **options)
    return answer["results"]


def by_pipeline(plain_pipeline, path) -> dict[str, float]:
    return {entry["label"]: entry["score"] for entry in plain_pipeline(str(path))}


def sentence_of(path: Path) -> str:
    with pytest.raises(ScanError) as error:
        read_one(path)
    return str(error.value)


def test_the_api_has_two_endpoints_and_they_are_typed(demo):
    with urllib.request.urlopen(demo.url + "/gradio_api/info?all_endpoints=true") as answer:
        info = json.load(answer)
    assert list(info["named_endpoints"]) == ["/predict", "/predict_batch"]
    assert not info["unnamed_endpoints"]
    endpoint, batch = info["named_endpoints"].values()
    assert "MRI of the brain" in endpoint["description"]
    scan, slice_ = endpoint["parameters"]
    assert (slice_["parameter_name"], slice_["parameter_default"]) == ("slice", None)
    assert slice_["parameter_has_default"] and slice_["python_type"]["type"] == "int"
    assert scan["parameter_name"] == "scan"
    assert scan["component"] == "File"
    assert scan["python_type"]["type"] == "filepath"
    assert "://" not in json.dumps(scan["example_input"]), "the documented example must be one that works"
    (result,) = endpoint["returns"]
    for name in ("verdict: str", "no_tumor: float", "familiar: bool | None", "peak: str | None"):
        assert name in result["python_type"]["type"]

    assert "DICOM series" in batch["description"]
    files, plane = batch["parameters"]
    assert (files["parameter_name"], files["python_type"]["type"]) == ("files", "list[filepath]")
    assert "://" not in json.dumps(files["example_input"])
    assert plane["parameter_name"] == "plane"
    assert plane["parameter_has_default"]
    assert "coronal" in plane["python_type"]["type"]
    (results,) = batch["returns"]
    assert "results: list[dict(name: str" in results["python_type"]["type"]


@pytest.mark.parametrize("kind", good_pictures())
def test_an_8_bit_picture_gets_the_confidences_of_the_plain_pipeline(kind, credulous_client, plain_pipeline, tmp_path):
    picture, suffix, options = good_pictures()[kind]
    path = tmp_path / f"scan.{suffix}"
    picture.save(path, **options)
    answer, expected = ask(credulous_client, path), by_pipeline(plain_pipeline, path)
    assert set(answer) == set(LABELS)
    assert answer == pytest.approx(expected, abs=1e-4)
    assert sum(answer.values()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_16_bit_picture_is_windowed_and_not_white(suffix, client, plain_pipeline, tmp_path):
    Image.fromarray(deep_values()).save(tmp_path / f"deep.{suffix}")
    window(deep_values()).save(tmp_path / "windowed.png")
    Image.new("RGB", (320, 320), "white").save(tmp_path / "white.png")
    answer = ask(client, tmp_path / f"deep.{suffix}")
    assert answer == pytest.approx(by_pipeline(plain_pipeline, tmp_path / "windowed.png"), abs=1e-4)
    assert answer != pytest.approx(by_pipeline(plain_pipeline, tmp_path / "white.png"), abs=1e-3)


@pytest.mark.parametrize("name", bad_files())
def test_a_bad_file_is_answered_with_its_sentence_and_the_next_scan_is_classified(name, client, demo, tmp_path):
    (tmp_path / name).write_bytes(bad_files()[name])
    with pytest.raises(AppError) as error:
        ask(client, tmp_path / name)
    assert error.value.message == sentence_of(tmp_path / name)
    assert set(ask(client, GOOD)) == set(LABELS)
    assert "Traceback" not in demo.log


def test_a_sentence_stays_on_the_page_until_it_is_closed(demo):
    assert '"duration": null' in call_endpoint(demo, "predict", {"url": "data:image/png;base64,", "meta": FILE_META})


def test_the_answer_is_a_verdict_with_its_reason_and_its_figures(client):
    answer = client.predict(handle_file(GOOD), api_name="/predict")
    assert answer["verdict"] in (*LABELS, "uncertain")
    assert answer["headline"] and answer["sentence"].endswith(".")
    assert answer["label"] == max(answer["confidences"], key=answer["confidences"].get)
    assert answer["any_tumor"] == pytest.approx(1 - answer["confidences"]["no_tumor"], abs=1e-5)
    assert answer["familiar"] is True
    assert "256" in answer["facts"]["Size"]
    assert answer["model"]


def test_a_photograph_gets_no_label_and_no_confidences(client, tmp_path):
    photograph().save(tmp_path / "flower.jpg")
    answer = client.predict(handle_file(tmp_path / "flower.jpg"), api_name="/predict")
    assert answer["verdict"] == "unfamiliar"
    assert answer["familiar"] is False
    assert answer["label"] is answer["confidences"] is answer["any_tumor"] is None
    assert answer["headline"] == "Not sure that this is a brain MRI"


def test_a_checkpoint_without_a_familiarity_score_judges_everything(credulous_client, tmp_path):
    photograph().save(tmp_path / "flower.jpg")
    answer = credulous_client.predict(handle_file(tmp_path / "flower.jpg"), api_name="/predict")
    assert answer["familiar"] is None
    assert set(answer["confidences"]) == set(LABELS)


def test_a_batch_is_judged_file_by_file_and_a_bad_file_is_a_result_with_its_reason(client, tmp_path):
    names = [*bad_files(), "good.png"]
    for name, content in bad_files().items():
        (tmp_path / name).write_bytes(content)
    shutil.copy(GOOD, tmp_path / "good.png")
    results = {result["name"]: result for result in ask_batch(client, [tmp_path / name for name in names])}
    assert set(results) == set(names)
    for name in bad_files():
        assert results[name]["error"].endswith(".")
        assert results[name]["verdict"] is None
        assert results[name]["slices"] == []
    good = results["good.png"]
    assert good["error"] is None
    assert good["slices"][0]["confidences"] == pytest.approx(ask(client, GOOD), abs=1e-5)


def test_dicom_files_of_one_series_are_one_volume_and_no_tag_of_the_patient_comes_out(client, demo, tmp_path):
    (series,) = ask_batch(client, dicom_series(tmp_path, slices=10))
    assert series["kind"] == "series"
    assert len(series["slices"]) == 10
    assert series["headline"] and series["sentence"]
    assert series["facts"]["Modality"].startswith("MR")
    one = client.predict(handle_file(sorted(tmp_path.glob("*.dcm"))[5]), api_name="/predict")
    assert one["verdict"]
    for text in (json.dumps(series), json.dumps(one), demo.log):
        assert "MUSTERMANN" not in text.upper()
        assert "19700101" not in text


def test_a_volume_is_judged_as_a_whole_and_its_middle_slice_does_not_stand_for_it(client, tmp_path):
    path = stretch_volume(tmp_path / "volume.nii")
    answer = client.predict(handle_file(path), api_name="/predict")
    assert answer["slices"][7]["verdict"] == "no_tumor", "the middle one"
    assert answer["verdict"] != "no_tumor" and answer["headline"] != "No tumor seen"
    assert (answer["verdict"], answer["headline"]) == ("glioma", "Looks like: glioma")
    assert "neighboring slices" in answer["numbers"]
    assert answer["label"] is answer["confidences"] is answer["any_tumor"] is None
    assert answer["familiar"] is True and answer["peak"] in {f"slice {number}" for number in range(10, 15)}
    (result,) = ask_batch(client, [path])
    for name in ("verdict", "headline", "sentence", "next_step", "numbers", "peak", "slices", "facts", "notes"):
        assert answer[name] == result[name], name
    assert len(answer["slices"]) == 14 and set(answer["slices"][0]["confidences"]) == set(LABELS)


def test_whoever_wants_one_slice_says_which_and_is_told_that_it_is_one(client, tmp_path):
    path = stretch_volume(tmp_path / "volume.nii")
    slices = client.predict(handle_file(path), api_name="/predict")["slices"]
    for number, verdict in ((7, "no_tumor"), (12, "glioma")):
        answer = client.predict(handle_file(path), number, api_name="/predict")
        assert answer["verdict"] == verdict
        assert answer["confidences"] == pytest.approx(slices[number - 1]["confidences"], abs=1e-4)
        assert (answer["slices"], answer["peak"]) == ([], None)
        assert answer["facts"]["Slice"] == f"slice {number}"
        assert "One slice of 14; the others were not judged." in answer["notes"]
    with pytest.raises(AppError, match="There is no slice 15 in this file, which has numbers 1 to 14"):
        client.predict(handle_file(path), 15, api_name="/predict")
    with pytest.raises(
        AppError, match="The slice must be a whole number, such as 34 for slice 34, or left out; not '2.5'"
    ):
        client.predict(handle_file(path), 2.5, api_name="/predict")


def test_the_last_arguments_of_an_endpoint_may_be_left_out(demo):
    file = upload_file(demo, GOOD)
    for endpoint, data in (("predict", [file]), ("predict_batch", [[file]])):
        address = f"{demo.url}/gradio_api/call/{endpoint}"
        event_id = httpx.post(address, json={"data": data}).json()["event_id"]
        assert httpx.get(f"{address}/{event_id}", timeout=60).text.startswith("event: complete")


def test_a_zip_of_one_series_is_judged_as_a_whole_and_one_of_several_scans_is_sent_elsewhere(client, tmp_path):
    answer = client.predict(handle_file(zipped_series(tmp_path)), api_name="/predict")
    assert len(answer["slices"]) == 12 and answer["label"] is None
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for name in ("glioma.png", "no_tumor.png"):
            archive.write(EXAMPLES / name, name)
    with pytest.raises(AppError, match="more than one scan.*where several scans are read"):
        client.predict(handle_file(tmp_path / "two.zip"), api_name="/predict")


def test_pages_have_no_verdict_on_the_whole(client, tmp_path):
    first, second = (Image.open(EXAMPLES / f"{name}.png").convert("L") for name in ("no_tumor", "glioma"))
    first.save(tmp_path / "pages.tif", save_all=True, append_images=[second, first.rotate(2)])
    answer = client.predict(handle_file(tmp_path / "pages.tif"), api_name="/predict")
    assert answer["verdict"] is answer["label"] is answer["confidences"] is answer["familiar"] is None
    assert answer["headline"] == "3 pages, each judged by itself: 2 no tumor, 1 a tumor"
    assert answer["peak"] == "page 2" and [s["name"] for s in answer["slices"]] == ["page 1", "page 2", "page 3"]
    (result,) = ask_batch(client, [tmp_path / "pages.tif"])
    assert result["verdict"] is None and result["headline"] == answer["headline"]
    assert client.predict(handle_file(tmp_path / "pages.tif"), 2, api_name="/predict")["verdict"] == "glioma"


def test_what_the_header_says_stands_in_the_notes_of_one_slice_too(client, model_id, tmp_path):
    pixels = np.asarray(Image.open(EXAMPLES / "glioma.png").convert("L"))
    t2, ct = tmp_path / "t2.dcm", tmp_path / "ct.dcm"
    t2.write_bytes(dicom(pixels, SeriesDescription="t2", BodyPartExamined="BRAIN"))
    ct.write_bytes(dicom(pixels, Modality="CT", BodyPartExamined="BRAIN"))
    (note,) = client.predict(handle_file(t2), api_name="/predict")["notes"]
    by_kind = json.loads((model_id / "results.json").read_text())["test"]["by_kind"]
    (missed,) = (r["missed"] for r in by_kind if r["sequence"] == "T2" and not r["plane"] and r["missed"])
    assert note.startswith("The file says T2.")
    assert f'{100 * missed["value"]:.1f} % of the tumors "no tumor" ({missed["slices"]} slices)' in note
    ct_note, body = (ask_batch(client, [path])[0]["notes"][-1] for path in (ct, t2))
    assert ct_note.startswith("The file says CT, and the model was trained on MRI alone.") and body == note


def test_a_nifti_volume_is_cut_in_the_plane_that_was_asked_for(client, tmp_path):
    path = template_volume(tmp_path / "volume.nii.gz")
    slices = {}
    for plane in ("", "axial", "coronal", "sagittal"):
        (result,) = ask_batch(client, [path], plane=plane)
        assert result["kind"] == "volume"
        assert result["peak"] is None or result["peak"] in [slice_["name"] for slice_ in result["slices"]]
        slices[plane] = len(result["slices"])
        if plane:
            assert result["facts"]["Plane"].lower().startswith(plane)
    assert len(set(slices.values())) > 1, "the planes of this volume have different numbers of slices"
    with pytest.raises(AppError, match="axial, coronal or sagittal"):
        ask_batch(client, [path], plane="oblique")


def test_a_batch_does_not_block_a_scan_of_its_own(puppet, tmp_path):
    client = Client(puppet.demo.url, verbose=False, download_files=str(tmp_path))
    volume = template_volume(tmp_path / "volume.nii.gz")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        puppet.hold.touch()
        batch = pool.submit(ask_batch, client, [volume] * 2)
        assert comes_true(puppet.held.exists, 60), "the batch has begun"
        ask(client, GOOD)
        assert puppet.held.exists(), "the answer came while the batch was held"
        assert not batch.done()
        puppet.held.unlink()
        assert len(batch.result(300)) == 2


def test_a_full_queue_is_answered_with_a_sentence_and_has_room_again_later(puppet, tmp_path):
    client = Client(puppet.demo.url, verbose=False, download_files=str(tmp_path))
    endpoint = puppet.demo.url + "/gradio_api/call/predict_batch"
    puppet.hold.touch()
    with httpx.Client(timeout=60) as http:
        first = http.post(endpoint, json={"data": [[upload_file(puppet.demo, GOOD)], ""]})
        assert comes_true(puppet.held.exists, 60), "the first call has begun"
        for _ in range(60):  # they wait for the first one
            assert http.post(endpoint, json={"data": [[], ""]}).status_code == 200
        answer = http.post(endpoint, json={"data": [[], ""]})
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("Queue is full.")
    with pytest.raises(QueueError, match="try again"):
        ask(client, GOOD)
    puppet.held.unlink()
    assert "event: complete" in httpx.get(f"{endpoint}/{first.json()['event_id']}", timeout=300).text
    assert ask(client, GOOD)


@pytest.mark.slow
def test_a_request_that_takes_too_long_is_answered_with_what_is_done(model_id, tmp_path):
    """The same demo with a second for a request instead of two minutes."""
    volume = template_volume(tmp_path / "volume.nii.gz")
    before = "from brain_tumor.reading import uploads; uploads.MAX_SECONDS = 1"
    with running_demo(tmp_path / "demo", before=before, MODEL_ID=str(model_id)) as demo:
        client = Client(demo.url, verbose=False, download_files=str(tmp_path / "downloads"))
        results = ask_batch(client, [volume] * 40)
        *_, last = results
        assert 1 <= len(results) < 40
        assert "took longer than 1 seconds" in last["error"]
        assert last["verdict"] is None and last["slices"] == []
        assert ask(client, GOOD), "the next request has a time of its own"


DOCS = "".join(path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))))


def example_block(language: str, containing: str) -> str:
    """The one block of code in README and docs/ that holds these words."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", DOCS, flags=re.DOTALL | re.MULTILINE)
    (block,) = (text for name, text in blocks if name == language and containing in text)
    return block


def write_readers_files(folder: Path) -> None:
    """What a reader of the documentation has at hand."""
    for name in ("slice.png", "a.png"):
        shutil.copy(GOOD, folder / name)
    with zipfile.ZipFile(folder / "series.zip", "w") as archive:
        for path in dicom_series(folder / "series", slices=5):
            archive.write(path, path.name)


def test_the_documented_python_gets_answers(demo, tmp_path):
    write_readers_files(tmp_path)
    script = example_block("python", "predict_batch").replace("http://127.0.0.1:7860", demo.url)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env=demo_environment(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert "'no_tumor':" in done.stdout
    assert "a.png" in done.stdout
    assert "None" not in done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_documented_curl_gets_answers(demo, tmp_path):
    write_readers_files(tmp_path)
    script = example_block("", "curl -s").replace("http://127.0.0.1:7860", demo.url)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    one, several = (json.loads(text.split("\n")[0])[0] for text in done.stdout.split("event: complete\ndata: ")[1:])
    assert set(one["confidences"]) == set(LABELS)
    assert [result["name"] for result in several["results"]] == ["a.png", "series.zip/DICOM series (t1), 5 slices"]
    assert not any(result["error"] for result in several["results"])


def test_a_file_name_is_escaped_wherever_the_page_shows_html():
    evil = "<img src=x onerror=alert(1)>"
    for html in (
        page.verdict_html("glioma", Said(evil, evil, evil, evil), [evil]),
        page.facts_html({evil: evil}, [evil]),
    ):
        assert "<img" not in html
        assert "&lt;img" in html


def test_the_sides_are_marked_with_the_patients_right_on_the_left():
    plain = Image.new("RGB", (200, 200))
    marked = page.with_sides(plain)
    assert not np.asarray(plain).any(), "the slice itself is left alone"
    light = np.asarray(marked.convert("L")) > 128
    left, right = light[:, :100], light[:, 100:]
    assert left.any() and right.any()
    # The strokes of an R reach further up to the right than those of an L, whose upper right is empty.
    rows, columns = np.nonzero(right)
    upper_half = right[rows.min() : (rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2 + 1 :]
    assert not upper_half.any()
    rows, columns = np.nonzero(left)
    upper_half = left[rows.min() : (rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2 + 1 :]
    assert upper_half.any()


def test_a_checkpoint_without_heat_map_familiarity_and_thresholds_has_no_panels_for_them(tmp_path):
    labels = dict(enumerate(LABELS))
    network = BaselineCnnForImageClassification(BaselineCnnConfig(id2label=labels, hidden_sizes=(4, 4), dense_size=8))
    network.save_pretrained(tmp_path / "baseline")
    MobileNetV2ImageProcessor().save_pretrained(tmp_path / "baseline")
    with page_in_this_process(tmp_path / "baseline", tmp_path / "cache") as demo:
        answer = ask_as_page(demo, "scan", "upload", [upload_file(demo, GOOD)], "visitor")
        assert answer["success"], answer
        names = {c["id"]: c["props"].get("elem_id") for c in config_of(demo)["components"]}
        outputs = event_of(demo, "scan", "upload")["outputs"]
        shown = {names[number]: value for number, value in zip(outputs, answer["output"]["data"], strict=True)}
        assert shown["map"]["visible"] is False
        assert shown["confidence"]["value"].count("<dt>") == 4 and "<button" not in shown["confidence"]["value"]
        assert "the verdict is a tumor" not in shown["share"]["value"]
        assert shown["picture"]["value"] is None


def test_the_page_about_a_checkpoint_without_results_says_so(credulous):
    assert NOTHING_KNOWN.startswith("This checkpoint comes without a `results.json`")
    assert NOTHING_KNOWN in json.dumps(config_of(credulous)["components"])


def test_the_page_about_the_checkpoint_shows_its_own_figures(demo, model_id):
    results = json.loads((model_id / "results.json").read_text())
    page_text = json.dumps(config_of(demo)["components"], ensure_ascii=False)
    low, high = results["test"]["intervals"]["accuracy"]
    figure = f"| Accuracy | {100 * results['test']['accuracy']:.1f} % | {100 * low:.1f} to {100 * high:.1f} |"
    assert figure in page_text
    assert "Where it fails first" in page_text


def test_how_much_duplicates_inflate_accuracy_is_shown_where_the_checkpoints_own_results_tell(tmp_path):
    part = {"slices": 100, "accuracy": 0.98, "intervals": {"accuracy": [0.95, 0.99]}}
    test = {"with_copy_in_train": part, "without_copy_in_train": part | {"slices": 40, "accuracy": 0.9}}
    assert "| without | 40 | 90.0 % | 95.0 to 99.0 |" in copies_table(test)
    assert copies_table({"with_copy_in_train": part}) == copies_table({}) == ""
    assert about(str(ROOT / "model")).copies == "", "the bundled checkpoint was not measured so"
    (tmp_path / "results.json").write_text("[]")
    assert about(str(tmp_path)).figures == NOTHING_KNOWN


def test_the_table_for_download_cannot_run_formulas(demo, tmp_path):
    path = tmp_path / "=1+1.png"
    shutil.copy(GOOD, path)
    payload = upload_file(demo, path)
    answer = ask_as_page(demo, "look", "click", [[payload], "Best resolution"], "table")
    (table,) = (file for file in served_files(answer) if file["path"].endswith(".csv"))
    rows = list(csv.reader(io.StringIO(Path(table["path"]).read_text())))
    assert len(rows) >= 2
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row)


def test_without_a_scan_the_answer_is_a_sentence(client):
    with pytest.raises(AppError, match="Choose or paste a scan first"):
        client.predict(None, api_name="/predict")
    with pytest.raises(AppError, match="Choose files first"):
        client.predict([], api_name="/predict_batch")


@pytest.mark.parametrize("spelling", ["usual", "capitals, in lines, unpadded", "percent-encoded"])
def test_a_data_uri_is_classified_like_the_file(spelling, client, demo):
    content = GOOD.read_bytes()
    uri = {
        "usual": "data:image/png;base64," + base64.b64encode(content).decode(),
        "capitals, in lines, unpadded": "DATA:Image/PNG;BASE64," + base64.encodebytes(content).decode().rstrip("=\n"),
        "percent-encoded": "data:image/png," + urllib.parse.quote_from_bytes(content),
    }[spelling]
    expected = ask(client, GOOD)
    for endpoint in ("predict", "predict_batch"):
        event, data = call_endpoint(demo, endpoint, {"url": uri, "meta": FILE_META}).strip().split("\n", 1)
        assert event == "event: complete"
        (answer,) = json.loads(data.removeprefix("data: "))
        if endpoint == "predict_batch":
            ((answer,),) = (result["slices"] for result in answer["results"])
        assert answer["confidences"] == pytest.approx(expected, abs=1e-6)


def test_analytics_flagging_and_histories_are_off(demo):
    config = config_of(demo)
    assert config["analytics_enabled"] is False
    assert config["max_file_size"] == MAX_TOTAL_BYTES
    assert config["footer_links"] == ["api"]
    assert not any("flag" in str(dependency).lower() for dependency in config["dependencies"])
    for address in ("/monitoring", "/monitoring/summary"):
        assert httpx.get(demo.url + address, timeout=30).status_code >= 400


@pytest.mark.parametrize(
    "command", ["from brain_tumor.inference import onnx_backend", "import benchmarks, onnxruntime"]
)
def test_onnx_runtime_reports_nothing_to_its_maker(command, tmp_path):
    environment = demo_environment(tmp_path, HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))
    command += "; import time; time.sleep(1)"
    subprocess.run([sys.executable, "-c", command], cwd=ROOT, env=environment, timeout=60, check=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "what is to be sent waits in files"


def test_the_examples_are_served_byte_for_byte(demo):
    config = config_of(demo)
    (gallery,) = (c for c in config["components"] if c["props"].get("elem_id") == "examples")
    listing = json.loads((EXAMPLES / "examples.json").read_text())
    shown = gallery["props"]["value"]
    assert shown
    for item in shown:
        url = urllib.parse.urljoin(demo.url, item["image"]["url"])
        with urllib.request.urlopen(url) as answer:
            assert answer.headers["Content-Type"].startswith("image/")
            assert answer.read() == Path(item["image"]["path"]).read_bytes()
    if Path(shown[0]["image"]["path"]).parent == EXAMPLES:
        assert [item["caption"] for item in shown] == [entry["caption"] for entry in listing]


def test_it_listens_on_this_machine_only_and_prints_its_address(demo):
    assert f"Running on local URL:  {demo.url}" in demo.log


SLOW_TO_LOAD = ("torch", "transformers", "datasets", "sklearn", "evaluate", "onnx")


@pytest.mark.parametrize(
    "command",
    [
        "import app; from brain_tumor.demo.one_scan import judge_scan; judge_scan(app.classifier, sys.argv[1])",
        "import runpy; sys.argv[1:] = ['examples', '--model', sys.argv[2]]; "
        "runpy.run_module('brain_tumor.predict', run_name='__main__')",
    ],
    ids=["app.py", "brain_tumor.predict"],
)
def test_a_checkpoint_with_onnx_is_served_without_what_only_training_needs(command, model_id, tmp_path):
    if not (model_id / "onnx/model.onnx").is_file():
        pytest.skip("this checkpoint has no ONNX file")
    script = f"import sys; {command}; print(sorted(set({SLOW_TO_LOAD!r}) & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script, GOOD, model_id],
        cwd=ROOT,
        env=demo_environment(tmp_path, MODEL_ID=str(model_id)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip().endswith("[]"), done.stderr


def test_a_checkpoint_that_does_not_exist_ends_the_start_with_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=demo_environment(tmp_path, MODEL_ID=str(tmp_path / "nowhere")),
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 1
    assert done.stderr.strip().startswith("The checkpoint")
    assert "set MODEL_ID to one" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().count("\n") == 0


def test_app_py_can_be_read_again_while_it_serves_as_the_gradio_command_does():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(server.serve, None).result() is None


def test_a_port_that_is_no_number_ends_the_start_with_one_sentence(monkeypatch):
    monkeypatch.setenv("PORT", "http")
    with pytest.raises(SystemExit, match="PORT must be a number, not 'http'."):
        server.serve(None)


def test_the_page_takes_over_sections_of_a_card_as_earlier_versions_titled_them(tmp_path):
    (tmp_path / "README.md").write_text("# A model\n\nFor research.\n\n## Data and licences\n\nCC0.\n")
    assert about(str(tmp_path)).sections == {"License": "CC0."}
