"""Reads YAML files, and finds the recipes that ship."""

import os
import stat
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from pipeline.config import yaml_text
from pipeline.config.validation_errors import spell_value
from pipeline.errors import RecipeError
from pipeline.resources import shipped


def shipped_files() -> list[Path]:
    """The recipes that ship and can be run: a name that begins with _ is for others to extend."""
    return sorted(path for path in shipped("recipes").rglob("*.yaml") if not path.name.startswith("_"))


def short_name(path: Path) -> str:
    """The name of a shipped recipe on the command line: `quickstart`, `lora_land/phi_2`."""
    return path.relative_to(shipped("recipes")).with_suffix("").as_posix()


def shipped_as(path: Path) -> Path | None:
    """The recipe that ships under this path (`recipes/quickstart.yaml`) or name (`quickstart`, `lora_land/phi_2`), if one does."""
    if path.is_absolute() or ".." in path.parts:
        return None
    name = path.relative_to("recipes") if path.is_relative_to("recipes") else path
    candidates = [shipped("recipes") / name, shipped("recipes") / f"{name}.yaml"]
    return next((file for file in candidates if os.path.isfile(file)), None)


def read(path: Path, kind: str = "recipe", template: str = "recipes/quickstart.yaml", loader: Any = None) -> dict[str, Any]:
    """The keys and values of a YAML file.

    Args:
        kind: what the file is, for messages.
        template: an example of such a file.
        loader: of the YAML; None: yaml_text.Loader.

    Raises:
        RecipeError: it cannot be read, or is not a mapping.
    """
    hint = f"A {kind} is a YAML file; see {template}."
    if os.path.isdir(path):
        files = sorted(str(file) for file in path.glob("*.yaml") if not file.name.startswith("_"))
        raise RecipeError(f"{path} is a folder, not a {kind}.", f"YAML files in it: {', '.join(files) or 'none'}.")
    try:
        raw = yaml_text.parse(text_of(path), loader or yaml_text.Loader)
    except FileNotFoundError:
        raise RecipeError(f"there is no {kind} {path}.", nearest_file(path)) from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise RecipeError(f"{path}{line}: {error.problem}.", error.note or hint) from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RecipeError(f"cannot read {path}: {' '.join(str(error).split())}.", hint) from None
    if not isinstance(raw, dict):
        what = "is empty" if raw is None else f"must be keys and values (it is {spell_value(raw)})"
        raise RecipeError(f"{path} {what}.", f"See {template}.")
    return raw


def text_of(path: Path) -> str:
    """The text of a file, if it is one that ends and is no larger than what is read of it.

    Raises:
        OSError: it is a device, a pipe or a larger file.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is not a file")
    if status.st_size > 4 * yaml_text.MAX_CHARACTERS:
        raise OSError(f"it has {status.st_size:,} bytes")
    return path.read_text("utf-8")


def nearest_file(path: Path) -> str:
    """A remedy for a path without a file: the YAML file next to it, or the shipped recipe, whose name is nearest."""
    if near := get_close_matches(path.stem, [file.stem for file in path.parent.glob("*.yaml")], n=1, cutoff=0.5):
        return f"Did you mean '{path.with_name(near[0])}.yaml'?"
    if near := get_close_matches(str(path), [short_name(file) for file in shipped_files()], n=1, cutoff=0.7):
        return f"Did you mean '{near[0]}', which ships with loralift?"
    return f"The current folder is {Path.cwd()}."
