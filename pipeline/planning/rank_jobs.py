"""Plans how much of the rank of an adapter is needed: its singular values, and its answers when it is cut to smaller ranks"""

from pipeline import arms
from pipeline.errors import RecipeError
from pipeline.planning.job import Job, Jobs, job
from pipeline.planning.task_plan import TaskPlan
from pipeline.store.input_names import InputName

RANK = "finetune.rank"


def spectra(task_plan: TaskPlan) -> Jobs:
    """The singular values of every adapter that is trained here, where ranks are swept or cut."""
    is_wanted = task_plan.recipe.compare.rank_cuts or RANK in task_plan.point.whole.swept
    if not is_wanted or not task_plan.context.is_trained_here or task_plan.training.dora:
        return {}
    adapters = task_plan.adapters.items()
    return {InputName("spectrum", seed=seed): job("spectrum", adapter.label, {}, adapter=adapter) for seed, adapter in adapters}


def cut_arms(task_plan: TaskPlan) -> Jobs:
    """The predictions of the adapter cut to smaller ranks; of several training seeds the first.

    Raises:
        RecipeError: the adapters are DoRA's, which are more than a product of two matrices.
    """
    if not task_plan.context.is_trained_here:
        return {}
    ranks = cut_ranks(task_plan)
    if ranks and task_plan.training.dora:
        raise RecipeError(
            "compare.rank_cuts: a DoRA adapter scales every row by the norm of base and update, so that no SVD of the update cuts it.",
            "Leave rank_cuts or finetune.dora out.",
        )
    return {
        InputName("predictions", arms.cut_to(rank)): task_plan.generate(
            f"r{task_plan.training.rank}-s{task_plan.first_seed}-cut{rank}", adapter=cut_adapter(task_plan, rank)
        )
        for rank in ranks
    }


def cut_adapter(task_plan: TaskPlan, rank: int) -> Job:
    adapter = task_plan.first_adapter
    return job("cut_adapter", f"{adapter.label}-cut{rank}", {"rank": rank}, adapter=adapter)


def cut_ranks(task_plan: TaskPlan) -> list[int]:
    """The ranks to cut to, below that of the adapter, the smallest first."""
    full = task_plan.training.rank
    cuts = task_plan.recipe.compare.rank_cuts
    if cuts == "halves":
        return sorted(full >> shift for shift in range(1, full.bit_length()))
    return sorted(rank for rank in cuts if rank < full)
