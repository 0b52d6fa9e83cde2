"""What is sent to the hub is what was measured, named before, private unless said otherwise, and never without being asked for."""

import contextlib
import json
import os
import pty
import subprocess
import sys

import pytest
import yaml

from pipeline.errors import MachineError
from pipeline.export import destination, pushing
from tests import ROOT
from tests.local_hub import LocalHub

TOKEN = "hf_" + "s3cret" * 5
MEASURED = {
    "metric": "accuracy", "examples": 20, "test_examples": 20, "fine_tuned": 0.8, "exported": 0.75, "change": -0.05, "outcome": "within",
}  # fmt: skip
CARD = """---
library_name: peft
---
# teams
"""


@pytest.fixture
def hub(tmp_path):
    (tmp_path / "hub").mkdir()
    with LocalHub(tmp_path / "hub", TOKEN) as server:
        yield server


@pytest.fixture
def folder(tmp_path):
    """An export, as destination.publish leaves it."""
    return export_of(tmp_path, "acme/teams")


def export_of(tmp_path, dataset, **measured):
    draft = tmp_path / "draft"
    draft.mkdir()
    (draft / "adapter_model.safetensors").write_bytes(b"weights")
    (draft / "README.md").write_text(CARD, "utf-8")
    test_set = {"name": "teams", "type": dataset, "split": "test", "revision": "0123456789012345678901234567890123456789"}
    record = {"form": "adapter", "task": "teams", "test_set": test_set, "measured": MEASURED | measured}
    (draft / "export.json").write_text(json.dumps(record), "utf-8")
    destination.publish(draft, tmp_path / "teams")
    return tmp_path / "teams"


def push(hub, tmp_path, *words, status=0, token=TOKEN, offline=False, stdin=subprocess.DEVNULL):
    """What the command prints, stdout and stderr, as one line of words."""
    environ = {**os.environ, **hub.environ(tmp_path / "home"), "HF_TOKEN": token, "HF_HUB_OFFLINE": str(int(offline)), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "pipeline", "push", *map(str, words)]
    ran = subprocess.run(command, cwd=ROOT, env=environ, stdin=stdin, capture_output=True, text=True, check=False)
    assert ran.returncode == status, ran.stdout + ran.stderr
    assert TOKEN not in ran.stdout + ran.stderr
    return " ".join((ran.stdout + ran.stderr).split())


def sent(hub, repo="me/teams"):
    """What a repository holds, by path."""
    root = hub.root / "models" / repo
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()} if root.is_dir() else {}


def writes(hub):
    return [call for call in hub.calls if call.startswith("POST")]


def test_everything_is_named_and_sent(hub, folder, tmp_path):
    (tmp_path / "page.html").write_text("<p>page</p>", "utf-8")
    text = push(hub, tmp_path, folder, "me/teams", "--page", tmp_path / "page.html", "--yes")
    held = sent(hub)
    names = ["README.md", "SHA256SUMS", "adapter_model.safetensors", "export.json"]
    assert sorted(held) == [".eval_results/loralift.yaml", *names, "report.html"]
    assert all(held[name] == (folder / name).read_bytes() for name in names)
    assert held["report.html"] == b"<p>page</p>"
    assert all(f"{name} " in text for name in held)
    assert "/me/teams (private):" in text
    assert "report.html 11 B (holds the test examples and all answers to them)" in text
    assert "it scores 0.750 by accuracy; the adapter 0.800" in text
    assert "/me/teams/commit/" in text
    assert hub.private == {"me/teams"}
    assert sum("/commit/" in call for call in hub.calls) == 1


def test_the_result_is_in_the_hubs_form(hub, folder, tmp_path):
    from huggingface_hub._eval_results import parse_eval_result_entries

    push(hub, tmp_path, folder, "me/teams", "--yes")
    [entry] = parse_eval_result_entries(yaml.safe_load(sent(hub)[".eval_results/loralift.yaml"]))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("acme/teams", "teams", 0.75)
    assert entry.dataset_revision == "0123456789012345678901234567890123456789"
    assert entry.notes == "accuracy of the exported adapter, 20 test examples, by loralift"


@pytest.mark.parametrize(("dataset", "measured"), [("teams", {}), ("acme/teams", {"examples": 5})], ids=["no hub data", "not whole"])
def test_no_result_for_the_hub(dataset, measured, hub, tmp_path):
    push(hub, tmp_path, export_of(tmp_path, dataset, **measured), "me/teams", "--yes")
    assert ".eval_results/loralift.yaml" not in sent(hub)


