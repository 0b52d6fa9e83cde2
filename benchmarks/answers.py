"""Times answers beside peers on the same weights and rows: G1, greedy answers of 1 to 64 tokens, and C1, choices of several tokens.

Run: python -m benchmarks.answers [--rounds 5] [--smoke] [--out FOLDER]. The whole comparison is timed by benchmarks.arms.

A Llama shape with random weights: speed only. An id in 36 ends an answer, so that rows end at different tokens. Peers: `generate` of
transformers in batches of like length by the same token budget, and lm-evaluation-harness `hf` with one request in a batch (its default)
and with 16.
Before anything is timed, both must give the same in fp32: answers token for token, and log-probabilities within 1e-4. The ways run in
turn, forwards and backwards; a ratio is taken within each round, of processor seconds beside those of the clock, and where the ratios lie
on both sides of 1 it is a tie. With --smoke: two rounds of a tiny shape, and exit code 1 where ours is slower than a peer by a tenth.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.acceptance import workloads
from benchmarks.acceptance.answering import score_choices
from benchmarks.real_shape import random_base
from benchmarks.training_peers import SHAPE_28M, TINY
from pipeline import machine
from pipeline.engine import batching, generation, greedy
from pipeline.models import loading
from pipeline.models.shapes import Shape

RESULTS = Path(__file__).parent / "results"
ANSWER_TOKENS = 64
END_EVERY = 36
"""One id in so many ends an answer."""
TOLERANCE = 1e-4
"""Nats."""
OURS = "loralift"
Way = Callable[[Any], Any]
"""Answers of a model."""


def stop_of(vocabulary: int) -> generation.StopConditions:
    return generation.StopConditions(ANSWER_TOKENS, tuple(range(2, vocabulary, END_EVERY)))


def answers_by(decode: Callable[..., list[list[int]]], budget_of: Callable[[Any], int], prompts: workloads.Prompts) -> Way:
    """Answers in batches of like length; their order is that of the prompts."""

    def run(model: Any) -> list[list[int]]:
        answers: list[list[int]] = [[] for _ in prompts]
        for batch in batching.padded_batches([len(prompt) + ANSWER_TOKENS for prompt in prompts], budget_of(model)):
            for index, answer in zip(batch, decode(model, [prompts[index] for index in batch]), strict=True):
                answers[index] = answer
        return answers

    return run


def generation_ways(prompts: workloads.Prompts, vocabulary: int) -> dict[str, Way]:
    """Workload G1."""
    stop, budget = stop_of(vocabulary), batching.CPU_TOKENS
    return {
        OURS: answers_by(
            lambda model, rows: greedy.decode(model, rows, stop, 0, None, budget), lambda model: greedy.batch_budget(model, budget), prompts
        ),
        "generate": answers_by(lambda model, rows: generation.generate(model, rows, stop, 0), lambda model: budget, prompts),
    }


def by_harness(prompts: workloads.Prompts, choices: list[workloads.Prompts], size: int) -> Way:
    """Log-probabilities by lm-evaluation-harness, on the ids themselves."""

    def run(model: Any) -> list[list[float]]:
        from lm_eval.models.huggingface import HFLM
        from transformers import AutoTokenizer

        harness = HFLM(pretrained=model, tokenizer=AutoTokenizer.from_pretrained(model.name_or_path), batch_size=size)
        requests = [(("", ""), prompt, choice) for prompt, own in zip(prompts, choices, strict=True) for choice in own]
        sums = iter([value for value, _ in harness._loglikelihood_tokens(requests, disable_tqdm=True)])
        return [[next(sums) for _ in own] for own in choices]

    return run


def choice_ways(prompts: workloads.Prompts, choices: list[workloads.Prompts]) -> dict[str, Way]:
    """Workload C1."""
    return {
        OURS: lambda model: score_choices(model, prompts, choices, 0, batching.CPU_TOKENS),
        "lm-eval": by_harness(prompts, choices, 1),
        "lm-eval, batch of 16": by_harness(prompts, choices, 16),
    }


def differences(results: dict[str, list[list[Any]]]) -> dict[str, float]:
    """Of each peer the largest difference of a log-probability, or the share of answers that are others."""

    def difference(ours: list[list[Any]], peer: list[list[Any]]) -> float:
        pairs = list(zip(ours, peer, strict=True))
        if isinstance(ours[0][0], int):
            return sum(one != other for one, other in pairs) / len(pairs)
        return float(max(abs(one - other) for row, its_row in pairs for one, other in zip(row, its_row, strict=True)))

    return {name: difference(results[OURS], rows) for name, rows in results.items() if name != OURS}


def timed(way: Way, model: Any) -> dict[str, float]:
    """Seconds of the processor and of the clock."""
    cpu, clock = time.process_time(), time.perf_counter()
    way(model)
    return {"cpu": time.process_time() - cpu, "clock": time.perf_counter() - clock}


def compare(seconds: dict[str, list[dict[str, float]]], peer: str, of: str) -> dict[str, Any]:
    """How many times as long as ours a peer takes, round by round: median, least and greatest, and the word for it."""
    ratios = [theirs[of] / ours[of] for ours, theirs in zip(seconds[OURS], seconds[peer], strict=True)]
    low, high = min(ratios), max(ratios)
    word = "tie" if low <= 1 <= high else ("faster" if low > 1 else "slower")
    return {"peer": peer, "seconds": of, "median": statistics.median(ratios), "low": low, "high": high, "word": word}


def in_turn(ways: dict[str, Way], exact: Any, model: Any, rounds: int) -> dict[str, Any]:
    """Prove that the ways give the same, then time them.

    Args:
        exact: the model in fp32.

    Raises:
        RuntimeError: a peer gives something else in fp32.
    """
    in_fp32 = differences({name: way(exact) for name, way in ways.items()})
    if wrong := [name for name, value in in_fp32.items() if value > TOLERANCE]:
        raise RuntimeError(f"{wrong[0]} gives something else in fp32: {in_fp32[wrong[0]]}")
    answers = {name: way(model) for name, way in ways.items()}  # the warm-up, too
    in_bf16 = differences(answers)
    seconds: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for index in range(rounds):
        for name in list(ways)[:: -1 if index % 2 else 1]:
            seconds[name].append(timed(ways[name], model))
            print(f"{index} {name}: {seconds[name][-1]['cpu']:.2f} s of the processor", flush=True)
    pairs = [compare(seconds, peer, of) for peer in ways if peer != OURS for of in ("cpu", "clock")]
    lengths = [len(row) for row in answers[OURS]]
    return {"lengths": lengths, "difference_fp32": in_fp32, "difference_bf16": in_bf16, "seconds": seconds, "pairs": pairs}


def measure(shape: Shape, rows: int, rounds: int, folder: Path) -> dict[str, Any]:
    device = machine.Machine().torch_device()
    base = random_base(shape, folder / "base", device)
    exact, model = (loading.read_model(base, False, loading.Precision("none", dtype), device) for dtype in ("fp32", "bf16"))
    vocabulary = 1500
    prompts, choices = workloads.prompts_with_choices(rows, vocabulary, 512)
    draw = random.Random(0)
    questions = [prompt[: draw.randint(20, 100)] for prompt in prompts]
    results = {"G1": in_turn(generation_ways(questions, shape.vocab), exact, model, rounds)}
    return results | {"C1": in_turn(choice_ways(prompts, choices), exact, model, rounds)}


def failures(results: dict[str, Any]) -> list[str]:
    """What --smoke does not let pass."""
    pairs = [(workload, pair) for workload, result in results.items() for pair in result["pairs"] if pair["seconds"] == "cpu"]
    return [f"{workload}: {pair['peer']} takes {pair['median']:.2f} times as long" for workload, pair in pairs if pair["median"] < 0.9]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    shape, rows, rounds = (TINY, 16, 2) if chosen.smoke else (SHAPE_28M, chosen.rows, chosen.rounds)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(shape, rows, rounds, Path(folder))
    for workload, result in results.items():
        for pair in result["pairs"]:
            print(f"{workload}:", "{peer} / loralift, {seconds}: {median:.2f} ({low:.2f} to {high:.2f}), {word}".format(**pair))
    if chosen.smoke:
        sys.exit("\n".join(failures(results)) or 0)
    body = {**machine.environment(), "parameters": shape.params, "rows": rows, "results": results}
    (chosen.out / "answers-cpu.json").write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
