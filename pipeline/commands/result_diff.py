"""Says what changed between two reports: keys of the recipe, code, packages, data, and the figures with their intervals."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from pipeline.commands.call import out, store_at
from pipeline.commands.options import StoreFolder
from pipeline.commands.results import Result, find
from pipeline.page import fmt
from pipeline.store.artifact import KEYED_NAME, canonical
from pipeline.store.records import JsonObject

NOTHING = "-"
MAX_VALUE = 60
"""Characters of a value that are shown."""
CAUTION = (
    "Whether intervals overlap is no test: two reports on the same examples differ by less than their intervals say. To test two "
    "fine-tunes against each other, name both under variants in one recipe."
)


def verb(
    before: Annotated[str, typer.Argument(metavar="REPORT", help="Its folder, report.json or page, the start of its key, or a recipe.")],
    after: Annotated[str, typer.Argument(metavar="REPORT", help="The same of the other report.")],
    store: StoreFolder = Path(),
) -> None:
    """Show what changed between two reports: recipe keys, code, packages, data, and the figures with their intervals."""
    show(out, find(before, store_at(store)), find(after, store_at(store)))


def show(out: Console, before: Result, after: Result) -> None:
    """Everything that changed, in groups; then a row for every comparison that both have."""
    out.print(f"{before.name} ({before.data['made_at']}) and {after.name} ({after.data['made_at']})", soft_wrap=True)
    groups = {
        "recipe": differences(flat(before.data["recipe"]), flat(after.data["recipe"])),
        "code": differences(code_of(before.data), code_of(after.data)),
        "packages": differences(packages_of(before.data), packages_of(after.data)),
        "data": differences(data_of(before.data), data_of(after.data)),
    }
    for name, lines in groups.items():
        out.print(Text.assemble((f"{name}: ", "bold"), "" if lines else "the same"), soft_wrap=True)
        for line in lines:
            out.print(f"  {line}", soft_wrap=True)
    for line in (*figures(before.data, after.data), *alone(before, after)):
        out.print(line, soft_wrap=True)
    out.print(Text(CAUTION, "dim"), soft_wrap=True)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """A line for every name whose value differs."""
    names = [name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)]
    return [f"{name}: {short(before.get(name))} -> {short(after.get(name))}" for name in names]


def short(value: Any) -> str:
    text = NOTHING if value is None else value if isinstance(value, str) else canonical(value)
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}..."


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """A nested mapping as dotted keys; lists stay whole, but tasks go by their names."""
    if name == "tasks":
        tasks = [(task["name"] if isinstance(task, dict) else str(task), task) for task in value]
        return {f"tasks.{task}": body for task, body in tasks}
    if not isinstance(value, dict) or not value:
        return {name: value}
    rows: dict[str, Any] = {}
    for key, item in value.items():
        rows |= flat(item, f"{name}.{key}" if name else key)
    return rows


def code_of(data: JsonObject) -> dict[str, str]:
    """The commits that the jobs ran from, and the version of every stage; several, if they differ within the report."""
    rows = {"commit": joined(commit_of(artifact) for artifact in data["artifacts"])}
    for stage in dict.fromkeys(artifact["stage"] for artifact in data["artifacts"]):
        rows[f"version of {stage}"] = joined(str(one["version"])[:8] for one in data["artifacts"] if one["stage"] == stage)
    return rows


def commit_of(artifact: JsonObject) -> str:
    git = artifact.get("git") or {}
    return f"{git.get('commit', '')[:12]}{' with changes' if git.get('dirty') else ''}"


def packages_of(data: JsonObject) -> dict[str, str]:
    """Versions of packages and of Python, and the machines."""
    rows: dict[str, list[str]] = {}
    for one in data["surroundings"]:
        machine = [str((one.get("cpu") or {}).get("model", "")), str((one.get("gpu") or {}).get("name", ""))]
        for name, value in {**one["packages"], "python": one["python"], "machine": ", ".join(filter(None, machine))}.items():
            rows.setdefault(name, []).append(str(value))
    return {name: joined(values) for name, values in rows.items()}


def data_of(data: JsonObject) -> dict[str, str]:
    """The digest of every data set, by its name in the store."""
    rows: dict[str, list[str]] = {}
    for artifact in data["artifacts"]:
        if artifact["stage"] == "prepare":
            name = KEYED_NAME.fullmatch(artifact["folder"])
            rows.setdefault(name["label"] if name else artifact["folder"], []).append(artifact["digest"][:12])
    return {name: joined(digests) for name, digests in rows.items()}


def joined(values: Iterable[str]) -> str:
    return ", ".join(sorted({value for value in values if value}))


def cells_of(data: JsonObject) -> dict[str, JsonObject]:
    return {canonical([cell["task"], cell["point"], cell.get("variant")]): cell for cell in data["cells"]}


def figures(before: JsonObject, after: JsonObject) -> Iterator[str]:
    """Lines on every task at a point that both reports have, by metric: lift, score of the base and score of the fine-tuned model."""
    later = cells_of(after)
    for name, cell in cells_of(before).items():
        for one, other in pairs(cell, later.get(name)):
            has_same_examples = examples_of(before, cell) == examples_of(after, later[name])
            yield f"{cell['label']}, {fmt.metric(one['metric'])}{'' if has_same_examples else ', on other test examples'}:"
            yield f"  lift {lift_text(one)} -> {lift_text(other)}; the intervals {overlap_of(one, other)}"
            for arm, label in (("base", "base"), ("tuned", "fine-tuned")):
                yield f"  {label} {fmt.number(one[arm], 3)} -> {fmt.number(other[arm], 3)} ({fmt.signed(other[arm] - one[arm], 3)})"


def lift_text(row: JsonObject) -> str:
    return fmt.change(row["lift"], row["low"], row["high"], 3)


def pairs(cell: JsonObject, later: JsonObject | None) -> Iterator[tuple[JsonObject, JsonObject]]:
    """Rows of the same metric."""
    others = {row["metric"]: row for row in (later["comparisons"] if later else ())}
    return ((row, others[row["metric"]]) for row in cell["comparisons"] if row["metric"] in others)


def overlap_of(one: JsonObject, other: JsonObject) -> str:
    """Whether the intervals of two lifts have a point in common."""
    if None in (one["low"], one["high"], other["low"], other["high"]):
        return "are not known"
    return "overlap" if one["low"] <= other["high"] and other["low"] <= one["high"] else "do not overlap"


def examples_of(data: JsonObject, cell: JsonObject) -> str:
    """The digest of the test examples of a cell."""
    key = cell["inputs"]["heldout"]
    return next((str(artifact["digest"]) for artifact in data["artifacts"] if artifact["key"].startswith(key)), key)


def alone(before: Result, after: Result) -> Iterator[str]:
    """A line for every comparison that one of the two lacks."""
    earlier, later = cells_of(before.data), cells_of(after.data)
    for result, own, others in ((before, earlier, later), (after, later, earlier)):
        for name in own.keys() - others.keys():
            yield f"only in {result.name}: {own[name]['label']}"
