"""What the tables of examples, references, checks and lineage must show, worked out from report.json alone."""

from typing import Any

from tests.expected_cells import Expected, Shown, Tables, label_of, metric, optional, place, score, share, shows, span

Row = dict[str, Any]
HEADS = {"base": "Base", "tuned": "Fine-tuned", "lift": "Lift"}
"""Columns of figures that a paper has, too."""


def changes(classes: Row, n: int, better: str, worse: str) -> Expected:
    (_, up), (_, down), *same = classes.items()
    unchanged = shows(", ".join(f"{{n}} {name}" for name, _ in same), *(number for _, number in same))
    return {better: share(up, n), worse: share(down, n), "Unchanged": unchanged}


def compared(report: Row) -> Tables:
    """How examples changed, reference models, and figures of LoRA Land."""
    kinds = {cell["examples"]["zero_one"] for cell in report["cells"]}
    better = " or ".join(word for word, there in (("fixed", True in kinds), ("gained", False in kinds)) if there).capitalize()
    worse = " or ".join(word for word, there in (("broken", True in kinds), ("lost", False in kinds)) if there).capitalize()
    groups = []
    for cell in report["cells"]:
        counts = cell["examples"]
        row = place(report, cell) | changes(counts["classes"], counts["n"], better, worse) | {"From": "base"}
        row["Base unparsable among them"] = shows("{n}", counts["gained_unread"])
        if (churn := counts["churn"]) is None:
            row["Wrong to another wrong"] = ""
        else:
            row["Wrong to another wrong"] = share(churn["changed"], churn["wrong"]) if churn["wrong"] else "0"
        groups.append(row)
        if (best := cell["headline"]["baseline"]) in counts["by_arm"]:
            row = place(report, cell) | changes(counts["by_arm"][best], counts["n"], better, worse)
            groups.append(row | {"From": label_of(cell, best), "Base unparsable among them": "", "Wrong to another wrong": ""})
    references = []
    for reference in report["references"]:
        row = {
            "Task": reference["label"],
            "Model": reference["name"],
            "Metric": metric(reference["metric"]),
            "Score": shows("{}", reference["score"]),
        }
        row |= {"Fine-tuned vs. this model": span("{+}", reference), "Tokens in": optional("{n}", reference["tokens_in"])}
        row |= {"Tokens out": optional("{n}", reference["tokens_out"]), "Refused": optional("{n}", reference["refused"])}
        references.append(row | {"Cost, USD": optional("{$}", reference["cost"])})
    beside = [published(report, row) for row in report["published"]]
    return {
        "Groups of examples by comparison": groups,
        "Reference models": references,
        "Scores compared with LoRA Land": beside,
    }


def published(report: Row, row: Row) -> Expected:
    seen: Expected = {"Task": row["task"]} | ({"Point": row["label"]} if report["sweep"] else {}) | {"n": shows("{n}", row["n"])}
    for index, name in enumerate(("base", "tuned", "lift")):
        figure, kind = row["figures"][name], "{+}" if name == "lift" else "{}"
        ours, theirs = score(kind, figure["ours"]), score(kind, figure["paper"])
        if name == "lift" and row["interval"][0] is not None:
            ours = shows(f"{kind} [{{}}, {{}}]", figure["ours"], *row["interval"])
        ours = noted(ours, "at constant-answer baseline" if name in row["marks"] else "")
        theirs = noted(theirs, f"ours {figure['word']}" if name != "lift" and figure["word"] in ("higher", "lower") else "")
        seen[HEADS[name]], seen[f"Paper {index + 1}" if index else "Paper"] = ours, theirs
        seen[f"Paper {index + 1}" if index else "Paper"] = noted(
            theirs, "at constant-answer baseline" if name in row["paper_marks"] else ""
        )
    constant = row["constant"]["score"] if row["constant"] else None
    seen |= {"Lifts agree?": row["figures"]["lift"]["word"], "GPT-3.5": score("{}", row["gpt35"]), "GPT-4": score("{}", row["gpt4"])}
    return seen | {"Constant": score("{}", constant)}


