"""The flag of an answer that names what is in neither source nor target stands at that answer: of its example, its arm and its seed."""

import json

import pytest

from pipeline.stages import compare
from pipeline.store import records
from pipeline.store.records import Prediction
from tests import tiny
from tests.test_compare_groups import HELDOUT, INVENTED, PARAMS, RIGHT, write

SAID = {
    "base": {1, 2},
    "tuned3": {2, 5, 7},
    "tuned11": {0, 4},
    "arm.base_fewshot": {6, 9},
    "arm.merged": set(),
    "reference.big": {3},
}
"""By input, the examples whose answer holds an invented name."""

CUT = 2
"""The example whose answers reached the limit of new tokens."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    root = tmp_path_factory.mktemp("flags")
    inputs = write(root, 1)
    inputs = {name: path for name, path in inputs.items() if name not in SAID and not name.startswith("tuned")}
    for name, invented in SAID.items():
        inputs[name] = root / f"said-{name}"
        inputs[name].mkdir()
        (inputs[name] / "liveness.json").write_text((root / "tuned0" / "liveness.json").read_text("utf-8"), "utf-8")
        texts = [INVENTED if number in invented else RIGHT for number in range(len(HELDOUT))]
        stops = ["length" if number == CUT else "eos" for number in range(len(HELDOUT))]
        predictions = [Prediction(e.id, text, 4, stop) for e, text, stop in zip(HELDOUT, texts, stops, strict=True)]
        records.write(inputs[name] / "predictions.jsonl", predictions)
        tiny.seal(inputs[name], {"examples": len(HELDOUT)}, "generate")
    work = tiny.work(root / "compared", PARAMS, **inputs)
    compare.run(work)
    return [json.loads(line) for line in (work.out / "examples.jsonl").read_text("utf-8").splitlines()]


def flagged(rows, answer):
    return {number for number, row in enumerate(rows) if "hallucinated" in answer(row)["flags"]}


def test_an_invented_name_flags_the_answer_that_holds_it_and_no_other(rows):
    assert flagged(rows, lambda row: row["base"]) == SAID["base"]
    assert [flagged(rows, lambda row, seed=seed: row["tuned"][seed]) for seed in (0, 1)] == [SAID["tuned3"], SAID["tuned11"]]
    others = {"base_fewshot": "arm.base_fewshot", "merged": "arm.merged", "reference.big": "reference.big"}
    assert rows[0]["others"].keys() == others.keys()
    assert {name: flagged(rows, lambda row, name=name: row["others"][name]) for name in others} == {
        name: SAID[source] for name, source in others.items()
    }


def test_the_flag_stands_behind_the_others_and_once(rows):
    assert rows[CUT]["base"]["flags"] == rows[CUT]["tuned"][0]["flags"] == ["truncated", "hallucinated"]
    assert rows[CUT]["tuned"][1]["flags"] == ["truncated"]
    assert rows[1]["base"]["flags"] == ["hallucinated"]
