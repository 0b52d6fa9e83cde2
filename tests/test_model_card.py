"""The model card is what the hub reads and what the report says; it lies in the adapter's folder and leaves its seal whole."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import yaml

from pipeline.commands import views
from pipeline.errors import ArtifactError
from pipeline.models.renderer import renderer
from pipeline.page import cells, model_card
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
        assert 'max_new_tokens=48, do_sample=False, stop_strings=["\\n\\n"]' in code_of(text, 1)
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


def test_its_example_answers_as_the_held_out_prompts_were_answered(tmp_path, model, monkeypatch):
    """Of a prompt as `loralift show-prompt` prints it: the ids of the prompt as text, special tokens with it."""
    project.carry_out(project.make(tmp_path, model["folder"]), tmp_path)
    by_stage = {
        artifact.stage: artifact
        for artifact in Store(tmp_path / "data", tmp_path / "checkpoints").all()
        if "base" not in artifact.path.name.split("--")[2:]
    }
    (written,) = by_stage["report"].path.glob("cards/*/README.md")
    monkeypatch.chdir(tmp_path)
    base = Path(model["folder"])
    (tmp_path / base.name).symlink_to(base)  # a card does not say where the base lies
    names = {}
    exec(code_of(written.read_text()), names)
    render = renderer(by_stage["finetune"].params["model"])
    heldout = next(
        artifact for artifact in Store(tmp_path / "data", tmp_path / "checkpoints").all() if artifact.path.name.startswith("pets--heldout")
    )
    answers = {row.example: row.text for row in records.read(by_stage["generate"].path / "predictions.jsonl", records.Prediction)}
    for example in list(records.read(heldout.path / "examples.jsonl", records.Example))[:6]:
        names["prompt"] = render.tokenizer.decode(render.prompt_ids(example.prompt))
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code_of(written.read_text(), 1), names)
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
