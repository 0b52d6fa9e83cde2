"""The training loop against a plain transformers + peft loop, and what it refuses."""

import csv
import dataclasses
import json
import random

import pytest
import torch

from pipeline import stages
from pipeline.engine import batching, generation, likelihood, training_state
from pipeline.engine.loss import target_loss
from pipeline.engine.seeding import seed_everything
from pipeline.errors import ModelError, TrainingError
from pipeline.machine import Machine
from pipeline.models import adapters, loading, renderer
from pipeline.stages import finetune
from tests import tiny
from tests.interruption import assert_resumes_with_equal_bytes

CPU = torch.device("cpu")


def rows_of(spec, count=16):
    render = renderer.renderer(spec)
    return [batching.TokenRow.from_prompt(render.prompt_ids(e.prompt), render.target_ids(e.prompt, e.target)) for e in tiny.examples(count)]


def fresh(spec, compute="fp32", **changes):
    base = loading.load(spec, "nf4", compute, CPU)
    seed_everything(0)
    model = adapters.attach(base, tiny.FINETUNE | changes)
    with torch.no_grad():  # B starts at zero; gradients of A would all be zero too
        for name, value in adapters.trainable_parameters(model).items():
            if "lora_B" in name:
                value.normal_(0, 0.05)
    return model


def plain_loop(model, rows, autocast):
    """Loss and gradients as anybody would write them: one example at a time, labels, no helper of ours."""
    model.train()
    total, loss_sum = sum(row.target_count for row in rows), 0.0
    for row in rows:
        ids = torch.tensor([row.ids])
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits = model(input_ids=ids).logits[0]
        wanted = ids[0, len(row) - row.target_count :]
        loss = torch.nn.functional.cross_entropy(logits[len(row) - row.target_count - 1 : -1].float(), wanted, reduction="sum") / total
        loss.backward()
        loss_sum += float(loss.detach())
    return loss_sum, gradients(model)


def gradients(model):
    return torch.cat([value.grad.flatten() for value in adapters.trainable_parameters(model).values()])


def relative(a, b):
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize(("compute", "tolerance"), [("fp32", 1e-5), ("bf16", 2e-2)])
@pytest.mark.parametrize("layout", ["one pack", "some packs", "16 x 1", "2 x 8", "one batch"])
def test_step_equals_a_plain_loop(model, compute, tolerance, layout):
    rows = rows_of(model)
    tuned = fresh(model, compute)
    try:
        expected_loss, expected = plain_loop(tuned, rows, compute == "bf16")
        tuned.zero_grad()
        budget = {"16 x 1": 1, "2 x 8": 8 * max(map(len, rows)), "some packs": 2 * max(map(len, rows))}.get(layout, 10_000)
        loss = finetune.Passes(tuned, compute, 0, "pack" in layout).gradients(rows, budget)
        assert loss == pytest.approx(expected_loss, rel=tolerance)
        assert relative(gradients(tuned), expected) < tolerance
    finally:
        tuned.unload()


def two_spans(seed):
    """A conversation: two answers carry loss, what stands before, between and after them does not."""
    draw = random.Random(seed)
    spans = [
        (draw.randint(1, 9), False),
        (draw.randint(1, 5), True),
        (draw.randint(1, 9), False),
        (draw.randint(1, 5), True),
        (seed % 3, False),
    ]
    is_target = tuple(target for size, target in spans for _ in range(size))
    return batching.TokenRow(tuple(draw.randrange(4, 90) for _ in is_target), is_target)


@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize("budget", [1, 60, 10_000])
def test_a_row_with_two_target_spans_has_the_loss_of_transformers(model, packing, budget):
    rows = [two_spans(seed) for seed in range(8)]
    tuned = fresh(model)
    try:
        tuned.train()
        losses = [tuned(input_ids=torch.tensor([row.ids]), labels=torch.tensor([row.labels])).loss * row.target_count for row in rows]
        expected = sum(losses) / sum(row.target_count for row in rows)
        expected.backward()
        expected_gradients = gradients(tuned)
        tuned.zero_grad()
        assert finetune.Passes(tuned, "fp32", 0, packing).gradients(rows, budget) == pytest.approx(float(expected.detach()), rel=1e-5)
        assert relative(gradients(tuned), expected_gradients) < 1e-5
        tuned.eval()
        assert likelihood.row_logprobs(tuned, rows, 0) == pytest.approx([-float(loss.detach()) for loss in losses], rel=1e-4)
    finally:
        tuned.unload()


