"""What the tables of report.md and of the terminal, and the points of the charts, must show, worked out from report.json alone."""

from typing import Any

from tests import expected_checks, expected_classes, expected_tables
from tests.expected_cells import Expected, Shown, Tables, corrected, label_of, metric, not_repeated, place, score, short, shows, size, span
from tests.expected_tables import part, parts_of

Row = dict[str, Any]
SHORT = {"base": "base", "base_fewshot": "few-shot", "base_constrained": "ranked", "base_constrained_raw": "ranked, total"}
"""Names of baselines in the table of the terminal, the constant answer aside."""


def markdown(report: Row) -> Tables:
    """The tables of report.md by the heading above them."""
    page = expected_tables.page(report)
    first: list[Expected] = []
    decompositions: list[Expected] = []
    arms: list[Expected] = []
    for cell in report["cells"]:
        primary, headline = cell["comparisons"][0], cell["headline"]
        row = place(report, cell) | {"Metric": metric(primary["metric"]), "Verdict": headline["verdict"]}
        row["Best baseline"] = shows(f"{baseline_of(cell)}, {{}}", headline["baseline_score"])
        row |= {"Base": shows("{}", headline["base"]), "Fine-tuned": shows("{}", headline["tuned"])}
        effect_head = f"Training effect [{100 * report['confidence']:g} %]"
        row |= {effect_head: span("{+}", headline, "effect"), corrected(report): shows("{p}", headline["p_adjusted"])}
        first.append(row | {"n": shows("{n}", primary["n"]), "Seeds": shows("{n}", primary["seeds"])})
        if cell["decomposition"]:
            parts = parts_of(cell)
            row = {"Task": cell["label"], "Lift": span("{+}", cell["decomposition"]), "= constant answer": part(parts["constant"])}
            row |= {"+ format": part(parts["format"]), "+ few-shot": part(parts["few-shot"]), "+ training effect": part(parts["training"])}
            decompositions.append(row | {"Best baseline": label_of(cell, cell["decomposition"]["best_cheap"])})
        arms += [{"Task": cell["label"]} | arm(row) for row in cell["arms"]]
    claims = [
        {"Test": row["sentence"], corrected(report): shows("{p}", row["p_adjusted"]), "Verdict": row["verdict"]} for row in report["claims"]
    ]
    points = [
        {"Task": row["task"], "Point": coordinates(row["point"]), lift_head(report): span("{+}", row)}
        | size(row)
        | {"Training time": shows("{s}", row["seconds"])}
        for row in (report["sweep"] or {"points": []})["points"]
    ]
    verdicts = {(row["cell"], row["subject"]): row["verdict"] for row in report["claims"] if row["kind"] == "non-inferiority"}
    references = [{key: value for key, value in row.items() if key != "Refused"} for row in page.get("Reference models", [])]
    tables = {
        report["title"]: first,
        "Where the lift comes from": decompositions,
        "Arms": arms if max(len(cell["arms"]) for cell in report["cells"]) > 2 else [],
        "Results by class": expected_classes.markdown(report),
        "Regressions on other tasks": [suite(cell, row, verdicts) for cell in report["cells"] for row in cell["forgetting"]],
        "Confirmatory tests": claims,
        f"Sweep over {' and '.join(map(short, report['recipe']['sweep']))}": points,
        "Reference models": references,
        "Compared with LoRA Land (arXiv 2405.00732)": [published(row) for row in report["published"]],
        "Answers": [{key: value for key, value in row.items() if key != "Mean tokens"} for row in page["Answers by arm"]],
        "Answers 2": [artifact(row) for row in report["artifacts"]],
    }
    return {label: rows for label, rows in tables.items() if rows}


def baseline_of(cell: Row) -> str:
    """The display name of the arm that the headline compares with; a constant answer that is no arm of its own stands under its name."""
    return label_of(cell, cell["headline"]["baseline"])


def lift_head(report: Row) -> str:
    return f"Lift [{100 * report['confidence']:g} %]"


def coordinates(point: Row) -> str:
    return ", ".join(f"{short(key)} {value:g}" for key, value in point.items())


def arm(row: Row) -> Expected:
    cells: Expected = {"Arm": row["label"], "Score": span("{}", row, "score") if row["low"] is not None else shows("{}", row["score"])}
    cells["Fine-tuned vs. this arm"] = span("{+}", row["tuned_over"]) if row["tuned_over"] else ""
    names = {"Unparsable": "unparsed", "Truncated": "truncated", "Repetition loop": "endless", "Empty": "empty"}
    return cells | {head: shows("{n}", row["counts"][name]) for head, name in names.items()}


