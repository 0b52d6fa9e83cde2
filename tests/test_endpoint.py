"""What an endpoint is sent and what is told of it: key, address, stage; and a model that `transformers serve` serves."""

import socket
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import MachineError, ModelError, RecipeError
from pipeline.machine import EndpointSettings, Machine, RetryPolicy
from pipeline.planning.job import job
from pipeline.references import ask as asking
from pipeline.references.endpoint import Endpoint, check_address
from pipeline.runner import Site, make
from pipeline.stages import generate, reference
from pipeline.store import records
from pipeline.store.artifact import ArtifactSpec, Store
from pipeline.store.records import Prediction
from tests import tiny
from tests.fault_server import BUSY, Fault, FaultServer, completion, refusing
from tests.test_reference import HELDOUT, ROOT, SECOND, ask, called, environ

KEY = "sk-planted-0123456789abcdef"


@pytest.fixture
def server():
    with FaultServer() as fault_server:
        yield fault_server


@pytest.mark.parametrize("right", [True, False], ids=["accepted", "refused"])
def test_the_key_is_written_and_printed_nowhere(tmp_path, right):
    with FaultServer(KEY if right else "another") as server:
        server.answer = lambda prompt: completion(prompt, f"You brought {server.headers[-1]['authorization']} for {prompt}")
        server.faults[SECOND] = [refusing(500, f"broken for {KEY}"), Fault(body={"error": f"no, {KEY}"})]
        words = [sys.executable, "-X", "dev", "-c", LOGGED, str(tmp_path), server.endpoint]
        seen = environ(LORALIFT_TEST_KEY=KEY, OPENAI_LOG="debug")
        ran = subprocess.run(words, cwd=ROOT, env=seen, capture_output=True, text=True, check=False)
    assert ("refuses the key (401)" in ran.stderr) != right
    assert (ran.returncode == 0) == right, ran.stderr
    assert all(name in ran.stderr for name in ("DEBUG:openai", "httpcore2", "asyncio")), "there are no logs to search"
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > (5 if right else 2)
    assert {f"Bearer {KEY}"} == {headers["authorization"] for headers in server.headers}, "the key is not sent"
    for part in (KEY, KEY[3:20]):
        assert part not in ran.stdout + ran.stderr
        assert not [content for content in written if part.encode() in content]


LOGGED = """
import logging, sys
logging.basicConfig(level=1)
from tests import test_endpoint
test_endpoint.make_artifact(*sys.argv[1:])
"""


def make_artifact(root, endpoint, key_env="LORALIFT_TEST_KEY", offline=True):
    """The stage as the pipeline runs it: a stored exam in, a sealed artifact with its manifest out."""
    call = EndpointSettings(endpoint, "fault", key_env, 2, RetryPolicy(first=0.01))
    others = (replace(call, endpoint="http://127.0.0.1:9/v1"), replace(call, model="other"))
    store = Store(Path(root) / "data", Path(root) / "checkpoints")
    spec = ArtifactSpec("prepare", "pets--heldout", 1, {}, {})
    with store.scratch(spec) as folder:
        heldout = store.seal(spec, tiny.write_part(folder, HELDOUT), {}, {}, {})
    params = {"endpoint": endpoint, "model": "fault", "max_new_tokens": 16, "stop": []}
    return make(
        job("reference", "pets--fault", params),
        {"heldout": heldout},
        Site(store, Machine(device="cpu", offline=offline, endpoints=(*others, call))),
    )[1]


def test_an_error_holds_no_key_in_any_part(tmp_path, monkeypatch):
    monkeypatch.setenv("LORALIFT_TEST_KEY", KEY)
    with FaultServer() as server:
        server.always = refusing(403, f"the key {KEY} is not allowed")
        with pytest.raises(ModelError, match=r"the key \*\*\* is not allowed") as caught:
            ask(server, tmp_path, key_env="LORALIFT_TEST_KEY")
    assert KEY not in "".join(traceback.format_exception(caught.value)) + repr(caught.value.__dict__)
    assert KEY not in repr(Endpoint(called(server), KEY))


