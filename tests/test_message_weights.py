"""`weight: 0` of OpenAI's messages is followed through training: the loss covers exactly the answers without it."""

import csv
import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipeline.stages import finetune
from tests import preparing, tiny, twins

WEIGHTS = {
    "all": [(None, None, None), (1, 1, 1)],
    "first without": [(0, None, 1), (0, 1, None)],
    "last without": [(1, None, 0), (None, 0, 0)],
    "one only": [(0, 1, 0), (0, 0, 1)],
}
TURNS = [("the cat sees ?", "yes no"), ("a dog .", "three four five"), ("red ?", "blue")]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "base"
    return twins.make("qwen2", folder)


def conversation(place, weights):
    """Three questions with answers; `place` tells the conversations apart."""
    messages = []
    for (question, answer), weight in zip(TURNS, weights, strict=True):
        messages += [
            {"role": "user", "content": f"{twins.WORDS[place]} {question}"},
            {"role": "assistant", "content": f"{answer} {twins.WORDS[-3 - place]}"},
        ]
        messages[-1] |= {} if weight is None else {"weight": weight}
    return messages


def trained_loss(conversations, base, folder):
    """The loss of the first step, whose adapter changes nothing yet, and how many tokens it covered."""
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in conversations), "utf-8")
    (folder / "test.jsonl").write_text('{"prompt": "green ?", "completion": "one"}\n{"prompt": "bird ?", "completion": "no"}\n', "utf-8")
    data = {"train": str(folder / "train.jsonl"), "heldout": str(folder / "test.jsonl")}
    preparing.prepare_both(preparing.task(prompt="", target="", loss="assistant", data=data), folder, base, max_tokens=1000)
    params = tiny.FINETUNE | {"model": base, "quantization": "none", "batch_examples": len(conversations), "max_steps": 1}
    facts = finetune.run(tiny.work(folder / "adapter", params, train=folder / "train"))
    with (folder / "adapter" / "curve.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    return float(row["loss"]), facts["target_tokens"]


def plain_loss(conversations, folder):
    """The same by nothing but transformers: ChatML written out, the answers found by their characters, one row at a time."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    total, count = 0.0, 0
    for messages in conversations:
        text, spans = "", []
        for message in messages:
            text += f"<|im_start|>{message['role']}\n"
            if message["role"] == "assistant" and message.get("weight") != 0:
                spans.append((len(text), len(text + message["content"] + "<|im_end|>")))
            text += message["content"] + "<|im_end|>\n"
        tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids = torch.tensor(tokens["input_ids"])
        with torch.no_grad():
            logprobs = torch.log_softmax(model(input_ids=ids[None]).logits[0], dim=-1)
        for place, (start, end) in enumerate(tokens["offset_mapping"]):
            if any(first <= start and end <= last for first, last in spans):
                total, count = total - float(logprobs[place - 1, ids[place]]), count + 1
    return total / count, count


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_loss_covers_the_answers_that_have_weight_and_no_others(name, base, tmp_path):
    conversations = [conversation(place, weights) for place, weights in enumerate(WEIGHTS[name])]
    loss, tokens = trained_loss(conversations, base, tmp_path / "run")
    expected, count = plain_loss(conversations, base["folder"])
    assert tokens == count
    assert loss == pytest.approx(expected, rel=1e-5)
