"""Works out a page again from the records that it carries, and stops at the first thing that comes out otherwise."""

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
from pipeline.store.artifact import MANIFEST, Artifact, ArtifactSpec, Store, digest

Row = dict[str, Any]
MOST = 2**30
"""Bytes of one file, unpacked; no record is as large."""
INDEX = re.compile(r'<script type="application/json" id="index">(.*?)</script>', re.S)
PACKED = re.compile(r'(<script type="(?:application/octet-stream|text/plain)" id="([\w-]+)">)([^<]*)(</script>)')
DRAWN = re.compile(r"<svg\b.*?</svg>", re.S)
DRAWN_BY = re.compile(r'(?<="drawn_by": )\{[^{}<>]*\}')
"""In the text of an index; inside a string the quotes would stand behind backslashes."""
CODE_VERSION = re.compile(r'(?<="code_version": )"[0-9a-f]{16}"')
DRAWERS = " or ".join(embedded_records.DRAWN_BY)
BESIDE = ("report.json", "report.md")
"""What lies beside a page in its sealed folder, and is made with it."""


class ProofError(UserError):
    """The page says something else than its records. The command line exits with 3."""

    status = 3


@dataclass
class Page:
    """What a page holds."""

    path: Path
    text: str
    index: Row
    files: dict[str, bytes]
    """Carried files by sha256."""

    def fail(self, where: str, said: Any, found: Any) -> ProofError:
        """The error that names the first place where two values differ."""
        at, one, other = difference.values(said, found) or ("", said, found)
        told = f"the page has {difference.shown(one)}, worked out again it is {difference.shown(other)}"
        return ProofError(f"{self.path}: {where}{at}: {told}", self.remark())

    def remark(self) -> str:
        versions = [(str(self.index.get("code_version", "an older one")), stages.find("report").version(self.index["params"]))]
        compared = [manifest for manifest in self.manifests() if manifest.get("stage") == "compare"]
        versions += [(str(manifest.get("version")), stages.find("compare").version(manifest.get("params") or {})) for manifest in compared]
        for theirs, ours in versions:
            if theirs != ours:
                return f"It was made by another version of loralift ({theirs}, this is {ours}): verify it with that one."
        altered = "The page or one of its records was altered after it was made, or the records of an altered one were put into it."
        by_others = f" Or this is a text of a chart that another version of {DRAWERS} writes otherwise: verify the page with that one."
        return altered + (by_others if self.index["drawn_by"] != embedded_records.drawn_by() else "")

    def manifests(self) -> Iterable[Row]:
        for entry in self.index["carried"].values():
            if entry["manifest"] in self.files:
                yield json.loads(self.files[entry["manifest"]])


@dataclass
class Checked:
    """What a verification looked at."""

    files: int = 0
    """Carried files whose bytes have the hash that their manifest names."""
    comparisons: int = 0
    """Scored again."""
    numbers: int = 0
    """Of all files that were made again."""
    named: list[str] = field(default_factory=list)
    """Files that are named by their hash alone."""
    drawings: int = 0
    """Charts of which only the texts are alike, on a page that says that another version drew them."""

    def line(self) -> str:
        said = f"{self.files} files checked, {self.comparisons} comparisons scored again, {self.numbers:,} numbers worked out again"
        named = f"; {len(self.named)} files are named by hash only" if self.named else ""
        drawn = (
            f"; the geometry of {fmt.plural(self.drawings, 'chart')} was not compared, only the texts, "
            f"as the page says that another version of {DRAWERS} drew what is drawn otherwise here"
        )
        return f"{said}: the page is what they give{named}{drawn if self.drawings else ''}"


def verify(page: Path, store: Store | None = None, machine: Machine | None = None) -> Checked:
    """Work out a page again: unpack its files, check every hash, score every comparison, make the report, compare.

    Timings and training curves cannot be worked out again; they are checked by the hash of the artifact that holds them.

    Args:
        store: where files may lie that the page names by hash alone.

    Raises:
        ProofError: the first place that comes out otherwise, with both values.
        ArtifactError: the file is no page of ours or is cut off, or lacks a file that the store does not have either.
    """
    found, checked = read(page), Checked()
    with (
        tempfile.TemporaryDirectory(prefix="loralift-verify-") as name,
        meter("verifying", 2 + len(found.index["carried"]), "steps") as told,
    ):
        root = Path(name)
        made = rebuilt(found, root, store, checked)
        for artifact in {each.path: each for each in made.values() if each.stage == "compare"}.values():
            scored_again(found, artifact, made, (root / "scored", machine or Machine()))
            checked.comparisons += 1
            checked.numbers += numbers_in(artifact)
            told.advance(1)
        reported_again(found, made, root / "reported", checked)
    return checked


