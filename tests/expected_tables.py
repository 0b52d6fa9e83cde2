"""What every table of a report must show, worked out from report.json alone: by the label of the table, rows of cells by column."""

from typing import Any

from tests import expected_checks, expected_classes
from tests.expected_cells import (
    Expected,
    Shown,
    Tables,
    corrected,
    label_of,
    metric,
    not_repeated,
    optional,
    place,
    short,
    shows,
    size,
    span,
)
from tests.page_reader import tidy

Row = dict[str, Any]
USED = {"tuned": "the fine-tuned model", "base": "the base", "base_fewshot": "the few-shot base", "inconclusive": "inconclusive"}
CLOSED = {"base_constrained": "the base with ranked choices"}
USED_BY_CONSTRAINT = {
    "": {"constant": "a constant answer"},
    "keys": {"constant": "a constant answer"},
    "choices": {"constant": "a constant answer", **CLOSED},
}
"""Names in sentences, and those that hang on the form of a task's answers."""
VALUES = {"lift": "{+}", "training effect": "{+}", "non-inferiority": "{+}", "hallucination": "{+}"}
VALUES |= {"request price": "{$}", "break-even": "{n}"}
"""How the value of each kind of rule is written."""
THRESHOLDS = {"lift": "≠ {}", "training effect": "≠ {}", "hallucination": "< {}", "request price": "< {$}"}
"""What the value of each kind of rule must clear; a score on another task must not fall by its margin, nor a loss rise by it."""
PARTS = {"= training effect": "training", "+ constant answer": "constant", "+ format": "format", "+ few-shot": "few-shot"}
"""The parts of a lift by the heads of their columns on the page."""


def page(report: Row) -> Tables:
    """The tables of report.html by their labels."""
    tables: Tables = {}
    for part in (
        verdict,
        lifts,
        measured,
        priced,
        elsewhere,
        trained,
        swept,
        expected_classes.page,
        expected_checks.compared,
        expected_checks.checked,
        expected_checks.artifacts,
    ):
        for label, rows in part(report).items():
            if rows:
                tables[label] = rows
    return tables


def verdict(report: Row) -> Tables:
    labels = {cell["cell"]: cell["label"] for cell in report["cells"]}
    tables: Tables = {}
    for label, sure in (("Confirmatory tests", True), ("Exploratory results", False)):
        tables[label] = []
        for rule in report["rules"]:
            if rule["confirmatory"] == sure:
                cells = {"Task": labels[rule["cell"]], "Test": rule["rule"], "Value": ruled(rule), "Threshold": line(rule)}
                p = {"p": shows("{p}", rule["p"]), corrected(report): shows("{p}", rule["p_adjusted"])} if sure else {}
                tables[label].append(cells | p | {"Verdict": rule["verdict"]})
    advice = {row["cell"]: row for row in report["advice"]} if len(report["cells"]) > 6 and not report["sweep"] else {}
    tables["What to use for every task"] = [
        {
            "Task": cell["label"],
            "Use": used(advice[cell["cell"]]["use"], cell),
            "Verdict": cell["headline"]["verdict"],
            "Training effect": span("{+}", cell["headline"], "effect"),
            "Best baseline": shows("{}", cell["headline"]["baseline_score"]),
            "Base": shows("{}", cell["headline"]["base"]),
            "Fine-tuned": shows("{}", cell["headline"]["tuned"]),
        }
        for cell in sorted(report["cells"], key=lambda cell: -cell["headline"]["effect"])
        if advice
    ]
    return tables


def used(arm: str, cell: Row) -> str:
    return (USED | USED_BY_CONSTRAINT[cell["constraint"]])[arm]


def ruled(rule: Row) -> str | Shown:
    if rule["value"] is None:
        return "never" if rule["kind"] == "break-even" and rule["verdict"] == "not cheaper" else "not known"
    if rule["low"] is not None:
        return span(VALUES[rule["kind"]], rule, "value")
    return shows(VALUES[rule["kind"]], rule["value"])


