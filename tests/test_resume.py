"""A damaged resume point is set aside with a word, its work is done again, and the same bytes come out."""

import json

import pytest
import torch

from pipeline.engine import greedy, resumable
from pipeline.machine import Machine
from pipeline.stages import finetune, generate
from pipeline.store.row_log import RowLog, encode_row
from tests import tiny
from tests.interruption import calls_of

ALWAYS = Machine(device="cpu", save_seconds=0.0)


def flip(data, place=0.5):
    """The bytes with one bit turned over."""
    position = int(len(data) * place)
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


STATES = {
    "empty": lambda data: b"",
    "garbage": lambda data: b"garbage\n" * 100,
    "cut off": lambda data: data[: len(data) // 2],
    "a bit of a tensor": flip,
    "a bit near the end": lambda data: flip(data, 0.9),
    "a bit near the start": lambda data: flip(data, 0.05),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, model, train_part):
    """What a training writes, and the folder of one that was killed."""
    root = tmp_path_factory.mktemp("trained")
    params = {"model": model, **tiny.FINETUNE, "dropout": 0.2}
    whole = tiny.work(root / "whole", params, ALWAYS, train=train_part)
    finetune.run(whole)
    broken = tiny.work(root / "broken", params, ALWAYS, train=train_part)
    with calls_of(finetune, "optimizer_step", 4):
        finetune.run(broken)
    return whole, broken, (broken.resume / "state.pt").read_bytes()


@pytest.mark.parametrize("name", STATES)
def test_a_damaged_state_begins_training_anew(trained, name, capsys):
    whole, broken, state = trained
    (broken.resume / "state.pt").write_bytes(STATES[name](state))
    finetune.run(broken)
    assert "state.pt: it is damaged" in capsys.readouterr().err
    assert (broken.resume / "state.pt.damaged").read_bytes() == STATES[name](state)
    for file in ("adapter_model.safetensors", "curve.csv", "adapter_config.json"):
        assert (whole.out / file).read_bytes() == (broken.out / file).read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.pop("random"),
        lambda values: values["tensors"].popitem(),
        lambda values: values["optimizer"].update(param_groups=[]),
        lambda values: values.update(more=1),
    ],
)
def test_a_state_of_another_form_begins_training_anew(trained, change, capsys):
    whole, broken, state = trained
    path = broken.resume / "state.pt"
    path.write_bytes(state)
    values = torch.load(path, weights_only=True)
    change(values)
    torch.save(values, path)
    finetune.run(broken)
    assert "training begins anew" in capsys.readouterr().err
    assert (whole.out / "adapter_model.safetensors").read_bytes() == (broken.out / "adapter_model.safetensors").read_bytes()


LOGS = {
    "a bad line": lambda lines: [lines[0], b"{garbage\n", *lines[2:]],
    "bytes that are no text": lambda lines: [b"\xff\xfe\n", *lines[1:]],
    "a changed value": lambda lines: [lines[0], lines[1].replace(b'"tokens": ', b'"tokens": 1'), *lines[2:]],
    "a lost line end": lambda lines: [lines[0].rstrip(b"\n"), *lines[1:]],
    "a line that is no row": lambda lines: [*lines, b"[1, 2]\n", b"null\n"],
    "a row of something else": lambda lines: [*lines, encode_row({"row": 999, "value": {}}), encode_row({"row": 0, "value": {"text": 1}})],
    "deep nesting": lambda lines: [b"[" * 100_000 + b"\n", *lines],
    "all garbage": lambda lines: [b"garbage\n" * 20],
}


@pytest.mark.parametrize("name", LOGS)
def test_damaged_lines_of_answers_are_answered_again(tmp_path, model, name, capsys):
    heldout = tiny.write_part(tmp_path / "heldout", tiny.examples(16, 200))
    work = tiny.work(tmp_path / "out", {"model": model, **tiny.GENERATE}, Machine(device="cpu", tokens=60), heldout=heldout)
    generate.run(work)
    whole = (work.out / "predictions.jsonl").read_bytes()
    log = work.resume / "answers.jsonl"
    damaged = b"".join(LOGS[name](log.read_bytes().splitlines(keepends=True)))
    log.write_bytes(damaged)
    capsys.readouterr()
    with calls_of(greedy, "decode") as calls:
        generate.run(work)
    output = capsys.readouterr().err
    assert "answers.jsonl.damaged" in output
    assert "lines are damaged" in output
    assert (work.out / "predictions.jsonl").read_bytes() == whole
    assert (log.with_name("answers.jsonl.damaged")).read_bytes() == damaged
    next_question_start = sum(len(prompts) for _, prompts, *_ in calls)
    assert next_question_start == 16 if name == "all garbage" else next_question_start < 16  # the whole lines are taken
    with RowLog(log) as resumed:
        assert {row["row"] for row in resumed.rows} == set(range(16))


def test_lines_of_an_older_version_are_taken(tmp_path):
    path = tmp_path / "values.jsonl"
    path.write_text("".join(json.dumps({"row": row, "value": row * 1.5}) + "\n" for row in range(3)))
    assert resumable.compute_resumably(path, [[0, 1], [2]], pytest.fail, "scoring", "answers") == [0.0, 1.5, 3.0]


@pytest.mark.parametrize("damage", [b"garbage\n", b'{"row": 1, "value": null}\n', b'{"row": 1, "value": 2.0}\t00000000\n', b"{}\n"])
def test_every_stage_that_keeps_rows_does_damaged_ones_again(tmp_path, damage, capsys):
    path = tmp_path / "values.jsonl"
    path.write_bytes(encode_row({"row": 0, "value": 7.0}) + damage)
    assert resumable.compute_resumably(path, [[0], [1]], lambda batch: [row * 1.5 for row in batch], "scoring", "answers") == [7.0, 1.5]
    assert "1 of 2 lines are damaged" in capsys.readouterr().err
