"""Reads a report page that may come from anyone: within size limits, and trusting nothing before its hashes agree."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline import stages
from pipeline.commands import difference
from pipeline.errors import ArtifactError, UserError
from pipeline.page import embedded_records
from pipeline.store.artifact import MANIFEST
from pipeline.store.records import JsonObject

MAX_PAGE_BYTES = 2**28
"""Limit of a page, in bytes: several times what the report stage writes."""
MAX_FILE_BYTES = 2**29
"""Limit of one unpacked file, in bytes; no record is as large."""
MAX_UNPACKED_BYTES = 2**31
"""Limit of all unpacked files of a page together, in bytes."""
MAX_NAME_LENGTH = 200
"""Longest part of a name, in bytes: what file systems allow, with room for a suffix."""
INDEX_START = '<script type="application/json" id="index">'
INDEX = re.compile(rf"{INDEX_START}(.*?)</script>", re.S)
EMBEDDED_FILE = re.compile(r'(<script type="(?:application/octet-stream|text/plain)" id="([\w-]+)">)([^<]*)(</script>)')
DRAWING_LIBRARIES = " or ".join(embedded_records.DRAWING_PACKAGES)
ENTRY_TYPES = {"folder": str, "key": str, "digest": str, "manifest": str, "files": dict}
"""Types of the entry of an input in the index."""
ALTERED = "The page or one of its records was altered after it was made, or the records of an altered one were put into it."
REPORT_HINT = "Give the report.html of a comparison made by `loralift compare`."


class ProofError(UserError):
    """The page differs from its records. The command line exits with 3."""

    status = 3


class OtherVersionError(UserError):
    """The page differs from what its records give, but says that another version made it. The command line exits with 4: cannot tell."""

    status = 4


@dataclass
class Page:
    """A report page and its embedded files."""

    path: Path
    text: str
    index: JsonObject
    files: dict[str, bytes]
    """Embedded files by sha256."""

    def mismatch_error(self, location: str, expected: Any, actual: Any) -> ProofError:
        """The error that names the first location where two values that never depend on the version differ."""
        return self.altered_error(self.mismatch_text(location, expected, actual))

    def recomputed_mismatch_error(self, location: str, expected: Any, actual: Any) -> UserError:
        """The error that names the first location where the recomputed page differs."""
        return self.difference_error(self.mismatch_text(location, expected, actual))

    def mismatch_text(self, location: str, expected: Any, actual: Any) -> str:
        path, one, other = difference.first_difference(expected, actual) or ("", expected, actual)
        mismatch = f"the page has {difference.abbreviated(one)}, recomputed it is {difference.abbreviated(other)}"
        return f"{location}{path}: {mismatch}"

    def altered_error(self, what: str) -> ProofError:
        """The error of a page whose parts do not agree, whatever version made it."""
        return ProofError(f"{self.path}: {what}", ALTERED)

    def difference_error(self, what: str) -> UserError:
        """The error of a page that differs when recomputed: it was altered, or another version made it."""
        if versions := self.other_version():
            theirs, ours = versions
            problem = f"{self.path}: inconclusive: another version of loralift made the page ({theirs}, this is {ours}), and here {what}"
            return OtherVersionError(problem, "Its hashes agree. Verify it with the version that made it.")
        by_others = f" Or another version of {DRAWING_LIBRARIES} writes this text of a chart differently: verify the page with that one."
        is_ours = self.index["drawn_by"] == embedded_records.drawing_versions()
        return ProofError(f"{self.path}: {what}", ALTERED + ("" if is_ours else by_others))

    def other_version(self) -> tuple[str, str] | None:
        """The version of the report or of a comparison that made the page, and that of this code; None if they are the same."""
        versions = [(str(self.index.get("code_version", "an older one")), stages.find("report").version(self.index["params"]))]
        compared = [manifest for manifest in self.manifests() if manifest.get("stage") == "compare"]
        versions += [(str(manifest.get("version")), stages.find("compare").version(manifest.get("params") or {})) for manifest in compared]
        return next(((theirs, str(ours)) for theirs, ours in versions if theirs != ours), None)

    def manifests(self) -> Iterator[JsonObject]:
        for entry in self.index["carried"].values():
            if entry["manifest"] in self.files:
                yield json.loads(self.files[entry["manifest"]])


def read(path: Path) -> Page:
    """Parse a page. Raises ArtifactError: not a report page, cut off or too large; ProofError: an embedded file does not match its id."""
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise ArtifactError(f"{path} is not a file", REPORT_HINT)
        if (size := path.stat().st_size) > MAX_PAGE_BYTES:
            raise ArtifactError(f"{path} is too large for a page: {size:,} bytes, and at most {MAX_PAGE_BYTES:,} are read", REPORT_HINT)
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ArtifactError(f"there is no {path}", "Give the report.html of a comparison.") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"cannot read {path}: {' '.join(str(error).split())}", "Give the report.html of a comparison.") from None
    if not text.rstrip().endswith("</html>"):
        raise ArtifactError(
            f"{path} is truncated or not a page (it does not end with </html>)", "Give the whole report.html of a comparison."
        )
    page = Page(path, text, index_of(path, text), {})
    unpacked = 0
    for _, name, packed, _ in EMBEDDED_FILE.findall(text):
        if name.startswith("file-"):
            raw = unpack_file(page, name, packed)
            unpacked += len(raw)
            if unpacked > MAX_UNPACKED_BYTES:
                raise page.altered_error(f"its embedded files exceed {MAX_UNPACKED_BYTES:,} bytes in total when unpacked")
            page.files[hashlib.sha256(raw).hexdigest()] = raw
    return page


def index_of(path: Path, text: str) -> JsonObject:
    """The index of a page. Raises ArtifactError if there is none, or it is malformed."""
    try:
        index = json.loads(INDEX.findall(text)[0]) if text.count(INDEX_START) == 1 else {}
    except (ValueError, IndexError, RecursionError):
        index = {}
    if not isinstance(index, dict) or not {"params", "order", "carried", "drawn_by"} <= index.keys():
        raise ArtifactError(f"{path} has no embedded records", REPORT_HINT)
    entries: list[Any] = list(index["carried"].values()) if isinstance(index["carried"], dict) else [None]
    are_entries = all(
        isinstance(entry, dict) and all(isinstance(entry.get(key), kind) for key, kind in ENTRY_TYPES.items()) for entry in entries
    )
    files = [value for entry in entries for value in entry["files"].values()] if are_entries else []
    is_whole = isinstance(index["params"], dict) and isinstance(index["order"], list) and isinstance(index["drawn_by"], dict)
    if not (is_whole and are_entries and all(isinstance(value, str) for value in [*index["order"], *files])):
        raise ArtifactError(f"{path} has embedded records in an unknown format", REPORT_HINT)
    return index


def unpack(packed: str) -> bytes:
    """The bytes of a packed file. Raises ValueError if it is invalid, or larger than a record can be."""
    return embedded_records.unpack(packed, MAX_FILE_BYTES)


def unpack_file(page: Page, name: str, packed: str) -> bytes:
    try:
        raw = unpack(packed)
    except ValueError as error:
        raise page.altered_error(f"the embedded file {owner_of(page.index, name)} cannot be unpacked: {error}") from None
    if (actual := embedded_records.content_id(raw)) != name:
        raise page.altered_error(f"the embedded file {owner_of(page.index, name)}: the page calls it {name}, its bytes are {actual}")
    return raw


def owner_of(index: JsonObject, name: str) -> str:
    """The input and file that an id belongs to, for messages."""
    start = name.removeprefix("file-")
    for source, entry in index["carried"].items():
        for file, sha256 in {MANIFEST: entry["manifest"], **entry["files"]}.items():
            if sha256.startswith(start):
                return f"{source}/{file}"
    return name


def safe_name(page: Page, name: str) -> str:
    """The relative name, if it stays in its folder; a page may come from anyone."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or any(sign in name for sign in "\\\0*?["):
        raise ArtifactError(f"{page.path} names a file outside its folder: {name!r}", "Do not trust this page.")
    if len(parts) > 3 or any(len(part.encode("utf-8", "surrogatepass")) > MAX_NAME_LENGTH for part in parts):
        raise ArtifactError(f"{page.path} names a file that no store has: {name[:60]!r}", "Do not trust this page.")
    return name
