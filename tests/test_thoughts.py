"""Thoughts in conversations: the ids of an answer follow its prompt as generation would go on, or the row is refused."""

from itertools import product

import pytest

from pipeline.data import inline, token_counts
from pipeline.data.files import BadRow
from pipeline.models.renderer import Renderer
from pipeline.models.template_errors import ChatTemplateError
from pipeline.scoring import parsers
from pipeline.stages import finetune
from pipeline.store.records import LOSS_TURNS
from tests import preparing, twins

THOUGHT = "<think>\nfive cat\n</think>\n\n"


@pytest.fixture(scope="module")
def renders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    return {name: Renderer(twins.save_tokenizer(form, folder / name)) for name, form in twins.THINKING_FORMS.items()}


def example_of(*answers, loss="last"):
    messages = []
    for answer in answers:
        messages += [{"role": "user", "content": "the cat sees ?"}, {"role": "assistant", "content": answer}]
    return inline.build_task(preparing.task(prompt="", target="", loss=loss)).example({"messages": messages})


def row_of(example, render):
    """The token row of an example as training gets it, or why there is none."""
    written = token_counts.written_example(example, render, reads_calls=False)
    refused = written if isinstance(written, BadRow) else token_counts.refusal(written, render)
    return refused or finetune.token_row(written, render)


@pytest.mark.parametrize(
    ("form", "answer", "seen"),
    [
        ("qwen3", "yes", "<|im_start|>assistant\n<think>\n\n</think>\n\nyes<|im_end|>"),
        ("qwen3", "<think>\n\n</think>\n\nyes", "<|im_start|>assistant\n<think>\n\n</think>\n\nyes<|im_end|>"),
        ("r1", f"{THOUGHT}yes", f"<|Assistant|>{THOUGHT}yes<|end|>"),
        ("r1", "five cat\n</think>\n\nyes", f"<|Assistant|>{THOUGHT}yes<|end|>"),
        ("keeping", f"{THOUGHT}yes", f"<|im_start|>assistant\n{THOUGHT}yes<|im_end|>"),
    ],
)
@pytest.mark.parametrize("earlier", [(), ("no",), (f"{THOUGHT}no",)])
def test_a_conversation_has_the_thoughts_of_its_answer_once(renders, form, answer, seen, earlier):
    row = row_of(example_of(*earlier, answer), renders[form])
    text = renders[form].tokenizer.decode(row.ids)
    assert text.endswith(seen)
    (target,) = [ids for ids, is_target in row.runs() if is_target]
    assert seen.endswith(renders[form].tokenizer.decode(target))
    assert text.count("<think>") == seen.count("<think>") + (form == "keeping" and earlier == (f"{THOUGHT}no",))
    assert parsers.text(renders[form].decode(list(target)), example_of(answer)) == "yes"


@pytest.mark.parametrize("earlier", [(), ("no",), (f"{THOUGHT}no",)])
def test_thoughts_behind_closed_ones_are_refused(renders, earlier):
    refused = row_of(example_of(*earlier, f"{THOUGHT}yes"), renders["qwen3"])
    assert isinstance(refused, BadRow)
    assert "holds thoughts (</think>), and a prompt of the chat template ends with closed ones" in refused.value
    assert refused.remedy.startswith("Set thinking: true for the task")


@pytest.mark.parametrize("answers", list(product(["no", f"{THOUGHT}no"], ["yes", f"{THOUGHT}yes"])))
@pytest.mark.parametrize("form", twins.THINKING_FORMS)
def test_earlier_answers_carry_loss_only_where_they_stand_as_they_were_generated(renders, form, answers):
    """Each answer with loss follows its own prompt in the ids of the whole; else the row is refused."""
    render = renders[form]
    example = example_of(*answers, loss="assistant")
    assert example.extra[LOSS_TURNS] == [1]
    row = row_of(example, render)
    if isinstance(row, BadRow):
        assert form != "keeping"
        assert "loss: assistant" in row.value or "holds thoughts" in row.value
        return
    first, last = [ids for ids, is_target in row.runs() if is_target]
    start = render.prompt_ids(example.prompt[:1])
    assert list(row.ids[: len(start)]) == start
    assert list(row.ids[len(start) : len(start) + len(first)]) == list(first)
    assert [render.decode(list(ids)) for ids in (first, last)] == list(answers)


def test_a_rewritten_answer_is_refused_by_name(renders):
    with pytest.raises(ChatTemplateError, match="renders answer 'no' otherwise once further turns follow"):
        finetune.token_row(example_of("no", "yes", loss="assistant"), renders["qwen3"])
