"""Requests at batch 1 and how long they take: arms answer every prompt in turn, greedily or by ranking choices."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.engine import choices
from pipeline.progress import meter


@dataclass
class Arm:
    """A model with the prompts that it is given, and what it took."""

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
    weight_bytes: int = 0
    peak_bytes: int | None = None
    """Its weights, and what its longest request took beside them at most, by the CUDA allocator; None on a CPU."""

    @contextmanager
    def ready(self) -> Iterator[None]:
        with bare(self.without) if self.without is not None else nullcontext():
            yield

    def tokens(self, at: int) -> int:
        """Tokens that are held at once for the prompt at this place: every choice stands behind a copy of it."""
        prompt, choices = self.prompts[at], self.choices[at] if self.choices else []
        return len(choices) * (len(prompt) + max(map(len, choices))) if choices else len(prompt)

    def answer(self, at: int, new_tokens: int, pad: int) -> "Answer":
        """Of the prompt at this place."""
        ids = self.prompts[at]
        with self.ready():
            return ranked(self.model, ids, self.choices[at], pad) if self.choices else timed(self.model, ids, new_tokens, pad)


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


def warm_up(arms: list[Arm], new_tokens: int, pad: int) -> None:
    """One request an arm whose time is not counted but whose memory is: its longest one needs what any of them will need."""
    for arm in arms:
        longest = max(range(len(arm.prompts)), key=arm.tokens)
        with arm.ready():
            arm.weight_bytes = stored_bytes(arm.model)
        if arm.model.device.type == "cuda":
            arm.answer(longest, new_tokens, pad)  # the first request also takes workspaces that stay, which are of no arm
        before = forget_peak(arm.model.device)
        arm.answer(longest, new_tokens, pad)
        arm.peak_bytes = None if before is None else arm.weight_bytes + peak_bytes(arm.model.device) - before


def time_interleaved(arms: list[Arm], new_tokens: int, pad: int) -> None:
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
    """Given to generate() as a streamer: notes when tokens come, the prompt's being the first call.

    It rests on generate() handing every token over before the next is computed, as transformers does on CPU and CUDA.
    """

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


def stored_bytes(model: Any) -> int:
    """Bytes of a model's weights and buffers; of 4-bit ones also what is needed to read them."""
    from bitsandbytes.nn import Linear4bit

    held = [*model.parameters(), *model.buffers()]
    for module in model.modules():
        if isinstance(module, Linear4bit):
            held += [value for value in module.weight.quant_state.as_dict().values() if hasattr(value, "nbytes")]
    return sum(int(tensor.nbytes) for tensor in held)


def forget_peak(device: Any) -> int | None:
    """The bytes that are taken on a CUDA device, from which its peak is counted; None on a CPU."""
    import torch

    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    return int(torch.cuda.memory_allocated(device))


def peak_bytes(device: Any) -> int:
    import torch

    return int(torch.cuda.max_memory_allocated(device))


def summarize(arms: list[Arm], new_tokens: int) -> dict[str, Any]:
    """{arms: {name: {prompt_tokens (mean), latency, first, prompt_tokens_per_second, tokens_per_second, ranks, p50, p95, weight_bytes,
    peak_bytes}}, overhead: {name: its latency over base's}, new_tokens, prompts}; seconds throughout.

    Prompt tokens are counted over the time to the first token, new ones from the second on over the time behind it (null if there is
    only one, or none, as where an arm ranks choices). Rates are medians over requests and overheads over prompts that both answered in
    turn, so that a request that the machine held up does not tell.

    Args:
        arms: the base first.
    """
    found: dict[str, dict[str, Any]] = {}
    for arm in arms:
        lengths, latency, first = np.array([len(prompt) for prompt in arm.prompts]), np.array(arm.latency), np.array(arm.first)
        writes = new_tokens > 1 and not arm.choices
        found[arm.name] = {
            "prompt_tokens": float(lengths.mean()),
            "latency": arm.latency,
            "first": arm.first,
            "prompt_tokens_per_second": float(np.median(lengths / first)),
            "tokens_per_second": float(np.median((new_tokens - 1) / (latency - first))) if writes else None,
            "ranks": bool(arm.choices),
            **dict(zip(("p50", "p95"), np.quantile(latency, [0.5, 0.95]).tolist(), strict=True)),
            "weight_bytes": arm.weight_bytes,
            "peak_bytes": arm.peak_bytes,
        }
    base = np.array(arms[0].latency)
    overhead = {arm.name: float(np.median(np.array(arm.latency) / base)) for arm in arms[1:]}
    return {"arms": found, "overhead": overhead, "new_tokens": new_tokens, "prompts": len(arms[0].prompts)}
