"""Advice follows from the claims, says its three words, and names what it rests on."""

import re

import pytest

from pipeline.measures import advice
from pipeline.measures.claims import Claim
from pipeline.measures.evidence import Evidence
from pipeline.page.verdict_section import advice_row, rule_row, summary

COST = {"arms": {"tuned": {"request": 0.0004}, "base_fewshot": {"request": 0.0006}, "reference.big": {"request": None}}}
COST["break_even"] = [
    {"one": "tuned", "other": "base_fewshot", "requests": 13091, "reason": None},
    {"one": "tuned", "other": "reference.big", "requests": None, "reason": "no price of an hour"},
]


SCORES = {"base": 0.2, "base_fewshot": 0.4, "reference.big": 0.9, "tuned": 0.7}


def cell(rates=None, cost=None, cheap="base_fewshot", name="cell0000", over=-0.01, floor=None, half=None):
    """over: the lower bound of what tuned scores over few-shot and over a reference model; half: of the width of a score's interval."""
    rates = {"base": None, "tuned": None} | (rates or {})
    invented = {arm: rate and {"rate": rate, "low": rate - 0.02, "high": rate + 0.03} for arm, rate in rates.items()}
    arms = [{"name": arm, "hallucination": rate, "tuned_over": None} for arm, rate in invented.items()]
    arms += [{"name": arm, "hallucination": None, "tuned_over": {"low": over}} for arm in ("base_fewshot", "reference.big")]
    arms = [arm | {"score": SCORES[arm["name"]]} for arm in arms]
    arms = [arm | dict.fromkeys(("low", "high")) if half is None else arm | around(arm["score"], half) for arm in arms]
    decomposition = {"best_cheap": cheap} if cheap else None
    places = {"cell": name, "task": "pets", "label": "pets", "coordinates": ""}
    return {**places, "arms": arms, "constant_answer": floor, "decomposition": decomposition, "cost": cost}


def around(score, half):
    return {"low": score - half, "high": score + half}


def claim(kind, verdict, subject="accuracy", name="cell0000"):
    value = {"better": 0.3, "worse": -0.3, "cannot tell": 0.01}[verdict]
    tables = {"lift": "lifts", "learned": "parts", "non-inferiority": "suites"}
    is_loss = subject == "paragraphs"
    return Claim(
        id=f"{name}.{kind}",
        cell=name,
        task="pets",
        label="pets",
        kind=kind,
        subject=subject,
        against="base_fewshot" if kind == "learned" else "base",
        metric=None if is_loss else "accuracy",
        unit="nats/token" if is_loss else "score",
        value=value,
        low=value - 0.04,
        high=value + 0.04,
        p=0.001,
        margin=0.02 if kind == "non-inferiority" else None,
        evidence=Evidence(tables[kind], name, subject if kind == "non-inferiority" else ""),
        p_adjusted=0.002,
        verdict=verdict,
    )


def by_cell(cells, claims):
    return {cell["cell"]: [claim for claim in claims if claim.cell == cell["cell"]] for cell in cells}


def advise(cells, claims):
    """Advice and rules as report.json has them."""
    rows, rules = advice.advise(cells, by_cell(cells, claims))
    return [advice_row(row, one) for row, one in zip(rows, cells, strict=True)], [rule_row(rule) for rule in rules]


def paragraph(cells, claims):
    return summary(advice.advise(cells, by_cell(cells, claims))[0], claims, cells)


def texts(claims, **measures):
    (row,), _ = advise([cell(**measures)], claims)
    return row["use"], " ".join(sentence["text"] for sentence in row["sentences"])


