"""Generation and scoring against one-by-one calls of the libraries themselves."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.engine import batching, choices, generation, greedy, likelihood, written_answers
from pipeline.errors import ComparisonError, DataError, MachineError, ModelError
from pipeline.machine import Machine
from pipeline.models import dense_weights, liveness, loading, renderer
from pipeline.stages import generate
from pipeline.store import records
from pipeline.store.artifact import Artifact
from pipeline.store.records import Prediction
from tests import tiny
from tests.interruption import calls_of

CPU = torch.device("cpu")
HELDOUT = tiny.examples(16, 200)


@pytest.fixture(scope="module")
def heldout_part(tmp_path_factory):
    return tiny.write_part(tmp_path_factory.mktemp("heldout") / "heldout", HELDOUT)


def run(tmp_path, model, name="out", machine=None, changes=None, **inputs):
    work = tiny.work(tmp_path / name, {"model": model, **tiny.GENERATE, **(changes or {})}, machine, **inputs)
    facts = generate.run(work)
    return facts, list(records.read(work.out / "predictions.jsonl", Prediction))


def one_by_one(model, render, limit):
    """model.generate on one prompt at a time, no padding, as its documentation shows it."""
    rows = []
    for example in HELDOUT:
        ids = torch.tensor([render.prompt_ids(example.prompt)])
        with torch.inference_mode():
            out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=limit, do_sample=False, pad_token_id=0)
        rows.append(generation.cut_after_eos(out[0, ids.shape[1] :].tolist(), [2], 0))
    return rows


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_greedy_equals_one_prompt_at_a_time(model, adapter, batch):
    render, base = renderer.renderer(model), loading.load(model, "nf4", "fp32", CPU)
    with loading.adapted(base, adapter) as tuned:
        for arm in (base, tuned):
            prompts = [render.prompt_ids(example.prompt) for example in HELDOUT]
            assert len({len(prompt) for prompt in prompts}) > 3
            predictions = [
                row
                for start in range(0, 16, batch)
                for row in greedy.decode(arm, prompts[start : start + batch], generation.StopConditions(12, (2,)), 0, render.tokenizer, 40)
            ]
            assert predictions == one_by_one(arm, render, 12)


def test_the_stage_says_what_one_by_one_says(tmp_path, model, heldout_part):
    render, base = renderer.renderer(model), loading.load(model, "nf4", "fp32", CPU)
    expected = [render.decode([i for i in row if i != 2]) for row in one_by_one(base, render, 8)]
    for tokens in (1, 60, 4096):
        facts, predictions = run(tmp_path, model, f"t{tokens}", Machine(device="cpu", tokens=tokens), heldout=heldout_part)
        assert [answer.text for answer in predictions] == expected
        assert [answer.example for answer in predictions] == [example.id for example in HELDOUT]
        assert facts["examples"] == 16
        assert facts["truncated"] == sum(answer.stopped == "length" for answer in predictions)


def test_choice_scores_equal_one_by_one_scoring(tmp_path, model, heldout_part, adapter):
    render, base = renderer.renderer(model), loading.load(model, "nf4", "fp32", CPU)
    _, predictions = run(tmp_path, model, changes={"score_choices": True}, heldout=heldout_part, adapter=adapter)
    with loading.adapted(base, adapter) as tuned:
        for example, answer in zip(HELDOUT, predictions, strict=True):
            assert len(answer.logprobs) == 3
            for choice, score in zip(example.choices, answer.logprobs, strict=True):
                prompt, ids = render.prompt_ids(example.prompt), render.answer_ids(example.prompt, choice)
                with torch.inference_mode():
                    logs = tuned(input_ids=torch.tensor([prompt + ids])).logits[0].float().log_softmax(-1)
                assert score == pytest.approx(sum(float(logs[len(prompt) + k - 1, token]) for k, token in enumerate(ids)), abs=1e-4)


def test_the_adapter_says_the_same_through_plain_peft(tmp_path, model, heldout_part, adapter):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    _, predictions = run(tmp_path, model, heldout=heldout_part, adapter=adapter)
    plain = AutoModelForCausalLM.from_pretrained(
        model["folder"], dtype=torch.float32, quantization_config=loading.nf4(torch.float32, ["lm_head"])
    )
    loading.keep_cpu_weights_unpacked(plain)
    tuned = PeftModel.from_pretrained(plain, adapter).eval()
    render = renderer.renderer(model)
    assert [answer.text for answer in predictions] == [render.decode([i for i in row if i != 2]) for row in one_by_one(tuned, render, 8)]
    _, base = run(tmp_path, model, "base", heldout=heldout_part)
    assert sum(a.text != b.text for a, b in zip(predictions, base, strict=True)) > 8


def test_an_adapter_names_its_base_as_the_recipe_does_and_asks_no_hub(tmp_path):
    from pipeline.models import adapters, base_model

    spec = next(row for row in base_model.MODELS if row.name == "quickstart-base").spec()
    tuned = adapters.attach(loading.load(spec, "nf4", "bf16", CPU), tiny.FINETUNE)
    adapters.save(tuned, tmp_path)
    tuned.unload()
    assert json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"] == "checkpoints/quickstart-base"


def test_the_base_is_untouched_by_an_adapter_that_came_and_went(tmp_path, model, heldout_part, adapter):
    _, before = run(tmp_path, model, "before", heldout=heldout_part)
    _, tuned = run(tmp_path, model, "tuned", heldout=heldout_part, adapter=adapter)
    _, after = run(tmp_path, model, "after", heldout=heldout_part)
    assert before == after != tuned


@pytest.mark.parametrize("compute", ["bf16", "fp32"])
def test_dense_weights_say_bit_for_bit_what_4_bit_ones_say(model, adapter, compute, monkeypatch):
    base, ids = loading.load(model, "nf4", compute, CPU), torch.randint(3, 300, (4, 30), generator=torch.Generator().manual_seed(0))
    with loading.adapted(base, adapter) as tuned, torch.inference_mode():
        for arm in (base, tuned):
            with dense_weights.dequantized(arm) as weights:
                dense = arm(ids).logits
                assert weights.are_held
            assert not weights.are_held
            assert torch.equal(arm(ids).logits, dense)
        with dense_weights.dequantized(base, "packed") as weights:
            assert not weights.are_held
        monkeypatch.setattr(dense_weights, "free_bytes", lambda device: 1000)
        with dense_weights.dequantized(base) as weights:
            assert not weights.are_held
        with (
            pytest.raises(MachineError, match=r"--residency dequantized: the 4-bit weights take .* GB dequantized"),
            dense_weights.dequantized(base, "dequantized"),
        ):
            pass


def test_the_answer_stops_at_the_end_token_a_stop_string_or_the_limit(model):
    render = renderer.renderer(model)
    ids = render.encode(" the dog sees a cat")
    stop = generation.StopConditions(8, (2,), ("cat", "dog"))
    assert written_answers.make_prediction(HELDOUT[0].id, ids, stop, render.decode) == Prediction("e200", " the ", len(ids), "stop")
    plain = generation.StopConditions(8, (2,))
    assert written_answers.make_prediction(HELDOUT[0].id, [*ids, 2], plain, render.decode) == Prediction(
        "e200", " the dog sees a cat", len(ids), "eos"
    )
    assert written_answers.make_prediction(HELDOUT[0].id, ids, plain, render.decode).stopped == "length"


def test_a_stop_string_ends_a_row_and_leaves_the_others_alone(tmp_path, model, heldout_part):
    _, free = run(tmp_path, model, "free", heldout=heldout_part)
    mark = free[0].text[1:3]
    _, predictions = run(tmp_path, model, "stopped", changes={"stop": [mark]}, heldout=heldout_part)
    for before, after in zip(free, predictions, strict=True):
        cut = before.text.find(mark)
        assert after.text == (before.text if cut < 0 else before.text[:cut])
        assert (after.stopped == "stop") == (cut >= 0)
        assert after.tokens <= before.tokens
    assert predictions[0].tokens < free[0].tokens


def test_a_stop_string_in_the_prompt_stops_nothing(model):
    base, render = loading.load(model, "nf4", "fp32", CPU), renderer.renderer(model)
    prompt = render.prompt_ids("the cat sees a dog")
    free = generation.generate(base, [prompt], generation.StopConditions(6, (2,)), 0)
    assert generation.generate(base, [prompt], generation.StopConditions(6, (2,), ("the cat", "a dog")), 0, render.tokenizer) == free


def test_a_model_that_ships_sampling_settings_is_greedy_all_the_same(tmp_path, heldout_part):
    spec = tiny.make_model(tmp_path / "base")
    settings = {"do_sample": True, "temperature": 5.0, "top_k": 300, "repetition_penalty": 3.0, "eos_token_id": 2, "pad_token_id": 0}
    _, greedy = run(tmp_path, spec, "plain", heldout=heldout_part)
    (tmp_path / "base" / "generation_config.json").write_text(json.dumps(settings))
    _, predictions = run(tmp_path, tiny.spec(tmp_path / "base") | {"digest": "another"}, "sampling", heldout=heldout_part)
    assert predictions == greedy


def test_a_killed_run_goes_on_with_the_same_batches(tmp_path, model, heldout_part):
    machine = Machine(device="cpu", tokens=60)
    _, whole = run(tmp_path, model, "whole", machine, heldout=heldout_part)
    with calls_of(greedy, "decode", kill_at=3) as calls:
        run(tmp_path, model, "broken", machine, heldout=heldout_part)
    path = tmp_path / "broken.resume" / "answers.jsonl"
    path.write_bytes(path.read_bytes() + b'{"example": "e2')  # a line cut off by the kill
    with calls_of(greedy, "decode") as again:
        _, predictions = run(tmp_path, model, "broken", machine, heldout=heldout_part)
    assert predictions == whole
    assert prompts_in(again) == 16 - prompts_in(calls[:2])


def prompts_in(calls):
    return sum(len(prompts) for _, prompts, *_ in calls)


def examined(tmp_path, model, heldout_part, adapter):
    work = tiny.work(tmp_path / "say", {"model": model, **tiny.GENERATE}, heldout=heldout_part, adapter=adapter)
    generate.run(work)
    return json.loads((work.out / "liveness.json").read_text())


def altered(tmp_path, adapter, change):
    """A copy of the adapter with its tensors changed."""
    import shutil

    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(adapter, tmp_path / "copy")
    save_file(change(load_file(copy / "adapter_model.safetensors")), copy / "adapter_model.safetensors")
    return copy


def test_a_live_adapter_passes_the_gate(tmp_path, model, heldout_part, adapter):
    row = examined(tmp_path, model, heldout_part, adapter)
    assert row["tensors"] == row["targets"] == 14
    assert row["largest_logit_difference"] > 0.01
    liveness.require_alive(row, "tuned")


@pytest.mark.parametrize("only", ["", "layers.1"])
def test_zero_tensors_are_found(tmp_path, model, heldout_part, adapter, only):
    dead = altered(tmp_path, adapter, lambda tensors: {k: v * 0 if "lora_B" in k and only in k else v for k, v in tensors.items()})
    with pytest.raises(ComparisonError, match=r"tuned: the fine-tuning has no effect: (14|7) of 14 tensors are as before training"):
        liveness.require_alive(examined(tmp_path, model, heldout_part, dead), "tuned")


def test_a_module_that_lost_its_adapter_is_found(tmp_path, model, heldout_part, adapter):
    facts = Artifact.open(adapter).facts
    row = examined(tmp_path, model, heldout_part, adapter)
    assert row["unmatched"] == []
    copy = altered(tmp_path, adapter, dict)
    (copy / "manifest.json").unlink()
    tiny.seal(copy, {**facts, "targets": [*facts["targets"], "model.layers.9.mlp.up_proj"]})
    with pytest.raises(ComparisonError, match=r"1 of 15 target modules are missing, the first model.layers.9"):
        liveness.require_alive(examined(tmp_path, model, heldout_part, copy), "tuned")


def test_an_adapter_that_does_not_fit_is_refused(tmp_path, model, heldout_part, adapter):
    other = altered(tmp_path, adapter, lambda tensors: {k.replace("layers.1", "layers.7"): v for k, v in tensors.items()})
    with pytest.raises(ModelError, match="does not fit its base"):
        examined(tmp_path, model, heldout_part, other)


def test_the_two_arms_see_the_same_ids(model):
    render = renderer.renderer(model)
    for example in HELDOUT:
        prompt = render.prompt_ids(example.prompt)
        row = batching.TokenRow.from_prompt(prompt, render.target_ids(example.prompt, example.target))
        assert prompt.count(1) == 1 == row.ids.count(2)
        assert render.decode(list(row.ids)) == f"{example.prompt} {example.target}"


SAMPLES = {"samples": 3, "temperature": 1.0, "top_p": 1.0, "seed": 0}


def test_random_answers_stand_beside_the_greedy_one(model, heldout_part, tmp_path):
    plain = run(tmp_path, model, "plain", heldout=heldout_part)[1]
    predictions = run(tmp_path, model, "sampled", changes=SAMPLES, heldout=heldout_part)[1]
    assert [row.text for row in predictions] == [row.text for row in plain]
    assert {len(row.samples) for row in predictions} == {3}
    assert {row.samples for row in plain} == {()}
    assert sum(len({row.text, *row.samples}) > 2 for row in predictions) > len(predictions) / 2
    again = run(tmp_path, model, "again", changes=SAMPLES, heldout=heldout_part)[1]
    assert again == predictions
    other = run(tmp_path, model, "other", changes={**SAMPLES, "seed": 1}, heldout=heldout_part)[1]
    assert [row.samples for row in other] != [row.samples for row in predictions]


def test_a_cold_draw_is_nearly_greedy(model, heldout_part, tmp_path):
    predictions = run(tmp_path, model, changes={**SAMPLES, "temperature": 1e-3}, heldout=heldout_part)[1]
    assert all(set(row.samples) == {row.text} for row in predictions)


def test_a_killed_draw_goes_on_as_if_never_killed(model, heldout_part, tmp_path):
    machine = Machine(device="cpu", tokens=60)
    whole = run(tmp_path, model, "whole", machine, SAMPLES, heldout=heldout_part)[1]
    resume = tmp_path / "whole.resume"
    finished = (resume / "samples1.jsonl").read_bytes()
    (resume / "samples1.jsonl").write_bytes(finished[: len(finished) // 2])
    (resume / "samples2.jsonl").unlink()
    resume.rename(tmp_path / "cut.resume")
    assert run(tmp_path, model, "cut", machine, SAMPLES, heldout=heldout_part)[1] == whole


# Arms beside base and tuned


def test_choices_are_ranked_by_their_mean_log_likelihood_a_token(tmp_path, model, heldout_part, adapter):
    _, scored = run(tmp_path, model, "scored", changes={"score_choices": True}, heldout=heldout_part, adapter=adapter)
    facts, chosen = run(tmp_path, model, "chosen", changes={"constrain": "choices"}, heldout=heldout_part, adapter=adapter)
    render = renderer.renderer(model)
    for example, sums, picked in zip(HELDOUT, scored, chosen, strict=True):
        assert picked.logprobs == pytest.approx(sums.logprobs, abs=1e-4)
        lengths = [len(render.answer_ids(example.prompt, choice)) for choice in example.choices]
        means = [value / length for value, length in zip(picked.logprobs, lengths, strict=True)]
        best = means.index(max(means))
        assert (picked.text, picked.tokens, picked.stopped) == (example.choices[best], lengths[best], "eos")
    assert len({lengths[index] for index in range(3)}) > 1  # else the mean would rank as the sum does
    assert facts["truncated"] == 0


def test_answers_of_many_lengths_behind_one_reading_of_their_prompt(model, adapter):
    render, rng = renderer.renderer(model), random.Random(5)
    some = [render.prompt_ids(example.prompt) for example in HELDOUT[:6]]
    answers = [[[rng.randrange(4, 60) for _ in range(size)] for size in sizes] for sizes in ([1, 1], [4, 1, 2], [3], [0, 5], [1], [])]
    with loading.adapted(loading.load(model, "nf4", "fp32", CPU), adapter) as tuned:
        sums_of_rows = choices.logprobs(tuned, some, answers, render.pad_id)
        assert [len(row) for row in sums_of_rows] == [2, 3, 1, 2, 1, 0]
        for prompt, row, sums in zip(some, answers, sums_of_rows, strict=True):
            for answer, value in zip(row, sums, strict=True):
                rows = [batching.TokenRow.from_prompt(prompt, answer)]
                alone = likelihood.row_logprobs(tuned, rows, render.pad_id) if answer else [0.0]
                assert value == pytest.approx(alone[0], abs=1e-4)


def test_batches_of_choices_keep_to_the_budget_of_tokens_and_logits(model, monkeypatch):
    base = loading.load(model, "nf4", "fp32", CPU)
    prompts, answers = [[1] * 10] * 3 + [[1] * 30] * 2, [[[1]]] * 3 + [[[1] * 2, [1] * 5, [1]]] * 2  # 11 tokens each, and 70 with 10 logits
    assert choices.batches(prompts, answers, base, 100) == [[3], [4], [0, 1, 2]]
    assert choices.batches(prompts, answers, base, 140) == [[3, 4], [0, 1, 2]]
    vocabulary = base.get_output_embeddings().weight.shape[0]
    monkeypatch.setattr(batching, "MAX_LOGITS_PER_PASS", 20 * vocabulary)
    assert choices.batches(prompts, answers, base, 140) == [[3, 4], [0, 1, 2]]
    monkeypatch.setattr(batching, "MAX_LOGITS_PER_PASS", 19 * vocabulary)
    assert choices.batches(prompts, answers, base, 140) == [[3], [4], [0, 1, 2]]


def test_ranking_goes_on_where_it_was_killed(tmp_path, model, heldout_part):
    machine, changes = Machine(device="cpu", tokens=60), {"constrain": "choices"}
    _, whole = run(tmp_path, model, "whole", machine, changes, heldout=heldout_part)
    with calls_of(choices, "logprobs", kill_at=3) as calls:
        run(tmp_path, model, "broken", machine, changes, heldout=heldout_part)
    with calls_of(choices, "logprobs") as again:
        _, predictions = run(tmp_path, model, "broken", machine, changes, heldout=heldout_part)
    assert predictions == whole
    assert 0 < prompts_in(again) == 16 - prompts_in(calls[:2])


def test_an_example_without_choices_cannot_be_ranked(tmp_path, model, adapter):
    free = tiny.write_part(tmp_path / "free", [replace(HELDOUT[0], choices=())])
    with pytest.raises(DataError, match="example e200 has no choices to rank"):
        run(tmp_path, model, changes={"constrain": "choices"}, heldout=free)


def test_an_adapter_merged_into_the_dequantized_weights_answers_as_on_top_of_them(tmp_path, model, heldout_part, adapter):
    _, tuned = run(tmp_path, model, "tuned", heldout=heldout_part, adapter=adapter)
    _, merged = run(tmp_path, model, "merged", changes={"merge": "dequantized"}, heldout=heldout_part, adapter=adapter)
    _, base = run(tmp_path, model, "base", heldout=heldout_part)
    assert [row.text for row in merged] == [row.text for row in tuned] != [row.text for row in base]


def test_merged_weights_are_the_sums_they_should_be(model, adapter):
    params = {"model": model, **tiny.GENERATE}
    base, name = loading.load(model, "nf4", "fp32", CPU), "model.layers.0.mlp.up_proj"
    with loading.adapted(base, adapter) as tuned:
        layer = tuned.base_model.model.get_submodule(name)
        added, values = layer.get_delta_weight("default").clone(), dense_weights.dense_values(layer.base_layer)
    plain = loading.read_model(Path(model["folder"]), False, loading.Precision("none", "fp32"), CPU).get_submodule(name).weight
    for how, before in (("dequantized", values), ("original", plain)):
        with loading.merged(params, adapter, how, CPU) as merged:
            weight = merged.base_model.model.get_submodule(name).base_layer.weight
            torch.testing.assert_close(weight, before + added, rtol=0, atol=1e-6)
    assert not torch.allclose(values, plain, atol=1e-3)
    _, after = loading.load(model, "nf4", "fp32", CPU), dense_weights.dense_values(base.get_submodule(name))
    assert torch.equal(after, values)  # the resident base is as it was
