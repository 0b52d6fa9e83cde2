"""Estimates of memory and time: against published runs, against the reference's own roofline, and in how they react to what is asked."""

import importlib.util
import re
import sys
from dataclasses import replace
from io import StringIO

import pytest

from pipeline.commands import estimate, job_estimates, job_status, plan_table
from pipeline.commands.estimate import BF16, GPUS, NF4, AdapterSetup, Generation, Training, TrainingProgram
from pipeline.config import recipe as recipes
from pipeline.models import model_table
from pipeline.models.shapes import Shape
from pipeline.planning.plan import plan
from pipeline.store.artifact import Store
from tests import project
from tests.tiny import SHARED

LLAMA_13B = Shape("llama", 5120, 40, 40, 40, 128, 13824, 32000)
LLAMA, MISTRAL, LLAMA_8B = model_table.LLAMA_2_7B, model_table.MISTRAL_7B, model_table.LLAMA_3_8B
LITGPT = AdapterSetup(8, ("q_proj", "v_proj"), weight_bytes=BF16, program=TrainingProgram(logit_bytes=0, context=0))
FACTORY = AdapterSetup(8, program=TrainingProgram(other_bytes=4, checkpointing=True, logit_bytes=0))
UNSLOTH = AdapterSetup(32, program=TrainingProgram(other_bytes=4, checkpointing=True, logit_bytes=0, target_bytes=16))
TORCHTUNE = AdapterSetup(
    8, target_share=1 / 8, program=TrainingProgram(checkpointing=True, fused=True, adapter_bytes=12, logit_bytes=0, context=0)
)
PUBLISHED = [
    (LITGPT, LLAMA, 1304, 21.30, 0.02), (LITGPT, LLAMA_13B, 1304, 38.12, 0.02),
    (replace(LITGPT, weight_bytes=0.5625), LLAMA, 1304, 14.14, 0.14),  # that bitsandbytes kept each layer's input
    (replace(LITGPT, weight_bytes=NF4), LLAMA, 1304, 13.84, 0.14),
    *((FACTORY, LLAMA, 1024 << i, peak, 0.04) for i, peak in enumerate((6, 7, 9, 12, 19, 32))),
    *((UNSLOTH, LLAMA_8B, tokens, peak, 0.02) for tokens, peak in ((5789, 24), (12264, 40), (15502, 48), (28454, 80))),
    (TORCHTUNE, LLAMA_8B, 4096, 7.95, 0.06),
]  # fmt: skip
"""Method, shape, tokens of the micro-batch, measured peak in GB, and how far off the formula is."""


def total(shape, method, tokens):
    return sum(estimate.train_memory(shape, method, 512, tokens).values())


@pytest.mark.parametrize(("method", "shape", "tokens", "peak", "error"), PUBLISHED)
def test_published_peaks_of_memory(method, shape, tokens, peak, error):
    assert total(shape, method, tokens) / 1e9 == pytest.approx(peak, rel=error)


@pytest.mark.parametrize(("shape", "peak"), [(LLAMA, 4.26), (LLAMA_13B, 7.72)])
def test_published_peaks_of_inference(shape, peak):
    assert estimate.weight_memory(shape, NF4) / 1e9 == pytest.approx(peak, rel=0.1)  # the weights alone


TABLE = [
    ("A10G", LLAMA, 2643, (2064, 2470, 2598), 1736), ("RTX 4090", LLAMA, 6238, (4475, 5679, 6088), 4070),
    ("A100-80", LLAMA, 11782, (8614, 10790, 11518), 7700), ("H100", LLAMA, 37365, (21852, 31733, 35778), 23917),
    ("A10G", MISTRAL, 2456, (1917, 2295, 2413), 1613), ("RTX 4090", MISTRAL, 5796, (4157, 5276, 5657), 3781),
    ("A100-80", MISTRAL, 10948, (8001, 10025, 10701), 7153), ("H100", MISTRAL, 34717, (20292, 29479, 33241), 22217),
]  # fmt: skip
"""Tokens/s at 512 a document, rank 8, a tenth of them targets: compute alone; with dequantization at 512, 2k, 8k; checkpointed."""