def read(path: Path) -> Page:
    """Raises ArtifactError: not a page of ours, or cut off; ProofError: a carried file is not what its id says."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ArtifactError(f"there is no {path}", "Give the report.html of a comparison.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"cannot read {path}: {' '.join(str(error).split())}", "Give the report.html of a comparison.") from None
    if not text.rstrip().endswith("</html>"):
        raise ArtifactError(f"{path} is cut off or no page (it does not end with </html>)", "Give the whole report.html of a comparison.")
    held = INDEX.findall(text)
    try:
        index = json.loads(held[0]) if len(held) == 1 else {}
    except ValueError:
        index = {}
    if not isinstance(index, dict) or not {"params", "order", "carried", "drawn_by"} <= index.keys():
        raise ArtifactError(f"{path} carries no records", "Give the report.html of a comparison made by `loralift compare`.")
    page = Page(path, text, index, {})
    for _, name, packed, _ in PACKED.findall(text):
        if name.startswith("file-"):
            raw = opened(page, name, packed)
            page.files[hashlib.sha256(raw).hexdigest()] = raw
    return page


def opened(page: Page, name: str, packed: str) -> bytes:
    where = f"the carried file {owners(page.index, name)}"
    try:
        raw = embedded_records.unpacked(packed, MOST)
    except ValueError as error:
        raise ProofError(f"{page.path}: {where} cannot be unpacked: {error}", page.remark()) from None
    if (found := embedded_records.identify(raw)) != name:
        raise ProofError(f"{page.path}: {where}: the page calls it {name}, its bytes are {found}", page.remark())
    return raw


def owners(index: Row, name: str) -> str:
    """Which input's file has an id, for people."""
    start = name.removeprefix("file-")
    for source, entry in index["carried"].items():
        for file, known in {MANIFEST: entry["manifest"], **entry["files"]}.items():
            if known.startswith(start):
                return f"{source}/{file}"
    return name


def rebuilt(page: Page, root: Path, store: Store | None, checked: Checked) -> dict[str, Artifact]:
    """The input folders by name, as far as their files are at hand; every file has the hash that its manifest names."""
    made: dict[str, Artifact] = {}
    seen: set[str] = set()
    if sorted(page.index["order"]) != sorted(page.index["carried"]):
        raise page.fail("the index: its inputs", sorted(page.index["order"]), sorted(page.index["carried"]))
    for source in page.index["order"]:
        entry = page.index["carried"][source]
        folder = root / "inputs" / plain(page, entry["folder"])
        if entry["folder"] not in seen:
            seen.add(entry["folder"])
            rebuild(page, (source, entry), folder, store, checked)
        made[source] = agreed(page, source, entry, folder)
    return made


