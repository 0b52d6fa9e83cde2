"""Measures hallucination: names in an answer that appear in neither source nor target, and wrong facts about a structured input."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from pipeline.data.task import Task
from pipeline.measures import named_facts, slots, tokens
from pipeline.measures.named_facts import AllowedFacts, Fact
from pipeline.measures.stop_words import COMMON_WORDS, is_german
from pipeline.measures.tokens import normal_form
from pipeline.scoring import stats
from pipeline.store.figure_types import Hallucination, HallucinationByArm, InventedFacts, Rate, SlotErrors, SlotSlips
from pipeline.store.records import Example, Prediction

FACT_KINDS = ("name", "number", "date")
SLOT_ERRORS = ("missing", "added", "wrong")
MAX_LISTED = 20
"""Examples of each arm that are listed with their hallucinated facts or slot errors."""
COPIED_SHARE = 0.9
"""A JSON key whose values are in the source in at least this share of the targets must have values from the source in answers, too."""


@dataclass(frozen=True)
class HallucinationResult:
    """The hallucinations of all arms of a task."""

    figures: HallucinationByArm
    hallucinated: dict[str, list[set[str]]]
    """By arm, one set per seed: ids of the examples whose answer hallucinates."""


@dataclass
class Tally:
    """Counts over the answers of one arm, all seeds together; every list has one entry per example."""

    kinds: Counter[str] = field(default_factory=Counter)
    """Hallucinated facts by kind."""
    answers: list[int] = field(default_factory=list)
    """Answers that are neither empty nor refused."""
    hallucinated: list[int] = field(default_factory=list)
    """Answers that hallucinate."""
    errors: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in SLOT_ERRORS})
    judged: list[int] = field(default_factory=list)
    """Slot values that answers were searched for."""
    unjudged: int = 0
    first_hallucinations: list[InventedFacts] = field(default_factory=list)
    first_slot_errors: list[SlotSlips] = field(default_factory=list)
    ids_by_seed: list[set[str]] = field(default_factory=list)
    """Ids of the examples whose answer hallucinates."""


@dataclass(frozen=True)
class TaskContext:
    """What is needed to judge any example of a task."""

    task: Task
    preface: str
    """Few-shot examples before every prompt; they do not count as source."""
    common_words: frozenset[str]
    vocabulary: slots.Vocabulary | None
    """Values of all slots; None for a task without slots."""
    uncopied: frozenset[str]
    """JSON keys whose values are not copied from the source."""
    judges_names: bool
    """Whether a capital in running text tells a name: not in German, where every noun has one."""

    def source(self, example: Example) -> str:
        return example.text.removeprefix(self.preface)

    def allowed_facts(self, example: Example) -> AllowedFacts:
        """The facts of the source, of every correct answer and of all wordings of slot values."""
        task = self.task
        wordings = (wording for slot in (task.slots(example) if task.slots else ()) for wording in slot.wordings)
        right_answers = (example.target, task.answer(example.target, example) or "", *(task.accepted(example) if task.accepted else ()))
        return AllowedFacts([self.source(example), *right_answers, *wordings])


def measure(
    task: Task, examples: Sequence[Example], arms: Mapping[str, Sequence[Sequence[Prediction]]], confidence: float, preface: str = ""
) -> HallucinationResult:
    """Count the hallucinations and the slot errors of every arm.

    An answer counts once, however many facts it invents. rate = hallucinated / answers; empty and refused answers count in n but not in
    answers. A last word that the length limit may have truncated is ignored. The parsed answer is judged, or the whole text where
    nothing could be parsed. In JSON every word of a string counts, since capitals mean nothing there, but only under the keys whose
    values the targets take from the source. In German running text names are not judged, since every noun has a capital. Words are
    looked up one by one: two allowed words in a new combination are not noticed.
    A sum or a rounded number is not in the source and counts as hallucinated.

    Slots are judged in the same answers; an empty answer misses all of its values. Slot rates are over `of`, the number of values that
    were looked for. There may be more added values than that; their rate is capped at 1.

    Args:
        arms: name -> one list of predictions per seed, with the ids of the examples; seeds are pooled.
        confidence: of the intervals of the rates.
        preface: text before every prompt; it does not count as source.

    Raises:
        KeyError: an arm lacks an example.
    """
    if not task.grounded:
        return HallucinationResult({"kind": None, "arms": {}}, {name: [set() for _ in seeds] for name, seeds in arms.items()})
    context = task_context(task, examples, preface)
    predictions = {name: [{row.example: row for row in rows} for rows in seeds] for name, seeds in arms.items()}
    tallies = {name: Tally(ids_by_seed=[set() for _ in seeds]) for name, seeds in arms.items()}
    for example in examples:
        judge = ExampleJudge(context, example)
        for name, seeds in predictions.items():
            judge.add(tallies[name], [by_id[example.id] for by_id in seeds])
    labels = stats.group_ids(examples).tolist()
    figures = {name: arm_summary(tally, labels, len(arms[name]), confidence) for name, tally in tallies.items()}
    return HallucinationResult({"kind": task.grounded, "arms": figures}, {name: tally.ids_by_seed for name, tally in tallies.items()})


def task_context(task: Task, examples: Sequence[Example], preface: str) -> TaskContext:
    """Collect what the examples show of their task. A word is common if it occurs in lower case in any example."""
    lower_case: set[str] = set()
    for example in examples:
        lower_case.update(word for word in f"{example.text} {example.target}".split() if word.islower())
    common_words = frozenset(normal_form(word.strip(".,;:!?\"'()[]")) for word in lower_case) | COMMON_WORDS
    vocabulary = slots.Vocabulary(task.slots(example) for example in examples) if task.slots else None
    german = is_german(example.target for example in examples) or is_german(example.text.removeprefix(preface) for example in examples)
    context = TaskContext(task, preface, common_words, vocabulary, frozenset(), judges_names=not german)
    return replace(context, uncopied=frozenset(uncopied_keys(context, examples)))


def uncopied_keys(context: TaskContext, examples: Sequence[Example]) -> Iterator[str]:
    """JSON keys whose values in the targets are often not in the source, such as class labels."""
    copied: dict[str, list[bool]] = {}
    for example in examples:
        record = parse_json(context.task.answer(example.target, example) or "")
        if record is None:
            continue
        source = AllowedFacts([context.source(example)])
        for name, text in scalar_values(record):
            facts = named_facts.extract_facts(text, every_word=True)
            copied.setdefault(name, []).append(not any(source.is_unsupported(fact) for fact in facts))
    for name, flags in copied.items():
        if sum(flags) < COPIED_SHARE * len(flags):
            yield name


class ExampleJudge:
    """Judges all answers to one example; equal texts are judged once."""

    def __init__(self, context: TaskContext, example: Example) -> None:
        self.context = context
        self.example = example
        self.allowed = context.allowed_facts(example)
        self.slots = context.task.slots(example) if context.task.slots else []
        self.judgements: dict[str, tuple[list[Fact], slots.SlotErrors | None]] = {}

    def add(self, tally: Tally, predictions: Sequence[Prediction]) -> None:
        """Count the answers of one arm to this example, one prediction per seed."""
        answers = hallucinated = judged = 0
        errors: Counter[str] = Counter()
        for seed, prediction in enumerate(predictions):
            if prediction.stopped == "refused":
                continue
            answers += bool(prediction.text.strip())
            invented, slot_errors = self.judge(prediction)
            if invented:
                hallucinated += 1
                tally.kinds.update(fact.kind for fact in invented)
                tally.ids_by_seed[seed].add(self.example.id)
                if len(tally.first_hallucinations) < MAX_LISTED:
                    tally.first_hallucinations.append({"example": self.example.id, "facts": [fact.surface for fact in invented]})
            if slot_errors:
                judged += slot_errors.of
                tally.unjudged += slot_errors.unjudged
                errors.update({name: len(getattr(slot_errors, name)) for name in SLOT_ERRORS})
                if any(slot_errors[:3]) and len(tally.first_slot_errors) < MAX_LISTED:
                    tally.first_slot_errors.append(slot_slips(self.example.id, slot_errors))
        tally.answers.append(answers)
        tally.hallucinated.append(hallucinated)
        tally.judged.append(judged)
        for name in SLOT_ERRORS:
            tally.errors[name].append(errors[name])

    def judge(self, prediction: Prediction) -> tuple[list[Fact], slots.SlotErrors | None]:
        """The facts that an answer hallucinates, and its slot errors (None for a task without slots)."""
        text = prediction.text
        if prediction.stopped == "length":
            text = tokens.LAST_WORD.sub("", text)
        if text not in self.judgements:
            answer = self.context.task.answer(text, self.example) or text
            facts = facts_in_answer(answer, self.context)
            invented = list({(fact.kind, fact.normal): fact for fact in facts if self.allowed.is_unsupported(fact)}.values())
            vocabulary = self.context.vocabulary
            self.judgements[text] = invented, slots.slot_errors(self.slots, answer, vocabulary) if vocabulary else None
        return self.judgements[text]


def slot_slips(example: str, errors: slots.SlotErrors) -> SlotSlips:
    return {
        "example": example,
        "missing": [": ".join(value) for value in errors.missing],
        "added": [": ".join(value) for value in errors.added],
        "wrong": [": ".join(value) for value in errors.wrong],
    }


def facts_in_answer(answer: str, context: TaskContext) -> list[Fact]:
    """The facts of an answer; of a JSON answer those of its values, except under keys whose values are not copied."""
    record = parse_json(answer)
    if record is None:
        facts = named_facts.extract_facts(answer, context.common_words)
        return [fact for fact in facts if fact.kind != "name" or context.judges_names]
    texts = (text for name, text in scalar_values(record) if name not in context.uncopied)
    return list(chain.from_iterable(named_facts.extract_facts(text, every_word=True) for text in texts))


def parse_json(text: str) -> Any:
    """The JSON object or list in a text; None if the text is not one."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def scalar_values(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Pairs of the nearest key and the text of every string and number in a JSON value."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from scalar_values(child, key)
    elif isinstance(value, list):
        for child in value:
            yield from scalar_values(child, name)
    elif value is not None and not isinstance(value, bool):
        yield name, value if isinstance(value, str) else repr(value)