def line(rule: Row) -> str | Shown:
    if rule["kind"] == "non-inferiority":
        return shows("< {}" if rule["unit"] == "nats/token" else "> {}", rule["threshold"])
    return "" if rule["threshold"] is None else shows(THRESHOLDS[rule["kind"]], rule["threshold"])


def lifts(report: Row) -> Tables:
    first, others, parts = [], [], []
    has_effect = any(cell["headline"]["kind"] == "training effect" for cell in report["cells"])
    share = f"{100 * report['confidence']:g} % interval"
    for cell in report["cells"]:
        primary, *rest = cell["comparisons"]
        seen = {"Against base": primary["verdict"], "Lift": shows("{+}", primary["lift"])}
        seen |= {share: shows("[{}, {}]", primary["low"], primary["high"]), "Metric": metric(primary["metric"])}
        seen |= {"Base": shows("{}", primary["base"]), "Fine-tuned": shows("{}", primary["tuned"])}
        seen |= {corrected(report): shows("{p}", primary["p_adjusted"]), "n": shows("{n}", primary["n"])}
        seen |= {"Seeds": shows("{n}", primary["seeds"]), "MDE (80 % power)": shows("{}", primary["smallest_effect"])}
        first.append(place(report, cell) | seen)
        for row in rest:
            seen = {"Metric": metric(row["metric"]), "Base": shows("{}", row["base"]), "Fine-tuned": shows("{}", row["tuned"])}
            others.append(place(report, cell) | seen | {"Lift": span("{+}", row), "p, uncorrected": shows("{p}", row["p"])})
        if cell["decomposition"]:
            parts_by_name = parts_of(cell)
            seen = {"Lift": shows("{+}", cell["decomposition"]["lift"])}
            seen |= {head: part(parts_by_name[name]) for head, name in PARTS.items()}
            *_, (_, best_score), _ = cell["decomposition"]["chain"]
            best = shows(f"{label_of(cell, cell['decomposition']['best_cheap'])}, {{}}", best_score)
            parts.append(place(report, cell) | seen | {"Best baseline without training": best})
    effects = [training_effect(report, cell, share) for cell in report["cells"]] if has_effect else []
    return {"Training effects by task": effects, "Lifts by task and metric": first, "Other metrics": others, "Parts of the lift": parts}


def training_effect(report: Row, cell: Row, share: str) -> Expected:
    headline = cell["headline"]
    words = f"{headline['verdict']}, this task only" if headline["this_task_only"] else headline["verdict"]
    seen = {"Verdict": words, "Training effect": shows("{+}", headline["effect"])}
    seen |= {share: shows("[{}, {}]", headline["low"], headline["high"]), "Best baseline": label_of(cell, headline["baseline"])}
    seen |= {"Its score": shows("{}", headline["baseline_score"]), "Fine-tuned": shows("{}", headline["tuned"])}
    seen |= {corrected(report): shows("{p}", headline["p_adjusted"]), "n": shows("{n}", headline["n"])}
    return place(report, cell) | seen | {"MDE (80 % power)": shows("{}", headline["smallest_effect"])}


def parts_of(cell: Row) -> Row:
    return {part["name"]: part for part in cell["decomposition"]["parts"]}


def part(row: Row) -> str | Shown:
    if row["low"] is not None:
        return span("{+}", row, "value")
    if not row["tried"]:
        return f"- (not tested: {row['why']})" if row["why"] else "- (not tested)"
    tried = row["tried"]
    return shows("{+} (no gain: {+} [{}, {}])", row["value"], tried["value"], tried["low"], tried["high"])


