"""Draws the first figure of the page: for every task the baselines as ticks and the fine-tuned model as a dot."""

from typing import Any

from pipeline import arms
from pipeline.measures.cell_types import CellRow
from pipeline.measures.report_types import Report
from pipeline.page import fmt
from pipeline.page.arms_section import without_repeats
from pipeline.page.charts_lift import NARROW_WIDTH, SHAPES, ChartRow, styled
from pipeline.page.opening_section import by_effect
from pipeline.page.svg import INK, draw
from pipeline.scoring.verdict import qualified, tone

WIDTH = 990
"""Width of the figure on a desk, in pixels."""
MAX_NAME_WIDTH = 250
"""Limit of the width of the names of rows there, in pixels."""
EFFECT_WIDTH = 215
"""Width of the training effect beside its row there, in pixels."""
MAX_LABELLED = 12
"""Up to this many rows, baselines have their names beside their ticks; beyond, a legend names their colours."""
NARROW_NAME = 34
"""Most letters of a name on one line of a narrow figure."""
MAX_NAME = 36
"""Most letters of a line of a name on a desk."""
LETTER_WIDTH, HEAD_LETTER_WIDTH = 6.2, 7.0
"""Width of a letter at 11 pixels, and of one in the head of a narrow row, in pixels."""
TICK_COLOURS = {"base": "ink", "constant answer": "s6", "ranked choices or keys in prompt": "s5", "few-shot": "s3"}
"""Colour of a baseline by its name in the legend."""
TICK = "M-0.1,-0.5H0.1V0.5H-0.1Z"
"""A bar that stands on its place, as a mark whose place can be read from the drawing."""
LEGEND_NAMES = {None: "base", "constant": "constant answer", "format": "ranked choices or keys in prompt", "few-shot": "few-shot"}
"""Name of a baseline in the legend by its step of the decomposition."""
LABEL_OFFSETS = (-15, 17, 30)
"""Distance of the middle of a tick's name from the line of its row, in pixels: above it, else below, else further below."""
LABEL_GAP = 5
"""Least distance of two names on a line, in pixels."""


def draw_all(report: Report) -> dict[str, str]:
    """The figure for a desk and for a phone."""
    cells = by_effect(report)
    return {"scores": score_plot(cells, narrow=False), "scores-narrow": score_plot(cells, narrow=True)}


def score_plot(cells: list[CellRow], narrow: bool) -> str:
    """Baselines and the fine-tuned model of every cell.

    Args:
        narrow: whether names and effects stand above the lines, not beside them.
    """
    import altair as alt

    is_labelled = len(cells) <= MAX_LABELLED
    metrics = {cell["headline"]["metric"] for cell in cells}
    rows = [score_row(cell, narrow) for cell in cells]
    for row in rows if len(metrics) > 1 else []:
        has_own_line = "\n" in row["name"] or (is_labelled and not narrow)
        row["name"] += f"\n{row['metric']}" if has_own_line else f" ({row['metric']})"
    is_below = narrow and any(HEAD_LETTER_WIDTH * len(row["name"].split("\n")[0] + row["effect"]) > NARROW_WIDTH for row in rows)
    for row in rows if is_below else []:  # the effects do not fit beside all names
        row["effect"] = "\n" * (row["name"].count("\n") + 1) + row["effect"]
    head_lines = max(row["name"].count("\n") + 1 for row in rows) + is_below if narrow else 0
    left = 0 if narrow else min(MAX_NAME_WIDTH, 8 * max(len(line) for row in rows for line in row["name"].split("\n"))) + 14
    width = NARROW_WIDTH - 8 if narrow else WIDTH - left - EFFECT_WIDTH
    ticks = [tick for cell in cells for tick in baseline_ticks(cell)]
    ends = [end for row in [*rows, *ticks] for end in (row["score"], row.get("low"), row.get("high")) if end is not None]
    domain = [min(0.0, *ends), max(1.0, *ends)]
    if is_labelled:
        place_labels(rows, ticks, lambda score: width * (score - domain[0]) / (domain[1] - domain[0]), width)
    scale = alt.Scale(domain=domain, nice=False)
    title = rows[0]["metric"] if len(metrics) == 1 else "score"
    x_axis = alt.Axis(title=title, tickCount=5, domain=False, ticks=False, labelFlush=False, titlePadding=6)
    track = alt.Chart(alt.Data(values=rows)).mark_rule(color=INK["rule"], aria=False)
    layers = [
        track.encode(y=alt.Y("cell:N", sort=None, axis=None), x=alt.value(0), x2=alt.value(width)),
        *row_texts(rows, left, width, head_lines, is_below),
        *tick_layers(ticks, scale, x_axis, is_labelled),
        *dot_layers(rows, scale, x_axis),
    ]
    above = 16 * head_lines
    above += LABEL_OFFSETS[2] - LABEL_OFFSETS[1] if any(tick.get("offset") == LABEL_OFFSETS[2] for tick in ticks) else 0
    height = alt.Step((58 if is_labelled and narrow else 62 if is_labelled else 36 if narrow else 30) + above)
    label = f"Scores of {fmt.plural(len(cells), 'row')}: baselines and the fine-tuned model; the tables have the same figures"
    layered = alt.layer(*layers).resolve_scale(color="independent").properties(width=width, height=height)
    chart = styled(layered).configure_legend(
        orient="top", direction="horizontal", columns=2 if narrow else 6, labelColor=INK["muted"], labelFontSize=12, title=None
    )
    return draw(chart, label, " ".join(described(cell) for cell in cells))


