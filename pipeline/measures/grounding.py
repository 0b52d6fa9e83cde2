"""Measures hallucination: names in an answer that neither source nor target holds, and wrong statements about a meaning representation."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from pipeline.data.task import Task
from pipeline.measures import named_facts, slots
from pipeline.measures.named_facts import Fact, Known
from pipeline.measures.stop_words import ORDINARY
from pipeline.measures.tokens import key
from pipeline.scoring import stats
from pipeline.store.records import Example, Prediction

KINDS = ("name", "number", "date")
ERRORS = ("missing", "added", "wrong")
SHOWN = 20
"""Examples of each arm that are listed with what was found."""
COPIED = 0.9
"""Share of the targets whose value under a JSON key stands in the source, from which answers must take theirs from there, too."""


@dataclass(frozen=True)
class Measured:
    """What was found about all arms of a task."""

    figures: dict[str, Any]
    """{kind, arms}: what grounding.json holds."""
    hallucinated: dict[str, list[set[str]]]
    """By arm, one set a seed: ids of the examples whose answer names what is in neither source nor target."""


@dataclass
class Tally:
    """What an arm's answers came to, over all of its seeds; lists run over examples."""

    kinds: Counter[str] = field(default_factory=Counter)
    answers: list[int] = field(default_factory=list)
    flagged: list[int] = field(default_factory=list)
    errors: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in ERRORS})
    judged: list[int] = field(default_factory=list)
    unjudged: int = 0
    first: list[dict[str, Any]] = field(default_factory=list)
    slips: list[dict[str, Any]] = field(default_factory=list)
    seeds: list[set[str]] = field(default_factory=list)


@dataclass(frozen=True)
class Exam:
    """What holds for all examples of a task."""

    task: Task
    preface: str
    ordinary: frozenset[str]
    vocabulary: slots.Vocabulary | None
    loose: frozenset[str]
    """JSON keys whose values are not copied from the source."""

    def source(self, example: Example) -> str:
        return example.text.removeprefix(self.preface)

    def known(self, example: Example) -> Known:
        task = self.task
        ways = (way for slot in (task.slots(example) if task.slots else ()) for way in slot.ways)
        right = (example.target, task.answer(example.target, example) or "", *(task.accepted(example) if task.accepted else ()))
        return Known([self.source(example), *right, *ways])


def measure(
    task: Task, examples: Sequence[Example], arms: Mapping[str, Sequence[Sequence[Prediction]]], confidence: float, preface: str = ""
) -> Measured:
    """What every arm's answers name that is in neither the source nor the target, and their slot errors.

    An answer counts once, however much it invents; rate = hallucinated / answers, where an empty or refused answer is in n and not in
    answers. A word that the length limit may have cut off is not read. What the parser reads is judged, and where it reads nothing the
    whole text. Of JSON every word of a string is, since capitals tell nothing there, under the keys whose values the targets take from
    the source. Words are looked up one by one, so that two known ones put together in a new way are not found; a sum or a rounded
    number is one that is not in the source.

    Slots are judged in the same answers, and an empty one misses all of its own; their rates are over `of`, the values that were looked
    for. Of added values there may be more than that; their rate ends at 1.

    Args:
        arms: name -> one list of predictions a seed, each with the examples' ids; seeds are pooled.
        preface: what stands before every prompt and is no source.

    Raises:
        KeyError: an arm lacks an example.
    """
    if not task.grounded:
        return Measured({"kind": None, "arms": {}}, {name: [set() for _ in said] for name, said in arms.items()})
    exam = look_over(task, examples, preface)
    said = {name: [{each.example: each for each in one} for one in lists] for name, lists in arms.items()}
    tallies = {name: Tally(seeds=[set() for _ in lists]) for name, lists in said.items()}
    for example in examples:
        judge = Judge(exam, example)
        for name, lists in said.items():
            judge.add(tallies[name], [one[example.id] for one in lists])
    labels = stats.group_labels(examples).tolist()
    figures = {name: summary(tally, labels, len(said[name]), confidence) for name, tally in tallies.items()}
    return Measured({"kind": task.grounded, "arms": figures}, {name: tally.seeds for name, tally in tallies.items()})


def look_over(task: Task, examples: Sequence[Example], preface: str) -> Exam:
    """What the examples tell of the task: ordinary words are those that stand in small letters somewhere."""
    small: set[str] = set()
    for example in examples:
        small.update(word for word in f"{example.text} {example.target}".split() if word.islower())
    words = frozenset(key(word.strip(".,;:!?\"'()[]")) for word in small) | ORDINARY
    vocabulary = slots.Vocabulary(task.slots(example) for example in examples) if task.slots else None
    exam = Exam(task, preface, words, vocabulary, frozenset())
    return Exam(task, preface, words, vocabulary, frozenset(uncopied(exam, examples)))


def uncopied(exam: Exam, examples: Sequence[Example]) -> Iterator[str]:
    """JSON keys whose values in the targets are often not those of the source, as labels are not."""
    copied: dict[str, list[bool]] = {}
    for example in examples:
        record = as_json(exam.task.answer(example.target, example) or "")
        if record is None:
            continue
        source = Known([exam.source(example)])
        for name, text in leaves(record):
            copied.setdefault(name, []).append(not any(source.lacks(fact) for fact in named_facts.found(text, every_word=True)))
    for name, found in copied.items():
        if sum(found) < COPIED * len(found):
            yield name


