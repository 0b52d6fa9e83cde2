"""Embeds in the page the records that let anyone recompute it: input files, each content once, and the hash of every other file."""

import base64
import hashlib
import zlib
from collections.abc import Container, Iterable, Mapping, Sequence
from enum import IntEnum
from importlib.metadata import version
from pathlib import Path

from pipeline.machine import Work
from pipeline.page.masked_manifests import masked
from pipeline.store.artifact import ADAPTER_STAGES, MANIFEST, Artifact, json_sha256
from pipeline.store.folders import AdapterFolder, HeldoutFolder, PredictionsFolder, TrainFolder
from pipeline.store.records import JsonObject
from pipeline.store.result_folders import ComparisonFolder

MAX_EMBEDDED_BYTES = 40 * 2**20
"""Limit of packed bytes on a page, so that any browser can open it; of further files the page has only the hash."""
TEXT_SUFFIXES = (".json", ".jsonl", ".csv", ".txt", ".md")
"""Records are text; of weights the page has only the hash."""
DRAWING_PACKAGES = ("altair", "vl-convert-python")
"""Packages that decide the geometry of a chart."""


class FileKind(IntEnum):
    """The role of a file on the page."""

    SMALL = 0
    """Small files behind single figures."""
    EVIDENCE = 1
    """Held-out examples and predictions, which rescoring needs."""
    SCORES = 2
    """Measures of the predictions."""
    EXAMPLES = 3
    """The examples that the page lists."""


def embed(work: Work) -> tuple[dict[str, str], JsonObject]:
    """Pack the files that the page embeds, and index all files of the inputs.

    Args:
        work: the call of the report stage, with its input folders.

    Returns:
        {id: base64 of the zlib-packed bytes}, id being `file-` and the first 16 digits of the sha256; and {params, params_sha256, order (of
        the inputs), drawn_by, carried: {input: {folder, key, digest, manifest (sha256 of the masked manifest), files: {name: sha256}}}}. A
        file whose id is not on the page is not embedded.
    """
    opened = {name: Artifact.open(folder) for name, folder in work.inputs.items()}
    folders = list(dict.fromkeys(artifact.path for artifact in opened.values()))
    manifests = {folder: masked((folder / MANIFEST).read_bytes()) for folder in folders}
    blocks = {content_id(raw): pack(raw) for raw in manifests.values()}  # always: everything else is verified by them
    files = files_to_embed(opened)
    selected = select_files(files)
    blocks |= dict(selected[path] for path, _ in files if path in selected)
    manifest_hashes = {folder: hashlib.sha256(raw).hexdigest() for folder, raw in manifests.items()}
    index = {name: entry(artifact, manifest_hashes[artifact.path]) for name, artifact in opened.items()}
    return blocks, {
        "params": work.params,
        "params_sha256": json_sha256(work.params),  # a parameter that changes nothing on the page would else pass whatever it is
        "order": list(index),
        "drawn_by": drawing_versions(),
        "carried": index,
    }


def entry(artifact: Artifact, manifest_hash: str) -> JsonObject:
    """An input in the index of the page."""
    return {
        "folder": artifact.path.name,
        "key": artifact.key,
        "digest": artifact.digest,
        "manifest": manifest_hash,
        "files": artifact.files,
    }


def files_to_embed(opened: Mapping[str, Artifact]) -> list[tuple[Path, FileKind]]:
    """The distinct files to embed besides manifests, with their kind, in the order of the page."""
    artifacts = list({artifact.path: artifact for artifact in opened.values()}.values())
    compared = {digest for artifact in artifacts if artifact.stage == "compare" for digest in artifact.inputs.values()}
    files = [
        (artifact, name, kind)
        for artifact in artifacts
        for name in artifact.files
        if Path(name).suffix in TEXT_SUFFIXES
        and (artifact.path / name).is_file()
        and (kind := file_kind(artifact, name, compared)) is not None
    ]
    # the order does not depend on the location of the folders: a page that is built again must be the same
    files.sort(key=lambda row: (min(row[2], FileKind.SCORES), row[0].path.name, row[1]))
    return [(artifact.path / name, kind) for artifact, name, kind in files]


