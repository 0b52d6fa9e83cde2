"""Recomputes a report page from its embedded records, and stops at the first value that differs."""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline import stages
from pipeline.commands import difference
from pipeline.errors import ArtifactError, ComparisonError, UserError
from pipeline.machine import Machine, Work
from pipeline.page import embedded_records, fmt, svg
from pipeline.progress import meter
from pipeline.stages import compare, report
from pipeline.store import input_names
from pipeline.store.artifact import MANIFEST, Artifact, ArtifactSpec, Store, json_sha256
from pipeline.store.records import JsonObject
from pipeline.store.result_folders import ComparisonFolder, ReportFolder

MAX_FILE_BYTES = 2**30
"""Limit of one unpacked file, in bytes; no record is as large."""
INDEX = re.compile(r'<script type="application/json" id="index">(.*?)</script>', re.S)
PACKED = re.compile(r'(<script type="(?:application/octet-stream|text/plain)" id="([\w-]+)">)([^<]*)(</script>)')
SVG = re.compile(r"<svg\b.*?</svg>", re.S)
DRAWN_BY_ENTRY = re.compile(r'(?<="drawn_by": )\{[^{}<>]*\}')
"""In the text of an index; inside a string the quotes would be escaped."""
CODE_VERSION = re.compile(r'(?<="code_version": )"[0-9a-f]{16}"')
DRAWING_LIBRARIES = " or ".join(embedded_records.DRAWING_PACKAGES)
SIDE_FILES = (ReportFolder.DATA, ReportFolder.MARKDOWN)
"""Files that the report stage writes next to the page."""


class ProofError(UserError):
    """The page differs from its records. The command line exits with 3."""

    status = 3


@dataclass
class Page:
    """A report page and its embedded files."""

    path: Path
    text: str
    index: JsonObject
    files: dict[str, bytes]
    """Embedded files by sha256."""

    def mismatch(self, location: str, expected: Any, actual: Any) -> ProofError:
        """The error that names the first location where two values differ."""
        path, one, other = difference.first_difference(expected, actual) or ("", expected, actual)
        mismatch = f"the page has {difference.abbreviated(one)}, worked out again it is {difference.abbreviated(other)}"
        return ProofError(f"{self.path}: {location}{path}: {mismatch}", self.likely_cause())

    def likely_cause(self) -> str:
        """Another version of loralift, or an altered page; for messages."""
        versions = [(str(self.index.get("code_version", "an older one")), stages.find("report").version(self.index["params"]))]
        compared = [manifest for manifest in self.manifests() if manifest.get("stage") == "compare"]
        versions += [(str(manifest.get("version")), stages.find("compare").version(manifest.get("params") or {})) for manifest in compared]
        for theirs, ours in versions:
            if theirs != ours:
                return f"It was made by another version of loralift ({theirs}, this is {ours}): verify it with that one."
        altered = "The page or one of its records was altered after it was made, or the records of an altered one were put into it."
        by_others = (
            f" Or this is a text of a chart that another version of {DRAWING_LIBRARIES} writes otherwise: verify the page with that one."
        )
        return altered + (by_others if self.index["drawn_by"] != embedded_records.drawing_versions() else "")

    def manifests(self) -> Iterable[JsonObject]:
        for entry in self.index["carried"].values():
            if entry["manifest"] in self.files:
                yield json.loads(self.files[entry["manifest"]])


@dataclass
class Verification:
    """Counts of what a verification checked."""

    files: int = 0
    """Embedded files whose bytes match the hash in their manifest."""
    comparisons: int = 0
    """Comparisons scored again."""
    numbers: int = 0
    """Numbers in all recomputed files."""
    hash_only: list[str] = field(default_factory=list)
    """Files that the page names by hash only."""
    drawings: int = 0
    """Charts of which only the texts were compared, since another version drew them."""

    def line(self) -> str:
        summary = f"{self.files} files checked, {self.comparisons} comparisons scored again, {self.numbers:,} numbers worked out again"
        unchecked = f"; {len(self.hash_only)} files are named by hash only" if self.hash_only else ""
        drawings = (
            f"; the geometry of {fmt.plural(self.drawings, 'chart')} was not compared, only the texts, "
            f"as the page says that another version of {DRAWING_LIBRARIES} drew what is drawn otherwise here"
        )
        return f"{summary}: the page is what they give{unchecked}{drawings if self.drawings else ''}"


