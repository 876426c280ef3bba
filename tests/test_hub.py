"""What `publishing.hub` promises of a push. The client runs in processes of its own, each with an empty cache."""

import hashlib
import json
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import MobileNetV2Config, MobileNetV2ForImageClassification, MobileNetV2ImageProcessor, pipeline

from brain_tumor.labels import LABELS
from brain_tumor.training.command_line import parse_arguments
from tests.hub_stand_in import TOKEN, HubStandIn

ROOT = Path(__file__).parent.parent
CARD = "---\nlicense: mit\npipeline_tag: image-classification\n---\n\n# A small classifier\n"
CONTENTS = {
    "README.md",
    "config.json",
    "examples/1-glioma.png",
    "model.safetensors",
    "plots/confusion.png",
    "preprocessor_config.json",
    "results.json",
}
LEFTOVERS = (
    ".cache/huggingface/download.lock",
    ".gitignore",
    ".ipynb_checkpoints/notes.ipynb",
    "checkpoint-12/model.safetensors",
    "checkpoint-12/optimizer.pt",
    "examples/.DS_Store",
    "model.safetensors.tmp",
    "optimizer.pt",
    "plots/confusion.png.part",
    "rng_state.pth",
    "rng_state_0.pth",
    "runs/Jan01_host/events.out.tfevents.1",
    "scaler.pt",
    "scheduler.pt",
    "trainer_state.json",
    "training_args.bin",
)

PUSH = """
import json, sys
from brain_tumor.publishing.hub import PushError, push_checkpoint

folder, repo_id, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
try:
    print(json.dumps({"url": push_checkpoint(folder, repo_id, **settings)}))
except PushError as error:
    print(json.dumps({"error": str(error)}))
"""


