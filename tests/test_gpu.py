"""The same work on a CUDA device: `make test-gpu`."""

import csv
import json

import pytest

from pipeline.engine import batching
from pipeline.engine.seeding import seed_everything
from pipeline.errors import MachineError
from pipeline.machine import Machine, peak_memory, reset_peak_memory
from pipeline.models import adapters, dense_weights, loading, renderer
from pipeline.stages import finetune, generate, speed
from pipeline.store.artifact import Store
from tests import project, tiny
from tests.interruption import assert_resumes_with_equal_bytes

pytestmark = pytest.mark.gpu
DEVICE = "cuda"


@pytest.fixture(autouse=True)
def cuda():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    yield
    loading._resident.clear()
    torch.cuda.empty_cache()


@pytest.fixture(scope="module")
def heldout(tmp_path_factory):
    return tiny.write_part(tmp_path_factory.mktemp("gpu") / "heldout", tiny.examples(16, 200))


def losses(folder):
    return [float(row["loss"]) for row in csv.DictReader((folder / "curve.csv").read_text().splitlines())]


def losses_in_store(root):
    adapter = next(artifact for artifact in Store(root / "data", root / "checkpoints").all() if artifact.stage == "finetune")
    return losses(adapter.path)


def train(folder, model, train_part, machine=None, **changes):
    """The facts of a training run that writes into a folder."""
    params = {"model": model, **tiny.FINETUNE, **changes}
    return finetune.run(tiny.work(folder, params, machine or Machine(device=DEVICE), train=train_part))


def predictions(folder, model, compute, **inputs):
    """The bytes of the predictions of the base, or of an adapter on it."""
    work = tiny.work(folder, {"model": model, **tiny.GENERATE, "compute": compute}, Machine(device=DEVICE), **inputs)
    generate.run(work)
    return (work.out / "predictions.jsonl").read_bytes()


def test_the_whole_chain(tmp_path, model):
    recipe = project.make(tmp_path / "project", model["folder"])
    assert project.carry_out(recipe, tmp_path, device=DEVICE) == project.STAGES
    for artifact in Store(tmp_path / "data", tmp_path / "checkpoints").all():
        artifact.verify()


@pytest.mark.parametrize(("compute", "tolerance"), [("fp32", 1e-3), ("bf16", 5e-2)])
def test_the_first_losses_are_those_of_the_cpu(tmp_path, model, compute, tolerance):
    recipe = project.make(tmp_path / "project", model["folder"])
    changes = {"finetune.compute": compute, "finetune.max_steps": 3}
    for device in ("cpu", DEVICE):
        project.carry_out(recipe, tmp_path / device, changes, {"finetune"}, device)
    assert losses_in_store(tmp_path / DEVICE) == pytest.approx(losses_in_store(tmp_path / "cpu"), rel=tolerance)


@pytest.mark.parametrize("compute", ["bf16", "fp32"])
def test_the_4_bit_base_answers_the_same_before_and_after_an_adapter_and_when_loaded_again(tmp_path, model, heldout, adapter, compute):
    before = predictions(tmp_path / "before", model, compute, heldout=heldout)
    tuned = predictions(tmp_path / "tuned", model, compute, heldout=heldout, adapter=adapter)
    after = predictions(tmp_path / "after", model, compute, heldout=heldout)
    loading._resident.clear()
    again = predictions(tmp_path / "again", model, compute, heldout=heldout)
    assert before == after == again != tuned


@pytest.mark.parametrize("compute", ["bf16", "fp32"])
def test_dense_weights_answer_as_4_bit_ones(model, adapter, compute):
    import torch

    device = torch.device(DEVICE)
    ids = torch.randint(3, 300, (4, 30), generator=torch.Generator().manual_seed(0)).to(device)
    with loading.adapted(loading.load(model, "nf4", compute, device), adapter) as tuned, torch.inference_mode():
        with dense_weights.dequantized(tuned) as weights:
            dense, dense_token = tuned(ids).logits, tuned(ids[:1, :1]).logits
            assert weights.are_held
        # many rows are multiplied by dequantized weights, as dense ones are; few in a kernel of their own, which rounds otherwise
        assert torch.equal(tuned(ids).logits, dense)
        assert torch.allclose(tuned(ids[:1, :1]).logits, dense_token, rtol=0, atol=2e-2 * float(dense_token.abs().max()))


@pytest.mark.parametrize(("compute", "dropout"), [("fp32", 0.0), ("bf16", 0.2)])
def test_a_run_that_goes_on_ends_with_the_same_bytes(tmp_path, model, train_part, compute, dropout):
    machine = Machine(device=DEVICE, save_seconds=0.0)
    assert_resumes_with_equal_bytes(
        lambda folder: train(folder, model, train_part, machine, compute=compute, dropout=dropout, epochs=2), tmp_path
    )


