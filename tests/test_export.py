"""What is exported answers as what was measured, when other libraries load it; what does not, is not exported."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline import cli
from pipeline.export import measurement, writing
from pipeline.models.renderer import renderer
from pipeline.store.artifact import Store, file_hash
from pipeline.store.folders import PredictionsFolder
from tests import ROOT, foreign, project
from tests.test_variants import recipe_with

FORMS = {"adapter": "r4-s0", "merged": "merged", "merged-original": "merged_original"}
"""By form, the end of the label of the arm that should answer alike."""
WEIGHTS = {"adapter": "adapter_model.safetensors", "merged": "model.safetensors", "merged-original": "model.safetensors"}
LAYOUTS = {
    "dora": {"use_dora": True},
    "head": {"target_modules": ["q_proj", "lm_head"]},
    "new-head": {"modules_to_save": ["lm_head"]},
    "new-embedding": {"modules_to_save": ["embed_tokens"]},
    "biases": {"lora_bias": True},
}
"""Adapters of which a merge has to save more than changed linear weights."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model):
    """A recipe with its merged arms, and the root of the store where it was compared."""
    return finish(tmp_path_factory.mktemp("export"), model, ["base", "tuned", "merged", "merged_original"])


def finish(root, model, arms):
    """Compare a recipe whose adapter scores what can be lost; returns its path and its root."""
    recipe = project.make(root, model["folder"])
    body = json.loads(recipe.read_text("utf-8"))
    body["finetune"]["epochs"] = 20
    del body["tasks"][0]["choices"], body["tasks"][0]["answer"]
    body["tasks"][0]["metrics"] = ["rougeL"]
    body["compare"]["arms"] = arms
    recipe.write_text(json.dumps(body), "utf-8")
    project.carry_out(recipe, root)
    return recipe, root


@pytest.fixture
def export(monkeypatch, capsys):
    return exporter(monkeypatch, capsys)


def exporter(monkeypatch, capsys):
    """Exports with options as typed, and returns what is printed as one line of words, of stderr where the exit code is not 0."""

    def run(recipe, root, *words, status=0):
        arguments = ["export", recipe, "--store", root, "--device", "cpu", "--tokens", "100", *words]
        monkeypatch.setattr(sys, "argv", ["loralift", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        output = capsys.readouterr()
        assert (stopped.value.code or 0) == status, output.err
        return " ".join((output.out if status == 0 else output.err.partition("error:")[2]).split())

    return run


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """Every form by name, exported once."""
    folder = tmp_path_factory.mktemp("forms")
    recipe, root = map(str, finished)
    for form in FORMS:
        # merged into other weights it is another model, and this one is tiny
        words = ["--form", form, "--out", str(folder / form), *(["--accept-loss"] if form == "merged-original" else [])]
        cli.app(["export", recipe, "--store", root, "--device", "cpu", "--tokens", "100", *words], standalone_mode=False)
    return {form: folder / form for form in FORMS}


def sealed_answers(root, label):
    """Text by example of the arm whose label ends so."""
    [path] = (root / "data" / "generate").glob(f"*--{label}--*")
    return {row.example: row.text for row in PredictionsFolder(path).predictions()}


def record_of(folder):
    return json.loads((folder / "export.json").read_text("utf-8"))


def tuned_score(finished):
    """Of the comparison."""
    [path] = (finished[1] / "data" / "compare").glob("*/comparisons.jsonl")
    return json.loads(path.read_text("utf-8").splitlines()[0])["tuned"]


def answers_of(model, tokenizer, questions):
    import torch

    texts = []
    for question in questions:
        ids = torch.tensor([tokenizer(question)["input_ids"]])
        with torch.inference_mode():
            out = model.generate(input_ids=ids, max_new_tokens=6)
        texts.append(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))
    return texts


@pytest.mark.parametrize("form", ["merged", "merged-original"])
def test_plain_transformers_answers_as_the_merged_arm(form, finished, exported):
    """With the generation_config of the folder, which ends the answers."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, report = AutoModelForCausalLM.from_pretrained(exported[form], dtype="auto", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert getattr(model.config, "quantization_config", None) is None
    heldout = project.heldout(Store(finished[1] / "data", finished[1] / "checkpoints"))
    texts = answers_of(model.eval(), AutoTokenizer.from_pretrained(exported[form]), [example.text for example in heldout])
    expected = sealed_answers(finished[1], FORMS[form])
    assert texts == [expected[example.id] for example in heldout]
    assert len(set(texts)) > 1


def test_plain_peft_answers_as_the_adapter(finished, exported, model):
    heldout = project.heldout(Store(finished[1] / "data", finished[1] / "checkpoints"))
    texts = foreign.answers(Path(model["folder"]), exported["adapter"], [example.text for example in heldout], 6)
    expected = sealed_answers(finished[1], FORMS["adapter"])
    assert texts == [expected[example.id] for example in heldout]


@pytest.mark.parametrize("form", FORMS)
def test_its_own_lines_load_it_and_answer(form, finished, exported, model, tmp_path, monkeypatch):
    """The code of README.md, run beside the folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / form).symlink_to(exported[form])
    (tmp_path / Path(model["folder"]).name).symlink_to(model["folder"])
    load, _, answer = re.findall(r"```python\n(.*?)\n```", (exported[form] / "README.md").read_text("utf-8"), re.S)
    names = {}
    exec(load, names)
    for module in names["model"].modules():
        module.support_avx512bf16_for_cpu = False  # a kernel that rounds to bf16, as loading.keep_cpu_weights_unpacked has it
    render = renderer(model)
    expected = sealed_answers(finished[1], FORMS[form])
    for example in project.heldout(Store(finished[1] / "data", finished[1] / "checkpoints"))[:6]:
        names["prompt"] = render.tokenizer.decode(render.prompt_ids(example.prompt))
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(answer, names)
        assert printed.getvalue() == f"{expected[example.id]}\n"


