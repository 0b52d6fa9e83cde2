"""report.json is of the types in measures/report_types.py, and docs/report.md names its keys and the figures of the gate."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from pipeline.commands import gate_figures
from pipeline.measures.report_types import Report
from pipeline.page.report_data import SCHEMA
from tests import report_answers
from tests.report_inputs import Chartless, Inputs

TEXT = (Path(__file__).parents[1] / "docs" / "report.md").read_text("utf-8")
ARMS = (*report_answers.SKILL, "reference.big")
"""Every arm."""
PRICED = {"references": [{"name": "big", "endpoint": "http://x/v1", "model": "m", "price": {"input": 1.0, "output": 2.0}}]}
PRICED |= {"cost": {"gpu_hour": 2.0}, "finetune": {"seeds": [0, 1]}}
SLICED = {**PRICED, "tasks": ["boolq", "shop_notice"], "compare": {"slices": ["length", "label"]}}
"""Answers to shop_notice are no labels."""
SHORT = {number: {"prompt": f"Question {number}?"} for number in range(60)}
"""Prompts are else all of one length."""
SWEPT = {**PRICED, "sweep": {"finetune.rank": [4, 8]}}


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    recipes = [
        ({"compare": {"correction": "none", "same_within": 0.02}}, ()),
        (SLICED, ARMS),
        (SWEPT, ARMS),
    ]
    inputs = [Inputs(tmp_path_factory.mktemp("r"), recipe, arms=arms, measured=bool(arms), two_metrics=True) for recipe, arms in recipes]
    inputs[1] = replace(inputs[1], n=120, texts=SHORT)
    inputs.append(Inputs(tmp_path_factory.mktemp("r"), {}, finished=1, limit=8))
    return [Chartless(one).json for one in inputs]


def faults(value, hint, location="report", used=None):
    """Where a value is not of a type: keys that are missing or not declared, and values of another kind.

    Args:
        used: collects (row type, key) of every value that is not null.
    """
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return []
    if is_typeddict(hint):
        return row_faults(value, hint, location, used)
    if origin is Literal:
        return [] if value in parts else [f"{location}: {value!r} is none of {parts}"]
    if origin in (Union, UnionType):
        tries = [faults(value, part, location, used) for part in parts]
        return [] if [] in tries else max(tries, key=len)
    if origin is list or origin is tuple:
        items = parts * len(value) if origin is list and isinstance(value, list) else parts
        if not isinstance(value, list) or len(value) != len(items):
            return [f"{location}: {value!r} is no {hint}"]
        return [
            fault for n, (item, part) in enumerate(zip(value, items, strict=True)) for fault in faults(item, part, f"{location}[{n}]", used)
        ]
    if origin is dict:
        if not isinstance(value, dict):
            return [f"{location}: {value!r} is no object"]
        return [fault for key, item in value.items() for fault in faults(item, parts[1], f"{location}.{key}", used)]
    return [] if is_scalar(value, hint) else [f"{location}: {value!r} is no {hint.__name__}"]


def row_faults(value, row_type, location, used):
    if not isinstance(value, dict):
        return [f"{location}: {value!r} is no {row_type.__name__}"]
    hints = get_type_hints(row_type)
    missing = [f"{location}.{key}: missing" for key in row_type.__required_keys__ - value.keys()]
    unknown = [f"{location}.{key}: not declared" for key in value.keys() - hints.keys()]
    if used is not None:
        used |= {(row_type.__name__, key) for key, item in value.items() if item is not None}
    shared = value.keys() & hints.keys()
    return [*missing, *unknown, *(fault for key in shared for fault in faults(value[key], hints[key], f"{location}.{key}", used))]


def is_scalar(value, kind):
    """JSON writes a whole float as it likes; true and false are no numbers."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def test_a_report_is_of_its_types(reports):
    for report in reports:
        assert faults(report, Report) == []


def changed(report, change):
    copy = json.loads(json.dumps(report))
    change(copy)
    return faults(copy, Report)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda r: r["claims"][0].pop("margin"), "report.claims[0].margin: missing"),
        (lambda r: r["cells"][0]["arms"][1].update(speedup=2), "report.cells[0].arms[1].speedup: not declared"),
        (lambda r: r["cells"][0]["comparisons"][0].update(lift="0.3"), "report.cells[0].comparisons[0].lift: '0.3' is no float"),
        (lambda r: r["cells"][0].update(rank=True), "report.cells[0].rank: True is no int"),
        (lambda r: r["rules"][0].update(unit="percent"), "report.rules[0].unit: 'percent' is none of"),
        (lambda r: r["cells"][0]["decomposition"]["chain"][0].pop(), "report.cells[0].decomposition.chain[0]: ['base'] is no tuple"),
        (lambda r: r["adapters"].update(short=None), "report.adapters.short: None is no AdapterRow"),
    ],
)
def test_what_is_not_of_its_type_is_seen(reports, change, fault):
    (text,) = changed(reports[1], change)
    assert text.startswith(fault)


UNSEEN = {
    ("Report", "published_mean"),
    ("AdapterRow", "imported"),
    ("ArmRow", "prompt_additions"),
    ("ArmSpeedRow", "p95"),
    ("CellRow", "variant"),
    ("CellRow", "endpoint"),
    ("CellRow", "rank_use"),
    ("SizeLine", "reason"),
    ("SizeLine", "smallest"),
    ("SpeedFigures", "untimed"),
}
"""Null in these reports; other tests have reports with them."""


def test_every_declared_key_exists(reports):
    """LoRA Land aside, whose rows need its tasks."""
    used = set()
    for report in reports:
        faults(report, Report, used=used)
    row_types = {name for name, _ in used}
    declared = {(one.__name__, key) for one in all_row_types(Report) if one.__name__ in row_types for key in get_type_hints(one)}
    assert declared - used == UNSEEN
    unused = {one.__name__ for one in all_row_types(Report)} - row_types
    assert unused == {
        "PublishedMean",
        "PublishedRow",
        "PublishedFigure",
        "StrictScores",
        "PublishedConstant",
        "ConstantScore",
        "PromptAdditions",
        "ImportedAdapter",
        "ImportedPredictions",
        "EndpointVariant",
        "VariantTable",
        "VariantScore",
        "VariantPair",
        "Equivalence",
        "DebuggedRow",
        "RankUse",
        "RankCutRow",
        "SpectrumRow",
        "ModuleKindRow",
        "TuningRow",
        "TrialRow",
        "Rung",
    }


def all_row_types(hint):
    inner = get_type_hints(hint).values() if is_typeddict(hint) else get_args(hint)
    return ({hint} if is_typeddict(hint) else set()).union(*(all_row_types(part) for part in inner))


def test_every_field_is_documented():
    for row_type in all_row_types(Report):
        assert f"\n### {row_type.__name__}\n" in TEXT
        for key in get_type_hints(row_type):
            assert f"\n| `{key}` |" in TEXT.partition(f"\n### {row_type.__name__}\n")[2].partition("\n### ")[0]


def test_the_version_is_documented():
    assert f"`schema` is {SCHEMA}." in TEXT


def test_every_figure_of_the_gate_is_documented():
    table = TEXT.partition("| figure |")[2].partition("\n\n")[0]
    assert {name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`(\w+)`", row)} == set(gate_figures.NAMES)
