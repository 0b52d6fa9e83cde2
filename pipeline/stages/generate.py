"""Generates the predictions of one arm on the held-out examples: the base, few-shot, constrained to choices, or with an adapter.

Base and tuned run on the same weights, with the same token ids in the same batches. Answers are greedy; tasks of code may add samples.
Finished batches are kept in the resume folder, so a killed run continues where it was.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any
from zlib import crc32

from pipeline.data import few_shot_prompts
from pipeline.engine import harness_pairs, resumable, written_answers
from pipeline.engine.backend import Backend
from pipeline.engine.generation import SamplingParams, StopConditions
from pipeline.engine.open_backend import open_backend
from pipeline.errors import DataError
from pipeline.machine import Work
from pipeline.measures import untested
from pipeline.models import renderer, whole_model
from pipeline.progress import say
from pipeline.store import records
from pipeline.store.folders import HeldoutFolder, PredictionsFolder, TrainFolder
from pipeline.store.records import HARNESS_EXTRA, Example, Prediction

VERSION = 4
NEEDS = ("weights", "gpu")


def version(params: Mapping[str, Any], _: Mapping[str, Mapping[str, Any]]) -> int | str:
    """The version in a job's key. Few-shot answers of chat models once ended at a blank line, and those are not row_scores."""
    if not params.get("shots"):
        return VERSION
    is_plain = params["model"].get("chat") is False  # None: by its tokenizer, which is not loaded here
    return VERSION if is_plain else f"{VERSION}, no end at a blank line"


def run(work: Work) -> dict[str, Any]:
    start = time.monotonic()
    prompts, predictions, facts = answer(work)
    if "model" in work.inputs:  # after the answers, so that only one of the two models is in memory
        liveness = whole_model.examine(work.params, work.inputs["model"], prompts.ids, work.machine.torch_device())
        PredictionsFolder(work.out).write_liveness(liveness)
    PredictionsFolder(work.out).write_predictions(predictions)
    tokens = sum(prediction.tokens for prediction in predictions)
    return prompts.facts | {
        "examples": len(prompts.examples),
        **facts,
        "tokens": tokens,
        "prompt_tokens": sum(map(len, prompts.ids)),
        "max_new_tokens": max_new_tokens(work, prompts),
        "truncated": sum(prediction.stopped == "length" for prediction in predictions),
        "tokens_per_second": round(tokens / (time.monotonic() - start), 1),
    }


def answer(work: Work) -> tuple["Prompts", list[Prediction], dict[str, Any]]:
    """The prompts of the arm, its predictions, and what the manifest records about how the model ran.

    Raises:
        ModelError: the weights cannot be read, or a fine-tuned model has another tokenizer than its base.
    """
    render = renderer.renderer(work.params["model"])
    with open_backend(work) as backend:
        prompts = build_prompts(work, render, backend.context_window)
        if "model" in work.inputs:
            whole_model.check_ids(work.inputs["model"], render, prompts.ids)
        arm_answers = ArmAnswers(work, backend, render, prompts)
        if why := untested.reason(prompts.facts | {"examples": len(prompts.examples)}):
            say(f"  not tested: {why}")
            predictions: list[Prediction] = []
        else:
            predictions = arm_answers.in_its_way()
        if work.inputs.get("adapter") and "merge" not in work.params:
            liveness = backend.examine_adapter(work.inputs["adapter"], prompts.ids)
            PredictionsFolder(work.out).write_liveness(liveness)
        return prompts, predictions, backend.facts()


def max_new_tokens(work: Work, prompts: "Prompts") -> int:
    """The limit of new tokens of an answer."""
    return records.answer_tokens(work.params["max_new_tokens"], prompts.examples)


@dataclass(frozen=True)
class Prompts:
    """The held-out examples with the prompts of this arm."""

    examples: list[Example]
    ids: list[list[int]]
    """Token ids of every prompt."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the manifest records about the prompts."""
    separator: str = ""
    """The separator between few-shot examples, a further stop string; see StopConditions. Empty: there is none."""


