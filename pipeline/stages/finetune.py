"""Trains an adapter over a frozen 4-bit base. Read `train()` from top to bottom.

The loss of an optimizer step is the sum over all its target tokens divided by their number, so how the
step is cut into micro-batches never changes the result. Resume points are saved in the
resume folder; a run that was killed and restarted ends with the same bytes as an uninterrupted one.
"""

import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from pipeline.engine import (
    batching,
    cpu_attention,
    document_attention,
    eva,
    optimizers,
    rank_allocation,
    ranks,
    tracking,
    training_state,
)
from pipeline.engine.loss import target_loss
from pipeline.engine.seeding import seed_everything
from pipeline.errors import DivergedError, TrainingError
from pipeline.machine import Work
from pipeline.models import adapters, dense_weights, loading, renderer, thinking
from pipeline.progress import meter, say
from pipeline.store import records
from pipeline.store.folders import AdapterFolder, TrainFolder

VERSION = 2
NEEDS = ("weights", "gpu")

SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


def version(params: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]]) -> int | str:
    """The version in a job's key. Runs of two or three steps once lost the first to the warm-up, and those adapters are not found."""
    examples = facts.get("train", {}).get("examples")
    is_short = examples and 1 < training_state.total_steps(examples, dict(params)) <= training_state.SHORT_RUN
    return f"{VERSION}, short runs without warm-up" if is_short and params["warmup"] else VERSION


def run(work: Work) -> dict[str, Any]:
    with ranks.together(work), prepared(work) as (model, rows, weights):
        return train(work, model, rows, weights)


@contextmanager
def prepared(work: Work) -> "Iterator[tuple[Any, TrainingData, dense_weights.DenseWeights]]":
    """The base with a new adapter, the token rows of a training, and the base's weights as they are held."""
    params = work.params
    device = ranks.device_of(work.machine)
    render = renderer.renderer(params["model"])
    folder = TrainFolder(work.inputs["train"])
    train_rows = tokenized(work, folder.examples(), render)
    dev_rows = tokenized(work, folder.dev(), render)
    base = loading.load(params["model"], params["quantization"], params["compute"], device)
    seed_everything(params["seed"])  # before the adapter exists: its weights may be random
    model = adapters.attach(base, params, training_state.total_steps(len(train_rows), params))
    data = TrainingData(train_rows, dev_rows, render.pad_id)
    try:
        if params["init"] == "eva":
            order = training_state.epoch_order(len(train_rows), params["seed"], 0)
            eva.initialize(model, [train_rows[i] for i in order], eva.Reading(params["compute"], render.pad_id, work.resume))
        with dense_weights.dequantized(model, work.machine.residency) as weights:
            yield model, data, weights
    finally:
        model.unload()


def tokenized(work: Work, examples: list[records.Example], render: renderer.Renderer) -> list[batching.TokenRow]:
    if work.params.get("placebo") == "shuffled_labels":
        examples = shuffled(examples, work.params["seed"])
    return [token_row(example, render) for example in examples]


def token_row(example: records.Example, render: renderer.Renderer) -> batching.TokenRow:
    """The ids of an example; its answer carries loss, and so do earlier answers that `prepare` lists."""
    row = batching.TokenRow.from_prompt(render.prompt_ids(example.prompt), target_ids(example, render))
    spans = render.turn_spans(example.prompt, example.extra.get(records.LOSS_TURNS, ()))
    return row.with_targets(spans) if spans else row


def target_ids(example: records.Example, render: renderer.Renderer) -> list[int]:
    if render.thinking:
        return thinking.target_ids(render, example.prompt, example.answer_turn, example.extra.get(records.THOUGHT, ""))
    return render.target_ids(example.prompt, example.target, is_call=records.CALLS in example.extra)


