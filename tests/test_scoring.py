"""From predictions to rows of comparison: pairing, parsing, counting, and how often chance is called a lift."""

import json
import random
import re
from dataclasses import replace

import numpy as np
import pytest
import sacrebleu
from scipy.stats import binomtest

from pipeline.errors import ComparisonError, RecipeError
from pipeline.scoring import answer_flags, detectable, scoring, stats
from pipeline.store.records import Example, Prediction
from pipeline.store.score_types import Comparison
from tests.verdicts import judge


def answer(text: str, example: Example) -> str | None:
    """What stands behind 'answer:', or a text of the example's choices; None otherwise."""
    read = text.removeprefix("answer:").strip()
    return read if read and (text.startswith("answer:") or read in example.choices) else None


def heldout(targets: list[str], groups: list[str] | None = None) -> list[Example]:
    labelled = zip(targets, groups or [""] * len(targets), strict=True)
    return [Example(f"e{i}", f"question {i}", target, ("yes", "no"), group) for i, (target, group) in enumerate(labelled)]


def say(texts: list[str], **fields) -> list[Prediction]:
    return [Prediction(f"e{i}", text, len(text.split()), "eos", **fields) for i, text in enumerate(texts)]


def settings(*metrics: str, **changes) -> scoring.Settings:
    return scoring.Settings("toy", metrics or ("accuracy",), **{"resamples": 1000, **changes})


def compare(examples, base, tuned, answer, settings, **others):
    return scoring.compare(examples, scoring.ArmPredictions(base, tuned, others), answer, settings)


TARGETS = ["yes", "no"] * 10
BASE = ["yes"] * 20
TUNED = ["yes", "no"] * 9 + ["no", "no"]


def test_scores_lift_and_test_of_one_seed():
    scored = compare(heldout(TARGETS), say(BASE), [say(TUNED)], answer, settings("accuracy", "bleu"))
    first, second = scored.comparisons
    assert (first["base"], first["tuned"], first["n"], first["seeds"], first["fixed"], first["broken"]) == (0.5, 0.95, 20, 1, 10, 1)
    assert first["lift"] == pytest.approx(0.45)
    assert first["low"] < 0.45 < first["high"]
    assert (first["test"], first["p"]) == ("exact McNemar", pytest.approx(binomtest(1, 11).pvalue))
    assert (first["primary"], second["primary"], second["test"], second["metric"]) == (True, False, "paired randomization", "bleu")
    assert second["tuned"] == pytest.approx(sacrebleu.BLEU(effective_order=True).corpus_score(TUNED, [TARGETS]).score / 100)
    assert judge(scored.comparisons, 0.95, "holm")[0]["verdict"] == "improved"
    back = compare(heldout(TARGETS), say(TUNED), [say(BASE)], answer, settings())
    assert judge(back.comparisons, 0.95, "holm")[0]["verdict"] == "worse"


def test_several_seeds_are_averaged_and_swapped_together():
    scored = compare(heldout(TARGETS), say(BASE), [say(TUNED), say(TARGETS)], answer, settings())
    row = scored.comparisons[0]
    assert (row["seeds"], row["tuned"], row["fixed"], row["broken"]) == (2, pytest.approx(0.975), 10, 1)
    assert row["test"] == "paired randomization and t over seeds"
    assert len(scored.rows[0]["tuned"]) == len(scored.counts["tuned"]) == 2


def test_groups_widen_the_interval_and_replace_mcnemar():
    alone = compare(heldout(TARGETS * 4), say(BASE * 4), [say(TUNED * 4)], answer, settings()).comparisons[0]
    groups = [f"document {i % 20}" for i in range(80)]
    together = compare(heldout(TARGETS * 4, groups), say(BASE * 4), [say(TUNED * 4)], answer, settings()).comparisons[0]
    assert (alone["test"], together["test"]) == ("exact McNemar", "paired randomization")
    assert together["high"] - together["low"] > 1.6 * (alone["high"] - alone["low"])
    assert together["p"] == pytest.approx(binomtest(1, 11).pvalue, abs=0.01)
    assert alone["p"] < together["p"] / 100
    assert together["smallest_effect"] > alone["smallest_effect"]


