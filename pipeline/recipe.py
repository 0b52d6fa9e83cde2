"""The whole language of recipes. Every key that a recipe may hold is a field here, and no other.

A recipe says what is to be found out. How it is run (devices, micro-batches, workers) is said on
the command line and never changes a key.
"""

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from itertools import product
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.errors import RecipeError, suggest

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
    long_prompts: Literal["drop", "cut_left"] = "drop"
    """What happens to a prompt that is too long. Answers are never cut."""
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
        if len(set(self.finetune.seeds)) < len(self.finetune.seeds):
            raise ValueError(f"finetune.seeds: {list(self.finetune.seeds)} holds a seed twice, and equal seeds are no replicates")
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
    recipe = build(override(raw, changes or {}), str(path))
    recipe.points(str(path))  # a bad sweep value is a mistake now, not after an hour
    return recipe


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
        raise RecipeError("\n".join(f"{where}: {line}" for line in mistakes(error.errors(), raw))) from None


def mistakes(errors: list[Any], raw: Mapping[str, Any]) -> list[str]:
    """One line for each place that is wrong: what it must be, what it is, what to do."""
    places: dict[tuple[Any, ...], list[Any]] = {}
    for error in errors:
        if error["type"] != "too_short" or not error["input"]:  # else its entries are wrong, and each has a line
            places.setdefault(tuple(part for part in error["loc"] if not is_branch(part)), []).append(error)
    inner = [place for place in places if not any(place == other[: len(place)] for other in places if len(other) > len(place))]
    return list(dict.fromkeys(say(place, places[place], raw) for place in inner))


def say(place: tuple[Any, ...], errors: list[Any], raw: Mapping[str, Any]) -> str:
    """One line for one place. Several errors there are the branches of a union, none of which fits."""
    kind, given, at = errors[0]["type"], errors[0]["input"], address(place, raw)
    if kind == "extra_forbidden":
        return f"{at} is not a key. {suggest(str(place[-1]), section_at(place[:-1]).model_fields)}"
    if kind == "missing":
        said = section_at(place[:-1]).model_fields[place[-1]].description
        return f"{at} is missing. Add it{f': {said[0].lower()}{said[1:]}' if said else '.'}"
    if kind == "value_error":
        return str(errors[0]["msg"]).removeprefix("Value error, ") + "."
    if given is None:
        return f"{at} is empty. Give it a value, or leave the line out."
    wanted = " or ".join(dict.fromkeys(expected(error) for error in errors))
    return f"{at} must be {wanted} (it is {spelled(given)}). {remedy(given, errors)}".rstrip()


BRANCHES = ("constrained-", "function-", "tuple", "literal", "int", "str")
EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "too_short": "a list with at least one entry",
    "string_pattern_mismatch": "letters, digits, '.', '_' or '-' after a letter or digit",
    "literal_error": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
}


def expected(error: Any) -> str:
    said = EXPECTED.get(error["type"], str(error["msg"]).removeprefix("Input should be "))
    return said.format_map({name: f"{value:g}" if isinstance(value, float) else value for name, value in error.get("ctx", {}).items()})


def remedy(given: Any, errors: list[Any]) -> str:
    """What to write instead, where that can be told."""
    kinds = {error["type"] for error in errors}
    if isinstance(given, str) and kinds & {"int_type", "float_type"} and is_number(given):
        value = float(given)
        plain = repr(int(value) if "int_type" in kinds and value.is_integer() else value)
        if "." not in plain:
            plain = plain.replace("e", ".0e")  # without the dot YAML reads text again
        return f"YAML reads {given} as text; write {plain}."
    if "literal_error" in kinds and isinstance(given, str):
        near = get_close_matches(
            given, re.findall(r"'([^']+)'", " ".join(error.get("ctx", {}).get("expected", "") for error in errors)), n=1
        )
        return f"Did you mean '{near[0]}'?" if near else ""
    if "tuple_type" in kinds or "list_type" in kinds:
        return f"Write [{spelled(given)}]." if not isinstance(given, dict) else "Begin each entry with a dash."
    if kinds == {"bool_type"} and isinstance(given, str):
        return "Write true or false, without quotes."
    if kinds == {"string_type"} and not isinstance(given, dict | list):
        return f"Put it in quotes: '{given}'."
    if errors[0].get("ctx", {}).get("lt") == 1 and 2 <= given <= 100:
        return f"For {given:g} % write {given / 100:g}."
    return ""


def address(place: tuple[Any, ...], raw: Mapping[str, Any]) -> str:
    """A place as a person finds it: keys with dots between, and a task by its name."""
    parts = [str(part) for part in place[:1]]
    for part in place[1:]:
        task = raw["tasks"][part] if parts == ["tasks"] and isinstance(part, int) else None
        name = task.get("name") if isinstance(task, dict) else None
        parts.append(name if isinstance(name, str) else f"[{part}]" if isinstance(part, int) else str(part))
    return ".".join(parts).replace(".[", "[")


def spelled(value: Any) -> str:
    """A value as YAML and JSON write it, not too much of it."""
    said = json.dumps(value, ensure_ascii=False, default=str)
    return said if len(said) <= 60 else f"{said[:57]}..."


def is_branch(part: object) -> bool:
    """Whether part of a pydantic location names a branch of a union or a wrapper, not a place in the recipe."""
    return isinstance(part, str) and (part in ("InlineTask", "[key]") or "[" in part or part.startswith(BRANCHES))


def is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def section_at(place: tuple[Any, ...]) -> type[Section]:
    """The class of keys that a place of the recipe holds."""
    section: Any = Recipe
    for part in place:
        if isinstance(part, int):
            section = InlineTask
        elif part != "tasks":
            section = section.model_fields[part].annotation
    found: type[Section] = section
    return found


def override(raw: Mapping[str, Any], changes: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """A copy of raw with dotted keys replaced; errors begin with `where`."""
    out = {key: dict(value) if isinstance(value, dict) else value for key, value in raw.items()}
    for dotted, value in changes.items():
        section, _, key = dotted.partition(".")
        if key and section in ("prepare", "finetune", "generate", "compare") and isinstance(out.get(section) or {}, dict):
            out[section] = {**(out.get(section) or {}), key: value}
        elif dotted in Recipe.model_fields:
            out[dotted] = value
        elif section not in Recipe.model_fields or not key:
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
