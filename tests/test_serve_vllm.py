"""`loralift serve --engine vllm`: the command that it starts, the base that it writes, and what it refuses. vLLM itself does not run here:
a program in its place writes down how it was called and answers /health."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.commands import serve_vllm
from pipeline.commands.serve_options import ServeOptions
from pipeline.errors import MachineError, ModelError, RecipeError
from pipeline.machine import Machine
from pipeline.models import dense_weights, loading
from pipeline.models.renderer import Renderer, renderer
from pipeline.serving import vllm_command, vllm_process
from pipeline.serving.example_sets import ExampleSet
from pipeline.serving.local_page import LocalPage
from pipeline.serving.server import Address, ServedModels
from pipeline.serving.vllm_command import Listening, VllmFiles
from pipeline.store.records import Example
from tests import ROOT, foreign, tiny, twins
from tests.server import SECONDS, read, wait_for

STAND_IN = f"""#!{sys.executable}
import http.server, json, os, signal, sys, time
if "--version" in sys.argv:
    print("0.33.0")
    raise SystemExit
def end(number, _):
    open(os.environ["RECORD"] + ".ended", "w").write(str(number))
    os._exit(0)
signal.signal(signal.SIGTERM, end)
place = sys.argv.index("--port")
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
    def log_message(self, *_):
        pass
environment = {{name: os.environ.get(name) for name in ("VLLM_API_KEY", "CUDA_VISIBLE_DEVICES")}}
with open(os.environ["RECORD"], "w") as file:
    json.dump({{"arguments": sys.argv[1:], "environment": environment, "process": os.getpid()}}, file)
http.server.HTTPServer((sys.argv[sys.argv.index("--host") + 1], int(sys.argv[place + 1])), Health).serve_forever()
"""
RUN = """
import sys
from pathlib import Path
from pipeline.commands import serve, serve_vllm
from pipeline.commands.serve_options import ServeOptions
from pipeline.machine import Machine
from pipeline.serving import vllm_process
if __name__ == "__main__":
    options = ServeOptions(engine="vllm", port=0, base=sys.argv[1], api_key="sk-of-this-test", vllm_options="--max-model-len 128 --seed 1")
    with serve.served_models(sys.argv[2:], options, Path()) as models:
        serve_vllm.run(models, vllm_process.find(), options, Machine("cpu").torch_device())
