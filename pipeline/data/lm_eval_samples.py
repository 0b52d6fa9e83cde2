"""Reads documents, answers and scores of lm-evaluation-harness as `--log_samples` writes them; lm-eval itself is not needed."""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.config.schema import HARNESS
from pipeline.data import files
from pipeline.data.files import BadRow, shorten
from pipeline.data.task import Row
from pipeline.errors import DataError
from pipeline.store.artifact import json_sha256
from pipeline.store.records import UNKNOWN, Prediction

FORMAT = "lm_eval_samples"
COLUMNS = ("doc_id", "doc", "target", "arguments", "resps", "filter")
"""Columns by which such rows are recognized."""
FILE_NAME = re.compile(r"samples_(?P<task>.+?)_\d{4}-\d\d-\d\dT")
MANY = "samples_*.jsonl"
"""The files of an `--output_path`."""
LOWER_IS_BETTER = re.compile(
    r"(brier_score|wer|cer|ter|bits_per_byte|likelihood_diff|(\w+_)?perplexity|pct_(stereotype|invalid|(fe)?male_preferred)|difference_male_female"
    r"|\w+_bias|(dis)?amb_bias_score\w*|\w*toxicity\w*)(,.*)?"
)
"""Scores of lm-evaluation-harness that are better where they are lower, with or without a filter; a row does not say so."""


@dataclass(frozen=True)
class Samples:
    """What a file of samples holds, of lm-evaluation-harness or Inspect."""

    task: str
    """The tool's name of the task; of lm-eval as the file is called."""
    metrics: list[str]
    """Its scores as `acc`, or `exact_match,word` where there are several filters; those that every document has between 0 and 1."""
    format: str = FORMAT
    """What a recipe calls such rows."""
    prefix: str = HARNESS
    """Begins the names of the scores in a recipe."""


def is_samples(columns: Collection[str]) -> bool:
    return set(COLUMNS) <= set(columns)


def check_rows(path: Path, rows: Sequence[tuple[str, Row]]) -> None:
    """Raise DataError with the number of rows that are no samples, and what the first of them lacks."""
    faults = [f"{location}: {fault}" for location, row in rows if (fault := fault_of(row))]
    if faults:
        problem = f"{path}: {len(faults):,} of {len(rows):,} rows are no samples of lm-evaluation-harness (first: {faults[0]})."
        raise DataError(problem, "Write them again with --log_samples.")


def fault_of(row: Row) -> str:
    """Why a row is no sample; empty if it is one."""
    if missing := [name for name in COLUMNS if name not in row]:
        return f"{missing[0]} is missing"
    metrics = row.get("metrics") or []
    is_right = {
        "doc_id": isinstance(row["doc_id"], int | str) and not isinstance(row["doc_id"], bool),
        "filter": isinstance(row["filter"], str),
        "metrics": isinstance(metrics, list) and all(isinstance(name, str) for name in metrics),
    }
    return next((f"{name} is {shorten(json.dumps(row[name], default=str))}" for name, right in is_right.items() if not right), "")


def describe(path: Path) -> Samples | None:
    """What a file holds; None if it is no file of samples. Raises DataError if no score of its can be compared."""
    if not path.is_file() or not files.is_known(path.name):
        return None
    split = files.open_file(path, "samples")
    if not is_samples(split.columns):
        return None
    located = [(source.location, source.row) for source in split.read() if not isinstance(source.row, BadRow)]
    check_rows(path, located)
    rows = [row for _, row in located]
    several = len({row["filter"] for row in rows}) > 1
    names = dict.fromkeys(score_name(metric, row, several) for row in rows for metric in row.get("metrics") or ())
    counts = Counter(name for row in rows for name in scores(row, several))
    documents = len({row["doc_id"] for row in rows})
    usable = [name for name in names if counts[name] >= documents]
    if not usable:
        problem = (
            f"{path} has no score between 0 and 1, better where it is higher, for each of its {documents:,} documents "
            f"(its metrics: {', '.join(names) or 'none'})."
        )
        raise DataError(problem, "Score the answers by a metric of ours: --data test.jsonl --metric accuracy.")
    match = FILE_NAME.match(path.name)
    return Samples(match["task"] if match else path.name.partition(".")[0], usable)


