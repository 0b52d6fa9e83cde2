"""No manifest on a page holds a whole path of the machine, and the page is still verified by what it holds and by the store."""

import base64
import hashlib
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands.page_file import ProofError
from pipeline.commands.recompute_page import verify
from pipeline.errors import ArtifactError
from pipeline.page import embedded_records
from pipeline.page.masked_manifests import masked
from pipeline.store.artifact import MANIFEST, Artifact, ArtifactSpec, Store, json_sha256
from tests.report_inputs import BuiltReport, CellFolders, Inputs

Row = dict[str, Any]
HOME = "/home/ann/private"
EMBEDDED = re.compile(r'<script type="application/octet-stream" id="(file-[^"]+)">([^<]*)</script>')
DATA = {"train": f"{HOME}/train/rows.jsonl", "heldout": f"{HOME}/test/rows.jsonl", "hub": None}
PARAMS = {
    "model": {"folder": "~/private/bases/tiny", "repo": None, "digest": "d1ce"},
    "task": {"name": "teams", "data": DATA, "prompt": "/ {text}"},
    "files": {DATA["train"]: "aa", DATA["heldout"]: "bb", "sub/c.jsonl": "cc"},
    "general": {"other": {"data": {"train": f"{HOME}/other.csv"}}, "boolq": "boolq"},
}


def sealed(folder: Path, params: Row) -> Artifact:
    store = Store(folder / "data", folder / "checkpoints")
    spec = ArtifactSpec("prepare", "teams", 1, params, {})
    with store.scratch(spec) as out:
        (out / "dropped.json").write_text("{}")
        return store.seal(spec, out, {"source": {"file": DATA["heldout"], "rows": 3}}, {"seconds": 1.0}, {})


def test_last_parts_stand_for_whole_paths_and_name_as_many_files(tmp_path: Path) -> None:
    raw = (sealed(tmp_path, PARAMS).path / MANIFEST).read_bytes()
    short = masked(raw)
    assert b"private" not in short
    body = json.loads(short)
    assert body["params"]["model"] == {"folder": "/…/tiny", "repo": None, "digest": "d1ce"}
    assert body["params"]["task"]["data"] == {"train": "/…/train/rows.jsonl", "heldout": "/…/test/rows.jsonl", "hub": None}
    assert body["params"]["task"]["prompt"] == "/ {text}"  # no path
    assert body["params"]["files"] == {"/…/train/rows.jsonl": "aa", "/…/test/rows.jsonl": "bb", "sub/c.jsonl": "cc"}
    assert body["params"]["general"] == {"other": {"data": {"train": "/…/other.csv"}}, "boolq": "boolq"}
    assert body["facts"]["source"] == {"file": "/…/test/rows.jsonl", "rows": 3}
    assert body["masked"] == hashlib.sha256(raw).hexdigest()
    assert body["key"] == json.loads(raw)["key"]
    assert masked(short) == short


def test_a_manifest_without_whole_paths_stays_as_it_is(tmp_path: Path) -> None:
    raw = (sealed(tmp_path, {"task": "boolq"}).path / MANIFEST).read_bytes()
    assert b"private" in raw  # in the facts
    bare = json.loads(raw) | {"facts": {}}
    assert masked(json.dumps(bare).encode()) == json.dumps(bare).encode()


def test_a_masked_manifest_opens_where_its_checksum_agrees_and_is_nothing_in_a_store(tmp_path: Path) -> None:
    artifact = sealed(tmp_path, PARAMS)
    path = artifact.path / MANIFEST
    whole, short = path.read_bytes(), masked(path.read_bytes())
    path.write_bytes(short)
    assert Artifact.open(artifact.path).key == artifact.key
    store = Store(tmp_path / "data", tmp_path / "checkpoints")
    with pytest.raises(ArtifactError, match=r"manifest\.json is masked"):
        store.find("prepare", artifact.key)
    with pytest.raises(ArtifactError, match=r"manifest\.json is masked"):
        Artifact.open(artifact.path).verify()
    path.write_bytes(short.replace(b"/tiny", b"/tony"))
    with pytest.raises(ArtifactError, match="checksum"):
        Artifact.open(artifact.path)
    path.write_bytes(whole)
    assert store.find("prepare", artifact.key)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuiltReport:
    point = CellFolders.point
    model = {"folder": f"{HOME}/bases/tiny", "digest": "d1ce" * 16, "repo": None}
    monkeypatch.setattr(CellFolders, "point", lambda folders, **more: point(folders, model=model, **more))
    return BuiltReport(Inputs(tmp_path, {"base": model["folder"], "tasks": ["boolq"]}, n=12))


def unpacked(page: str) -> dict[str, str]:
    return {name: zlib.decompress(base64.b64decode(packed)).decode() for name, packed in EMBEDDED.findall(page)}


def test_no_embedded_file_holds_a_folder_of_the_machine(page: BuiltReport, tmp_path: Path) -> None:
    files = unpacked(page.html)
    assert len(files) > 5
    assert not [name for name, text in files.items() if "private" in text]
    assert any('"masked"' in text for text in files.values())
    manifests = [path.read_text("utf-8") for path in tmp_path.rglob(MANIFEST)]
    assert any("private" in text for text in manifests)  # the store's own stay whole
    assert not any('"masked"' in text for text in manifests)
    path = page.work.out / "report.html"
    alone, beside = verify(path), verify(path, Store(tmp_path / "data", tmp_path / "checkpoints"))
    assert alone.numbers == beside.numbers > 500


def test_a_mask_that_hides_more_than_paths_is_found_beside_the_store(page: BuiltReport, tmp_path: Path) -> None:
    """On the page alone, rank and checksum would agree; the whole manifest of that hash gives another one."""
    name, text = next((name, text) for name, text in unpacked(page.html).items() if '"masked"' in text and '"rank": 16' in text)
    body = json.loads(text)
    body["params"]["rank"] = 8
    del body["checksum"]
    body["checksum"] = json_sha256(body)
    raw = json.dumps(body, indent=1, sort_keys=True).encode()
    packed = dict(EMBEDDED.findall(page.html))[name]
    html = page.html.replace(packed, embedded_records.pack(raw)).replace(name, embedded_records.content_id(raw))
    html = html.replace(hashlib.sha256(text.encode()).hexdigest(), hashlib.sha256(raw).hexdigest())
    forged = tmp_path / "forged.html"
    forged.write_text(html, "utf-8")
    with pytest.raises(ProofError, match=r"manifest\.json\.params\.rank"):
        verify(forged, Store(tmp_path / "data", tmp_path / "checkpoints"))
