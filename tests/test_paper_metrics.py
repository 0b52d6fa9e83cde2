"""The rules of the LoRA Land paper with their odd cases, and the strict measures that its tasks need beside them."""

import gzip
import importlib.resources
import itertools
import json
import pickle
import random

import evaluate
import numpy as np
import pytest

from pipeline import metrics
from pipeline.metrics import drop, lenient
from pipeline.metrics.base import MeanMetric, Metric
from pipeline.scoring import parsers
from pipeline.store.records import Example
from tests.tiny import SHARED

RULES = ("accuracy", "boolean", "class_name", "contains", "digit", "first_number", "last_number", "mrpc", "rouge", "similarity")
PAPER = tuple(f"paper_{rule}" for rule in RULES)
STRICT = ("drop_em", "drop_f1", "set_f1", "sql_match")
SHARES = {"paper_class_name", "paper_rouge", "paper_similarity", "drop_f1", "set_f1"}
"""Those whose examples score between 0 and 1."""
NASTY = (
    "",
    " ",
    ".",
    "...",
    "-",
    "$",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "9" * 5000,
    "1.2.3",
    "[[]]",
    "[]",
    "[" * 5000,
    '[["\\ud800"]]',
    "\x00",
    "½ ٣",
)
"""Nothing that a metric may break on."""
every_metric = pytest.mark.parametrize("name", [*PAPER, *STRICT])


def score(name: str, prediction: str, reference: str) -> float:
    return metrics.load(name).compute(predictions=[prediction], references=[reference])[name]


def test_the_folders_are_there():
    assert {name for name in metrics.names() if name.startswith("paper_")} == set(PAPER)
    assert set(STRICT) <= set(metrics.names())


@every_metric
def test_a_corpus_is_the_sum_of_its_examples(name):
    rng, metric = random.Random(0), metrics.load(name)
    texts = [*NASTY, "1", "0", "yes", "3.5 of 5", "#### 7", "Artist", "a, b", "b", '[["a b"], ["c"]]', "SELECT a"]
    predictions, references = rng.choices(texts, k=300), rng.choices(texts, k=300)
    result = metric.compute(predictions=predictions, references=references, per_example=True, statistics=True)
    values, rows = np.array(result[f"{name}_per_example"]), np.array(result[f"{name}_statistics"])
    assert metric.aggregate(rows.sum(axis=0)) == pytest.approx(result[name])
    assert metric.zero_one == (name not in SHARES)
    assert set(values) <= {0.0, 1.0} or (name in SHARES and 0 <= values.min() <= values.max() <= 1)
    assert isinstance(metric, MeanMetric) == (name != "set_f1") == (values.mean() == pytest.approx(result[name]))
    assert 0 < result[name] < 1


@every_metric
def test_a_metric_loads_from_its_folder_and_pickles(name):
    by_folder = evaluate.load(str(importlib.resources.files("pipeline.metrics") / name), keep_in_memory=True)
    again: Metric = pickle.loads(pickle.dumps(metrics.load(name)))
    for metric in (by_folder, again):
        assert metric.name == name
        assert metric.compute(predictions=["1", ""], references=["1", "yes"])[name] > 0


@pytest.mark.parametrize("name", PAPER)
def test_a_rule_of_the_paper_reads_the_whole_text_and_an_empty_one_scores_nothing(name):
    metric = metrics.load(name)
    assert metric.reads == "text"
    assert metric.compute(predictions=["", " \n"] * 5, references=["1", "yes", "0", "Artist", ""] * 2)[name] == 0
    assert metric.compute(predictions=["1", "yes", "."], references=["", " ", " "])[name] == 0


@pytest.mark.parametrize(
    ("prediction", "reference", "right"),
    [
        ("Yes.", "yes", True),
        (" yes\n", "yes", True),
        (". yes ..", "yes.", True),
        ("yes, it is", "yes", False),
        ("1", "1.0", True),
        ("1.0", "1", True),
        (" +2 ", "2", True),
        ("2.5", "2", False),
        ("2.50", "2.5", True),
        ("label 1", "1", False),
        ("nan", "nan", True),
        ("inf", "Infinity", False),
        ("-1", "1", False),
    ],
)
def test_paper_accuracy(prediction, reference, right):
    assert score("paper_accuracy", prediction, reference) == right


@pytest.mark.parametrize(
    ("prediction", "reference", "right"),
    [
        ("1", "True", True),
        ("Yes", "1", True),
        ("NO", "false", True),
        ("not at all", "no", True),
        ("I know", "0", True),
        ("no, yes", "yes", True),
        ("0, for 10 reasons", "0", False),
        ("0, for 10 reasons", "1", True),
        ("true and false", "yes", True),
        ("no, that is true", "1", False),
        ("negative", "0", True),
        ("positively", "1", True),
        ("positive or negative", "0", False),
        ("no. 1", "1", True),
        ("yes, 0", "0", True),
        ("maybe", "0", False),
        ("maybe", "maybe", False),
    ],
)
def test_paper_boolean(prediction, reference, right):
    assert score("paper_boolean", prediction, reference) == right