@pytest.fixture
def hub():
    with HubStandIn() as hub:
        yield hub


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "scan.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 100, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, scan) -> Path:
    """What a run of training leaves behind, without its leftovers. Read only: a push must not touch it either."""
    folder = tmp_path_factory.mktemp("trained") / "output dir"
    torch.manual_seed(0)
    labels = dict(enumerate(LABELS))
    config = MobileNetV2Config(
        depth_multiplier=0.35, image_size=96, id2label=labels, label2id={name: i for i, name in labels.items()}
    )
    MobileNetV2ForImageClassification(config).save_pretrained(folder)
    processor = MobileNetV2ImageProcessor(size={"height": 96, "width": 96}, do_center_crop=False)
    processor.save_pretrained(folder)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    (folder / "results.json").write_text('{"accuracy": 0.25}')
    for name in ("examples/1-glioma.png", "plots/confusion.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(scan, folder / name)
    return folder


@pytest.fixture
def copy(checkpoint, tmp_path) -> Path:
    """The same, for a test that changes something."""
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def run(code: str, *arguments, env: dict) -> tuple[dict, str]:
    """Python code in a process of its own -> the JSON of its last line, and everything else that it wrote."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    *rest, answer = done.stdout.strip().splitlines()
    return json.loads(answer), "\n".join([*rest, done.stderr])


def push(hub: HubStandIn, folder: Path, cache: Path, repo_id: str = "you/name", token=TOKEN, **settings) -> dict:
    """`push_checkpoint` -> {"url": ...} or {"error": the PushError's message}; the token is nowhere in its output."""
    before = contents_of(folder)
    answer, output = run(PUSH, folder, repo_id, json.dumps(settings), env=hub.env(cache, token))
    assert contents_of(folder) == before, "the push has changed the folder"
    if token:
        assert token not in output + json.dumps(answer)
    return answer


def contents_of(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def assert_can_be_pushed_later(error: str, folder: Path, repo_id: str = "you/name", flags: str = "") -> None:
    command = f"python train.py --push_only {shlex.quote(str(folder))} --hub_model_id {repo_id}{flags}"
    assert error.endswith(command)
    training = parse_arguments(shlex.split(command)[2:], "").training
    assert (training.push_only, training.hub_model_id) == (str(folder), repo_id)
    assert training.hub_private_repo is (True if flags else None)
    assert f"The trained model is safe in {folder}" in error


# --- a push ----------------------------------------------------------------------------------------------------


def test_a_push_is_one_commit_with_every_file_of_the_checkpoint(hub, checkpoint, tmp_path):
    answer = push(hub, checkpoint, tmp_path, commit_message="Train for 3 epochs")
    (commit,) = hub.commits("you/name")
    assert answer == {"url": f"{hub.url}/you/name/commit/{commit.oid}"}
    assert commit.message == "Train for 3 epochs"
    assert set(commit.paths) == CONTENTS
    assert {path: hashlib.sha256(c).hexdigest() for path, c in hub.files("you/name").items()} == contents_of(checkpoint)


def test_leftovers_of_training_stay_at_home(hub, copy, tmp_path):
    for name in LEFTOVERS:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(b"left over")
    assert "url" in push(hub, copy, tmp_path / "cache")
    assert set(hub.files("you/name")) == CONTENTS


def test_the_pushed_model_loads_by_its_id_and_scores_as_it_does_from_the_folder(hub, checkpoint, scan, tmp_path):
    push(hub, checkpoint, tmp_path / "pushing")
    load = """
import json, sys
from transformers import pipeline

print(json.dumps(pipeline("image-classification", model="you/name")(sys.argv[1])))
"""
    loaded, _ = run(load, scan, env=hub.env(tmp_path / "loading", token=None))
    here = pipeline("image-classification", model=str(checkpoint))(str(scan))
    assert {row["label"] for row in loaded} == set(LABELS)
    assert {row["label"]: row["score"] for row in loaded} == pytest.approx(
        {row["label"]: row["score"] for row in here}, abs=1e-6
    )
    assert (tmp_path / "loading" / "hub" / "models--you--name").is_dir()


def test_a_second_push_sends_only_what_has_changed(hub, copy, tmp_path):
    first = push(hub, copy, tmp_path / "1")
    assert push(hub, copy, tmp_path / "2") == first
    (copy / "results.json").write_text('{"accuracy": 0.5}')
    assert push(hub, copy, tmp_path / "3") != first
    assert [commit.paths for commit in hub.commits("you/name")[1:]] == [("results.json",)]
    assert hub.files("you/name")["results.json"] == b'{"accuracy": 0.5}'


def test_an_id_without_an_owner_belongs_to_the_user_of_the_token(hub, checkpoint, tmp_path):
    answer = push(hub, checkpoint, tmp_path, repo_id="name")
    assert answer["url"].startswith(f"{hub.url}/you/name/commit/")
    assert len(hub.commits("you/name")) == 1


def test_a_token_given_by_hand_wins_over_the_one_of_the_machine(hub, checkpoint, tmp_path):
    answer, output = run(
        PUSH, checkpoint, "you/name", json.dumps({"token": TOKEN}), env=hub.env(tmp_path, token="hf_another")
    )
    assert "url" in answer
    assert TOKEN not in output


def test_a_private_repository_is_private_and_the_command_for_later_keeps_it_so(hub, checkpoint, tmp_path):
    hub.drop_commits = 1
    error = push(hub, checkpoint, tmp_path / "1", private=True)["error"]
    assert_can_be_pushed_later(error, checkpoint, flags=" --hub_private_repo True")
    assert "url" in push(hub, checkpoint, tmp_path / "2", private=True)
    assert hub.is_private("you/name")


# --- a push that fails ------------------------------------------------------------------------------------------


def test_without_a_token_nothing_is_asked_of_the_hub(hub, checkpoint, tmp_path):
    error = push(hub, checkpoint, tmp_path, token=None)["error"]
    assert "there is no Hugging Face token on this machine. Log in with `hf auth login`, or set HF_TOKEN" in error
    assert_can_be_pushed_later(error, checkpoint)
    assert hub.requests == []


def test_a_token_that_the_hub_does_not_know_is_reported(hub, checkpoint, tmp_path):
    error = push(hub, checkpoint, tmp_path, token="hf_NotTheTokenOfAnyone")["error"]
    assert "the Hub does not accept the token (401: " in error
    assert_can_be_pushed_later(error, checkpoint)
    assert hub.repositories == {}


@pytest.mark.parametrize("token", ["hf_Cut\u2026Short", "hf_With Space", "hf_Two\nLines"])
def test_a_token_that_was_not_copied_whole_is_reported_without_showing_it(hub, checkpoint, tmp_path, token):
    settings = json.dumps({"token": token})
    answer, output = run(PUSH, checkpoint, "you/name", settings, env=hub.env(tmp_path, token=None))
    assert "the token holds characters that are in no token" in answer["error"]
    assert "hf_" not in answer["error"] + output
    assert_can_be_pushed_later(answer["error"], checkpoint)
    assert hub.requests == []


def test_a_token_that_may_only_read_is_reported(hub, checkpoint, tmp_path):
    hub.refuse_commits = True
    error = push(hub, checkpoint, tmp_path)["error"]
    assert "the Hub refused the push (403: Forbidden: this token may only read). The token needs the permiss" in error
    assert_can_be_pushed_later(error, checkpoint)
    assert hub.commits("you/name") == []


def test_a_repository_of_someone_else_is_reported(hub, checkpoint, tmp_path):
    error = push(hub, checkpoint, tmp_path, repo_id="someone/name")["error"]
    assert "the Hub refused the push (403: " in error
    assert "someone/name must belong to its user" in error
    assert_can_be_pushed_later(error, checkpoint, "someone/name")


def test_a_hub_that_cannot_be_reached_is_reported_and_the_push_succeeds_when_it_is_back(hub, checkpoint, tmp_path):
    hub.stop()
    error = push(hub, checkpoint, tmp_path / "1")["error"]
    assert f"the Hub cannot be reached at {hub.url} (" in error
    assert_can_be_pushed_later(error, checkpoint)
    hub.start()
    assert "url" in push(hub, checkpoint, tmp_path / "2")


def test_a_hub_that_never_answers_is_given_up(hub, checkpoint, tmp_path):
    hub.silent = True
    error = push(hub, checkpoint, tmp_path, timeout=1.5)["error"]
    assert "the Hub did not answer within 1.5 seconds" in error
    assert_can_be_pushed_later(error, checkpoint)


def test_offline_mode_is_named_as_the_reason(hub, checkpoint, tmp_path):
    env = {**hub.env(tmp_path), "HF_HUB_OFFLINE": "1"}
    answer, _ = run(PUSH, checkpoint, "you/name", "{}", env=env)
    assert "offline mode is on. Unset HF_HUB_OFFLINE" in answer["error"]
    assert_can_be_pushed_later(answer["error"], checkpoint)


def test_an_upload_that_drops_once_is_repeated_by_itself(hub, checkpoint, tmp_path):
    hub.drop_uploads = 1
    assert "url" in push(hub, checkpoint, tmp_path)
    assert [request.status for request in hub.requests if request.method == "PUT"].count(0) == 1
    assert len(hub.commits("you/name")) == 1


@pytest.mark.slow
def test_an_upload_that_keeps_dropping_fails_without_a_commit_and_succeeds_when_repeated(hub, checkpoint, tmp_path):
    hub.drop_uploads = 10**6
    error = push(hub, checkpoint, tmp_path / "1")["error"]
    assert "the connection to the Hub broke off (" in error
    assert_can_be_pushed_later(error, checkpoint)
    assert hub.commits("you/name") == []
    hub.drop_uploads = 0
    assert "url" in push(hub, checkpoint, tmp_path / "2")
    assert [set(commit.paths) for commit in hub.commits("you/name")] == [CONTENTS]


def test_a_push_that_drops_before_its_commit_does_not_upload_the_model_again(hub, checkpoint, tmp_path):
    hub.drop_commits = 1
    error = push(hub, checkpoint, tmp_path / "1")["error"]
    assert "the connection to the Hub broke off (" in error
    assert_can_be_pushed_later(error, checkpoint)
    uploaded = [request for request in hub.requests if request.method == "PUT"]
    assert "url" in push(hub, checkpoint, tmp_path / "2")
    assert [request for request in hub.requests if request.method == "PUT"] == uploaded
    assert [set(commit.paths) for commit in hub.commits("you/name")] == [CONTENTS]


@pytest.mark.slow
def test_a_push_that_drops_at_any_other_stage_leaves_nothing_and_succeeds_when_repeated(checkpoint, tmp_path):
    """All at the same time, each with a Hub of its own: at most stages the client tries for 23 seconds."""

    def drop_and_repeat(stage: str) -> None:
        with HubStandIn() as hub:
            hub.drop = {stage}
            error = push(hub, checkpoint, tmp_path / f"{stage} 1")["error"]
            assert hub.requests[-1].status == 0, "the push did not come to this stage, or went on after it"
            assert "the connection to the Hub broke off (" in error
            assert_can_be_pushed_later(error, checkpoint)
            assert hub.commits("you/name") == []
            hub.drop = set()
            assert "url" in push(hub, checkpoint, tmp_path / f"{stage} 2")
            assert [set(commit.paths) for commit in hub.commits("you/name")] == [CONTENTS]
            pushed = {path: hashlib.sha256(content).hexdigest() for path, content in hub.files("you/name").items()}
            assert pushed == contents_of(checkpoint)

    stages = ("create_repository", "validate_front_matter", "upload_modes", "lfs_batch", "lfs_verify")
    with ThreadPoolExecutor(len(stages)) as threads:
        list(threads.map(drop_and_repeat, stages))


@pytest.mark.slow
def test_the_command_that_a_dropped_push_names_pushes_the_folder(hub, checkpoint, tmp_path):
    hub.drop_commits = 1
    error = push(hub, checkpoint, tmp_path / "1")["error"]
    python, *arguments = shlex.split(error.splitlines()[-1])
    assert python == "python"
    done = subprocess.run(
        [sys.executable, *arguments], env=hub.env(tmp_path / "2"), cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert [set(commit.paths) for commit in hub.commits("you/name")] == [CONTENTS]


def test_a_storage_that_fails_under_xet_is_reported_like_any_other(hub, checkpoint, tmp_path):
    pytest.importorskip(
        "hf_xet"
    )  # what the client uploads with unless told otherwise; the stand-in has no such storage
    env = {**hub.env(tmp_path), "HF_HUB_DISABLE_XET": "0"}
    answer, _ = run(PUSH, checkpoint, "you/name", "{}", env=env)
    assert "the connection to the Hub broke off (" in answer["error"]
    assert_can_be_pushed_later(answer["error"], checkpoint)
    assert hub.commits("you/name") == []


def test_a_commit_whose_answer_got_lost_is_not_made_twice(hub, checkpoint, tmp_path):
    hub.lose_answers = 1
    assert_can_be_pushed_later(push(hub, checkpoint, tmp_path / "1")["error"], checkpoint)
    answer = push(hub, checkpoint, tmp_path / "2")
    (commit,) = hub.commits("you/name")
    assert answer == {"url": f"{hub.url}/you/name/commit/{commit.oid}"}


@pytest.mark.parametrize("repo_id", ["a/b/c", "you/na me", "you/-name", "", "./output"])
def test_an_id_that_cannot_be_one_is_refused_with_an_example(hub, checkpoint, tmp_path, repo_id):
    error = push(hub, checkpoint, tmp_path, repo_id=repo_id)["error"]
    assert f"{repo_id!r} is not the id of a repository" in error
    assert_can_be_pushed_later(error, checkpoint, "you/brain-tumor-classifier")
    assert hub.requests == []


def test_front_matter_that_the_hub_refuses_is_reported(hub, copy, tmp_path):
    (copy / "README.md").write_text("---\nlicense: [mit\n---\n", encoding="utf-8")
    error = push(hub, copy, tmp_path / "cache")["error"]
    assert "the Hub refused what was sent (400). Invalid metadata in README.md." in error
    assert_can_be_pushed_later(error, copy)
    assert hub.commits("you/name") == []


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (shutil.rmtree, "there is no such folder"),
        (lambda folder: (folder / "model.safetensors").unlink(), "it has no model.safetensors"),
        (lambda folder: (folder / "config.json").write_text('{"model_type"'), "was not written to its end"),
        (
            lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-1]),
            "was not written to its end",
        ),
    ],
    ids=["no folder", "no weights", "half a config", "weights cut short"],
)
def test_a_folder_that_is_no_finished_checkpoint_is_not_pushed(hub, copy, tmp_path, damage, found):
    damage(copy)
    error = push(hub, copy, tmp_path / "cache")["error"]
    assert f"Nothing was pushed: {copy} is not a finished checkpoint, " in error
    assert found in error
    assert f"python train.py --push_only {copy} --hub_model_id you/name" in error
    assert hub.requests == []


