"""Every method of LoRA that is offered: it leaves the base as it is, does what peft's own functions do, and outlives a kill."""

import csv
import json
from contextlib import contextmanager

import pytest
import torch
from safetensors.torch import load_file

from pipeline.commands import adapter_sizes, preflight
from pipeline.config import recipe as recipes
from pipeline.config.finetune import Finetune
from pipeline.config.methods import METHODS, SWITCHES
from pipeline.engine import batching, eva, training_state
from pipeline.engine.seeding import seed_everything
from pipeline.errors import ModelError, RecipeError, TrainingError
from pipeline.machine import Machine
from pipeline.measures import rank_use
from pipeline.models import adapters, base_model, loading, low_rank, renderer
from pipeline.models.quiet import silence_warnings
from pipeline.planning.plan import plan
from pipeline.stages import finetune
from tests import project, tiny
from tests.interruption import assert_resumes_with_equal_bytes

CPU = torch.device("cpu")
ADALORA = {"adapter_kind": "adalora", "adalora_initial_rank": 6, "adalora_start": 0.1, "adalora_end": 0.4, "adalora_every": 1,
           "adalora_orthogonality": 0.5}  # fmt: skip
CHANGES = {
    "lora": {},
    "rslora": {"rslora": True},
    "dora": {"dora": True},
    "gaussian": {"init": "gaussian"},
    "eva": {"init": "eva", "eva_rho": 2.0},
    "lora+": {"loraplus_lr_ratio": 16.0},
    "lora-fa": {"lora_fa": True, "learning_rate": 5e-2},
    "adalora": ADALORA,
    "patterns": {"rank_pattern": {"down_proj": 2, r"layers\.0\.self_attn\.q_proj": 8}, "alpha_pattern": {"v_proj": 3.0}},
    "layers": {"layers": [1]},
}
"""By method the params of a job; behind the named methods, what can be added to them."""
TOGETHER = {
    "dora and eva": {"dora": True, "init": "eva", "eva_rho": 1.5, "dropout": 0.1},
    "dora, lora+ and patterns": {"dora": True, "loraplus_lr_ratio": 4.0, "rank_pattern": {"q_proj": 2}},
    "lora-fa with patterns and rslora": {
        "lora_fa": True,
        "rslora": True,
        "init": "gaussian",
        "rank_pattern": {"q_proj": 2},
        "learning_rate": 5e-2,
    },
    "adalora in one layer": {**ADALORA, "layers": [0], "dropout": 0.1},
}


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    return tiny.write_part(tmp_path_factory.mktemp("part") / "train", tiny.examples(40), tiny.examples(8, 100))


def params_of(model, **changes):
    return {"model": model, **tiny.FINETUNE, "epochs": 2, **changes}


def train(folder, model, part, machine=None, **changes):
    work = tiny.work(folder, params_of(model, **changes), machine, train=part)
    return finetune.run(work), work.out


def rows_of(model, count=40):
    render = renderer.renderer(model)
    return [batching.TokenRow.from_prompt(render.prompt_ids(e.prompt), render.target_ids(e.prompt, e.target)) for e in tiny.examples(count)]


def logits(model, spec):
    with torch.no_grad():
        return model(input_ids=torch.tensor([list(rows_of(spec, 6)[5].ids)])).logits


def test_every_named_method_is_tried():
    assert list(CHANGES)[: len(METHODS)] == list(METHODS)
    assert {key for settings in METHODS.values() for key in settings} == set(SWITCHES)


@pytest.mark.parametrize("quantization", ["nf4", "none"])
@pytest.mark.parametrize("changes", [*CHANGES.values(), *TOGETHER.values()], ids=[*CHANGES, *TOGETHER])
def test_the_base_stays_as_it_is_bit_for_bit(tmp_path, model, part, quantization, changes, monkeypatch):
    """While the adapter is trained, and when plain peft loads it: off, it is the base that nothing was attached to."""
    from peft import PeftModel

    untouched = logits(loading.load(model, quantization, "fp32", CPU).eval(), model)
    outputs = []
    finish = finetune.finish

    def observed(work, tuned, state):
        tuned.eval()
        with tuned.disable_adapter():
            outputs.append(logits(tuned, model))
        outputs.append(logits(tuned, model))
        return finish(work, tuned, state)

    monkeypatch.setattr(finetune, "finish", observed)
    facts, out = train(tmp_path / "out", model, part, quantization=quantization, max_steps=6, keep="last", **changes)
    trained_off, trained_on = outputs
    assert torch.equal(trained_off, untouched)
    assert not torch.allclose(trained_on, untouched, atol=1e-3)
    loaded = PeftModel.from_pretrained(loading.load(model, quantization, "fp32", CPU), out).eval()
    try:
        assert adapters.adapted_modules(loaded) == facts["targets"]
        assert not adapters.neutral_tensors(loaded)
        with loaded.disable_adapter():
            assert torch.equal(logits(loaded, model), untouched)
        assert torch.allclose(logits(loaded, model), trained_on, atol=1e-4)
    finally:
        loaded.unload()
    assert torch.equal(logits(loading.load(model, quantization, "fp32", CPU).eval(), model), untouched)


