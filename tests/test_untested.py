"""Which arms count as not tested: those whose prompts are mostly the base's own."""

import pytest

from pipeline.measures import untested

SHOTS = {"examples": 500, "shots": 4, "shrunk": 0, "fewest_shots": 4, "most_shots": 4, "without_shots": 0}
KEYS = {"examples": 500, "keys": ["to"], "unkeyed": 0}


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"examples": 500}, ""),  # the base itself, or ranked choices
        ({}, ""),
        (SHOTS, ""),
        (SHOTS | {"shrunk": 500, "fewest_shots": 1, "most_shots": 1}, ""),  # fewer than requested, and yet some in every prompt
        (SHOTS | {"without_shots": 50, "fewest_shots": 0}, ""),
        (SHOTS | {"without_shots": 51, "fewest_shots": 0}, "few-shot examples fit into only 449 of 500 prompts"),
        (SHOTS | {"most_shots": 0, "fewest_shots": 0, "without_shots": 500}, "no few-shot example fits the context window"),
        ({name: fact for name, fact in SHOTS.items() if name != "without_shots"}, ""),  # of an older version, which did not count them
        (KEYS, ""),
        (KEYS | {"unkeyed": 50}, ""),
        (KEYS | {"unkeyed": 338}, "the keys fit into only 162 of 500 prompts"),
        (KEYS | {"keys": [], "unkeyed": 500}, "no training answer is a JSON object, so there are no keys to name"),
        (SHOTS | {"examples": 0}, ""),
    ],
)
def test_an_arm_below_ninety_percent_of_the_prompts_is_not_tested(facts, why):
    assert untested.reason(facts) == why
