"""Times one request at a time and measures memory: greedy, always the same number of new tokens, arms in turn.

speed.json holds raw measurements; the report computes medians, rates and overheads (measures/speed_summary.py).

The base is timed with 4-bit weights kept in 4 bit, as it would be deployed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from pipeline.data import few_shot_prompts
from pipeline.engine import timing
from pipeline.engine.timing import ArmTimer
from pipeline.engine.transformers_backend import TransformersBackend
from pipeline.errors import DataError, MachineError
from pipeline.machine import Work
from pipeline.measures import untested
from pipeline.models import loading, renderer, whole_model
from pipeline.progress import say
from pipeline.store.artifact import Artifact
from pipeline.store.folders import AdapterFolder, HeldoutFolder, SpeedFolder, TrainFolder
from pipeline.store.records import Example, answer_tokens

VERSION = 3
NEEDS = ("weights", "gpu")


def run(work: Work) -> dict[str, Any]:
    params = work.params
    device = work.machine.torch_device()
    render = renderer.renderer(params["model"])
    base = loading.load(params["model"], params["quantization"], params["compute"], device)
    window = loading.context_window(base)
    examples = HeldoutFolder(work.inputs["heldout"]).examples()
    heldout = examples[: params["prompts"]]
    prompts, new_tokens = fitting([render.prompt_ids(example.prompt) for example in heldout], window, params["new_tokens"])
    with fine_tuned(work, base) as (tuned, removable):
        backends = {"base": (TransformersBackend(base, render), removable), "tuned": (TransformersBackend(tuned, render), None)}
        arms = [ArmTimer(name, *backends[name], prompts) for name in backends]
        max_tokens = window - max(new_tokens, answer_tokens(params["answer_tokens"], examples))
        if params["shots"]:
            arms.append(ArmTimer("base_fewshot", *backends["base"], few_shot(work, render, heldout, max_tokens)))
        arms += constrained(work, render, heldout, backends, max_tokens)
        arms = [arm for arm in arms if arm.name in backends or arm.choices or differs(arm.prompts, prompts)]
        timing.warm_up(arms, new_tokens)
        untimed = add_dense(work, arms, new_tokens, render) if params["dense"] else None
        timing.time_interleaved(arms, new_tokens)
    measurements = {
        "arms": {arm.name: arm.measurements() for arm in arms},
        "new_tokens": new_tokens,
        "untimed": untimed,
        "adapter_bytes": added_bytes(work),
        "context_window": window,
    }
    SpeedFolder(work.out).write_measurements(measurements)
    return {"p50": {arm.name: median(arm.latency) for arm in arms}}


@contextmanager
def fine_tuned(work: Work, base: Any) -> Iterator[tuple[Any, Any]]:
    """The fine-tuned model, and the adapter to remove while the base is timed: None of a whole model, which lies beside its base."""
    if "model" in work.inputs:
        yield whole_model.load(work.params, work.inputs["model"], base.device), None
    else:
        with loading.adapted(base, work.inputs["adapter"]) as tuned:
            yield tuned, tuned


def added_bytes(work: Work) -> int:
    """Bytes of the files of the adapter, or of the whole fine-tuned model."""
    if "model" in work.inputs:
        return int(Artifact.open(work.inputs["model"]).facts["model_bytes"])
    return AdapterFolder(work.inputs["adapter"]).weights_bytes()


def differs(prompts: list[list[int]], base: list[list[int]]) -> bool:
    """Whether enough prompts of an arm are others than those of the base."""
    changed = sum(one != other for one, other in zip(prompts, base, strict=True))
    return changed >= untested.MIN_COVERAGE * len(base)


def fitting(prompts: list[list[int]], window: int, new_tokens: int) -> tuple[list[list[int]], int]:
    """The prompts, and the number of new tokens that fits into the window after the longest prompt.

    Raises:
        DataError: there is no prompt, or one fills the window.
    """
    if not prompts:
        raise DataError("there are no test examples to time.", "Raise prepare.heldout_examples.")
    max_new = window - max(map(len, prompts))
    if max_new < 1:
        raise DataError(f"a prompt of {window - max_new} tokens fills the context window of {window}.", "Lower prepare.max_tokens.")
    return prompts, min(new_tokens, max_new)


def add_dense(work: Work, arms: list[ArmTimer], new_tokens: int, render: renderer.Renderer) -> str | None:
    """Add the base without quantization, whose shape and type merged weights have; returns why not, if it does not fit."""
    import torch

    try:
        model = loading.load_unquantized(work.params, work.machine.torch_device())
        arm = ArmTimer("base_bf16", TransformersBackend(model, render), None, arms[0].prompts)
        timing.warm_up([arm], new_tokens)
    except (MachineError, torch.OutOfMemoryError):
        say("  not timed: weights that are not quantized do not fit beside the 4-bit base")
        return "weights that are not quantized do not fit beside the 4-bit base"
    arms.append(arm)
    return None


def constrained(
    work: Work, render: renderer.Renderer, heldout: list[Example], backends: dict[str, tuple[TransformersBackend, Any]], max_tokens: int
) -> list[ArmTimer]:
    """The constrained arms: they rank the choices, or their prompts name the keys."""
    names = [name for name in backends if f"{name}_constrained" in work.params["constrained"]]
    if not names:
        return []
    choices: list[list[list[int]]] = []
    if work.params["constrain"] == "keys":
        train, preface = train_part(work)
        heldout, _ = few_shot_prompts.with_key_lists(heldout, few_shot_prompts.json_keys(train), render, preface, max_tokens)
    else:
        choices = [[render.answer_ids(example.prompt, choice) for choice in example.choices] for example in heldout]
    prompts = [render.prompt_ids(example.prompt) for example in heldout]
    return [ArmTimer(f"{name}_constrained", *backends[name], prompts, choices) for name in names]


def train_part(work: Work) -> tuple[list[Example], str]:
    """The training examples, and the text before every prompt of the task."""
    return TrainFolder(work.inputs["train"]).examples(), HeldoutFolder(work.inputs["heldout"]).preface()


def few_shot(work: Work, render: renderer.Renderer, heldout: list[Example], max_tokens: int) -> list[list[int]]:
    """The few-shot prompts, as the arm base_fewshot has them."""
    train, preface = train_part(work)
    shots = few_shot_prompts.Shots(render, train, work.params["shots"], work.params["shots_seed"], max_tokens, preface)
    return [render.prompt_ids(shots.prompt(example)[0]) for example in heldout]