@pytest.mark.parametrize("changes", [*CHANGES.values(), *TOGETHER.values()], ids=[*CHANGES, *TOGETHER])
def test_a_run_that_goes_on_ends_with_the_same_bytes(tmp_path, model, part, changes):
    always = Machine(device="cpu", save_seconds=0.0)
    assert_resumes_with_equal_bytes(lambda folder: train(folder, model, part, always, **changes), tmp_path)


# Equality with peft's own functions


@contextmanager
def plain_model(model, config):
    """The base with an adapter as plain peft attaches it."""
    from peft import get_peft_model

    base = loading.load(model, "nf4", "fp32", CPU)
    seed_everything(0)
    silence_warnings()
    tuned = get_peft_model(base, config)
    try:
        yield tuned
    finally:
        tuned.unload()


def plain_steps(tuned, optimizer, rows, params):
    """Optimizer steps as anybody writes them with transformers' own loss; the mean over all target tokens."""
    from transformers import get_scheduler

    tuned.train()
    steps = training_state.total_steps(len(rows), params)
    schedule = get_scheduler("cosine", optimizer, training_state.warmup_steps(steps, params["warmup"]), steps)
    for step in range(steps):
        batch = [rows[i] for i in training_state.batch_indices(len(rows), params, step)]
        total = sum(row.target_count for row in batch)
        for row in batch:
            loss = tuned(input_ids=torch.tensor([row.ids]), labels=torch.tensor([row.labels])).loss
            (loss * row.target_count / total).backward()
        torch.nn.utils.clip_grad_norm_([value for value in tuned.parameters() if value.requires_grad], params["max_grad_norm"])
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def trained_tensors(tuned):
    return {name: value.detach().clone() for name, value in tuned.named_parameters() if ".lora_" in name}


def ours(tmp_path, model, part, monkeypatch, **changes):
    """Tensors of our training as they stand at its end, before they are written."""
    seen = []
    finish = finetune.finish
    monkeypatch.setattr(finetune, "finish", lambda work, tuned, state: (seen.append(trained_tensors(tuned)), finish(work, tuned, state))[1])
    _, out = train(tmp_path / "ours", model, part, keep="last", **changes)
    return seen[0], out


def assert_close(tensors, expected, tolerance=2e-3):
    assert tensors.keys() == expected.keys()
    for name, value in expected.items():
        assert float((tensors[name] - value).norm()) <= tolerance * float(value.norm()) + 1e-6, name


