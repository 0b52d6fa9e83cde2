"""Input folders for the report, as the other stages leave them: small, sealed, and made by the product from made-up answers.

The comparison in them is a real one. Made up are only texts of models, log-probabilities, losses and times (`report_answers.py`,
`report_measures.py`), and what a manifest says of a run.
"""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline import arms, stages
from pipeline.config.recipe import Recipe, build
from pipeline.data import general_text
from pipeline.machine import Machine, Work
from pipeline.page import cells, embedded_records, preliminary, render, report_data
from pipeline.planning import measure_jobs
from pipeline.planning.measure_jobs import COMPARE_KEYS
from pipeline.stages import report, slice_examples
from pipeline.store import input_names
from pipeline.store.artifact import Artifact, ArtifactSpec, Store, json_sha256
from pipeline.store.folders import PredictionsFolder
from pipeline.store.input_names import InputName
from pipeline.store.records import Prediction
from tests import report_answers, report_folders, report_measures
from tests.report_folders import Files, files_from

Row = dict[str, Any]
PROVENANCE: Row = {
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
RESAMPLES = 200
"""Of a comparison, unless the recipe says otherwise: the figures need not be good ones."""
FLIPS = {"titles": (30, 4)}
"""By task, how many answers to the other task its adapter breaks and fixes; a few where no claim can be made."""


@dataclass
class Inputs:
    """What to write; the fields that tests vary."""

    root: Path
    recipe: Row
    n: int = 40
    texts: dict[int, dict[str, str]] = field(default_factory=dict)
    """By example number: other `prompt`, `target`, `base` or `tuned` texts."""
    provenance: dict[str, Row] = field(default_factory=dict)
    """By input (`base`, `tuned0`): other entries of its manifest's `made`."""
    gain: float = 0.35
    steps: int = 60
    loss_rise: float = 0.019
    """By how many nats per token tuned guesses paragraphs worse."""
    alive: bool = True
    arms: tuple[str, ...] = ()
    """Arms beside base and tuned; `reference.<name>` must be in the recipe."""
    measured: bool = False
    """Whether relevance, speed and general suites were measured."""
    two_metrics: bool = False
    """Whether every task has a further metric."""
    finished: int | None = None
    """How many of the cells are finished; None: all."""
    limit: int | None = None
    """Of a smoke test."""

    def work(self) -> Work:
        compare = {"resamples": RESAMPLES, **self.recipe.get("compare", {})}
        recipe = build({"name": "demo", "base": "qwen2.5-1.5b", "tasks": ["boolq", "titles"], **self.recipe, "compare": compare})
        inputs, cell_rows = {}, []
        for coordinates, point in recipe.points():
            for task in point.tasks:
                name = task if isinstance(task, str) else task.name
                cell_rows.append(
                    {
                        "cell": f"cell{len(cell_rows):04}",
                        "task": name,
                        "base": point.base,
                        "point": coordinates,
                        "rank": point.finetune.rank,
                        "seeds": list(point.finetune.seeds),
                        "paper": {"model": "", "forced_chat": False},
                        "constraint": "" if name in report_answers.GRADED else "choices",
                        "absent": [{"arm": "base_constrained", "why": "free text"}][: not self.arms],
                    }
                )
                sources = CellFolders(self, name, point, coordinates).all()
                inputs |= {f"{cell_rows[-1]['cell']}.{source}": artifact.path for source, artifact in sources.items()}
        out = self.root / "out"
        out.mkdir()
        cell_rows = cell_rows[: self.finished]
        inputs = {name: path for name, path in inputs.items() if name.partition(".")[0] in [row["cell"] for row in cell_rows]}
        params = {"recipe": recipe.model_dump(mode="json"), "cells": cell_rows} | ({} if self.limit is None else {"limit": self.limit})
        return Work(params, inputs, out, self.root / "resume")

    def seal(self, source: str, task: str, params: Row, files: Files, facts: Row) -> Artifact:
        """Seal a folder that no stage was run for, unless an equal one is there."""
        content = json_sha256({name: hashlib.sha256(body).hexdigest() for name, body in files.items()})
        params = {"task": {"name": task}, "source": source, **params}
        spec = ArtifactSpec(stage_of(source), f"{task}--{source}", 1, params, {"content": content})
        return self.store(source, spec, files, {}, facts)

    def store(self, source: str, spec: ArtifactSpec, files: Files, lineage: Mapping[str, str], facts: Row) -> Artifact:
        store = Store(self.root / "data", self.root / "checkpoints")
        if artifact := store.find(spec.stage, spec.key):
            return artifact
        with store.scratch(spec) as out:
            for name, body in files.items():
                (out / name).write_bytes(body)
            return store.seal(spec, out, facts, {**PROVENANCE, "seconds": 12.5, **self.provenance.get(source, {})}, lineage)


STAGES = {
    "slices": "slice_examples",
    "heldout": "prepare",
    "train": "prepare",
    "adapter": "finetune",
    "predictions": "generate",
    "losses": "general_loss",
}
"""The stage that makes an input, by its role, where it is called otherwise."""


def stage_of(source: str) -> str:
    name = input_names.parse(source)
    return "reference" if arms.find(name.arm).reference else STAGES.get(name.role, name.role)


class CellFolders:
    """The folders of one task at one point of a sweep."""

    def __init__(self, inputs: Inputs, task: str, recipe: Recipe, coordinates: Row) -> None:
        self.inputs, self.task, self.recipe, self.coordinates = inputs, task, recipe, coordinates
        self.rank, self.seeds = recipe.finetune.rank, sorted(recipe.finetune.seeds)
        self.heldout = report_answers.with_texts(report_answers.examples(task, inputs.n), inputs.texts)
        self.sources: dict[str, Artifact] = {}

    def all(self) -> dict[str, Artifact]:
        """By input name, in the order of a plan."""
        self.seal("heldout", *report_folders.heldout(self.heldout), split="heldout")
        self.seal("train", *report_folders.train(self.task, self.inputs.n), split="train")
        for seed in self.seeds:
            self.seal_adapter(seed)
        answers = self.answers()
        for name, predictions in answers.items():
            self.seal_predictions(name, predictions)
        if self.inputs.measured:
            self.seal_measures({name.arm: rows for name, rows in answers.items() if name.seed in (None, self.recipe.finetune.seeds[0])})
        if self.recipe.compare.slices:
            self.seal_slices()
        self.seal_comparison()
        return self.sources

    def seal(self, source: str, files: Files, facts: Row, **params: Any) -> None:
        self.sources[source] = self.inputs.seal(source, self.task, params, files, facts)

    def point(self, **more: Any) -> Row:
        return {"rank": self.rank, **self.coordinates, **more}

    def seal_adapter(self, seed: int) -> None:
        rank, steps = self.rank, self.inputs.steps
        facts = {"trainable_parameters": 1000 * rank, "adapter_bytes": 4000 * rank + 700, "steps": steps, "kept_step": steps}
        facts |= {"dev_loss": 1.0, "target_tokens": 12345, "tokens_per_second": 678.9, "train_seconds": 100.0 + rank, "targets": ["q_proj"]}
        self.seal(f"adapter{seed}", report_folders.adapter(steps, rank, seed), facts, **self.point(seed=seed))

    def answers(self) -> dict[InputName, list[Prediction]]:
        """What every arm answered that a model answers."""
        task, heldout, texts = self.task, self.heldout, self.inputs.texts
        base = report_answers.base(task, heldout)
        answers = {InputName("predictions", "base"): report_answers.with_answers(base, texts, "base")}
        for seed in self.seeds:
            tuned = report_answers.tuned(task, heldout, 0.3 + self.inputs.gain * self.rank / 16, f"{seed} {self.rank}")
            answers[InputName("predictions", "tuned", seed=seed)] = report_answers.with_answers(tuned, texts, "tuned")
        for arm in self.inputs.arms:
            if arm not in report_answers.DERIVED:
                ranks = arms.unnormalized_arm(arm) in self.inputs.arms and bool(heldout[0].choices)
                answers[InputName("predictions", arm)] = report_answers.other(task, heldout, arm, ranks)
        return answers

    def seal_predictions(self, name: InputName, predictions: list[Prediction]) -> None:
        tokens = sum(row.tokens for row in predictions)
        facts: Row = {"examples": len(predictions), "tokens": tokens, "truncated": 0, "tokens_per_second": 61.0}
        if arms.find(name.arm).reference:
            refused = sum(row.stopped == "refused" for row in predictions)
            facts |= {"prompt_tokens": 90 * len(predictions), "completion_tokens": tokens, "seconds": 3.5, "refused": refused}
        params = {"max_new_tokens": 48, "stop": ["\n\n"]} | ({"shots": 5} if name.arm == "base_fewshot" else {})
        params |= {} if name.seed is None else self.point(seed=name.seed)

        def write(out: Path) -> None:
            PredictionsFolder(out).write_predictions(predictions)
            if name.seed is not None:
                signs = report_measures.liveness(self.inputs.alive, f"{self.task} {self.point(seed=name.seed)}")
                PredictionsFolder(out).write_liveness({**signs})

        self.seal(str(name), files_from(write), facts, **params)

    def seal_measures(self, answers: Mapping[str, list[Prediction]]) -> None:
        """Relevance, general suites and speed.

        Args:
            answers: by arm; of tuned those of the first seed.
        """
        for place, (arm, predictions) in enumerate(answers.items()):
            self.seal(str(InputName("relevance", arm)), report_folders.relevance(report_measures.relevance(predictions, place)), {})
        if general_text.PARAGRAPHS in self.suites():
            facts = {"vocabulary": report_measures.VOCABULARY}
            self.seal(
                str(InputName("losses", suite=general_text.PARAGRAPHS)),
                report_folders.losses(self.task, self.inputs.loss_rise),
                facts,
                **self.point(),
            )
        if report_measures.OTHER_TASK in self.suites():
            self.seal_other_task()
        self.seal("speed", report_folders.speed(self.task, self.inputs.arms), {}, quantization="nf4", **self.point())

    def suites(self) -> list[str]:
        names = self.recipe.general.suites
        return [general_text.PARAGRAPHS, report_measures.OTHER_TASK] if names is None else list(names)

    def seal_other_task(self) -> None:
        suite, examples = report_measures.OTHER_TASK, report_measures.other_task()
        self.seal(str(InputName("heldout", suite=suite)), *report_folders.heldout(examples), split="heldout")
        for arm, predictions in report_measures.other_answers(*FLIPS.get(self.task, (5, 4))).items():
            files = files_from(lambda out, rows=predictions: PredictionsFolder(out).write_predictions(rows))
            self.seal(str(InputName("predictions", arm, suite=suite)), files, {}, **(self.point() if arm == "tuned" else {}))

    def seal_slices(self) -> None:
        """By length and label, which need no source."""
        entries = [measure_jobs.slice_entry(entry) for entry in self.recipe.compare.slices]
        params = {"task": report_answers.spec(self.task, self.inputs.two_metrics), "files": {}, "slices": entries}
        folders, facts = {"heldout": self.sources["heldout"].path}, Row()

        def write(out: Path) -> None:
            facts.update(slice_examples.run(Work(params, folders, out, out / "resume", Machine(device="cpu"))))

        self.seal("slices", files_from(write), facts)

    def seal_comparison(self) -> None:
        """The comparison of all that is there, by the stage that makes it."""
        others = [report_measures.OTHER_TASK] if self.inputs.measured and report_measures.OTHER_TASK in self.suites() else []
        params = {"task": report_answers.spec(self.task, self.inputs.two_metrics), **self.recipe.compare.model_dump(include=COMPARE_KEYS)}
        params |= {"loss_margin": self.recipe.general.loss_margin, "general": {name: name for name in others}}
        unread = ("speed", *(() if "constant" in self.inputs.arms else ("train",)), *(f"adapter{seed}" for seed in self.seeds))
        inputs = {name: artifact for name, artifact in self.sources.items() if name not in unread}
        digests = {name: artifact.digest for name, artifact in inputs.items()}
        spec = ArtifactSpec("compare", f"{self.task}--comparison", stages.find("compare").version(params), params, digests)
        lineage = {name: artifact.path.name for name, artifact in inputs.items()}
        self.sources["comparison"] = self.inputs.store("comparison", spec, report_folders.comparison(params, inputs), lineage, {})


class BuiltReport:
    """A report with its inputs."""

    html: str
    md: str
    json: Row

    def __init__(self, inputs: Inputs) -> None:
        self.work: Work = inputs.work()
        self.write()

    def write(self) -> None:
        self.facts = report.run(self.work)
        self.html, self.md = ((self.work.out / f"report.{kind}").read_text("utf-8") for kind in ("html", "md"))
        self.json = json.loads((self.work.out / "report.json").read_text("utf-8"))

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


class Chartless(BuiltReport):
    """The same without charts and model cards, which take most of the time; the page stands in no file."""

    def write(self) -> None:
        files, index = embedded_records.embed(self.work)
        recipe, opened = self.work.params["recipe"], cells.open_cells(self.work)
        content = report_data.report(recipe, opened, files, preliminary.of(recipe, opened, self.work.params.get("limit")))
        self.html, self.md = render.page(content, files, placeholder_charts(content), index), render.markdown(content)
        self.json = json.loads(json.dumps(content))


def placeholder_charts(content: Mapping[str, Any]) -> dict[str, str]:
    """A figure without marks for every chart that a page of this report must hold."""
    rows, axes = content["cells"], content["sweep"]["axes"] if content["sweep"] else []
    names = ["scores"]
    kinds = {suite["kind"] for row in rows for suite in row["forgetting"]}
    names += [f"other-tasks-{kind}" for kind in sorted(kinds)]
    names += [f"{name}-narrow" for name in names]
    for index in range(len({row["task"] for row in rows})):
        names += [f"loss{index}", *(f"sweep{index}-{axis['axis'].rpartition('.')[2]}" for axis in axes)]
    return dict.fromkeys(names, '<svg aria-label="none"></svg>')
