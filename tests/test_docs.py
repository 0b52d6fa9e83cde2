"""What the code decides stands in the documents as the code says it; the README's commands exist."""

import re
from pathlib import Path

import pytest

from pipeline import docs

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "docs" / "recipes.md"], ids=lambda p: p.name)
def test_generated_parts_are_in_step(path):
    assert docs.pages()[path] == path.read_text("utf-8"), "run: make docs"


def test_every_make_target_that_the_readme_names_exists():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = set(re.findall(r"make ([a-z-]+)", README)) - {"it"}
    assert len(named) >= 5
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_every_file_that_the_readme_names_exists():
    named = set(re.findall(r"`((?:recipes|docs|tests|pipeline|benchmarks)/[\w./-]+)`", README))
    assert len(named) >= 3
    for name in named:
        assert (ROOT / name).exists(), name


def test_every_target_is_in_the_help():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.*)", makefile, re.M)[1].split()
    assert set(re.findall(r"^([a-z-]+):.*##", makefile, re.M)) == set(phony)
