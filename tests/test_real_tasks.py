"""The tasks on whole data sets, where they are at hand: counts, labels, first targets, and what constant answers score."""

from collections import Counter

import pytest

from pipeline import metrics
from pipeline.data import task
from pipeline.scoring import scoring
from pipeline.store.records import Prediction
from tests import task_rows
from tests.local_hub import LocalHub
from tests.task_hub import World
from tests.test_task_sources import ask


@pytest.mark.parametrize(
    ("name", "file", "counts", "first"),
    [
        ("boolq", "boolq/train", {"yes": 1241, "no": 759}, "yes yes yes yes yes no"),  # the first 2,000 of 9,427
        ("boolq", "boolq/validation", {"yes": 2033, "no": 1237}, "no yes yes yes yes no"),
        ("glue_cola", "glue_cola/train", {"1": 6023, "0": 2528}, "1 1 1 1 1 1"),
        ("glue_cola", "glue_cola/validation", {"1": 721, "0": 322}, "1 1 1 1 0 0"),
        ("glue_mrpc", "glue_mrpc/train", {"1": 2474, "0": 1194}, "1 0 1 0 1 1"),
        ("glue_mrpc", "glue_mrpc/validation", {"1": 279, "0": 129}, "1 0 0 1 0 1"),
        ("glue_mrpc", "glue_mrpc/test", {"1": 1147, "0": 578}, "1 1 1 0 0 1"),
        ("glue_sst2", "glue_sst2/train", {"1": 37569, "0": 29780}, "0 0 1 0 0 0"),
        ("glue_sst2", "glue_sst2/validation", {"1": 444, "0": 428}, "1 0 1 1 0 1"),
        ("glue_wnli", "glue_wnli/train", {"1": 312, "0": 323}, "1 1 1 0 0 0"),
        ("glue_wnli", "glue_wnli/validation", {"1": 31, "0": 40}, "0 1 0 1 1 0"),
        ("winogrande", "winogrande/validation", {"1": 628, "2": 639}, "2 1 2 1 1 1"),
    ],
)
def test_whole_data_sets_give_the_known_labels(name, file, counts, first):
    one, rows = task.find(name), task_rows.converted(task.find(name), [*task_rows.real(file)])
    assert Counter(example.target for example in rows) == counts
    assert [one.answer(example.target, example) for example in rows[:6]] == first.split()
    counted = {part.split: part.rows for part in (*one.train, *one.heldout)} | {"test": 1725} | ({"train": 2000} if name == "boolq" else {})
    assert len(rows) == counted[file.split("/")[1]]


@pytest.mark.parametrize(
    ("name", "file", "answer", "all_rows", "first_rows"),
    [
        ("boolq", "boolq/validation", "yes", 0.622, 0.625),
        ("glue_cola", "glue_cola/validation", "1", 0.691, 0.691),
        ("glue_mrpc", "glue_mrpc/validation", "1", 0.684, 0.684),
        ("glue_sst2", "glue_sst2/validation", "1", 0.509, 0.509),
        ("glue_stsb", "glue_stsb/validation", "2.0", None, 0.739),
        ("glue_stsb", "glue_stsb/validation", "2.6", 0.742, None),
        ("glue_wnli", "glue_wnli/validation", "0", 0.563, 0.563),
        ("winogrande", "winogrande/validation", "2", 0.504, 0.507),
    ],
)
def test_a_constant_answer_scores_what_is_known(name, file, answer, all_rows, first_rows):
    one, rows = task.find(name), task_rows.converted(task.find(name), [*task_rows.real(file)])
    for part, score in ((rows, all_rows), (rows[:1000], first_rows)):
        if score is not None:
            scores = task_rows.scores(one, part, [answer] * len(part))
            assert scores == dict.fromkeys(one.metrics, pytest.approx(score, abs=0.0005))


