"""The account of costs against figures worked out by hand."""

from dataclasses import replace

import pytest

from pipeline.measures.cost import CostInputs, account
from pipeline.page.cost_section import assumption, why

SPEED = {
    "base": {"prompt_tokens_per_second": 1000.0, "tokens_per_second": 50.0, "ranks": False},
    "base_fewshot": {"prompt_tokens_per_second": 2000.0, "tokens_per_second": 50.0, "ranks": False},
    "tuned": {"prompt_tokens_per_second": 800.0, "tokens_per_second": 40.0, "ranks": False},
}
TOKENS = {
    "base": {"in": 100, "out": 10},
    "base_fewshot": {"in": 900, "out": 10},
    "tuned": {"in": 100, "out": 10},
    "reference.big": {"in": 100, "out": 21},
}
GIVEN = CostInputs(3.6, (1800.0, 5400.0), SPEED, TOKENS, {"big": {"input": 2.0, "output": 10.0}})


def even(costs: CostInputs, one: str, other: str) -> dict:
    return next(row for row in account(costs)["break_even"] if (row["one"], row["other"]) == (one, other))


def test_training_is_that_of_one_adapter():
    assert account(GIVEN)["training"] == {"adapters": 2, "gpu_hours": 1.0, "all_gpu_hours": 2.0, "dollars": 3.6}


def test_a_million_tokens_and_a_request():
    """$3.60 an hour is a tenth of a cent a second: a million tokens at 1000 a second are a dollar."""
    arms = account(GIVEN)["arms"]
    assert (arms["base"]["in_per_million"], arms["base"]["out_per_million"]) == pytest.approx((1.0, 20.0))
    assert arms["base"]["seconds"] == pytest.approx(0.3)
    assert arms["base"]["request"] == pytest.approx(100 * 1.0e-6 + 10 * 20.0e-6)
    assert arms["base_fewshot"]["request"] == pytest.approx(0.00065)
    assert arms["tuned"]["over_base"] == pytest.approx(0.375 / 0.3)
    assert arms["reference.big"]["request"] == pytest.approx(0.00041)


def test_break_even_is_the_first_request_that_pays():
    row = even(GIVEN, "tuned", "base_fewshot")
    # an hour of training against 0.65 - 0.375 s a request
    assert row["requests"] == 13091
    assert 3600 + 13091 * 0.375 < 13091 * 0.65
    assert 3600 + 13090 * 0.375 >= 13090 * 0.65


def test_break_even_with_a_reference():
    assert even(GIVEN, "tuned", "reference.big")["requests"] == 102858  # 3.6 / (0.00041 - 0.000375)
    never = even(GIVEN, "base_fewshot", "reference.big")
    assert never["requests"] is None
    assert (never["reason"], why(never)) == (
        "never",
        "never: the few-shot base is not cheaper per request than big",
    )


def test_what_needs_no_training_is_cheaper_from_the_first_request():
    dear = replace(GIVEN, prices={"big": {"input": 20.0, "output": 10.0}})
    assert even(dear, "base_fewshot", "reference.big")["requests"] == 1


def test_without_a_price_there_are_hours_and_ratios_only():
    result = account(replace(GIVEN, gpu_hour=None))
    assert result["training"]["gpu_hours"] == 1.0
    assert result["training"]["dollars"] is None
    nothing = {"in_per_million": None, "out_per_million": None, "request": None}
    assert result["arms"]["tuned"] == {**nothing, "seconds": 0.375, "over_base": pytest.approx(1.25)}
    assert why(even(replace(GIVEN, gpu_hour=None), "tuned", "reference.big")) == "the price of an hour is not set (cost.gpu_hour)"
    assert even(replace(GIVEN, gpu_hour=None), "tuned", "base_fewshot")["requests"] == 13091
    assert assumption(result["assumptions"][0]) == "Set cost.gpu_hour to get prices in dollars."


def test_a_free_machine_is_a_price():
    assert account(replace(GIVEN, gpu_hour=0.0))["training"]["dollars"] == 0.0
    assert even(replace(GIVEN, gpu_hour=0.0), "tuned", "reference.big")["requests"] == 1


@pytest.mark.parametrize(
    ("changed", "pair", "reason", "text"),
    [
        (
            {"speed": None},
            ("tuned", "base_fewshot"),
            "speed not measured",
            "speed of the fine-tuned model and the few-shot base was not measured",
        ),
        ({"prices": {"big": None}}, ("tuned", "reference.big"), "no price of a token", "the price of big is not set (references.price)"),
        ({"train_seconds": ()}, ("tuned", "base_fewshot"), "training not timed", "the time of training was not measured"),
    ],
)
def test_why_it_is_not_known(changed, pair, reason, text):
    row = even(replace(GIVEN, **changed), *pair)
    assert (row["requests"], row["reason"]) == (None, reason)
    assert text in why(row)


def test_every_assumption_is_said_where_it_is_made():
    text = " ".join(map(assumption, account(GIVEN)["assumptions"]))
    assert all(
        word in text for word in ("$3.6", "mean of 2 seeds", "Batching is cheaper", "paid for with every request", "reference model")
    )
    alone = account(CostInputs(None, (60.0,), None, {"base": {"in": 1, "out": 1}}))
    assert not any("seeds" in line or "few-shot" in line or "reference" in line for line in map(assumption, alone["assumptions"]))
    assert alone["break_even"] == []


def test_an_arm_that_ranks_pays_for_reading_alone():
    speed = {**GIVEN.speed, "base_constrained": {"prompt_tokens_per_second": 500.0, "tokens_per_second": None, "ranks": True}}
    result = account(replace(GIVEN, speed=speed, tokens={**GIVEN.tokens, "base_constrained": {"in": 100.0, "out": 2.0}}))
    arm = result["arms"]["base_constrained"]
    assert (arm["seconds"], arm["out_per_million"]) == (0.2, None)
    assert arm["in_per_million"] == pytest.approx(GIVEN.gpu_hour / 3600 / 500 * 1e6)
    assert any(entry.kind == "ranked choices" for entry in result["assumptions"])
    assert not any(entry.kind == "ranked choices" for entry in account(GIVEN)["assumptions"])


def test_an_arm_that_wrote_too_little_to_have_a_rate_has_no_price():
    """One new token an answer: the time of writing is not known, and reading alone would be too cheap."""
    speed = {**SPEED, "tuned": {"prompt_tokens_per_second": 800.0, "tokens_per_second": None, "ranks": False}}
    costs = replace(GIVEN, speed=speed, tokens={**TOKENS, "tuned": {"in": 100, "out": 1}})
    assert set(account(costs)["arms"]["tuned"].values()) == {None}
    row = even(costs, "tuned", "base_fewshot")
    assert (row["requests"], why(row)) == (None, "the speed of the fine-tuned model was not measured (compare.speed_prompts)")
