"""Draws the charts of the arms with Altair: decomposition, scores, quality against cost, other tasks."""

import math
from typing import Literal

from pipeline import arms
from pipeline.measures.cell_types import ArmRow, CellRow
from pipeline.measures.report_types import Report
from pipeline.page import fmt
from pipeline.page.charts_lift import COLOURS, NARROW, NARROW_NAMES, SHAPES, Mark, names, stacked, step, styled, zero_line
from pipeline.page.claims_section import suite_verdicts
from pipeline.page.svg import INK, draw
from pipeline.scoring.verdict import CANNOT_TELL, WORSE, Verdict
from pipeline.store.figure_types import SuiteRow

Box = tuple[float, float, float, float]
PARTS = {"base": "edge", "format": "s5", "prompt": "s1", "learned": "s0", "learned, below zero": WORSE}
"""Colour of each part of a score."""
MOST_PANELS = 40
"""More cells than these are told by tables alone: LoRA Land's 31 tasks are drawn, sweeps over all of them are not."""
GROUP_COLOURS = {"base": "muted", "base, helped": "s5", "tuned": "s0", "placebo": "s1", "other model": "s2"}
WIDTH = 360
"""Width of the cost chart's plane, in pixels."""
HEIGHT = 220
"""Height of the cost chart's plane, in pixels."""
HIGHEST = 1.05
"""Score at the upper end of the cost chart."""
CostUnit = Literal["dollars", "seconds"]
COST_KEYS: dict[CostUnit, Literal["request", "seconds"]] = {"dollars": "request", "seconds": "seconds"}
"""The key of an arm's costs that holds the cost of a request in a unit."""
NEAR = (("left", 9, -7), ("center", 0, -13), ("right", -9, -7), ("left", 9, 9), ("right", -9, 9))
FAR = tuple((align, dx, dy) for dy in (-20, 22, -33, 35) for align, dx in (("left", 9), ("right", -9)))
"""Positions of names so far away that a line leads to the point."""
SIDES = (*NEAR, *FAR)
"""Where the name of a point may stand, best first: alignment and distance of its middle from the point, in pixels."""
DOT = 6
"""Half the size of a point and half the height of a line, in pixels."""
LETTER = 6
"""Width of a letter, in pixels."""


def all_of(report: Report) -> dict[str, str]:
    """The figures by name; none for what was not measured."""
    cells = report["cells"]
    charts: dict[str, str] = {}
    if split := [row for cell in cells for row in segments(cell)]:
        charts |= {"parts": parts(split, 940, 260), "parts-narrow": parts(stacked(split), NARROW, NARROW_NAMES)}
    verdicts = suite_verdicts(report)
    for kind in ("loss", "task"):
        if suites := [other_task_row(cell, suite, verdicts) for cell in cells for suite in cell["forgetting"] if suite["kind"] == kind]:
            charts[f"other-tasks-{kind}"] = other_tasks(suites, kind, 940, 400)
            charts[f"other-tasks-{kind}-narrow"] = other_tasks(stacked(suites), kind, NARROW, NARROW_NAMES)
    for number, cell in enumerate(cells if len(cells) <= MOST_PANELS else []):
        if len(cell["arms"]) > 2:
            charts[f"arms{number}"] = scores(cell)
        if len(points := priced_points(cell)) > 1:
            charts[f"cost{number}"] = against_cost(points, cell["label"], fmt.metric(cell["comparisons"][0]["metric"]))
    return charts


def segments(cell: CellRow) -> list[Mark]:
    """A score laid out from zero: the base's, then what each part adds."""
    decomposition = cell["decomposition"]
    if not decomposition:
        return []
    label = cell["label"]
    start = decomposition["chain"][0][1]
    metric = fmt.metric(cell["comparisons"][0]["metric"])
    rows = [{"label": label, "part": "base", "start": 0.0, "end": start, "description": f"{label}: base, {metric} {start:.2f}"}]
    for part in decomposition["parts"]:
        end = start + part["value"]
        value = fmt.typeset(fmt.part_value(part))
        name = "learned, below zero" if part["name"] == "learned" and part["value"] < 0 else part["name"]
        rows.append({"label": label, "part": name, "start": start, "end": end, "description": f"{label}: {part['name']} {value}"})
        start = end
    return rows


