"""Reference models behind an endpoint, asked for real: a server on loopback that fails on purpose, and `transformers serve`."""

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import ModelError
from pipeline.machine import EndpointSettings, RetryPolicy
from pipeline.references import ask as reference
from pipeline.scoring import parsers
from pipeline.store.records import TOOLS, Example, Prediction, Turn
from pipeline.store.row_log import RowLog, parsed
from tests.fault_server import BUSY, CUT, STALL, Fault, FaultServer, completion, refusing

HELDOUT = [Example(f"e{n}", f"question number {n}", "yes") for n in range(12)]
FIRST = HELDOUT[0].prompt
SECOND = HELDOUT[1].prompt
ROOT = Path(__file__).parents[1]
HTML = {"Content-Type": "text/html"}


@pytest.fixture
def server():
    with FaultServer() as fault_server:
        yield fault_server


def called(server, **changes):
    return EndpointSettings(**{"endpoint": server.endpoint, "model": "fault", "key_env": "", "concurrency": 4, **changes})


class Waits(list):
    """Waits for nothing, and notes how long it should have."""

    async def __call__(self, seconds):
        self.append(seconds)
        await asyncio.sleep(0)


def ask(server, tmp_path, heldout=HELDOUT, stop=(), waits=None, **changes):
    waits = Waits() if waits is None else waits
    return reference.answers(called(server, **changes), reference.AnswerLimits(16, stop), heldout, tmp_path / "kept.jsonl", True, waits)


def one(server, tmp_path, **body):
    """The reply to one question, where the server's answer is changed."""
    server.answer = lambda prompt: {**completion(prompt, "a b c"), **body}
    return ask(server, tmp_path, HELDOUT[:1])[0]


def spoken(text, finish="stop", **message):
    return {"choices": completion("", text, finish, **message)["choices"]}


def test_every_question_is_asked_once_greedily_and_answered_in_order(server, tmp_path):
    replies = ask(server, tmp_path, stop=("\n",))
    assert [reply.example for reply in replies] == [example.id for example in HELDOUT]
    assert [reply.text for reply in replies] == [f"You said: {example.prompt}" for example in HELDOUT]
    assert server.requests == dict.fromkeys((example.prompt for example in HELDOUT), 1)
    turns = [{"role": "user", "content": FIRST}]
    assert server.bodies[0] == {"model": "fault", "messages": turns, "temperature": 0, "max_tokens": 16, "stop": ["\n"]}
    assert set(server.paths) == {"/v1/chat/completions"}
    assert replies[0] == reference.Reply("e0", "You said: question number 0", 5, "eos", 3, True, 1, replies[0].seconds, "fault-1")


def test_as_many_at_once_as_allowed_after_the_first_came_alone(server, tmp_path):
    server.together = 4
    ask(server, tmp_path)
    assert server.most_here == 4
    assert "stop" not in server.bodies[0]


def test_four_stop_strings_are_sent_and_all_are_cut(server, tmp_path):
    server.answer = lambda prompt: completion(prompt, "one two three four five six")
    reply = ask(server, tmp_path, HELDOUT[:1], stop=("A", "B", "C", "D", " five", " four"))[0]
    assert server.bodies[0]["stop"] == ["A", "B", "C", "D"]
    assert (reply.text, reply.stopped, reply.tokens) == ("one two three", "stop", 6)


@pytest.mark.parametrize(
    "fault",
    [
        BUSY, refusing(408, "slow"), refusing(500, "oh"), refusing(503, "oh"), Fault(502, "<html>Bad Gateway</html>", HTML),
        CUT, STALL, Fault(body='{"choices": [{'), Fault(body="<html>", headers=HTML), Fault(body=[1]),
        Fault(body={"error": {"message": "upstream"}}), Fault(body={"choices": [{"message": None}]}), Fault(body={"choices": [7]}),
        Fault(body={"choices": [{"message": {"content": [{"type": "text"}]}}]}),
    ],
)  # fmt: skip
def test_what_may_pass_is_tried_again(server, tmp_path, fault):
    server.faults[SECOND] = [fault]
    waits = Waits()
    replies = ask(server, tmp_path, waits=waits, patience=RetryPolicy(timeout=0.5))
    assert [reply.tries for reply in replies] == [1, 2, *[1] * 10]
    assert replies[1].text == f"You said: {SECOND}"
    assert len(waits) == 1
    assert server.requests[SECOND] == 2


