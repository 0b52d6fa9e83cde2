"""Ends a run before any training, if the recipe slices the test sets by something that none of its tasks has."""

from collections.abc import Iterable

from pipeline.errors import RecipeError
from pipeline.planning.job import Job
from pipeline.store.artifact import Artifact
from pipeline.store.records import JsonObject

STAGE = "slice_examples"


class SliceCheck:
    """Call it for every event of a run, see runner.run(): when all test sets of the run are sliced, it checks what came of it."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.waiting = {job for job in jobs if job.stage == STAGE}
        self.slicings: list[tuple[str, JsonObject]] = []
        """Task, and what came of an entry of the recipe."""

    def __call__(self, event: str, job: Job, artifact: Artifact | None) -> None:
        del event
        if artifact is None or job not in self.waiting:
            return
        self.slicings += [(job.label, row) for row in artifact.facts["slicings"]]
        self.waiting.remove(job)
        if not self.waiting:
            check(self.slicings)


def check(slicings: Iterable[tuple[str, JsonObject]]) -> None:
    """Raise RecipeError for every entry that is a mistake for all tasks; where it fits one of them, the others do without."""
    by_entry: dict[tuple[str, str], list[tuple[str, JsonObject]]] = {}
    for task, row in slicings:
        by_entry.setdefault((row["kind"], row["by"]), []).append((task, row))
    mistakes = [rows for rows in by_entry.values() if all(row["remedy"] for _, row in rows)]
    if mistakes:
        lines = [f"compare.slices: {task}: {row['why']}. {row['remedy']}" for rows in mistakes for task, row in rows]
        raise RecipeError("\n  ".join(dict.fromkeys(lines)))