def parts(rows: list[Mark], width: int, most: int) -> str:
    """One bar per cell, from nothing to the tuned score; a learned part below zero is drawn back over the bar."""
    import altair as alt

    room, axis_of_names = names(rows, most)
    there = [name for name in PARTS if any(row["part"] == name for row in rows)]
    columns = 2 if width < 400 else len(there)
    legend = alt.Legend(columns=columns)
    colour = alt.Color("part:N", sort=None, scale=alt.Scale(domain=there, range=[INK[PARTS[name]] for name in there]), legend=legend)
    scale = alt.Scale(domain=[0, max(1.0, *(row["end"] for row in rows))], nice=False)
    title = "score, by where it comes from" if width < 400 else "score of the tuned weights, by where it comes from"
    axis = alt.Axis(title=title, tickCount=5, domain=False, ticks=False, labelFlush=False)
    x = alt.X("start:Q", scale=scale, axis=axis)
    encoded = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("label:N", sort=None, axis=axis_of_names), x=x, x2="end:Q", color=colour, description="description:N"
    )
    bars = encoded.transform_filter("datum.part != 'learned, below zero'").mark_bar(height=15)
    back = encoded.transform_filter("datum.part == 'learned, below zero'").mark_bar(height=6)
    chart = alt.layer(bars, back).properties(width=width - room - 25, height=step(rows))
    return draw(styled(chart), "What made the lift, by task; the table has the same figures")


