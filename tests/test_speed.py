"""speed: what holds whatever the machine: counts, shapes, relations, and that the base is timed without its adapter."""

import json
from dataclasses import replace
from itertools import count
from statistics import median
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from pipeline.engine import choices, timing
from pipeline.errors import DataError, MachineError
from pipeline.measures import speed_summary
from pipeline.models import loading, renderer
from pipeline.stages import speed
from tests import tiny

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, train_part, adapter):
    heldout_part = tiny.write_part(tmp_path_factory.mktemp("speed") / "heldout", tiny.examples(9, 200))
    return {"heldout": heldout_part, "train": train_part, "adapter": adapter}


def run(tmp_path, model, inputs, **changes):
    params = {"model": model, "quantization": "nf4", "compute": "fp32", "prompts": 4, "new_tokens": 5, "shots": 0, "shots_seed": 0}
    params |= {"constrained": [], "constrain": ""}
    work = tiny.work(tmp_path / "out", {**params, "dense": False, "answer_tokens": 5, **changes}, **inputs)
    facts = speed.run(work)
    return facts, speed_summary.summarize(json.loads((work.out / "speed.json").read_text()))


def test_the_shape_of_what_is_told(tmp_path, model, inputs):
    facts, speed = run(tmp_path, model, inputs)
    assert list(speed["arms"]) == ["base", "tuned"]
    assert (speed["new_tokens"], speed["prompts"], speed["context_window"]) == (5, 4, 256)
    assert speed["adapter_bytes"] == (inputs["adapter"] / "adapter_model.safetensors").stat().st_size
    rows = speed["arms"]
    assert {row["peak_bytes"] for row in rows.values()} == {None}  # a process on a CPU holds what came before, too
    adapter = load_file(inputs["adapter"] / "adapter_model.safetensors")
    assert rows["tuned"]["weight_bytes"] - rows["base"]["weight_bytes"] == sum(4 * tensor.numel() for tensor in adapter.values())
    assert facts == {"p50": {name: arm["p50"] for name, arm in speed["arms"].items()}}
    pairs = zip(rows["tuned"]["latency"], rows["base"]["latency"], strict=True)
    assert speed["overhead"] == {"tuned": pytest.approx(median(tuned / base for tuned, base in pairs))}


def test_relations_that_hold_on_any_machine(tmp_path, model, inputs):
    _, speed = run(tmp_path, model, inputs)
    lengths = [len(renderer.renderer(model).prompt_ids(example.prompt)) for example in tiny.examples(4, 200)]
    for arm in speed["arms"].values():
        assert len(arm["latency"]) == len(arm["first"]) == 4
        assert all(0 < first < whole for first, whole in zip(arm["first"], arm["latency"], strict=True))
        assert min(arm["latency"]) <= arm["p50"] <= arm["max"] == max(arm["latency"])
        assert arm["prompt_tokens"] == sum(lengths) / 4
        rates = [length / first for length, first in zip(lengths, arm["first"], strict=True)]
        assert arm["prompt_tokens_per_second"] == pytest.approx(median(rates))
        behind = [4 / (whole - first) for first, whole in zip(arm["first"], arm["latency"], strict=True)]
        assert arm["tokens_per_second"] == pytest.approx(median(behind))


def test_the_first_token_is_the_one_behind_the_prompt(model, monkeypatch):
    ticks = count()
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    answer = timing.time_generation(loading.load(model, "nf4", "fp32", CPU), [1, 40, 50], 4, 0)
    assert answer.first_token == 2  # start, prompt, first token
    assert answer.latency == 6


def summary(arms, new_tokens):
    further = {"new_tokens": new_tokens, "untimed": None, "adapter_bytes": 0, "context_window": None}
    measured = json.loads(json.dumps({"arms": {arm.name: arm.measurements() for arm in arms}, **further}))
    return speed_summary.summarize(measured)


def test_the_artifact_holds_measurements_alone(tmp_path, model, inputs):
    run(tmp_path, model, inputs)
    written = json.loads((tmp_path / "out" / "speed.json").read_text())
    assert set(written) == {"arms", "new_tokens", "untimed", "adapter_bytes", "context_window"}
    assert {frozenset(arm) for arm in written["arms"].values()} == {
        frozenset({"prompt_lengths", "latency", "first", "ranks", "weight_bytes", "peak_bytes"})
    }


