"""A finished checkpoint -> one commit on the Hugging Face Hub, or a sentence that says how to push it later."""

import contextlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, get_session, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import filter_repo_objects, validate_repo_id
from safetensors import SafetensorError, safe_open

CHECKPOINT_FILES = ("config.json", "model.safetensors")
"""What a folder must hold to be a finished checkpoint; `train.py` writes them once training is over."""

LEFT_OUT = (
    # What `Trainer` leaves beside the checkpoint: to resume training on this machine, of no use to anyone else.
    "checkpoint-*/*",
    "tmp-checkpoint-*/*",
    "runs/*",
    "optimizer.*",
    "scheduler.*",
    "scaler.*",
    "rng_state*",
    "training_args.bin",
    "trainer_state.json",  # also names folders of this machine
    # The worst mistakes as pictures, which are slices of the dataset.
    "evaluation/*",
    # Hidden files, and files that something was still writing when it ended.
    ".*",
    "*/.*",
    "*~",
    "*.tmp",
    "*.part",
    "*.partial",
    "*.incomplete",
    "*.lock",
    "__pycache__/*",
    "*/__pycache__/*",
)
"""Patterns of files that are not pushed; `*` also matches `/`, the path is relative to the checkpoint's folder."""

TIMEOUT = 120.0
"""Seconds of silence after which the Hub counts as gone. Left alone, the client would wait forever."""

_HOW_TO_LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN, which goes first, to a token that may write."


class PushError(RuntimeError):
    """A push that did not happen. The message says why, and which command pushes the checkpoint later."""


def push_checkpoint(
    output_dir: str | Path,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    commit_message: str = "Push a trained checkpoint",
    timeout: float = TIMEOUT,
) -> str:
    """Push a checkpoint's folder to a model repository, which is created if need be, in one commit.

    Everything in the folder goes up except `LEFT_OUT`; files that the repository already holds unchanged are not sent
    again, and if that is all of them there is no new commit. The folder itself is only read. A push that failed
    half-way leaves no commit behind, and can be repeated.

    Args:
        output_dir: the folder that `train.py` wrote.
        repo_id: "owner/name", or "name" for a repository of the token's user.
        private: who sees the repository if it is created here; None is the owner's default. The
            visibility of an existing repository stays as it is.
        token: None for the one of HF_TOKEN or `hf auth login`.
        commit_message: one line.
        timeout: seconds of silence after which the Hub counts as gone.

    Returns:
        The URL of the commit.

    Raises:
        PushError: the folder is no finished checkpoint, the id is not valid, there is no token, or the Hub
            refused it, refused the push, could not be reached or went away.
    """

    def command(for_id: str) -> str:
        visibility = " --hub_private_repo True" if private else ""
        return f"    python train.py --push_only {shlex.quote(str(output_dir))} --hub_model_id {for_id}{visibility}"

    folder = Path(output_dir)
    unfinished = _unfinished(folder)
    if unfinished:
        raise PushError(
            f"Nothing was pushed: {output_dir} is not a finished checkpoint, {unfinished}. Let the training end, or "
            f"name the folder that it wrote. A finished checkpoint is pushed with:\n{command(repo_id)}"
        )

    if wrong := why_no_id(repo_id):
        raise PushError(
            f"The checkpoint was not pushed: {repo_id!r} is not the id of a repository ({wrong}). The "
            f"trained model is safe in {output_dir}. With an id like you/brain-tumor-classifier, push it with:\n"
            f"{command('you/brain-tumor-classifier')}"
        )

    try:
        token = _find_token(token)
        reason = _unusable(token)
        if reason is None:
            with _http_timeout(timeout):
                return _push(folder, repo_id, private, token, commit_message)
    # The client raises OSError, RuntimeError, ValueError and its HTTP library's own errors.
    except Exception as error:  # noqa: BLE001
        reason = _reason(error, repo_id, timeout)
    # Raised out here, without the client's error as its cause: that can quote the header that holds the token.
    if token:
        reason = reason.replace(token, "(token)")
    raise PushError(
        f"The checkpoint was not pushed to {repo_id}: {reason}\nThe trained model is safe in {output_dir}. "
        f"Push it later with:\n{command(repo_id)}"
    )


def why_no_id(repo_id: str) -> str | None:
    """What the Hub's own rule has against the id of a repository, in a few words; None for one that can be."""
    try:
        validate_repo_id(repo_id or "")  # None would pass
        return None
    except HFValidationError as error:
        return _one_line(error)


def check_token(token: str | None = None) -> str | None:
    """Before a long training: None if there is a token to push with, else a sentence to warn with.

    Whether the Hub accepts it is not asked.
    """
    try:
        reason = _unusable(_find_token(token))
    # A CI job's identity is exchanged for a token over the network, so anything may fail.
    except Exception as error:  # noqa: BLE001
        reason = f"no token could be obtained ({_one_line(error)}). {_HOW_TO_LOG_IN}"
    return f"The push to the Hub after training will fail: {reason}" if reason else None


def check_access(repo_id: str, token: str | None = None, timeout: float = 20.0) -> str | None:
    """Before a long training: None if the Hub says that the token may push there, else a sentence to warn with.

    Args:
        repo_id: where to push.
        token: None for the one of HF_TOKEN or `hf auth login`; there is one (`check_token`).
        timeout: seconds of silence after which the Hub counts as gone.
    """
    token, sure = _find_token(token) or "", True
    try:
        with _http_timeout(timeout):
            reason = _may_not_write(HfApi(token=token).whoami(), repo_id)
    except Exception as error:  # noqa: BLE001  as in `push_checkpoint`
        sure = any(isinstance(e, HfHubHTTPError) and e.response.status_code == 401 for e in _causes(error))
        reason = _reason(error, repo_id, timeout)
    if reason and token:
        reason = reason.replace(token, "(token)")
    return f"The push to the Hub after training {'will' if sure else 'may'} fail: {reason}" if reason else None


