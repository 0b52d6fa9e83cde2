"""`make gpu-acceptance` runs on a CPU with a tiny shape, so that no minute of a GPU goes to a typing mistake."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.acceptance import __main__ as acceptance
from benchmarks.acceptance import machine_limits, suites, training
from pipeline.engine.batching import TokenRow
from pipeline.machine import Machine
from pipeline.stages.finetune import Passes

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    out = tmp_path_factory.mktemp("acceptance")
    words = ["--shape", "tiny", "--device", "cpu", "--out", str(out), "--parts", "tests,limits,generation,choices,training,estimates"]
    subprocess.run([sys.executable, "-m", "benchmarks.acceptance", *words], cwd=ROOT, check=True, capture_output=True)
    body = json.loads((out / "acceptance-tiny-cpu.json").read_text("utf-8"))
    assert {"packages", "cpu", "git"} <= body.keys()
    return body["parts"]


def test_every_part_ends_with_figures(parts):
    assert [name for name, part in parts.items() if "error" in part] == []
    assert parts["limits"]["result"]["flops"] > 0
    assert set(parts["generation"]["result"]) == {"static batches of 8, 4-bit", "token budget, 4-bit", "token budget, dense"}
    assert parts["estimates"]["result"]["estimate"]["peak_bytes"] > 0


def test_the_tests_for_a_gpu_are_named_with_their_outcomes(parts):
    tests = parts["tests"]["result"]
    assert tests["tests"] == len(tests["cases"]) > 10
    assert all(outcome.startswith("skipped: needs a CUDA device") for outcome in tests["cases"].values()) or tests["passed"]


def test_every_setting_computes_the_same_step(parts):
    rows = parts["training"]["result"]
    assert [row["name"] for row in rows] == [s.name for s in training.SETTINGS if not s.compiled] + ["plain transformers + peft"]
    for row in rows:
        assert row["loss"] == pytest.approx(rows[0]["loss"], rel=1e-3)
        assert row["gradient_cosine"] > 0.999
        assert row["tokens_per_second"] > row["target_tokens_per_second"] > 0


def test_both_ways_to_score_choices_agree(parts):
    assert parts["choices"]["result"]["largest_difference"] < 0.1  # bf16


def test_a_part_that_fails_leaves_its_error_and_the_others(tmp_path, monkeypatch):
    monkeypatch.setitem(acceptance.PARTS, "choices", lambda bench: 1 / 0)
    monkeypatch.setattr(
        sys, "argv", ["acceptance", "--shape", "tiny", "--device", "cpu", "--parts", "choices,limits", "--out", str(tmp_path)]
    )
    acceptance.main()
    written = json.loads((tmp_path / "acceptance-tiny-cpu.json").read_text("utf-8"))["parts"]
    assert "ZeroDivisionError" in written["choices"]["error"]
    assert written["limits"]["result"]["bandwidth"] > 0


def test_no_part_begins_after_the_time(tmp_path):
    bench = acceptance.Bench("tiny", tmp_path, Machine(device="cpu"), time.monotonic() - 1)
    assert acceptance.run_part("limits", bench) == {"error": "not run: the time was up"}


def test_the_share_of_the_limit_counts_the_work_of_the_step_alone(tmp_path):
    """A device that computes the products of one step in a second, and nothing else, is used to the full.

    The first block needs no gradient of its input, which the formula counts, and the counter does not know the attention of
    CPUs: in eight wide blocks both are little.
    """
    from torch.utils.flop_counter import FlopCounterMode

    bench = acceptance.Bench("tiny", tmp_path / "base", Machine(device="cpu"), 0)
    bench.shape = replace(acceptance.TINY, hidden=256, layers=8, kv_heads=4, head_dim=64, ffn=1024)
    row = TokenRow.from_prompt(list(range(10, 50)), list(range(50, 74)))
    with training.under(training.Setting("dense", packing=False, dense=True), bench.base) as model:
        passes = Passes(model, "bf16", 0)
        with FlopCounterMode(display=False) as counter:
            passes.gradients([row], 512)
    rates = training.count_rates([[row]], seconds=1.0)
    limits = machine_limits.Limits(float(counter.get_total_flops()), 1.0)
    assert training.share_of_limit(bench.shape, rates, limits) == pytest.approx(1, abs=0.05)


def test_a_failed_quickstart_is_named():
    with pytest.raises(RuntimeError, match="exit 2"):
        suites.quickstart("cpu", 60, ["--limit", "0"])


def test_limits_are_of_the_device():
    import torch

    limits = machine_limits.measure(torch.device("cpu"))
    assert limits.flops > 1e9
    assert limits.bandwidth > 1e8
