"""Declares the types of a cell of report.json: one task at one point of a sweep, its arms and their measures."""

from typing import Any, Literal, NotRequired, TypedDict

from pipeline.arms import Constraint
from pipeline.config.debugging import Level
from pipeline.measures.class_types import ClassResults
from pipeline.measures.provenance_types import EndpointVariant, ImportedPredictions
from pipeline.measures.rank_types import RankUse
from pipeline.scoring.verdict import Verdict
from pipeline.store.cost_types import ArmCost, ArmSpeedRow, BreakEvenRow, SpeedFigures, TrainingCost
from pipeline.store.figure_types import DebuggedScores, DecompositionRow, Hallucination, PartialInterval, Relevance, SuiteRow
from pipeline.store.score_types import AnswerCounts, Comparison, Lift, SeedErrors
from pipeline.store.slice_types import RestDifference, SlicedBy, SliceFigures


class ComparisonRow(Comparison):
    """A comparison with its verdict."""

    p_adjusted: float | None
    """Over all confirmatory tests; null for metrics that are not primary."""
    verdict: Verdict | Literal[""]
    """Empty for metrics that are not primary."""


class MetricScore(PartialInterval):
    """An arm's score by a metric that is not primary."""

    metric: str
    score: float


class PromptAdditions(TypedDict):
    """What an arm's prompts hold besides the question: few-shot examples, or the keys of the answer."""

    sentence: str
    """In words."""
    prompts: int
    shots: NotRequired[int]
    """Few-shot examples requested."""
    fewest: NotRequired[int]
    """The smallest number of few-shot examples in a prompt."""
    most: NotRequired[int]
    """The largest number of few-shot examples in a prompt."""
    shrunk: NotRequired[int]
    """Prompts that hold fewer than were requested."""
    separator: NotRequired[str | None]
    """A further string that ends an answer."""
    keys: NotRequired[list[str]]
    """The keys that prompts name."""
    unkeyed: NotRequired[int]
    """Prompts that do not name them, as they would exceed the context window."""


class MeasuredArm(PartialInterval):
    """An arm of a cell by the primary metric; low and high are those of its score."""

    name: str
    label: str
    """Its name for people."""
    score: float
    over_base: Lift | None
    """This arm minus base; null for base."""
    tuned_over: Lift | None
    """Fine-tuned minus this arm; null for fine-tuned."""
    metrics: list[MetricScore]
    """By the other metrics; those of sampled answers have base and fine-tuned alone."""
    counts: AnswerCounts | None
    lenient: float | None
    """Share of examples whose target occurs anywhere in the text; null for tasks that run programs."""
    relevance: Relevance | None
    hallucination: Hallucination | None
    speed: ArmSpeedRow | None
    prompt_additions: PromptAdditions | None
    """Null where the prompts hold nothing but the question."""
    tokens_in: float | None
    """Mean tokens of a prompt."""


class ArmRow(MeasuredArm):
    """An arm of a cell by the primary metric, with what its requests cost."""

    tokens_out: float | None
    """Mean tokens of an answer, an endpoint's own count where it gave one."""
    cost: ArmCost | None


class AbsentArm(TypedDict):
    """An arm that the recipe asks for and that was not tested: the task cannot have it, or it changes almost no prompt."""

    arm: str
    why: str


class ConstantAnswer(TypedDict):
    """The score of a constant answer: the arm `constant` where the recipe has it, else the best on the test targets."""

    answer: str | None
    """Null where an arm's training part does not say it."""
    score: float
    tuned_over: Lift | None
    """Fine-tuned over it; null unless the recipe has the arm. If null, the advice compares its score with the interval of the arm's own."""


class Account(TypedDict):
    """Cost of training and inference by measured speeds and given prices."""

    gpu_hour: float | None
    """US dollars for an hour of this machine, as the recipe has it."""
    training: TrainingCost
    arms: dict[str, ArmCost]
    break_even: list[BreakEvenRow]
    assumptions: list[str]
    """Assumptions behind the figures."""


