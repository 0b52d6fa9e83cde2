"""The verbs, as a person types them."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from pipeline import cli, progress, stages
from pipeline.commands import call, views
from pipeline.models import renderer
from pipeline.store import records
from pipeline.store.artifact import Store
from tests import ROOT, project


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model):
    root = tmp_path_factory.mktemp("cli")
    recipe = project.make(root, model["folder"])
    project.carry_out(recipe, root)
    return recipe, root


@pytest.fixture
def type_in(call_cli):
    """Run a command line; returns what it prints as one line of words, of an error stderr."""

    def run(*words, status=0):
        code, out, err = call_cli(*words)
        assert code == status, err
        return " ".join((out if status == 0 else err).split())

    return run


def test_plan_says_what_is_here_and_why_the_rest_is_not(finished, type_in):
    recipe, root = finished
    assert "7 jobs, 0 to run" in type_in("plan", recipe, "--store", root)
    assert "7 jobs, 4 to run, 3 cached" in type_in("plan", recipe, "finetune.rank=2", "--store", root)
    output = type_in("plan", recipe, "finetune.rank=2", "--store", root, "--all")
    assert "7 jobs, 4 to run" in output
    assert re.search(r"finetune base--pets--r2-s0 to run\b(?! \()", output)
    assert "report pets to run (after compare" in output
    changed = type_in("plan", recipe, "finetune.learning_rate=0.02", "--store", root, "--all")
    assert re.search(r"to run \(changed since [0-9a-f]{12}: learning_rate\)", changed)
    assert re.search(r" 20 +\d+\.\d points +pets", output)


def test_plan_says_that_the_size_of_what_is_not_prepared_is_a_bound(finished, type_in, tmp_path):
    """The file holds 20 examples, and the recipe asks for 500 of them."""
    output = type_in("plan", finished[0], "prepare.heldout_examples=500", "--store", tmp_path, "--all")
    assert re.search(r" <=500 +\d+\.\d points +pets", output)


def test_what_was_made_is_not_made_again(finished, type_in):
    recipe, root = finished
    output = type_in("compare", recipe, "--store", root, "--device", "cpu")
    assert "all 7 jobs cached" in output
    assert "done in" not in output
    assert "Do pets say yes?" in output
    assert "report.html" in output
    assert "adapter steps loss dev parameters seconds" in type_in("finetune", recipe, "--store", root)
    assert "pets--train: using 40 of 60 rows, and 8 for validation; left out: 12 not requested" in type_in(
        "prepare", recipe, "--store", root
    )
    assert "report.html" in type_in("report", recipe, "--store", root)


def test_a_report_of_what_was_not_compared(finished, type_in):
    recipe, root = finished
    output = type_in("report", recipe, "finetune.rank=3", "--store", root, status=2)
    assert "no report yet for 'pets': at least 2 of 7 jobs have not run, the first finetune base--pets--r3-s0" in output


def test_show_an_artifact_with_its_lineage(finished, type_in):
    _, root = finished
    report = next(artifact for artifact in Store(root / "data", root / "checkpoints").all() if artifact.stage == "report")
    for what in (report.key[:10], report.path):
        output = type_in("show", what, "--store", root)
        assert "stage: report" in output
        assert "adapter0: base--pets--r4-s0" in output
        assert "avoid: pets--heldout" in output
    assert "there is no artifact 'ffff" in type_in("show", "ffffffffffff", "--store", root, status=2)


@pytest.mark.parametrize("place", ["data", "checkpoints", "data/prepare", "data/new"])
def test_a_store_inside_of_another_is_told(finished, monkeypatch, capsys, place):
    recipe, root = finished
    monkeypatch.setattr(sys, "argv", ["loralift", "plan", str(recipe), "--store", str(root / place)])
    with pytest.raises(SystemExit):
        cli.main()
    line = f"--store {root / place} lies inside the store {root}, and a store of its own begins there"
    assert capsys.readouterr().err.count(line) == 1


@pytest.mark.parametrize("place", ["", "other", "other/data"])
def test_a_store_of_its_own_is_not(finished, monkeypatch, capsys, place):
    recipe, root = finished
    monkeypatch.setattr(sys, "argv", ["loralift", "plan", str(recipe), "--store", str(root / place)])
    with pytest.raises(SystemExit):
        cli.main()
    assert "lies inside" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("what", "names"),
    [("recipes", "lora_land/gemma_2b Does"), ("tasks", "shop_notice"), ("models", "quickstart-base"), ("artifacts", "pets--heldout")],
)
def test_lists(finished, type_in, what, names):
    assert names in type_in("ls", what, "--store", finished[1])


def test_an_unknown_list(type_in):
    assert "there is no list 'task'. Did you mean 'tasks'?" in type_in("ls", "task", status=2)


def test_show_prompt_shows_what_carries_loss(finished, type_in):
    recipe, root = finished
    output = type_in("show-prompt", recipe, "--store", root, "--count", "2")
    assert len(re.findall(r"\d+ tokens without loss, \d+ with loss", output)) == 2
    assert len(re.findall(r"\[\[ ?(?:yes|no maybe) ?<eos>\]\]", output)) == 2


def test_a_terminal_that_cannot_show_a_character_shows_its_escape(tmp_path, model):
    recipe = project.make(tmp_path, model["folder"])
    for file in tmp_path.rglob("*.jsonl"):
        file.write_text(file.read_text("utf-8").replace("the ", "the 😀 שלום "), "utf-8")
    command = [sys.executable, "-m", "pipeline", "show-prompt", str(recipe), "--store", str(tmp_path)]
    for encoding in ("ascii", "latin-1"):
        env = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, check=False, cwd=tmp_path, env=env)
        assert (done.returncode, done.stderr.count(b"Traceback")) == (0, 0)
        assert rb"\U0001f600 \u05e9" in done.stdout


def test_show_prompt_marks_nothing_where_there_is_colour(finished, type_in, monkeypatch):
    monkeypatch.setattr(cli, "out", Console(highlight=False, force_terminal=True, color_system="truecolor", no_color=False))
    output = type_in("show-prompt", finished[0], "--store", finished[1])
    assert "[[" not in output
    assert re.search(r"\x1b\[1;4;32m ?(?:yes|no maybe) ?<eos>", output)
    monkeypatch.setattr(cli, "out", Console(highlight=False, force_terminal=True, no_color=True))
    assert "<eos>]]" in type_in("show-prompt", finished[0], "--store", finished[1])


def test_show_prompt_prepares_what_is_trained_on_and_no_more(finished, type_in, tmp_path):
    recipe, _ = finished
    output = type_in("show-prompt", recipe, "general.suites=[shop_notice]", "--store", tmp_path)
    made_now = {path.name.rpartition("--")[0] for path in (tmp_path / "data" / "prepare").iterdir()}
    assert made_now == {"pets--heldout", "pets--train"}
    assert "general" not in output


def test_verify_names_what_was_altered(finished, type_in, tmp_path):
    store = shutil.copytree(finished[1], tmp_path / "store")
    assert "7 artifacts, every byte as it was made" in type_in("verify", "--store", store)
    next(store.glob("data/generate/*base*/predictions.jsonl")).write_text("")
    assert "was altered after it was made: predictions.jsonl" in type_in("verify", "--store", store, status=3)


def test_verify_of_a_page_that_is_not_there(type_in, tmp_path):
    output = type_in("verify", tmp_path / "nope.html", status=2)
    assert output == f"error: there is no {tmp_path}/nope.html Give the report.html of a comparison."


def test_gc_lists_first_and_deletes_when_told(finished, type_in, tmp_path):
    store = shutil.copytree(finished[1], tmp_path / "store")
    output = type_in("gc", "--store", store)
    assert "7 artifacts that no recipe under recipes/ reaches; --delete removes them" in output
    assert output.endswith("To keep those of a recipe of yours, name it: loralift gc my.yaml")
    assert re.search(r"unreached +[1-9]\d*\.\d KiB \S*/pets--heldout", output)
    assert len(list(Store(store / "data", store / "checkpoints").all())) == 7
    assert type_in("gc", finished[0], "--store", store, "--delete").startswith("0 artifacts")
    type_in("gc", "--store", store, "--delete")
    assert not list(Store(store / "data", store / "checkpoints").all())


def test_check_and_doctor_say_numbers(type_in, tmp_path):
    summary = type_in("check")
    assert re.search(r"35 tasks, 22 recipes \(\d+ jobs\), \d+ model rows: all load", summary)
    assert "31 of 31 tasks of LoRA Land" in summary
    output = type_in("doctor", "--store", tmp_path)
    assert all(name in output for name in ("packages", "device", "memory", "disk", "hub", "GiB free"))
    assert "only" in re.search(r"hub (.*?) (?:ok|note) ", output)[1]  # settings only, or those already here


def test_doctor_asks_for_files_by_hand_where_no_hub_has_them(type_in, tmp_path, monkeypatch):
    monkeypatch.setenv("LORALIFT_SOURCES", str(tmp_path))
    output = type_in("doctor", "--store", tmp_path)
    assert set(re.findall(r"note data (\w+): ", output)) == {"covid", "customer_support", "legal"}
    assert re.findall(r"ok data (\w+): only where the copy on the hub fails: Fetch", output) == ["jigsaw", "webnlg"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device", "tpu"], "--device tpu: there is no such kind of device Known: auto, cpu, cuda, cuda:1."),
        (["--device", "cuda:x"], "--device cuda:x: there is no such kind of device"),
        (["--residency", "gpu"], "--residency gpu: weights cannot be held so Known: auto, packed, dequantized."),
        (["--track", "tensorbord"], "--track tensorbord: there is no such tracker Did you mean 'tensorboard'?"),
    ],
)
@pytest.mark.parametrize("verb", ["compare", "finetune"])
def test_options_that_cannot_work_are_refused_though_nothing_is_to_be_made(finished, type_in, verb, words, message):
    assert message in type_in(verb, finished[0], "--store", finished[1], *words, status=2)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_is_refused_at_once_where_there_is_none(finished, type_in):
    assert "this machine has no CUDA device" in type_in("compare", finished[0], "--store", finished[1], "--device", "cuda:1", status=2)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("finetune.rank", "'finetune.rank' is not KEY=VALUE. Write finetune.rank=VALUE."),
        ("rank", "'rank' is not KEY=VALUE. Did you mean 'finetune.rank'?"),
        ("target_modulez", "'target_modulez' is not KEY=VALUE. The nearest are "),
        ("target_modules", "'target_modules' is not KEY=VALUE. Here it is finetune.targets."),
        ("target_modulez=1", "'target_modulez' is not a key of a recipe. The nearest are "),
        ("finetune.size=1", "finetune.size is not a key. The nearest are finetune."),
        ("finetune.zzz=1", "finetune.zzz is not a key. See docs/recipes.md for all of them."),
        ("zzz", "'zzz' is not KEY=VALUE. See docs/recipes.md for all of them."),
        ("general.suites=[boolk]", "there is no suite or task 'boolk'. Did you mean 'boolq'?"),
        ("general.suites=[zzz]", "there is no suite or task 'zzz'. See `loralift ls tasks` for all of them."),
        ("compare.intervl=bca", "compare.intervl is not a key. Did you mean 'compare.interval'?"),
        ("compare.interval=bcaa", "compare.interval must be 'bca' or 'percentile' (it is \"bcaa\"). Did you mean 'bca'?"),
    ],
)
def test_a_key_that_is_none_names_at_most_five(finished, type_in, word, message):
    output = type_in("plan", finished[0], word, "--store", finished[1], status=2)
    assert message in output
    if "nearest" in message:
        assert output.endswith("; all: docs/recipes.md.")
        assert output.partition("nearest are ")[2].count(",") == 4


def test_the_trained_task_alone_is_no_general_suite(finished, type_in):
    output = type_in("plan", finished[0], "general.suites=[pets]", "--store", finished[1], status=2)
    assert "general.suites: pets alone shows no regression of the adapter for pets, which is trained on it." in output
    assert "Add another, as [paragraphs, pets], or write [] to measure nothing." in output
    assert "general_loss" in type_in("plan", finished[0], "general.suites=[paragraphs, pets]", "--store", finished[1], "--all")


def test_adapters_stand_with_whole_names_and_their_folder(finished, capsys):
    adapter = next(artifact for artifact in Store(finished[1] / "data", finished[1] / "checkpoints").all() if artifact.stage == "finetune")
    long = replace(adapter, path=adapter.path.with_name("quickstart-base--shop_extraction--r16-s0--24bb2ab63aad"))
    views.show_adapters(Console(width=80), [long])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("shop_extraction--r16-s0--24bb2ab63aad ")
    assert lines[2:] == [f"adapters: each in {finished[1]}/checkpoints/quickstart-base--<adapter>"]
    other = replace(adapter, path=adapter.path.with_name("base--pets--r4-s0--24bb2ab63aad"))
    longest = replace(adapter, path=adapter.path.with_name("mistral-7b-v0.3--hellaswag_processed--r16-s0--24bb2ab63aad"))
    longest = replace(longest, facts=longest.facts | {"steps": 2500, "trainable_parameters": 167_772_160, "train_seconds": 123_456})
    views.show_adapters(Console(width=80), [longest, other])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[1].startswith("hellaswag_processed--r16-s0--24bb2ab63aad ")
    assert lines[2] == f"adapters: each in {finished[1]}/checkpoints/mistral-7b-v0.3--<adapter>"
    assert lines[4].startswith("pets--r4-s0--24bb2ab63aad ")
    assert lines[5] == f"adapters: each in {finished[1]}/checkpoints/base--<adapter>"
    assert max(len(lines[index]) for index in (0, 1, 3, 4)) <= 80


def test_a_stopped_run_says_that_it_goes_on(finished, monkeypatch, capsys):
    monkeypatch.setattr(call, "run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(sys, "argv", ["loralift", "compare", str(finished[0])])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 130
    assert "Run the same command to resume" in capsys.readouterr().out


def test_a_tracker_gets_the_curve(finished, type_in, tmp_path):
    store = shutil.copytree(finished[1], tmp_path / "store")
    type_in("finetune", finished[0], "finetune.rank=5", "--store", store, "--device", "cpu", "--track", "tensorboard")
    assert list(store.rglob("events.out.tfevents*"))


def test_a_tracker_gets_the_scores_once(finished, type_in, tmp_path):
    """Of the report; a comparison that is finished already trains nothing for it, and sends them once."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    store = shutil.copytree(finished[1], tmp_path / "store")
    words = ["compare", finished[0], "--store", store, "--device", "cpu", "--track", "tensorboard"]
    for _ in range(2):
        assert "all 7 jobs cached" in type_in(*words)
    [log] = {path.parent for path in store.rglob("events.out.tfevents*") if path.parent.name == "loralift"}
    events = EventAccumulator(str(log)).Reload()
    [report] = (store / "data" / "report").glob("pets--*/report.json")
    [cell] = json.loads(report.read_text("utf-8"))["cells"]
    expected = {f"{cell['cell']}/{row['metric']}/{name}": row[name] for row in cell["comparisons"] for name in ("base", "tuned", "lift")}
    expected[f"{cell['cell']}/accuracy/training_effect"] = cell["headline"]["effect"]
    assert {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]} == {
        tag: [pytest.approx(value)] for tag, value in expected.items()
    }