def scores(cell: CellRow) -> str:
    """Score and interval of every arm of a cell."""
    import altair as alt

    metric = fmt.metric(cell["comparisons"][0]["metric"])
    rows: list[Mark] = [
        {
            "label": arm["label"],
            "score": arm["score"],
            "low": arm["low"],
            "high": arm["high"],
            "colour_group": arms.find(arm["name"]).colour_group,
            "description": scored(arm, metric),
        }
        for arm in cell["arms"]
    ]
    room, axis_of_names = names(rows, 185)
    there = [name for name in GROUP_COLOURS if any(row["colour_group"] == name for row in rows)]
    colour = alt.Color("colour_group:N", legend=None, scale=alt.Scale(domain=there, range=[INK[GROUP_COLOURS[name]] for name in there]))
    scale = alt.Scale(domain=[0, max(1.0, *(row["high"] or row["score"] for row in rows))], nice=False)
    axis = alt.Axis(title=metric, tickCount=5, domain=False, ticks=False, labelFlush=False)
    y = alt.Y("label:N", sort=None, axis=axis_of_names)
    encoded = alt.Chart(alt.Data(values=rows)).encode(y=y, color=colour, description="description:N")
    bars = encoded.mark_rule(strokeWidth=2.5, strokeCap="round").encode(x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q")
    points = encoded.mark_point(size=70, filled=True, opacity=1).encode(x=alt.X("score:Q", scale=scale, axis=axis))
    chart = alt.layer(bars, points).properties(width=420 - room, height=alt.Step(24))
    return draw(styled(chart), f"{cell['label']}: score of every arm; the table has the same figures")


def scored(arm: ArmRow, metric: str) -> str:
    return fmt.typeset(
        f"{arm['label']}: {metric} {fmt.number(arm['score'], 3)}" + (f" {fmt.interval(arm)}" if arm["low"] is not None else "")
    )


def cost_unit(cell: CellRow) -> CostUnit | None:
    """What the cost of a request is measured in: dollars where a price is known, else seconds of the machine; None if neither is."""
    if not cell["cost"]:
        return None
    costs = cell["cost"]["arms"].values()
    if any(cost["request"] is not None for cost in costs):
        return "dollars"
    if any(cost["seconds"] for cost in costs):
        return "seconds"
    return None


def priced_points(cell: CellRow) -> list[Mark]:
    """A point for every arm whose requests have a cost: US dollars per 1,000 requests, or seconds per request."""
    unit = cost_unit(cell)
    if unit is None:
        return []
    rows = []
    for arm in cell["arms"]:
        of_request = arm["cost"][COST_KEYS[unit]] if arm["cost"] else None
        if not of_request:
            continue
        cost = 1000 * of_request if unit == "dollars" else of_request
        text = f"{fmt.dollars(cost)} per 1,000 requests" if unit == "dollars" else f"{fmt.seconds(cost)} a request"
        rows.append(
            {
                "name": arm["label"],
                "score": arm["score"],
                "cost": cost,
                "unit": unit,
                "colour_group": arms.find(arm["name"]).colour_group,
                "description": f"{arm['label']}: score {arm['score']:.3f}, {text}",
            }
        )
    return rows


def against_cost(rows: list[Mark], label: str, metric: str) -> str:
    """Score against what a request costs: up and to the left is better."""
    import altair as alt

    lowest = min(row["cost"] for row in rows)
    highest = max(row["cost"] for row in rows)
    title = "US dollars per 1,000 requests" if rows[0]["unit"] == "dollars" else "seconds of the machine a request"
    is_log = highest > 8 * lowest
    title += ", logarithmic" if is_log else ""
    scale = alt.Scale(type="log" if is_log else "linear", domain=list(cost_domain(is_log, lowest, highest)), nice=False)
    there = [name for name in GROUP_COLOURS if any(row["colour_group"] == name for row in rows)]
    colour = alt.Color("colour_group:N", legend=None, scale=alt.Scale(domain=there, range=[INK[GROUP_COLOURS[name]] for name in there]))
    y = alt.Y(
        "score:Q", title=metric, scale=alt.Scale(domain=[0, HIGHEST], nice=False), axis=alt.Axis(tickCount=5, domain=False, ticks=False)
    )
    x = alt.X("cost:Q", title=title, scale=scale, axis=alt.Axis(tickCount=4, grid=False, format="~g"))
    encoded = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, color=colour)
    points = encoded.mark_point(size=85, filled=True, opacity=1, stroke=INK["paper"], strokeWidth=1).encode(description="description:N")
    placed = sides([spot(row, is_log, lowest, highest) for row in rows], [row["name"] for row in rows])
    texts = []
    for side in dict.fromkeys(placed):
        labelled = encoded.properties(data=alt.Data(values=[row for row, place in zip(rows, placed, strict=True) if place == side]))
        name = labelled.mark_text(align=side[0], dx=side[1], dy=side[2], fontSize=11).encode(text="name:N", description="description:N")
        lead = labelled.mark_rule(aria=False, strokeWidth=1, opacity=0.6, x2Offset=0.8 * side[1], y2Offset=side[2]).encode(
            x2="cost:Q", y2="score:Q"
        )
        texts += [lead, name] if side in FAR else [name]
    chart = alt.layer(*texts, points).properties(width=WIDTH, height=HEIGHT)
    return draw(styled(chart), f"{label}: score against cost; the table has the same figures")


def spot(row: Mark, is_log: bool, lowest: float, highest: float) -> tuple[float, float]:
    """Position of an arm's point in the cost chart, in pixels from the upper left corner."""
    start, end = cost_domain(is_log, lowest, highest)
    share = math.log(row["cost"] / start) / math.log(end / start) if is_log else (row["cost"] - start) / (end - start)
    return WIDTH * share, HEIGHT * (1 - row["score"] / HIGHEST)


def cost_domain(is_log: bool, lowest: float, highest: float) -> tuple[float, float]:
    """Ends of the cost axis, with room for the name of the most expensive arm.

    Args:
        lowest, highest: costs of the cheapest and of the most expensive arm.
    """
    return (lowest / 1.6, highest * 2.5) if is_log else (0.0, highest * 1.35)


