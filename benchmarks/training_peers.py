"""Times LoRA training beside TRL's SFTTrainer on the same rows, base, adapter and optimizer batches; writes a JSON.

Run: python -m benchmarks.training_peers [--rounds 5] [--smoke]

Every way starts from the same adapter on the same 4-bit base (a Llama shape with random weights: speed only), and its first step must have
the loss (1e-3) and the gradient (cosine over 0.999) of the first way; one that has not is listed with both, and not timed. The ways run in
turn, forwards and backwards, and a ratio is taken within each round: where the ratios lie on both sides of 1, it is a tie. Packing in TRL
fills rows of 1,024 tokens without regard to the optimizer batch, so that its steps are others, and only its tokens per second compare.
Writes benchmarks/results/training-peers-<device>.json. With --smoke: two rounds of a tiny shape, and exit code 1 where packed rows
are slower than padded ones, or the best of ours is slower than the best of TRL by a tenth.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.acceptance import training, workloads
from benchmarks.acceptance.training import RANK, Setting, Steps
from benchmarks.real_shape import random_base
from pipeline import machine
from pipeline.models import loading
from pipeline.models.shapes import Shape

RESULTS = Path(__file__).parent / "results"
SHAPE_28M = Shape("llama", hidden=512, layers=8, heads=8, kv_heads=8, head_dim=64, ffn=1408, vocab=4096)
TINY = Shape("llama", hidden=128, layers=4, heads=4, kv_heads=4, head_dim=32, ffn=384, vocab=1536)
BATCH = 16
PACKS = 4
"""Rows of 1,024 tokens in a step of TRL's packing, about as many tokens as in 16 examples."""
LOSS_TOLERANCE = 1e-3
LEAST_COSINE = 0.999
OTHER_STEPS = "TRL, packing"
"""Its rows hold other examples in each step."""

Run = Callable[[], tuple[dict[str, Any], Any]]
"""Rates of one run, and the gradient of its first step."""


