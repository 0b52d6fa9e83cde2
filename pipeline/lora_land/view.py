"""Prints the published LoRA Land numbers: all tasks, one task or one model, in 80 columns."""

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.errors import RecipeError, suggest
from pipeline.lora_land import headlines, published
from pipeline.lora_land.headlines import TaskFigures, paper_digits, points
from pipeline.lora_land.published import PublishedScore

METRICS = {"humaneval": "pass@1", "accuracy": "acc."}
MODEL_WIDTH = 19
"""Width of the longest model name in the table of tasks."""
NAMES = {"tuned": "fine-tuned"}
"""What a user reads for an arm, where that is another word."""
ROWS_NOTE = (
    "n: rows scored; ? inferred: the published code takes the first 1,000 of a split (customer_support: from its scores). "
    "acc. is accuracy, rouge ROUGE-L, mae 1 - distance / 5, all by the paper's loose rules."
)


def show(out: Console, name: str | None) -> None:
    """Print an overview, or one task or model.

    Raises:
        RecipeError: the paper has no task or model of this name; names the nearest.
    """
    names = [*published.models(), *published.GPT]
    if name is None:
        show_all(out)
    elif name in published.tasks():
        show_task(out, name)
    elif name in names:
        show_model(out, name)
    else:
        raise RecipeError(f"published: the paper has no task or model '{name}'.", suggest(name, [*published.tasks(), *names]))


def show_all(out: Console) -> None:
    title(out, f"LoRA Land: 31 tasks, ten bases ({published.SOURCE})")
    figures = [headlines.of_task(task) for task in published.tasks()]
    table = grid("task", "metric", numbers=("n", "GPT\n-3.5", "GPT\n-4", "best\nbase", "best\nfine-\ntuned"))
    table.add_column("by")
    table.add_column("mean\nlift", justify="right")
    for row in figures:
        table.add_row(*(Text(text) for text in overview(row)), end_section=row is figures[-1])
    gpt35, gpt4 = headlines.gpt_means()
    best = (mean(row.best_base for row in figures), mean(row.best_tuned for row in figures))
    table.add_row("mean", "", "", *map(paper_digits, (gpt35, gpt4, *best)), "", points(mean(row.mean_lift for row in figures)))
    out.print(table)
    say(out, f"{ROWS_NOTE} Lifts are in points of 100.")
    show_bases(out)
    show_headlines(out)
    show_marks(out)


def overview(row: TaskFigures) -> list[str]:
    by = ", ".join(row.best_models)
    by = by if len(by) <= MODEL_WIDTH else f"{len(row.best_models)} tie"
    scores = map(paper_digits, (row.gpt35, row.gpt4, row.best_base, row.best_tuned))
    return [row.task, METRICS.get(row.metric, row.metric), rows(row.task), *scores, by, points(row.mean_lift)]


def show_bases(out: Console) -> None:
    title(out, "The ten bases, means over 31 tasks")
    table = grid("base", numbers=("base", "fine-\ntuned", "lift", "lift,\nnone < 0", "over\nGPT-4", "> base", "> GPT-4", "best of\na task"))
    for model in published.models():
        row = headlines.of_model(model)
        figures = [paper_digits(row.base), paper_digits(row.tuned), *map(points, (row.lift, row.lift_floored, row.over_gpt4))]
        table.add_row(model, *figures, str(row.beats_base), str(row.beats_gpt4), str(row.best_of_task))
    out.print(table)
    say(out, "Best of a task: ahead of the other nine bases and of GPT-4; GPT-3.5 is left out, as in the paper.")


def show_headlines(out: Console) -> None:
    title(out, "Headlines: from the table, what the paper says, how ours comes about")
    table = grid("", numbers=("table", "paper"))
    table.add_column("", overflow="fold")
    for row in headlines.headlines():
        table.add_row(Text(row.name), row.ours, row.claim, Text(row.how))
    out.print(table)
    gaps = ", ".join(f"{category} {points(gap)}" for category, gap in headlines.categories().items())
    say(out, f"Best fine-tuned - GPT-4 by category: {gaps} points.")


