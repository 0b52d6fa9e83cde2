"""docs/report.md and report.json name the same keys, and the gate the same figures."""

import re
from pathlib import Path

import pytest

from pipeline.commands import gate
from pipeline.page.report_data import SCHEMA
from tests.report_inputs import Inputs, Made

TEXT = (Path(__file__).parents[1] / "docs" / "report.md").read_text("utf-8")
ARMS = ("base_fewshot", "base_constrained", "constant", "reference.big")
PRICED = {"references": [{"name": "big", "endpoint": "http://x/v1", "model": "m", "price": {"input": 1.0, "output": 2.0}}]}
PRICED |= {"cost": {"gpu_hour": 2.0}, "finetune": {"seeds": [0, 1]}}
SWEPT = {**PRICED, "sweep": {"finetune.rank": [4, 8]}}


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    asked = [({"compare": {"correction": "none"}}, (), "text"), (PRICED, ARMS, "slots"), (SWEPT, ARMS, "text")]
    made = [Inputs(tmp_path_factory.mktemp("r"), each, arms=arms, measured=bool(arms), grounded=kind) for each, arms, kind in asked]
    return [Made(each).json for each in made]


def documented():
    """Every key that the document names, as a whole path."""
    found = []
    for section in re.split(r"^## `", TEXT.partition("\n# The gate")[0], flags=re.M)[1:]:
        prefix, _, body = section.partition("`")
        keys = [key for row in re.findall(r"^\| (`.*?) \|", body, re.M) for key in re.findall(r"`([^`]+)`", row)]
        found += [key if prefix == "report" else f"{prefix}.{key}" for key in keys]
    return found


def steps(path):
    """`cells[].arms[].low` as keys and [], `...` left out."""
    return [step for part in path.removesuffix("...").split(".") for step in re.findall(r"[^\[\]]+|\[\]", part)]


def walk(value, at=()):
    """The path of every leaf, of empty lists and objects too."""
    inner = list(value.items()) if isinstance(value, dict) else [("[]", item) for item in value] if isinstance(value, list) else []
    yield from [leaf for key, item in inner for leaf in walk(item, (*at, key))] or [at]


def fits(path, known, whole):
    """Whether steps of the document name this leaf, or (whole) something that it lies in."""
    alike = all(step == key or step.startswith("<") for key, step in zip(path, known, strict=False))
    return alike and (len(path) == len(known) or (whole and len(path) > len(known)))


def test_every_key_of_a_report_is_documented(reports):
    known = [(steps(path), path.endswith("...")) for path in documented()]
    for path in {path for report in reports for path in walk(report)}:
        # what is null or empty in one report may hold the keys that the document has below it
        assert any(fits(path, found, whole) or fits(path, found[: len(path)], False) for found, whole in known), ".".join(path)


def test_every_documented_key_exists(reports):
    paths = {path for report in reports for path in walk(report)}
    for path in documented():
        at_least = path.removesuffix("[]...")  # what is listed elsewhere may be empty here
        assert any(fits(found, steps(at_least), True) for found in paths), path


def test_the_version_is_said():
    assert f"`schema` is {SCHEMA}." in TEXT


def test_every_figure_of_the_gate_is_documented():
    table = TEXT.partition("| figure |")[2].partition("\n\n")[0]
    assert {name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`(\w+)`", row)} == set(gate.NAMES)
