"""What the tables of report.md and of the terminal, and the points of the charts, must show, worked out from report.json alone."""

from typing import Any

from tests import expected_tables
from tests.expected_cells import Expected, Shown, Tables, corrected, label_of, metric, optional, place, score, short, shows, size, span
from tests.expected_tables import part, parts_of

Row = dict[str, Any]


def markdown(report: Row) -> Tables:
    """The tables of report.md by the heading above them."""
    page = expected_tables.page(report)
    floors = any(cell["constant_answer"] for cell in report["cells"])
    first: list[Expected] = []
    decompositions: list[Expected] = []
    arms: list[Expected] = []
    for cell in report["cells"]:
        primary, floor = cell["comparisons"][0], cell["constant_answer"]
        row = place(report, cell) | {"Metric": metric(primary["metric"]), "Verdict": primary["verdict"]}
        row |= {"Base": shows("{}", primary["base"]), "Tuned": shows("{}", primary["tuned"])}
        row |= {lift_head(report): span("{+}", primary), corrected(report): shows("{p}", primary["p_adjusted"])}
        row |= {"n": shows("{n}", primary["n"]), "Seeds": shows("{n}", primary["seeds"])}
        first.append(row | ({"Always one answer": optional("{}", floor and floor["score"])} if floors else {}))
        if cell["decomposition"]:
            parts = parts_of(cell)
            row = {"Task": cell["label"], "Lift": span("{+}", cell["decomposition"]), "= format": part(parts["format"])}
            row |= {"+ prompt": part(parts["prompt"]), "+ learned": part(parts["learned"])}
            decompositions.append(row | {"Best without training": label_of(cell, cell["decomposition"]["best_cheap"])})
        arms += [{"Task": cell["label"]} | arm(row) for row in cell["arms"]]
    claims = [
        {"Claim": row["sentence"], corrected(report): shows("{p}", row["p_adjusted"]), "Verdict": row["verdict"]}
        for row in report["claims"]
    ]
    points = [
        {"Task": row["task"], "Point": coordinates(row["point"]), lift_head(report): span("{+}", row)}
        | size(row)
        | {"Training time": shows("{s}", row["seconds"])}
        for row in (report["sweep"] or {"points": []})["points"]
    ]
    references = [{key: value for key, value in row.items() if key != "Refused"} for row in page.get("Reference models", [])]
    tables = {
        report["title"]: first,
        "What made the lift": decompositions,
        "Arms": arms if max(len(cell["arms"]) for cell in report["cells"]) > 2 else [],
        "What was kept elsewhere": [suite(cell, row) for cell in report["cells"] for row in cell["forgetting"]],
        "Claims": claims,
        f"Sweep over {' and '.join(map(short, report['recipe']['sweep']))}": points,
        "Reference models": references,
        "Beside LoRA Land (arXiv 2405.00732)": [published(row) for row in report["published"]],
        "Answers": [{key: value for key, value in row.items() if key != "Mean tokens"} for row in page["Answers by arm"]],
        "Answers 2": [artifact(row) for row in report["artifacts"]],
    }
    return {label: rows for label, rows in tables.items() if rows}


def lift_head(report: Row) -> str:
    return f"Lift [{100 * report['confidence']:g} %]"


def coordinates(point: Row) -> str:
    return ", ".join(f"{short(key)} {value:g}" for key, value in point.items())


def arm(row: Row) -> Expected:
    cells: Expected = {"Arm": row["label"], "Score": span("{}", row, "score") if row["low"] is not None else shows("{}", row["score"])}
    cells["Tuned over it"] = span("{+}", row["tuned_over"]) if row["tuned_over"] else ""
    names = {"Unreadable": "unparsed", "Cut off": "truncated", "Endless": "endless", "Empty": "empty"}
    return cells | {head: shows("{n}", row["counts"][name]) for head, name in names.items()}


def suite(cell: Row, row: Row) -> Expected:
    cells: Expected = {"Tuned on": cell["label"], "Asked": row["label"], "n": shows("{n}", row["n"]), "Base": shows("{}", row["base"])}
    cells |= {"Tuned": shows("{}", row["tuned"]), "Worse by": span("{+}", row, "difference"), "Margin": shows("{}", row["margin"])}
    return cells | {"KL": shows("{}", row["kl"]["mean"]) if row["kl"] else ""}


def published(row: Row) -> Expected:
    cells: Expected = {"Task": row["label"], "n": shows("{n}", row["n"])}
    for index, name in enumerate(("base", "tuned", "lift")):
        figure, kind = row["figures"][name], "{+}" if name == "lift" else "{}"
        ours = score(kind, figure["ours"])
        if name == "lift" and row["interval"][0] is not None:
            ours = shows(f"{kind} [{{}}, {{}}]", figure["ours"], *row["interval"])
        number = f" {index + 1}" if index else ""
        cells |= {name.capitalize(): ours, f"Paper{number}": score(kind, figure["paper"])}
        cells[number] = figure["word"] + (", learned nothing" if name in row["marks"] else "")
    cells |= {"GPT-3.5": score("{}", row["gpt35"]), "GPT-4": score("{}", row["gpt4"])}
    return cells | {"Constant": score("{}", row["constant"]["score"] if row["constant"] else None)}


def artifact(row: Row) -> Expected:
    git = row["git"]
    commit = f"`{git['commit'][:12]}`" + (", changed" if git["dirty"] else "") if git else "none"
    cells: Expected = {"Stage": row["stage"], "Folder": row["folder"], "Digest": f"`{row['digest'][:12]}`", "Commit": commit}
    return cells | {"Time": shows("{s}", row["seconds"])}