def show_marks(out: Console) -> None:
    marks = published.all_constant_marks()
    tuned = sum(arm == "tuned" for _, arm, _ in marks)
    title(out, f"At constant-answer baseline: {tuned} fine-tuned and {len(marks) - tuned} base scores are those of a constant answer")
    groups: dict[tuple[str, str, str, float], list[str]] = {}
    for cell, arm, constant in marks:
        groups.setdefault((cell.task, arm, constant.answer, constant.score), []).append(cell.model)
    for (task, arm_name, answer, score), models in groups.items():
        say(out, f"{task}, {NAMES.get(arm_name, arm_name)}, {paper_digits(score)} (always {answer}): {', '.join(models)}")
    tasks_with_constants = sum(bool(published.constants(task)) for task in published.tasks())
    say(out, f"Constant answers are known for {tasks_with_constants} of {len(published.tasks())} tasks; elsewhere nothing can be said.")


def show_task(out: Console, task: str) -> None:
    cells = published.row(task)
    first = next(iter(cells.values()))
    title(out, f"{task}: {first.metric}, {first.category} ({published.SOURCE})")
    gpt4 = published.gpt(task)[1]
    table = grid("model", numbers=("base", "fine-tuned", "lift", "over GPT-4"))
    table.add_column("at constant-answer baseline")
    for cell in cells.values():
        gap = "" if cell.model == published.GPT[1] else points(cell.score - gpt4)
        table.add_row(cell.model, *arms(cell), gap, Text(marks_of(cell)), end_section=cell.model == published.models()[-1])
    row = headlines.of_task(task)
    table.add_row(
        "mean of ten", paper_digits(row.mean_base), paper_digits(row.mean_tuned), points(row.mean_lift), points(row.mean_tuned - gpt4), ""
    )
    out.print(table)
    say(out, published.describe_rows(first.rows))
    say(out, constants_of(task))


def show_model(out: Console, model: str) -> None:
    title(out, f"{model} ({published.SOURCE})")
    if model in published.GPT:
        return show_gpt(out, model)
    table = grid("task", "metric", numbers=("n", "base", "fine-tuned", "lift", "GPT-4"))
    table.add_column("at constant-answer baseline")
    for task in published.tasks():
        cell = published.cell(task, model)
        gpt4 = paper_digits(published.gpt(task)[1])
        table.add_row(task, METRICS.get(cell.metric, cell.metric), rows(task), *arms(cell), gpt4, Text(marks_of(cell)))
    out.print(table)
    say(out, ROWS_NOTE)
    row = headlines.of_model(model)
    means = f"{paper_digits(row.base)} -> {paper_digits(row.tuned)}, lift {points(row.lift)} points"
    counts = f"above its base in {row.beats_base} of 31, above GPT-4 in {row.beats_gpt4}, the best in {row.best_of_task} (GPT-3.5 apart)"
    say(out, f"Mean {means} ({points(row.lift_floored)} with negative lifts as 0), {points(row.over_gpt4)} over GPT-4; {counts}.")
    return None


def show_gpt(out: Console, model: str) -> None:
    """Scores of a GPT model, which nobody tuned, next to the best tuned base."""
    table = grid("task", "metric", numbers=("n", "score", "best fine-tuned"))
    for task in published.tasks():
        cell = published.cell(task, model)
        best = headlines.of_task(task).best_tuned
        table.add_row(task, METRICS.get(cell.metric, cell.metric), rows(task), paper_digits(cell.score), paper_digits(best))
    out.print(table)
    say(out, ROWS_NOTE)


def arms(cell: PublishedScore) -> tuple[str, str, str]:
    """Base, tuned and lift; GPT, which nobody tuned, is listed under base."""
    if cell.base is None or cell.lift is None:
        return paper_digits(cell.score), "", ""
    return paper_digits(cell.base), paper_digits(cell.score), points(cell.lift)


def marks_of(cell: PublishedScore) -> str:
    return ", ".join(f"{NAMES.get(arm, arm)} ({constant.answer})" for arm, constant in published.constant_marks(cell).items())


def rows(task: str) -> str:
    scored_rows = published.cell(task, published.GPT[1]).rows
    return f"{scored_rows.n}{'' if scored_rows.evidence == 'scores' else '?'}"


def constants_of(task: str) -> str:
    answers = published.constants(task)
    if not answers:
        return "What a constant answer scores on these rows is not known."
    scores = ", ".join(f"{constant.answer} {paper_digits(constant.score)}" for constant in answers)
    return f"A constant answer scores: {scores}. A score that equals one of them is at the constant-answer baseline."


def mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)


def grid(*texts: str, numbers: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    for name in texts:
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def title(out: Console, text: str) -> None:
    out.print()
    out.print(Text(text, style="bold"))


def say(out: Console, text: str) -> None:
    out.print(Text(text))