def test_a_row_has_a_mask_as_long_as_its_ids_and_no_target_that_nothing_precedes():
    assert batching.TokenRow.from_prompt((7, 8), (9,)) == batching.TokenRow((7, 8, 9), (False, False, True))
    with pytest.raises(ValueError, match="3 ids, but a mask of 2"):
        batching.TokenRow((7, 8, 9), (False, True))
    with pytest.raises(ValueError, match="first token"):
        batching.TokenRow.from_prompt((), (7, 8))


def test_layouts_are_what_they_say(model):
    lengths = [len(row) for row in rows_of(model)]
    assert len(batching.padded_batches(lengths, 1)) == 16
    assert len(batching.padded_batches(lengths, 8 * max(lengths))[0]) == 8
    assert sorted(i for group in batching.padded_batches(lengths, 50) for i in group) == list(range(16))


@pytest.mark.parametrize("budget", [1, 9, 20, 37, 1000])
def test_packs_hold_every_row_once_within_the_budget(budget):
    lengths = [9, 3, 20, 1, 7, 7, 12, 2, 9]
    batches = batching.packed_batches(lengths, budget)
    assert sorted(i for pack in batches for i in pack) == list(range(9))
    assert all(sum(lengths[i] for i in pack) <= budget or len(pack) == 1 for pack in batches)
    if budget == 20:  # 20 | 12 7 1 | 9 9 2 | 7 3; padded to the longest of a group they would be five
        assert batches == [[2], [6, 4, 3], [0, 8, 7], [5, 1]]
        assert len(batching.padded_batches(lengths, budget)) == 5


def test_training_after_an_evaluation_has_the_same_gradients(model):
    rows = rows_of(model)

    def train(evaluate):
        tuned = fresh(model, "bf16")
        passes = finetune.Passes(tuned, "bf16", 0)
        passes.gradients(rows, 4096)
        if evaluate:
            passes.mean_loss(rows, 4096)
            with torch.inference_mode():
                tuned(input_ids=torch.tensor([[1, 5, 6]]))
            generation.generate(tuned, [[1, 5, 6]], generation.StopConditions(4, (2,)), 0)
        passes.gradients(rows, 4096)
        values = gradients(tuned)
        tuned.unload()
        return values

    assert torch.equal(train(evaluate=True), train(evaluate=False))


@pytest.fixture
def train_part(tmp_path):
    return tiny.write_part(tmp_path / "train", tiny.examples(40), tiny.examples(8, 100))


def curve_of(out):
    return list(csv.DictReader((out / "curve.csv").read_text().splitlines()))


def run(tmp_path, model, train_part, name="out", machine=None, **changes):
    work = tiny.work(tmp_path / name, {"model": model, **tiny.FINETUNE, **changes}, machine, train=train_part)
    return finetune.run(work), work.out


def test_it_learns_and_writes_what_plain_peft_reads(tmp_path, model, train_part):
    facts, out = run(tmp_path, model, train_part, epochs=6)
    curve = curve_of(out)
    assert float(curve[-1]["dev_loss"]) < 0.5 * float(curve[2]["dev_loss"])
    assert facts["steps"] == len(curve) == 30
    assert len(facts["targets"]) == 14
    config = json.loads((out / "adapter_config.json").read_text())
    assert config["target_modules"] == sorted(config["target_modules"])  # a set's order differs between processes
    assert facts["trainable_parameters"] * 4 < facts["adapter_bytes"] < facts["trainable_parameters"] * 4 + 10_000
    from peft import PeftModel

    loaded = PeftModel.from_pretrained(loading.load(model, "nf4", "fp32", CPU), out)
    assert not adapters.neutral_tensors(loaded)
    loaded.unload()


