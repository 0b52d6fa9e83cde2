"""Input folders for the report, as the other stages leave them: small, sealed, with figures that belong together."""

import base64
import hashlib
import json
import random
import re
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from pipeline.config.recipe import build
from pipeline.engine import training_state
from pipeline.machine import Machine, Work
from pipeline.stages import prepare, report
from pipeline.store.artifact import Artifact, ArtifactSpec, Store
from pipeline.store.records import Example, Prediction, write
from tests import report_measures

MADE: dict[str, Any] = {
    "at": "2026-05-04T10:11:12Z",
    "python": "3.12.4",
    "system": "Linux-6.1",
    "packages": {"torch": "2.11.0", "transformers": "5.17.0", "peft": "0.19.0", "bitsandbytes": "0.50.2"},
    "cpu": {"model": "Test CPU 9000", "cores": 2},
    "gpu": {"name": "NVIDIA T1", "bytes": 16 * 2**30, "cuda": "12.8", "count": 1},
    "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
    "machine": asdict(Machine(offline=False)),
    "peak": {"rss": 2 * 2**30, "cuda": 9 * 2**30},
}
GRADED = {"titles": "rougeL"}
"""Tasks whose metric is not 0 or 1, with its name; all others are judged by accuracy."""


@dataclass
class Inputs:
    """What to write; the fields that tests vary."""

    root: Path
    recipe: dict[str, Any]
    n: int = 40
    texts: dict[int, dict[str, str]] = field(default_factory=dict)
    """By example number: other `prompt`, `target`, `base` or `tuned` texts."""
    provenance: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By input (`base`, `tuned0`): other entries of its manifest's `made`."""
    gain: float = 0.35
    steps: int = 60
    alive: bool = True
    arms: tuple[str, ...] = ()
    """Arms beside base and tuned; `reference.<name>` must be in the recipe."""
    measured: bool = False
    """Whether decomposition, hallucination, relevance, forgetting and speed were measured."""
    grounded: str | None = "text"
    second: str = ""
    """A further metric of every task."""

    def work(self) -> Work:
        recipe = build({"name": "demo", "base": "qwen2.5-1.5b", "tasks": ["boolq", "titles"], **self.recipe})
        inputs, cells = {}, []
        for coordinates, point in recipe.points():
            for task in point.tasks:
                cell = f"cell{len(cells):04}"
                name = task if isinstance(task, str) else task.name
                rank, seeds = point.finetune.rank, list(point.finetune.seeds)
                cells.append({"cell": cell, "task": name, "base": point.base, "point": coordinates, "rank": rank, "seeds": seeds})
                cells[-1] |= {
                    "paper": {"model": "", "forced_chat": False},
                    "absent": [{"arm": "base_constrained", "why": "free text"}][: not self.arms],
                }
                inputs |= {f"{cell}.{source}": artifact.path for source, artifact in self.cell(name, rank, seeds, coordinates).items()}
        out = self.root / "out"
        out.mkdir()
        return Work({"recipe": recipe.model_dump(mode="json"), "cells": cells}, inputs, out, self.root / "resume")

    def cell(self, task: str, rank: int, seeds: list[int], coordinates: dict[str, Any]) -> dict[str, Artifact]:
        rows = with_others(examples(task, self.n, rank, seeds, self.gain), task, self.arms)
        for number, texts in self.texts.items():
            put(rows[number], texts)
        metric = GRADED.get(task, "accuracy")
        if self.second:
            score_again(rows, metric, self.second)
        sources = {"heldout": self.heldout(task, rows), "train": self.train(task)}
        points = {seed: {"rank": rank, "seed": seed, **coordinates} for seed in sorted(seeds)}  # all in the order of the plan
        sources |= {f"adapter{seed}": self.adapter(task, point) for seed, point in points.items()}
        sources["base"] = self.predictions("base", task, {}, rows, [row["base"] for row in rows])
        for number, (seed, point) in enumerate(points.items()):
            sources[f"tuned{seed}"] = self.predictions(f"tuned{seed}", task, point, rows, [row["tuned"][number] for row in rows])
        for name in self.arms:
            if name not in report_measures.DERIVED:
                source = name if name.startswith("reference.") else f"arm.{name}"
                sources[source] = self.predictions(source, task, {}, rows, [row["others"][name] for row in rows])
        metrics = [metric, *([self.second] if self.second else [])]
        counts = {
            "base": count([row["base"] for row in rows]),
            "tuned": [count([row["tuned"][i] for row in rows]) for i in range(len(seeds))],
            "others": {name: count([row["others"][name] for row in rows]) for name in self.arms},
        }
        alive = [liveness(seed, self.alive) for seed in sorted(seeds)]
        files = {"examples.jsonl": lines(rows), "counts.json": json.dumps(counts), "liveness.json": json.dumps(alive)}
        if self.measured:
            files |= report_measures.files(task, rows, metric, self.grounded)
            timing = json.dumps(report_measures.speed(task))
            sources["speed"] = self.seal("speed", task, {"rank": rank, "quantization": "nf4", **coordinates}, {"speed.json": timing}, {})
        files["beside.json"] = json.dumps({name: report_measures.beside(rows, name)[name] for name in metrics})
        files["comparisons.jsonl"] = lines([compared(task, rows, name) for name in metrics])
        sources["comparison"] = self.seal("comparison", task, {"rank": rank, **coordinates}, files, {})
        return sources

    def predictions(
        self, source: str, task: str, params: dict[str, Any], rows: list[dict[str, Any]], arm: list[dict[str, Any]]
    ) -> Artifact:
        """A folder of generate or reference: what one arm wrote."""
        predictions = [Prediction(row["id"], one["text"], one["tokens"], one["stopped"]) for row, one in zip(rows, arm, strict=True)]
        tokens = sum(answer["tokens"] for answer in arm)
        paid = {"prompt_tokens": 90 * self.n, "completion_tokens": tokens, "seconds": 3.5, "refused": 0}
        limits = {"max_new_tokens": 48, "stop": ["\n\n"]} | ({"shots": 5} if source == "arm.base_fewshot" else {})
        facts = {"examples": self.n, "tokens": tokens, "truncated": 0, "tokens_per_second": 61.0}
        return self.seal(
            source,
            task,
            params | limits,
            {"predictions.jsonl": text_by(write, predictions)},
            facts | (paid if source.startswith("reference.") else {}),
        )

    def heldout(self, task: str, rows: list[dict[str, Any]]) -> Artifact:
        body = text_by(write, [Example(row["id"], row["prompt"], row["target"], tuple(row["choices"])) for row in rows])
        dropped = dropped_rows(100, "bad value", "<i>n/a</i>", ["row 17", "row 90", "row 91"])
        return self.seal(
            "heldout",
            task,
            {},
            {"examples.jsonl": body, "dropped.json": json.dumps(dropped)},
            {"examples": self.n, "wanted": self.n, "cut": 0},
        )

    def train(self, task: str) -> Artifact:
        overlap = {
            "exact": 2,
            "near": 5,
            "threshold": 0.8,
            "pairs": [{"train": "t4", "heldout": f"{task}-3", "similarity": 0.91, "kind": "near"}],
        }
        dropped = dropped_rows(2111, "too long", "900 tokens", [f"t{number}" for number in range(9, 20)])
        files = {"examples.jsonl": "", "dev.jsonl": "", "dropped.json": json.dumps(dropped), "overlap.json": json.dumps(overlap)}
        return self.seal("train", task, {}, files, {"examples": 2000, "dev": 100, "wanted": 2100, "cut": 4})

    def adapter(self, task: str, point: dict[str, Any]) -> Artifact:
        rank, seed = point["rank"], point["seed"]
        facts = {"trainable_parameters": 1000 * rank, "adapter_bytes": 4000 * rank + 700, "steps": self.steps, "kept_step": self.steps}
        facts |= {"dev_loss": 1.0, "target_tokens": 12345, "tokens_per_second": 678.9, "train_seconds": 100.0 + rank, "targets": ["q_proj"]}
        files = {"curve.csv": curve(self.steps, rank, seed), "adapter_model.safetensors": "weights"}
        return self.seal(f"adapter{seed}", task, point, files, facts)

    def seal(self, source: str, task: str, params: dict[str, Any], files: dict[str, str], facts: dict[str, Any]) -> Artifact:
        """Write and seal a folder, unless an equal one is there."""
        stages = {"heldout": "prepare", "train": "prepare", "comparison": "compare", "base": "generate", "speed": "speed"}
        stage_of_source = {"adapter": "finetune", "reference": "reference"}
        stage = stages.get(source) or next((stage for begin, stage in stage_of_source.items() if source.startswith(begin)), "generate")
        store = Store(self.root / "data", self.root / "checkpoints")
        hashed = hashlib.sha256(repr(files).encode()).hexdigest()
        spec = ArtifactSpec(stage, f"{task}--{source}", 1, {"task": {"name": task}, "source": source, **params}, {"content": hashed})
        if artifact := store.find(stage, spec.key):
            return artifact
        with store.scratch(spec) as out:
            for name, body in files.items():
                (out / name).write_text(body, "utf-8")
            provenance = {**MADE, "seconds": 12.5, **self.provenance.get(source, {})}
            return store.seal(spec, out, facts, provenance, {})


