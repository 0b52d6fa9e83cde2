"""Stores results in folders that are made once: keyed by their inputs, sealed by a digest of their content.

An artifact is a folder with the files that a stage wrote and a manifest.json, written last.
Its key hashes the stage, its version, its parameters and the digests of its inputs; its digest
hashes the bytes it holds. A folder without a manifest does not exist. It is made in a scratch
folder, flushed to disk and renamed to its final name; a second process that made the same one discards its own.

Opening an artifact reads its manifest alone: key, folder name, list of files and checksum must agree. Its files are hashed
before a job reads them, and by `verify`.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from glob import escape
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline.errors import ArtifactError
from pipeline.store import key_history
from pipeline.store.disk import explain_disk_errors

MANIFEST = "manifest.json"
CHECKSUM, MASKED = "checksum", "masked"
"""Entries of a manifest that are not always there."""
ADAPTER_STAGES = ("finetune", "import_adapter")
"""Stages whose folders hold an adapter: they are under checkpoints/, and a model card may be added after the seal."""
TRIAL_STAGE, PART, EARLIER = "trial", "part", "earlier"
"""The stage that begins a training and leaves the rest to `finetune`, and what its jobs have more: a parameter, and an input of some."""
CARD = "README.md"
"""The model card in the folder of an adapter: written when its report is made, and so outside the seal."""
KEYED_NAME = re.compile(r"(?P<label>.*)--(?P<key>[0-9a-f]{12})")
"""The name of an artifact's folder."""
REMAKE = "Delete the folder and run the recipe again."
ENTRIES: dict[str, Any] = {
    "stage": str,
    "key": str,
    "digest": str,
    "version": int | str,
    "params": dict,
    "inputs": dict,
    "files": dict,
    "facts": dict,
    "made": dict,
    "lineage": dict,
    "label": str,
    MASKED: str,
    CHECKSUM: str,
}
"""The entries of a manifest and their types."""


@dataclass(frozen=True)
class ArtifactSpec:
    """The identity of an artifact: everything that its key hashes, and a label for people."""

    stage: str
    label: str
    version: int | str
    params: dict[str, Any]
    inputs: dict[str, str]
    """Input name to the digest of its bytes."""

    @property
    def key(self) -> str:
        params = key_history.hashed_params(self.stage, self.params)
        inputs = key_history.hashed_inputs(self.inputs)
        return json_sha256([key_history.hashed_stage(self.stage), self.version, params, inputs])

    @property
    def resume_key(self) -> str:
        """The key of the job that goes on from its resume point: its own, and of a trial that of the training that it is a part of."""
        if self.stage != TRIAL_STAGE:
            return self.key
        params = {name: value for name, value in self.params.items() if name != PART}
        inputs = {name: digest for name, digest in self.inputs.items() if name != EARLIER}
        return replace(self, stage="finetune", params=params, inputs=inputs).key