@pytest.mark.parametrize(
    ("prediction", "reference", "right"),
    [("0", "0", True), (" 0.", "0", True), ("0.0", "0", True), ("the label is 0", "0", False), ("it is 1, not 0", "1", True),
     ("it is 1, not 0", "0", False), ("12", "2", True), ("3", "3", True), ("a 3", "3", False)],
)  # fmt: skip
def test_paper_mrpc(prediction, reference, right):
    assert score("paper_mrpc", prediction, reference) == right


@pytest.mark.parametrize(
    ("prediction", "reference", "right"),
    [("2", "2", True), ("the answer is 2", "2", True), ("0 1 2 3", "3", True), ("12", "2", True), ("1", "2", False), ("two", "2", False),
     ("ending 2", " 2.", True), ("x", ".", False)],
)  # fmt: skip
def test_paper_digit(prediction, reference, right):
    assert score("paper_digit", prediction, reference) == right


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [("5", "5.0", 1), (" 3.5\n", "2.5", 0.8), ("10", "4", 0), ("6", "5", 0.8), ("-1", "0", 0.8), ("about 4.", "5", 0.8),
     ("6 of 5", "5", 0),
     ("Sentence 1 is near", "5", 0.2), ("none", "0", 0), ("nan", "0", 0), ("inf", "5", 0), (".5", "0.5", 1)],
)  # fmt: skip
def test_paper_similarity(prediction, reference, expected):
    assert score("paper_similarity", prediction, reference) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("prediction", "reference", "right"),
    [("2", "2", True), ("2. Rome", "2", True), ("Option 2.0", "2", True), ("of the 4 options, 2", "2", False),
     ("of the 4 options, 2", "4", True),
     ("two", "2", False), ("two", "two", True), ("none", "all", False), ("option-2", "2", True)],
)  # fmt: skip
def test_paper_first_number(prediction, reference, right):
    assert score("paper_first_number", prediction, reference) == right


@pytest.mark.parametrize(
    ("prediction", "reference", "right"),
    [
        ("so it is $1,018.00.", "9 + 9 = <<9+9=18>>18\n#### 1018", True),
        ("#### 18", "18", True),
        ("#### 18\nQuestion 2", "18", False),
        ("18, ... I think", "18", True),
        ("18,", "18", True),
        ("-$5", "-5", True),
        ("5-3", "-3", True),
        ("1,2,3", "123", True),
        ("1.2.3", "1.2.3", False),
        ("about ...5", "5", True),
        (".5", "0.5", False),
        ("eighteen", "18", False),
        ("8" * 400, "9" * 400, False),
        ("none", "none", False),
    ],
)
def test_paper_last_number(prediction, reference, right):
    assert score("paper_last_number", prediction, reference) == right


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [("0", "Company", 1), (" 13\n", "WrittenWork", 1), ("4", "officeholder", 1), ("14", "WrittenWork", 0), ("-1", "WrittenWork", 0),
     ("2.", "Artist", 0), ("Artist", "2", 1), ("an artist", "Artist", 2 / 3), ("Office Holder", "OfficeHolder", 0)],
)  # fmt: skip
def test_paper_class_name(prediction, reference, expected):
    assert score("paper_class_name", prediction, reference) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("prediction", "reference", "right"),
    [("pay bill", "pay bill", True), ("Task: Pay Bill, I think", " pay bill.", True), ("pay bill, check balance", "check balance", True),
     ("pay", "pay bill", False), ("pays bill", "pay bill", False), ("x", ".", False)],
)  # fmt: skip
def test_paper_contains(prediction, reference, right):
    assert score("paper_contains", prediction, reference) == right


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("The cats' mat", "the CATS mat", 1),
        ("cats", "cat", 0),
        ('{"PER": ["Ann Lee"', '{"PER": ["Ann", "Lee"]}', 1),
        ("a b c d", "b x d", 4 / 7),
        ("c b a", "a b c", 1 / 3),
        ("Rome\n\nQ: next", "Rome", 0.5),
        ("anything", "", 0),
    ],
)
def test_paper_rouge(prediction, reference, expected):
    assert score("paper_rouge", prediction, reference) == score("rougeL", prediction, reference) == pytest.approx(expected)


