"""Every figure of every table and chart of a report is the one that report.json has for its place: pages are read as their readers do."""

import json
from itertools import combinations
from random import Random
from typing import Any

import pytest

from pipeline.commands.report_table import published_table, references_table, verdict_table
from pipeline.page import charts_arms, charts_lift, charts_scores, charts_training, render
from tests import expected_outside_page, expected_tables
from tests.expected_cells import Expected, Shown, Tables, fits, metric, shows
from tests.page_reader import Drawing, Page, Table, markdown_tables, terminal_table
from tests.report_inputs import BuiltReport, Inputs, placeholder_charts

Row = dict[str, Any]
ARMS = ("base_fewshot", "base_constrained", "base_constrained_raw", "tuned_constrained", "reference.gpt-x", "shuffled_labels", "constant")
RECIPE = {
    "tasks": ["boolq", "shop_notice"],
    "references": [{"name": "gpt-x", "endpoint": "http://localhost/v1", "model": "gpt", "price": {"input": 2.5, "output": 10.0}}],
    "cost": {"gpu_hour": 1.2},
}
SWEEP = {"tasks": ["titles"], "sweep": {"finetune.rank": [4, 16], "finetune.learning_rate": [1e-4, 2e-4]}, "finetune": {"seeds": [0, 1]}}
KEPT = ("recipe", "schema", "point", "seeds", "seed", "rank", "series", "packages", "python", "system", "cpu", "gpu", "confidence")
"""What `distinct` leaves as it is: names of places, and what is no measured figure."""
ALIKE = {("Lifts by task and metric", "Seeds")}
"""Columns that are allowed to hold the same in every row."""


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> BuiltReport:
    return BuiltReport(Inputs(tmp_path_factory.mktemp("full"), RECIPE, arms=ARMS, measured=True, two_metrics=True))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> BuiltReport:
    arms = ("base_fewshot", "base_constrained")
    return BuiltReport(Inputs(tmp_path_factory.mktemp("swept"), SWEEP, n=12, arms=arms, measured=True))


@pytest.fixture(scope="module")
def reports(full: BuiltReport, swept: BuiltReport) -> dict[str, Row]:
    """Reports in which no two figures are alike: of two tasks with all that there is, of eight tasks, and of a sweep."""
    enlarged = enriched(full.json)
    reports = {"two": distinct(enlarged), "many": distinct(repeated(enlarged, 4)), "sweep": distinct(swept.json)}
    for report in reports.values():
        for adapter in report["adapters"].values():
            adapter["kept_step"] = adapter["curve"]["dev"][-2][0]
    return reports


