"""Defines the recipe: every key that a recipe may hold is a field here or in schema.py.

A recipe says what to measure. How it runs (devices, micro-batches, workers) is set on the command line and never changes a key.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from pipeline.config import data_paths, peer_keys, spellings, sweeps, tuning
from pipeline.config.debugging import Debug, debug_fault
from pipeline.config.draws import Draw
from pipeline.config.finetune import Finetune
from pipeline.config.recipe_files import read, shipped_as
from pipeline.config.schema import (
    Compare,
    Cost,
    General,
    Generate,
    InlineTask,
    LmEval,
    Name,
    NonEmpty,
    OwnTask,
    Prepare,
    Price,
    Reference,
    Section,
    TaskName,
    check_names,
    check_repeats,
    slice_name,
    task_name,
)
from pipeline.config.validation_errors import describe_errors, nearest, spell_value
from pipeline.config.variants import TRAINED_HERE, Pairing, Variant, prediction_fault, unknown_file_fault
from pipeline.errors import RecipeError

SECTIONS = ("prepare", "pairing", "finetune", "generate", "compare", "general", "lm_eval", "debug", "cost", "tune")
VARIANT = "variant"
"""What tells points apart that differ in their variant, beside the swept keys."""
MAX_PARENTS = 10
ENTRIES: dict[Any, type[Section]] = {"tasks": InlineTask, "references": Reference, "price": Price, "variants": Variant}


class Recipe(Section):
    extends: str | None = None
    """Another recipe that supplies the keys that this one leaves out: a path from this one's folder, or the name of a shipped one."""
    name: Name
    question: str = ""
    """What the recipe finds out; the title of its report."""
    base: str
    """A row of `loralift ls models`, a hub id, or a folder."""
    revision: str | None = None
    """Commit of a base on the hub."""
    chat: bool | None = None
    """Prompt through the chat template; unset: as the model's row says, else if its tokenizer has one."""
    trust_remote_code: bool = False
    """Run Python code that comes with the base. The report warns of it."""
    needs_cuda: bool = False
    """Refuse to start on a machine without a CUDA device."""
    tasks: Annotated[tuple[TaskName | OwnTask | InlineTask, ...], NonEmpty]
    """Names of shipped tasks, names of lm-evaluation-harness as `lm_eval/gsm8k`, tasks written inline, and Python files of yours that
    define TASK, as `./mine.py` from the recipe's folder: their code is run."""
    prepare: Prepare = Prepare()
    variants: Annotated[tuple[Literal["trained here"] | Variant, ...], Field(strict=False)] = ()
    """What was fine-tuned elsewhere and is compared with the base instead of an adapter that is trained here; with the entry
    `trained here`, beside it."""
    base_predictions: Annotated[str, Field(min_length=1)] | None = None
    """The file with the base's predictions, where no model is to answer: predictions of `variants` are compared with them. JSONL, CSV, TSV
    or Parquet with a column of answers, text with one answer a line, samples of lm-evaluation-harness, a log of Inspect, or
    predictions.jsonl of loralift."""
    pairing: Pairing = Pairing()
    finetune: Finetune = Finetune()
    generate: Generate = Generate()
    compare: Compare = Compare()
    general: General = General()
    lm_eval: LmEval = LmEval()
    debug: Debug = Debug()
    cost: Cost = Cost()
    references: Annotated[tuple[Reference, ...], Field(strict=False)] = ()
    """Models behind OpenAI-compatible endpoints that answer the same test prompts."""
    sweep: sweeps.Sweep = {}  # noqa: RUF012 (pydantic copies it)
    """Dotted keys with the values each takes: a list, or draws as `{log_uniform: [5e-5, 5e-4], samples: 8}`; the product of all is run.
    Or a list of points, as `[{finetune.rank: 4, finetune.epochs: 2}, ...]`."""
    tune: tuning.Tune | None = None
    """Keys of `finetune` that every task at every point gets its own best value of, by the validation loss of its first training seed;
    the test set is not looked at. `{finetune.learning_rate: [1e-4, 4e-4, 2e-3]}`; also written as `sweep: {tune: ...}`."""

    @model_validator(mode="after")
    def check_consistency(self) -> "Recipe":
        lists = {"tasks": list(map(task_name, self.tasks)), "references": [reference.name for reference in self.references]}
        lists["variants"] = self.variant_names
        lists |= {"compare.arms": list(self.compare.arms or ()), "general.suites": list(self.general.suites or ())}
        for key, names in lists.items():
            check_names(key, names)
        check_repeats("compare.slices", list(map(slice_name, self.compare.slices)))
        if len(set(self.finetune.seeds)) < len(self.finetune.seeds):
            raise ValueError(f"finetune.seeds: {list(self.finetune.seeds)} holds a seed twice, and equal seeds are no replicates")
        for arm in ("base", "tuned"):
            if self.compare.arms is not None and arm not in self.compare.arms:
                raise ValueError(f"compare.arms: {arm} is missing. Every recipe compares the arms `base` and `tuned`")
        sweeps.check_sweep(self.sweep)
        resolved = sweeps.with_numbers(self.sweep, [key for key in self.swept if spellings.is_whole(key, Recipe)])
        object.__setattr__(self, "sweep", resolved)  # the recipe is frozen, and shows what was drawn
        return self

    @model_validator(mode="after")
    def check_cut(self) -> "Recipe":
        uncut = ", ".join(task.name for task in self.tasks if isinstance(task, InlineTask) and not task.cut)
        if uncut and self.prepare.long_prompts == "cut_field":
            raise ValueError(f"prepare.long_prompts: cut_field needs the column that may be cut. Add cut: and its name to {uncut}")
        return self

    @model_validator(mode="after")
    def check_training_data(self) -> "Recipe":
        untrained = [task.name for task in self.tasks if isinstance(task, InlineTask) and task.data.train is None]
        if untrained and self.trains:
            raise ValueError(f"tasks.{untrained[0]}.data.train is missing. Add it: a file of training rows, or name variants to compare")
        return self

    @model_validator(mode="after")
    def check_variants(self) -> "Recipe":
        if fault := prediction_fault(self.base_predictions, self.variants, len(self.tasks), len(self.references)):
            raise ValueError(fault)
        names = [reference.name for reference in self.references]
        faults = (unknown_file_fault(self.pairing, self.variants), debug_fault(self.debug, names, self.base_predictions is not None))
        if fault := next(filter(None, faults), ""):
            raise ValueError(fault)
        swept = next((key for key in self.swept if key.partition(".")[0] == "finetune"), "")
        if swept and self.variants:
            raise ValueError(f"sweep: {swept} changes no variant, since it was trained elsewhere. Sweep in a recipe without variants")
        if self.tune and (fault := tuning.fault(self.tune, list(self.swept), self.prepare.dev_examples, not self.variants)):
            raise ValueError(fault)
        return self

    @property
    def variant_names(self) -> list[str]:
        """What the variants are called; empty for a recipe that only trains."""
        return [entry if isinstance(entry, str) else entry.name for entry in self.variants]

    @property
    def swept(self) -> dict[str, list[Any]]:
        """By swept key the values that it takes."""
        return sweeps.axes(self.sweep)

    @property
    def trains(self) -> bool:
        """Whether an adapter is trained here."""
        return not self.variants or TRAINED_HERE in self.variants

    def points(self, location: str = "recipe") -> "list[tuple[dict[str, Any], Recipe]]":
        """Every point of the sweep, and at each of them every variant where there are several; errors begin with `location`.

        The recipe of a point has no sweep, and one variant at most.
        """
        unswept = self.model_dump(exclude={"sweep", "tasks"}, exclude_unset=True) | {"tasks": self.tasks}
        points = sweeps.points(self.sweep)
        built = [(point, build(override(unswept, point, f"{location}: sweep: "), f"{location}: sweep")) for point in points]
        if self.tune:
            check_tuned([recipe for _, recipe in built], self.tune, location)
        if len(self.variants) < 2:
            return built
        named = list(zip(self.variant_names, self.variants, strict=True))
        return [
            ({**point, VARIANT: name}, recipe.model_copy(update={"variants": (entry,)})) for point, recipe in built for name, entry in named
        ]

    @property
    def endpoints(self) -> list[Reference]:
        """The models behind endpoints that are asked: the references, and variants."""
        return [*self.references, *(entry.reference for entry in self.variants if isinstance(entry, Variant) and entry.reference)]

    @property
    def variant(self) -> Variant | None:
        """What answers as the fine-tuned model at a point; None where an adapter is trained for it."""
        return next((entry for entry in self.variants if isinstance(entry, Variant)), None)


