"""Recomputes a report page from its embedded records, and stops at the first value that differs."""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.commands import difference, page_code, page_file
from pipeline.commands.page_file import DRAWING_LIBRARIES, EMBEDDED_FILE, INDEX, Page, read, safe_name, unpack
from pipeline.config.schema import MAX_RESAMPLES
from pipeline.errors import ArtifactError, ComparisonError, UserError
from pipeline.machine import Machine, Work
from pipeline.page import embedded_records, fmt, svg
from pipeline.page.masked_manifests import masked
from pipeline.progress import meter
from pipeline.stages import compare, report
from pipeline.store import input_names
from pipeline.store.artifact import CHECKSUM, MANIFEST, Artifact, Store
from pipeline.store.records import JsonObject, is_number
from pipeline.store.result_folders import ComparisonFolder, ReportFolder

SVG_START, SVG_END = re.compile(r"<svg\b"), "</svg>"
DRAWN_BY_ENTRY = re.compile(r'(?<="drawn_by": )\{[^{}<>]*\}')
"""In the text of an index; inside a string the quotes would be escaped."""
CODE_VERSION = re.compile(r'(?<="code_version": )"[0-9a-f]{16}"')
NAME_FAULTS = (FileExistsError, NotADirectoryError, IsADirectoryError)
"""What writing raises where one name is a folder and a file."""
SIDE_FILES = (ReportFolder.DATA, ReportFolder.MARKDOWN)
"""Files that the report stage writes next to the page."""


@dataclass
class Verification:
    """Counts of what a verification checked."""

    files: int = 0
    """Embedded files whose bytes match the hash in their manifest."""
    written: int = 0
    """Bytes of embedded files in the rebuilt folders: a page may name one content often."""
    comparisons: int = 0
    """Comparisons scored again."""
    numbers: int = 0
    """Numbers in all recomputed files."""
    hash_only: list[str] = field(default_factory=list)
    """Files that the page names by hash only."""
    drawings: int = 0
    """Charts of which only the texts were compared, since another version drew them."""
    no_verdict: str = ""
    """Why the page has no verdict: not finished, or a smoke test; empty for a final one."""

    def line(self) -> str:
        summary = f"{self.files} files checked, {self.comparisons} comparisons rescored, {self.numbers:,} numbers recomputed"
        unchecked = f"; {len(self.hash_only)} files are named by hash only" if self.hash_only else ""
        drawings = (
            f"; the geometry of {fmt.plural(self.drawings, 'chart')} was not compared, only the texts, "
            f"as another version of {DRAWING_LIBRARIES} drew the page"
        )
        state = f"; it has no verdict: {self.no_verdict}" if self.no_verdict else ""
        return f"{summary}: the page matches them{state}{unchecked}{drawings if self.drawings else ''}"


def verify(path: Path, store: Store | None = None, machine: Machine | None = None, trusts_code: bool = False) -> Verification:
    """Recompute a page: unpack its files, check every hash, score every comparison, make the report, compare.

    Timings and training curves cannot be recomputed; they are checked by the hash of the artifact that holds them.

    Args:
        store: to look for files that the page names by hash only.
        trusts_code: run the tasks and metrics of the page's author, if it brings any.

    Raises:
        UntrustedCodeError: it brings some, and they are not trusted.
        ProofError: the first location that differs, with both values.
        OtherVersionError: so does it, but another version of loralift made the page.
        ArtifactError: the file is not a report page or is cut off, or lacks a file that the store lacks too.
    """
    page = read(path)
    try:
        return recompute(page, store, machine or Machine(), trusts_code)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, *NAME_FAULTS) as error:
        raise page.altered_error(f"its records cannot be read ({type(error).__name__}: {error})") from error


def code_of(path: Path) -> str:
    """The code of its author's that a page brings, to be read; nothing is run. Raises ProofError if its hashes do not agree."""
    page = read(path)
    with tempfile.TemporaryDirectory(prefix="loralift-verify-") as name:
        artifacts = rebuild_inputs(page, Path(name), None, Verification())
        return page_code.listing(page_code.bundles(artifacts.values()))


def recompute(page: Page, store: Store | None, machine: Machine, trusts_code: bool) -> Verification:
    verification = Verification()
    with (
        tempfile.TemporaryDirectory(prefix="loralift-verify-") as name,
        meter("verifying", 2 + len(page.index["carried"]), "steps") as progress,
    ):
        root = Path(name)
        artifacts = rebuild_inputs(page, root, store, verification)
        page_code.require_trust(str(page.path), page_code.bundles(artifacts.values()), trusts_code)
        for artifact in {comparison.path: comparison for comparison in artifacts.values() if comparison.stage == "compare"}.values():
            rescore(page, artifact, artifacts, root / "scored" / artifact.path.name, machine)
            verification.comparisons += 1
            verification.numbers += numbers_in(artifact)
            progress.advance(1)
        remake_report(page, artifacts, root / "reported", verification)
    return verification


