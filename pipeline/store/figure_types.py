"""Declares the types of figures derived from scores: parts of a lift, other tasks, relevance, hallucination, timing, cost."""

from typing import Any, Literal, NotRequired, TypedDict

from pipeline.store.folders import LivenessMeasures
from pipeline.store.score_types import Interval, SeedErrors, ShownPrompt

PartName = Literal["constant", "format", "few-shot", "training"]
Obstacle = Literal["different examples", "not a mean of examples"]


class PartialInterval(TypedDict):
    """Ends of an interval at the recipe's confidence; null where there is none."""

    low: float | None
    high: float | None


class Trial(Interval):
    """What an arm scored over the best one before it."""

    arm: str
    value: float
    p: float


class Gain(PartialInterval):
    """What a step of the lift gains; interval and p are null where that is nothing."""

    value: float
    p: float | None


class Part(Gain):
    """One step of the lift."""

    name: PartName
    arm: str | None
    """At the end of the step: `over` itself where nothing was gained; null where the task has no arm of this step."""
    over: str
    """At the start of the step."""
    tried: Trial | None
    """What the arm of this step scored over `over`; null for `training`, and where there is no such arm."""


class PartRow(Part):
    """A part with what the report adds."""

    why: str | None
    """Why the arm of this step was not tried, where its prompts would be the base's own; else null."""


class DecompositionFigures(Interval):
    """The lift and what its parts start from."""

    lift: float
    best_cheap: str
    """The best arm that needs no training."""
    candidates: list[str]
    """Arms that need no training, the base among them."""
    smallest_effect: NotRequired[float | None]
    """Minimum detectable training effect (80 % power); comparisons of before do not have it."""
    seed_errors: NotRequired[SeedErrors | None]
    """Of the training effect; null with one training seed."""
    chain: list[tuple[str, float]]
    """Base, after format, after prompt, fine-tuned: the arm and its score."""


class Decomposition(DecompositionFigures):
    """decomposition.json of one metric."""

    parts: list[Part]


class DecompositionRow(DecompositionFigures):
    """What a lift is made of, by the primary metric."""

    parts: list[PartRow]
    """Constant, format, few-shot and training: they sum to the lift."""


class Equivalence(Interval):
    """One arm minus another, tested for being the same within a margin; low and high have the confidence of two one-sided tests."""

    value: float
    p: float
    """That the arms differ by the margin or more; small: shown to be the same within it."""


class EquivalenceTests(TypedDict):
    """equivalence.json, by the primary metric."""

    margin: float
    lift: Equivalence
    """Fine-tuned minus base."""
    training: Equivalence
    """Fine-tuned minus the best baseline."""
    merged: dict[str, Equivalence]
    """By merged arm, that arm minus fine-tuned with the seed that it was merged from."""


class DebuggedScores(Interval):
    """A row of debugging.json: an arm's programs before and after debugging, by the primary metric. Exploratory."""

    arm: str
    """The arm after debugging."""
    before: float
    after: float
    value: float
    """After minus before; low and high are its interval."""
    p: float
    fixed: int
    """Programs that fail their hidden tests before and pass them after debugging."""
    broken: int
    """The reverse."""


class Divergence(Interval):
    """KL(base || fine-tuned) over all tokens, in nats/token."""

    mean: float


class Flips(TypedDict):
    """Examples, or paragraphs, that fine-tuned answers better (fixed) or worse (broken) than base."""

    fixed: int
    broken: int


class FlippedExample(TypedDict):
    """An example that only one of base and fine-tuned gets right, or that one gets more of."""

    id: str
    prompt: ShownPrompt
    target: str
    base: str
    tuned: str


class TestedDifference(Interval):
    """How much worse fine-tuned is than base, with its interval and its tests against a margin."""

    difference: float
    """How much worse fine-tuned is."""
    p: float
    """One-sided, that fine-tuned is worse by the margin or more; small: shown not to be."""
    p_worse: float
    """One-sided, that fine-tuned is worse by the margin or less; small: shown to be worse."""
    margin: float
    """How much worse fine-tuned may be."""


