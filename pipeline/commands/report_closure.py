"""Finds the artifacts that reports rest on: their inputs, the inputs of those, and so on."""

from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from pipeline.store.artifact import Artifact, Store


def paths(store: Store, folders: Collection[Path]) -> set[Path]:
    """The reports among these folders with all artifacts of the store that they rest on.

    An input is known by its digest; where several artifacts have it, by the name of the folder that was read.
    """
    artifacts = list(store.all())
    by_digest: dict[str, list[Artifact]] = defaultdict(list)
    for artifact in artifacts:
        by_digest[artifact.digest].append(artifact)
    waiting = [one for one in artifacts if one.stage == "report" and (one.path in folders or one.path.resolve() in folders)]
    reached: dict[Path, Artifact] = {}
    while waiting:
        artifact = waiting.pop()
        if artifact.path not in reached:
            reached[artifact.path] = artifact
            for name, digest in artifact.inputs.items():
                equal = by_digest[digest]
                waiting += [one for one in equal if one.path.name == artifact.lineage.get(name)] or equal
    return set(reached)