@pytest.mark.parametrize(
    ("headers", "least"),
    [({"Retry_After": "40"}, 40), ({"Retry_After": "2.5"}, 2.5), ({"retry_after_ms": "9000"}, 9)],
)
def test_the_wait_that_a_server_asks_for_is_kept(server, tmp_path, headers, least):
    server.faults[FIRST] = [refusing(429, "slow down", **headers)]
    waits = Waits()
    ask(server, tmp_path, HELDOUT[:1], waits=waits)
    assert least <= waits[0] <= 1.1 * least


def test_the_wait_may_be_given_as_a_date(server, tmp_path):
    server.faults[FIRST] = [refusing(429, "slow down", Retry_After=formatdate(time.time() + 200, usegmt=True))]
    waits = Waits()
    ask(server, tmp_path, HELDOUT[:1], waits=waits)
    assert 100 <= waits[0] <= 220


@pytest.mark.parametrize("wait", ["soon", "-3", "nan", "inf", "0", "Sat, 01 Jan 2000 00:00:00 GMT"])
def test_a_wait_that_makes_no_sense_is_our_own(server, tmp_path, wait):
    server.faults[FIRST] = [refusing(503, "slow down", Retry_After=wait)]
    waits = Waits()
    ask(server, tmp_path, HELDOUT[:1], waits=waits)
    assert 0.5 <= waits[0] <= 1


def test_waits_double_up_to_a_limit_and_then_the_run_gives_up(server, tmp_path):
    server.always = refusing(503, "overloaded")
    waits = Waits()
    with pytest.raises(ModelError, match=r"does not answer in 8 tries: 503: overloaded(?s:.*)Answers saved: 0 of 12"):
        ask(server, tmp_path, waits=waits, patience=RetryPolicy(longest=10))
    assert server.requests == {FIRST: 8}
    shares = [waited / most for waited, most in zip(waits, [1, 2, 4, 8, 10, 10, 10], strict=True)]
    assert all(0.5 <= share <= 1 for share in shares)
    assert len(set(shares)) > 1, "no jitter"


def test_a_wait_longer_than_minutes_ends_the_run(server, tmp_path):
    server.faults[FIRST] = [refusing(429, "daily limit", Retry_After="86400")]
    waits = Waits()
    with pytest.raises(ModelError, match=r"asks to wait 8[0-9]{4} s: 429: daily limit"):
        ask(server, tmp_path, waits=waits)
    assert not waits


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (refusing(400, "context too long", "context_length_exceeded"), "answers 400: context too long"),
        (refusing(401, "bad key"), r"refuses the key \(401\)\n  Put the right key into an environment variable, named by key_env"),
        (refusing(403, "not for you"), "answers 403: not for you"),
        (Fault(404, {"detail": "no such model"}), "answers 404: no such model\n  Check the model's name"),
        (Fault(404, "404 page not found", {"Content-Type": "text/plain"}), "answers 404: 404 page not found"),
        (Fault(422, {"message": "extra field"}), "answers 422: extra field"),
        (Fault(307, "", {"Location": "/v1/elsewhere"}), "answers 307: .*\n  It is a redirect"),
        (refusing(429, "You exceeded your current quota", "insufficient_quota"), "quota is used up"),
    ],
)
def test_what_will_not_pass_costs_one_request(server, tmp_path, fault, words):
    server.always, waits = fault, Waits()
    with pytest.raises(ModelError, match=words) as caught:
        ask(server, tmp_path, waits=waits)
    assert sum(server.requests.values()) == 1
    assert not waits
    assert len(str(caught.value).splitlines()) == 2


