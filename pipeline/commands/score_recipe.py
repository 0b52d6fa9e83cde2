"""Makes a recipe of files of predictions that the command line names: of one that there is, or of a file of test rows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.commands.quick_recipe import DataFile, TaskOptions, TrainFile, safe_name, task_of, write_recipe
from pipeline.config.recipe import SECTIONS
from pipeline.data import inspect_logs, lm_eval_samples, prediction_files
from pipeline.data.lm_eval_samples import Samples
from pipeline.errors import RecipeError, suggest
from pipeline.progress import say

HEAD = "# Written by: loralift score --data ... base=FILE NAME=FILE\n# Every key: docs/recipes.md\n"
USAGE = "Write: loralift score RECIPE base=base.jsonl mine=mine.jsonl, or --data test.jsonl in place of RECIPE."
BASE = "base"
"""The name of the predictions that all others are compared with."""
ALL_ROWS = 10_000_000
"""More test rows than a file has: predictions are there for all of them."""
Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RECIPE] base=FILE NAME=FILE... [KEY=VALUE]...",
        help="A recipe, whose tasks say what the test rows are and how answers are judged; files of predictions, one name for each model, "
        "and the same name again for each training seed; keys replaced in the recipe, as compare.resamples=2000.",
    ),
]
AnswerColumn = Annotated[
    list[str] | None,
    typer.Option(
        "--answers",
        metavar="COLUMN | NAME=COLUMN",
        help="The column that holds the answers of all files, or of one name's; may be repeated. Unset: the one called text, answer, "
        "prediction, response, output or completion.",
    ),
]
IdColumn = Annotated[
    str | None, typer.Option("--id", help="The column by which an answer finds its test row; unset: id or the like, else the order.")
]
CommonOnly = Annotated[
    bool, typer.Option("--common-rows", help="Compare only the test rows that every file answers once, and say how many are left out.")
]


@dataclass(frozen=True)
class ScoreRequest(TaskOptions):
    """What is to be scored: the arguments of `score`, and its options on test rows without a recipe."""

    arguments: Arguments = None
    """A recipe, NAME=FILE and KEY=VALUE."""
    data: DataFile = None
    train: TrainFile = None


def pairing_of(answers: AnswerColumn = None, id_column: IdColumn = None, common_rows: CommonOnly = False) -> dict[str, Any]:
    """The keys of the recipe's section `pairing` that the command-line options set.

    Raises:
        RecipeError: answers are to be in two columns of one file.
    """
    keys = {"answers": columns_of(answers or []), "id": id_column, "common_rows": common_rows or None}
    return {name: value for name, value in keys.items() if value is not None}


def columns_of(texts: list[str]) -> str | dict[str, str] | None:
    """The key pairing.answers of COLUMN or several NAME=COLUMN; None without any. Raises RecipeError if they contradict themselves."""
    pairs = [text.partition("=")[::2] for text in texts if "=" in text]
    if not texts or (len(texts) == 1 and not pairs):
        return texts[0] if texts else None
    names = [name for name, _ in pairs]
    if len(set(names)) < len(texts) or not all(name and column for name, column in pairs):
        problem = f"--answers {' --answers '.join(texts)} does not name one column for each file."
        raise RecipeError(problem, "Write one COLUMN for all files, or NAME=COLUMN once for each name, as --answers base=response.")
    return dict(pairs)


def with_predictions(request: ScoreRequest, pairing: Mapping[str, Any]) -> list[str]:
    """The path of a recipe with KEY=VALUE, as other verbs take them: those given, with the predictions as keys; or of one written here.

    Raises:
        RecipeError: there is neither a recipe nor a file of test rows, both, or no two files of predictions.
    """
    arguments = request.arguments or []
    named = [text for text in arguments if "=" not in text]
    keys = [text for text in arguments if "=" in text and is_key(text.partition("=")[0])]
    files = files_by_name([text for text in arguments if "=" in text and text not in keys])
    if len(named) > 1:
        raise RecipeError(f"'{named[1]}' is a second recipe.", "Write NAME=FILE for predictions.")
    if not named:
        request = replace(request, data=request.data or samples_file(files))
    if bool(named) == bool(request.data):
        problem = f"{named[0]} is a recipe, and --data stands for one." if named else "there is neither a recipe nor --data."
        raise RecipeError(problem, "Leave one of the two out." if named else USAGE)
    if request.data:
        check_files(files)
        task = task_of_request(request)
        path = write_recipe("score", task["name"], HEAD, [request.data, files], lambda name: body(request, files, pairing, task, name))
        return [str(path), *keys]
    check_recipe_options(request)
    changes = {f"pairing.{name}": value for name, value in pairing.items()}
    if files:  # without any, the recipe names its predictions
        check_files(files)
        changes |= {"base_predictions": files[BASE][0], "variants": variants_of(files, None), "references": []}
    return [named[0], *(f"{name}={json.dumps(value)}" for name, value in changes.items()), *keys]


def samples_file(files: dict[str, list[str]]) -> str | None:
    """The file of the base where it says itself what the test rows are: samples of lm-evaluation-harness or Inspect; else None."""
    path = prediction_files.locate(files[BASE][0]) if BASE in files else None
    return str(path) if path and described(path) else None


def described(path: Path) -> Samples | None:
    """Task and scores of a file of samples; None if it is none. Raises DataError if no score of its can be compared."""
    return inspect_logs.describe(path) or lm_eval_samples.describe(path)


def task_of_request(request: ScoreRequest) -> dict[str, Any]:
    """The keys of the task of a file of test rows; one of lm-evaluation-harness or Inspect is judged by its own scores.

    Raises:
        RecipeError: it has no such score; or it has several of which none is the first, and none is asked for.
    """
    data = str(request.data)
    samples = described(Path(data))
    if samples is None:
        return task_of(data, request.train, request)
    if templates := [name for name in request.task_options if name in ("--prompt", "--target", "--choices")]:
        raise RecipeError(f"{templates[0]} is for rows without a format, and {data} holds samples with their prompts.", "Leave it out.")
    metric = request.metric
    if samples.format == inspect_logs.FORMAT and len(samples.metrics) > 1 and not metric:
        problem = f"{data} has {len(samples.metrics)} scores: {', '.join(samples.metrics)}."
        raise RecipeError(problem, f"Name the one that judges: --metric {samples.metrics[0]}")
    wanted = (metric or samples.metrics[0]).removeprefix(samples.prefix)
    first = next((name for name in samples.metrics if wanted in (name, name.partition(",")[0])), None)
    if first is None:
        raise RecipeError(f"{data} has no score '{wanted}'.", suggest(wanted, samples.metrics))
    others = [name for name in samples.metrics if name != first]
    also = f" (also there: {'; '.join(others)})" if others else ""
    tool = "Inspect" if samples.format == inspect_logs.FORMAT else "lm-evaluation-harness"
    say(f"judged by {first}, as {tool} scored it{also}")
    metrics = [f"{samples.prefix}{name}" for name in (first, *others)]
    return {"name": safe_name(samples.task), "data": {"test": data}, "format": samples.format, "metrics": metrics}


def is_key(name: str) -> bool:
    """Whether what stands before a `=` is a key of a recipe, and not the name of predictions."""
    return name == "tasks" or ("." in name and name.partition(".")[0] in SECTIONS)


def files_by_name(texts: list[str]) -> dict[str, list[str]]:
    """By name, the files of NAME=FILE; several where a name comes again. Raises RecipeError if a part is empty."""
    files: dict[str, list[str]] = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not name or not path:
            raise RecipeError(f"'{text}' is not NAME=FILE.", USAGE)
        files.setdefault(name, []).append(path)
    return files


def check_files(files: dict[str, list[str]]) -> None:
    """Raise RecipeError unless there is one file of the base and another to compare with it."""
    if BASE not in files:
        raise RecipeError(f"no predictions are called {BASE}, which all others are compared with.", USAGE)
    if len(files[BASE]) > 1:
        problem = f"{BASE} has {len(files[BASE])} files, and a base has no training seeds: {', '.join(files[BASE])}."
        raise RecipeError(problem, "Name one of them; another name may have several.")
    if len(files) < 2:
        raise RecipeError(f"there is nothing to compare with {BASE}.", USAGE)
    paths = [path for of_name in files.values() for path in of_name]
    if twice := next((path for path in paths if paths.count(path) > 1), ""):
        raise RecipeError(f"{twice} is named twice, and cannot be compared with itself.", "Name another file.")
    for path in paths:
        prediction_files.locate(path)


def check_recipe_options(request: ScoreRequest) -> None:
    """Raise RecipeError for an option that a recipe says itself."""
    if options := ["--train"] * (request.train is not None) + request.task_options:
        raise RecipeError(f"{options[0]} is for --data, and a recipe says it under tasks and variants.", "Leave it out.")


def variants_of(files: dict[str, list[str]], train: str | None) -> list[dict[str, Any]]:
    """The entries under `variants`."""
    own = {"train": train} if train else {}
    return [{"name": name, "predictions": paths if len(paths) > 1 else paths[0], **own} for name, paths in files.items() if name != BASE]


def body(request: ScoreRequest, files: dict[str, list[str]], pairing: Mapping[str, Any], task: dict[str, Any], name: str) -> dict[str, Any]:
    """The keys of the recipe of a task of test rows."""
    others = " and ".join(other for other in files if other != BASE)
    return {
        "name": name,
        "question": f"Are the predictions of {others} better than those of {BASE}? ({task['name']})",
        "base": BASE,
        "tasks": [task],
        "prepare": {"heldout_examples": ALL_ROWS, "heldout_order": "first"},
        "base_predictions": files[BASE][0],
        "variants": variants_of(files, request.train),
        **({"pairing": dict(pairing)} if pairing else {}),
    }
