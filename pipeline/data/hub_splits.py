"""Splits of data sets on the Hugging Face hub, from the cache where they are there: as the repository declares them, or file by file."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pipeline.data.files import Split, columnar, first_line, joined, open_file, short
from pipeline.data.task import Source
from pipeline.errors import DataError, suggest
from pipeline.models import hub
from pipeline.models.hub import unreachable
from pipeline.progress import console


def declared(source: Source, offline: bool, used: Collection[str]) -> Split:
    """A split as the repository declares it at its revision; the commit is among its facts.

    Raises:
        DataError: at once, if the hub cannot be reached and the cache has nothing.
    """
    import datasets

    why = out_of_reach(offline)
    if not console.is_terminal:
        datasets.disable_progress_bars()
    with without_network(bool(why)):
        try:
            # the prefix keeps a folder of that name in the current folder from being taken instead
            builder = datasets.load_dataset_builder(f"hf://datasets/{source.hub}", source.config, revision=source.revision)
            builder.download_and_prepare()
        except Exception as error:
            raise hub_fault(source, error, why) from None
    commit, asked, known = str(builder.hash), hub.noted("datasets", str(source.hub), source.revision), list(builder.info.splits or {})
    if why and asked and commit != asked:  # without the hub the library takes the copy that it fetched last, whatever is asked for
        problem = f"{source.hub} is in the cache as of commit {commit[:12]}, but {source.revision or 'main'} is {asked[:12]}, and {why}."
        raise DataError(problem, "Run with the network; what is in the cache is not fetched again.")
    split = source.split
    if split not in known:
        raise DataError(f"{source.hub} has no split '{split}', only {', '.join(known)}.", suggest(split, known))
    opened = columnar(builder.as_dataset(split=split), f"{source.hub}, split {split}", split, used)
    return replace(opened, facts={"hub": source.hub, "revision": commit, **opened.facts})


def by_files(source: Source, offline: bool, used: Collection[str]) -> Split:
    """A split from files of the repository that its source names, read one after the other.

    So the parquet copies of script data sets load: the names of their folders say configuration and split, and naming the files
    keeps `datasets` from joining configurations or renaming splits.

    Raises:
        DataError: as declared(), or no file has such a name.
    """
    from huggingface_hub import snapshot_download

    why = out_of_reach(offline)
    try:
        with without_network(bool(why)):
            folder = Path(
                snapshot_download(str(source.hub), repo_type="dataset", revision=source.revision, allow_patterns=list(source.files))
            )
    except Exception as error:
        raise hub.fault(str(source.hub), source.revision, error, why, "data set") from None
    found = sorted({path for pattern in source.files for path in folder.glob(pattern)})
    if not found:
        remedy = "Run with the network, or see its files on the hub." if why else "See its files on the hub."
        raise DataError(f"the data set {source.hub} has no file {' or '.join(source.files)} at {source.revision or 'main'}.", remedy)
    parts = [open_file(path, source.split, used) for path in found]
    marks = [""] if len(parts) == 1 else [path.name.split(".")[0] for path in found]
    where = f"{source.hub}, {' and '.join(source.files)}"
    opened = joined(where, list(zip(marks, parts, strict=True)))
    if why and source.rows not in (None, opened.total):
        problem = f"the data set {source.hub} is in the cache with {opened.total:,} of {source.rows:,} rows, and {why}."
        raise DataError(problem, "Run once with the network; what is in the cache is not fetched again.")
    return replace(opened, facts={"hub": source.hub, "revision": folder.name, "files": list(source.files)})


def out_of_reach(offline: bool) -> str:
    """Why the hub is not to be asked; empty if it answers."""
    import datasets
    from huggingface_hub import is_offline_mode

    is_off = is_offline_mode() or datasets.config.HF_HUB_OFFLINE
    return "HF_HUB_OFFLINE is set" if offline or is_off else unreachable()


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
