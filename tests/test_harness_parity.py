"""Parity with lm-evaluation-harness, document by document: the same requests, answers and scores as its `hf` model in float32."""

import json
import os
import subprocess
import sys
from itertools import islice

import pytest
import yaml

from pipeline.config.schema import LmEval
from tests import harness_run, preparing, task_rows, tiny, twins
from tests.local_hub import LocalHub

pytest.importorskip("lm_eval")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
FACTS = [("cat", "sees", "dog"), ("dog", "likes", "bird"), ("bird", "wants", "cat"), ("red cat", "sees", "blue dog")]
EXACT = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True, "ignore_case": True}
GENERATION = {
    "output_type": "generate_until", "description": "Say who.\n\n", "doc_to_text": "{{question}}\nA:", "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["\n", "dog"], "max_gen_toks": 8}, "num_fewshot": 2, "metric_list": [EXACT],
    "filter_list": [
        {"name": "whole", "filter": [{"function": "take_first"}]},
        {"name": "word", "filter": [{"function": "regex", "regex_pattern": "(\\w)"}, {"function": "take_first"}]},
    ],
}  # fmt: skip
CHOICE = {
    "output_type": "multiple_choice", "doc_to_text": "{{question}} ", "doc_to_choice": "{{options}}",
    "doc_to_target": "{{options.index(answer)}}", "target_delimiter": "",
    "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}, {"metric": "acc_mutual_info"}],
}  # fmt: skip
LAST_WORD = {
    "output_type": "loglikelihood", "doc_to_text": "{{question}}", "doc_to_target": "{{' ' ~ answer}}",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}  # fmt: skip
TASKS = {"my_qa": GENERATION, "my_choice": CHOICE, "my_last_word": LAST_WORD}


def write_tasks(folder):
    """A folder of task YAML over local files."""
    rows = [
        {"question": f"{number} the {who} {does} the ?", "answer": whom, "options": ["cat", "dog", "bird", "blue dog"]}
        for number in range(6)
        for who, does, whom in FACTS
    ]
    for split, part in (("train", rows[:12]), ("test", rows[8:])):
        preparing.write_file(folder / f"{split}.jsonl", part)
    files = {split: str(folder / f"{split}.jsonl") for split in ("train", "test")}
    for name, task in TASKS.items():
        source = {"dataset_path": "json", "dataset_kwargs": {"data_files": files}, "training_split": "train", "test_split": "test"}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"task": name, **source, **task}), "utf-8")
    return str(folder)


@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize("name", TASKS)
def test_tasks_of_the_users_own_yaml(name, shots, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    section = LmEval(include=write_tasks(tmp_path / "tasks"))
    tiny.make_model(tmp_path / "base")
    lines, answers = harness_run.compared(name, section, tmp_path / "base", shots, tmp_path / "out")
    assert lines == []
    assert len(answers) == 16


def test_a_chat_template_is_theirs(tmp_path):
    twins.make("qwen2", tmp_path / "base")
    section = LmEval(include=write_tasks(tmp_path / "tasks"), apply_chat_template=True)
    for name in ("my_qa", "my_choice"):
        lines, answers = harness_run.compared(name, section, tmp_path / "base", 1, tmp_path / name)
        assert lines == []
        assert "user" in json.dumps(answers)


def test_a_prompt_beyond_the_context_window_loses_its_start(tmp_path):
    tiny.make_model(tmp_path / "base")
    section = LmEval(include=write_tasks(tmp_path / "tasks"))
    for name in ("my_qa", "my_choice"):
        lines, _ = harness_run.compared(name, section, tmp_path / "base", 11, tmp_path / name)  # more than 256 tokens
        assert lines == []


@pytest.mark.skipif(not tiny.SHARED.is_dir(), reason="needs the real data")
def test_tasks_of_the_hub(tmp_path):
    splits = {
        "openai/gsm8k": ("main", "gsm8k", ("train", "test")),
        "allenai/ai2_arc": ("ARC-Challenge", "arc_challenge", ("train", "validation", "test")),
    }
    for repository, (config, folder, names) in splits.items():
        place = tmp_path / "hub" / "datasets" / repository
        for name in names:
            preparing.write_file(place / config / f"{name}.jsonl", list(islice(task_rows.real(f"{folder}/{name}"), 10)))
        files = [{"split": name, "path": f"{config}/{name}.jsonl"} for name in names]
        (place / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': [{'config_name': config, 'data_files': files}]})}---\n")
    with LocalHub(tmp_path / "hub") as hub:
        environ = {**os.environ, **hub.environ(tmp_path / "home"), "HF_DATASETS_OFFLINE": "0"}
        for shots in ("0", "3"):
            words = [str(tiny.STORIES), str(tmp_path / shots), shots, "gsm8k", "arc_challenge"]
            command = [sys.executable, "-m", "tests.harness_run", *words]
            ran = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
            assert ran.returncode == 0, ran.stderr[-2000:]
            report = json.loads(ran.stdout.splitlines()[-1])
            assert {name: entry["differences"] for name, entry in report.items()} == {"gsm8k": [], "arc_challenge": []}
            assert report["gsm8k"] == {
                "differences": [], "documents": 10, "metrics": ["exact_match,flexible-extract", "exact_match,strict-match"],
            }  # fmt: skip
            assert report["arc_challenge"]["metrics"] == ["acc", "acc_norm"]
