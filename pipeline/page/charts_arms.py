"""Draws the charts of the arms with Altair: scores, quality against cost, other tasks."""

import math
from typing import Literal

from pipeline import arms
from pipeline.measures.cell_types import ArmRow, CellRow
from pipeline.measures.report_types import Report
from pipeline.page import fmt
from pipeline.page.arms_section import without_repeats
from pipeline.page.charts_lift import (
    MAX_NARROW_NAME_WIDTH,
    NARROW_WIDTH,
    SHAPES,
    ChartRow,
    name_axis,
    row_step,
    styled,
    with_stacked_names,
    zero_line,
)
from pipeline.page.claims_section import suite_verdicts
from pipeline.page.svg import INK, draw
from pipeline.scoring.verdict import NOT_TESTABLE, Verdict, tone
from pipeline.store.figure_types import SuiteRow

Box = tuple[float, float, float, float]
MAX_CHANGES = 100
"""With more changes on other tasks the matrix alone shows them."""
MAX_PANELS = 40
"""With more cells these charts are left out: LoRA Land's 31 tasks are drawn, sweeps over all of them are not."""
GROUP_COLOURS = {"base": "muted", "base, helped": "s5", "tuned": "s0", "placebo": "s1", "other model": "s2"}
ARMS_WIDTH, ARMS_ALONE_WIDTH = 420, 940
"""Width of the chart of a task's arms, and of one that has no other beside it, in pixels."""
PLOT_WIDTH = 360
"""Width of the cost chart's plane, in pixels."""
PLOT_HEIGHT = 220
"""Height of the cost chart's plane, in pixels."""
MAX_SCORE = 1.05
"""Score at the upper end of the cost chart."""
CostUnit = Literal["dollars", "seconds"]
COST_KEYS: dict[CostUnit, Literal["request", "seconds"]] = {"dollars": "request", "seconds": "seconds"}
"""The key of an arm's costs that holds the cost of a request in a unit."""
NEAR_POSITIONS = (("left", 9, -7), ("center", 0, -13), ("right", -9, -7), ("left", 9, 9), ("right", -9, 9))
FAR_POSITIONS = tuple((align, dx, dy) for dy in (-20, 22, -33, 35) for align, dx in (("left", 9), ("right", -9)))
"""Positions of names so far away that a line connects them with the point."""
LABEL_POSITIONS = (*NEAR_POSITIONS, *FAR_POSITIONS)
"""Possible positions of a point's name, best first: alignment, and distance of its middle from the point in pixels."""
POINT_RADIUS = 6
"""Half the size of a point and half the height of a line, in pixels."""
LETTER_WIDTH = 6
"""Width of a letter, in pixels."""


def draw_all(report: Report) -> dict[str, str]:
    """The charts by name; none for what was not measured."""
    cells = report["cells"]
    charts: dict[str, str] = {}
    verdicts = suite_verdicts(report)
    for kind in ("loss", "task"):
        suites = [other_task_row(cell, suite, verdicts) for cell in cells for suite in cell["forgetting"] if suite["kind"] == kind]
        if 0 < len(suites) <= MAX_CHANGES:
            charts[f"other-tasks-{kind}"] = other_tasks(suites, kind, 940, 400)
            charts[f"other-tasks-{kind}-narrow"] = other_tasks(with_stacked_names(suites), kind, NARROW_WIDTH, MAX_NARROW_NAME_WIDTH)
    for number, cell in enumerate(cells if len(cells) <= MAX_PANELS else []):
        if len(cell["arms"]) > 2:
            charts[f"arms{number}"] = scores(cell, ARMS_WIDTH)
            if len(cells) == 1:  # nothing beside it
                charts["arms0-wide"] = scores(cell, ARMS_ALONE_WIDTH)
        if len(points := priced_points(cell)) > 1:
            charts[f"cost{number}"] = against_cost(points, cell["label"], fmt.metric(cell["comparisons"][0]["metric"]))
    return charts


