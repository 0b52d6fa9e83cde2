"""The whole language of recipes. Every key that a recipe may hold is a field here, and no other.

A recipe says what is to be found out. How it is run (devices, micro-batches, workers) is said on
the command line and never changes a key.
"""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from pipeline.errors import RecipeError, suggest
from pipeline.mistakes import mistakes, spelled

Count = Annotated[int, Field(gt=0)]
Amount = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Listed = Field(strict=False, min_length=1)


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True, allow_inf_nan=False)


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
    heldout_order: Literal["drawn", "first"] = "drawn"
    """Draw the held-out examples by the seed, or take the first ones in the order of the source."""
    long_prompts: Literal["drop", "cut_left", "cut_field"] = "drop"
    """What happens to a prompt that is too long; `cut_field` shortens its passage or table, if the task has one. Answers are never cut."""
    near_duplicates: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Jaccard similarity of 5-word shingles from which a training prompt counts as a copy of a held-out one; 1 finds equal prompts only."""
    max_bad_rows: Fraction = 0.1
    """Share of rows that may be unusable before the source is refused."""
    seed: Seed = 0


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
    targets: Literal["all-linear", "qv"] | Annotated[tuple[str, ...], Listed] = "all-linear"
    """Names of the linear modules that get an adapter; `qv`: what makes queries and values in the base."""
    learning_rate: Positive = 2e-4
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: Fraction = 0.03
    """Share of the steps over which the learning rate rises from zero."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Positive = 1.0
    batch_examples: Count = 16
    """Examples in one optimizer step, whatever the micro-batch."""
    packing: bool = False
    """Lay the examples of a pass behind one another instead of padding them; the same gradients, rounding and dropout apart."""
    epochs: Count = 1
    max_steps: Count | None = None
    """Optimizer steps, if fewer than the epochs give."""
    dev_every: Count = 50
    """Optimizer steps between two looks at the dev loss."""
    keep: Literal["best", "last"] = "best"
    """Which adapter is kept: lowest dev loss, or the final one."""
    seeds: Annotated[tuple[Seed, ...], Listed] = (0,)
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
    samples: Amount = 0
    """Random answers beside the greedy one to each example; code is then scored by pass@k as well."""
    temperature: Positive = 0.8
    """Of the random answers."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Random answers are drawn from the likeliest tokens that together have this share."""
    seed: Seed = 0
    """Of the random answers."""


class Compare(Section):
    """How the difference is judged."""

    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    resamples: Annotated[int, Field(ge=100)] = 10000
    interval: Literal["bca", "percentile"] = "bca"
    correction: Literal["holm", "none"] = "holm"
    """For several tasks and sweep points; `none` for exploring only."""
    seed: Seed = 0
    liveness: bool = True
    """Refuse to score an adapter that changes nothing. Off only to compare a model with itself."""


class Price(Section):
    """US dollars for a million tokens."""

    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]


class Reference(Section):
    """A model behind an OpenAI-compatible endpoint, as a further column. Nothing is sent anywhere unless a recipe says so here."""

    name: Name
    """What the report calls it."""
    endpoint: str
    """Base address, as https://api.openai.com/v1."""
    model: str
    """As the endpoint calls it."""
    key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; empty: none is sent."""
    price: Annotated[Price | None, Field(strict=False)] = None
    """US dollars for a million tokens, for the account of costs: `{input: 2.5, output: 10}`."""
    concurrency: Count = 8
    """Requests at a time."""
    max_new_tokens: Count | None = None
    """Instead of each task's own."""


SECTIONS = ("prepare", "finetune", "generate", "compare")
ENTRIES: dict[Any, type[Section]] = {"tasks": InlineTask, "references": Reference, "price": Price}


class Recipe(Section):
    extends: str | None = None
    """Another recipe whose keys hold where this one says nothing, as a path from this one's folder."""
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
    references: Annotated[tuple[Reference, ...], Field(strict=False)] = ()
    """Models behind OpenAI-compatible endpoints that answer the same held-out prompts."""
    sweep: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    """Dotted keys with the values each takes; the product of all is run."""

    @model_validator(mode="after")
    def unlike(self) -> "Recipe":
        names = [task if isinstance(task, str) else task.name for task in self.tasks]
        for key, found in (("tasks", names), ("references", [reference.name for reference in self.references])):
            twice = sorted({name for name in found if found.count(name) > 1})
            if twice:
                raise ValueError(f"{key}: {', '.join(twice)} stands there more than once")
        if len(set(self.finetune.seeds)) < len(self.finetune.seeds):
            raise ValueError(f"finetune.seeds: {list(self.finetune.seeds)} holds a seed twice, and equal seeds are no replicates")
        for key in ("references", "sweep", "name"):
            if key in self.sweep:
                raise ValueError(f"sweep: {key} cannot be swept, since it belongs to the whole recipe")
        return self

    def points(self, where: str = "recipe") -> "list[tuple[dict[str, Any], Recipe]]":
        """Each point of the sweep: where it stands, and the recipe without a sweep that stands there; errors begin with `where`."""
        flat = self.model_dump(exclude={"sweep"}, exclude_unset=True)
        places = [dict(zip(self.sweep, values, strict=True)) for values in product(*self.sweep.values())]
        return [(place, build(override(flat, place, f"{where}: sweep: "), f"{where}: sweep")) for place in places]