LORA = {"task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "target_modules": "all-linear"}


def test_lora_plus_is_that_of_peft(tmp_path, model, part, monkeypatch):
    from peft import LoraConfig
    from peft.optimizers import create_loraplus_optimizer

    changes = {"loraplus_lr_ratio": 16.0, "weight_decay": 0.1}
    tensors, _ = ours(tmp_path, model, part, monkeypatch, **changes)
    with plain_model(model, LoraConfig(**LORA)) as plain:
        optimizer = create_loraplus_optimizer(plain, torch.optim.AdamW, lr=5e-3, loraplus_lr_ratio=16, loraplus_weight_decay=0.1)
        plain_steps(plain, optimizer, rows_of(model), params_of(model, **changes))
        assert_close(tensors, trained_tensors(plain))
    rates = {group["initial_lr"] for group in optimizer.param_groups if group["params"]}
    assert rates == {5e-3, 8e-2}


def test_lora_fa_is_that_of_peft_and_leaves_a_as_it_began(tmp_path, model, part, monkeypatch):
    from peft import LoraConfig
    from peft.optimizers import create_lorafa_optimizer

    changes = {"lora_fa": True, "weight_decay": 0.1}
    tensors, _ = ours(tmp_path, model, part, monkeypatch, **changes)
    with plain_model(model, LoraConfig(**LORA)) as plain:
        began = trained_tensors(plain)
        plain_steps(plain, create_lorafa_optimizer(plain, 4, 8, 5e-3, 0.1), rows_of(model), params_of(model, **changes))
        assert_close(tensors, trained_tensors(plain), 2e-2)  # peft multiplies gradients in bf16
    for name, value in tensors.items():
        assert torch.equal(value, began[name]) == (".lora_A" in name)


def test_half_of_the_weights_are_trained_with_lora_fa(tmp_path, model, part):
    whole, _ = train(tmp_path / "lora", model, part, max_steps=1)
    half, _ = train(tmp_path / "fa", model, part, max_steps=1, lora_fa=True)
    weights = load_file(tmp_path / "fa" / "adapter_model.safetensors")
    assert half["trainable_parameters"] == sum(value.numel() for name, value in weights.items() if "lora_B" in name)
    assert whole["trainable_parameters"] == sum(value.numel() for value in weights.values())


def test_the_gaussian_init_is_that_of_peft(model):
    from peft import LoraConfig

    with plain_model(model, LoraConfig(**LORA, init_lora_weights="gaussian")) as plain:
        expected = trained_tensors(plain)
    base = loading.load(model, "nf4", "fp32", CPU)
    seed_everything(0)
    tuned = adapters.attach(base, params_of(model, init="gaussian"))
    assert all(torch.equal(value, expected[name]) for name, value in trained_tensors(tuned).items())
    tuned.unload()


def adalora_steps(plain, rows, params):
    """Training as peft's documentation has it: its forward pass adds the penalty, once for the whole batch."""
    from transformers import get_scheduler

    trained = [value for value in plain.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=params["learning_rate"], weight_decay=0.0)
    steps = training_state.total_steps(len(rows), params)
    schedule = get_scheduler("cosine", optimizer, training_state.warmup_steps(steps, params["warmup"]), steps)
    plain.train()
    for step in range(steps):
        batch = batching.padded([rows[i] for i in training_state.batch_indices(len(rows), params, step)], 0, CPU)
        plain(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, params["max_grad_norm"])
        optimizer.step()
        schedule.step()
        plain.base_model.update_and_allocate(step + 1)
        optimizer.zero_grad()


def test_adalora_is_that_of_peft(tmp_path, model, part, monkeypatch):
    from peft import AdaLoraConfig

    tensors, out = ours(tmp_path, model, part, monkeypatch, **ADALORA)
    params = params_of(model, **ADALORA)
    steps = training_state.total_steps(40, params)
    config = AdaLoraConfig(
        task_type="CAUSAL_LM", init_r=6, target_r=4, lora_alpha=12, target_modules="all-linear", total_step=steps,
        tinit=int(0.1 * steps), tfinal=int(0.4 * steps), deltaT=1, orth_reg_weight=0.5,
    )  # fmt: skip
    with plain_model(model, config) as plain:
        adalora_steps(plain, rows_of(model), params)
        assert_close(tensors, trained_tensors(plain))
        masks = plain.active_peft_config.rank_pattern
    assert sum(map(sum, masks.values())) == 4 * 14
    written = json.loads((out / "adapter_config.json").read_text())
    ranks = {name: written["rank_pattern"].get(name, 4) for name in written["target_modules"]}
    assert ranks == {name.removesuffix(".lora_E.default"): sum(mask) for name, mask in masks.items() if sum(mask)}


def test_what_adalora_pruned_is_not_written(tmp_path, model, part):
    """One matrix product tells that the LoRA that is written is B diag(E) A, and no scale is lost."""
    facts, out = train(tmp_path / "out", model, part, **ADALORA)
    weights = load_file(out / "adapter_model.safetensors")
    ranks = {name: len(value) for name, value in weights.items() if "lora_A" in name}
    assert sum(ranks.values()) == 4 * 14
    assert min(ranks.values()) < 4 < max(ranks.values()) <= 6
    assert len(facts["targets"]) == len(ranks)
    curve = list(csv.DictReader((out / "curve.csv").read_text().splitlines()))
    assert facts["kept_step"] >= len(curve) - int(0.4 * len(curve))  # the final ranks


@pytest.mark.parametrize(("steps", "works"), [(1, False), (2, True), (3, True)])
def test_adalora_needs_a_step_to_measure_and_one_to_prune(tmp_path, model, part, steps, works):
    if not works:
        with pytest.raises(TrainingError, match="there is one step in all"):
            train(tmp_path / "out", model, part, **ADALORA, max_steps=steps)
        return
    train(tmp_path / "out", model, part, **{**ADALORA, "adalora_end": 0.5}, max_steps=steps)
    weights = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert sum(len(value) for name, value in weights.items() if "lora_A" in name) == 4 * 14


# EVA


def test_eva_begins_with_the_directions_of_peft(tmp_path, model, monkeypatch):
    from peft import EvaConfig, LoraConfig, initialize_lora_eva_weights

    rows = rows_of(model)
    batches = [batching.padded(batch, 0, CPU) for batch in eva.batches_of(rows, 100, 16)]
    inputs = [{key: batch[key] for key in ("input_ids", "attention_mask")} for batch in batches]
    with plain_model(model, LoraConfig(**LORA, init_lora_weights="eva", eva_config=EvaConfig(rho=2.0, use_label_mask=False))) as plain:
        initialize_lora_eva_weights(plain, inputs, show_progress_bar=False)
        expected, patterns = trained_tensors(plain), plain.active_peft_config.rank_pattern
    base = loading.load(model, "nf4", "fp32", CPU)
    seed_everything(0)
    tuned = adapters.attach(base, params_of(model, **CHANGES["eva"]))
    monkeypatch.setattr(eva, "BATCH_TOKENS", 100)
    eva.initialize(tuned, rows, eva.Reading("fp32", 0, tmp_path))
    assert tuned.active_peft_config.rank_pattern == patterns
    assert_close(trained_tensors(tuned), expected, 1e-6)
    ranks = [len(value) for name, value in trained_tensors(tuned).items() if "lora_A" in name]
    assert sum(ranks) == 4 * 14
    assert len(set(ranks)) > 1
    tuned.unload()


@pytest.mark.parametrize(
    ("changes", "rows", "problem"),
    [
        ({"rank": 4}, 1, r"EVA needs 16 tokens at this rank, and the training rows have \d"),
        (
            {"rank": 17},
            40,
            r"EVA looks for 68 directions, twice rank times eva_rho, and model\.layers\.0\.self_attn\.q_proj reads 64 features",
        ),
    ],
)
def test_eva_does_not_begin_as_plain_lora_where_its_pass_fails(tmp_path, model, changes, rows, problem):
    part = tiny.write_part(tmp_path / "train", tiny.examples(rows))
    with pytest.raises(TrainingError, match=problem):
        train(tmp_path / "out", model, part, init="eva", eva_rho=2.0, **changes)


def test_eva_gives_up_on_directions_that_do_not_settle(tmp_path, model, part, monkeypatch):
    monkeypatch.setattr(eva, "BATCH_TOKENS", 16)
    monkeypatch.setattr(eva, "MAX_BATCHES", 1)
    monkeypatch.setattr(eva, "batches_of", lambda rows, size, least: [list(rows[:4])])
    with pytest.raises(TrainingError, match="the directions of some modules still change after 1 batches"):
        train(tmp_path / "out", model, part, init="eva", eva_rho=2.0)


def test_eva_finds_its_directions_once(tmp_path, model, part, monkeypatch):
    """After a kill they are read, unless what was kept is damaged."""
    calls = []
    find = eva.find
    monkeypatch.setattr(eva, "find", lambda *args: (calls.append(1), find(*args))[1])
    changes = {"init": "eva", "eva_rho": 2.0}
    _, out = train(tmp_path / "out", model, part, **changes)
    whole = (out / "adapter_model.safetensors").read_bytes()
    path = tmp_path / "out.resume" / eva.FILE
    train(tmp_path / "out", model, part, **changes)
    assert (len(calls), (out / "adapter_model.safetensors").read_bytes() == whole) == (1, True)
    path.write_bytes(path.read_bytes()[:-50])
    train(tmp_path / "out", model, part, **changes)
    assert (len(calls), (out / "adapter_model.safetensors").read_bytes() == whole) == (2, True)


def test_batches_for_eva_have_enough_tokens(model):
    rows = rows_of(model)
    batches = eva.batches_of(rows, 100, 16)
    assert [row for batch in batches for row in batch] == rows
    assert min(sum(map(len, batch)) for batch in batches) >= 100
    assert len(batches) > 3


# Patterns and layers


def attached(model, **changes):
    base = loading.load(model, "nf4", "fp32", CPU)
    seed_everything(0)
    return adapters.attach(base, params_of(model, **changes))


def scales_and_ranks(tuned):
    return {
        name.removeprefix("base_model.model."): (len(module.lora_A["default"].weight), module.scaling["default"])
        for name, module in tuned.named_modules()
        if hasattr(module, "lora_A")
    }


@pytest.mark.parametrize("rslora", [False, True])
def test_patterns_are_those_of_peft_and_hold_the_scale(model, rslora):
    from peft import LoraConfig

    ranks, alphas = {"down_proj": 2, r"layers\.0\.self_attn\.q_proj": 8}, {"v_proj": 3.0}
    with plain_model(model, LoraConfig(**LORA, rank_pattern=ranks, alpha_pattern=alphas, use_rslora=rslora)) as plain:
        expected = {name: rank for name, (rank, _) in scales_and_ranks(plain).items()}
        stated = {name: scale for name, (_, scale) in scales_and_ranks(plain).items() if name.endswith("v_proj")}
    tuned = attached(model, rank_pattern=ranks, alpha_pattern=alphas, rslora=rslora)
    ours = scales_and_ranks(tuned)
    tuned.unload()
    assert {name: rank for name, (rank, _) in ours.items()} == expected
    assert sorted({rank for rank, _ in ours.values()}) == [2, 4, 8]
    assert {name: scale for name, (_, scale) in ours.items() if name in stated} == pytest.approx(stated)
    assert [scale for name, (_, scale) in ours.items() if name not in stated] == pytest.approx([2.0] * 12)


def test_layers_are_those_of_peft(model):
    from peft import LoraConfig

    names = ["q_proj", "down_proj"]
    with plain_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules=names, layers_to_transform=[1])) as plain:
        expected = scales_and_ranks(plain)
    tuned = attached(model, layers=[1], targets=names)
    assert scales_and_ranks(tuned) == expected
    tuned.unload()
    tuned = attached(model, layers=[1])
    assert len(scales_and_ranks(tuned)) == 7
    tuned.unload()


