"""Samples the examples that the base answers before any training: validation examples, and training ones where those are too few.

Test examples are never among them, so that a forecast has not seen what will judge it; nor are the few-shot examples.
"""

from typing import Any

from pipeline.data import few_shot_prompts, thoughts
from pipeline.machine import Work
from pipeline.store.folders import HeldoutFolder, TrainFolder


def run(work: Work) -> dict[str, Any]:
    """Write the sample as test examples are written. Both parts are in the random order in which `prepare` draws examples."""
    params = work.params
    train = TrainFolder(work.inputs["train"])
    validation, training = train.dev(), train.examples()
    shots = {example.id for example in few_shot_prompts.choose(training, params["shots"], params["shots_seed"])}
    rest = [example for example in training if example.id not in shots]
    sample = [*validation, *rest][: params["examples"]]
    folder = HeldoutFolder(work.out)
    if preface := HeldoutFolder(work.inputs["heldout"]).preface():
        folder.write_preface(preface)
    count = folder.write_examples(example for _, example in thoughts.without(("", example) for example in sample))
    return {"examples": count, "training_examples": max(0, count - len(validation))}
