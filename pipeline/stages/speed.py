"""How long the arms take for one request at a time, and how much memory: greedy, the same number of new tokens always, arms in turn.

The base is timed as it is loaded, 4-bit weights staying 4-bit, as one who deploys it would run it.
"""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline import choices, loading, records, shots, text
from pipeline.errors import DataError
from pipeline.machine import Work
from pipeline.progress import meter
from pipeline.records import Example

VERSION = 2


def run(work: Work) -> dict[str, Any]:
    params, device = work.params, work.machine.torch_device()
    adapter = work.inputs["adapter"]
    render = text.renderer(params["model"])
    base = loading.load(params["model"], params["quantization"], params["compute"], device)
    window = loading.context_window(base)
    exam = list(records.read(work.inputs["exam"] / "examples.jsonl", Example))[: params["prompts"]]
    prompts, new_tokens = fitting([render.prompt_ids(example.prompt) for example in exam], window, params["new_tokens"])
    with loading.adapted(base, adapter) as tuned, ExitStack() as stack:
        weights = {"base": (base, tuned), "tuned": (tuned, None)}
        arms = [Arm(name, *weights[name], prompts) for name in weights]
        if params["shots"]:
            arms.append(Arm("base_fewshot", *weights["base"], few_shot(work, render, exam, window - new_tokens)))
        arms += constrained(work, render, exam, weights, window - new_tokens)
        forget_peak(device)
        warm(arms, new_tokens, render.pad)
        peak = peak_bytes(device)
        if params["merged"]:
            with bare(tuned):  # its weights are read off the base
                merged = stack.enter_context(loading.merged(params, adapter, "dequantized", device))
            arms.append(Arm("merged", merged.get_base_model(), merged, prompts))  # without the wrappers of what was merged
            warm(arms[-1:], new_tokens, render.pad)
        race(arms, new_tokens, render.pad)
    found = told(arms, new_tokens) | {
        "peak_bytes": peak,
        "adapter_bytes": (adapter / "adapter_model.safetensors").stat().st_size,
        "context_window": window,
    }
    (work.out / "speed.json").write_text(json.dumps(found, indent=1), "utf-8")
    return {"p50": {arm.name: found["arms"][arm.name]["p50"] for arm in arms}}


@dataclass(frozen=True)
class Arm:
    """A model with the prompts that it is given, and the times that it took."""

    name: str
    model: Any
    without: Any
    """The PeftModel whose adapter is taken off while this arm answers, or None."""
    prompts: list[list[int]]
    choices: list[list[list[int]]] = field(default_factory=list)
    """Of every prompt the answers that are ranked instead of one being written; empty for an arm that writes."""
    latency: list[float] = field(default_factory=list)
    """Seconds of every request."""
    first: list[float] = field(default_factory=list)
    """Seconds until its first token."""

    def answer(self, at: int, new_tokens: int, pad: int) -> "Answer":
        """Of the prompt at this place."""
        ids = self.prompts[at]
        with bare(self.without) if self.without is not None else nullcontext():
            return ranked(self.model, ids, self.choices[at], pad) if self.choices else timed(self.model, ids, new_tokens, pad)


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


def constrained(work: Work, render: text.Renderer, exam: list[Example], weights: dict[str, Any], room: int) -> list[Arm]:
    """The arms that are held to the form of the answer: they rank its choices, or are told its keys."""
    names = [name for name in weights if f"{name}_constrained" in work.params["constrained"]]
    if not names:
        return []
    asked: list[list[list[int]]] = []
    if work.params["constrain"] == "keys":
        lessons, before = lessons_of(work)
        exam, _ = shots.naming(exam, shots.keys(lessons), render, before, room)
    else:
        asked = [[render.answer_ids(example.prompt, choice) for choice in example.choices] for example in exam]
    prompts = [render.prompt_ids(example.prompt) for example in exam]
    return [Arm(f"{name}_constrained", weights[name][0], weights[name][1], prompts, asked) for name in names]


def lessons_of(work: Work) -> tuple[list[Example], str]:
    """The training part, and what stands before every prompt of the task."""
    preface = work.inputs["exam"] / "preface.txt"
    lessons = list(records.read(work.inputs["train"] / "examples.jsonl", Example))
    return lessons, preface.read_text("utf-8") if preface.exists() else ""


def few_shot(work: Work, render: text.Renderer, exam: list[Example], room: int) -> list[list[int]]:
    """The prompts with worked examples, as the arm base_fewshot has them."""
    lessons, before = lessons_of(work)
    shown = shots.Shots(render, lessons, work.params["shots"], work.params["shots_seed"], room, before)
    return [render.prompt_ids(shown.prompt(example)[0]) for example in exam]


