"""Trains an adapter on a base of a real size with random weights; writes memory and speed beside the estimate.

Run: python -m benchmarks.real_shape TRAIN HELDOUT [--base mistral-7b] [--steps 300]

The two files hold ViGGO's rows (meaning_representation, target), as JSON lines. The base has the shape of its row and weights drawn
at random, so nothing is scored: no quality is to be read out of it. Its tokenizer is the embedded base's, whose tokens are
shorter than the real one's. Writes benchmarks/results/real-shape-<base>-<device>.json.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from pipeline import machine
from pipeline.commands import job_estimates
from pipeline.commands.call import with_dependencies
from pipeline.commands.estimate import GPUS
from pipeline.config import recipe
from pipeline.models import base_model
from pipeline.models.shapes import Shape
from pipeline.planning.job import Job
from pipeline.planning.plan import plan
from pipeline.resources import shipped
from pipeline.runner import Site, run
from pipeline.store.artifact import Artifact, Store

HERE = Path(__file__).parent
NAMES = {
    "hidden": "hidden_size", "layers": "num_hidden_layers", "heads": "num_attention_heads", "kv_heads": "num_key_value_heads",
    "head_dim": "head_dim", "ffn": "intermediate_size", "vocab": "vocab_size", "tied": "tie_word_embeddings",
}  # fmt: skip
"""A shape's fields in the words of config.json."""


def random_base(shape: Shape, folder: Path, device: Any) -> Path:
    """A model of that shape as save_pretrained writes it, in bf16, with the embedded base's tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(shipped("checkpoints/quickstart-base"))
    widths = {there: getattr(shape, here) for here, there in NAMES.items()}
    ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = AutoConfig.for_model(shape.kind, **widths, **ends, max_position_embeddings=4096)
    torch.manual_seed(0)
    with torch.device(device):
        AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def benchmark_recipe(base: Path, data: dict[str, str], steps: int) -> recipe.Recipe:
    """The paper's training on one task, for as many steps; and answers of the base to 64 questions."""
    task = {"name": "viggo", "data": data, "prompt": "Representation: {meaning_representation}\nOutput:", "target": "{target}"}
    return recipe.build(
        {
            "name": "real-shape", "base": str(base), "tasks": [{**task, "metrics": ["rougeL"], "max_new_tokens": 64}],
            "prepare": {"train_examples": 5000, "dev_examples": 64, "heldout_examples": 64, "max_tokens": 1024},
            "finetune": {"rank": 8, "dropout": 0.05, "targets": "qv", "epochs": 100, "max_steps": steps, "dev_every": 100},
            "compare": {"arms": ["base", "tuned"], "relevance_examples": 0, "speed_prompts": 0}, "general": {"suites": []},
        }
    )  # fmt: skip


def measurements(done: dict[Job, Artifact]) -> dict[str, Any]:
    """What training and answering took, beside the estimate from the prepared lengths."""
    results = {}
    for job, artifact in done.items():
        if job.stage in job_estimates.WORK_OF:
            needs = job_estimates.estimate_of(job, done)
            estimate = {gpu.name: vars(needs.costs[gpu.name]) for gpu in GPUS} if needs else None
            min_bytes = needs.min_bytes if needs else None
            facts = {name: value for name, value in artifact.facts.items() if name != "targets"}
            results[job.stage] = {"facts": facts, "peak": artifact.provenance["peak"], "seconds": artifact.provenance["seconds"]}
            results[job.stage] |= {"estimate": estimate, "estimate_min_bytes": min_bytes}
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train")
    parser.add_argument("heldout")
    parser.add_argument("--base", default="mistral-7b")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    row = next(row for row in base_model.MODELS if row.name == options.base)
    here = machine.Machine()
    with tempfile.TemporaryDirectory() as name:
        base = random_base(row.shape, Path(name) / "base", here.torch_device())  # type: ignore[arg-type]
        jobs = plan(benchmark_recipe(base, {"train": options.train, "heldout": options.heldout}, options.steps))
        wanted = [job for job in with_dependencies(jobs, {"finetune", "generate"}) if not any(name == "adapter" for name, _ in job.inputs)]
        done = run(wanted, Site(Store(Path(name) / "data", Path(name) / "checkpoints"), here), lambda *_: None)
        results = measurements(done)
    body = {**machine.environment(), "base": options.base, "steps": options.steps, "results": results}
    path = options.out / f"real-shape-{options.base}-{here.torch_device().type}.json"
    path.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", "utf-8")
    print(json.dumps(body["results"], indent=1))
    print(path)


if __name__ == "__main__":
    main()
