import os

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TERM"] = "xterm-256color"
os.environ.pop("COLUMNS", None)  # what is printed is read, and must not depend on whose terminal the tests run in
os.environ.pop("LINES", None)
os.environ.pop("NO_COLOR", None)
os.environ.pop("FORCE_COLOR", None)

import subprocess
import sys
from collections import Counter

import pytest

from tests import tiny

MAX_SKIPPED = "LORALIFT_MAX_SKIPPED"
"""A machine that has data, browser and sandbox sets it to how many tests may skip; a session with more of them fails."""


def skip_reasons(config):
    """The reason of every skipped test; none in a worker process, whose reports go to the main one."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return [report.longrepr[2].removeprefix("Skipped: ") for report in reporter.stats.get("skipped", ())] if reporter else []


def pytest_sessionfinish(session):
    if len(skip_reasons(session.config)) > int(os.environ.get(MAX_SKIPPED, "1000000")):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    reasons = skip_reasons(config)
    for reason, count in Counter(reasons).most_common():
        terminalreporter.write_line(f"{count} skipped: {reason}")
    if len(reasons) > int(os.environ.get(MAX_SKIPPED, "1000000")):
        terminalreporter.write_line(f"FAILED: {len(reasons)} tests skipped, and {MAX_SKIPPED} allows {os.environ[MAX_SKIPPED]}")


@pytest.fixture
def call_cli(monkeypatch, capsys):
    """call_cli(*words): runs the command line; returns its exit code, stdout and stderr."""
    from pipeline import cli

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["loralift", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        output = capsys.readouterr()
        return stopped.value.code or 0, output.out, output.err

    return call


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory):
    """The folder of a tiny random base, named `tiny`, as it is served."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny.make_model(folder)
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The spec of a tiny random base."""
    return tiny.make_model(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture(scope="session")
def train_part(tmp_path_factory):
    """A training part."""
    return tiny.write_part(tmp_path_factory.mktemp("data") / "train", tiny.examples(40))


@pytest.fixture(scope="session")
def adapter(tmp_path_factory, model, train_part):
    """A trained adapter of the tiny base."""
    from pipeline.stages import finetune

    work = tiny.work(tmp_path_factory.mktemp("adapter") / "adapter", {"model": model, **tiny.FINETUNE, "epochs": 3}, train=train_part)
    tiny.seal(work.out, finetune.run(work))
    return work.out


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
