"""Every metric against an independent implementation, and the promises that the bootstrap rests on."""

import collections
import importlib.resources
import json
import pickle
import random
import re
import string
import subprocess
import sys
from itertools import islice

import evaluate
import numpy as np
import pytest
import sacrebleu
from rouge_score import rouge_scorer

from pipeline import metrics
from pipeline.errors import RecipeError
from pipeline.metrics.base import MeanMetric
from tests.test_paper_metrics import PAPER, STRICT

TEXT = "the a an cat Cat sat mat on dog, dog. run runs! ran cats fast slow 3 3.5 -2 Straße STRASSE x-y ''"
WORDS = TEXT.split()


def sentence(rng: random.Random, words: list[str] = WORDS) -> str:
    return rng.choice(["", " "]).join(["", " ".join(rng.choices(words, k=rng.choice([0, 1, 1, 2, 3, 8, 15])))])


def near(rng: random.Random, text: str) -> str:
    """The text with some words dropped, doubled or exchanged; often the text itself, in other case or spacing."""
    if rng.random() < 0.3:
        return rng.choice([text, text.upper(), f"  {text} ", text.replace(" ", "  ")])
    return " ".join(rng.choice([w, w, w, "", rng.choice(WORDS), f"{w} {w}"]) for w in text.split())


def json_text(rng: random.Random) -> str:
    values = ["x", " X", "y", 1, "1", 1.5, True, None, [1, 2], {"b": 1, "a": 2}]
    fields = {rng.choice("abcde"): rng.choice(values) for _ in range(rng.randrange(5))}
    return rng.choice([json.dumps(fields)] * 6 + ["", "no JSON", "[1, 2]", "[" * 5000, '{"a": 1'])


def entity_text(rng: random.Random) -> str:
    entities = {kind: rng.sample(["Rome", "rome ", "Ann", "Bo", "IBM"], rng.randrange(4)) for kind in rng.sample(["PER", "LOC", "per"], 2)}
    return rng.choice([json.dumps(entities)] * 6 + [json.dumps({"PER": "Ann"}), "none", "{}"])


def number_text(rng: random.Random) -> str:
    return rng.choice(["{}", "about {} of five", "-{}", "{}.", "none"]).format(rng.choice(["3", "4.25", ".5", "10"]))


def calls_text(rng: random.Random) -> str:
    calls = [
        {"name": rng.choice(["add", "now"]), "arguments": rng.choice([{}, {"a": 1}, {"a": 1.0, "b": [1, 2]}])}
        for _ in range(rng.randrange(3))
    ]
    return rng.choice([json.dumps(calls)] * 8 + ["", "add(1)", json.dumps(calls[:1]), "{}", "[1]"])


def is_calls(text: str) -> bool:
    try:
        return isinstance(calls := json.loads(text), list) and all(set(call) == {"name", "arguments"} for call in calls)
    except (ValueError, TypeError):
        return False


def same_calls(prediction: str, reference: str) -> float:
    """As BFCL's parallel_function_checker_no_order: each expected call takes one equal call away, and none may be left."""
    if not (is_calls(prediction) and is_calls(reference)):
        return 0.0
    left = json.loads(prediction)
    for call in json.loads(reference):
        if call not in left:
            return 0.0
        left.remove(call)
    return float(not left)


MAKERS = {"json_field_f1": json_text, "entity_f1": entity_text, "mae_similarity": number_text, "tool_call_match": calls_text}


def cases(name: str, seed: int = 0, n: int = 200) -> tuple[list[str], list[str]]:
    rng = random.Random(seed)
    if make := MAKERS.get(name):
        endless = (make(rng) for _ in iter(int, 1))
        good = is_object if name in metrics.READS_JSON else is_calls if name in metrics.READS_CALLS else str
        references = [*islice((text for text in endless if good(text)), n)]
        return [r if rng.random() < 0.3 else make(rng) for r in references], references
    references = [sentence(rng) for _ in range(n)]
    return [near(rng, reference) for reference in references], references