def suite(cell: Row, row: Row, verdicts: dict[tuple[str, str], str]) -> Expected:
    cells: Expected = {"Fine-tuned on": cell["label"], "Evaluated on": row["label"], "n": shows("{n}", row["n"])}
    cells |= {"Base": shows("{}", row["base"]), "Fine-tuned": shows("{}", row["tuned"]), "Margin": shows("{+}", row["margin"])}
    cells |= {"Change": span("{+}", row, "difference"), "Verdict": verdicts.get((cell["cell"], row["suite"]), "not testable")}
    return cells | {"KL": shows("{}", row["kl"]["mean"]) if row["kl"] else ""}


def published(row: Row) -> Expected:
    cells: Expected = {"Task": row["label"], "n": shows("{n}", row["n"])}
    for index, name in enumerate(("base", "tuned", "lift")):
        figure, kind = row["figures"][name], "{+}" if name == "lift" else "{}"
        ours = score(kind, figure["ours"])
        if name == "lift" and row["interval"][0] is not None:
            ours = shows(f"{kind} [{{}}, {{}}]", figure["ours"], *row["interval"])
        number = f" {index + 1}" if index else ""
        cells |= {expected_checks.HEADS[name]: ours, f"Paper{number}": score(kind, figure["paper"])}
        cells[number] = figure["word"] + (", at constant-answer baseline" if name in row["marks"] else "")
    cells |= {"GPT-3.5": score("{}", row["gpt35"]), "GPT-4": score("{}", row["gpt4"])}
    return cells | {"Constant": score("{}", row["constant"]["score"] if row["constant"] else None)}


def artifact(row: Row) -> Expected:
    git = row["git"]
    commit = f"`{git['commit'][:12]}`" + (", changed" if git["dirty"] else "") if git else "none"
    cells: Expected = {"Stage": row["stage"], "Folder": row["folder"], "Digest": f"`{row['digest'][:12]}`", "Commit": commit}
    return cells | {"Time": shows("{s}", row["seconds"])}


def ranked(report: Row) -> list[Row]:
    """The cells as the recipe lists them; of many tasks the largest effect comes first."""
    is_many = len(report["cells"]) > 6 and not report["sweep"]
    cells: list[Row] = sorted(report["cells"], key=lambda cell: -cell["headline"]["effect"]) if is_many else report["cells"]
    return cells


def terminal(report: Row) -> list[Expected]:
    """The rows of the terminal's table of headlines."""
    rows = []
    keys = report["sweep"]["keys"] if report["sweep"] else []
    for cell in ranked(report):
        headline = cell["headline"]
        columns = {"point": cell["coordinates"]} if keys else {}
        if len(keys) == 1:
            columns = {short(keys[0]): f"{cell['point'][keys[0]]:g}"}
        row: Expected = {"task": cell["task"], **columns, "base": shows("{}", headline["base"]), "verdict": headline["verdict"]}
        baseline = (SHORT | {"constant": "constant"})[headline["baseline"]]
        row["best baseline"] = shows(f"{{}} {baseline}", headline["baseline_score"])
        rows.append(row | {"fine-tuned": shows("{}", headline["tuned"]), "training effect": span("{+}", headline, "effect")})
    return rows


def terminal_references(report: Row) -> list[Expected]:
    """The rows of the terminal's table of reference models."""
    return [
        {"task": row["label"], "model": row["name"], "metric": metric(row["metric"]), "score": shows("{}", row["score"])}
        | {"fine-tuned vs. this": span("{+}", row)}
        for row in report["references"]
    ]


def terminal_published(report: Row) -> list[Expected]:
    """The rows of the terminal's table of LoRA Land's figures."""
    rows = []
    for row in report["published"]:
        cells: Expected = {"task": row["label"], "GPT-4": score("{}", row["gpt4"]), "lifts": row["figures"]["lift"]["word"]}
        for index, name in enumerate(("base", "tuned", "lift")):
            figure, kind = row["figures"][name], "{+}" if name == "lift" else "{}"
            ours = score(kind, figure["ours"])
            cells["fine-tuned" if name == "tuned" else name] = Shown(ours.pattern + "*" * (name in row["marks"]), ours.values)
            cells[f"paper {index + 1}" if index else "paper"] = score(kind, figure["paper"])
        rows.append(cells)
    return rows


