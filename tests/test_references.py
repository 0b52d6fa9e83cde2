"""A recipe with a reference model, from the endpoint to the report; nothing is sent without one, and nothing twice."""

import json

import pytest

from pipeline.store.artifact import Store
from tests import project
from tests.fault_server import FaultServer

REPORT = {"report"}


@pytest.fixture
def pets(tmp_path, model):
    """A recipe, and the server that its reference model is behind."""
    path = project.make(tmp_path / "project", model["folder"])
    with FaultServer() as server:
        body = json.loads(path.read_text("utf-8"))
        reference = {"name": "gpt", "endpoint": server.endpoint, "model": "fault", "key_env": "", "price": {"input": 10.0, "output": 20.0}}
        path.write_text(json.dumps({**body, "references": [reference]}), "utf-8")
        yield path, server


def report_of(root):
    (artifact,) = [artifact for artifact in Store(root / "data", root / "checkpoints").all() if artifact.stage == "report"]
    return json.loads((artifact.path / "report.json").read_text("utf-8")), (artifact.path / "report.html").read_text("utf-8")


def test_a_reference_model_is_a_further_column(pets, tmp_path):
    path, server = pets
    assert sorted(project.carry_out(path, tmp_path)) == sorted([*project.STAGES, "reference"])
    report, page = report_of(tmp_path)
    rows = {row["metric"]: row for row in report["references"]}
    assert set(rows) == {"accuracy", "rougeL"}
    assert (rows["accuracy"]["name"], rows["accuracy"]["model"], rows["accuracy"]["refused"]) == ("gpt", "fault", 0)
    (facts,) = [artifact.facts for artifact in Store(tmp_path / "data", tmp_path / "checkpoints").all() if artifact.stage == "reference"]
    assert facts["completion_tokens"] > 20
    assert rows["accuracy"]["cost"] == pytest.approx((10 * facts["prompt_tokens"] + 20 * facts["completion_tokens"]) / 1e6)
    assert '<section id="references">' in page
    assert sum(server.requests.values()) == 20


def test_an_answer_is_never_paid_for_twice(pets, tmp_path):
    path, server = pets
    project.carry_out(path, tmp_path)
    body = json.loads(path.read_text("utf-8"))
    changed = {"name": "gpt", "price": {"input": 1.0, "output": 1.0}, "concurrency": 2}
    path.write_text(json.dumps({**body, "references": [body["references"][0] | changed]}), "utf-8")
    assert project.carry_out(path, tmp_path) == ["report"]
    assert sum(server.requests.values()) == 20


def test_nothing_is_sent_unless_the_recipe_names_it(pets, tmp_path):
    path, server = pets
    project.carry_out(path, tmp_path, {"references": []})
    assert not server.requests
    assert report_of(tmp_path)[0]["references"] == []


def test_the_endpoint_has_room_for_the_longest_choice_as_every_arm_has(pets, tmp_path):
    """`no maybe` is five tokens and an end, where the task allows one."""
    path, server = pets
    body = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(body | {"tasks": [body["tasks"][0] | {"max_new_tokens": 1}]}), "utf-8")
    project.carry_out(path, tmp_path, stages={"reference", "generate"})
    artifacts = Store(tmp_path / "data", tmp_path / "checkpoints").all()
    caps = {artifact.facts["max_new_tokens"] for artifact in artifacts if artifact.stage == "generate"}
    assert {request["max_tokens"] for request in server.bodies} == caps
    assert caps == {6}
