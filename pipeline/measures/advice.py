"""When to use the fine-tune and when the base will do: sentences and a table of rules, each with the row that it rests on.

Three words only: better, worse, cannot tell. What the confirmatory claims say decides; everything else is marked exploratory.
"""

import math
from collections.abc import Mapping
from typing import Any

from pipeline.measures import constant_baseline, names
from pipeline.measures.constant_baseline import CANNOT, NEITHER

Row = dict[str, Any]
Linked = tuple[str, list[str]]
"""Words of a sentence, and the anchors of what they rest on."""
UNTESTED = {"p": None, "p_adjusted": None}
"""Of what is exploratory."""


def advise(cells: list[Row], claims: list[Row]) -> tuple[list[Row], list[Row]]:
    """The recommendation for every cell, and the rules that it follows from.

    Args:
        cells: of report.json: cell, label, task, arms, floor, decomposition, grounding, cost.
        claims: of report.json, with verdicts; where cells share a comparison, each has the claims under its own name.

    Returns:
        [{task, cell, label, use, sentences: [{text, evidence, rule}]}], and [{cell, label, rule, value, low, high, threshold, verdict,
        evidence, confirmatory}]; use is `tuned`, the name of an arm that needs no training, `neither` (an answer that is always the
        same scores as much), or `cannot tell`. A sentence's rule is the name of the cell's rule that it rests on, None where it rests
        on a table of the page alone.
    """
    by_cell = {cell["cell"]: [claim for claim in claims if claim["cell"] == cell["cell"]] for cell in cells}
    return [recommended(cell, by_cell[cell["cell"]]) for cell in cells], [
        row for cell in cells for row in rules(cell, by_cell[cell["cell"]])
    ]


def recommended(cell: Row, claims: list[Row]) -> Row:
    """What to use for one task, and why."""
    lift, learned = of_kind(claims, "lift"), of_kind(claims, "learned")
    rival = best_cheap(cell)
    use = choice(lift, learned, rival)
    at = f"#{cell['cell']}-arms"
    if decided := constant_baseline.decides(cell, use, rival):
        use, told = decided, [{"text": constant_baseline.saying(cell, decided, use, rival), "evidence": at, "rule": None}]
    else:
        told = [saying(use, cell, lift, learned, rival)]
        told += [{"text": beside, "evidence": at, "rule": None} for beside in [constant_baseline.aside(cell, rival)] if beside]
    sentences = [*told, *caveats(cell, claims, use), *costs(cell, use)]
    return {"task": cell["task"], "cell": cell["cell"], "label": cell["label"], "use": use, "sentences": sentences}


def of_kind(claims: list[Row], kind: str) -> Row | None:
    return next((claim for claim in claims if claim["kind"] == kind), None)


def best_cheap(cell: Row) -> str:
    """The best arm that needs no training, as the decomposition chose it."""
    found = cell["decomposition"]
    return str(found["best_cheap"]) if found else "base"


def choice(lift: Row | None, learned: Row | None, rival: str) -> str:
    """The arm to use: tuned must be shown to be better than the best that needs no training, not only than the base."""
    decisive = learned or lift
    if decisive is None or decisive["verdict"] == CANNOT:
        return CANNOT
    return "tuned" if decisive["verdict"] == "better" else rival


def saying(use: str, cell: Row, lift: Row | None, learned: Row | None, rival: str) -> Row:
    """The recommendation as a sentence; its condition names what was not asked."""
    decisive, name = learned or lift, cell["label"]
    if decisive is None:
        return {"text": f"Cannot tell what to use for {name}: nothing was claimed.", "evidence": f"#{cell['cell']}", "rule": None}
    against = names.arm(rival) if learned else "the base"
    words = f"{decisive['verdict']} than {against} by {names.signed(decisive)}"
    if use == "tuned":
        more = "" if learned else "; examples in the prompt and a fixed form of the answer were not tried"
        text = f"Use the fine-tune when the task is {name}: it is {words}{more}."
    elif use == CANNOT:
        aside = ", though it is better than the bare base" if learned and lift and lift["verdict"] == "better" else ""
        text = (
            f"Cannot tell whether the fine-tune is better than {against} on {name} ({names.signed(decisive)}){aside}: use {against} when "
        )
        text += "training is to be spared."
    else:
        text = f"Use {names.arm(use)} when the task is {name}: the fine-tune is {words}."
    return {"text": text, "evidence": decisive["evidence"], "rule": called(decisive, rival)}