@pytest.mark.parametrize(
    ("lift", "learned", "use", "says"),
    [
        (
            "better",
            "better",
            "tuned",
            "Use the fine-tune when the task is pets: it is better than the few-shot base by +0.30",
        ),
        ("better", "worse", "base_fewshot", "Use the few-shot base when the task is pets: the fine-tune is worse than"),
        (
            "better",
            "cannot tell",
            "cannot tell",
            "Cannot tell whether the fine-tune is better than the few-shot base on pets",
        ),
        ("cannot tell", "worse", "base_fewshot", "the fine-tune is worse than the few-shot base"),
        (
            "better",
            None,
            "tuned",
            "better than the base by +0.30 [0.26, 0.34]; examples in the prompt and a fixed form of the answer were not tried",
        ),
        ("worse", None, "base", "Use the base when the task is pets: the fine-tune is worse than the base by -0.30"),
        ("cannot tell", None, "cannot tell", "Cannot tell whether the fine-tune is better than the base on pets"),
    ],
)
def test_what_to_use(lift, learned, use, says):
    claims = [claim("lift", lift), *([claim("learned", learned)] if learned else [])]
    use_and_text = texts(claims, cheap="base_fewshot" if learned else None)
    assert use_and_text[0] == use
    assert says in use_and_text[1]


def test_a_lift_that_a_prompt_gives_too_is_said():
    text = texts([claim("lift", "better"), claim("learned", "cannot tell")])[1]
    assert "though it is better than the bare base" in text
    assert "bare base" not in texts([claim("lift", "cannot tell"), claim("learned", "cannot tell")])[1]


def test_forgetting_limits_the_advice():
    claims = [
        claim("lift", "better"),
        claim("non-inferiority", "worse", "paragraphs"),
        claim("non-inferiority", "cannot tell", "boolq"),
        claim("non-inferiority", "better", "viggo"),
    ]
    use, text = texts(claims, cheap=None)
    assert use == "tuned"
    assert "Do not leave the adapter on for plain English: there it is worse than the base by more than 0.02 nats per token." in text
    assert "Cannot tell whether the fine-tune is worse on boolq" in text
    assert "viggo" not in text


SAME = "an answer that is always the same scores"


@pytest.mark.parametrize(
    ("learned", "score", "interval", "use", "says"),
    [
        ("better", 0.5, (0.1, 0.3), "tuned", f"Much of this may be form, 33 % of the lift: {SAME} 0.50, the few-shot base"),
        ("better", 0.5, None, "tuned", f"Much of this may be form, 33 % of the lift: {SAME} 0.50"),
        ("better", 0.3, (0.1, 0.3), "tuned", ""),
        ("better", 0.3, None, "tuned", ""),
        ("better", 0.3, (-0.1, 0.5), "cannot tell", "Cannot tell whether the fine-tune is better than an answer that is always"),
        ("better", 0.8, (-0.3, -0.1), "neither", "Use neither the fine-tune nor the few-shot base when"),
        ("better", 0.71, None, "neither", "Use neither"),
        ("better", 0.7, None, "cannot tell", "is always the same on pets (exploratory)"),  # a tie is not worse
        ("better", 0.48, None, "tuned", f"Much of this may be form, 27 % of the lift: {SAME} 0.48"),
        ("better", 0.47, None, "tuned", ""),
        ("worse", 0.5, (0.1, 0.3), "neither", "Use neither"),
        ("worse", 0.3, (0.1, 0.3), "base_fewshot", "Use the few-shot base"),
        ("cannot tell", 0.9, (-0.3, -0.1), "neither", "Use neither"),
        ("cannot tell", 0.5, (0.1, 0.3), "cannot tell", "Much of this may be form"),
    ],
)  # fmt: skip
def test_an_answer_that_is_always_the_same_decides_where_it_does_well(learned, score, interval, use, says):
    over = None if interval is None else {"lift": sum(interval) / 2, "low": interval[0], "high": interval[1]}
    floor = {"answer": "cat", "score": score, "tuned_over": over}
    advised, text = texts([claim("lift", "better"), claim("learned", learned)], floor=floor)
    assert advised == use
    assert says in text
    assert ("always the same" in text) == (says not in ("", "Use the few-shot base"))