def test_equal_runs_give_equal_bytes_and_another_seed_does_not(tmp_path, model, train_part):
    def content(name, **changes):
        _, out = run(tmp_path, model, train_part, name, **changes)
        return {path.name: path.read_bytes() for path in out.iterdir()}

    first = content("a")
    assert content("b") == first
    assert content("c", seed=1)["adapter_model.safetensors"] != first["adapter_model.safetensors"]


def test_packed_training_takes_the_same_course(tmp_path, model, train_part, monkeypatch):
    padded, _ = run(tmp_path, model, train_part, "padded", epochs=3)

    def refuse(*rows):
        raise AssertionError("a packed run pads nothing")

    monkeypatch.setattr(batching, "padded", refuse)
    packed, _ = run(tmp_path, model, train_part, "packed", Machine(device="cpu", tokens=60), epochs=3, packing=True)
    losses = [[float(row["loss"]) for row in curve_of(tmp_path / name)] for name in ("padded", "packed")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert packed["dev_loss"] == pytest.approx(padded["dev_loss"], rel=1e-3)
    assert packed["tokens"] == padded["tokens"]


def test_best_is_kept_unless_last_is_asked_for(tmp_path, model):
    contrary = [dataclasses.replace(e, target="a cat sees" if e.target == "yes" else "the dog") for e in tiny.examples(8)]
    train_part = tiny.write_part(tmp_path / "train", tiny.examples(40), contrary)  # learning the one is unlearning the other
    changes = {"epochs": 8}
    best, _ = run(tmp_path, model, train_part, "best", **changes)
    last, _ = run(tmp_path, model, train_part, "last", keep="last", **changes)
    assert best["kept_step"] < best["steps"] == last["kept_step"]
    assert best["dev_loss"] < last["dev_loss"]


@pytest.mark.parametrize(
    "changes", [{"dora": True}, {"rslora": True}, {"dropout": 0.1}, {"targets": ["q_proj", "v_proj"]}, {"quantization": "none"}]
)
def test_every_option_trains(tmp_path, model, train_part, changes):
    facts, out = run(tmp_path, model, train_part, max_steps=2, **changes)
    config = json.loads((out / "adapter_config.json").read_text())
    assert config["use_dora"] == changes.get("dora", False)
    assert config["use_rslora"] == changes.get("rslora", False)
    assert len(facts["targets"]) == (4 if "targets" in changes else 14)


@pytest.mark.parametrize("rank", [1, 8])
@pytest.mark.parametrize("rslora", [True, False])
def test_the_scale_is_the_same_at_every_rank(model, rank, rslora):
    tuned = fresh(model, rank=rank, rslora=rslora)
    scales = {round(module.scaling["default"], 9) for module in tuned.modules() if hasattr(module, "lora_A")}
    tuned.unload()
    assert scales == {2.0}


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_no_step_of_a_short_run_is_lost_to_the_warm_up(tmp_path, model, train_part, schedule, steps):
    facts, out = run(tmp_path, model, train_part, max_steps=steps, warmup=0.5, schedule=schedule)
    rates = [float(row["learning_rate"]) for row in csv.DictReader((out / "curve.csv").read_text("utf-8").splitlines())]
    assert facts["steps"] == len(rates) == steps
    assert rates[0] == tiny.FINETUNE["learning_rate"]
    assert min(rates) > 0


@pytest.mark.parametrize(
    ("steps", "share", "warmup"),
    [(1, 0.03, 0), (1, 0.0, 0), (2, 0.03, 0), (3, 0.9, 0), (4, 0.03, 1), (4, 0.9, 4), (100, 0.03, 3), (101, 0.03, 4)],
)
def test_the_warm_up_is_a_share_of_the_steps(steps, share, warmup):
    assert training_state.warmup_steps(steps, share) == warmup


@pytest.mark.parametrize(
    ("changes", "is_moved"),
    [
        ({"max_steps": 1}, False),  # such an adapter was refused as dead, so there is none
        ({"max_steps": 2}, True),
        ({"max_steps": 3}, True),
        ({"max_steps": 4}, False),
        ({"max_steps": 2, "warmup": 0.0}, False),
        ({"batch_examples": 16}, True),
        ({"batch_examples": 16, "epochs": 2}, False),
    ],
)
def test_keys_move_only_where_the_warm_up_took_a_step(changes, is_moved):
    """Of 48 examples, of which the plan knows only how many were asked for."""
    params = tiny.FINETUNE | {"warmup": 0.03} | changes
    version = stages.find("finetune").version(params, {"train": {"examples": 48}})
    assert (version != finetune.VERSION) == is_moved
    assert stages.find("finetune").version(params) == finetune.VERSION


def test_a_target_that_is_not_there_is_named(tmp_path, model, train_part):
    with pytest.raises(ModelError, match=r"no linear module 'q_pro'.*\n.*'q_proj'"):
        run(tmp_path, model, train_part, targets=["q_pro", "v_proj"])


def test_a_loss_that_is_not_a_number_stops(tmp_path, model, train_part):
    with pytest.raises(TrainingError, match=r"(nan|inf).* at step \d+"):
        run(tmp_path, model, train_part, learning_rate=1e20, warmup=0.0, max_grad_norm=1e20)


def test_a_frozen_loss_stops(model):
    tuned = fresh(model)
    state = training_state.TrainingState(
        adapters.trainable_parameters(tuned), torch.optim.AdamW(adapters.trainable_parameters(tuned).values()), None, 4096
    )
    with torch.no_grad():
        for value in state.tensors.values():
            value.zero_()  # with A and B both zero no gradient can ever arise
    with pytest.raises(TrainingError, match="no gradient reaches the adapter at step 1"):
        finetune.optimizer_step(finetune.Passes(tuned, "fp32", 0), state, rows_of(model), 1.0)
    tuned.unload()


def test_nothing_to_learn_stops(model):
    tuned = fresh(model)
    with pytest.raises(TrainingError, match="no target token"):
        finetune.Passes(tuned, "fp32", 0).gradients([batching.TokenRow.from_prompt((1, 5), ())], 4096)
    tuned.unload()


@pytest.mark.parametrize(("compute", "changes"), [("fp32", {"dropout": 0.2}), ("bf16", {}), ("bf16", {"packing": True})])
def test_dequantized_weights_train_the_same_bytes_as_4_bit_ones(tmp_path, model, train_part, compute, changes):
    facts = {}
    for residency in ("packed", "dequantized", "auto"):
        here = Machine(device="cpu", residency=residency)
        facts[residency], _ = run(tmp_path, model, train_part, residency, here, compute=compute, max_steps=4, **changes)
    assert [facts[name]["dense"] for name in ("packed", "dequantized", "auto")] == [False, True, True]
    first, *others = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in facts]
    assert first == others[0] == others[1]


