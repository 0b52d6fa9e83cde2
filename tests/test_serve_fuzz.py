"""Bodies that follow no rule, made from the OpenAPI document of the server: each is refused in OpenAI's form, or answered; none fails."""

import http.client
import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import ROOT, foreign
from tests.server import SECONDS, Server, read

pytest.importorskip("fastapi")

PATHS = ("/v1/chat/completions", "/v1/completions")
MESSAGES = [{"role": "user", "content": "Review: it works.\nSentiment:"}]
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.integers(-(2**70), 2**70))
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4), max_leaves=12
)
statuses: Counter[int] = Counter()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    adapter = foreign.adapter(tmp_path_factory.mktemp("adapter") / "mine", ROOT / "checkpoints" / "quickstart-base")
    running = Server(tmp_path_factory.mktemp("server") / "log", adapter, "--base=quickstart-base", "--queue=8")
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text("utf-8")


@pytest.fixture(scope="module")
def keys(server):
    """By path, the keys of its body as the document declares them."""
    document = json.loads(read(f"{server.url}/openapi.json"))
    declared = {}
    for path in PATHS:
        schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        declared[path] = sorted(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"])
    assert {"model", "messages", "n", "seed"} <= set(declared[PATHS[0]])
    return declared


def post(server, path: str, body: bytes, kind: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
    connection.request("POST", path, body, {"Content-Type": kind})
    response = connection.getresponse()
    status, answer = response.status, response.read()
    connection.close()
    return status, answer


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_body_makes_the_server_fail(server, keys, data):
    path = data.draw(st.sampled_from(PATHS))
    valid = {"model": "mine", "max_tokens": 2, **({"messages": MESSAGES} if path == PATHS[0] else {"prompt": "Review:"})}
    names = st.sampled_from([*keys[path], "tools", "logit_bias", "best_of", "response_format"]) | st.text(max_size=12)
    body = valid | data.draw(st.dictionaries(names, VALUES, max_size=3))
    for name in data.draw(st.sets(st.sampled_from(sorted(valid)), max_size=1)):
        body.pop(name, None)
    sent = json.dumps(data.draw(st.sampled_from([body, [body], MESSAGES])), default=str).encode()
    sent = sent[: data.draw(st.sampled_from([None, None, None, len(sent) // 2]))]
    kind = data.draw(st.sampled_from(["application/json", "application/json", "text/plain", "application/x-www-form-urlencoded"]))
    status, answer = post(server, path, sent, kind)
    statuses[status] += 1
    assert status in (200, 400, 404), (status, sent[:500], answer[:500])
    if status != 200:
        assert set(json.loads(answer)["error"]) == {"message", "type", "param", "code"}


def test_most_were_refused_and_the_server_answers_still(server):
    assert statuses[400] > 60
    assert json.loads(read(f"{server.url}/health")) == {"status": "ok"}
    body = json.dumps({"model": "mine", "max_tokens": 2, "messages": MESSAGES}).encode()
    assert post(server, PATHS[0], body, "application/json")[0] == 200