def arm_summary(tally: Tally, labels: Sequence[int], seeds: int, confidence: float) -> Hallucination:
    """One arm of hallucination.json; labels (examples,) are those of the groups."""
    rates = {name: wilson_rate(tally.errors[name], tally.judged, labels, confidence) for name in SLOT_ERRORS}
    judged = sum(tally.judged)
    slot_figures: SlotErrors = {
        "missing": sum(tally.errors["missing"]),
        "added": sum(tally.errors["added"]),
        "wrong": sum(tally.errors["wrong"]),
        "of": judged,
        "unjudged": tally.unjudged,
        "rates": rates,
        "first": tally.first_slot_errors,
    }
    return {
        "n": len(labels) * seeds,
        "answers": sum(tally.answers),
        "hallucinated": sum(tally.hallucinated),
        **wilson_rate(tally.hallucinated, tally.answers, labels, confidence),
        "kinds": {kind: tally.kinds[kind] for kind in FACT_KINDS},
        "slots": slot_figures if tally.unjudged or judged else None,
        "first": tally.first_hallucinations,
    }


def wilson_rate(hits: Sequence[int], trials: Sequence[int], labels: Sequence[int], confidence: float) -> Rate:
    """The rate of hits in trials; None without trials.

    Wilson's score interval (1927, doi:10.1080/01621459.1927.10502953) at the effective number of trials: the number of independent
    trials whose rate would vary as the rate does between groups (Korn and Graubard 1998). Groups of examples are independent; seeds,
    answers and values within them are not. If no trial or every trial is a hit, a group counts as one trial.

    Args:
        hits, trials: (examples,) counts.
        labels: (examples,) of groups.
    """
    total = sum(trials)
    if not total:
        return {"rate": None, "low": None, "high": None}
    rate = min(1.0, sum(hits) / total)
    sums: dict[int, list[int]] = {}
    for label, hit_count, trial_count in zip(labels, hits, trials, strict=True):
        if trial_count:
            group = sums.setdefault(label, [0, 0])
            group[0] += hit_count
            group[1] += trial_count
    variance = sum((hit_count - rate * trial_count) ** 2 for hit_count, trial_count in sums.values()) / total**2
    effective = float(total)
    if rate in (0, 1):
        effective = float(len(sums))
    elif variance:
        effective = min(effective, rate * (1 - rate) / variance)
    low, high = stats.wilson(rate, effective, confidence)
    return {"rate": rate, "low": low, "high": high}
