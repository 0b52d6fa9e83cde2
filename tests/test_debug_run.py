"""Debugged arms through a whole run: a tiny base, whose answers are no programs, and a model behind an endpoint that repairs them."""

import json
import re
import shutil

import pytest
from rich.console import Console

from pipeline.commands import plan_table
from pipeline.commands.recompute_page import verify
from pipeline.config import recipe as recipes
from pipeline.engine.transformers_backend import TransformersBackend
from pipeline.errors import ModelError, RecipeError
from pipeline.planning.plan import plan
from pipeline.sandbox import sandbox
from pipeline.store.artifact import Store
from pipeline.store.folders import DebuggedFolder
from tests import project, tiny
from tests.fault_server import FaultServer, completion, refusing
from tests.interruption import calls_of

TASK = """
import json

from pipeline.data.task import Row, Source, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example


def example(row: Row) -> Example:
    head = f"def f{row['n']}(x):\\n    \\"\\"\\"x plus {row['n']}.\\n    >>> f{row['n']}(1)\\n    {row['n'] + 1}\\n    \\"\\"\\"\\n"
    tests = {"prefix": head, "check": f"assert f{row['n']}(10) == {row['n'] + 10}\\n", "entry_point": f"f{row['n']}"}
    return Example("", f"yes {head}", f"    return x + {row['n']}", extra={"tests": json.dumps(tests)})


TASK = Task(
    name="adders",
    about="a test",
    train=(Source(path="train.jsonl"),),
    heldout=(Source(path="test.jsonl"),),
    example=example,
    answer=parsers.code,
    metrics=("pass_at_1",),
    max_new_tokens=6,
)
"""
pytestmark = pytest.mark.skipif(bool(sandbox.available()), reason=f"no sandbox: {sandbox.available()}")