def test_out_of_memory_drops_dequantized_weights_before_it_makes_passes_smaller(tmp_path, model, train_part, monkeypatch, capsys):
    """Unless they are asked for: then passes get smaller at once."""
    import bitsandbytes

    real = target_loss

    def guarded(tuned, batch):
        dense = any("forward" in vars(module) for module in tuned.modules() if isinstance(module, bitsandbytes.nn.Linear4bit))
        if dense and batch["input_ids"].numel() > 60:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(tuned, batch)

    run(tmp_path, model, train_part, "roomy", max_steps=3)
    monkeypatch.setattr(finetune, "target_loss", guarded)
    packed, _ = run(tmp_path, model, train_part, "packed", max_steps=3)
    assert not packed["dense"]
    assert packed["micro_tokens"] > 60
    assert capsys.readouterr().err.count("the weights are held in 4 bit from now on") == 1
    roomy, tight = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("roomy", "packed")]
    assert roomy == tight
    required, _ = run(tmp_path, model, train_part, "required", Machine(device="cpu", residency="dequantized"), max_steps=3)
    assert required["dense"]
    assert required["micro_tokens"] <= 60


def small_memory(monkeypatch, limit):
    """As on a GPU with room for `limit` padded tokens: a larger pass raises what torch raises, after half of the work is done."""
    real, seen = target_loss, []

    def guarded(model, batch):
        seen.append(batch["input_ids"].numel())
        if seen[-1] > limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(model, batch)

    monkeypatch.setattr(finetune, "target_loss", guarded)
    return seen


