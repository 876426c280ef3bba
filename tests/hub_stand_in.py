"""A stand-in for the Hugging Face Hub on 127.0.0.1. The real client talks to it over HTTP; nothing in it is mocked.

What it answers was read from the requests of `huggingface_hub` 2.4 with Xet switched off: a push (repository, front
matter, upload modes, LFS, commit), and loading from model and dataset repositories. It is strict where the Hub is: a
write needs the token, an LFS blob must have the announced size and hash, a commit may only name blobs that arrived.

    with HubStandIn() as hub:
        subprocess.run([sys.executable, "train.py", ...], env=hub.env(tmp_path / "cache"))
        assert "model.safetensors" in hub.files("you/name")
"""

import base64
import fnmatch
import hashlib
import json
import os
import re
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

USER = "you"
TOKEN = "hf_StandInTokenThatMayWrite"

_LFS_PATTERNS = ("*.safetensors", "*.onnx", "*.bin", "*.pt", "*.pth", "*.parquet", "*.zip")


@dataclass(frozen=True)
class HubFile:
    """A file of a repository: in git itself, or large and binary ones in LFS."""

    content: bytes
    lfs: bool

    @property
    def git_oid(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def oid(self) -> str:
        """What the Hub compares to tell whether a file has changed, and its ETag."""
        return self.sha256 if self.lfs else self.git_oid


@dataclass(frozen=True)
class Commit:
    """One commit: its id, message, the paths that it added or changed, and all files after it."""

    oid: str
    message: str
    paths: tuple[str, ...]
    files: dict[str, HubFile] = field(repr=False)


@dataclass(frozen=True)
class Request:
    """One line of the log. A status of 0 means that the connection was dropped without an answer."""

    method: str
    path: str
    status: int


@dataclass
class _Repository:
    kind: str  # "models" or "datasets", as in the API's addresses
    repo_id: str
    private: bool
    history: list[Commit]

    def commit(self, message: str, files: dict[str, HubFile]) -> Commit:
        before = self.history[-1].files if self.history else {}
        names = "".join(f"{path}{file.oid}" for path, file in sorted(files.items()))
        oid = hashlib.sha1(f"{self.kind}/{self.repo_id}/{len(self.history)}/{names}".encode()).hexdigest()
        self.history.append(Commit(oid, message, tuple(sorted(files)), {**before, **files}))
        return self.history[-1]


class _Refused(Exception):
    """An HTTP error to answer with."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str):
        self.status, self.message = status, message
        self.headers = {**({"X-Error-Code": code} if code else {}), "X-Error-Message": message, **headers}


class _Dropped(Exception):
    """No answer: the connection is closed."""


class HubStandIn:
    """The Hub, reachable at `url` inside a `with` block.

    Attributes:
        url: what HF_ENDPOINT must be.
        token: the one token that may write; it belongs to the user "you".
        requests: every request so far, in order.
        rights: what "who am I" says that the token may do, as the Hub's own answer says it.
        organizations: name -> role of the user in them.
        refuse_commits: answer commits with 403, as for a token that may only read.
        drop_uploads: how many of the next LFS uploads lose their connection half-way.
        drop_commits: how many of the next commits lose their connection before they are recorded.
        drop: names of `_ROUTES` whose requests lose their connection before anything is done.
        lose_answers: how many of the next commits are recorded, but their answer never arrives.
        silent: take requests and never answer.
    """

    def __init__(self):
        self.token = TOKEN
        self.requests: list[Request] = []
        self.rights: dict | None = None
        self.organizations: dict[str, str] = {}
        self.refuse_commits = False
        self.drop_uploads = 0
        self.drop_commits = 0
        self.drop: set[str] = set()
        self.lose_answers = 0
        self.silent = False
        self.repositories: dict[tuple[str, str], _Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.announced: dict[str, int] = {}
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self._port = 0
        self.server: _Server | None = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.closing.set()
        self.stop()

    def start(self) -> None:
        """Become reachable, after `stop` at the same address as before."""
        self.server = _Server(("127.0.0.1", self._port), _Handler)
        self.server.hub = self
        self._port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop being reachable: connections are refused. What was pushed stays."""
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def env(self, cache_dir: str | Path, token: str | None = TOKEN) -> dict[str, str]:
        """All environment variables for a process that knows no other Hub, token or cache than these."""
        cache = Path(cache_dir)
        return {
            **os.environ,
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": token or "",
            "HUGGING_FACE_HUB_TOKEN": "",
            "HF_HOME": str(cache),
            "HF_HUB_CACHE": str(cache / "hub"),
            "HF_DATASETS_CACHE": str(cache / "datasets"),
            "HF_MODULES_CACHE": str(cache / "modules"),
            "HF_TOKEN_PATH": str(cache / "token"),
            "HF_HUB_DISABLE_XET": "1",  # its storage speaks another protocol; without it the client uses LFS
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": "0",
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
            "TRANSFORMERS_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def seed(self, repo_id: str, folder: str | Path, repo_type: str = "dataset", private: bool = False) -> str:
        """Put a folder's files into a repository, as if pushed long ago; returns the commit's id."""
        folder = Path(folder)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        with self.lock:
            repository = self.create(f"{repo_type}s", repo_id, private)
            added = {path: HubFile(content, _is_lfs(path, content)) for path, content in files.items()}
            return repository.commit("Seed", added).oid

    def files(self, repo_id: str, repo_type: str = "model") -> dict[str, bytes]:
        """Path -> content of the newest commit, without the `.gitattributes` that the Hub itself adds."""
        files = self.repositories[f"{repo_type}s", repo_id].history[-1].files
        return {path: file.content for path, file in files.items() if path != ".gitattributes"}

    def commits(self, repo_id: str, repo_type: str = "model") -> list[Commit]:
        """The commits after the Hub's own first one, oldest first; none for a repository that does not exist."""
        repository = self.repositories.get((f"{repo_type}s", repo_id))
        return repository.history[1:] if repository else []

    def is_private(self, repo_id: str, repo_type: str = "model") -> bool:
        return self.repositories[f"{repo_type}s", repo_id].private

    def create(self, kind: str, repo_id: str, private: bool = False) -> _Repository:
        """A new repository, with the one file that the Hub puts into it."""
        repository = self.repositories.setdefault((kind, repo_id), _Repository(kind, repo_id, private, []))
        if not repository.history:
            attributes = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in _LFS_PATTERNS)
            repository.commit("initial commit", {".gitattributes": HubFile(attributes.encode(), lfs=False)})
        return repository


def _is_lfs(path: str, beginning: bytes) -> bool:
    """Large kinds of files by name, and whatever looks binary."""
    return any(fnmatch.fnmatch(path, pattern) for pattern in _LFS_PATTERNS) or b"\0" in beginning[:512]


class _Server(ThreadingHTTPServer):
    request_queue_size = 64  # `snapshot_download` comes with several connections at once
    hub: HubStandIn

    def handle_error(self, request, client_address):
        """A client that went away is no error; anything else is one of this file, and must be seen."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


_REPO = r"(?P<owner>[^/]+)/(?P<name>[^/]+?)"
_API = rf"/api/(?P<kind>models|datasets)/{_REPO}"
_ROUTES = [
    ("GET", r"/api/whoami-v2", "whoami"),
    ("POST", r"/api/repos/create", "create_repository"),
    ("POST", r"/api/validate-yaml", "validate_front_matter"),
    ("POST", rf"{_API}/preupload/(?P<revision>[^/]+)", "upload_modes"),
    ("POST", rf"{_API}/commit/(?P<revision>[^/]+)", "commit"),
    ("POST", rf"{_API}/paths-info/(?P<revision>[^/]+)", "paths_info"),
    ("GET", rf"{_API}/tree/(?P<revision>[^/]+)(/(?P<path>.+))?", "tree"),
    ("GET", rf"{_API}/revision/(?P<revision>[^/]+)", "repository_info"),
    ("GET", _API, "repository_info"),
    ("POST", rf"/((?P<kind>models|datasets)/)?{_REPO}\.git/info/lfs/objects/batch", "lfs_batch"),
    ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", "lfs_upload"),
    ("POST", r"/lfs/(?P<oid>[0-9a-f]{64})/verify", "lfs_verify"),
    ("GET", rf"/((?P<kind>models|datasets)/)?{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "resolve"),
]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *args):
        pass  # the log is `hub.requests`

    def do_GET(self):
        self._serve()

    do_HEAD = do_POST = do_PUT = do_GET

    def _serve(self) -> None:
        self.hub = self.server.hub
        try:
            if self.hub.silent:
                self.hub.closing.wait()
            if self.hub.silent or self.server is not self.hub.server:  # a connection kept open from before `stop`
                raise _Dropped
            self._read_body()
            with self.hub.lock:
                status, body, headers = self._route()
        except _Refused as refusal:
            status, body, headers = refusal.status, {"error": refusal.message}, refusal.headers
        except _Dropped:
            self.hub.requests.append(Request(self.command, self.path, 0))
            self.close_connection = True
            return
        self.hub.requests.append(Request(self.command, self.path, status))
        self._answer(status, body, headers)

    def _read_body(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if self.command == "PUT" and self.hub.drop_uploads > 0:
            self.hub.drop_uploads -= 1
            self.rfile.read(length // 2)
            raise _Dropped
        if self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            raise _Refused(411, "the storage needs to know the length of an upload")
        self.body = self.rfile.read(length)
        if len(self.body) < length:
            raise _Dropped  # the client went away

    def _route(self) -> tuple[int, object, dict[str, str]]:
        address = urlsplit(self.path)
        self.query = parse_qs(address.query)
        for method, pattern, name in _ROUTES:
            match = re.fullmatch(pattern, address.path)
            if match and (method == self.command or (method, self.command) == ("GET", "HEAD")):
                found = {key: unquote(value) for key, value in match.groupdict().items() if value is not None}
                if "owner" in found:
                    found["repo_id"] = f"{found.pop('owner')}/{found.pop('name')}"
                    found.setdefault("kind", "models")
                if name in self.hub.drop:
                    raise _Dropped
                answer = getattr(self, name)(**found)
                return answer if isinstance(answer, tuple) else (200, answer, {})
        raise _Refused(404, f"the stand-in does not know {self.command} {address.path}")

    def _answer(self, status: int, body: object, headers: dict[str, str]) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        if not isinstance(body, bytes):
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    # --- who may do what ----------------------------------------------------------------------------------------

    def _is_user(self) -> bool:
        sent = self.headers.get("Authorization")
        if sent is not None and sent != f"Bearer {self.hub.token}":
            raise _Refused(401, "Invalid credentials in Authorization header")
        return sent is not None

    def _writer_of(self, repo_id: str) -> None:
        if not self._is_user():
            raise _Refused(401, "Invalid username or password.")
        if repo_id.split("/")[0] != USER:
            raise _Refused(403, f"You don't have the rights to write under the namespace {repo_id.split('/')[0]!r}")

    def _repository(self, kind: str, repo_id: str) -> _Repository:
        repository = self.hub.repositories.get((kind, repo_id))
        is_user = self._is_user()
        if repository is None or (repository.private and not is_user):
            raise _Refused(404 if is_user else 401, "Repository not found", code="RepoNotFound")
        return repository

    def _state(self, kind: str, repo_id: str, revision: str) -> Commit:
        history = self._repository(kind, repo_id).history
        for commit in history:
            if commit.oid == revision:
                return commit
        if revision != "main":
            raise _Refused(404, f"Invalid rev id: {revision}", code="RevisionNotFound")
        return history[-1]

    # --- pushing ------------------------------------------------------------------------------------------------

    def whoami(self):
        if not self._is_user():
            raise _Refused(401, "Invalid username or password.")
        token = self.hub.rights or {"role": "read" if self.hub.refuse_commits else "write"}
        organizations = [{"name": name, "roleInOrg": role} for name, role in self.hub.organizations.items()]
        return {"type": "user", "name": USER, "orgs": organizations, "auth": {"accessToken": token}}

    def create_repository(self):
        asked = json.loads(self.body)
        repo_id = f"{asked.get('organization') or USER}/{asked['name']}"
        self._writer_of(repo_id)
        kind = f"{asked.get('type') or 'model'}s"
        url = f"{self.hub.url}/{'' if kind == 'models' else kind + '/'}{repo_id}"
        if (kind, repo_id) in self.hub.repositories:
            return 409, {"error": "You already created this repository", "url": url}, {}
        self.hub.create(kind, repo_id, private=asked.get("visibility") == "private")
        return {"url": url, "name": repo_id, "id": repo_id}

    def validate_front_matter(self):
        content = json.loads(self.body)["content"]
        match = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", content, re.DOTALL)
        if match is None:
            return {"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]}
        try:
            yaml.safe_load(match[1])
        except yaml.YAMLError as error:
            return 400, {"error": "Invalid YAML", "errors": [{"message": str(error)}], "warnings": []}, {}
        return {"errors": [], "warnings": []}

    def upload_modes(self, kind: str, repo_id: str, revision: str):
        self._writer_of(repo_id)
        now = self._state(kind, repo_id, revision).files
        modes = []
        for file in json.loads(self.body)["files"]:
            path = file["path"]
            mode = "lfs" if _is_lfs(path, base64.b64decode(file["sample"])) else "regular"
            oid = {"oid": now[path].oid} if path in now else {}
            modes.append({"path": path, "uploadMode": mode, "shouldIgnore": False, **oid})
        return {"files": modes}

    def lfs_batch(self, kind: str, repo_id: str):
        self._writer_of(repo_id)
        self._repository(kind, repo_id)
        objects = []
        for blob in json.loads(self.body)["objects"]:
            self.hub.announced[blob["oid"]] = blob["size"]
            address = f"{self.hub.url}/lfs/{blob['oid']}"
            upload = {"upload": {"href": address}, "verify": {"href": f"{address}/verify"}}
            objects.append({**blob, **({} if blob["oid"] in self.hub.blobs else {"actions": upload})})
        return {"transfer": "basic", "objects": objects}

    def lfs_upload(self, oid: str):
        # The Hub's addresses for uploads are signed and lead to a storage elsewhere, where no token may go.
        if "Authorization" in self.headers:
            raise _Refused(400, "only one way to authorize is allowed")
        if self.hub.announced.get(oid) != len(self.body) or hashlib.sha256(self.body).hexdigest() != oid:
            raise _Refused(400, "this is not the blob that was announced")
        self.hub.blobs[oid] = self.body
        return b""

    def lfs_verify(self, oid: str):
        blob = json.loads(self.body)
        if blob["oid"] != oid or len(self.hub.blobs.get(oid, b"")) != blob["size"]:
            raise _Refused(404, "this blob did not arrive")
        return {}

    def commit(self, kind: str, repo_id: str, revision: str):
        self._writer_of(repo_id)
        repository = self._repository(kind, repo_id)
        if revision != "main":
            raise _Refused(404, f"Invalid rev id: {revision}", code="RevisionNotFound")
        if self.hub.refuse_commits:
            raise _Refused(403, "Forbidden: this token may only read")
        if self.hub.drop_commits > 0:
            self.hub.drop_commits -= 1
            raise _Dropped
        message, files = "", {}
        for line in self.body.splitlines():
            operation = json.loads(line)
            key, value = operation["key"], operation["value"]
            if key == "header":
                message = value["summary"]
            elif key == "file":
                files[value["path"]] = HubFile(base64.b64decode(value["content"], validate=True), lfs=False)
            elif key == "lfsFile":
                if len(self.hub.blobs.get(value["oid"], b"")) != value["size"]:
                    raise _Refused(400, f"{value['path']} points to an LFS blob that was never uploaded")
                files[value["path"]] = HubFile(self.hub.blobs[value["oid"]], lfs=True)
            else:
                raise _Refused(400, f"the stand-in does not know the operation {key!r}")
        commit = repository.commit(message, files)
        if self.hub.lose_answers > 0:
            self.hub.lose_answers -= 1
            raise _Dropped
        prefix = "" if kind == "models" else f"{kind}/"
        url = f"{self.hub.url}/{prefix}{repo_id}/commit/{commit.oid}"
        return {"success": True, "commitUrl": url, "commitOid": commit.oid, "hookOutput": ""}

    # --- loading ------------------------------------------------------------------------------------------------

    def repository_info(self, kind: str, repo_id: str, revision: str = "main"):
        commit = self._state(kind, repo_id, revision)
        return {
            "_id": hashlib.sha1(repo_id.encode()).hexdigest()[:24],
            "id": repo_id,
            "author": repo_id.split("/")[0],
            "sha": commit.oid,
            "private": self._repository(kind, repo_id).private,
            "gated": False,
            "disabled": False,
            "tags": [],
            "siblings": [{"rfilename": path} for path in sorted(commit.files)],
        }

    def tree(self, kind: str, repo_id: str, revision: str, path: str = ""):
        files = self._state(kind, repo_id, revision).files
        inside = f"{path.rstrip('/')}/" if path else ""
        if inside and not any(name.startswith(inside) for name in files):
            raise _Refused(404, f"{path} does not exist", code="EntryNotFound")
        entries = _entries(files)
        names = [name for name in sorted(entries) if name.startswith(inside)]
        if self.query.get("recursive", ["false"])[0].lower() != "true":
            names = [name for name in names if "/" not in name[len(inside) :]]
        return [entries[name] for name in names]

    def paths_info(self, kind: str, repo_id: str, revision: str):
        entries = _entries(self._state(kind, repo_id, revision).files)
        asked = parse_qs(self.body.decode()).get("paths", [])
        return [entries[path.strip("/")] for path in asked if path.strip("/") in entries]

    def resolve(self, kind: str, repo_id: str, revision: str, path: str):
        commit = self._state(kind, repo_id, revision)
        headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        file = commit.files.get(path)
        if file is None:
            raise _Refused(404, "Entry not found", code="EntryNotFound", **headers)
        headers |= {"ETag": f'"{file.oid}"', "Content-Type": "application/octet-stream"}
        if file.lfs:
            headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(len(file.content))}
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if asked is None or self.command == "HEAD":
            return 200, file.content, headers
        size = len(file.content)
        start = int(asked[1]) if asked[1] else max(size - int(asked[2]), 0)
        stop = min(int(asked[2]) + 1, size) if asked[1] and asked[2] else size
        if start >= stop:
            raise _Refused(416, "Range not satisfiable", **{"Content-Range": f"bytes */{size}"})
        return 206, file.content[start:stop], {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}


def _entries(files: dict[str, HubFile]) -> dict[str, dict]:
    """Path -> what the API says of a file, and of every folder above one."""
    entries = {}
    for path, file in files.items():
        for parent in Path(path).parents[:-1]:
            oid = hashlib.sha1(parent.as_posix().encode()).hexdigest()
            entries[parent.as_posix()] = {"type": "directory", "oid": oid, "size": 0, "path": parent.as_posix()}
        entries[path] = {"type": "file", "oid": file.git_oid, "size": len(file.content), "path": path}
        if file.lfs:
            entries[path]["lfs"] = {"oid": file.sha256, "size": len(file.content), "pointerSize": 134}
    return entries
