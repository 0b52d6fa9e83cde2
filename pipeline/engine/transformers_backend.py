"""Runs models in this process with transformers and peft."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from pipeline.engine import batching, choices, generation, greedy, likelihood, timing
from pipeline.engine.backend import Backend, Batches, Ids
from pipeline.engine.batching import TokenRow
from pipeline.engine.generation import SamplingParams, StopConditions
from pipeline.machine import Work
from pipeline.models import dense_weights, liveness, loading, whole_model
from pipeline.models.renderer import Renderer, renderer
from pipeline.store.folders import LivenessMeasures


class TransformersBackend(Backend):
    """A model in memory."""

    def __init__(self, model: Any, render: Renderer, max_batch_tokens: int | None = None, is_dense: bool = False) -> None:
        """
        Args:
            model: of transformers, or a PeftModel with its adapter switched on.
            max_batch_tokens: padded tokens in one batch; None: by the device.
            is_dense: whether 4-bit weights are held as dense ones.
        """
        self.model = model
        self.pad_id = render.pad_id
        self.tokenizer = render.tokenizer
        self.is_dense = is_dense
        self.context_window = loading.context_window(model)
        self.is_limited = max_batch_tokens is not None
        self.token_budget = batching.token_budget(max_batch_tokens, model.device)
        self.eos_ids = tuple(sorted({render.end_id, int(render.tokenizer.eos_token_id), *configured_eos_ids(model)}))

    def generate(self, prompts: Sequence[Ids], stop: StopConditions, sampling: SamplingParams | None = None) -> list[list[int]]:
        if sampling is None and greedy.is_supported(self.model):
            return greedy.decode(self.model, prompts, stop, self.pad_id, self.tokenizer, self.token_budget)
        return generation.generate(self.model, prompts, stop, self.pad_id, self.tokenizer, sampling)

    def generate_batches(self, prompts: Sequence[Ids], new_tokens: int, sampled: bool = False) -> Batches:
        lengths = [len(prompt) + new_tokens for prompt in prompts]
        budget = self.token_budget if sampled or self.is_limited else greedy.batch_budget(self.model, self.token_budget)
        if budget == self.token_budget:
            return batching.padded_batches(lengths, budget)
        return batching.scoring_batches(lengths, [1] * len(lengths), budget, self.model)  # a step gives the logits of one column

    def logprobs(self, rows: Sequence[TokenRow]) -> list[float]:
        return likelihood.row_logprobs(self.model, rows, self.pad_id)

    def logprobs_batches(self, rows: Sequence[TokenRow]) -> Batches:
        return batching.scoring_batches([len(row) for row in rows], [row.target_width + 1 for row in rows], self.token_budget, self.model)

    def choice_logprobs(self, prompts: Sequence[Ids], choices_of: Sequence[Sequence[Ids]]) -> list[list[float]]:
        return choices.logprobs(self.model, prompts, choices_of, self.pad_id)

    def choice_scores(self, prompts: Sequence[Ids], choices_of: Sequence[Sequence[Ids]]) -> list[list[choices.Score]]:
        return choices.scores(self.model, prompts, choices_of, self.pad_id)

    def choice_batches(self, prompts: Sequence[Ids], choices_of: Sequence[Sequence[Ids]]) -> Batches:
        return choices.batches(prompts, choices_of, self.model, self.token_budget)

    def facts(self) -> dict[str, Any]:
        return {"dense": self.is_dense}

    def examine_adapter(self, folder: Path, prompts: Sequence[Ids]) -> LivenessMeasures:
        return liveness.examine(self.model, folder, [list(prompt) for prompt in prompts[: liveness.PROBES]])

    # The methods below need the weights, so they are not part of the protocol.

    def loss_and_kl(self, rows: Sequence[TokenRow]) -> list[tuple[float, float, float]]:
        """See likelihood.loss_and_kl; needs an adapter."""
        return likelihood.loss_and_kl(self.model, batching.padded(rows, self.pad_id, self.model.device))

    def loss_and_kl_batches(self, rows: Sequence[TokenRow]) -> Batches:
        lengths = [len(row) for row in rows]
        return batching.scoring_batches(lengths, lengths, self.token_budget, self.model)

    def vocabulary(self) -> int:
        """Size of the vocabulary, by the output layer."""
        return int(self.model.get_output_embeddings().weight.shape[0])

    def time_answer(self, prompt: Ids, new_tokens: int) -> timing.RequestTiming:
        """Time the generation of exactly `new_tokens` tokens."""
        return timing.time_generation(self.model, list(prompt), new_tokens, self.pad_id)

    def time_ranking(self, prompt: Ids, answers: Sequence[Ids]) -> timing.RequestTiming:
        """Time the ranking of the answers to one prompt."""
        return timing.time_ranking(self.model, prompt, answers, self.pad_id)


def configured_eos_ids(model: Any) -> list[int]:
    """The EOS ids of a model's generation config, which holds one, a list or none."""
    eos = model.generation_config.eos_token_id
    if eos is None:
        return []
    return list(eos) if isinstance(eos, list) else [eos]


@contextmanager
def open_model(work: Work, with_base: bool = False) -> Iterator[TransformersBackend]:
    """Load a job's base with its adapter attached or merged; 4-bit weights are kept dequantized if there is memory for them.

    A fine-tuned model has the context window of its base, so that prompts are the same.

    Args:
        with_base: hold the base beside a whole fine-tuned model; an adapter is on it anyway.

    Raises:
        ModelError: the weights cannot be read, or the adapter does not fit them.
    """
    with answering_model(work, with_base) as model, dense_weights.dequantized(model, work.machine.residency) as weights:
        backend = TransformersBackend(model, renderer(work.params["model"]), work.machine.tokens, weights.are_held)
        if "model" in work.inputs:
            backend.context_window = loading.configured_window(work.params["model"])
        yield backend


def answering_model(work: Work, with_base: bool) -> AbstractContextManager[Any]:
    """The base, the base with an adapter on it, or with one merged into its weights, or a whole fine-tuned model."""
    params = work.params
    adapter, model = work.inputs.get("adapter"), work.inputs.get("model")
    device = work.machine.torch_device()
    if model and not with_base:
        return nullcontext(whole_model.load(params, model, device))
    if adapter and "merge" in params:
        return loading.merged(params, adapter, params["merge"], device)
    base = loading.load(params["model"], params["quantization"], params["compute"], device)
    if model:
        return whole_model.beside(params, model, base)
    return loading.adapted(base, adapter) if adapter else nullcontext(base)