def verify(path: Path, store: Store | None = None, machine: Machine | None = None) -> Verification:
    """Recompute a page: unpack its files, check every hash, score every comparison, make the report, compare.

    Timings and training curves cannot be recomputed; they are checked by the hash of the artifact that holds them.

    Args:
        store: to look for files that the page names by hash only.

    Raises:
        ProofError: the first location that differs, with both values.
        ArtifactError: the file is not a report page or is cut off, or lacks a file that the store lacks too.
    """
    page, verification = read(path), Verification()
    with (
        tempfile.TemporaryDirectory(prefix="loralift-verify-") as name,
        meter("verifying", 2 + len(page.index["carried"]), "steps") as progress,
    ):
        root = Path(name)
        artifacts = rebuild_inputs(page, root, store, verification)
        for artifact in {comparison.path: comparison for comparison in artifacts.values() if comparison.stage == "compare"}.values():
            rescore(page, artifact, artifacts, root / "scored" / artifact.path.name, machine or Machine())
            verification.comparisons += 1
            verification.numbers += numbers_in(artifact)
            progress.advance(1)
        remake_report(page, artifacts, root / "reported", verification)
    return verification


def read(path: Path) -> Page:
    """Parse a page. Raises ArtifactError: not a report page, or cut off; ProofError: an embedded file does not match its id."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ArtifactError(f"there is no {path}", "Give the report.html of a comparison.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"cannot read {path}: {' '.join(str(error).split())}", "Give the report.html of a comparison.") from None
    if not text.rstrip().endswith("</html>"):
        raise ArtifactError(f"{path} is cut off or no page (it does not end with </html>)", "Give the whole report.html of a comparison.")
    indices = INDEX.findall(text)
    try:
        index = json.loads(indices[0]) if len(indices) == 1 else {}
    except ValueError:
        index = {}
    if not isinstance(index, dict) or not {"params", "order", "carried", "drawn_by"} <= index.keys():
        raise ArtifactError(f"{path} carries no records", "Give the report.html of a comparison made by `loralift compare`.")
    page = Page(path, text, index, {})
    for _, name, packed, _ in PACKED.findall(text):
        if name.startswith("file-"):
            raw = unpack_file(page, name, packed)
            page.files[hashlib.sha256(raw).hexdigest()] = raw
    return page


def unpack_file(page: Page, name: str, packed: str) -> bytes:
    location = f"the carried file {owners(page.index, name)}"
    try:
        raw = embedded_records.unpack(packed, MAX_FILE_BYTES)
    except ValueError as error:
        raise ProofError(f"{page.path}: {location} cannot be unpacked: {error}", page.likely_cause()) from None
    if (actual := embedded_records.content_id(raw)) != name:
        raise ProofError(f"{page.path}: {location}: the page calls it {name}, its bytes are {actual}", page.likely_cause())
    return raw


def owners(index: JsonObject, name: str) -> str:
    """The input and file that an id belongs to, for messages."""
    start = name.removeprefix("file-")
    for source, entry in index["carried"].items():
        for file, sha256 in {MANIFEST: entry["manifest"], **entry["files"]}.items():
            if sha256.startswith(start):
                return f"{source}/{file}"
    return name


def rebuild_inputs(page: Page, root: Path, store: Store | None, verification: Verification) -> dict[str, Artifact]:
    """Rebuild the input folders, as far as their files are available; every file has the hash in its manifest."""
    artifacts: dict[str, Artifact] = {}
    seen: set[str] = set()
    if sorted(page.index["order"]) != sorted(page.index["carried"]):
        raise page.mismatch("the index: its inputs", sorted(page.index["order"]), sorted(page.index["carried"]))
    for source in page.index["order"]:
        entry = page.index["carried"][source]
        folder = root / "inputs" / safe_name(page, entry["folder"])
        if entry["folder"] not in seen:
            seen.add(entry["folder"])
            rebuild_folder(page, source, folder, store, verification)
        artifacts[source] = checked_artifact(page, source, entry, folder)
    return artifacts


def rebuild_folder(page: Page, source: str, folder: Path, store: Store | None, verification: Verification) -> None:
    entry = page.index["carried"][source]
    if entry["manifest"] not in page.files:
        raise page.mismatch(f"{source}/{MANIFEST}", "no such file", entry["manifest"][:16])
    folder.mkdir(parents=True)
    for name, sha256 in {MANIFEST: entry["manifest"], **entry["files"]}.items():
        path = folder / safe_name(page, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if sha256 in page.files:
            path.write_bytes(page.files[sha256])
            verification.files += 1
        elif (stored := file_in_store(store, entry, name, sha256)) is not None:
            shutil.copyfile(stored, path)
            verification.files += 1
        else:
            verification.hash_only.append(f"{source}/{name}")


def file_in_store(store: Store | None, entry: JsonObject, name: str, sha256: str) -> Path | None:
    """The file in the store with this hash; none for weights, since no figure depends on them."""
    if store is None or PurePosixPath(name).suffix not in embedded_records.TEXT_SUFFIXES:
        return None
    for paths in (store.data.glob(f"*/{entry['folder']}/{name}"), store.checkpoints.glob(f"{entry['folder']}/{name}")):
        for path in paths:
            if hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
                return path
    return None


def safe_name(page: Page, name: str) -> str:
    """The relative name, if it stays in its folder; a page may come from anyone."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or "*" in name:
        raise ArtifactError(f"{page.path} names a file outside its folder: {name!r}", "Do not trust this page.")
    return name