def answer(prompt):
    """Writes x - n, judges every step, repairs into x + n; the problem with n = 3 defeats it."""
    [number] = re.findall(r"def f(\d+)\(x\)", prompt)[:1]
    if prompt.endswith("Verdicts:\n"):
        return completion(prompt, "[BLOCK-1] incorrect: it subtracts")
    if prompt.endswith("Corrected program:\n") and number != "3":
        return completion(prompt, f"```python\ndef f{number}(x):\n    return x + {number}\n```")
    return completion(prompt, f"```python\ndef f{number}(x):\n    return x - {number}\n```")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    root = tmp_path_factory.mktemp("debug")
    tiny.make_model(root / "base")
    config = root / "base" / "config.json"
    config.write_text(config.read_text("utf-8").replace('"max_position_embeddings": 256', '"max_position_embeddings": 4096'), "utf-8")
    (root / "adders.py").write_text(TASK, "utf-8")
    for name, numbers in (("train", range(20, 40)), ("test", range(1, 7))):
        (root / f"{name}.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in numbers), "utf-8")
    with FaultServer() as server:
        server.answer = answer
        body = {
            "name": "adders", "question": "Does debugging help?", "base": str(root / "base"), "tasks": ["./adders.py"],
            "prepare": {"train_examples": 12, "dev_examples": 4, "heldout_examples": 6, "max_tokens": 200, "near_duplicates": 1.0},
            "finetune": {"rank": 2, "batch_examples": 4, "compute": "fp32"}, "generate": {"compute": "fp32"},
            "compare": {"resamples": 200, **project.LEAN}, "general": {"suites": []},
            "references": [{"name": "gpt", "endpoint": server.endpoint, "model": "fault", "key_env": ""}],
            "debug": {"arms": ["base", "tuned", "gpt"], "by": "gpt", "rounds": 3},
        }  # fmt: skip
        recipe = root / "adders.yaml"
        recipe.write_text(json.dumps(body), "utf-8")
        stages = project.carry_out(recipe, root)
        requests = dict(server.requests)
        again = project.carry_out(recipe, root)
        yield {
            "root": root,
            "recipe": recipe,
            "stages": stages,
            "again": again,
            "requests": requests,
            "requests_again": dict(server.requests),
            "server": server,
        }


def debugged(ran, stage, arm):
    store = Store(ran["root"] / "data", ran["root"] / "checkpoints")
    [artifact] = [item for item in store.all() if item.stage == stage and f"{arm}_debugged" in item.path.name]
    return artifact


def report(ran):
    [path] = (ran["root"] / "data" / "report").glob("*/report.json")
    return json.loads(path.read_text("utf-8")), path.with_name("report.html")


def test_programs_of_every_arm_are_repaired_and_scored_by_the_hidden_tests(ran):
    assert ran["stages"].count("debug_by_endpoint") == 3
    assert ran["again"] == []
    assert ran["requests_again"] == ran["requests"], "no request is repeated"
    cell = report(ran)[0]["cells"][0]
    rows = {row["arm"]: row for row in cell["debugging"]}
    assert set(rows) == {"base_debugged", "tuned_debugged", "reference.gpt_debugged"}
    own = rows["reference.gpt_debugged"]
    assert (own["before"], own["after"], own["fixed"], own["broken"]) == (0.0, pytest.approx(5 / 6), 5, 0)
    assert (own["visible_before"], own["visible_after"], own["repairs"], own["hidden_shown"]) == (0, 5, 5, 0)
    assert own["by"] == ""
    assert rows["base_debugged"]["by"] == "gpt"
    assert own["rounds"] == {"1": 6}, "after its only test was shown with that program there is nothing new to show"
    scores = {arm["name"]: arm["score"] for arm in cell["arms"]}
    assert scores["reference.gpt_debugged"] == pytest.approx(5 / 6)
    assert {"base", "tuned", "reference.gpt"} <= set(scores)


def test_a_debugged_arm_is_no_baseline(ran):
    cell = report(ran)[0]["cells"][0]
    assert cell["headline"]["baseline"] == "base"


def test_the_rounds_can_be_read(ran):
    rows = DebuggedFolder(debugged(ran, "debug_by_endpoint", "reference.gpt").path).rounds()
    assert len(rows) == 6
    assert {row["passed"] for row in rows} == {0, 1}
    assert all(row["outcome"].endswith("gave 0") or "gave -" in row["outcome"] for row in rows)


def test_page_and_markdown_say_it_and_verify_agrees(ran):
    data, page = report(ran)
    text = page.read_text("utf-8")
    assert "Debugged programs" in text
    markdown = page.with_suffix(".md").read_text("utf-8")
    assert "| adders | gpt | itself | 6 | 0.000 | 0.833 |" in markdown
    assert verify(page, trusts_code=True).comparisons == 1
    assert data["references"]


@pytest.mark.parametrize(
    ("debug", "problem"),
    [
        ({"arms": ["base", "gpt5"]}, "debug.arms: there is no 'gpt5' to take. It can be base, tuned, gpt"),
        ({"arms": ["base"], "by": "base"}, "debug.by: there is no 'base' to take. It can be gpt"),
        ({"arms": ["base"], "rounds": 0}, "debug.rounds"),
        ({"arms": ["base"], "level": "blocks"}, "debug.level"),
        ({"arms": ["base"], "levels": "block"}, "Did you mean"),
    ],
)
def test_what_a_recipe_may_not_say(ran, debug, problem):
    changes = {f"debug.{key}": value for key, value in debug.items()}
    with pytest.raises(RecipeError) as error:
        recipes.load(ran["recipe"], {"debug.by": None, **changes})
    assert problem in str(error.value)


def test_by_itself_each_arm_is_debugged_by_the_model_that_wrote_its_programs(ran):
    jobs = plan(recipes.load(ran["recipe"], {"debug.by": None}))
    debugging = {job.label.rpartition("--")[2]: job for job in jobs if job.stage.startswith("debug")}
    assert {name: job.stage for name, job in debugging.items()} == {
        "base_debugged": "debug", "tuned_debugged": "debug", "reference.gpt_debugged": "debug_by_endpoint"
    }  # fmt: skip
    assert "adapter" in dict(debugging["tuned_debugged"].inputs)
    assert "adapter" not in dict(debugging["base_debugged"].inputs)


def test_the_model_itself_judges_and_repairs(ran):
    stages = project.carry_out(ran["recipe"], ran["root"], {"debug.by": None, "debug.arms": ["base", "tuned"], "debug.max_new_tokens": 8})
    assert stages == ["debug", "debug", "compare", "report"], "nothing is trained or answered again"
    for arm in ("base", "tuned"):
        artifact = debugged(ran, "debug", arm)
        rows = DebuggedFolder(artifact.path).rounds()
        assert artifact.facts["debugging_tokens"] > 0
        assert all(row["verdicts"] for row in rows)
        assert sum(count for number, count in artifact.facts["rounds"].items() if number != "0") == len({row["example"] for row in rows})


def test_what_an_endpoint_answered_before_a_stop_is_not_requested_again(ran):
    server = ran["server"]
    artifact = debugged(ran, "debug_by_endpoint", "reference.gpt")
    before = (artifact.path / DebuggedFolder.ROUNDS).read_bytes()
    shutil.rmtree(artifact.path)
    server.requests.clear()
    prompts = [body["messages"][0]["content"] for body in server.bodies]
    prompt = next(text for text in prompts if text.endswith("Corrected program:\n") and "return x - 4" in text)
    server.faults[prompt] = [refusing(400, "not now")]
    with pytest.raises(ModelError):
        project.carry_out(ran["recipe"], ran["root"])
    project.carry_out(ran["recipe"], ran["root"])
    assert server.requests.pop(prompt) == 2
    assert set(server.requests.values()) == {1}
    assert (debugged(ran, "debug_by_endpoint", "reference.gpt").path / DebuggedFolder.ROUNDS).read_bytes() == before


def test_a_killed_run_goes_on_after_its_last_whole_batch(ran):
    changes = {"debug.by": None, "debug.arms": ["base"], "debug.max_new_tokens": 8, "debug.seed": 1}
    project.carry_out(ran["recipe"], ran["root"], changes)
    artifact = artifact_of_seed(ran, 1)
    before = (artifact.path / DebuggedFolder.ROUNDS).read_bytes()
    shutil.rmtree(artifact.path)
    with calls_of(TransformersBackend, "generate") as whole:
        project.carry_out(ran["recipe"], ran["root"], changes)
    assert len(whole) > 3, "else there is nothing to go on with"
    shutil.rmtree(artifact_of_seed(ran, 1).path)
    with calls_of(TransformersBackend, "generate", kill_at=3):
        project.carry_out(ran["recipe"], ran["root"], changes)
    with calls_of(TransformersBackend, "generate") as rest:
        project.carry_out(ran["recipe"], ran["root"], changes)
    assert len(rest) == len(whole) - 2
    assert (artifact_of_seed(ran, 1).path / DebuggedFolder.ROUNDS).read_bytes() == before


def artifact_of_seed(ran, seed):
    store = Store(ran["root"] / "data", ran["root"] / "checkpoints")
    [artifact] = [item for item in store.all() if item.stage == "debug" and item.params["seed"] == seed]
    return artifact


def test_programs_without_room_for_a_query_are_counted(ran):
    project.carry_out(ran["recipe"], ran["root"], {"debug.by": None, "debug.arms": ["base"], "debug.max_new_tokens": 2000})
    store = Store(ran["root"] / "data", ran["root"] / "checkpoints")
    [artifact] = [item for item in store.all() if item.stage == "debug" and item.params["max_new_tokens"] == 2000]
    facts = artifact.facts
    assert facts["too_long"] == facts["examples"] - facts["without_tests"] > 0
    assert facts["debugging_tokens"] == 0


def test_plan_counts_the_requests(ran, capsys):
    recipe = recipes.load(ran["recipe"], {"debug.rounds": 4})
    store = Store(ran["root"] / "elsewhere" / "data", ran["root"] / "elsewhere" / "checkpoints")
    plan_table.show_plan(Console(width=200), recipe, plan(recipe), store)
    text = " ".join(capsys.readouterr().out.split())
    assert f"at most {6 + 3 * 2 * 4 * 6} for answers of fault" in text
    show = plan(recipes.load(ran["recipe"], {"debug.by": None}))
    plan_table.show_plan(Console(width=200), recipe, show, store, all_jobs=True)
    assert "debug: two answers for each failing program and round" in capsys.readouterr().out
