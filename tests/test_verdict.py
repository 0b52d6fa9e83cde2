"""When a figure gets which verdict, and that no other file spells the words."""

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

from pipeline.lora_land.agreement import Word
from pipeline.measures.report_types import StatementKind
from pipeline.scoring import verdict

PIPELINE = Path(__file__).parents[1] / "pipeline"


@pytest.mark.parametrize(
    ("p", "low", "high", "word"),
    [
        (0.01, 0.02, 0.2, "improved"),
        (0.01, -0.2, -0.02, "worse"),
        (0.05, 0.02, 0.2, "improved"),
        (0.06, 0.02, 0.2, "inconclusive"),
        (0.01, -0.02, 0.2, "inconclusive"),
        (0.01, 0.0, 0.2, "inconclusive"),
        (0.01, -0.2, 0.0, "inconclusive"),
        (1.0, 0.0, 0.0, "inconclusive"),
    ],
)
def test_test_and_interval_must_agree(p, low, high, word):
    assert verdict.decide(p, low, high, 0.95) == word


@pytest.mark.parametrize(
    ("words", "good", "bad"),
    [
        (verdict.EFFECT, "improved", "worse"),
        (verdict.OTHER_TASK, "no regression", "regressed"),
        (verdict.HALLUCINATION_RATE, "lower", "higher"),
        (verdict.PRICE, "cheaper", "not cheaper"),
    ],
)
def test_each_kind_of_claim_has_its_own_words(words, good, bad):
    assert [verdict.decide(0.01, *ends, 0.95, words) for ends in ((0.02, 0.2), (-0.2, -0.02), (-0.02, 0.2))] == [good, bad, "inconclusive"]
    assert [verdict.by_interval(*ends, words) for ends in ((0.02, 0.2), (-0.2, -0.02), (0.0, 0.2))] == [good, bad, "inconclusive"]
    assert [verdict.tone(word) for word in (good, bad)] == ["good", "bad"]


def test_a_lift_beside_a_training_effect_speaks_neither_for_nor_against():
    ends = ((0.02, 0.2), (-0.2, -0.02), (-0.02, 0.2))
    words = [verdict.decide(0.01, *one, 0.95, verdict.LIFT) for one in ends]
    assert words == ["above base", "below base", "inconclusive"]
    assert [verdict.tone(word) for word in words] == ["open"] * 3


def test_no_word_has_two_meanings():
    words = [word for pair in (*verdict.TONED_WORDS, verdict.LIFT, verdict.REST) for word in (pair.good, pair.bad)]
    assert len(set(words)) == len(words)
    assert {*words, "same", "inconclusive", "not testable", "no verdict"} == set(get_args(verdict.Verdict))
    assert "better" not in words


def test_what_is_open_speaks_neither_for_nor_against():
    assert [verdict.tone(word) for word in ("same", "inconclusive", "not testable", "")] == ["open"] * 4


def test_an_improvement_on_one_task_only_has_a_tone_of_its_own():
    assert [verdict.tone(word, is_limited=True) for word in ("improved", "worse", "inconclusive")] == ["limited", "bad", "open"]


def test_what_is_not_known_is_no_verdict():
    assert verdict.decide(0.001, float("nan"), float("nan"), 0.95) == "inconclusive"
    assert verdict.decide(float("nan"), 0.1, 0.2, 0.95) == "inconclusive"


def test_holm_counts_the_whole_family():
    assert verdict.adjust([0.01, 0.04, 0.03, 0.005], "holm") == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert verdict.adjust([0.01, 0.04, 0.03, 0.005], "none") == [0.01, 0.04, 0.03, 0.005]
    assert verdict.adjust([], "holm") == []


def test_confidence_sets_the_level():
    assert verdict.decide(0.03, 0.02, 0.2, 0.99) == "inconclusive"


@pytest.mark.parametrize("path", sorted(PIPELINE.rglob("*.py")), ids=lambda path: str(path.relative_to(PIPELINE)))
def test_the_words_stand_in_one_file(path):
    if path == PIPELINE / "scoring" / "verdict.py":
        return
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    strings = {node.value for node in nodes if isinstance(node, ast.Constant)}
    other_meaning = {*get_args(StatementKind), *get_args(Word), "inconclusive"}  # a key of the templates, too
    assert not strings & set(get_args(verdict.Verdict)) - other_meaning, "import the word from pipeline.scoring.verdict"
    compared = {part.value for node in nodes if isinstance(node, ast.Compare) for part in ast.walk(node) if isinstance(part, ast.Constant)}
    assert not compared & set(get_args(verdict.Verdict)), "compare with the word of pipeline.scoring.verdict"


@pytest.mark.parametrize("path", sorted(PIPELINE.rglob("*.jinja")), ids=lambda path: path.name)
def test_no_template_asks_for_a_word(path):
    quoted = set(re.findall(r'"([^"]*)"', path.read_text("utf-8")))
    beside_the_paper = {"higher", "lower"} if path.name == "published.html.jinja" else set()
    assert not quoted & set(get_args(verdict.Verdict)) - beside_the_paper


def test_the_style_sheet_colours_the_tones():
    css = (PIPELINE / "page" / "templates" / "page.css").read_text("utf-8")
    assert set(re.findall(r"\.(?:word|card)\.([a-z-]+)", css)) == {"good", "limited", "bad"}  # what is open has the colour of neither
