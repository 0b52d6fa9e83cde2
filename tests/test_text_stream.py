"""Text that comes token by token is the text of all tokens, cut at its first stop string as predictions are."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.engine.generation import StopConditions
from pipeline.engine.written_answers import make_prediction
from pipeline.models.renderer import renderer
from pipeline.serving.text_stream import OVERLAP, WINDOW, TextStream
from tests import tiny

SOME = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def render(tmp_path_factory):
    return renderer(tiny.make_model(tmp_path_factory.mktemp("text") / "base"))


def streamed(decode, ids, stop_strings=()):
    """The pieces of an answer, and the number of tokens that were read until it ended."""
    stream = TextStream(decode, stop_strings)
    pieces = []
    for token in ids:
        pieces.append(stream.add(token))
        if stream.is_stopped:
            break
    return [*pieces, stream.finish()], len(stream.ids)


def expected(render, ids, stop_strings=()):
    return make_prediction("e", ids, StopConditions(len(ids), (2,), tuple(stop_strings)), render.decode).text


@SOME
@given(ids=st.lists(st.integers(3, 299), max_size=3 * WINDOW))
def test_any_tokens(render, ids):
    assert "".join(streamed(render.decode, ids)[0]) == expected(render, ids)


@SOME
@given(text=st.text(alphabet="ab \nü😀", max_size=200), stops=st.lists(st.text(alphabet="ab \nü😀", min_size=1, max_size=4), max_size=3))
def test_any_text_and_stop_strings(render, text, stops):
    ids = render.encode(text)
    pieces, tokens = streamed(render.decode, ids, stops)
    assert "".join(pieces) == expected(render, ids[:tokens], stops)  # generation ends with that token, too
    assert tokens == len(ids) or any(stop in text for stop in stops)


def test_an_answer_ends_with_the_token_that_completes_a_stop_string(render):
    ids = render.encode("cat dog\nbird sees")
    pieces, tokens = streamed(render.decode, ids, ["\n"])
    assert "".join(pieces) == "cat dog"
    assert render.decode(ids[:tokens]).endswith("\n")


def test_what_may_begin_a_stop_string_is_held_until_it_does_not(render):
    stream = TextStream(render.decode, ["cat!"])
    text = ""
    for token in render.encode("a cat"):
        text += stream.add(token)
    assert text == "a "
    assert "".join(map(stream.add, render.encode(" dog"))) == "cat dog"


def test_half_of_a_character_is_held(render):
    ids = render.encode("😀")
    assert len(ids) == 4
    stream = TextStream(render.decode)
    assert list(map(stream.add, ids)) == ["", "", "", "😀"]


def test_a_decoder_that_joins_blanks_with_the_marks_behind_them(render):
    """As tokenizers with clean_up_tokenization_spaces do."""

    def decode(ids):
        return render.decode(ids).replace(" .", ".").replace(" ?", "?")

    ids = render.encode("cat . dog ? bird .") * 20
    assert "".join(streamed(decode, ids)[0]) == decode(ids)


def test_a_long_answer_costs_no_more_per_token(render):
    widths = []

    def decode(ids):
        widths.append(len(ids))
        return render.decode(ids)

    streamed(decode, render.encode("cat dog bird ") * 200)
    assert max(widths) == WINDOW + 1
    assert OVERLAP < WINDOW
