"""Draws the training curves with Altair: for every task one chart with the training and the validation loss of all its runs."""

import math
from typing import Any

from pipeline.measures.report_types import Report
from pipeline.page import fmt
from pipeline.page.charts_lift import ChartRow, series_colour, series_shape, styled, tasks
from pipeline.page.svg import INK, SERIES, draw

WIDTH, ALONE_WIDTH = 400, 900
"""Width of a plot, and of one that has no other beside it, in pixels."""
MAX_TOOLTIP_POINTS = 200
"""Approximate number of points with a tooltip on the training curves of a task."""
LOG_RATIO = 20
"""Above this ratio of the highest loss to the lowest the axis is logarithmic."""
DASHES = ([1, 0], [6, 3], [2, 2], [9, 3, 2, 3])
"""Dashes of the lines by seed, for those who do not see colours and for seeds that share one."""


def draw_all(report: Report) -> dict[str, str]:
    """The chart of every task that was trained here as SVG, by name; of a single task also one for a desk."""
    names = tasks(report)
    lines = {number: curve_lines(report, task) for number, task in enumerate(names)}
    alone = {"loss0-wide": curves(lines[0], names[0], ALONE_WIDTH)} if len(names) == 1 and lines[0] else {}
    return {f"loss{number}": curves(lines[number], task) for number, task in enumerate(names) if lines[number]} | alone


def curve_lines(report: Report, task: str) -> list[ChartRow]:
    """A line for every adapter of a task: named by its point of the sweep, or by its seed without a sweep.

    If a sweep has more points than there are colours, lines of one value of its first axis share theirs.
    """
    lines: dict[str, ChartRow] = {}
    cells = [cell for cell in report["cells"] if cell["task"] == task]
    coordinates = {cell["coordinates"] for cell in cells}
    axis = report["sweep"]["axis"] if report["sweep"] and len(coordinates) > len(SERIES) else None
    for cell in cells:
        for place, (seed, key) in enumerate(
            zip(cell["seeds"], cell["adapters"], strict=False)
        ):  # predictions from elsewhere have no adapter
            description = f"{cell['coordinates']}, seed {seed}" if cell["coordinates"] else f"seed {seed}"
            series = fmt.coordinates({axis: cell["point"][axis]}) if axis else cell["coordinates"] or description
            adapter = report["adapters"][key]
            if adapter["imported"]:
                continue
            line = {"key": key, "series": series, "description": description, "dash": DASHES[place % len(DASHES)]}
            lines.setdefault(key, {**line, **adapter["curve"], "kept_step": adapter["kept_step"]})
    return list(lines.values())


def curves(lines: list[ChartRow], task: str, width: int = WIDTH) -> str:
    """Loss against optimizer steps: training as thin lines, validation as points on a line, a ring around the step that was kept."""
    import altair as alt

    names = list(dict.fromkeys(line["series"] for line in lines))
    losses, steps = ([point[place] for line in lines for kind in ("train", "dev") for point in line[kind]] for place in (1, 0))
    scale = alt.Scale(domain=[0, max(steps)], nice=False)
    x = alt.X("step:Q", title="step", scale=scale, axis=alt.Axis(grid=False, tickCount=5, format="d", labelFlush=False))
    encodings = {"x": x, "y": loss_axis(losses), "color": series_colour("series:N", names), "detail": "key:N"}
    crowded = len(lines) > len(SERIES)
    layers = []
    for line in lines:  # each on its own, as a dash is no channel of the data
        rows = {kind: points(line, kind) for kind in ("train", "dev")}
        for kind, stroke, opacity in (("train", 1.25, 0.45 if crowded else 0.7), ("dev", 2, 0.6 if crowded else 1)):
            mark = alt.Chart(alt.Data(values=rows[kind])).mark_line(
                aria=False, strokeWidth=stroke, opacity=opacity, strokeDash=line["dash"], strokeJoin="round"
            )
            layers += [mark.encode(**encodings)] if rows[kind] else []
    validation = [row for line in lines for row in points(line, "dev")]
    layers.append(alt.Chart(alt.Data(values=tooltips(lines))).mark_point(size=28, filled=True).encode(
        **encodings, description="description:N", opacity=alt.Opacity("opacity:Q", scale=None)
    ))  # fmt: skip
    if validation:
        marks = alt.Chart(alt.Data(values=validation)).mark_point(size=34, filled=True, opacity=1)
        layers.append(marks.encode(**encodings, shape=series_shape("series:N", names), description="description:N"))
    if kept_points := [row for line in lines if (row := kept_point(line))]:
        rings = alt.Chart(alt.Data(values=kept_points)).mark_point(size=150, strokeWidth=2, opacity=1, color=INK["ink"])
        layers.append(rings.encode(x=x, y=loss_axis(losses), description="description:N"))
    chart = styled(alt.layer(*layers).properties(width=width, height=230))
    return draw(chart, f"{task}: training and validation loss by step", " ".join(spoken(line) for line in lines))


KINDS = {"train": "training loss", "dev": "validation loss"}
"""What the losses of a curve are called."""


def points(line: ChartRow, kind: str) -> list[ChartRow]:
    """The points of a line's training or validation loss."""
    return [
        {
            "key": line["key"],
            "series": line["series"],
            "step": step,
            "loss": loss,
            "description": f"{line['description']}: {KINDS[kind]} {loss:.3f} at step {step:,}",
        }
        for step, loss in line[kind]
    ]


def tooltips(lines: list[ChartRow]) -> list[ChartRow]:
    """Points of the training losses for tooltips, seen where a line is too short to be one."""
    rows = [points(line, "train") for line in lines]
    every = max(1, sum(map(len, rows)) // MAX_TOOLTIP_POINTS)
    return [{**row, "opacity": 1.0 if len(line) < 3 else 0.0} for line in rows for row in line[::every]]


def kept_point(line: ChartRow) -> ChartRow | None:
    """Where the adapter's weights were taken, if validation chose the step."""
    loss = dict(line["dev"]).get(line["kept_step"])
    if loss is None:
        return None
    step = line["kept_step"]
    return {"step": step, "loss": loss, "description": f"{line['description']}: kept step {step:,}, validation loss {loss:.3f}"}


def spoken(line: ChartRow) -> str:
    """A line in words, for readers who do not see it."""
    parts = []
    for kind, name in KINDS.items():
        if line[kind]:
            (first, before), (last, after) = line[kind][0], line[kind][-1]
            parts.append(f"{name} {before:.3f} at step {first:,}, {after:.3f} at step {last:,}")
    if line["dev"]:
        step, lowest = min(line["dev"], key=lambda point: point[1])
        parts.append(f"lowest validation loss {lowest:.3f} at step {step:,}")
    if kept_point(line):
        parts.append(f"the weights of step {line['kept_step']:,} are kept")
    return f"{line['description']}: {'; '.join(parts)}."


def loss_axis(losses: list[float]) -> Any:
    """Logarithmic where a loss falls so far that the end of a curve would lie on the axis."""
    import altair as alt

    low, high = min(losses), max(losses)
    plain = alt.Axis(tickCount=5, domain=False, ticks=False)
    if not (low > 0 and high > LOG_RATIO * low):
        return alt.Y("loss:Q", title="loss (nats/token)", scale=alt.Scale(domain=[low, high], nice=True, zero=False), axis=plain)
    powers = [10.0**n for n in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    axis = alt.Axis(values=powers, format="~g", domain=False, ticks=False)
    scale = alt.Scale(type="log", domain=[powers[0], powers[-1]])
    return alt.Y("loss:Q", title="loss (nats/token), logarithmic", scale=scale, axis=axis)