def shuffled(examples: list[records.Example], seed: int) -> list[records.Example]:
    """The same examples with their targets shuffled: training on them can teach only the form, length and distribution of answers.

    Earlier answers of a conversation fit their questions, so they carry no loss here.
    """
    targets = [(example.target, {name: example.extra[name] for name in (records.CALLS,) if name in example.extra}) for example in examples]
    random.Random(f"shuffled {seed}").shuffle(targets)
    bound = (records.LOSS_TURNS, records.CALLS, records.THOUGHT)
    extras = [{name: value for name, value in example.extra.items() if name not in bound} for example in examples]
    shuffled = zip(examples, targets, extras, strict=True)
    return [replace(example, target=target, extra=extra | calls) for example, (target, calls), extra in shuffled]


@dataclass(frozen=True)
class TrainingData:
    """Token rows of the train split."""

    train: list[batching.TokenRow]
    dev: list[batching.TokenRow]
    """For the dev loss that chooses the best step; may be empty."""
    pad_id: int
    """Pads the shorter rows of a batch."""


def train(work: Work, model: Any, rows: TrainingData, weights: dense_weights.DenseWeights) -> dict[str, Any]:
    """The whole training; writes the adapter and its curve into work.out, returns facts for the manifest.

    Raises:
        TrainingError: the adapter did not train, or as advance().
    """
    state, _ = advance(work, model, rows, weights)
    return finish(work, model, state) | {"dense": weights.are_held}


def advance(
    work: Work, model: Any, rows: TrainingData, weights: dense_weights.DenseWeights, part: int = 1
) -> "tuple[training_state.TrainingState, Passes]":
    """The training loop, from the resume point on where there is one, for one part in so many of the steps.

    A training that was stopped at a part and goes on later gives the same bytes as one that was not.

    Args:
        weights: the base's weights, dropped where memory runs out.

    Raises:
        TrainingError: the loss is not finite, no gradient reaches the adapter, or one example does not fit into memory.
    """
    params = work.params
    steps = training_state.total_steps(len(rows.train), params)
    last = training_state.steps_of_part(steps, part)
    state = initial_state(work, model, steps)
    state.restore(work.resume, last)
    saver = training_state.PeriodicSaver(work.resume, work.machine.save_seconds)
    passes = Passes(model, params["compute"], rows.pad_id, params["packing"], weights)

    with meter("training", last, "steps") as progress, tracking.tracker(work) as track:
        progress.advance(state.step)
        while state.step < last:
            start = time.monotonic()
            batch = [rows.train[i] for i in training_state.batch_indices(len(rows.train), params, state.step)]
            loss, norm = optimizer_step(passes, state, batch, params["max_grad_norm"])
            measures = {"loss": loss, "learning_rate": state.schedule.get_last_lr()[0], "grad_norm": norm}
            state.schedule.step()
            state.step += 1
            state.tokens += sum(map(len, batch))
            state.target_tokens += sum(row.target_count for row in batch)
            if rows.dev and (state.step % params["dev_every"] == 0 or state.step == steps):
                measures["dev_loss"] = passes.mean_loss(rows.dev, state.micro_tokens)
                state.keep_if_best(measures["dev_loss"])
            state.curve.append({"step": state.step, "tokens": state.tokens, **measures})
            state.seconds += time.monotonic() - start
            track(measures, state.step)
            saver.save_if_due(state)
            progress.advance(1, f"loss {loss:.3f}")
    return state, passes


def initial_state(work: Work, model: Any, steps: int) -> training_state.TrainingState:
    """What a training of so many optimizer steps begins with. Raises TrainingError where AdaLoRA cannot prune in them."""
    from transformers import get_scheduler

    params = work.params
    allocation = rank_allocation.allocation_of(model, steps)
    optimizer = optimizers.optimizer_of(model, params)  # before the parameters are listed: of LoRA-FA it freezes some
    schedule = get_scheduler(SCHEDULES[params["schedule"]], optimizer, training_state.warmup_steps(steps, params["warmup"]), steps)
    tokens = batching.token_budget(work.machine.tokens, model.device)
    return training_state.TrainingState(adapters.trainable_parameters(model), optimizer, schedule, tokens, allocation=allocation)


