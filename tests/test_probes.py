"""What would fail hours after the start of a run is tried when the data sets are there, before any training."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands import call as calls
from pipeline.commands import preflight, probes
from pipeline.commands.probes import Probes
from pipeline.config import recipe as recipes
from pipeline.errors import MachineError, RecipeError
from pipeline.machine import Machine
from pipeline.planning.plan import plan
from pipeline.stages import finetune
from pipeline.store.artifact import Store
from tests import project
from tests.fault_server import FaultServer

MACHINE = Machine("cpu", tokens=100)


def digests(root: Path, stage: str) -> list[str]:
    return sorted(artifact.digest for artifact in Store(root / "data", root / "checkpoints").all() if artifact.stage == stage)


def refused(root: Path, recipe: Path, *changes: str) -> str:
    """The error of a run that is stopped when its data sets are there and nothing is trained."""
    with pytest.raises(MachineError) as stopped:
        calls.make_report(calls.parse_call([str(recipe), *changes], root, MACHINE))
    assert len(digests(root, "prepare")) == 2
    assert not digests(root, "finetune")
    assert not digests(root, "generate")
    return f"{stopped.value.problem} {stopped.value.remedy}".strip()


def test_a_module_that_the_base_lacks(tmp_path: Path, model: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The shape of this base is known; of another only its weights tell."""
    monkeypatch.setattr(preflight, "missing_targets", lambda jobs: [])
    line = refused(tmp_path, project.make(tmp_path, model["folder"]), "finetune.targets=[q_prj, v_proj]")
    assert line.startswith("finetune ")
    assert line.endswith("finetune.targets: the base has no linear module 'q_prj'. Did you mean 'q_proj'?")


def test_an_example_that_does_not_fit(tmp_path: Path, model: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def gradients(*_: Any) -> float:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(finetune.Passes, "gradients", gradients)
    line = refused(tmp_path, project.make(tmp_path, model["folder"]))
    assert "its longest example, " in line
    assert line.endswith("does not fit into the memory of cpu alone. Lower prepare.max_tokens, or take a smaller base or a larger device.")


def test_an_endpoint_that_refuses(tmp_path: Path, model: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-0123456789")
    recipe = project.make(tmp_path, model["folder"])
    with FaultServer("sk-right") as server:
        reference = {"name": "big", "endpoint": server.endpoint, "model": "m"}
        line = refused(tmp_path, recipe, f"references={json.dumps([reference])}")
        assert len(server.headers) == 1
    assert "refuses the key (401)" in line


def test_the_longest_examples_are_tried_once_and_change_no_adapter(
    tmp_path: Path, model: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two seeds, which need the same memory, one is tried; with all adapters at hand none is."""
    tried = []
    real = probes.try_longest
    monkeypatch.setattr(probes, "try_longest", lambda *arguments: (tried.append(arguments[0].label), real(*arguments)))
    recipe = project.make(tmp_path / "probed", model["folder"])
    changes = {"finetune.seeds": [0, 1], "finetune.dropout": 0.1}
    words = [str(recipe), *(f"{key}={value}" for key, value in changes.items())]
    calls.carry_out(calls.parse_call(words, tmp_path / "probed", MACHINE), {"finetune"})
    assert len(tried) == 1
    project.carry_out(recipe, tmp_path / "plain", changes, {"finetune"})
    assert digests(tmp_path / "probed", "finetune") == digests(tmp_path / "plain", "finetune")
    calls.carry_out(calls.parse_call(words, tmp_path / "probed", MACHINE), {"finetune"})
    assert len(tried) == 1


def test_the_longest_rows_come_first(tmp_path: Path, model: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []
    monkeypatch.setattr(finetune.Passes, "gradients", lambda self, rows, budget: lengths.append([len(row) for row in rows]))
    call = calls.parse_call([str(project.make(tmp_path, model["folder"]))], tmp_path, MACHINE)
    artifacts = calls.carry_out(call, {"prepare"})
    probe = Probes(call.jobs, call.site)
    probe.artifacts = artifacts
    probe.run(call.jobs)
    (train,) = (artifact for job, artifact in artifacts.items() if job.params["split"] == "train")
    tokens = train.facts["tokens"]
    assert tokens["prompt"]["max"] <= lengths[0][0] <= tokens["prompt"]["max"] + tokens["target"]["max"]


def test_modules_of_a_known_shape_are_checked_before_anything_is_fetched() -> None:
    recipe = recipes.load(Path("recipes/modern/first.yaml"), {"finetune.targets": ["wq", "v_proj", "lm_head"]})
    jobs = plan(recipe, ask=False)
    lines = set(preflight.missing_targets(jobs))
    assert len(lines) == 1
    with pytest.raises(RecipeError, match=r"'wq'\. Known: down_proj, .*v_proj\."):  # as `plan` says, which runs nothing
        preflight.check_targets(jobs)
    assert "has no linear module 'wq'." in lines.pop()