"""
BF16 = {"quantization": "nf4", "compute": "bf16"}


@pytest.fixture(scope="module")
def base(base_folder):
    return base_folder


@pytest.fixture(scope="module")
def mine(tmp_path_factory, base):
    return foreign.adapter(tmp_path_factory.mktemp("mine") / "mine", base, r=12)


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """A folder with a program called vllm."""
    return program(tmp_path_factory.mktemp("programs"), STAND_IN)


def program(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "vllm").write_text(text)
    (folder / "vllm").chmod(0o755)
    return folder


def models_of(base, adapters=None, thinkers=(), **params):
    loading_params = {"model": tiny.spec(base), **BF16, **params}
    return ServedModels("tiny", loading_params, adapters or {}, LocalPage("", ""), frozenset(thinkers))


def test_the_command(base, mine, tmp_path):
    other = foreign.adapter(tmp_path / "other", base, r=4, rank_pattern={"q_proj": 20})
    models = models_of(base, {"mine": mine, "a=b, c": other})
    files = VllmFiles(Path("/w"), Path("/s"), Path("/t.jinja"))
    words = vllm_command.arguments(models, files, Listening("127.0.0.1", 8001, 1, ["--max-model-len", "128"]))
    modules = [json.loads(word) for word in words[-4:-2]]
    assert words[:-4] == [
        "serve", "/w", "--served-model-name", "tiny", "--host", "127.0.0.1", "--port", "8001", "--dtype", "bfloat16",
        "--chat-template", "/t.jinja", "--default-chat-template-kwargs", '{"enable_thinking": false}',
        "--generation-config", "/s", "--override-generation-config", '{"temperature": 0.0}', "--shutdown-timeout", "60",
        "--enable-lora", "--max-lora-rank", "32", "--max-loras", "1", "--max-cpu-loras", "2", "--lora-modules",
    ]  # fmt: skip
    assert words[-2:] == ["--max-model-len", "128"]
    assert modules == [
        {"name": "mine", "path": str(mine), "base_model_name": "tiny"}, {"name": "a=b, c", "path": str(other), "base_model_name": "tiny"},
    ]  # fmt: skip


def test_the_command_without_adapters_with_thoughts_and_with_code_of_the_base(base, mine):
    files = VllmFiles(Path("/w"), Path("/s"), Path("/t.jinja"))
    listening = Listening("::", 1, 16)
    assert not [word for word in vllm_command.arguments(models_of(base), files, listening) if "lora" in word]
    thinking = vllm_command.arguments(models_of(base, {"mine": mine}, {"mine"}), files, listening)
    assert thinking[thinking.index("--default-chat-template-kwargs") + 1] == '{"enable_thinking": true}'
    assert thinking[thinking.index("--max-lora-rank") + 1] == "16"
    assert "--trust-remote-code" not in thinking
    assert "--trust-remote-code" in vllm_command.arguments(
        models_of(base, model=tiny.spec(base) | {"trust_remote_code": True}), files, listening
    )


class Started:
    """serve_vllm.run() in a process of its own, with the stand-in on PATH."""

    def __init__(self, root, stand_in, base, *adapters):
        self.record, self.log = root / "record.json", root / "log"
        (root / "tmp").mkdir()
        (root / "run.py").write_text(RUN)
        path = os.pathsep.join([str(stand_in), "/usr/bin", "/bin"])
        environ = {**os.environ, "PATH": path, "RECORD": str(self.record), "PYTHONPATH": str(ROOT), "TMPDIR": str(root / "tmp")}
        with self.log.open("w") as file:
            command = [sys.executable, str(root / "run.py"), str(base), *map(str, adapters)]
            self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=file, stderr=file)
        wait_for(self.is_serving)
        self.called = json.loads(self.record.read_text())

    def is_serving(self):
        assert self.process.poll() is None, self.log.read_text()
        return "serving http://" in self.log.read_text()

    def value(self, option):
        return self.called["arguments"][self.called["arguments"].index(option) + 1]

    @property
    def ended(self):
        return Path(f"{self.record}.ended")


@pytest.fixture
def started(tmp_path, stand_in, base, mine):
    one = Started(tmp_path, stand_in, base, f"mine={mine}")
    yield one
    one.process.kill()
    one.process.wait()


def test_it_starts_vllm_on_the_dequantized_base_and_ends_it(started, base, tmp_path):
    port = started.value("--port")
    assert f"serving http://127.0.0.1:{port}/v1" in started.log.read_text()
    read(f"http://127.0.0.1:{port}/health")
    assert started.called["environment"] == {"VLLM_API_KEY": "sk-of-this-test", "CUDA_VISIBLE_DEVICES": None}
    assert "sk-of-this-test" not in " ".join(started.called["arguments"]) + started.log.read_text()
    assert started.called["arguments"][-4:] == ["--max-model-len", "128", "--seed", "1"]
    check_weights(Path(started.called["arguments"][1]), base)
    settings = json.loads((Path(started.value("--generation-config")) / "generation_config.json").read_text())
    assert settings["eos_token_id"] == [2]
    assert "rstrip" in Path(started.value("--chat-template")).read_text()
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(SECONDS) == 0
    assert started.ended.read_text() == str(int(signal.SIGTERM))
    assert not [*(tmp_path / "tmp").iterdir()]


def check_weights(folder, base):
    """Whether a checkpoint gives the logits of the 4-bit base bit for bit, in bf16 and without quantization."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    written = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert written.dtype == torch.bfloat16
    ids = torch.tensor([AutoTokenizer.from_pretrained(folder)("the cat sees a bird ?")["input_ids"]])
    quantized = loading.load(tiny.spec(base), "nf4", "bf16", torch.device("cpu"))
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    with torch.inference_mode(), dense_weights.dequantized(quantized):
        assert torch.equal(written(ids).logits, quantized(ids).logits)
        assert not torch.equal(written(ids).logits, plain(ids).logits)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone ends a process with its parent")
