"""A model behind an endpoint in the place of the fine-tuned one: same prompts as the base, nothing asked twice, nothing made up."""

import io
import json
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.commands import plan_table, recompute_page
from pipeline.config import recipe as recipes
from pipeline.errors import MachineError, ModelError, RecipeError
from pipeline.measures.report_types import Report
from pipeline.planning.plan import plan
from pipeline.store.artifact import Store
from tests import foreign, project
from tests.fault_server import FaultServer, completion, refusing
from tests.test_report_schema import faults
from tests.test_variants import recipe_with, report_of

N = 20
"""Test examples of the project."""


def variant(server, **more):
    return {"name": "mine", "endpoint": server.endpoint, "model": "fault", "key_env": "", **more}


def right_answers(root):
    return {row["question"]: row["answer"] for row in map(json.loads, (root / "test.jsonl").read_text("utf-8").splitlines())}


@pytest.fixture
def server():
    with FaultServer() as fault_server:
        yield fault_server


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model):
    """A project that compares an endpoint, which knows three of four answers, and an adapter with the base; and what was requested."""
    root = tmp_path_factory.mktemp("endpoint")
    adapter = foreign.adapter(root / "other", Path(model["folder"]))
    with FaultServer() as fault_server:
        path = recipe_with(root / "p", model, variant(fault_server), {"name": "other", "adapter": str(adapter)})
        answers = right_answers(root / "p")
        learned = {question: answer for number, (question, answer) in enumerate(sorted(answers.items())) if number % 4}
        fault_server.answer = lambda prompt: completion(prompt, learned.get(prompt, "who knows"))
        stages = project.carry_out(path, root / "p")
    return root / "p", Counter(stages), fault_server, learned


def test_it_answers_the_prompts_of_the_base(finished):
    root, stages, server, learned = finished
    prompts = [example.prompt for example in project.heldout(Store(root / "data", root / "checkpoints"))]
    assert server.requests == Counter(prompts)
    assert all(body["messages"] == [{"role": "user", "content": body["messages"][-1]["content"]}] for body in server.bodies)
    assert {body["max_tokens"] for body in server.bodies} == {6}
    assert (stages["reference"], stages["import_adapter"], stages["generate"], stages["finetune"]) == (1, 1, 2, 0)  # base once
    report = report_of(root)
    cell = next(row for row in report["cells"] if row["variant"] == "mine")
    assert cell["comparisons"][0]["tuned"] == pytest.approx(sum(prompt in learned for prompt in prompts) / N)
    base = {row["variant"]: row["comparisons"][0]["base"] for row in report["cells"]}
    assert base["mine"] == base["other"]
    [table] = report["variants"]
    assert [(pair["variant"], pair["against"]) for pair in table["pairs"]] == [("other", "mine")]


def test_what_is_unknown_of_it_is_said(finished):
    root, _, server, _ = finished
    report = report_of(root)
    assert faults(report, Report) == []
    cell = next(row for row in report["cells"] if row["variant"] == "mine")
    host = server.endpoint.removeprefix("http://").removesuffix("/v1")
    assert cell["endpoint"] | {"prompt_tokens": 0, "completion_tokens": 0} == {
        "name": "mine", "host": host, "model": "fault", "served": ["fault-1"], "requests": N, "refused": 0, "prompt_tokens": 0,
        "completion_tokens": 0, "usage": "reported",
    }  # fmt: skip
    assert (cell["fine_tune"], cell["rank"], cell["adapters"], cell["liveness"], cell["speed"]) == ("endpoint", None, [], [], None)
    [warning] = [line for line in report["warnings"] if "fault behind" in line]
    for words in ("its weights and their quantization", "batches", "whether it is a fine-tune of the base"):
        assert words in warning
    assert not [line for line in report["warnings"] if "compare.liveness is off" in line]
    [note] = [line for line in report["notes"] if "weights of mine" in line]
    for words in ("adapter sanity check", "latency", "cost", "prompt relevance", "regressions on other tasks"):
        assert words in note
    page = next((root / "data" / "report").glob("*/report.html")).read_text("utf-8")
    assert f"<td>mine</td><td>{host}</td><td>fault</td>" in page
    assert "a LoRA adapter, and models behind endpoints" in page
    cards = list((root / "data" / "report").glob("*/cards/**/*.md"))
    assert len(cards) == 1  # of the adapter alone


