"""Answers a task of lm-evaluation-harness twice, by our stages and by lm-eval's own `hf` model, and says where the two differ.

As a program, for the tasks of a hub: `python -m tests.harness_run BASE FOLDER SHOTS NAME...` prints the differences as JSON.
"""

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

from pipeline import metrics
from pipeline.config.schema import LmEval
from pipeline.data import harness_task, inline
from pipeline.harness import library
from pipeline.machine import Machine, Work
from pipeline.models.harness_renderer import HARNESS
from pipeline.scoring import right_answers
from pipeline.stages import generate
from pipeline.store.folders import HeldoutFolder, PredictionsFolder
from tests import preparing, tiny

Answer = dict[str, Any]
"""Of one document: `requests`, `responses`, `scores` by metric."""


def ours(name: str, role: str, section: LmEval, base: Path, shots: int, folder: Path) -> dict[str, Answer]:
    """The answers of our stages, by document."""
    model = tiny.spec(base)
    spec = harness_task.resolve(f"lm_eval/{name}", role, section, model, ask=True) | {"shots": shots}
    task = inline.from_spec(spec)
    model |= {"chat": section.apply_chat_template, "prompts": HARNESS}
    params = {"max_tokens": 512, "long_prompts": "keep", "max_new_tokens": task.max_new_tokens, "examples": 1000}
    preparing.prepare_split(spec, "heldout", folder / "heldout", model, **params)
    out = folder / "predictions"
    out.mkdir()
    answering = {**tiny.GENERATE, "quantization": "none", "max_new_tokens": task.max_new_tokens, "stop": list(task.stop)}
    work = Work({"model": model, **answering}, {"heldout": folder / "heldout"}, out, folder / "resume", Machine(device="cpu"))
    generate.run(work)
    predictions = {row.example: row for row in PredictionsFolder(out).predictions()}
    examples = HeldoutFolder(folder / "heldout").examples()
    answers = {}
    for example in examples:
        row, document = predictions[example.id], example.extra["lm_eval"]
        responses = [[value, flag] for value, flag in zip(row.logprobs, row.greedy, strict=True)] or row.text
        answers[example.id] = {"requests": document.get("pairs", example.prompt), "responses": responses, "scores": {}}
    for metric_name in task.metrics:
        metric = metrics.load(metric_name, **task.metric_options)
        texts = [right_answers.harness_response(predictions[example.id]) for example in examples]
        golds = [json.dumps(example.extra["lm_eval"]) for example in examples]
        for example, score in zip(examples, metric.all_scores(texts, golds), strict=True):
            answers[example.id]["scores"][metric_name.removeprefix("lm_eval/")] = score
    return answers


def theirs(name: str, section: LmEval, base: Path, shots: int) -> dict[str, Answer]:
    """What `lm_eval --model hf --model_args pretrained=...,dtype=float32 --log_samples` writes, by document."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_defaults=False)
    manager._index = library.index_of(name, section.include or "")  # its own index takes half a minute
    arguments = {"pretrained": str(base), "dtype": "float32"}
    result = lm_eval.simple_evaluate(
        model="hf", model_args=arguments, tasks=[name], task_manager=manager, num_fewshot=shots, log_samples=True, batch_size=8,
        device="cpu", bootstrap_iters=0, apply_chat_template=section.apply_chat_template,
    )  # fmt: skip
    answers: dict[str, Answer] = {}
    for task, rows in result["samples"].items():
        several = len({row["filter"] for row in rows}) > 1 or rows[0]["filter"] != "none"
        for row in rows:
            is_text = not isinstance(row["resps"][0][0], list | tuple)
            requests = row["arguments"][0][0] if is_text else [list(pair[:2]) for pair in row["arguments"]]
            responses = row["resps"][0][0] if is_text else [list(response[0]) for response in row["resps"]]
            own = answers.setdefault(f"{task}-{row['doc_id']}", {"requests": requests, "responses": responses, "scores": {}})
            own["scores"] |= {f"{metric},{row['filter']}" if several else metric: row[metric] for metric in row["metrics"]}
    return answers


def differences(one: dict[str, Answer], other: dict[str, Answer]) -> list[str]:
    """Where our answers are not theirs; log-likelihoods may differ by rounding."""
    lines = [] if sorted(one) == sorted(other) else [f"documents: {len(one)}, {len(other)}"]
    for name in sorted(set(one) & set(other)):
        mine, yours = one[name], other[name]
        lines += [f"{name}: requests {mine['requests']!r}, {yours['requests']!r}"] if mine["requests"] != yours["requests"] else []
        if isinstance(mine["responses"], str):
            is_same = mine["responses"] == yours["responses"]
        else:
            pairs = list(zip(mine["responses"], yours["responses"], strict=True))
            is_same = all(abs(a[0] - b[0]) < 1e-3 and a[1] == b[1] for a, b in pairs)
        lines += [] if is_same else [f"{name}: responses {mine['responses']!r}, {yours['responses']!r}"]
        scores = {metric: float(yours["scores"][metric]) for metric in mine["scores"]}
        lines += [] if mine["scores"] == scores else [f"{name}: scores {mine['scores']}, {scores}"]
    return lines


def compared(name: str, section: LmEval, base: Path, shots: int, folder: Path, role: str = "task") -> tuple[list[str], dict[str, Answer]]:
    """The differences, and our answers."""
    folder.mkdir(parents=True, exist_ok=True)
    mine = ours(name, role, section, base, shots, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("lm_eval").setLevel(logging.CRITICAL)
        return differences(mine, theirs(name, section, base, shots)), mine


def main() -> None:
    base, folder, shots, *names = sys.argv[1:]
    report = {}
    for name in names:
        role = "suite" if name == "mmlu_stem" else "task"
        lines, mine = compared(name, LmEval(), Path(base), int(shots), Path(folder) / name, role)
        report[name] = {"differences": lines, "documents": len(mine), "metrics": sorted(next(iter(mine.values()))["scores"])}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
