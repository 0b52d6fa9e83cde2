"""What the arguments of `loralift serve` name, and each refusal before the server starts: a line and a remedy, exit code 2."""

import contextlib
import shutil
import socket
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.commands.serve import served_models, summary
from pipeline.commands.serve_options import ServeOptions
from pipeline.errors import UserError
from pipeline.serving.example_sets import can_be_requested
from pipeline.store.artifact import Store
from pipeline.store.records import Example, Turn
from tests import ROOT, foreign, project

CONFIG = "adapter_config.json"


@pytest.fixture(scope="module")
def base(base_folder):
    return base_folder


@pytest.fixture(scope="module")
def mine(tmp_path_factory, base):
    folder = foreign.adapter(tmp_path_factory.mktemp("mine") / "mine", base)
    foreign.configure(folder / CONFIG, base_model_name_or_path=str(base))
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory, base):
    """A recipe of which one adapter of two is trained, and the store."""
    root = tmp_path_factory.mktemp("project")
    recipe = project.make(root, str(base))
    project.carry_out(recipe, root, {"finetune.max_steps": 1}, {"finetune"})
    return recipe, root


def served(*arguments, store=Path("nowhere"), **options):
    with served_models(list(map(str, arguments)), ServeOptions(**options), store) as models:
        return models


def refusal(*arguments, **options):
    """Problem and remedy of arguments that cannot be served."""
    with pytest.raises(UserError) as error:
        served(*arguments, **options)
    assert error.value.remedy
    assert "\n" not in error.value.problem
    return f"{error.value.problem} {error.value.remedy}"


def test_adapters_of_a_recipe_have_the_names_of_their_folders(trained):
    recipe, root = trained
    models = served(recipe, "finetune.max_steps=1", store=root)
    assert models.base == "tiny"
    assert list(models.adapters) == ["tiny--pets--r4-s0"]
    assert models.adapters["tiny--pets--r4-s0"].name.startswith("tiny--pets--r4-s0--")
    assert (models.params["quantization"], models.params["compute"]) == ("nf4", "fp32")
    assert summary(models) == "base tiny (4-bit NF4, fp32); adapters: tiny--pets--r4-s0"
    (examples,) = models.page.sets
    assert examples.summary() == {"name": "pets", "size": 20, "left_out": 0, "models": ["tiny--pets--r4-s0"]}
    first = project.heldout(Store(root / "data", root / "checkpoints"))[0]
    assert examples.request(0) == {
        "id": first.id, "messages": [{"role": "user", "content": first.prompt}], "target": first.target, "max_tokens": 6, "stop": [],
        "thinks": False,
    }  # fmt: skip


def test_examples_that_a_request_cannot_hold_are_left_out():
    def turns(*roles, **more):
        return Example("e", tuple(Turn(role, "text", more) for role in roles), "target")

    assert can_be_requested(Example("e", "text", "target"))
    assert can_be_requested(turns("system", "user", "assistant", "user"))
    assert not can_be_requested(turns("user", "tool"))
    assert not can_be_requested(turns("tools", "user"))
    assert not can_be_requested(turns("user", "assistant"))
    assert not can_be_requested(turns("user", "user", tool_calls=[]))


def test_those_that_are_not_trained_are_named_and_the_others_served(trained, capsys):
    recipe, root = trained
    models = served(recipe, "finetune.max_steps=1", "finetune.seeds=[0, 1]", store=root)
    assert list(models.adapters) == ["tiny--pets--r4-s0"]
    assert "not trained yet, so not served: 1 of 2 adapters, the first tiny--pets--r4-s1" in capsys.readouterr().err


def test_points_of_a_sweep_that_are_called_alike_have_their_keys(trained):
    recipe, root = trained
    project.carry_out(recipe, root, {"finetune.max_steps": 1, "finetune.warmup": 0.5}, {"finetune"})
    models = served(recipe, "finetune.max_steps=1", "sweep={finetune.warmup: [0.03, 0.5]}", store=root)
    names = list(models.adapters)
    assert len(names) == 2
    assert all(folder.name.startswith(name) for name, folder in models.adapters.items())


def test_an_adapter_beside_a_recipe(trained, mine):
    recipe, root = trained
    models = served(recipe, f"other={mine}", "finetune.max_steps=1", store=root)
    assert list(models.adapters) == ["tiny--pets--r4-s0", "other"]


def test_adapters_without_a_recipe_are_copied_and_their_base_is_the_one_they_name(mine, base):
    with served_models([str(mine), f"again={mine}", "generate.compute=fp32"], ServeOptions(), Path()) as models:
        assert models.base == "tiny"
        assert list(models.adapters) == ["mine", "again"]
        copies = list(models.adapters.values())
        assert all((folder / "adapter_model.safetensors").is_file() and folder != mine for folder in copies)
        assert models.params["compute"] == "fp32"
        assert models.params["model"]["folder"] == str(base)
    assert not any(folder.exists() for folder in copies)
    assert served(mine, base=str(base)).base == "tiny"


