"""What one arm says to the held-out examples: the base, the base with worked examples in its prompts, held to its choices, with an adapter.

All arms run on the same resident weights, greedily; base and tuned with the same token ids in the same batches. Finished
batches are kept in the resume folder, so a killed run goes on where it was.
"""

import json
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from zlib import crc32

from pipeline.data import few_shot_prompts
from pipeline.engine import batching, choices, generation, resumable
from pipeline.errors import DataError
from pipeline.machine import Work
from pipeline.models import liveness, loading, renderer
from pipeline.progress import say
from pipeline.store import records
from pipeline.store.records import Example, Prediction

VERSION = 4
NEEDS = ("weights", "gpu")


def run(work: Work) -> dict[str, Any]:
    params, device = work.params, work.machine.torch_device()
    render = renderer.renderer(params["model"])
    adapter = work.inputs.get("adapter")
    start = time.monotonic()
    with answering_model(params, adapter, device) as model, loading.expanded(model) as dense:
        exam, told, separator = build_prompts(work, render, loading.context_window(model))
        ends = sorted({render.end, int(render.tokenizer.eos_token_id), *listed(model.generation_config.eos_token_id)})
        speaker = Generator(
            render, generation.StopConditions(params["max_new_tokens"], tuple(ends), tuple(params["stop"]), separator), params
        )
        if params.get("constrain") == "choices":
            answers = speaker.chosen(work, model, exam)
        else:
            answers = sampled(work, model, speaker, exam, answer_all(work, model, speaker, exam))
        if adapter and "merge" not in params:
            found = liveness.examine(model, adapter, [render.prompt_ids(e.prompt) for e in exam[: liveness.PROBES]])
            (work.out / "liveness.json").write_text(json.dumps(found, indent=1), "utf-8")
    records.write(work.out / "predictions.jsonl", answers)
    tokens = sum(answer.tokens for answer in answers)
    return told | {
        "examples": len(answers),
        "dense": dense,
        "tokens": tokens,
        "prompt_tokens": sum(len(render.prompt_ids(example.prompt)) for example in exam),
        "truncated": sum(answer.stopped == "length" for answer in answers),
        "tokens_per_second": round(tokens / (time.monotonic() - start), 1),
    }


def answering_model(params: dict[str, Any], adapter: Path | None, device: Any) -> AbstractContextManager[Any]:
    """The model that answers: the base, the base with an adapter on it, or with one merged into its weights."""
    if adapter and "merge" in params:
        return loading.merged(params, adapter, params["merge"], device)
    base = loading.load(params["model"], params["quantization"], params["compute"], device)
    return loading.adapted(base, adapter) if adapter else nullcontext(base)


def build_prompts(work: Work, render: renderer.Renderer, window: int) -> tuple[list[Example], dict[str, Any], str]:
    """The held-out examples as this arm is asked them, what is to be known of that, and what ends an answer beside what the recipe says.

    Args:
        window: tokens of prompt and answer together that the model was made for.
    """
    exam = list(records.read(work.inputs["exam"] / "examples.jsonl", Example))
    if longer := sum(len(render.prompt_ids(example.prompt)) >= window for example in exam):
        say(f"  {longer} of {len(exam)} prompts fill the context window of {window} tokens; lower prepare.max_tokens")
    if "train" not in work.inputs:
        return exam, {}, ""
    lessons = list(records.read(work.inputs["train"] / "examples.jsonl", Example))
    preface = work.inputs["exam"] / "preface.txt"
    before, room = preface.read_text("utf-8") if preface.exists() else "", window - work.params["max_new_tokens"]
    if work.params.get("constrain") == "keys":
        return *keyed(exam, few_shot_prompts.json_keys(lessons), render, before, room), ""
    return with_shots(exam, few_shot_prompts.Shots(render, lessons, work.params["shots"], work.params["shots_seed"], room, before))


def with_shots(exam: list[Example], shown: few_shot_prompts.Shots) -> tuple[list[Example], dict[str, Any], str]:
    """The examples with worked ones before them, how many each prompt got, and what ends an answer."""
    made = [shown.prompt(example) for example in exam]
    counts = [count for _, count in made]
    shrunk, fewest, most = sum(count < shown.count for count in counts), min(counts, default=0), max(counts, default=0)
    if shrunk:
        why = "there are no more" if len(shown.train) <= fewest else "no more fit"
        say(f"  {shrunk} of {len(exam)} prompts hold fewer than {shown.count} worked examples, the fewest {fewest}: {why}")
    separator = shown.stop if most else ""  # where no prompt has a pattern to follow, answers end as those of the base do
    told = {"shots": shown.count, "shrunk": shrunk, "fewest_shots": fewest, "most_shots": most, "separator": separator}
    return [replace(example, prompt=prompt) for example, (prompt, _) in zip(exam, made, strict=True)], told, separator


