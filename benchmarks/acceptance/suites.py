"""Runs the tests that need a CUDA device, and the quickstart from end to end, each in a process of its own."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]


def gpu_tests(seconds: float) -> dict[str, Any]:
    """The outcome of every test marked gpu: passed, or the message of its failure or skip."""
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "junit.xml"
        words = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/test_gpu.py", f"--junitxml={report}", "-p", "no:cacheprovider"]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
        if not report.is_file():
            raise RuntimeError(f"pytest wrote no report: {(done.stdout + done.stderr)[-2000:]}")
        cases = {case.get("name", "?"): outcome(case) for case in ElementTree.parse(report).getroot().iter("testcase")}
    return {"passed": sum(word == "passed" for word in cases.values()), "tests": len(cases), "cases": cases}


def outcome(case: ElementTree.Element) -> str:
    faults = [fault for fault in case if fault.tag in ("failure", "error", "skipped")]
    return "passed" if not faults else f"{faults[0].tag}: {faults[0].get('message', '')}\n{(faults[0].text or '')[-1500:]}"


def quickstart(device: str, seconds: float, options: list[str]) -> dict[str, Any]:
    """Exit code, seconds by stage and the scores of every arm of the quickstart.

    Args:
        options: of `compare`, as --limit.
    """
    with tempfile.TemporaryDirectory() as store:
        words = [sys.executable, "-m", "pipeline", "compare", "quickstart", "--yes", "--store", store, "--device", device, *options]
        start = time.perf_counter()
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
        took = time.perf_counter() - start
        reports = list(Path(store).rglob("report.json"))
        if not reports:
            raise RuntimeError(f"exit {done.returncode}: {(done.stdout + done.stderr)[-3000:]}")
        cells = json.loads(reports[0].read_text("utf-8"))["cells"]
    scores = {cell["label"]: {arm["name"]: arm["score"] for arm in cell["arms"]} for cell in cells}
    return {"exit": done.returncode, "seconds": took, "scores": scores}
