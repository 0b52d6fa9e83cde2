"""Builds the table of arms of a cell: score with interval, flaws of the answers, relevance, hallucination, speed."""

from collections.abc import Iterable
from typing import Any

from pipeline import arms
from pipeline.measures import speed_summary
from pipeline.page import fmt
from pipeline.page.cells import Cell, finite
from pipeline.store.folders import SpeedFolder
from pipeline.store.input_names import InputName
from pipeline.store.records import JsonObject
from pipeline.store.score_types import AnswerCounts, ArmScores, Lift


def rows(cell: Cell, comparisons: list[JsonObject]) -> list[JsonObject]:
    """The arms of a cell by the primary metric, base and tuned among them.

    Args:
        comparisons: the judged ones of base and tuned, one a metric, the primary one first.

    Returns:
        {name, label, score, low, high, over_base, tuned_over, metrics, counts, lenient, relevance, grounding, speed, asked, tokens_in,
        tokens_out, cost}; low and high are the interval of the score, metrics are the scores by the others; what was not measured is
        None, and the last two are set by `money`.
    """
    primary, beside = comparisons[0], cell.comparison.other_arms()
    by_metric = beside[primary["metric"]]
    others = {row["name"]: row for row in by_metric["others"]}
    lift = lift_of(primary)
    timed = (timing(cell, ["base", "tuned", *others]) or {"arms": {}})["arms"]
    table: list[JsonObject] = []
    over_base: Lift | None
    tuned_over: Lift | None
    for name in sorted({"base", "tuned", *others}, key=arms.rank):
        if name in others:
            other = others[name]
            low, high, over_base = other["score_low"], other["score_high"], other["over_base"]
            score, tuned_over = other["score"], lift_of(other)
        else:
            (low, high), score = by_metric["scores"][name], primary[name]
            over_base, tuned_over = (None, lift) if name == "base" else (lift, None)
        row: JsonObject = {"name": name, "label": arms.find(name).label, "score": score, "low": low, "high": high}
        row |= {"over_base": over_base, "tuned_over": tuned_over, "metrics": scores(name, comparisons[1:], beside)}
        table.append(row | measured(cell, name, timed.get(name)))
    return [finite(row) for row in table]


def lift_of(row: Any) -> Lift:
    """The lift alone, of a comparison or of another arm."""
    return {"lift": row["lift"], "low": row["low"], "high": row["high"], "p": row["p"]}


def scores(name: str, comparisons: list[JsonObject], beside: dict[str, ArmScores]) -> list[JsonObject]:
    """[{metric, score, low, high}] of an arm by further metrics; those of sampled answers are there for base and tuned alone."""
    table = []
    for row in comparisons:
        by_metric = beside[row["metric"]]
        other = next((arm for arm in by_metric["others"] if arm["name"] == name), None)
        if name in by_metric["scores"]:
            score, (low, high) = row[name], by_metric["scores"][name]
        elif other:
            score, low, high = other["score"], other["score_low"], other["score_high"]
        else:
            continue
        table.append({"metric": row["metric"], "score": score, "low": low, "high": high})
    return table


def floor(cell: Cell, metric: str, scored: list[JsonObject]) -> JsonObject | None:
    """What an answer that is always the same scores: {answer, score, tuned_over}; None where there is no such answer.

    It is the arm `constant` where that was asked for (its answer comes from the training part), else the best that the held-out
    targets themselves would suggest, which has no interval.
    """
    constant = next((row for row in scored if row["name"] == "constant"), None)
    if constant:
        return {"answer": None, "score": constant["score"], "tuned_over": constant["tuned_over"]}
    best = next(iter(cell.comparison.other_arms()[metric]["constants"]), None)
    return {**best, "tuned_over": None} if best else None


def measured(cell: Cell, name: str, timed: JsonObject | None) -> JsonObject:
    """What was measured of an arm beside its score; timed: its row of `timing`."""
    counts = cell.comparison.counts()
    tuned = pooled(counts["tuned"])
    grounding, relevance = ((section or {"arms": {}})["arms"] for section in (cell.comparison.grounding(), cell.comparison.relevance()))
    return {
        "counts": {"base": counts["base"], "tuned": tuned, **counts.get("others", {})}.get(name),
        "lenient": (cell.comparison.lenient() or {}).get(name),
        "relevance": relevance.get(name),
        "grounding": grounding.get(name),
        "speed": timed and {key: value for key, value in timed.items() if key not in ("latency", "first")},
        "asked": prompt_contents(facts_of(cell, name)),
        "tokens_in": tokens_in(cell, name, timed),
        "tokens_out": None,
        "cost": None,
    }