def measured(report: Row) -> Tables:
    tables: Tables = {}
    for cell in report["cells"]:
        tables[f"Arms of {cell['label']}"] = [arm_row(cell, arm) for arm in not_repeated(cell)]
        if len(cell["comparisons"]) > 1 and len(cell["arms"]) > 2:
            tables[f"Other metrics of {cell['label']}"] = [other_metrics(cell, arm) for arm in cell["arms"]]
        peaks = any(arm["speed"]["peak_bytes"] for arm in cell["arms"] if arm["speed"])
        tables[f"Speed and size of {cell['label']}"] = [speed_row(cell, arm, peaks) for arm in cell["arms"] if arm["speed"]]
        judged = [arm for arm in cell["arms"] if arm["hallucination"]]
        tables[f"Hallucinated in {cell['label']}"] = [invented(arm) for arm in judged]
        if cell["hallucination"] == "slots":
            tables[f"Slots of {cell['label']}"] = [slots(arm) for arm in judged if arm["hallucination"]["slots"]]
    return tables


def arm_row(cell: Row, arm: Row) -> Expected:
    counts = arm["counts"]
    row: Expected = {"Arm": arm["label"]}
    row["Score"] = span("{}", arm, "score") if arm["low"] is not None else shows("{}", arm["score"])
    if len(cell["arms"]) > 2:
        row["Fine-tuned vs. this arm"] = span("{+}", arm["tuned_over"]) if arm["tuned_over"] else ""
    if has(cell, "lenient"):
        row["Contains target (lenient)"] = optional("{%}", arm["lenient"])
    for head, name in {"Unparsable": "unparsed", "Truncated": "truncated", "Repetition loop": "endless", "Empty": "empty"}.items():
        row[head] = shows("{n} ({%})", counts[name], counts[name] / counts["n"]) if counts[name] else "0"
    if has(cell, "relevance"):
        measure = arm["relevance"]
        row["Prompt relevance (nats/token)"] = shows("{+} AUC {}", measure["gain"], measure["auc"]) if measure else ""
    if has(cell, "hallucination"):
        measure = arm["hallucination"]
        row["Hallucinated"] = (
            shows("{%} [{h}, {h}]", measure["rate"], measure["low"], measure["high"]) if measure["rate"] is not None else "no answers"
        )
    if has(cell, "speed"):
        row |= timed(arm["speed"])
    if any((other["cost"] or {}).get("request") is not None for other in cell["arms"]):
        row["USD per 1,000"] = optional("{$}", thousand(arm["cost"]))
    return row


def other_metrics(cell: Row, arm: Row) -> Expected:
    by_metric = {row["metric"]: span("{}", row, "score") for row in arm["metrics"]}
    return {"Arm": arm["label"]} | {metric(row["metric"]): by_metric.get(row["metric"], "") for row in cell["comparisons"][1:]}


def speed_row(cell: Row, arm: Row, peaks: bool) -> Expected:
    speed = arm["speed"]
    row: Expected = {"Arm": arm["label"], "p50": shows("{s}", speed["p50"]), "Max": shows("{s}", speed["max"])}
    row["p95"] = optional("{s}", speed["p95"])
    row |= {"vs. base": optional("{} ×", speed["overhead"]), "Prompt tokens": shows("{n}", speed["prompt_tokens"])}
    row |= {"Prefill tok/s": shows("{n}", speed["prompt_tokens_per_second"]), "Weights": shows("{b}", speed["weight_bytes"])}
    row["Decode tok/s"] = "n/a" if speed["ranks"] else optional("{n}", speed["tokens_per_second"])
    row["Measured"] = f"as {label_of(cell, speed['timed_as'])}" if speed["timed_as"] else "directly"
    return row | ({"Peak memory": shows("{b}", speed["peak_bytes"])} if peaks else {})


def has(cell: Row, measure: str) -> bool:
    return any(arm[measure] is not None for arm in cell["arms"])