MISFITS = [
    ({"rank_pattern": {"gate": 2}}, r"finetune\.rank_pattern: 'gate' fits no module with an adapter"),
    ({"rank_pattern": {"q_proj": 2, r"layers\.1\..*": 3}}, r"'layers\\.1\\..\*' and 'q_proj' both fit model\.layers\.1\.self_attn\.q_proj"),
    ({"alpha_pattern": {"(": 2.0}}, r"finetune\.alpha_pattern: '\(' is no regular expression"),
    ({"layers": [0, 2]}, r"finetune\.layers: the base has no layer 2"),
    ({"layers": [0], "rank_pattern": {r"layers\.1\.mlp\.up_proj": 2}}, "fits no module with an adapter"),
]


@pytest.mark.parametrize(("changes", "problem"), MISFITS)
def test_what_does_not_fit_the_base_is_refused(model, changes, problem):
    with pytest.raises(ModelError, match=problem):
        attached(model, **changes)


@pytest.mark.parametrize(("changes", "problem"), [*MISFITS, ({"init": "eva", "rank": 17}, "EVA looks for 68 directions")])
def test_plan_refuses_it_before_anything_is_trained(tmp_path, model, changes, problem):
    with pytest.raises(RecipeError, match=problem):
        preflight.check_targets(finetune_jobs(tmp_path, model, changes))


