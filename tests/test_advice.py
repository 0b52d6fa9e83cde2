"""Advice follows from the claims, says what to use in their words, and names what it rests on."""

import re

import pytest

from pipeline.measures import advice, failure_causes
from pipeline.measures.claims import Claim
from pipeline.measures.evidence import Evidence
from pipeline.page.verdict_section import advice_row, rule_row, summary
from pipeline.scoring import verdict

COST = {"arms": {"tuned": {"request": 0.0004}, "base_fewshot": {"request": 0.0006}, "reference.big": {"request": None}}}
COST["break_even"] = [
    {"one": "tuned", "other": "base_fewshot", "requests": 13091, "reason": None},
    {"one": "tuned", "other": "reference.big", "requests": None, "reason": "no price of an hour"},
]
SCORES = {"base": 0.2, "base_constrained": 0.3, "base_fewshot": 0.4, "reference.big": 0.9, "constant": 0.35, "tuned": 0.7}
COUNTS = {"n": 60, "unparsed": 0, "truncated": 0, "endless": 0}
VALUES = {"improved": 0.3, "worse": -0.3, "inconclusive": 0.01, "no regression": 0.0, "regressed": -0.3}
VALUES |= {"above base": 0.3, "below base": -0.3}


def cell(rates=None, cost=None, cheap="base_fewshot", name="cell0000", over=-0.01, constant=None, half=None, counts=None, **changes):
    """A cell of report.json as far as advice reads it.

    Args:
        over: the lower bound of what tuned scores over few-shot, the constant answer and a reference model.
        half: of the width of a score's interval.
    """
    rates = {"base": None, "tuned": None} | (rates or {})
    hallucination = {arm: rate and {"rate": rate, "low": rate - 0.02, "high": rate + 0.03} for arm, rate in rates.items()}
    arms = [{"name": arm, "hallucination": rate, "tuned_over": None} for arm, rate in hallucination.items()]
    arms += [{"name": arm, "hallucination": None, "tuned_over": {"low": over}} for arm in ("base_fewshot", "reference.big", "constant")]
    arms = [arm | {"score": SCORES[arm["name"]], "counts": COUNTS | (counts or {})} for arm in arms]
    arms = [arm | dict.fromkeys(("low", "high")) if half is None else arm | around(arm["score"], half) for arm in arms]
    named = {
        "cell": name,
        "task": "pets",
        "label": "pets",
        "coordinates": "",
        "variant": None,
        "predictions": [],
        "point": {},
        "constraint": "",
    }
    trained = {"seeds": [0], "adapters": [], "absent": [], "examples": {"runs": None, "commonest": None}, "forgetting": []}
    decomposition = {"best_cheap": cheap, "candidates": ["base", "base_fewshot", "constant"]} if cheap else None
    return {**named, **trained, "arms": arms, "constant_answer": constant, "decomposition": decomposition, "cost": cost, **changes}


def around(score, half):
    return {"low": score - half, "high": score + half}


def claim(kind, word, subject="accuracy", name="cell0000", against=None):
    """A judged claim; of a loss the sign is turned, since a rise is worse."""
    tables = {"lift": "lifts", "training effect": "parts", "non-inferiority": "suites"}
    is_loss = subject == "paragraphs"
    value = -VALUES[word] if is_loss else VALUES[word]
    margin = 0.05 if is_loss else -0.02
    return Claim(
        id=f"{name}.{kind}",
        cell=name,
        task="pets",
        label="pets",
        kind=kind,
        subject=subject,
        against=against or ("base_fewshot" if kind == "training effect" else "base"),
        metric=None if is_loss else "accuracy",
        unit="nats/token" if is_loss else "score",
        value=value,
        low=value - 0.04,
        high=value + 0.04,
        p=0.001,
        margin=margin if kind == "non-inferiority" else None,
        evidence=Evidence(tables[kind], name, subject if kind == "non-inferiority" else ""),
        p_adjusted=0.002,
        verdict=word,
    )


def with_headline(cell, claims):
    """The cell with the headline that its claims give it."""
    decisive = advice.decisive([claim for claim in claims if claim.cell == cell["cell"]])
    if decisive is None:
        return cell
    row = {
        "kind": decisive.kind,
        "metric": "accuracy",
        "confidence": 0.95,
        "same_within": 0.1,
        "baseline": decisive.against,
        "effect": decisive.value,
        "n": 60,
        "smallest_effect": 0.12,
    }
    row |= {"tuned": SCORES["tuned"], "baseline_score": SCORES[decisive.against], "low": decisive.low, "high": decisive.high}
    return cell | {"headline": row}


def by_cell(cells, claims):
    return {cell["cell"]: [claim for claim in claims if claim.cell == cell["cell"]] for cell in cells}


