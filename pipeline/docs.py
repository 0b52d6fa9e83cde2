"""Writes the parts of README.md and docs/recipes.md that the code decides: `make docs`. A test fails when they are stale."""

import ast
import re
from functools import partial
from pathlib import Path

from pipeline.machine import ROOT
from pipeline.recipe import Recipe
from pipeline.sections import InlineTask, Reference, Section

MANY = 14
WIDTH = 16


def tree() -> str:
    """Every module of the package with the first half-line of its docstring."""
    lines = ["pipeline/"]
    for path in sorted((ROOT / "pipeline").iterdir(), key=lambda p: (p.is_file(), p.name)):
        if path.is_dir() and (path / "__init__.py").exists():
            inside = sorted(p.stem for p in path.glob("[a-z]*.py")) + sorted(
                p.name for p in path.iterdir() if (p / f"{p.name}.py").exists()
            )
            lines.append(f"  {path.name + '/':{WIDTH}} {listed(inside)}")
        elif path.suffix == ".py" and path.name != "__init__.py":
            lines.append(f"  {path.name:{WIDTH}} {first_line(path)}")
    return "```\n" + "\n".join(lines) + "\n```"


def first_line(path: Path) -> str:
    said = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n")[0]
    return re.split(r"[.:;] |\.$", said)[0]


def verbs() -> str:
    """The commands of the command line, with their first lines."""
    from pipeline.cli import app

    rows = [
        (command.name, (command.help or command.callback.__doc__ or "").strip().split("\n")[0])
        for command in app.registered_commands
        if command.callback
    ]
    return "\n".join(["| command | what it does |", "|---|---|", *(f"| `loralift {name}` | {said} |" for name, said in rows)])


def keys() -> str:
    """A table of every key that a recipe may hold."""
    found = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in Recipe.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            found += [row(f"{name}.{key}", at) for key, at in inner.model_fields.items()]
        else:
            found.append(row(name, field))
    for place, section in (("tasks[]", InlineTask), ("references[]", Reference)):
        found += [row(f"{place}.{key}", at) for key, at in section.model_fields.items()]
    return "\n".join(found)


def listed(names: list[str]) -> str:
    """Names with commas, and of many the number and the first."""
    return ", ".join(names) if len(names) <= MANY else f"{len(names)} files: {', '.join(names[:6])}, ..."


def row(key: str, field: object) -> str:
    default = "required" if field.is_required() else f"`{field.default!r}`"  # type: ignore[attr-defined]
    return f"| `{key}` | {default} | {' '.join((field.description or '').split())} |"  # type: ignore[attr-defined]


def renewed(text: str, parts: dict[str, str]) -> str:
    """The text with what stands between `<!-- name -->` and `<!-- end -->` written again."""
    for name, body in parts.items():
        text = re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", partial(between, body), text, flags=re.S)
    return text


def between(body: str, found: re.Match[str]) -> str:
    return f"{found[1]}{body}\n{found[2]}"


def pages() -> dict[Path, str]:
    """Each page with generated parts, as it should be."""
    parts = {"tree": tree(), "verbs": verbs(), "keys": keys()}
    return {path: renewed(path.read_text("utf-8"), parts) for path in (ROOT / "README.md", ROOT / "docs" / "recipes.md")}


if __name__ == "__main__":
    for where, text in pages().items():
        where.write_text(text, "utf-8")