def test_nobody_at_the_address_is_said_at_once(tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        gone, waits = SimpleNamespace(endpoint=f"http://127.0.0.1:{held.getsockname()[1]}/v1"), Waits()
        with pytest.raises(ModelError, match="cannot be reached"):
            ask(gone, tmp_path, waits=waits)
    assert not waits


@pytest.mark.parametrize(
    "body",
    [{"choices": []}, spoken("the half of", "content_filter"), spoken(None, "stop", refusal="I cannot"),
     refusing(400, "filtered", "content_filter"), refusing(400, "flagged", "invalid_prompt")],
)  # fmt: skip
def test_a_refusal_is_an_empty_answer_of_its_own_kind(server, tmp_path, body):
    server.faults[SECOND] = [body if isinstance(body, Fault) else Fault(body={**completion("", ""), **body})]
    replies = ask(server, tmp_path)
    assert (replies[1].text, replies[1].stopped, replies[1].tries) == ("", "refused", 1)
    assert all(reply.stopped == "eos" for reply in replies if reply.example != "e1")
    assert replies[1].prediction == Prediction("e1", "", 0, "refused")


@pytest.mark.parametrize(
    ("body", "text", "stopped"),
    [
        (spoken("a b", "length"), "a b", "length"), (spoken("a b"), "a b", "eos"), (spoken("", "length"), "", "length"),
        (spoken(None), "", "eos"), (spoken("a END b", "length"), "a ", "stop"), (spoken("half \ud83d"), "half ?", "eos"),
        (spoken("é\u2028"), "é\u2028", "eos"),
        ({"choices": [{**spoken("a b")["choices"][0], "stop_reason": "END"}]}, "a b", "stop"),
    ],
)  # fmt: skip
def test_why_an_answer_ended(server, tmp_path, body, text, stopped):
    server.answer = lambda prompt: {**completion(prompt, ""), **body}
    for replies in (ask(server, tmp_path, HELDOUT[:1], ("END",)), ask(server, tmp_path, HELDOUT[:1], ("END",))):  # asked, then kept
        assert (replies[0].text, replies[0].stopped) == (text, stopped)
    assert server.requests[FIRST] == 1


@pytest.mark.parametrize("counts", [None, {}, {"prompt_tokens": None, "completion_tokens": 3}, {"prompt_tokens": 5}])
def test_missing_usage_is_estimated_and_said_to_be(server, tmp_path, counts):
    reply = one(server, tmp_path, usage=counts)
    assert (reply.prompt_tokens, reply.tokens, reply.reported) == (5, 2, False)
    assert reference.usage([reply], 1.0)["usage"] == "estimated"


def test_a_model_that_wants_the_newer_name_of_the_limit_gets_it(server, tmp_path):
    words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    server.faults[FIRST] = [refusing(400, words, "unsupported_parameter")]
    ask(server, tmp_path)
    assert [("max_tokens" in body, body.get("max_completion_tokens")) for body in server.bodies] == [(True, None), *[(False, 16)] * 12]
    server.always = refusing(400, words)
    with pytest.raises(ModelError, match="answers 400"):
        ask(server, tmp_path / "again")
    assert sum(server.requests.values()) == 15


def test_a_failure_keeps_what_was_under_way_and_no_answer_is_paid_for_twice(server, tmp_path):
    server.faults[SECOND] = [refusing(404, "gone")]
    for example in HELDOUT[2:5]:
        server.faults[example.prompt] = [Fault(body=completion(example.prompt, "late"), delay=0.5)]
    server.together = 4
    with pytest.raises(ModelError, match=r"answers 404: gone(?s:.*)Answers saved: 4 of 12"):
        ask(server, tmp_path)
    assert server.requests == {example.prompt: 1 for example in HELDOUT[:5]}
    replies = ask(server, tmp_path)
    assert [reply.text for reply in replies[:5]] == [f"You said: {FIRST}", f"You said: {SECOND}", "late", "late", "late"]
    assert server.requests == {example.prompt: 1 + (example.prompt == SECOND) for example in HELDOUT}


def test_a_failure_wakes_those_that_wait(server, tmp_path):
    server.faults[SECOND] = [BUSY]
    server.faults[HELDOUT[2].prompt] = [replace(refusing(404, "gone"), delay=0.5)]
    resting = []

    async def long(seconds):
        resting.append(seconds)
        await asyncio.sleep(10)
        resting.append("woke by itself")

    with pytest.raises(ModelError, match="404"):
        ask(server, tmp_path, waits=long)
    assert len(resting) == 1


def test_a_line_that_was_cut_off_is_asked_for_again(server, tmp_path):
    whole = ask(server, tmp_path)
    path = tmp_path / "kept.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5]) + lines[5][:20])
    assert ask(server, tmp_path)[:5] == [next(r for r in whole if r.example == e.id) for e in HELDOUT[:5]]
    assert len(ask(server, tmp_path)) == 12
    assert sum(server.requests.values()) == 12 + 7


@pytest.mark.parametrize("damage", [b"garbage\n", b"\xff\xfe\n", b"[]\n", b'{"example": "e3", "text": 7}\n'])
def test_damaged_replies_are_set_aside_and_asked_for_again(server, tmp_path, damage, capsys):
    whole = ask(server, tmp_path)
    path = tmp_path / "kept.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], damage, *lines[4:]]))
    again = ask(server, tmp_path)
    assert [(reply.example, reply.text) for reply in again] == [(reply.example, reply.text) for reply in whole]
    assert sum(server.requests.values()) == 12 + 1
    assert "1 of 12 lines are damaged" in capsys.readouterr().err
    assert damage in (tmp_path / "kept.jsonl.damaged").read_bytes()


def test_half_a_row_on_a_full_disk_is_taken_back(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with RowLog(tmp_path / "rows.jsonl") as log:
        log.add({"n": 1})
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
        try:
            with pytest.raises(OSError, match="too large"):
                log.add({"n": "x" * 40})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        log.add({"n": 2})
    with RowLog(tmp_path / "rows.jsonl") as log:
        assert log.rows == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("end", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_killed_run_pays_again_for_what_was_under_way_only(server, tmp_path, end):
    for example in HELDOUT[5:8]:
        server.faults[example.prompt] = [STALL]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path), server.endpoint], cwd=ROOT, env=environ(), stderr=subprocess.DEVNULL
    )
    path = tmp_path / "kept.jsonl"
    for _ in range(600):
        if path.exists() and path.read_bytes().count(b"\n") == 9:  # one of four workers does the rest
            break
        time.sleep(0.05)
    child.send_signal(end)
    assert child.wait(20) != 0
    subprocess.run([sys.executable, "-c", CHILD, str(tmp_path), server.endpoint], cwd=ROOT, env=environ(), check=True)
    assert server.requests == {example.prompt: 2 if example in HELDOUT[5:8] else 1 for example in HELDOUT}
    assert len({parsed(line)["example"] for line in path.read_bytes().splitlines()}) == 12


