"""Starts the stages of a recipe in a child process, kills it with SIGKILL at random moments, starts it again.

Run as a program, so that the children are forks of a process without threads:
python -m tests.killer RECIPE ROOT STAGE KILLS. Prints one JSON object.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

from pipeline import stages
from pipeline.store.artifact import Store
from tests import project

CHANGES = {"finetune.epochs": 6, "finetune.dropout": 0.1}


def child(recipe: Path, root: Path, stage: str) -> int:
    """Fork; the child carries the recipe out as far as the stage, and ends.

    The parent itself must never compute: a fork of a process whose libraries have started threads may hang.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            project.carry_out(recipe, root, CHANGES, {stage})
            status = 0
        finally:
            os._exit(status)
    return pid


def ended_well(pid: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def digests(root: Path) -> dict[str, str]:
    """Folder name to digest of everything in the store, each verified byte by byte."""
    by_folder = {}
    for artifact in Store(root / "data", root / "checkpoints").all():
        artifact.verify()
        by_folder[artifact.path.name] = artifact.digest
    return by_folder


def main() -> None:
    recipe, root, stage, kills = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    import bitsandbytes  # noqa: F401  # once, here, and not in every child
    import peft  # noqa: F401

    before = root / "before"  # what the stage needs, made once
    stages.find("prepare").version({})  # hashed once, here
    assert ended_well(child(recipe, before, "prepare" if stage == "finetune" else "finetune"))
    reference = shutil.copytree(before, root / "reference")
    start = time.monotonic()
    assert ended_well(child(recipe, reference, stage))
    whole, expected = time.monotonic() - start, digests(reference)

    rng, landed, resumed, finished, store = random.Random(stage), 0, 0, 0, root / "killed"
    shutil.copytree(before, store)
    while True:
        resumed += any((store / "checkpoints" / ".resume").glob("*/*"))
        pid, last = child(recipe, store, stage), landed >= kills
        if not last:
            time.sleep(rng.uniform(0.0, whole))
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        landed += os.WIFSIGNALED(status)
        current = digests(store)  # no half artifact is ever seen
        other = sorted(current.items() - expected.items())
        assert not other, f"a run that was killed made other bytes: {other}"
        if not os.WIFSIGNALED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            assert current == expected, "the store is not what a run that was never killed makes"
            finished += 1
            if last:
                break
            shutil.rmtree(store)
            shutil.copytree(before, store)
    print(json.dumps({"kills": landed, "resumed": resumed, "finished": finished, "seconds": round(whole, 2)}))


if __name__ == "__main__":
    main()