@dataclass(frozen=True)
class Artifact:
    """A sealed folder."""

    path: Path
    stage: str
    key: str
    digest: str
    version: int | str
    params: dict[str, Any]
    inputs: dict[str, str]
    files: dict[str, str]
    facts: dict[str, Any]
    """What the stage measured or counted."""
    provenance: dict[str, Any]
    """How and where the stage ran: time, seconds, packages, hardware, commit; see machine.provenance. Manifests call it `made`."""
    lineage: dict[str, str] = field(default_factory=dict)
    """Input name to the folder name it was read from; for people, not part of the key."""
    label: str = ""
    """What the folder's name begins with; empty in a manifest of an older version."""
    checksum: str = field(default="", compare=False)
    """sha256 of everything else in the manifest; empty in a manifest of an older version, whose facts nothing vouches for."""
    masked: str = ""
    """sha256 of the whole manifest where this one, on a page, lacks the whole paths of the machine; no store holds such a one."""

    @classmethod
    def open(cls, path: Path) -> "Artifact":
        """Read the manifest of a sealed folder, and check all that takes no reading of its files.

        Raises:
            ArtifactError: there is none, it cannot be read, or its entries or the folder's name do not agree.
        """
        try:
            text = (path / MANIFEST).read_text("utf-8")
            artifact = cls.parse(json.loads(text), path)
            fault = artifact.fault()
        except FileNotFoundError:
            raise ArtifactError(f"{path} holds no artifact ({MANIFEST} is missing)", "See `loralift ls artifacts`.") from None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            fault = f"it cannot be read ({type(error).__name__}: {error})"
        except OSError as error:
            raise ArtifactError(f"cannot read {path / MANIFEST}: {error.strerror}", "Look at the folder and its permissions.") from None
        if fault:
            raise ArtifactError(f"{path / MANIFEST} was altered after it was made: {fault}", REMAKE)
        if fault := artifact.misnamed():
            raise ArtifactError(f"{path} is not what its name says: {fault}", f"Give it back its name, or: {REMAKE}")
        return artifact

    @classmethod
    def parse(cls, body: dict[str, Any], path: Path) -> "Artifact":
        """An artifact from the manifest of this or an older version.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is none.
        """
        for name, kind in ENTRIES.items():
            if name in body and not isinstance(body[name], kind):
                raise TypeError(f"{name} is a {type(body[name]).__name__}")
        for name in ("inputs", "files", "lineage"):
            if not all(isinstance(value, str) for value in body.get(name, {}).values()):
                raise TypeError(f"{name} contains something other than text")
        checksum = body.pop(CHECKSUM, "")
        if checksum and checksum != json_sha256(body):
            raise ValueError("its checksum is not that of its entries")
        body["stage"] = key_history.current_stage(body["stage"])
        body["params"] = key_history.full_params(body["stage"], body["params"])
        body |= {name: key_history.current_inputs(body[name]) for name in ("inputs", "lineage") if name in body}
        return cls(path=path, provenance=body.pop("made"), checksum=checksum, **body)

    def fault(self) -> str:
        """Which entries of the manifest do not agree; empty if all do."""
        if not self.masked and ArtifactSpec(self.stage, self.label, self.version, self.params, self.inputs).key != self.key:
            return "stage, version, params and inputs do not give its key"
        if json_sha256(self.files) != self.digest:
            return "files do not give its digest"
        if self.lineage and self.lineage.keys() != self.inputs.keys():
            return "provenance does not name its inputs"
        return ""

    def misnamed(self) -> str:
        """How the folder's name and the manifest differ; empty if they agree, or if the name is not one that the store gives."""
        name = KEYED_NAME.fullmatch(self.path.name)
        if name and name["key"] != self.key[:12]:
            return f"its manifest has the key {self.key[:12]}"
        if name and self.label and name["label"] != self.label:
            return f"its manifest has the label {self.label}"
        return ""

    def write_manifest(self, folder: Path) -> None:
        body = asdict(self)
        del body["path"], body[CHECKSUM], body[MASKED]
        body["made"] = body.pop("provenance")
        body[CHECKSUM] = json_sha256(body)
        (folder / MANIFEST).write_text(json.dumps(body, indent=1, sort_keys=True, allow_nan=False), "utf-8")

    def verify(self) -> None:
        """Read every byte again.

        Raises:
            ArtifactError: a file was added, removed or changed since the stage wrote it.
        """
        self.check_whole()
        current = file_hashes(self.path)
        if self.stage in ADAPTER_STAGES:
            current.pop(CARD, None)
        changed = sorted(name for name in self.files.keys() | current.keys() if self.files.get(name) != current.get(name))
        if changed or json_sha256(self.files) != self.digest:
            raise self.altered(", ".join(changed) or MANIFEST)

    def check_whole(self) -> None:
        """Raise ArtifactError for the manifest of a page in a store: nothing shows there that its parameters give its key."""
        if self.masked:
            raise self.altered(f"{MANIFEST} is masked, as on a page")

    def check_presence(self) -> None:
        """Raise ArtifactError if a file that the manifest names is not there; reads none of them."""
        if missing := sorted(name for name in self.files if not (self.path / name).is_file()):
            raise self.altered(f"{', '.join(missing)} missing")

    def altered(self, what: str) -> ArtifactError:
        return ArtifactError(f"{self.path} was altered after it was made: {what}", REMAKE)


