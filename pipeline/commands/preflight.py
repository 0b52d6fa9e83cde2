"""What would stop a run hours after its start or make it vain: data files to be put in place, keys of endpoints, CUDA, resamples."""

from collections.abc import Iterable

from pipeline.commands import power
from pipeline.config.recipe import Recipe
from pipeline.data import inline, manual_files
from pipeline.data.task import Source
from pipeline.errors import MachineError, RecipeError, UserError
from pipeline.machine import Machine
from pipeline.plan import Job
from pipeline.references import endpoint


def check(recipe: Recipe, jobs: Iterable[Job], machine: Machine) -> None:
    """Look at everything that can be known now.

    Args:
        jobs: those that are still to be made.

    Raises:
        MachineError: every obstacle in a line of its own, with its remedy.
        RecipeError: the claims that are tested by randomization cannot be shown, whatever the answers.
    """
    if recipe.needs_cuda:
        need_cuda(recipe)
    jobs = list(jobs)
    need_resamples(recipe, jobs)
    files, keys = missing_files(jobs), missing_keys(machine)
    if files or keys:
        first, *others = dict.fromkeys([line for _, line in files] + keys)
        names = [task if isinstance(task, str) else task.name for task in recipe.tasks]
        left = [name for name in names if name not in {name for name, _ in files}]
        remedy = f"Or leave these tasks out: 'tasks=[{', '.join(left)}]'" if files and left else ""
        raise MachineError("\n".join([first, *(f"  {line}" for line in others)]), remedy)


def need_cuda(recipe: Recipe) -> None:
    import torch

    if not torch.cuda.is_available():
        raise MachineError(
            f"{recipe.name}: the recipe says needs_cuda, and this machine has no CUDA device",
            "Run it on a GPU, or override: needs_cuda=false.",
        )


def need_resamples(recipe: Recipe, jobs: Iterable[Job]) -> None:
    """Where a report is to be made."""
    for job in jobs:
        if job.stage == "report" and (found := power.out_of_reach(power.family_of(job))):
            problem, remedy = found
            raise RecipeError(f"{recipe.name}: {problem}", remedy)


def missing_files(jobs: Iterable[Job]) -> list[tuple[str, str]]:
    """Task and line for every file that only a person can fetch, where a split has no other source."""
    said = []
    for job in jobs:
        if job.stage == "prepare":
            task = inline.from_spec(job.params["task"])
            sources = task.train if job.params["split"] == "train" else task.heldout
            needed = [source.manual_file for source in sources if source.manual_file and not by_hand_done(source)]
            if len(needed) == len(sources):
                said += [
                    (task.name, f"{task.name}: there is no {manual_files.display_path(each)}. {manual_files.instructions(each)}")
                    for each in needed
                    if each
                ]
    seen = list(dict.fromkeys(name for name, _ in said))
    return sorted(said, key=lambda pair: seen.index(pair[0]))


def by_hand_done(source: Source) -> bool:
    """Whether a manual file is here or can be fetched."""
    return source.manual_file is None or bool(source.manual_file.url) or manual_files.existing_path(source.manual_file) is not None


def missing_keys(machine: Machine) -> list[str]:
    said = []
    for call in machine.endpoints:
        try:
            endpoint.key_of(call)
        except UserError as error:
            said.append(f"{error.problem}. {error.remedy}")
    return said
