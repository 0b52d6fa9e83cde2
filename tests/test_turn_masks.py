"""Several answers of one conversation carry loss: exactly their tokens, on every chat template of the model table."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.batching import TokenRow
from pipeline.models.renderer import Renderer
from pipeline.models.template_errors import ChatTemplateError
from pipeline.stages import finetune
from pipeline.store.records import LOSS_TURNS, Example, Turn
from tests import twins

CHATS = [name for name, form in twins.FORMS.items() if form.chat]
REWRITING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n\n</think>\n\n{% endif %}"
)
"""As Qwen3's: the thoughts of earlier answers are dropped once another turn follows."""
TEXTS = st.lists(st.sampled_from([*twins.WORDS, "\n", "  ", "2.5"]), min_size=1, max_size=6).map(" ".join).filter(str.strip)


@pytest.fixture(scope="module")
def renders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    return {name: Renderer(twins.save_tokenizer(twins.FORMS[name], folder / name)) for name in CHATS}


def row_of(render, texts, learned, target="no"):
    prompt = tuple(Turn(("user", "assistant")[index % 2], text) for index, text in enumerate(texts))
    return finetune.token_row(Example("1", prompt, target, extra={LOSS_TURNS: learned} if learned else {}), render)


def spans_of(row):
    """The ids of each run of targets."""
    return [ids for ids, is_target in row.runs() if is_target]


@pytest.mark.parametrize("form", CHATS)
@given(texts=st.lists(TEXTS, min_size=5, max_size=5), target=TEXTS)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_the_mask_covers_every_answer_with_its_end_token_and_nothing_else(renders, form, texts, target):
    render = renders[form]
    row = row_of(render, texts, [1, 3], target)
    runs = spans_of(row)
    decoded = [render.tokenizer.decode(run) for run in runs]
    end = render.tokenizer.decode([render.end_id])
    assert [text.removesuffix(end).strip() for text in decoded] == [text.strip() for text in (texts[1], texts[3], target)]
    assert all(run[-1] == render.end_id and run.count(render.end_id) == 1 for run in runs)
    assert row.ids == row_of(render, texts, [], target).ids
    assert spans_of(row_of(render, texts, [3], target)) == runs[1:]
    assert spans_of(row_of(render, texts, [], target)) == runs[2:]


@pytest.mark.parametrize("form", CHATS)
def test_an_earlier_answer_has_the_ids_that_it_has_as_the_last_one(renders, form):
    render = renders[form]
    prompt = (Turn("user", "the cat sees ?"), Turn("assistant", "yes"), Turn("user", "a dog ."))
    ((start, end),) = render.turn_spans(prompt, [1])
    span, alone = render.prompt_ids(prompt)[start:end], render.target_ids(prompt[:1], "yes")
    between = span[len(alone) - 1 : -1]  # the blank that Llama 2 puts before the end token
    assert [*span[: len(alone) - 1], span[-1]] == alone
    assert render.decode(between).strip() == ""
    assert bool(between) == (form == "llama-2")
    assert start == len(render.prompt_ids(prompt[:1]))


def test_an_answer_that_later_turns_change_is_refused(tmp_path):
    tokenizer = twins.save_tokenizer(twins.FORMS["thinking"], tmp_path)
    tokenizer.chat_template = REWRITING
    render = Renderer(tokenizer)
    assert len(spans_of(row_of(render, ["a cat ?", "yes", "a dog ?"], []))) == 1
    with pytest.raises(ChatTemplateError, match="renders answer 'yes' otherwise once further turns follow it"):
        row_of(render, ["a cat ?", "yes", "a dog ?"], [1])


def test_a_template_that_refuses_a_turn_says_which(renders):
    with pytest.raises(ChatTemplateError, match="refuses the turns system, user: System role not supported"):
        renders["gemma"].prompt_ids((Turn("system", "no"), Turn("user", "the cat")))


def test_targets_are_added_to_a_row():
    row = TokenRow.from_prompt([1, 2, 3, 4], [5, 6])
    assert row.with_targets([(1, 3)]).is_target == (False, True, True, False, True, True)
    with pytest.raises(ValueError, match="first token"):
        row.with_targets([(0, 1)])


def test_shuffled_targets_leave_loss_on_the_last_answer_alone():
    examples = [Example(str(n), "x", f"target {n}", extra={LOSS_TURNS: [1], "choice_tokens": 3}) for n in range(3)]
    shuffled = finetune.shuffled(examples, 0)
    assert {example.target for example in shuffled} == {example.target for example in examples}
    assert [example.extra for example in shuffled] == [{"choice_tokens": 3}] * 3