def checked_artifact(page: Page, source: str, entry: JsonObject, folder: Path) -> Artifact:
    """The artifact of a folder, if its manifest and the index agree."""
    artifact = Artifact.open(folder)
    spec = ArtifactSpec(artifact.stage, "", artifact.version, artifact.params, artifact.inputs)
    for what, expected, actual in (
        ("files", entry["files"], artifact.files),
        ("digest", artifact.digest, json_sha256(artifact.files)),
        ("key", artifact.key, spec.key),
        ("digest in the index", entry["digest"], artifact.digest),
        ("key in the index", entry["key"], artifact.key),
    ):
        if expected != actual:
            raise page.mismatch(f"{source}/{MANIFEST}: {what}", expected, actual)
    return artifact


def rescore(page: Page, comparison: Artifact, inputs: Mapping[str, Artifact], out: Path, machine: Machine) -> None:
    """Run `compare` on the embedded inputs, and compare its files with the embedded ones."""
    out.mkdir(parents=True)
    by_digest = {artifact.digest: artifact.path for artifact in inputs.values()}
    for name, input_digest in comparison.inputs.items():
        if input_digest not in by_digest:
            raise ProofError(
                f"{page.path}: {comparison.path.name} was made of {name} {input_digest[:12]}, which is not on the page", page.likely_cause()
            )
    folders = {name: by_digest[comparison.inputs[name]] for name in input_order(page, comparison)}
    run_stage(
        page, f"the scores of {comparison.path.name}", compare.run, Work(comparison.params, folders, out, out.with_name("resume"), machine)
    )
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    if files != sorted(comparison.files):
        raise page.mismatch(f"{comparison.path.name}: its files", sorted(comparison.files), files)
    for name in sorted(files, key=lambda name: (name != ComparisonFolder.EXAMPLES, name)):  # a single score says more than a sum
        if (comparison.path / name).is_file() and (
            differs := difference.first_difference(rows_of(comparison.path / name), rows_of(out / name))
        ):
            location, expected, actual = differs
            raise page.mismatch(f"{comparison.path.name}/{name}{location}", expected, actual)


def input_order(page: Page, comparison: Artifact) -> list[str]:
    """The inputs of a comparison in the order of the plan, which orders its arms and which a manifest does not keep."""
    names = (name for name, entry in page.index["carried"].items() if entry["folder"] == comparison.path.name)
    position = {name: number for number, name in enumerate(page.index["order"])}
    try:
        cell = input_names.parse(next(names)).cell
        in_report = {name: str(input_names.parse(name).of_cell(cell)) for name in comparison.inputs}
    except ValueError as error:
        raise ProofError(f"{page.path}: {comparison.path.name}: {error}", page.likely_cause()) from None
    return sorted(comparison.inputs, key=lambda name: position.get(in_report[name], len(position)))