def test_an_artifact_that_holds_its_figures_already_is_read_as_it_is():
    arm = {"latency": [1.0], "first": [0.5], "p50": 7.0, "tokens_per_second": 3.0}
    old = {"arms": {"base": arm}, "overhead": {}, "new_tokens": 2, "prompts": 1}
    assert speed_summary.summarize(old) == old | {"arms": {"base": {"p95": None, "max": 1.0} | arm}}


@pytest.mark.parametrize(("requests", "p95"), [(21, (None, None)), (39, (None, None)), (41, (39, 78))])
def test_the_quantiles_and_overheads_of_known_times(requests, p95):
    times = {"base": range(1, requests + 1), "tuned": range(2, 2 * requests + 1, 2)}
    arms = [timing.ArmTimer(name, None, None, [[1, 2]] * requests, [], [*map(float, row)], [0.5] * requests) for name, row in times.items()]
    speed = summary(arms, 3)
    middle = (requests + 1) / 2
    assert [(arm["p50"], arm["max"]) for arm in speed["arms"].values()] == [(middle, requests), (2 * middle, 2 * requests)]
    assert tuple(arm["p95"] for arm in speed["arms"].values()) == p95
    assert speed["overhead"] == {"tuned": 2}


def test_fewer_examples_than_asked_for_are_all_timed(tmp_path, model, inputs):
    _, speed = run(tmp_path, model, inputs, prompts=50, new_tokens=2)
    assert speed["prompts"] == len(speed["arms"]["base"]["latency"]) == 9


def test_exactly_so_many_tokens_even_if_the_model_would_stop(model):
    base, ids = loading.load(model, "nf4", "fp32", CPU), renderer.renderer(model).prompt_ids("the cat ?")
    free = timing.time_generation(base, ids, 6, 0).tokens
    ends = base.generation_config.eos_token_id
    base.generation_config.eos_token_id = [2, free[0]]
    try:
        answer = timing.time_generation(base, ids, 6, 0)
    finally:
        base.generation_config.eos_token_id = ends
    assert len(answer.tokens) == 6
    assert free[0] not in answer.tokens
    assert len(timing.time_generation(base, ids, 1, 0).tokens) == 1


def test_one_new_token_has_no_rate_behind_the_first(tmp_path, model, inputs):
    _, speed = run(tmp_path, model, inputs, new_tokens=1)
    assert {arm["tokens_per_second"] for arm in speed["arms"].values()} == {None}


def test_the_base_is_timed_without_adapter_layers_and_tuned_with_them(tmp_path, model, inputs, monkeypatch):
    seen, real = [], timing.time_generation

    def watched(model, ids, new_tokens, pad):
        seen.append((any("lora_A" in name for name, _ in model.named_modules()), tuple(ids)))
        return real(model, ids, new_tokens, pad)

    monkeypatch.setattr(timing, "time_generation", watched)
    run(tmp_path, model, inputs)
    assert [tuned for tuned, _ in seen] == [False, True] * 5  # one warm-up an arm, then the arms in turn
    prompts = [tuple(renderer.renderer(model).prompt_ids(example.prompt)) for example in tiny.examples(4, 200)]
    assert [ids for _, ids in seen] == [max(prompts, key=len)] * 2 + [ids for ids in prompts for _ in range(2)]


def test_an_adapter_that_was_taken_off_comes_back(model, inputs):
    base, ids = loading.load(model, "nf4", "fp32", CPU), torch.tensor([[1, 40, 50, 60]])
    with torch.inference_mode():
        plain = base(ids).logits
        with loading.adapted(base, inputs["adapter"]) as tuned:
            before = tuned(ids).logits
            with timing.adapter_removed(tuned):
                assert torch.equal(base(ids).logits, plain)
            assert torch.equal(tuned(ids).logits, before)
            assert not torch.equal(before, plain)
        assert torch.equal(base(ids).logits, plain)