def noted(text: Shown, words: str) -> Shown:
    return Shown(f"{text.pattern} {words}", text.values) if words else text


def checked(report: Row) -> Tables:
    answers, alive, sets, dropped, pairs = [], [], [], [], []
    for cell in report["cells"]:
        for arm in cell["answers"]:
            row = place(report, cell) | {"Arm": arm["arm"], "Answers": shows("{n}", arm["n"])}
            row |= {"Unparsable": share(arm["unparsed"], arm["n"]), "Truncated": share(arm["truncated"], arm["n"])}
            row |= {"Repetition loop": share(arm["endless"], arm["n"]), "Empty": share(arm["empty"], arm["n"])}
            answers.append(row | {"Mean tokens": shows("{t}", arm["mean_tokens"])})
        for liveness in cell["liveness"]:
            row = place(report, cell) | {"Seed": str(liveness["seed"]), "Active": "yes" if liveness["alive"] else "no"}
            row |= {"Logit difference": shows("{}", liveness["largest_logit_difference"]), "Probes": shows("{n}", liveness["probes"])}
            row |= {"Zero B matrices": shows("{n} of {n}", liveness["zero_tensors"], liveness["tensors"])}
            alive.append(row | {"Modules reached": shows("{n} of {n}", liveness["matched"], liveness["targets"])})
    for split in report["data"].values():
        overlap = split["overlap"]
        row = {"Task": split["task"], "Split": split["split"]}
        total = sum(drops["count"] for drops in split["dropped"].values())
        sets.append(
            row
            | {"Examples": shows("{n}", split["examples"]), "Validation": shows("{n}", split["dev"]) if overlap else ""}
            | {
                "Requested": shows("{n}", split["wanted"]),
                "Prompts truncated": shows("{n}", split["cut"]),
                "Rows dropped": shows("{n}", total),
            }
            | {
                "Exact duplicates": shows("{n}", overlap["exact"]) if overlap else "",
                "Near-duplicates": shows("{n}", overlap["near"]) if overlap else "",
            }
            | {"Near-duplicate threshold (Jaccard)": shows("{}", overlap["threshold"]) if overlap else ""}
        )
        for reason, drops in split["dropped"].items():
            seen = {
                "Reason": reason,
                "Rows": shows("{n}", drops["count"]),
                "First": ", ".join(drops["first"]),
                "First value": str(drops["value"]),
            }
            dropped.append(row | seen)
        copies = overlap["pairs"] if overlap else []
        pairs += [{"Task": split["task"]} | {key.capitalize(): str(value) for key, value in pair.items()} for pair in copies]
    tables: Tables = {"Answers by arm": answers, "Adapter sanity check": alive, "Sets of examples": sets}
    return tables | {"Dropped rows": dropped, "Overlapping prompts": pairs}


def artifacts(report: Row) -> Tables:
    rows = []
    for artifact in report["artifacts"]:
        git, peak = artifact["git"], artifact["peak"]
        row: Expected = {"Stage": artifact["stage"], "Folder": artifact["folder"], "Digest": artifact["digest"][:12]}
        row |= {"Created (UTC)": artifact["made_at"].replace("T", " ").replace("Z", ""), "Time": shows("{s}", artifact["seconds"])}
        row["Peak memory"] = shows("{b}, GPU {b}", peak["rss"], peak["cuda"]) if "cuda" in peak else shows("{b}", peak["rss"])
        row["Commit"] = git["commit"][:12] + (", changed" if git["dirty"] else "") if git else "none"
        rows.append(row | ({"Environment": artifact["surroundings"]} if len(report["surroundings"]) > 1 else {}))
    return {"Artifacts": rows}


PARTS = (compared, checked, artifacts)