@contextmanager
def bare(tuned: Any) -> Iterator[None]:
    """The base with its own modules: an adapter that is only switched off is still asked in every layer, which takes time."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [(name, module) for name, module in tuned.named_modules() if isinstance(module, BaseTunerLayer)]
    places = [(tuned.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], layer) for name, layer in layers]
    for parent, name, layer in places:
        setattr(parent, name, layer.get_base_layer())
    try:
        yield
    finally:
        for parent, name, layer in places:
            setattr(parent, name, layer)


def warm(arms: list[Arm], new_tokens: int, pad: int) -> None:
    """One request an arm whose time is not counted: its longest prompt, so that it needs what any of them will need."""
    for arm in arms:
        arm.answer(max(range(len(arm.prompts)), key=lambda at: len(arm.prompts[at])), new_tokens, pad)


def race(arms: list[Arm], new_tokens: int, pad: int) -> None:
    """Every arm answers a prompt before the next prompt comes, so that whatever slows the machine slows all alike."""
    with meter("timing", len(arms[0].prompts), "prompts") as shown:
        for at in range(len(arms[0].prompts)):
            for arm in arms:
                answer = arm.answer(at, new_tokens, pad)
                arm.latency.append(answer.latency)
                arm.first.append(answer.first)
            shown.advance()


@dataclass(frozen=True)
class Answer:
    """One request: seconds in all, seconds until the first token, the new tokens."""

    latency: float
    first: float
    tokens: list[int]


class Clock:
    """Given to generate() as a streamer: notes when tokens come, the prompt's being the first call."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def put(self, tokens: Any) -> None:
        self.at.append(time.perf_counter())

    def end(self) -> None:
        pass


def timed(model: Any, ids: list[int], new_tokens: int, pad: int) -> Answer:
    """Answer one prompt greedily with exactly so many tokens; end tokens are left out of the choice."""
    import torch

    clock, given = Clock(), torch.tensor([ids], device=model.device)
    asked: dict[str, Any] = {"max_new_tokens": new_tokens, "min_new_tokens": new_tokens, "do_sample": False, "num_beams": 1}
    synchronize(model.device)
    start = time.perf_counter()
    with torch.inference_mode():
        out = model.generate(input_ids=given, attention_mask=torch.ones_like(given), pad_token_id=pad, streamer=clock, **asked)
    synchronize(model.device)
    return Answer(time.perf_counter() - start, clock.at[1] - start, out[0, len(ids) :].tolist())


def ranked(model: Any, ids: list[int], answers: list[list[int]], pad: int) -> Answer:
    """Rank the answers to one prompt by their log-likelihood; nothing is written, so the whole time is that of reading."""
    synchronize(model.device)
    start = time.perf_counter()
    choices.logprobs(model, [ids], [answers], pad)
    synchronize(model.device)
    took = time.perf_counter() - start
    return Answer(took, took, [])


def synchronize(device: Any) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forget_peak(device: Any) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: Any) -> int | None:
    """Bytes that base, adapter and one request took, by the CUDA allocator; None on a CPU, where a process holds what came before, too."""
    import torch

    return int(torch.cuda.max_memory_reserved(device)) if device.type == "cuda" else None


def told(arms: list[Arm], new_tokens: int) -> dict[str, Any]:
    """{arms: {name: {prompt_tokens (mean), latency, first, prompt_tokens_per_second, tokens_per_second, ranks, p50, p95}}, overhead: {name:
    its median latency over base's}, new_tokens, prompts}; seconds throughout.

    Prompt tokens are counted over the time to the first token, new ones from the second on over the time behind it (null if there is
    only one, or none, as where an arm ranks choices).
    """
    found: dict[str, dict[str, Any]] = {}
    for arm in arms:
        lengths, behind = [len(prompt) for prompt in arm.prompts], sum(arm.latency) - sum(arm.first)
        p50, p95 = (float(value) for value in np.quantile(arm.latency, [0.5, 0.95]))
        found[arm.name] = {
            "prompt_tokens": sum(lengths) / len(lengths),
            "latency": arm.latency,
            "first": arm.first,
            "prompt_tokens_per_second": sum(lengths) / sum(arm.first),
            "tokens_per_second": len(lengths) * (new_tokens - 1) / behind if new_tokens > 1 and not arm.choices else None,
            "ranks": bool(arm.choices),
            "p50": p50,
            "p95": p95,
        }
    overhead = {name: row["p50"] / found["base"]["p50"] for name, row in found.items() if name != "base"}
    return {"arms": found, "overhead": overhead, "new_tokens": new_tokens, "prompts": len(arms[0].prompts)}