def test_a_missing_token_is_noticed_before_training(hub, tmp_path):
    check = "import json; from brain_tumor.publishing.hub import check_token; print(json.dumps(check_token()))"
    warning, _ = run(check, env=hub.env(tmp_path, token=None))
    assert "there is no Hugging Face token on this machine. Log in with `hf auth login`" in warning
    assert run(check, env=hub.env(tmp_path))[0] is None
    assert hub.requests == []


def ask_access(hub: HubStandIn, cache: Path, repo_id: str, token=TOKEN, timeout: float = 20) -> str | None:
    check = (
        "import json, sys; from brain_tumor.publishing.hub import check_access;"
        "print(json.dumps(check_access(sys.argv[1], timeout=float(sys.argv[2]))))"
    )
    answer, output = run(check, repo_id, timeout, env=hub.env(cache, token))
    assert token not in f"{answer}{output}"
    return answer


def test_whether_the_token_may_write_there_is_asked_before_training(hub, tmp_path):
    hub.organizations = {"clinic": "write", "library": "read"}
    for repo_id in ("you/name", "name", "clinic/name"):
        assert ask_access(hub, tmp_path, repo_id) is None
    for repo_id in ("someone/name", "library/name"):
        assert ask_access(hub, tmp_path, repo_id) == (
            f"The push to the Hub after training will fail: {repo_id} must belong to you, the user of the token, or to "
            "an organization in which that user may write."
        )
    assert {request.path for request in hub.requests} == {"/api/whoami-v2"}, "nothing is created"