def timing(cell: Cell, names: Iterable[str]) -> JsonObject | None:
    """What the timing says of these arms: speed.json with a row for each of them that was timed, or has the shape of one that was, whose
    row it then is; `timed_as` names that one, and `overhead` is the time against base's. None where nothing was timed.
    """
    summary = summary_of(cell)
    if not summary:
        return None
    rows, quantized = {}, cell.inputs["speed"].params["quantization"] != "none"
    for name in names:
        one = name if name in summary["arms"] else arms.stand_in(name, summary["arms"], quantized)
        if one:
            own = {"timed_as": None if one == name else one, "overhead": summary["overhead"].get(one)}
            rows[name] = summary["arms"][one] | own
    return {**summary, "arms": rows}


def pooled(seeds: list[AnswerCounts]) -> AnswerCounts:
    """Counts of all training seeds together."""
    n = sum(row["n"] for row in seeds)
    return {
        "n": n,
        "unparsed": sum(row["unparsed"] for row in seeds),
        "truncated": sum(row["truncated"] for row in seeds),
        "endless": sum(row["endless"] for row in seeds),
        "empty": sum(row["empty"] for row in seeds),
        "refused": sum(row["refused"] for row in seeds),
        "mean_tokens": sum(row["mean_tokens"] * row["n"] for row in seeds) / max(1, n),
    }


def facts_of(cell: Cell, name: str) -> JsonObject:
    """The facts of an arm's predictions, of a second reading those of the first; nothing where it has none."""
    first = arms.find(name).rereads or name
    source = str(InputName("predictions", first, seed=cell.seeds[0] if first == "tuned" else None))
    return cell.inputs[source].facts if source in cell.inputs else {}


def prompt_contents(facts: JsonObject) -> JsonObject | None:
    """What stood in an arm's prompts beside the question: {said, prompts} and either {shots, fewest, most, shrunk, separator} or
    {keys, unkeyed}; None where they held nothing else.

    Args:
        facts: of a folder of `generate`.
    """
    if "shots" in facts:
        facts_by_name = {"fewest": "fewest_shots", "most": "most_shots"}
        counts = {name: facts[facts_by_name.get(name, name)] for name in ("shots", "fewest", "most", "shrunk", "separator")}
        return {"said": shots_text(facts), "prompts": facts["examples"], **counts}
    if "unkeyed" in facts:
        return {"said": keys_text(facts), "prompts": facts["examples"], "keys": facts["keys"], "unkeyed": facts["unkeyed"]}
    return None


def shots_text(facts: JsonObject) -> str:
    """How many worked examples the prompts hold, in words."""
    if facts["most_shots"] == 0:
        return f"{fmt.plural(facts['shots'], 'worked example')} asked for; no worked example fitted: the same prompts as base"
    ends = "; answers also end at a blank line" if facts["separator"] else ""
    if not facts["shrunk"]:
        return f"{fmt.plural(facts['shots'], 'worked example')} in every prompt{ends}"
    fewer = f"{facts['shrunk']:,} of {fmt.plural(facts['examples'], 'prompt')} {'holds' if facts['examples'] == 1 else 'hold'} fewer"
    return f"{fmt.plural(facts['shots'], 'worked example')} asked for; {fewer}, the fewest {facts['fewest_shots']}{ends}"


def keys_text(facts: JsonObject) -> str:
    """Whether the prompts name the keys of the answer, in words."""
    if not facts["keys"]:
        return "the keys were not named: no training answer is a JSON object; the same prompts as without"
    if not facts["unkeyed"]:
        return f"{fmt.plural(len(facts['keys']), 'key')} named in every prompt"
    return f"the keys were not named in {facts['unkeyed']:,} of {fmt.plural(facts['examples'], 'prompt')}: no room"


def tokens_in(cell: Cell, name: str, timed: JsonObject | None) -> float | None:
    """Mean tokens of a prompt: of all requests where the answers' folder says so, else of the timed ones."""
    facts = facts_of(cell, name)
    if facts.get("prompt_tokens") and facts.get("examples"):
        return float(facts["prompt_tokens"]) / float(facts["examples"])
    return float(timed["prompt_tokens"]) if timed else None


def speed(cell: Cell) -> JsonObject | None:
    """What the timing says of the whole cell; the single requests stay in its folder."""
    summary = summary_of(cell)
    columns = ("overhead", "new_tokens", "prompts", "untimed", "adapter_bytes", "context_window")
    return {key: summary.get(key) for key in columns} if summary else None


def summary_of(cell: Cell) -> JsonObject | None:
    """The figures of the cell's timing; None if nothing was timed."""
    return speed_summary.summarize(SpeedFolder(cell.inputs["speed"].path).measurements()) if "speed" in cell.inputs else None
