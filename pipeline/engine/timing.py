"""Times requests at batch size 1: the arms answer every prompt in turn, greedily or by ranking choices."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipeline.engine import choices
from pipeline.progress import meter


class TimedBackend(Protocol):
    """What a backend needs to be timed; TransformersBackend has it."""

    model: Any

    def time_answer(self, prompt: Sequence[int], new_tokens: int) -> "RequestTiming": ...

    def time_ranking(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> "RequestTiming": ...


@dataclass
class ArmTimer:
    """An arm to be timed: its backend, its prompts, and the measurements."""

    name: str
    backend: TimedBackend
    adapter_to_remove: Any
    """The PeftModel whose adapter is removed while this arm answers, or None."""
    prompts: list[list[int]]
    choices: list[list[list[int]]] = field(default_factory=list)
    """The choices to rank, by prompt; empty for an arm that generates."""
    latency: list[float] = field(default_factory=list)
    """Seconds of every request."""
    first_token: list[float] = field(default_factory=list)
    """Seconds until its first token."""
    weight_bytes: int = 0
    peak_bytes: int | None = None
    """Peak of the CUDA allocator during its longest request, weights included; None on a CPU."""

    @contextmanager
    def ready(self) -> Iterator[None]:
        with adapter_removed(self.adapter_to_remove) if self.adapter_to_remove is not None else nullcontext():
            yield

    def tokens(self, index: int) -> int:
        """Tokens in memory at once for a prompt: every choice follows a copy of it."""
        prompt = self.prompts[index]
        choices = self.choices[index] if self.choices else []
        return len(choices) * (len(prompt) + max(map(len, choices))) if choices else len(prompt)

    def answer(self, index: int, new_tokens: int) -> "RequestTiming":
        """One request, timed."""
        prompt = self.prompts[index]
        with self.ready():
            return self.backend.time_ranking(prompt, self.choices[index]) if self.choices else self.backend.time_answer(prompt, new_tokens)

    def measurements(self) -> dict[str, Any]:
        """The raw measurements for speed.json: one value per request, in seconds and tokens."""
        return {
            "prompt_lengths": [len(prompt) for prompt in self.prompts],
            "latency": self.latency,
            "first": self.first_token,
            "ranks": bool(self.choices),
            "weight_bytes": self.weight_bytes,
            "peak_bytes": self.peak_bytes,
        }


@contextmanager
def adapter_removed(tuned: Any) -> Iterator[None]:
    """Put the base's own modules back for a while: an adapter that is only disabled is still called in every layer, which takes time."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [(name, module) for name, module in tuned.named_modules() if isinstance(module, BaseTunerLayer)]
    parents = [(tuned.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], layer) for name, layer in layers]
    for parent, name, layer in parents:
        setattr(parent, name, layer.get_base_layer())
    try:
        yield
    finally:
        for parent, name, layer in parents:
            setattr(parent, name, layer)


def warm_up(arms: list[ArmTimer], new_tokens: int) -> None:
    """Send the longest prompt of every arm once: its time is not counted, but its peak memory is that of the arm."""
    for arm in arms:
        longest = max(range(len(arm.prompts)), key=arm.tokens)
        device = arm.backend.model.device
        with arm.ready():
            arm.weight_bytes = stored_bytes(arm.backend.model)
        if device.type == "cuda":
            arm.answer(longest, new_tokens)  # the first request also allocates workspaces that stay and belong to no arm
        before = reset_peak(device)
        arm.answer(longest, new_tokens)
        arm.peak_bytes = None if before is None else arm.weight_bytes + peak_bytes(device) - before


def time_interleaved(arms: list[ArmTimer], new_tokens: int) -> None:
    """Every arm answers a prompt before the next prompt comes, so that whatever slows the machine slows all arms equally."""
    count = len(arms[0].prompts)
    with meter("timing", count, "prompts") as progress:
        for index in range(count):
            for arm in arms:
                answer = arm.answer(index, new_tokens)
                arm.latency.append(answer.latency)
                arm.first_token.append(answer.first_token)
            progress.advance()


@dataclass(frozen=True)
class RequestTiming:
    """One request: total seconds, seconds until the first token, the new tokens."""

    latency: float
    first_token: float
    tokens: list[int]


class TokenClock:
    """A streamer for generate() that records when tokens arrive; the first call is for the prompt.

    It relies on generate() handing every token over before the next is computed, as transformers does on CPU and CUDA.
    """

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, tokens: Any) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


def time_generation(model: Any, ids: list[int], new_tokens: int, pad: int) -> RequestTiming:
    """Generate exactly `new_tokens` tokens greedily; EOS tokens are suppressed."""
    import torch

    clock = TokenClock()
    prompt = torch.tensor([ids], device=model.device)
    options: dict[str, Any] = {"max_new_tokens": new_tokens, "min_new_tokens": new_tokens, "do_sample": False, "num_beams": 1}
    synchronize(model.device)
    start = time.perf_counter()
    with torch.inference_mode():
        out = model.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), pad_token_id=pad, streamer=clock, **options)
    synchronize(model.device)
    return RequestTiming(time.perf_counter() - start, clock.times[1] - start, out[0, len(ids) :].tolist())


def time_ranking(model: Any, ids: Sequence[int], answers: Sequence[Sequence[int]], pad: int) -> RequestTiming:
    """Rank the answers to one prompt by their log-likelihood; nothing is generated, so the first token takes the whole time."""
    synchronize(model.device)
    start = time.perf_counter()
    choices.logprobs(model, [ids], [answers], pad)
    synchronize(model.device)
    seconds = time.perf_counter() - start
    return RequestTiming(seconds, seconds, [])


def synchronize(device: Any) -> None:
    """Wait until a CUDA device has finished its work."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def stored_bytes(model: Any) -> int:
    """Bytes of a model's weights and buffers, with the quantization state of 4-bit ones."""
    from bitsandbytes.nn import Linear4bit

    tensors = [*model.parameters(), *model.buffers()]
    for module in model.modules():
        if isinstance(module, Linear4bit):
            tensors += [value for value in module.weight.quant_state.as_dict().values() if hasattr(value, "nbytes")]
    return sum(int(tensor.nbytes) for tensor in tensors)


def reset_peak(device: Any) -> int | None:
    """Reset the peak of a CUDA device; returns the bytes that are allocated now, None on a CPU."""
    import torch

    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    return int(torch.cuda.memory_allocated(device))


def peak_bytes(device: Any) -> int:
    """The most bytes that were allocated on a CUDA device since reset_peak."""
    import torch

    return int(torch.cuda.max_memory_allocated(device))