def advise(cells, claims, adapters=None):
    """Advice and rules as report.json has them."""
    cells = [with_headline(one, claims) for one in cells]
    rows, rules = advice.advise(cells, by_cell(cells, claims), adapters or {})
    cell_of = {one["cell"]: one for one in cells}
    return [advice_row(row, one) for row, one in zip(rows, cells, strict=True)], [rule_row(rule, cell_of[rule.cell]) for rule in rules]


def paragraph(cells, claims, correction="holm"):
    cells = [with_headline(one, claims) for one in cells]
    return summary(advice.advise(cells, by_cell(cells, claims), {})[0], claims, cells, correction)


def sentences(claims, trainings=None, **measures):
    """What to use, and by kind of statement its text."""
    (row,), _ = advise([cell(**measures)], claims, trainings)
    return row["use"], {sentence["kind"]: sentence["text"] for sentence in row["sentences"]}


SCORED = "accuracy 0.70 against 0.40 (best baseline: few-shot base)"
ON_BASE = "accuracy 0.70 against 0.20 (base, the only baseline tested)"
EFFECT_ON_BASE = [claim("lift", "improved")]


def effects(lift, training):
    return [claim("lift", lift), claim("training effect", training)]


@pytest.mark.parametrize(
    ("lift", "training", "use", "word", "text"),
    [
        ("improved", "improved", "tuned", "improved",
         f"Use the fine-tuned model: {SCORED}; +0.30, 95 % interval 0.26 to 0.34 (60 test examples)."),
        ("improved", "worse", "base_fewshot", "worse",
         f"Do not use this fine-tune: {SCORED}; -0.30, 95 % interval -0.34 to -0.26 (60 test examples)."),
        ("improved", "inconclusive", "inconclusive", "inconclusive",
         f"Inconclusive: {SCORED}; +0.01, 95 % interval -0.03 to 0.05 (60 test examples). It does improve on the base "
         "alone. A test set of this size detects 0.12 or more. There is no evidence that training pays off; the few-shot base "
         "needs no training."),
        ("inconclusive", "inconclusive", "inconclusive", "inconclusive",
         f"Inconclusive: {SCORED}; +0.01, 95 % interval -0.03 to 0.05 (60 test examples). A test set of this size detects 0.12 or "
         f"more. There is no evidence that "
         "training pays off; the few-shot base needs no training."),
        ("inconclusive", "worse", "base_fewshot", "worse",
         f"Do not use this fine-tune: {SCORED}; -0.30, 95 % interval -0.34 to -0.26 (60 test examples)."),
        ("improved", None, "tuned", "improved",
         f"Use the fine-tuned model: {ON_BASE}; +0.30, 95 % interval 0.26 to 0.34 (60 test examples). "
         "The few-shot base and a constant answer were not tested and may do as well."),
        ("worse", None, "base", "worse",
         f"Do not use this fine-tune: {ON_BASE}; -0.30, 95 % interval -0.34 to -0.26 (60 test examples)."),
        ("inconclusive", None, "inconclusive", "inconclusive",
         f"Inconclusive: {ON_BASE}; +0.01, 95 % interval -0.03 to 0.05 (60 test examples). A test set of this size detects 0.12 or more. "
         "There is no evidence that training pays off; the base needs no training."),
    ],
)  # fmt: skip
def test_the_headline_is_the_training_effect(lift, training, use, word, text):
    """The lift over the base decides only where nothing else was tested."""
    claims = effects({"improved": "above base", "worse": "below base"}.get(lift, lift), training) if training else [claim("lift", lift)]
    (row,), _ = advise([cell(cheap="base_fewshot" if training else None)], claims)
    assert (row["use"], row["verdict"], row["sentences"][0]["text"]) == (use, word, text)


@pytest.mark.parametrize(
    ("value", "says"), [(0.01, ""), (0.06, " It is above zero, but by less than the margin."), (-0.06, " It is below")]
)
def test_the_same_as_the_best_baseline_is_said_with_the_margin(monkeypatch, value, says):
    monkeypatch.setitem(VALUES, "same", value)
    (row,), _ = advise([cell()], [claim("lift", "above base"), claim("training effect", "same")])
    assert (row["use"], row["verdict"]) == ("same", "same")
    start, _, rest = row["sentences"][0]["text"].partition("; a difference of 0.1 or more is ruled out.")
    assert start.startswith(f"Same within the margin: {SCORED}; {value:+.2f}, 95 % interval")
    assert rest.startswith(says)
    assert rest.endswith(" The few-shot base needs no training.")
    two = [cell(), cell(name="cell0001") | {"task": "boats"}]
    claims = [claim("training effect", "same"), claim("training effect", "improved", name="cell0001")]
    assert "The same as the best baseline within the margin for pets." in [row["text"] for row in paragraph(two, claims)]


