"""A server with a key and a small queue: who is refused, and how it ends."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import ROOT
from tests.server import SECONDS, Server, endless_adapter, read, wait_for

openai = pytest.importorskip("openai")

KEY = "sk-of-this-test"
LONG = {"model": "mine", "max_tokens": 80, "messages": [{"role": "user", "content": "Review: it works.\nSentiment:"}]}


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    return endless_adapter(tmp_path_factory.mktemp("adapter") / "mine", ROOT / "checkpoints" / "quickstart-base")


@pytest.fixture
def server(adapter, tmp_path):
    words = [f"mine={adapter}", "--base=quickstart-base", "--queue=3", "--max-batch-tokens=60", "generate.compute=fp32"]
    running = Server(tmp_path / "log", *words, LORALIFT_API_KEY=KEY)
    yield running
    running.process.kill()
    running.process.wait()


def test_key_queue_and_end(server):
    client = server.client(KEY)
    refuse_wrong_keys(server)
    refuse_what_the_queue_does_not_hold(server, client)
    finish_what_runs(server, client)


def refuse_wrong_keys(server):
    for key in ("sk-another", KEY + "x", KEY[:-1]):
        with pytest.raises(openai.AuthenticationError) as error:
            server.client(key).models.list()
        assert error.value.code == "invalid_api_key"
    assert json.loads(read(f"{server.url}/health")) == {"status": "ok"}  # a probe has no key
    with pytest.raises(OSError, match="401"):
        read(f"{server.url}/metrics")
    assert KEY not in server.log.read_text()


def refuse_what_the_queue_does_not_hold(server, client):
    """One row fits into the batch, three wait, and the fifth is told when to come back."""
    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(client.chat.completions.create, **LONG)]
        wait_for(lambda: server.metric("loralift_running_rows", KEY) == 1)  # else four might wait, which the queue does not hold
        running += [threads.submit(client.chat.completions.create, **LONG) for _ in range(3)]
        wait_for(lambda: server.metric("loralift_waiting_rows", KEY) == 3)
        with pytest.raises(openai.RateLimitError) as error:
            client.chat.completions.create(**LONG)
        assert error.value.code == "queue_full"
        assert 1 <= int(error.value.response.headers["retry-after"]) <= 60
        assert len({future.result().choices[0].message.content for future in running}) == 1
    assert server.metric("loralift_requests_total", KEY, status="429") == 1
    with pytest.raises(openai.BadRequestError, match="4 answers requested; the queue holds 3"):
        client.chat.completions.create(**LONG, n=4)


def finish_what_runs(server, client):
    """A signal ends the process when the answers that run have been sent; a new connection is refused."""
    stream = client.chat.completions.create(**LONG, stream=True)
    chunks = [next(iter(stream))]
    with ThreadPoolExecutor(1) as threads:
        queued = threads.submit(client.chat.completions.create, **LONG)
        wait_for(lambda: server.metric("loralift_waiting_rows", KEY) == 1)
        server.process.terminate()
        chunks += stream
        assert queued.result().usage.completion_tokens == 80
    assert chunks[-1].choices[0].finish_reason == "length"
    assert server.process.wait(SECONDS) == 0
    with pytest.raises(openai.APIConnectionError):
        client.models.list()
    assert "Traceback" not in server.log.read_text()