def _may_not_write(user: dict, repo_id: str) -> str | None:
    """Why a token may not write to a repository, as far as the Hub's answer to "who am I" tells; None if it may.

    Args:
        user: "name", "orgs" with "name" and "roleInOrg", and "auth" with what the token may do.
    """
    token = (user.get("auth") or {}).get("accessToken") or {}
    scopes = token.get("fineGrained") or {}
    rights = [
        *(scopes.get("global") or []),
        *(r for s in scopes.get("scoped") or [] for r in s.get("permissions") or []),
    ]
    if token.get("role") == "read" or scopes and "repo.write" not in rights:
        return f"the token may not write. {_HOW_TO_LOG_IN}"
    owner, slash, _ = repo_id.partition("/")
    roles = {organization.get("name"): organization.get("roleInOrg") for organization in user.get("orgs") or []}
    if not slash or owner == user.get("name") or roles.get(owner, "read") != "read":
        return None
    return (
        f"{repo_id} must belong to {user.get('name')}, the user of the token, or to an organization in which that user "
        "may write."
    )


def _push(folder: Path, repo_id: str, private: bool | None, token: str, commit_message: str) -> str:
    api = HfApi(token=token)
    repository = api.create_repo(repo_id, private=private, exist_ok=True)
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    additions = [
        CommitOperationAdd(path, folder / path) for path in filter_repo_objects(paths, ignore_patterns=LEFT_OUT)
    ]
    # Not `upload_folder`: with Xet installed it may split a folder over several commits.
    commit = api.create_commit(repository.repo_id, additions, commit_message=commit_message)
    return str(commit.commit_url)


def _unfinished(folder: Path) -> str | None:
    """What a folder lacks to be a checkpoint that loads, or None."""
    if not folder.is_dir():
        return "there is no such folder"
    missing = [name for name in CHECKPOINT_FILES if not (folder / name).is_file()]
    if missing:
        return f"it has no {' and no '.join(missing)}"
    config, weights = (folder / name for name in CHECKPOINT_FILES)
    try:
        json.loads(config.read_bytes())
        with safe_open(weights, framework="numpy"):  # reads the header and compares it with the file's size
            return None
    except (OSError, ValueError, SafetensorError):
        return "its config.json or model.safetensors is damaged or was not written to its end"


def _find_token(token: str | None) -> str | None:
    return (token or "").strip() or get_token()


def _unusable(token: str | None) -> str | None:
    if not token:
        return f"there is no Hugging Face token on this machine. {_HOW_TO_LOG_IN}"
    # RFC 6750, section 2.1. The HTTP library quotes, escaped, a header that it cannot send, and with it the token.
    if not re.fullmatch(r"[A-Za-z0-9._~+/=-]+", token):
        return f"the token holds characters that are in no token; was it copied whole? {_HOW_TO_LOG_IN}"
    return None


@contextlib.contextmanager
def _http_timeout(seconds: float) -> Iterator[None]:
    """Give the HTTP client a timeout for a while: on its own it has none."""
    client = get_session()
    before, client.timeout = client.timeout, seconds
    try:
        yield
    finally:
        client.timeout = before


def _reason(error: Exception, repo_id: str, timeout: float) -> str:
    """What went wrong, for the person who pushed: one or two sentences without the client's traceback."""
    for cause in _causes(error):
        if isinstance(cause, HfHubHTTPError):
            return _refusal(error, cause, repo_id)
        if isinstance(cause, OfflineModeIsEnabled):
            return "offline mode is on. Unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE."
        # By name: the client's HTTP library is httpx in one version and httpx2 in the next.
        kinds = {kind.__name__ for kind in type(cause).__mro__}
        if "TimeoutException" in kinds:
            return f"the Hub did not answer within {timeout:g} seconds. Check the network."
        if "ConnectError" in kinds:
            return f"the Hub cannot be reached at {HfApi().endpoint} ({_one_line(cause)}). Check the network."
        if kinds & {"TransportError", "ConnectionError"}:  # of the HTTP library, of Xet
            return f"the connection to the Hub broke off ({_one_line(cause)}). Check the network."
    return f"{_one_line(error)} ({type(error).__name__})."


def _refusal(error: Exception, answer: HfHubHTTPError, repo_id: str) -> str:
    """The sentence for an HTTP status that the Hub answered with."""
    status = answer.response.status_code
    said = " ".join((answer.server_message or "").split()) or "no reason given"
    if status == 401:
        return f"the Hub does not accept the token (401: {said}). {_HOW_TO_LOG_IN}"
    if status == 403:
        return (
            f"the Hub refused the push (403: {said}). The token needs the permission to write, and {repo_id} "
            "must belong to its user or to an organization in which the user may write."
        )
    if status == 400:  # the client's own words are the better ones, for example of a README.md's bad front matter
        return f"the Hub refused what was sent (400). {_one_line(error)}."
    return f"the Hub answered with an error ({status}: {said})."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, then what it was raised from: uploads wrap the error of the network in one of their own."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _one_line(error: BaseException) -> str:
    """An exception's message to put into a sentence."""
    return " ".join(str(error).split()).rstrip(".") or "no reason given"