def test_as_many_tokens_are_timed_as_the_longest_prompt_leaves_room_for(tmp_path, model, inputs):
    assert speed.fitting([[1] * 9, [1] * 250], 256, 5) == ([[1] * 9, [1] * 250], 5)
    assert speed.fitting([[1] * 9, [1] * 254], 256, 5)[1] == 2
    for prompts, problem in (([[1] * 256], "a prompt of 256 tokens fills the context window of 256"), ([], "no test examples")):
        with pytest.raises(DataError, match=problem):
            speed.fitting(prompts, 256, 5)


def test_a_request_that_the_machine_held_up_changes_no_rate():
    arms = [timing.ArmTimer(name, None, None, [[1] * 8] * 5, [], [1.0] * 5, [0.5] * 5) for name in ("base", "tuned")]
    arms[1].latency[2] = arms[1].first_token[2] = 40.0
    arms[1].latency[2] += 1
    speed = summary(arms, 3)
    assert speed["overhead"] == {"tuned": 1}
    assert {(arm["prompt_tokens_per_second"], arm["tokens_per_second"]) for arm in speed["arms"].values()} == {(16, 4)}


def test_examples_leave_room_for_the_answer_that_the_arm_may_write(tmp_path, model, inputs):
    _, short = run(tmp_path / "a", model, inputs, shots=4)
    _, long = run(tmp_path / "b", model, inputs, shots=4, answer_tokens=240)
    rows = tiny.examples(9, 200)
    rows[-1] = replace(rows[-1], extra={"choice_tokens": 240})  # it is not timed, but the arms have one limit for all
    marked = inputs | {"heldout": tiny.write_part(tmp_path / "marked", rows)}
    _, raised = run(tmp_path / "c", model, marked, shots=4)
    assert "base_fewshot" in short["arms"]
    assert "base_fewshot" not in {*long["arms"], *raised["arms"]}  # none fits any more, and the base is timed already


def test_few_shot_has_longer_prompts(tmp_path, model, inputs):
    _, speed = run(tmp_path, model, inputs, shots=2)
    assert list(speed["arms"]) == ["base", "tuned", "base_fewshot"]
    assert speed["arms"]["base_fewshot"]["prompt_tokens"] > 1.5 * speed["arms"]["base"]["prompt_tokens"]
    assert set(speed["overhead"]) == {"tuned", "base_fewshot"}


def test_weights_that_are_not_quantized_are_timed_as_they_came(tmp_path, model, inputs, monkeypatch):
    seen, real = [], timing.time_generation

    def watched(model, ids, new_tokens, pad):
        seen.append(kinds_of(model))
        return real(model, ids, new_tokens, pad)

    monkeypatch.setattr(timing, "time_generation", watched)
    _, speed = run(tmp_path, model, inputs, dense=True)
    assert seen == [("4 bit",), ("4 bit", "adapter"), ("dense",), *[("4 bit",), ("4 bit", "adapter"), ("dense",)] * 4]
    assert list(speed["arms"]) == ["base", "tuned", "base_bf16"]
    assert len(speed["arms"]["base_bf16"]["latency"]) == 4
    assert set(speed["overhead"]) == {"tuned", "base_bf16"}
    assert speed["untimed"] is None


def test_a_merged_model_without_its_wrappers_has_the_shape_of_the_base_that_is_timed_for_it(model, inputs):
    params = {"model": model, "quantization": "nf4", "compute": "fp32"}
    plain = shape_of(loading.load_unquantized(params, CPU))
    for how in ("dequantized", "original"):
        with loading.merged(params, inputs["adapter"], how, CPU) as merged, timing.adapter_removed(merged):
            assert shape_of(merged.get_base_model()) == plain


def shape_of(model):
    return [(name, type(module)) for name, module in model.named_modules()], [
        (name, held.shape, held.dtype) for name, held in model.named_parameters()
    ]