def finetune_jobs(tmp_path, model, changes):
    path = project.make(tmp_path, model["folder"])
    loaded = recipes.load(path, {f"finetune.{key}": value for key, value in changes.items()})
    return [job for job in plan(loaded, ask=False) if job.stage == "finetune"]


@pytest.mark.parametrize("name", [*METHODS, "patterns", "layers"])
def test_plan_counts_the_weights_that_training_has(tmp_path, model, part, name):
    """Of DoRA without its magnitudes, of AdaLoRA before it prunes; EVA spreads as many ranks over modules of other widths."""
    keys = {"method": name} if name in METHODS else CHANGES[name]
    (job, *_) = finetune_jobs(tmp_path, model, {**keys, "rank": 4})
    shape = base_model.shape_of(job.params["model"])
    work = tiny.work(tmp_path / "out", {**job.params, "max_steps": 3, "compute": "fp32"}, train=part)
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetune, "finish", lambda work, tuned, state: seen.extend(trained_tensors(tuned).items()) or {})
        finetune.run(work)
    counted = sum(value.numel() for key, value in seen if "magnitude" not in key)
    assert adapter_sizes.weights(job.params, shape.modules) == pytest.approx(counted, rel=0.1 if name == "eva" else 0)
    frozen = sum(value.numel() for key, value in seen if "lora_A" in key) if name == "lora-fa" else 0
    assert adapter_sizes.frozen_weights(job.params, shape.modules) == frozen


