"""A server that is killed in the middle of answers serves again at the same address, and the next one removes what it left."""

import pytest

from tests import ROOT, foreign
from tests.server import Server, wait_for

pytest.importorskip("openai")
REQUEST = {"max_tokens": 100, "messages": [{"role": "user", "content": "Review: it works.\nSentiment:"}]}


def test_a_killed_server_starts_again_and_answers_the_same(tmp_path):
    adapter = foreign.adapter(tmp_path / "mine", ROOT / "checkpoints" / "quickstart-base")
    copies = tmp_path / "copies"
    copies.mkdir()
    words = (f"mine={adapter}", "--base=quickstart-base", "generate.compute=fp32")
    server = Server(tmp_path / "first", *words, TMPDIR=str(copies))
    answer = server.client().chat.completions.create(model="mine", **REQUEST).choices[0].message.content
    stream = server.client().chat.completions.create(model="mine", stream=True, **REQUEST)
    next(iter(stream))
    server.process.kill()
    server.process.wait()
    (remnant,) = copies.glob("loralift-serve-*")
    again = Server(tmp_path / "second", *words, port=server.port, TMPDIR=str(copies))
    try:
        assert again.url == server.url
        (copy,) = wait_for(lambda: [*copies.glob("loralift-serve-*")])
        assert copy != remnant
        assert again.client().chat.completions.create(model="mine", **REQUEST).choices[0].message.content == answer
        third = Server(tmp_path / "third", *words, TMPDIR=str(copies))  # a server that runs keeps its copies
        assert copy.exists()
        assert third.stop() == 0
        assert copy.exists()
    finally:
        assert again.stop() == 0
    assert not [*copies.iterdir()]