def score_row(cell: CellRow, narrow: bool) -> ChartRow:
    """The fine-tuned model of a cell with the training effect."""
    headline = cell["headline"]
    tuned = next(arm for arm in cell["arms"] if arm["name"] == "tuned")
    effect = fmt.typeset(fmt.change(headline["effect"], headline["low"], headline["high"]))
    return {
        "cell": cell["cell"],
        "name": wrapped(cell["label"], NARROW_NAME if narrow else MAX_NAME),
        "metric": fmt.metric(headline["metric"]),
        "score": tuned["score"],
        "low": tuned["low"],
        "high": tuned["high"],
        "tone": tone(headline["verdict"], headline["this_task_only"]),
        "effect": f"{effect} {qualified(headline['verdict'], headline['this_task_only'])}",
        "description": dot_text(cell),
    }


def wrapped(label: str, letters: int) -> str:
    """A name on as many lines as it needs; a part that no line holds is shortened in its middle, as its ends tell rows apart.

    Args:
        letters: the most on a line.
    """
    if len(label) <= letters:
        return label
    half = letters // 2
    lines = label.split(", ")
    return "\n".join(line if len(line) <= letters else f"{line[: half - 1]}…{line[-half:]}" for line in lines)


def dot_text(cell: CellRow) -> str:
    headline = cell["headline"]
    tuned = next(arm for arm in cell["arms"] if arm["name"] == "tuned")
    score = fmt.number(tuned["score"], 3) + (f" {fmt.interval(tuned)}" if tuned["low"] is not None else "")
    effect = fmt.change(headline["effect"], headline["low"], headline["high"], fmt.decimals(headline["low"], headline["high"]))
    return fmt.typeset(f"{cell['label']}: fine-tuned {score}, {headline['kind']} {effect}, {headline['verdict']}")


def baseline_ticks(cell: CellRow) -> list[ChartRow]:
    """The baselines of a cell that need no training, the best one first: its name is the last to be dropped."""
    untrained = ["base", *arms.untrained()]
    best = cell["headline"]["baseline"]
    present = [arm for arm in without_repeats(cell) if arm["name"] in untrained]
    baselines = sorted(present, key=lambda arm: (arm["name"] != best, arm["name"] != "base"))
    rows = []
    for arm in baselines:
        spec = arms.find(arm["name"], cell["constraint"])
        score = fmt.number(arm["score"], 3)
        rows.append(
            {
                "cell": cell["cell"],
                "kind": LEGEND_NAMES[spec.step],
                "score": arm["score"],
                "is_best": arm["name"] == best,
                "label": f"{spec.short or spec.label} {arm['score']:.2f}",
                "description": f"{cell['label']}: {arm['label']} {score}",
            }
        )
    return rows


def described(cell: CellRow) -> str:
    """A cell's row in words, for readers who do not see the figure."""
    baselines = ", ".join(tick["description"].removeprefix(f"{cell['label']}: ") for tick in baseline_ticks(cell))
    return f"{cell['label']}, {fmt.metric(cell['headline']['metric'])}: {baselines}, {dot_text(cell).removeprefix(cell['label'] + ': ')}."


def place_labels(rows: list[ChartRow], ticks: list[ChartRow], position: Any, width: float) -> None:
    """Give every tick the place of its name: over or under it, beside the names that stand there already; in a crowd it has none."""
    taken: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for row in rows:
        row["label"] = f"{row['score']:.2f}"
        half = LETTER_WIDTH * (len(row["label"]) + 1) / 2
        taken[row["cell"], LABEL_OFFSETS[0]] = [(position(row["score"]) - half, position(row["score"]) + half)]
    for tick in ticks:
        size = LETTER_WIDTH * len(tick["label"])
        for offset in LABEL_OFFSETS:
            line = taken.setdefault((tick["cell"], offset), [])
            start = label_start(position(tick["score"]), size, line, width)
            if start is not None:
                line.append((start, start + size))
                tick |= {"offset": offset, "label_x": start}
                break


def label_start(middle: float, size: float, line: list[tuple[float, float]], width: float) -> float | None:
    """Where a name begins that is as near to the middle of its tick as other names on the line allow, and not beside the tick."""
    starts = [middle - size / 2, *(end + LABEL_GAP for _, end in line), *(begin - LABEL_GAP - size for begin, _ in line)]
    starts = [min(max(0.0, start), width - size) for start in starts]
    free = [
        start
        for start in starts
        if start <= middle <= start + size and all(start >= end + LABEL_GAP or start + size <= begin - LABEL_GAP for begin, end in line)
    ]
    return min(free, key=lambda start: abs(start + size / 2 - middle), default=None)