def test_the_stage_writes_predictions_and_usage_and_seals_them(tmp_path):
    with FaultServer() as server:
        server.faults[SECOND], server.faults[HELDOUT[2].prompt] = [BUSY], [Fault(body={**completion("", ""), "choices": []})]
        artifact = make_artifact(tmp_path, server.endpoint, "")
    predictions, used = list(records.read(artifact.path / "predictions.jsonl", Prediction)), artifact.facts
    assert [row.example for row in predictions] == [example.id for example in HELDOUT]
    assert predictions[0] == Prediction("e0", "You said: question number 0", 5, "eos")
    assert {name: used[name] for name in ("prompt_tokens", "completion_tokens", "requests", "retries", "usage", "served")} == {
        "prompt_tokens": 33, "completion_tokens": 55, "requests": 13, "retries": 1, "usage": "reported", "served": ["fault-1"],
    }  # fmt: skip
    assert 0 < used["latency_p50"] <= used["latency_p95"] <= used["seconds"]
    assert (used["examples"], used["tokens"], used["truncated"], used["refused"]) == (12, 55, 0, 1)
    assert [path.name for path in artifact.path.iterdir() if path.name != "manifest.json"] == ["predictions.jsonl"]  # times are no result
    assert not (tmp_path / "checkpoints" / ".resume").exists() or not list((tmp_path / "checkpoints" / ".resume").glob("*/*"))


def test_a_reference_that_the_machine_was_not_told_of_is_not_asked(tmp_path, server):
    work = tiny.work(tmp_path / "out", {"endpoint": server.endpoint, "model": "m", "max_new_tokens": 1, "stop": []}, heldout=tmp_path)
    tiny.write_part(tmp_path, HELDOUT)
    with pytest.raises(MachineError, match="does not say how to reach it"):
        reference.run(work)
    assert not server.requests


def test_nothing_but_the_key_that_is_named_goes_out(server, tmp_path, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, KEY)
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"Authorization: Bearer {KEY}")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("OTHER_KEY", "another")
    ask(server, tmp_path)
    assert KEY not in str(server.headers)
    assert "authorization" not in server.headers[0]
    ask(server, tmp_path / "two", key_env="OTHER_KEY")
    assert server.headers[-1]["authorization"] == "Bearer another"
    assert KEY not in str(server.headers)


@pytest.mark.parametrize("value", [None, "", "  ", "sk-a b", "sk-\u2026", "sk-a\nb"])
def test_no_key_is_one_line_that_names_the_variable(server, tmp_path, monkeypatch, value):
    monkeypatch.delenv("OTHER_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("OTHER_KEY", value)
    with pytest.raises(MachineError, match="OTHER_KEY") as caught:
        ask(server, tmp_path, key_env="OTHER_KEY")
    assert "sk-" not in str(caught.value)
    assert not server.requests


@pytest.mark.parametrize(
    "endpoint", ["", "api.openai.com/v1", "ftp://host/v1", "file:///etc/passwd", "http://", "http://h:x/v1", "http://[::1/v1"]
)
def test_an_endpoint_that_is_no_web_address_is_refused(endpoint):
    with pytest.raises(RecipeError, match="not an http or https address"):
        check_address(endpoint)


@pytest.mark.parametrize(
    "endpoint", [f"http://me:{KEY}@h/v1", f"https://h/v1?key={KEY}", f"https://h/v1#{KEY}", f"ftp://me:{KEY}@h", f"h/v1?{KEY}"]
)
def test_an_endpoint_that_holds_a_key_is_refused_without_saying_it(endpoint):
    with pytest.raises(RecipeError) as caught:
        check_address(endpoint)
    assert KEY not in str(caught.value)


def test_offline_only_this_machine_is_asked(tmp_path):
    for host in ("example.com", "10.0.0.1", "127.0.0.1.example.com", "localhost.example.com"):
        with pytest.raises(MachineError, match="not on this machine"):
            ask(SimpleNamespace(endpoint=f"https://{host}/v1"), tmp_path)


@pytest.mark.parametrize(("offline", "words"), [(True, "not on this machine"), (False, "LORALIFT_NO_KEY is not set")])
def test_the_stage_is_offline_when_its_machine_is(tmp_path, offline, words):
    with pytest.raises(MachineError, match=words):
        make_artifact(tmp_path, "https://example.com/v1", "LORALIFT_NO_KEY", offline)


def test_without_the_package_the_line_to_install_it(server, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MachineError, match=r"openai is not installed\n  pip install 'loralift\[references\]'"):
        ask(server, tmp_path)


DEEP = "[" * 200_000 + "]" * 200_000


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (Fault(kind="endless"), "sends more than 16,777,216 bytes for one answer"),
        (Fault(kind="drip"), "does not answer in 2 tries: no whole answer came in 0.6 s"),
        (Fault(body=DEEP), "does not answer in 2 tries: the response "),
        (Fault(body='{"choices": ' + DEEP + "}"), "does not answer in 2 tries: the response "),
        (Fault(body='{"error": ' * 50 + "1" + "}" * 50), "does not answer in 2 tries: the response holds no choices: "),
        (Fault(status=400, body='{"error": ' + DEEP + "}"), "answers 400: "),
        (Fault(status=400, body="x" * 100_000), "answers 400: "),
        (Fault(body="x", headers={"Content-Encoding": "gzip"}), "does not answer in 2 tries: "),
        (Fault(body={"choices": [[]]}), "does not answer in 2 tries: the answer holds no text"),
        (Fault(body={"choices": [{"message": {"content": {"a": 1}}}]}), "does not answer in 2 tries: the answer holds no text"),
    ],
)
def test_what_a_hostile_server_sends_ends_in_one_line(fault, problem, server, tmp_path):
    server.always = fault
    with pytest.raises(ModelError) as error:
        ask(server, tmp_path, HELDOUT[:1], patience=RetryPolicy(tries=2, first=0.01, timeout=0.2))
    line, _ = str(error.value).splitlines()
    assert problem in line
    assert len(line) < 400


