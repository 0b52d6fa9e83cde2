"""When a figure is called better or worse."""

import ast
import re
from pathlib import Path

import pytest

from pipeline.scoring import verdict

PIPELINE = Path(__file__).parents[1] / "pipeline"


@pytest.mark.parametrize(
    ("p", "low", "high", "word"),
    [
        (0.01, 0.02, 0.2, "better"),
        (0.01, -0.2, -0.02, "worse"),
        (0.05, 0.02, 0.2, "better"),
        (0.06, 0.02, 0.2, "cannot tell"),
        (0.01, -0.02, 0.2, "cannot tell"),
        (0.01, 0.0, 0.2, "cannot tell"),
        (0.01, -0.2, 0.0, "cannot tell"),
        (1.0, 0.0, 0.0, "cannot tell"),
    ],
)
def test_test_and_interval_must_agree(p, low, high, word):
    assert verdict.decide(p, low, high, 0.95) == word


def test_the_bound_moves_the_line():
    assert verdict.decide(0.01, -0.02, 0.2, 0.95, bound=-0.05) == "better"
    assert verdict.decide(0.01, -0.2, -0.07, 0.95, bound=-0.05) == "worse"
    assert verdict.decide(0.01, -0.08, -0.02, 0.95, bound=-0.05) == "cannot tell"


def test_what_is_not_known_is_no_verdict():
    assert verdict.decide(0.001, float("nan"), float("nan"), 0.95) == "cannot tell"
    assert verdict.decide(float("nan"), 0.1, 0.2, 0.95) == "cannot tell"


def test_holm_counts_the_whole_family():
    assert verdict.adjust([0.01, 0.04, 0.03, 0.005], "holm") == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert verdict.adjust([0.01, 0.04, 0.03, 0.005], "none") == [0.01, 0.04, 0.03, 0.005]
    assert verdict.adjust([], "holm") == []


def test_confidence_sets_the_level():
    assert verdict.decide(0.03, 0.02, 0.2, 0.99) == "cannot tell"


@pytest.mark.parametrize("path", sorted(PIPELINE.rglob("*.py")), ids=lambda path: str(path.relative_to(PIPELINE)))
def test_the_words_stand_in_one_file(path):
    if path != PIPELINE / "scoring" / "verdict.py":
        strings = {node.value for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant)}
        assert not strings & set(verdict.VERDICTS), "import BETTER, WORSE or CANNOT_TELL from pipeline.scoring.verdict"


@pytest.mark.parametrize("path", sorted(PIPELINE.rglob("*.jinja")), ids=lambda path: path.name)
def test_no_template_asks_for_a_word(path):
    assert not any(f'"{word}"' in path.read_text("utf-8") for word in verdict.VERDICTS)


def test_the_style_sheet_colours_the_words():
    css = (PIPELINE / "page" / "templates" / "page.css").read_text("utf-8")
    assert set(re.findall(r"\.(?:word|card)\.([a-z-]+)", css)) == {verdict.BETTER, verdict.WORSE}  # what cannot be told has no colour
