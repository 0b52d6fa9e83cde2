"""How long the arms take for one request at a time, and how much memory: greedy, the same number of new tokens always, arms in turn.

The base is timed as it is loaded, 4-bit weights staying 4-bit, as one who deploys it would run it.
"""

import json
from typing import Any

from pipeline.data import few_shot_prompts
from pipeline.engine import timing
from pipeline.engine.timing import Arm
from pipeline.errors import DataError, MachineError
from pipeline.machine import Work
from pipeline.models import loading, renderer
from pipeline.progress import say
from pipeline.store import records
from pipeline.store.records import Example

VERSION = 3
NEEDS = ("weights", "gpu")


def run(work: Work) -> dict[str, Any]:
    params, device = work.params, work.machine.torch_device()
    adapter = work.inputs["adapter"]
    render = renderer.renderer(params["model"])
    base = loading.load(params["model"], params["quantization"], params["compute"], device)
    window = loading.context_window(base)
    exam = list(records.read(work.inputs["exam"] / "examples.jsonl", Example))[: params["prompts"]]
    prompts, new_tokens = fitting([render.prompt_ids(example.prompt) for example in exam], window, params["new_tokens"])
    with loading.adapted(base, adapter) as tuned:
        weights = {"base": (base, tuned), "tuned": (tuned, None)}
        arms = [Arm(name, *weights[name], prompts) for name in weights]
        room = window - max(new_tokens, params["answer_tokens"])
        if params["shots"]:
            arms.append(Arm("base_fewshot", *weights["base"], few_shot(work, render, exam, room)))
        arms += constrained(work, render, exam, weights, room)
        timing.warm_up(arms, new_tokens, render.pad)
        untimed = add_dense(work, arms, new_tokens, render.pad) if params["dense"] else None
        timing.time_interleaved(arms, new_tokens, render.pad)
    found = timing.summarize(arms, new_tokens) | {
        "untimed": untimed,
        "adapter_bytes": (adapter / "adapter_model.safetensors").stat().st_size,
        "context_window": window,
    }
    (work.out / "speed.json").write_text(json.dumps(found, indent=1), "utf-8")
    return {"p50": {arm.name: found["arms"][arm.name]["p50"] for arm in arms}}


def fitting(prompts: list[list[int]], window: int, new_tokens: int) -> tuple[list[list[int]], int]:
    """The prompts, and as many new tokens as the longest of them leaves room for.

    Raises:
        DataError: there is no prompt, or one fills the window.
    """
    if not prompts:
        raise DataError("there are no held-out examples to time.", "Raise prepare.heldout_examples.")
    room = window - max(map(len, prompts))
    if room < 1:
        raise DataError(f"a prompt of {window - room} tokens fills the context window of {window}.", "Lower prepare.max_tokens.")
    return prompts, min(new_tokens, room)


def add_dense(work: Work, arms: list[Arm], new_tokens: int, pad: int) -> str | None:
    """Add the base as it came, not quantized, of which merged weights have the shape and type; why not, where it does not fit."""
    import torch

    try:
        model = loading.unquantized(work.params, work.machine.torch_device())
        arm = Arm("base_bf16", model, None, arms[0].prompts)
        timing.warm_up([arm], new_tokens, pad)
    except (MachineError, torch.OutOfMemoryError):
        say("  not timed: weights that are not quantized do not fit beside the 4-bit base")
        return "weights that are not quantized do not fit beside the 4-bit base"
    arms.append(arm)
    return None


def constrained(work: Work, render: renderer.Renderer, exam: list[Example], weights: dict[str, Any], room: int) -> list[Arm]:
    """The arms that are held to the form of the answer: they rank its choices, or are told its keys."""
    names = [name for name in weights if f"{name}_constrained" in work.params["constrained"]]
    if not names:
        return []
    asked: list[list[list[int]]] = []
    if work.params["constrain"] == "keys":
        lessons, before = lessons_of(work)
        exam, _ = few_shot_prompts.with_key_lists(exam, few_shot_prompts.json_keys(lessons), render, before, room)
    else:
        asked = [[render.answer_ids(example.prompt, choice) for choice in example.choices] for example in exam]
    prompts = [render.prompt_ids(example.prompt) for example in exam]
    return [Arm(f"{name}_constrained", weights[name][0], weights[name][1], prompts, asked) for name in names]


def lessons_of(work: Work) -> tuple[list[Example], str]:
    """The training part, and what stands before every prompt of the task."""
    preface = work.inputs["exam"] / "preface.txt"
    lessons = list(records.read(work.inputs["train"] / "examples.jsonl", Example))
    return lessons, preface.read_text("utf-8") if preface.exists() else ""


def few_shot(work: Work, render: renderer.Renderer, exam: list[Example], room: int) -> list[list[int]]:
    """The prompts with worked examples, as the arm base_fewshot has them."""
    lessons, before = lessons_of(work)
    shown = few_shot_prompts.Shots(render, lessons, work.params["shots"], work.params["shots_seed"], room, before)
    return [render.prompt_ids(shown.prompt(example)[0]) for example in exam]
