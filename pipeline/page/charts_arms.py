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
FAMILIES = {"base": "muted", "base, helped": "s5", "tuned": "s0", "placebo": "s1", "other model": "s2"}
WIDTH, HEIGHT, HIGHEST = 360, 220, 1.05
"""Of the cost chart: its plane in pixels, and the score at its upper end."""
NEAR = (("left", 9, -7), ("center", 0, -13), ("right", -9, -7), ("left", 9, 9), ("right", -9, 9))
FAR = tuple((align, dx, dy) for dy in (-20, 22, -33, 35) for align, dx in (("left", 9), ("right", -9)))
"""Positions of names so far away that a line leads to the point."""
SIDES = (*NEAR, *FAR)
"""Where the name of a point may stand, best first: alignment and distance of its middle from the point, in pixels."""
DOT, LETTER = 6, 6
"""Half the size of a point and half the height of a line; the width of a letter. In pixels."""


def all_of(report: Report) -> dict[str, str]:
    """The figures by name; none for what was not measured."""
    cells = report["cells"]
    charts: dict[str, str] = {}
    if split := [row for cell in cells for row in segments(cell)]:
        charts |= {"parts": parts(split, 940, 260), "parts-narrow": parts(stacked(split), NARROW, NARROW_NAMES)}
    verdicts = suite_verdicts(report)
    for kind in ("loss", "task"):
        if suites := [kept_row(cell, suite, verdicts) for cell in cells for suite in cell["forgetting"] if suite["kind"] == kind]:
            charts[f"kept-{kind}"] = forgotten(suites, kind, 940, 400)
            charts[f"kept-{kind}-narrow"] = forgotten(stacked(suites), kind, NARROW, NARROW_NAMES)
    for number, cell in enumerate(cells if len(cells) <= MOST_PANELS else []):
        if len(cell["arms"]) > 2:
            charts[f"arms{number}"] = scores(cell)
        if len(priced := paid(cell)) > 1:
            charts[f"cost{number}"] = against_cost(priced, cell["label"], fmt.metric(cell["comparisons"][0]["metric"]))
    return charts


def segments(cell: CellRow) -> list[Mark]:
    """A score laid out from zero: the base's, then what each part adds."""
    decomposition = cell["decomposition"]
    if not decomposition:
        return []
    start, label = decomposition["chain"][0][1], cell["label"]
    metric = fmt.metric(cell["comparisons"][0]["metric"])
    rows = [{"label": label, "part": "base", "start": 0.0, "end": start, "said": f"{label}: base, {metric} {start:.2f}"}]
    for part in decomposition["parts"]:
        end = start + part["value"]
        value = fmt.typeset(fmt.part_value(part))
        name = "learned, below zero" if part["name"] == "learned" and part["value"] < 0 else part["name"]
        rows.append({"label": label, "part": name, "start": start, "end": end, "said": f"{label}: {part['name']} {value}"})
        start = end
    return rows


