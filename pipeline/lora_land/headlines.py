"""Computes averages and headline figures from the published table, next to what the paper claims.

The size of a lift in points, and where the abstract's 34 points come from, depends on how one averages, so every figure here says
how it is computed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from statistics import fmean, median

from pipeline.errors import RecipeError, suggest
from pipeline.lora_land import published
from pipeline.lora_land.published import PublishedScore

AUTO_COMPLETE = ("gemma-2b", "gemma-7b", "llama-2-7b", "mistral-7b")
"""The bases without instruction tuning; the paper's figure counts phi-2 with the others."""
SMALL = ("gemma-2b", "gemma-2b-instruct", "phi-2")


@dataclass(frozen=True)
class TaskFigures:
    """A task over the ten bases; scores are fractions of 1."""

    task: str
    metric: str
    n: int
    gpt35: float
    gpt4: float
    mean_base: float
    best_base: float
    mean_tuned: float
    best_tuned: float
    best_models: tuple[str, ...]
    """More than one where they tie."""
    mean_lift: float


@dataclass(frozen=True)
class ModelFigures:
    """A base over the 31 tasks."""

    model: str
    base: float
    tuned: float
    lift: float
    lift_floored: float
    """With negative lifts as 0: the paper's Table 4."""
    tuned_floored: float
    over_gpt4: float
    beats_base: int
    beats_gpt4: int
    """Strictly."""
    best_of_task: int
    """Tasks in which it is ahead of all other bases and of GPT-4 (the paper leaves GPT-3.5 out); a tie counts for nobody."""


@dataclass(frozen=True)
class Headline:
    name: str
    ours: str
    """From the table."""
    claim: str
    """What the paper says, or nothing."""
    how: str
    """How the figure is computed, in one line."""


def of_task(task: str) -> TaskFigures:
    """Raises RecipeError if the paper has no such task."""
    cells = published.scores_with_lift(task)
    best = max(cell.score for cell, _, _ in cells)
    gpt35, gpt4 = published.gpt(task)
    return TaskFigures(
        task=task,
        metric=cells[0][0].metric,
        n=cells[0][0].n,
        gpt35=gpt35,
        gpt4=gpt4,
        mean_base=fmean(base for _, base, _ in cells),
        best_base=max(base for _, base, _ in cells),
        mean_tuned=fmean(cell.score for cell, _, _ in cells),
        best_tuned=best,
        best_models=tuple(cell.model for cell, _, _ in cells if cell.score == best),
        mean_lift=fmean(lift for _, _, lift in cells),
    )


def of_model(model: str) -> ModelFigures:
    """Raises RecipeError, with the nearest name, if it is none of the ten bases."""
    if model not in published.models():
        raise RecipeError(f"The paper has no base '{model}'.", suggest(model, published.models()))
    cells = [row for row in all_scores() if row[0].model == model]
    return ModelFigures(
        model=model,
        base=fmean(base for _, base, _ in cells),
        tuned=fmean(cell.score for cell, _, _ in cells),
        lift=fmean(lift for _, _, lift in cells),
        lift_floored=fmean(max(0.0, lift) for _, _, lift in cells),
        tuned_floored=fmean(max(base, cell.score) for cell, base, _ in cells),
        over_gpt4=fmean(cell.score - published.gpt(cell.task)[1] for cell, _, _ in cells),
        beats_base=sum(lift > 0 for _, _, lift in cells),
        beats_gpt4=sum(cell.score > published.gpt(cell.task)[1] for cell, _, _ in cells),
        best_of_task=sum(is_best(task, model) for task in published.tasks()),
    )


def is_best(task: str, model: str) -> bool:
    own = published.cell(task, model).score
    return all(cell.score < own for cell in published.row(task).values() if cell.model not in (model, published.GPT[0]))


def all_scores() -> list[tuple[PublishedScore, float, float]]:
    """The 310 tuned scores with base score and lift, task by task."""
    return [row for task in published.tasks() for row in published.scores_with_lift(task)]


def categories() -> dict[str, float]:
    """Best tuned minus GPT-4 by category of tasks, mean over its tasks."""
    gaps: dict[str, list[float]] = {}
    for task in published.tasks():
        figures = of_task(task)
        gaps.setdefault(published.cell(task, published.GPT[1]).category, []).append(figures.best_tuned - figures.gpt4)
    return {category: fmean(gaps_of_category) for category, gaps_of_category in gaps.items()}


def gpt_means() -> tuple[float, float]:
    """GPT-3.5-Turbo and GPT-4 over the 31 tasks."""
    gpt35, gpt4 = zip(*(published.gpt(task) for task in published.tasks()), strict=True)
    return fmean(gpt35), fmean(gpt4)