class Headline(PartialInterval):
    """The figure that decides what to use: the training effect, or the lift where no other baseline was tested."""

    kind: Literal["training effect", "lift"]
    verdict: Verdict
    metric: str
    n: int
    base: float
    baseline: str
    """The best baseline without training; an arm."""
    baseline_score: float
    tuned: float
    effect: float
    """Fine-tuned minus the best baseline."""
    p_adjusted: float | None
    confidence: float
    """Of the interval of `effect`."""
    smallest_effect: float | None
    """Minimum detectable effect (80 % power) of fine-tuned minus the best baseline, with the multiple-testing correction; null where that
    is not known."""
    seed_errors: SeedErrors | None
    """Standard errors of `effect`; null with one training seed, where interval and p cover test examples only."""
    same_within: float | None
    """The recipe's margin within which an effect is `same`; null if it has none."""
    this_task_only: bool
    """Whether the adapter destroys general text, so that an improvement holds for this task alone."""


class AnswerCountsRow(AnswerCounts):
    """Flaws of the answers of base, or of one training seed."""

    arm: str
    """`base`, or `fine-tuned, seed 0`."""


class LivenessRow(TypedDict):
    """Whether the adapter of a seed changes anything."""

    seed: int
    matched: int
    """Target modules of the adapter that the model has."""
    tensors: int
    """B matrices."""
    zero_tensors: int
    targets: int
    unmatched: int
    """Target modules that the model lacks."""
    probes: int
    """Prompts whose next-token logits were compared."""
    largest_logit_difference: float
    alive: bool


class Run(TypedDict):
    """One training seed by itself."""

    seed: int
    tuned: float
    lift: float


class CommonestAnswer(TypedDict):
    """The parsed answer that the fine-tuned model gives most often."""

    answer: str
    count: int
    answers: int
    """Of all training seeds together, those that could not be parsed among them."""
    target_share: float
    """Share of the examples that have the commonest target."""


class Churn(TypedDict):
    """How many wrong answers became other wrong ones: neither fixed nor broken, and changed all the same."""

    wrong: int
    """Answers of the fine-tuned model, over all training seeds, that are wrong where the base's is wrong too; of a pair of variants those
    of the later one, over all pairs of seeds, where the earlier one's is."""
    changed: int
    """Of them those that differ from the other wrong answer, as the task's parser reads both; a later answer that it cannot read is none of
    them."""


class RestRow(RestDifference):
    """The lift in a slice minus the lift on the rest, with its verdict."""

    p_adjusted: float
    """Over all tests of slices in the report."""
    verdict: Verdict
    """`above the rest`, `below the rest` or `inconclusive`."""


class SliceRow(SliceFigures):
    """Base and fine-tuned on one slice of the test set, with verdicts."""

    p_adjusted: float | None
    """Over all tests of slices in the report."""
    verdict: Verdict | Literal[""]
    """`above base`, `below base` or `inconclusive`; empty where the slice is too small for a test."""
    rest: RestRow | None
    """Null where the slice, or the rest, is too small for a test."""


class SlicingRow(SlicedBy):
    """The slices by one entry of the recipe, all of them exploratory."""

    metric: str
    """The primary one, or that of single examples where it counts over classes."""
    slices: list[SliceRow]
    """Empty where there are none; `why` says the reason."""
    shared_groups: int
    """Source documents whose examples are in several slices."""
    tests: int
    """Tests of slices in the report, all of which are corrected together, apart from the confirmatory ones."""