def test_without_a_claim_nothing_is_recommended():
    (row,), _ = advise([cell()], [])
    assert (row["use"], row["verdict"]) == ("inconclusive", "inconclusive")
    assert row["sentences"][0]["text"] == "Inconclusive: nothing was tested."


def test_arms_are_named_by_how_the_task_constrains_answers():
    claims = [claim("lift", "improved"), claim("training effect", "worse", against="constant")]
    text = sentences(claims, cheap="constant", constraint="choices")[1]["do not use"]
    assert "accuracy 0.70 against 0.35 (best baseline: constant answer)" in text
    claims = [claim("lift", "improved"), claim("training effect", "worse", against="base_constrained")]
    assert "(best baseline: base with ranked choices)" in sentences(claims, cheap="base", constraint="choices")[1]["do not use"]
    assert "(best baseline: base with keys in its prompt)" in sentences(claims, cheap="base", constraint="keys")[1]["do not use"]


@pytest.mark.parametrize(
    ("training", "score", "interval", "use", "kind"),
    [
        ("improved", 0.5, (0.1, 0.3), "tuned", "use tuned"),
        ("improved", 0.5, (-0.1, 0.5), "constant", "do not use"),
        ("improved", 0.8, (-0.3, -0.1), "constant", "do not use"),
        ("improved", 0.69, None, "tuned", "use tuned"),
        ("improved", 0.7, None, "constant", "do not use"),  # a tie is not shown to beat it
        ("improved", 0.71, None, "constant", "do not use"),
        ("inconclusive", 0.5, (0.1, 0.3), "inconclusive", "inconclusive"),
        ("inconclusive", 0.5, (-0.1, 0.3), "constant", "do not use"),
        ("worse", 0.5, (-0.1, 0.3), "base_fewshot", "do not use"),  # the best baseline is the better advice
        ("worse", 0.3, (0.1, 0.3), "base_fewshot", "do not use"),
    ],
)
def test_what_does_not_beat_a_constant_answer_is_not_used(training, score, interval, use, kind):
    over = None if interval is None else {"lift": sum(interval) / 2, "low": interval[0], "high": interval[1]}
    constant = {"answer": "cat", "score": score, "tuned_over": over}
    advised, texts = sentences(effects("improved", training), constant=constant, constraint="choices")
    assert (advised, next(iter(texts))) == (use, kind)
    if use == "constant" or (interval and interval[0] < 0):
        says = "is worse than" if (interval and interval[1] < 0) or score > 0.7 else "is not shown to beat"
        beside = f" ({sum(interval) / 2:+.2f}, 95 % interval {interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
        assert texts[kind].endswith(f' It {says} a constant answer ("cat"), which scores {score:.2f}{beside}.'), texts[kind]
    else:
        assert "cat" not in texts[kind]


@pytest.mark.parametrize(("interval", "says"), [((-0.1, 0.2), "is not shown to beat"), ((-0.3, -0.1), "is worse than")])
def test_a_constant_answer_that_is_the_best_baseline_is_named_once(interval, says):
    over = {"lift": sum(interval) / 2, "low": interval[0], "high": interval[1]}
    claims = [claim("lift", "improved"), claim("training effect", "worse", against="constant")]
    constant = {"answer": "a  b " + 40 * "cd ", "score": 0.35, "tuned_over": over}
    text = sentences(claims, cheap="constant", constant=constant, constraint="choices")[1]["do not use"]
    effect = "accuracy 0.70 against 0.35 (best baseline: constant answer); -0.30, 95 % interval -0.34 to -0.26 (60 test examples)"
    assert text == f'Do not use this fine-tune: {effect}. It {says} the constant answer ("a b {17 * "cd "}...").'


@pytest.mark.parametrize(("score", "use"), [(0.64, "tuned"), (0.66, "constant"), (0.74, "constant"), (0.76, "constant")])
def test_without_a_paired_interval_that_of_the_score_itself_decides(score, use):
    """No arm `constant`: its score is compared with the interval of tuned's own."""
    constant = {"answer": "cat", "score": score, "tuned_over": None}
    advised, texts = sentences(effects("improved", "improved"), constant=constant, half=0.05)
    assert advised == use
    assert ("its own score has the interval 0.65 to 0.75" in texts.get("do not use", "")) == (use == "constant")


TRAININGS = {
    "short": {"steps": 4, "curve": {"train": [[1, 3.0], [2, 1.0]]}},
    "flat": {"steps": 400, "curve": {"train": [[1, 3.0], [2, 2.9]]}},
}


