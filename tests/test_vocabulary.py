"""Identifiers and keys name what they hold: words that carry no type, unit or role are refused."""

import ast
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    str(path.relative_to(ROOT))
    for room in ("pipeline", "benchmarks", "tests")
    for path in (ROOT / room).rglob("*.py")
    if "__pycache__" not in path.parts
)
REFUSED = frozenset("found said made asked told given kept drawn shown known each at where exam lessons topic".split())
ALLOWED: dict[tuple[str, str], str] = {
    ("pipeline/store/artifact.py", '"made"'): "key of manifests, as old ones have it",
    ("pipeline/runner.py", '"at"'): "key of manifests, as old ones have it",
    ("benchmarks/page.py", '"at"'): "writes manifests",
    ("tests/test_advise.py", '"at"'): "writes manifests",
    ("tests/report_inputs.py", '"at"'): "writes manifests",
    ("tests/test_report_facts.py", '"at"'): "writes manifests",
    ("tests/test_run.py", '"at"'): "writes manifests",
    ("tests/test_results.py", '"at"'): "writes manifests",
    ("tests/test_keys.py", '"exam"'): "an old manifest",
    ("tests/test_keys.py", '"said"'): "an old manifest",
    ("tests/test_file_formats.py", "given"): "hypothesis calls its decorator so",
    ("tests/test_right_answers.py", "given"): "hypothesis calls its decorator so",
    ("tests/test_set_score_properties.py", "given"): "hypothesis calls its decorator so",
    ("tests/test_score_properties.py", "given"): "hypothesis calls its decorator so",
    ("tests/test_turn_masks.py", "given"): "hypothesis calls its decorator so",
    ("tests/test_task_properties.py", "given"): "hypothesis calls its decorator so",
    ("tests/test_serve_fuzz.py", "given"): "hypothesis calls its decorator so",
    ("tests/test_text_stream.py", "given"): "hypothesis calls its decorator so",
    ("tests/test_tool_call_reader.py", "given"): "hypothesis calls its decorator so",
    ("tests/test_general_loss.py", '"topic"'): "column of the shipped paragraphs",
}
"""(file, identifier or "key" in quotes): why it is the right word there."""


def identifiers(tree):
    """Every name that the code binds or reads, with its line. Attributes count where they are defined."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node.lineno
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.Import() | ast.ImportFrom():
                for alias in node.names:
                    yield alias.asname or alias.name.rpartition(".")[2], node.lineno


def written_keys(tree):
    """Every constant string under which the code puts a value into a dict, in quotes, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Dict(keys=keys):
                yield from ((f'"{key.value}"', key.lineno) for key in keys if isinstance(key, ast.Constant))
            case ast.Subscript(slice=ast.Constant(value=str(key)), ctx=ast.Store()):
                yield f'"{key}"', node.lineno


def words(tree):
    return chain(identifiers(tree), written_keys(tree))


def refused(source, file=""):
    return [
        f"{file}:{line} {name}"
        for name, line in sorted(words(ast.parse(source)), key=lambda pair: pair[1])
        if name.strip('"') in REFUSED and (file, name) not in ALLOWED
    ]


def in_file(file):
    return refused((ROOT / file).read_text("utf-8"), file)


@pytest.mark.parametrize(
    "source",
    [
        "found = 1",
        "print(said)",
        "def made(): pass",
        "class given: pass",
        "def f(asked): pass",
        "def f(*, told=0): pass",
        "lambda each: 0",
        "class A:\n    drawn: int",
        "self.kept = 1",
        "import re as shown",
        "from pipeline.page import known",
        "import pipeline.at",
        "[0 for where in ()]",
        "try: pass\nexcept ValueError as exam: pass",
        "match 0:\n    case lessons: pass",
        "with open('') as topic: pass",
        "row = {'id': 1, 'kept': 2}",
        "row['made'] = 1",
    ],
)
def test_every_way_to_write_a_refused_word_is_seen(source):
    assert refused(source)


def test_longer_names_strings_and_foreign_attributes_are_free():
    assert not refused("numpy.where(mask)\nn_found = kept_share = 'found'\nf(at=1)\n{'kept_step': old['at']}\n")


@pytest.mark.parametrize("file", FILES)
def test_names_say_what_they_hold(file):
    assert not in_file(file), "say what it holds in the field's words: rows, matches, names, predictions ..."


def test_allowed_words_are_used():
    used = Counter((file, name) for file in FILES for name, _ in words(ast.parse((ROOT / file).read_text("utf-8"))))
    assert not [pair for pair in ALLOWED if pair not in used]