@dataclass(frozen=True)
class Store:
    """All artifacts: adapters under `checkpoints/`, everything else under `data/<stage>/`."""

    data: Path
    checkpoints: Path

    @property
    def hashes(self) -> Path:
        """A file that remembers the hashes of large files, by path, size and time of change."""
        return self.data / ".hashes.json"

    def folder(self, stage: str) -> Path:
        return self.checkpoints if stage in ADAPTER_STAGES else self.data / stage

    def folders(self, stage: str) -> list[Path]:
        """Folders that may hold artifacts of a stage: by its name, and by its original name (key_history)."""
        return list(dict.fromkeys([self.folder(stage), self.folder(key_history.hashed_stage(stage))]))

    def destination(self, spec: ArtifactSpec) -> Path:
        return self.folder(spec.stage) / f"{spec.label}--{spec.key[:12]}"

    def resume_folder(self, spec: ArtifactSpec) -> Path:
        """Holds the state from which a killed stage resumes; removed when the artifact is sealed, unless it is a trial's."""
        return self.checkpoints / ".resume" / spec.resume_key[:24]

    def find(self, stage: str, key: str, label: str = "") -> Artifact | None:
        """The artifact with that key.

        Args:
            label: what its folder is likely to be called, which saves reading the names of all.
        """
        likely = [folder / f"{label}--{key[:12]}" for folder in self.folders(stage) if label]
        others = (path for folder in self.folders(stage) for path in sorted(folders_of_key(folder, key)))
        for path in chain(likely, others):
            if (path / MANIFEST).exists():
                artifact = Artifact.open(path)
                if artifact.key == key:
                    artifact.check_whole()
                    artifact.check_presence()
                    return artifact
        return None

    def sealed_folders(self) -> list[Path]:
        """The folders with a manifest, whatever it holds."""
        manifests = [*self.data.glob(f"*/*--*/{MANIFEST}"), *self.checkpoints.glob(f"*--*/{MANIFEST}")]
        return [path.parent for path in sorted(manifests) if not path.parent.name.startswith(".")]

    def all(self) -> Iterator[Artifact]:
        """Every artifact that can be opened; `verify` tells of the others, and whoever needs one of them is stopped by find()."""
        return readable(self.sealed_folders())

    @contextmanager
    def scratch(self, spec: ArtifactSpec) -> Iterator[Path]:
        """An empty folder next to the artifact's destination, removed at the end unless it was sealed.

        The lock of runner.make lets only one process make an artifact, so leftovers belong to a dead process and are removed. On a shared
        disk, where the lock does not work, seal() keeps the first artifact.
        """
        destination = self.destination(spec)
        path = destination.with_name(f".{destination.name}.{os.getpid()}.{time.monotonic_ns()}")
        with explain_disk_errors(destination.parent):
            unsealed = (
                [destination] if destination.exists() and not (destination / MANIFEST).exists() else []
            )  # a deletion that was interrupted
            for leftover in [*destination.parent.glob(f".{escape(destination.name)}.*"), *unsealed]:
                shutil.rmtree(leftover, ignore_errors=True)
            path.mkdir(parents=True)
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)

    def seal(
        self, spec: ArtifactSpec, scratch: Path, facts: dict[str, Any], provenance: dict[str, Any], lineage: Mapping[str, str]
    ) -> Artifact:
        """Write the manifest, flush all to disk and rename the folder into place."""
        destination = self.destination(spec)
        files = file_hashes(scratch)
        sealed = Artifact(
            path=destination,
            stage=spec.stage,
            key=spec.key,
            digest=json_sha256(files),
            version=spec.version,
            params=spec.params,
            inputs=spec.inputs,
            files=files,
            facts=facts,
            provenance=provenance,
            lineage=dict(lineage),
            label=spec.label,
        )
        sealed.write_manifest(scratch)
        placed = self.place(spec, scratch, sealed)
        if spec.stage != TRIAL_STAGE:
            shutil.rmtree(self.resume_folder(spec), ignore_errors=True)
        return placed

    def place(self, spec: ArtifactSpec, scratch: Path, sealed: Artifact) -> Artifact:
        """Flush a folder with its manifest to disk and rename it into place; the artifact that another process placed first, if one did."""
        destination = self.destination(spec)
        for path in [*scratch.rglob("*"), scratch]:
            flush(path)
        try:
            os.rename(scratch, destination)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            sealed = first_made(destination, spec)
        flush(destination.parent)
        return sealed


def folders_of_key(folder: Path, key: str) -> list[Path]:
    """The folders in a folder of a store that bear a key, whatever their label; globbing among thousands takes several times as long."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    end = f"--{key[:12]}"
    return [folder / name for name in names if name.endswith(end) and not name.startswith(".")]


def readable(folders: Iterable[Path]) -> Iterator[Artifact]:
    """The artifacts of those folders that can be opened."""
    for folder in folders:
        with suppress(ArtifactError):
            yield Artifact.open(folder)


def first_made(folder: Path, spec: ArtifactSpec) -> Artifact:
    """The artifact that another process made first, if it is the one that was to be made.

    Raises:
        ArtifactError: the folder holds another one, or was altered.
    """
    first = Artifact.open(folder)
    if first.key != spec.key:
        raise ArtifactError(f"{folder} holds the key {first.key}, where {spec.key} was made", "Move the folder away, and run it again.")
    first.verify()
    return first


def flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def canonical(value: object) -> str:
    """JSON that is the same in every process.

    Raises:
        TypeError, ValueError: value has no single spelling (sets, NaN, objects).
    """

    def reject(item: object) -> Any:
        raise TypeError(f"cannot hash a {type(item).__name__}: give it as a number, string, list or mapping")

    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=reject)


def json_sha256(value: object) -> str:
    """sha256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hashes(folder: Path) -> dict[str, str]:
    """Relative path to sha256 for every file under a folder, the manifest left out."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST)
    return {str(path.relative_to(folder)): file_hash(path) for path in paths}