def test_an_empty_group_is_a_group_of_its_own():
    assert stats.group_ids(heldout(["yes"] * 5, ["", "a", "", "a", "e0"])).tolist() == [0, 1, 2, 1, 3]


def test_predictions_are_paired_by_id_not_by_place():
    examples, shuffled = heldout(TARGETS), say(TUNED)
    random.Random(0).shuffle(shuffled)
    assert compare(examples, say(BASE), [shuffled], answer, settings()) == compare(examples, say(BASE), [say(TUNED)], answer, settings())


def test_rows_and_counts_tell_parsed_from_wrong():
    examples = heldout(["yes", "no", "no"])
    base = [*say(["maybe", "   ", "answer: no"])[:2], Prediction("e2", "answer: no", 7, "length")]
    scored = compare(examples, base, [say(["yes", "no", "yes"])], answer, settings("accuracy", "token_f1"))
    none = {"unparsed": 0, "truncated": 0, "endless": 0, "empty": 0, "refused": 0}
    assert scored.counts["base"] == none | {"n": 3, "unparsed": 2, "truncated": 1, "empty": 1, "mean_tokens": pytest.approx(8 / 3)}
    assert scored.counts["tuned"] == [none | {"n": 3, "mean_tokens": 1.0}]
    scores = {"accuracy": 0.0, "token_f1": 0.0}
    base_row = {"text": "maybe", "answer": None, "stopped": "eos", "tokens": 1, "scores": scores, "flags": ["unparsed"]}
    scores = {"accuracy": 1.0, "token_f1": 1.0}
    tuned = {"text": "yes", "answer": "yes", "stopped": "eos", "tokens": 1, "scores": scores, "flags": []}
    example = {"id": "e0", "prompt": "question 0", "target": "yes", "choices": ["yes", "no"]}
    assert scored.rows[0] == example | {"base": base_row, "tuned": [tuned], "others": {}}
    assert [row["base"]["flags"] for row in scored.rows[1:]] == [["unparsed", "empty"], ["truncated"]]
    assert json.loads(json.dumps(scored.rows)) == scored.rows


LONG = "The harbour was built in 1871 and mended after the flood of 1904. Its two cranes came from Leeds, the third from Bremen, and all "


def test_what_became_of_an_answer_is_counted_apart():
    texts = ["no " * 40, LONG, "", "yes"]
    predictions = [Prediction(f"e{i}", text, 9, ["length", "length", "refused", "eos"][i]) for i, text in enumerate(texts)]
    scored = compare(heldout(["yes"] * 4), say(["yes"] * 4), [say(["no"] * 4)], answer, settings(), gpt=predictions)
    expected = {"unparsed": 3, "truncated": 1, "endless": 1, "empty": 1, "refused": 1}
    assert scored.counts["others"]["gpt"] == {"n": 4, "mean_tokens": 9, **expected}
    flags = [row["others"]["gpt"]["flags"] for row in scored.rows]
    assert flags == [["unparsed", "endless"], ["unparsed", "truncated"], ["unparsed", "empty", "refused"], []]


def test_a_loop_that_came_to_its_end_is_not_endless():
    assert answer_flags.flags(Prediction("e0", "no " * 40, 40, "eos"), "no") == []


@pytest.mark.parametrize(
    "text",
    ["no " * 30, LONG * 3, LONG + "and so on " * 12, "a" * 20, "x" * 75 + "abcdefgh" * 3 + "a", ("yes\n" * 20)[:-2], LONG[:60] + "0," * 60],
)
def test_loops_are_endless(text):
    assert answer_flags.ends_in_loop(text)


