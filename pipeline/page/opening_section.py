"""Answers the question of a report of many tasks, or of a sweep, in its first sentence."""

from collections.abc import Sequence

from pipeline.measures import overview
from pipeline.measures.cell_types import CellRow
from pipeline.measures.pooled_types import Overview
from pipeline.measures.report_types import Report, SummarySentence
from pipeline.page import fmt
from pipeline.page.anchors import row_id, size_id
from pipeline.page.cells import swept
from pipeline.page.verdict_section import Linked, sentence
from pipeline.scoring.verdict import effect_verdicts
from pipeline.store.figure_types import SizeLine, SizePoint
from pipeline.store.records import JsonObject

MANY = 6
"""More tasks than these are counted, not named, and sorted by their effects."""
SIZES = {"prepare.train_examples": "training examples"}
"""What the values of a swept key count, where they count something."""


def by_effect(report: Report) -> list[CellRow]:
    """The cells as the recipe lists them; those of many tasks by their effect, the largest first."""
    cells = report["cells"]
    if report["sweep"] or len(cells) <= MANY:
        return cells
    return sorted(cells, key=lambda cell: -cell["headline"]["effect"])


def overview_of(cells: Sequence[CellRow], recipe: JsonObject, claims: int, sources: Sequence[str]) -> Overview | None:
    """The tasks of a report together; None for one task, and for a sweep, where tasks come more than once.

    Args:
        claims: confirmatory claims on single tasks.
        sources: of the test examples of each.
    """
    if swept(recipe) or len(cells) < 2:
        return None
    compare = recipe["compare"]
    together = overview.overview([cell["headline"] for cell in cells], compare["confidence"], claims, compare["correction"], sources)
    metrics = {cell["headline"]["metric"] for cell in cells}
    return {**together, "sentence": pooled(together, len(metrics) > 1)}


MIN_SAMPLED = 5
"""Tasks as a random factor need at least this many: of three, the t interval reached beyond what any score allows."""


def pooled(together: Overview, has_metrics: bool) -> str:
    """The claim on the mean effect, and the interval for tasks as a random factor.

    Args:
        has_metrics: whether tasks are scored by different metrics.
    """
    mean = fmt.change(together["mean"], together["low"], together["high"], 3)
    scale = " (every task by its own metric)" if has_metrics else ""
    start = f"Over the {together['tasks']} tasks together: {together['verdict']}, mean {together['kind']} {mean}{scale}"
    across = together["over_tasks"]
    if together["p_adjusted"] is None or across["low"] is None:
        return f"{start}."
    claim = f"p (one more test, Bonferroni) {fmt.probability(together['p_adjusted'])}"
    if together["tasks"] < MIN_SAMPLED:
        return f"{start}, {claim}."
    return f"{start}, {claim}. With tasks as a random factor (exploratory): {fmt.interval(across)}."


def section(cells: Sequence[CellRow], together: Overview | None, learning: Sequence[SizeLine]) -> list[SummarySentence]:
    """The first sentences of the verdict; none where the recommendations are the answer.

    Args:
        together: as `overview_of` gives it.
        learning: of report.json.
    """
    if together and together["tasks"] > MANY:
        return [tally(cells, together)]
    if len(learning) > MANY:
        return [sizes_tally(axis, learning) for axis in dict.fromkeys(line["axis"] for line in learning)]
    return [{**size_sentence(line, number), "kind": "answer"} for number, line in enumerate(learning)]


def tally(cells: Sequence[CellRow], together: Overview) -> SummarySentence:
    """`Improved on 22 of 31 tasks, worse on 3, inconclusive on 6; mean training effect over the 31 tasks: +0.12 [0.10, 0.14].`"""
    parts: list[str | Linked] = []
    for verdict in effect_verdicts(together["verdicts"]):
        links = [f"#{row_id('lifts', cell['cell'])}" for cell in cells if cell["headline"]["verdict"] == verdict]
        count = f"{len(links)}{f' of {len(cells)} tasks' if not parts else ''}"
        start = f", {verdict}" if parts else verdict.capitalize()
        parts += [f"{start} on ", (count, links) if links else count]
    mean = fmt.change(together["mean"], together["low"], together["high"])
    return sentence(
        *parts, f"; mean {together['kind']} over the {len(cells)} tasks: {mean} (every task counts once, by its own metric).", kind="answer"
    )