def file_kind(artifact: Artifact, name: str, compared: Container[str]) -> FileKind | None:
    """The kind of a file; None if no figure of the page comes from it.

    Args:
        compared: digests of the inputs of all comparisons.
    """
    if artifact.stage in ADAPTER_STAGES:
        return FileKind.SMALL if name == AdapterFolder.CURVE else None
    if artifact.stage == "prepare":
        if name not in (TrainFolder.EXAMPLES, TrainFolder.DEV):
            return FileKind.SMALL
        # never a training example: the one figure that a comparison takes from them is in the manifest
        is_heldout = name == HeldoutFolder.EXAMPLES and artifact.params.get("split") != "train"
        return FileKind.EVIDENCE if is_heldout and artifact.digest in compared else None
    if artifact.stage == "compare" and name == ComparisonFolder.EXAMPLES:
        return FileKind.EXAMPLES
    return FileKind.EVIDENCE if name == PredictionsFolder.PREDICTIONS else FileKind.SCORES


def select_files(files: Sequence[tuple[Path, FileKind]]) -> dict[Path, tuple[str, str]]:
    """Path -> id and packed text of every file that fits into MAX_EMBEDDED_BYTES.

    The examples that the page lists go first, then small files, then scores. Answers and held-out examples are embedded all together, and
    only if everything else fits: with one file missing nothing could be scored again.
    """
    selected: dict[Path, tuple[str, str]] = {}
    for kind in (FileKind.EXAMPLES, FileKind.SMALL, FileKind.SCORES):
        selected |= pack_until_full(free_bytes(selected), (path for path, file_kind in files if file_kind == kind))
    evidence = [path for path, kind in files if kind == FileKind.EVIDENCE]
    if len(selected) + len(evidence) == len(files):
        more = pack_until_full(free_bytes(selected), evidence)
        if len(more) == len(evidence):
            selected |= more
    return selected


def free_bytes(selected: Mapping[Path, tuple[str, str]]) -> int:
    """Bytes that are left on the page; equal contents count once."""
    return MAX_EMBEDDED_BYTES - sum(len(text) for text in dict(selected.values()).values())


def pack_until_full(free: int, paths: Iterable[Path]) -> dict[Path, tuple[str, str]]:
    """Pack files, smallest first, until one exceeds the free bytes, so that little is packed in vain."""
    selected: dict[Path, tuple[str, str]] = {}
    blocks: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: path.stat().st_size):
        raw = path.read_bytes()
        name = content_id(raw)
        if name not in blocks:
            blocks[name] = pack(raw)
            free -= len(blocks[name])
        if free < 0:
            break
        selected[path] = name, blocks[name]
    return selected


def drawing_versions() -> dict[str, str]:
    """Installed versions of the packages that draw charts."""
    return {name: version(name) for name in DRAWING_PACKAGES}


def content_id(raw: bytes) -> str:
    """The id of a file's content on the page."""
    return f"file-{hashlib.sha256(raw).hexdigest()[:16]}"


def pack(raw: bytes) -> str:
    """Base64 of the zlib-compressed bytes."""
    return base64.b64encode(zlib.compress(raw, 9)).decode()


def unpack(text: str, max_bytes: int) -> bytes:
    """The bytes of a packed file.

    Raises:
        ValueError: the text is not a packed file, is truncated, or holds more than max_bytes.
    """
    decompressor = zlib.decompressobj()
    try:
        raw = decompressor.decompress(base64.b64decode(text, validate=True), max_bytes)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not decompressor.eof:
        raise ValueError(f"more than {max_bytes:,} bytes" if decompressor.unconsumed_tail else "truncated")
    return raw
