"""A kind of adapter is a class: a toy one is trained, written, read, judged alive or dead, estimated and described."""

import json
from pathlib import Path

import pytest
import torch

from pipeline.errors import ComparisonError
from pipeline.models import adapter_kinds, adapters, liveness, loading, renderer
from pipeline.models.adapter_kinds import AdapterKind
from pipeline.models.shapes import of_folder
from pipeline.stages import finetune, generate
from tests import tiny

CPU = torch.device("cpu")


class Vera(AdapterKind):
    """Scales the rows and columns of random matrices that all modules share (arXiv 2310.11454)."""

    name, label, liveness_tensor = "vera", "VeRA", "vera_lambda_b"

    def config(self, params, targets, exclude):
        from peft import VeraConfig

        return VeraConfig(task_type="CAUSAL_LM", r=params["rank"], target_modules=targets)

    def parameter_count(self, rank, widths):
        return sum(rank + width[1] for width in widths)


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setitem(adapter_kinds.KINDS, "vera", Vera())


def params(model):
    return {"model": model, **tiny.FINETUNE, "adapter_kind": "vera", "learning_rate": 0.05, "epochs": 2}


def test_a_toy_kind_goes_all_the_way(tmp_path, model, train_part):
    trained = tiny.work(tmp_path / "adapter", params(model), train=train_part)
    facts = finetune.run(trained)
    tiny.seal(trained.out, facts)
    assert len(facts["targets"]) == 14
    shape = of_folder(Path(model["folder"]))
    assert facts["trainable_parameters"] == shape.adapter_params(4, (), adapter_kinds.of_params(trained.params))
    heldout = tiny.write_part(tmp_path / "heldout", tiny.examples(4, 200))
    answered = tiny.work(tmp_path / "answers", {"model": model, **tiny.GENERATE}, heldout=heldout, adapter=trained.out)
    generate.run(answered)
    row = json.loads((answered.out / "liveness.json").read_text())
    assert (row["tensors"], row["zero_tensors"], row["unmatched"]) == (14, [], [])
    liveness.require_alive(row, "tuned")
    assert adapter_kinds.of_params(trained.params).description(trained.params) == "VeRA adapter"


def test_a_toy_adapter_that_was_not_trained_is_dead(tmp_path, model):
    fresh = adapters.attach(loading.load(model, "nf4", "fp32", CPU), params(model))
    try:
        tiny.seal(tmp_path, {"targets": adapters.adapted_modules(fresh)})
        row = liveness.examine(fresh.eval(), tmp_path, [renderer.renderer(model).prompt_ids("the cat")])
    finally:
        fresh.unload()
    assert len(row["zero_tensors"]) == row["tensors"] == 14
    with pytest.raises(ComparisonError, match="14 of 14 tensors are as before training"):
        liveness.require_alive(row, "tuned")
