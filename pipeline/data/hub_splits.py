"""Opens splits of Hugging Face hub data sets, from the cache if possible: as the repository declares them, or file by file."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pipeline.data.files import Split, concatenate, first_line, from_dataset, open_file, shorten
from pipeline.data.task import Source
from pipeline.errors import DataError, suggest
from pipeline.models import hub
from pipeline.progress import console


def open_declared(source: Source, offline: bool, used: Collection[str]) -> Split:
    """Open a split as the repository declares it at its revision; the commit is in its facts.

    Raises:
        DataError: the split does not load; at once, if the hub is out of reach and the cache is empty.
    """
    import datasets

    reason = offline_reason(offline)
    if not console.is_terminal:
        datasets.disable_progress_bars()
    with without_network(bool(reason)):
        try:
            # the prefix keeps a folder of that name in the current folder from being taken instead
            builder = datasets.load_dataset_builder(f"hf://datasets/{source.hub}", source.config, revision=source.revision)
            builder.download_and_prepare()
        except Exception as error:
            raise load_fault(source, error, reason) from None
    commit = str(builder.hash)
    expected = hub.known_commit("datasets", str(source.hub), source.revision)
    splits = list(builder.info.splits or {})
    if reason and expected and commit != expected:  # without the hub the library takes its latest copy, whatever the revision
        problem = (
            f"{source.hub} is in the cache as of commit {commit[:12]}, but {source.revision or 'main'} is {expected[:12]}, and {reason}."
        )
        raise DataError(problem, "Run with the network; what is in the cache is not fetched again.")
    split = source.split
    if split not in splits:
        raise DataError(f"{source.hub} has no split '{split}', only {', '.join(splits)}.", suggest(split, splits))
    opened = from_dataset(builder.as_dataset(split=split), f"{source.hub}, split {split}", split, used)
    return replace(opened, facts={"hub": source.hub, "revision": commit, **opened.facts})


def open_files(source: Source, offline: bool, used: Collection[str]) -> Split:
    """Open a split from the files of the repository that match its source, read in sequence.

    This loads the parquet copies of script data sets: their folders are named by configuration and split, and naming the files keeps
    `datasets` from joining configurations or renaming splits.

    Raises:
        DataError: as open_declared(), or no file matches.
    """
    from huggingface_hub import snapshot_download

    reason = offline_reason(offline)
    try:
        with without_network(bool(reason)):
            folder = Path(
                snapshot_download(str(source.hub), repo_type="dataset", revision=source.revision, allow_patterns=list(source.files))
            )
    except Exception as error:
        raise hub.fault(str(source.hub), source.revision, error, reason, "data set") from None
    paths = sorted({path for pattern in source.files for path in folder.glob(pattern)})
    if not paths:
        remedy = "Run with the network, or see its files on the hub." if reason else "See its files on the hub."
        raise DataError(f"the data set {source.hub} has no file {' or '.join(source.files)} at {source.revision or 'main'}.", remedy)
    parts = [open_file(path, source.split, used) for path in paths]
    prefixes = [""] if len(parts) == 1 else [path.name.split(".")[0] for path in paths]
    location = f"{source.hub}, {' and '.join(source.files)}"
    opened = concatenate(location, list(zip(prefixes, parts, strict=True)))
    if reason and source.rows not in (None, opened.total):
        problem = f"the data set {source.hub} is in the cache with {opened.total:,} of {source.rows:,} rows, and {reason}."
        raise DataError(problem, "Run once with the network; what is in the cache is not fetched again.")
    return replace(opened, facts={"hub": source.hub, "revision": folder.name, "files": list(source.files)})


def offline_reason(offline: bool) -> str:
    """Why no request to the hub is made; empty if it answers."""
    import datasets

    return hub.offline_reason(offline or datasets.config.HF_HUB_OFFLINE)


@contextmanager
def without_network(is_offline: bool) -> Iterator[None]:
    """Restrict the libraries to their caches. They read the environment only once, so their settings are changed instead."""
    import datasets
    from huggingface_hub import constants

    previous = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    if is_offline:
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = previous


def load_fault(source: Source, error: Exception, reason: str) -> Exception:
    """The error for a data set that does not load as its repository declares it, with the remedy."""
    message = str(error)
    name = f"the data set {source.hub}{f' ({source.config})' if source.config else ''}"
    if hub.cause_of(error, reason) != "unknown":
        return hub.fault(str(source.hub), source.revision, error, reason, "data set", source.config)
    if "BuilderConfig" in message or "Config name is missing" in message:
        return DataError(f"{name} needs another configuration: {shorten(message, 200)}", "Name one of them as config under data.")
    return DataError(
        f"{name} does not load: {first_line(error)}", "If its files are of other kinds, fetch it and name local files under data."
    )
