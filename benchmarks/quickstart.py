"""Times the parts that decide how long the quickstart takes; writes benchmarks/results/quickstart-<device>.json.

Run: make bench. Ratios are medians over pairs measured in turn (A B B A ...) in one process.
"""

import json
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch

from pipeline import machine
from pipeline.config import recipe
from pipeline.data import task
from pipeline.engine import batching, generation
from pipeline.models import adapters, base_model, dense_weights, loading, renderer
from pipeline.quickstart import rows
from pipeline.resources import shipped
from pipeline.stages import finetune

HERE = Path(__file__).parent
REPEATS = 6


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def pairs(a: Callable[[], object], b: Callable[[], object]) -> dict[str, float]:
    """Median seconds of both, and the median and range of the ratio a/b."""
    a(), b()  # warm up
    times = []
    for n in range(REPEATS):
        pair = {name: seconds(work) for name, work in ((("a", a), ("b", b)) if n % 2 == 0 else (("b", b), ("a", a)))}
        times.append((pair["a"], pair["b"]))
    ratios = [x / y for x, y in times]
    return {
        "a_seconds": round(statistics.median(x for x, _ in times), 4), "b_seconds": round(statistics.median(y for _, y in times), 4),
        "ratio": round(statistics.median(ratios), 3), "ratio_low": round(min(ratios), 3), "ratio_high": round(max(ratios), 3),
    }  # fmt: skip


def main() -> None:
    chosen = recipe.load(shipped("recipes/quickstart.yaml"))
    spec, device = base_model.find(chosen).spec(), machine.Machine().torch_device()
    render, base = renderer.renderer(spec), loading.load(spec, "nf4", "bf16", device)
    examples = [task.find("shop_extraction").example(row) for row in islice(rows.letters("heldout"), 64)]
    prompts = [render.prompt_ids(example.prompt) for example in examples]
    train_rows = [batching.TokenRow.from_prompt(render.prompt_ids(e.prompt), render.target_ids(e.prompt, e.target)) for e in examples[:16]]

    def answer() -> None:
        generation.generate(base, prompts, generation.StopConditions(32, (render.tokenizer.vocab_size - 1,)), render.pad_id)

    def answer_dense() -> None:
        with dense_weights.dequantized(base):
            answer()

    results = {"answer 64 prompts: 4-bit over dense weights": pairs(answer, answer_dense)}
    model = adapters.attach(base, chosen.finetune.model_dump(mode="json"))
    passes = finetune.Passes(model, "bf16", render.pad_id)
    results["gradients of 16 examples: one by one over one batch"] = pairs(
        lambda: passes.gradients(train_rows, 1), lambda: passes.gradients(train_rows, 4096)
    )
    tokens = sum(map(len, train_rows))
    results["training"] = {"tokens_per_second": round(tokens / results["gradients of 16 examples: one by one over one batch"]["b_seconds"])}
    model.unload()
    body = {"threads": torch.get_num_threads(), **machine.environment(), "results": results}
    (HERE / "results").mkdir(exist_ok=True)
    path = HERE / "results" / f"quickstart-{device.type}.json"
    path.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", "utf-8")
    print(json.dumps(results, indent=1))
    print(path)


if __name__ == "__main__":
    main()