def examples(task: str, n: int, rank: int, seeds: list[int], gain: float) -> list[dict[str, Any]]:
    """Rows as `compare` writes them; tuned gets more of them right, the more the higher the rank."""
    draw = random.Random(f"{task}")
    rows = []
    for number in range(n):
        target = draw.choice(["yes", "no"]) if task not in GRADED else f"Council opens bridge number {number}"
        level = draw.random()
        base = answer(task, target, level, 0.3)
        tuned = [
            answer(task, target, random.Random(f"{task}{number}{seed}{rank}").random() * 0.3 + level * 0.7, 0.3 + gain * rank / 16)
            for seed in seeds
        ]
        prompt = f"Passage {number}: {' '.join(draw.choices(WORDS, k=60))}.\nQuestion {number}?\nAnswer:"
        rows.append({"id": f"{task}-{number}", "prompt": prompt, "target": target, "choices": [], "base": base, "tuned": tuned})
    return rows


def with_others(rows: list[dict[str, Any]], task: str, arms: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows with what other arms answered; each arm right as often as its skill says."""
    for number, row in enumerate(rows):
        row["others"] = {}
        for name in arms:
            level = random.Random(f"{task}{number}{name}").random()
            row["others"][name] = answer(task, row["target"], level, report_measures.SKILL.get(name, 0.8))
    return rows


WORDS = ("bridge council river night market school teacher signal paper harbour winter engine garden letter window street morning").split()


def answer(task: str, target: str, level: float, skill: float) -> dict[str, Any]:
    """A right answer where the level lies below the skill, else a wrong, a rambling or an empty one."""
    metric = GRADED.get(task, "accuracy")
    right = level < skill
    text = (
        target
        if right
        else ""
        if level > 0.97
        else "I am not sure, but one could say that"
        if level > 0.85
        else "maybe"
        if task in GRADED
        else "no"
        if target == "yes"
        else "yes"
    )
    score = (0.5 + level / 2 if task in GRADED else 1.0) if right else (0.1 if task in GRADED else 0.0)
    unread = level > 0.85 and not right
    return {
        "text": text,
        "answer": None if unread else text,
        "stopped": "length" if unread and text else "eos",
        "tokens": len(text.split()),
        "scores": {metric: score},
        "flags": flags(text, unread),
    }


def flags(text: str, unread: bool) -> list[str]:
    """As `compare` sets them: a rambling answer is endless if it repeats itself, which those of an even length do here."""
    cut = ["endless" if len(text) % 2 else "truncated"] if unread and text else []
    return [*(["unparsed"] if unread else []), *cut, *(["empty"] if not text else []), *(["hallucinated"] if text == "maybe" else [])]


def put(row: dict[str, Any], texts: dict[str, str]) -> None:
    """Replace texts of an example."""
    row |= {name: texts[name] for name in ("id", "prompt", "target") if name in texts}
    arms = {"base": [row["base"]], "tuned": row["tuned"]}
    for name, arm in product(texts.keys() & arms.keys(), range(9)):
        if arm < len(arms[name]):
            arms[name][arm] |= {"text": texts[name], "answer": texts[name]}


def score_again(rows: list[dict[str, Any]], metric: str, second: str) -> None:
    """A score by a second metric beside that by the first, and different from it."""
    for row in rows:
        for answer in (row["base"], *row["tuned"], *row["others"].values()):
            answer["scores"][second] = 0.15 + 0.7 * answer["scores"][metric]


def compared(task: str, rows: list[dict[str, Any]], metric: str) -> dict[str, Any]:
    """The comparison that belongs to the rows, with a normal interval."""
    base = [row["base"]["scores"][metric] for row in rows]
    tuned = [sum(arm["scores"][metric] for arm in row["tuned"]) / len(row["tuned"]) for row in rows]
    gains, n = [after - before for before, after in zip(base, tuned, strict=True)], len(rows)
    lift = sum(gains) / n
    error = (sum((gain - lift) ** 2 for gain in gains) / n / n) ** 0.5
    p = 0.0004 if abs(lift) > 2.2 * error else 0.41
    ups, downs = sum(gain > 1e-9 for gain in gains), sum(gain < -1e-9 for gain in gains)
    low, high, seeds = lift - 1.96 * error, lift + 1.96 * error, len(rows[0]["tuned"])
    first = metric == GRADED.get(task, "accuracy")
    return {
        "task": task,
        "metric": metric,
        "primary": first,
        "n": n,
        "seeds": seeds,
        "base": sum(base) / n,
        "tuned": sum(tuned) / n,
        "lift": lift,
        "low": low,
        "high": high,
        "p": p,
        "test": "paired randomization",
        "fixed": ups,
        "broken": downs,
        "smallest_effect": 2.8 * error,
    }


def count(arms: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "n": len(arms),
        "unparsed": sum(arm["answer"] is None for arm in arms),
        "truncated": sum("truncated" in arm["flags"] for arm in arms),
        "endless": sum("endless" in arm["flags"] for arm in arms),
        "empty": sum(not arm["text"].strip() for arm in arms),
        "refused": 0,
        "mean_tokens": sum(arm["tokens"] for arm in arms) / len(arms),
    }


def liveness(seed: int, alive: bool) -> dict[str, Any]:
    zero = [] if alive else ["layers.0.q_proj.lora_B"]
    return {
        "seed": seed,
        "tensors": 28,
        "zero_tensors": zero,
        "targets": 28,
        "unmatched": [],
        "probes": 8,
        "largest_logit_difference": 7.25 * alive,
        "alive": alive,
    }


def curve(steps: int, rank: int, seed: int) -> str:
    draw, path = random.Random(f"{rank}{seed}"), []
    for step in range(1, steps + 1):
        loss = 1.1 + 2.4 / (1 + step / 8) - 0.004 * rank + draw.gauss(0, 0.06)
        dev = f"{1.25 + 2.2 / (1 + step / 8) - 0.003 * rank + draw.gauss(0, 0.01):.4f}" if step % 10 == 0 else ""
        values = {"step": step, "tokens": step * 1000, "loss": f"{loss:.4f}", "dev_loss": dev, "learning_rate": 2e-4, "grad_norm": 0.8}
        path.append(values)
    return text_by(training_state.write_curve, path)


def text_by(writer: Callable[[Path, Any], Any], rows: Any) -> str:
    """What one of the product's writers makes of rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        writer(path, rows)
        return path.read_bytes().decode("utf-8")


def dropped_rows(total: int, reason: str, value: str, places: list[str]) -> dict[str, Any]:
    """Rows that were left out, as `prepare` reports them."""
    assert reason in prepare.FAULTS
    tally = prepare.Tally(total)
    for place in places:
        tally.add(reason, place, value)
    return tally.report()


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


class Made:
    """A report with its inputs."""

    def __init__(self, inputs: Inputs) -> None:
        self.work: Work = inputs.work()
        self.facts = report.run(self.work)
        self.html, self.md = ((self.work.out / f"report.{kind}").read_text("utf-8") for kind in ("html", "md"))
        self.json: dict[str, Any] = json.loads((self.work.out / "report.json").read_text("utf-8"))

    def rows(self, name: str, file: str) -> list[dict[str, Any]]:
        return [
            json.loads(line) for line in (self.work.inputs[name] / file).read_text("utf-8").split("\n")[:-1]
        ]  # not splitlines: a text may hold U+2028

    def load(self, name: str, file: str) -> Any:
        return json.loads((self.work.inputs[name] / file).read_text("utf-8"))

    def carried(self, name: str) -> str:
        """The file that the page carries under this id."""
        packed = re.search(rf'<script type="application/octet-stream" id="{name}">([^<]*)</script>', self.html)
        assert packed, name
        return zlib.decompress(base64.b64decode(packed[1])).decode("utf-8")
