"""Writes the parts of README.md and docs/recipes.md that the code decides: `make docs`. A test fails when they are stale."""

import ast
import re
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from pipeline import arms, metrics
from pipeline.config.recipe import Recipe
from pipeline.config.schema import Data, InlineTask, Price, Reference, Section

ROOT = Path(__file__).parents[1]
ENTRIES: dict[str, type[Section]] = {
    "tasks[]": InlineTask, "tasks[].data": Data, "references[]": Reference, "references[].price": Price,
}  # fmt: skip
"""The entries of the lists in a recipe."""
ALIKE = ("tasks", "metrics", "comparisons")
"""Rooms whose files are known by their names."""
WIDTH = 14
FILE_WIDTH = 24


def tree() -> str:
    """The rooms and the modules of the root, each with the first line of its docstring; the files of the rooms in a fold."""
    package = ROOT / "pipeline"
    rooms = sorted(path.parent for path in package.glob("*/__init__.py"))
    files = sorted(path for path in package.glob("*.py") if path.name != "__init__.py")
    lines = ["pipeline/", *(f"  {room.name + '/':{WIDTH}} {opening(room / '__init__.py')}" for room in rooms)]
    lines += [f"  {file.name:{WIDTH}} {first_line(file)}" for file in files]
    fold = "<details><summary>Every file</summary>\n\n" + fenced([line for room in rooms for line in inside(room)]) + "\n\n</details>"
    return fenced(lines) + "\n\n" + fold


def inside(room: Path) -> list[str]:
    """The files of a room, each with the first line of its docstring; of rooms of like files the names alone."""
    files = [path for path in sorted(room.glob("*.py")) if path.name != "__init__.py"]
    if room.name in ALIKE:
        folders = [path.name for path in sorted(room.iterdir()) if (path / f"{path.name}.py").exists()]
        stems = [path.stem for path in files]
        return [f"{room.name}/", *listed("", folders or stems), *(listed("shared: ", stems) if folders else [])]
    templates = sorted(path.name for path in (room / "templates").glob("*"))
    lines = [f"  {file.name:{FILE_WIDTH}} {first_line(file)}" for file in files]
    return [f"{room.name}/", *lines, *(listed("templates/: ", templates) if templates else [])]


def listed(label: str, names: list[str]) -> list[str]:
    return wrap(label + ", ".join(names), 110, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


def fenced(lines: list[str]) -> str:
    return "\n".join(["```", *lines, "```"])


def opening(path: Path) -> str:
    """The first line of a file's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n")[0]


def first_line(path: Path) -> str:
    """The first sentence of a file's docstring."""
    return re.split(r"\. |\.$", opening(path))[0]


def verbs() -> str:
    """The commands of the command line, with their first lines."""
    from pipeline.cli import app

    rows = [
        (command.name, (command.help or command.callback.__doc__ or "").strip().split("\n")[0])
        for command in app.registered_commands
        if command.callback
    ]
    return "\n".join(["| command | what it does |", "|---|---|", *(f"| `loralift {name}` | {summary} |" for name, summary in rows)])


def arm_table() -> str:
    """Every arm that a recipe may name."""
    rows = [f"| `{arm.name}` | {'yes' if arm.name in arms.DEFAULT else ''} | {arm.label} | {arm.meaning} |" for arm in arms.ROWS]
    return "\n".join(["| arm | default | in reports | meaning |", "|---|---|---|---|", *rows])


def keys() -> str:
    """A table of every key that a recipe may hold."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in Recipe.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            lines += [row(f"{name}.{key}", key_field) for key, key_field in inner.model_fields.items()]
        else:
            lines.append(row(name, field))
    for prefix, section in ENTRIES.items():
        lines += [row(f"{prefix}.{key}", key_field) for key, key_field in section.model_fields.items()]
    return "\n".join(lines)


def row(key: str, field: FieldInfo) -> str:
    default = "required" if field.is_required() else f"`{field.default!r}`"
    meaning = [*(field.description or "").split(), *allowed(key, field)]
    return f"| `{key}` | {default} | {' '.join(meaning)} |"


def allowed(key: str, field: FieldInfo) -> list[str]:
    """A sentence with the words that a key may hold, if they can be listed."""
    words = [f"`{word}`" for word in (metrics.names() if key == "tasks[].metrics" else literals(field.annotation))]
    words += ["or a list of names"] if key == "finetune.targets" else []
    return [f"Allowed: {', '.join(words)}."] if words else []


def literals(kind: Any) -> list[str]:
    """The values of every Literal in a type."""
    if get_origin(kind) is Literal:
        return [str(value) for value in get_args(kind)]
    return [value for part in get_args(kind) for value in literals(part)]


def renewed(text: str, parts: dict[str, str]) -> str:
    """The text with the parts between `<!-- name -->` and `<!-- end -->` renewed."""
    for name, body in parts.items():
        text = re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", partial(between, body), text, flags=re.S)
    return text


def between(body: str, match: re.Match[str]) -> str:
    return f"{match[1]}{body}\n{match[2]}"


def pages() -> dict[Path, str]:
    """Each page with generated parts, as it should be."""
    parts = {"tree": tree(), "verbs": verbs(), "arms": arm_table(), "keys": keys()}
    return {path: renewed(path.read_text("utf-8"), parts) for path in (ROOT / "README.md", ROOT / "docs" / "recipes.md")}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, "utf-8")