@pytest.mark.parametrize("usage", [-1, 10**30, 1.5, "7", True, None, [], {"a": 1}, float("inf")])
def test_usage_that_cannot_be_is_estimated_instead(usage, server, tmp_path):
    server.answer = lambda prompt: {
        **completion(prompt, "a b c"), "model": usage, "usage": {"prompt_tokens": usage, "completion_tokens": usage}
    }  # fmt: skip
    (reply,) = ask(server, tmp_path, HELDOUT[:1])
    assert not reply.reported
    assert 0 < reply.tokens < 10


TEMPLATE = "{% for turn in messages %}<bos>{{ turn.role }}: {{ turn.content }}\n{% endfor %}{% if add_generation_prompt %}yes: {% endif %}"


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory):
    """A tiny base with a chat template, and its folder."""
    folder = tmp_path_factory.mktemp("chat") / "base"
    tiny.make_model(folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE, "utf-8")
    return tiny.spec(folder), folder


@pytest.fixture(scope="module")
def served(chat_model, tmp_path_factory):
    """`transformers serve` over the model, in a process of its own."""
    home = tmp_path_factory.mktemp("home")
    (home / "hub").mkdir()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    words = [sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve", str(chat_model[1])]
    words += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(words, env=environ(HF_HOME=str(home)), stdout=log, stderr=log)
        for _ in range(3000):
            with socket.socket() as tried:
                if process.poll() is not None or not tried.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.1)
        assert process.poll() is None, (home / "log").read_text()
        yield f"http://127.0.0.1:{port}/v1"
        process.terminate()
        process.wait(20)


@pytest.mark.slow
def test_a_served_model_says_what_it_says_here(chat_model, served, tmp_path):
    spec, folder = chat_model
    heldout = tiny.write_part(tmp_path / "exam", tiny.examples(12, 200))
    here = tiny.work(tmp_path / "here", {"model": spec, **tiny.GENERATE, "quantization": "none"}, heldout=heldout)
    generate.run(here)
    own = list(records.read(here.out / "predictions.jsonl", Prediction))
    call = EndpointSettings(served, str(folder), "", 3, RetryPolicy(first=0.1))
    replies = asking.answers(call, asking.AnswerLimits(tiny.GENERATE["max_new_tokens"]), tiny.examples(12, 200), tmp_path / "kept", True)
    assert [(prediction.text, prediction.stopped) for prediction in own] == [(reply.text, reply.stopped) for reply in replies]
    assert len({prediction.text for prediction in own}) > 3
    assert all(reply.reported and reply.tokens for reply in replies)


@pytest.mark.slow
def test_a_served_model_stops_at_a_stop_string(chat_model, served, tmp_path):
    call, examples = EndpointSettings(served, str(chat_model[1]), "", 1), tiny.examples(1, 200)
    whole = asking.answers(call, asking.AnswerLimits(8), examples, tmp_path / "whole", True)[0]
    mark = whole.text[3:5]
    reply = asking.answers(call, asking.AnswerLimits(8, (mark,)), examples, tmp_path / "cut", True)[0]
    assert (reply.text, reply.stopped) == (whole.text[: whole.text.find(mark)], "stop")
    assert reply.tokens < whole.tokens
