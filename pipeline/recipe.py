"""The whole language of recipes. Every key that a recipe may hold is a field here, and no other.

A recipe says what is to be found out. How it is run (devices, micro-batches, workers) is said on
the command line and never changes a key.
"""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.errors import RecipeError, suggest

Count = Annotated[int, Field(gt=0)]
Amount = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Listed = Field(strict=False, min_length=1)


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Data(Section):
    """Where the rows of an inline task come from."""

    train: str
    """A JSONL, CSV or Parquet file (also gzipped); with `hub` or `folder`, the name of a split."""
    heldout: str
    """The same for the examples that base and tuned are compared on."""
    hub: str | None = None
    """Id of a data set on the Hugging Face hub, as `owner/name`."""
    folder: str | None = None
    """A folder with one file a split, or a data set saved with `save_to_disk`."""
    config: str | None = None
    """Configuration of the hub data set, where it has several."""
    revision: str | None = None
    """Commit of the hub data set; without one, today's is used and recorded."""


class InlineTask(Section):
    """A task of the user's own, without Python."""

    name: Name
    data: Data
    prompt: str
    """What the model is asked; `{column}` stands for a column of the row."""
    target: str
    """The right answer, likewise."""
    metrics: Annotated[tuple[str, ...], Listed] = ("exact_match",)
    """Names of metrics; the task is judged by the first."""
    choices: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """The closed set of answers, if there is one."""
    labels: dict[str, Annotated[tuple[str, ...], Listed]] = {}
    """Names for the numbers in a column: `{label: [negative, positive]}`."""
    group: str = ""
    """Template of the source document; rows of one group are resampled together."""
    answer: Literal["text", "first_line", "choice", "number", "json"] = "text"
    """How the answer is read out of the model's text."""
    max_new_tokens: Count = 64
    stop: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Strings that end an answer, beside the end token."""


class Prepare(Section):
    """Which examples are drawn."""

    train_examples: Count = 2000
    """Examples drawn from the train split, the dev part not counted."""
    dev_examples: Amount = 100
    """Further examples of the train split, for the loss that picks the best adapter."""
    heldout_examples: Count = 500
    """Examples drawn from the held-out split."""
    max_tokens: Count = 512
    """Longest prompt with its answer."""
    long_prompts: Literal["drop", "cut_left"] = "drop"
    """What happens to a prompt that is too long. Answers are never cut."""
    near_duplicates: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Jaccard similarity of 5-word shingles from which a training prompt counts as a copy of a held-out one; 1 finds equal prompts only."""
    max_bad_rows: Fraction = 0.1
    """Share of rows that may be unusable before the source is refused."""
    seed: int = 0


class Finetune(Section):
    """How the adapter is trained."""

    quantization: Literal["nf4", "none"] = "nf4"
    """Of the frozen base: NF4 with double quantization, or its own precision."""
    compute: Literal["bf16", "fp32"] = "bf16"
    """Precision of the matrix products."""
    rank: Count = 16
    """Width of the adapter; capacity and memory grow with it."""
    alpha_per_rank: Positive = 2.0
    """LoRA scale: alpha = alpha_per_rank x rank (with rsLoRA: x sqrt(rank)), so that a sweep over ranks holds the scale fixed."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank) instead of alpha / rank."""
    dora: bool = False
    """Weight-decomposed LoRA; slower."""
    dropout: Fraction = 0.0
    targets: Literal["all-linear"] | Annotated[tuple[str, ...], Listed] = "all-linear"
    """Names of the linear modules that get an adapter."""
    learning_rate: Positive = 2e-4
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: Fraction = 0.03
    """Share of the steps over which the learning rate rises from zero."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Positive = 1.0
    batch_examples: Count = 16
    """Examples in one optimizer step, whatever the micro-batch."""
    epochs: Count = 1
    max_steps: Count | None = None
    """Optimizer steps, if fewer than the epochs give."""
    dev_every: Count = 50
    """Optimizer steps between two looks at the dev loss."""
    keep: Literal["best", "last"] = "best"
    """Which adapter is kept: lowest dev loss, or the final one."""
    seeds: Annotated[tuple[int, ...], Listed] = (0,)
    """Replicates: one adapter each; the comparison resamples over them."""


class Generate(Section):
    """How base and tuned weights answer."""

    quantization: Literal["nf4", "none"] = "nf4"
    """The same for both, so that the adapter is the only difference."""
    compute: Literal["bf16", "fp32"] = "bf16"
    max_new_tokens: Count | None = None
    """Instead of each task's own."""
    score_choices: bool = False
    """Also store the log-likelihood of every choice."""


class Compare(Section):
    """How the difference is judged."""

    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    resamples: Annotated[int, Field(ge=100)] = 10000
    interval: Literal["bca", "percentile"] = "bca"
    correction: Literal["holm", "none"] = "holm"
    """For several tasks and sweep points; `none` for exploring only."""
    seed: int = 0
    liveness: bool = True
    """Refuse to score an adapter that changes nothing. Off only to compare a model with itself."""