def timed(speed: Row | None) -> Expected:
    if not speed:
        return {"Latency p50, max": "", "Decode tok/s": ""}
    rate, factor = speed["tokens_per_second"], speed["overhead"]
    wrote = ("n/a", []) if speed["ranks"] else ("{n}", [rate])
    slower = (" {} × base latency", [factor]) if factor else ("", [])
    return {
        "Latency p50, max": shows("{s} {s}", speed["p50"], speed["max"]),
        "Decode tok/s": shows(wrote[0] + slower[0], *wrote[1], *slower[1]),
    }


def thousand(cost: Row | None) -> float | None:
    return None if not cost or cost["request"] is None else 1000 * cost["request"]


def slots(arm: Row) -> Expected:
    slots = arm["hallucination"]["slots"]
    row: Expected = {"Arm": arm["label"], "Slots": shows("{n}", slots["of"])}
    for name in ("missing", "added", "wrong"):
        rate = slots["rates"][name]
        row[name.capitalize()] = shows("{n} [{h}, {h}]", slots[name], rate["low"], rate["high"])
    return row


def invented(arm: Row) -> Expected:
    hallucination = arm["hallucination"]
    first = "; ".join(f"{finding['example']}: {', '.join(finding['facts'])}" for finding in hallucination["first"][:5])
    row: Expected = {"Arm": arm["label"], "Answers checked": shows("{n}", hallucination["answers"]), "First 5": first}
    row["With hallucinations"] = shows("{n}", hallucination["hallucinated"])
    return row | {f"{kind.capitalize()}s": optional("{n}", hallucination["kinds"].get(kind)) for kind in ("name", "number", "date")}


def priced(report: Row) -> Tables:
    spent, even = [], []
    cells = [cell for cell in report["cells"] if cell["cost"]]
    is_priced = any(thousand(arm["cost"]) is not None for cell in cells for arm in cell["arms"])
    for cell in cells:
        for arm in not_repeated(cell):
            if arm["cost"]:
                row: Expected = {"Task": cell["label"], "Arm": arm["label"], "Tokens in": optional("{n}", arm["tokens_in"])}
                row |= {"Tokens out": shows("{t}", arm["tokens_out"]), "Seconds per request": optional("{}", arm["cost"]["seconds"])}
                if is_priced:
                    row["USD per 1 M in"] = optional("{$}", arm["cost"]["in_per_million"])
                    row["USD per 1 M out"] = optional("{$}", arm["cost"]["out_per_million"])
                    row["USD per 1,000 requests"] = optional("{$}", thousand(arm["cost"]))
                spent.append(row)
        for break_even in cell["cost"]["break_even"]:
            row = {
                "Task": cell["label"],
                "Cheaper": label_of(cell, break_even["one"]),
                "Than": label_of(cell, break_even["other"]),
                "Why": break_even["why"],
            }
            row["After requests"] = "never" if break_even["reason"] == "never" else shows("{n}", break_even["requests"])
            row["Training"] = training(cell["cost"]["training"]) if break_even["one"] == "tuned" else ""
            even.append(row)
    return {"Cost of training and inference": spent, "Break-even": even}


def training(cost: Row) -> str | Shown:
    if cost["gpu_hours"] is None:
        return "not known"
    took = 3600 * cost["gpu_hours"]
    return shows("{s}", took) if cost["dollars"] is None else shows("{$} ({s})", cost["dollars"], took)


