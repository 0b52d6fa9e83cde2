"""Turns a recipe into jobs. Read this first: plan() is the flow of the whole program."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline import arms
from pipeline.config.recipe import Recipe
from pipeline.config.schema import Data, InlineTask, Reference
from pipeline.config.validation_errors import nearest
from pipeline.data import general_text, inline, manual_files, task
from pipeline.errors import RecipeError
from pipeline.models import base_model
from pipeline.store.artifact import canonical, file_hash

Jobs = dict[str, "Job"]
"""By what they are to a cell: exam, train, adapter<seed>, base, tuned<seed>, arm.<name>, reference.<name>, relevance.<arm>, ..."""


WEIGHED = {"confidence", "resamples", "interval", "seed", "liveness", "margin"}
GENERAL_TOKENS = 512
"""Longest prompt with its answer, at least, of a general task that the recipe does not train on."""
EMBEDDED = ("shop_sentiment", "shop_extraction")
"""Tasks that need no network: the placebo where a recipe has one task only, and the tasks that may be forgotten."""
SPEED_TOKENS = 32
"""New tokens of every request whose time is taken."""


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


def plan(recipe: Recipe, ask: bool = True, hashes: Path | None = None) -> list[Job]:
    """The jobs in an order in which each comes after its inputs, none twice. The last is the report.

    Args:
        ask: ask the hub which commit of a base is meant, if this machine does not know; without it keys may not be final.
        hashes: a file that remembers the hashes of a base's large files.

    Raises:
        RecipeError, ModelError, DataError: the recipe names something that is not there.
    """
    jobs: list[Job] = []
    cells: list[dict[str, Any]] = []
    shown: Jobs = {}
    for where, point in recipe.points():
        at = Point(point, ask, hashes)
        arms.check(point.compare.arms, {name: topic.context for name, topic in at.topics.items()})
        check_shots(point)
        for topic in at.topics.values():
            made, name = cell(topic), f"cell{len(cells):04}"
            jobs += made.values()
            shown |= {f"{name}.{source}": job for source, job in made.items()}
            told = {"cell": name, "task": topic.task.name, "base": point.base, "where": where, "rank": point.finetune.rank}
            told |= {"seeds": list(point.finetune.seeds), "paper": paper_form(at.model, point), "absent": topic.absent}
            cells.append(told)
    about = {"recipe": recipe.model_dump(mode="json"), "cells": cells}
    return list(dict.fromkeys(each for made in [*jobs, job("report", recipe.name, about, **shown)] for each in behind(made)))


def behind(made: Job) -> Iterator[Job]:
    """All that a job needs, each after what it needs itself, and the job."""
    for _, source in made.inputs:
        yield from behind(source)
    yield made


class Point:
    """One point of a sweep: its recipe, its base, and the tasks that its jobs are about, each made once."""

    def __init__(self, recipe: Recipe, ask: bool, hashes: Path | None) -> None:
        self.recipe, self.model = recipe, base_model.find(recipe)
        self.spec = self.model.spec(ask, hashes)
        self.loaded = recipe.generate.model_dump(include={"quantization", "compute"}) | {"model": self.spec}
        self.topics: dict[str, Topic] = {}
        self.topics |= {inline.find(given).name: Topic(self, given) for given in recipe.tasks}

    def topic(self, name: str) -> "Topic":
        """A task of the recipe, or a shipped one that it does not name."""
        if name not in self.topics:
            return self.further.setdefault(name, Topic(self, name))
        return self.topics[name]

    @cached_property
    def further(self) -> "dict[str, Topic]":
        return {}


class Topic:
    """One task at one point: its examples and its adapters."""

    def __init__(self, at: Point, given: str | InlineTask) -> None:
        self.at, self.recipe, self.given, self.task = at, at.recipe, given, inline.find(given)
        self.label = f"{base_model.short(at.recipe.base)}--{self.task.name}"
        compare, quantized = at.recipe.compare, at.recipe.generate.quantization != "none"
        self.context = arms.ArmContext(quantized, self.task.constraint, compare.shots, compare.shots_seed)
        self.arms, self.absent = arms.wanted(compare.arms, self.context)
        self.first = at.recipe.finetune.seeds[0]

    @cached_property
    def drawn(self) -> dict[str, Any]:
        """What both splits are drawn by."""
        draw = self.recipe.prepare
        asked = {"task": inline.spec(self.given), "model": self.at.spec, "seed": draw.seed, "files": data_files(self.given, self.task)}
        asked |= draw.model_dump(include={"max_tokens", "long_prompts", "max_bad_rows"})
        named = self.task.name in self.at.topics
        # a limit that suits the recipe's own tasks must not drop every row of a general one
        return asked if named else asked | {"max_tokens": max(draw.max_tokens, GENERAL_TOKENS)}

    @cached_property
    def exam(self) -> Job:
        return self.examined(self.recipe.prepare.heldout_examples)

    def examined(self, examples: int) -> Job:
        """The held-out examples, so many."""
        held = {"split": "heldout", "examples": examples, "order": self.recipe.prepare.heldout_order}
        part = "heldout" if examples == self.recipe.prepare.heldout_examples else "general"
        return job("prepare", f"{self.task.name}--{part}", {**self.drawn, **held})

    @cached_property
    def lessons(self) -> Job:
        """The training examples, without what is held out."""
        draw = self.recipe.prepare
        learn = {"split": "train", "examples": draw.train_examples, **draw.model_dump(include={"dev_examples", "near_duplicates"})}
        return job("prepare", f"{self.task.name}--train", {**self.drawn, **learn}, avoid=self.exam)

    @cached_property
    def adapters(self) -> dict[int, Job]:
        """One a training seed."""
        return {seed: self.adapter(seed) for seed in self.recipe.finetune.seeds}

    def adapter(self, seed: int, **placebo: str) -> Job:
        tune = self.recipe.finetune
        steps = {"model": self.at.spec, **tune.model_dump(mode="json", exclude={"seeds"}), "targets": targets(self.recipe, self.at.model)}
        name = f"{self.label}--r{tune.rank}-s{seed}" + "".join(f"-{value}" for value in placebo.values())
        return job("finetune", name, {**steps, "seed": seed, **placebo}, train=self.lessons)

    def said(self, exam: Job, name: str, more: dict[str, Any] | None = None, **inputs: Job) -> Job:
        """What an arm says to an exam.

        Args:
            more: parameters that make it another arm than base.
            inputs: `adapter`; `train`, whose examples go into the prompts.
        """
        say = {"model": self.at.spec, **answering(self.recipe, self.task), **(more or {})}
        return job("generate", f"{self.label}--{name}", say, heldout=exam, **inputs)

    def neighbours(self) -> "list[Topic]":
        """The other tasks of the recipe from the next one on, or embedded ones where there is no other."""
        names = list(self.at.topics)
        place = names.index(self.task.name)
        others = [*names[place + 1 :], *names[:place]] or [name for name in EMBEDDED if name != self.task.name]
        return [self.at.topic(name) for name in others]


def cell(topic: Topic) -> Jobs:
    """One task at one point of a sweep, each job after its inputs: exam, train, adapters, what every arm says, measures, verdict."""
    recipe = topic.recipe
    tuned = {
        f"tuned{seed}": topic.said(topic.exam, f"r{recipe.finetune.rank}-s{seed}", adapter=made) for seed, made in topic.adapters.items()
    }
    said = {"base": topic.said(topic.exam, "base"), **tuned, **others(topic)}
    said |= {f"reference.{known.name}": refer(topic, known) for known in recipe.references}
    measured = {**relevance(topic, said), **kept(topic)}
    weigh = {"task": inline.spec(topic.given), **recipe.compare.model_dump(include=WEIGHED), "loss_margin": recipe.general.loss_margin}
    weigh |= {"general": general_tasks(topic)}
    lessons = {"train": topic.lessons} if "constant" in topic.arms else {}
    verdict = job("compare", topic.label, weigh, heldout=topic.exam, **lessons, **said, **measured)
    adapters = {f"adapter{seed}": made for seed, made in topic.adapters.items()}
    return {"heldout": topic.exam, "train": topic.lessons, **adapters, **said, **measured, **speed(topic), "verdict": verdict}


def others(topic: Topic) -> Jobs:
    """What the arms beside base and tuned say."""
    rows = [arms.find(name) for name in topic.arms]
    return {f"arm.{row.name}": arm(topic, row) for row in rows if row.is_generated and row.name not in ("base", "tuned")}


def arm(topic: Topic, row: arms.ArmSpec) -> Job:
    inputs: Jobs = {}
    if row.adapter:
        inputs["adapter"] = adapter_of(topic, row.adapter)
    if row.reads_train(topic.context):
        inputs["train"] = topic.lessons
    return topic.said(topic.exam, row.name, row.params(topic.context), **inputs)


def adapter_of(topic: Topic, kind: str) -> Job:
    """The adapter that an arm answers with; of several seeds the first."""
    if kind == "unrelated":
        return unrelated(topic).adapters[topic.first]
    return topic.adapters[topic.first] if kind == "tuned" else topic.adapter(topic.first, placebo=kind)


def unrelated(topic: Topic) -> Topic:
    """The task whose adapter is the placebo.

    Raises:
        RecipeError: it is the task itself.
    """
    chosen = topic.recipe.compare.unrelated
    if chosen == topic.task.name:
        raise RecipeError(
            f"compare.unrelated: {chosen} is a task of this recipe, and its own adapter is no placebo.",
            "Name a task that is not compared, or leave it out: then each task gets the adapter of the next one.",
        )
    return topic.at.topic(chosen) if chosen else topic.neighbours()[0]


def relevance(topic: Topic, said: Jobs) -> Jobs:
    """How much every arm's answers are about their prompts, under the base; of several seeds of tuned the first."""
    compare, tuned = topic.recipe.compare, f"tuned{topic.first}"
    asked = {**topic.at.loaded, "examples": compare.relevance_examples, "seed": compare.seed}
    found = {}
    for source, answers in said.items() if compare.relevance_examples else ():
        if source == tuned or not source.startswith("tuned"):
            name = "tuned" if source == tuned else source.removeprefix("arm.")
            found[f"relevance.{name}"] = job("relate", f"{topic.label}--{name}", asked, heldout=topic.exam, predictions=answers)
    return found