class DebuggedRow(DebuggedScores):
    """An arm whose programs were debugged with the tests of their prompts, before and after; exploratory."""

    by: str
    """The model that judged and repaired: the reference's name, or empty for the one that wrote the programs."""
    level: Level
    """What it judged."""
    n: int
    without_tests: int
    """Programs whose prompt shows no test, or answers without a program: they stay as they are."""
    too_long: int
    """Programs that were not debugged, since no query fits into the context window."""
    hidden_shown: int
    """Programs whose prompt shows all the hidden tests."""
    visible_before: int
    """Programs that pass all visible tests before debugging."""
    visible_after: int
    repairs: int
    """Programs that were replaced by one that passes more visible tests."""
    rounds: dict[str, int]
    """Programs by the number of rounds that they took."""
    tokens: int
    """Generated while debugging, over all programs."""
    prompt_tokens: int
    """Read while debugging."""


class ExamplesRow(TypedDict):
    """How the test examples of a cell changed by the primary metric."""

    n: int
    zero_one: bool
    """Whether an example scores 0 or 1 and nothing between."""
    classes: dict[str, int]
    """Examples that were fixed, broken, both right, both wrong; or of graded scores gained, lost, equal."""
    by_arm: dict[str, dict[str, int]]
    """The same from every other arm to the fine-tuned model, by the arm's name."""
    churn: Churn | None
    """Null for graded scores, where no answer is simply wrong."""
    gained_unread: int
    """Of the first class those whose base answer could not be parsed."""
    runs: list[Run] | None
    """One per seed; null where the metric is not the mean of its examples' scores."""
    commonest: CommonestAnswer | None
    """Null where no answer could be parsed."""
    others: list[str]
    """Arms besides base and fine-tuned."""
    file: str | None
    """Id under which the page carries the examples; null where it does not."""
    folder: str
    """The comparison's folder."""


class CellRow(TypedDict):
    """One task at one point of the sweep."""

    cell: str
    task: str
    base: str
    point: dict[str, Any]
    """The swept keys with their values here; empty where nothing is swept."""
    coordinates: str
    """The same in words."""
    label: str
    """Task and coordinates."""
    constraint: Constraint
    """How answers can be constrained; it decides what arms are called."""
    variant: str | None
    """The recipe's name of what was fine-tuned elsewhere; null where an adapter was trained here."""
    fine_tune: Literal["adapter", "model", "predictions", "endpoint"]
    """Whether the fine-tuned model is an adapter on the base, a whole model in its place, predictions from elsewhere alone, or a model
    behind an endpoint."""
    rank: int | None
    """Of the adapter; null where predictions come from elsewhere."""
    seeds: list[int]
    """Of the training; 0, 1, ... for the adapters or files of what was trained elsewhere, as the recipe lists them."""
    headline: Headline
    sentence: str
    """The headline in one line."""
    comparisons: list[ComparisonRow]
    """One per metric, the primary one first."""
    arms: list[ArmRow]
    absent: list[AbsentArm]
    constant_answer: ConstantAnswer | None
    """Null where answers are free text or code."""
    decomposition: DecompositionRow | None
    lenient: dict[str, float] | None
    """By arm, the share of examples whose target occurs anywhere in the text."""
    hallucination: Literal["text", "slots"] | None
    """How hallucination was measured; null where the answers need not be grounded in the prompt."""
    forgetting: list[SuiteRow]
    """Other-task suites: regressions on other tasks and on plain English."""
    speed: SpeedFigures | None
    cost: Account | None
    """Null where neither a speed nor a price is known."""
    answers: list[AnswerCountsRow]
    liveness: list[LivenessRow]
    adapters: list[str]
    """Short keys, one per seed; empty where predictions come from elsewhere."""
    predictions: list[ImportedPredictions]
    """The files of predictions from elsewhere; empty where a model answered."""
    endpoint: EndpointVariant | None
    """What is known of a fine-tuned model behind an endpoint; null of any other."""
    inputs: dict[str, str]
    """Short keys of the artifacts behind the figures."""
    classes: ClassResults | None
    """Null where answers are not classes."""
    slices: list[SlicingRow]
    """One entry for each of `compare.slices`."""
    debugging: list[DebuggedRow]
    """One entry for each arm whose programs were debugged."""
    rank_use: RankUse | None
    """Null where neither ranks are swept nor adapters cut."""
    examples: ExamplesRow