def test_what_does_not_fit_is_left_untimed_and_said(tmp_path, model, inputs, monkeypatch, capsys):
    def full(params, device):
        raise MachineError("the base does not fit into the memory of cpu", "Take a smaller base.")

    monkeypatch.setattr(loading, "load_unquantized", full)  # a CPU has room for anything that fits into a test
    _, speed = run(tmp_path, model, inputs, dense=True)
    assert list(speed["arms"]) == ["base", "tuned"]
    assert speed["untimed"] == "weights that are not quantized do not fit beside the 4-bit base"
    assert speed["untimed"] in capsys.readouterr().err


def test_the_bytes_of_4_bit_weights_are_those_of_their_parts(model):
    import bitsandbytes

    base = loading.load(model, "nf4", "fp32", CPU)
    linears = [module for module in base.modules() if isinstance(module, bitsandbytes.nn.Linear4bit)]
    packed = {id(module.weight) for module in linears}
    rest = sum(held.nbytes for held in (*base.parameters(), *base.buffers()) if id(held) not in packed)
    blocks = 0
    for module in linears:
        state, weights = module.weight.quant_state, module.in_features * module.out_features
        absmax, nested = -(-weights // 64), -(-weights // 64 // 256)  # a byte for 64 weights, a float for 256 of those
        assert (state.absmax.nbytes, state.state2.absmax.nbytes) == (absmax, 4 * nested)
        blocks += weights // 2 + absmax + 4 * nested + state.code.nbytes + state.state2.code.nbytes + 4
    assert timing.stored_bytes(base) == pytest.approx(rest + blocks, abs=4 * len(linears))


def test_the_longest_request_is_that_of_most_tokens_at_once():
    arm = timing.ArmTimer("base_constrained", None, None, [[1] * 9, [1] * 5], [[[2], [3]], [[2] * 3, [3], [4], [5]]])
    assert [arm.tokens(index) for index in range(2)] == [20, 32]
    assert timing.ArmTimer("base", None, None, [[1] * 9]).tokens(0) == 9


def kinds_of(model):
    """What a model computes with: its linear layers, and an adapter that is no part of them."""
    from bitsandbytes.nn import Linear4bit

    quantized = any(isinstance(module, Linear4bit) for module in model.modules())
    apart = [module for module in model.modules() if hasattr(module, "lora_A")]
    return ("4 bit" if quantized else "dense", *(["adapter"] if apart else []))


def test_arms_that_rank_choices_are_timed_reading_them(tmp_path, model, inputs, monkeypatch):
    seen, real = [], choices.logprobs

    def watched(model, prompts, answers, pad):
        seen.append((kinds_of(model), len(prompts), len(answers[0])))
        return real(model, prompts, answers, pad)

    monkeypatch.setattr(choices, "logprobs", watched)
    _, speed = run(tmp_path, model, inputs, constrained=["base_constrained", "tuned_constrained"], constrain="choices")
    assert list(speed["arms"]) == ["base", "tuned", "base_constrained", "tuned_constrained"]
    assert seen == [(("4 bit",), 1, 3), (("4 bit", "adapter"), 1, 3)] * 5  # a warm-up, then four prompts
    row = speed["arms"]["base_constrained"]
    assert (row["ranks"], row["tokens_per_second"], row["first"]) == (True, None, row["latency"])
    lengths = [len(renderer.renderer(model).prompt_ids(example.prompt)) for example in tiny.examples(4, 200)]
    assert row["prompt_tokens_per_second"] == pytest.approx(median(n / took for n, took in zip(lengths, row["latency"], strict=True)))
    assert not speed["arms"]["base"]["ranks"]


def test_arms_that_are_told_their_keys_read_longer_prompts(tmp_path, model, inputs, train_part):
    train_rows = [replace(row, target='{"animal": "cat", "sees": "dog"}') for row in tiny.examples(6)]
    keyed = inputs | {"train": tiny.write_part(tmp_path / "lessons", train_rows)}
    _, speed = run(tmp_path, model, keyed, constrained=["base_constrained"], constrain="keys", new_tokens=3)
    arms = speed["arms"]
    assert list(arms) == ["base", "tuned", "base_constrained"]
    assert arms["base_constrained"]["prompt_tokens"] > arms["base"]["prompt_tokens"] + 5
    assert arms["base_constrained"]["tokens_per_second"] > 0
