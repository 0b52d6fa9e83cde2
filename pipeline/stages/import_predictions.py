"""Copies predictions that exist already into a folder as `generate` writes it, paired with the test examples: none too few or too many."""

from dataclasses import replace
from typing import Any

from pipeline.data import inline, pairing, prediction_files
from pipeline.machine import Work
from pipeline.progress import say
from pipeline.store.folders import HeldoutFolder, PredictionsFolder
from pipeline.store.records import UNKNOWN


def run(work: Work) -> dict[str, Any]:
    """Write the predictions into work.out.

    Raises:
        DataError: the file cannot be read, or its answers cannot be paired with the test examples one to one.
    """
    options = work.params["pairing"]
    [path] = work.params["predictions"]
    prediction_files.check(work.params["predictions"])
    file = prediction_files.read(path, pairing.answer_column(options, path))
    test = pairing.RowIndex.of(work.params["task"], work.machine.offline)
    paired = pairing.pair(file, test, options["id"])
    examples = HeldoutFolder(work.inputs["heldout"]).examples()
    targets = {example.id: example.target for example in examples}
    if pairing.answer_column(options, path) is None:
        paired.check_answers(test, targets)
    predictions = paired.predictions([example.id for example in examples], options["common_rows"])
    paired.check_structures(targets)
    if inline.from_spec(work.params["task"]).harness:  # its own metric reads texts and likelihoods
        predictions = [replace(row, scores={}) for row in predictions]
    PredictionsFolder(work.out).write_predictions(predictions)
    facts = pairing.facts(paired, len(predictions))
    say(f"  {file.path.name}: {len(predictions):,} answers, paired by {paired.described}")
    if facts["unused"]:
        say(f"  {file.path.name}: {facts['unused']:,} answers to rows that the test set leaves out are not used")
    return {**facts, "file": file.path.name, "ends_known": all(row.stopped != UNKNOWN for row in predictions)}
