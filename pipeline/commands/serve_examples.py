"""Finds the test sets whose examples the page of `loralift serve` offers: those of the adapters that are served"""

from collections.abc import Mapping

from pipeline.commands.call import Call, find_artifact
from pipeline.planning.cell_jobs import jobs_of
from pipeline.planning.job import Job, Params
from pipeline.serving.example_sets import ExampleSet, can_be_requested
from pipeline.store.folders import HeldoutFolder
from pipeline.store.input_names import InputName
from pipeline.store.records import answer_tokens


def example_sets(call: Call, ids: Mapping[Job, str]) -> list[ExampleSet]:
    """The test sets that are prepared, one for each task of the recipe.

    Args:
        ids: of the adapters that are served, by the job that made them.
    """
    sets: dict[str, ExampleSet] = {}
    for spec in call.jobs[-1].params["cells"]:
        examples = example_set(call, spec, ids)
        if examples and examples.models and spec["task"] not in sets:
            sets[spec["task"]] = examples
    return list(sets.values())


def example_set(call: Call, spec: Params, ids: Mapping[Job, str]) -> ExampleSet | None:
    """The test set of a cell; None where it is not prepared, or its prompts are raw text, as those of lm-evaluation-harness."""
    jobs = jobs_of(call.jobs[-1], spec["cell"])
    heldout = find_artifact(call, jobs[InputName("heldout")])
    params = jobs[InputName("predictions", "base")].params
    if heldout is None or "max_new_tokens" not in params or params["model"].get("prompts"):
        return None
    examples = HeldoutFolder(heldout.path).examples()
    fitting = [example for example in examples if can_be_requested(example)]
    models = tuple(ids[job] for name, job in jobs.items() if name.role == "adapter" and job in ids)
    tokens = answer_tokens(params["max_new_tokens"], examples)
    return ExampleSet(
        spec["task"], models, fitting, len(examples) - len(fitting), tokens, tuple(params["stop"]), params["model"].get("thinking", False)
    )


def thinkers(call: Call, ids: Mapping[Job, str]) -> frozenset[str]:
    """Of the adapters that are served, those of tasks that turn the thinking switch on, and of no other tasks.

    Args:
        ids: by the job that made them.
    """
    switches: dict[str, set[bool]] = {}
    for spec in call.jobs[-1].params["cells"]:
        for name, job in jobs_of(call.jobs[-1], spec["cell"]).items():
            if name.role != "predictions" or name.suite:
                continue
            for model in [ids[source] for part, source in job.inputs if part == "adapter" and source in ids]:
                switches.setdefault(model, set()).add(job.params["model"].get("thinking", False))
    return frozenset(model for model, values in switches.items() if values == {True})
