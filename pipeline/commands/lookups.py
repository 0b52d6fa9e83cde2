"""Looks jobs up in a store, each with its inputs"""

from pathlib import Path

from pipeline.planning.job import Job
from pipeline.runner import find
from pipeline.store.artifact import Artifact, Store


class Lookups:
    """The artifacts of jobs. One that is there is looked for once; one that is not is looked for again, as it may have been made."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.artifacts: dict[Job, Artifact] = {}

    def artifact(self, job: Job) -> Artifact | None:
        """The artifact of a job, if it and all its inputs are in the store."""
        if job in self.artifacts:
            return self.artifacts[job]
        inputs = {name: self.artifact(source) for name, source in job.inputs}
        present = {name: artifact for name, artifact in inputs.items() if artifact is not None}
        artifact = find(job, present, self.store) if len(present) == len(inputs) else None
        if artifact is not None:
            self.artifacts[job] = artifact
        return artifact

    def folder(self, job: Job) -> Path | None:
        """Where the artifact of a job is, if it and all its inputs are in the store."""
        artifact = self.artifact(job)
        return None if artifact is None else artifact.path
