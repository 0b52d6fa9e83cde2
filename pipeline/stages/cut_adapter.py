"""Cuts an adapter to a smaller rank by SVD of the update of every module, for answers that show how much of its rank is needed."""

from typing import Any

from pipeline.machine import Work
from pipeline.models import low_rank
from pipeline.store.folders import AdapterFolder

VERSION = 1


def run(work: Work) -> dict[str, Any]:
    source = AdapterFolder(work.inputs["adapter"])
    rank = work.params["rank"]
    weights = low_rank.cut(source.path, work.out, rank)
    return {
        "targets": source.targets(),
        "zero_modules": source.zero_modules(),
        "trainable_parameters": weights,
        "adapter_bytes": AdapterFolder(work.out).weights_bytes(),
        "rank": [rank],
    }
