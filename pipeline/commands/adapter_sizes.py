"""Counts the weights of the adapter that a fine-tuning job trains, and finds what does not fit its base, from the base's shape alone"""

from collections.abc import Iterable, Iterator, Mapping

from pipeline.errors import ModelError
from pipeline.models import adapter_kinds, base_model, module_ranks
from pipeline.planning.job import Job, Params

Widths = Mapping[str, tuple[int, int]]
"""By full name of a linear module its (in, out) features."""


def ranks(params: Params, modules: Widths) -> dict[str, int]:
    """By module the rank with which training begins; EVA's, which the data decide, count as equal.

    Raises:
        ModelError: a layer is not there, or patterns fit no module.
    """
    targeted = [name for name in modules if module_ranks.is_target(name, params["targets"])]
    if params["layers"] is not None:
        module_ranks.check_layers(targeted, params["layers"])
    first = adapter_kinds.of_params(params).first_rank(params)
    return module_ranks.ranks(module_ranks.in_layers(targeted, params["layers"]), {**params, "rank": first})


def weights(params: Params, modules: Widths) -> int:
    """All weights of the adapter. Raises ModelError as ranks() does."""
    kind = adapter_kinds.of_params(params)
    return sum(kind.parameter_count(rank, [modules[name]]) for name, rank in ranks(params, modules).items())


def frozen_weights(params: Params, modules: Widths) -> int:
    """Those of them that are not trained: the A matrices of LoRA-FA."""
    return sum(rank * modules[name][0] for name, rank in ranks(params, modules).items()) if params["lora_fa"] else 0


def faults(jobs: Iterable[Job]) -> Iterator[str]:
    """What does not fit a base of known shape: layers, patterns, and more directions than EVA finds; of others training tells."""
    for job in jobs:
        shape = base_model.shape_of(job.params["model"]) if job.stage == "finetune" else None
        if shape is None:
            continue
        try:
            fitting = ranks(job.params, shape.modules)
            module_ranks.alphas(fitting, job.params)
        except ModelError as error:
            yield f"{error.problem}. {error.remedy}"
            continue
        widths = [width for name in fitting if isinstance(width := shape.modules[name][0], int)]  # of a config.json that may be odd
        narrowest = min(widths, default=0)
        if job.params["init"] == "eva" and narrowest < (directions := 2 * round(job.params["rank"] * job.params["eva_rho"])):
            yield (
                f"finetune.init: EVA looks for {directions} directions, twice rank times eva_rho, and a module of the base reads "
                f"{narrowest} features. Lower finetune.rank or finetune.eva_rho."
            )
