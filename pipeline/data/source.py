"""Reads the rows of a task from each kind of source: hub data set, files, folder or function. A new kind goes here.

A source that is missing or out of reach is an error at once, which names the nearest thing that exists.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from pipeline.config.data_paths import is_pattern, matches
from pipeline.data import hub_splits, inspect_logs, manual_files
from pipeline.data.files import KNOWN_KINDS, BadRow, SourceRow, Split, concatenate, is_known, numbered_rows, open_file
from pipeline.data.task import Row, Source
from pipeline.errors import DataError, suggest
from pipeline.progress import say

ANY = "-"
"""Stands for a file of a folder that is missing."""
SAVED_DATASET_MARKER = "state.json"
"""A file that `Dataset.save_to_disk` writes into the folder."""


def open_first(sources: Sequence[Source], offline: bool = False, used: Collection[str] = ()) -> Split:
    """Open the first source that is available; prints why earlier ones were not, and records it in the facts.

    Raises:
        DataError: none is available; says what is wrong with each.
    """
    faults: list[DataError] = []
    for source in sources:
        try:
            opened = open_source(source, offline, used)
        except DataError as error:
            faults += [error] if error.problem not in [fault.problem for fault in faults] else []
            continue
        if faults:
            say(f"  {opened.location} instead: {faults[0].problem}")
        return replace(opened, facts=opened.facts | {"instead_of": [fault.problem for fault in faults]}) if faults else opened
    first, *others = faults
    tried = "".join(f"\n  Or: {fault.problem} {fault.remedy}" for fault in others)
    raise DataError(first.problem, first.remedy + tried)


def open_source(source: Source, offline: bool = False, used: Collection[str] = ()) -> Split:
    """Open a split and read its columns.

    Args:
        offline: make no network requests.
        used: the columns that are needed; their types are checked, and others need not be decoded. Empty: all, unchecked.

    Raises:
        DataError: the source is missing, unreadable or empty, or has no such split.
    """
    opened = renamed_and_filtered(open_rows(source, offline, used), source)
    if not opened.total:
        raise DataError(f"{opened.location} holds no rows.", "Check that it was written to its end.")
    expected = {"expected_rows": source.rows} if source.rows not in (None, opened.total) else {}
    return replace(opened, facts=opened.facts | expected)


def open_rows(source: Source, offline: bool, used: Collection[str]) -> Split:
    if source.fetch:
        fetched = list(source.fetch(offline))
        return from_function(f"the documents, split {source.split}", source.split, lambda: fetched)
    if source.parts:
        return open_parts(source, [open_source(part, offline, used) for part in source.parts])
    if source.make:
        make = source.make
        return from_function(f"the embedded {source.split} rows", source.split, lambda: make(source.split))
    if source.hub:
        return (hub_splits.open_files if source.files else hub_splits.open_declared)(source, offline, used)
    if source.manual_file:
        path = manual_files.locate(source.manual_file, offline)
        read = source.manual_file.read
        if not read:
            return open_file(path, source.split, used)
        return replace(from_function(str(path), source.split, lambda: read(path, source.split)), facts={"file": str(path)})
    first, *others = local_files(source)
    if not others:
        return open_file(first, first.name.split(".")[0], used)
    pieces = [(path.name.split(".")[0], open_file(path, path.name.split(".")[0], used)) for path in (first, *others)]
    whole = concatenate(f"{source.path} ({len(pieces)} files)", pieces)
    return replace(whole, facts={"file": str(source.path), "files": len(pieces)})


def open_parts(source: Source, parts: list[Split]) -> Split:
    """Several splits as one; row ids begin with the configuration or split."""
    prefixes = [part.config or part.split for part in source.parts]
    return concatenate(f"{source.parts[0].hub or 'the parts'}, {' and '.join(prefixes)}", list(zip(prefixes, parts, strict=True)))


def renamed_and_filtered(split: Split, source: Source) -> Split:
    """The split with its columns renamed and foreign rows left out."""
    new_names = dict(source.rename)
    keep = source.keep
    if not new_names and keep is None:
        return split

    def read() -> Iterator[SourceRow]:
        for source_row in split.read():
            row = source_row.row
            if not isinstance(row, BadRow):
                row = {new_names.get(name, name): value for name, value in row.items()}
            if isinstance(row, BadRow) or keep is None or keep(row):
                yield replace(source_row, row=row)

    total = split.total if keep is None else sum(1 for _ in read())
    return replace(split, columns=tuple(new_names.get(name, name) for name in split.columns), total=total, read=read)


def from_function(location: str, name: str, make: Callable[[], Iterable[Row]]) -> Split:
    """A split of the rows that a function yields. It is called once to count them, and again for every reading."""
    first: Row = {}
    total = 0
    for row in make():
        total += 1
        first = first or row
    return Split(location, tuple(first), total, lambda: numbered_rows(make(), name))


def local_parts(sources: Iterable[Source]) -> list[Source]:
    """Those of the sources, or of their parts, that name a file or folder."""
    return [part for source in sources for part in (source.parts or (source,)) if part.path is not None or part.folder]


def local_files(source: Source) -> list[Path]:
    """The file or saved data set that holds a split of a local source, or the files that its pattern matches, in the order of their names.

    Raises:
        DataError: as local_file; or nothing matches the pattern, or two names differ only in what stands behind their first dot.
    """
    path = Path(source.path or "").expanduser()
    if source.folder or not is_pattern(path):
        return [local_file(source)]
    paths = [match for match in matches(path) if is_known(match.name)]
    if not paths:
        folder = path.parent if not is_pattern(path.parent) else Path()
        raise DataError(f"no data file matches {path}{looked_in(path, source.recipe_folder)}.", listed_files(folder))
    stems = [match.name.split(".")[0] for match in paths]
    if twice := [stem for stem in stems if stems.count(stem) > 1]:
        raise DataError(f"{path} matches several files named {twice[0]}, so their rows would have equal ids.", "Rename one of them.")
    return paths


def local_file(source: Source) -> Path:
    """The file or saved data set that holds a split of a local source.

    Raises:
        DataError: there is none, or its file type is unknown.
    """
    other = source.recipe_folder
    if source.folder:
        return file_of_split(Path(source.folder).expanduser(), source.split, other)
    path = Path(source.path or "").expanduser()
    if path.is_dir():
        remedy = f"Write folder: {path} under data, and the names of two of its splits as train and test."
        raise DataError(f"{path} is a folder, not a file.", remedy)
    if not (is_known(path.name) or inspect_logs.is_log(path)):
        raise DataError(f"{path} is not a supported file type.", f"Known: {KNOWN_KINDS}.")
    if not path.is_file():
        raise DataError(f"there is no file {path}{looked_in(path, other)}.", suggest_path(path, other))
    return path


def looked_in(path: Path, other: Path | None) -> str:
    """The two folders that a path was looked for in, where there are two."""
    if other is None or path.is_absolute() or other.resolve() == Path.cwd():
        return ""
    return f", neither from {Path.cwd()} nor from {other.absolute()}"


def suggest_path(path: Path, other: Path | None = None) -> str:
    """A remedy for a path that does not exist: the nearest one that does, from the current folder or from another one."""
    places = [path] if other is None or path.is_absolute() else [path, other / path]
    for place in places:
        if near := nearest_path(place):
            return near
    if not any(place.parent.is_dir() for place in places):
        nor = f"Nor is there a folder {path.parent}; p" if path.name != ANY else "P"
        return f"{nor}aths start at {Path.cwd()} or at the recipe's folder."
    return " ".join(dict.fromkeys(listed_files(place.parent) for place in places if place.parent.is_dir()))


def nearest_path(path: Path) -> str:
    """A remedy that names the file or folder whose name is nearest; empty if none is near."""
    if not path.parent.is_dir():
        above = next((folder for folder in path.parent.parents if folder.is_dir()), Path())
        near = get_close_matches(str(path.parent), [str(folder) for folder in above.iterdir() if folder.is_dir()], n=1)
        return f"Did you mean the folder '{near[0]}'?" if near else ""
    near = get_close_matches(path.name, sorted(file.name for file in path.parent.iterdir() if is_known(file.name)), n=1)
    return f"Did you mean '{path.with_name(near[0])}'?" if near else ""


def listed_files(place: Path) -> str:
    """The data files of a folder, in a sentence."""
    files = sorted(file.name for file in place.iterdir() if is_known(file.name))
    folder = "The current folder" if place == Path() else f"The folder {place}"
    return f"{folder} has {', '.join(files[:8])}." if files else f"{folder} has no data files ({KNOWN_KINDS})."


def file_of_split(folder: Path, split: str, other: Path | None = None) -> Path:
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}{looked_in(folder, other)}.", suggest_path(folder / ANY, other))
    if (folder / SAVED_DATASET_MARKER).exists():
        raise DataError(
            f"{folder} is one saved data set without splits.", "Save its splits together: DatasetDict(train=..., test=...).save_to_disk()."
        )
    splits: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if (path / SAVED_DATASET_MARKER).exists() or (path.is_file() and is_known(path.name) and path.name != "dataset_dict.json"):
            splits[path.name.split(".")[0]].append(path.name)
    if not splits:
        raise DataError(
            f"{folder} contains no split.", "It needs one file per split, as train.jsonl and test.jsonl, or what save_to_disk writes."
        )
    if split not in splits:
        raise DataError(f"{folder} has no split '{split}', only {', '.join(splits)}.", suggest(split, splits))
    if len(splits[split]) > 1:
        raise DataError(f"{folder} has several files for the split '{split}': {', '.join(splits[split])}.", "Leave one of them there.")
    return folder / splits[split][0]
