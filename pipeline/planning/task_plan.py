"""Plans one task at one point of a sweep: its examples, its adapters and how it is answered, each job made once"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline import arms
from pipeline.config.finetune import Finetune
from pipeline.config.recipe import Recipe, with_values
from pipeline.config.schema import Data, InlineTask
from pipeline.config.variants import TASK_FIELD, Variant
from pipeline.data import file_hashes, harness_task, inline, prediction_files, task
from pipeline.errors import RecipeError
from pipeline.harness.definition import Role
from pipeline.models import adapter_source, base_model, model_source
from pipeline.models.harness_renderer import HARNESS
from pipeline.planning import search_jobs
from pipeline.planning.adapter_params import adapter_params
from pipeline.planning.job import Job, Params, job
from pipeline.planning.search_jobs import FindFolder, Search, find_nothing

GENERAL_TOKENS = 512
"""Longest prompt with its answer, at least, of another task that the recipe does not train on."""
BUNDLED_TASKS = ("shop_sentiment", "shop_extraction")
"""Tasks that need no network: the placebo where a recipe has one task only, and the default other tasks."""


@dataclass(frozen=True)
class Lookup:
    """How bases and adapters are identified."""

    ask: bool = True
    """Ask the hub which commit is meant, if this machine does not know; without it keys may not be final."""
    hashes: Path | None = None
    """A file that remembers the hashes of large files."""
    find_folder: FindFolder = find_nothing
    """Finds what has run; what is tuned depends on it."""


class Point:
    """One point of a report: its recipe, its base, and its tasks."""

    def __init__(self, recipe: Recipe, lookup: Lookup, whole: Recipe | None = None) -> None:
        """whole: the recipe of all points, where it is another."""
        self.recipe = recipe
        self.whole = whole or recipe
        self.variant = recipe.variant
        """What answers as the fine-tuned model, if no adapter is trained for it."""
        self.lookup = lookup
        self.model = base_model.find(recipe)
        self.model_spec = self.model.spec(lookup.ask, lookup.hashes)
        self.loading: Params = {**recipe.generate.model_dump(include={"quantization", "compute"}), "model": self.model_spec}
        """How the base is loaded where it answers or is measured."""
        entries = [self.resolved(entry, "task") if harness_task.is_name(entry) else entry for entry in recipe.tasks]
        self.tasks = {inline.find(entry).name: TaskPlan(self, entry) for entry in entries}
        """Of the recipe, by name."""
        self.shipped: dict[str, TaskPlan] = {}
        """Those that the recipe does not name, and a placebo or a suite of other tasks needs."""

    def task_plan(self, name: str) -> "TaskPlan":
        """The plan of a task of the recipe, or of a shipped one that it does not name."""
        if name in self.tasks:
            return self.tasks[name]
        if name not in self.shipped:
            entry = self.resolved(harness_task.in_recipe(name), "suite") if harness_task.is_task_name(name) else name
            self.shipped[name] = TaskPlan(self, entry)
        return self.shipped[name]

    def resolved(self, name: object, role: Role) -> inline.Entry:
        """The spec of a task of lm-evaluation-harness. Raises RecipeError, DataError, MachineError as harness_task.resolve."""
        return harness_task.resolve(str(name), role, self.recipe.lm_eval, self.model_spec, self.lookup.ask)


class TaskPlan:
    """One task at one point: its examples, its adapters and how it is answered, each job made once.

    Args:
        entry: under `tasks` in the recipe, or the name of a shipped task.
    """

    def __init__(self, point: Point, entry: inline.Entry) -> None:
        self.point = point
        self.recipe = point.recipe
        self.entry = entry
        self.task = inline.find(entry)
        self.label = f"{base_model.folder_prefix(self.recipe.base)}--{self.task.name}"
        self.model_spec = point.model_spec
        """The base, with how its prompts are rendered where that is another's rule."""
        compare = self.recipe.compare
        shots = compare.shots
        if inline.thinks(entry):
            self.model_spec = {**point.model_spec, "thinking": True}
        if isinstance(entry, dict):
            self.model_spec = {**point.model_spec, "chat": "chat" in entry, "prompts": HARNESS}
            shots = harness_task.few_shot_count(entry, self.recipe.lm_eval.num_fewshot, shots)
        quantized = self.recipe.generate.quantization != "none"
        self.context = arms.ArmContext(
            quantized, self.task.constraint, shots, compare.shots_seed, self.task.runs_programs,
            is_trained_here=not point.variant, has_train=bool(self.task.train), has_adapter=not (point.variant and point.variant.model),
            harness=bool(self.task.harness), has_model=self.recipe.base_predictions is None,
            behind_endpoint=bool(point.variant and point.variant.endpoint), thinks=inline.thinks(entry),
        )  # fmt: skip
        self.arms, self.absent = arms.available_arms(compare.arms, self.context)
        variant = point.variant
        self.seeds = tuple(range(variant.runs)) if variant else self.recipe.finetune.seeds
        self.first_seed = self.seeds[0]

    @property
    def loading(self) -> Params:
        """How the base is loaded where it is measured on this task."""
        return {**self.point.loading, "model": self.model_spec}

    @cached_property
    def prepare_params(self) -> Params:
        """What both splits are prepared by."""
        prepare = self.recipe.prepare
        params: Params = {
            "task": inline.spec(self.entry),
            "model": self.model_spec,
            "files": file_hashes.of_task(self.task),
            "max_new_tokens": self.recipe.generate.max_new_tokens or self.task.max_new_tokens,
        }
        params |= prepare.model_dump(include={"seed", "max_tokens", "long_prompts", "max_bad_rows"})
        if not self.context.has_model:
            return {**params, "model": None, "long_prompts": "keep"}
        if self.task.name not in self.point.tasks:  # a limit that suits the recipe's own tasks must not drop every row of another one
            params["max_tokens"] = max(prepare.max_tokens, GENERAL_TOKENS)
        return params

    @cached_property
    def heldout(self) -> Job:
        prepared = self.prepare_heldout(self.recipe.prepare.heldout_examples)
        return self.common_examples(prepared) if self.recipe.pairing.common_rows and not self.context.has_model else prepared

    def prepare_heldout(self, examples: int) -> Job:
        prepare = self.recipe.prepare
        name = "heldout" if examples == prepare.heldout_examples else "general"
        params: Params = {"split": "heldout", "examples": examples, "order": prepare.heldout_order}
        params |= {"long_prompts": "keep"} if self.task.harness else {}  # as lm-eval, which leaves out no document
        return job("prepare", f"{self.task.name}--{name}", {**self.prepare_params, **params})

    @cached_property
    def heldout_with_shots(self) -> Job:
        """The held-out examples of a task of lm-evaluation-harness, with its few-shot examples in the prompts."""
        params = self.heldout.params
        return job("prepare", f"{self.task.name}--fewshot", {**params, "task": {**params["task"], "shots": self.context.shots}})

    @cached_property
    def train(self) -> Job:
        """The training examples, without what is held out."""
        prepare = self.recipe.prepare
        params = {"split": "train", "examples": prepare.train_examples, **prepare.model_dump(include={"dev_examples", "near_duplicates"})}
        return job("prepare", f"{self.task.name}--train", {**self.prepare_params, **params}, avoid=self.heldout)

    @cached_property
    def adapters(self) -> dict[int, Job]:
        """By training seed what was fine-tuned: an adapter, or a whole model; the adapters of a variant are numbered."""
        if not self.context.has_fine_tune:
            return {}
        if self.point.variant:
            return self.import_fine_tunes(self.point.variant)
        return {seed: self.finetune(seed) for seed in self.seeds}

    @property
    def first_adapter(self) -> Job:
        """The adapter of the first training seed, where one must do."""
        return self.adapters[self.first_seed]

    @cached_property
    def search(self) -> Search | None:
        """What is tuned for this task here; None where nothing is."""
        tune = self.recipe.tune
        is_tuned = tune and self.context.is_trained_here and self.task.name in self.point.tasks
        return search_jobs.search(self, tune) if tune and is_tuned else None

    @cached_property
    def training(self) -> Finetune:
        """How adapters are trained: as the recipe says, with the values that were chosen for this task here."""
        return self.section_with(self.search.values) if self.search else self.recipe.finetune

    def section_with(self, values: Params) -> Finetune:
        """How adapters are trained with other values of dotted keys."""
        return with_values(self.recipe, values).finetune

    def training_params(self, section: Finetune, seed: int) -> Params:
        """The parameters of a training job."""
        params = {"model": self.model_spec, **adapter_params(section), "seed": seed}
        if section.targets == "qv":
            params["targets"] = list(base_model.qv_targets(self.point.model))  # as this base calls them
        return params

    def finetune(self, seed: int, placebo: str = "") -> Job:
        params = self.training_params(self.training, seed)
        label = f"{self.label}--r{self.training.rank}-s{seed}"
        waits = self.search.waits if self.search else {}
        if placebo:
            return job("finetune", f"{label}-{placebo}", {**params, "placebo": placebo}, train=self.train, **waits)
        return job("finetune", label, params, train=self.train, **waits)

    def import_fine_tunes(self, variant: Variant) -> dict[int, Job]:
        """By number of the training seed what a variant is: its adapters, copied into the store, or a whole model.

        Raises ModelError where there is none that can be compared, or two adapters are one.
        """
        if variant.model:
            return {self.first_seed: self.import_model(variant)}
        lookup = self.point.lookup
        places = [place.replace(TASK_FIELD, self.task.name) for place in variant.adapter_places]
        specs = {place: adapter_source.find(place, lookup.ask, lookup.hashes) for place in places}
        if len(specs) > 1:
            adapter_source.check_different(variant.name, specs)
        label = f"{base_model.folder_prefix(self.recipe.base)}--{variant.name}"
        return {
            seed: job("import_adapter", self.numbered(label, seed), {"model": self.point.model_spec, "adapter": specs[place]})
            for seed, place in enumerate(places)
        }

    def numbered(self, name: str, seed: int) -> str:
        """What belongs to one of several training seeds; as it is where there is one."""
        return f"{name}-s{seed}" if len(self.seeds) > 1 else name

    def import_model(self, variant: Variant) -> Job:
        """The check of a variant that is a whole model. Raises ModelError where there is none that can be compared."""
        assert variant.model is not None  # it was asked for
        lookup = self.point.lookup
        tuned = model_source.find(variant.model.replace(TASK_FIELD, self.task.name), self.recipe, lookup.ask, lookup.hashes)
        label = f"{base_model.folder_prefix(self.recipe.base)}--{variant.name}"
        return job("import_model", label, {"model": self.point.model_spec, "tuned": tuned})

    def prediction_params(self, owners: Mapping[str, str]) -> Params:
        """What finds the answers of files, and the test rows that they answer.

        Args:
            owners: by path of a file, `base` or the name of its variant.
        """
        names = {path.replace(TASK_FIELD, self.task.name): name for path, name in owners.items()}
        pairing = self.recipe.pairing
        columns = {path: column for path, name in names.items() if (column := pairing.column_of(name))}
        return {
            "task": inline.spec(self.entry),
            "files": file_hashes.of_task(self.task),
            "predictions": prediction_files.hashes(list(names)),
            "pairing": {**pairing.model_dump(), **({"answers": columns} if isinstance(pairing.answers, dict) else {})},
        }

    def import_predictions(self, name: str, path: str, owner: str) -> Job:
        """Predictions from a file, in a folder as `generate` writes it. Raises DataError where there is no such file."""
        return job("import_predictions", f"{self.task.name}--{name}", self.prediction_params({path: owner}), heldout=self.heldout)

    def common_examples(self, heldout: Job) -> Job:
        """The test examples that every file of the recipe answers once."""
        recipe = self.point.whole
        variants = [entry for entry in recipe.variants if isinstance(entry, Variant)]
        files = {str(recipe.base_predictions): "base"} | {file: entry.name for entry in variants for file in entry.prediction_files}
        return job("common_examples", self.task.name, self.prediction_params(files), heldout=heldout)

    def search_overlap(self, variant: Variant) -> Job:
        """The search of what a variant was trained on for duplicates of test prompts.

        Raises:
            RecipeError: the task is a shipped one, which says itself how its rows are read.
            DataError: the file is missing.
        """
        if not isinstance(self.entry, InlineTask):
            raise RecipeError(
                f"variants: {variant.name} has train, and the task {self.task.name} reads rows of its own source only.",
                "Leave train out, or write the task inline.",
            )
        entry = self.entry.model_copy(update={"data": Data(train=str(variant.train), heldout=str(variant.train))})
        params = {
            "task": inline.spec(entry),
            "files": file_hashes.of_task(inline.from_spec(inline.spec(entry))),
            "near_duplicates": self.recipe.prepare.near_duplicates,
        }
        return job("search_overlap", f"{self.task.name}--{variant.name}", params, heldout=self.heldout)

    def generate(self, name: str, params: Params | None = None, heldout: Job | None = None, **inputs: Job) -> Job:
        """The predictions of an arm.

        Args:
            name: ends the job's label.
            params: that make it another arm than base.
            heldout: other examples than this task's own.
            inputs: `adapter`; `train`, whose examples go into the prompts.
        """
        params = {"model": self.model_spec, **generation_params(self.recipe, self.task), **(params or {})}
        return job("generate", f"{self.label}--{name}", params, heldout=heldout or self.heldout, **inputs)

    def neighbours(self) -> "list[TaskPlan]":
        """The other tasks of the recipe from the next one on, or embedded ones where there is no other."""
        names = list(self.point.tasks)
        own = names.index(self.task.name)
        others = [*names[own + 1 :], *names[:own]] or [name for name in BUNDLED_TASKS if name != self.task.name]
        return [self.point.task_plan(name) for name in others]


def generation_params(recipe: Recipe, answered_task: task.Task) -> Params:
    """What `generate` must know of the task, so that it depends on no task file; random answers are of use to code tasks only."""
    samples = recipe.generate.samples and "pass_at_1" in answered_task.metrics
    params = recipe.generate.model_dump(exclude=set() if samples else {"samples", "temperature", "top_p", "seed"})
    return {**params, "max_new_tokens": recipe.generate.max_new_tokens or answered_task.max_new_tokens, "stop": list(answered_task.stop)}