def run_stage(page: Page, what: str, stage: Any, work: Work) -> None:
    """Run a stage; a missing file is an ArtifactError, unusable contents are a ProofError."""
    try:
        stage(work)
    except FileNotFoundError as error:
        name = "/".join(Path(str(error.filename)).parts[-2:])
        remedy = "Verify it where its store is, with --store."
        raise ArtifactError(f"{page.path}: {what} need {name}, which the page names by its hash only", remedy) from None
    except ComparisonError as error:
        raise ProofError(f"{page.path}: {what} cannot be worked out again: {error.problem}", page.likely_cause()) from None
    except UserError:
        raise
    except Exception as error:
        raise ProofError(f"{page.path}: {what} cannot be worked out again: {type(error).__name__}: {error}", page.likely_cause()) from error


def rows_of(path: Path) -> Any:
    """The contents of a JSON or JSON-lines file."""
    text = path.read_text("utf-8")
    return [json.loads(line) for line in text.split("\n") if line] if path.suffix == ".jsonl" else json.loads(text)


def remake_report(page: Page, inputs: Mapping[str, Artifact], out: Path, verification: Verification) -> None:
    """Make the report from the rebuilt folders, and compare."""
    out.mkdir(parents=True)
    folders = {name: artifact.path for name, artifact in inputs.items()}
    run_stage(page, "the report's figures", report.run, Work(page.index["params"], folders, out, out.with_name("resume")))
    expected, actual = with_hashes(page.text), with_hashes(ReportFolder(out).page.read_text("utf-8"))
    index = json.loads(INDEX.findall(actual)[0])
    if page.index["drawn_by"] != index["drawn_by"]:
        expected, actual, verification.drawings = without_drawings(expected, actual)
        index["drawn_by"] = page.index["drawn_by"]
    index["code_version"] = page.index.get("code_version")  # it does not matter if the page comes out equal
    expected, actual = (CODE_VERSION.sub("", text) for text in (expected, actual))
    if differs := difference.first_difference(page.index, index):
        raise page.mismatch(f"the index{differs[0]}", *differs[1:])
    if differs := difference.first_text_difference(expected, actual):
        raise page.mismatch(*differs)
    if (page.path.parent / MANIFEST).is_file():
        check_side_files(page, out)
    verification.numbers += difference.count_numbers(ReportFolder(out).data())


def check_side_files(page: Page, out: Path) -> None:
    """Compare the files next to the page with those of the new report."""
    for name in SIDE_FILES:
        path = page.path.with_name(name)
        if not path.is_file():
            raise page.mismatch(name, "no such file", "one")
        expected, actual = path.read_text("utf-8"), (out / name).read_text("utf-8")
        if path.suffix == ".json" and expected != actual:
            try:
                differs = difference.first_difference(json.loads(expected), json.loads(actual))
            except ValueError:
                differs = None
            if differs:
                raise page.mismatch(f"{name}{differs[0]}", *differs[1:])
        if differing := difference.first_text_difference(expected, actual):
            raise page.mismatch(f"{name}, {differing[0]}", *differing[1:])


def with_hashes(text: str) -> str:
    """The page with every packed file replaced by its hash, since packers differ."""
    return PACKED.sub(lambda match: f"{match[1]}{packed_hash(match[3])}{match[4]}", text)


def packed_hash(packed: str) -> str:
    try:
        return hashlib.sha256(embedded_records.unpack(packed, MAX_FILE_BYTES)).hexdigest()
    except ValueError:
        return packed


def without_drawings(expected: str, actual: str) -> tuple[str, str, int]:
    """Both pages without what two versions of the drawing library may draw differently, and the number of charts concerned.

    The page itself claims that another version drew it, so everything else is compared: charts that are equal to the byte stay, and of
    the others all texts.
    """
    equal = set(SVG.findall(expected)) & set(SVG.findall(actual))
    others = sum(drawing not in equal for drawing in SVG.findall(actual))

    def without(text: str) -> str:
        return SVG.sub(lambda match: match[0] if match[0] in equal else svg.without_geometry(match[0]), DRAWN_BY_ENTRY.sub("{}", text))

    return without(expected), without(actual), others


def numbers_in(artifact: Artifact) -> int:
    return sum(difference.count_numbers(rows_of(artifact.path / name)) for name in artifact.files if (artifact.path / name).is_file())
