"""Lists the comparisons of a store, and finds the one that a user means."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline.config import recipe as recipes
from pipeline.errors import ArtifactError
from pipeline.page import fmt
from pipeline.store.artifact import Artifact, Store
from pipeline.store.records import JsonObject
from pipeline.store.result_folders import ReportFolder

MIN_KEY = 4
"""Digits of a key that name a report."""
SEE = "See `loralift ls results`."


@dataclass(frozen=True)
class Result:
    """A report.json and the name by which a user knows it."""

    name: str
    data: JsonObject


def reports(store: Store) -> list[Artifact]:
    """The reports of a store, the newest first."""
    rows = (artifact for artifact in store.all() if artifact.stage == "report" and (artifact.path / ReportFolder.DATA).is_file())
    return sorted(rows, key=lambda artifact: str(artifact.provenance.get("at", "")), reverse=True)


def show(out: Console, store: Store) -> None:
    """Every report with its date and base, and a line for each of its comparisons: scores, and lift with its interval."""
    artifacts = reports(store)
    for artifact in artifacts:
        data = ReportFolder(artifact.path).data()
        about = f"{data['made_at'][:16].replace('T', ' ')}  {', '.join(data['bases'])}  {artifact.path}"
        out.print(Text.assemble((f"{artifact.key[:12]} {data['name']}", "bold"), f"  {about}"), soft_wrap=True)
        if data["preliminary"]:
            out.print(f"  {data['preliminary']['sentence']}", soft_wrap=True)
        for cell in data["cells"]:
            out.print(f"  {comparison_line(cell)}", soft_wrap=True)
    out.print(f"{fmt.plural(len(artifacts), 'report')}. What changed between two: loralift diff REPORT REPORT", soft_wrap=True)


def comparison_line(cell: JsonObject) -> str:
    """`boolq, rank 4: accuracy 0.16 -> 0.83, lift +0.67 [0.62, 0.72]`, by the primary metric."""
    row = cell["comparisons"][0]
    lift = fmt.change(row["lift"], row["low"], row["high"])
    return f"{cell['label']}: {fmt.metric(row['metric'])} {fmt.number(row['base'])} -> {fmt.number(row['tuned'])}, lift {lift}"


def find(what: str, store: Store) -> Result:
    """The report that is meant.

    Args:
        what: the folder of a report, its report.json or report.html; its name in the store or the start of its key; or a recipe, by its
            file or name: of that the newest report of a recipe with that name.

    Raises:
        ArtifactError: there is none.
        RecipeError: it is a recipe that cannot be read.
    """
    path = Path(what)
    folder = path if path.is_dir() else path.parent
    if path.exists() and path.suffix not in (".yaml", ".yml"):
        if not (folder / ReportFolder.DATA).is_file():
            raise ArtifactError(f"there is no {ReportFolder.DATA} in {folder}", SEE)
        return Result(what, ReportFolder(folder).data())
    if artifact := named(what, store):
        return result_of(artifact)
    name = recipes.load(path).name
    rows = [artifact for artifact in reports(store) if artifact.params["recipe"]["name"] == name]
    if not rows:
        raise ArtifactError(f"no report of the recipe {name} in {store.data.parent}", f"Run: loralift compare {what}. {SEE}")
    return result_of(rows[0])


def named(what: str, store: Store) -> Artifact | None:
    """The report of a store by its folder, the name of that, or the start of its key; None if there is none."""
    for one in reports(store):
        if what == one.path.name or (len(what) >= MIN_KEY and one.key.startswith(what)) or Path(what).resolve() == one.path.resolve():
            return one
    return None


def result_of(artifact: Artifact) -> Result:
    data: Any = ReportFolder(artifact.path).data()
    return Result(artifact.path.name, data)