@pytest.mark.parametrize("form", FORMS)
def test_the_record_holds_what_was_measured(form, finished, exported):
    record, measured = record_of(exported[form]), record_of(exported[form])["measured"]
    own, arm = sealed_answers(finished[1], FORMS["adapter"]), sealed_answers(finished[1], FORMS[form])
    assert (measured["examples"], measured["test_examples"]) == (20, 20)
    assert measured["equal_answers"] == sum(own[name] == arm[name] for name in own)
    [comparison] = (finished[1] / "data" / "compare").iterdir()
    rows = json.loads((comparison / "beside.json").read_text("utf-8"))["rougeL"]["others"]
    scores = {row["name"]: row["score"] for row in rows}
    assert measured["fine_tuned"] == pytest.approx(tuned_score(finished))
    assert measured["exported"] == pytest.approx(tuned_score(finished) if form == "adapter" else scores[FORMS[form]])
    assert measured["change"] == pytest.approx(measured["exported"] - measured["fine_tuned"])
    assert record["test_set"] == {"name": "pets", "type": "pets", "split": "test"}
    assert record["files"][WEIGHTS[form]] == file_hash(exported[form] / WEIGHTS[form])
    assert record["environment"]["packages"]["transformers"]
    largest = {"adapter": (0.0, 0.0), "merged": (1e-9, 1e-3), "merged-original": (0.05, 100.0)}[form]
    assert largest[0] <= measured["logits"]["largest"] <= largest[1]


def test_the_adapter_is_the_one_that_was_trained(finished, exported):
    [adapter] = (finished[1] / "checkpoints").glob("*--r4-s0--*")
    assert file_hash(adapter / WEIGHTS["adapter"]) == file_hash(exported["adapter"] / WEIGHTS["adapter"])
    assert record_of(exported["adapter"])["measured"]["outcome"] in ("same", "within")


@pytest.mark.parametrize("form", FORMS)
def test_checksums_hold_and_no_path_of_this_machine_is_in_it(form, finished, exported, model):
    folder = exported[form]
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)
    assert len((folder / "SHA256SUMS").read_text("utf-8").splitlines()) == len(list(folder.iterdir())) - 1
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o444 == (folder / "README.md").stat().st_mode & 0o444
        if path.suffix != ".safetensors":
            text = path.read_text("utf-8")
            assert str(finished[1]) not in text
            assert str(Path(model["folder"]).parent) not in text


