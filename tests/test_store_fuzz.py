"""No manifest and no page, whatever it holds, ends in a traceback or passes for what was made. The inputs follow from a seed."""

import json
import random
import shutil

import pytest

from pipeline.commands import page_file, recompute_page, views
from pipeline.errors import UserError
from pipeline.store.artifact import MANIFEST, Artifact, ArtifactSpec, Store, json_sha256
from tests import project

JUNK = [
    None, True, -1, 0, 1e308, "", "x", "[/red]\x1b", "../..", "a" * 5000, "\udcff", [], {}, [[]], {"a": None}, [None] * 9, {"": {}}, 10**40,
    "0" * 64,
]  # fmt: skip


def mutated(value, rng):
    """A JSON value with one or several of its parts replaced, removed, doubled or wrapped."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 1, 3, 8))):
        parent, key = value, None
        while isinstance(parent, dict | list) and parent:
            key = rng.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
            if not isinstance(parent[key], dict | list) or not parent[key] or rng.random() < 0.3:
                break
            parent = parent[key]
        if not isinstance(parent, dict | list) or not parent:
            return rng.choice(JUNK)
        way = rng.randrange(5)
        if way == 0:
            del parent[key]
        elif way == 1 and isinstance(parent, dict):
            parent[rng.choice(["", "more", "../x", "\x1b"])] = parent[key]
        else:
            parent[key] = [parent[key]] if way == 2 else rng.choice(JUNK)
    return value


def garbled(raw, rng):
    """Bytes with some of them changed, or cut off."""
    data = bytearray(raw)
    for _ in range(rng.choice((1, 2, 20))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data[: rng.randrange(len(data))]) if rng.random() < 0.2 else bytes(data)


def test_500_random_manifests(tmp_path):
    store = Store(tmp_path / "data", tmp_path / "checkpoints")
    spec = ArtifactSpec("finetune", "pets", 2, {"rank": 4, "model": {"folder": "x", "revision": None}}, {"train": "5" * 64})
    with store.scratch(spec) as scratch:
        (scratch / "weights").write_text("weights")
        store.seal(spec, scratch, {"steps": 3, "targets": ["q"]}, {"seconds": 1.0}, {"train": "pets--train--0123456789ab"})
    (folder,) = store.sealed_folders()
    whole = json.loads((folder / MANIFEST).read_text("utf-8"))
    opened = Artifact.open(folder)
    rng, passed = random.Random(0), 0
    for number in range(500):
        body = mutated(whole, rng)
        if isinstance(body, dict) and number % 3 and "checksum" in body:
            del body["checksum"]  # as an older version, or a forger, leaves it
            body |= {"checksum": json_sha256(body)} if number % 3 == 1 else {}
        raw = json.dumps(body).encode("utf-8", "surrogatepass")
        (folder / MANIFEST).write_bytes(garbled(raw, rng) if number % 7 == 0 else raw)
        try:
            artifact = Artifact.open(folder)
        except UserError:
            with pytest.raises(views.AlteredError):
                views.verify_all(None, store)
            continue
        passed += 1
        assert (artifact.key, artifact.digest, artifact.params, artifact.inputs) == (
            opened.key,
            opened.digest,
            opened.params,
            opened.inputs,
        )
    assert passed < 250  # facts alone, where nothing vouches for them


@pytest.fixture(scope="module")
def page(tmp_path_factory, model):
    """The page of a small comparison that was really run."""
    root = tmp_path_factory.mktemp("fuzz")
    project.carry_out(project.make(root, model["folder"]), root)
    return next(root.glob("data/report/*--*/report.html"))


@pytest.mark.slow
def test_500_random_pages(page, tmp_path):
    text = page.read_text("utf-8")
    index = json.loads(page_file.INDEX.findall(text)[0])
    rng, copy = random.Random(0), tmp_path / "report.html"
    for number in range(500):
        if number % 4 == 0:
            copy.write_bytes(garbled(text.encode(), rng))
        else:
            spelled = json.dumps(mutated(index, rng)).replace("<", "\\u003c").encode("utf-8", "surrogatepass").decode("utf-8", "replace")
            copy.write_text(page_file.INDEX.sub(lambda _, new=spelled: f"{page_file.INDEX_START}{new}</script>", text), "utf-8")
        try:
            recompute_page.verify(copy)
        except UserError:
            continue
        assert claims_of(copy.read_text("utf-8")) == claims_of(text)


def claims_of(text):
    """A page without what it says of the versions that made it."""
    (index,) = page_file.INDEX.findall(text)
    return text.replace(index, ""), {name: value for name, value in json.loads(index).items() if name not in ("code_version", "drawn_by")}


@pytest.mark.slow
def test_records_that_hold_something_else(page, tmp_path):
    """Every carried file in turn holds other JSON, and all hashes that lead to it are right."""
    from tests.test_recompute_page import Forger

    copy = shutil.copyfile(page, tmp_path / "report.html")
    entries = Forger(copy).index["carried"]
    rng = random.Random(1)
    for source in entries:
        for name in entries[source]["files"]:
            forger = Forger(shutil.copyfile(page, tmp_path / "report.html"))
            if f'id="file-{forger.entry(source)["files"][name][:16]}"' not in forger.text:
                continue
            forger.file(source, name, lambda _: json.dumps(rng.choice([*JUNK[:10], [1, 2], {"id": 1}])) + "\n")
            forger.save()
            with pytest.raises(UserError):
                recompute_page.verify(copy)


@pytest.mark.parametrize(("limit", "value"), [("MAX_PAGE_BYTES", 1000), ("MAX_UNPACKED_BYTES", 2000), ("MAX_FILE_BYTES", 50)])
def test_what_is_unpacked_is_bounded(page, monkeypatch, limit, value):
    monkeypatch.setattr(page_file, limit, value)
    with pytest.raises(UserError, match=r"too large for a page|exceed 2,000 bytes in total|more than 50 bytes"):
        page_file.read(page)
