"""Says what a run that kept going after a failure lacks: which jobs failed and why, and which comparisons are therefore missing."""

import re
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from itertools import chain

from pipeline.errors import UserError
from pipeline.page import fmt
from pipeline.planning.job import Job
from pipeline.store import input_names
from pipeline.store.artifact import Artifact
from pipeline.store.records import JsonObject

PATH = re.compile(r"(?<![\w:/])~?/(?:[^\s'\"/]+/)+")
"""The folders in front of a file's name; a page says nothing of the machine's."""
MAX_NAMED = 6
"""Up to this many failed jobs are named in one line; each had a line of its own when it failed."""


class RunIncompleteError(UserError):
    """Jobs failed, and all that does not depend on them is done. Exit code 4."""

    status = 4

    def __init__(self, jobs: Sequence[Job], done: Mapping[Job, Artifact], causes: Mapping[Job, BaseException]) -> None:
        names = [f"{job.stage} {job.label}" for job in causes]
        named = ", ".join(names[:MAX_NAMED]) + (f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else "")
        waiting = len(jobs) - len(done) - len(causes)
        problem = f"{len(causes)} of {fmt.plural(len(jobs), 'job')} failed ({named})"
        problem += f", and {fmt.plural(waiting, 'job')} that need them did not run" if waiting else ""
        remedy = (
            "Mend the cause and run the same command again; finished work is kept. --retries 2 tries again what crashed or lacked memory."
        )
        super().__init__(problem, remedy)


def cause_line(error: BaseException) -> str:
    """The cause of a failure in a line, with the remedy where there is one."""
    if isinstance(error, UserError):
        return " ".join(f"{error.problem} {error.remedy}".split())
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def holes_of(report: Job, done: Container[Job], causes: Mapping[Job, BaseException]) -> list[JsonObject]:
    """Every comparison of a report that a failure stands in the way of.

    Returns:
        `{"task": ..., "point": ..., "why": ...}`; the last says what failed, of which training seed, why, and which seeds are trained.
    """
    roots = failed_roots(report, causes)
    lines: dict[str, list[str]] = defaultdict(list)
    trained: dict[str, list[int]] = defaultdict(list)
    for text, job in report.inputs:
        name = input_names.parse(text)
        lines[name.cell] += [failure_line(root, causes[root]) for root in roots[job]]
        if name.role == "adapter" and job in done and name.seed is not None:
            trained[name.cell].append(name.seed)
    rows = []
    for cell in report.params["cells"]:
        if lines[cell["cell"]]:
            seeds = trained[cell["cell"]] if len(cell["seeds"]) > 1 else []
            rest = [f"trained: {fmt.plural(len(seeds), 'seed')} ({', '.join(map(str, seeds))})"] if seeds else []
            rows.append({"task": cell["task"], "point": cell["point"], "why": "; ".join([*dict.fromkeys(lines[cell["cell"]]), *rest])})
    return rows


def failed_roots(report: Job, causes: Container[Job]) -> dict[Job, tuple[Job, ...]]:
    """By job, those that failed among it and all that it needs."""
    roots: dict[Job, tuple[Job, ...]] = {}
    waiting = [report]
    while waiting:
        job = waiting[-1]
        missing = [source for _, source in job.inputs if source not in roots]
        if missing:
            waiting += missing
            continue
        own = (job,) if job in causes else ()
        roots[waiting.pop()] = tuple(dict.fromkeys(chain(own, *(roots[source] for _, source in job.inputs))))
    return roots


def failure_line(job: Job, error: BaseException) -> str:
    """What failed and why, without the folders of the machine."""
    seed = f" (seed {job.params['seed']})" if job.stage == "finetune" and "seed" in job.params else ""
    problem = " ".join(error.problem.split()) if isinstance(error, UserError) else cause_line(error)
    return f"{job.stage}{seed} failed: {PATH.sub('', problem)}"