def headlines() -> list[Headline]:
    """The paper's claims and what its own table gives."""
    return [*lifts(), *against_gpt4(), *by_kind()]


def lifts() -> list[Headline]:
    all_lifts = [lift for _, _, lift in all_scores()]
    floored = [max(0.0, lift) for lift in all_lifts]
    task_means = [of_task(task).mean_lift for task in published.tasks()]
    return [
        Headline("lift over the base", points(fmean(all_lifts)), "+34", f"mean of the {len(all_lifts)} lifts; no plain mean gives 34"),
        Headline("  none below 0", points(fmean(floored)), "+38.7", "negative lifts as 0: the paper's Table 4"),
        Headline("  median lift", points(median(all_lifts)), "", f"median of the {len(all_lifts)} lifts"),
        Headline("  median task", points(median(task_means)), "", f"median of the {len(task_means)} task means: near 34"),
        Headline("fine-tuned > base", str(sum(lift > 0 for lift in all_lifts)), "301", f"of {len(all_lifts)}; the lift is above 0"),
        Headline("  fine-tuned < base", str(sum(lift < 0 for lift in all_lifts)), "", f"of {len(all_lifts)}; the lift is below 0"),
    ]


def against_gpt4() -> list[Headline]:
    tasks = [of_task(task) for task in published.tasks()]
    gaps = [cell.score - published.gpt(cell.task)[1] for cell, _, _ in all_scores()]
    floored = fmean(max(base, cell.score) - published.gpt(cell.task)[1] for cell, base, _ in all_scores())
    best = [round(task.best_tuned - task.gpt4, 3) for task in tasks]
    scores = f"{paper_digits(fmean(task.best_tuned for task in tasks))} - {paper_digits(gpt_means()[1])}"
    led_by_gpt35 = [task.task for task in tasks if task.gpt35 > max(task.best_tuned, task.gpt4)]
    ties = sum(gap == 0 for gap in gaps)
    return [
        Headline("best over GPT-4", points(fmean(best)), "+10", f"the best base of each task: {scores}"),
        Headline("  mean over GPT-4", points(fmean(gaps)), "", f"mean of all {len(gaps)} fine-tuned scores"),
        Headline("  none below base", points(floored), "+2.7", "max(base, fine-tuned): the paper's Table 4"),
        Headline("fine-tuned > GPT-4", str(sum(gap > 0 for gap in gaps)), "224", f"of {len(gaps)}, strictly; {ties} ties more"),
        Headline("GPT-4 ahead of all", str(sum(gap < 0 for gap in best)), "6", f"of {len(tasks)} tasks"),
        Headline("GPT-3.5 ahead of all", str(len(led_by_gpt35)), "0", f"of {len(tasks)} tasks: {', '.join(led_by_gpt35)}"),
        Headline(
            "best > GPT-4",
            str(sum(gap > 0 for gap in best)),
            "",
            f"of {len(tasks)} tasks; {sum(gap == 0 for gap in best)} tie",
        ),
    ]


def by_kind() -> list[Headline]:
    tasks = published.tasks()
    larger = [model for model in published.models() if model not in SMALL]
    instruct = [model for model in published.models() if model not in AUTO_COMPLETE]
    larger_wins = sum(best_of(task, larger) > best_of(task, SMALL) for task in tasks)
    (plain_base, plain_tuned), (instruct_base, instruct_tuned) = mean_over(AUTO_COMPLETE), mean_over(instruct)
    return [
        Headline("7B over 2B", str(larger_wins), "29", f"of {len(tasks)} tasks: best of {len(larger)} over best of {len(SMALL)}"),
        Headline(
            "plain bases",
            paper_digits(plain_tuned),
            ".683",
            f"max(base, fine-tuned), mean of {len(AUTO_COMPLETE)}; before: {paper_digits(plain_base)}",
        ),
        Headline(
            "instructed bases",
            paper_digits(instruct_tuned),
            ".692",
            f"the same of the other {len(instruct)}; before: {paper_digits(instruct_base)}",
        ),
    ]


def mean_over(models: Collection[str]) -> tuple[float, float]:
    """Mean base and mean max(base, fine-tuned)."""
    cells = [(base, max(base, cell.score)) for cell, base, _ in all_scores() if cell.model in models]
    return fmean(base for base, _ in cells), fmean(tuned for _, tuned in cells)


def best_of(task: str, models: Collection[str]) -> float:
    return max(published.cell(task, model).score for model in models)


def points(fraction: float) -> str:
    """A difference in points of 100: `+38.4`."""
    return f"{100 * fraction:+.1f}"


def paper_digits(score: float) -> str:
    """A score as the paper prints it, `.683`; 1 is `1.00`, as wide."""
    return f"{score:.2f}" if round(score, 3) >= 1 else f"{score:.3f}".removeprefix("0")