def test_the_card_is_one_that_the_hub_reads(exported):
    from huggingface_hub import ModelCard

    for form, folder in exported.items():
        data = ModelCard((folder / "README.md").read_text("utf-8")).data
        assert data.library_name == ("peft" if form == "adapter" else "transformers")
        [result] = data.eval_results
        assert result.metric_value == pytest.approx(record_of(folder)["measured"]["exported"], abs=1e-6)


def test_twice_gives_the_same_weights(finished, exported, export, tmp_path):
    export(*finished, "--form", "merged", "--out", tmp_path / "again")
    assert record_of(tmp_path / "again")["files"] == record_of(exported["merged"])["files"]


def damage(monkeypatch, change):
    """Change the folder after it is written and before it is loaded back."""
    write = writing.write

    def write_and_damage(tuned, form, folder, machine):
        write(tuned, form, folder, machine)
        change(folder)

    monkeypatch.setattr(writing, "write", write_and_damage)


def lose_the_adapter(folder):
    foreign.change_tensors(folder / WEIGHTS["adapter"], lambda tensors: {name: 0 * value for name, value in tensors.items()})


def test_a_loss_stops_it_and_leaves_nothing(finished, export, tmp_path, monkeypatch):
    damage(monkeypatch, lose_the_adapter)
    text = export(*finished, "--form", "adapter", "--out", tmp_path / "lossy", status=3)
    scores = rf"--form adapter of pets scores 0\.\d+ by ROUGE-L, and the adapter {tuned_score(finished):.3f}"
    assert re.search(rf"{scores}: it loses more than the margin of 0\.02, and nothing was exported", text)
    assert "--accept-loss" in text
    assert list(tmp_path.iterdir()) == []


def test_an_accepted_loss_is_in_the_card(finished, export, tmp_path, monkeypatch):
    damage(monkeypatch, lose_the_adapter)
    assert "a loss beyond 0.02" in export(*finished, "--form", "adapter", "--out", tmp_path / "lossy", "--accept-loss")
    card, record = (tmp_path / "lossy" / "README.md").read_text("utf-8"), record_of(tmp_path / "lossy")
    assert "**Warning: this export scores" in card
    assert (record["loss_accepted"], record["measured"]["outcome"]) == (True, "loss")
    [result] = yaml.safe_load(card.split("---\n")[1])["model-index"][0]["results"]
    assert result["metrics"][0]["value"] < tuned_score(finished)


def test_the_margin_is_that_of_the_command_line(finished, export, tmp_path, monkeypatch):
    damage(monkeypatch, lose_the_adapter)
    export(*finished, "--form", "adapter", "--out", tmp_path / "wide", "--within", "1.0")
    assert record_of(tmp_path / "wide")["measured"]["margin"] == 1.0
    assert "Warning" not in (tmp_path / "wide" / "README.md").read_text("utf-8")


def test_the_recipe_sets_the_margin(finished, export, tmp_path):
    recipe, root = finished
    arguments = ["--form", "adapter", "--out", tmp_path / "mine"]
    export(recipe, root, "compare.same_within=0.3", *arguments)
    assert record_of(tmp_path / "mine")["measured"]["margin"] == 0.3


def read_prompts_otherwise(folder):
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"post_processor": None}), "utf-8")


def lose_a_tensor(folder):
    foreign.change_tensors(folder / WEIGHTS["merged"], lambda tensors: dict(list(tensors.items())[1:]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (read_prompts_otherwise, "the exported tokenizer renders 20 of 20 prompts with other token ids"),
        (lose_a_tensor, "are not those of its config.json; tensors:"),
        (lambda folder: (folder / WEIGHTS["merged"]).write_bytes(b"x"), "cannot be read"),
    ],
    ids=["tokenizer", "tensor", "file"],
)
def test_what_does_not_load_is_not_exported(change, words, finished, export, tmp_path, monkeypatch):
    damage(monkeypatch, change)
    assert words in export(*finished, "--form", "merged", "--out", tmp_path / "broken", "--accept-loss", status=2)
    assert list(tmp_path.iterdir()) == []