def squad_f1(prediction: str, reference: str) -> float:
    """compute_f1 of the official evaluation script of SQuAD 2.0, retold."""

    def tokens(text: str) -> list[str]:
        text = "".join(c for c in text.lower() if c not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", text).split() or text.split()  # not of SQuAD: the letter A is an answer

    gold, predicted = tokens(reference), tokens(prediction)
    same = sum((collections.Counter(gold) & collections.Counter(predicted)).values())
    if not gold or not predicted:  # not of SQuAD: a lone sign is no other sign
        return float(gold == predicted and prediction.lower().split() == reference.lower().split())
    if same == 0:
        return 0.0
    precision, recall = same / len(predicted), same / len(gold)
    return 2 * precision * recall / (precision + recall)


def plain_similarity(prediction: str, reference: str) -> float:
    numbers = [re.findall(r"-?\d*\.?\d+", text)[:1] for text in (prediction, reference)]
    return max(0.0, 1 - abs(float(numbers[0][0]) - float(numbers[1][0])) / 5) if all(numbers) else 0.0


def plain(value: object) -> str:
    return re.sub(r"\s+", " ", (json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else str(value)).lower()).strip()


def is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (json.JSONDecodeError, RecursionError):
        return False


def plain_items(text: str, lists: bool) -> list[tuple[str, str]]:
    if not is_object(text):
        return []
    value = json.loads(text)
    if not lists:
        return [(key, plain(v)) for key, v in value.items()]
    return list(dict.fromkeys((key.lower(), plain(v)) for key, vs in value.items() for v in ([vs] if isinstance(vs, str) else vs)))


def micro_f1(predictions: list[str], references: list[str], lists: bool) -> float:
    hits = n_predicted = n_gold = 0
    for prediction, reference in zip(predictions, references, strict=True):
        predicted, gold = plain_items(prediction, lists), plain_items(reference, lists)
        hits += len([item for item in predicted if item in gold])
        n_predicted, n_gold = n_predicted + (len(predicted) if gold or is_object(prediction) else 1), n_gold + len(gold)
    if n_predicted == n_gold == 0:
        return 1.0
    precision, recall = hits / max(n_predicted, 1), hits / max(n_gold, 1)
    return 2 * precision * recall / (precision + recall) if hits else 0.0


class Words:
    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"(?:(?<!\w)-(?=\d))?[^\W_]+", text.lower()) or [sign for sign in text if not sign.isspace()]


def rouge(kind: str):
    """ROUGE of the rouge-score package over words of any script; of ASCII text with a number's minus, by a tokenizer of the test's own."""

    def score(p: str, r: str) -> float:
        same = Words().tokenize(p) == Words().tokenize(r) != []
        return 1.0 if same else rouge_scorer.RougeScorer([kind], tokenizer=Words()).score(target=r, prediction=p)[kind].fmeasure

    return score


def macro_f1(predictions: list[str], references: list[str]) -> float:
    p, r = ([folded(text) for text in texts] for texts in (predictions, references))
    scores = []
    for name in set(r):
        hits = sum(one == other == name for one, other in zip(p, r, strict=True))
        scores.append(2 * hits / (p.count(name) + r.count(name)))
    return sum(scores) / len(scores)


