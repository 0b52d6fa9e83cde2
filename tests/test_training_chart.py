"""The training chart: both losses of every run in one figure, seeds told apart, the kept step marked; and every figure in words."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pipeline.page import charts_training
from tests.report_inputs import BuiltReport, Inputs

CURVE = {"every": 1, "train": [(1, 3.0), (2, 2.0), (3, 1.0)], "dev": [(1, 2.5), (2, 1.25), (3, 1.5)]}


def lines(seeds: int, kept_step: int | None = 2, **curve: Any) -> list[dict[str, Any]]:
    adapters = {f"a{seed}": {"curve": {**CURVE, **curve}, "kept_step": kept_step, "imported": None} for seed in range(seeds)}
    cell = {"task": "t", "seeds": list(range(seeds)), "adapters": list(adapters), "coordinates": "", "point": {}}
    return charts_training.curve_lines({"cells": [cell], "sweep": None, "adapters": adapters}, "t")


def titles(drawing: str) -> list[str]:
    return [part.text or "" for part in ElementTree.fromstring(drawing).iter() if part.tag.endswith("}title")]


def test_the_step_that_validation_chose_is_ringed() -> None:
    texts = titles(charts_training.curves(lines(1), "t"))
    assert [text for text in texts if "kept" in text] == ["seed 0: kept step 2, validation loss 1.250"]
    assert {"seed 0: training loss 3.000 at step 1", "seed 0: validation loss 1.500 at step 3"} <= set(texts)


def test_without_validation_no_step_is_ringed() -> None:
    (line,) = lines(1, kept_step=3, dev=[])
    drawing = charts_training.curves([line], "t")
    assert not [text for text in titles(drawing) if "kept" in text or "validation" in text]
    assert charts_training.spoken(line) == "seed 0: training loss 3.000 at step 1, 1.000 at step 3."


def test_seeds_differ_in_colour_dash_and_shape() -> None:
    drawing = charts_training.curves(lines(3), "t")
    for seed in range(3):
        assert f"var(--s{seed})" in drawing
    dashes = re.findall(r'stroke-dasharray="([\d,]+)"', drawing)
    assert len(set(dashes)) == 3
    shapes = [
        part.get("d")
        for part in ElementTree.fromstring(drawing).iter()
        if part.tag.endswith("}path")
        and len(part)
        and "validation loss 1.250" in (part[0].text or "")
        and "kept" not in (part[0].text or "")
    ]
    assert len(set(shapes)) == len(shapes) == 3


def test_a_steep_fall_has_a_logarithmic_axis_that_says_so() -> None:
    for last, is_log in ((1.0, False), (0.01, True)):
        drawing = charts_training.curves(lines(1, train=[(1, 3.0), (3, last)], dev=[]), "t")
        assert ("loss (nats/token), logarithmic<" in drawing) == is_log


def test_a_run_is_told_in_words() -> None:
    (line,) = lines(1)
    assert charts_training.spoken(line) == (
        "seed 0: training loss 3.000 at step 1, 1.000 at step 3; validation loss 2.500 at step 1, 1.500 at step 3; "
        "lowest validation loss 1.250 at step 2; the weights of step 2 are kept."
    )


@pytest.mark.parametrize("recipe", [{}, {"tasks": ["boolq"], "sweep": {"finetune.rank": [4, 16]}}], ids=["two", "sweep"])
def test_every_figure_has_a_name_and_its_values_in_words(tmp_path: Path, recipe: dict[str, Any]) -> None:
    report = BuiltReport(Inputs(tmp_path, recipe, n=12, arms=("base_fewshot", "constant"), measured=True))
    figures = re.findall(r"<svg ([^>]*)>(.*?)</svg>", report.html, re.DOTALL)
    assert len(figures) == len(list((report.work.out / "charts").glob("*.svg"))) > 6
    described = []
    for head, body in figures:
        assert 'role="img"' in head
        assert re.search(r'aria-label="[^"]{10,}"', head)
        (name,) = re.findall(r'aria-describedby="([^"]+)"', head)
        (words,) = re.findall(rf'<desc id="{name}">([^<]+)</desc>', body)
        assert len(re.findall(r"\d", words)) > 8, words
        described.append(name)
    assert len(set(described)) == len(described)