def test_out_of_memory_halves_the_micro_batch_and_changes_nothing_else(tmp_path, model, train_part, monkeypatch, capsys):
    changes = {"dropout": 0.0, "max_steps": 3}
    run(tmp_path, model, train_part, "roomy", **changes)
    seen = small_memory(monkeypatch, 60)
    facts, _ = run(tmp_path, model, train_part, "tight", **changes)
    assert max(seen) > 60 >= facts["micro_tokens"]
    assert capsys.readouterr().err.count("micro-batches of") <= 2
    a, b = ([float(row["loss"]) for row in curve_of(tmp_path / name)] for name in ("roomy", "tight"))
    assert a == pytest.approx(b, rel=1e-4)


def test_out_of_memory_in_the_middle_of_a_step_leaves_no_half_gradient(tmp_path, model, train_part, monkeypatch):
    small = Machine(device="cpu", tokens=60)
    run(tmp_path, model, train_part, "roomy", small, max_steps=3)
    real, calls = target_loss, iter(range(10_000))

    def guarded(model, batch):
        if next(calls) == 1:  # the first micro-batch of the step has left its gradient
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(model, batch)

    monkeypatch.setattr(finetune, "target_loss", guarded)
    run(tmp_path, model, train_part, "tight", small, max_steps=3)
    a, b = ([(float(row["loss"]), float(row["grad_norm"])) for row in curve_of(tmp_path / name)] for name in ("roomy", "tight"))
    for x, y in zip(a, b, strict=True):
        assert x == pytest.approx(y, rel=1e-4)


def test_one_example_that_does_not_fit_is_an_error(tmp_path, model, train_part, monkeypatch):
    small_memory(monkeypatch, 5)
    with pytest.raises(TrainingError, match=r"out of memory on a single example of \d+ tokens"):
        run(tmp_path, model, train_part)


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_run_that_goes_on_ends_with_the_same_bytes(tmp_path, model, train_part, dropout):
    always = Machine(device="cpu", save_seconds=0.0)
    assert_resumes_with_equal_bytes(
        lambda folder: run(tmp_path, model, train_part, folder.name, always, dropout=dropout, epochs=2), tmp_path
    )


# The placebo


def test_shuffled_labels_keep_prompts_and_the_mix_of_targets():
    rows = tiny.examples(40)
    shuffled = finetune.shuffled(rows, 0)
    assert [row.prompt for row in shuffled] == [row.prompt for row in rows]
    assert sorted(row.target for row in shuffled) == sorted(row.target for row in rows)
    moved = [one.target != other.target for one, other in zip(shuffled, rows, strict=True)]
    assert 10 < sum(moved) < 30  # two targets, half of each: half of the rows get the other one
    assert finetune.shuffled(rows, 1) != shuffled == finetune.shuffled(rows, 0)


def test_a_placebo_is_trained_as_if_its_labels_were_the_shuffled_ones(tmp_path, model):
    rows, dev = tiny.examples(24), tiny.examples(6, 100)
    parts = {"right": (rows, dev), "shuffled": (finetune.shuffled(rows, 0), finetune.shuffled(dev, 0))}
    folders = {name: tiny.write_part(tmp_path / f"{name}-train", *part) for name, part in parts.items()}
    curves = {}
    for name, part, more in (("tuned", "right", {}), ("placebo", "right", {"placebo": "shuffled_labels"}), ("same", "shuffled", {})):
        work = tiny.work(tmp_path / name, {"model": model, **tiny.FINETUNE, **more}, train=folders[part])
        finetune.run(work)
        curves[name] = (work.out / "curve.csv").read_text()
    assert curves["placebo"] == curves["same"] != curves["tuned"]
