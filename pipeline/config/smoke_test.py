"""Shrinks a recipe to a smoke test: every stage runs, on a few examples, to find what breaks before a long run does."""

from pipeline.config.recipe import Recipe


def shrunk(recipe: Recipe, limit: int) -> Recipe:
    """A recipe, or a point of its sweep, on at most `limit` examples of everything, and with at least two optimizer steps for two examples.

    An adapter of two steps may change nothing that can be measured, so the comparison does not insist on a live one.
    """
    prepare, finetune, compare, general = recipe.prepare, recipe.finetune, recipe.compare, recipe.general
    train = limit if prepare.train_examples is None else min(limit, prepare.train_examples)
    return recipe.model_copy(
        update={
            "prepare": prepare.model_copy(
                update={
                    "train_examples": train,
                    "dev_examples": min(limit, prepare.dev_examples),
                    "heldout_examples": min(limit, prepare.heldout_examples),
                }
            ),
            "finetune": finetune.model_copy(update={"batch_examples": min(max(1, train // 2), finetune.batch_examples)}),
            "compare": compare.model_copy(
                update={
                    "liveness": False,
                    "shots": min(limit, compare.shots),
                    "relevance_examples": min(limit, compare.relevance_examples),
                    "speed_prompts": min(limit, compare.speed_prompts),
                }
            ),
            "general": general.model_copy(update={"examples": min(limit, general.examples)}),
        }
    )
