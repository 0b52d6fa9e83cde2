"""Takes the singular values of the update that an adapter learned, module by module: how much of its rank it uses."""

from typing import Any

from pipeline.machine import Work
from pipeline.models import low_rank
from pipeline.store.result_folders import SpectrumFolder


def run(work: Work) -> dict[str, Any]:
    modules = low_rank.spectrum(work.inputs["adapter"])
    SpectrumFolder(work.out).write_modules(modules)
    return {"modules": len(modules)}
