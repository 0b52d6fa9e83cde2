"""Times training steps under each setting that the defaults choose among, beside plain transformers + peft on the same rows."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from benchmarks.acceptance.machine_limits import Limits
from pipeline.commands import estimate
from pipeline.config.finetune import Finetune
from pipeline.engine.batching import TokenRow
from pipeline.engine.seeding import seed_everything
from pipeline.engine.timing import peak_bytes, reset_peak, synchronize
from pipeline.models import adapters, dense_weights
from pipeline.models.shapes import Shape
from pipeline.planning.adapter_params import adapter_params
from pipeline.stages.finetune import Passes

RANK = 8
PARAMS = adapter_params(Finetune(rank=RANK, dropout=0.0))
PAD = 0


@dataclass(frozen=True)
class Setting:
    """One way to compute the same optimizer step."""

    name: str
    packing: bool = True
    attention: str = "sdpa"
    dense: bool = False
    """Weights are dequantized once and held so."""
    checkpointing: bool = False
    compiled: bool = False
    """Each block goes through torch.compile; its warm-up is timed apart."""


SETTINGS = (
    Setting("padded", packing=False),
    Setting("packed"),
    Setting("packed, dense", dense=True),
    Setting("packed, dense, checkpointed", dense=True, checkpointing=True),
    Setting("padded, dense", packing=False, dense=True),
    Setting("padded, dense, compiled", packing=False, dense=True, compiled=True),
)


@dataclass(frozen=True)
class Steps:
    """What is timed: equal optimizer steps over the same rows."""

    rows: list[TokenRow]
    batch_examples: int
    budget: int
    """Tokens in one micro-batch."""

    def batches(self) -> list[list[TokenRow]]:
        return [self.rows[start : start + self.batch_examples] for start in range(0, len(self.rows), self.batch_examples)]


@contextmanager
def under(setting: Setting, base: Any) -> Iterator[Any]:
    """The base with a new adapter, under a setting; as before at the end."""
    before = base.config._attn_implementation
    with ExitStack() as stack:
        base.set_attn_implementation(setting.attention)
        stack.callback(base.set_attn_implementation, before)
        if setting.dense and not stack.enter_context(dense_weights.dequantized(base)).are_held:
            raise MemoryError("no memory for dequantized weights")
        seed_everything(0)
        model = adapters.attach(base, PARAMS)
        stack.callback(model.unload)
        give_b_values(model)
        if setting.checkpointing:
            checkpoint_activations(base)
            model.enable_input_require_grads()
            stack.callback(checkpoint_activations, base, False)
        if setting.compiled:
            for block in base.get_decoder().layers:
                block.compile()
                stack.callback(setattr, block, "_compiled_call_impl", None)
        yield model


def checkpoint_activations(base: Any, enable: bool = True) -> None:
    """Under the name that this version of transformers has for it."""
    verb = "enable" if enable else "disable"
    name = next(name for name in (f"activation_checkpointing_{verb}", f"gradient_checkpointing_{verb}") if hasattr(base, name))
    getattr(base, name)()


def give_b_values(model: Any) -> None:
    """B starts at zero, so that the gradient of A would be zero, and the settings could not be compared by it."""
    import torch

    with torch.no_grad():
        for name, value in adapters.trainable_parameters(model).items():
            if "lora_B" in name:
                value.normal_(0, 0.01)


def flat_gradient(model: Any) -> Any:
    import torch

    gradients = [value.grad for value in adapters.trainable_parameters(model).values()]
    return torch.cat([gradient.flatten().float() for gradient in gradients if gradient is not None])


def time_setting(base: Any, setting: Setting, steps: Steps) -> tuple[dict[str, Any], Any]:
    """Rates and peak of a setting, and the gradient of its first step."""
    import torch

    with under(setting, base) as model:
        passes = Passes(model, "bf16", PAD, setting.packing)
        optimizer = torch.optim.AdamW(adapters.trainable_parameters(model).values(), lr=1e-6)
        return timed(steps, model, optimizer, lambda batch: passes.gradients(batch, steps.budget))


def timed(steps: Steps, model: Any, optimizer: Any, gradients: Any) -> tuple[dict[str, Any], Any]:
    """Time every step after the first, which warms up and whose loss and gradient are kept.

    Args:
        gradients: adds the gradients of a batch and returns its mean loss over target tokens, in nats.
    """
    device = model.device
    reset_peak(device)
    first, *rest = steps.batches()
    start = time.perf_counter()
    loss = gradients(first)
    synchronize(device)
    warm_up = time.perf_counter() - start
    gradient = flat_gradient(model)
    optimizer.zero_grad()
    seconds = []
    for batch in rest:
        start = time.perf_counter()
        gradients(batch)
        optimizer.step()
        optimizer.zero_grad()
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    rates = {"loss": loss, "warm_up_seconds": warm_up, "seconds": sum(seconds), "step_seconds": seconds}
    return rates | count_rates(rest, sum(seconds)) | {"peak_bytes": peak_bytes(device) if device.type == "cuda" else None}, gradient


def count_rates(batches: Sequence[Sequence[TokenRow]], seconds: float) -> dict[str, float]:
    """Real tokens and target tokens per second."""
    rows = [row for batch in batches for row in batch]
    return {
        "tokens_per_second": sum(map(len, rows)) / seconds,
        "target_tokens_per_second": sum(row.target_count for row in rows) / seconds,
        "target_share": sum(row.target_count for row in rows) / sum(map(len, rows)),
        "mean_tokens": sum(map(len, rows)) / len(rows),
    }


def plain_peft(base: Any, steps: Steps, micro_examples: int = 4) -> tuple[dict[str, Any], Any]:
    """The loop that peft's documentation shows, on the same rows: prepare_model_for_kbit_training, padded rows in the order of the
    data, logits of every column, activations checkpointed. It changes the base, so it comes last."""
    import torch
    from peft import prepare_model_for_kbit_training

    from pipeline.engine import batching

    prepared = prepare_model_for_kbit_training(base, gradient_checkpointing_kwargs={"use_reentrant": False})
    seed_everything(0)
    model = adapters.attach(prepared, PARAMS)
    give_b_values(model)
    model.train()

    def gradients(batch: Sequence[TokenRow]) -> float:
        total, loss_sum = sum(row.target_count for row in batch), 0.0
        for start in range(0, len(batch), micro_examples):
            rows = batch[start : start + micro_examples]
            with torch.autocast(model.device.type, torch.bfloat16):
                loss = model(**batching.padded(rows, PAD, model.device), use_cache=False, num_items_in_batch=total).loss
            loss.backward()
            loss_sum += float(loss.detach())
        return loss_sum

    return timed(steps, model, torch.optim.AdamW(adapters.trainable_parameters(model).values(), lr=1e-6), gradients)


def share_of_limit(shape: Shape, rates: dict[str, Any], limits: Limits) -> float:
    """Share of the measured rate of products that the step's own work takes: no recomputation, no logits of prompts, no padding counted."""
    share: float = rates["target_share"]
    method = estimate.AdapterSetup(RANK, target_share=share, program=estimate.TrainingProgram(logit_share=share))
    return float(rates["tokens_per_second"] * estimate.train_flop(shape, method, rates["mean_tokens"]) / limits.flops)


def measure(base: Any, shape: Shape, steps: Steps, limits: Limits, settings: Sequence[Setting] = SETTINGS) -> list[dict[str, Any]]:
    """Every setting, then plain peft. A setting that fails has its error instead of figures; gradients are compared with the first."""
    import torch

    reference, results = None, []
    runs = [(asdict(setting), partial(time_setting, base, setting, steps)) for setting in settings]
    for words, run in [*runs, ({"name": "plain transformers + peft"}, partial(plain_peft, base, steps))]:
        try:
            rates, gradient = run()
        except (RuntimeError, MemoryError, ValueError, TypeError, ImportError) as error:
            results.append({**words, "error": f"{type(error).__name__}: {error}"[:500]})
            continue
        reference = gradient if reference is None else reference
        cosine = float(torch.nn.functional.cosine_similarity(reference, gradient, dim=0)) if len(gradient) == len(reference) else None
        results.append({**words, **rates, "gradient_cosine": cosine, "share_of_limit": share_of_limit(shape, rates, limits)})
    return results
