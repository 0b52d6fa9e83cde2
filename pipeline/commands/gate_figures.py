"""Reads the figures that a gate can judge from a cell of report.json."""

from collections.abc import Callable, Mapping
from typing import Literal

from pipeline.measures.cell_types import ArmRow, CellRow
from pipeline.scoring import stats
from pipeline.store.figure_types import SuiteRow

Figure = tuple[float | None, float | None, float | None]
"""Value, and the ends of its interval where it has one."""
COUNTED_FIGURES: Mapping[str, Literal["unparsed", "truncated"]] = {"unparsed": "unparsed", "truncated": "truncated"}
DROPS = ("lift", "training_effect", "forgetting")
"""Changes, which may be a drop from something."""
RESAMPLED_FIGURES = ("lift", "training_effect", "score")


def tuned(cell: CellRow) -> ArmRow:
    return next(arm for arm in cell["arms"] if arm["name"] == "tuned")


def lift(cell: CellRow) -> Figure:
    row = cell["comparisons"][0]
    return row["lift"], row["low"], row["high"]


def training_effect(cell: CellRow) -> Figure:
    """What training gave beyond the best baseline, which needs none."""
    parts = cell["decomposition"]["parts"] if cell["decomposition"] else []
    part = next((part for part in parts if part["name"] == "training"), None)
    return (part["value"], part["low"], part["high"]) if part else (None, None, None)


def widened_if_constant(n: int, figure: Figure, confidence: float) -> Figure:
    """The figure, with a wider interval if all resamples agree: though n examples show one thing, up to 1 - (1 - confidence)^(1/n) of all
    may show another (at 95 % the rule of three: Hanley & Lippman-Hand 1983, doi:10.1001/jama.1983.03330370053031)."""
    value, low, high = figure
    if value is None or low is None or high is None or low < high:
        return figure
    bound = 1 - (1 - confidence) ** (1 / n)
    return value, value - bound, value + bound


def score(cell: CellRow) -> Figure:
    arm = tuned(cell)
    return arm["score"], arm["low"], arm["high"]


def hallucination(cell: CellRow) -> Figure:
    hallucination = tuned(cell)["hallucination"]
    return (hallucination["rate"], hallucination["low"], hallucination["high"]) if hallucination else (None, None, None)


def relevance(cell: CellRow) -> Figure:
    figures = tuned(cell)["relevance"]
    return (figures["auc"], figures["auc_low"], figures["auc_high"]) if figures else (None, None, None)


def counted(name: Literal["unparsed", "truncated"], cell: CellRow, confidence: float) -> Figure:
    """A share of the answers of all seeds, with Wilson's interval over examples, as the seeds' answers to one are not independent."""
    counts = tuned(cell)["counts"]
    assert counts is not None  # base and tuned always have answers
    number = counts[name]
    if number is None:  # predictions from elsewhere do not say how they ended
        return None, None, None
    share = number / counts["n"]
    return share, *stats.wilson(share, counts["n"] // len(cell["seeds"]), confidence)


def timed(name: Literal["p50", "p95", "overhead"]) -> Callable[[CellRow], Figure]:
    def time(cell: CellRow) -> Figure:
        speed = tuned(cell)["speed"]
        return (speed[name] if speed else None), None, None

    return time


def request_cost(cell: CellRow) -> Figure:
    cost = tuned(cell)["cost"]
    return (cost["request"] if cost else None), None, None


def training_cost(cell: CellRow) -> Figure:
    return (cell["cost"]["training"]["dollars"] if cell["cost"] else None), None, None


FIGURES: Mapping[str, Callable[[CellRow], Figure]] = {
    "lift": lift,
    "training_effect": training_effect,
    "score": score,
    "hallucination": hallucination,
    "relevance": relevance,
    "request_cost": request_cost,
    "training_cost": training_cost,
    "latency_p50": timed("p50"),
    "latency_p95": timed("p95"),
    "overhead": timed("overhead"),
}
"""Every figure but those that are counted, and forgetting, which has one value per suite. All are of the tuned arm; docs/report.md says
what each is."""
FORGETTING = "forgetting"
NAMES = (*FIGURES, *COUNTED_FIGURES, FORGETTING)


def drop(suite: SuiteRow) -> Figure:
    """How much worse tuned is than base on another task: the drop of a score, or the rise of a loss."""
    if suite["kind"] == "loss":
        return suite["difference"], suite["low"], suite["high"]
    return 0.0 - suite["difference"], 0.0 - suite["high"], 0.0 - suite["low"]


def before(figure: str, cell: CellRow) -> float:
    """The score that a lift or a training effect is a change from."""
    return cell["comparisons"][0]["base"] if figure == "lift" else cell["headline"]["baseline_score"]


def relative_drop(change: Figure, base: float) -> Figure:
    """A change as the share of `base` that was lost, with the base's own error left out."""
    value, low, high = (None if end is None or not base else 0.0 - end / base for end in change)
    return value, high, low
