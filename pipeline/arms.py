"""The arms of a comparison: which of them a task can have, and why it cannot have the others."""

from collections.abc import Collection, Sequence
from typing import Literal

from pipeline.config.recipe import Recipe
from pipeline.data.task import Task
from pipeline.errors import RecipeError
from pipeline.scoring import parsers

DEFAULT = ("base", "base_fewshot", "base_constrained", "tuned")
CONSTRAINED = ("base_constrained", "tuned_constrained")
DENSE = ("base_bf16", "merged", "merged_original")
"""Arms whose weights are not quantized: of one shape and type, whatever their values."""
PLACEBOS = ("shuffled_labels", "unrelated")
RAW = "_raw"
"""Ends the names of arms that rank choices by their whole log-likelihood, not by that a token."""
EMBEDDED = ("shop_sentiment", "shop_extraction")
"""Tasks that need no network: the placebo where a recipe has one task only, and the tasks that may be forgotten."""


def constraint(chosen: Task) -> Literal["choices", "keys", ""]:
    """How answers to a task can be held to its form: to its closed set of answers, or to the keys of its JSON targets."""
    if chosen.choices or chosen.answer is parsers.choice:
        return "choices"
    return "keys" if chosen.answer is parsers.json else ""


def obstacle(arm: str, chosen: Task, point: Recipe) -> str:
    """Why a task cannot have an arm; empty if it can."""
    if arm in CONSTRAINED and not constraint(chosen):
        return "its answers are free text: neither a closed set nor JSON"
    if arm in ("base_bf16", "merged") and point.generate.quantization == "none":
        return "the base is not quantized, so it would be the same as " + ("base" if arm == "base_bf16" else "merged_original")
    return ""


def stand_in(arm: str, timed: Collection[str], quantized: bool) -> str | None:
    """The timed arm that takes as long as this one, since it has weights of the same shape and type; None where there is none.

    Placebos are adapters of the same size as tuned, whatever is merged is a base that is not quantized, and ranking choices by their
    whole log-likelihood reads the same tokens.

    Args:
        quantized: whether the base is.
    """
    if arm in PLACEBOS:
        one = "tuned"
    elif arm in DENSE:
        one = "base_bf16" if quantized else "base"
    else:
        one = arm.removesuffix(RAW)
    return one if one in timed else None


def wanted(point: Recipe, chosen: Task) -> tuple[list[str], list[dict[str, str]]]:
    """The arms that a task gets, and {arm, why} for those that were asked for and cannot be."""
    asked = point.compare.arms or DEFAULT
    reasons = {arm: obstacle(arm, chosen, point) for arm in asked}
    return [arm for arm, why in reasons.items() if not why], [{"arm": arm, "why": why} for arm, why in reasons.items() if why]


def check(point: Recipe, tasks: Sequence[Task]) -> None:
    """Raise RecipeError for an arm that was asked for by name and that no task of the recipe can have."""
    for arm in (arm for arm in point.compare.arms or () if arm in CONSTRAINED):
        reasons = [(chosen.name, why) for chosen in tasks if (why := obstacle(arm, chosen, point))]
        if len(reasons) == len(tasks):
            name, why = reasons[0]
            raise RecipeError(f"compare.arms: {name} cannot have the arm {arm}: {why}.", f"Take {arm} out, or add a task that can have it.")
    most = point.prepare.train_examples
    asked = "shots" in point.compare.model_fields_set
    if asked and point.compare.shots > most and "base_fewshot" in (point.compare.arms or DEFAULT):
        raise RecipeError(
            f"compare.shots: there are no {point.compare.shots} examples to show: prepare.train_examples is {most}.",
            f"Take compare.shots of at most {most}, or leave base_fewshot out of compare.arms.",
        )
