"""The main job on real data and a real pretrained model, through the public command line and inline tasks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.tiny import SHARED, STORIES

ROOT = Path(__file__).parents[1]

E2E = {
    "name": "e2e_nlg",
    "data": {"train": str(SHARED / "data/e2e_nlg/train.jsonl.gz"), "heldout": str(SHARED / "data/e2e_nlg/test.jsonl.gz")},
    "prompt": "{meaning_representation} => ",
    "target": "{human_reference}",
    "group": "{meaning_representation}",
    "metrics": ["rougeL", "bleu"],
    "max_new_tokens": 48,
}
SST2 = {
    "name": "glue_sst2",
    "data": {"train": str(SHARED / "data/glue_sst2/train.jsonl.gz"), "heldout": str(SHARED / "data/glue_sst2/validation.jsonl.gz")},
    "prompt": "{sentence} The film is ",
    "target": "{label}",
    "labels": {"label": ["bad", "good"]},
    "choices": ["bad", "good"],
    "answer": "choice",
    "metrics": ["accuracy"],
    "max_new_tokens": 4,
}


def check_arms(report):
    """All default arms and measures are there for both tasks, and the parts of the lift sum to it."""
    free, closed = report["cells"]
    assert [arm["name"] for arm in free["arms"]] == ["base", "base_fewshot", "tuned", "constant"]
    assert [arm["name"] for arm in closed["arms"]] == [
        "base",
        "base_fewshot",
        "base_constrained",
        "base_constrained_raw",
        "tuned",
        "constant",
    ]
    assert [gone["arm"] for gone in free["absent"]] == ["base_constrained"]
    for cell, other in ((free, "glue_sst2"), (closed, "e2e_nlg")):
        parts = cell["decomposition"]["parts"]
        assert sum(part["value"] for part in parts) == pytest.approx(cell["comparisons"][0]["lift"], abs=1e-12)
        assert [suite["suite"] for suite in cell["forgetting"]] == ["paragraphs", other]
        assert all(arm["relevance"]["n"] == 200 for arm in cell["arms"] if arm["name"] != "constant" and not arm["name"].endswith("_raw"))
        summary = {arm["name"]: [arm["score"], arm["counts"]["unparsed"], arm["relevance"]] for arm in cell["arms"]}
        print(json.dumps({cell["task"]: [parts, cell["forgetting"][0]["difference"], summary]}))


@pytest.mark.slow
@pytest.mark.skipif(not STORIES.is_dir(), reason="needs the shared model and data")
def test_the_main_job_on_real_input(tmp_path):
    recipe = {
        "name": "stories", "base": str(STORIES), "tasks": [E2E, SST2],
        "prepare": {"train_examples": 3200, "dev_examples": 64, "heldout_examples": 200, "max_tokens": 256},
        "finetune": {"rank": 16, "learning_rate": 2e-3, "max_steps": 200, "dev_every": 100},
        "generate": {"score_choices": True},
        "compare": {"resamples": 2000},
    }  # fmt: skip
    (tmp_path / "stories.yaml").write_text(yaml.safe_dump(recipe))
    words = [sys.executable, "-m", "pipeline", "compare", str(tmp_path / "stories.yaml"), "--store", str(tmp_path), "--device", "cpu"]
    ran = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=1200, check=False, env={**os.environ, "COLUMNS": "80"})
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "report:" in ran.stdout
    rows = [json.loads(line) for path in tmp_path.glob("data/compare/*/comparisons.jsonl") for line in path.read_text().splitlines()]
    by_metric = {(row["task"], row["metric"]): row for row in rows}
    assert set(by_metric) == {("e2e_nlg", "rougeL"), ("e2e_nlg", "bleu"), ("glue_sst2", "accuracy")}
    rouge = by_metric["e2e_nlg", "rougeL"]
    assert rouge["n"] == 200
    assert rouge["low"] > 0.05  # 300 steps of a plain loop took it from 0.07 to 0.26
    (page,) = tmp_path.glob("data/report/*/report.html")
    report = json.loads(page.with_name("report.json").read_text())
    check_arms(report)
    words = [sys.executable, "-m", "pipeline", "verify", str(page)]
    proved = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=600, check=False, env={**os.environ, "COLUMNS": "80"})
    assert proved.returncode == 0, proved.stderr[-3000:]
    print(json.dumps({name[1]: {key: row[key] for key in ("base", "tuned", "lift", "low", "high")} for name, row in by_metric.items()}))