def test_whole_stsb_and_arc():
    stsb = [task_rows.converted(task.find("glue_stsb"), [*task_rows.real(f"glue_stsb/{split}")]) for split in ("train", "validation")]
    assert [len(rows) for rows in stsb] == [5749, 1500]
    assert [example.target for example in stsb[1][:6]] == ["5.0", "4.75", "5.0", "2.4", "2.75", "2.615"]
    files = {"arc_easy/train": 2251, "arc_easy/test": 2376, "arc_challenge/train": 1119, "arc_challenge/test": 1172}
    arc = {file: task_rows.converted(task.find("arc_combined"), [*task_rows.real(file)]) for file in files}
    assert {file: len(rows) for file, rows in arc.items()} == files
    assert Counter(example.choices.index(example.target) for example in arc["arc_easy/test"][:1000]) == {0: 233, 1: 253, 2: 269, 3: 245}
    assert [example.target for example in arc["arc_challenge/test"][:6]] == ["C", "B", "C", "D", "D", "B"]
    assert [sum(example.choices[0] == "1" for example in rows) for rows in arc.values()] == [0, 71, 0, 20]
    assert {len(example.choices) for rows in arc.values() for example in rows} == {3, 4, 5}


HELDOUT = {
    "arc_combined": ("arc_easy/test", "arc_challenge/test"), "boolq": ("boolq/validation",), "conllpp": ("conllpp/test",),
    "e2e_nlg": ("e2e_nlg/test",), "glue_cola": ("glue_cola/validation",), "glue_mrpc": ("glue_mrpc/validation",),
    "glue_sst2": ("glue_sst2/validation",), "glue_stsb": ("glue_stsb/validation",), "glue_wnli": ("glue_wnli/validation",),
    "gsm8k": ("gsm8k/test",), "viggo": ("viggo/test",), "winogrande": ("winogrande/validation",),
}  # fmt: skip
"""The whole held-out part of every task whose rows are at hand; code is run elsewhere."""


@pytest.mark.parametrize("name", HELDOUT)
def test_every_right_answer_scores_1_against_itself(name):
    """For the corpus and for every example, by every metric that is no rule of the paper's."""
    one = task.find(name)
    examples = task_rows.converted(one, [row for file in HELDOUT[name] for row in task_rows.real(file)])
    assert len(examples) == sum(source.rows or 0 for source in one.heldout[0].parts or one.heldout[:1])
    arm = scoring.read_arm("gold", [Prediction(e.id, e.target, 1, "eos") for e in examples], examples, one.answer)
    for metric in [name for name in one.metrics if not name.startswith("paper_")]:
        measured = scoring.measure(metrics.load(metric), [arm], examples, one.answer)
        statistics = measured.statistics[0]
        assert float(measured.metric.aggregate(statistics.sum(axis=0))) == pytest.approx(1), metric
        values = measured.metric.values(statistics)
        assert [e.target for e, value in zip(examples, values, strict=True) if value < 1 - 1e-9] == [], metric


TRAINED = ("conllpp", "glue_cola", "glue_mrpc", "glue_stsb", "glue_wnli", "gsm8k", "viggo", "mbpp")
PARTS = {
    **{(name, "heldout"): files for name, files in HELDOUT.items()},
    ("magicoder", "heldout"): ("humaneval/test",),
    ("mbpp", "heldout"): ("mbpp/test",),
    **{
        (name, "train"): (f"{name}/train",)
        for name in ("conllpp", "glue_cola", "glue_mrpc", "glue_stsb", "glue_wnli", "gsm8k", "viggo", "mbpp")
    },
    ("arc_combined", "train"): ("arc_easy/train", "arc_challenge/train"),
}
"""Every whole part that is at hand, but for those of more than 15,000 rows."""


@pytest.mark.slow
def test_whole_real_data_sets_come_through_the_hub(tmp_path):
    """Served as the hub lays them out, and read by the loading code of every task."""
    world, expected = World(tmp_path / "hub", tmp_path / "sources"), {}
    for (name, part), files in PARTS.items():
        chosen = task.find(name)
        source = getattr(chosen, part)[0]
        rows = [world.add(chosen, one, [*task_rows.real(file)]) for one, file in zip(source.parts or (source,), files, strict=True)]
        expected[name, part] = [row for some in rows for row in some]
    world.declare()
    with LocalHub(world.hub) as hub:
        environ = hub.environ(tmp_path / "cache") | {"LORALIFT_SOURCES": str(world.manual_folder)}
        answers = ask(environ, tmp_path, [{"task": name, "part": part} for name, part in expected])
    assert len(answers) == len(expected) >= 23
    for ((name, part), rows), answer in zip(expected.items(), answers, strict=True):
        assert "expected_rows" not in answer["facts"], name  # as many as were written down
        served = task_rows.converted(task.find(name), [row for _, row in answer["rows"]])
        assert [one.target for one in served] == [one.target for one in task_rows.converted(task.find(name), rows)], (name, part)
