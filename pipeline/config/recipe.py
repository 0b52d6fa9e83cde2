"""The whole language of recipes. Every key that a recipe may hold is a field here or in schema.py, and no other.

A recipe says what is to be found out. How it is run (devices, micro-batches, workers) is said on
the command line and never changes a key.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from pipeline.config.schema import Compare, Cost, Finetune, General, Generate, InlineTask, Listed, Name, Prepare, Price, Reference, Section
from pipeline.config.validation_errors import mistakes, nearest, spelled
from pipeline.errors import RecipeError
from pipeline.resources import shipped

SECTIONS = ("prepare", "finetune", "generate", "compare", "general", "cost")
ENTRIES: dict[Any, type[Section]] = {"tasks": InlineTask, "references": Reference, "price": Price}


class Recipe(Section):
    extends: str | None = None
    """Another recipe whose keys hold where this one says nothing: a path from this one's folder, or the name of a shipped one."""
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
    general: General = General()
    cost: Cost = Cost()
    references: Annotated[tuple[Reference, ...], Field(strict=False)] = ()
    """Models behind OpenAI-compatible endpoints that answer the same held-out prompts."""
    sweep: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}  # noqa: RUF012 (pydantic copies it)
    """Dotted keys with the values each takes; the product of all is run."""

    @model_validator(mode="after")
    def unlike(self) -> "Recipe":
        names = [task if isinstance(task, str) else task.name for task in self.tasks]
        lists = {"tasks": names, "references": [reference.name for reference in self.references]}
        lists |= {"compare.arms": list(self.compare.arms or ()), "general.suites": list(self.general.suites or ())}
        for key, found in lists.items():
            twice = sorted({name for name in found if found.count(name) > 1})
            if twice:
                raise ValueError(f"{key}: {', '.join(twice)} stands there more than once")
        if len(set(self.finetune.seeds)) < len(self.finetune.seeds):
            raise ValueError(f"finetune.seeds: {list(self.finetune.seeds)} holds a seed twice, and equal seeds are no replicates")
        for arm in ("base", "tuned"):
            if self.compare.arms is not None and arm not in self.compare.arms:
                raise ValueError(f"compare.arms: {arm} is missing, and every comparison is between base and tuned")
        for key in ("references", "sweep", "name"):
            if key in self.sweep:
                raise ValueError(f"sweep: {key} cannot be swept, since it belongs to the whole recipe")
        for key, values in self.sweep.items():
            if twice := [spelled(value) for place, value in enumerate(values) if value in values[:place]]:
                raise ValueError(f"sweep: {key} takes {', '.join(twice)} more than once, and equal points are one")
        return self

    def points(self, where: str = "recipe") -> "list[tuple[dict[str, Any], Recipe]]":
        """Each point of the sweep: where it stands, and the recipe without a sweep that stands there; errors begin with `where`."""
        flat = self.model_dump(exclude={"sweep"}, exclude_unset=True)
        places = [dict(zip(self.sweep, values, strict=True)) for values in product(*self.sweep.values())]
        return [(place, build(override(flat, place, f"{where}: sweep: "), f"{where}: sweep")) for place in places]


