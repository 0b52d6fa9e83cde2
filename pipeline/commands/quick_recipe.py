"""Writes the recipe of a comparison that the command line describes by itself: a base, adapters from elsewhere, and a file of test rows."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from pipeline.errors import RecipeError
from pipeline.progress import say

HEAD = "# Written by: loralift compare --base ... --adapter ... --data ...\n# Every key: docs/recipes.md\n"
Base = Annotated[str | None, typer.Option("--base", help="Without a recipe: the base, as in one.", rich_help_panel="Without a recipe")]
Adapters = Annotated[
    list[str] | None,
    typer.Option("--adapter", help="An adapter from elsewhere: its folder or hub id; may be repeated.", rich_help_panel="Without a recipe"),
]
DataFile = Annotated[str | None, typer.Option("--data", help="The file of test rows.", rich_help_panel="Without a recipe")]
TrainFile = Annotated[
    str | None,
    typer.Option(
        "--train", help="The file that the adapters were trained on, searched for test prompts.", rich_help_panel="Without a recipe"
    ),
]
Metric = Annotated[str | None, typer.Option("--metric", help="By which answers are judged.", rich_help_panel="Without a recipe")]
Parser = Annotated[
    str | None, typer.Option("--parser", help="How answers are read: the key answer of a task.", rich_help_panel="Without a recipe")
]


@dataclass(frozen=True)
class Question:
    """A comparison without a recipe, as the options describe it; all of them None: there is a recipe."""

    base: str | None = None
    adapters: tuple[str, ...] = ()
    data: str | None = None
    train: str | None = None
    metric: str | None = None
    parser: str | None = None

    @property
    def is_asked(self) -> bool:
        return self != Question()


def question_of(
    base: Base = None,
    adapter: Adapters = None,
    data: DataFile = None,
    train: TrainFile = None,
    metric: Metric = None,
    parser: Parser = None,
) -> Question:
    """The comparison that the command-line options describe."""
    return Question(base, tuple(adapter or ()), data, train, metric, parser)


def with_recipe(arguments: list[str], question: Question) -> list[str]:
    """The path of a recipe with KEY=VALUE: as given, or that of the recipe which answers the question, written here.

    Raises:
        RecipeError: there is neither, both, or a part of the question is missing.
    """
    named = [text for text in arguments if "=" not in text]
    if not question.is_asked:
        if not arguments:
            raise RecipeError(
                "there is no recipe.", "Name one, as quickstart, or ask without: loralift compare --base B --adapter A --data test.jsonl"
            )
        return arguments
    if named:
        raise RecipeError(f"{named[0]} is a recipe, and --base, --adapter and --data stand for one.", "Leave one of the two out.")
    options = {"--base": question.base, "--adapter": question.adapters, "--data": question.data}
    if missing := [name for name, value in options.items() if not value]:
        raise RecipeError(f"without a recipe {' and '.join(missing)} must be there.", "Write --base B --adapter A --data test.jsonl")
    return [str(written(question)), *arguments]


def written(question: Question) -> Path:
    """The file with the recipe in the current folder; one of the same content is taken as it is, any other is left alone."""
    assert question.data is not None
    stem = f"compare-{safe_name(Path(question.data).name.partition('.')[0])}"
    number = 1
    while True:
        path = Path(f"{stem}.yaml" if number == 1 else f"{stem}-{number}.yaml")
        text = HEAD + yaml.safe_dump(body(question, path.stem), sort_keys=False, allow_unicode=True)
        if not path.exists():
            path.write_text(text, "utf-8")
            say(f"wrote {path}, the recipe of this comparison; run it again with: loralift compare {path}")
            return path
        if path.is_file() and path.read_text("utf-8", "replace") == text:
            say(f"recipe: {path}")
            return path
        number += 1


def body(question: Question, name: str) -> dict[str, Any]:
    """The keys of the recipe."""
    data = {"test": question.data} | ({"train": question.train} if question.train else {})
    task: dict[str, Any] = {"name": safe_name(Path(str(question.data)).name.partition(".")[0]), "data": data}
    task |= {"metrics": [question.metric]} if question.metric else {}
    task |= {"answer": question.parser} if question.parser else {}
    names = distinct([adapter_name(adapter) for adapter in question.adapters])
    train = {"train": question.train} if question.train else {}
    variants = [{"name": label, "adapter": adapter, **train} for label, adapter in zip(names, question.adapters, strict=True)]
    return {"name": name, "base": question.base, "tasks": [task], "variants": variants}


def adapter_name(adapter: str) -> str:
    """What the report calls an adapter: the name of its folder or repository; a checkpoint with that of the run it is from."""
    path = Path(adapter.partition("@")[0])
    parts = (path if path.name else path.absolute()).absolute().parts if adapter in (".", "./") else path.parts
    last = parts[-2:] if parts[-1].startswith("checkpoint-") or parts[-1] == "default" else parts[-1:]
    return safe_name("-".join(last))


def distinct(names: list[str]) -> list[str]:
    """The names, with a number behind each that is not the first of its kind."""
    return [name if names.index(name) == place else f"{name}-{place + 1}" for place, name in enumerate(names)]


def safe_name(text: str) -> str:
    """A text as a name of a recipe."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:40] or "data"
