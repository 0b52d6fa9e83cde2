"""A base that cannot be used: one line and a remedy, exit 2. Through the command line, as a user meets it."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import cli
from tests import project, tiny
from tests.local_hub import HangUp, LocalHub

ROOT = Path(__file__).parents[1]


@pytest.fixture
def base(tmp_path, model):
    """A copy of the tiny base, to be spoiled."""
    return Path(shutil.copytree(model["folder"], tmp_path / "base"))


def run_command(monkeypatch, capsys, *words):
    """Exit status and what stands on stderr, on one line a sentence."""
    monkeypatch.setattr(sys, "argv", ["loralift", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return stopped.value.code, capsys.readouterr().err


def no_weights(base):
    (base / "model.safetensors").unlink()


def pickle_only(base):
    no_weights(base)
    (base / "pytorch_model.bin").write_bytes(pickle.dumps({"a": 1}))


def own_code(base):
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModelForCausalLM": "evil.Model"}}))


def cut_off(base):
    data = (base / "model.safetensors").read_bytes()
    (base / "model.safetensors").write_bytes(data[: len(data) // 2])


def bad_header(base):
    data = (base / "model.safetensors").read_bytes()
    (base / "model.safetensors").write_bytes(b"\xff" * 16 + data[16:])


def no_tokenizer(base):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (base / name).unlink()


CASES = {
    "a folder that is no model": (lambda base: (base / "config.json").unlink(), "is not a model: it has no config.json", "save_pretrained"),
    "no weights": (no_weights, "has no .safetensors weights", "Convert it"),
    "only a pickle": (pickle_only, "has no .safetensors weights but only pytorch_model.bin, a pickle that can run code", "Convert it"),
    "code of its own": (own_code, "comes with Python code of its own", "trust_remote_code: true"),
    "a config that is no JSON": (
        lambda base: (base / "config.json").write_text("{"),
        "config.json cannot be read",
        "Fetch the model again",
    ),
    "weights cut off": (cut_off, "cannot be read", "Fetch the model again"),
    "weights with a bad header": (bad_header, "cannot be read", "Fetch the model again"),
    "no causal model": (
        lambda base: (base / "config.json").write_text('{"model_type": "t5"}'),
        "does not load as a causal language model",
        "an architecture that this transformers knows",
    ),
    "no tokenizer": (no_tokenizer, "has no tokenizer that loads", "tokenizer.json"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_spoiled_folder(name, base, tmp_path, monkeypatch, capsys):
    spoil, problem, remedy = CASES[name]
    recipe = project.make(tmp_path / "project", str(base))
    spoil(base)
    status, error = run_command(monkeypatch, capsys, "finetune", recipe, "--store", tmp_path)
    assert status == 2
    assert problem in error
    assert remedy in error
    assert "Traceback" not in error
    assert not list(tmp_path.glob("checkpoints/*--*"))


@pytest.mark.parametrize(
    ("changes", "problem", "remedy"),
    [
        (["base=quickstart-bas"], "there is no model or folder 'quickstart-bas'", "Did you mean 'quickstart-base'?"),
        (["base=./nowhere"], "there is no model or folder './nowhere'", "loralift ls models"),
        (["needs_cuda=true"], "this machine has no CUDA device", "needs_cuda=false"),
        (["chat=true"], "the tokenizer has no chat template", "Leave chat out"),
        (["finetune.rnk=3"], "finetune.rnk is not a key", "Did you mean 'finetune.rank'?"),
        (["finetune.rank"], "'finetune.rank' is not KEY=VALUE", ""),
        (["finetune.rank=[1"], "cannot read the value", "Quote it"),
        (["--device", "cuda"], "this machine has no CUDA device", "Leave --device out"),
        (["--track", "tensorbord"], "--track tensorbord: there is no such tracker", "Did you mean 'tensorboard'?"),
        (["--track", "wandb"], "--track wandb: the package is not installed", "pip install wandb"),
        (["--device", "gpu"], "--device gpu: there is no such kind of device", "Known: auto"),
        (["finetune.seeds=[1,1]"], "finetune.seeds: [1, 1] holds a seed twice", ""),
        (["finetune.seeds=[-1]"], "finetune.seeds[0] must be 0 or more", ""),
        (["--tokens", "0"], "should be greater than or equal to 1", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for(changes, problem, remedy, tmp_path, model, monkeypatch, capsys):
    recipe = project.make(tmp_path / "project", model["folder"])
    status, error = run_command(monkeypatch, capsys, "finetune", recipe, "--store", tmp_path, *changes)
    assert status == 2
    assert problem in " ".join(error.replace("│", " ").split())
    assert remedy in error
    assert "Traceback" not in error


def test_widths_that_4_bit_cannot_take_stay_unquantized_and_are_named(tmp_path, capsys):
    import bitsandbytes
    import torch

    from pipeline.models import loading

    spec = tiny.make_model(tmp_path / "odd", hidden=64, mlp=80)  # down_proj reads 80: not a multiple of 64
    model = loading.load(spec, "nf4", "fp32", torch.device("cpu"))
    printed = " ".join(capsys.readouterr().err.split())
    assert "kept unquantized: 6 of 15 linear modules, the first model.layers.0.mlp.gate_proj (64 -> 80)" in printed
    kinds = {
        name: isinstance(module, bitsandbytes.nn.Linear4bit)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    assert {name for name, quantized in kinds.items() if not quantized} == {"lm_head"} | {
        f"model.layers.{n}.mlp.{name}" for n in (0, 1) for name in ("gate_proj", "up_proj", "down_proj")
    }
    plain = loading.load(spec, "none", "fp32", torch.device("cpu"))
    ids = torch.arange(3, 60)[None]
    with torch.inference_mode():
        assert torch.equal(model.get_input_embeddings()(ids), plain.get_input_embeddings()(ids))


def compared(recipe, store, environ):
    words = [sys.executable, "-m", "pipeline", "prepare", str(recipe), "--store", str(store)]
    ran = subprocess.run(words, env={**os.environ, **environ}, capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)
    return ran.returncode, " ".join(ran.stderr.split())


def test_a_base_from_the_hub(tmp_path, model):
    for name in ("good", "gated"):
        shutil.copytree(model["folder"], tmp_path / "hub" / "models" / "org" / name)
    (tmp_path / "hub" / "models" / "org" / "gated" / ".gated").write_text("secret")
    with LocalHub(tmp_path / "hub") as hub:
        environ = hub.environ(tmp_path / "home")
        for repo, status, problem in [
            ("org/good", 0, ""),
            ("org/gated", 2, "the model org/gated is gated, and your access is not granted. Accept its terms at"),
            ("org/nothing", 2, "there is no model org/nothing on the hub, or it is private."),
        ]:
            recipe = project.make(tmp_path / repo.replace("/", "-"), repo)
            code, error = compared(recipe, tmp_path / "store", environ)
            assert code == status, error
            assert problem in error
    code, error = compared(tmp_path / "org-good" / "pets.yaml", tmp_path / "store2", environ)  # the hub is gone, the cache is here
    assert code == 0, error
    assert '"revision": null' not in next((tmp_path / "store2").glob("data/prepare/*/manifest.json")).read_text().split('"model"')[1]


def test_no_network_is_said_after_one_try(tmp_path):
    recipe = project.make(tmp_path / "project", "org/some")
    with HangUp() as hub:
        environ = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
        code, error = compared(recipe, tmp_path / "store", environ)
    assert code == 2
    assert f"the model org/some is not in the cache, and {hub.endpoint} does not answer" in error
    assert "name a local folder" in error
    assert 1 <= hub.calls <= 2  # the libraries try five times a look-up, 23 s each