def test_progress_is_plain_lines_where_there_is_no_terminal(monkeypatch, capsys):
    clock = iter(range(0, 1000, 15))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.meter("working", 4, "jobs") as progress_meter:
        for _ in range(4):
            progress_meter.advance(1, "fine")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["  working: 2/4 jobs, 0.0667/s, 30 s left, fine", "  working: 4/4 jobs, 0.0667/s, 0 s left, fine"]


def test_progress_is_a_bar_on_a_terminal(monkeypatch):
    from io import StringIO

    screen = StringIO()
    monkeypatch.setattr(progress, "console", Console(file=screen, force_terminal=True, width=100))
    monkeypatch.setattr(progress, "QUIET_SECONDS", -1.0)
    with progress.meter("working", 4, "jobs") as progress_meter:
        progress_meter.advance(2, "loss 0.5")
        progress_meter.bar.refresh()
    assert "working" in screen.getvalue()
    assert "2/4" in screen.getvalue()
    assert "loss 0.5" in screen.getvalue()


def test_the_report_is_readable_json(finished):
    report = json.loads(next(finished[1].glob("data/report/*/report.json")).read_text())
    assert report["schema"] == 6


def test_the_code_version_is_one_a_process():
    version = stages.find("compare").version({})
    assert version == stages.find("compare").version({})
    assert re.fullmatch(r"[0-9a-f]{16}", version)