def load(path: Path, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe in a YAML file, with dotted keys replaced; every mistake in it is reported at once.

    Raises:
        RecipeError: the file cannot be read, or says what no recipe can say.
    """
    raw, parents = extended(path)
    where = f"{path} (extends {', '.join(map(str, parents))})" if parents else str(path)
    recipe = build(override(raw, changes or {}), where)
    recipe.points(where)  # a bad sweep value is a mistake now, not after an hour
    return recipe


def extended(path: Path, below: tuple[Path, ...] = ()) -> tuple[dict[str, Any], list[Path]]:
    """What a file says together with what it extends, and the files that it extends; what stands nearer wins, key by key in a section.

    Raises:
        RecipeError: a file cannot be read, or extends itself.
    """
    raw = read(path)
    parent = raw.pop("extends", None)
    if parent is None:
        return raw, []
    if not isinstance(parent, str):
        raise RecipeError(f"{path}: extends must be the path of one recipe (it is {spelled(parent)}).", "Write extends: _paper.yaml")
    found = path.parent / parent
    if found.resolve() in [file.resolve() for file in (path, *below)]:
        raise RecipeError(f"{path}: extends leads back to {found}.", "Take the key out of one of them.")
    base, further = extended(found, (path, *below))
    merged = {
        key: {**base[key], **raw[key]} if key in SECTIONS and isinstance(base.get(key), dict) and isinstance(raw.get(key), dict)
        else raw.get(key, base.get(key))
        for key in {**base, **raw}
    }  # fmt: skip
    return merged, [found, *further]


def read(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file.

    Raises:
        RecipeError: it cannot be read, or holds something else.
    """
    if path.is_dir():
        found = sorted(str(file) for file in path.glob("*.yaml") if not file.name.startswith("_"))
        raise RecipeError(f"{path} is a folder, not a recipe.", f"Recipes in it: {', '.join(found) or 'none'}.")
    try:
        raw = yaml.load(path.read_text("utf-8"), Loader)
    except FileNotFoundError:
        near = [str(found) for found in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise RecipeError(f"there is no recipe {path}.", suggest(str(path), near) if near else "See recipes/.") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise RecipeError(
            f"{path}{line}: {error.problem}.", error.note or "A recipe is a YAML file; see recipes/quickstart.yaml."
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(
            f"cannot read {path}: {' '.join(str(error).split())}.", "A recipe is a YAML file; see recipes/quickstart.yaml."
        ) from None
    if not isinstance(raw, dict):
        raise RecipeError(f"{path} must be keys and values (it is {spelled(raw)}).", "See recipes/quickstart.yaml.")
    return raw


class Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would take the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [(part.value, part.start_mark) for part, _ in node.value if isinstance(part, yaml.ScalarNode)]
        for place, (key, mark) in enumerate(keys):
            if key in (earlier for earlier, _ in keys[:place]):
                raise yaml.MarkedYAMLError(problem=f"the key '{key}' stands twice", problem_mark=mark, note="Keep one of them.")
        return super().construct_mapping(node, deep)


def build(raw: Mapping[str, Any], where: str = "recipe") -> Recipe:
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise RecipeError("\n".join(f"{where}: {line}" for line in mistakes(error.errors(), raw, keys_at))) from None


def section_at(place: tuple[Any, ...]) -> type[Section]:
    """The class of keys that a place of the recipe holds."""
    section: Any = Recipe
    for part in place:
        if part in ENTRIES:
            section = ENTRIES[part]
        elif isinstance(part, str):
            section = section.model_fields[part].annotation
    found: type[Section] = section
    return found


def keys_at(place: tuple[Any, ...]) -> Mapping[str, FieldInfo]:
    """The keys that a place may hold."""
    return section_at(place).model_fields


def override(raw: Mapping[str, Any], changes: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """A copy of raw with dotted keys replaced; errors begin with `where`."""
    out = {key: dict(value) if isinstance(value, dict) else value for key, value in raw.items()}
    for dotted, value in changes.items():
        section, _, key = dotted.partition(".")
        if key and section in SECTIONS and isinstance(out.get(section) or {}, dict):
            out[section] = {**(out.get(section) or {}), key: value}
        elif dotted in Recipe.model_fields and dotted != "extends":
            out[dotted] = value
        elif section not in SECTIONS or not key:
            ends = [known for known in known_keys() if known.endswith(f".{dotted}")]
            raise RecipeError(
                f"{where}'{dotted}' is not a key of a recipe.", f"Did you mean '{ends[0]}'?" if ends else suggest(dotted, known_keys())
            )
    return out


def known_keys() -> list[str]:
    """Every key of a recipe, dotted."""
    keys = []
    for name, field in Recipe.model_fields.items():
        inner = field.annotation
        is_section = isinstance(inner, type) and issubclass(inner, Section)
        keys += [f"{name}.{key}" for key in inner.model_fields] if is_section else [name]  # type: ignore[union-attr]
    return keys
