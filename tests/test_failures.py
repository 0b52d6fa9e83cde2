"""When a job fails: what is tried again, what goes on without it, what ends the run; and a store that goes away for a while."""

import errno
import json
import os
import pickle
import shutil
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli, runner, stages
from pipeline.commands import recompute_page
from pipeline.commands.run_incomplete import RunIncompleteError, cause_line, holes_of
from pipeline.errors import DataError, DiskError, MachineError, OutOfMemoryError, TrainingError
from pipeline.machine import Machine
from pipeline.planning.job import Job, job
from pipeline.runner import Failures, JobQueue, Site, run
from pipeline.stages import finetune
from pipeline.store import disk
from pipeline.store.artifact import Store
from tests import project

TOY = """
import json
NEEDS = ()
VERSION = 1
FAULTS = {}
CALLS = []


def run(work):
    number = work.params["number"]
    CALLS.append(number)
    if FAULTS.get(number):
        raise FAULTS[number].pop(0)
    (work.out / "record.json").write_text(json.dumps(number))
    return {}
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A stage that fails as its module says."""
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "toy_failing.py").write_text(TOY)
    monkeypatch.setattr(stages, "__path__", [*stages.__path__, str(tmp_path / "room")])
    monkeypatch.setattr(runner, "PAUSE_SECONDS", 0.0)
    yield stages.find("toy_failing").module
    sys.modules.pop("pipeline.stages.toy_failing", None)
    vars(stages).pop("toy_failing", None)


def three(count: int = 3) -> list[Job]:
    """Jobs 0, 1, 2; job 10 reads 0 and job 11 reads 1."""
    jobs = [job("toy_failing", f"job{number}", {"number": number}) for number in range(count)]
    return [*jobs, *(job("toy_failing", f"job{10 + number}", {"number": 10 + number}, source=jobs[number]) for number in (0, 1))]


def carry_out(root: Path, failures: Failures | None, jobs: list[Job] | None = None) -> list[int]:
    """The numbers of the jobs that are done, in order."""
    site = Site(Store(root / "store" / "data", root / "store" / "checkpoints"), Machine("cpu"))
    return [done.params["number"] for done in run(jobs or three(), site, lambda *_: None, failures=failures)]


def test_the_first_failure_ends_the_run_unless_it_keeps_going(toy, tmp_path):
    toy.FAULTS = {0: [TrainingError("the loss is NaN")] * 2}
    with pytest.raises(TrainingError, match="NaN"):
        carry_out(tmp_path, None)
    assert toy.CALLS == [0]
    failures = Failures(keep_going=True)
    assert carry_out(tmp_path, failures) == [1, 2, 11]
    assert {failed.label: str(error) for failed, error in failures.causes.items()} == {"job0": "the loss is NaN"}
    assert carry_out(tmp_path, Failures()) == [0, 1, 2, 10, 11]
    assert Counter(toy.CALLS) == {0: 3, 1: 1, 2: 1, 10: 1, 11: 1}


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (ValueError("a crash"), 3), (OutOfMemoryError("out of memory in toy"), 3), (OSError(errno.EINVAL, "odd"), 3),
        (TrainingError("NaN"), 1), (DataError("no such column"), 1), (MachineError("no CUDA device"), 1),
    ],
)  # fmt: skip
def test_what_may_pass_is_tried_again_and_nothing_else(toy, tmp_path, error, tries):
    toy.FAULTS = {0: [error] * 3}
    lines: list[tuple[str, int]] = []
    failures = Failures(retries=2, keep_going=True, tell=lambda failed, _, number: lines.append((failed.label, number)))
    assert carry_out(tmp_path, failures) == [1, 2, 11]
    assert Counter(toy.CALLS)[0] == tries
    assert lines == [("job0", number) for number in (1, 2, 0)[3 - tries :]]