def test_the_lines_of_a_model_card_give_what_was_measured(finished, monkeypatch):
    _, root = finished
    by_stage = {
        artifact.stage: artifact
        for artifact in Store(root / "data", root / "checkpoints").all()
        if "base" not in artifact.path.name.split("--")[2:]
    }
    (card,) = by_stage["report"].path.glob("cards/*/README.md")
    names = {}
    monkeypatch.chdir(root)
    base = Path(by_stage["finetune"].params["model"]["folder"])
    (root / base.name).symlink_to(base)  # a card does not say where the base lies
    exec(re.search(r"```python\n(.*?)\n```", card.read_text(), re.S)[1], names)
    render = renderer.renderer(by_stage["finetune"].params["model"])
    heldout = next(
        artifact for artifact in Store(root / "data", root / "checkpoints").all() if artifact.path.name.startswith("pets--heldout")
    )
    predictions = {row.example: row.text for row in records.read(by_stage["generate"].path / "predictions.jsonl", records.Prediction)}
    for example in list(records.read(heldout.path / "examples.jsonl", records.Example))[:6]:
        ids = torch.tensor([render.prompt_ids(example.prompt)])
        answer = names["model"].generate(input_ids=ids, max_new_tokens=6, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
        assert names["tokenizer"].decode(answer, skip_special_tokens=True) == predictions[example.id]
