"""Embeds in the page the records that let anyone recompute it: input files, each content once, and the hash of every other file."""

import base64
import hashlib
import zlib
from collections.abc import Container, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.machine import Work
from pipeline.store.artifact import CHECKPOINTS, MANIFEST, Artifact
from pipeline.store.folders import AdapterFolder, HeldoutFolder, PredictionsFolder, TrainFolder
from pipeline.store.result_folders import ComparisonFolder

Row = dict[str, Any]
ROOM = 40 * 2**20
"""Bytes of packed files on a page, so that it opens everywhere; files beyond it are named by their hash."""
KINDS = (".json", ".jsonl", ".csv", ".txt", ".md")
"""Records are text; weights are named by their hash alone."""
DRAWN_BY = ("altair", "vl-convert-python")
"""Packages that decide the geometry of a chart."""
SMALL, EVIDENCE, SCORES, LEDGER = range(4)
"""Kinds of carried files: what the page's small figures come from; answers and the examples that were asked, which it takes to score
again; what was measured of them; the rows that the page shows."""


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
    files = wanted(opened)
    found = fitting(files)
    blocks |= dict(found[path] for path, _ in files if path in found)
    known = {folder: hashlib.sha256(raw).hexdigest() for folder, raw in manifests.items()}
    index = {name: entry(made, known[made.path]) for name, made in opened.items()}
    return blocks, {"params": work.params, "order": list(index), "drawn_by": drawn_by(), "carried": index}


def entry(made: Artifact, manifest: str) -> Row:
    return {"folder": made.path.name, "key": made.key, "digest": made.digest, "manifest": manifest, "files": made.files}


def wanted(opened: Mapping[str, Artifact]) -> list[tuple[Path, int]]:
    """The files to carry beside manifests, each once, with its kind, in the order of the page."""
    made = list({artifact.path: artifact for artifact in opened.values()}.values())
    asked = {digest for artifact in made if artifact.stage == "compare" for digest in artifact.inputs.values()}
    files = [(artifact, name, kind) for artifact in made for name in artifact.files if (kind := kind_of(artifact, name, asked)) is not None]
    there = [(made, name, kind) for made, name, kind in files if Path(name).suffix in KINDS and (made.path / name).is_file()]
    # in an order that does not hang on where the folders lie: a page that is made again must be the same
    there.sort(key=lambda row: (min(row[2], SCORES), row[0].path.name, row[1]))
    return [(made.path / name, kind) for made, name, kind in there]


def kind_of(made: Artifact, name: str, asked: Container[str]) -> int | None:
    """The kind of a file; None for those that no figure of the page comes from.

    Args:
        asked: digests of what the comparisons read.
    """
    if made.stage in CHECKPOINTS:
        return SMALL if name == AdapterFolder.CURVE else None
    if made.stage == "prepare":
        if name not in (TrainFolder.EXAMPLES, TrainFolder.DEV):
            return SMALL
        # no training example ever: the one figure that a comparison takes from them stands in the manifest
        is_exam = name == HeldoutFolder.EXAMPLES and made.params.get("split") != "train"
        return EVIDENCE if is_exam and made.digest in asked else None
    shown = made.stage == "compare" and name == ComparisonFolder.EXAMPLES
    return LEDGER if shown else EVIDENCE if name == PredictionsFolder.PREDICTIONS else SCORES


def fitting(files: Sequence[tuple[Path, int]]) -> dict[Path, tuple[str, str]]:
    """The id and the packed text of every file that finds room.

    The rows that the page shows go first, then what is small. Answers and exams are carried all together, and only beside everything
    else: with one file missing nothing can be scored again.
    """
    found: dict[Path, tuple[str, str]] = {}
    for kind in (LEDGER, SMALL, SCORES):
        found |= packed_into(left(found), (path for path, each in files if each == kind))
    evidence = [path for path, kind in files if kind == EVIDENCE]
    if len(found) + len(evidence) == len(files):
        more = packed_into(left(found), evidence)
        found |= more if len(more) == len(evidence) else {}
    return found


def left(found: Mapping[Path, tuple[str, str]]) -> int:
    """Room beside what is packed already, in bytes; equal contents take room once."""
    return ROOM - sum(len(text) for text in dict(found.values()).values())


def packed_into(room: int, paths: Iterable[Path]) -> dict[Path, tuple[str, str]]:
    """Pack files, the smallest first, up to the first that finds no room, so that little is packed in vain."""
    found: dict[Path, tuple[str, str]] = {}
    blocks: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: path.stat().st_size):
        raw = path.read_bytes()
        name = identify(raw)
        if name not in blocks:
            blocks[name] = packed(raw)
            room -= len(blocks[name])
        if room < 0:
            break
        found[path] = name, blocks[name]
    return found


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