@pytest.mark.parametrize(
    ("counts", "adapters", "says"),
    [
        ({}, [], ""),
        ({"unparsed": 30}, [], ""),  # half of them is not most of them
        ({"unparsed": 60}, [], " Likely cause: 60 of 60 answers are unparsable (read a few: prompt and target may not ask for the "
         "same form)."),
        ({"truncated": 31}, [], " Likely cause: 31 of 60 answers are truncated (raise generate.max_new_tokens)."),
        ({"endless": 45}, [], " Likely cause: 45 of 60 answers end in a repetition loop."),
        ({}, ["short"], " Likely cause: only 4 optimizer steps (raise finetune.epochs or add training rows)."),
        ({}, ["flat"], " Likely cause: the training loss did not fall (3.00 to 2.90; change finetune.learning_rate)."),
        ({"unparsed": 60, "truncated": 60}, ["short", "short", "flat"],
         " Likely causes: 60 of 60 answers are truncated (raise generate.max_new_tokens); 60 of 60 answers are unparsable (read a "
         "few: prompt and target may not ask for the same form); only 4 optimizer steps (raise finetune.epochs or add training "
         "rows); the training loss did not fall (3.00 to 2.90; change "
         "finetune.learning_rate)."),
    ],
)  # fmt: skip
def test_a_failure_names_its_likely_causes(counts, adapters, says):
    _, texts = sentences(effects("worse", "worse"), TRAININGS, counts=counts, adapters=adapters)
    assert (
        texts["do not use"].removeprefix(f"Do not use this fine-tune: {SCORED}; -0.30, 95 % interval -0.34 to -0.26 (60 test examples).")
        == says
    )


@pytest.mark.parametrize(
    ("count", "target_share", "is_collapsed"),
    [(60, 0.5, True), (57, 0.5, True), (56, 0.5, False), (60, 1.0, False), (57, 0.9, True), (57, 0.94, False), (59, 0.95, True)],
)
def test_one_answer_to_everything_is_a_cause(count, target_share, is_collapsed):
    """At least 95 % of the answers, where targets vary at least twice as much."""
    commonest = {"answer": "maybe", "count": count, "answers": 60, "target_share": target_share}
    _, texts = sentences(effects("worse", "worse"), examples={"runs": None, "commonest": commonest}, constraint="choices")
    says = f'Likely cause: the model collapsed to one answer, {count} of 60 are "maybe" (check'
    assert (says in texts["do not use"]) == is_collapsed
    free = sentences(effects("worse", "worse"), examples={"runs": None, "commonest": commonest})[1]["do not use"]
    assert ("are the same (check" in free) == is_collapsed
    assert "maybe" not in free  # a model card quotes no text of a user's data but choices


def test_a_success_has_no_causes():
    _, texts = sentences(effects("improved", "improved"), TRAININGS, counts={"unparsed": 60}, adapters=["short"])
    assert "Likely" not in " ".join(texts.values())


@pytest.mark.parametrize(
    ("losses", "falls"),
    [([3.0, 2.8], True), ([3.0, 2.86], False), ([3.0, 3.5], False), ([3.0, 1.0, 3.5], True), ([3.0], True), ([], True)],
)
def test_a_loss_falls_by_more_than_five_percent_at_any_step(losses, falls):
    trained = [{"steps": failure_causes.FEW_STEPS, "curve": {"train": list(enumerate(losses))}}]
    assert (failure_causes.of_training(trained) == []) == falls


def test_a_base_that_cannot_be_parsed_is_named(monkeypatch):
    measured = cell()
    measured["arms"][0]["counts"] = {"n": 60, "unparsed": 31, "truncated": 0, "endless": 0}
    (row,), _ = advise([measured], effects("improved", "improved"))
    by_kind = {sentence["kind"]: sentence["text"] for sentence in row["sentences"]}
    means = " answers of the base are unparsable and count as wrong, so the lift over it measures output format too, not skill alone."
    assert by_kind["base unparsable"] == f"31 of 60{means}"
    measured["arms"][0]["counts"]["unparsed"] = 60
    (row,), _ = advise([measured], effects("improved", "improved"))
    assert f"All 60{means}" in [sentence["text"] for sentence in row["sentences"]]
    measured["arms"][0]["counts"]["unparsed"] = 30
    (row,), _ = advise([measured], effects("improved", "improved"))
    assert "base unparsable" not in {sentence["kind"] for sentence in row["sentences"]}


def test_an_adapter_that_is_worse_elsewhere_is_for_its_task_only():
    limited = [*effects("improved", "improved"), claim("non-inferiority", "regressed", "boolq")]
    assert sentences(limited)[1]["use tuned"].startswith("Use the fine-tuned model on this task only: accuracy 0.70")
    assert sentences(effects("improved", "improved"))[1]["use tuned"].startswith("Use the fine-tuned model: accuracy 0.70")


