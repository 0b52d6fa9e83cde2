"""The table of arms: a new arm is one row of it, and everything that names arms reads it."""

import json
import subprocess
import sys
from typing import get_args

import pytest

from pipeline import arms
from pipeline.config import schema
from pipeline.measures import decompose
from pipeline.page import charts_arms
from tests import ROOT, project

TOY = """
from pathlib import Path
import sys

from pipeline import arms

arms.ARMS["base_fp32"] = arms.ArmSpec(
    "base_fp32", "base, fp32", "the base in fp32", "The base, computed in fp32.", "base, helped", params=arms.always({"compute": "fp32"})
)

from tests import project

recipe, root = map(Path, sys.argv[1:])
print(*project.carry_out(recipe, root, {"compare.arms": ["base", "base_fp32", "tuned"], "generate.compute": "bf16"}))
"""
"""A loralift with one more arm."""


def test_a_new_arm_is_one_row(tmp_path, model):
    recipe = project.make(tmp_path, model["folder"])
    done = subprocess.run([sys.executable, "-c", TOY, str(recipe), str(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split().count("generate") == 3
    (report,) = (tmp_path / "data" / "report").glob("pets--*/")
    (cell,) = json.loads((report / "report.json").read_text("utf-8"))["cells"]
    assert [(arm["name"], arm["label"]) for arm in cell["arms"]] == [
        ("base", "base"), ("tuned", "fine-tuned"), ("base_fp32", "base, fp32"),
    ]  # fmt: skip
    assert "The base, computed in fp32." in (report / "report.html").read_text("utf-8")
    (folder,) = (tmp_path / "data" / "generate").glob("*base_fp32--*/")
    assert json.loads((folder / "manifest.json").read_text("utf-8"))["params"]["compute"] == "fp32"


def test_recipes_allow_the_arms_of_the_table():
    assert get_args(schema.Arm) == tuple(arms.ARMS)
    assert set(arms.DEFAULT) <= set(arms.ARMS)
    assert schema.Compare(arms=tuple(arms.ARMS)).arms == tuple(arms.ARMS)


@pytest.mark.parametrize("row", arms.ROWS, ids=lambda row: row.name)
def test_a_row_refers_to_what_there_is(row):
    assert row.timed_as in ("", *arms.ARMS)
    assert row.colour_group in charts_arms.GROUP_COLOURS
    assert row.step in (None, *decompose.STEPS)
    assert row.meaning.endswith(".")
    assert row.label == row.label.strip() != ""
    assert row.sentence == row.sentence.strip() != ""


def test_no_two_arms_have_one_name():
    for field in ("name", "label", "sentence", "meaning"):
        assert len({getattr(row, field) for row in arms.ROWS}) == len(arms.ROWS)


@pytest.mark.parametrize(
    ("name", "label", "sentence", "colour_group"),
    [
        (
            "base_constrained",
            "ranked choices or keys in prompt (base)",
            "the base with ranked choices or keys in its prompt",
            "base, helped",
        ),
        (
            "base_constrained_raw",
            "ranked choices or keys in prompt (base), total",
            "the base with ranked choices or keys in its prompt (total log-likelihood)",
            "base, helped",
        ),
        ("reference.gpt-x", "gpt-x", "gpt-x", "other model"),
        ("from_another_version", "from another version", "from_another_version", "base, helped"),
    ],
)
def test_every_name_has_a_row(name, label, sentence, colour_group):
    row = arms.find(name)
    assert (row.label, row.sentence, row.colour_group) == (label, sentence, colour_group)


def test_what_a_fine_tune_must_beat_comes_from_the_steps_of_the_rows():
    assert arms.untrained("format") == ["base_constrained", "base_constrained_raw"]
    assert arms.untrained("few-shot") == ["base_fewshot"]
    assert arms.untrained("constant") == ["constant"]
    assert arms.untrained() == ["base_fewshot", "base_constrained", "base_constrained_raw", "constant"]


def test_every_step_of_the_decomposition_has_a_default_arm():
    assert [set(arms.untrained(step)) & set(arms.DEFAULT) for step in decompose.STEPS] == [
        {"constant"},
        {"base_constrained"},
        {"base_fewshot"},
    ]


@pytest.mark.parametrize("runs_programs", [True, False])
def test_a_task_of_programs_has_no_constant_answer(runs_programs):
    context = arms.ArmContext(quantized=True, constraint="", shots=4, shots_seed=0, runs_programs=runs_programs)
    available, absent = arms.available_arms(["base", "tuned", "constant"], context)
    assert ("constant" in available) == (not runs_programs)
    assert bool(absent) == runs_programs


@pytest.mark.parametrize(
    ("name", "choices", "keys", "free"),
    [
        ("base_constrained", "ranked choices (base)", "keys in prompt (base)", "ranked choices or keys in prompt (base)"),
        (
            "base_constrained_raw",
            "ranked choices (base), total",
            "keys in prompt (base), total",
            "ranked choices or keys in prompt (base), total",
        ),
        ("constant", "constant answer", "constant answer", "constant answer"),
        ("tuned", "fine-tuned", "fine-tuned", "fine-tuned"),
    ],
)
def test_an_arm_is_named_by_how_answers_can_be_constrained(name, choices, keys, free):
    assert [arms.find(name, constraint).label for constraint in ("choices", "keys", "")] == [choices, keys, free]