def test_no_adapter(trained, mine, base, tmp_path):
    recipe, root = trained
    text = refusal(recipe, "finetune.max_steps=7", store=root)
    assert f"none of the 1 adapters of {recipe} is trained Run: loralift finetune {recipe}" in text
    assert "nothing to serve" in refusal("generate.compute=fp32")
    assert "holds no adapter" in refusal(tmp_path)
    assert "there is no adapter 'nowhere'" in refusal("nowhere")
    assert "holds a whole model" in refusal(base)


def test_arguments_that_contradict_each_other(trained, mine, tmp_path):
    recipe, root = trained
    assert "two recipes" in refusal(recipe, "quickstart", store=root)
    assert "--base is for adapters" in refusal(recipe, base="quickstart-base", store=root)
    assert "two adapters are called mine" in refusal(mine, mine)
    assert "two models are called tiny. Name the adapter, as mine-tiny=FOLDER." in refusal(f"tiny={mine}")
    assert "neither ADAPTER nor NAME=ADAPTER" in refusal(f"={mine}")
    other = shutil.copytree(mine, tmp_path / "other")
    foreign.configure(other / CONFIG, base_model_name_or_path="another/base")
    assert "was trained on" in refusal(mine, other)
    foreign.configure(other / CONFIG, base_model_name_or_path=None)
    assert "does not name its base (base_model_name_or_path). Name it with --base." in refusal(other)
    assert "sweeps its compute" in refusal(recipe, "sweep={generate.compute: [bf16, fp32]}", store=root)
    with pytest.raises(UserError, match="--api-key holds blanks"):
        _ = ServeOptions(api_key="a b").address


def test_adapters_that_cannot_be_served(mine, base, tmp_path):
    assert "was trained on another base" in refusal(mine, base="quickstart-base")
    assert "mine has rank 4, and --max-rank is 2 Say --max-rank 4" in refusal(mine, max_rank=2)
    dora = foreign.adapter(tmp_path / "dora", base, use_dora=True)
    assert list(served(dora, base=str(base)).adapters) == ["dora"]
    head = foreign.adapter(tmp_path / "head", base, target_modules=["q_proj"], modules_to_save=["lm_head"])
    assert list(served(head, base=str(base)).adapters) == ["head"]
    lora = foreign.adapter(tmp_path / "lora", base, target_modules=["q_proj", "lm_head"])
    together = refusal(head, lora, base=str(base))
    assert "head replaces lm_head as a whole, and lora has LoRA on it; one base cannot hold both Serve them apart." in together
    spoiled = Path(shutil.copytree(mine, tmp_path / "spoiled"))
    (spoiled / "adapter_model.safetensors").rename(spoiled / "adapter_model.bin")
    assert "a pickle that can run code" in refusal(spoiled)
    (spoiled / "adapter_model.bin").unlink()
    assert "but no weights" in refusal(spoiled)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--port", "PORT"], "cannot listen there: Address already in use"),
        (["--host", "203.0.113.1", "--port", "0"], "cannot listen there: Cannot assign requested address"),
        (["--host", "no such host", "--port", "0"], "cannot listen there"),
    ],
)
def test_a_port_that_cannot_be_had_is_refused_before_the_base_is_loaded(mine, words, problem, capsys, monkeypatch):
    monkeypatch.setattr("pipeline.models.loading.load", lambda *_: pytest.fail("the base was loaded"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = [word.replace("PORT", str(taken.getsockname()[1])) for word in words]
        monkeypatch.setattr("sys.argv", ["loralift", "serve", str(mine), *words])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("error: --host")
    assert problem in lines[0]
    assert len(lines) == 2


def test_without_the_extra_it_says_what_to_install(mine, monkeypatch, capsys):
    from pipeline.serving import server

    monkeypatch.setattr(server, "find_spec", lambda name: None if name == "prometheus_client" else name)
    monkeypatch.setattr("sys.argv", ["loralift", "serve", str(mine)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    assert "not installed: prometheus_client\n  pip install 'loralift[serve]'" in capsys.readouterr().err


def test_the_packages_are_those_of_the_extra():
    import tomllib

    from pipeline.serving import server

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    names = [entry.partition(">")[0].replace("-", "_") for entry in extras["serve"]]
    assert names == list(server.PACKAGES)
    assert set(extras["serve"]) <= set(extras["dev"])


def test_a_network_without_a_key_is_warned_of(capsys):
    from pipeline.commands.serve import announce

    for options, is_warned in [({"host": "0.0.0.0"}, True), ({"host": "0.0.0.0", "api_key": "k"}, False), ({}, False)]:
        announce(ServeOptions(**options))("http://0.0.0.0:1")
        assert ("no key is set" in capsys.readouterr().err) == is_warned


def test_helper_files_are_left_behind_by_no_failure(mine, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with contextlib.suppress(UserError):
        served(mine, max_rank=1)
    assert not list(tmp_path.iterdir())
