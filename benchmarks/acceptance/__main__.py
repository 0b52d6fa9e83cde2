"""Everything that only a CUDA device can show, in one command of at most ten minutes on an H100; writes one JSON.

Run: python -m benchmarks.acceptance [--shape llama-2-7b] [--parts tests,training] [--seconds 540]

Parts, in this order: `tests` (those marked gpu), `limits` (ceilings of products and copies), `training` (each setting that the defaults
choose among, beside plain transformers + peft), `estimates` (memory and time by formula beside the measured), `generation`, `choices`,
`quickstart` (from end to end). The base has the shape of its row and random weights: speed and memory only. A part that fails has its
error in the file, and the next one runs; the file is written after every part. Writes benchmarks/results/acceptance-<shape>-<device>.json.
"""

import argparse
import json
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.acceptance import answering, estimates, machine_limits, suites, training, workloads
from benchmarks.real_shape import random_base
from pipeline import machine
from pipeline.models import base_model, loading
from pipeline.models.shapes import Shape

RESULTS = Path(__file__).parents[1] / "results"
TINY = Shape("llama", hidden=64, layers=2, heads=4, kv_heads=2, head_dim=16, ffn=128, vocab=1536)
"""For trials of this program on a CPU."""


@dataclass(frozen=True)
class Size:
    """How much is timed."""

    steps: int
    """Optimizer steps, the first of which warms up."""
    batch_examples: int
    budget: int
    """Tokens in one pass."""
    longest: int
    """Tokens of the longest prompt."""
    prompts: int
    new_tokens: int


REAL = Size(steps=5, batch_examples=64, budget=8192, longest=1024, prompts=64, new_tokens=64)
TRIAL = Size(steps=2, batch_examples=4, budget=512, longest=64, prompts=4, new_tokens=3)


@dataclass
class Bench:
    """The base, loaded once, and what the parts measured so far."""

    shape_name: str
    folder: Path
    here: machine.Machine
    end: float
    """By time.monotonic()."""

    @cached_property
    def shape(self) -> Shape:
        if self.shape_name == "tiny":
            return TINY
        shape = next(row.shape for row in base_model.MODELS if row.name == self.shape_name)
        if shape is None:
            raise ValueError(f"{self.shape_name}: the table of models has no shape for it")
        return shape

    @property
    def size(self) -> Size:
        return TRIAL if self.shape_name == "tiny" else REAL

    @cached_property
    def device(self) -> Any:
        return self.here.torch_device()

    @cached_property
    def base(self) -> Any:
        """In NF4, from a folder, as every stage loads it."""
        start = time.perf_counter()
        folder = random_base(self.shape, self.folder, self.device)
        self.base_seconds = {"write": time.perf_counter() - start}
        start = time.perf_counter()
        precision = loading.Precision("nf4", "bf16")
        model = loading.read_model(folder, False, precision, self.device)
        self.base_seconds["load"] = time.perf_counter() - start
        return model

    @cached_property
    def limits(self) -> machine_limits.Limits:
        return machine_limits.measure(self.device)

    @cached_property
    def steps(self) -> training.Steps:
        rows = workloads.short_supervised(self.size.steps * self.size.batch_examples, self.shape.vocab, self.size.longest)
        return training.Steps(rows, self.size.batch_examples, self.size.budget)

    @cached_property
    def training(self) -> list[dict[str, Any]]:
        fast = [setting for setting in training.SETTINGS if not setting.compiled]  # compiling for a CPU takes minutes
        return training.measure(self.base, self.shape, self.steps, self.limits, fast if self.shape_name == "tiny" else training.SETTINGS)

    def seconds_left(self) -> float:
        return self.end - time.monotonic()


def generation(bench: Bench) -> dict[str, Any]:
    prompts, _ = workloads.prompts_with_choices(bench.size.prompts, bench.shape.vocab, bench.size.longest)
    return answering.generation(bench.base, prompts, bench.size.new_tokens, 0, bench.size.budget)


def choices(bench: Bench) -> dict[str, Any]:
    prompts, answers = workloads.prompts_with_choices(bench.size.prompts, bench.shape.vocab, bench.size.longest)
    return answering.choice_scoring(bench.base, prompts, answers, 0, bench.size.budget)


def quickstart(bench: Bench) -> dict[str, Any]:
    return suites.quickstart(bench.device.type, bench.seconds_left(), ["--limit", "4"] if bench.shape_name == "tiny" else [])


PARTS: dict[str, Callable[[Bench], Any]] = {
    "tests": lambda bench: suites.gpu_tests(bench.seconds_left()),
    "limits": lambda bench: asdict(bench.limits),
    "generation": generation,
    "choices": choices,
    "training": lambda bench: bench.training,  # its last run changes the base
    "estimates": lambda bench: estimates.beside(bench.training, bench.shape, bench.steps, bench.limits, bench.device),
    "quickstart": quickstart,
}


def run_part(name: str, bench: Bench) -> dict[str, Any]:
    """The result of a part and its seconds, or its error."""
    start = time.perf_counter()
    if bench.seconds_left() <= 0:
        return {"error": "not run: the time was up"}
    try:
        outcome = {"result": PARTS[name](bench)}
    except Exception:  # a part must not cost the others their minutes
        outcome = {"error": traceback.format_exc()[-3000:]}
    return {**outcome, "seconds": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="llama-2-7b", help="a row of `loralift ls models`, or tiny")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=540.0, help="no part begins later")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    names = options.parts.split(",")
    if unknown := set(names) - set(PARTS):
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options.shape, Path(folder) / "base", machine.Machine(device=options.device), time.monotonic() + options.seconds)
        path = options.out / f"acceptance-{options.shape}-{bench.device.type}.json"
        body: dict[str, Any] = {**machine.environment(), "shape": options.shape, "size": asdict(bench.size), "parts": {}}
        for name in names:
            body["parts"][name] = run_part(name, bench)
            body["base_seconds"] = getattr(bench, "base_seconds", None)
            path.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", "utf-8")
            print(name, json.dumps(body["parts"][name])[:1500], flush=True)
    print(path)


if __name__ == "__main__":
    main()
