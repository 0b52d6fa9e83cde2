"""A server over the quickstart's base and adapters, DoRA and whole modules among them, of which two fit into memory: what clients get."""

import json
import re
import socket
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.models import base_model
from pipeline.models.renderer import renderer
from pipeline.stages import generate, import_adapter
from pipeline.store.folders import PredictionsFolder
from pipeline.store.records import Example
from tests import ROOT, foreign, tiny
from tests.server import Server, endless_adapter, read, wait_for

openai = pytest.importorskip("openai")

BASE = "quickstart-base"
BASE_FOLDER = ROOT / "checkpoints" / BASE
ADAPTERS = {
    "red": {"r": 4},
    "green": {"r": 8, "target_modules": ["q_proj", "v_proj"]},
    "blue": {"r": 2, "use_rslora": True},
    "violet": {"use_dora": True},
    "grey": {"target_modules": ["q_proj", "embed_tokens"]},
    "white": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "black": {"target_modules": ["v_proj"], "modules_to_save": ["norm"]},
}
WILD = "wild"
"""An adapter whose answers go on until the context window is full."""
MODELS = (BASE, *ADAPTERS)
WINDOW = 192
QUESTION = [{"role": "user", "content": "Review: the lamp broke at once.\nSentiment:"}]


@pytest.fixture(scope="module")
def adapters(tmp_path_factory):
    """By id, folders as peft saves them."""
    root = tmp_path_factory.mktemp("adapters")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True`")
        numbered = enumerate(ADAPTERS.items())
        folders = {name: foreign.adapter(root / name, BASE_FOLDER, seed, **options) for seed, (name, options) in numbered}
    return {**folders, WILD: endless_adapter(root / WILD, BASE_FOLDER)}


@pytest.fixture(scope="module")
def server(adapters, tmp_path_factory):
    words = [f"--base={BASE}", "generate.compute=fp32", "--max-adapters=2", "--max-batch-tokens=1500"]
    running = Server(tmp_path_factory.mktemp("server") / "log", *adapters.values(), *words)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(server):
    return server.client()


@pytest.fixture(scope="module")
def spec():
    return base_model.MODELS[[row.name for row in base_model.MODELS].index(BASE)].spec()


def chat(client, model=BASE, messages=None, **options):
    return client.chat.completions.create(model=model, messages=messages or QUESTION, **options)


def answer(client, model=BASE, **options):
    return chat(client, model, **options).choices[0].message.content


def fault(call, kind):
    """The error body of a call that is refused."""
    with pytest.raises(kind) as error:
        call()
    assert set(error.value.body) == {"message", "type", "param", "code"}
    return error.value.body


def test_models_are_listed_with_the_base_of_each(client):
    assert {model.id: model.parent for model in client.models.list()} == {BASE: None, **dict.fromkeys([*ADAPTERS, WILD], BASE)}
    assert client.models.retrieve("red").id == "red"
    assert fault(lambda: client.models.retrieve("pink"), openai.NotFoundError)["code"] == "model_not_found"


def by_generate(spec, adapters, root: Path, rows: list[Example], tokens: int):
    """By model, the predictions of the stage `generate` in fp32."""
    heldout = tiny.write_part(root / "heldout", rows)
    params = {"model": spec, **tiny.GENERATE, "max_new_tokens": tokens}
    predictions = {}
    for model in MODELS:
        inputs = {"heldout": heldout}
        if model in adapters:
            adapter = {"repo": None, "revision": None, "folder": str(adapters[model])}
            work = tiny.work(root / f"adapter-{model}", {"model": spec, "adapter": adapter})
            tiny.seal(work.out, import_adapter.run(work), "import_adapter")
            inputs["adapter"] = work.out
        work = tiny.work(root / model, params, **inputs)
        generate.run(work)
        predictions[model] = PredictionsFolder(work.out).predictions()
    return predictions


def test_greedy_answers_are_those_of_generate_whatever_shares_the_batch(client, server, spec, adapters, tmp_path):
    words = "the lamp broke at once and nobody could say why it had been sold as new in the first place".split()
    rows = [Example(f"e{n}", " ".join(words[: 2 + 3 * n]) + "\nSentiment:", "") for n in range(6)]
    expected = by_generate(spec, adapters, tmp_path, rows, tokens=24)
    render = renderer(spec)
    assert len({prediction.text for model in MODELS for prediction in expected[model]}) > 12  # the adapters differ

    def ask(pair):
        model, row = pair
        return chat(client, model, [{"role": "user", "content": row.prompt}], max_tokens=24, logprobs=True)

    pairs = [(model, row) for row in rows for model in MODELS] * 2
    with ThreadPoolExecutor(len(pairs)) as threads:
        responses = list(threads.map(ask, pairs))
    for (model, row), response in zip(pairs, responses, strict=True):
        prediction = expected[model][rows.index(row)]
        choice = response.choices[0]
        assert choice.message.content == prediction.text
        assert response.usage.completion_tokens == prediction.tokens
        assert response.usage.prompt_tokens == len(render.prompt_ids(row.prompt))
        assert choice.finish_reason == {"eos": "stop", "length": "length"}[prediction.stopped]
        assert "".join(entry.token for entry in choice.logprobs.content) == prediction.text
    assert server.metric("loralift_adapter_evictions_total") > 0
    assert server.metric("loralift_resident_adapters") == 2


def test_rows_of_several_models_share_steps(client, server):
    def rows_above(count):
        return server.metric("loralift_batch_rows_count") - server.metric("loralift_batch_rows_bucket", le=f"{count}.0")

    before = rows_above(2)
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda model: chat(client, model, max_tokens=40), [BASE, "red", WILD] * 2))
    assert rows_above(2) > before


def test_a_batch_that_grows_beyond_its_budget_puts_rows_back_and_answers_the_same(client, server):
    prompts = [[{"role": "user", "content": "lamp " * count}] for count in (2, 6, 11)]
    alone = [answer(client, WILD, messages=messages, max_tokens=110) for messages in prompts]
    before = server.metric("loralift_preempted_rows_total")
    with ThreadPoolExecutor(12) as threads:
        together = list(threads.map(lambda messages: answer(client, WILD, messages=messages, max_tokens=110), prompts * 4))
    assert together == alone * 4
    assert server.metric("loralift_preempted_rows_total") > before


@pytest.mark.parametrize("model", [BASE, "red"])
def test_a_stream_is_the_whole_answer_in_pieces(client, model):
    options = {"max_tokens": 60, "temperature": 1.0, "seed": 3}
    whole = chat(client, model, **options)
    chunks = list(chat(client, model, stream=True, stream_options={"include_usage": True}, **options))
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(text or "" for text in texts) == whole.choices[0].message.content
    assert len([text for text in texts if text]) > 5
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == whole.choices[0].finish_reason
    assert chunks[-1].usage == whole.usage
    assert {chunk.usage for chunk in chunks[:-1]} == {None}
    assert len({chunk.id for chunk in chunks}) == 1


def test_without_a_wish_for_usage_no_chunk_has_it(client):
    chunks = list(chat(client, max_tokens=3, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_unset_temperature_is_greedy_and_a_seed_repeats_a_sample(client):
    assert answer(client, max_tokens=20) == answer(client, max_tokens=20, temperature=0)
    samples = [answer(client, max_tokens=20, temperature=1.5, seed=seed) for seed in (1, 2, 1)]
    assert samples[0] == samples[2] != samples[1]
    assert len({answer(client, max_tokens=20, temperature=1.5) for _ in range(3)}) > 1
    assert answer(client, max_tokens=20, temperature=1.5, top_p=1e-6, seed=9) == answer(client, max_tokens=20)


def test_n_answers_differ_and_the_first_is_that_of_one(client):
    choices = chat(client, n=3, max_tokens=20, temperature=1.5, seed=1).choices
    assert [choice.index for choice in choices] == [0, 1, 2]
    texts = [choice.message.content for choice in choices]
    assert len(set(texts)) == 3
    assert texts[0] == answer(client, max_tokens=20, temperature=1.5, seed=1)
    streamed = ["", "", ""]
    for chunk in chat(client, n=3, max_tokens=20, temperature=1.5, seed=1, stream=True):
        streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert streamed == texts


def test_usage_counts_the_prompt_once(client):
    one, three = (chat(client, n=n, max_tokens=5).usage for n in (1, 3))
    assert three.prompt_tokens == one.prompt_tokens
    assert three.completion_tokens == 3 * one.completion_tokens == 15
    assert three.total_tokens == three.prompt_tokens + 15


@pytest.mark.parametrize("is_list", [False, True])
def test_a_stop_string_ends_an_answer_and_is_no_part_of_it(client, is_list):
    whole = answer(client, WILD)
    stop = whole[30:34]
    expected = whole[: whole.index(stop)]
    choice = chat(client, WILD, stop=["no such text", stop] if is_list else stop, logprobs=True).choices[0]
    assert (choice.message.content, choice.finish_reason) == (expected, "stop")
    assert "".join(entry.token for entry in choice.logprobs.content).startswith(expected)
    chunks = list(chat(client, WILD, stop=stop, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == expected


def test_log_probabilities_are_of_the_chosen_and_the_likeliest_tokens(client):
    (choice,) = chat(client, max_tokens=6, logprobs=True, top_logprobs=3).choices
    for entry in choice.logprobs.content:
        values = [top.logprob for top in entry.top_logprobs]
        assert len(values) == 3
        assert values == sorted(values, reverse=True)
        assert entry.token == entry.top_logprobs[0].token  # greedy
        assert entry.logprob == values[0] <= 0
        assert bytes(entry.bytes).decode() == entry.token
    assert chat(client, max_tokens=3).choices[0].logprobs is None
    chunks = list(chat(client, max_tokens=6, logprobs=True, top_logprobs=3, stream=True))
    streamed = [entry for chunk in chunks if chunk.choices[0].logprobs for entry in chunk.choices[0].logprobs.content]
    assert streamed == choice.logprobs.content


def test_completions_take_raw_text_token_ids_and_several_prompts(client, spec):
    render = renderer(spec)
    prompt = "Review: it works.\nSentiment:"
    text = client.completions.create(model="red", prompt=prompt, max_tokens=12)
    ids = render.tokenizer(prompt)["input_ids"]
    by_ids = client.completions.create(model="red", prompt=ids, max_tokens=12)
    assert (
        text.choices[0].text
        == by_ids.choices[0].text
        == answer(client, "red", messages=[{"role": "user", "content": prompt}], max_tokens=12)
    )
    assert text.usage.prompt_tokens == len(ids)
    several = client.completions.create(model="red", prompt=["Review: no", prompt], n=2, max_tokens=12, logprobs=1)
    assert [choice.index for choice in several.choices] == [0, 1, 2, 3]
    assert several.choices[2].text == several.choices[3].text == text.choices[0].text
    logprobs = several.choices[2].logprobs
    assert "".join(logprobs.tokens) == text.choices[0].text
    assert logprobs.text_offset == [len("".join(logprobs.tokens[:index])) for index in range(len(logprobs.tokens))]
    assert [max(top.values()) for top in logprobs.top_logprobs] == logprobs.token_logprobs
    default = client.completions.create(model=WILD, prompt=prompt)
    assert default.usage.completion_tokens == 16
    stream = client.completions.create(model="red", prompt=prompt, max_tokens=12, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == text.choices[0].text


def test_text_in_parts_is_one_text(client):
    parts = [{"type": "text", "text": QUESTION[0]["content"][:10]}, {"type": "text", "text": QUESTION[0]["content"][10:]}]
    assert answer(client, messages=[{"role": "user", "content": parts}], max_tokens=8) == answer(client, max_tokens=8)


def test_an_answer_ends_where_the_context_window_does(client):
    response = chat(client, WILD)
    assert response.usage.total_tokens == WINDOW
    assert response.choices[0].finish_reason == "length"
    limited = chat(client, WILD, max_completion_tokens=4)
    assert limited.usage.completion_tokens == 4


REFUSED = {
    "unknown model": ({"model": "pink"}, openai.NotFoundError, "model", "'pink' is not served; served: quickstart-base, red"),
    "too long": ({"messages": [{"role": "user", "content": "lamp " * 900}]}, openai.BadRequestError, "messages", "context window of 192"),
    "no room for the answer": ({"max_tokens": 190}, openai.BadRequestError, "messages", "and 190 of answer exceed the context window"),
    "two limits": ({"max_tokens": 3, "max_completion_tokens": 4}, openai.BadRequestError, "max_tokens", "differ"),
    "several turns without a template": (
        {"messages": [{"role": "system", "content": "Be kind."}, *QUESTION]}, openai.BadRequestError, "messages", "a prompt has 2 turns",
    ),
    "an answer last": ({"messages": [{"role": "assistant", "content": "So"}]}, openai.BadRequestError, "messages", "must be the user's"),
    "no messages": ({"messages": []}, openai.BadRequestError, "messages", "at least 1 item"),
    "unknown role": ({"messages": [{"role": "robot", "content": ""}]}, openai.BadRequestError, "messages.0.role", "user"),
    "temperature": ({"temperature": 3}, openai.BadRequestError, "temperature", "less than or equal to 2"),
    "top_p": ({"top_p": 0}, openai.BadRequestError, "top_p", "greater than 0"),
    "n": ({"n": 0}, openai.BadRequestError, "n", "greater than or equal to 1"),
    "n as text": ({"extra_body": {"n": "2"}}, openai.BadRequestError, "n", "valid integer"),
    "empty stop": ({"stop": [""]}, openai.BadRequestError, "stop", "at least 1 character"),
    "penalty": ({"presence_penalty": 0.5}, openai.BadRequestError, "presence_penalty", "not supported"),
    "tools": ({"tools": [{"type": "function", "function": {"name": "f"}}]}, openai.BadRequestError, "tools", "not supported"),
    "unknown key": ({"extra_body": {"beams": 3}}, openai.BadRequestError, "beams", "unknown parameter: beams"),
    "top_logprobs alone": ({"top_logprobs": 2}, openai.BadRequestError, "top_logprobs", "needs logprobs"),
    "no thinking switch": (
        {"extra_body": {"chat_template_kwargs": {"enable_thinking": True}}}, openai.BadRequestError, "chat_template_kwargs",
        "no thinking switch",
    ),
    "another key of the template": (
        {"extra_body": {"chat_template_kwargs": {"today": "x"}}}, openai.BadRequestError, "chat_template_kwargs", "unknown parameter",
    ),
    "half a character": ({"messages": [{"role": "user", "content": "\ud800"}]}, None, "messages.0.content", "half of a character at 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_have_the_form_of_openai(client, server, name):
    options, kind, param, words = REFUSED[name]
    options = {"model": BASE, "messages": QUESTION, **options}
    if name == "half a character":  # the client itself cannot send it
        body = json.dumps(options).encode()
        with server.send("/v1/chat/completions", body) as connection:
            error = json.loads(response_of(connection)[1])["error"]
    else:
        error = fault(lambda: client.chat.completions.create(**options), kind)
    assert error["param"].startswith(param)
    assert words in error["message"]
    assert "\n" not in error["message"]


def test_neutral_values_of_unsupported_keys_are_accepted(client):
    options = {"presence_penalty": 0, "logit_bias": {}, "user": "me", "response_format": {"type": "text"}, "metadata": {"a": "b"}}
    assert answer(client, max_tokens=8, **options) == answer(client, max_tokens=8)


def response_of(connection):
    """Status and body of the response on a connection, which the server then closes or keeps."""
    with connection.makefile("rb") as file:
        status = int(file.readline().split()[1])
        length = 0
        while line := file.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return status, file.read(length)


MALFORMED = {
    "cut": b'{"model": "quickstart-base", "mess',
    "empty": b"",
    "list": b"[]",
    "text": b'"model"',
    "not text": b"\xff\xfe\x00",
    "deep": b'{"model":' + b"[" * 100_000,
    "a huge number": b'{"model": "quickstart-base", "messages": [{"role": "user", "content": "a"}], "n": ' + b"9" * 9000 + b"}",
    "not a number": b'{"model": "quickstart-base", "messages": [{"role": "user", "content": "a"}], "temperature": NaN}',
}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_bodies_are_refused_in_the_same_form(server, name, path):
    with server.send(path, MALFORMED[name]) as connection:
        status, body = response_of(connection)
    assert status == 400
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


def test_unknown_paths_and_methods_too(server, client):
    assert fault(lambda: client.get("/embeddings", cast_to=object), openai.NotFoundError)["message"] == "Not Found"
    with server.send("/v1/models", b"{}") as connection:
        assert response_of(connection)[0] == 405


def test_giant_bodies_are_refused_before_they_are_parsed(server, client):
    giant = [{"role": "user", "content": "a" * (5 << 20)}]
    assert "4,194,304 bytes" in fault(lambda: chat(client, messages=giant), openai.APIStatusError)["message"]
    connection = socket.create_connection(("127.0.0.1", server.port))
    with connection:  # of unknown length
        head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
        for _ in range(6):
            connection.sendall(chunk)
        connection.sendall(b"0\r\n\r\n")
        assert response_of(connection)[0] == 413


def test_another_host_is_refused(server):
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert response_of(connection)[0] == 403


def is_idle(server):
    return server.metric("loralift_running_rows") == server.metric("loralift_waiting_rows") == 0


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_client_that_goes_away_frees_its_rows(server, client, is_stream):
    before = server.metric("loralift_requests_total", model=WILD, status="499")
    whole = 7 * chat(client, WILD).usage.completion_tokens  # of rows that nobody gives up
    tokens = server.metric("loralift_batch_rows_sum")
    body = json.dumps({"model": WILD, "n": 7, "stream": is_stream, "messages": QUESTION}).encode()
    connection = server.send("/v1/chat/completions", body)
    wait_for(lambda: server.metric("loralift_running_rows") > 0)
    connection.close()
    wait_for(lambda: server.metric("loralift_requests_total", model=WILD, status="499") == before + 1)
    wait_for(lambda: is_idle(server))
    assert server.metric("loralift_batch_rows_sum") - tokens < 0.9 * whole


def test_a_reader_that_stops_reading_holds_nobody_up(server, client):
    body = {"model": WILD, "n": 7, "stream": True, "logprobs": True, "top_logprobs": 20, "messages": QUESTION}
    before = server.metric("loralift_requests_total", model=WILD, status="200")
    with server.send("/v1/chat/completions", json.dumps(body).encode(), buffer=4096) as connection:
        wait_for(lambda: server.metric("loralift_running_rows") > 0)
        assert answer(client, max_tokens=8)
        wait_for(lambda: is_idle(server))  # all is generated, though nothing was read
        assert server.metric("loralift_requests_total", model=WILD, status="200") == before
        received = b""
        while b"[DONE]" not in received:
            received += connection.recv(1 << 20)
    assert received.count(b'"finish_reason": "length"') == 7


def test_many_connections_wait_for_their_turn(server, client):
    before = server.metric("loralift_requests_total", model=BASE, status="200")
    with ThreadPoolExecutor(200) as threads:
        texts = set(threads.map(lambda _: answer(client, max_tokens=4), range(200)))
    assert texts == {answer(client, max_tokens=4)}
    assert server.metric("loralift_requests_total", model=BASE, status="200") == before + 201


def test_health_and_the_document_of_the_api(server):
    assert json.loads(read(f"{server.url}/health")) == {"status": "ok"}
    paths = json.loads(read(f"{server.url}/openapi.json"))["paths"]
    assert {"/v1/chat/completions", "/v1/completions", "/v1/models", "/health", "/metrics"} <= paths.keys()


def test_the_example_of_the_document_runs(server, client, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "serve.md").read_text("utf-8"), re.S)
    exec(code.replace("http://127.0.0.1:8000", server.url).replace("quickstart-base--shop_notice--r16-s0", "red"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("quickstart-base: ")
    assert any(line.startswith("red: ") for line in lines)


def test_nothing_went_wrong_in_the_server(server):
    assert "Traceback" not in server.log.read_text()