@pytest.mark.parametrize(
    ("learned", "score", "use", "says"),
    [
        ("better", 0.76, "neither", "Use neither"),
        ("better", 0.74, "cannot tell", "Cannot tell whether the fine-tune is better than an answer that is always the same on pets "
         "(its own score lies in [0.65, 0.75], exploratory)"),
        ("better", 0.66, "cannot tell", "Cannot tell whether the fine-tune is better than an answer that is always the same on pets"),
        ("better", 0.64, "tuned", "Use the fine-tune"),
        ("cannot tell", 0.74, "cannot tell", "Cannot tell whether the fine-tune is better than an answer"),
        ("cannot tell", 0.64, "cannot tell", "Cannot tell whether the fine-tune is better than the few-shot base"),
        ("cannot tell", 0.76, "neither", "Use neither"),
        ("worse", 0.44, "cannot tell", "Cannot tell whether the few-shot base is better than an answer that is always "
         "the same on pets (its own score lies in [0.35, 0.45], exploratory)"),
        ("worse", 0.46, "neither", "Use neither"),
    ],
)  # fmt: skip
def test_noise_does_not_call_an_arm_worse_than_one_answer(learned, score, use, says):
    """No arm `constant`: its score is held against the interval of the arm's own."""
    floor = {"answer": "cat", "score": score, "tuned_over": None}
    advised, text = texts([claim("lift", "better"), claim("learned", learned)], floor=floor, half=0.05)
    assert advised == use
    assert text.startswith(says)


def test_the_arm_that_may_hold_against_one_answer_is_the_one_named(monkeypatch):
    monkeypatch.setitem(SCORES, "base_fewshot", 0.72)
    floor = {"answer": "cat", "score": 0.76, "tuned_over": None}
    advised, text = texts([claim("lift", "better"), claim("learned", "cannot tell")], floor=floor, half=0.05)
    assert advised == "cannot tell"
    assert text.startswith("Cannot tell whether the few-shot base is better than an answer that is always the same")


def test_one_answer_gives_nothing_of_a_lift_that_is_not_there(monkeypatch):
    monkeypatch.setitem(SCORES, "base_fewshot", 0.72)
    floor = {"answer": "cat", "score": 0.69, "tuned_over": None}
    assert "form" not in texts([claim("lift", "better"), claim("learned", "cannot tell")], floor=floor)[1]


def test_invented_facts_limit_the_advice():
    text = texts([claim("lift", "better")], rates={"base": 0.1, "tuned": 0.3})[1]
    assert "Use the base when no fact may be invented: the fine-tune is worse there by +0.20" in text
    assert "invented" not in texts([claim("lift", "better")], rates={"base": 0.1, "tuned": 0.12})[1]


def test_the_price_is_weighed_where_the_fine_tune_is_no_worse():
    text = texts([claim("lift", "better")], cost=COST)[1]
    assert "use the few-shot base for fewer than about 14,000 requests and the fine-tune for more" in text
    assert "big" not in text  # its break-even is not known
    assert "price" not in texts([claim("lift", "worse")], cost=COST)[1]
    never = COST | {"break_even": [{"one": "tuned", "other": "reference.big", "requests": None, "reason": "never"}]}
    assert "use big for any number of requests" in texts([claim("lift", "better")], cost=never)[1]


def test_rules_hold_every_claim_and_mark_the_rest():
    claims = [claim("lift", "better"), claim("learned", "cannot tell"), claim("non-inferiority", "better", "paragraphs")]
    _, rules = advise([cell(rates={"base": 0.3, "tuned": 0.1}, cost=COST)], claims)
    by_name = {row["rule"]: row for row in rules}
    assert [row["rule"] for row in rules if row["confirmatory"]] == [
        "lift over the base", "learned over the few-shot base", "kept on plain English",
    ]  # fmt: skip
    assert by_name["kept on plain English"]["threshold"] == 0.02
    assert by_name["hallucination against the base"]["verdict"] == "better"
    assert by_name["dollars a request against the few-shot base"]["verdict"] == "better"
    assert by_name["dollars a request against big"]["verdict"] == "cannot tell"
    assert by_name["requests from which it is cheaper than the few-shot base"]["value"] == 13091
    assert all(row["verdict"] in ("better", "worse", "cannot tell") and row["evidence"].startswith("#cell0000") for row in rules)