def test_a_method_is_the_job_of_the_keys_that_it_sets(tmp_path, model):
    for name, keys in METHODS.items():
        assert finetune_jobs(tmp_path, model, {"method": name}) == finetune_jobs(tmp_path, model, keys)
    plain = finetune_jobs(tmp_path, model, {})
    assert finetune_jobs(tmp_path, model, {"method": "lora", "eva_rho": 1.5, "adalora_start": 0.2}) == plain


def test_alpha_as_a_number_holds_where_ranks_differ(tmp_path, model):
    (job, *_) = finetune_jobs(tmp_path, model, {"alpha": 32, "rank_pattern": {"down_proj": 2}})
    tuned = attached(model, **{key: job.params[key] for key in ("alpha_per_rank", "rank", "rank_pattern", "alpha_pattern")})
    alphas = {module.lora_alpha["default"] for module in tuned.modules() if hasattr(module, "lora_A")}
    tuned.unload()
    assert alphas == {32}


# Singular values and cuts of adapters whose modules differ


@pytest.mark.parametrize(("name", "rslora"), [("eva", False), ("eva", True), ("adalora", False), ("patterns", False), ("patterns", True)])
def test_an_adapter_with_ranks_by_module_is_cut_at_its_scales(tmp_path, model, part, name, rslora):
    from peft import PeftModel

    _, out = train(tmp_path / "out", model, part, **CHANGES[name], **({"rslora": True} if rslora else {}))
    whole, cut = updates(model, out), tmp_path / "cut"
    cut.mkdir()
    low_rank.cut(out, cut, 3)
    smaller = updates(model, cut)
    spectra = low_rank.spectrum(out)
    assert smaller.keys() == whole.keys() == spectra.keys()
    for module, update in whole.items():
        u, values, v = torch.linalg.svd(update.double(), full_matrices=False)
        assert spectra[module] == pytest.approx(values[: len(spectra[module])].tolist(), rel=1e-4, abs=1e-6)
        nearest = (u[:, :3] * values[:3]) @ v[:3]
        assert float((smaller[module] - nearest).norm()) < 1e-4 * float(nearest.norm()) + 1e-6
    row = rank_use.spectrum_row(0, spectra)
    assert len(row["energy"]) == max(map(len, spectra.values()))
    assert row["energy"][-1] == pytest.approx(1)
    loaded = PeftModel.from_pretrained(loading.load(model, "nf4", "fp32", CPU), cut)
    assert {rank for rank, _ in scales_and_ranks(loaded).values()} <= {1, 2, 3}
    loaded.unload()


def updates(model, folder):
    """By module what plain peft adds to its weights."""
    from peft import PeftModel

    loaded = PeftModel.from_pretrained(loading.load(model, "nf4", "fp32", CPU), folder)
    deltas = {
        name.removeprefix("base_model.model."): module.get_delta_weight("default").detach()
        for name, module in loaded.named_modules()
        if hasattr(module, "lora_A")
    }
    loaded.unload()
    return deltas


@pytest.mark.parametrize("name", METHODS)
def test_a_resolved_recipe_is_read_again(tmp_path, model, name):
    """As reports hold it, with every key written out."""
    loaded = recipes.load(project.make(tmp_path, model["folder"]), {"finetune.method": name})
    assert Finetune(**loaded.finetune.model_dump()) == loaded.finetune


@pytest.mark.parametrize("changes", [{"alpha": 24, "rank": 8}, {"alpha": 10, "rank": 3, "rslora": True}])
def test_a_resolved_alpha_is_read_again(changes):
    section = Finetune(**changes)
    assert Finetune(**section.model_dump()) == section
    with pytest.raises(ValueError, match="alpha and alpha_per_rank both set the scale"):
        Finetune(**changes, alpha_per_rank=7)
