"""Turns the section `finetune` of a recipe into the parameters of a fine-tuning job: what matters to the adapter, and no more"""

from pipeline.config.finetune import Finetune
from pipeline.config.methods import ADALORA
from pipeline.planning.job import Params


def adapter_params(section: Finetune) -> Params:
    """The parameters of the stage finetune that the section decides, without the seed and options of methods that are not used."""
    adalora = {name for name in Finetune.model_fields if name.startswith(ADALORA)}
    params = section.model_dump(mode="json", exclude={"seeds", "alpha", "method", "adalora", "eva_rho", *adalora})
    if section.layers is not None:
        params["layers"] = sorted(set(section.layers))
    if section.alpha is not None:  # it holds where ranks differ, too
        params["alpha_pattern"] = {**dict.fromkeys(section.rank_pattern, section.alpha), **section.alpha_pattern}
    if section.init == "eva":
        params["eva_rho"] = section.eva_rho
    if section.adalora:
        params |= {"adapter_kind": "adalora", **section.model_dump(mode="json", include=adalora)}
    return params