class SuiteFigures(TestedDifference):
    """Fine-tuned against base on one other-task suite, a score in 0..1 or a loss in nats/token; fine-tuned minus base."""

    kind: Literal["loss", "task"]
    """Loss on plain English, or score on another task."""
    task_metric: str | None
    """What a task is scored by; null for losses."""
    n: int
    """Examples, or paragraphs."""
    base: float
    tuned: float
    kl: Divergence | None
    """Null for tasks."""
    flips: Flips
    broken: list[FlippedExample]
    """The first of them; empty for losses."""
    fixed: list[FlippedExample]
    """The first of them; empty for losses."""


class Suite(SuiteFigures):
    """A suite of forgetting.json."""

    suite: str
    """`paragraphs`, or the name of a task."""
    constant: float | None
    """Score of the constant-answer baseline on the same examples; null for losses."""
    measurable: bool
    """Whether the base has anything to lose: it beats the constant answer, or a uniform guess of tokens, by more than the margin."""


class Suites(TypedDict):
    """forgetting.json."""

    suites: list[Suite]


class SuiteRow(Suite):
    """A suite with what the report adds."""

    label: str
    """The suite's name for people."""
    metric_name: str | None
    """The metric's name for people; null for losses."""
    anchor: str
    """Id of its row on the page."""


class Relevance(Interval):
    """How much an arm's answers are about their prompts."""

    n: int
    gain: float
    """Nats per token that an answer gains by its own prompt, with low and high."""
    auc: float | None
    """Share of pairs in which an answer fits its own prompt better than another one; null where there was no other prompt."""
    auc_low: float | None
    auc_high: float | None


class RelevanceByArm(TypedDict):
    """The content of relevance.json."""

    arms: dict[str, Relevance]


class Rate(PartialInterval):
    """A share with its interval; null where there was nothing to look at."""

    rate: float | None


class InventedFacts(TypedDict):
    """What an answer names that is in neither the source nor the target."""

    example: str
    facts: list[str]


class SlotSlips(TypedDict):
    """Slot errors of one answer."""

    example: str
    missing: list[str]
    added: list[str]
    wrong: list[str]


class SlotErrors(TypedDict):
    """Values of the meaning that answers miss, add or get wrong."""

    missing: int
    added: int
    wrong: int
    of: int
    """Values that were looked for."""
    unjudged: int
    """Values that cannot be looked for in a text."""
    rates: dict[str, Rate]
    """Of missing, added and wrong, over `of`."""
    first: list[SlotSlips]
    """The first answers with errors."""


class Hallucination(Rate):
    """Hallucination of an arm: answers with hallucinated names, numbers or dates; `rate` is hallucinated / answers."""

    n: int
    answers: int
    """Answers that are neither empty nor refused."""
    hallucinated: int
    kinds: dict[str, int]
    """Hallucinated facts by kind: name, number, date."""
    slots: SlotErrors | None
    """Null where the task has no slots."""
    first: list[InventedFacts]
    """The first answers with hallucinated facts."""


class HallucinationByArm(TypedDict):
    """hallucination.json."""

    kind: Literal["text", "slots"] | None
    arms: dict[str, Hallucination]


class Liveness(LivenessMeasures):
    """One training seed of a comparison's liveness.json."""

    seed: int
    alive: bool


class SizeDifference(Interval):
    """A point of a sweep minus the best one, paired; low and high are one-sided bounds at the confidence, which cover other seeds too where
    a point has several."""

    difference: float


class SizePoint(PartialInterval):
    """One value of a swept key; low and high are those of the score."""

    value: float
    tuned: float
    """Score of the fine-tuned arm."""
    against_best: SizeDifference
    p: float
    """Of 'worse than some other value by the margin or more': the largest p over all others, so that no best one has to be picked first."""
    p_adjusted: float
    """Holm over the values."""


class SizeLine(TypedDict):
    """A task along one swept key, all other swept keys fixed: which value is enough."""

    task: str
    axis: str
    """The swept key: rank or number of training examples."""
    point: dict[str, Any]
    """The other swept keys with their values."""
    values: list[float]
    margin: float
    best: float
    """The value of the highest score; of equal scores the largest value."""
    smallest: float | None
    """The smallest value that is shown, as are all between it and the best, not to be worse than any other value; null where none below
    the best is."""
    points: list[SizePoint]
    """By rising value; empty where there is a reason."""
    reason: Obstacle | None
    """Why nothing could be compared."""
    why: NotRequired[str]
    """The reason in words; empty where there is none. The report adds it."""
