"""Names of inputs have one grammar, and one place that knows it."""

import ast

import pytest

from pipeline import arms
from pipeline.config import recipe
from pipeline.planning.plan import plan
from pipeline.store.input_names import InputName, parse
from tests import ROOT

OWNERS = ("arms.py", "store/input_names.py")
RECIPE = {
    "name": "all",
    "base": "quickstart-base",
    "tasks": ["shop_sentiment", "shop_notice"],
    "finetune": {"seeds": [0, 12]},
    "compare": {"arms": list(arms.ARMS), "slices": ["length"]},
    "references": [{"name": "gpt-4.1", "endpoint": "http://127.0.0.1:9/v1", "model": "m"}],
}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("heldout", InputName("heldout")),
        ("base", InputName("predictions", "base")),
        ("tuned12", InputName("predictions", "tuned", seed=12)),
        ("adapter0", InputName("adapter", seed=0)),
        ("arm.base_fewshot", InputName("predictions", "base_fewshot")),
        ("arm.tuned_constrained", InputName("predictions", "tuned_constrained")),
        ("reference.gpt-4.1", InputName("predictions", "reference.gpt-4.1")),
        ("relevance.tuned", InputName("relevance", "tuned")),
        ("relevance.reference.gpt-4.1", InputName("relevance", "reference.gpt-4.1")),
        ("general.paragraphs", InputName("losses", suite="paragraphs")),
        ("general.boolq.heldout", InputName("heldout", suite="boolq")),
        ("general.boolq.tuned", InputName("predictions", "tuned", suite="boolq")),
        ("slices", InputName("slices")),
        ("cell0003.comparison", InputName("comparison", cell="cell0003")),
        ("cell0003.general.boolq.base", InputName("predictions", "base", suite="boolq", cell="cell0003")),
    ],
)
def test_a_name_is_read_as_it_is_written(text, name):
    assert parse(text) == name
    assert str(name) == text


@pytest.mark.parametrize(
    "text", ["", "exam", "tuned", "tunedx", "arm.", "relevance.", "general.", "cell0000.", "cell0000.said", "other.heldout"]
)
def test_other_names_are_refused(text):
    with pytest.raises(ValueError, match="no input is called"):
        parse(text)


def test_every_input_of_a_comparison_and_a_report_has_such_a_name():
    jobs = plan(recipe.build(RECIPE), ask=False)
    names = [name for job in jobs if job.stage in ("compare", "report") for name, _ in job.inputs]
    assert names
    assert [str(parse(name)) for name in names] == names
    predictions = {name.arm for name in map(parse, names) if name.role == "predictions" and not name.suite}
    assert predictions == {"base", "tuned", "reference.gpt-4.1", *(row.name for row in arms.ROWS if row.is_generated)}


def composed(tree):
    """Lines with a string that starts such a name."""
    parts = [(node.values[0], True) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) and len(node.values) > 1]
    parts += [(node, False) for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    for node, goes_on in parts:
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str):
            is_prefix = text in ("arm.", "reference.", "relevance.", "general.")
            is_whole = (
                text.count(" ") == 0 and text.startswith(("arm.", "reference.", "relevance.")) and not text.endswith((".json", ".jsonl"))
            )
            if is_prefix or is_whole or (goes_on and text in ("tuned", "adapter")):
                yield node.lineno


@pytest.mark.parametrize("source", ['f"tuned{seed}"', 'f"arm.{name}"', 'name.startswith("general.")', '"relevance.tuned" in names'])
def test_a_composed_name_is_seen(source):
    assert list(composed(ast.parse(source)))


def test_names_are_composed_in_one_place():
    files = [path for room in ("pipeline", "benchmarks") for path in (ROOT / room).rglob("*.py")]
    elsewhere = {str(path): list(composed(ast.parse(path.read_text("utf-8")))) for path in files if not str(path).endswith(OWNERS)}
    assert not {path: lines for path, lines in elsewhere.items() if lines}