class Passes:
    """Forward and backward passes at the recipe's precision, over padded rows or packed ones."""

    def __init__(
        self, model: Any, compute_dtype: str, pad_id: int, packing: bool = False, weights: dense_weights.DenseWeights | None = None
    ) -> None:
        from accelerate import Accelerator

        self.model = model
        self.pad_id = pad_id
        self.bf16 = compute_dtype == "bf16"
        self.packing = packing
        self.weights = weights
        self.by_document = packing and document_attention.is_supported(model.get_base_model())
        self.attention_name = document_attention.NAME if self.by_document else "sdpa"
        self.accelerator = Accelerator(cpu=model.device.type == "cpu")

    def loss(self, rows: Sequence[batching.TokenRow]) -> Any:
        import torch

        device = self.model.device
        batch = batching.packed(rows, device) if self.packing else batching.padded(rows, self.pad_id, device)
        if device.type == "cpu" and not self.packing:  # no token reads what stands to its right, and torch is faster without a mask
            batch["attention_mask"] = torch.ones_like(batch["attention_mask"])
        # not the accelerator's own autocast: its precision is fixed once per process, and jobs of a sweep may differ
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            return target_loss(self.model, batch)

    @contextmanager
    def attention(self, rows: Sequence[batching.TokenRow]) -> Iterator[None]:
        """How the rows of a pass are kept from attending to each other, and in which precision they attend, for forward and backward."""
        lengths = [len(row) for row in rows]
        keys = sum(lengths) if self.packing and not self.by_document else max(lengths)
        exact = self.bf16 and cpu_attention.is_faster_in_float32(self.model.device, keys)
        with (
            document_attention.by_document(self.model, lengths) if self.by_document else nullcontext(),
            cpu_attention.float32_attention(self.attention_name) if exact else nullcontext(),
        ):
            yield

    def batches(self, rows: Sequence[batching.TokenRow], budget: int) -> list[list[batching.TokenRow]]:
        """The rows of each pass."""
        return [[rows[i] for i in batch] for batch in batching.training_batches(rows, budget, self.model, self.packing)]

    def gradients(self, rows: Sequence[batching.TokenRow], budget: int) -> float:
        """Add the gradients of the mean loss over all target tokens of the rows; returns that loss, in nats per token.

        Of several processes each reads its share of the rows. One that runs out of memory has all of them raise that.
        """
        import torch

        total = sum(row.target_count for row in rows)
        if not total:
            raise TrainingError("an optimizer step has no target token to learn from", "Look at the examples with `loralift show-prompt`.")
        loss_sum, lacks_memory = 0.0, False
        try:
            loss_sum = self.add_gradients(ranks.share(rows), budget, total)
        except torch.OutOfMemoryError:
            if ranks.size() == 1:
                raise
            lacks_memory = True
        loss_sum, failures = ranks.total([loss_sum, lacks_memory])
        if failures:
            raise torch.OutOfMemoryError
        ranks.sum_gradients(adapters.trainable_parameters(self.model).values())
        return loss_sum

    def add_gradients(self, rows: Sequence[batching.TokenRow], budget: int, total: int) -> float:
        """The same of the sum of losses divided by `total`, in this process."""
        self.model.train()
        loss_sum = 0.0
        for batch in self.batches(rows, budget):
            with self.attention(batch):
                loss = self.loss(batch) / total
                self.accelerator.backward(loss)
            loss_sum = loss_sum + loss.detach()
        return float(loss_sum)

    def mean_loss(self, rows: Sequence[batching.TokenRow], budget: int) -> float:
        """Mean loss over all target tokens without training, in nats per token."""
        import torch

        self.model.eval()
        loss_sum = 0.0
        for batch in self.batches(ranks.share(rows), budget):
            with torch.no_grad(), self.attention(batch):
                loss_sum += float(self.loss(batch))
        return ranks.total([loss_sum])[0] / sum(row.target_count for row in rows)