def test_a_job_that_passes_at_the_second_try_is_no_failure(toy, tmp_path):
    toy.FAULTS = {0: [ValueError("once")], 11: [ValueError("once"), ValueError("twice")]}
    failures = Failures(retries=2)
    assert sorted(carry_out(tmp_path, failures)) == [0, 1, 2, 10, 11]
    assert failures.causes == {}
    assert [failures.pause(failed) for failed in (*three()[:2], three()[4])] == [0.0, 0.0, 0.0], "PAUSE_SECONDS is 0 here"


def test_the_pause_doubles_from_try_to_try():
    failures, failed = Failures(retries=3), three()[0]
    assert failures.pause(failed) == 0.0
    pauses = [failures.is_retried(failed, ValueError()) and failures.pause(failed) for _ in range(3)]
    assert pauses == [runner.PAUSE_SECONDS * factor for factor in (1, 2, 4)]
    with pytest.raises(ValueError, match="the fourth"):
        failures.is_retried(failed, ValueError("the fourth"))


def test_a_disk_that_refuses_ends_the_run_and_what_is_done_stays(toy, tmp_path):
    toy.FAULTS = {1: [OSError(errno.ENOSPC, "No space left on device")] * 2}
    with pytest.raises(DiskError, match="the disk is full"):
        carry_out(tmp_path, Failures(retries=1, keep_going=True))
    assert toy.CALLS == [0, 1, 1]
    toy.FAULTS = {}
    assert sorted(carry_out(tmp_path, None)) == [0, 1, 2, 10, 11]
    assert Counter(toy.CALLS)[0] == 1


def test_an_artifact_that_is_damaged_fails_what_needs_it_alone(toy, tmp_path):
    carry_out(tmp_path, None)
    (record,) = tmp_path.glob("store/data/toy_failing/job0--*/record.json")
    record.unlink()
    failures = Failures(keep_going=True)
    assert carry_out(tmp_path, failures) == [1, 2, 11]
    assert [failed.label for failed in failures.causes] == ["job0"]


def test_a_failure_holds_no_frames(toy, tmp_path):
    """They would hold the tensors of a job that ran out of memory while the others run."""

    def deep() -> None:
        try:
            raise KeyError("cause")
        except KeyError as error:
            raise ValueError("outer") from error

    failures = Failures(keep_going=True)
    with pytest.raises(ValueError, match="outer") as raised:
        deep()
    failures.is_retried(three()[0], raised.value)
    assert raised.value.__traceback__ is None
    assert raised.value.__cause__ is not None
    assert raised.value.__cause__.__traceback__ is None


@pytest.mark.parametrize("moment", ["between jobs", "inside a job", "while sealing"])
def test_a_store_that_goes_away_is_waited_for(toy, tmp_path, monkeypatch, capsys, moment):
    """The folder is moved away, as a disk that is unmounted, and comes back; no job is made in its place meanwhile."""
    monkeypatch.setattr(disk, "WAITS", (0.2,) * 30)
    store, away = tmp_path / "store", tmp_path / "away"
    backs: list[threading.Timer] = []

    def leave() -> None:
        if not backs:
            store.rename(away)
            backs.append(threading.Timer(1.0, lambda: away.rename(store)))
            backs[0].start()

    real = toy.run

    def leaving(work: Any) -> dict[str, Any]:
        if work.params["number"] == 1 and moment == "inside a job":
            leave()
        facts = real(work)
        if work.params["number"] == 1 and moment == "while sealing":
            leave()
        return dict(facts)

    monkeypatch.setattr(toy, "run", leaving)
    site = Site(Store(store / "data", store / "checkpoints"), Machine("cpu"))

    def notify(event: str, one: Job, _: Any) -> None:
        if moment == "between jobs" and (event, one.label) == ("done", "job0"):
            leave()

    assert len(run(three(), site, notify)) == 5
    assert "cannot be reached; trying again in 0.2 s" in capsys.readouterr().err
    assert set(Counter(toy.CALLS)) == {0, 1, 2, 10, 11}
    assert Counter(toy.CALLS)[0] == 1
    assert not away.exists()
    assert len(list(site.store.all())) == 5
    assert not [path for path in store.rglob(".*--*")]


