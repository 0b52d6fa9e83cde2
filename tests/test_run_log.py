"""What a run prints: the score of each arm as it ends, the loss of training, cached jobs in one line, the time left."""

import io
import re

import pytest
from rich.console import Console

from pipeline.commands.run_log import RunLog, clock
from pipeline.config import recipe as recipes
from pipeline.machine import Machine
from pipeline.planning.plan import plan
from pipeline.runner import Site, run
from pipeline.schedule import in_run_order
from pipeline.store.artifact import Store
from pipeline.store.result_folders import ComparisonFolder
from tests import project


@pytest.fixture(scope="module")
def whole(tmp_path_factory, model):
    """The printed lines of a run from nothing by detail, and the artifacts by stage."""
    root = tmp_path_factory.mktemp("log")
    recipe = recipes.load(project.make(root, model["folder"]))

    def printed(detail, encoding="utf-8"):
        jobs = in_run_order(plan(recipe))
        raw = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
        log = RunLog(Console(file=raw, width=80), jobs, detail)
        site = Site(Store(root / "data", root / "checkpoints"), Machine(device="cpu", tokens=100))
        artifacts = run(jobs, site, log)
        log.finish()
        raw.flush()
        return raw.buffer.getvalue().decode(encoding), artifacts

    return printed("normal"), printed


def test_every_arm_has_the_score_of_the_comparison(whole):
    (text, artifacts), _ = whole
    (comparison,) = [ComparisonFolder(artifact.path) for job, artifact in artifacts.items() if job.stage == "compare"]
    row = comparison.comparisons()[0]
    counts = comparison.counts()["base"]
    share = f", {100 * counts['unparsed'] / counts['n']:.0f} % unparsable" if counts["unparsed"] else ""
    assert f"base: accuracy {row['base']:.2f}{share}\n" in text
    assert f"fine-tuned: accuracy {row['tuned']:.2f}" in text


def test_training_leaves_its_loss_behind(whole):
    (text, artifacts), _ = whole
    (adapter,) = [artifact for job, artifact in artifacts.items() if job.stage == "finetune"]
    (line,) = re.findall(r"loss .*", text)
    first, drawing, last, dev, step = re.fullmatch(r"loss ([\d.]+) ([▁-█]+) ([\d.]+), validation ([\d.]+), best step (\d+)", line).groups()
    assert (dev, int(step)) == (f"{adapter.facts['dev_loss']:.2f}", adapter.facts["kept_step"])
    assert float(first) > float(last)
    assert drawing[0] == "█"


def test_cached_jobs_are_one_line_unless_all_are_asked_for(whole):
    _, printed = whole
    normal, _ = printed("normal")
    assert normal.split() == "all 7 jobs cached".split()
    verbose, _ = printed("verbose")
    assert len(re.findall("cached$", verbose, re.M)) == 7
    assert "all 7" not in verbose
    assert printed("quiet")[0] == ""


def test_a_terminal_without_block_characters_gets_none(tmp_path, model, whole):
    (_, artifacts), _ = whole
    (adapter,) = [artifact for job, artifact in artifacts.items() if job.stage == "finetune"]
    from pipeline.commands import run_log

    assert re.fullmatch(r"loss [\d.]+ to [\d.]+, .*", run_log.loss_line(adapter, can_draw=False)).group().isascii()


def test_the_time_left_is_known_once_every_stage_to_come_has_run():
    class TimedArtifact:
        facts = {}  # noqa: RUF012

        def __init__(self, seconds):
            self.provenance = {"seconds": seconds}

    jobs = [type("Job", (), {"stage": stage, "label": "x"})() for stage in ("prepare", "prepare", "compare", "prepare")]
    log = RunLog(Console(file=io.StringIO()), jobs, "normal")
    log("done", jobs[0], TimedArtifact(4.0))
    assert log.seconds_left() is None  # no comparison has run yet
    log("done", jobs[2], TimedArtifact(9.0))
    log("have", jobs[1], TimedArtifact(1.0))
    assert log.seconds_left() == 4.0
    log("done", jobs[3], TimedArtifact(8.0))
    assert log.seconds_left() is None  # nothing is left


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (125, "2:05"), (3725, "1:02:05")])
def test_clock(seconds, text):
    assert clock(seconds) == text
