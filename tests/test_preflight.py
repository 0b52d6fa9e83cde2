"""What would stop a run late is said before it starts."""

import json

import pytest

from pipeline import cli
from pipeline.cli import Call, reached
from pipeline.config import recipe as recipes
from pipeline.data import manual_files
from pipeline.errors import MachineError, RecipeError
from pipeline.machine import Machine
from pipeline.plan import plan
from pipeline.run import Site
from pipeline.store.artifact import Store

KNOWN = {"name": "gpt", "endpoint": "http://127.0.0.1:9/v1", "model": "m", "key_env": "LORALIFT_NO_KEY"}


@pytest.fixture
def start(tmp_path, model, monkeypatch):
    """Starts a recipe with these keys, as the verbs do."""
    monkeypatch.setenv("LORALIFT_SOURCES", str(tmp_path / "sources"))

    def begin(wanted=frozenset({"report"}), **keys):
        (tmp_path / "r.yaml").write_text(json.dumps({"name": "r", "base": model["folder"], "tasks": ["shop_sentiment"], **keys}))
        recipe = recipes.load(tmp_path / "r.yaml")
        site = Site(Store(tmp_path / "data", tmp_path / "checkpoints"), Machine(device="cpu", endpoints=reached(recipe)))
        cli.carry_out(Call(recipe, plan(recipe), site), set(wanted))

    return begin


def test_every_file_and_key_that_is_missing_is_said_before_anything_is_made(start, tmp_path):
    with pytest.raises(MachineError) as error:
        start(tasks=["shop_sentiment", "covid", "legal"], references=[KNOWN])
    lines = str(error.value).splitlines()
    assert [line.strip().partition(":")[0] for line in lines] == ["covid", "covid", "legal", "reference m", "Or leave these tasks out"]
    assert "Corona_NLP_test.csv" in lines[0]
    assert "LORALIFT_NO_KEY is not set" in lines[3]
    assert lines[4].strip() == "Or leave these tasks out: 'tasks=[shop_sentiment]'"
    assert not list(tmp_path.glob("data/*/*"))


def test_a_file_that_has_another_source_or_an_address_is_not_missing(start):
    with pytest.raises(MachineError) as error:
        start(tasks=["jigsaw", "webnlg", "tldr_headline_gen", "legal"])
    assert [line.strip().partition(":")[0] for line in str(error.value).splitlines()] == ["legal", "Or leave these tasks out"]
    assert str(error.value).endswith("'tasks=[jigsaw, webnlg, tldr_headline_gen]'")


def test_cuda_is_looked_for_first(start):
    with pytest.raises(MachineError, match="the recipe says needs_cuda, and this machine has no CUDA device"):
        start(needs_cuda=True, tasks=["legal"])


def test_a_file_that_is_there_is_not_missing(start, tmp_path):
    place = manual_files.folder() / "legal"
    place.mkdir(parents=True)
    rows = "clause_text,clause_type,split\n" + "".join(f"text {n},kind-{n % 2},{(0, 2)[n % 2]}\n" for n in range(40))
    (place / "legal.csv").write_text(rows)
    with pytest.raises(MachineError) as error:
        start(tasks=["legal", "covid"])
    assert "legal:" not in str(error.value)


GRADED = {"tasks": ["shop_notice"], "general": {"suites": []}}
"""Scores between 0 and 1: tested by randomization."""
JUDGED = {"arms": ["base", "base_fewshot", "tuned"], "confidence": 0.99}
"""Two claims, of which the first needs a p of 0.005."""


def test_claims_that_no_resampling_can_show_are_refused_before_anything_is_made(start, tmp_path):
    with pytest.raises(RecipeError) as error:
        start(**GRADED, compare={**JUDGED, "resamples": 198}, references=[KNOWN])
    problem, remedy = str(error.value).splitlines()
    assert problem == (
        "r: compare.resamples=198: 2 of 2 claims are tested by randomization, and their least p, corrected (holm), is 2/199 = 0.0101, "
        "above 0.01: none of them can be shown."
    )
    assert remedy.strip() == "Set compare.resamples=199 or more."
    assert not list(tmp_path.glob("data/*/*"))


@pytest.mark.parametrize(("resamples", "more"), [(199, {}), (198, {"correction": "none"}), (198, {"arms": ["base", "tuned"]})])
def test_claims_that_can_be_shown_are_not_refused(resamples, more, start):
    with pytest.raises(MachineError, match="LORALIFT_NO_KEY is not set"):  # what is looked for next
        start(**GRADED, compare={**JUDGED, "resamples": resamples, **more}, references=[KNOWN])


def test_resamples_are_no_matter_where_no_report_is_made(start):
    with pytest.raises(MachineError, match="LORALIFT_NO_KEY is not set"):
        start({"finetune"}, **GRADED, compare={**JUDGED, "resamples": 100}, references=[KNOWN])
