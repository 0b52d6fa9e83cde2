"""Writes the parts of README.md and docs/ that are generated from code: `make docs`. A test fails when they are stale.

`python -m pipeline.docs REPORT.json` first takes the figures of README from a run of the quickstart.
"""

import ast
import inspect
import json
import re
import sys
from functools import partial
from pathlib import Path
from textwrap import wrap
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from pydantic.fields import FieldInfo

from pipeline import arms, metrics
from pipeline.config.draws import Draw
from pipeline.config.recipe import Recipe
from pipeline.config.schema import Data, InlineTask, Price, Reference, Section
from pipeline.config.tuning import Tune
from pipeline.config.variants import Variant
from pipeline.data import row_notes
from pipeline.measures import (
    cell_types,
    class_types,
    names,
    pooled_types,
    preliminary_types,
    provenance_types,
    rank_types,
    report_types,
    sweep_types,
    tuning_types,
    variant_types,
)
from pipeline.page import fmt
from pipeline.store import cost_types, figure_types, score_types, selection_types, slice_types

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("code", "commands", "recipes", "report")))
QUICKSTART = ROOT / "docs" / "quickstart.json"
"""Headlines of one run of the quickstart; README's table is made from it."""
ENTRIES: dict[str, type[Section]] = {
    "tasks[]": InlineTask, "tasks[].data": Data, "variants[]": Variant, "references[]": Reference, "references[].price": Price,
    "sweep.KEY": Draw, "tune": Tune,
}  # fmt: skip
"""The entries of the lists in a recipe."""
ROW_TYPES = (
    score_types,
    slice_types,
    selection_types,
    figure_types,
    cost_types,
    cell_types,
    class_types,
    pooled_types,
    row_notes,
    provenance_types,
    rank_types,
    preliminary_types,
    report_types,
    sweep_types,
    tuning_types,
    variant_types,
)
"""Modules with the types of report.json."""
JSON_TYPES = {str: "text", int: "integer", float: "number", bool: "true or false", NoneType: "null", Any: "anything"}
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
    """The files of a room, each with the first line of its docstring; of rooms in ALIKE the names only."""
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


def quickstart_table() -> str:
    """The headlines of the quickstart, and what scores before and after training alone would have said."""
    run = json.loads(QUICKSTART.read_text("utf-8"))
    lines = ["| task | metric | base | best baseline without training | fine-tuned | training effect |", "|---|---|--:|--:|--:|---|"]
    for row in run["headlines"]:
        effect = fmt.change(row["effect"], row["low"], row["high"])
        scores = f"{row['base']:.2f} | {row['baseline_score']:.2f} ({row['baseline']}) | {row['tuned']:.2f}"
        lines.append(f"| {row['task']} | {row['metric']} | {scores} | {effect} |")
    lifts = " and ".join(f"+{row['tuned'] - row['base']:.2f}" for row in run["headlines"])
    note = "Your numbers will differ by a few points: another processor rounds differently, and another seed trains another adapter."
    return "\n".join([*lines, "", f"Before/after scores alone would have said {lifts}. {note}"])


def take_quickstart(report: Path) -> None:
    """Keep the headlines of a run of the quickstart.

    Args:
        report: its report.json.
    """
    cells = json.loads(report.read_text("utf-8"))["cells"]
    rows = [
        {
            "task": cell["task"],
            **cell["headline"],
            "metric": fmt.metric(cell["headline"]["metric"]),
            "baseline": names.arm(cell["headline"]["baseline"], cell["constraint"]),
        }
        for cell in cells
    ]
    QUICKSTART.write_text(json.dumps({"headlines": rows}, indent=1) + "\n", "utf-8")


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
    """A sentence with the allowed values of a key, if they can be listed."""
    words = [f"`{word}`" for word in (metrics.inline_names() if key == "tasks[].metrics" else literals(field.annotation))]
    words += ["or a list of names"] if key == "finetune.targets" else []
    return [f"Allowed: {', '.join(words)}."] if words else []


def literals(kind: Any) -> list[str]:
    """The values of every Literal in a type."""
    if get_origin(kind) is Literal:
        return [str(value) for value in get_args(kind)]
    return [value for part in get_args(kind) for value in literals(part)]


def report_keys() -> str:
    """A table of every row type in report.json, Report first."""
    classes: list[Any] = [report_types.Report]
    for row_type in classes:
        inner = [part for hint in get_type_hints(row_type).values() for part in row_types(hint)]
        classes += [one for one in dict.fromkeys(inner) if one not in classes]
    return "\n\n".join(fields_table(row_type, class_sources()) for row_type in classes)


def row_types(hint: Any) -> list[Any]:
    """The TypedDicts in a type."""
    return [hint] if is_typeddict(hint) else [row_type for part in get_args(hint) for row_type in row_types(part)]


def class_sources() -> dict[str, ast.ClassDef]:
    """The source of every class among the types of the report."""
    trees = [ast.parse(inspect.getsource(module)) for module in ROW_TYPES]
    return {node.name: node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)}


def fields_table(row_type: Any, sources: dict[str, ast.ClassDef]) -> str:
    """The fields of one TypedDict, with their types and docstrings."""
    hints = get_type_hints(row_type)
    meanings = field_docstrings(row_type.__name__, sources)
    lines = [f"### {row_type.__name__}", "", inspect.getdoc(row_type) or "", "", "| key | type | meaning |", "|---|---|---|"]
    for key, hint in hints.items():
        absent = "; may be absent" if key in row_type.__optional_keys__ else ""
        lines.append(f"| `{key}` | {type_words(hint)}{absent} | {meanings.get(key, '')} |")
    return "\n".join(lines)


def field_docstrings(name: str, sources: dict[str, ast.ClassDef]) -> dict[str, str]:
    """By field, the docstring below it; with those of the base classes."""
    texts: dict[str, str] = {}
    for base in sources[name].bases:
        if isinstance(base, ast.Name) and base.id in sources:
            texts |= field_docstrings(base.id, sources)
    body = sources[name].body
    for field, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            is_documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            texts[field.target.id] = " ".join(ast.literal_eval(ast.unparse(after)).split()) if after and is_documented else ""
    return texts


def type_words(hint: Any) -> str:
    """The JSON type of a hint; row types link to their own table."""
    parts = get_args(hint)
    if is_typeddict(hint):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    if hint in JSON_TYPES:
        return JSON_TYPES[hint]
    if get_origin(hint) is Literal:
        return ", ".join(f"`{word}`" if word else "empty" for word in parts)
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(map(type_words, parts))
    if get_origin(hint) is tuple:
        return f"pair of {' and '.join(map(type_words, parts))}"
    return f"list of {type_words(parts[0])}" if get_origin(hint) is list else f"object of {type_words(parts[1])}"


def renewed(text: str, parts: dict[str, str]) -> str:
    """The text with the parts between `<!-- name -->` and `<!-- end -->` renewed."""
    for name, body in parts.items():
        text = re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", partial(between, body), text, flags=re.S)
    return text


def between(body: str, match: re.Match[str]) -> str:
    return f"{match[1]}{body}\n{match[2]}"


def pages() -> dict[Path, str]:
    """Each page with its generated parts up to date."""
    parts = {
        "quickstart": quickstart_table(),
        "tree": tree(),
        "verbs": verbs(),
        "arms": arm_table(),
        "keys": keys(),
        "report": report_keys(),
    }
    return {path: renewed(path.read_text("utf-8"), parts) for path in PAGES}


if __name__ == "__main__":
    if sys.argv[1:]:
        take_quickstart(Path(sys.argv[1]))
    for path, text in pages().items():
        path.write_text(text, "utf-8")