def trl_run(base: Any, steps: Steps, folder: Path, **options: Any) -> tuple[dict[str, Any], Any]:
    """SFTTrainer over the same rows in the same order.

    Args:
        options: of SFTConfig, over its defaults.
    """
    import torch
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from transformers import PrinterCallback, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    class Clock(TrainerCallback):  # type: ignore[misc]
        """The end of every step, and the gradient of the first."""

        def __init__(self) -> None:
            self.ends: list[float] = []
            self.gradient: Any = None

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **more: Any) -> None:
            if self.gradient is None:
                self.gradient = training.flat_gradient(model)

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self.ends.append(time.perf_counter())

    class InOrder(SFTTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return SequentialSampler(self.train_dataset if dataset is None else dataset)

    rows = Dataset.from_list([{"input_ids": list(row.ids), "labels": list(row.labels)} for row in steps.rows])
    names_of_another_version = warnings.catch_warnings(action="ignore", category=FutureWarning)
    with names_of_another_version, training.under(Setting("trl"), base) as model:
        config = SFTConfig(
            output_dir=str(folder), max_steps=len(steps.batches()), learning_rate=1e-6, lr_scheduler_type="constant", logging_steps=1,
            report_to="none", save_strategy="no", use_cpu=model.device.type == "cpu", bf16=True, disable_tqdm=True, seed=0,
            **{"per_device_train_batch_size": 8, "gradient_accumulation_steps": BATCH // 8, **options},
        )  # fmt: skip
        clock = Clock()
        trainer = InOrder(model, config, train_dataset=rows, processing_class=tokenizer_of(base), callbacks=[clock])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        base.activation_checkpointing_disable()
        torch.set_grad_enabled(True)
    return trl_rates(steps, clock.ends, losses[0], is_packed=bool(options.get("packing")), rows=trainer.train_dataset), clock.gradient


def tokenizer_of(base: Any) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base.name_or_path)


def trl_rates(steps: Steps, ends: list[float], loss: float, is_packed: bool, rows: Any) -> dict[str, Any]:
    """Rates of all steps but the first; of packed rows, those that were read in these steps."""
    seconds = ends[-1] - ends[0]
    rates: dict[str, Any] = {"loss": loss, "seconds": seconds}
    if not is_packed:
        return rates | training.count_rates(steps.batches()[1:], seconds)
    read = [rows[index % len(rows)] for index in range(PACKS, PACKS * len(ends))]
    return rates | {"tokens_per_second": sum(len(row["input_ids"]) for row in read) / seconds}


def ways(base: Any, steps: Steps, folder: Path) -> dict[str, Run]:
    trl = partial(trl_run, base, steps, folder)
    plain = partial(trl, gradient_checkpointing=False)
    return {
        "loralift, padded": partial(training.time_setting, base, Setting("padded", packing=False), steps),
        "loralift, packed": partial(training.time_setting, base, Setting("packed"), steps),
        "TRL, default": trl,
        "TRL, no checkpointing": plain,
        "TRL, no checkpointing, batch of 16": partial(plain, per_device_train_batch_size=BATCH, gradient_accumulation_steps=1),
        OTHER_STEPS: partial(plain, packing=True, per_device_train_batch_size=PACKS, gradient_accumulation_steps=1),
    }


def unequal(runs: dict[str, tuple[dict[str, Any], Any]]) -> dict[str, dict[str, float]]:
    """Loss and cosine of the ways whose first step is another than that of the first way; a TRL pack holds other rows anyway."""
    import torch

    (first, reference), *_ = runs.values()
    faults = {}
    for name, (rates, gradient) in runs.items():
        cosine = float(torch.nn.functional.cosine_similarity(reference, gradient, dim=0))
        if name != OTHER_STEPS and not (abs(rates["loss"] / first["loss"] - 1) < LOSS_TOLERANCE and cosine > LEAST_COSINE):
            faults[name] = {"loss": rates["loss"], "loss_of_first": first["loss"], "cosine": cosine}
    return faults


def compare(rates: dict[str, list[float]], ours: str, peer: str) -> dict[str, Any]:
    """Ratio of tokens per second, round by round: median, least and greatest, and the word for it."""
    ratios = [a / b for a, b in zip(rates[ours], rates[peer], strict=True)]
    low, high = min(ratios), max(ratios)
    word = "tie" if low <= 1 <= high else ("faster" if low > 1 else "slower")
    return {"ours": ours, "peer": peer, "median": statistics.median(ratios), "low": low, "high": high, "word": word}


def random_quantized(shape: Shape, folder: Path, device: Any) -> Any:
    """A base of random weights in NF4, with bf16 products."""
    return loading.read_model(random_base(shape, folder / "base", device), False, loading.Precision("nf4", "bf16"), device)


def measure(shape: Shape, steps: Steps, rounds: int, folder: Path, device: Any) -> dict[str, Any]:
    base = random_quantized(shape, folder, device)
    runs = ways(base, steps, folder / "trl")
    faults = unequal({name: run() for name, run in runs.items()})  # and the warm-up
    timed = [name for name in runs if name not in faults]
    rates: dict[str, list[float]] = {name: [] for name in timed}
    for index in range(rounds):
        for name in timed if index % 2 == 0 else timed[::-1]:
            rates[name].append(runs[name]()[0]["tokens_per_second"])
            print(index, name, round(rates[name][-1]), flush=True)
    ours, peers = ([name for name in timed if name.startswith(prefix)] for prefix in ("loralift", "TRL"))
    pairs = [compare(rates, own, peer) for own in ours for peer in peers] + [compare(rates, "loralift, packed", "loralift, padded")]
    return {"tokens_per_second": rates, "pairs": pairs, "unequal": faults}


def best(rates: dict[str, list[float]], prefix: str) -> float:
    """The greatest median among the ways whose steps are equal."""
    return max(statistics.median(values) for name, values in rates.items() if name.startswith(prefix) and name != OTHER_STEPS)


def failures(rates: dict[str, list[float]]) -> list[str]:
    """What --smoke does not let pass."""
    packed, padded = (statistics.median(rates[f"loralift, {rows}"]) for rows in ("packed", "padded"))
    words = [f"packed rows are slower than padded ones: {packed:.0f} and {padded:.0f} tokens/s"] if packed < padded else []
    ours, peer = best(rates, "loralift"), best(rates, "TRL")
    return words + ([f"{ours:.0f} tokens/s, and TRL has {peer:.0f}"] if ours < 0.9 * peer else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5, help="optimizer steps of a run; the first is not timed")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    shape, rounds, count = (TINY, 2, 3) if options.smoke else (SHAPE_28M, options.rounds, options.steps)
    device = machine.Machine().torch_device()
    steps = Steps(workloads.short_supervised(count * BATCH, 1500, 512), BATCH, 4096)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(shape, steps, rounds, Path(folder), device)
    for pair in results["pairs"]:
        print("{ours} / {peer}: {median:.2f} ({low:.2f} to {high:.2f}), {word}".format(**pair))
    if results["unequal"]:
        print("not timed, as the first step is another:", json.dumps(results["unequal"]))
    if options.smoke:
        sys.exit("\n".join(failures(results["tokens_per_second"])) or 0)
    body = {**machine.environment(), "parameters": shape.params, "rank": RANK, "steps": count, "results": results}
    (options.out / f"training-peers-{device.type}.json").write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
