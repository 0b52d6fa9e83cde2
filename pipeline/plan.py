"""READ FIRST. From a recipe to the jobs that answer it: the flow of the whole program is plan()."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline import inline, models, task
from pipeline.artifact import canonical, file_hash
from pipeline.recipe import Data, InlineTask, Recipe


@dataclass(frozen=True)
class Job:
    """One call of one stage. Equal jobs are the same job, so a sweep shares its work."""

    stage: str
    label: str = field(compare=False)
    asked: str
    """The parameters as canonical JSON."""
    inputs: tuple[tuple[str, "Job"], ...] = ()

    @cached_property
    def params(self) -> dict[str, Any]:
        params: dict[str, Any] = json.loads(self.asked)
        return params


def job(stage: str, label: str, params: dict[str, Any], **inputs: Job) -> Job:
    return Job(stage, label, canonical(params), tuple(inputs.items()))


def plan(recipe: Recipe) -> list[Job]:
    """The jobs in an order in which each comes after its inputs, none twice. The last is the report.

    Raises:
        RecipeError, ModelError, DataError: the recipe names something that is not there.
    """
    jobs: list[Job] = []
    cells: list[dict[str, Any]] = []
    shown: dict[str, Job] = {}
    for where, point in recipe.points():
        model = models.find(point).spec()
        for given in point.tasks:
            chosen = inline.find(given)
            spec, label = inline.spec(given), f"{models.short(point.base)}--{chosen.name}"
            draw, tune = point.prepare, point.finetune
            drawn = {"task": spec, "model": model, "seed": draw.seed, "files": data_files(given)}
            drawn |= draw.model_dump(include={"max_tokens", "long_prompts", "max_bad_rows"})
            exam = job("prepare", f"{chosen.name}--heldout", {**drawn, "split": "heldout", "examples": draw.heldout_examples})
            learn = {
                "split": "train",
                "examples": draw.train_examples,
                "dev_examples": draw.dev_examples,
                "near_duplicates": draw.near_duplicates,
            }
            lessons = job("prepare", f"{chosen.name}--train", {**drawn, **learn}, avoid=exam)

            say = {"model": model, **answering(point, chosen)}
            base = job("generate", f"{label}--base", say, exam=exam)
            steps = {"model": model, **tune.model_dump(mode="json", exclude={"seeds"})}
            adapters = {
                f"adapter{s}": job("finetune", f"{label}--r{tune.rank}-s{s}", {**steps, "seed": s}, train=lessons) for s in tune.seeds
            }
            tuned = {
                f"tuned{s}": job("generate", f"{label}--r{tune.rank}-s{s}", say, exam=exam, adapter=adapters[f"adapter{s}"])
                for s in tune.seeds
            }
            weigh = {"task": spec, **point.compare.model_dump(exclude={"correction"})}
            verdict = job("compare", label, weigh, exam=exam, base=base, **tuned)

            jobs += [exam, lessons, *adapters.values(), base, *tuned.values(), verdict]
            cell = f"cell{len(cells):04}"
            shown |= {
                f"{cell}.{name}": made
                for name, made in {"verdict": verdict, "exam": exam, "train": lessons, "base": base, **adapters, **tuned}.items()
            }
            cells.append(
                {"cell": cell, "task": chosen.name, "base": point.base, "where": where, "rank": tune.rank, "seeds": list(tune.seeds)}
            )
    about = {"recipe": recipe.model_dump(mode="json"), "cells": cells}
    return list(dict.fromkeys([*jobs, job("report", recipe.name, about, **shown)]))


def answering(point: Recipe, chosen: task.Task) -> dict[str, Any]:
    """What `generate` must know of the task, so that it depends on no task file."""
    say = point.generate.model_dump()
    return say | {"max_new_tokens": point.generate.max_new_tokens or chosen.max_new_tokens, "stop": list(chosen.stop)}


def data_files(given: str | InlineTask) -> dict[str, str]:
    """The bytes of a user's own data files: part of what is asked, since a file may change under its name."""
    if isinstance(given, str):
        return {}
    return {str(path): file_hash(path) for path in local_files(given.data)}


def local_files(data: Data) -> list[Path]:
    if data.hub:
        return []
    if data.folder:
        return sorted(path for path in Path(data.folder).rglob("*") if path.is_file())
    return [path for path in (Path(data.train), Path(data.heldout)) if path.is_file()]
