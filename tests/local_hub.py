"""A Hugging Face hub over a folder, for tests of the real loading code. It takes commits where it is given a token that may write.

    ROOT/datasets/<org>/<name>/...        what `main` holds; models/ likewise
    ROOT/datasets/<org>/<name>@<rev>/...  what another revision holds: a branch (refs%2Fconvert%2Fparquet), a tag or a commit
    a file `.gated` in it                 downloads ask for the token that it holds: 401 without one, 403 with another

    with LocalHub(root) as hub:
        subprocess.run([...], env={**os.environ, **hub.environ(tmp_path)}, check=True)

huggingface_hub reads HF_ENDPOINT when it is imported, so the code under test must be a process of its own.
"""

import base64
import hashlib
import json
import re
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = re.compile(r"[0-9a-f]{40}")
RESOLVE = re.compile(r"/(?:(datasets)/)?([^/]+/[^/]+)/(resolve)/([^/]+)/(.+)")
API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+?)(?:/(revision|tree)/([^/]+)(?:/(.*))?)?")


class LocalHub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, root: Path, token: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = root
        self.token = token
        """Whoever sends it may write; empty: nobody may."""
        self.private: set[str] = set()
        """Ids of repositories that are private."""
        self.calls: list[str] = []
        """Method and path of every request."""

    def environ(self, home: Path) -> dict[str, str]:
        """What points a child process here, with an empty cache and no token."""
        url = f"http://127.0.0.1:{self.server_port}"
        return {"HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0", "HF_TOKEN": ""}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may stop reading; nothing else is expected."""

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.shutdown()
        self.server_close()


class HangUp(socketserver.ThreadingTCPServer):
    """A hub that takes every connection, counts it and drops it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        self.calls = 0

    def finish_request(self, request: Any, client_address: Any) -> None:
        self.calls += 1

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LocalHub

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        self.server.calls.append(f"{self.command} {self.path} {code}")

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        match = RESOLVE.fullmatch(url.path) or API.fullmatch(url.path)
        if not match:
            return self.fail(404, "NotFound", f"no such endpoint: {url.path}")
        kind, name, action, revision, rest = (part and unquote(part) for part in match.groups())  # slashes of a revision come quoted
        main = self.server.root / (kind or "models") / name
        if not main.is_dir():
            return self.fail(404, "RepoNotFound", "Repository not found")
        repo = self.revision_folder(main, revision)
        if repo is None:
            return self.fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if action != "resolve":
            deep = parse_qs(url.query).get("recursive", ["false"])[0].lower() == "true"
            return self.tell(repo, name, action, rest, deep)
        gate = repo / ".gated"
        if gate.exists() and self.headers.get("Authorization") != f"Bearer {gate.read_text().strip()}":
            return self.fail(403 if self.headers.get("Authorization") else 401, "GatedRepo", f"Access to {name} is restricted.")
        return self.send_file(repo, repo / rest)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        """What a commit takes: a repository, its card checked, the ways its files are sent, and the files."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) if "Content-Length" in self.headers else self.chunks()
        path = unquote(urlsplit(self.path).path)
        if path == "/api/validate-yaml":
            return self.send(200, {"errors": [], "warnings": []})
        if not self.server.token or self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self.fail(403 if self.server.token else 401, "", "You don't have the rights")
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        name, action = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", path).groups()
        if action == "preupload":
            modes = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in json.loads(body)["files"]]
            return self.send(200, {"files": modes})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                target = self.server.root / "models" / name / line["value"]["path"]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(base64.b64decode(line["value"]["content"]))
        oid = commit(self.server.root / "models" / name)
        return self.send(200, {"success": True, "commitOid": oid, "commitUrl": f"http://{self.headers['Host']}/{name}/commit/{oid}"})

    def chunks(self) -> bytes:
        """A body whose length is not said before."""
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        folder = self.server.root / "models" / name
        if folder.is_dir():
            return self.send(409, {"error": "You already created this model repo", "url": f"http://{self.headers['Host']}/{name}"})
        folder.mkdir(parents=True)
        if wanted.get("visibility") == "private" or wanted.get("private"):
            self.server.private.add(name)
        return self.send(200, {"url": f"http://{self.headers['Host']}/{name}", "id": "0", "name": name})

    def revision_folder(self, main: Path, revision: str | None) -> Path | None:
        """The folder of a revision: a branch by name, or a commit."""
        branches = [main, *main.parent.glob(f"{main.name}@*")]
        if revision in (None, "main"):
            return main
        return next((folder for folder in branches if revision in (commit(folder), unquote(folder.name.partition("@")[2]))), None)

    def tell(self, repo: Path, name: str, action: str | None, rest: str | None, deep: bool) -> None:
        """What the repository is, or the files of one of its folders."""
        if action == "tree":
            folder = repo / (rest or "")
            if not folder.is_dir():
                return self.fail(404, "EntryNotFound", f"{rest} does not exist")
            return self.send(200, [entry(repo, path) for path in sorted(folder.rglob("*") if deep else folder.iterdir())])
        siblings = [{"rfilename": path.relative_to(repo).as_posix()} for path in files(repo)]
        gated = "auto" if (repo / ".gated").exists() else False
        return self.send(
            200,
            {
                "id": name,
                "sha": commit(repo),
                "siblings": siblings,
                "tags": [],
                "private": name in self.server.private,
                "gated": gated,
                "disabled": False,
            },
        )

    def send(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        self.send_bytes(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def fail(self, status: int, code: str, message: str) -> None:
        self.send(status, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message})

    def send_file(self, repo: Path, path: Path) -> None:
        if not path.is_file():
            return self.fail(404, "EntryNotFound", f"{path.name} does not exist")
        body, headers, status = path.read_bytes(), {"X-Repo-Commit": commit(repo), "ETag": f'"{sha1(path)}"', "Accept-Ranges": "bytes"}, 200
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            start, end = int(match[1]), min(int(match[2] or len(body)), len(body) - 1)
            headers["Content-Range"], status = f"bytes {start}-{end}/{len(body)}", 206
            body = body[start : end + 1]
        return self.send_bytes(status, body, headers)

    def send_bytes(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def files(repo: Path) -> list[Path]:
    return [path for path in sorted(repo.rglob("*")) if path.is_file() and path.name != ".gated"]


def sha1(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


def commit(repo: Path) -> str:
    """Changes whenever a file does, unless the folder stands for a commit."""
    branch = repo.name.partition("@")[2]
    if COMMIT.fullmatch(branch):
        return branch
    return hashlib.sha1("".join(f"{path.relative_to(repo)} {sha1(path)}\n" for path in files(repo)).encode()).hexdigest()


def entry(repo: Path, path: Path) -> dict[str, Any]:
    kind, oid, size = ("file", sha1(path), path.stat().st_size) if path.is_file() else ("directory", "0" * 40, 0)
    return {"type": kind, "path": path.relative_to(repo).as_posix(), "oid": oid, "size": size}