def test_a_store_that_stays_away_is_told_in_a_line(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "WAITS", (0.01, 0.01))
    real = toy.run

    def leaving(work: Any) -> dict[str, Any]:
        (tmp_path / "store").rename(tmp_path / "away")
        return dict(real(work))

    monkeypatch.setattr(toy, "run", leaving)
    with pytest.raises(DiskError, match="is gone: something else deleted it, or its disk was taken away"):
        carry_out(tmp_path, Failures(keep_going=True))
    assert not (tmp_path / "store").exists(), "nothing is written in its place"


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN])
def test_errors_of_a_network_disk_are_waited_for_and_of_a_socket_are_not(tmp_path, monkeypatch, number):
    monkeypatch.setattr(disk, "WAITS", (0.0, 0.0))
    faults: list[Exception] = [OSError(number, os.strerror(number), str(tmp_path / "file"))] * 2

    def action() -> str:
        if faults:
            raise faults.pop()
        return "through"

    assert disk.patiently(action, tmp_path) == "through"
    faults += [OSError(number, os.strerror(number), str(tmp_path / "file"))] * 3
    with pytest.raises(DiskError, match=r"cannot use .*file"):
        disk.patiently(action, tmp_path)
    faults[:] = [TimeoutError(errno.ETIMEDOUT, "Connection timed out")]
    with pytest.raises(TimeoutError):
        disk.patiently(action, tmp_path)


def test_a_job_has_one_hash_that_does_not_travel():
    one, other = three()[3], three()[3]
    assert (hash(one), one) == (hash(other), other)
    copy = pickle.loads(pickle.dumps(one))
    assert (copy, copy.label, vars(copy).keys()) == (one, "job10", {"stage", "label", "params_json", "inputs"})


def test_the_queue_names_a_job_that_waits_for_one_outside_the_plan():
    with pytest.raises(AssertionError, match="toy_failing job10 waits for toy_failing job0, which is not in the plan"):
        JobQueue(three()[3:], Machine("cpu"))


def test_a_cause_is_a_line():
    assert cause_line(MachineError("no\n  GPU", "Buy one.")) == "no GPU Buy one."
    assert cause_line(ValueError("a\nb")) == "ValueError: a b"
    assert cause_line(AssertionError()) == "AssertionError"


def test_a_hole_says_what_failed_of_which_seed_and_what_is_trained():
    prepare = job("prepare", "p", {"split": "train"})
    trained = [job("finetune", f"t{seed}", {"seed": seed}, train=prepare) for seed in (0, 1, 2)]
    cells = [{"cell": f"cell{number:04}", "task": task, "point": {}, "seeds": [0, 1, 2]} for number, task in enumerate(("a", "b"))]
    other = job("prepare", "q", {"split": "train", "name": "b"})
    inputs = {f"cell0000.adapter{seed}": one for seed, one in enumerate(trained)} | {
        "cell0001.comparison": job("compare", "c", {}, x=other)
    }
    report = job("report", "r", {"cells": cells}, **inputs)
    causes = {
        trained[2]: OutOfMemoryError("out of memory in finetune t2", "Lower --tokens."),
        other: DataError("/home/me/data/b.csv: empty"),
    }
    assert holes_of(report, {prepare, *trained[:2]}, causes) == [
        {"task": "a", "point": {}, "why": "finetune (seed 2) failed: out of memory in finetune t2; trained: 2 seeds (0, 1)"},
        {"task": "b", "point": {}, "why": "prepare failed: b.csv: empty"},
    ]


