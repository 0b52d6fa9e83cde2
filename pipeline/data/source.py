"""Where the rows of a task come from: a hub data set, files, a folder, or a function of ours.

What is not there or cannot be reached is said at once, with the nearest thing that is there.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from pipeline.data import hub_splits, manual_files
from pipeline.data.files import KINDS, Bad, Found, Split, joined, numbered, open_file
from pipeline.data.task import Row, Source
from pipeline.errors import DataError, suggest
from pipeline.progress import say

STATE = "state.json"
"""A file that `Dataset.save_to_disk` leaves in a folder."""


def open_first(sources: Sequence[Source], offline: bool = False, used: Collection[str] = ()) -> Split:
    """The first of the sources that can be had; why not an earlier one is told and among the facts.

    Raises:
        DataError: none can; says what is wrong with the first, and with the others.
    """
    faults: list[DataError] = []
    for source in sources:
        try:
            opened = open_source(source, offline, used)
        except DataError as error:
            faults += [error] if error.problem not in [fault.problem for fault in faults] else []
            continue
        if faults:
            say(f"  {opened.where} instead: {faults[0].problem}")
        return replace(opened, facts=opened.facts | {"instead_of": [fault.problem for fault in faults]}) if faults else opened
    first, *others = faults
    tried = "".join(f"\n  Or: {fault.problem} {fault.remedy}" for fault in others)
    raise DataError(first.problem, first.remedy + tried)


def open_source(source: Source, offline: bool = False, used: Collection[str] = ()) -> Split:
    """Find a split and look at its columns.

    Args:
        offline: ask nothing over the network.
        used: the columns that matter; their types are checked, and others need not be decoded. Empty: all, unchecked.

    Raises:
        DataError: it is not there, cannot be read, has no such split, or holds no rows.
    """
    opened = changed(anywhere(source, offline, used), source)
    if not opened.total:
        raise DataError(f"{opened.where} holds no rows.", "Check that it was written to its end.")
    expected = {"expected_rows": source.rows} if source.rows not in (None, opened.total) else {}
    return replace(opened, facts=opened.facts | expected)


def anywhere(source: Source, offline: bool, used: Collection[str]) -> Split:
    if source.parts:
        return together(source, [open_source(part, offline, used) for part in source.parts])
    if source.make:
        make = source.make
        return generated(f"the embedded {source.split} rows", source.split, lambda: make(source.split))
    if source.hub:
        return (hub_splits.by_files if source.files else hub_splits.declared)(source, offline, used)
    if source.placed:
        path, read = manual_files.located(source.placed, offline), source.placed.read
        return generated(str(path), source.split, lambda: read(path, source.split)) if read else open_file(path, source.split, used)
    path = file_of(source)
    return open_file(path, path.name.split(".")[0], used)


def together(source: Source, parts: list[Split]) -> Split:
    """Several splits as one; the ids of each begin with its configuration or split."""
    marks = [part.config or part.split for part in source.parts]
    return joined(f"{source.parts[0].hub or 'the parts'}, {' and '.join(marks)}", list(zip(marks, parts, strict=True)))


def changed(split: Split, source: Source) -> Split:
    """The split with other names for its columns, and without the rows that do not belong to it."""
    names, keep = dict(source.rename), source.keep
    if not names and keep is None:
        return split

    def read() -> Iterator[Found]:
        for found in split.read():
            row = found.row if isinstance(found.row, Bad) else {names.get(name, name): value for name, value in found.row.items()}
            if isinstance(row, Bad) or keep is None or keep(row):
                yield replace(found, row=row)

    total = split.total if keep is None else sum(1 for _ in read())
    return replace(split, columns=tuple(names.get(name, name) for name in split.columns), total=total, read=read)


def generated(where: str, name: str, make: Callable[[], Iterable[Row]]) -> Split:
    """Rows of a function; it is called once for their number and again each time that they are read."""
    first: Row = {}
    total = 0
    for row in make():
        total, first = total + 1, first or row
    return Split(where, tuple(first), total, lambda: numbered(make(), name))


def file_of(source: Source) -> Path:
    """The file or saved data set that holds a split of a local source.

    Raises:
        DataError: there is none, or it is of no known kind.
    """
    if source.folder:
        return in_folder(Path(source.folder), source.split)
    path = Path(source.path or "")
    if path.is_dir():
        remedy = f"Write folder: {path} under data, and the names of two of its splits as train and heldout."
        raise DataError(f"{path} is a folder, not a file.", remedy)
    if not path.name.endswith(KINDS):
        raise DataError(f"{path} is not a kind of file that can be read here.", f"Known: {', '.join(KINDS)}.")
    if not path.is_file():
        raise DataError(f"there is no file {path}.", neighbours(path))
    return path


def neighbours(path: Path) -> str:
    """A remedy for a path that leads nowhere: the nearest one that leads somewhere."""
    if not path.parent.is_dir():
        above = next((folder for folder in path.parent.parents if folder.is_dir()), Path())
        near = get_close_matches(str(path.parent), [str(found) for found in above.iterdir() if found.is_dir()], n=1)
        return f"Did you mean the folder '{near[0]}'?" if near else f"Nor is there a folder {path.parent}; paths start at {Path.cwd()}."
    files = sorted(found.name for found in path.parent.iterdir() if found.name.endswith(KINDS))
    near = get_close_matches(path.name, files, n=1)
    if near:
        return f"Did you mean '{path.with_name(near[0])}'?"
    where = "The current folder" if path.parent == Path() else f"The folder {path.parent}"
    return f"{where} has {', '.join(files[:8])}." if files else f"{where} has no data files ({', '.join(KINDS)})."


def in_folder(folder: Path, split: str) -> Path:
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}.", neighbours(folder / "-"))
    if (folder / STATE).exists():
        raise DataError(
            f"{folder} is one saved data set without splits.", "Save its splits together: DatasetDict(train=..., test=...).save_to_disk()."
        )
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if (path / STATE).exists() or (path.is_file() and path.name.endswith(KINDS) and path.name != "dataset_dict.json"):
            found[path.name.split(".")[0]].append(path.name)
    if not found:
        raise DataError(
            f"{folder} holds no split.", "It needs one file a split, as train.jsonl and test.jsonl, or what save_to_disk writes."
        )
    if split not in found:
        raise DataError(f"{folder} has no split '{split}', only {', '.join(found)}.", suggest(split, found))
    if len(found[split]) > 1:
        raise DataError(f"{folder} has several files for the split '{split}': {', '.join(found[split])}.", "Leave one of them there.")
    return folder / found[split][0]
