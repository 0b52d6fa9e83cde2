"""Compares the forecasts of a store with the lifts that were measured afterwards: which lie in their interval, and the share of all"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.commands import advice_words
from pipeline.page import fmt
from pipeline.store import input_names
from pipeline.store.artifact import Artifact, Store, canonical
from pipeline.store.forecast import Forecast, ForecastFolder
from pipeline.store.result_folders import ComparisonFolder

Subject = tuple[str, ...]
"""What is forecast: task and base as canonical JSON, and the digests of test and training examples."""
PENDING = "not compared yet"
TOO_LATE = "trained before"
INSIDE, OUTSIDE = "inside", "outside"


@dataclass(frozen=True)
class Result:
    """A measured lift."""

    trained: str
    """When the first training of its adapters began; a time as manifests have it sorts as text."""
    lift: float


@dataclass(frozen=True)
class Outcome:
    """A forecast with the first result that was trained afterwards; without one, why there is none."""

    label: str
    forecast: Forecast
    lift: float | None
    state: str

    @property
    def error(self) -> float | None:
        """Measured lift minus the middle of the interval; None without a result."""
        return None if self.lift is None else self.lift - self.forecast["lift"]["middle"]


def show(out: Console, store: Store) -> None:
    """A line for each forecast of the store, and how many results lie in their interval."""
    rows = outcomes(store)
    if not rows:
        out.print("There is no forecast in this store. Make one: loralift advise my.yaml", soft_wrap=True)
        return
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    grid.add_column("task on base", overflow="fold", min_width=20)
    for name in ("forecast lift", "lift", "error", "result"):
        grid.add_column(name, justify="left" if name == "result" else "right", no_wrap=True)
    for row in rows:
        lift, error = ("" if value is None else fmt.signed(value, 2) for value in (row.lift, row.error))
        grid.add_row(Text(row.label), advice_words.signed_range(row.forecast["lift"]), lift, error, row.state)
    out.print(grid)
    out.print(summary(rows), soft_wrap=True)


def summary(rows: list[Outcome]) -> str:
    """How many forecasts have a result, the share of these inside, and the mean error."""
    errors = [row.error for row in rows if row.error is not None]
    counted = f"{fmt.plural(len(rows), 'forecast')}, {len(errors)} with a result"
    if not errors:
        return f"{counted}."
    inside = sum(row.state == INSIDE for row in rows)
    level = rows[0].forecast["evidence"]["level"]
    return (
        f"{counted}: {inside} inside the interval ({100 * inside / len(errors):.0f} %, meant {100 * level:.0f} %).\n"
        f"Mean error {fmt.signed(fmean(errors), 2)}, mean absolute error {fmt.number(fmean(map(abs, errors)))}."
    )


def outcomes(store: Store) -> list[Outcome]:
    """One for each task, base and data of which there is a forecast."""
    by_name = {artifact.path.name: artifact for artifact in store.all()}
    forecasts: dict[Subject, list[Artifact]] = defaultdict(list)
    for artifact in by_name.values():
        if artifact.stage == "forecast":
            forecasts[subject(artifact.params["task"], artifact.params["model"], artifact.inputs)].append(artifact)
    results: dict[Subject, list[Result]] = defaultdict(list)
    for artifact in by_name.values():
        for about, result in results_of(artifact, by_name) if artifact.stage == "compare" else ():
            results[about].append(result)
    rows = [outcome(group, results[about]) for about, group in forecasts.items()]
    return sorted(rows, key=lambda row: row.label)


def subject(task: object, model: object, digests: Mapping[str, str]) -> Subject:
    """See Subject.

    Args:
        digests: of `heldout` and `train`, at least.
    """
    return canonical(task), canonical(model), digests["heldout"], digests["train"]


def results_of(comparison: Artifact, by_name: Mapping[str, Artifact]) -> Iterator[tuple[Subject, Result]]:
    """The lift of a comparison and what it is about; nothing where its adapters were not trained here, or are no longer in the store."""
    names = [name for name in comparison.lineage if is_tuned(name)]
    answers = [by_name.get(comparison.lineage[name]) for name in names]
    adapters = [by_name.get(one.lineage.get("adapter", "")) if one else None for one in answers]
    trainings = [one for one in adapters if one and one.stage == "finetune"]
    if not trainings or len(trainings) < len(adapters):
        return
    primary = next(row for row in ComparisonFolder(comparison.path).comparisons() if row["primary"])
    digests = {"heldout": comparison.inputs["heldout"], "train": trainings[0].inputs["train"]}
    trained = min(one.provenance["at"] for one in trainings)
    yield subject(comparison.params["task"], trainings[0].params["model"], digests), Result(trained, primary["lift"])


def is_tuned(text: str) -> bool:
    """Whether an input of a comparison holds the fine-tuned model's answers to the task itself."""
    name = input_names.parse(text)
    return name.role == "predictions" and name.arm == "tuned" and not name.suite


def outcome(forecasts: list[Artifact], results: list[Result]) -> Outcome:
    """The last forecast before the first training that came after one, so that no forecast is scored by what was known to it."""
    forecasts = sorted(forecasts, key=lambda one: str(one.provenance["at"]))
    first = str(forecasts[0].provenance["at"])
    later = sorted((one for one in results if one.trained >= first), key=lambda one: one.trained)
    if not later:
        state = TOO_LATE if results else PENDING
        return Outcome(forecasts[-1].label, ForecastFolder(forecasts[-1].path).forecast(), None, state)
    result = later[0]
    before = [one for one in forecasts if str(one.provenance["at"]) <= result.trained]
    forecast = ForecastFolder(before[-1].path).forecast()
    ends = forecast["lift"]
    state = INSIDE if ends["low"] <= result.lift <= ends["high"] else OUTSIDE
    return Outcome(before[-1].label, forecast, result.lift, state)