def parts(rows: list[Mark], width: int, most: int) -> str:
    """One bar a cell, from nothing to the tuned score; a learned part below zero is drawn back over the bar."""
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
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("label:N", sort=None, axis=axis_of_names), x=x, x2="end:Q", color=colour, description="said:N"
    )
    wide = base.transform_filter("datum.part != 'learned, below zero'").mark_bar(height=15)
    back = base.transform_filter("datum.part == 'learned, below zero'").mark_bar(height=6)
    chart = alt.layer(wide, back).properties(width=width - room - 25, height=step(rows))
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
            "family": arms.find(arm["name"]).family,
            "said": scored(arm, metric),
        }
        for arm in cell["arms"]
    ]
    room, axis_of_names = names(rows, 185)
    there = [name for name in FAMILIES if any(row["family"] == name for row in rows)]
    colour = alt.Color("family:N", legend=None, scale=alt.Scale(domain=there, range=[INK[FAMILIES[name]] for name in there]))
    scale = alt.Scale(domain=[0, max(1.0, *(row["high"] or row["score"] for row in rows))], nice=False)
    axis = alt.Axis(title=metric, tickCount=5, domain=False, ticks=False, labelFlush=False)
    y = alt.Y("label:N", sort=None, axis=axis_of_names)
    base = alt.Chart(alt.Data(values=rows)).encode(y=y, color=colour, description="said:N")
    bars = base.mark_rule(strokeWidth=2.5, strokeCap="round").encode(x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q")
    points = base.mark_point(size=70, filled=True, opacity=1).encode(x=alt.X("score:Q", scale=scale, axis=axis))
    chart = alt.layer(bars, points).properties(width=420 - room, height=alt.Step(24))
    return draw(styled(chart), f"{cell['label']}: score of every arm; the table has the same figures")


def scored(arm: ArmRow, metric: str) -> str:
    return fmt.typeset(
        f"{arm['label']}: {metric} {fmt.number(arm['score'], 3)}" + (f" {fmt.interval(arm)}" if arm["low"] is not None else "")
    )


def unit(cell: CellRow) -> Literal["request", "seconds"] | None:
    """What a request is measured in: dollars where a price is known, else seconds of the machine."""
    account = cell["cost"]
    if not account:
        return None
    arms = account["arms"].values()
    return "request" if any(arm["request"] is not None for arm in arms) else "seconds" if any(arm["seconds"] for arm in arms) else None


def paid(cell: CellRow) -> list[Mark]:
    """A point for every arm whose requests have a price."""
    by = unit(cell)
    if by is None:
        return []
    rows = []
    for arm in cell["arms"]:
        spent = arm["cost"][by] if arm["cost"] else None
        if spent:
            per = 1000 * spent if by == "request" else spent
            price = f"{fmt.dollars(per)} per 1,000 requests" if by == "request" else f"{fmt.seconds(per)} a request"
            description = f"{arm['label']}: score {arm['score']:.3f}, {price}"
            family = arms.find(arm["name"]).family
            rows.append({"name": arm["label"], "score": arm["score"], "spent": per, "by": by, "family": family, "said": description})
    return rows


def against_cost(rows: list[Mark], label: str, metric: str) -> str:
    """Score against what a request costs: up and to the left is better."""
    import altair as alt

    least, most = min(row["spent"] for row in rows), max(row["spent"] for row in rows)
    title = "US dollars per 1,000 requests" if rows[0]["by"] == "request" else "seconds of the machine a request"
    wide = most > 8 * least
    title += ", logarithmic" if wide else ""
    scale = alt.Scale(type="log" if wide else "linear", domain=list(domain(wide, least, most)), nice=False)
    there = [name for name in FAMILIES if any(row["family"] == name for row in rows)]
    colour = alt.Color("family:N", legend=None, scale=alt.Scale(domain=there, range=[INK[FAMILIES[name]] for name in there]))
    highest = alt.Scale(domain=[0, HIGHEST], nice=False)
    y = alt.Y("score:Q", title=metric, scale=highest, axis=alt.Axis(tickCount=5, domain=False, ticks=False))
    x = alt.X("spent:Q", title=title, scale=scale, axis=alt.Axis(tickCount=4, grid=False, format="~g"))
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, color=colour)
    points = base.mark_point(size=85, filled=True, opacity=1, stroke=INK["paper"], strokeWidth=1).encode(description="said:N")
    placed = sides([spot(row, wide, least, most) for row in rows], [row["name"] for row in rows])
    texts = []
    for side in dict.fromkeys(placed):
        labelled = base.properties(data=alt.Data(values=[row for row, place in zip(rows, placed, strict=True) if place == side]))
        name = labelled.mark_text(align=side[0], dx=side[1], dy=side[2], fontSize=11).encode(text="name:N", description="said:N")
        lead = labelled.mark_rule(aria=False, strokeWidth=1, opacity=0.6, x2Offset=0.8 * side[1], y2Offset=side[2]).encode(
            x2="spent:Q", y2="score:Q"
        )
        texts += [lead, name] if side in FAR else [name]
    chart = alt.layer(*texts, points).properties(width=WIDTH, height=HEIGHT)
    return draw(styled(chart), f"{label}: score against cost; the table has the same figures")