def build_prompts(work: Work, render: renderer.Renderer, window: int) -> Prompts:
    """The prompts of this arm, tokenized once.

    Args:
        window: tokens of prompt and answer together that the model supports.
    """
    folder = HeldoutFolder(work.inputs["heldout"])
    heldout = folder.examples()
    ids = [render.fitted(render.prompt_ids(example.prompt), window - work.params["max_new_tokens"]) for example in heldout]
    if too_long := sum(len(prompt) >= window for prompt in ids):
        say(f"  {too_long} of {len(heldout)} prompts fill the context window of {window} tokens; lower prepare.max_tokens")
    if "train" not in work.inputs:
        return Prompts(heldout, ids)
    train = TrainFolder(work.inputs["train"]).examples()
    preface = folder.preface()
    max_tokens = window - records.answer_tokens(work.params["max_new_tokens"], heldout)
    if work.params.get("constrain") == "keys":
        keys = few_shot_prompts.json_keys(train)
        examples, unchanged = few_shot_prompts.with_key_lists(heldout, keys, render, preface, max_tokens)
        return with_keys(examples, keys, unchanged, render)
    return with_shots(heldout, few_shot_prompts.Shots(render, train, work.params["shots"], work.params["shots_seed"], max_tokens, preface))


def with_shots(heldout: list[Example], shots: few_shot_prompts.Shots) -> Prompts:
    """The few-shot prompts of the examples."""
    pairs = [shots.prompt(example) for example in heldout]
    counts = [count for _, count in pairs]
    shrunk = sum(count < shots.count for count in counts)
    fewest = min(counts, default=0)
    most = max(counts, default=0)
    if shrunk:
        number = " to ".join(map(str, dict.fromkeys((fewest, most))))
        why = "are there to show" if len(shots.train) <= fewest else "fit into the context window"
        say(f"  few-shot: {number} of {shots.count} examples {why} ({shrunk:,} of {len(heldout):,} prompts have fewer)")
    separator = shots.stop if most else ""  # without examples in any prompt, answers end as the base's do
    if any(separator in answer for example in heldout for answer in example.right_answers):
        separator = ""  # no right answer may be truncated
    counted = {"shots": shots.count, "shrunk": shrunk, "fewest_shots": fewest, "most_shots": most, "without_shots": counts.count(0)}
    facts = {**counted, "separator": separator}
    examples = [replace(example, prompt=prompt) for example, (prompt, _) in zip(heldout, pairs, strict=True)]
    return Prompts(examples, [shots.render.prompt_ids(prompt) for prompt, _ in pairs], facts, separator)


def with_keys(examples: list[Example], keys: list[str], unchanged: int, render: renderer.Renderer) -> Prompts:
    """The prompts that name the keys of the answer; `unchanged` name none: no room, or no keys known."""
    if unchanged:
        why = "no room" if keys else "no training answer is a JSON object"
        say(f"  {unchanged} of {len(examples)} prompts do not name the keys of the answer: {why}")
    return Prompts(examples, [render.prompt_ids(example.prompt) for example in examples], {"keys": keys, "unkeyed": unchanged})