def keyed(exam: list[Example], names: list[str], render: renderer.Renderer, before: str, room: int) -> tuple[list[Example], dict[str, Any]]:
    """The examples with the keys of the answer named, those left as they are that would grow too long."""
    chosen, unkeyed = few_shot_prompts.with_key_lists(exam, names, render, before, room)
    if unkeyed:
        why = "no room" if names else "no training answer is a JSON object"
        say(f"  {unkeyed} of {len(exam)} prompts do not name the keys of the answer: {why}")
    return chosen, {"keys": names, "unkeyed": unkeyed}


def listed(ends: int | list[int] | None) -> list[int]:
    return [] if ends is None else ends if isinstance(ends, list) else [ends]


def sampled(work: Work, model: Any, speaker: "Generator", exam: list[Example], answers: list[Prediction]) -> list[Prediction]:
    """The answers with as many random ones beside each as the recipe asks for."""
    rounds = [answer_all(work, model, speaker, exam, number) for number in range(work.params.get("samples", 0))]
    return [replace(answer, samples=tuple(each[i].text for each in rounds)) for i, answer in enumerate(answers)]


def answer_all(work: Work, model: Any, speaker: "Generator", exam: list[Example], number: int | None = None) -> list[Prediction]:
    """Answers in the order of the exam; batches are fixed by the exam and the token budget alone.

    Args:
        number: of the round of random answers; None: greedy.
    """
    path = work.resume / ("answers.jsonl" if number is None else f"samples{number}.jsonl")
    limit, budget = work.params["max_new_tokens"], batching.token_budget(work.machine.tokens, model.device)
    batches = batching.padded_batches([len(speaker.render.prompt_ids(e.prompt)) + limit for e in exam], budget)
    rows = resumable.values(
        path,
        batches,
        lambda batch: list(map(asdict, speaker.answers(model, [exam[at] for at in batch], number))),
        "answering",
        "examples",
    )
    answers = [records.of(row, Prediction) for row in rows]
    return speaker.scored(work, model, exam, answers) if work.params["score_choices"] and number is None else answers


class Generator:
    """Token ids in, predictions out."""

    def __init__(self, render: renderer.Renderer, halt: generation.StopConditions, params: dict[str, Any]) -> None:
        self.render, self.halt, self.params = render, halt, params

    def answers(self, model: Any, batch: list[Example], number: int | None = None) -> list[Prediction]:
        prompts = [self.render.prompt_ids(example.prompt) for example in batch]
        draw = None if number is None else self.draw(batch, number)
        rows = generation.generate(model, prompts, self.halt, self.render.pad, self.render.tokenizer, draw)
        return [self.prediction(example, row) for example, row in zip(batch, rows, strict=True)]

    def draw(self, batch: list[Example], number: int) -> generation.SamplingParams:
        """Seeded by the batch and the round, so that a killed run goes on with what it would have drawn."""
        mark = crc32(json.dumps([self.params["seed"], number, [example.id for example in batch]]).encode())
        return generation.SamplingParams(self.params["temperature"], self.params["top_p"], mark)

    def prediction(self, example: Example, row: list[int]) -> Prediction:
        ended = bool(row) and row[-1] in self.halt.ends
        ids = row[:-1] if ended else row
        said = self.render.decode(ids)
        if (cut := self.halt.end(said)) is not None:
            return Prediction(example.id, said[:cut], len(ids), "stop")
        return Prediction(example.id, said, len(ids), "eos" if ended else "length")

    def scored(self, work: Work, model: Any, exam: list[Example], answers: list[Prediction]) -> list[Prediction]:
        """The answers with the log-likelihood of every choice (end token left out)."""
        found = self.likelihoods(work, model, exam)
        return [replace(answer, logprobs=tuple(value for value, _ in each)) for answer, each in zip(answers, found, strict=True)]

    def chosen(self, work: Work, model: Any, exam: list[Example]) -> list[Prediction]:
        """The choice of the highest log-likelihood a token to every example, and the sums of all."""
        answers = []
        for example, each in zip(exam, self.likelihoods(work, model, exam), strict=True):
            if not each:
                raise DataError(
                    f"example {example.id} has no choices to rank.", "Leave base_constrained and tuned_constrained out of compare.arms."
                )
            best = max(range(len(each)), key=lambda at: each[at][0] / each[at][1])
            answers.append(Prediction(example.id, example.choices[best], each[best][1], "eos", tuple(value for value, _ in each)))
        return answers

    def likelihoods(self, work: Work, model: Any, exam: list[Example]) -> list[list[tuple[float, int]]]:
        """Of every choice of every example: its log-likelihood behind the prompt, in nats, and its tokens (at least 1)."""
        prompts = [self.render.prompt_ids(example.prompt) for example in exam]
        answers = [[self.render.answer_ids(example.prompt, choice) for choice in example.choices] for example in exam]
        budget = batching.token_budget(work.machine.tokens, model.device)

        def of(batch: Sequence[int]) -> list[list[float]]:
            return choices.logprobs(model, [prompts[at] for at in batch], [answers[at] for at in batch], self.render.pad)

        found = resumable.values(work.resume / "choices.jsonl", choices.batches(prompts, answers, model, budget), of, "scoring", "examples")
        return [[(value, max(1, len(ids))) for value, ids in zip(*each, strict=True)] for each in zip(found, answers, strict=True)]