BASELINES = ("base", "base_fewshot", "base_constrained", "base_constrained_raw", "constant")


def first_figure(report: Row) -> list[Shown]:
    """What the marks of the first figure tell: of every cell its baselines and the fine-tuned model."""
    points = []
    for cell in report["cells"]:
        arms = {arm["name"]: arm for arm in cell["arms"]}
        baselines = [arms[name] for name in BASELINES if name in arms and arms[name] in not_repeated(cell)]
        points += [shows(f"{cell['label']}: {arm['label']} {{}}", arm["score"]) for arm in baselines]
        tuned, headline = arms["tuned"], cell["headline"]
        pattern = f"{cell['label']}: fine-tuned {{}} [{{}}, {{}}], {headline['kind']} {{+}} [{{}}, {{}}], {headline['verdict']}"
        figures = (headline[key] for key in ("effect", "low", "high"))
        points.append(shows(pattern, tuned["score"], tuned["low"], tuned["high"], *figures))
    return points


def scores(cell: Row) -> list[Shown]:
    name = metric(cell["comparisons"][0]["metric"])
    return [shows(f"{arm['label']}: {name} {{}} [{{}}, {{}}]", arm["score"], arm["low"], arm["high"]) for arm in not_repeated(cell)]


def costs(cell: Row) -> list[Shown]:
    priced = [arm for arm in not_repeated(cell) if expected_tables.thousand(arm["cost"])]
    if priced:
        pattern = "score {}, {$} per 1,000 requests"
        return [shows(f"{arm['label']}: {pattern}", arm["score"], expected_tables.thousand(arm["cost"])) for arm in priced]
    timed = [arm for arm in not_repeated(cell) if arm["cost"] and arm["cost"]["seconds"]]
    return [shows(f"{arm['label']}: score {{}}, {{s}} a request", arm["score"], arm["cost"]["seconds"]) for arm in timed]


def forgetting(report: Row, kind: str) -> list[Shown]:
    verdicts = {(claim["cell"], claim["subject"]): claim["verdict"] for claim in report["claims"] if claim["kind"] == "non-inferiority"}
    return [
        shows(
            f"fine-tuned on {cell['label']}, on {suite['label']}: {{+}} [{{}}, {{}}], margin {{+}}, "
            + verdicts.get((cell["cell"], suite["suite"]), "not testable"),
            *(suite[key] for key in ("difference", "low", "high", "margin")),
        )
        for cell in report["cells"]
        for suite in cell["forgetting"]
        if suite["kind"] == kind
    ]


def flips(report: Row) -> list[Shown]:
    """What stands on the folds with examples of general suites that flipped."""
    return [
        shows(
            f"{suite['label']} examples that {words} with the {cell['label']} adapter ({{n}} of {{n}})",
            len(suite[kind]),
            suite["flips"][kind],
        )
        for cell in report["cells"]
        for suite in cell["forgetting"]
        for words, kind in (("got worse", "broken"), ("got better", "fixed"))
        if suite[kind]
    ]


def curve(report: Row, task: str, kind: str) -> list[Shown]:
    """Every point of a task's curves of a kind (or the step that was kept); of long ones a figure may tell some only."""
    points = []
    loss_of = {"train": "training loss", "dev": "validation loss"}
    for cell in report["cells"]:
        if cell["task"] == task:
            for seed, key in zip(cell["seeds"], cell["adapters"], strict=True):
                name = f"{cell['coordinates']}, seed {seed}" if cell["coordinates"] else f"seed {seed}"
                adapter = report["adapters"][key]
                if kind == "kept":
                    step = adapter["kept_step"]
                    loss_at_step = dict(adapter["curve"]["dev"])[step]
                    points.append(shows(f"{name}: kept step {{n}}, validation loss {{}}", step, loss_at_step))
                    continue
                points += [shows(f"{name}: {loss_of[kind]} {{}} at step {{n}}", loss, step) for step, loss in adapter["curve"][kind]]
    return points


def sweep(report: Row, task: str) -> list[Shown]:
    points = []
    for row in report["sweep"]["points"]:
        if row["task"] == task:
            place = coordinates(row["point"])
            points.append(shows(f"{place}: lift {{+}} [{{}}, {{}}], {row['verdict']}", row["lift"], row["low"], row["high"]))
            points += [shows(f"{place}, seed {run['seed']}: lift {{+}}", run["lift"]) for run in row["runs"] or []]
    return points
