"""Times requests at batch size 1: the arms answer every prompt in turn, greedily or by ranking choices."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipeline.engine import choices
from pipeline.progress import meter


class TimedBackend(Protocol):
    """What is timed of a backend; TransformersBackend is one."""

    model: Any

    def time_answer(self, prompt: Sequence[int], new_tokens: int) -> "Answer": ...

    def time_ranking(self, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> "Answer": ...


@dataclass
class Arm:
    """A backend with the prompts that it answers, and what that took."""

    name: str
    backend: TimedBackend
    without: Any
    """The PeftModel whose adapter is taken off while this arm answers, or None."""
    prompts: list[list[int]]
    choices: list[list[list[int]]] = field(default_factory=list)
    """For every prompt the answers that are ranked instead of one being written; empty for an arm that writes."""
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

    def tokens(self, index: int) -> int:
        """Tokens that are held at once for a prompt: every choice comes after a copy of it."""
        prompt, choices = self.prompts[index], self.choices[index] if self.choices else []
        return len(choices) * (len(prompt) + max(map(len, choices))) if choices else len(prompt)

    def answer(self, index: int, new_tokens: int) -> "Answer":
        """One request, timed."""
        prompt = self.prompts[index]
        with self.ready():
            return self.backend.time_ranking(prompt, self.choices[index]) if self.choices else self.backend.time_answer(prompt, new_tokens)

    def measurements(self) -> dict[str, Any]:
        """What was measured, as speed.json holds it: one value per request, in seconds and tokens; nothing derived."""
        return {
            "prompt_lengths": [len(prompt) for prompt in self.prompts],
            "latency": self.latency,
            "first": self.first,
            "ranks": bool(self.choices),
            "weight_bytes": self.weight_bytes,
            "peak_bytes": self.peak_bytes,
        }


@contextmanager
def bare(tuned: Any) -> Iterator[None]:
    """The base with its own modules: an adapter that is only switched off is still called in every layer, which takes time."""
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


def warm_up(arms: list[Arm], new_tokens: int) -> None:
    """One request per arm whose time is not counted but whose memory is: its longest one needs what any of them will need."""
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


def time_interleaved(arms: list[Arm], new_tokens: int) -> None:
    """Every arm answers a prompt before the next prompt comes, so that whatever slows the machine slows all arms equally."""
    count = len(arms[0].prompts)
    with meter("timing", count, "prompts") as progress:
        for index in range(count):
            for arm in arms:
                answer = arm.answer(index, new_tokens)
                arm.latency.append(answer.latency)
                arm.first.append(answer.first)
            progress.advance()


@dataclass(frozen=True)
class Answer:
    """One request: seconds in all, seconds until the first token, the new tokens."""

    latency: float
    first: float
    tokens: list[int]


class Clock:
    """A streamer for generate() that notes when tokens come, the prompt's being the first call.

    It relies on generate() handing every token over before the next is computed, as transformers does on CPU and CUDA.
    """

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, tokens: Any) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


def timed(model: Any, ids: list[int], new_tokens: int, pad: int) -> Answer:
    """Answer one prompt greedily with exactly so many tokens; end tokens are left out of the choice."""
    import torch

    clock, prompt = Clock(), torch.tensor([ids], device=model.device)
    options: dict[str, Any] = {"max_new_tokens": new_tokens, "min_new_tokens": new_tokens, "do_sample": False, "num_beams": 1}
    synchronize(model.device)
    start = time.perf_counter()
    with torch.inference_mode():
        out = model.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), pad_token_id=pad, streamer=clock, **options)
    synchronize(model.device)
    return Answer(time.perf_counter() - start, clock.times[1] - start, out[0, len(ids) :].tolist())


def ranked(model: Any, ids: Sequence[int], answers: Sequence[Sequence[int]], pad: int) -> Answer:
    """Rank the answers to one prompt by their log-likelihood; nothing is written, so the whole time is that of reading."""
    synchronize(model.device)
    start = time.perf_counter()
    choices.logprobs(model, [ids], [answers], pad)
    synchronize(model.device)
    seconds = time.perf_counter() - start
    return Answer(seconds, seconds, [])


def synchronize(device: Any) -> None:
    """Wait until a CUDA device has finished its work."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def stored_bytes(model: Any) -> int:
    """Bytes of a model's weights and buffers; of 4-bit ones also what is needed to read them."""
    from bitsandbytes.nn import Linear4bit

    tensors = [*model.parameters(), *model.buffers()]
    for module in model.modules():
        if isinstance(module, Linear4bit):
            tensors += [value for value in module.weight.quant_state.as_dict().values() if hasattr(value, "nbytes")]
    return sum(int(tensor.nbytes) for tensor in tensors)


def reset_peak(device: Any) -> int | None:
    """The bytes that are taken on a CUDA device, from which its peak is counted; None on a CPU."""
    import torch

    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    return int(torch.cuda.memory_allocated(device))


def peak_bytes(device: Any) -> int:
    """The most bytes that were allocated on a CUDA device since reset_peak."""
    import torch

    return int(torch.cuda.max_memory_allocated(device))