def optimizer_step(
    passes: Passes, state: training_state.TrainingState, rows: Sequence[batching.TokenRow], max_norm: float
) -> tuple[float, float]:
    """One optimizer step; returns its loss and the norm of its gradient before clipping.

    Out of memory, it starts over over 4-bit weights where it held them dequantized, then with half the micro-batch: the optimizer batch
    stays the same.
    """
    import torch

    while True:
        generators = training_state.random_state()
        try:
            loss = passes.gradients(rows, state.micro_tokens)
            break
        except torch.OutOfMemoryError:
            state.optimizer.zero_grad()
            training_state.set_random_state(generators)
            if passes.weights and passes.weights.make_room():
                say("out of memory: the weights are held in 4 bit from now on, no more dequantized; results stay the same")
            else:
                state.micro_tokens = halve_micro_batch(state.micro_tokens, rows)
        torch.cuda.empty_cache()
    if state.allocation:
        state.allocation.add_penalty_gradients()
    norm = float(passes.accelerator.clip_grad_norm_(state.tensors.values(), max_norm))
    check_step(loss, norm, state)
    state.optimizer.step()
    if state.allocation:
        state.allocation.prune(state.step + 1)
    state.optimizer.zero_grad()
    return loss, norm


def halve_micro_batch(budget: int, rows: Sequence[batching.TokenRow]) -> int:
    longest = max(map(len, rows))
    if budget <= longest:
        raise TrainingError(
            f"out of memory on a single example of {longest} tokens",
            "Lower prepare.max_tokens or finetune.rank, or take a smaller base or a larger device.",
        )
    smaller = max(longest, min(budget, sum(map(len, rows))) // 2)
    say(f"out of memory: micro-batches of {smaller} tokens from now on (was {budget}); the optimizer batch stays {len(rows)} examples")
    return smaller


def check_step(loss: float, norm: float, state: training_state.TrainingState) -> None:
    """Raise TrainingError if the loss or the gradient is not finite, or if no gradient reaches the adapter."""
    step = f"at step {state.step + 1}"
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise DivergedError(
            f"the loss is {loss} and the gradient's norm {norm} {step}",
            f"Lower finetune.learning_rate (now {state.optimizer.param_groups[0]['initial_lr']:g}), or warm up for longer.",
        )
    if norm == 0.0:
        fault = DivergedError if state.step else TrainingError  # at first nothing was trained yet that could saturate
        raise fault(
            f"no gradient reaches the adapter {step}: its loss is frozen at {loss:.4f}", "Check finetune.targets; see `loralift doctor`."
        )


def finish(work: Work, model: Any, state: training_state.TrainingState) -> dict[str, Any]:
    """Write the adapter, the best or the last one, and its curve; returns facts for the manifest. Raises TrainingError if it is dead."""
    chosen = {"step": state.step, "loss": state.curve[-1].get("dev_loss")}
    if state.best and work.params["keep"] == "best":
        state.load_tensors(state.best["tensors"])
        chosen = state.best
    if dead := adapters.neutral_tensors(model):
        raise TrainingError(
            f"the adapter did not train: {len(dead)} of its tensors are as before training, the first {dead[0]}",
            "Train for more steps (raise finetune.epochs, or lower finetune.batch_examples or finetune.warmup), "
            "or raise finetune.learning_rate.",
        )
    modules = adapters.save(model, work.out)
    folder = AdapterFolder(work.out)
    training_state.write_curve(folder.curve_file, state.curve)
    return {
        "steps": state.step,
        "kept_step": chosen["step"],
        "dev_loss": chosen["loss"],
        "loss": state.curve[-1]["loss"],
        "tokens": state.tokens,
        "target_tokens": state.target_tokens,
        "train_seconds": round(state.seconds, 2),
        "tokens_per_second": round(state.tokens / state.seconds, 1),
        "micro_tokens": state.micro_tokens,
        "trainable_parameters": folder.weights() if state.allocation else sum(value.numel() for value in state.tensors.values()),
        "adapter_bytes": folder.weights_bytes(),
        "targets": modules,
    }