def test_interval_of_a_difference_of_shares():
    """Newcombe's own example, 56/70 against 48/80 with Wilson's intervals: 0.2 [0.0524, 0.3339]."""
    arms = {"tuned": (0.8, 0.6917, 0.8769), "base": (0.6, 0.4904, 0.7002)}
    measured = cell()
    rates = {name: dict(zip(("rate", "low", "high"), row, strict=True)) for name, row in arms.items()}
    measured["arms"] = [{"name": name, "hallucination": rate, "tuned_over": None} for name, rate in rates.items()]
    row = next(row for row in advise([measured], [])[1] if row["rule"].startswith("hallucination"))
    assert (row["low"], row["high"]) == pytest.approx((0.0524, 0.3339), abs=2e-4)


def test_a_difference_of_shares_that_may_be_chance_is_not_told():
    _, rules = advise([cell(rates={"base": 0.12, "tuned": 0.1})], [])
    assert [row["verdict"] for row in rules] == ["cannot tell"]


def test_a_cheaper_arm_with_worse_answers_is_no_choice():
    assert "By price alone" not in texts([claim("lift", "better")], cost=COST, over=0.01)[1]
    assert "By price alone" in texts([claim("lift", "better")], cost=COST, over=0.0)[1]


def test_no_price_is_told_where_the_bare_base_is_no_worse():
    measured = cell(cost=COST)
    measured["arms"][0]["tuned_over"] = {"low": 0.0}
    assert not [row for row in advise([measured], [claim("lift", "cannot tell")])[0][0]["sentences"] if "alone" in row["text"]]
    measured["arms"][0]["tuned_over"] = {"low": 0.01}
    assert [row for row in advise([measured], [claim("lift", "cannot tell")])[0][0]["sentences"] if "alone" in row["text"]]


def test_without_the_price_of_an_hour_time_is_weighed():
    free = {"arms": {name: {"request": None} for name in COST["arms"]}, "break_even": COST["break_even"]}
    text = texts([claim("lift", "better")], cost=free)[1]
    assert "By time alone, use the few-shot base for fewer than about 14,000 requests" in text
    assert "price" not in text


def test_every_sentence_names_its_evidence():
    claims = [claim("lift", "better"), claim("non-inferiority", "worse", "paragraphs")]
    (row,), _ = advise([cell(rates={"base": 0.1, "tuned": 0.3}, cost=COST, cheap=None)], claims)
    assert [sentence["evidence"] for sentence in row["sentences"]] == [
        "#cell0000", "#cell0000-kept-paragraphs", "#cell0000-hallucination", "#cell0000-cost",
    ]  # fmt: skip


def test_every_sentence_names_its_rule():
    claims = [
        claim("lift", "better"),
        claim("learned", "better"),
        claim("non-inferiority", "worse", "paragraphs"),
        claim("non-inferiority", "cannot tell", "x"),
    ]
    floor = {"answer": "cat", "score": 0.5, "tuned_over": None}
    (row,), rules = advise([cell(rates={"base": 0.1, "tuned": 0.3}, cost=COST, floor=floor)], claims)
    assert [sentence["rule"] for sentence in row["sentences"]] == [
        "learned over the few-shot base", None, "kept on plain English", "kept on x", "hallucination against the base",
        "requests from which it is cheaper than the few-shot base",
    ]  # fmt: skip
    assert {sentence["rule"] for sentence in row["sentences"]} - {None} <= {rule["rule"] for rule in rules}


def test_no_other_words_of_judgement():
    claims = [claim("lift", "better"), claim("learned", "worse"), claim("non-inferiority", "cannot tell", "boolq")]
    assert not re.search(r"significan|improv|outperform|slight|strong|clear", texts(claims, cost=COST)[1])