def rebuild_inputs(page: Page, root: Path, store: Store | None, verification: Verification) -> dict[str, Artifact]:
    """Rebuild the input folders, as far as their files are available; every file has the hash in its manifest."""
    artifacts: dict[str, Artifact] = {}
    seen: set[str] = set()
    if sorted(page.index["order"]) != sorted(page.index["carried"]):
        raise page.mismatch_error("the index: its inputs", sorted(page.index["order"]), sorted(page.index["carried"]))
    for source in page.index["order"]:
        entry = page.index["carried"][source]
        folder = root / "inputs" / safe_name(page, entry["folder"])
        if entry["folder"] not in seen:
            seen.add(entry["folder"])
            rebuild_folder(page, source, folder, store, verification)
        artifacts[source] = checked_artifact(page, source, entry, folder)
        check_masks(page, source, artifacts[source], store)
    return artifacts


def rebuild_folder(page: Page, source: str, folder: Path, store: Store | None, verification: Verification) -> None:
    entry = page.index["carried"][source]
    if entry["manifest"] not in page.files:
        raise page.mismatch_error(f"{source}/{MANIFEST}", "no such file", entry["manifest"][:16])
    folder.mkdir(parents=True)
    for name, sha256 in {MANIFEST: entry["manifest"], **entry["files"]}.items():
        path = folder / safe_name(page, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if sha256 in page.files:
            verification.written += len(page.files[sha256])
            if verification.written > page_file.MAX_UNPACKED_BYTES:
                raise page.altered_error(f"its files exceed {page_file.MAX_UNPACKED_BYTES:,} bytes in total when unpacked")
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


def checked_artifact(page: Page, source: str, entry: JsonObject, folder: Path) -> Artifact:
    """The artifact of a folder, if its manifest and the index agree."""
    try:
        artifact = Artifact.open(folder)
    except ArtifactError as error:
        raise page.altered_error(f"{source}: {error.problem.removeprefix(f'{folder}').removeprefix('/')}") from None
    for what, expected, actual in (
        ("files", entry["files"], artifact.files),
        ("digest in the index", entry["digest"], artifact.digest),
        ("key in the index", entry["key"], artifact.key),
    ):
        if expected != actual:
            raise page.mismatch_error(f"{source}/{MANIFEST}: {what}", expected, actual)
    return artifact


def check_masks(page: Page, source: str, artifact: Artifact, store: Store | None) -> None:
    """Compare a manifest that lacks the whole paths of the machine with what its whole one gives, if the store has it."""
    entry = page.index["carried"][source]
    if store is None or not artifact.masked or (whole := file_in_store(store, entry, MANIFEST, artifact.masked)) is None:
        return
    texts = ((artifact.path / MANIFEST).read_bytes(), masked(whole.read_bytes()))
    expected, actual = ({**json.loads(text), CHECKSUM: ""} for text in texts)  # checksums agree with the rest and say less
    if differs := difference.first_difference(expected, actual):
        raise page.mismatch_error(f"{source}/{MANIFEST}{differs[0]}", *differs[1:])


def rescore(page: Page, comparison: Artifact, inputs: Mapping[str, Artifact], out: Path, machine: Machine) -> None:
    """Run `compare` on the embedded inputs, and compare its files with the embedded ones."""
    resamples = comparison.params.get("resamples", 0)
    if is_number(resamples) and resamples > MAX_RESAMPLES:
        raise page.altered_error(f"{comparison.path.name}: {resamples:,} resamples, and no recipe may ask for more than {MAX_RESAMPLES:,}")
    out.mkdir(parents=True)
    by_digest = {artifact.digest: artifact.path for artifact in inputs.values()}
    for name, input_digest in comparison.inputs.items():
        if input_digest not in by_digest:
            raise page.difference_error(f"{comparison.path.name} was made of {name} {input_digest[:12]}, which is not on the page")
    # of two inputs with equal bytes the manifests differ, and an arm's facts say whether it was tested
    named = {(artifact.path.name, artifact.digest): artifact.path for artifact in inputs.values()}
    digests = comparison.inputs
    folders = {
        name: named.get((comparison.lineage.get(name, ""), digests[name]), by_digest[digests[name]])
        for name in input_order(page, comparison)
    }
    run_stage(
        page, f"the scores of {comparison.path.name}", compare.run, Work(comparison.params, folders, out, out.with_name("resume"), machine)
    )
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    if files != sorted(comparison.files):
        raise page.recomputed_mismatch_error(f"{comparison.path.name}: its files", sorted(comparison.files), files)
    for name in sorted(files, key=lambda name: (name != ComparisonFolder.EXAMPLES, name)):  # a single score says more than a sum
        if (comparison.path / name).is_file() and (
            differs := difference.first_difference(rows_of(comparison.path / name), rows_of(out / name))
        ):
            location, expected, actual = differs
            raise page.recomputed_mismatch_error(f"{comparison.path.name}/{name}{location}", expected, actual)


def input_order(page: Page, comparison: Artifact) -> list[str]:
    """The inputs of a comparison in the order of the plan, which orders its arms and which a manifest does not keep."""
    names = (name for name, entry in page.index["carried"].items() if entry["folder"] == comparison.path.name)
    position = {name: number for number, name in enumerate(page.index["order"])}
    try:
        cell = input_names.parse(next(names)).cell
        in_report = {name: str(input_names.parse(name).of_cell(cell)) for name in comparison.inputs}
    except ValueError as error:
        raise page.difference_error(f"{comparison.path.name}: {error}") from None
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
        raise page.difference_error(f"{what} cannot be recomputed: {error.problem}") from None
    except UserError:
        raise
    except Exception as error:
        raise page.difference_error(f"{what} cannot be recomputed: {type(error).__name__}: {error}") from error


def rows_of(path: Path) -> Any:
    """The contents of a JSON or JSON-lines file."""
    text = path.read_text("utf-8")
    return [json.loads(line) for line in text.split("\n") if line] if path.suffix == ".jsonl" else json.loads(text)


def remake_report(page: Page, inputs: Mapping[str, Artifact], out: Path, verification: Verification) -> None:
    """Make the report from the rebuilt folders, and compare."""
    out.mkdir(parents=True)
    folders = {name: artifact.path for name, artifact in inputs.items()}
    run_stage(page, "the report's figures", report.write_page, Work(page.index["params"], folders, out, out.with_name("resume")))
    expected, actual = with_hashes(page.text), with_hashes(ReportFolder(out).page.read_text("utf-8"))
    index = json.loads(INDEX.findall(actual)[0])
    if page.index["drawn_by"] != index["drawn_by"]:
        expected, actual, verification.drawings = without_drawings(expected, actual)
        index["drawn_by"] = page.index["drawn_by"]
    index["code_version"] = page.index.get("code_version")  # it does not matter if the page comes out equal
    expected, actual = (CODE_VERSION.sub("", text) for text in (expected, actual))
    if differs := difference.first_difference(page.index, index):
        raise page.recomputed_mismatch_error(f"the index{differs[0]}", *differs[1:])
    if differs := difference.first_text_difference(expected, actual):
        raise page.recomputed_mismatch_error(*differs)
    if (page.path.parent / MANIFEST).is_file():
        check_side_files(page, out)
        check_hashes(page)
    remade = ReportFolder(out).data()
    verification.numbers += difference.count_numbers(remade)
    verification.no_verdict = remade["preliminary"]["kind"] if remade["preliminary"] else ""


def check_side_files(page: Page, out: Path) -> None:
    """Compare the files next to the page with those of the new report."""
    for name in SIDE_FILES:
        path = page.path.with_name(name)
        if not path.is_file():
            raise page.recomputed_mismatch_error(name, "no such file", "one")
        expected, actual = path.read_text("utf-8"), (out / name).read_text("utf-8")
        if path.suffix == ".json" and expected != actual:
            try:
                differs = difference.first_difference(json.loads(expected), json.loads(actual))
            except ValueError:
                differs = None
            if differs:
                raise page.recomputed_mismatch_error(f"{name}{differs[0]}", *differs[1:])
        if differing := difference.first_text_difference(expected, actual):
            raise page.recomputed_mismatch_error(f"{name}, {differing[0]}", *differing[1:])


def check_hashes(page: Page) -> None:
    """Compare every file of the folder that the page lies in with its hash in the manifest there: charts and cards hold figures too."""
    try:
        Artifact.open(page.path.parent).verify()
    except ArtifactError as error:
        raise page.altered_error(error.problem) from None


def with_hashes(text: str) -> str:
    """The page with every packed file replaced by its hash, since packers differ."""
    return EMBEDDED_FILE.sub(lambda match: f"{match[1]}{packed_hash(match[3])}{match[4]}", text)


def packed_hash(packed: str) -> str:
    try:
        return hashlib.sha256(unpack(packed)).hexdigest()
    except ValueError:
        return packed


def without_drawings(expected: str, actual: str) -> tuple[str, str, int]:
    """Both pages without what two versions of the drawing library may draw differently, and the number of charts concerned.

    The page itself claims that another version drew it, so everything else is compared: charts that are equal to the byte stay, and of
    the others all texts.
    """
    equal = set(split_at_drawings(expected)[1::2]) & set(split_at_drawings(actual)[1::2])
    others = sum(drawing not in equal for drawing in split_at_drawings(actual)[1::2])

    def without(text: str) -> str:
        parts = split_at_drawings(DRAWN_BY_ENTRY.sub("{}", text))
        parts[1::2] = [drawing if drawing in equal else svg.without_geometry(drawing) for drawing in parts[1::2]]
        return "".join(parts)

    return without(expected), without(actual), others


def split_at_drawings(text: str) -> list[str]:
    """The parts of a page, every second one a drawing. One pass: a pattern would look for the end of every unclosed drawing again."""
    parts, position = [], 0
    while (start := SVG_START.search(text, position)) and (end := text.find(SVG_END, start.end())) >= 0:
        parts += [text[position : start.start()], text[start.start() : end + len(SVG_END)]]
        position = end + len(SVG_END)
    return [*parts, text[position:]]


def numbers_in(artifact: Artifact) -> int:
    return sum(difference.count_numbers(rows_of(artifact.path / name)) for name in artifact.files if (artifact.path / name).is_file())