def test_the_share_that_needs_no_training_is_said_where_it_is_large(monkeypatch):
    text = sentences(effects("improved", "improved"))[1]["share of baseline"]
    assert text == "40 % of the lift over the base needs no training: the few-shot base already scores 0.40."
    monkeypatch.setitem(SCORES, "base_fewshot", 0.3)
    assert "share of baseline" not in sentences(effects("improved", "improved"))[1]  # 20 %
    monkeypatch.setitem(SCORES, "base_fewshot", 0.9)
    assert "share of baseline" not in sentences(effects("improved", "worse"))[1]  # training lost what the baseline had
    monkeypatch.setitem(SCORES, "tuned", 0.2)
    assert "share of baseline" not in sentences(effects("worse", "worse"))[1]  # there is no lift
    assert "share of baseline" not in sentences(EFFECT_ON_BASE, cheap=None)[1]


def loss_suite(rise, low, measurable=True):
    return {"suite": "paragraphs", "kind": "loss", "difference": rise, "low": low, "high": rise + 0.1, "measurable": measurable}


@pytest.mark.parametrize(("rise", "low", "is_destroyed"), [(8.1, 7.9, True), (1.01, 0.9, True), (1.0, 0.9, False), (3.0, -0.1, False)])
def test_destroyed_text_is_said_beside_any_headline(rise, low, is_destroyed):
    for word in ("improved", "worse", "inconclusive"):
        _, texts = sentences(effects("improved", word), forgetting=[loss_suite(rise, low)])
        times = {8.1: "3,300"}.get(rise, "3")
        loss = f"its loss on plain English rises by {rise:.1f} nats/token (the right token is about {times} times less likely)"
        expected = f"Watch out: the adapter breaks the model on general text: {loss}. Disable it for everything else."
        assert texts.get("text destroyed") == (expected if is_destroyed else None)
    alone = " ".join(sentence["text"] for sentence in paragraph([cell(forgetting=[loss_suite(rise, low)])], EFFECT_ON_BASE))
    assert (expected in alone) == is_destroyed
    two = [cell(forgetting=[loss_suite(rise, low)]), cell(name="cell0001")]
    text = " ".join(sentence["text"] for sentence in paragraph(two, [*EFFECT_ON_BASE, claim("lift", "improved", name="cell0001")]))
    assert (f"Watch out: the adapter breaks the model on general text: pets (+{rise:.1f} nats/token)." in text) == is_destroyed


def test_a_destroyed_text_is_not_called_a_regression_as_well():
    claims = [*EFFECT_ON_BASE, claim("non-inferiority", "regressed", "paragraphs"), claim("non-inferiority", "regressed", "x")]
    (row,), _ = advise([cell(forgetting=[loss_suite(8.1, 7.9)])], claims)
    assert [sentence["kind"] for sentence in row["sentences"]].count("regressed") == 1
    texts = [row["text"] for row in paragraph([cell(forgetting=[loss_suite(8.1, 7.9)])], claims)]
    assert "On other tasks: 1 regressed." in texts
    assert not [text for text in texts if text.startswith("On ") and "plain English" in text]


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ([0.7], "One training run: another seed may move this score by an unknown amount (add finetune.seeds)."),
        ([0.6, 0.7, 0.8], "Another seed may move this score by about 0.100 (standard deviation of 3 seeds); the interval covers it."),
    ],
)
def test_training_variance_is_part_of_the_message(scores, says):
    """The standard deviation of seeds, with n - 1; unknown with one."""
    runs = [{"seed": seed, "tuned": score, "lift": score - 0.2} for seed, score in enumerate(scores)]
    for word in ("improved", "worse", "inconclusive"):
        _, texts = sentences(effects("improved", word), seeds=list(range(len(scores))), examples={"runs": runs, "commonest": None})
        assert texts["seeds"] == says


def test_seeds_of_a_metric_that_is_no_mean_have_no_spread():
    assert "seeds" not in sentences(EFFECT_ON_BASE, seeds=[0, 1])[1]
    assert "unknown amount" in sentences(EFFECT_ON_BASE, seeds=[0])[1]["seeds"]


