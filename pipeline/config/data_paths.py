"""Finds the data files and adapters that a recipe names: from the current folder or the recipe's own, never by a guess between two."""

from collections.abc import Mapping
from filecmp import cmp
from glob import glob
from pathlib import Path
from typing import Any

from pipeline.config import sweeps
from pipeline.config.schema import HARNESS, HELDOUT_NAMES, INSPECT, is_own_task
from pipeline.config.variants import TASK_FIELD
from pipeline.errors import RecipeError


def located(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The keys of a recipe, with the files of its tasks and variants where they are: as written, else in `folder`, the recipe's own.

    Code is never looked for in the current folder: what a recipe runs lies beside it, or has a whole path.

    Raises:
        RecipeError: both places hold such data, and their bytes differ.
    """
    raw = with_code_paths(raw, folder)
    section = raw.get("lm_eval")
    if isinstance(section, dict) and isinstance(include := section.get("include"), str) and include:
        section["include"] = folder_location(include, folder)
    entries = raw.get("tasks")
    for entry in entries if isinstance(entries, list) else []:
        data = entry.get("data") if isinstance(entry, dict) else None
        if not isinstance(data, dict) or data.get("hub"):
            continue
        keys = ["train", *(name for name in HELDOUT_NAMES if name in data)]
        splits = [str(data.get(key)) for key in keys] if data.get("folder") else []
        for key in ["folder"] if splits else keys:
            if isinstance(path := data.get(key), str) and path:
                data[key] = location(path, folder, splits)
    locate_variants(raw, folder)
    return raw


def locate_variants(raw: dict[str, Any], folder: Path) -> None:
    """Replace the files of variants by where they are, and the base's predictions."""
    variants = raw.get("variants")
    entries = [entry for entry in variants if isinstance(entry, dict)] if isinstance(variants, list) else []
    for entry in entries:
        if isinstance(path := entry.get("train"), str) and path:
            entry["train"] = location(path, folder, [])
        for key in ("adapter", "adapters", "predictions", "model") if not entry.get("endpoint") else ():
            if entry.get(key):
                entry[key] = fine_tune_locations(entry[key], folder)
    if raw.get("base_predictions"):
        raw["base_predictions"] = fine_tune_locations(raw["base_predictions"], folder)


def with_code_paths(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The keys of a recipe, also those of a sweep over tasks, with the paths of Python files of the user from the current folder."""

    def from_here(path: str) -> str:
        return str(folder / Path(path).expanduser())

    def entry_from_here(entry: Any) -> Any:
        if is_own_task(entry):
            return from_here(entry)
        if not isinstance(entry, dict) or not isinstance(entry.get("metrics"), list):
            return entry
        return {**entry, "metrics": [from_here(name) if is_code_path(name) else name for name in entry["metrics"]]}

    def entries_from_here(entries: Any) -> Any:
        return [entry_from_here(entry) for entry in entries] if isinstance(entries, list) else entries

    changed = {"tasks": entries_from_here(raw["tasks"])} if "tasks" in raw else {}
    sweep = raw.get("sweep")
    if isinstance(sweep, dict) and isinstance(sweep.get("tasks"), list):
        changed["sweep"] = {**sweep, "tasks": [entries_from_here(entries) for entries in sweep["tasks"]]}
    elif isinstance(sweep, list):
        is_named = [isinstance(point, dict) and "tasks" in point for point in sweep]
        pairs = zip(sweep, is_named, strict=True)
        changed["sweep"] = [{**point, "tasks": entries_from_here(point["tasks"])} if named else point for point, named in pairs]
    return {**raw, **changed}


def is_code_path(name: object) -> bool:
    """Whether the name of a metric is the path of a user's own."""
    if not isinstance(name, str) or name.startswith((HARNESS, INSPECT)):
        return False
    return "/" in name or "\\" in name or name.endswith(".py") or name.startswith("~")


def fine_tune_locations(value: Any, folder: Path) -> Any:
    """fine_tune_location of what a key of a recipe holds: a path, or a list of them."""
    if isinstance(value, list):
        return [fine_tune_locations(entry, folder) for entry in value]
    return fine_tune_location(value, folder) if isinstance(value, str) and value else value


def fine_tune_location(path: str, folder: Path) -> str:
    """Where an adapter, a model or a file of predictions is, or those of all tasks; as written if it is nowhere: it may be a hub id.

    Raises:
        RecipeError: it is in the current folder and in `folder`.
    """
    here, beside = (place / path.replace(TASK_FIELD, "*") for place in (Path(), folder))
    is_here, is_beside = (bool(glob(str(place.expanduser()))) for place in (here, beside))
    if Path(path).is_absolute() or not is_beside or here.absolute() == beside.absolute():
        return path
    if is_here:
        problem = f"{path} is both in the current folder and beside the recipe: {here.absolute()} and {beside.absolute()}."
        raise RecipeError(problem, "Write the whole path of the one that is meant, or rename the other.")
    return str(folder / path)


def folder_location(path: str, folder: Path) -> str:
    """Where a folder is: from the recipe's own, else from the current one; as written if it is nowhere.

    Raises:
        RecipeError: it is in both, and they are two folders.
    """
    here, beside = Path(path).expanduser(), folder / path
    if here.is_absolute() or not beside.is_dir():
        return path
    if here.is_dir() and not here.samefile(beside):
        problem = f"{path} is a folder both from the current one ({Path.cwd()}) and from the recipe's ({folder})."
        raise RecipeError(problem, "Write the whole path of the one that is meant.")
    return path if here.is_dir() else str(beside)


def is_pattern(path: Path) -> bool:
    """Whether a path stands for all files that it matches (`train-*.parquet`): it has a wildcard, and no file has it as its name."""
    return any(sign in str(path) for sign in "*?[") and not path.exists()


def matches(pattern: Path) -> list[Path]:
    """The files that a pattern matches, in the order of their names. A folder whose name has a bracket is taken by its name."""
    places = [Path(pattern.anchor)]
    for part in pattern.parts[1:] if pattern.anchor else pattern.parts:
        steps = [[place / part] if (place / part).exists() else sorted(place.glob(part)) for place in places]
        places = [match for step in steps for match in step]
    return [place for place in places if place.is_file()]


def without_folders(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a report for readers elsewhere: of a base, data file or folder with a whole path of this machine only the name.

    Args:
        params: {recipe, cells}, both as JSON.
    """
    recipe = params["recipe"]
    swept = sweeps.axes(recipe["sweep"]).get("base", [])
    names = short_names([recipe["base"], *swept, *(cell["base"] for cell in params["cells"])])
    tasks = [without_folder(task) for task in recipe["tasks"]]
    variants = [
        {**entry, **{key: short_paths(entry.get(key)) for key in ("adapter", "adapters", "model", "predictions", "train")}}
        if isinstance(entry, dict)
        else entry
        for entry in recipe.get("variants", [])
    ]
    base_predictions = {"base_predictions": short_paths(recipe["base_predictions"])} if recipe.get("base_predictions") else {}
    sweep = with_base_names(recipe["sweep"], names) if swept else recipe["sweep"]
    cells = [
        {
            **cell,
            "base": names[cell["base"]],
            "point": with_base_name(cell["point"], names),
        }
        for cell in params["cells"]
    ]
    section = recipe.get("lm_eval", {})
    include = {"lm_eval": {**section, "include": Path(section["include"]).name}} if is_whole_path(section.get("include")) else {}
    return {
        **params,
        "recipe": {
            **recipe,
            **include,
            **base_predictions,
            "base": names[recipe["base"]],
            "tasks": tasks,
            "variants": variants,
            "sweep": sweep,
        },
        "cells": cells,
    }


def with_base_names(sweep: Any, names: Mapping[str, str]) -> Any:
    """A sweep over bases with their short names."""
    if isinstance(sweep, list):
        return [with_base_name(point, names) for point in sweep]
    return {**sweep, "base": [names[base] for base in sweep["base"]]}


def with_base_name(point: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {key: names.get(value, value) if key == "base" else value for key, value in point.items()}


def short_paths(value: Any) -> Any:
    """A path, or each of a list: of a whole path only the name."""
    if isinstance(value, list):
        return [short_paths(entry) for entry in value]
    return Path(value).name if is_whole_path(value) else value


def without_folder(task: Any) -> Any:
    """An entry under `tasks`, of files with a whole path only the name."""

    def short(value: Any) -> Any:
        return Path(value).name if is_whole_path(value) else value

    if not isinstance(task, dict):
        return short(task)
    data = {"data": {key: short(value) for key, value in task["data"].items()}} if isinstance(task.get("data"), dict) else {}
    own = {"metrics": list(map(short, task["metrics"]))} if any(map(is_whole_path, task.get("metrics", ()))) else {}
    return {**task, **data, **own}


def short_names(bases: list[str]) -> dict[str, str]:
    """By base as written, its name for readers: of a whole path the last parts, as few as keep the names distinct."""
    wholes = {base: Path(base).parts[1:] for base in bases if is_whole_path(base)}
    names = {base: base for base in bases}
    for base, parts in wholes.items():
        others = [other for other in wholes.values() if other != parts]
        counts = range(1, len(parts) + 1)
        fewest = next((count for count in counts if not any(other[-count:] == parts[-count:] for other in others)), len(parts))
        names[base] = "/".join(parts[-fewest:])
    return names


def is_whole_path(value: Any) -> bool:
    return isinstance(value, str) and (Path(value).is_absolute() or value.startswith("~"))


def location(path: str, folder: Path, splits: list[str]) -> str:
    """Where a file is, or a folder with these splits; as written if it is nowhere.

    Raises:
        RecipeError: it is in the current folder and in `folder`, and the two differ.
    """
    here = Path(path).expanduser()
    beside = folder / path
    if here.is_absolute() or not (beside.exists() or (is_pattern(beside) and matches(beside))) or (here.exists() and here.samefile(beside)):
        return path
    ours = files_at(here, splits)
    theirs = files_at(beside, splits)
    if not ours:  # nothing there, or a folder without these splits, such as the store's own
        return str(beside) if theirs or not here.exists() else path
    if theirs and not is_equal(ours, theirs):
        problem = (
            f"{path} is both in the current folder and beside the recipe, and the two differ: {here.absolute()} and {beside.absolute()}."
        )
        raise RecipeError(problem, "Write the whole path of the one that is meant, or rename the other.")
    return path


def files_at(path: Path, splits: list[str]) -> dict[str, Path]:
    """The file at a path, or by name the files of a folder that belong to its splits; empty unless every split is there."""
    if not splits and is_pattern(path):
        return {match.name: match for match in matches(path)}
    if not splits:
        return {"": path} if path.exists() else {}
    entries = [entry for entry in sorted(path.iterdir()) if entry.name.split(".")[0] in splits] if path.is_dir() else []
    if {entry.name.split(".")[0] for entry in entries} != set(splits):
        return {}
    files = [file for entry in entries for file in (sorted(entry.rglob("*")) if entry.is_dir() else [entry])]
    return {str(file.relative_to(path)): file for file in files}


def is_equal(one: dict[str, Path], other: dict[str, Path]) -> bool:
    """Whether two sets of files have the same names and bytes."""
    if one.keys() != other.keys():
        return False
    pairs = [(one[name], other[name]) for name in one]
    return all(a.is_dir() == b.is_dir() and (a.is_dir() or cmp(a, b, shallow=False)) for a, b in pairs)