def test_the_paragraph():
    cells = [cell(cost=COST), cell(name="cell0001") | {"task": "boats"}, cell(name="cell0002") | {"task": "cars"}]
    claims = [
        claim("lift", "better"),
        claim("learned", "better"),
        claim("non-inferiority", "better", "x"),
        claim("non-inferiority", "worse", "y"),
    ]
    claims += [claim("learned", "worse", name="cell0001"), claim("lift", "cannot tell", name="cell0002")]
    sentences = paragraph(cells, claims)
    text = " ".join(sentence["text"] for sentence in sentences)
    assert text.startswith("Use the fine-tune for pets. Cannot tell what is better for cars. Use the few-shot base for boats. ")
    assert "Asked 2 times for what it was not trained for: 1 better (shown to stay within the margin), 1 worse." in text
    assert "On pets: by price alone, use the few-shot base" in text
    assert "6 claims in the family; all else is exploratory." in text
    assert "\n" not in text
    assert [pointed(sentence) for sentence in sentences] == [
        {"#cell0000-parts": "pets"},
        {"#cell0002": "cars"},
        {"#cell0001-parts": "boats"},
        {"#cell0000-kept-x": "1 better", "#cell0000-kept-y": "1 worse"},
        {"#cell0000-cost": "pets"},
        {"#claims": "6 claims"},
    ]
    assert [len(sentence["evidence"]) for sentence in sentences] == [1, 1, 1, 2, 1, 1]


def pointed(sentence):
    """The words of a sentence by what they rest on."""
    return {anchor: sentence["text"][start:end] for anchor, (start, end) in zip(sentence["evidence"], sentence["spans"], strict=True)}


def test_a_paragraph_on_one_task_names_what_each_sentence_rests_on():
    claims = [claim("lift", "better")]
    sentences = paragraph([cell(cost=COST)], claims)
    assert [pointed(sentence) for sentence in sentences] == [
        {"#cell0000": "pets"}, {"#cell0000-cost": "By price alone"}, {"#claims": "1 claim"},
    ]  # fmt: skip
    (empty,) = paragraph([], [])
    assert empty == {"text": "0 claims in the family; all else is exploratory.", "evidence": [], "spans": []}


@pytest.mark.parametrize(
    ("verdicts", "links"),
    [
        (["better"], ["#cell0000-cost"]),
        (["better", "better"], []),
        (["cannot tell"], []),
        (["cannot tell", "better"], ["#cell0001-cost"]),
    ],
)
def test_a_paragraph_tells_one_price_at_most_and_only_where_tuned_is_advised(verdicts, links):
    cells = [cell(name=f"cell{n:04}", cost=COST) for n in range(len(verdicts))]
    claims = [claim("lift", verdict, name=f"cell{n:04}") for n, verdict in enumerate(verdicts)]
    assert all("By price alone" in row["sentences"][-1]["text"] for row in advise(cells, claims)[0])
    sentences = paragraph(cells, claims)
    assert [anchor for sentence in sentences for anchor in sentence["evidence"] if anchor.endswith("-cost")] == links
    assert sum("by price alone" in sentence["text"].lower() for sentence in sentences) == len(links)


def test_claims_that_got_the_same_word_are_told_together():
    claims = [claim("non-inferiority", "worse", "x", f"cell{n}") for n in range(3)] + [
        claim("non-inferiority", "cannot tell", "x", "cell9")
    ]
    (sentence, _) = paragraph([], claims)
    assert sentence["text"] == "Asked 4 times for what it was not trained for: 3 worse, 1 cannot tell."
    assert pointed(sentence) == {
        "#cell0-kept-x": "3 worse", "#cell1-kept-x": "3 worse", "#cell2-kept-x": "3 worse", "#cell9-kept-x": "1 cannot tell",
    }  # fmt: skip


def test_points_of_a_sweep_are_told_apart_in_a_list():
    cells = [cell(name=f"cell{n}") | {"coordinates": f"rank {n}"} for n in (1, 2)]
    claims = [claim("lift", "better", name=f"cell{n}") for n in (1, 2)]
    sentence, _ = paragraph(cells, claims)
    assert sentence["text"] == "Use the fine-tune for pets (rank 1) and pets (rank 2)."
    assert pointed(sentence) == {"#cell1": "pets (rank 1)", "#cell2": "pets (rank 2)"}
