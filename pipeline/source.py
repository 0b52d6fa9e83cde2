"""Where the rows of a task come from: a hub data set, a folder, two files, or a function of ours.

What is not there or cannot be reached is said at once, with the nearest thing that is there.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from pipeline.errors import DataError, suggest
from pipeline.files import KINDS, Split, columnar, first_line, numbered, open_file, short
from pipeline.hub import unreachable
from pipeline.progress import console
from pipeline.task import Row, Source

STATE = "state.json"
"""A file that `Dataset.save_to_disk` leaves in a folder."""


def open_split(source: Source, split: str, offline: bool = False, used: Collection[str] = ()) -> Split:
    """Find a split and look at its columns.

    Args:
        split: `train` or `heldout`.
        offline: ask nothing over the network.
        used: the columns that matter; their types are checked, and others need not be decoded. Empty: all, unchecked.

    Raises:
        DataError: it is not there, cannot be read, has no such split, or holds no rows.
    """
    if source.make:
        opened = generated(source, split)
    elif source.hub:
        opened = from_hub(source, getattr(source, split), offline, used)
    else:
        path = file_of(source, split)
        opened = open_file(path, path.name.split(".")[0], used)
    if not opened.total:
        raise DataError(f"{opened.where} holds no rows.", "Check that it was written to its end.")
    return opened


def generated(source: Source, split: str) -> Split:
    assert source.make is not None
    make = source.make
    first: Row = {}
    total = 0
    for row in make(split):
        total, first = total + 1, first or row
    return Split(f"the embedded {split} rows", tuple(first), total, lambda: numbered(make(split), split))


def file_of(source: Source, split: str) -> Path:
    """The file or saved data set that holds a split of a local source.

    Raises:
        DataError: there is none, or it is of no known kind.
    """
    wanted = getattr(source, split)
    if source.folder:
        return in_folder(Path(source.folder), wanted)
    path = Path(wanted)
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


def from_hub(source: Source, split: str, offline: bool, used: Collection[str]) -> Split:
    """A split of a hub data set at its revision, from the cache where it is there; the commit is among its facts.

    Raises:
        DataError: at once, if the hub cannot be reached and the cache has nothing.
    """
    import datasets
    from huggingface_hub import is_offline_mode

    is_off = is_offline_mode() or datasets.config.HF_HUB_OFFLINE
    why = "--offline is set" if offline else "HF_HUB_OFFLINE is set" if is_off else unreachable()
    if not console.is_terminal:
        datasets.disable_progress_bars()
    with without_network(bool(why)):
        try:
            # the prefix keeps a folder of that name in the current folder from being taken instead
            builder = datasets.load_dataset_builder(f"hf://datasets/{source.hub}", source.config, revision=source.revision)
            builder.download_and_prepare()
        except Exception as error:
            raise hub_fault(source, error, why) from None
    commit, asked, known = str(builder.hash), commit_of(source), list(builder.info.splits or {})
    if why and asked and commit != asked:  # without the hub the library takes the copy that it fetched last, whatever is asked for
        problem = f"{source.hub} is in the cache as of commit {commit[:12]}, but {source.revision or 'main'} is {asked[:12]}, and {why}."
        raise DataError(problem, "Run with the network; what is in the cache is not fetched again.")
    if split not in known:
        raise DataError(f"{source.hub} has no split '{split}', only {', '.join(known)}.", suggest(split, known))
    opened = columnar(builder.as_dataset(split=split), f"{source.hub}, split {split}", split, used)
    return replace(opened, facts={"hub": source.hub, "revision": commit, **opened.facts})


def commit_of(source: Source) -> str:
    """The commit that a revision meant when the hub was last asked; empty if that is not known."""
    from huggingface_hub import constants

    revision = source.revision or "main"
    if len(revision) == 40 and set(revision) <= set("0123456789abcdef"):
        return revision
    note = Path(constants.HF_HUB_CACHE) / f"datasets--{str(source.hub).replace('/', '--')}" / "refs" / revision
    return note.read_text("utf-8").strip() if note.is_file() else ""


@contextmanager
def without_network(really: bool) -> Iterator[None]:
    """Let the libraries look into their caches only; they read the environment once, so their settings are changed instead."""
    import datasets
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    if really:
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def hub_fault(source: Source, error: Exception, why: str) -> DataError:
    name, said = f"the data set {source.hub}{f' ({source.config})' if source.config else ''}", str(error)
    page, login = f"https://huggingface.co/datasets/{source.hub}", "set HF_TOKEN or run `hf auth login`"
    if why or "Couldn't reach" in said or "LocalEntryNotFound" in said:
        why = why or "the hub does not answer"
        return DataError(f"{name} is not in the cache, and {why}.", "Run once with the network, or name local files under data.")
    if "gated dataset" in said:
        return DataError(f"{name} is gated, and your access is not granted.", f"Accept its terms at {page}, then {login}.")
    if "Revision" in said:
        return DataError(f"{name} has no revision '{source.revision}'.", "Name a commit, a tag or a branch of it.")
    if "doesn't exist on the Hub" in said:
        return DataError(
            f"there is no data set {source.hub} on the hub, or it is private.", f"Check owner/name; for a private one, {login}."
        )
    if "BuilderConfig" in said or "Config name is missing" in said:
        return DataError(f"{name} needs another configuration: {short(said, 200)}", "Name one of them as config under data.")
    return DataError(
        f"{name} does not load: {first_line(error)}", "If its files are of other kinds, fetch it and name local files under data."
    )