def test_other_tasks_limit_the_advice():
    claims = [
        claim("lift", "improved"),
        claim("non-inferiority", "regressed", "paragraphs"),
        claim("non-inferiority", "regressed", "sst2"),
        claim("non-inferiority", "inconclusive", "boolq"),
        claim("non-inferiority", "no regression", "viggo"),
    ]
    (row,), _ = advise([cell(cheap=None)], claims)
    assert row["use"] == "tuned"
    assert [sentence["text"] for sentence in row["sentences"][2:]] == [
        "Disable the adapter for plain English: its loss is 0.300 nats/token higher than the base there (margin 0.05 nats/token).",
        "Disable the adapter for sst2: it scores 0.300 lower than the base there (margin 0.02).",
        "Inconclusive on boolq: a drop of more than 0.02 cannot be ruled out. Test it before using the adapter there.",
    ]


def test_hallucinations_limit_the_advice():
    text = sentences(EFFECT_ON_BASE, rates={"base": 0.1, "tuned": 0.3})[1]["hallucinates more"]
    assert text.startswith("The fine-tuned model hallucinates more often than the base: +0.20 [")
    assert text.endswith("of its answers (exploratory).")
    assert "hallucinates more" not in sentences(EFFECT_ON_BASE, rates={"base": 0.1, "tuned": 0.12})[1]
    assert "hallucinates more" not in sentences([claim("lift", "worse")], rates={"base": 0.1, "tuned": 0.3})[1]


def test_the_price_is_weighed_where_the_fine_tuned_model_is_no_worse():
    texts = sentences(EFFECT_ON_BASE, cost=COST)[1]
    assert texts["pays off"] == "Break-even: by price the fine-tuned model is cheaper than the few-shot base from about 14,000 requests on."
    assert "big" not in " ".join(texts.values())  # its break-even is not known
    assert "pays off" not in sentences([claim("lift", "worse")], cost=COST)[1]
    never = COST | {"break_even": [{"one": "tuned", "other": "reference.big", "requests": None, "reason": "never"}]}
    text = sentences(EFFECT_ON_BASE, cost=never)[1]["never pays off"]
    assert text == "Break-even: never; by price the fine-tuned model is not cheaper than big at any number of requests."


def test_rules_hold_every_claim_and_mark_the_rest():
    claims = [
        *effects("improved", "inconclusive"),
        claim("non-inferiority", "no regression", "paragraphs"),
        claim("non-inferiority", "regressed", "x"),
    ]
    _, rules = advise([cell(rates={"base": 0.3, "tuned": 0.1}, cost=COST)], claims)
    by_name = {row["rule"]: row for row in rules}
    assert [row["rule"] for row in rules if row["confirmatory"]] == [
        "lift over the base",
        "training effect over the best baseline (the few-shot base)",
        "no regression on plain English",
        "no regression on x",
    ]
    sides = {name: (by_name[name]["side"], by_name[name]["threshold"]) for name in list(by_name)[:4]}
    assert list(sides.values()) == [("above", 0.0), ("above", 0.0), ("below", 0.05), ("above", -0.02)]
    assert by_name["hallucination rate against the base"]["verdict"] == "lower"
    assert by_name["price of a request against the few-shot base"]["verdict"] == "cheaper"
    assert by_name["price of a request against big"]["verdict"] == "inconclusive"
    assert by_name["break-even against the few-shot base (requests)"]["value"] == 13091
    assert all(row["evidence"].startswith("#cell0000") for row in rules)


def test_each_kind_of_rule_has_the_words_of_its_kind():
    claims = [*effects("improved", "worse"), claim("non-inferiority", "regressed", "x")]
    dear = COST | {"arms": COST["arms"] | {"tuned": {"request": 0.001}}}
    dear["break_even"] = [{"one": "tuned", "other": "base_fewshot", "requests": None, "reason": "never"}]
    _, rules = advise([cell(rates={"base": 0.1, "tuned": 0.3}, cost=dear)], claims)
    assert [(row["kind"], row["against"], row["verdict"]) for row in rules] == [
        ("lift", "base", "improved"),
        ("training effect", "base_fewshot", "worse"),
        ("non-inferiority", "x", "regressed"),
        ("hallucination", "base", "higher"),
        ("request price", "base_fewshot", "not cheaper"),
        ("request price", "reference.big", "inconclusive"),
        ("break-even", "base_fewshot", "not cheaper"),
    ]
    assert [verdict.tone(row["verdict"]) for row in rules] == ["good", "bad", "bad", "bad", "bad", "open", "bad"]


def test_interval_of_a_difference_of_shares():
    """Newcombe's own example, 56/70 against 48/80 with Wilson's intervals: 0.2 [0.0524, 0.3339]."""
    rates = {"tuned": (0.8, 0.6917, 0.8769), "base": (0.6, 0.4904, 0.7002)}
    measured = cell()
    for arm in measured["arms"]:
        if arm["name"] in rates:
            arm["hallucination"] = dict(zip(("rate", "low", "high"), rates[arm["name"]], strict=True))
    row = next(row for row in advise([measured], [])[1] if row["rule"].startswith("hallucination"))
    assert (row["low"], row["high"]) == pytest.approx((0.0524, 0.3339), abs=2e-4)