def fine_grained(*rights: str) -> dict:
    return {
        "role": "fineGrained",
        "fineGrained": {"global": [], "scoped": [{"entity": {"name": "you"}, "permissions": [*rights]}]},
    }


@pytest.mark.parametrize(
    ("rights", "may"),
    [
        ({"role": "read"}, False),
        ({"role": "write"}, True),
        (fine_grained("repo.content.read"), False),
        (fine_grained("repo.content.read", "repo.write"), True),
    ],
)
def test_a_token_that_may_only_read_is_noticed_before_training(rights, may, hub, tmp_path):
    hub.rights = rights
    warning = ask_access(hub, tmp_path, "you/name")
    assert warning is None if may else "will fail: the token may not write. Log in with" in warning


def test_a_token_that_the_hub_does_not_know_or_a_hub_that_is_away_is_noticed_before_training(hub, tmp_path):
    unknown = ask_access(hub, tmp_path, "you/name", token="hf_NotTheTokenOfAnyone")
    assert unknown.startswith("The push to the Hub after training will fail: the Hub does not accept the token (401")
    hub.silent = True
    silent = ask_access(hub, tmp_path, "you/name", timeout=1.5)
    assert silent.startswith("The push to the Hub after training may fail: the Hub did not answer within 1.5 seconds")
    hub.stop()
    away = ask_access(hub, tmp_path, "you/name")
    assert away.startswith("The push to the Hub after training may fail: the Hub cannot be reached at ")