def scores(cell: CellRow, width: int) -> str:
    """Score and interval of every arm of a cell.

    Args:
        width: of the figure, in pixels.
    """
    import altair as alt

    metric = fmt.metric(cell["comparisons"][0]["metric"])
    rows: list[ChartRow] = [
        {
            "label": arm["label"],
            "score": arm["score"],
            "low": arm["low"],
            "high": arm["high"],
            "colour_group": arms.find(arm["name"]).colour_group,
            "description": score_text(arm, metric),
        }
        for arm in without_repeats(cell)
    ]
    name_width, axis_of_names = name_axis(rows, 185)
    present = [name for name in GROUP_COLOURS if any(row["colour_group"] == name for row in rows)]
    colour = alt.Color("colour_group:N", legend=None, scale=alt.Scale(domain=present, range=[INK[GROUP_COLOURS[name]] for name in present]))
    scale = alt.Scale(domain=[0, max(1.0, *(row["high"] or row["score"] for row in rows))], nice=False)
    axis = alt.Axis(title=metric, tickCount=5, domain=False, ticks=False, labelFlush=False)
    y = alt.Y("label:N", sort=None, axis=axis_of_names)
    base_chart = alt.Chart(alt.Data(values=rows)).encode(y=y, color=colour, description="description:N")
    bars = base_chart.mark_rule(strokeWidth=2.5, strokeCap="round").encode(x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q")
    points = base_chart.mark_point(size=70, filled=True, opacity=1).encode(x=alt.X("score:Q", scale=scale, axis=axis))
    chart = alt.layer(bars, points).properties(width=width - name_width, height=alt.Step(24))
    return draw(styled(chart), f"{cell['label']}: score of every arm; the table has the same figures", in_words(rows))


def score_text(arm: ArmRow, metric: str) -> str:
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


def priced_points(cell: CellRow) -> list[ChartRow]:
    """A point for every arm whose requests have a cost: US dollars per 1,000 requests, or seconds per request."""
    unit = cost_unit(cell)
    if unit is None:
        return []
    rows = []
    for arm in without_repeats(cell):
        request_cost = arm["cost"][COST_KEYS[unit]] if arm["cost"] else None
        if not request_cost:
            continue
        cost = 1000 * request_cost if unit == "dollars" else request_cost
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


def against_cost(rows: list[ChartRow], label: str, metric: str) -> str:
    """Score against what a request costs: up and to the left is better."""
    import altair as alt

    lowest = min(row["cost"] for row in rows)
    highest = max(row["cost"] for row in rows)
    title = "US dollars per 1,000 requests" if rows[0]["unit"] == "dollars" else "seconds per request"
    is_log = highest > 8 * lowest
    title += ", logarithmic" if is_log else ""
    scale = alt.Scale(type="log" if is_log else "linear", domain=list(cost_domain(is_log, lowest, highest)), nice=False)
    present = [name for name in GROUP_COLOURS if any(row["colour_group"] == name for row in rows)]
    colour = alt.Color("colour_group:N", legend=None, scale=alt.Scale(domain=present, range=[INK[GROUP_COLOURS[name]] for name in present]))
    y = alt.Y(
        "score:Q", title=metric, scale=alt.Scale(domain=[0, MAX_SCORE], nice=False), axis=alt.Axis(tickCount=5, domain=False, ticks=False)
    )
    x = alt.X("cost:Q", title=title, scale=scale, axis=alt.Axis(tickCount=4, grid=False, format="~g"))
    base_chart = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, color=colour)
    points = base_chart.mark_point(size=85, filled=True, opacity=1, stroke=INK["paper"], strokeWidth=1).encode(description="description:N")
    positions = label_positions([point_position(row, is_log, lowest, highest) for row in rows], [row["name"] for row in rows])
    texts = []
    for side in dict.fromkeys(positions):
        chart_at_position = base_chart.properties(
            data=alt.Data(values=[row for row, place in zip(rows, positions, strict=True) if place == side])
        )
        name = chart_at_position.mark_text(align=side[0], dx=side[1], dy=side[2], fontSize=11).encode(
            text="name:N", description="description:N"
        )
        leader = chart_at_position.mark_rule(aria=False, strokeWidth=1, opacity=0.6, x2Offset=0.8 * side[1], y2Offset=side[2]).encode(
            x2="cost:Q", y2="score:Q"
        )
        texts += [leader, name] if side in FAR_POSITIONS else [name]
    chart = alt.layer(*texts, points).properties(width=PLOT_WIDTH, height=PLOT_HEIGHT)
    return draw(styled(chart), f"{label}: score against cost; the table has the same figures", in_words(rows))


def in_words(rows: list[ChartRow]) -> str:
    """The points of a chart, for readers who do not see it."""
    return f"{'; '.join(row['description'] for row in rows)}."


def point_position(row: ChartRow, is_log: bool, lowest: float, highest: float) -> tuple[float, float]:
    """Position of an arm's point in the cost chart, in pixels from the upper left corner."""
    start, end = cost_domain(is_log, lowest, highest)
    share = math.log(row["cost"] / start) / math.log(end / start) if is_log else (row["cost"] - start) / (end - start)
    return PLOT_WIDTH * share, PLOT_HEIGHT * (1 - row["score"] / MAX_SCORE)


def cost_domain(is_log: bool, lowest: float, highest: float) -> tuple[float, float]:
    """Ends of the cost axis, with room for the name of the most expensive arm.

    Args:
        lowest, highest: costs of the cheapest and of the most expensive arm.
    """
    return (lowest / 1.6, highest * 2.5) if is_log else (0.0, highest * 1.35)