def folded(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().casefold()


def corpus(single):
    """A pair (one example, corpus) for a mean of single scores."""
    return single, lambda p, r: sum(map(single, p, r)) / len(p)


def of_corpus(whole):
    return lambda p, r: whole([p], [r]), whole


EXPECTED = {
    "exact_match": corpus(lambda p, r: float(p.strip() == r.strip())),
    "accuracy": corpus(lambda p, r: float(folded(p) == folded(r))),
    "token_f1": corpus(squad_f1),
    "rouge1": corpus(rouge("rouge1")),
    "rouge2": corpus(rouge("rouge2")),
    "rougeL": corpus(rouge("rougeL")),
    "mae_similarity": corpus(plain_similarity),
    "bleu": (lambda p, r: sacrebleu.sentence_bleu(p, [r]).score / 100, lambda p, r: sacrebleu.corpus_bleu(p, [r]).score / 100),
    "chrf": (lambda p, r: sacrebleu.sentence_chrf(p, [r]).score / 100, lambda p, r: sacrebleu.corpus_chrf(p, [r]).score / 100),
    "json_field_f1": of_corpus(lambda p, r: micro_f1(p, r, lists=False)),
    "entity_f1": of_corpus(lambda p, r: micro_f1(p, r, lists=True)),
    "tool_call_match": corpus(same_calls),
}
every_metric = pytest.mark.parametrize("name", sorted(EXPECTED))


def test_the_folders_are_the_metrics():
    assert set(metrics.names()) == {*EXPECTED, *PAPER, *STRICT, "balanced_accuracy", "macro_f1", "pass_at_1", "pass_at_k"}
    assert len(metrics.names()) == 30


@every_metric
def test_metric_equals_its_reference_implementation(name):
    predictions, references = cases(name)
    one, whole = EXPECTED[name]
    result = metrics.load(name).compute(predictions=predictions, references=references, per_example=True)
    expected = [one(p, r) for p, r in zip(predictions, references, strict=True)]
    assert result[f"{name}_per_example"] == pytest.approx(expected, abs=1e-12)
    assert result[name] == pytest.approx(whole(predictions, references), abs=1e-12)
    assert 0.02 < result[name] < 0.98
    assert len(set(expected)) >= 2


@every_metric
def test_summed_statistics_give_the_corpus_score(name):
    predictions, references = cases(name)
    metric = metrics.load(name)
    result = metric.compute(predictions=predictions, references=references, per_example=True, statistics=True)
    rows, values = np.array(result[f"{name}_statistics"]), np.array(result[f"{name}_per_example"])
    assert metric.aggregate(rows.sum(axis=0)) == pytest.approx(result[name])
    assert values.min() >= 0
    assert values.max() <= 1 + 1e-12
    assert (values.mean() == pytest.approx(result[name])) == isinstance(metric, MeanMetric)
    assert set(values) <= {0.0, 1.0} or not metric.zero_one
    assert metric.zero_one == (name in {"exact_match", "accuracy", "tool_call_match"})


@every_metric
def test_resampling_by_counts_equals_scoring_the_resampled_texts(name):
    predictions, references = cases(name, n=40)
    metric = metrics.load(name)
    rows = np.array([metric.statistics(p, r) for p, r in zip(predictions, references, strict=True)])
    resamples = np.random.default_rng(0).integers(40, size=(6, 40))
    weights = np.array([np.bincount(index, minlength=40) for index in resamples], dtype=float)
    whole = EXPECTED[name][1]
    expected = [whole([predictions[i] for i in index], [references[i] for i in index]) for index in resamples]
    assert metric.aggregate(weights @ rows) == pytest.approx(expected, abs=1e-12)
    cube = (weights @ rows).reshape(2, 3, -1)
    assert metric.aggregate(cube).shape == (2, 3)
    assert metric.aggregate(cube)[1, 2] == pytest.approx(expected[5], abs=1e-12)


@every_metric
def test_metric_loads_from_its_folder_without_a_network(name):
    predictions, references = cases(name, n=20)
    metric = evaluate.load(str(importlib.resources.files("pipeline.metrics") / name), keep_in_memory=True)
    assert metric.name == name
    by_import = metrics.load(name).compute(predictions=predictions, references=references)
    assert metric.compute(predictions=predictions, references=references) == by_import
    assert pickle.loads(pickle.dumps(metrics.load(name))).compute(predictions=predictions, references=references) == by_import


def test_metrics_combine():
    predictions, references = cases("token_f1", n=20)
    names = [name for name in metrics.names() if not name.startswith("pass_at")]  # these take programs
    result = evaluate.combine([metrics.load(name) for name in names]).compute(predictions, references, per_example=True)
    assert sorted(result) == sorted([*names, *(f"{name}_per_example" for name in names)])


@every_metric
def test_a_perfect_answer_scores_one_and_an_empty_one_nothing(name):
    text = json.dumps({"PER": ["Ann", "3"]}) if name.endswith("_f1") else "3 small birds sat on the long wire"
    text = json.dumps([{"name": "add", "arguments": {"a": 1}}]) if name in metrics.READS_CALLS else text
    metric = metrics.load(name)
    assert metric.compute(predictions=[text], references=[text])[name] == pytest.approx(1)
    assert metric.compute(predictions=["", ""], references=[text, text])[name] == 0
    assert np.isnan(metric.compute(predictions=[], references=[])[name])


def test_json_values_are_compared_without_order_and_type():
    prediction, reference = '{"at": {"x": 1, "y": 2}, "n": "3", "tags": ["a", "b"]}', '{"n": 3, "tags": ["b", "a"], "at": {"y": 2, "x": 1}}'
    assert metrics.load("json_field_f1").compute(predictions=[prediction], references=[reference]) == {
        "json_field_f1": pytest.approx(2 / 3)
    }


@pytest.mark.parametrize(
    ("prediction", "reference", "score"),
    [
        ('[{"arguments": {"b": 2, "a": 1.0}, "name": "add"}]', '[{"name": "add", "arguments": {"a": 1, "b": 2}}]', 1),
        ('[{"name": "b", "arguments": {}}, {"name": "a", "arguments": {}}]', '[{"name": "a"}, {"name": "b"}]', 1),
        ('[{"name": "a"}, {"name": "a"}]', '[{"name": "a"}]', 0),
        ('[{"name": "a"}]', '[{"name": "a"}, {"name": "a"}]', 0),
        ('[{"name": "add", "arguments": {"a": true}}]', '[{"name": "add", "arguments": {"a": 1}}]', 0),
        ('[{"name": "add", "arguments": {"a": "1"}}]', '[{"name": "add", "arguments": {"a": 1}}]', 0),
        ('[{"name": "add", "arguments": {"a": [2, 1]}}]', '[{"name": "add", "arguments": {"a": [1, 2]}}]', 0),
        ('[{"name": "add", "arguments": {"a": 1, "b": null}}]', '[{"name": "add", "arguments": {"a": 1}}]', 0),
        ('[{"name": "Add", "arguments": {}}]', '[{"name": "add", "arguments": {}}]', 0),
        ('[{"function": {"name": "add", "arguments": "{\\"a\\": 1}"}}]', '[{"name": "add", "parameters": {"a": 1}}]', 1),
        ("[]", "[]", 1),
        ("", "[]", 0),
        ("{}", "[]", 0),
        ("[]", '[{"name": "add"}]', 0),
        ("[" * 5000, "[]", 0),
    ],
)
def test_calls_are_equal_as_values(prediction, reference, score):
    assert metrics.load("tool_call_match").compute(predictions=[prediction], references=[reference]) == {"tool_call_match": score}


def test_similarity_takes_the_span_of_the_scale():
    folder = str(importlib.resources.files("pipeline.metrics") / "mae_similarity")
    wide = evaluate.load(folder, keep_in_memory=True, span=10)
    assert wide.compute(predictions=["7"], references=["2"]) == {"mae_similarity": 0.5}
    assert metrics.load("mae_similarity").compute(predictions=["10"], references=["2"]) == {"mae_similarity": 0.0}


def test_uneven_lists_are_refused():
    with pytest.raises(ValueError, match="Mismatch"):
        metrics.load("accuracy").compute(predictions=["a"], references=["a", "b"])


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(RecipeError, match="Did you mean 'rougeL'"):
        metrics.load("rouge_L")


def test_light_modules_stay_light():
    code = (
        "import sys, pipeline.metrics, pipeline.comparisons, pipeline.scoring.stats, pipeline.scoring.verdict, pipeline.scoring.scoring;"
        "print([m for m in ('evaluate', 'datasets', 'torch', 'scipy', 'statsmodels', 'sacrebleu', 'rouge_score') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "prediction", "reference", "score"),
    [
        ("token_f1", "", "A", 0),
        ("token_f1", "The", "A", 0),
        ("token_f1", "B", "A", 0),
        ("token_f1", "a.", "A", 1),
        ("token_f1", "the cat", "cat", 1),
        ("set_f1", '["b", "a"]', '["a", "b"]', 1),
        ("set_f1", "a, b", '["a", "b"]', 1),
        ("set_f1", "['a', 'c']", "a, b", 0.5),
        ("set_f1", '["a, b", "c"]', '["c", "a, b"]', 1),
        ("set_f1", "[a], [b]", "[b], [a]", 1),
        ("set_f1", "[]", "a", 0),
        ("set_f1", "[]", '["a"]', 0),
        ("set_f1", '["a"]', "[]", 0),
        ("set_f1", "[]", "[]", 1),
        ("exact_match", "first\nsecond", "first\r\nsecond", 1),
        ("exact_match", "first second", "first\r\nsecond", 0),
        ("accuracy", "\u2067\u05d0\u2069", "\u05d0", 1),
        ("rougeL", "5 degrees", "–5 degrees", 0.5),
        ("token_f1", "1e5", "1e-5", 0),
        ("token_f1", "1e−5", "1e-5", 1),
    ],
)
def test_an_answer_scores_what_it_is_worth(name, prediction, reference, score):
    assert metrics.load(name).compute(predictions=[prediction], references=[reference])[name] == pytest.approx(score)


def test_balanced_accuracy_is_the_mean_recall_of_the_classes():
    one = {"predictions": ["a"] * 21 + ["b", "a", "c"], "references": ["a"] * 22 + ["b", "b"]}
    result = metrics.load("balanced_accuracy").compute(**one, per_example=True, statistics=True)
    assert result["balanced_accuracy"] == pytest.approx((21 / 22 + 0 / 2) / 2)
    assert result["balanced_accuracy_per_example"] == [1.0] * 21 + [0.0] * 3
    assert metrics.load("balanced_accuracy").compute(predictions=["x"], references=["a"])["balanced_accuracy"] == 0.0


def test_macro_f1_weighs_classes_alike():
    references = ["fine"] * 22 + ["fraud"] * 2
    one = {"predictions": ["fine"] * 24, "references": references}
    assert metrics.load("accuracy").compute(**one) == {"accuracy": pytest.approx(22 / 24)}
    result = metrics.load("macro_f1").compute(**one, per_example=True, statistics=True)
    assert result["macro_f1"] == pytest.approx(22 / 46)  # F1 of 44 / 46 and of 0
    assert result["macro_f1_per_example"] == [1.0] * 22 + [0.0] * 2
    assert np.shape(result["macro_f1_statistics"]) == (24, 6)
    rng = random.Random(0)
    for _ in range(20):
        gold = [*rng.choices(["a", "b", "c"], weights=[9, 2, 1], k=30), "a", "b", "c"]
        answers = [rng.choice([name, "a", "b", ""]) for name in gold]
        metric = metrics.load("macro_f1")
        result = metric.compute(predictions=answers, references=gold, statistics=True)
        assert result["macro_f1"] == pytest.approx(macro_f1(answers, gold))
        index = [rng.randrange(33) for _ in range(33)]
        rows = np.array(result["macro_f1_statistics"])[index]
        if {gold[i] for i in index} >= {answers[i] for i in index} - {""}:
            assert metric.aggregate(rows.sum(axis=0)) == pytest.approx(macro_f1([answers[i] for i in index], [gold[i] for i in index]))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("29.90", 29.9, 1),
        ("3.0", 3, 1),
        ("3", 3.0, 1),
        ("-3.50", -3.5, 1),
        ("29.91", 29.9, 0),
        ("1.10", "1.1", 0),
        ("3.0", "3", 0),
        ("007", 7, 0),
        ("029.90", 29.9, 0),
        ("1", True, 0),
    ],
)
def test_a_number_in_a_text_is_that_number_where_one_is_expected(one, other, expected):
    pair = [json.dumps({"price": value, "unit": "EUR"}) for value in (one, other)]
    for prediction, reference in (pair, pair[::-1]):
        [score] = metrics.load("json_field_f1").compute(predictions=[prediction], references=[reference]).values()
        assert score == pytest.approx((1 + expected) / 2)