def rebuild(page: Page, named: tuple[str, Row], folder: Path, store: Store | None, checked: Checked) -> None:
    source, entry = named
    if entry["manifest"] not in page.files:
        raise page.fail(f"{source}/{MANIFEST}", "no such file", entry["manifest"][:16])
    folder.mkdir(parents=True)
    for name, known in {MANIFEST: entry["manifest"], **entry["files"]}.items():
        path = folder / plain(page, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if known in page.files:
            path.write_bytes(page.files[known])
            checked.files += 1
        elif (here := lying(store, entry, name, known)) is not None:
            shutil.copyfile(here, path)
            checked.files += 1
        else:
            checked.named.append(f"{source}/{name}")


def lying(store: Store | None, entry: Row, name: str, known: str) -> Path | None:
    """The file in the store with these bytes; weights are left where they are, as no figure is made of them."""
    if store is None or PurePosixPath(name).suffix not in embedded_records.KINDS:
        return None
    for found in (store.data.glob(f"*/{entry['folder']}/{name}"), store.checkpoints.glob(f"{entry['folder']}/{name}")):
        for path in found:
            if hashlib.sha256(path.read_bytes()).hexdigest() == known:
                return path
    return None


def plain(page: Page, name: str) -> str:
    """A relative name that stays in its folder; a page may come from anyone."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or "*" in name:
        raise ArtifactError(f"{page.path} names a file outside its folder: {name!r}", "Do not trust this page.")
    return name


def agreed(page: Page, source: str, entry: Row, folder: Path) -> Artifact:
    """The artifact of a folder, once its manifest says of itself what the index says of it."""
    made = Artifact.open(folder)
    asked = ArtifactSpec(made.stage, "", made.version, made.params, made.inputs)
    for what, said, found in (
        ("files", entry["files"], made.files),
        ("digest", made.digest, digest(made.files)),
        ("key", made.key, asked.key),
        ("digest in the index", entry["digest"], made.digest),
        ("key in the index", entry["key"], made.key),
    ):
        if said != found:
            raise page.fail(f"{source}/{MANIFEST}: {what}", said, found)
    return made


def scored_again(page: Page, made: Artifact, inputs: Mapping[str, Artifact], place: tuple[Path, Machine]) -> None:
    """Run `compare` on what the page carries, and set its files beside those that the page carries."""
    out, machine = place[0] / made.path.name, place[1]
    out.mkdir(parents=True)
    by_digest = {each.digest: each.path for each in inputs.values()}
    for name, known in made.inputs.items():
        if known not in by_digest:
            raise ProofError(f"{page.path}: {made.path.name} was made of {name} {known[:12]}, which is not on the page", page.remark())
    folders = {name: by_digest[made.inputs[name]] for name in ordered(page, made)}
    again(page, f"the scores of {made.path.name}", compare.run, Work(made.params, folders, out, out.with_name("resume"), machine))
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    if files != sorted(made.files):
        raise page.fail(f"{made.path.name}: its files", sorted(made.files), files)
    for name in sorted(files, key=lambda name: (name != "examples.jsonl", name)):  # single scores say more than their sums
        if (made.path / name).is_file() and (differs := difference.values(rows_of(made.path / name), rows_of(out / name))):
            where, said, found = differs
            raise page.fail(f"{made.path.name}/{name}{where}", said, found)


def ordered(page: Page, made: Artifact) -> list[str]:
    """The inputs of a comparison in the order of the plan, which its arms are listed in and a manifest has lost."""
    verdicts = (name for name, entry in page.index["carried"].items() if entry["folder"] == made.path.name)
    cell = next(verdicts).rpartition(".")[0]
    place = {name: number for number, name in enumerate(page.index["order"])}
    return sorted(made.inputs, key=lambda name: place.get(f"{cell}.{name}", len(place)))


def again(page: Page, what: str, stage: Any, work: Work) -> None:
    """Run a stage; what it lacks is told apart from what it cannot digest."""
    try:
        stage(work)
    except FileNotFoundError as error:
        name = "/".join(Path(str(error.filename)).parts[-2:])
        remedy = "Verify it where its store is, with --store."
        raise ArtifactError(f"{page.path}: {what} need {name}, which the page names by its hash only", remedy) from None
    except ComparisonError as error:
        raise ProofError(f"{page.path}: {what} cannot be worked out again: {error.problem}", page.remark()) from None
    except UserError:
        raise
    except Exception as error:
        raise ProofError(f"{page.path}: {what} cannot be worked out again: {type(error).__name__}: {error}", page.remark()) from error


def rows_of(path: Path) -> Any:
    """What a JSON or JSON-lines file holds."""
    text = path.read_text("utf-8")
    return [json.loads(line) for line in text.split("\n") if line] if path.suffix == ".jsonl" else json.loads(text)


def reported_again(page: Page, inputs: Mapping[str, Artifact], out: Path, checked: Checked) -> None:
    """Make the report of the rebuilt folders and compare."""
    out.mkdir(parents=True)
    folders = {name: made.path for name, made in inputs.items()}
    again(page, "the report's figures", report.run, Work(page.index["params"], folders, out, out.with_name("resume")))
    said, found = hashed(page.text), hashed((out / "report.html").read_text("utf-8"))
    index = json.loads(INDEX.findall(found)[0])
    if page.index["drawn_by"] != index["drawn_by"]:
        said, found, checked.drawings = undrawn(said, found)
        index["drawn_by"] = page.index["drawn_by"]
    index["code_version"] = page.index.get("code_version")  # of no matter where the same page comes out
    said, found = (CODE_VERSION.sub("", text) for text in (said, found))
    if differs := difference.values(page.index, index):
        raise page.fail(f"the index{differs[0]}", *differs[1:])
    if differs := difference.texts(said, found):
        raise page.fail(*differs)
    if (page.path.parent / MANIFEST).is_file():
        beside(page, out)
    checked.numbers += difference.count(json.loads((out / "report.json").read_text("utf-8")))


def beside(page: Page, out: Path) -> None:
    """The files that were made with the page, where it lies in its own folder."""
    for name in BESIDE:
        path = page.path.with_name(name)
        if not path.is_file():
            raise page.fail(name, "no such file", "one")
        said, found = path.read_text("utf-8"), (out / name).read_text("utf-8")
        if path.suffix == ".json" and said != found:
            try:
                differs = difference.values(json.loads(said), json.loads(found))
            except ValueError:
                differs = None
            if differs:
                raise page.fail(f"{name}{differs[0]}", *differs[1:])
        if differing := difference.texts(said, found):
            raise page.fail(f"{name}, {differing[0]}", *differing[1:])


def hashed(text: str) -> str:
    """A page with each packed file as its hash, since packers differ."""
    return PACKED.sub(lambda found: f"{found[1]}{hash_of(found[3])}{found[4]}", text)


def hash_of(packed: str) -> str:
    try:
        return hashlib.sha256(embedded_records.unpacked(packed, MOST)).hexdigest()
    except ValueError:
        return packed


def undrawn(said: str, found: str) -> tuple[str, str, int]:
    """Two pages without what two versions of the drawing library may draw otherwise, and how many charts that concerns.

    The page decides by its own word that another version drew it, so all that can be compared is: charts that are alike to the byte
    stay, of the others every text does.
    """
    alike = set(DRAWN.findall(said)) & set(DRAWN.findall(found))
    others = sum(drawn not in alike for drawn in DRAWN.findall(found))
    one, other = (
        DRAWN.sub(lambda drawn: drawn[0] if drawn[0] in alike else svg.said(drawn[0]), DRAWN_BY.sub("{}", text)) for text in (said, found)
    )
    return one, other, others


def numbers_in(made: Artifact) -> int:
    return sum(difference.count(rows_of(made.path / name)) for name in made.files if (made.path / name).is_file())