def test_a_kill_leaves_no_vllm_behind(started):
    started.process.kill()
    wait_for(started.ended.exists)


def test_an_unquantized_base_is_served_from_its_own_folder(base, tmp_path):
    from pipeline.export import base_checkpoint

    params = {"model": tiny.spec(base), **BF16, "quantization": "none"}
    assert base_checkpoint.write(params, tmp_path, Machine("cpu").torch_device()) == base
    assert [path.name for path in tmp_path.iterdir()] == ["generation_config.json"]


def test_a_base_that_cannot_be_written(base, tmp_path, monkeypatch):
    from pipeline.export import base_checkpoint

    params = {"model": {**tiny.spec(base), "trust_remote_code": True}, **BF16}
    with pytest.raises(ModelError, match="Python code of its own"):
        base_checkpoint.check(params, tmp_path)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(MachineError, match=r"the dequantized base takes \d+ MiB, and 0 MiB are free\n  Set TMPDIR"):
        base_checkpoint.check({"model": tiny.spec(base), **BF16}, tmp_path)


@pytest.mark.parametrize("ending", ["raise SystemExit(3)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_vllm_that_ends_by_itself_is_an_error(ending):
    with pytest.raises(MachineError, match=r"vLLM ended by itself, with exit code (3|-9)"):
        vllm_process.serve([sys.executable, "-c", ending], os.environ, "http://127.0.0.1:9", lambda _: pytest.fail("it does not answer"))


def test_the_vllm_that_is_taken(stand_in, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match=r"vLLM is not installed\n  pip install 'loralift\[vllm\]'"):
        vllm_process.find()
    for text, problem in [
        ("print('0.20.1')", r"is version 0.20.1; 0.33 or later is needed"),
        ("raise SystemExit('no torch')", "printed: no torch"),
    ]:
        program(tmp_path, f"#!{sys.executable}\n{text}\n")
        with pytest.raises(MachineError, match=problem):
            vllm_process.find()
    monkeypatch.setenv("PATH", str(stand_in))
    assert vllm_process.find() == str(stand_in / "vllm")


UNSERVED = {
    "DoRA": ({"use_dora": True}, "DoRA"),
    "whole modules": ({"modules_to_save": ["lm_head"], "target_modules": ["q_proj"]}, r"whole modules \(modules_to_save: lm_head\)"),
    "a rank": ({"r": 513}, "ranks above 512, and it has 513"),
    "the embedding": ({"target_modules": ["q_proj", "embed_tokens"]}, r"every architecture \(embed_tokens\)"),
    "the output layer": ({"target_modules": ["q_proj", "lm_head"]}, r"every architecture \(lm_head\)"),
}


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
@pytest.mark.parametrize("name", UNSERVED)
def test_adapters_that_vllm_does_not_serve(base, mine, tmp_path, name):
    options, problem = UNSERVED[name]
    folder = foreign.adapter(tmp_path / "one", base, **options)
    with pytest.raises(ModelError, match=rf"one: vLLM does not serve .*{problem}.*\n  Leave out --engine vllm"):
        vllm_command.check(models_of(base, {"mine": mine, "one": folder}))


@pytest.mark.parametrize("changes", [{"bias": "all"}, {"lora_bias": True}])
def test_adapters_with_biases(base, tmp_path, changes):
    folder = foreign.adapter(tmp_path / "one", base)
    foreign.configure(folder / "adapter_config.json", **changes)
    with pytest.raises(ModelError, match="one: vLLM does not serve adapters with biases"):
        vllm_command.check(models_of(base, {"one": folder}))


def test_adapters_that_vllm_serves(base, mine, tmp_path):
    folder = foreign.adapter(
        tmp_path / "one", base, r=512, use_rslora=True, target_modules=["q_proj", "down_proj"], alpha_pattern={"q_proj": 3}
    )
    vllm_command.check(models_of(base, {"mine": mine, "one": folder}, {"mine", "one"}))


def test_what_one_vllm_cannot_have(base, mine):
    with pytest.raises(ModelError, match=r"vLLM computes adapters in 16 bit, and tiny answers in fp32"):
        vllm_command.check(models_of(base, {"mine": mine}, compute="fp32"))
    with pytest.raises(ModelError, match=r"a was trained with the thinking switch on, and b with it off"):
        vllm_command.check(models_of(base, {"a": mine, "b": mine}, {"a"}))


def test_options_and_machine(mine, monkeypatch, capsys):
    for options, problem in [
        ({"queue": 3}, "--queue 3 is for our own server"),
        ({"max_batch_tokens": 9}, "--max-batch-tokens 9 is for our own"),
        ({"vllm_options": "8192"}, "8192 is no option"),
        ({"vllm_options": "'"}, "No closing quotation"),
    ]:
        examine = serve_vllm.more_options if "vllm_options" in options else serve_vllm.check
        with pytest.raises(RecipeError, match=problem):
            examine(ServeOptions(device="cpu", **options))
    for words, problem in [("vllm", "--engine vllm needs a CUDA device"), ("vlm", "there is no such engine")]:
        monkeypatch.setattr("sys.argv", ["loralift", "serve", str(mine), "--engine", words, "--device", "cpu"])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == 2
        assert problem in capsys.readouterr().err


def test_one_device_of_several(tmp_path):
    import torch

    address = Address("127.0.0.1", 1, "")
    environ = {"VLLM_API_KEY": "sk-of-another", "HOME": "/h"}
    assert serve_vllm.environment(address, torch.device("cuda"), environ) == {"HOME": "/h"}
    assert serve_vllm.environment(address, torch.device("cuda:1"), environ) == {"HOME": "/h", "CUDA_VISIBLE_DEVICES": "1"}
    seen = serve_vllm.environment(address, torch.device("cuda:1"), {"CUDA_VISIBLE_DEVICES": "4,6"})
    assert seen == {"CUDA_VISIBLE_DEVICES": "6"}


def test_where_this_machine_reaches_the_server():
    places = {"127.0.0.1": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]", "gpu.local": "gpu.local"}
    assert {host: serve_vllm.local_url(Address(host, 1, ""), 8) for host in places} == {
        host: f"http://{place}:8" for host, place in places.items()
    }


PROMPTS = ["the cat sees ?", "the cat sees   ", "Reply:\n", "  two lines\n\nand a blank at the end ", "a"]


@pytest.mark.parametrize("form", twins.FORMS)
def test_vllm_reads_prompts_as_training_did(form, tmp_path):
    render = Renderer(twins.save_tokenizer(twins.FORMS[form], tmp_path))
    template = vllm_command.chat_template(render)
    for prompt in PROMPTS:
        assert vllm_command.prompt_ids(render, template, [{"role": "user", "content": prompt}]) == render.prompt_ids(prompt), prompt


def test_prompts_that_it_reads_otherwise_are_counted(base, capsys):
    render = renderer(tiny.spec(base))
    examples = [Example("a", "the cat", ""), Example("b", "the <eos> cat", "")]
    serve_vllm.warn_of_prompts(render, vllm_command.chat_template(render), [ExampleSet("pets", (), examples, 0, 9, ())])
    assert "pets: vLLM reads 1 of 2 test prompts as other tokens than those that were compared" in capsys.readouterr().err
    serve_vllm.warn_of_prompts(render, vllm_command.chat_template(render), [ExampleSet("pets", (), examples[:1], 0, 9, ())])
    assert not capsys.readouterr().err


def test_a_base_of_plain_text_takes_one_turn(base):
    render = renderer(tiny.spec(base))
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    with pytest.raises(Exception, match="a prompt is one turn of the user"):
        vllm_command.prompt_ids(render, vllm_command.chat_template(render), turns)