def score_name(metric: str, row: Row, several: bool) -> str:
    return f"{metric},{row['filter']}" if several else metric


def scores(row: Row, several: bool) -> dict[str, float]:
    """The scores of a row that lie between 0 and 1, and are better where they are higher."""
    names = [name for name in row.get("metrics") or () if not LOWER_IS_BETTER.fullmatch(name)]
    values: dict[str, Any] = {score_name(name, row, several): row.get(name) for name in names}
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float) and 0 <= value <= 1}


def keep(metrics: Iterable[str]) -> Callable[[Row], bool] | None:
    """Which rows make the test set: those of the filter of the first metric, as every document has a row for each filter; None: all."""
    first = next((name for name in metrics if name.startswith(HARNESS)), "")
    wanted = first.partition(",")[2]
    return (lambda row: row.get("filter") == wanted) if wanted else None


def contexts(row: Row) -> list[tuple[str, Any]]:
    """Prompt and continuation (or settings of generation) of each request of a document. Raises ValueError for another form."""
    arguments = row["arguments"]
    entries = list(arguments.values()) if isinstance(arguments, Mapping) else arguments
    lists = [list(entry.values()) if isinstance(entry, Mapping) else entry for entry in (entries if isinstance(entries, list) else ())]
    pairs = [entry for entry in lists if isinstance(entry, list)]
    if not pairs or not all(len(pair) >= 2 and isinstance(pair[0], str) for pair in pairs):
        raise ValueError("arguments hold no prompt")
    return [(pair[0], pair[1]) for pair in pairs]


def prediction(row: Row, several: bool = False) -> Prediction:
    """A document's answer: the text before any filter, or the likeliest of the given continuations; with lm-eval's own scores.

    Raises:
        ValueError: responses are neither one text nor likelihoods.
    """
    responses = [entry[0] if isinstance(entry, list) and entry else entry for entry in row["resps"] or ()]
    if responses and all(isinstance(response, list) and len(response) == 2 for response in responses):
        sums = tuple(float(response[0]) for response in responses)
        greedy = tuple(str(response[1]) == "True" for response in responses)
        texts = [str(continuation) for context, continuation in contexts(row) if context or len(responses) == 1]
        best = max(range(min(len(texts), len(sums))), key=lambda place: sums[place])
        return Prediction("", texts[best].strip(), 0, UNKNOWN, sums, greedy=greedy, scores=scores(row, several))
    if len(responses) != 1 or not isinstance(responses[0], str):
        raise ValueError(f"resps hold {len(responses)} answers, where one text or likelihoods are expected")
    return Prediction("", responses[0], 0, UNKNOWN, scores=scores(row, several))


def of_documents(rows: list[tuple[str, Row]]) -> list[tuple[str, Row]]:
    """One row for each document: those of its filters together, as `filters`; a document that one filter has twice stays twice."""
    merged: dict[tuple[Any, int], tuple[str, Row]] = {}
    times: Counter[tuple[Any, str]] = Counter()
    for location, row in rows:
        own = (row["doc_id"], row["filter"])
        key = (row["doc_id"], times[own])
        times[own] += 1
        first_location, first = merged.setdefault(key, (location, {**row, "filters": []}))
        merged[key] = (first_location, {**first, "filters": [*first["filters"], row]})
    return list(merged.values())


def merged_prediction(row: Row, several: bool) -> Prediction:
    """The prediction of a document with the scores of all its filters. Raises ValueError as prediction()."""
    all_scores = {name: value for entry in row["filters"] for name, value in scores(entry, several).items()}
    return replace(prediction(row), scores=all_scores)


def document_key(row: Row) -> str:
    """The hash of a document: of a row of samples, or of an example of lm-evaluation-harness."""
    return json_sha256(row["doc"] if "doc" in row else row.get("document"))