class ArmAnswers:
    """Predictions of one job, batch by batch; the batches are fixed by the examples and the token budget alone."""

    def __init__(self, work: Work, backend: Backend, render: renderer.Renderer, prompts: Prompts) -> None:
        params = work.params
        self.work = work
        self.backend = backend
        self.render = render
        self.prompts = prompts
        self.stop = StopConditions(
            max_new_tokens=max_new_tokens(work, prompts),
            eos_ids=backend.eos_ids,
            stop_strings=(*params["stop"], *render.stop_strings),
            separator=prompts.separator,
        )

    def in_its_way(self) -> list[Prediction]:
        """Answers as the examples ask for them: likelihoods of given texts, a ranking of choices, or a text."""
        if any(example.extra.get(HARNESS_EXTRA, {}).get("pairs") for example in self.prompts.examples):
            return self.scored()
        return self.ranked() if self.work.params.get("constrain") == "choices" else self.written()

    def scored(self) -> list[Prediction]:
        """The likelihoods of the texts that lm-evaluation-harness asks for, and the likeliest of them as the answer."""
        pairs = [example.extra[HARNESS_EXTRA]["pairs"] for example in self.prompts.examples]
        rows = harness_pairs.by_prompt(pairs, self.render, self.backend.context_window)
        prompts, continuations = [row.prompt for row in rows], [row.continuations for row in rows]

        def scores(batch: Sequence[int]) -> list[list[tuple[float, bool]]]:
            return self.backend.choice_scores([prompts[index] for index in batch], [continuations[index] for index in batch])

        batches = self.backend.choice_batches(prompts, continuations)
        row_scores = resumable.compute_resumably(self.work.resume / "pairs.jsonl", batches, scores, "scoring", "examples")
        return harness_pairs.predictions(self.prompts.examples, pairs, rows, row_scores)

    def written(self) -> list[Prediction]:
        """Greedy answers, with samples and log-likelihoods of the choices if the recipe asks for them."""
        predictions = self.generate_round()
        if self.work.params["score_choices"]:
            scores = self.likelihoods()
            predictions = [replace(row, logprobs=tuple(sums)) for row, sums in zip(predictions, scores, strict=True)]
        rounds = [self.generate_round(number) for number in range(self.work.params.get("samples", 0))]
        return [replace(row, samples=tuple(samples[i].text for samples in rounds)) for i, row in enumerate(predictions)]

    def generate_round(self, number: int | None = None) -> list[Prediction]:
        """One answer to every example, in their order.

        Args:
            number: of the round of samples; None: greedy.
        """
        path = self.work.resume / ("answers.jsonl" if number is None else f"samples{number}.jsonl")
        questions = [
            written_answers.Question(example.id, ids) for example, ids in zip(self.prompts.examples, self.prompts.ids, strict=True)
        ]
        sampling = None if number is None else partial(self.sampling, number)
        return written_answers.answer_resumably(path, self.backend, self.render, questions, self.stop, sampling)

    def sampling(self, number: int, examples: Sequence[str]) -> SamplingParams:
        """Seeded by the batch and the round, so that a resumed run draws the same samples."""
        params = self.work.params
        seed = crc32(json.dumps([params["seed"], number, list(examples)]).encode())
        return SamplingParams(params["temperature"], params["top_p"], seed)

    def ranked(self) -> list[Prediction]:
        """The choice of the highest log-likelihood per token for every example, and the sums of all."""
        predictions = []
        for example, choices, sums in zip(self.prompts.examples, self.choice_ids, self.likelihoods(), strict=True):
            if not choices:
                raise DataError(
                    f"example {example.id} has no choices to rank.", "Leave base_constrained and tuned_constrained out of compare.arms."
                )
            tokens = [max(1, len(ids)) for ids in choices]
            best = max(range(len(choices)), key=lambda index: sums[index] / tokens[index])
            predictions.append(Prediction(example.id, example.choices[best], tokens[best], "eos", tuple(sums)))
        return predictions

    def likelihoods(self) -> list[list[float]]:
        """For every example the log-likelihood of each of its choices after the prompt, without EOS, in nats."""
        prompts, choices = self.prompts.ids, self.choice_ids

        def choice_logprobs(batch: Sequence[int]) -> list[list[float]]:
            return self.backend.choice_logprobs([prompts[index] for index in batch], [choices[index] for index in batch])

        path = self.work.resume / "choices.jsonl"
        sums: list[list[float]] = resumable.compute_resumably(
            path, self.backend.choice_batches(prompts, choices), choice_logprobs, "scoring", "examples"
        )
        return sums

    @cached_property
    def choice_ids(self) -> list[list[list[int]]]:
        return [[self.render.answer_ids(example.prompt, choice) for choice in example.choices] for example in self.prompts.examples]