def spot(row: Mark, wide: bool, least: float, most: float) -> tuple[float, float]:
    """Where the point of an arm lies in the cost chart, in pixels from its left upper corner."""
    start, end = domain(wide, least, most)
    share = math.log(row["spent"] / start) / math.log(end / start) if wide else (row["spent"] - start) / (end - start)
    return WIDTH * share, HEIGHT * (1 - row["score"] / HIGHEST)


def domain(wide: bool, least: float, most: float) -> tuple[float, float]:
    """Ends of the cost axis: logarithmic where it is wide; the room behind the dearest arm is for its name."""
    return (least / 1.6, most * 2.5) if wide else (0.0, most * 1.35)


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


def kept_row(cell: CellRow, suite: SuiteRow, verdicts: dict[tuple[str, str], Verdict]) -> Mark:
    """verdicts: as claimed, by cell and suite; a suite that is no claim cannot tell."""
    places = max(3, fmt.decimals(suite["low"], suite["high"]))
    value = f"{fmt.signed(suite['difference'], places)} [{fmt.number(suite['low'], places)}, {fmt.number(suite['high'], places)}]"
    description = f"tuned on {cell['label']}, asked {suite['label']}: {fmt.typeset(value)}, margin {suite['margin']:g}"
    label = cell["label"] if suite["kind"] == "loss" else f"{cell['label']}: {suite['label']}"
    return {
        **{key: suite[key] for key in ("difference", "low", "high", "margin")},
        "label": label,
        "said": description,
        "verdict": verdicts.get((cell["cell"], suite["suite"]), CANNOT_TELL),
    }


def forgotten(rows: list[Mark], kind: str, width: int, most: int) -> str:
    """How much worse tuned is than base elsewhere, with the margin that it must stay under."""
    import altair as alt

    room, axis_of_names = names(rows, most)
    worst = max(max(abs(row["low"]), abs(row["high"]), row["margin"]) for row in rows)
    lowest = min(0.0, *(row["low"] for row in rows))
    scale = alt.Scale(domain=[lowest - 0.05 * worst, max(row["margin"] for row in rows) * 1.1 if worst == 0 else worst * 1.08], nice=False)
    title = "worse by, nats a token" if kind == "loss" else "worse by, score"
    mark = "mark: margin" if width < 400 else "the mark is the margin"
    axis = alt.Axis(title=f"{title}; {mark}", tickCount=4 if width < 400 else 6, domain=False, ticks=False)
    base = alt.Chart(alt.Data(values=rows)).encode(y=alt.Y("label:N", sort=None, axis=axis_of_names), description="said:N")
    x = alt.X("low:Q", scale=scale, axis=axis)
    colour = alt.Color("verdict:N", legend=None, scale=alt.Scale(domain=list(COLOURS), range=[INK[name] for name in COLOURS.values()]))
    shape = alt.Shape("verdict:N", legend=None, scale=alt.Scale(domain=list(SHAPES), range=list(SHAPES.values())))
    bars = base.mark_rule(strokeWidth=2.5, strokeCap="round").encode(x=x, x2="high:Q", color=colour)
    points = base.mark_point(size=70, filled=True, opacity=1).encode(x="difference:Q", color=colour, shape=shape)
    margins = base.mark_tick(thickness=2.5, size=18, color=INK["ink"]).encode(x="margin:Q")
    zero = zero_line().encode(x=alt.X("zero:Q", scale=scale, axis=axis))
    chart = alt.layer(zero, margins, bars, points).properties(width=width - room - 25, height=step(rows))
    return draw(styled(chart), f"General ability: {title}; the table has the same figures")