def test_a_difference_of_shares_that_may_be_chance_is_inconclusive():
    _, rules = advise([cell(rates={"base": 0.12, "tuned": 0.1})], [])
    assert [row["verdict"] for row in rules] == ["inconclusive"]


def test_a_cheaper_arm_with_worse_answers_is_no_choice():
    assert "pays off" not in sentences(EFFECT_ON_BASE, cost=COST, over=0.01)[1]
    assert "pays off" in sentences(EFFECT_ON_BASE, cost=COST, over=0.0)[1]


def test_no_price_is_weighed_where_the_base_alone_is_no_worse():
    measured = cell(cost=COST)
    claims = [claim("lift", "inconclusive")]
    measured["arms"][0]["tuned_over"] = {"low": 0.0}
    assert "pays off" not in [sentence["kind"] for sentence in advise([measured], claims)[0][0]["sentences"]]
    measured["arms"][0]["tuned_over"] = {"low": 0.01}
    assert "pays off" in [sentence["kind"] for sentence in advise([measured], claims)[0][0]["sentences"]]


def test_without_the_price_of_an_hour_time_is_weighed():
    free = {"arms": {name: {"request": None} for name in COST["arms"]}, "break_even": COST["break_even"]}
    text = sentences(EFFECT_ON_BASE, cost=free)[1]["pays off"]
    assert text == "Break-even: by machine time the fine-tuned model is cheaper than the few-shot base from about 14,000 requests on."


def test_every_sentence_names_its_evidence_and_its_rule():
    claims = [
        *effects("improved", "improved"),
        claim("non-inferiority", "regressed", "y"),
        claim("non-inferiority", "inconclusive", "x"),
    ]
    (row,), rules = advise([cell(rates={"base": 0.1, "tuned": 0.3}, cost=COST, forgetting=[loss_suite(8.0, 7.0)])], claims)
    assert [(sentence["kind"], sentence["evidence"], sentence["rule"]) for sentence in row["sentences"]] == [
        ("use tuned", "#cell0000-parts", "training effect over the best baseline (the few-shot base)"),
        ("text destroyed", "#cell0000-kept-paragraphs", None),
        ("share of baseline", "#cell0000-parts", None),
        ("seeds", "#cell0000", None),
        ("regressed", "#cell0000-kept-y", "no regression on y"),
        ("inconclusive on suite", "#cell0000-kept-x", "no regression on x"),
        ("hallucinates more", "#cell0000-hallucination", "hallucination rate against the base"),
        ("pays off", "#cell0000-cost", "break-even against the few-shot base (requests)"),
    ]
    assert {sentence["rule"] for sentence in row["sentences"]} - {None} <= {rule["rule"] for rule in rules}


def test_no_other_words_of_judgement():
    claims = [*effects("improved", "worse"), claim("non-inferiority", "inconclusive", "boolq")]
    assert not re.search(r"significan|better|outperform|slight|strong|clear", " ".join(sentences(claims, cost=COST)[1].values()))


def test_the_paragraph():
    cells = [cell(cost=COST), cell(name="cell0001") | {"task": "boats"}, cell(name="cell0002") | {"task": "cars"}]
    cells[1]["forgetting"] = [
        {"suite": "z", "kind": "task", "difference": 0.0, "low": 0.0, "high": 0.0, "margin": -0.02, "measurable": False}
    ]
    claims = [*effects("improved", "improved"), claim("non-inferiority", "no regression", "x"), claim("non-inferiority", "regressed", "y")]
    claims += [claim("training effect", "worse", name="cell0001"), claim("lift", "inconclusive", name="cell0002")]
    rows = paragraph(cells, claims)
    assert [row["text"] for row in rows] == [
        "Do not use the fine-tuned model for boats.",
        "Use the fine-tuned model for pets.",
        "Inconclusive for cars.",
        "On other tasks: 1 regressed, 1 no regression, 1 not testable (the base itself does no better than a constant answer there).",
        "One training run per task: another seed may move these scores by an unknown amount, which no interval here covers.",
        "6 confirmatory tests, Holm-corrected (1 more planned, not testable). Every other figure is exploratory: a hint, not a proof.",
    ]
    assert [linked_words(row) for row in rows] == [
        {"#cell0001-parts": "boats"},
        {"#cell0000-parts": "pets"},
        {"#cell0002": "cars"},
        {"#cell0000-kept-x": "1 no regression", "#cell0000-kept-y": "1 regressed", "#cell0001-kept-z": "1 not testable"},
        {},
        {"#claims": "6 confirmatory tests"},
    ]
    assert paragraph(cells, claims, "none")[-1]["text"] == (
        "6 confirmatory tests, not corrected for multiple testing (1 more planned, not testable). "
        "Every other figure is exploratory: a hint, not a proof."
    )


