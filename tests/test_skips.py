"""Skipped tests are counted by reason, and too many of them fail a run that bounds them."""

import os
import subprocess
import sys

import pytest

from tests import ROOT
from tests.conftest import MAX_SKIPPED

SKIPPING = """
import pytest

@pytest.mark.parametrize("n", range(3))
@pytest.mark.skipif(True, reason="needs a lake")
def test_swims(n): pass

def test_climbs():
    pytest.skip("needs a hill")

def test_walks(): pass
"""


@pytest.mark.parametrize(("bound", "workers", "status"), [(None, "0", 0), ("4", "2", 0), ("3", "2", 1), ("3", "0", 1)])
def test_skipped_tests_are_counted_and_bounded(tmp_path, bound, workers, status):
    (tmp_path / "test_some.py").write_text(SKIPPING, "utf-8")
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        os.devnull,
        "--rootdir",
        str(tmp_path),
        "-p",
        "tests.conftest",
        "-n",
        workers,
        str(tmp_path),
    ]
    environ = {name: value for name, value in os.environ.items() if name != MAX_SKIPPED} | ({MAX_SKIPPED: bound} if bound else {})
    ran = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert ran.returncode == status, ran.stdout + ran.stderr
    assert "3 skipped: needs a lake\n1 skipped: needs a hill\n" in ran.stdout
    assert ("FAILED: 4 tests skipped, and LORALIFT_MAX_SKIPPED allows 3" in ran.stdout) == (status == 1)