def size_sentence(line: SizeLine, number: int) -> SummarySentence:
    """How much is enough for a task, with the difference that shows it, or why that cannot be told; number: of the line."""
    evidence = [f"#{size_id(number)}"]
    place = f" for {line['task']}" + (f" at {fmt.coordinates(line['point'])}" if line["point"] else "")
    if line["reason"]:
        return sentence("It cannot be told whether ", (f"{less(line)} {verb(line)} enough", evidence), f"{place}: {line.get('why', '')}.")
    if line["smallest"] is not None:
        point = next(point for point in line["points"] if point["value"] == line["smallest"])
        value = fmt.setting(line["smallest"])
        size = f"{value} {SIZES[line['axis']]}" if line["axis"] in SIZES else f"{fmt.key_label(line['axis']).capitalize()} {value}"
        least = ", the least that was tried," if line["smallest"] == line["values"][0] else ""
        return sentence((f"{size} {verb(line)} enough", evidence), f"{least}{place}: {difference(line, point)}.")
    nearest = next_below_best(line)
    if is_needed(line):
        return sentence((f"{capitalized(less(line))} {verb(line)} not enough", evidence), f"{place}: {difference(line, nearest)}.")
    return sentence("It cannot be told whether ", (f"{less(line)} {verb(line)} enough", evidence), f"{place}: {difference(line, nearest)}.")


def sizes_tally(axis: str, learning: Sequence[SizeLine]) -> SummarySentence:
    """How much is enough over many tasks or points, in counts."""
    lines = [(number, line) for number, line in enumerate(learning) if line["axis"] == axis]
    groups: dict[str, list[str]] = {"enough": [], "not enough": [], "open": []}
    for number, line in lines:
        kind = "enough" if line["smallest"] is not None else "not enough" if is_needed(line) else "open"
        groups[kind].append(f"#{size_id(number)}")
    first = lines[0][1]
    noun = "lines of the sweep" if any(line["point"] for _, line in lines) else "tasks"
    words = {"enough": f"{{}} of {len(lines)} {noun}", "not enough": "not enough on {}", "open": "and on {} it cannot be told"}
    parts: list[str | Linked] = [f"{capitalized(less(first))} {verb(first)} enough on "]
    for name, links in groups.items():
        count = words[name].format(len(links))
        parts += [", "] if len(parts) > 1 else []
        parts += [(count, links) if links else count]
    return sentence(*parts, f" (margin {first['margin']:g}).", kind="answer")


def less(line: SizeLine) -> str:
    """All sizes below the best one; below the largest where the best is the smallest."""
    largest = fmt.setting(line["best"] if line["best"] != line["values"][0] else line["values"][-1])
    return f"fewer than {largest} {SIZES[line['axis']]}" if line["axis"] in SIZES else f"a {fmt.key_label(line['axis'])} below {largest}"


def verb(line: SizeLine) -> str:
    return "are" if line["axis"] in SIZES else "is"


def capitalized(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def is_needed(line: SizeLine) -> bool:
    """Whether the size below the best is shown to be worse by more than the margin."""
    is_first = line["best"] == line["values"][0]
    return bool(line["points"]) and not is_first and next_below_best(line)["against_best"]["high"] < -line["margin"]


def next_below_best(line: SizeLine) -> SizePoint:
    """The point below the best one; where the best is the smallest, the one above it."""
    place = line["values"].index(line["best"])
    return line["points"][place - 1 if place else 1]


def difference(line: SizeLine, point: SizePoint) -> str:
    """The difference to the best size with its bounds."""
    row, other = point["against_best"], line["best"]
    if point["value"] == other:
        return f"score {fmt.number(point['tuned'], 3)}, the best, margin {line['margin']:g}"
    change = fmt.change(row["difference"], row["low"], row["high"], 3)
    return f"score at {fmt.setting(point['value'])} minus score at {fmt.setting(other)} {change}, margin {line['margin']:g}"