def test_fewer_examples_answer_on_request(finished, export, tmp_path):
    assert "5 of 20" in export(*finished, "--form", "adapter", "--out", tmp_path / "few", "--examples", "5")
    measured = record_of(tmp_path / "few")["measured"]
    assert (measured["examples"], measured["equal_answers"], measured["outcome"]) == (5, 5, "within")
    assert "model-index" not in (tmp_path / "few" / "README.md").read_text("utf-8")


def test_an_adapter_that_was_not_compared_answers_first(finished, export, tmp_path):
    """And its card says that nothing is known of its base."""
    recipe, root = finished
    store = tmp_path / "store"
    shutil.copytree(root / "data" / "prepare", store / "data" / "prepare")
    shutil.copytree(root / "checkpoints", store / "checkpoints")
    export(recipe, store, "--form", "adapter", "--out", tmp_path / "early")
    assert sorted(path.name for path in (store / "data").iterdir() if path.is_dir()) == ["generate", "prepare"]
    assert record_of(tmp_path / "early")["measured"]["equal_answers"] == 20
    assert "not compared with its base yet" in (tmp_path / "early" / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["finetune.rank=2", "--form", "adapter"], "pets, seed 0: its adapter is not trained yet"),
        (["--form", "adapter", "--task", "pet"], "--task pet: pets has no such task. Did you mean 'pets'?"),
        (["--form", "adapter", "--seed", "3"], "--seed 3: pets has no such seed. Known: 0."),
        (["--form", "merge"], "--form merge: there is no such form. Did you mean 'merged'?"),
        (["--form", "adapter", "--variant", "x"], "--variant x: pets has no such variant."),
        (
            ["sweep={finetune.rank: [4, 8]}", "--form", "adapter"],
            "pets sweeps 2 points. Name one behind the recipe, as: 'sweep={}' finetune.rank=4",
        ),
    ],
    ids=["not trained", "task", "seed", "form", "variant", "sweep"],
)
def test_what_is_not_there(words, problem, finished, export, tmp_path):
    assert problem in export(*finished, *words, "--out", tmp_path / "x", status=2)
    assert not (tmp_path / "x").exists()


def test_it_says_how_to_train_what_is_missing(finished, export, tmp_path):
    text = export(*finished, "finetune.rank=2", "--form", "adapter", "--out", tmp_path / "x", status=2)
    assert f"Run: loralift finetune {finished[0]} finetune.rank=2" in text


@pytest.mark.parametrize(
    ("place", "problem"),
    [("full", "the folder is not empty (mine.txt)"), ("file", "it is a file, not a folder"), ("link", "it is a link, not a folder")],
)
def test_a_place_that_is_taken(place, problem, finished, export, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "full")
    assert problem in export(*finished, "--form", "adapter", "--out", tmp_path / place, status=2)
    assert (tmp_path / "full" / "mine.txt").read_text() == "x"


