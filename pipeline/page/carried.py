"""What the page carries so that anyone can work it out again: files of its inputs, each content once, and the hash of every other file."""

import base64
import hashlib
import zlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.artifact import MANIFEST, Artifact
from pipeline.machine import Work

Row = dict[str, Any]
ROOM = 40 * 2**20
"""Bytes of packed files on a page, so that it opens everywhere; files beyond it are named by their hash."""
KINDS = (".json", ".jsonl", ".csv", ".txt", ".md")
"""Records are text; weights are named by their hash alone."""
STAGES = ("compare", "generate", "refer", "relate", "forget", "speed")
"""Of whose files the page needs every one. Of the others: the examples that were asked, curves, and what was dropped."""
DRAWN_BY = ("altair", "vl-convert-python")
"""Packages that decide the geometry of a chart."""


def of(work: Work) -> tuple[dict[str, str], Row]:
    """The carried files by their id on the page, packed; and what the page's index must hold of them.

    Args:
        work: the call of the report stage.

    Returns:
        {id: base64 of the zlib-packed bytes}, id being `file-` and the first 16 digits of the sha256; and {params, order (of the inputs),
        drawn_by, carried: {input: {folder, key, digest, manifest (the sha256 of manifest.json), files: {name: sha256}}}}. A file whose
        id is not on the page is not carried.
    """
    opened = {name: Artifact.open(folder) for name, folder in work.inputs.items()}
    folders = list(dict.fromkeys(made.path for made in opened.values()))
    manifests = {folder: (folder / MANIFEST).read_bytes() for folder in folders}
    blocks = {identify(raw): packed(raw) for raw in manifests.values()}  # whatever the room: everything else hangs on them
    room = ROOM
    for path in wanted(opened):
        raw = path.read_bytes()
        name = identify(raw)
        text = "" if name in blocks else packed(raw)
        if len(text) <= room and name not in blocks:
            blocks[name], room = text, room - len(text)
    known = {folder: hashlib.sha256(raw).hexdigest() for folder, raw in manifests.items()}
    index = {name: entry(made, known[made.path]) for name, made in opened.items()}
    return blocks, {"params": work.params, "order": list(index), "drawn_by": drawn_by(), "carried": index}


def entry(made: Artifact, manifest: str) -> Row:
    return {"folder": made.path.name, "key": made.key, "digest": made.digest, "manifest": manifest, "files": made.files}


def wanted(opened: Mapping[str, Artifact]) -> list[Path]:
    """The files to carry beside manifests, each once, what is small for what it proves first."""
    made = list({artifact.path: artifact for artifact in opened.values()}.values())
    asked = {digest for artifact in made if artifact.stage == "compare" for digest in artifact.inputs.values()}
    files = [(rank(artifact, name, asked), artifact.path.name, name, artifact.path / name) for artifact in made for name in artifact.files]
    # in an order that does not hang on where the folders lie: where room ends, the same files must be left out again
    there = sorted(row for row in files if row[0] is not None and row[-1].suffix in KINDS and row[-1].is_file())
    return [row[-1] for row in there]


def rank(made: Artifact, name: str, asked: set[str]) -> int | None:
    """Which files find room first; None for those that no figure of the page comes from.

    Args:
        asked: digests of what the comparisons read.
    """
    if made.stage in STAGES:
        return 1 if name == "predictions.jsonl" else 2
    if made.stage == "finetune":
        return 0 if name == "curve.csv" else None
    if name in ("examples.jsonl", "dev.jsonl"):
        # no training example ever: the one figure that a comparison takes from them stands in the manifest
        is_exam = name == "examples.jsonl" and made.params.get("split") != "train"
        return 1 if is_exam and made.digest in asked else None
    return 0


def drawn_by() -> dict[str, str]:
    return {name: version(name) for name in DRAWN_BY}


def identify(raw: bytes) -> str:
    """The id of a content on the page."""
    return f"file-{hashlib.sha256(raw).hexdigest()[:16]}"


def packed(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, 9)).decode()


def unpacked(text: str, most: int) -> bytes:
    """The bytes of a packed file.

    Raises:
        ValueError: it is not packed so, is cut off, or has more than `most` bytes.
    """
    engine = zlib.decompressobj()
    try:
        raw = engine.decompress(base64.b64decode(text, validate=True), most)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not engine.eof:
        raise ValueError(f"more than {most:,} bytes" if engine.unconsumed_tail else "cut off")
    return raw