class Recipe(Section):
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
    tasks: Annotated[tuple[Name | InlineTask, ...], Listed]
    prepare: Prepare = Prepare()
    finetune: Finetune = Finetune()
    generate: Generate = Generate()
    compare: Compare = Compare()
    sweep: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    """Dotted keys with the values each takes; the product of all is run."""

    @model_validator(mode="after")
    def unlike(self) -> "Recipe":
        names = [task if isinstance(task, str) else task.name for task in self.tasks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"tasks: {', '.join(twice)} stands there more than once")
        return self

    def points(self) -> "list[tuple[dict[str, Any], Recipe]]":
        """Each point of the sweep: where it stands, and the recipe without a sweep that stands there."""
        flat = self.model_dump(exclude={"sweep"}, exclude_unset=True)
        places = [dict(zip(self.sweep, values, strict=True)) for values in product(*self.sweep.values())]
        return [(place, build(override(flat, place), "sweep")) for place in places]


def load(path: Path, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe in a YAML file, with dotted keys replaced; every mistake in it is reported at once.

    Raises:
        RecipeError: the file cannot be read, or says what no recipe can say.
    """
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        near = [str(found) for found in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise RecipeError(f"there is no recipe {path}", suggest(str(path), near) if near else "See recipes/.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"cannot read {path}: {' '.join(str(error).split())}", "A recipe is a YAML file; see recipes/quickstart.yaml.") from None
    if not isinstance(raw, dict):
        raise RecipeError(f"{path} holds {type(raw).__name__}, not keys and values", "See recipes/quickstart.yaml.")
    recipe = build(override(raw, changes or {}), str(path))
    recipe.points()  # a bad sweep value is a mistake now, not after an hour
    return recipe


def build(raw: Mapping[str, Any], where: str = "recipe") -> Recipe:
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        said = list(dict.fromkeys(say(mistake) for mistake in error.errors()))
        raise RecipeError("\n".join(f"{where}: {line}" for line in said)) from None


def say(mistake: Any) -> str:
    """One line for one mistake: the place, what is wrong, the value, what to do."""
    kind, given, loc = mistake["type"], mistake["input"], tuple(p for p in mistake["loc"] if not is_branch(p))
    at = ".".join(map(str, loc))
    if kind == "extra_forbidden":
        return f"{at} is not a key. {suggest(str(loc[-1]), fields_at(loc[:-1]))}"
    if kind == "missing":
        return f"{at} is missing. Add it: {Recipe.model_fields[at].description if at in Recipe.model_fields else f'every {loc[-2]} entry has one'}"
    if kind == "value_error":
        return str(mistake["msg"]).removeprefix("Value error, ") + "."
    if isinstance(given, str) and is_number(given) and kind in ("float_type", "int_type"):
        return f"{at}: YAML reads {given} as text. Write it with a dot and without quotes, as {float(given):.1e}."
    return f"{at}: {mistake['msg']} (got {given!r})."


def is_branch(part: object) -> bool:
    """Whether part of a pydantic location names a branch of a union or a wrapper, not a place in the recipe."""
    return isinstance(part, str) and (part == "InlineTask" or "[" in part or part.startswith(("constrained-", "function-", "tuple", "literal")))


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def fields_at(loc: tuple[Any, ...]) -> list[str]:
    """The keys known at a place of the recipe."""
    section: Any = Recipe
    for part in loc:
        if isinstance(part, int):
            section = InlineTask
        elif part != "tasks":
            section = section_of(section.model_fields[part].annotation)
    return list(section.model_fields)


def section_of(annotation: Any) -> Any:
    inner = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return next(kind for kind in inner if isinstance(kind, type) and issubclass(kind, Section))


def override(raw: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of raw with dotted keys replaced."""
    out = {key: dict(value) if isinstance(value, dict) else value for key, value in raw.items()}
    for dotted, value in changes.items():
        section, _, key = dotted.partition(".")
        if not key:
            if section not in Recipe.model_fields:
                raise RecipeError(f"'{dotted}' is not a key.", suggest(dotted, known_keys()))
            out[section] = value
        elif section in ("prepare", "finetune", "generate", "compare"):
            out[section] = {**(out.get(section) or {}), key: value}
        else:
            raise RecipeError(f"'{dotted}' is not a section and a key.", suggest(dotted, known_keys()))
    return out


def known_keys() -> list[str]:
    """Every key of a recipe, dotted."""
    keys = []
    for name, field in Recipe.model_fields.items():
        inner = field.annotation
        is_section = isinstance(inner, type) and issubclass(inner, Section)
        keys += [f"{name}.{key}" for key in inner.model_fields] if is_section else [name]  # type: ignore[union-attr]
    return keys