def sides(spots: list[tuple[float, float]], labels: list[str]) -> list[tuple[str, int, int]]:
    """For each point the first of SIDES where its name covers no other point and no name before it, else the first."""
    taken = [(x - DOT, y - DOT, x + DOT, y + DOT) for x, y in spots]
    chosen = []
    for number, ((x, y), label) in enumerate(zip(spots, labels, strict=True)):
        others = taken[:number] + taken[number + 1 :]
        boxes = {side: box(x, y, label, side) for side in SIDES}
        free = (side for side in SIDES if is_inside(boxes[side]) and not any(overlap(boxes[side], other) for other in others))
        chosen.append(next(free, SIDES[0]))
        taken.append(boxes[chosen[-1]])
    return chosen


def box(x: float, y: float, label: str, side: tuple[str, int, int]) -> Box:
    """What a name beside the point at (x, y) covers: left, top, right, bottom, in pixels."""
    align, dx, dy = side
    width = LETTER * len(label)
    left = x + dx - {"left": 0.0, "center": width / 2, "right": width}[align]
    return left, y + dy - DOT, left + width, y + dy + DOT


def is_inside(area: Box) -> bool:
    return area[0] >= 0 and area[1] >= -2 * DOT and area[2] <= WIDTH and area[3] <= HEIGHT


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def other_task_row(cell: CellRow, suite: SuiteRow, verdicts: dict[tuple[str, str], Verdict]) -> Mark:
    """verdicts: as claimed, by cell and suite; a suite that is no claim cannot tell."""
    places = max(3, fmt.decimals(suite["low"], suite["high"]))
    value = f"{fmt.signed(suite['difference'], places)} [{fmt.number(suite['low'], places)}, {fmt.number(suite['high'], places)}]"
    description = f"tuned on {cell['label']}, asked {suite['label']}: {fmt.typeset(value)}, margin {suite['margin']:g}"
    label = cell["label"] if suite["kind"] == "loss" else f"{cell['label']}: {suite['label']}"
    return {
        **{key: suite[key] for key in ("difference", "low", "high", "margin")},
        "label": label,
        "description": description,
        "verdict": verdicts.get((cell["cell"], suite["suite"]), CANNOT_TELL),
    }


def other_tasks(rows: list[Mark], kind: str, width: int, most: int) -> str:
    """How much worse tuned is than base on other tasks, with the margin that it must stay under."""
    import altair as alt

    room, axis_of_names = names(rows, most)
    worst = max(max(abs(row["low"]), abs(row["high"]), row["margin"]) for row in rows)
    lowest = min(0.0, *(row["low"] for row in rows))
    scale = alt.Scale(domain=[lowest - 0.05 * worst, max(row["margin"] for row in rows) * 1.1 if worst == 0 else worst * 1.08], nice=False)
    title = "worse by, nats per token" if kind == "loss" else "worse by, score"
    mark = "mark: margin" if width < 400 else "the mark is the margin"
    axis = alt.Axis(title=f"{title}; {mark}", tickCount=4 if width < 400 else 6, domain=False, ticks=False)
    encoded = alt.Chart(alt.Data(values=rows)).encode(y=alt.Y("label:N", sort=None, axis=axis_of_names), description="description:N")
    x = alt.X("low:Q", scale=scale, axis=axis)
    colour = alt.Color("verdict:N", legend=None, scale=alt.Scale(domain=list(COLOURS), range=[INK[name] for name in COLOURS.values()]))
    shape = alt.Shape("verdict:N", legend=None, scale=alt.Scale(domain=list(SHAPES), range=list(SHAPES.values())))
    bars = encoded.mark_rule(strokeWidth=2.5, strokeCap="round").encode(x=x, x2="high:Q", color=colour)
    points = encoded.mark_point(size=70, filled=True, opacity=1).encode(x="difference:Q", color=colour, shape=shape)
    margins = encoded.mark_tick(thickness=2.5, size=18, color=INK["ink"]).encode(x="margin:Q")
    zero = zero_line().encode(x=alt.X("zero:Q", scale=scale, axis=axis))
    chart = alt.layer(zero, margins, bars, points).properties(width=width - room - 25, height=step(rows))
    return draw(styled(chart), f"General ability: {title}; the table has the same figures")