def test_the_paper_counts_words_of_a_to_z_alone():
    assert (score("paper_rouge", "naïve", "na ve"), score("rougeL", "naïve", "na ve")) == (1, 0)
    assert (score("paper_rouge", "заказ 12", "отмена 12"), score("rougeL", "заказ 12", "отмена 12")) == (1, 0.5)


def test_numbers_are_found_and_not_made():
    assert [lenient.first_number(text) for text in ("a -3 b", "text-2", "x", "4.25.", "1-5")] == [-3, 2, None, 4.25, 1]


@pytest.mark.parametrize(
    ("prediction", "spans", "f1", "em"),
    [
        ("Ann Lee", [["Ann Lee"]], 1, 1),
        ("the ann-lee!", [["Ann Lee"]], 1, 1),
        ("Lee", [["Ann Lee"]], 2 / 3, 0),
        ("Bo", [["Ann"], ["Bo"]], 1, 1),
        ("", [["Ann"]], 0, 0),
        ("5", [["5.0"]], 1, 1),
        ("1,000", [["1000"]], 1, 1),
        ("4 yards", [["5 yards"]], 0, 0),
        ("-5", [["5"]], 0, 0),
        ("-5", [["-5"]], 1, 1),
        ("5-yard", [["5"]], 2 / 3, 0),
        ("1/2", [["12"]], 0, 0),
        ("12:30.", [["12:30"]], 1, 1),
        ("5 yards and 4", [["5 yards"]], 2 / 3, 0),
        ("yards", [["5 yards"]], 0, 0),
        ("Ann", [["Ann", "Bo"]], 0.5, 0),
        ('["Bo", "Ann"]', [["Ann", "Bo"]], 1, 1),
        ('["Bo", "Ann", "Cy"]', [["Ann", "Bo"]], 2 / 3, 0),
        ('["a b", "b c"]', [["b", "a b"]], (2 / 3 + 1) / 2, 0),
        ("x", [[""], ["y"]], 0, 0),
        ("", [[""]], 0, 0),
        ("28 May 1990", [["28 May 1990"], ["1990"]], 1, 1),
    ],
)
def test_drop_takes_the_best_answer_over_aligned_spans(prediction, spans, f1, em):
    reference = json.dumps(spans)
    assert score("drop_f1", prediction, reference) == pytest.approx(f1)
    assert score("drop_em", prediction, reference) == em


def test_drop_aligns_as_well_as_trying_every_order_does():
    rng = random.Random(0)
    for _ in range(200):
        predicted, expected = ([" ".join(rng.choices("pqr5", k=rng.randint(1, 3))) for _ in range(rng.randint(1, 4))] for _ in "ab")
        short, long = sorted((drop.normalised(predicted), drop.normalised(expected)), key=len)
        turned = len(predicted) > len(expected)
        sums = [
            sum(drop.bag_f1(*(set(x.split()) for x in ((b, a) if turned else (a, b)))) for a, b in zip(short, order, strict=False))
            for order in itertools.permutations(long)
        ]
        assert score("drop_f1", json.dumps(predicted), json.dumps([expected])) == pytest.approx(max(sums) / len(long))


def test_plain_text_is_one_answer_of_one_span():
    assert score("drop_f1", "Ann Lee", "Ann") == pytest.approx(2 / 3)
    assert score("drop_f1", '[["Ann"], ["Bo"]]', '[["Ann"], ["Bo"]]') == 1
    assert score("drop_em", "[citation needed]", "citation needed") == 1


def test_labels_are_a_set():
    metric = metrics.load("set_f1")
    assert metric.compute(predictions=["Acq,  earn,earn"], references=["earn, acq"]) == {"set_f1": 1}
    assert metric.compute(predictions=["earn, trade", "", "oil"], references=["earn, acq", "", ""]) == {"set_f1": pytest.approx(2 / 5)}
    assert metric.compute(predictions=["money fx"], references=["money-fx"]) == {"set_f1": 0}


@pytest.mark.parametrize(
    ("prediction", "right"),
    [
        ("select Name  FROM table where Pay Scale = 'O'Brien'", True),
        ('SELECT "name" FROM `table` WHERE pay scale="o\u2019brien";', True),
        ("SELECT name FROM table WHERE pay scale = obrien", False),
        ("SELECT name FROM table WHERE pay scale = o brien", False),
        ("SELECT name FROM table WHERE pay scale > o'brien", False),
        ("SELECT name FROM table", False),
        ("", False),
    ],
)
def test_sql_is_compared_in_one_spelling(prediction, right):
    assert score("sql_match", prediction, "SELECT Name FROM table WHERE Pay scale = O'Brien") == right