def kept(topic: Topic) -> Jobs:
    """Base and tuned on what the adapter was not trained for."""
    adapter, made = topic.adapters[topic.first], {}
    for name in suites(topic):
        if name == general_text.PARAGRAPHS:
            made["general.paragraphs"] = job("forget", topic.label, {**topic.at.loaded, "text": general_text.digest()}, adapter=adapter)
            continue
        other = topic.at.topic(name)
        exam = other.examined(topic.recipe.general.examples)
        made[f"general.{name}.heldout"] = exam
        made[f"general.{name}.base"] = other.said(exam, "base-general")
        made[f"general.{name}.tuned"] = other.said(exam, f"by-{topic.task.name}", adapter=adapter)
    return made


def general_tasks(topic: Topic) -> dict[str, Any]:
    """The tasks among the general suites, as the comparison builds them again."""
    return {name: inline.spec(topic.at.topic(name).given) for name in suites(topic) if name != general_text.PARAGRAPHS}


def suites(topic: Topic) -> list[str]:
    """The names of a task's general suites.

    Raises:
        RecipeError: one is neither `paragraphs` nor a task, or all that were asked for is the task itself.
    """
    asked = topic.recipe.general.suites
    if asked is None:
        window = base_model.context_window(topic.at.spec)
        short = window is not None and window < GENERAL_TOKENS  # an embedded task might not fit, and nobody asked for it
        others = [other.task.name for other in topic.neighbours()[:2]]
        return [general_text.PARAGRAPHS, *(name for name in others if name in topic.at.topics or not short)]
    known = [general_text.PARAGRAPHS, *topic.at.topics, *task.names()]
    for name in asked:
        if name not in known:
            raise RecipeError(f"general.suites: there is no suite or task '{name}'.", nearest(name, known, "`loralift ls tasks`"))
    left = [name for name in asked if name != topic.task.name]
    if asked and not left:
        problem = f"general.suites: {asked[0]} alone cannot show what the adapter for {topic.task.name} forgot: it is trained on it."
        raise RecipeError(problem, f"Add another, as [{general_text.PARAGRAPHS}, {asked[0]}], or write [] to measure nothing.")
    return left


