"""Writes the recipe of a comparison that options describe: a base, what was fine-tuned from it elsewhere, and a file of test rows."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from pipeline.errors import RecipeError
from pipeline.progress import say
from pipeline.store.artifact import json_sha256

OWN_KEY = re.compile(r"--[0-9a-f]{12}$")
"""The end of the name of a folder in `checkpoints/`."""
HEAD = "# Written by: loralift compare --base ... --data ...\n# Every key: docs/recipes.md\n"
PANEL = "Without a recipe"
Base = Annotated[
    str | None,
    typer.Option("--base", help="The base: a row of `loralift ls models`, a hub id, or a folder.", rich_help_panel=PANEL),
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", help="A whole fine-tuned model: its folder or hub id; may be repeated.", rich_help_panel=PANEL),
]
Adapters = Annotated[
    list[str] | None,
    typer.Option(
        "--adapter", help="An adapter from elsewhere: its folder or hub id; repeated, each is a variant of its own.", rich_help_panel=PANEL
    ),
]
DataFile = Annotated[str | None, typer.Option("--data", help="The file of test rows.", rich_help_panel=PANEL)]
TrainFile = Annotated[
    str | None,
    typer.Option("--train", help="The file of their training rows, in which test prompts are searched for.", rich_help_panel=PANEL),
]
Metric = Annotated[
    str | None, typer.Option("--metric", help="The metric that decides the verdict, as accuracy or rougeL.", rich_help_panel=PANEL)
]
Parser = Annotated[
    str | None,
    typer.Option("--parser", help="How answers are read: text, first_line, choice, number, json or tool_call.", rich_help_panel=PANEL),
]
Prompt = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        help="The template of the prompt, where rows have no format of their own: 'Ticket: {text}\\nTeam:'.",
        rich_help_panel=PANEL,
    ),
]
Target = Annotated[str | None, typer.Option("--target", help="The template of the right answer: '{team}'.", rich_help_panel=PANEL)]
Choices = Annotated[
    str | None,
    typer.Option("--choices", help="The closed set of answers, separated by commas: billing,login.", rich_help_panel=PANEL),
]


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """Keys of the task of a file of rows, as the command line names them."""

    metric: Metric = None
    parser: Parser = None
    prompt: Prompt = None
    target: Target = None
    choices: Choices = None

    @property
    def task_options(self) -> list[str]:
        """Those that are set, as they are written."""
        return [f"--{name}" for name in TASK_OPTIONS if getattr(self, name) is not None]

    def task_keys(self) -> dict[str, Any]:
        """The keys of the task; a closed set of answers is read as one, unless the options say otherwise."""
        templates = {name: text.replace("\\n", "\n") for name in ("prompt", "target") if (text := getattr(self, name)) is not None}
        metrics = {"metrics": [self.metric]} if self.metric else {}
        choices = [choice.strip() for choice in (self.choices or "").split(",") if choice.strip()]
        answer = self.parser or ("choice" if choices else None)
        return {**templates, **metrics, **({"answer": answer} if answer else {}), **({"choices": choices} if choices else {})}


TASK_OPTIONS = ("metric", "parser", "prompt", "target", "choices")


@dataclass(frozen=True)
class Question(TaskOptions):
    """A comparison without a recipe, a field for each of its options; without any of them there is a recipe."""

    base: Base = None
    adapter: Adapters = None
    model: Models = None
    data: DataFile = None
    train: TrainFile = None

    @property
    def has_options(self) -> bool:
        return any(vars(self).values())

    @property
    def places(self) -> list[tuple[str, str]]:
        """Of each variant its key in a recipe, adapter or model, and its folder or hub id."""
        return [*(("adapter", place) for place in self.adapter or ()), *(("model", place) for place in self.model or ())]


def with_recipe(arguments: list[str], question: Question) -> list[str]:
    """The path of a recipe with KEY=VALUE: as given, or that of the recipe which answers the question, written here.

    Raises:
        RecipeError: there is neither, both, or a part of the question is missing.
    """
    named = [text for text in arguments if "=" not in text]
    if not question.has_options:
        if not arguments:
            raise RecipeError(
                "there is no recipe.", "Name one, as quickstart, or ask without: loralift compare --base B --adapter A --data test.jsonl"
            )
        return arguments
    if named:
        first = next(f"--{name}" for name, value in vars(question).items() if value)
        raise RecipeError(f"{named[0]} is a recipe, and {first} is for a comparison without one.", "Leave one of the two out.")
    options = {"--base": question.base, "--adapter or --model": question.places, "--data": question.data}
    if missing := [name for name, value in options.items() if not value]:
        remedy = "Write --base B --adapter A --data test.jsonl, or --model M for a whole model"
        raise RecipeError(f"without a recipe {' and '.join(missing)} must be there.", remedy)
    return [str(written(question)), *arguments]


def written(question: Question) -> Path:
    """The file with the recipe of a question."""
    inputs = [question.data, question.base, *(place for _, place in question.places)]
    return write_recipe("compare", str(question.data), HEAD, inputs, lambda name: body(question, name))


def write_recipe(verb: str, data: str, head: str, inputs: list[Any], body_of: Callable[[str], dict[str, Any]]) -> Path:
    """The file with a recipe in the current folder: that of an earlier call with the same inputs, unless someone edited it, or a new one.

    Args:
        verb: begins its name, and runs it.
        data: the file of test rows, whose name ends it.
        head: comments at its start.
        inputs: what is compared, as JSON values: files, models and their names.
        body_of: its keys, by its name.
    """
    stem = f"{verb}-{stem_of(data)}"
    number = 1
    while True:
        path = Path(f"{stem}.yaml" if number == 1 else f"{stem}-{number}.yaml")
        text = marked(head + yaml.safe_dump(body_of(path.stem), sort_keys=False, allow_unicode=True), inputs)
        if not path.exists() or is_own(path, inputs):
            report_recipe(verb, path, path.read_text("utf-8") if path.exists() else "", text)
            path.write_text(text, "utf-8")
            return path
        number += 1


def report_recipe(verb: str, path: Path, before: str, text: str) -> None:
    """Say what becomes of the file of a recipe.

    Args:
        before: what it holds; empty: there is none.
    """
    if before == text:
        say(f"recipe: {path}")
    elif before:
        say(f"{path}: the recipe of an earlier call with the same files, which this one replaces")
    else:
        say(f"wrote {path}, the recipe of this comparison; run it again with: loralift {verb} {path}")


def marked(text: str, inputs: list[Any]) -> str:
    """The text of a recipe with a comment by which a later call knows what is compared, and whether someone edited it."""
    hashes = f"{json_sha256(inputs)[:12]} {json_sha256(text)[:12]}"
    return f"# {hashes}: a call with the same files replaces this recipe unless it was edited\n{text}"


def is_own(path: Path, inputs: list[Any]) -> bool:
    """Whether a file is a recipe that an earlier call with these inputs wrote, and nobody edited."""
    text = path.read_text("utf-8", "replace") if path.is_file() else ""
    return marked(text.partition("\n")[2], inputs) == text


def body(question: Question, name: str) -> dict[str, Any]:
    """The keys of the recipe."""
    task = task_of(str(question.data), question.train, question)
    train = {"train": question.train} if question.train else {}
    names = distinct([variant_name(place, str(question.base)) for _, place in question.places])
    variants = [{"name": label, key: place, **train} for label, (key, place) in zip(names, question.places, strict=True)]
    return {"name": name, "base": question.base, "tasks": [task], "variants": variants}


def task_of(data: str, train: str | None, options: TaskOptions) -> dict[str, Any]:
    """The keys of the task of a file of test rows."""
    files = {"test": data} | ({"train": train} if train else {})
    return {"name": stem_of(data), "data": files, **options.task_keys()}


def stem_of(data: str) -> str:
    """The name of a data file, as a name of a recipe."""
    return safe_name(Path(data).name.partition(".")[0])


def variant_name(place: str, base: str = "") -> str:
    """What the report calls an adapter or a model: the name of its folder or repository; a checkpoint with that of the run it is from.

    Of a folder of `checkpoints/` the base in front and the key at the end are left out: they are the same for all, or say nothing.
    """
    path = Path(place.partition("@")[0])
    parts = (path if path.name else path.absolute()).absolute().parts if place in (".", "./") else path.parts
    last = parts[-2:] if parts[-1].startswith("checkpoint-") or parts[-1] == "default" else parts[-1:]
    name = OWN_KEY.sub("", "-".join(last))
    return safe_name(name.removeprefix(f"{Path(base).name}--") if name != "-".join(last) else name)


def distinct(names: list[str]) -> list[str]:
    """The names, with a number behind each that is not the first of its kind."""
    return [name if names.index(name) == place else f"{name}-{place + 1}" for place, name in enumerate(names)]


def safe_name(text: str) -> str:
    """A text as a name of a recipe."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:40] or "data"