def row_texts(rows: list[ChartRow], left: int, width: int, head_lines: int, is_below: bool) -> list[Any]:
    """Names of rows and training effects.

    Args:
        head_lines: lines of text above the line of a row; 0: they stand beside it.
        is_below: whether the effects stand under the names, not at the right.
    """
    import altair as alt

    base_chart = alt.Chart(alt.Data(values=rows)).encode(y=alt.Y("cell:N", sort=None, axis=None))
    top = -29 - 15 * head_lines if len(rows) <= MAX_LABELLED else -10 - 15 * head_lines
    places: dict[str, Any] = {"lineBreak": "\n", "lineHeight": 15, "aria": False}
    places |= {"dy": top, "baseline": "top"} if head_lines else {"baseline": "middle"}
    names = base_chart.mark_text(align="left", fontSize=13, color=INK["ink"], **places).encode(x=alt.value(-left), text="name:N")
    colour = alt.Color("tone:N", legend=None, scale=alt.Scale(domain=list(SHAPES), range=[INK[name] for name in SHAPES]))
    x = 0 if is_below else width if head_lines else width + 18
    align = "right" if head_lines and not is_below else "left"
    effects = base_chart.mark_text(align=align, fontSize=12, **places).encode(x=alt.value(x), text="effect:N", color=colour)
    return [names, effects]


def shape_legend(report: Report) -> str:
    """What the marks of the figure mean, those that it has: `circle (improved) or square (worse)`."""
    words: dict[str, list[str]] = {}
    for cell in report["cells"]:
        headline = cell["headline"]
        shape = SHAPES[tone(headline["verdict"], headline["this_task_only"])].removesuffix("-up")
        verdict = qualified(headline["verdict"], headline["this_task_only"])
        words[shape] = list(dict.fromkeys([*words.get(shape, []), verdict]))
    return " or ".join(f"{shape} ({' or '.join(verdicts)})" for shape, verdicts in words.items())


def tick_layers(ticks: list[ChartRow], scale: Any, x_axis: Any, is_labelled: bool) -> list[Any]:
    """The ticks of the baselines with the names that have room, or with a legend."""
    import altair as alt

    y = alt.Y("cell:N", sort=None, axis=None)
    kinds = [kind for kind in TICK_COLOURS if any(tick["kind"] == kind for tick in ticks)]
    legend = None if is_labelled else alt.Legend(symbolType="square", symbolStrokeWidth=0)
    colour = alt.Color("kind:N", legend=legend, scale=alt.Scale(domain=kinds, range=[INK[TICK_COLOURS[kind]] for kind in kinds]))
    x = alt.X("score:Q", scale=scale, axis=x_axis)
    size = alt.condition("datum.is_best", alt.value(1600), alt.value(700))
    base_chart = alt.Chart(alt.Data(values=ticks))
    marks = base_chart.mark_point(shape=TICK, filled=True, opacity=1).encode(y=y, x=x, color=colour, size=size, description="description:N")
    layers = [marks]
    for offset in LABEL_OFFSETS:
        labelled = [tick for tick in ticks if tick.get("offset") == offset]
        if labelled:
            names = alt.Chart(alt.Data(values=labelled)).mark_text(dy=offset, fontSize=11, align="left", color=INK["muted"], aria=False)
            place = alt.X("label_x:Q", scale=None)
            layers.append(names.encode(y=y, x=place, text="label:N"))
    return layers


def dot_layers(rows: list[ChartRow], scale: Any, x_axis: Any) -> list[Any]:
    """The fine-tuned model: its interval, its mark by verdict, its score."""
    import altair as alt

    y = alt.Y("cell:N", sort=None, axis=None)
    colour = alt.Color("tone:N", legend=None, scale=alt.Scale(domain=list(SHAPES), range=[INK[name] for name in SHAPES]))
    shape = alt.Shape("tone:N", legend=None, scale=alt.Scale(domain=list(SHAPES), range=list(SHAPES.values())))
    base_chart = alt.Chart(alt.Data(values=rows)).encode(y=y, color=colour)
    x = alt.X("score:Q", scale=scale, axis=x_axis)
    with_interval = [row for row in rows if row["low"] is not None]
    bars = base_chart.properties(data=alt.Data(values=with_interval)).mark_rule(strokeWidth=3, strokeCap="round")
    bars = bars.encode(x=alt.X("low:Q", scale=scale, axis=x_axis), x2="high:Q", description="description:N")
    points = base_chart.mark_point(size=95, filled=True, opacity=1).encode(x=x, shape=shape, description="description:N")
    layers = [*([bars] if with_interval else []), points]
    if "label" in rows[0]:
        layers.append(base_chart.mark_text(dy=LABEL_OFFSETS[0], fontSize=12, fontWeight="bold", aria=False).encode(x=x, text="label:N"))
    return layers
