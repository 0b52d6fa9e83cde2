"""What `compare` measures beside base and tuned, made up for the report: other arms, decomposition, relevance, forgetting, speed."""

import json
import random
from collections import Counter
from typing import Any

Row = dict[str, Any]
SKILL = {
    "base_fewshot": 0.45,
    "base_constrained": 0.4,
    "base_constrained_raw": 0.35,
    "tuned_constrained": 0.7,
    "base_bf16": 0.31,
    "merged": 0.64,
    "constant": 0.28,
    "shuffled_labels": 0.3,
    "unrelated": 0.29,
}
"""How often an arm is right; references are right at 0.8."""
DERIVED = ("base_constrained_raw", "tuned_constrained_raw", "constant")
"""Arms without a folder of their own."""
MODEL_COSTS = {"base": 1.0, "base_fewshot": 2.1, "tuned": 1.12, "base_bf16": 1.01}


def error(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return (sum((value - mean) ** 2 for value in values) / len(values) / len(values)) ** 0.5


def lifted(after: list[float], before: list[float]) -> Row:
    gains = [one - other for one, other in zip(after, before, strict=True)]
    lift, half = sum(gains) / len(gains), 1.96 * error(gains)
    return {"lift": lift, "low": lift - half, "high": lift + half, "p": 0.0004 if abs(lift) > half * 1.1 else 0.41}


def scores_of(rows: list[Row], metric: str) -> dict[str, list[float]]:
    """By arm, the scores of the examples; tuned is the mean over seeds."""
    by_arm = {"base": [row["base"]["scores"][metric] for row in rows]}
    by_arm["tuned"] = [sum(arm["scores"][metric] for arm in row["tuned"]) / len(row["tuned"]) for row in rows]
    return by_arm | {name: [row["others"][name]["scores"][metric] for row in rows] for name in rows[0]["others"]}


def beside(rows: list[Row], metric: str) -> Row:
    scores = scores_of(rows, metric)
    others = [other(name, scores) for name in rows[0]["others"]]
    bands = {name: band(scores[name]) for name in ("base", "tuned")}
    zero_one = metric == "accuracy"
    (answer, count), *_ = Counter(row["target"] for row in rows).most_common(1)
    constants = [{"answer": answer, "score": count / len(rows)}] if zero_one else []
    return {
        metric: {"others": others, "scores": bands, "constants": constants, "score_sd": {"base": 0.4, "tuned": 0.4}, "zero_one": zero_one}
    }


def band(values: list[float]) -> list[float]:
    return [mean(values) - 1.96 * error(values), mean(values) + 1.96 * error(values)]


def other(name: str, scores: dict[str, list[float]]) -> Row:
    low, high = band(scores[name])
    entry = {"name": name, "score": mean(scores[name]), "score_low": low, "score_high": high}
    return {**entry, **lifted(scores["tuned"], scores[name]), "over_base": lifted(scores[name], scores["base"])}


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def decomposition(rows: list[Row], metric: str) -> Row:
    """As the contract defines it: the better of two, twice, then what is left."""
    scores = scores_of(rows, metric)
    chain, parts = ["base"], []
    for name, candidate in (("format", "base_constrained"), ("prompt", "base_fewshot"), ("learned", "tuned")):
        last, there = chain[-1], candidate in scores
        chosen = candidate if name == "learned" or (there and mean(scores[candidate]) > mean(scores[last])) else last
        parts.append({"name": name, "arm": chosen if there else None, "over": last, **stepped(scores, chosen, last)})
        tried = there and name != "learned"
        parts[-1]["tried"] = {"arm": candidate, **as_part(lifted(scores[candidate], scores[last]))} if tried else None
        chain.append(chosen)
    difference = lifted(scores["tuned"], scores["base"])
    chain_scores = [[name, mean(scores[name])] for name in chain]
    ends = {"lift": difference["lift"], "low": difference["low"], "high": difference["high"], "best_cheap": chain[2], "chain": chain_scores}
    return {
        metric: {"parts": parts, **ends, "candidates": [name for name in ("base", "base_constrained", "base_fewshot") if name in scores]}
    }


def stepped(scores: dict[str, list[float]], chosen: str, last: str) -> Row:
    """A part of the lift; no interval where nothing was gained."""
    return as_part(lifted(scores[chosen], scores[last])) if chosen != last else {"value": 0.0, "low": None, "high": None, "p": None}


def as_part(difference: Row) -> Row:
    return {"value": difference["lift"]} | {name: difference[name] for name in ("low", "high", "p")}


def hallucination(rows: list[Row], kind: str | None) -> Row:
    if kind is None:
        return {"kind": None, "arms": {}}
    arms = {}
    for number, name in enumerate(["base", "tuned", *rows[0]["others"]]):
        n, bad = len(rows), max(0, len(rows) // 5 - 3 * number)
        slots = None
        if kind == "slots":
            rates = {
                key: {"rate": 0.02 * index, "low": 0.01 * index, "high": 0.03 * index}
                for index, key in enumerate(("missing", "added", "wrong"), 1)
            }
            slots = {"missing": 4, "added": 2, "wrong": 1, "of": 200, "unjudged": 0, "rates": rates, "first": []}
        summary = {"n": n, "answers": n, "hallucinated": bad, "rate": bad / n, "low": max(0, bad / n - 0.05), "high": bad / n + 0.06}
        first = [{"example": rows[0]["id"], "facts": ["1987", "<b>Fort William</b>"]}]
        arms[name] = summary | {"kinds": {"name": bad, "number": 2, "date": 1}, "slots": slots, "first": first if bad else []}
    return {"kind": kind, "arms": arms}


def relevance(rows: list[Row]) -> Row:
    arms = {}
    for number, name in enumerate(["base", "tuned", *(name for name in rows[0]["others"] if name not in DERIVED)]):
        gain = 0.4 + 0.35 * number
        arms[name] = {
            "n": len(rows),
            "gain": gain,
            "low": gain - 0.1,
            "high": gain + 0.1,
            "auc": 0.7 + 0.02 * number,
            "auc_low": 0.65,
            "auc_high": 0.97,
        }
    return {"arms": arms}


def forgetting(task: str) -> Row:
    broken = [
        {"id": f"other-{n}", "prompt": "Which <b>word</b>?", "target": "yes", "base": "yes", "tuned": "</script>no"} for n in range(3)
    ]
    kl = {"mean": 0.031, "low": 0.027, "high": 0.036}
    loss = {
        "suite": "paragraphs",
        "kind": "loss",
        "task_metric": None,
        "measurable": True,
        "n": 300,
        "base": 3.412,
        "tuned": 3.431,
        "difference": 0.019,
    }
    loss |= {
        "low": 0.014,
        "high": 0.024,
        "p": 0.0001,
        "p_worse": 1.0,
        "margin": 0.05,
        "kl": kl,
        "flips": {"fixed": 0, "broken": 0},
        "broken": [],
        "fixed": [],
    }
    bad = task == "titles"
    other = {
        "suite": "shop_sentiment",
        "kind": "task",
        "task_metric": "accuracy",
        "measurable": True,
        "n": 200,
        "base": 0.61,
        "tuned": 0.48 if bad else 0.605,
    }
    difference = other["base"] - other["tuned"]
    other |= {"difference": difference, "low": difference - 0.04, "high": difference + 0.04, "p": 0.9 if bad else 0.2}
    other |= {
        "p_worse": 0.0003 if bad else 0.8,
        "margin": 0.02,
        "kl": None,
        "flips": {"fixed": 4, "broken": 30 if bad else 5},
        "broken": broken,
        "fixed": [row | {"id": f"better-{n}", "base": "no", "tuned": "yes"} for n, row in enumerate(broken[:2])],
    }
    return {"suites": [loss, other]}


def speed(seed: str) -> Row:
    draw, arms = random.Random(seed), {}
    for name, factor in MODEL_COSTS.items():
        latency = [0.4 * factor * (1 + 0.1 * draw.random()) for _ in range(16)]
        arms[name] = {
            "prompt_tokens": 80 * (5 if name == "base_fewshot" else 1),
            "latency": latency,
            "first": [seconds / 6 for seconds in latency],
        }
        arms[name] |= {
            "prompt_tokens_per_second": 2400 / factor,
            "tokens_per_second": 61 / factor,
            "ranks": False,
            "p50": 0.42 * factor,
            "p95": 0.44 * factor,
            "weight_bytes": 2**30 + 2**20 * len(name),
            "peak_bytes": 3 * 2**30 + 2**20 * len(name),
        }
    overhead = {name: factor for name, factor in MODEL_COSTS.items() if name != "base"}
    return {
        "arms": arms,
        "overhead": overhead,
        "new_tokens": 24,
        "prompts": 16,
        "untimed": None,
        "adapter_bytes": 9_000_000,
        "context_window": 2048,
    }


def files(task: str, rows: list[Row], metric: str, kind: str | None) -> dict[str, str]:
    """compare's derived files beyond those of base and tuned."""
    contents = {
        "beside.json": beside(rows, metric),
        "lenient.json": {name: mean(scores) + 0.02 for name, scores in scores_of(rows, metric).items()},
        "decomposition.json": decomposition(rows, metric),
        "hallucination.json": hallucination(rows, kind),
        "relevance.json": relevance(rows),
        "forgetting.json": forgetting(task),
    }
    return {name: json.dumps(body) for name, body in contents.items()}