def test_an_empty_folder_is_taken(finished, export, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    export(*finished, "--form", "adapter", "--out", tmp_path / "a" / "b", "--examples", "2")
    assert record_of(tmp_path / "a" / "b")["form"] == "adapter"


def test_no_space(finished, export, small_disk):
    (small_disk / "other").write_bytes(b"x" * 200_000)
    text = export(*finished, "--form", "merged", "--out", small_disk / "x", status=2)
    assert re.search(r"--out .*/x: the export takes 0\.[345] MiB, and 0\.2 MiB are free", text)
    assert [path.name for path in small_disk.iterdir()] == ["other"]


def test_a_disk_that_fills_up_while_it_is_written(finished, export, small_disk, monkeypatch):
    monkeypatch.setattr(writing, "size", lambda tuned, form: 0)
    (small_disk / "other").write_bytes(b"x" * 200_000)
    assert "the disk is full" in export(*finished, "--form", "merged", "--out", small_disk / "x", status=2)
    assert [path.name for path in small_disk.iterdir()] == ["other"]


KILLED = """
import os, signal, sys
from pipeline import cli
from pipeline.export import load_back
load_back.behaviour = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
cli.main()
"""


def test_a_kill_leaves_no_folder_of_that_name(finished, export, tmp_path):
    out = tmp_path / "mine"
    words = ["export", str(finished[0]), "--store", str(finished[1]), "--device", "cpu", "--form", "merged", "--out", str(out)]
    ran = subprocess.run([sys.executable, "-c", KILLED, *words], cwd=ROOT, capture_output=True, check=False)
    assert ran.returncode == -signal.SIGKILL
    [leftover] = tmp_path.iterdir()
    assert leftover.name.startswith(".mine.export-")
    assert (leftover / WEIGHTS["merged"]).is_file()
    other = tmp_path / f".mine.export-{os.getpid()}0"  # of nobody
    shutil.copytree(leftover, other)
    export(*finished, "--form", "merged", "--out", out)
    assert list(tmp_path.iterdir()) == [out]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, model):
    """A recipe with adapters of other layouts and a whole model, and its root."""
    root, base = tmp_path_factory.mktemp("elsewhere"), Path(model["folder"])
    adapters = {name: foreign.adapter(root / "theirs" / name, base, **options) for name, options in LAYOUTS.items()}
    whole = foreign.model(root / "theirs" / "whole", base)
    variants = [{"name": name, "adapter": str(folder)} for name, folder in adapters.items()] + [{"name": "whole", "model": str(whole)}]
    return recipe_with(root / "project", model, *variants), root / "project"


@pytest.mark.parametrize("name", sorted(LAYOUTS.keys() - {"biases"}))
@pytest.mark.filterwarnings("ignore")  # of peft, on tied layers
def test_an_adapter_from_elsewhere(name, elsewhere, export, tmp_path):
    """Merged in fp32 it is the same function, whatever peft saved beside linear weights, and whatever answered before it."""
    export(*elsewhere, "--variant", name, "--form", "merged", "--out", tmp_path / name)
    measured = record_of(tmp_path / name)["measured"]
    assert (measured["equal_answers"], measured["examples"]) == (20, 20)
    assert measured["logits"]["relative"] < 1e-5
    assert record_of(tmp_path / name)["variant"] == name
    is_tied = json.loads((tmp_path / name / "config.json").read_text("utf-8"))["tie_word_embeddings"]
    assert is_tied == (name == "dora")


@pytest.mark.filterwarnings("ignore")  # of peft, that it cannot
def test_an_adapter_that_cannot_be_merged(elsewhere, export, tmp_path):
    arguments = ["--variant", "biases", "--out", tmp_path / "biases", "--form"]
    assert "--form merged: the adapter cannot be merged: Impossible" in export(*elsewhere, *arguments, "merged", status=2)
    export(*elsewhere, *arguments, "adapter")
    assert record_of(tmp_path / "biases")["measured"]["equal_answers"] == 20


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "--variant is missing: pets has 6. Name one: dora, head,"),
        (["--variant", "whole"], "--variant whole: it is a whole model, without an adapter to export."),
        (["--variant", "dorra"], "--variant dorra: pets has no such variant. Did you mean 'dora'?"),
    ],
)
def test_variants_that_cannot_be(words, problem, elsewhere, export, tmp_path):
    assert problem in export(*elsewhere, *words, "--form", "adapter", "--out", tmp_path / "x", status=2)


@pytest.mark.parametrize(
    ("change", "p", "expected"),
    [(0.0, 0.01, "same"), (-0.01, 0.3, "within"), (-0.02, 0.5, "within"), (-0.03, 0.6, "loss"), (0.3, 1.0, "within")],
)
def test_outcomes(change, p, expected):
    assert measurement.outcome(change, p, 0.02, 0.95) == expected


def test_errors_of_logits():
    import torch

    reference = [torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[1.0, 0.0]])]
    other = [torch.tensor([[3.0, 2.0], [0.0, 0.0]]), torch.tensor([[1.0, 1.5]])]
    errors = measurement.logit_errors(reference, other)
    assert (errors["prompts"], errors["tokens"], errors["largest"]) == (2, 3, 2.0)
    assert errors["relative"] == pytest.approx((6.25 / 26) ** 0.5)
    assert errors["same_next_token"] == pytest.approx(1 / 3)