class Judge:
    """Reads all answers to one example."""

    def __init__(self, exam: Exam, example: Example) -> None:
        self.exam, self.example = exam, example
        self.known = exam.known(example)
        self.slots = exam.task.slots(example) if exam.task.slots else []
        self.read: dict[str, tuple[list[Fact], slots.Errors | None]] = {}

    def add(self, tally: Tally, said: Sequence[Prediction]) -> None:
        """Enter what was said by the seeds of one arm."""
        answers = flagged = judged = 0
        errors: Counter[str] = Counter()
        for seed, prediction in enumerate(said):
            if prediction.stopped == "refused":
                continue
            answers += bool(prediction.text.strip())
            invented, slips = self.look(prediction)
            if invented:
                flagged += 1
                tally.kinds.update(fact.kind for fact in invented)
                tally.seeds[seed].add(self.example.id)
                note(tally.first, {"example": self.example.id, "found": [fact.surface for fact in invented]})
            if slips:
                judged += slips.of
                tally.unjudged += slips.unjudged
                errors.update({name: len(getattr(slips, name)) for name in ERRORS})
                if any(slips[:3]):
                    note(
                        tally.slips, {"example": self.example.id, **{name: [": ".join(v) for v in getattr(slips, name)] for name in ERRORS}}
                    )
        tally.answers.append(answers)
        tally.flagged.append(flagged)
        tally.judged.append(judged)
        for name in ERRORS:
            tally.errors[name].append(errors[name])

    def look(self, said: Prediction) -> tuple[list[Fact], slots.Errors | None]:
        """What an answer invents and its slot errors."""
        text = said.text
        if said.stopped == "length":
            text = " ".join(text.rsplit(maxsplit=1)[:-1])
        if text not in self.read:
            answer = self.exam.task.answer(text, self.example) or text
            found = stated(answer, self.exam.ordinary, self.exam.loose)
            invented = list({(fact.kind, fact.normal): fact for fact in found if self.known.lacks(fact)}.values())
            vocabulary = self.exam.vocabulary
            self.read[text] = invented, slots.errors(self.slots, answer, vocabulary) if vocabulary else None
        return self.read[text]


def note(shown: list[dict[str, Any]], row: dict[str, Any]) -> None:
    if len(shown) < SHOWN:
        shown.append(row)


def stated(answer: str, ordinary: frozenset[str], loose: frozenset[str]) -> list[Fact]:
    """The facts of an answer, a record's from its values."""
    record = as_json(answer)
    if record is None:
        return named_facts.found(answer, ordinary)
    return list(chain.from_iterable(named_facts.found(text, every_word=True) for name, text in leaves(record) if name not in loose))


def as_json(text: str) -> Any:
    """The JSON object or list that a text is, or None."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Strings and numbers of a record, each with its nearest key."""
    if isinstance(value, dict):
        for inner, held in value.items():
            yield from leaves(held, inner)
    elif isinstance(value, list):
        for held in value:
            yield from leaves(held, name)
    elif value is not None and not isinstance(value, bool):
        yield name, value if isinstance(value, str) else repr(value)


def summary(tally: Tally, labels: Sequence[int], seeds: int, confidence: float) -> dict[str, Any]:
    """One arm of grounding.json."""
    flagged = rated(tally.flagged, tally.answers, labels, confidence)
    rates = {name: rated(tally.errors[name], tally.judged, labels, confidence) for name in ERRORS}
    found = {name: sum(counts) for name, counts in tally.errors.items()}
    held = {**found, "of": sum(tally.judged), "unjudged": tally.unjudged, "rates": rates, "first": tally.slips}
    return {
        "n": len(labels) * seeds,
        "answers": sum(tally.answers),
        "hallucinated": sum(tally.flagged),
        **flagged,
        "kinds": {kind: tally.kinds[kind] for kind in KINDS},
        "slots": held if tally.unjudged or sum(tally.judged) else None,
        "first": tally.first,
    }


def rated(hits: Sequence[int], trials: Sequence[int], labels: Sequence[int], confidence: float) -> dict[str, float | None]:
    """The rate of hits in trials, and its interval; None where there are no trials.

    Wilson's score interval (1927, doi:10.1080/01621459.1927.10502953) at the effective number of trials, the one at which independent
    trials would vary as the rate does between groups (Korn and Graubard 1998). What is independent are the groups of examples, not the
    seeds, answers and values within them. Where no trial or every trial is a hit each group counts as one trial.
    """
    total = sum(trials)
    if not total:
        return {"rate": None, "low": None, "high": None}
    rate = min(1.0, sum(hits) / total)
    sums: dict[int, list[int]] = {}
    for label, hit, trial in zip(labels, hits, trials, strict=True):
        if trial:
            held = sums.setdefault(label, [0, 0])
            held[0] += hit
            held[1] += trial
    square = sum((hit - rate * trial) ** 2 for hit, trial in sums.values()) / total**2
    size = float(len(sums)) if rate in (0, 1) else min(float(total), rate * (1 - rate) / square) if square else float(total)
    low, high = stats.wilson(rate, size, confidence)
    return {"rate": rate, "low": low, "high": high}