@pytest.mark.parametrize(
    "text",
    [
        LONG,
        LONG * 2,
        LONG * 2 + LONG[:64],
        "10000",
        "no no no no",
        ", ".join(map(str, range(100))),
        LONG * 2 + LONG[:5] + "ha" * 20,
        "a" * 80 + "b",
        "1, 2, 1, 2, 1, 2, 1, 2, 1, 3",
        "",
    ],
)
def test_honest_texts_are_not_endless(text):
    assert not answer_flags.ends_in_loop(text)


def plainly_endless(text):
    """The definition, word for word."""
    tails = ((period, text[-max(3 * period, -(-len(text) // 4)) :]) for period in range(1, len(text) // 3 + 1))
    return len(text) >= 20 and any(tail[period:] == tail[:-period] for period, tail in tails)


def test_endless_is_what_it_says():
    rng = random.Random(0)
    texts = ["".join(rng.choices("ab", k=rng.randint(0, 30))) + "".join(rng.choices("ab", k=rng.randint(1, 9))) * 4 for _ in range(3000)]
    cut = [text[: len(text) - rng.randint(0, 8)] for text in texts]
    flags = [answer_flags.ends_in_loop(text) for text in cut]
    assert flags == [plainly_endless(text) for text in cut]
    assert 0.2 < np.mean(flags) < 0.8


def test_the_unnormalized_pick_is_the_highest_sum():
    predictions = [Prediction("e1", "yes", 1, "eos", (-1.0, -0.5)), Prediction("e0", "no", 1, "eos", (-2.0, -2.0))]
    picked = scoring.unnormalized_picks(predictions, heldout(["yes", "no"]))
    assert [(prediction.example, prediction.text) for prediction in picked] == [("e1", "no"), ("e0", "yes")]
    assert picked[0].logprobs == (-1.0, -0.5)


@pytest.mark.parametrize("logprobs", [(), (-1.0,), (-1.0, -2.0, -3.0)])
def test_an_unnormalized_pick_needs_a_sum_for_every_choice(logprobs):
    with pytest.raises(ComparisonError, match=f"e0: {len(logprobs)} log-probabilities for 2 choices"):
        scoring.unnormalized_picks([Prediction("e0", "yes", 1, "eos", logprobs)], heldout(["yes"]))


def test_lenient_shares_stand_beside_strict_scores():
    tuned = [say(["I say YES", "no", "never", ""]), say(["yes", "no", "yes", "no"])]
    scored = compare(heldout(["yes", "no", "yes", "no"]), say(["no"] * 4), tuned, answer, settings(), gpt=say(["yes and no"] * 4))
    assert scored.lenient == {"base": 0.5, "tuned": 0.75, "gpt": 1.0}
    assert scored.other_arms["accuracy"]["others"][0]["score"] == 0


def test_references_are_read_like_predictions():
    scored = compare(heldout(["answer: 4", "5?"]), say(["answer: 4", "answer: 5?"]), [say(["answer: 4", "5?"])], answer, settings())
    assert [scored.comparisons[0]["base"], scored.comparisons[0]["tuned"]] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("base", "tuned", "message"),
    [
        (say(BASE)[4:], say(TUNED), "base: 4 examples missing: e0, e1, e2, ..."),
        (say(BASE), say(TUNED)[:-1], "tuned 1 of 1: 1 example missing: e19$"),
        (say([*BASE, "yes"]), say(TUNED), "base: 1 example not in the test set: e20"),
        (say(BASE) + say(BASE)[:2], say(TUNED), "base: 2 examples twice or more: e0, e1"),
        ([], say(TUNED), "base: 20 examples missing"),
    ],
)
def test_unpaired_predictions_are_refused(base, tuned, message):
    with pytest.raises(ComparisonError) as caught:
        compare(heldout(TARGETS), base, [tuned], answer, settings())
    assert re.search(message, caught.value.problem)
    assert "generate the predictions again" in caught.value.remedy


def test_examples_with_one_id_are_refused():
    with pytest.raises(ComparisonError, match="examples: 1 example twice"):
        compare([*heldout(TARGETS), heldout(TARGETS)[0]], say(BASE), [say(TUNED)], answer, settings())


@pytest.mark.parametrize(("examples", "tuned"), [([], [[]]), (heldout(TARGETS), [])])
def test_nothing_to_compare_is_refused(examples, tuned):
    with pytest.raises(ComparisonError, match="nothing to compare"):
        compare(examples, say(BASE)[: len(examples)], tuned, answer, settings())


def test_an_unknown_metric_is_refused():
    with pytest.raises(RecipeError, match="accuracy"):
        compare(heldout(TARGETS), say(BASE), [say(TUNED)], answer, settings("acuracy"))


# Chance


METRICS = ["accuracy", "token_f1", "rougeL", "bleu", "chrf"]
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def free(text: str, _: Example) -> str:
    return text


def phrases(rng: random.Random, targets: list[str]) -> list[str]:
    """Answers with some words of the target exchanged, by as many as luck has it."""

    def blurred(target: str, quality: float) -> str:
        return " ".join(word if rng.random() < quality else rng.choice(WORDS) for word in target.split())

    return [blurred(target, rng.random()) for target in targets]


def targets(rng: random.Random, n: int) -> list[str]:
    return [" ".join(rng.choices(WORDS, k=rng.randint(2, 8))) for _ in range(n)]


def null_labels(rng: random.Random) -> Comparison:
    """Two equally good models that answer yes or no, right with the same chance on each question."""
    hardness = [rng.betavariate(2, 1) for _ in range(100)]
    base, tuned = (["yes" if rng.random() < right else "no" for right in hardness] for _ in range(2))
    return compare(heldout(["yes"] * 100), say(base), [say(tuned)], answer, settings(resamples=400, seed=rng.randrange(10**6))).comparisons[
        0
    ]


def null_phrases(rng: random.Random, metric: str = "token_f1", seeds: int = 1) -> Comparison:
    wanted = targets(rng, 60)
    base, *tuned = (say(phrases(rng, wanted)) for _ in range(1 + seeds))
    return compare(heldout(wanted), base, tuned, free, settings(metric, resamples=400, seed=rng.randrange(10**6))).comparisons[0]


def false_verdicts(rows: list[Comparison]) -> float:
    return float(np.mean([row["verdict"] != "inconclusive" for row in judge(rows, 0.95, "none")]))


@pytest.mark.parametrize(
    "null",
    [null_labels, null_phrases, lambda rng: null_phrases(rng, "bleu"), lambda rng: null_phrases(rng, seeds=3)],
    ids=["accuracy", "token F1", "BLEU", "three seeds"],
)
def test_chance_is_seldom_called_a_lift(null):
    rng = random.Random(11)
    rows = [null(rng) for _ in range(200)]
    assert false_verdicts(rows) <= 0.075
    assert np.mean([row["p"] <= 0.05 for row in rows]) <= 0.085
    assert np.mean([not row["low"] <= 0 <= row["high"] for row in rows]) <= 0.1


def test_holm_holds_for_the_family():
    rng = random.Random(3)
    families = [[null_labels(rng) for _ in range(5)] for _ in range(40)]
    fooled = [any(row["verdict"] != "inconclusive" for row in judge(family, 0.95, "holm")) for family in families]
    assert np.mean(fooled) <= 0.1


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("seeds", [1, 3])
def test_a_model_against_itself_is_always_inconclusive(metric, seeds):
    rng = random.Random(0)
    wanted = targets(rng, 30)
    predictions = say(phrases(rng, wanted))
    row = compare(heldout(wanted), predictions, [predictions] * seeds, free, settings(metric)).comparisons[0]
    assert (row["lift"], row["low"], row["high"], row["p"], row["fixed"], row["broken"]) == (
        pytest.approx(0),
        pytest.approx(0.05 ** (1 / 30) - 1),
        pytest.approx(1 - 0.05 ** (1 / 30)),
        1.0,
        0,
        0,
    )
    assert judge([row], 0.95, "none")[0]["verdict"] == "inconclusive"
    assert row["smallest_effect"] == pytest.approx(detectable.planned_effect(30, 0))


@pytest.mark.parametrize("metric", METRICS)
def test_a_real_lift_is_found(metric):
    rng = random.Random(1)
    wanted = targets(rng, 80)
    worse = say(phrases(rng, wanted))
    better = [replace(prediction, text=wanted[i]) if rng.random() < 0.5 else prediction for i, prediction in enumerate(worse)]
    row = compare(heldout(wanted), worse, [better], free, settings(metric)).comparisons[0]
    assert judge([row], 0.95, "holm")[0]["verdict"] == "improved"


def test_another_arm_stands_beside_base_and_tuned():
    texts = ["yes"] * 15 + ["no"] * 5
    scored = compare(heldout(TARGETS), say(BASE), [say(TUNED)], answer, settings("accuracy"), gpt=say(texts))
    accuracy = scored.other_arms["accuracy"]
    (other,) = accuracy["others"]
    right = sum(text == target for text, target in zip(texts, TARGETS, strict=True)) / 20
    assert (other["name"], other["score"], other["lift"]) == ("gpt", right, pytest.approx(0.95 - right))
    assert other["low"] < other["lift"] < other["high"]
    assert (other["score_low"], other["score_high"]) == stats.wilson(right, 20)
    assert scored.comparisons == compare(heldout(TARGETS), say(BASE), [say(TUNED)], answer, settings("accuracy")).comparisons
    assert scored.rows[0]["others"]["gpt"]["text"] == "yes"
    assert scored.counts["others"]["gpt"]["n"] == 20
    assert scored.names == ["base", "tuned", "gpt"]


def test_another_arm_is_held_against_base_and_tuned():
    middle = BASE[:10] + TUNED[10:]
    other_arms = compare(heldout(TARGETS), say(BASE), [say(TUNED)], answer, settings("accuracy", "token_f1"), few=say(middle)).other_arms
    for metric in ("accuracy", "token_f1"):
        (few,) = other_arms[metric]["others"]
        alone = compare(heldout(TARGETS), say(BASE), [say(middle)], answer, settings(metric)).comparisons[0]
        assert few["over_base"] == {name: pytest.approx(alone[name]) for name in ("lift", "low", "high", "p")}
        over = compare(heldout(TARGETS), say(middle), [say(TUNED)], answer, settings(metric)).comparisons[0]
        assert {name: few[name] for name in ("lift", "low", "high", "p")} == {
            name: pytest.approx(over[name]) for name in ("lift", "low", "high", "p")
        }


def test_scores_have_intervals():
    other_arms = compare(heldout(TARGETS), say(BASE), [say(TUNED)], answer, settings("accuracy", "token_f1")).other_arms
    assert other_arms["accuracy"]["scores"] == {"base": stats.wilson(0.5, 20), "tuned": stats.wilson(0.95, 20)}
    low, high = other_arms["token_f1"]["scores"]["base"]
    assert 0.2 < low < 0.5 < high < 0.8
    seeds = compare(heldout(TARGETS), say(BASE), [say(TUNED), say(BASE)], answer, settings()).other_arms["accuracy"]["scores"]["tuned"]
    assert seeds[1] - seeds[0] > 0.4  # of seeds that differ so much either alone may be drawn


def test_every_arm_must_answer_every_example():
    with pytest.raises(ComparisonError, match="gpt: 1 example missing: e19"):
        compare(heldout(TARGETS), say(BASE), [say(TUNED)], answer, settings(), gpt=say(TUNED)[:19])


def test_a_lenient_rule_reads_the_whole_text_and_a_strict_one_the_answer():
    examples, predictions = heldout(["yes", "no", "yes", "no"]), say(["yes, 1", "0", "so yes", "no"])
    scored = compare(examples, predictions, [predictions], answer, settings("accuracy", "paper_boolean"))
    assert [row["base"] for row in scored.comparisons] == [0.25, 1.0]


def test_constants_are_the_shares_of_the_targets():
    other_arms = compare(
        heldout(["yes"] * 15 + ["no"] * 5), say(BASE), [say(TUNED)], answer, settings("accuracy", "paper_boolean")
    ).other_arms
    assert other_arms["accuracy"]["constants"] == [{"answer": "yes", "score": 0.75}, {"answer": "no", "score": 0.25}]
    assert other_arms["paper_boolean"]["constants"] == other_arms["accuracy"]["constants"]
    assert other_arms["accuracy"]["zero_one"] is True
    assert other_arms["accuracy"]["score_sd"]["base"] == pytest.approx(np.std([1.0] * 15 + [0.0] * 5))


def test_free_answers_have_no_constants():
    free = [replace(example, choices=()) for example in heldout([f"text {number}" for number in range(20)])]
    assert compare(free, say(BASE), [say(TUNED)], lambda text, _: text, settings()).other_arms["accuracy"]["constants"] == []
    numbers = [replace(example, target=str(index % 4), choices=()) for index, example in enumerate(free)]
    other_arms = compare(numbers, say(["1"] * 20), [say(["2"] * 20)], lambda text, _: text, settings("mae_similarity")).other_arms
    assert [entry["answer"] for entry in other_arms["mae_similarity"]["constants"]][:2] == ["1", "2"]


def test_a_few_free_answers_that_come_again_have_constants():
    """They are classes in all but name, and without training rows nothing else shows that one answer does as well."""
    for targets, constants in (
        (["yes"] * 12 + ["no"] * 8, [{"answer": "yes", "score": 0.6}, {"answer": "no", "score": 0.4}]),
        (["yes", "no", "both", "none", "other"] * 4, []),
    ):
        free = [replace(example, choices=()) for example in heldout(targets)]
        scored = compare(free, say(BASE), [say(TUNED)], lambda text, _: text, settings())
        assert scored.other_arms["accuracy"]["constants"] == constants


def test_a_metric_that_needs_tests_says_so():
    with pytest.raises(RecipeError, match="example e0 has no tests, which a metric of the task needs"):
        compare(heldout(TARGETS), say(BASE), [say(TUNED)], answer, settings("drop_f1"))


def test_another_arm_may_be_called_like_a_seed():
    scored = compare(heldout(TARGETS), say(BASE), [say(TUNED)], answer, settings("accuracy"), **{"tuned 1 of 1": say(TARGETS)})
    assert (scored.comparisons[0]["base"], scored.other_arms["accuracy"]["others"][0]["score"]) == (0.5, 1.0)


def test_samples_are_scored_of_base_and_tuned_only():
    tests = json.dumps({"prefix": "", "check": "assert f() == 1", "entry_point": "f"})
    examples = [replace(example, extra={"tests": tests}) for example in heldout(["x", "y", "x", "y"])]
    right, wrong = "def f():\n    return 1", "def f():\n    return 2"
    tuned = say([right] * 4, samples=(right, right, wrong))
    base = say([wrong] * 4, samples=(wrong, right, wrong))
    scored = compare(examples, base, [tuned], lambda text, _: text, settings("pass_at_1", "pass_at_k"), gpt=say([right] * 4))
    assert [(row["base"], row["tuned"]) for row in scored.comparisons] == [(0, 1), (1, 1)]
    assert [arm["score"] for arm in scored.other_arms["pass_at_1"]["others"]] == [1]
    assert scored.other_arms["pass_at_k"]["others"] == []
    assert scored.rows[0]["others"]["gpt"]["scores"] == {"pass_at_1": 1}
    assert scored.rows[0]["base"]["reasons"]["pass_at_1"] == "assertion failed"
    assert (scored.lenient, len(scored.resampled["pass_at_k"].observed)) == ({}, 2)


def test_constants_are_read_as_answers_are():
    from pipeline.scoring import parsers

    numbers = [replace(example, target=["5.0", "5", "7"][index % 3], choices=()) for index, example in enumerate(heldout(["x"] * 15))]
    constants = compare(numbers, say(["1"] * 15), [say(["7"] * 15)], parsers.number, settings()).other_arms["accuracy"]["constants"]
    assert constants[0]["score"] == pytest.approx(2 / 3)
