"""Parity with TRL: on a file of `messages`, ids and loss mask are those of `SFTTrainer` with `assistant_only_loss`, row by row.

The chat templates are the official ones of four families, which TRL ships. What differs: TRL's mask also takes in line breaks next to an
answer, before it (Qwen2.5) or behind its end token (Qwen2.5, Gemma), and the token behind a whole conversation (Phi-3). Here an answer
ends with the end token, where generation stops.
"""

import json
from pathlib import Path

import pytest

from pipeline.models.renderer import Renderer
from pipeline.stages import finetune
from tests import preparing, tiny, twins

ROWS = [
    [("system", "the dog"), ("user", "the cat sees ?"), ("assistant", "yes"), ("user", "a dog ."), ("assistant", "no maybe")],
    [("user", "the cat sees ?"), ("assistant", "yes")],
    [("user", "five ?"), ("assistant", "one two\nthree"), ("user", "a dog ."), ("assistant", "no"), ("user", "a"), ("assistant", "b.")],
]
FAMILIES = [("qwen2", "qwen2_5"), ("llama3", "llama3"), ("phi3", "phi3"), ("gemma", "gemma")]


def answers_with_loss(labels, render):
    """The text of each answer with loss, without line breaks next to it and the token behind a whole conversation."""
    answers = [[]]
    for label in labels:
        answers = [*answers, []] if label < 0 else [*answers[:-1], [*answers[-1], label]]
    return [render.tokenizer.decode(answer).strip("\n").removesuffix("<|endoftext|>") for answer in answers if answer]


SCHEMA = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object", "properties": {}}}}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}]}
TOOL_TURNS = [{"role": "user", "content": "a dog ."}, CALL, {"role": "tool", "content": "two"}, {"role": "assistant", "content": "yes"}]
TOOL_ROWS = [{"messages": turns, "tools": [SCHEMA]} for turns in (TOOL_TURNS, TOOL_TURNS[:2], [*TOOL_TURNS, *TOOL_TURNS[:2]])]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of TRL
@pytest.mark.parametrize(("twin", "template"), FAMILIES)
def test_ids_and_mask_are_those_of_trl(twin, template, tmp_path):
    rows = [row for row in ROWS if template != "gemma" or row[0][0] != "system"]
    messages = [{"messages": [{"role": role, "content": text} for role, text in row]} for row in rows]
    compare_with_trl(messages, twin, template, tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of TRL
def test_tools_and_calls_have_the_ids_and_mask_of_trl(tmp_path):
    compare_with_trl(TOOL_ROWS, "qwen2", "qwen2_5", tmp_path)


def compare_with_trl(rows, twin, template, tmp_path):
    import trl
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    twins.make(twin, tmp_path / "base")
    path = tmp_path / "base" / "chat_template.jinja"
    path.write_text((Path(trl.__file__).parent / "chat_templates" / f"{template}.jinja").read_text("utf-8"), "utf-8")
    config = trl.SFTConfig(str(tmp_path), assistant_only_loss=True, max_length=None, use_cpu=True, bf16=False, report_to=[])
    trainer = trl.SFTTrainer(
        AutoModelForCausalLM.from_pretrained(tmp_path / "base"),
        config,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(tmp_path / "base"),
    )

    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (tmp_path / "test.jsonl").write_text('{"prompt": "red ?", "completion": "blue"}\n{"prompt": "a ?", "completion": "no"}\n', "utf-8")
    data = {"train": str(tmp_path / "train.jsonl"), "heldout": str(tmp_path / "test.jsonl")}
    task = preparing.task(prompt="", target="", loss="assistant", data=data)
    preparing.prepare_both(task, tmp_path, tiny.spec(tmp_path / "base"), max_tokens=1000)
    render = Renderer(AutoTokenizer.from_pretrained(tmp_path / "base"))
    examples = sorted(preparing.examples(tmp_path / "train"), key=lambda example: example.id)  # ids end in the line
    assert len(examples) == len(rows) == len(trainer.train_dataset)
    for example, theirs in zip(examples, trainer.train_dataset, strict=True):
        ours = finetune.token_row(example, render)
        assert list(ours.ids) == theirs["input_ids"][: len(ours)]
        assert answers_with_loss(ours.labels, render) == answers_with_loss(theirs["labels"], render)
        if template in ("llama3", "phi3"):  # whose marks begin and end as the answer does
            assert list(ours.labels) == theirs["labels"][: len(ours)]
            assert set(theirs["labels"][len(ours) :]) <= {render.tokenizer.eos_token_id}
