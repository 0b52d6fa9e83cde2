"""The comparison stage over two seeds and over examples that are asked twice: seeds are pooled, equal prompts are one piece of evidence."""

import json
from dataclasses import replace

import pytest

from pipeline.stages import compare, prepare
from pipeline.store import records
from pipeline.store.folders import HeldoutFolder
from pipeline.store.records import Example, Prediction
from tests import tiny

ALIVE = {"tensors": 14, "zero_tensors": [], "targets": 14, "unmatched": [], "probes": 8, "largest_logit_difference": 0.5}
PARAMS = {"task": "tldr_headline_gen", "confidence": 0.95, "resamples": 400, "interval": "bca", "seed": 0, "liveness": True}
PARAMS |= {"margin": 0.02, "loss_margin": 0.05, "general": {"tldr_content_gen": "tldr_content_gen"}}
HELDOUT = [
    Example(f"e{n}", f"Passage: the mayor said {'again ' * n}that it rains.\nSummary:", "mayor said that it rains") for n in range(24)
]
RIGHT, HALF, INVENTED = "mayor said that it rains", "it rains", "Zork said so"
SAID = {
    "base": [RIGHT if n % 4 == 0 else INVENTED if n % 4 == 1 else HALF for n in range(24)],
    "tuned0": [INVENTED if n < 8 else RIGHT for n in range(24)],
    "tuned1": [INVENTED if n < 2 else HALF if n % 3 else RIGHT for n in range(24)],
}
SCORES = [{"tokens": 4, "own": -3.0 - n % 5, "other": -5.0 - n % 3, "alone": -6.0 - n % 7} for n in range(24)]
COUNTED = ("n", "fixed", "broken", "flips", "first", "answers", "hallucinated", "kinds")
"""What counts examples, and is twice as much where each is asked twice."""
INTERVALS = [
    ("relevance.json", ".arms.base.low", ".arms.base.high"),
    ("relevance.json", ".arms.base.auc_low", ".arms.base.auc_high"),
    ("forgetting.json", ".suites.0.low", ".suites.0.high"),
    ("hallucination.json", ".arms.tuned.low", ".arms.tuned.high"),
]


def write(folder, copies):
    """Inputs of `compare` in which every example stands so often, with other ids and the same prompt; groups are those of `prepare`."""
    names = [("" if copy == 0 else f"copy{copy}-", n) for n in range(24) for copy in range(copies)]
    heldout = folder / "exam"
    heldout.mkdir(parents=True)
    prepare.write_heldout(
        HeldoutFolder(heldout), prepare.Draw({}, None, [replace(HELDOUT[n], id=before + HELDOUT[n].id) for before, n in names])
    )
    inputs = {"heldout": heldout, "general.tldr_content_gen.heldout": heldout, "relevance.base": folder / "related"}
    for name, texts in SAID.items():
        inputs[name] = folder / name
        inputs[name].mkdir()
        (inputs[name] / "liveness.json").write_text(json.dumps(ALIVE))
        predictions = [Prediction(before + HELDOUT[n].id, texts[n], 4, "eos") for before, n in names]
        records.write(inputs[name] / "predictions.jsonl", predictions)
        tiny.seal(inputs[name], {"examples": len(names)}, "generate")
    inputs |= {"general.tldr_content_gen.base": inputs["tuned0"], "general.tldr_content_gen.tuned": inputs["tuned1"]}
    inputs["relevance.base"].mkdir()
    rows = [json.dumps({"example": before + HELDOUT[n].id} | SCORES[n]) + "\n" for before, n in names]
    (inputs["relevance.base"] / "relevance.jsonl").write_text("".join(rows))
    return inputs


@pytest.fixture(scope="module")
def compared_folders(tmp_path_factory):
    """What `compare` wrote of the examples once and twice."""
    folders = {}
    for copies in (1, 2):
        root = tmp_path_factory.mktemp(f"asked{copies}")
        work = tiny.work(root / "out", PARAMS, **write(root, copies))
        compare.run(work)
        folders[copies] = work.out
    return folders


def figures(value, place=""):
    """Every number that is not a count, by its place."""
    if isinstance(value, dict):
        return {path: one for key in value.keys() - {*COUNTED} for path, one in figures(value[key], f"{place}.{key}").items()}
    if isinstance(value, list):
        return {path: one for number, item in enumerate(value) for path, one in figures(item, f"{place}.{number}").items()}
    return {place: value}


def read(folder, file):
    return list(records.read_dictionaries(folder / file)) if file.endswith("l") else json.loads((folder / file).read_text())


@pytest.mark.parametrize(
    "file",
    ["comparisons.jsonl", "beside.json", "decomposition.json", "relevance.json", "forgetting.json", "hallucination.json", "lenient.json"],
)
def test_an_example_that_is_asked_twice_counts_once(compared_folders, file):
    once, twice = (figures(read(compared_folders[copies], file)) for copies in (1, 2))
    assert once
    assert twice == pytest.approx(once, abs=1e-9)


def test_without_groups_an_example_that_is_asked_twice_would_narrow_the_intervals(compared_folders, tmp_path):
    inputs = write(tmp_path, 2)
    rows = [replace(row, group="") for row in records.read(inputs["heldout"] / "examples.jsonl", Example)]
    records.write(inputs["heldout"] / "examples.jsonl", rows)
    work = tiny.work(tmp_path / "out", PARAMS, **inputs)
    compare.run(work)
    for file, low, high in INTERVALS:
        one, two = (figures(read(folder, file)) for folder in (compared_folders[2], work.out))
        assert two[high] - two[low] < 0.85 * (one[high] - one[low]), file
    of_groups, of_rows = (read(folder, "comparisons.jsonl")[0]["seed_errors"] for folder in (compared_folders[2], work.out))
    assert of_rows["examples"] < 0.85 * of_groups["examples"]
    assert of_rows["between"] == pytest.approx(of_groups["between"])  # copies say nothing of other seeds


def test_seeds_are_pooled_in_rates_and_apart_in_counts_and_flags(compared_folders):
    arms = read(compared_folders[2], "hallucination.json")["arms"]
    assert {name: (arm["n"], arm["answers"], arm["hallucinated"]) for name, arm in arms.items()} == {
        "base": (48, 48, 12),
        "tuned": (96, 96, 20),
    }
    assert arms["tuned"]["rate"] == 20 / 96
    rows = read(compared_folders[2], "examples.jsonl")
    by_seed = [sum("hallucinated" in row["tuned"][seed]["flags"] for row in rows) for seed in (0, 1)]
    assert by_seed == [16, 4]
    assert read(compared_folders[2], "lenient.json")["tuned"] == pytest.approx((16 + 7) / 48)
    (primary, _) = read(compared_folders[2], "comparisons.jsonl")
    scores = [[row["tuned"][seed]["scores"]["rougeL"] for row in rows] for seed in (0, 1)]
    assert primary["tuned"] == pytest.approx(sum(map(sum, scores)) / 96)
    assert [counts["n"] for counts in read(compared_folders[2], "counts.json")["tuned"]] == [48, 48]
