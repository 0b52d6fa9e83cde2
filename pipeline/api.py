"""The Python API: load a recipe, run it, and read the figures of its report. docs/api.md explains it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pipeline.config import recipe as recipes
from pipeline.config.recipe import Recipe
from pipeline.errors import ArtifactError, RecipeError
from pipeline.measures.cell_types import CellRow
from pipeline.measures.report_types import Report
from pipeline.store.result_folders import ReportFolder


@dataclass(frozen=True)
class Arm:
    """One way to answer the test examples: the base, the fine-tuned model, or a baseline."""

    name: str
    label: str
    """Its name for people."""
    score: float
    """By the primary metric, 0 to 1."""
    low: float | None
    """Of the interval of the score; None where it has none."""
    high: float | None


@dataclass(frozen=True)
class Cell:
    """One task at one point of a sweep."""

    task: str
    point: Mapping[str, Any]
    """The swept keys with their values here; empty where nothing is swept."""
    metric: str
    """The primary metric, which decides the verdict."""
    n: int
    """Test examples."""
    base: float
    tuned: float
    baseline: str
    """The best arm without training."""
    effect: float
    """The training effect: fine-tuned minus that arm."""
    low: float | None
    """Of the interval of the effect; None where it has none."""
    high: float | None
    p: float | None
    """Adjusted for all confirmatory tests; None in a smoke test."""
    verdict: str
    """`improved`, `worse` or `inconclusive`, as on the page; `no verdict` in a smoke test."""
    sentence: str
    """The same in a line."""
    arms: Mapping[str, Arm]
    """By name."""
    data: CellRow
    """Everything that report.json holds of the cell."""


@dataclass(frozen=True)
class Result:
    """A finished report."""

    folder: Path
    data: Report
    """The whole of report.json; docs/report.md has the meaning of every key."""

    @property
    def page(self) -> Path:
        """The report as one HTML file."""
        return ReportFolder(self.folder).page

    @property
    def markdown(self) -> str:
        """The report for a pull request."""
        return (self.folder / ReportFolder.MARKDOWN).read_text("utf-8")

    @property
    def is_final(self) -> bool:
        """Whether it has verdicts: all tasks are finished, and it is no smoke test."""
        return self.data["preliminary"] is None

    @property
    def warnings(self) -> list[str]:
        """What to know before relying on a figure."""
        return self.data["warnings"]

    @property
    def cells(self) -> list[Cell]:
        """One per task and point of the sweep, in the order of the recipe."""
        return [cell_of(row) for row in self.data["cells"]]

    def cell(self, task: str, **point: Any) -> Cell:
        """The cell of a task; of a sweep, the first at a point with these values (`cell("boolq", **{"finetune.rank": 16})`).

        Raises:
            KeyError: there is none.
        """
        for cell in self.cells:
            if cell.task == task and point.items() <= dict(cell.point).items():
                return cell
        raise KeyError(f"no cell of {task} {point or ''}; there are {', '.join(row['label'] for row in self.data['cells'])}")

    def __str__(self) -> str:
        return "\n".join(f"{cell.task}: {cell.sentence}" for cell in self.cells)


def load(recipe: str | Path | Mapping[str, Any], changes: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe: from a YAML file, by the name of one that ships (`quickstart`), or from keys and values.

    Args:
        changes: dotted keys and their values, as `{"finetune.rank": 32}`.

    Raises:
        RecipeError: it is not a valid recipe; lists every mistake.
    """
    if not isinstance(recipe, Mapping):
        return recipes.load(Path(recipe), changes)
    if "extends" in recipe:
        raise RecipeError("extends belongs to a recipe in a file.", "Load that file, and pass what differs as changes.")
    loaded = recipes.build(recipes.override(dict(recipe), changes or {}))
    loaded.points()
    return loaded


def run(
    recipe: Recipe | str | Path | Mapping[str, Any],
    store: str | Path = ".",
    device: str = "auto",
    limit: int | None = None,
    quiet: bool = True,
    unsafe_code: bool = False,
) -> Result:
    """Run a recipe: train, compare base with fine-tuned, and write the report. Finished jobs are reused, as on the command line.

    Nobody is asked before a run of hours: the call is the answer.

    Args:
        recipe: as load() gives it, or what load() takes.
        store: the folder that holds data/ and checkpoints/.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        limit: a smoke test on at most that number of examples per task, without a verdict.
        quiet: print no job as it starts and ends.
        unsafe_code: run generated code even if this machine has no sandbox for it.

    Raises:
        UserError: what the command line would print; nothing that was finished before is lost.
    """
    import warnings

    import typer

    from pipeline.commands import call as calls
    from pipeline.commands import searching
    from pipeline.commands.options import RunOptions
    from pipeline.machine import Machine, check_device_name

    warnings.filterwarnings("ignore", "IProgress not found")  # tqdm misses bars of a notebook that nothing here draws
    check_device_name(device)
    loaded = recipe if isinstance(recipe, Recipe) else load(recipe)
    options = RunOptions(is_confirmed=True, detail="quiet" if quiet else "normal", limit=limit)
    call = calls.call_of(loaded, Path(store), Machine(device, unsafe_code=unsafe_code), options)
    try:
        return read_report(calls.make_report(searching.settled(call)).path)
    except typer.Exit:  # after Ctrl-C
        raise KeyboardInterrupt from None


def read_report(path: str | Path) -> Result:
    """A finished report.

    Args:
        path: its folder, its report.json or its report.html.

    Raises:
        ArtifactError: there is none, or it cannot be read.
    """
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    if not (folder / ReportFolder.DATA).is_file():
        raise ArtifactError(f"there is no {ReportFolder.DATA} in {folder}", "Give the folder that `loralift compare` names.")
    return Result(folder, cast(Report, ReportFolder(folder).data()))


def cell_of(row: CellRow) -> Cell:
    headline = row["headline"]
    arms = {arm["name"]: Arm(arm["name"], arm["label"], arm["score"], arm["low"], arm["high"]) for arm in row["arms"]}
    return Cell(
        task=row["task"],
        point=row["point"],
        metric=headline["metric"],
        n=headline["n"],
        base=headline["base"],
        tuned=headline["tuned"],
        baseline=headline["baseline"],
        effect=headline["effect"],
        low=headline["low"],
        high=headline["high"],
        p=headline["p_adjusted"],
        verdict=headline["verdict"],
        sentence=row["sentence"],
        arms=arms,
        data=row,
    )