CHILD = """
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from tests import test_reference
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in its background with SIGINT ignored
test_reference.ask(SimpleNamespace(endpoint=sys.argv[2]), Path(sys.argv[1]))
"""


def environ(**more):
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def test_latency_and_cost_by_hand():
    replies = [reference.Reply(f"e{n}", "", 10 * n, "eos", 100, n < 3, 1 + (n == 1), float(n), "m") for n in range(1, 5)]
    used = reference.usage(replies, 9.0)
    assert (used["latency_p50"], used["latency_p95"]) == (2.0, 4.0)
    assert (used["requests"], used["retries"], used["estimated"], used["usage"]) == (5, 1, 2, "estimated")
    assert reference.usage_cost(used, SimpleNamespace(input=2.0, output=10.0)) == pytest.approx(400 * 2e-6 + 100 * 10e-6)
    assert reference.usage([], 0.0)["latency_p95"] is None


SCHEMAS = [{"type": "function", "function": {"name": "add", "parameters": {}}}]


def test_tools_and_calls_are_sent_as_the_interface_has_them(server, tmp_path):
    """Its arguments are text, every call has an id, and schemas stand beside the messages."""
    calls = [{"type": "function", "function": {"name": "add", "arguments": {"a": n}}} for n in (1, 2)]
    turns = (
        Turn(TOOLS, json.dumps(SCHEMAS)),
        Turn("system", "Add."),
        Turn("user", "1 and 2?"),
        Turn("assistant", "", {"tool_calls": calls}),
        Turn("tool", "first"),
        Turn("tool", "second", {"tool_call_id": "call_3_1"}),
        Turn("user", "and?"),
    )
    ask(server, tmp_path, [Example("e", turns, "yes")])
    (body,) = server.bodies
    assert body["tools"] == SCHEMAS
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "tool", "tool", "user"]
    sent = body["messages"][2]["tool_calls"]
    assert [call["function"] for call in sent] == [{"name": "add", "arguments": '{"a": 1}'}, {"name": "add", "arguments": '{"a": 2}'}]
    assert [call["id"] for call in sent] == [body["messages"][index]["tool_call_id"] for index in (3, 4)] == ["call_3_0", "call_3_1"]


@pytest.mark.parametrize("tools", [[{"name": "add", "parameters": {}}], SCHEMAS])
def test_schemas_without_their_wrapper_are_wrapped(server, tmp_path, tools):
    ask(server, tmp_path, [Example("e", (Turn(TOOLS, json.dumps(tools)), Turn("user", "1 and 2?")), "yes")])
    assert server.bodies[0]["tools"] == SCHEMAS


def test_an_answer_that_calls_tools_is_read_as_calls(server, tmp_path):
    function = {"name": "add", "arguments": '{"a": 1}'}
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": "x", "type": "function", "function": function}]}
    reply = one(server, tmp_path, choices=[{"index": 0, "finish_reason": "tool_calls", "message": message}])
    assert parsers.tool_call(reply.text, HELDOUT[0]) == '[{"arguments": {"a": 1}, "name": "add"}]'
    assert reply.stopped == "eos"


@pytest.mark.parametrize("calls", [[{"id": "x"}], [None], 3, [{"function": 3}]])
def test_an_answer_of_broken_calls_is_requested_again(server, tmp_path, calls):
    broken = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": None, "tool_calls": calls}}]}
    server.faults[FIRST] = [Fault(body={**completion(FIRST, "x"), **broken})]
    assert ask(server, tmp_path, HELDOUT[:1])[0].tries == 2