@pytest.fixture(scope="module")
def incomplete(tmp_path_factory, model):
    """A sweep over two ranks and two seeds, of which one training fails: its store, what it raised and the words of its command."""
    root = tmp_path_factory.mktemp("incomplete")
    recipe = project.make(root, model["folder"])
    body = json.loads(recipe.read_text("utf-8"))
    body |= {"sweep": {"finetune.rank": [2, 4]}, "finetune": {**body["finetune"], "seeds": [0, 1]}}
    recipe.write_text(json.dumps(body), "utf-8")
    words = ["sweep", str(recipe), "--store", str(root), "--device", "cpu", "--tokens", "100"]
    real = finetune.run
    calls_by_seed: list[tuple[int, int]] = []

    def failing(work: Any) -> dict[str, Any]:
        calls_by_seed.append((work.params["rank"], work.params["seed"]))
        if calls_by_seed[-1] == (4, 1):
            raise OutOfMemoryError("out of memory in finetune", "Lower --tokens.")
        return real(work)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetune, "run", failing)
        patch.setattr(runner, "PAUSE_SECONDS", 0.0)
        with pytest.raises(RunIncompleteError) as raised:
            cli.app([*words, "--retries", "1"], standalone_mode=False)
    return {"root": root, "raised": raised.value, "words": words, "calls": calls_by_seed}


@pytest.mark.slow
def test_a_sweep_goes_on_and_exits_with_four(incomplete):
    assert Counter(incomplete["calls"]) == {(2, 0): 1, (2, 1): 1, (4, 0): 1, (4, 1): 2}
    assert incomplete["raised"].status == 4
    assert "failed (finetune " in incomplete["raised"].problem
    assert "that need them did not run" in incomplete["raised"].problem


@pytest.mark.slow
def test_its_report_shows_the_hole_and_claims_nothing_over_it(incomplete):
    (page,) = (incomplete["root"] / "data" / "partial").glob("pets-*/report.html")
    report = json.loads(page.with_name("report.json").read_text("utf-8"))
    reason = "finetune (seed 1) failed: out of memory in finetune; trained: 1 seed (0)"
    assert [cell["point"] for cell in report["cells"]] == [{"finetune.rank": 2}]
    assert (report["preliminary"]["unfinished"], report["preliminary"]["reasons"]) == (["pets, rank 4"], [reason])
    assert report["verdicts"] == {"no verdict": 1}
    assert report["preliminary"]["sentence"].startswith(f"Not finished: pets, rank 4 ({reason}) (1 of 2).")
    assert (report["overview"], report["learning"]) == (None, [])
    assert reason in page.read_text("utf-8")
    assert f"- failed: pets, rank 4: {reason}\n" in page.with_name("report.md").read_text("utf-8")
    assert recompute_page.verify(page).no_verdict == "not finished"


@pytest.mark.slow
def test_the_same_command_fills_the_hole(incomplete):
    before = {path.name for path in incomplete["root"].glob("checkpoints/*--*")}
    cli.app(incomplete["words"], standalone_mode=False)
    after = {path.name for path in incomplete["root"].glob("checkpoints/*--*")}
    assert before < after
    assert len(after - before) == 1
    (page,) = incomplete["root"].glob("data/report/*/report.json")
    assert json.loads(page.read_text("utf-8"))["preliminary"] is None
    assert not list((incomplete["root"] / "data" / "partial").glob("*"))


@pytest.mark.slow
def test_without_keep_going_the_first_failure_ends_a_sweep(incomplete, monkeypatch, tmp_path):
    shutil.copytree(incomplete["root"], tmp_path / "copy")

    def failing(work: Any) -> dict[str, Any]:
        raise TrainingError("the loss is NaN")

    monkeypatch.setattr(finetune, "run", failing)
    words = [*incomplete["words"], "finetune.epochs=2"]
    with pytest.raises(TrainingError, match="NaN"):
        cli.app([*words, "--no-keep-going"], standalone_mode=False)
    with pytest.raises(TrainingError, match="NaN"):
        cli.app(["compare", *words[1:]], standalone_mode=False)
    with pytest.raises(RunIncompleteError, match=r"4 of \d+ jobs failed"):
        cli.app(words, standalone_mode=False)
