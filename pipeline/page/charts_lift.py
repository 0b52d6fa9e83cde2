"""Draws the lift along a sweep with Altair, and holds what all charts share."""

import math
import re
from itertools import pairwise
from typing import Any

from pipeline.measures.cell_types import Run
from pipeline.measures.report_types import Report
from pipeline.measures.sweep_types import Sweep, SweepAxis, SweepPoint
from pipeline.page import fmt
from pipeline.page.svg import INK, SERIES, draw
from pipeline.scoring.verdict import Tone

ChartRow = dict[str, Any]
"""A row of a chart's data: what Altair draws."""
SHAPES: dict[Tone, str] = {"good": "circle", "bad": "square", "open": "diamond", "limited": "triangle-up"}
"""The mark of a verdict by its tone, which is also the name of its colour in svg.INK."""
CHARACTER_WIDTH = 7
"""Width of a letter of a wide font at 12 pixels."""
ROW_HEIGHT = 30
"""Height of a row of the forest plot, in pixels."""
LINE_HEIGHT = 14
"""Extra height for each further line of its name, in pixels."""
SWEEP_WIDTH = 360
"""Width of the plot of a sweep, in pixels."""
MAX_LINE_GAP = 18
"""Most pixels between two lines of a sweep at the same value."""
SERIES_SHAPES = ["circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "triangle-right", "triangle-left"]
"""One for every colour of a series."""
NARROW_WIDTH = 345
"""Width of a figure for a phone, in pixels."""
MAX_NARROW_NAME_WIDTH = 145
"""Limit of the width of its names, in pixels."""


def draw_all(report: Report) -> dict[str, str]:
    """Lifts along a sweep as SVG, by name."""
    sweep = report["sweep"]
    if sweep is None:
        return {}
    return {
        f"sweep{number}-{str(axis['axis']).rpartition('.')[2]}": sweep_chart(sweep, axis, task)
        for number, task in enumerate(tasks(report))
        for axis in sweep["axes"]
    }


def tasks(report: Report) -> list[str]:
    return list(dict.fromkeys(cell["task"] for cell in report["cells"]))


def styled(chart: Any) -> Any:
    """Apply the style that all charts share."""
    text: dict[str, Any] = {"labelColor": INK["muted"], "titleColor": INK["muted"], "labelFontSize": 12, "titleFontSize": 12}
    lines: dict[str, Any] = {"gridColor": INK["rule"], "tickColor": INK["rule"], "domainColor": INK["rule"]}
    chart = chart.configure(background="transparent", padding=2).configure_view(stroke=None)
    chart = chart.configure_axis(**text, **lines, titleFontWeight="normal", labelPadding=6, titlePadding=10)
    return chart.configure_legend(
        **text,
        orient="top",
        direction="horizontal",
        columns=3,
        symbolStrokeWidth=2.5,
        symbolOpacity=1,
        columnPadding=28,
        title=None,
        offset=8,
    )


def with_stacked_names(rows: list[ChartRow]) -> list[ChartRow]:
    """The rows for a narrow chart: task, every coordinate of the point and suite on separate lines."""
    return [{**row, "label": re.sub("[,:] | (?=→)", "\n", row["label"])} for row in rows]


def name_axis(rows: list[ChartRow], max_width: int) -> tuple[int, Any]:
    """The width that the names of rows take, in pixels and at most `most`, and the axis that shows them; lines end at line ends."""
    import altair as alt

    longest = max(len(line) for row in rows for line in row["label"].split("\n"))
    name_width = min(max_width, CHARACTER_WIDTH * longest)  # Vega measures with its own font, and the reader's may be wider
    lines = r"split(datum.label, '\n')"
    middle = -LINE_HEIGHT / 2 * further_lines(rows)
    style: dict[str, Any] = {
        "labelColor": INK["ink"],
        "ticks": False,
        "domain": False,
        "grid": False,
        "labelLineHeight": LINE_HEIGHT,
        "labelOffset": middle,
    }
    return name_width, alt.Axis(title=None, labelLimit=max_width, minExtent=name_width, labelExpr=lines, **style)


def row_step(rows: list[ChartRow]) -> Any:
    """The height of a row that has room for every line of its name."""
    import altair as alt

    return alt.Step(ROW_HEIGHT + LINE_HEIGHT * further_lines(rows))


def further_lines(rows: list[ChartRow]) -> int:
    most: int = max(row["label"].count("\n") for row in rows)
    return most


def zero_line() -> Any:
    import altair as alt

    return alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(aria=False, color=INK["muted"], strokeDash=[3, 3])


def series_colour(field: str, names: list[str]) -> Any:
    """A colour for every name while there are enough colours; no legend for one name or too many."""
    import altair as alt

    has_enough_colours = len(names) <= len(SERIES)
    scale = alt.Scale(domain=names, range=[INK[SERIES[number if has_enough_colours else 0]] for number in range(len(names))])
    return alt.Color(field, sort=None, scale=scale, legend=legend(names))


def series_shape(field: str, names: list[str]) -> Any:
    """A shape for every name, for those who do not see its colour."""
    import altair as alt

    has_enough_shapes = len(names) <= len(SERIES_SHAPES)
    scale = alt.Scale(domain=names, range=[SERIES_SHAPES[number if has_enough_shapes else 0] for number in range(len(names))])
    return alt.Shape(field, sort=None, scale=scale, legend=legend(names))


def legend(names: list[str]) -> Any:
    import altair as alt

    columns = max(1, min(3, SWEEP_WIDTH // (CHARACTER_WIDTH * max(map(len, names)) + 40)))
    return alt.Legend(columns=columns) if 1 < len(names) <= len(SERIES) else None


def sweep_chart(sweep: Sweep, sweep_axis: SweepAxis, task: str) -> str:
    """Lift against a swept key: interval and mean of each point, and every seed by itself.

    The other swept keys of a point name its line.
    """
    import altair as alt

    axis = str(sweep_axis["axis"])
    log = sweep_axis["log"]
    points = [point_row(point, axis) for point in sweep["points"] if point["task"] == task]
    names = list(dict.fromkeys(point["name"] for point in points))
    values = sorted({point["value"] for point in points})
    scale = x_scale(log, values)
    ticks = alt.Axis(values=values, labelExpr="'' + datum.value", grid=False)
    x = alt.X("value:Q", title=f"{fmt.key_label(axis)}{', logarithmic' if log else ''}", scale=scale, axis=ticks)
    y = alt.Axis(title=f"lift, {fmt.metric(points[0]['metric'])}", tickCount=5, domain=False, ticks=False)
    gap = spacing(log, values, len(names))
    layers = [zero_line().encode(y=alt.Y("zero:Q", axis=y))]
    for number, name in enumerate(names):
        line = [point for point in points if point["name"] == name]
        layers += line_layers(line, names, x, y, gap * (number - (len(names) - 1) / 2), gap)
    label = f"{task}: lift against {fmt.key_label(axis)}; the table has the same figures"
    words = "; ".join(point["description"] for point in points)
    return draw(styled(alt.layer(*layers).properties(width=SWEEP_WIDTH, height=220)), label, f"{words}.")


def line_layers(points: list[ChartRow], names: list[str], x: Any, y: Any, shift: float, gap: float) -> list[Any]:
    """The marks of one line of a sweep.

    Args:
        names: of all lines, in the order of their colours.
        x: encoding of the swept key.
        y: axis of the lift.
        shift: how far the line is from its values, in pixels.
        gap: how far it is from the next line, in pixels.
    """
    import altair as alt

    colour, shape = (channel("name:N", names) for channel in (series_colour, series_shape))
    base_chart = alt.Chart(alt.Data(values=points)).encode(x=x, color=colour)
    line = base_chart.mark_line(aria=False, strokeWidth=1.75, xOffset=shift).encode(y="lift:Q")
    bars = base_chart.mark_rule(strokeWidth=2.5, strokeCap="round", xOffset=shift).encode(
        y=alt.Y("low:Q", axis=y), y2="high:Q", description="description:N"
    )
    means = base_chart.mark_point(size=75, filled=True, opacity=1, xOffset=shift).encode(
        y="lift:Q", shape=shape, description="description:N"
    )
    run_rows = [run_row(point, run) for point in points for run in point["runs"] or []]
    run_marks = alt.Chart(alt.Data(values=run_rows)).mark_point(size=26, strokeWidth=1.25, opacity=0.9, xOffset=shift + 0.45 * gap)
    seeds = run_marks.encode(x=x, y="run:Q", color=colour, description="description:N")
    return [line, bars, means, *([seeds] if run_rows else [])]


def spacing(log: int | None, values: list[float], lines: int) -> float:
    """Distance between lines in pixels, such that no line hides another and the nearest values stay separate."""
    low, high = axis_domain(log, values)
    positions = [math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low) for value in values]
    nearest = min((after - before for before, after in pairwise(positions)), default=1.0)
    return min(MAX_LINE_GAP, 0.6 * SWEEP_WIDTH * nearest / lines)


def point_row(point: SweepPoint, axis: str) -> ChartRow:
    """A point of a sweep with its value along an axis and the name of its line there."""
    description = f"{fmt.coordinates(point['point'])}: lift {fmt.typeset(fmt.lift(point))}, {point['verdict']}"
    others = {key: value for key, value in point["point"].items() if key != axis}
    return {**point, "value": point["point"][axis], "name": fmt.coordinates(others) or "lift", "description": description}


def run_row(point: ChartRow, run: Run) -> ChartRow:
    lift = fmt.typeset(fmt.signed(run["lift"], 3))
    description = f"{fmt.coordinates(point['point'])}, seed {run['seed']}: lift {lift}"
    return {"name": point["name"], "value": point["value"], "run": run["lift"], "description": description}


def x_scale(log: int | None, values: list[float]) -> Any:
    import altair as alt

    domain = list(axis_domain(log, values))
    return alt.Scale(type="log", base=log, domain=domain, nice=False) if log else alt.Scale(domain=domain, nice=False, zero=False)


def axis_domain(log: int | None, values: list[float]) -> tuple[float, float]:
    """Ends of the axis of a swept key."""
    if log:
        return min(values) / 1.25, max(values) * 1.25
    padding = 0.1 * (max(values) - min(values))
    return min(values) - padding, max(values) + padding
