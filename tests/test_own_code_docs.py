"""The files of docs/own_task_and_metric.md do what the page says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "own_task_and_metric.md"


def write_files(folder: Path) -> list[str]:
    """Write the page's files, each named in its first line; returns the commands."""
    text = PAGE.read_text("utf-8")
    for name, content in re.findall(r"^```\w+\n# (\S+\.\w+)\n(.*?)^```$", text, re.S | re.M):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, "utf-8")
    return next(iter(re.findall(r"^```bash\n(.*?)^```$", text, re.S | re.M))).splitlines()


@pytest.mark.slow
def test_the_page_builds_a_task_and_a_metric(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    commands = write_files(tmp_path)
    assert commands[-1] == "loralift compare tickets.yaml"  # the real run takes longer
    for command in commands[:-1]:
        words = command.replace("loralift", "-m pipeline").replace("python", "").split()
        ran = subprocess.run([sys.executable, *words], check=False, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, (command, ran.stdout, ran.stderr)
    report = json.loads(next(tmp_path.glob("smoke/data/report/*/report.json")).read_text("utf-8"))
    rows = {row["metric"]: row for row in report["cells"][0]["comparisons"]}
    assert list(rows) == ["team_credit", "accuracy"]
    assert rows["team_credit"]["primary"]
    assert rows["team_credit"]["n"] == 8
