"""A small but whole project on disk: a tiny base, data files, a recipe; and what running it made."""

import json
from pathlib import Path

from pipeline.commands.call import endpoint_settings, with_dependencies
from pipeline.config import recipe as recipes
from pipeline.machine import Machine
from pipeline.planning.plan import plan
from pipeline.runner import Site, run
from pipeline.schedule import in_run_order
from pipeline.store.artifact import Store
from pipeline.store.folders import HeldoutFolder
from pipeline.store.records import Example
from tests import tiny

TASK = {
    "name": "pets", "prompt": "{question}", "target": "{answer}", "choices": ["yes", "no maybe"], "answer": "choice",
    "metrics": ["accuracy", "rougeL"], "max_new_tokens": 6,
}  # fmt: skip
LEAN = {"arms": ["base", "tuned"], "relevance_examples": 0, "speed_prompts": 0}
"""Nothing but the main job."""
STAGES = ["prepare", "prepare", "finetune", "generate", "generate", "compare", "report"]


def make(root: Path, base: str) -> Path:
    """Write data files and a recipe under root; returns the recipe's path."""
    root.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", tiny.examples(60)), ("test", tiny.examples(24, 500))):
        lines = [json.dumps({"question": f"{e.prompt} {e.id}", "answer": e.target}) for e in rows]
        (root / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    body = {
        "name": "pets", "question": "Do pets say yes?", "base": base,
        "tasks": [{**TASK, "data": {"train": str(root / "train.jsonl"), "heldout": str(root / "test.jsonl")}}],
        "prepare": {"train_examples": 40, "dev_examples": 8, "heldout_examples": 20, "max_tokens": 64, "near_duplicates": 1.0},
        "finetune": {"rank": 4, "learning_rate": 0.01, "batch_examples": 8, "compute": "fp32", "dev_every": 2},
        "generate": {"compute": "fp32"},
        "compare": {"resamples": 200, **LEAN}, "general": {"suites": []},
    }  # fmt: skip
    path = root / "pets.yaml"
    path.write_text(json.dumps(body), "utf-8")  # JSON is YAML
    return path


def carry_out(recipe: Path, root: Path, changes: dict | None = None, stages: set[str] | None = None, device: str = "cpu") -> list[str]:
    """Run a recipe into a store under root; returns the stages that were made, in order."""
    done_stages: list[str] = []
    loaded = recipes.load(recipe, changes)
    jobs, endpoints = in_run_order(plan(loaded)), endpoint_settings(loaded)
    site = Site(Store(root / "data", root / "checkpoints"), Machine(device=device, tokens=100, save_seconds=0.0, endpoints=endpoints))
    run(with_dependencies(jobs, stages or {"report"}), site, lambda what, job, _: done_stages.append(job.stage) if what == "done" else None)
    return done_stages


def heldout(store: Store) -> list[Example]:
    """The test examples in a store."""
    [part] = [artifact for artifact in store.all() if artifact.stage == "prepare" and artifact.params["split"] == "heldout"]
    return HeldoutFolder(part.path).examples()