def test_its_page_is_recomputed_without_the_endpoint(finished):
    root, _, server, _ = finished
    before = sum(server.requests.values())
    page = next((root / "data" / "report").glob("*/report.html"))
    assert recompute_page.verify(page).comparisons == 2
    assert sum(server.requests.values()) == before


def test_arms_that_need_its_weights_are_absent(model, server, tmp_path):
    compare = {"arms": ["base", "base_constrained", "tuned", "tuned_constrained", "merged", "unrelated"], "resamples": 200}
    compare |= {"speed_prompts": 2, "relevance_examples": 8}
    general = {"suites": ["paragraphs"]}
    path = recipe_with(tmp_path, model, variant(server), compare=compare, general=general)
    stages = Counter(job.stage for job in plan(recipes.load(path)))
    assert not {"relevance", "general_loss", "speed", "finetune", "import_adapter", "import_model"} & stages.keys()
    assert stages["generate"] == 2  # base, and its ranked choices
    project.carry_out(path, tmp_path)
    [cell] = report_of(tmp_path)["cells"]
    absent = {row["arm"]: row["why"] for row in cell["absent"]}
    assert absent.keys() == {"tuned_constrained", "merged", "unrelated"}
    assert (
        absent["merged"] == absent["tuned_constrained"] == "the fine-tuned model answers behind an endpoint, and its weights are not here"
    )


def test_a_run_that_ends_early_asks_for_no_answer_again(model, server, tmp_path):
    path = recipe_with(tmp_path, model, variant(server, concurrency=1))
    refused = sorted(right_answers(tmp_path))[3]
    server.faults[refused] = [refusing(403, "no")]
    with pytest.raises(ModelError, match="Answers saved"):
        project.carry_out(path, tmp_path, {"prepare.heldout_examples": 24})
    assert server.requests[refused] == 1
    assert "reference" in project.carry_out(path, tmp_path, {"prepare.heldout_examples": 24})
    assert max(count for prompt, count in server.requests.items() if prompt != refused) == 1
    assert (server.requests[refused], len(server.requests)) == (2, 24)


def test_a_key_and_a_pace_change_no_answer(model, server, tmp_path, monkeypatch):
    path = recipe_with(tmp_path, model, variant(server))
    project.carry_out(path, tmp_path)
    monkeypatch.setenv("MY_KEY", "a-key-of-my-own")
    changed = {"variants": [variant(server, key_env="MY_KEY", concurrency=2)]}
    assert project.carry_out(path, tmp_path, changed) == ["report"]
    assert sum(server.requests.values()) == N
    changed = {"variants": [variant(server, key_env="MY_KEY", max_new_tokens=3)]}
    assert project.carry_out(path, tmp_path, changed) == ["reference", "report"]  # its answers are the same
    assert server.headers[-1]["authorization"] == "Bearer a-key-of-my-own"
    with pytest.raises(MachineError, match="the environment variable NO_SUCH_KEY is not set"):
        project.carry_out(path, tmp_path, {"variants": [variant(server, key_env="NO_SUCH_KEY", model="other")]})


def test_plan_says_how_many_requests_it_takes(model, server, tmp_path):
    path = recipe_with(tmp_path, model, variant(server))
    recipe = recipes.load(path)
    store = Store(tmp_path / "data", tmp_path / "checkpoints")

    def planned():
        console = Console(file=io.StringIO(), width=200)
        plan_table.show_plan(console, recipe, plan(recipe), store)
        return " ".join(console.file.getvalue().split())

    project.carry_out(path, tmp_path, stages={"prepare"})
    assert f"Requests to {server.endpoint}: at most {N} for answers of fault, and one to try it." in planned()
    assert not server.requests
    project.carry_out(path, tmp_path)
    assert "Requests to" not in planned()


def test_it_is_not_compared_with_predictions_from_files(server, model, tmp_path):
    path = recipe_with(tmp_path, model, variant(server))
    changes = {"base_predictions": "base.jsonl", "variants": [variant(server), {"name": "x", "predictions": "x.jsonl"}]}
    with pytest.raises(RecipeError, match="mine has no predictions, and where base_predictions is set no model answers"):
        recipes.load(path, changes)