def speed(topic: Topic) -> Jobs:
    compare = topic.recipe.compare
    if not compare.speed_prompts:
        return {}
    rows, context = [arms.find(name) for name in topic.arms], topic.context
    shots = compare.shots if any("shots" in row.params(context) for row in rows) else 0
    asked = {**topic.at.loaded, "prompts": compare.speed_prompts, "new_tokens": SPEED_TOKENS, "shots": shots}
    asked |= {"shots_seed": compare.shots_seed if shots else 0}
    asked["answer_tokens"] = answering(topic.recipe, topic.task)["max_new_tokens"]  # what the arms' prompts leave room for
    constrained = sorted((row.name for row in rows if row.constrained), key=arms.rank)
    asked |= {"constrained": constrained, "constrain": context.constraint if constrained else ""}
    asked |= {"dense": context.quantized and any(row.timed_as == arms.UNQUANTIZED for row in rows)}
    shown = {"train": topic.lessons} if shots or asked["constrain"] == "keys" else {}
    return {"speed": job("speed", topic.label, asked, heldout=topic.exam, adapter=topic.adapters[topic.first], **shown)}


def answering(point: Recipe, chosen: task.Task) -> dict[str, Any]:
    """What `generate` must know of the task, so that it depends on no task file; random answers are of use to code tasks only."""
    drawn = point.generate.samples and "pass_at_1" in chosen.metrics
    say = point.generate.model_dump(exclude=set() if drawn else {"samples", "temperature", "top_p", "seed"})
    return say | {"max_new_tokens": point.generate.max_new_tokens or chosen.max_new_tokens, "stop": list(chosen.stop)}


