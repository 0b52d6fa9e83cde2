"""The Python API: what it loads, runs and reads, what docs/api.md says of it, and what it costs at the start."""

import inspect
import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

import pipeline
from pipeline import Arm, Cell, Result, load, read_report, run
from pipeline.errors import ArtifactError, RecipeError
from tests import project

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "api.md").read_text("utf-8")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, model: dict[str, Any]) -> Result:
    root = tmp_path_factory.mktemp("api")
    return run(load(project.make(root, model["folder"])), store=root, device="cpu")


def test_a_recipe_is_loaded_from_file_name_and_dict() -> None:
    path = ROOT / "recipes" / "quickstart.yaml"
    assert load(path) == load("quickstart") == load(str(path))
    assert load("quickstart", {"finetune.rank": 4}).finetune.rank == 4
    keys = {"name": "t", "base": "quickstart-base", "tasks": ["shop_sentiment"]}
    assert load(keys, {"compare.margin": 0.05}).compare.margin == 0.05
    with pytest.raises(RecipeError, match=r"finetune\.rnk is not a key"):
        load({**keys, "finetune": {"rnk": 4}})
    with pytest.raises(RecipeError, match="sweep"):
        load({**keys, "sweep": {"finetune.rank": [0]}})
    with pytest.raises(RecipeError, match="extends"):
        load({**keys, "extends": "quickstart"})


def test_a_result_has_the_figures_of_the_page(result: Result) -> None:
    (cell,) = result.cells
    row = result.data["cells"][0]
    assert (cell.task, cell.metric, cell.n, cell.point) == ("pets", "accuracy", 20, {})
    assert (cell.base, cell.tuned) == (row["comparisons"][0]["base"], row["comparisons"][0]["tuned"])
    assert cell.verdict == row["headline"]["verdict"]
    assert cell.effect == pytest.approx(cell.tuned - cell.arms[cell.baseline].score)
    assert set(cell.arms) == {"base", "tuned"}
    assert result.is_final
    assert "<html" in result.page.read_text("utf-8")
    assert result.markdown.startswith("#")
    assert str(result) == f"pets: {cell.sentence}"
    assert result.cell("pets").data == row
    with pytest.raises(KeyError, match="no cell of cats"):
        result.cell("cats")


def test_a_report_is_read_again(result: Result, tmp_path: Path) -> None:
    for path in (result.folder, result.page, result.folder / "report.json"):
        assert read_report(path) == result
    with pytest.raises(ArtifactError, match=r"there is no report\.json"):
        read_report(tmp_path)


def test_the_page_has_every_signature_and_field() -> None:
    for function in (load, run, read_report):
        signature = re.sub(
            r"pathlib\._local\.|pathlib\.|collections\.abc\.|typing\.|pipeline\.(\w+\.)*", "", str(inspect.signature(function))
        )
        assert f"{function.__name__}{signature}".replace("'", '"') in " ".join(PAGE.split()).replace("( ", "(").replace(", )", ")"), (
            signature
        )
    for kind in (Result, Cell, Arm):
        names = [field.name for field in fields(kind)]
        names += [name for name, value in vars(kind).items() if isinstance(value, property)]
        missing = [name for name in names if f"`{name}`" not in PAGE]
        assert not missing, f"docs/api.md does not explain {missing} of {kind.__name__}"
    assert sorted(pipeline.__all__) == sorted([*(kind.__name__ for kind in (Result, Cell, Arm)), "load", "run", "read_report"])


def test_the_command_line_starts_without_the_api() -> None:
    code = "import sys, pipeline.__main__, pipeline.cli\nprint('pipeline.api' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout == "False\n"


def test_type_checkers_see_the_types() -> None:
    assert (ROOT / "pipeline" / "py.typed").is_file()
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        getattr(pipeline, "lod")  # noqa: B009


def cells_of(notebook: dict[str, Any]) -> list[tuple[str, str]]:
    """Source and printed text of every code cell; numbers, times and hashes differ from machine to machine."""
    pairs = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            printed = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell["outputs"]]
            text = "".join("".join(part) for part in printed)
            pairs.append(("".join(cell["source"]), re.sub(r"--[0-9a-f]{12}|-?\d+(\.\d+)?", "N", text)))
    return pairs


@pytest.mark.slow
def test_the_notebook_prints_what_it_holds(tmp_path: Path) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    path = ROOT / "docs" / "notebook.ipynb"
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert cells_of(notebook) == cells_of(json.loads(path.read_text("utf-8")))


def test_the_recipe_of_the_page_is_valid() -> None:
    for block in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.S | re.M):
        load(yaml.safe_load(block))