def terminal(report: Row) -> list[Expected]:
    """The rows of the terminal's table of lifts."""
    rows = []
    keys = report["sweep"]["keys"] if report["sweep"] else []
    for cell in report["cells"]:
        primary = cell["comparisons"][0]
        columns = {"metric": metric(primary["metric"])} if not keys else {"point": cell["coordinates"]}
        if len(keys) == 1:
            columns = {short(keys[0]): f"{cell['point'][keys[0]]:g}"}
        row: Expected = {"task": cell["task"], **columns, "n": shows("{n}", primary["n"]), "verdict": primary["verdict"]}
        row |= {"base": shows("{}", primary["base"]), "tuned": shows("{}", primary["tuned"]), "lift": span("{+}", primary)}
        rows.append(row | {corrected(report): shows("{p}", primary["p_adjusted"])})
    return rows


def terminal_references(report: Row) -> list[Expected]:
    """The rows of the terminal's table of reference models."""
    return [
        {"task": row["label"], "model": row["name"], "metric": metric(row["metric"]), "score": shows("{}", row["score"])}
        | {"tuned over it": span("{+}", row)}
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
            cells[name] = Shown(ours.pattern + "*" * (name in row["marks"]), ours.values)
            cells[f"paper {index + 1}" if index else "paper"] = score(kind, figure["paper"])
        rows.append(cells)
    return rows


def lifts(report: Row) -> list[Shown]:
    """What the points of the forest plot tell, and in the same way below those of the other figures."""
    primaries = [(cell["label"], cell["comparisons"][0]) for cell in report["cells"]]
    paper_lifts = {row["cell"]: row["figures"]["lift"]["paper"] for row in report["published"]}
    theirs = [
        shows(f"{cell['label']}: {{+}} published", paper_lifts[cell["cell"]]) for cell in report["cells"] if cell["cell"] in paper_lifts
    ]
    return theirs + [
        shows(f"{label}: {metric(row['metric'])} lift {{+}} [{{}}, {{}}], {row['verdict']}", row["lift"], row["low"], row["high"])
        for label, row in primaries
    ]


def parts(report: Row) -> list[Shown]:
    points = []
    for cell in report["cells"]:
        if cell["decomposition"]:
            name, base = metric(cell["comparisons"][0]["metric"]), cell["decomposition"]["chain"][0][1]
            points.append(shows(f"{cell['label']}: base, {name} {{}}", base))
            for row in cell["decomposition"]["parts"]:
                expected = part(row)
                points.append(Shown(f"{cell['label']}: {row['name']} {expected.pattern}", expected.values))
    return points


def scores(cell: Row) -> list[Shown]:
    name = metric(cell["comparisons"][0]["metric"])
    return [shows(f"{arm['label']}: {name} {{}} [{{}}, {{}}]", arm["score"], arm["low"], arm["high"]) for arm in cell["arms"]]


def costs(cell: Row) -> list[Shown]:
    priced = [arm for arm in cell["arms"] if expected_tables.thousand(arm["cost"])]
    if priced:
        pattern = "score {}, {$} per 1,000 requests"
        return [shows(f"{arm['label']}: {pattern}", arm["score"], expected_tables.thousand(arm["cost"])) for arm in priced]
    timed = [arm for arm in cell["arms"] if arm["cost"] and arm["cost"]["seconds"]]
    return [shows(f"{arm['label']}: score {{}}, {{s}} a request", arm["score"], arm["cost"]["seconds"]) for arm in timed]


def forgetting(report: Row, kind: str) -> list[Shown]:
    return [
        shows(
            f"tuned on {cell['label']}, asked {suite['label']}: {{+}} [{{}}, {{}}], margin {{}}",
            *(suite[key] for key in ("difference", "low", "high", "margin")),
        )
        for cell in report["cells"]
        for suite in cell["forgetting"]
        if suite["kind"] == kind
    ]


def flips(report: Row) -> list[Shown]:
    """What stands on the folds with examples of general suites that flipped."""
    return [
        shows(f"{words} by {cell['label']}: the first {{n}} of {{n}} on {suite['label']}", len(suite[kind]), suite["flips"][kind])
        for cell in report["cells"]
        for suite in cell["forgetting"]
        for words, kind in (("Broken or lost", "broken"), ("Fixed or gained", "fixed"))
        if suite[kind]
    ]


def curve(report: Row, task: str, kind: str) -> list[Shown]:
    """Every point of a task's curves of a kind; of long ones a figure may tell some only."""
    points = []
    for cell in report["cells"]:
        if cell["task"] == task:
            for seed, key in zip(cell["seeds"], cell["adapters"], strict=True):
                name = f"{cell['coordinates']}, seed {seed}" if cell["coordinates"] else f"seed {seed}"
                points += [shows(f"{name}: {{}} at step {{n}}", loss, step) for step, loss in report["adapters"][key]["curve"][kind]]
    return points


def sweep(report: Row, task: str) -> list[Shown]:
    points = []
    for row in report["sweep"]["points"]:
        if row["task"] == task:
            place = coordinates(row["point"])
            points.append(shows(f"{place}: lift {{+}} [{{}}, {{}}], {row['verdict']}", row["lift"], row["low"], row["high"]))
            points += [shows(f"{place}, seed {run['seed']}: lift {{+}}", run["lift"]) for run in row["runs"] or []]
    return points