# --- what the app and the training fetch ------------------------------------------------------------------------


def test_files_of_a_dataset_repository_arrive_as_they_are(hub, scan, tmp_path):
    for name in ("Training/1-glioma/a.png", "Testing/3-no tumor/b.png", "README.md"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(scan, tmp_path / "data" / name)
    hub.seed("someone/scans", tmp_path / "data")
    fetch = """
import json
from pathlib import Path
from huggingface_hub import HfApi, hf_hub_download, snapshot_download

one = hf_hub_download("someone/scans", "Testing/3-no tumor/b.png", repo_type="dataset")
listing = HfApi().list_repo_files("someone/scans", repo_type="dataset")
folder = Path(snapshot_download("someone/scans", repo_type="dataset", allow_patterns=["*.png"]))
everything = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
print(json.dumps({"one": one, "listing": listing, "everything": everything}))
"""
    fetched, _ = run(fetch, env=hub.env(tmp_path / "cache", token=None))
    assert Path(fetched["one"]).read_bytes() == scan.read_bytes()
    assert set(fetched["listing"]) == {
        ".gitattributes",
        "README.md",
        "Testing/3-no tumor/b.png",
        "Training/1-glioma/a.png",
    }
    assert fetched["everything"] == ["Testing/3-no tumor/b.png", "Training/1-glioma/a.png"]


def test_what_is_not_on_the_hub_is_not_found(hub, scan, tmp_path):
    hub.seed("someone/scans", scan.parent)
    fetch = """
import json
from huggingface_hub import hf_hub_download

names = []
for repo_id, name in [("someone/scans", "other.png"), ("someone/other", "scan.png")]:
    try:
        hf_hub_download(repo_id, name, repo_type="dataset")
    except Exception as error:
        names.append(type(error).__name__)
print(json.dumps(names))
"""
    assert run(fetch, env=hub.env(tmp_path))[0] == ["RemoteEntryNotFoundError", "RepositoryNotFoundError"]
