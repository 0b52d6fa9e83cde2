"""Searches the rows that an adapter from elsewhere was trained on for duplicates of test prompts. Nothing is trained on them."""

from collections import Counter
from typing import Any

from pipeline.data import inline, make_examples, overlap, source
from pipeline.data.files import BadRow
from pipeline.data.overlap import OverlapIndex
from pipeline.errors import DataError
from pipeline.machine import Work
from pipeline.progress import meter
from pipeline.store.folders import HeldoutFolder, TrainFolder

MAX_PAIRS = 20


def run(work: Work) -> dict[str, Any]:
    """Write the first pairs of a training prompt with the test prompt that it copies; facts: how many there are.

    Raises:
        DataError: the rows cannot be read, or none is in the form of the task.
    """
    params = work.params
    task = inline.from_spec(params["task"])
    split = source.open_first(task.train, work.machine.offline, inline.columns(params["task"]))
    inline.check_columns(params["task"], split.columns, split.location)
    heldout = HeldoutFolder(work.inputs["heldout"]).examples()
    index = OverlapIndex(heldout, params["near_duplicates"])
    maker = make_examples.example_maker(task, work.machine.offline)
    kinds: Counter[str] = Counter()
    copied: set[str] = set()
    pairs: list[dict[str, Any]] = []
    read = 0
    with meter(f"searching {split.location}", split.total, "rows") as progress:
        for row in split.read():
            progress.advance()
            example = maker.example(row)
            if isinstance(example, BadRow):
                continue
            read += 1
            if match := next(filter(None, map(index.match, overlap.questions(example))), None):
                kinds[match.kind] += 1
                copied.add(match.heldout)
                pair = {"train": example.id, "heldout": match.heldout, "similarity": round(match.similarity, 4), "kind": match.kind}
                pairs += [pair] if len(pairs) < MAX_PAIRS else []
    if not read:
        raise DataError(
            f"{split.location}: none of its rows has the form of the task {task.name}.", "Name the rows as they were trained on."
        )
    counts = {"exact": kinds["exact"], "near": kinds["near"]}
    TrainFolder(work.out).write_overlap({**counts, "threshold": params["near_duplicates"], "pairs": pairs})
    return {"rows": read, "overlap_exact": counts["exact"], "overlap_near": counts["near"], "copied": len(copied), "heldout": len(heldout)}