def label_positions(points: list[tuple[float, float]], labels: list[str]) -> list[tuple[str, int, int]]:
    """For each point the first of LABEL_POSITIONS where its name covers no other point and no earlier name, else the first."""
    occupied = [(x - POINT_RADIUS, y - POINT_RADIUS, x + POINT_RADIUS, y + POINT_RADIUS) for x, y in points]
    chosen = []
    for number, ((x, y), label) in enumerate(zip(points, labels, strict=True)):
        others = occupied[:number] + occupied[number + 1 :]
        boxes = {side: label_box(x, y, label, side) for side in LABEL_POSITIONS}
        free_positions = (
            side for side in LABEL_POSITIONS if is_inside(boxes[side]) and not any(overlap(boxes[side], other) for other in others)
        )
        chosen.append(next(free_positions, LABEL_POSITIONS[0]))
        occupied.append(boxes[chosen[-1]])
    return chosen


def label_box(x: float, y: float, label: str, side: tuple[str, int, int]) -> Box:
    """The box of a name beside the point at (x, y): left, top, right, bottom, in pixels."""
    align, dx, dy = side
    width = LETTER_WIDTH * len(label)
    left = x + dx - {"left": 0.0, "center": width / 2, "right": width}[align]
    return left, y + dy - POINT_RADIUS, left + width, y + dy + POINT_RADIUS


def is_inside(area: Box) -> bool:
    return area[0] >= 0 and area[1] >= -2 * POINT_RADIUS and area[2] <= PLOT_WIDTH and area[3] <= PLOT_HEIGHT


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def other_task_row(cell: CellRow, suite: SuiteRow, verdicts: dict[tuple[str, str], Verdict]) -> ChartRow:
    """verdicts: as claimed, by cell and suite; a suite that is no claim is not testable."""
    places = fmt.decimals(suite["low"], suite["high"], suite["margin"])
    value = f"{fmt.signed(suite['difference'], places)} [{fmt.number(suite['low'], places)}, {fmt.number(suite['high'], places)}]"
    verdict = verdicts.get((cell["cell"], suite["suite"]), NOT_TESTABLE)
    description = f"fine-tuned on {cell['label']}, on {suite['label']}: {fmt.typeset(value)}, margin {suite['margin']:+g}, {verdict}"
    label = cell["label"] if suite["kind"] == "loss" else f"{cell['label']} → {suite['label']}"
    return {
        **{key: suite[key] for key in ("difference", "low", "high", "margin")},
        "label": label,
        "description": description,
        "tone": tone(verdict),
    }


def other_tasks(rows: list[ChartRow], kind: str, width: int, max_name_width: int) -> str:
    """The change on other tasks, tuned minus base, with the margin that it must not pass."""
    import altair as alt

    name_width, axis_of_names = name_axis(rows, max_name_width)
    ends = [end for row in rows for end in (row["low"], row["high"], row["margin"], 0.0)]
    room = 0.06 * (max(ends) - min(ends))
    scale = alt.Scale(domain=[min(ends) - room, max(ends) + room], nice=False)
    title = "change in loss, nats/token" if kind == "loss" else "change in score"
    margin_note = "mark: margin" if width < 400 else "the mark is the margin"
    axis = alt.Axis(title=f"{title}; {margin_note}", tickCount=4 if width < 400 else 6, domain=False, ticks=False)
    base_chart = alt.Chart(alt.Data(values=rows)).encode(y=alt.Y("label:N", sort=None, axis=axis_of_names), description="description:N")
    x = alt.X("low:Q", scale=scale, axis=axis)
    colour = alt.Color("tone:N", legend=None, scale=alt.Scale(domain=list(SHAPES), range=[INK[name] for name in SHAPES]))
    shape = alt.Shape("tone:N", legend=None, scale=alt.Scale(domain=list(SHAPES), range=list(SHAPES.values())))
    bars = base_chart.mark_rule(strokeWidth=2.5, strokeCap="round").encode(x=x, x2="high:Q", color=colour)
    points = base_chart.mark_point(size=70, filled=True, opacity=1).encode(x="difference:Q", color=colour, shape=shape)
    margins = base_chart.mark_tick(thickness=2.5, size=18, color=INK["ink"]).encode(x="margin:Q")
    zero = zero_line().encode(x=alt.X("zero:Q", scale=scale, axis=axis))
    chart = alt.layer(zero, margins, bars, points).properties(width=width - name_width - 25, height=row_step(rows))
    return draw(styled(chart), f"Other tasks: {title}; the table has the same figures", in_words(rows))
