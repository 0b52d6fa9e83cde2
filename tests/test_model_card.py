"""The model card is what the hub reads and what the report says; it lies in the adapter's folder and leaves its seal whole."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
import yaml

from pipeline.commands import views
from pipeline.errors import ArtifactError
from pipeline.models.renderer import renderer
from pipeline.page import card_training, cells, model_card
from pipeline.store import records
from pipeline.store.artifact import CARD, Artifact, Store
from tests import project
from tests.report_inputs import Chartless, Inputs


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return Chartless(Inputs(tmp_path_factory.mktemp("card"), {"question": "Does it help?", "finetune": {"seeds": [0, 1]}}, n=60))


@pytest.fixture(scope="module")
def cards(report):
    return model_card.all_of(report.json, cells.open_cells(report.work))


def front(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_every_adapter_has_a_card(report, cards):
    assert sorted(cards) == sorted({report.work.inputs[name].name for name in report.work.inputs if ".adapter" in name})
    assert len(cards) == 4


def test_the_hub_reads_its_results(report, cards):
    from huggingface_hub import ModelCard

    for cell in report.json["cells"]:
        for run in cell["examples"]["runs"]:
            name = report.work.inputs[f"{cell['cell']}.adapter{run['seed']}"].name
            data = ModelCard(cards[name]).data
            (result,) = data.eval_results
            primary = cell["comparisons"][0]
            assert (result.task_type, result.dataset_name, result.metric_type) == ("text-generation", cell["task"], primary["metric"])
            assert result.metric_value == pytest.approx(run["tuned"], abs=1e-6)
            assert (data.base_model, data.library_name, data.license) == ("qwen2.5-1.5b", "peft", "apache-2.0")


def test_figures_are_those_of_the_report(report, cards):
    from pipeline.page import fmt

    for cell in report.json["cells"]:
        text = cards[report.work.inputs[f"{cell['cell']}.adapter0"].name]
        row = cell["comparisons"][0]
        assert f"{fmt.score(row, 'base')} | {fmt.score(row, 'tuned')} | {fmt.lift(row)} | {row['verdict']} |" in text
        assert "mean of 2 training seeds" in text
        for suite in cell["forgetting"]:
            assert f"| {suite['margin']:+g} | {fmt.number(suite['base'], 3)} | {fmt.number(suite['tuned'], 3)} |" in text


def test_what_was_kept_has_its_verdict(tmp_path):
    report = Chartless(Inputs(tmp_path, {}, n=30, measured=True))
    text = model_card.all_of(report.json, cells.open_cells(report.work))
    seen = set()
    for cell in report.json["cells"]:
        card = text[report.work.inputs[f"{cell['cell']}.adapter0"].name]
        for suite in cell["forgetting"]:
            (claim,) = [claim_row for claim_row in report.json["claims"] if f"#{suite['anchor']}" == claim_row["evidence"]]
            (line,) = [line for line in card.splitlines() if line.startswith(f"| {suite['label']} |")]
            assert line.startswith(f"| {suite['label']} | {claim['verdict']} | ")
            assert f" | {suite['margin']:+g} | " in line
            seen.add(claim["verdict"])
    assert seen == {"no regression", "regressed", "inconclusive"}
    unclaimed = report.json | {"claims": []}
    assert "| not testable |" in model_card.other_tasks_table(unclaimed, report.json["cells"][0])


def code_of(text, block=0):
    return re.findall(r"```python\n(.*?)\n```", text, re.S)[block]


def test_its_lines_name_base_and_adapter(cards):
    for name, text in cards.items():
        code = code_of(text)
        compile(code, "card", "exec")
        assert 'max_new_tokens=48, do_sample=False, stop_strings=["\\n\\n"]' in code_of(text, -1)
        assert 'from_pretrained("qwen2.5-1.5b"' in code
        assert f'"checkpoints/{name}"' in code


def test_limits_are_said(tmp_path):
    alone = Chartless(Inputs(tmp_path, {"base": "someone/unknown"}, n=30, texts={7: {"tuned": "who knows"}}))
    text = next(iter(model_card.all_of(alone.json, cells.open_cells(alone.work)).values()))
    assert "One training seed" in text
    assert "The license of the base is unknown here" in text
    assert "license" not in front(text)
    assert "1 (3.3 %) of its outputs are unparsable." in text


def test_texts_are_shown_as_they_are(tmp_path):
    report = Chartless(Inputs(tmp_path, {"base": "some|one/<b>x</b>", "name": "a-b"}, n=30))
    text = next(iter(model_card.all_of(report.json, cells.open_cells(report.work)).values()))
    assert front(text)["base_model"] == "some|one/<b>x</b>"
    assert "\\<b>x\\</b>" in text.split("---\n")[2]


def test_a_card_is_outside_the_seal_and_nothing_else_is(report):
    adapter = Artifact.open(report.work.inputs["cell0000.adapter0"])
    (adapter.path / CARD).write_text("# mine")
    adapter.verify()
    (adapter.path / "notes.md").write_text("x")
    with pytest.raises(ArtifactError, match=r"altered after it was made: notes\.md"):
        adapter.verify()
    (adapter.path / "notes.md").unlink()
    heldout = Artifact.open(report.work.inputs["cell0000.heldout"])
    (heldout.path / CARD).write_text("# mine")
    with pytest.raises(ArtifactError, match=r"altered after it was made: README\.md"):
        heldout.verify()
    (heldout.path / CARD).unlink()


def test_cards_are_put_into_the_folders_of_their_adapters(report, tmp_path):
    adapter = Artifact.open(report.work.inputs["cell0001.adapter1"])
    folder = tmp_path / "cards" / adapter.path.name
    folder.mkdir(parents=True)
    (folder / CARD).write_text("# new")
    compared = Artifact(tmp_path, "report", "k", "d", 1, {}, {}, {}, {}, {})
    other = Artifact.open(report.work.inputs["cell0000.adapter1"])
    views.write_cards(compared, [adapter, other])
    assert (adapter.path / CARD).read_text() == "# new"
    assert not (other.path / CARD).exists()
    adapter.verify()


@pytest.fixture(scope="module")
def trained(tmp_path_factory, model):
    """A folder with a run that was trained for real, its artifacts by stage, and the card of its adapter."""
    root = tmp_path_factory.mktemp("trained")
    project.carry_out(project.make(root, model["folder"]), root)
    artifacts = Store(root / "data", root / "checkpoints").all()
    by_stage = {artifact.stage: artifact for artifact in artifacts if "base" not in artifact.path.name.split("--")[2:]}
    (written,) = by_stage["report"].path.glob("cards/*/README.md")
    return root, by_stage, written.read_text()


def test_it_says_how_the_adapter_was_trained(trained):
    """As recipe and run have it: settings in the names of peft, data, time, versions."""
    _, by_stage, text = trained
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", text.partition("## Training")[2], re.M))
    adapter = by_stage["finetune"]
    assert (rows["rank (r)"], rows["alpha (lora_alpha)"], rows["dropout (lora_dropout)"]) == ("4", "8", "0")
    assert (rows["learning rate"], rows["effective batch size"], rows["epochs"], rows["seed"]) == ("0.01", "8", "1", "0")
    assert rows["schedule"] == "cosine, warm-up ratio 0.03"
    assert rows["optimizer"] == "AdamW, weight decay 0, gradient norm at most 1"
    assert rows["target modules"].startswith("all-linear: ")
    assert {name.rpartition(".")[2] for name in adapter.facts["targets"]} == set(rows["target modules"].partition(": ")[2].split(", "))
    assert rows["base weights in training"] == "NF4 with double quantization"
    assert rows["compute type"] == "fp32"
    assert rows["maximum length"] == "64 tokens"
    assert (rows["training rows"], rows["validation rows"], rows["test rows"]) == ("40 of 60 rows", "8", "20 of 24")
    assert rows["optimizer steps"] == str(adapter.facts["steps"])
    assert rows["checkpoint"] == f"step {adapter.facts['kept_step']}, lowest validation loss"
    assert rows["training tokens"] == f"{adapter.facts['tokens']:,}, {adapter.facts['target_tokens']:,} with loss"
    assert rows["training time"].endswith(" s")
    for package in ("peft", "transformers", "torch", "loralift"):
        assert f"{package} {adapter.provenance['packages'][package]}" in rows["versions"]


def test_it_shows_the_form_of_prompts_and_no_row_of_local_data(trained):
    root, _, text = trained
    assert "```text\n{question}\n```\n\nAnswer:\n\n```text\n{answer}\n```" in text
    assert "One of: yes, no maybe." in text
    assert "if tokenizer.chat_template:" in text  # the recipe leaves chat to the tokenizer
    for name in ("train", "test"):
        for line in (root / f"{name}.jsonl").read_text().splitlines():
            assert json.loads(line)["question"] not in text


def test_it_has_the_verdict_against_the_best_baseline(trained):
    _, by_stage, text = trained
    (cell,) = json.loads((by_stage["report"].path / "report.json").read_text())["cells"]
    head = cell["headline"]
    assert f"{head['verdict']} |" in text.partition("## Results")[2].split("\n")[6]
    assert f"| {head['kind']}, 95 % interval | verdict |" in text.partition("## Results")[2].split("\n")[4]
    assert "Evaluated on 20 test examples of pets only; other tasks were not evaluated." in text


def test_no_path_of_this_machine_is_in_it(trained, model):
    root, by_stage, text = trained
    assert Path(model["folder"]).is_absolute()
    report = by_stage["report"].path
    for body in (text, (report / "report.json").read_text(), (report / "report.md").read_text()):
        assert str(root) not in body
        assert str(model["folder"]) not in body
    assert f'from_pretrained("{Path(model["folder"]).name}"' in text


@pytest.mark.parametrize("quoted", [False, True])
def test_a_fence_is_longer_than_those_of_the_prompt(quoted):
    text = "Fix:\n````py\nx\n````" if quoted else "Fix: x"
    fence = "`" * (5 if quoted else 3)
    assert card_training.block(text) == f"{fence}text\n{text}\n{fence}"


def test_synthetic_rows_are_quoted_and_others_are_not():
    assert card_training.is_synthetic("shop_notice")
    assert not card_training.is_synthetic("jigsaw")


def test_its_example_answers_as_the_held_out_prompts_were_answered(trained, model, monkeypatch):
    """Of a prompt as `loralift show-prompt` prints it: the ids of the prompt as text, special tokens with it."""
    tmp_path, by_stage, text = trained
    monkeypatch.chdir(tmp_path)
    base = Path(model["folder"])
    (tmp_path / base.name).symlink_to(base)  # a card does not say where the base lies
    names = {}
    exec(code_of(text), names)
    render = renderer(by_stage["finetune"].params["model"])
    heldout = next(
        artifact for artifact in Store(tmp_path / "data", tmp_path / "checkpoints").all() if artifact.path.name.startswith("pets--heldout")
    )
    answers = {row.example: row.text for row in records.read(by_stage["generate"].path / "predictions.jsonl", records.Prediction)}
    for example in list(records.read(heldout.path / "examples.jsonl", records.Example))[:6]:
        names["text"] = example.text
        exec(code_of(text, 1), names)
        assert names["prompt"].rstrip(" ") == render.tokenizer.decode(render.prompt_ids(example.prompt)).rstrip(" ")
        names["prompt"] = render.tokenizer.decode(render.prompt_ids(example.prompt))
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code_of(text, 2), names)
        assert printed.getvalue() == f"{answers[example.id]}\n"


@pytest.mark.parametrize(
    ("params", "facts", "expected"),
    [
        ({"max_new_tokens": 6, "stop": []}, {}, "max_new_tokens=6, do_sample=False)"),
        ({"max_new_tokens": 6, "stop": []}, {"max_new_tokens": 9}, "max_new_tokens=9, do_sample=False)"),
        (
            {"max_new_tokens": 300, "stop": ["\n\n"]},
            {},
            'max_new_tokens=300, do_sample=False, stop_strings=["\\n\\n"], tokenizer=',
        ),
    ],
)
def test_its_example_stops_as_the_answers_did(params, facts, expected):
    lines = model_card.generation_snippet(Artifact(None, "generate", "k", "d", 1, params, {}, {}, facts, {}))
    assert expected in lines
    compile(code_of(lines), "card", "exec")