def linked_words(row):
    """The words of a sentence by what they rest on."""
    return {anchor: row["text"][start:end] for anchor, (start, end) in zip(row["evidence"], row["spans"], strict=True)}


@pytest.mark.parametrize(
    ("training", "opening"),
    [("improved", "Use the fine-tuned model"), ("worse", "Do not use this fine-tune"), ("inconclusive", "Inconclusive")],
)
def test_a_paragraph_on_one_task_is_its_whole_recommendation(training, opening):
    claims = effects("improved", training)
    (advised,), _ = advise([cell()], claims)
    first, *others = paragraph([cell()], claims)
    assert first["text"] == advised["sentences"][0]["text"]
    assert linked_words(first) == {"#cell0000-parts": opening}
    assert [row["text"] for row in others] == [
        "One training run per task: another seed may move these scores by an unknown amount, which no interval here covers.",
        "2 confirmatory tests, Holm-corrected. Every other figure is exploratory: a hint, not a proof.",
    ]


def test_a_paragraph_on_nothing():
    (empty,) = paragraph([], [])
    assert empty == {
        "kind": "method",
        "text": "0 confirmatory tests, Holm-corrected. Every other figure is exploratory: a hint, not a proof.",
        "evidence": [],
        "spans": [],
    }


@pytest.mark.parametrize(("spreads", "says"), [((0.1, 0.1), "about 0.100"), ((0.1, 0.02), "about 0.020 to 0.100")])
def test_the_paragraph_says_how_far_seeds_move_scores(spreads, says):
    cells = []
    for number, spread in enumerate(spreads):
        runs = [{"seed": seed, "tuned": 0.5 + spread * step, "lift": 0.0} for seed, step in enumerate((-1, 0, 1))]
        cells.append(cell(name=f"cell{number:04}", seeds=[0, 1, 2], examples={"runs": runs}))
    claims = [claim("lift", "improved", name=one["cell"]) for one in cells]
    assert f"Another training seed may move these scores by {says}, which intervals cover." in [
        row["text"] for row in paragraph(cells, claims)
    ]


def test_plain_english_is_named_beside_other_tasks():
    rows = paragraph([cell(forgetting=[loss_suite(0.1, 0.02)])], [*EFFECT_ON_BASE, claim("non-inferiority", "regressed", "paragraphs")])
    assert "On plain English: 1 regressed." in [row["text"] for row in rows]


def test_other_tasks_with_the_same_verdict_are_counted_together():
    claims = [claim("non-inferiority", "regressed", "x", f"cell{n}") for n in range(3)]
    claims.append(claim("non-inferiority", "inconclusive", "x", "cell9"))
    row, _ = paragraph([], claims)
    assert row["text"] == "On other tasks: 3 regressed, 1 inconclusive."
    assert linked_words(row) == {
        "#cell0-kept-x": "3 regressed",
        "#cell1-kept-x": "3 regressed",
        "#cell2-kept-x": "3 regressed",
        "#cell9-kept-x": "1 inconclusive",
    }


def test_points_of_a_sweep_are_distinct_in_a_list():
    """One or two of them; more are counted, and so are all."""
    cells = [cell(name=f"cell{n}") | {"coordinates": f"rank {n}"} for n in range(5)]

    def use(improved):
        claims = [claim("lift", "improved" if n in improved else "inconclusive", name=f"cell{n}") for n in range(5)]
        return next(row for row in paragraph(cells, claims) if row["text"].startswith("Use"))

    assert use({1, 2})["text"] == "Use the fine-tuned model for pets (rank 1) and pets (rank 2)."
    assert linked_words(use({1, 2})) == {"#cell1": "pets (rank 1)", "#cell2": "pets (rank 2)"}
    assert use({1, 2, 3})["text"] == "Use the fine-tuned model for pets at 3 of 5 points."
    assert use(set(range(5)))["text"] == "Use the fine-tuned model for pets at every point."
    assert use(set(range(5)))["evidence"] == [f"#cell{n}" for n in range(5)]


def test_more_than_six_tasks_are_counted():
    cells = [cell(name=f"cell{n}") | {"task": f"t{n}"} for n in range(9)]
    claims = [claim("lift", "worse" if n < 2 else "improved", name=f"cell{n}") for n in range(9)]
    texts = [row["text"] for row in paragraph(cells, claims)]
    assert texts[:2] == ["Do not use the fine-tuned model for t0 and t1.", "Use the fine-tuned model for 7 tasks."]