def caveats(cell: Row, claims: list[Row], use: str) -> list[Row]:
    """What speaks against leaving the adapter on for everything, or is not known of it; and invented facts."""
    said = []
    for claim in claims:
        if claim["kind"] == "kept" and claim["verdict"] != "better":
            shown = claim["verdict"] == "worse"
            of = names.suite(claim["subject"])
            text = f"Do not leave the adapter on for {of}: there it is worse than the base by more than {names.margin(claim)}."
            unsure = (
                f"Cannot tell whether the fine-tune is worse on {of} by more than {names.margin(claim)}: try it there before it is used so."
            )
            said.append({"text": text if shown else unsure, "evidence": claim["evidence"], "rule": called(claim, best_cheap(cell))})
    invented = hallucination(cell)
    if invented and invented["verdict"] == "worse" and use == "tuned":
        by = names.signed(invented)
        text = f"Use the base when no fact may be invented: the fine-tune is worse there by {by} of the answers (exploratory)."
        said.append({"text": text, "evidence": invented["evidence"], "rule": invented["rule"]})
    return said


def costs(cell: Row, use: str) -> list[Row]:
    """From how many requests the adapter pays, where that is known, and where price decides: beside an arm that it is not better than.

    A cheaper arm whose answers are worse is no choice at any number of requests; where tuned is not better than the bare base, that is the
    cheapest and nothing is said. Without a price of the machine's hour its time is weighed.
    """
    said = []
    alike = {row["name"] for row in cell["arms"] if row.get("tuned_over") and not row["tuned_over"]["low"] > 0}
    if "base" in alike:
        return []
    for row in (cell.get("cost") or {}).get("break_even", []) if use in ("tuned", CANNOT) else []:
        if row["other"] not in alike:
            continue
        other = names.arm(row["other"])
        if row["one"] == "tuned" and row["requests"] is not None:
            few = f"fewer than about {rounded(row['requests'])} requests and the fine-tune for more"
        elif row["one"] == "tuned" and row["why"].startswith("never"):
            few = "any number of requests"
        else:
            continue
        by = "time" if cell["cost"]["arms"]["tuned"]["request"] is None else "price"
        text = f"By {by} alone, use {other} for {few}."
        said.append({"text": text, "evidence": f"#{cell['cell']}-cost", "rule": cheaper(row["other"])})
    return said


def rules(cell: Row, claims: list[Row]) -> list[Row]:
    """The table behind the sentences: the claims first, then what is exploratory."""
    at = {"cell": cell["cell"], "label": cell["label"]}
    found = [at | of_claim(claim, best_cheap(cell)) for claim in claims]
    invented = hallucination(cell)
    return [*found, *([at | invented] if invented else []), *(at | row for row in prices(cell))]


def of_claim(claim: Row, rival: str) -> Row:
    kept = claim["kind"] == "kept"
    shared = {name: claim[name] for name in ("value", "low", "high", "p", "p_adjusted", "verdict", "evidence")}
    return {"rule": called(claim, rival), **shared, "threshold": claim["margin"] if kept else 0.0, "confirmatory": True}


def called(claim: Row, rival: str) -> str:
    """A claim's name in the table of rules."""
    return {
        "lift": "lift over the base",
        "learned": f"learned over {names.arm(rival)}",
        "kept": f"kept on {names.suite(claim['subject'])}",
    }[str(claim["kind"])]


def cheaper(other: str) -> str:
    """The name of a break-even in the table of rules."""
    return f"requests from which it is cheaper than {names.arm(other)}"


def hallucination(cell: Row) -> Row | None:
    """Share of answers with invented facts, tuned minus base; exploratory.

    The interval joins those of the two shares as if the arms were independent (Newcombe 1998, method 10,
    doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I), which is wider than a paired one.
    """
    arms: dict[str, Mapping[str, Any]] = {arm["name"]: arm["grounding"] for arm in cell["arms"] if arm.get("grounding")}
    if not {"base", "tuned"} <= arms.keys() or any(arms[name]["low"] is None for name in ("base", "tuned")):
        return None
    tuned, base = arms["tuned"], arms["base"]
    value = tuned["rate"] - base["rate"]
    low = value - math.hypot(tuned["rate"] - tuned["low"], base["high"] - base["rate"])
    high = value + math.hypot(tuned["high"] - tuned["rate"], base["rate"] - base["low"])
    verdict = "better" if high < 0 else "worse" if low > 0 else CANNOT
    row = {"rule": "hallucination against the base", "value": value, "low": low, "high": high, "threshold": 0.0}
    return {**row, **UNTESTED, "verdict": verdict, "evidence": f"#{cell['cell']}-grounding", "confirmatory": False}