def whole_keys(keys: Iterable[str]) -> list[str]:
    """Those of the dotted keys that take whole numbers only."""
    return [key for key in keys if spellings.is_whole(key, Recipe)]


def with_values(recipe: Recipe, values: Mapping[str, Any], location: str = "recipe") -> Recipe:
    """The recipe of a point with dotted keys replaced, and without what is tuned."""
    raw = recipe.model_dump(exclude={"sweep", "tasks", "tune"}, exclude_unset=True) | {"tasks": recipe.tasks}
    return build(override(raw, values, f"{location}: tune: "), f"{location}: tune")


def check_tuned(points: Sequence[Recipe], tune: tuning.Tune, location: str) -> None:
    """Raise RecipeError for too many trainings, or a value that some point cannot have."""
    if too_many := tuning.size_fault(tune, len(points)):
        raise RecipeError(f"{location}: {too_many}.")
    for recipe in points:
        for values in tune.candidates(whole_keys(tune.values)):
            with_values(recipe, values, location)


def load(path: Path, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe in a YAML file, with dotted keys replaced; every mistake in it is reported at once.

    Args:
        path: a file; where there is none, the path or the name of a recipe that ships.
        changes: dotted keys and their values.

    Raises:
        RecipeError: the file cannot be read, or is not a valid recipe.
    """
    raw, files = read_with_parents(path)
    parents = files[1:]
    location = f"{path} (extends {', '.join(map(str, parents))})" if parents else str(path)
    recipe = build(override(raw, changes or {}), location, path)
    if "tasks" not in (changes or {}):
        note_folders(recipe, next(file.parent for file in files if "tasks" in read(file)))
    recipe.points(location)  # a bad sweep value is a mistake now, not after an hour
    return recipe


def note_folders(recipe: Recipe, folder: Path) -> None:
    """Tell the data of a recipe's own tasks in which folder, besides the current one, they were looked for."""
    for task in recipe.tasks:
        if isinstance(task, InlineTask):
            task.data.note_folder(folder)


def read_with_parents(path: Path, children: tuple[Path, ...] = (), loader: Any = None) -> tuple[dict[str, Any], list[Path]]:
    """The keys of a file merged over those of the files that it extends (in a section, key by key); and the file with all of these files.

    Args:
        children: the files that extend this one, the first one first.
        loader: of the YAML; None: yaml_text.Loader.

    Raises:
        RecipeError: a file cannot be read, or extends itself.
    """
    if not os.path.isfile(path):  # unlike Path.is_file, it says no to a name that is too long
        path = shipped_as(path) or path
    try:
        raw = tuning.taken_out(data_paths.located(read(path, loader=loader), path.parent), str(path))
    except RecipeError as error:
        if not children:
            raise
        raise RecipeError(f"{children[0]}: in what it extends: {error.problem}", error.remedy) from None
    parent = raw.pop("extends", None)
    if parent is None:
        return raw, [path]
    if not isinstance(parent, str):
        raise RecipeError(f"{path}: extends must be the path of one recipe (it is {spell_value(parent)}).", "Write extends: _paper.yaml")
    parent_path = path.parent / parent
    if not os.path.isfile(parent_path):
        parent_path = shipped_as(Path(parent)) or parent_path
    if len(children) >= MAX_PARENTS:
        raise RecipeError(f"{path}: more than {MAX_PARENTS} recipes extend one another.", "Put their keys into one file.")
    if parent_path.resolve() in [file.resolve() for file in (path, *children)]:
        raise RecipeError(f"{path}: extends leads back to {parent_path}.", "Take the key out of one of them.")
    parent_keys, ancestors = read_with_parents(parent_path, (path, *children), loader)
    return merged(parent_keys, raw), [path, *ancestors]


def merged(parent: dict[str, Any], child: dict[str, Any]) -> dict[str, Any]:
    """The keys of a recipe over those of its parent; sections that both have are merged key by key."""
    sections = {key for key in SECTIONS if isinstance(parent.get(key), dict) and isinstance(child.get(key), dict)}
    return {**parent, **child, **{key: {**sweeps.without_rivals(key, parent[key], child[key]), **child[key]} for key in sections}}


def build(raw: Mapping[str, Any], location: str = "recipe", path: Path | None = None) -> Recipe:
    """The recipe of keys and values; `path` is the file that they are of, if they are of one.

    Raises:
        RecipeError: lists every mistake, each on a line that begins with `location`.
    """
    raw = tuning.taken_out(raw, location)
    sweep = {key: spellings.understood_sweep(value, Recipe) for key, value in raw.items() if key in ("sweep", tuning.KEY)}
    raw = {**spellings.understood(dict(raw), [Recipe]), **sweep}
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raw_texts = read_with_parents(path, loader=yaml.BaseLoader)[0] if path else None
        raise RecipeError("\n".join(f"{location}: {line}" for line in describe_errors(error.errors(), raw, keys_at, raw_texts))) from None


def section_at(location: tuple[Any, ...]) -> type[Section]:
    """The Section class that describes a location in the recipe."""
    section: Any = Draw if len(location) > 1 and location[0] in ("sweep", tuning.KEY) else Recipe
    for step in location if section is Recipe else ():
        if step in ENTRIES:
            section = ENTRIES[step]
        elif isinstance(step, str):
            section = section.model_fields[step].annotation
    result: type[Section] = section
    return result


def keys_at(location: tuple[Any, ...]) -> Mapping[str, FieldInfo]:
    """The keys allowed at a location in the recipe."""
    return section_at(location).model_fields


def override(raw: Mapping[str, Any], changes: Mapping[str, Any], location: str = "") -> dict[str, Any]:
    """A copy of raw with dotted keys replaced; errors begin with `location`."""
    names = {section: [dotted.partition(".")[2] for dotted in changes if dotted.startswith(f"{section}.")] for section in SECTIONS}
    result = {
        key: sweeps.without_rivals(key, value, names.get(key, ())) if isinstance(value, dict) else value for key, value in raw.items()
    }
    for dotted, value in changes.items():
        section, _, key = dotted.partition(".")
        if key and section in SECTIONS and isinstance(result.get(section) or {}, dict):
            result[section] = {**(result.get(section) or {}), key: value}
        elif dotted in Recipe.model_fields and dotted != "extends":
            result[dotted] = value
        elif dotted == "extends":
            raise RecipeError(
                f"{location}'extends' is not a key of a recipe that can be replaced.", "Name the other recipe in place of this one."
            )
        elif section not in SECTIONS or not key:
            raise RecipeError(f"{location}'{dotted}' is not a key of a recipe.", suggest_key(dotted, value))
    return result


def suggest_key(dotted: str, value: Any = None) -> str:
    """A remedy for an unknown dotted key: the key of that name in a section or of that meaning, or the nearest ones."""
    if advice := peer_keys.advice(dotted.rpartition(".")[2], value):
        return advice
    if matches := [key for key in dotted_keys() if key.endswith(f".{dotted}")]:
        return f"Did you mean '{matches[0]}'?"
    return nearest(dotted, dotted_keys(), "docs/recipes.md")


def dotted_keys() -> list[str]:
    """Every key of a recipe, dotted."""
    keys = []
    for name, field in Recipe.model_fields.items():
        inner = field.annotation
        is_section = isinstance(inner, type) and issubclass(inner, Section)
        keys += [f"{name}.{key}" for key in inner.model_fields] if is_section else [name]  # type: ignore[union-attr]
    return keys
