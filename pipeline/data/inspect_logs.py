"""Reads samples, answers and scores of a log of Inspect through its own library, which is loaded where there is a log to read."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.config.schema import INSPECT
from pipeline.data.files import Split, numbered_rows
from pipeline.data.lm_eval_samples import Samples
from pipeline.data.task import Row
from pipeline.errors import DataError, MachineError
from pipeline.store.records import UNKNOWN, Prediction

FORMAT = "inspect_log"
SUFFIX = ".eval"
MANY = f"*{SUFFIX}"
"""The logs of a folder."""
EXTRA = "pip install 'loralift[inspect]'"
TASK = "inspect_task"
"""The column by which rows of a log are recognized: the name of its task."""
COLUMNS = (TASK, "id", "input", "choices", "target", "answer", "stopped", "tokens", "scores", "error", "metadata")
JSON_START = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"version"\s*:\s*\d+\s*,\s*"status"\s*:\s*"')
UNREAD_FIELDS = {"events", "store"}
"""Fields of samples that are not loaded: the longest ones."""
WORDS = {"c": 1.0, "p": 0.5, "i": 0.0, "n": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
"""Scores in words, as Inspect's own metrics count them."""
ENDS = {"stop": "eos", "max_tokens": "length", "model_length": "length", "content_filter": "refused"}
"""How an answer ended, by Inspect's name for it."""


def is_log(path: Path) -> bool:
    """Whether a file is a log of Inspect, by its name or, of a .json, by how it starts."""
    if not path.is_file():
        return False
    if path.suffix.lower() != ".json":
        return path.suffix.lower() == SUFFIX
    with path.open("rb") as file:
        return bool(JSON_START.match(file.read(200)))


def open_log(path: Path, name: str) -> Split:
    """The samples of a log as rows with COLUMNS.

    Args:
        name: prefix of the row ids.

    Raises:
        DataError: it cannot be read, is unfinished, or has several epochs.
        MachineError: inspect_ai is not installed.
    """
    rows = read_rows(path)
    return Split(str(path), COLUMNS, len(rows), lambda: numbered_rows(rows, name), {"file": str(path)})


def read_rows(path: Path) -> list[Row]:
    """The samples of a log. Raises DataError and MachineError as open_log."""
    try:
        from inspect_ai.log import read_eval_log
    except ImportError:
        raise MachineError(f"{path} is a log of Inspect, and inspect_ai is not installed.", f"Run: {EXTRA}") from None
    try:
        log = read_eval_log(str(path), resolve_attachments=True, exclude_fields=UNREAD_FIELDS)
    except Exception as error:  # of zip, JSON or pydantic, as the file is broken
        reason = (" ".join(str(error).split()) or type(error).__name__)[:200]
        raise DataError(f"{path} cannot be read as a log of Inspect: {reason}", "Copy it again; it may be truncated.") from None
    check_whole(path, log)
    return [sample_row(log.eval.task, sample) for sample in log.samples]


def check_whole(path: Path, log: Any) -> None:
    """Raise DataError for a log without samples, of a run that did not end, or of several epochs."""
    samples = log.samples or []
    planned = log.eval.dataset.samples or len(samples)
    if log.status != "success":
        done = sum(sample.error is None for sample in samples)
        problem = f"{path} is unfinished (status {log.status}): {done:,} of {planned:,} samples are done."
        raise DataError(problem, f"Finish it: inspect eval-retry {path}")
    if not samples:
        raise DataError(f"{path} holds no samples.", "Run it with samples in its log (--log-samples).")
    if (epochs := max(sample.epoch for sample in samples)) > 1:
        raise DataError(f"{path} has {epochs} epochs, and one answer to each sample is compared.", "Run it with --epochs 1.")


def sample_row(task: str, sample: Any) -> Row:
    """The row of a sample (inspect_ai.log.EvalSample)."""
    target = sample.target
    failed = sample.error.message if sample.error else "it was invalidated" if sample.invalidation else ""
    usage = sample.output.usage
    end = "length" if sample.limit else ENDS.get(sample.output.stop_reason, UNKNOWN) if sample.output.choices and usage else UNKNOWN
    return {
        TASK: task,
        "id": sample.id,
        "input": sample.input if isinstance(sample.input, str) else [message(one) for one in sample.input],
        "choices": list(sample.choices or ()),
        "target": target[0] if isinstance(target, list) and len(target) == 1 else target,
        "answer": sample.output.completion,
        "stopped": end,
        "tokens": usage.output_tokens if usage else 0,
        "scores": dict(scores(sample)),
        "error": failed,
        "metadata": dict(sample.metadata),
    }


def message(one: Any) -> dict[str, str]:
    """A message of an input, its text alone."""
    return {"role": one.role, "content": one.text}


def scores(sample: Any) -> Iterator[tuple[str, float]]:
    """By `scorer`, or `scorer.key` where it gives several values, the scores that lie between 0 and 1."""
    for name, score in (sample.scores or {}).items():
        values = {f"{name}.{key}": value for key, value in score.value.items()} if isinstance(score.value, dict) else {name: score.value}
        yield from ((key, number) for key, value in values.items() if (number := as_score(value)) is not None)


def as_score(value: Any) -> float | None:
    """A value of a score as a number; None if it is none in 0..1, as that of a sample which no scorer could judge (NaN)."""
    if isinstance(value, str):
        value = WORDS.get(value.lower(), value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and 0 <= number <= 1 else None


def describe(path: Path) -> Samples | None:
    """Task and scores of a log; None if the file is none. Raises DataError if no score of its can be compared, or as open_log."""
    if not is_log(path):
        return None
    rows = read_rows(path)
    judged = [row for row in rows if not row["error"]]
    counts = Counter(name for row in judged for name in row["scores"])
    usable = [name for name, count in counts.items() if count == len(judged)]
    if not usable:
        names = ", ".join(f"{name} of {count:,}" for name, count in counts.items()) or "none"
        problem = f"{path} has no score between 0 and 1 for each of its {len(judged):,} samples (its scores: {names})."
        raise DataError(problem, f"Score it again (inspect score {path}), or by a metric of ours: --data test.jsonl --metric accuracy.")
    return Samples(str(rows[0][TASK]), usable, FORMAT, INSPECT)


def prediction(row: Row) -> Prediction:
    """The answer of a sample, with the scores that its scorers gave."""
    return Prediction("", row["answer"], row["tokens"], row["stopped"], scores=row["scores"])


def prompt_turns(row: Row) -> list[dict[str, str]]:
    """The messages of a sample's input; its choices follow the last one, by letters as Inspect's multiple_choice shows them."""
    turns = [{"role": "user", "content": row["input"]}] if isinstance(row["input"], str) else [dict(turn) for turn in row["input"]]
    if row["choices"]:
        lines = [f"{chr(ord('A') + place)}) {choice}" for place, choice in enumerate(row["choices"])]
        turns[-1]["content"] = "\n".join([turns[-1]["content"], "", *lines])
    return turns