def test_nothing_is_sent_without_an_answer(hub, folder, tmp_path):
    text = push(hub, tmp_path, folder, "me/teams", status=2)
    assert "nothing was sent to me/teams: there is nobody to ask Add --yes to send it." in text
    assert "adapter_model.safetensors 7 B" in text
    assert writes(hub) == []


@pytest.mark.parametrize(("answer", "status"), [(b"y\n", 0), (b"n\n", 2), (b"\n", 2)])
def test_on_a_terminal_it_asks(answer, status, hub, folder, tmp_path):
    environ = {**os.environ, **hub.environ(tmp_path / "home"), "HF_TOKEN": TOKEN}
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "pipeline", "push", str(folder), "me/teams"]
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdin=inner, stdout=inner, stderr=inner)
    os.close(inner)
    text = b""
    while b"Send it?" not in text:
        text += os.read(outer, 4096)
    assert writes(hub) == []
    assert b"adapter_model.safetensors" in text
    os.write(outer, answer)
    with contextlib.suppress(OSError):  # the other side is closed
        while True:
            text += os.read(outer, 4096)
    assert process.wait() == status
    assert bool(sent(hub)) == (status == 0)
    assert TOKEN.encode() not in text


def test_a_public_repository_must_be_meant(hub, folder, tmp_path):
    (hub.root / "models" / "me" / "teams").mkdir(parents=True)
    text = push(hub, tmp_path, folder, "me/teams", "--yes", status=2)
    assert "me/teams: the repository is public, and everyone could read what is sent Say --public" in text
    assert writes(hub) == []
    assert "(public: everyone can read it)" in push(hub, tmp_path, folder, "me/teams", "--yes", "--public")
    assert sent(hub)


def test_a_changed_card_is_sent_and_other_changes_are_not(hub, folder, tmp_path):
    card = (folder / "README.md").read_text("utf-8") + "\nMine.\n"
    (folder / "README.md").write_text(card, "utf-8")
    (folder / "notes.txt").write_text("not of the export", "utf-8")
    push(hub, tmp_path, folder, "me/teams", "--yes")
    assert sent(hub)["README.md"].decode() == card
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    subprocess.run(check, cwd=hub.root / "models/me/teams", check=True, capture_output=True)
    assert "notes.txt" not in sent(hub)
    (folder / "adapter_model.safetensors").write_bytes(b"weighty")
    assert "adapter_model.safetensors: it is not the file that was measured" in push(hub, tmp_path, folder, "me/x", "--yes", status=2)
    assert not sent(hub, "me/x")


def test_what_cannot_be_sent(hub, folder, tmp_path):
    for words, options, problem in (
        ([tmp_path, "me/teams"], {}, "it is no export, since it has no export.json"),
        ([folder, "me/teams", "--page", tmp_path / "x.html"], {}, "x.html: there is no such file"),
        ([folder, "me/te ams"], {}, "me/te ams is no name of a repository"),
        ([folder, "me/teams"], {"token": ""}, "there is no token Run `hf auth login`, or set HF_TOKEN"),
        ([folder, "me/teams"], {"token": "hf_other"}, "the hub refuses me/teams: the token may not write there"),
        ([folder, "me/teams"], {"offline": True}, "nothing can be sent to the hub: HF_HUB_OFFLINE is set"),
    ):
        assert problem in push(hub, tmp_path, *words, "--yes", status=2, **options)
    assert not sent(hub)


def test_an_accepted_loss_is_named(hub, tmp_path):
    text = push(hub, tmp_path, export_of(tmp_path, "teams", outcome="loss"), "me/teams", "--yes")
    assert "a loss beyond the margin that was accepted" in text


READ_ERROR = type("ReadError", (Exception,), {"__module__": "httpx"})


@pytest.mark.parametrize("error", [ConnectionResetError("it went away"), READ_ERROR("it went away")])
def test_a_connection_that_breaks(error):
    with pytest.raises(MachineError, match=r"me/teams: it went away\n  Send it again"), pushing.explained("me/teams"):
        raise error
    with pytest.raises(KeyError), pushing.explained("me/teams"):  # a fault of ours stays one
        raise KeyError("url")
