"""Scores base and tuned answers on the same examples and says how sure the difference is.

Before any score stands the liveness gate: an adapter that changes nothing stops the comparison.
"""

import json
from typing import Any

from pipeline import inline, liveness, records, scoring
from pipeline.machine import Work


def run(work: Work) -> dict[str, Any]:
    task = inline.of_spec(work.params["task"])
    arms = sorted((name for name in work.inputs if name.startswith("tuned")), key=lambda name: int(name.removeprefix("tuned")))
    found = [
        {"seed": int(arm.removeprefix("tuned")), **json.loads((work.inputs[arm] / "liveness.json").read_text("utf-8"))} for arm in arms
    ]
    for each in found:
        each["alive"] = liveness.is_alive(each)
        if work.params["liveness"]:
            liveness.gate(each, f"{task.name}, seed {each['seed']}")

    exam = list(records.read(work.inputs["exam"] / "examples.jsonl", records.Example))
    base, *tuned = ([*records.read(work.inputs[arm] / "predictions.jsonl", records.Prediction)] for arm in ("base", *arms))
    asked = {name: work.params[name] for name in ("confidence", "resamples", "interval", "seed")}
    result = scoring.compare(exam, base, tuned, task.answer, scoring.Settings(task.name, task.metrics, **asked))

    records.write(work.out / "comparisons.jsonl", result.comparisons)
    (work.out / "examples.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in result.rows), "utf-8")
    (work.out / "counts.json").write_text(json.dumps(result.counts, indent=1), "utf-8")
    (work.out / "liveness.json").write_text(json.dumps(found, indent=1), "utf-8")
    return {row.metric: {"base": row.base, "tuned": row.tuned, "lift": row.lift} for row in result.comparisons}