@pytest.mark.parametrize(("name", "shape", "compute", "sized", "checkpointed"), TABLE)
def test_training_speed_is_that_of_the_roofline(name, shape, compute, sized, checkpointed):
    gpu = next(gpu for gpu in GPUS if gpu.name == name)
    method = AdapterSetup(8, program=TrainingProgram(logit_share=0.1))
    assert gpu.flops / estimate.train_flop(shape, method, 512) == pytest.approx(compute, rel=1e-3)
    for tokens, speed in zip((512, 2048, 8192), sized, strict=True):
        assert tokens / estimate.step_seconds(shape, method, gpu, 512, tokens) == pytest.approx(speed, rel=1e-3)
    again = replace(method, program=replace(method.program, checkpointing=True))
    assert 8192 / estimate.step_seconds(shape, again, gpu, 512, 8192) == pytest.approx(checkpointed, rel=1e-3)


@pytest.fixture(scope="module")
def roofline():
    """The reference's script as a module."""
    path = SHARED / "reference" / "roofline.py"
    if not path.is_file():
        pytest.skip("needs the shared reference")
    spec = importlib.util.spec_from_file_location("roofline", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["roofline"] = module  # its dataclasses look there
    spec.loader.exec_module(module)
    return module


PAIRS = [
    ("LLAMA2_7B", LLAMA),
    ("LLAMA2_13B", LLAMA_13B),
    ("MISTRAL_7B", MISTRAL),
    ("LLAMA3_8B", LLAMA_8B),
    ("LLAMA32_3B", model_table.LLAMA_3_3B),
]


@pytest.mark.parametrize(("theirs", "shape"), PAIRS)
@pytest.mark.parametrize("checkpoint", [False, True])
def test_the_reference_says_the_same_of_training(roofline, theirs, shape, checkpoint):
    model = getattr(roofline, theirs)
    for gpu, card in zip(roofline.GPUS, GPUS, strict=False):
        assert (gpu.flops, gpu.bandwidth, gpu.memory) == (card.flops, card.bandwidth, card.memory)
        for tokens, length, share in ((512, 200, 0.1), (4096, 700, 1.0)):
            method = AdapterSetup(8, program=TrainingProgram(checkpointing=checkpoint, logit_share=share))
            assert estimate.step_seconds(shape, method, card, length, tokens) == pytest.approx(
                tokens / roofline.train_limit(model, gpu, tokens, length, share, checkpoint)[1], rel=1e-9
            )
            speed = roofline.score_limit(model, gpu, length, share)
            assert card.flops / estimate.forward_flop(shape, length, share) == pytest.approx(speed, rel=1e-9)


@pytest.mark.parametrize(("theirs", "shape"), PAIRS)
@pytest.mark.parametrize("weights", ["nf4", "bf16", "nf4-unfused"])
def test_the_reference_says_the_same_of_decoding(roofline, theirs, shape, weights):
    model = getattr(roofline, theirs)
    for gpu, card in zip(roofline.GPUS, GPUS, strict=False):
        for batch in (1, 8, 32, 128, 2048):
            speed, _ = roofline.decode_limit(model, gpu, batch, 512, weights)
            assert batch / estimate.decode_seconds(shape, card, batch, 512, weights) == pytest.approx(speed, rel=1e-9)


@pytest.mark.parametrize(("theirs", "shape"), PAIRS)
@pytest.mark.parametrize(
    ("switches", "dropout"),
    [({}, False), ({"checkpoint": False}, False), ({"fused": True}, False), ({}, True), ({"checkpoint": False}, True)],
)
def test_the_reference_says_the_same_of_memory(roofline, theirs, shape, switches, dropout):
    memory = roofline.train_memory(getattr(roofline, theirs), 3000, **switches, dropout=dropout)
    checkpointing = switches.get("checkpoint", True)
    program = TrainingProgram(checkpointing=checkpointing, fused=switches.get("fused", False), logit_bytes=0)
    method = AdapterSetup(8, dropout=dropout, program=program)
    mine = estimate.train_memory(shape, method, 512, 3000)
    assert sum(mine.values()) == pytest.approx(memory["total"], rel=1e-9)
    assert list(mine.values()) == pytest.approx(
        [memory[name] for name in ("weights", "lora", "activations", "logits", "workspace", "context")]
    )
    qv = roofline.train_memory(getattr(roofline, theirs), 3000, targets=("q", "v"))["lora"]
    assert estimate.train_memory(shape, replace(method, targets=shape.qv), 512, 3000)["adapter"] == pytest.approx(qv)


VIGGO = Training(AdapterSetup(8, ("q_proj", "v_proj"), target_share=0.2), steps=319, batch=16, tokens=150, longest=304)
ANSWERS = Generation(examples=1000, prompt=120, longest=304, limit=128, steps=60, adapter=AdapterSetup(8, ("q_proj", "v_proj")))


def test_a_smaller_card_takes_longer_and_a_job_costs_more_with_more_to_do():
    hours = [cost.seconds for cost in estimate.estimate(MISTRAL, VIGGO).values()]
    assert hours == sorted(hours, reverse=True)
    assert 0.2 < hours[0] / 3600 < 1.0  # 40,000 x 150 tokens on an A10G: 0.7 h at the limit
    for more in ({"steps": 638}, {"batch": 32}, {"tokens": 300, "longest": 600}, {"dev_tokens": 1e6}):
        assert all(
            cost.seconds > estimate.estimate(MISTRAL, VIGGO)[name].seconds
            for name, cost in estimate.estimate(MISTRAL, replace(VIGGO, **more)).items()
        )


def test_forty_percent_of_the_roofline_where_python_does_not_bind():
    cost = estimate.estimate(MISTRAL, replace(VIGGO, batch=16, tokens=512, longest=512))["H100"]
    at_once = estimate.step_seconds(MISTRAL, replace(VIGGO.method, weight_bytes=BF16), GPUS[3], 512, 8192)  # its weights are held dense
    assert cost.seconds == pytest.approx(319 * at_once / 0.4)
    small = estimate.estimate(model_table.SMOLLM2_135M, VIGGO)["H100"]
    assert small.seconds == pytest.approx(319 * 0.2 * 30 / 32)


def test_the_micro_batch_is_halved_until_it_fits():
    work = replace(VIGGO, tokens=512, longest=512)
    small, large = (estimate.estimate(MISTRAL, work)[name] for name in ("A10G", "A100-80"))
    dense = 2 * MISTRAL.linear_params - estimate.workspace(MISTRAL)
    assert large.bytes == pytest.approx(total(MISTRAL, work.method, 8192) + dense)
    assert small.bytes == pytest.approx(total(MISTRAL, work.method, 2048))
    assert small.fits
    assert total(MISTRAL, work.method, 4096) > 0.92 * 24e9


def test_training_holds_dense_weights_only_beside_a_whole_micro_batch():
    """A copy that would make passes smaller is not held."""
    long = replace(VIGGO, batch=1, tokens=9000, longest=9000)
    assert estimate.holds_dense_copy(MISTRAL, NF4, GPUS[2])
    assert estimate.estimate(MISTRAL, long)["A100-80"].bytes == pytest.approx(total(MISTRAL, long.method, 9000))


def test_what_does_not_fit_even_alone():
    work = replace(VIGGO, tokens=4000, longest=4000)
    costs = estimate.estimate(MISTRAL, work)
    assert [cost.fits for cost in costs.values()] == [False, False, True, True]
    assert costs["A10G"].bytes == estimate.min_bytes(MISTRAL, work) == pytest.approx(total(MISTRAL, work.method, 4000))


def test_soft_caps_cost_memory_with_the_square_of_the_length():
    short, long = (estimate.train_memory(model_table.GEMMA_2_2B, AdapterSetup(), length, 4096)["activations"] for length in (128, 1024))
    assert long - short == pytest.approx(4096 * 26 * 10 * 8 * (1024 - 128))
    assert len({estimate.train_memory(MISTRAL, AdapterSetup(), length, 4096)["activations"] for length in (128, 1024)}) == 1


def test_generation_holds_dense_weights_where_there_is_room():
    costs = estimate.estimate(MISTRAL, ANSWERS)
    assert costs["H100"].bytes - costs["A10G"].bytes == pytest.approx(2 * MISTRAL.linear_params - estimate.workspace(MISTRAL))
    assert [estimate.holds_dense_copy(model_table.LLAMA_3_1B, ANSWERS.weight_bytes, gpu) for gpu in GPUS] == [True] * 4
    assert not estimate.holds_dense_copy(MISTRAL, BF16, GPUS[3])


@pytest.mark.parametrize(("gpu", "weights"), list(zip(GPUS, ("nf4", "nf4-unfused", "bf16", "bf16"), strict=True)))
def test_the_weights_that_a_step_reads_follow_the_card_and_the_batch(gpu, weights):
    work, batches = replace(ANSWERS, examples=33 * 10), 10  # 33 x (120 + 128) is just below 8192
    read = estimate.forward_flop(MISTRAL, 120, 0.0) * work.examples * 120 / gpu.flops
    read += 0 if weights == "bf16" else estimate.dequant_seconds(MISTRAL, gpu, 1) * batches
    step = estimate.decode_seconds(MISTRAL, gpu, 33, 120 + 30, weights) / 0.4
    launched = 0.025 if weights == "bf16" else 0.041  # Python's share
    assert estimate.estimate(MISTRAL, work)[gpu.name].seconds == pytest.approx(read / 0.4 + batches * 60 * max(step, launched))


def test_choices_and_longer_answers_cost():
    plain = estimate.estimate(MISTRAL, ANSWERS)["A10G"]
    scored, longer = (estimate.estimate(MISTRAL, replace(ANSWERS, **more))["A10G"] for more in ({"choices": 4}, {"steps": 120}))
    read = 1000 * 120 * estimate.forward_flop(MISTRAL, 120) / GPUS[0].flops + 31 * estimate.dequant_seconds(MISTRAL, GPUS[0], 1)
    assert scored.seconds - plain.seconds == pytest.approx(read / 0.4)  # 31 batches of 33, whose prompts are read once more for all choices
    assert scored.bytes - plain.bytes == pytest.approx(8192 * 32000 * 10)
    assert longer.seconds > 1.5 * plain.seconds


def test_a_base_without_quantization():
    whole = replace(VIGGO, method=replace(VIGGO.method, weight_bytes=BF16))
    costs, packed = (estimate.estimate(LLAMA, work) for work in (whole, VIGGO))
    assert estimate.min_bytes(LLAMA, whole) - estimate.min_bytes(LLAMA, VIGGO) == pytest.approx(LLAMA.linear_params * (BF16 - NF4))
    assert costs["RTX 4090"].seconds < packed["RTX 4090"].seconds


def plan_lines(recipe, root, width=80, every=False):
    """The lines of a plan."""
    from rich.console import Console

    screen = StringIO()
    console, store = Console(file=screen, highlight=False, width=width), Store(root / "data", root / "checkpoints")
    plan_table.show_plan(console, recipe, plan(recipe, ask=False), store, every, all_cards=True)
    return screen.getvalue().splitlines()


LEAN = {"compare": project.LEAN, "general": {"suites": ()}}


def recipe_of(**more):
    return recipes.Recipe.model_validate({"name": "a", "base": "mistral-7b", "tasks": ["viggo"], **LEAN, **more})


def line(lines, stage, label):
    return next(row for row in lines if f" {stage:{plan_table.STAGE_WIDTH}} {label} " in row)


@pytest.fixture
def prepared(tmp_path, model):
    path = project.make(tmp_path, model["folder"])
    project.carry_out(path, tmp_path, stages={"prepare"})
    return recipes.load(path, {"finetune.compute": "bf16", "generate.compute": "bf16"}), tmp_path


def test_a_plan_from_the_papers_lengths(tmp_path):
    sizes = {"train_examples": 2000}
    lines = plan_lines(recipe_of(finetune={"rank": 8, "targets": "qv"}, prepare=sizes), tmp_path)
    job = next(job for job in plan(recipe_of(prepare=sizes), ask=False) if job.label == "viggo--train")
    assert job_estimates.lengths_of(job, {}) == job_estimates.Lengths(
        examples=2000, dev=100, prompt=120, target=120, longest=304, longest_target=128, choices=0, is_upper_bound=True
    )
    work = Training(
        AdapterSetup(8, ("q_proj", "v_proj"), target_share=0.5, program=TrainingProgram(logit_share=0.5)),
        steps=125,
        batch=16,
        tokens=240,
        longest=304,
        dev_tokens=3 * 100 * 240,
    )
    costs = estimate.estimate(MISTRAL, work).values()
    hours = "".join(f"{cost.seconds / 3600:5.2f}" for cost in costs)
    assert f" <={estimate.min_bytes(MISTRAL, work) / 1e9:.1f}{hours} finetune" in line(lines, "finetune", "mistral-7b--viggo--r8-s0")
    assert all(len(line) <= 82 for line in lines[:12])  # in a pipe a job is one line
    assert lines[5] == f"   1{'':27} prepare  viggo--heldout to run"
    assert "mistral-7b: sliding-window attention, 4,096 tokens" in lines


def rows_lines(lines):
    """What a plan says of the rows of every split."""
    start = lines.index("Rows used of rows available:") + 1
    return [row.strip() for row in lines[start : start + 2]]


def test_a_plan_says_how_many_rows_of_how_many_are_used(tmp_path, prepared):
    assert rows_lines(plan_lines(recipe_of(), tmp_path)) == [
        "viggo--heldout <=1,083 of 1,083 rows",
        "viggo--train <=5,103 of 5,103 rows, with <=100 for validation",
    ]
    fewer = recipe_of(prepare={"train_examples": 2000, "heldout_examples": 50})
    assert rows_lines(plan_lines(fewer, tmp_path)) == [
        "viggo--heldout <=50 of 1,083 rows",
        "viggo--train <=2,000 of 5,103 rows, and <=100 for validation",
    ]
    recipe, root = prepared
    assert rows_lines(plan_lines(recipe, root)) == ["pets--heldout 20 of 24 rows", "pets--train 40 of 60 rows, and 8 for validation"]
    ours = recipes.load(root / "pets.yaml", {"prepare.seed": 1, "prepare.train_examples": None})
    assert rows_lines(plan_lines(ours, root)) == [
        "pets--heldout <=20 of those available",
        "pets--train all of those available, with <=8 for validation",
    ]
    many = plan_lines(recipe_of(tasks=("viggo", "boolq", "mmlu", "drop", "gsm8k", "covid", "legal")), tmp_path)
    assert "Rows used of rows available, for 14 splits: --all." in many


def test_many_jobs_are_told_by_stage(tmp_path):
    recipe = recipe_of(tasks=("viggo", "boolq"), finetune={"seeds": tuple(range(20))})
    jobs = plan(recipe, ask=False)
    every, short = plan_lines(recipe, tmp_path, every=True), plan_lines(recipe, tmp_path)
    assert len(jobs) > plan_table.MANY_JOBS
    assert len(every) - len(short) > 80
    assert [line for line in every if "jobs, " in line] == [line for line in short if "jobs, " in line]
    estimates = [job_estimates.estimate_of(job, {}) for job in jobs if job.stage == "finetune"]
    hours = "".join(f"{plan_table.hour(sum(one.costs[gpu.name].seconds for one in estimates) / 3600):>5}" for gpu in GPUS)
    row = next(line for line in short if " finetune " in line)
    assert row == f"  40{f'<={max(one.min_bytes for one in estimates) / 1e9:.1f}':>7}{hours} finetune 40 to run 0 cached"
    assert all(len(line) <= 80 for line in short if "https:" not in line)


def test_what_arms_and_measures_take(tmp_path):
    arms = {"arms": ("base", "base_fewshot", "base_constrained", "tuned"), "shots": 3}
    jobs = plan(recipe_of(tasks=("boolq",), compare=arms, general={}), ask=False)
    jobs_of_arms = {job.label.rpartition("--")[2]: job for job in jobs if job.stage == "generate" and "boolq" in job.label}
    read = job_estimates.lengths_of(jobs[0], {})
    work = {name: job_estimates.generation_of(MISTRAL, job, read) for name, job in jobs_of_arms.items()}
    assert (work["base"].prompt, work["base"].steps, work["base"].choices) == (read.prompt, work["base"].limit, 0)
    assert work["base_fewshot"].prompt == read.prompt + 3 * (read.prompt + read.target)
    assert (work["base_constrained"].steps, work["base_constrained"].choices) == (0, 2)
    lines = plan_lines(recipe_of(tasks=("boolq",), compare=arms, general={}), tmp_path)
    assert "<=" in line(lines, "relevance", "mistral-7b--boolq--base")
    assert "not known" not in "".join(lines)
    assert " 2.0 points  examples needed" in "\n".join(lines)


def test_a_plan_from_what_is_prepared(prepared):
    recipe, root = prepared
    lines = plan_lines(recipe, root)
    assert not [row for row in lines[4:] if "<=" in row]
    assert "after compare 6" in line(lines, "report", "pets")
    have = {}
    jobs = plan(recipe)
    for job in jobs:
        job_status.find_or_explain(job, have, Store(root / "data", root / "checkpoints"))
    heldout, train, *_ = have.values()
    sizes = job_estimates.lengths_of(jobs[1], have)
    tokens = train.facts["tokens"]
    assert (sizes.examples, sizes.dev, sizes.is_upper_bound, sizes.choices) == (40, 8, False, 2)
    assert (sizes.prompt, sizes.target) == (tokens["prompt"]["mean"], tokens["target"]["mean"])
    assert sizes.longest == min(64, tokens["prompt"]["max"] + tokens["target"]["max"])
    assert job_estimates.lengths_of(jobs[0], have).examples == heldout.facts["examples"] == 20


def test_what_is_made_is_not_in_the_sum(prepared):
    recipe, root = prepared
    before, changes = plan_lines(recipe, root), {"finetune.compute": "bf16", "generate.compute": "bf16"}
    assert re.search(r"5 to run: A10G under 1 min", " ".join(before))
    project.carry_out(root / "pets.yaml", root, changes, stages={"generate"})
    after = plan_lines(recipe, root)
    assert line(after, "finetune", "base--pets--r4-s0").endswith("cached")
    assert "7 jobs, 2 to run" in after  # and no hours


def test_the_sum_is_of_what_has_to_be_made():
    left, work = job_status.Remaining(), job_estimates.JobEstimate(1e9, estimate.estimate(MISTRAL, VIGGO), is_upper_bound=False)
    job = next(job for job in plan(recipe_of(), ask=False) if job.stage == "finetune")
    left.add(job, work)
    once = left.hours["A10G"]
    left.add(job, work)
    assert left.hours["A10G"] == pytest.approx(2 * once) == pytest.approx(2 * work.costs["A10G"].seconds / 3600)
    assert job_status.Remaining().text() == ""


@pytest.mark.parametrize("more", [{"base": "org/unknown"}, {"finetune": {"compute": "fp32"}}, {"finetune": {"dora": True}}])
def test_what_cannot_be_reckoned_is_said(more, tmp_path):
    lines = plan_lines(recipe_of(**more), tmp_path)
    name = more.get("base", "mistral-7b").split("/")[-1]
    assert "not known finetune" in line(lines, "finetune", f"{name}--viggo--r16-s0")
    if "base" not in more:
        assert "; 1 not known" in " ".join(lines)


def test_a_card_that_is_too_small(tmp_path):
    lines = plan_lines(recipe_of(tasks=["wikisql"], prepare={"max_tokens": 8000}), tmp_path)
    assert re.search(r"<=\d\d\.\d    -    -[ \d.]+ finetune", line(lines, "finetune", "mistral-7b--wikisql--r16-s0"))
    assert re.search(
        r"A10G <=[\d.]+ \w+ \(1 do not fit\), RTX 4090 <=[\d.]+ \w+ \(1 do not fit\), A100-80 <=[\d.]+ \w+, H100",
        " ".join(" ".join(lines).split()),
    )


def test_an_adapted_model_stops_and_a_base_may_not(tmp_path):
    jobs = {
        job.label: job
        for job in plan(recipe_of(tasks=["shop_notice"], finetune={"rank": 3}, generate={"score_choices": True}), ask=False)
        if job.stage == "generate"
    }
    read = job_estimates.Lengths(
        examples=500, dev=0, prompt=60.0, target=20.0, longest=100, longest_target=30, choices=3, is_upper_bound=False
    )
    base, tuned = (job_estimates.generation_of(MISTRAL, jobs[f"mistral-7b--shop_notice--{name}"], read) for name in ("base", "r3-s0"))
    assert (base.steps, tuned.steps, base.limit, base.longest, base.choices) == (64, 30, 64, 100 - 30 + 64, 3)
    assert base.adapter is None
    assert tuned.adapter.rank == 3


def test_hours_take_four_characters():
    assert [plan_table.hour(value) for value in (0.004, 0.994, 0.996, 12.34, 99.96, 1234.5)] == [
        "0.00",
        "0.99",
        "1.0",
        "12.3",
        "100",
        "1234",
    ]


def test_a_recipe_that_asks_for_all_rows_is_reckoned_with_those_there_are(tmp_path):
    jobs = plan(recipe_of(prepare={"heldout_examples": 10**6, "train_examples": 10**6}), ask=False)
    sizes = {job.label: job_estimates.lengths_of(job, {}).examples for job in jobs if job.stage == "prepare"}
    assert sizes == {"viggo--heldout": 1083, "viggo--train": 5103}
    assert any(
        re.fullmatch(r" +<=1,083 +3\.8 points +viggo", row) for row in plan_lines(recipe_of(prepare={"heldout_examples": 10**6}), tmp_path)
    )
    arc = next(job for job in plan(recipe_of(tasks=["arc_combined"], prepare={"heldout_examples": 10**6}), ask=False))
    assert job_estimates.lengths_of(arc, {}).examples == 2376 + 1172