def prices(cell: Row) -> list[Row]:
    """A request's price against that of other arms, and the break-even; exploratory, without intervals."""
    account = cell.get("cost")
    if not account:
        return []
    rows, arms = [], account["arms"]
    for other in [name for name in arms if name == "base_fewshot" or name.startswith("reference.")]:
        mine, theirs = (arms.get(name, {}).get("request") for name in ("tuned", other))
        if mine is None and theirs is None:
            continue
        known = mine is not None and theirs is not None
        verdict = CANNOT if not known or mine == theirs else "better" if mine < theirs else "worse"
        rows.append(plain(cell, f"dollars a request against {names.arm(other)}", mine, theirs, verdict))
    for row in account["break_even"]:
        if row["one"] == "tuned":
            known = row["requests"] is not None
            verdict = "better" if known else "worse" if row["why"].startswith("never") else CANNOT
            rows.append(plain(cell, cheaper(row["other"]), row["requests"], None, verdict))
    return rows


def plain(cell: Row, rule: str, value: float | None, threshold: float | None, verdict: str) -> Row:
    row = {"rule": rule, "value": value, "low": None, "high": None, "threshold": threshold, "verdict": verdict}
    return {**row, **UNTESTED, "evidence": f"#{cell['cell']}-cost", "confirmatory": False}


def summary(report: Row) -> list[Row]:
    """The whole verdict in one paragraph, sentence by sentence: [{text, evidence, spans}].

    `evidence` holds an anchor for each task or claim that the sentence speaks of, `spans` for each of them where in the text the words
    stand that it is about: the first character and the one behind the last.

    Args:
        report: claims and advice, as they stand in report.json.
    """
    advice, claims = report["advice"], report["claims"]
    groups = {"tuned": "Use the fine-tune for", CANNOT: "Cannot tell what is better for", NEITHER: "Use neither for"}
    groups |= {row["use"]: f"Use {names.arm(row['use'])} for" for row in advice if row["use"] not in groups}
    told = []
    for use, says in groups.items():
        tasks = [(placed(row["label"]), [row["sentences"][0]["evidence"]]) for row in advice if row["use"] == use]
        told += [sentence(f"{says} ", *listed(tasks), ".")] if tasks else []
    kept = [claim for claim in claims if claim["kind"] == "kept"]
    told += [asked(kept)] if kept else []
    prices = [(row, each) for row in advice for each in row["sentences"] if row["use"] == "tuned" and priced(each)]
    if len(prices) == 1:  # of several tasks each says its own
        told.append(price(*prices[0], alone=len(advice) == 1))
    family = f"{len(claims)} claim{'s' * (len(claims) != 1)}"
    return [*told, sentence((family, ["#claims"] if claims else []), " in the family; all else is exploratory.")]


def sentence(*parts: str | Linked) -> Row:
    """A sentence of the summary from its parts."""
    text, evidence, spans = "", [], []
    for part in parts:
        words, anchors = (part, []) if isinstance(part, str) else part
        evidence += anchors
        spans += [[len(text), len(text) + len(words)]] * len(anchors)
        text += words
    return {"text": text, "evidence": evidence, "spans": spans}


def asked(kept: list[Row]) -> Row:
    """How many claims on general suites got which verdict."""
    found = {word: [claim["evidence"] for claim in kept if claim["verdict"] == word] for word in ("better", "worse", CANNOT)}
    told: list[Linked] = [(f"{len(anchors)} {word}", anchors) for word, anchors in found.items() if anchors]
    parts = [part for each in told for part in (", ", each, " (shown to stay within the margin)" * each[0].endswith("better"))][1:]
    return sentence(f"Asked {len(kept)} time{'s' * (len(kept) != 1)} for what it was not trained for: ", *parts, ".")


def price(row: Row, said: Row, alone: bool) -> Row:
    """The one sentence on prices; where there are several tasks it says of which."""
    text, at = said["text"], [said["evidence"]]
    start, _, rest = text.partition(",")
    return sentence((start, at), f",{rest}") if alone else sentence("On ", (placed(row["label"]), at), f": {text[0].lower()}{text[1:]}")


def priced(sentence: Row) -> bool:
    return bool(sentence["evidence"].endswith("-cost"))


def placed(label: str) -> str:
    """`boolq, rank 8` as a part of a list: `boolq (rank 8)`."""
    task, _, where = label.partition(", ")
    return f"{task} ({where})" if where else task


def rounded(requests: int) -> str:
    """Two digits: an estimate from measured speeds deserves no more."""
    digits = max(0, len(str(requests)) - 2)
    return f"{-(-requests // 10**digits) * 10**digits:,}"


def listed(items: list[Linked]) -> list[str | Linked]:
    """The items with what stands between them: `a, b and c`."""
    between = [", "] * (len(items) - 2) + [" and "] * (len(items) > 1)
    return [part for item, after in zip(items, [*between, ""], strict=True) for part in (item, after)]
