"""What the tables of examples, references, checks and lineage must show, worked out from report.json alone."""

from typing import Any

from tests.expected_cells import Expected, Shown, Tables, known, metric, place, score, share, shows, span

Row = dict[str, Any]


def compared(report: Row) -> Tables:
    """How examples changed, reference models, and figures of LoRA Land."""
    kinds = {cell["examples"]["zero_one"] for cell in report["cells"]}
    better = " or ".join(word for word, there in (("fixed", True in kinds), ("gained", False in kinds)) if there).capitalize()
    worse = " or ".join(word for word, there in (("broken", True in kinds), ("lost", False in kinds)) if there).capitalize()
    groups = []
    for cell in report["cells"]:
        found = cell["examples"]
        (_, up), (_, down), *same = found["classes"].items()
        row = place(report, cell) | {better: share(up, found["n"]), worse: share(down, found["n"])}
        row["Of these, base unreadable"] = shows("{n}", found["gained_unread"])
        groups.append(row | {"Unchanged": shows(", ".join(f"{{n}} {name}" for name, _ in same), *(number for _, number in same))})
    references = []
    for told in report["references"]:
        row = {"Task": told["label"], "Model": told["name"], "Metric": metric(told["metric"]), "Score": shows("{}", told["score"])}
        row |= {"Tuned over it": span("{+}", told), "Tokens in": known("{n}", told["tokens_in"])}
        row |= {"Tokens out": known("{n}", told["tokens_out"]), "Refused": known("{n}", told["refused"])}
        references.append(row | {"Cost, USD": known("{$}", told["cost"])})
    beside = [published(report, row) for row in report["published"]]
    return {
        "Groups of examples by comparison": groups,
        "Reference models": references,
        "Figures beside those of LoRA Land": beside,
    }


def published(report: Row, row: Row) -> Expected:
    seen: Expected = {"Task": row["task"]} | ({"Point": row["label"]} if report["sweep"] else {}) | {"n": shows("{n}", row["n"])}
    for at, name in enumerate(("base", "tuned", "lift")):
        told, kind = row["figures"][name], "{+}" if name == "lift" else "{}"
        ours, theirs = score(kind, told["ours"]), score(kind, told["paper"])
        if name == "lift" and row["interval"][0] is not None:
            ours = shows(f"{kind} [{{}}, {{}}]", told["ours"], *row["interval"])
        ours = noted(ours, "learned nothing" if name in row["marks"] else "")
        theirs = noted(theirs, f"ours {told['word']}" if name != "lift" and told["word"] in ("higher", "lower") else "")
        seen[name.capitalize()], seen[f"Paper {at + 1}" if at else "Paper"] = ours, theirs
        seen[f"Paper {at + 1}" if at else "Paper"] = noted(theirs, "learned nothing" if name in row["paper_marks"] else "")
    constant = row["constant"]["score"] if row["constant"] else None
    seen |= {"Lifts agree?": row["figures"]["lift"]["word"], "GPT-3.5": score("{}", row["gpt35"]), "GPT-4": score("{}", row["gpt4"])}
    return seen | {"Constant": score("{}", constant)}


def noted(told: Shown, words: str) -> Shown:
    return Shown(f"{told.pattern} {words}", told.values) if words else told


def checked(report: Row) -> Tables:
    answers, alive, sets, dropped, pairs = [], [], [], [], []
    for cell in report["cells"]:
        for arm in cell["answers"]:
            row = place(report, cell) | {"Arm": arm["arm"], "Answers": shows("{n}", arm["n"])}
            row |= {"Unreadable": share(arm["unparsed"], arm["n"]), "Cut off": share(arm["truncated"], arm["n"])}
            row |= {"Endless": share(arm["endless"], arm["n"]), "Empty": share(arm["empty"], arm["n"])}
            answers.append(row | {"Mean tokens": shows("{t}", arm["mean_tokens"])})
        for told in cell["liveness"]:
            row = place(report, cell) | {"Seed": str(told["seed"]), "Alive": "yes" if told["alive"] else "no"}
            row |= {"Logit difference": shows("{}", told["largest_logit_difference"]), "Probes": shows("{n}", told["probes"])}
            row |= {"Zero B matrices": shows("{n} of {n}", told["zero_tensors"], told["tensors"])}
            alive.append(row | {"Modules reached": shows("{n} of {n}", told["matched"], told["targets"])})
    for found in report["data"].values():
        overlap = found["overlap"]
        row = {"Task": found["task"], "Split": found["split"]}
        total = sum(each["count"] for each in found["dropped"].values())
        sets.append(
            row
            | {"Examples": shows("{n}", found["examples"]), "Dev": shows("{n}", found["dev"]) if overlap else ""}
            | {"Asked for": shows("{n}", found["wanted"]), "Prompts cut": shows("{n}", found["cut"]), "Rows dropped": shows("{n}", total)}
            | {
                "Exact copies": shows("{n}", overlap["exact"]) if overlap else "",
                "Near copies": shows("{n}", overlap["near"]) if overlap else "",
            }
            | {"Near from similarity": shows("{}", overlap["threshold"]) if overlap else ""}
        )
        for reason, each in found["dropped"].items():
            seen = {
                "Reason": reason,
                "Rows": shows("{n}", each["count"]),
                "First": ", ".join(each["first"]),
                "Value of the first": str(each["value"]),
            }
            dropped.append(row | seen)
        told = overlap["pairs"] if overlap else []
        pairs += [{"Task": found["task"]} | {key.capitalize(): str(value) for key, value in pair.items()} for pair in told]
    tables: Tables = {"Answers by arm": answers, "Liveness of the adapters": alive, "Sets of examples": sets}
    return tables | {"Dropped rows": dropped, "Overlapping prompts": pairs}


def made(report: Row) -> Tables:
    rows = []
    for each in report["artifacts"]:
        git, peak = each["git"], each["peak"]
        row: Expected = {"Stage": each["stage"], "Folder": each["folder"], "Digest": each["digest"][:12]}
        row |= {"Made (UTC)": each["at"].replace("T", " ").replace("Z", ""), "Time": shows("{s}", each["seconds"])}
        row["Peak memory"] = shows("{b}, GPU {b}", peak["rss"], peak["cuda"]) if "cuda" in peak else shows("{b}", peak["rss"])
        row["Commit"] = git["commit"][:12] + (", changed" if git["dirty"] else "") if git else "none"
        rows.append(row | ({"Surroundings": each["surroundings"]} if len(report["surroundings"]) > 1 else {}))
    return {"Artifacts": rows}


PARTS = (compared, checked, made)