def elsewhere(report: Row) -> Tables:
    verdicts = {(claim["cell"], claim["subject"]): claim["verdict"] for claim in report["claims"] if claim["kind"] == "non-inferiority"}
    suites: list[Expected] = []
    tables: Tables = {"Other tasks by adapter": matrix(report), "Other tasks": suites}
    for cell in report["cells"]:
        for suite in cell["forgetting"]:
            label = suite["label"] + (f", {metric(suite['task_metric'])}" if suite["task_metric"] else "")
            row: Expected = {"Fine-tuned on": cell["label"], "Evaluated on": label, "n": shows("{n}", suite["n"])}
            row |= {"Base": shows("{}", suite["base"]), "Fine-tuned": shows("{}", suite["tuned"])}
            row |= {"Best constant": optional("{}", suite["constant"])}
            row |= {"Change": span("{+}", suite, "difference"), "Margin": shows("{+}", suite["margin"])}
            row["Verdict"] = verdicts.get((cell["cell"], suite["suite"]), "not testable")
            row["KL"] = span("{}", suite["kl"], "mean") if suite["kl"] else ""
            flips = suite["flips"]
            both = shows("{n}, {n}", flips["fixed"], flips["broken"])
            suites.append(row | {"Fixed, broken": both if suite["kind"] == "task" else ""})
            for kind, rows in (("got worse", suite["broken"]), ("got better", suite["fixed"])):
                tables[f"{suite['label']} examples that {kind} with the {cell['label']} adapter"] = [flipped(example) for example in rows]
    return tables


def matrix(report: Row) -> list[Expected]:
    """A row for every adapter, a column for everything else that it was evaluated on."""
    columns, rows = (report["other_tasks"] or {"columns": [], "rows": []}).values()
    heads = [column["label"] + (" (loss)" if column["kind"] == "loss" else "") for column in columns]
    expected: list[Expected] = []
    for row in rows:
        cells = {
            head: shows(f"{{+}} {change['verdict']}", change["change"]) if change else "not run"
            for head, change in zip(heads, row["changes"], strict=True)
        }
        own = {head: "own task" for head, column in zip(heads, columns, strict=True) if column["suite"] == row["task"]}
        expected.append({"Fine-tuned on": row["label"]} | cells | own)
    return expected


def flipped(row: Row) -> Expected:
    """An example of a general suite; texts of the test are short enough to stand whole."""
    heads = {"Prompt": "prompt", "Target": "target", "Base": "base", "Fine-tuned": "tuned"}
    return {"Example": row["id"]} | {head: tidy(row[key]) for head, key in heads.items()}


def trained(report: Row) -> Tables:
    rows = []
    for cell in report["cells"]:
        for seed, key in zip(cell["seeds"], cell["adapters"], strict=True):
            run = report["adapters"][key]
            losses = [loss for _, loss in run["curve"]["train"]]
            row = place(report, cell) | {
                "Seed": str(seed),
                "Steps": shows("{n}", run["steps"]),
                "Best step": shows("{n}", run["kept_step"]),
            }
            row |= {"Loss, first": shows("{}", losses[0]), "Loss, last": shows("{}", losses[-1])}
            row |= {"Validation loss (best)": shows("{}", run["dev_loss"]), "Target tokens": shows("{n}", run["target_tokens"])}
            row |= {"Tokens/s": shows("{n}", run["tokens_per_second"]), "Time": shows("{s}", run["seconds"])}
            rows.append(row | size(run))
    return {"Training runs": rows}


def swept(report: Row) -> Tables:
    points, against = [], []
    for point in (report["sweep"] or {"points": []})["points"]:
        row: Expected = {"Task": point["task"], "Lift": span("{+}", point), "Verdict": point["verdict"]}
        row |= {short(key).capitalize(): f"{value:g}" for key, value in point["point"].items()}
        runs = [run["lift"] for run in point["runs"] or []]
        row["Single seeds"] = shows(", ".join(["{+}"] * len(runs)), *runs) if runs else "none"
        points.append(row | size(point) | {"Training time": shows("{s}", point["seconds"])})
    for line in report["learning"]:
        coordinates = "".join(f", {short(key)} {value:g}" for key, value in line["point"].items())
        for point in line["points"]:
            gap = point["against_best"]
            row = {"Task": line["task"] + coordinates, "Value": f"{short(line['axis'])} {point['value']:g}"}
            row |= {"Fine-tuned": span("{}", point, "tuned"), "Minus the best": span("{+}", gap, "difference")}
            against.append(row | {"p (non-inferiority, Holm)": shows("{p}", point["p_adjusted"])})
    return {"Sweep": points, "Each point against the best": against}