@pytest.mark.parametrize("attention", ["sdpa", "flash_attention_2"])
def test_packed_rows_have_the_gradients_of_padded_ones(model, attention):
    """Packed rows are told apart by their positions alone; the flash kernels of variable length read them there."""
    import torch

    if attention == "flash_attention_2":
        pytest.importorskip("flash_attn")
    render = renderer.renderer(model)
    rows = [batching.TokenRow.from_prompt(render.prompt_ids(e.prompt), render.target_ids(e.prompt, e.target)) for e in tiny.examples(16)]
    base = loading.load(model, "nf4", "bf16", torch.device(DEVICE))
    before = base.config._attn_implementation
    base.set_attn_implementation(attention)
    seed_everything(0)
    tuned = adapters.attach(base, tiny.FINETUNE)
    with torch.no_grad():  # B starts at zero; gradients of A would all be zero too
        for name, value in adapters.trainable_parameters(tuned).items():
            if "lora_B" in name:
                value.normal_(0, 0.05)
    loss_and_gradients = []
    try:
        for packing in (False, True):
            tuned.zero_grad()
            loss = finetune.Passes(tuned, "bf16", 0, packing).gradients(rows, 10_000)
            loss_and_gradients.append((loss, torch.cat([value.grad.flatten() for value in adapters.trainable_parameters(tuned).values()])))
    finally:
        tuned.unload()
        base.set_attn_implementation(before)
    (padded_loss, padded), (packed_loss, packed) = loss_and_gradients
    assert packed_loss == pytest.approx(padded_loss, rel=2e-2)
    assert float((packed - padded).norm() / padded.norm()) < 5e-2


@pytest.fixture
def limited():
    """limited(bytes): the process may reserve so many bytes of the device; all of them again at the end."""
    import torch

    total = torch.cuda.get_device_properties(0).total_memory
    yield lambda size: torch.cuda.set_per_process_memory_fraction(size / total)
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_out_of_memory_halves_the_micro_batch_and_changes_nothing_else(tmp_path, limited, capsys):
    import torch

    wide = tiny.make_model(tmp_path / "wide", hidden=256, mlp=1024)
    train_part = tiny.write_part(tmp_path / "train", tiny.examples(512))
    machine, changes = Machine(device=DEVICE, tokens=1 << 15), {"batch_examples": 512, "max_steps": 2}
    loading.load(wide, "nf4", "fp32", torch.device(DEVICE))
    torch.cuda.empty_cache()
    base_bytes = torch.cuda.memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    roomy = train(tmp_path / "roomy", wide, train_part, machine, **changes)
    peak = torch.cuda.max_memory_reserved()
    torch.cuda.empty_cache()
    limited(base_bytes + 0.6 * (peak - base_bytes))
    tight = train(tmp_path / "tight", wide, train_part, machine, **changes)
    assert "out of memory: micro-batches of" in capsys.readouterr().err
    assert tight["micro_tokens"] < roomy["micro_tokens"]
    assert losses(tmp_path / "tight") == pytest.approx(losses(tmp_path / "roomy"), rel=1e-3)


def test_a_base_that_does_not_fit_is_an_error_with_a_remedy(model, limited):
    import torch

    loading._resident.clear()
    torch.cuda.empty_cache()
    limited(1000)
    with pytest.raises(MachineError, match="does not fit into the memory of cuda"):
        loading.load(model, "nf4", "fp32", torch.device(DEVICE))


def test_speed_counts_the_peak_of_every_arm(tmp_path, model, heldout, train_part, adapter):
    params = {"model": model, "quantization": "nf4", "compute": "bf16", "prompts": 4, "new_tokens": 5, "answer_tokens": 5}
    params |= {"shots": 3, "shots_seed": 0, "constrained": [], "constrain": "", "dense": True}
    work = tiny.work(tmp_path / "out", params, Machine(device=DEVICE), heldout=heldout, train=train_part, adapter=adapter)
    speed.run(work)
    arms = json.loads((work.out / "speed.json").read_text())["arms"]
    assert set(arms) == {"base", "tuned", "base_fewshot", "base_bf16"}
    working = {name: arm["peak_bytes"] - arm["weight_bytes"] for name, arm in arms.items()}
    assert all(size > 0 for size in working.values())
    assert arms["tuned"]["weight_bytes"] > arms["base"]["weight_bytes"]
    assert arms["base_bf16"]["weight_bytes"] > arms["base"]["weight_bytes"]
    assert working["base_fewshot"] > working["base"]  # a longer prompt has a larger cache
    assert max(working.values()) < 1 << 30  # not the peak of an earlier arm or job


def test_the_peak_of_a_job_is_its_own():
    import torch

    reset_peak_memory(DEVICE)
    before = peak_memory(DEVICE)["cuda"]
    block = torch.ones(1 << 30, dtype=torch.uint8, device=DEVICE)
    assert peak_memory(DEVICE)["cuda"] >= before + (1 << 30)
    del block
    reset_peak_memory(DEVICE)  # the allocator's unused blocks are no part of the next job
    assert peak_memory(DEVICE)["cuda"] < before + (1 << 29)


def test_preflight_reads_the_memory_of_the_device():
    import torch

    from pipeline.commands import preflight
    from pipeline.planning.job import job

    total = torch.cuda.get_device_properties(0).total_memory
    assert preflight.device_bytes(Machine(device="auto"), [job("finetune", "x", {})]) == {"auto": total}
    assert preflight.device_bytes(Machine(device="cuda:0"), [job("finetune", "x", {})]) == {"cuda:0": total}