def distinct(value: Any, path: str = "", key: str = "") -> Any:
    """The same with another figure in every place, so that one shown in the wrong place can be seen. Ends of an interval stay in order."""
    draw = Random(path).random()
    if key in KEPT or isinstance(value, bool | str | None):
        return value
    if isinstance(value, dict):
        return {name: distinct(item, f"{path}.{'end' if name in ('low', 'high') else name}", name) for name, item in value.items()}
    if isinstance(value, list):
        return [distinct(item, f"{path}.{index}", key) for index, item in enumerate(value)]
    if key in ("p", "p_adjusted", "p_worse"):
        return 0.002 + 0.9 * draw
    return (
        value + 1 + int(draw * max(83, value // 2)) if isinstance(value, int) else value * (0.3 + 0.7 * draw) + 0.03 * draw * (value == 0)
    )


def enriched(report: Row) -> Row:
    """A report with figures of LoRA Land, which only its own tasks have."""
    enlarged: Row = json.loads(json.dumps(report))
    words = {"base": "higher", "tuned": "agree", "lift": "not comparable"}
    figures = {name: {"ours": 0.4, "paper": 0.5, "word": word, "why": "as it is"} for name, word in words.items()}
    row = {
        "task": "boolq",
        "label": "boolq",
        "cell": "cell0000",
        "metric": "accuracy",
        "n": 40,
        "interval": [0.21, 0.52],
        "figures": figures,
    }
    row |= {
        "marks": {"base": "yes"},
        "paper_marks": {"tuned": "yes"},
        "gpt35": 0.61,
        "gpt4": 0.72,
        "constant": {"answer": "yes", "score": 0.3},
    }
    row |= {
        "strict": {"metric": "accuracy", "base": 0.4, "tuned": 0.6},
        "paper_rows": "",
        "paper_constant": None,
        "setup": [],
        "differs": [],
    }
    other = row | {
        "label": "shop_notice",
        "task": "shop_notice",
        "cell": "cell0001",
        "interval": [None, None],
        "constant": None,
        "marks": {},
    }
    return enlarged | {"published": [row, json.loads(json.dumps(other))]}


def repeated(report: Row, times: int) -> Row:
    """The same with every cell so often, under further names."""
    enlarged = json.loads(json.dumps(report))
    for key in ("cells", "advice", "rules", "claims"):
        enlarged[key] = [copied(row, turn) for turn in range(times) for row in enlarged[key]]
    return enlarged


def copied(row: Row, turn: int) -> Row:
    body = json.dumps(row)
    for name in ("cell0000", "cell0001"):
        body = body.replace(name, f"{name}{turn}" if turn else name)
    for label in ("boolq", "shop_notice"):
        body = body.replace(f'"label": "{label}"', f'"label": "{label}{turn or ""}"').replace(
            f'"task": "{label}"', f'"task": "{label}{turn or ""}"'
        )
    parsed: Row = json.loads(body)
    return parsed


def check(tables: list[Table], expected: Tables) -> None:
    """Every table is expected, with its columns and rows, and every cell holds what it must.

    Tables of single examples, which report.json does not hold, are read in test_first_screen.py.
    """
    tables = [table for table in tables if ": first examples that " not in table.label]
    labels = [table.label for table in tables]
    assert not set(labels) - set(expected), (
        f"no test reads these tables; add them to tests/expected_tables.py: {set(labels) - set(expected)}"
    )
    assert not set(expected) - set(labels), f"these tables are missing: {set(expected) - set(labels)}"
    assert len(set(labels)) == len(labels), f"two tables have one label: {labels}"
    for table in tables:
        compare(table, expected[table.label])


def compare(table: Table, rows: list[Expected]) -> None:
    for row in rows:
        assert not set(table.heads) ^ set(row), (
            f"{table.label}: columns that no test reads, or that are missing: {set(table.heads) ^ set(row)}"
        )
    assert len(table.rows) == len(rows), table.label
    wrong = [
        f"{table.label}, {next(iter(cells.values()))}, {head}: shows '{cells[head]}', not {row[head]!r}"
        for cells, row in zip(table.rows, rows, strict=True)
        for head in table.heads
        if not fits(row[head], cells[head])
    ]
    assert not wrong, "\n".join(wrong)


def test_tables_of_a_written_page_show_the_report(full: BuiltReport, swept: BuiltReport) -> None:
    for inputs in (full, swept):
        check(Page(inputs.html).tables, expected_tables.page(inputs.json))


@pytest.mark.parametrize("name", ["two", "many", "sweep"])
def test_no_figure_stands_in_the_place_of_another(reports: dict[str, Row], name: str) -> None:
    page = Page(render.page(reports[name], {}, placeholder_charts(reports[name])))
    check(page.tables, expected_tables.page(reports[name]))


@pytest.mark.parametrize("name", ["two", "many", "sweep"])
def test_a_figure_in_the_place_of_another_would_be_seen(reports: dict[str, Row], name: str) -> None:
    """The figures of these reports differ so much that no two columns with figures, and not all rows of one, could be exchanged."""
    report = reports[name]
    for table in Page(render.page(report, {}, placeholder_charts(report))).tables:
        expected = expected_tables.page(report)[table.label]
        figures = [head for head in table.heads if any(isinstance(row[head], Shown) for row in expected)]
        for one, other in combinations(figures, 2):
            pairs = list(zip(table.rows, expected, strict=True))
            assert not all(fits(row[one], cells[other]) and fits(row[other], cells[one]) for cells, row in pairs), (table.label, one, other)
        if len(table.rows) > 1:
            same = [head for head in figures if len({cells[head] for cells in table.rows}) == 1]
            assert not [head for head in same if (table.label, head) not in ALIKE], (table.label, same)


@pytest.mark.parametrize("name", ["two", "sweep"])
def test_tables_of_the_markdown_show_the_report(reports: dict[str, Row], name: str) -> None:
    tables = markdown_tables(render.markdown(reports[name]))
    tables[-1].label = "Answers 2"  # the artifacts, in a fold at the end of that section
    check(tables, expected_outside_page.markdown(reports[name]))


@pytest.mark.parametrize("name", ["two", "many", "sweep"])
def test_tables_of_the_terminal_show_the_report(reports: dict[str, Row], name: str) -> None:
    report = reports[name]
    compare(terminal_table(verdict_table(report)), expected_outside_page.terminal(report))
    compare(terminal_table(references_table(report)), expected_outside_page.terminal_references(report))
    compare(terminal_table(published_table(report)), expected_outside_page.terminal_published(report))


def test_cards_and_captions_show_the_report(reports: dict[str, Row]) -> None:
    report = reports["two"]
    page = Page(render.page(report, {}, placeholder_charts(report)))
    marked, tops = page.marked, [table.caption for table in page.tables]
    scores, details, captions = ([text for mark, text in marked if mark == kind] for kind in ("scores", "detail", "caption"))
    for cell, text in zip(report["cells"], scores, strict=True):
        row, headline, speed = cell["comparisons"][0], cell["headline"], cell["speed"]
        written = f"{metric(row['metric'])} {{}} {expected_outside_page.baseline_of(cell)} → {{}} fine-tuned"
        assert shows(written, headline["baseline_score"], headline["tuned"]).fits(text)
        figures = [headline[key] for key in ("effect", "low", "high", "p_adjusted")]
        effect = shows("training effect {+}, 95 % interval {} to {}, p (Holm) = {p}, n = {n}", *figures, row["n"])
        assert any(effect.fits(text) for text in details)
        alone = shows("base alone: {}", headline["base"])
        assert any(alone.fits(text) for text in details) == (headline["baseline"] != "base")
        took = expected_tables.training(cell["cost"]["training"])
        assert isinstance(took, Shown)
        assert any(Shown(f"{cell['label']}: training one adapter took {took.pattern}.", took.values).fits(text) for text in captions)
        size = shows("Adapter {b}, context window {n} tokens", speed["adapter_bytes"], speed["context_window"])
        assert any(size.fits(sentence.strip(".")) for text in tops for sentence in text.split(". "))


@pytest.mark.parametrize(("correction", "is_corrected"), [("holm", True), ("none", False)])
def test_no_table_calls_a_verdict_corrected_that_is_not(reports: dict[str, Row], correction: str, is_corrected: bool) -> None:
    report = reports["two"] | {"correction": correction}
    captions = [table.caption for table in Page(render.page(report, {}, placeholder_charts(report))).tables]
    assert ["Holm-corrected" in caption for caption in captions].count(True) == (2 if is_corrected else 0)


@pytest.mark.parametrize("name", ["two", "many", "sweep"])
def test_folds_of_flipped_examples_count_them(reports: dict[str, Row], name: str) -> None:
    expected = expected_outside_page.flips(reports[name])
    assert any("got better" in fold.pattern for fold in expected)
    assert any("got worse" in fold.pattern for fold in expected)
    suites = [suite for cell in reports[name]["cells"] for suite in cell["forgetting"]]
    assert all(suite["flips"]["fixed"] != suite["flips"]["broken"] for suite in suites if suite["fixed"] or suite["broken"])
    folds = Page(render.page(reports[name], {}, placeholder_charts(reports[name]))).folds
    texts = [text for text in folds if " examples that " in text]
    assert all(one.fits(text) for one, text in zip(expected, texts, strict=True)), (expected, texts)


@pytest.fixture(scope="module")
def figures(reports: dict[str, Row]) -> dict[str, list[Drawing]]:
    """The drawings of pages, from reports in which no two figures are equal."""
    names = ("two", "sweep")
    kinds = (charts_scores, charts_training, charts_lift, charts_arms)
    charts = [{key: svg for kind in kinds for key, svg in kind.draw_all(reports[name]).items()} for name in names]
    pages = [render.page(reports[name], {}, one) for name, one in zip(names, charts, strict=True)]
    return {name: Page(page).drawings for name, page in zip(names, pages, strict=True)}


def under(drawings: list[Drawing], *headings: str) -> list[Drawing]:
    matching = [drawing for drawing in drawings if drawing.under == headings]
    assert matching, headings
    return matching


def tell(drawing: Drawing, expected: list[Shown], all_of_them: bool = True) -> None:
    """Every text of a point is expected here, and every expected one is there."""
    texts = [text for text in drawing.texts if not text.startswith("zero: ") and "; " not in text]  # those of lines, which the library made
    assert texts
    assert not [text for text in texts if not any(one.fits(text) for one in expected)], drawing.under
    missing = [one for one in expected if not any(one.fits(text) for text in texts)]
    assert not missing if all_of_them else len(missing) < 0.7 * len(expected), (drawing.under, missing)


def on_one_scale(places: list[tuple[float, float]]) -> bool:
    """Whether places lie at their values on one linear axis; (value, pixel) each."""
    (low, left), (high, right) = min(places), max(places)
    slope = (right - left) / (high - low)
    return slope > 0 and all(abs(left + slope * (value - low) - place) < 0.01 for value, place in places)


def spread(rows: list[Row], key: str, drawing: Drawing) -> list[tuple[float, float]]:
    """Where a figure draws values and both ends of their intervals, level with each other."""
    rules = [rule for rule in drawing.rules if not rule[0].startswith("zero")]
    points = [(row[key], x) for row, (_, x, _) in zip(rows, drawing.points, strict=True)]
    return points + [
        place for row, (_, *ends) in zip(rows, rules, strict=True) for place in zip((row["low"], row["high"]), ends, strict=True)
    ]


def interval_ends(report: Row, drawing: Drawing) -> list[tuple[float, float]]:
    """Where the first figure draws the ends of the intervals of the fine-tuned model."""
    tuned = [next(arm for arm in cell["arms"] if arm["name"] == "tuned") for cell in report["cells"]]
    rules = [rule for rule in drawing.rules if "fine-tuned" in rule[0]]
    return [place for arm, (_, *ends) in zip(tuned, rules, strict=True) for place in zip((arm["low"], arm["high"]), ends, strict=True)]


def in_order(places: list[tuple[float, float]]) -> bool:
    """Whether what has a higher value lies further right or up; (value, place) each."""
    return all((one[0] - other[0]) * (one[1] - other[1]) >= -1e-6 for one, other in combinations(places, 2))


@pytest.mark.parametrize("name", ["two", "sweep"])
def test_the_first_figure_tells_the_report(figures: dict[str, list[Drawing]], reports: dict[str, Row], name: str) -> None:
    report, drawings = reports[name], figures[name]
    wide, narrow = under(drawings, "Verdict")
    for drawing in (wide, narrow):
        expected = expected_outside_page.first_figure(report)
        tell(drawing, expected)
        places = [(next(one.values[0] for one in expected if one.fits(text)), x) for text, x, _ in drawing.points]
        assert len(places) == len(expected)
        assert on_one_scale(places + interval_ends(report, drawing))


@pytest.mark.parametrize("name", ["two", "sweep"])
def test_points_of_arms_and_costs_tell_the_report(figures: dict[str, list[Drawing]], reports: dict[str, Row], name: str) -> None:
    for cell in reports[name]["cells"]:
        (scores,) = under(figures[name], "All arms", cell["label"])
        tell(scores, expected_outside_page.scores(cell))
        assert on_one_scale(spread(cell["arms"], "score", scores))
        (costs,) = under(figures[name], "Quality against cost", cell["label"])
        tell(costs, expected_outside_page.costs(cell))
        dots = {text: (x, y) for text, x, y in reversed(costs.points)}  # a name beside its point tells the same
        placed = [(cost.values, place) for cost in expected_outside_page.costs(cell) for text, place in dots.items() if cost.fits(text)]
        assert on_one_scale([(score, -y) for (score, _), (_, y) in placed])
        assert in_order([(cost, x) for (_, cost), (x, _) in placed])


@pytest.mark.parametrize("name", ["two", "sweep"])
@pytest.mark.parametrize(("kind", "heading"), [("loss", "Loss on plain English"), ("task", "Score on other tasks: adapter → task")])
def test_points_of_what_was_kept_tell_the_report(figures: Any, reports: dict[str, Row], name: str, kind: str, heading: str) -> None:
    suites = [suite for cell in reports[name]["cells"] for suite in cell["forgetting"] if suite["kind"] == kind]
    for drawing in under(figures[name], "Regressions on other tasks", heading):
        tell(drawing, expected_outside_page.forgetting(reports[name], kind))
        assert on_one_scale(spread(suites, "difference", drawing))


@pytest.mark.parametrize("name", ["two", "sweep"])
def test_points_of_curves_tell_the_report(figures: Any, reports: dict[str, Row], name: str) -> None:
    """Training and validation losses lie in one chart, on one scale, with a ring around the step whose weights are kept."""
    tasks = {cell["task"] for cell in reports[name]["cells"]}
    for task in tasks:
        train, dev, rings = (expected_outside_page.curve(reports[name], task, kind) for kind in ("train", "dev", "kept"))
        assert rings
        drawings = under(figures[name], "Training", task)
        assert len(drawings) == 1 + (len(tasks) == 1)  # one that stands alone has a form for a desk
        for drawing in drawings:
            tell(drawing, [*train, *dev, *rings], all_of_them=False)
            assert all(any(one.fits(text) for text in drawing.texts) for one in [*dev, *rings])
            losses = [
                next(one.values[-1 if one in rings else 0] for one in [*train, *dev, *rings] if one.fits(text))
                for text, _, _ in drawing.points
            ]
            assert in_order([(loss, -y) for loss, (_, _, y) in zip(losses, drawing.points, strict=True)])


def test_points_of_a_sweep_tell_the_report(figures: dict[str, list[Drawing]], reports: dict[str, Row]) -> None:
    for task in {cell["task"] for cell in reports["sweep"]["cells"]}:
        matching = under(figures["sweep"], "Sweep over rank and learning rate", task)
        for drawing in matching:
            expected = expected_outside_page.sweep(reports["sweep"], task)
            tell(drawing, expected)
            assert on_one_scale([(next(one.values[0] for one in expected if one.fits(text)), -y) for text, _, y in drawing.points])