def refer(topic: Topic, known: Reference) -> Job:
    """What an endpoint is asked, without key, price and pace, which change no answer."""
    most = known.max_new_tokens or topic.recipe.generate.max_new_tokens or topic.task.max_new_tokens
    asked = {"endpoint": known.endpoint, "model": known.model, "max_new_tokens": most, "stop": list(topic.task.stop)}
    return job("refer", f"{topic.task.name}--{known.name}", asked, heldout=topic.exam)


def check_shots(point: Recipe) -> None:
    """Raise RecipeError where more worked examples are asked for than there are training examples."""
    most, shots = point.prepare.train_examples, point.compare.shots
    asked = "shots" in point.compare.model_fields_set
    if asked and shots > most and "base_fewshot" in (point.compare.arms or arms.DEFAULT):
        raise RecipeError(
            f"compare.shots: there are no {shots} examples to show: prepare.train_examples is {most}.",
            f"Take compare.shots of at most {most}, or leave base_fewshot out of compare.arms.",
        )


def targets(point: Recipe, model: base_model.Model) -> str | list[str]:
    """The modules that get an adapter, as the base calls them."""
    asked = point.finetune.targets
    return list(base_model.qv_targets(model)) if asked == "qv" else asked if isinstance(asked, str) else list(asked)


def paper_form(model: base_model.Model, point: Recipe) -> dict[str, Any]:
    """What the report must know to set published figures beside ours: the base's name in the paper, and whether it is prompted as there."""
    row = next((row for row in base_model.MODELS if point.base in (row.name, row.repo)), None)
    # a hub id is prompted as its tokenizer says, which may not be as in the paper
    forced = row is not None and model.chat != row.chat
    return {"model": model.paper, "forced_chat": forced}


def data_files(given: str | InlineTask, chosen: task.Task) -> dict[str, str]:
    """The bytes of data files that lie here: part of what is asked, since a file may change under its name."""
    if not isinstance(given, str):
        return {str(path): file_hash(path) for path in local_files(given.data)}
    # a file that is fetched may not be here yet, so it is no more part of the key than a branch of the hub
    asked = [source.manual_file for source in (*chosen.train, *chosen.heldout) if source.manual_file and not source.manual_file.url]
    return {each.path: manual_files.content_hash(manual_files.folder() / each.path) for each in asked if manual_files.existing_path(each)}


def local_files(data: Data) -> list[Path]:
    if data.hub:
        return []
    if data.folder:
        return sorted(path for path in Path(data.folder).rglob("*") if path.is_file())
    return [path for path in (Path(data.train), Path(data.heldout)) if path.is_file()]