def load(path: Path, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe in a YAML file, with dotted keys replaced; every mistake in it is reported at once.

    Args:
        path: a file; where there is none, the path or the name of a recipe that ships.
        changes: dotted keys and their values.

    Raises:
        RecipeError: the file cannot be read, or says what no recipe can say.
    """
    raw, parents = extended(path)
    where = f"{path} (extends {', '.join(map(str, parents))})" if parents else str(path)
    recipe = build(override(raw, changes or {}), where)
    recipe.points(where)  # a bad sweep value is a mistake now, not after an hour
    return recipe


def shipped_files() -> list[Path]:
    """The recipes that ship and can be run: a name that begins with _ is for others to extend."""
    return sorted(path for path in shipped("recipes").rglob("*.yaml") if not path.name.startswith("_"))


def short_name(path: Path) -> str:
    """What a shipped recipe is called on the command line: `quickstart`, `lora_land/phi_2`."""
    return path.relative_to(shipped("recipes")).with_suffix("").as_posix()


def shipped_as(path: Path) -> Path | None:
    """The recipe that ships under this path (`recipes/quickstart.yaml`) or name (`quickstart`, `lora_land/phi_2`), if one does."""
    if path.is_absolute() or ".." in path.parts:
        return None
    name = path.relative_to("recipes") if path.is_relative_to("recipes") else path
    candidates = [shipped("recipes") / name, shipped("recipes") / f"{name}.yaml"]
    return next((file for file in candidates if file.is_file()), None)


def extended(path: Path, below: tuple[Path, ...] = ()) -> tuple[dict[str, Any], list[Path]]:
    """What a file says together with what it extends, and the files that it extends; what stands nearer wins, key by key in a section.

    Raises:
        RecipeError: a file cannot be read, or extends itself.
    """
    if not path.is_file():
        path = shipped_as(path) or path
    raw = read(path)
    parent = raw.pop("extends", None)
    if parent is None:
        return raw, []
    if not isinstance(parent, str):
        raise RecipeError(f"{path}: extends must be the path of one recipe (it is {spelled(parent)}).", "Write extends: _paper.yaml")
    found = path.parent / parent
    if not found.is_file():
        found = shipped_as(Path(parent)) or found
    if found.resolve() in [file.resolve() for file in (path, *below)]:
        raise RecipeError(f"{path}: extends leads back to {found}.", "Take the key out of one of them.")
    base, further = extended(found, (path, *below))
    merged = {
        key: {**base[key], **raw[key]} if key in SECTIONS and isinstance(base.get(key), dict) and isinstance(raw.get(key), dict)
        else raw.get(key, base.get(key))
        for key in {**base, **raw}
    }  # fmt: skip
    return merged, [found, *further]


def read(path: Path, kind: str = "recipe", like: str = "recipes/quickstart.yaml") -> dict[str, Any]:
    """The keys and values of a YAML file.

    Args:
        kind: what the file is, for messages.
        like: where to see one.

    Raises:
        RecipeError: it cannot be read, or holds something else.
    """
    see = f"A {kind} is a YAML file; see {like}."
    if path.is_dir():
        found = sorted(str(file) for file in path.glob("*.yaml") if not file.name.startswith("_"))
        raise RecipeError(f"{path} is a folder, not a {kind}.", f"YAML files in it: {', '.join(found) or 'none'}.")
    try:
        raw = yaml.load(path.read_text("utf-8"), Loader)
    except FileNotFoundError:
        raise RecipeError(f"there is no {kind} {path}.", nearest_file(path)) from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise RecipeError(f"{path}{line}: {error.problem}.", error.note or see) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"cannot read {path}: {' '.join(str(error).split())}.", see) from None
    if not isinstance(raw, dict):
        raise RecipeError(f"{path} must be keys and values (it is {spelled(raw)}).", f"See {like}.")
    return raw


def nearest_file(path: Path) -> str:
    """A remedy for a path without a file: the YAML file beside it, or the shipped recipe, whose name is nearest."""
    if near := get_close_matches(path.stem, [file.stem for file in path.parent.glob("*.yaml")], n=1, cutoff=0.5):
        return f"Did you mean '{path.with_name(near[0])}.yaml'?"
    if near := get_close_matches(str(path), [short_name(file) for file in shipped_files()], n=1, cutoff=0.7):
        return f"Did you mean '{near[0]}', which ships with loralift?"
    return f"The current folder is {Path.cwd()}."


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
            raise RecipeError(f"{where}'{dotted}' is not a key of a recipe.", meant(dotted))
    return out


def meant(dotted: str) -> str:
    """A remedy for what is no dotted key: the key of that name in a section, or the nearest ones."""
    ends = [known for known in known_keys() if known.endswith(f".{dotted}")]
    return f"Did you mean '{ends[0]}'?" if ends else nearest(dotted, known_keys(), "docs/recipes.md")


def known_keys() -> list[str]:
    """Every key of a recipe, dotted."""
    keys = []
    for name, field in Recipe.model_fields.items():
        inner = field.annotation
        is_section = isinstance(inner, type) and issubclass(inner, Section)
        keys += [f"{name}.{key}" for key in inner.model_fields] if is_section else [name]  # type: ignore[union-attr]
    return keys