@pytest.mark.parametrize(
    ("prediction", "right"),
    [
        ("SELECT MAX(Bronze) FROM table WHERE Rank = 3", True),
        ("select max( Bronze ) from table where rank = 3;", True),
        ("SELECT MAX((Bronze)) FROM table WHERE Rank = 3", True),
        ('SELECT MAX("Bronze") FROM table WHERE Rank = 3', True),
        ("SELECT MIN(Bronze) FROM table WHERE Rank = 3", False),
        ("SELECT Bronze FROM table WHERE Rank = 3", False),
        ("SELECT MAX(Silver) FROM table WHERE Rank = 3", False),
        ("SELECT MAX(Bronze FROM table WHERE Rank = 3", False),
    ],
)
def test_the_brackets_of_an_aggregate_may_be_left_out(prediction, right):
    assert score("sql_match", prediction, "SELECT MAX Bronze FROM table WHERE Rank = 3") == right


def test_brackets_in_the_name_of_a_column_stay():
    assert score("sql_match", "SELECT SUM(Pop. (2000)) FROM table", "SELECT SUM Pop. (2000) FROM table") == 1
    assert score("sql_match", "SELECT SUM (Pop.) (2000) FROM table", "SELECT SUM Pop. (2000) FROM table") == 0
    assert score("sql_match", "SELECT COUNT ((a) (b)) FROM table", "SELECT COUNT (a) (b) FROM table") == 1


def test_sql_signs_need_no_blanks():
    assert score("sql_match", "SELECT COUNT( a,b ) FROM t WHERE x>=3", "select count(a, b) from t where x >= 3 ;") == 1
    assert score("sql_match", "SELECT a FROM t WHERE x > = 3", "SELECT a FROM t WHERE x >= 3") == 0


def test_entities_written_as_python_are_scored_by_entity_f1():
    target = "{'B-Chemical': ['Famotidine'], 'B-Disease': ['delirium'], 'I-Disease': [], 'I-Chemical': []}"
    text = "{'B-Disease': [\"delirium\", 'cardiac'], 'B-Chemical': ['famotidine']} Sentence: ..."
    reference = parsers.json(target, Example("1", "?", target))
    assert score("entity_f1", parsers.json(text, Example("1", "?", target)), reference) == pytest.approx(4 / 5)


def rows(task: str, part: str) -> list[dict]:
    with gzip.open(SHARED / "data" / task / f"{part}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def entities(row: dict) -> str:
    by_kind: dict[str, list[str]] = {kind: [] for kind in ("person", "organization", "location", "miscellaneous")}
    for token, tag in zip(row["tokens"], row["ner_tags"], strict=True):
        kind = list(by_kind)[(tag - 1) // 2]
        by_kind[kind] += [token] if tag % 2 else []
        if tag and not tag % 2:
            by_kind[kind][-1:] = [f"{by_kind[kind][-1]} {token}"] if by_kind[kind] else [token]
    return json.dumps(by_kind)


@pytest.mark.skipif(not (SHARED / "data").exists(), reason="needs the real data sets")
@pytest.mark.parametrize(
    ("task", "part", "target", "rule", "parse", "strict"),
    [
        ("gsm8k", "test", lambda r: r["answer"], "paper_last_number", parsers.number_in("."), "accuracy"),
        ("glue_stsb", "validation", lambda r: f"{r['label']:g}", "paper_similarity", parsers.number_in("."), "mae_similarity"),
        ("glue_cola", "validation", lambda r: str(r["label"]), "paper_boolean", parsers.choice, "accuracy"),
        ("glue_sst2", "validation", lambda r: str(r["label"]), "paper_boolean", parsers.choice, "accuracy"),
        ("glue_wnli", "validation", lambda r: str(r["label"]), "paper_boolean", parsers.choice, "accuracy"),
        ("glue_mrpc", "validation", lambda r: str(r["label"]), "paper_mrpc", parsers.choice, "accuracy"),
        ("boolq", "validation", lambda r: str(r["answer"]), "paper_boolean", parsers.boolean, "accuracy"),
        ("conllpp", "test", entities, "paper_rouge", parsers.json, "entity_f1"),
        ("viggo", "test", lambda r: r["target"], "paper_rouge", parsers.text, "rougeL"),
        ("e2e_nlg", "test", lambda r: r["human_reference"], "paper_rouge", parsers.text, "rougeL"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)  # fmt: skip
def test_a_real_target_is_its_own_best_answer(task, part, target, rule, parse, strict):
    targets = [target(row) for row in rows(task, part)][:1500]
    assert len(targets) >= 71
    assert metrics.load(rule).compute(predictions=targets, references=targets) == {rule: 1}
    read = [parse(text, Example("1", "?", text, ("0", "1"))) for text in targets]
    assert None not in read
    assert metrics.load(strict).compute(predictions=read, references=read) == {strict: 1}
