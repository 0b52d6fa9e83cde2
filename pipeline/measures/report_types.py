"""Declares the types of report.json: every row that the report writes and that page, terminal and gate read."""

from typing import Any, Literal, TypedDict

from pipeline.measures.cell_types import CellRow
from pipeline.measures.pooled_types import Overview, PublishedMean
from pipeline.measures.preliminary_types import Preliminary
from pipeline.measures.provenance_types import AdapterRow, ArtifactRow, DataSetRow, Environment, Setup
from pipeline.measures.sweep_types import Sweep
from pipeline.measures.tuning_types import TuningRow
from pipeline.measures.variant_types import VariantTable
from pipeline.scoring.verdict import Correction, Verdict
from pipeline.store.cost_types import Reason
from pipeline.store.figure_types import PartialInterval, SizeLine
from pipeline.store.score_types import ConstantScore

ClaimKind = Literal["lift", "training effect", "non-inferiority", "equivalence"]
ClaimUnit = Literal["score", "nats/token"]
RuleKind = Literal["lift", "training effect", "non-inferiority", "equivalence", "hallucination", "request price", "break-even"]
Unit = Literal["score", "nats/token", "share", "dollars", "requests"]
Side = Literal["above", "below"]
StatementKind = Literal[
    "nothing claimed",
    "not finished",
    "smoke test",
    "use tuned",
    "do not use",
    "same",
    "inconclusive",
    "share of baseline",
    "base unparsable",
    "text destroyed",
    "seeds",
    "regressed",
    "inconclusive on suite",
    "hallucinates more",
    "pays off",
    "never pays off",
]
"""The first seven open the statements of a cell; the others follow."""


class ClaimRow(TypedDict):
    """One confirmatory test."""

    id: str
    """`<cell>.lift`, `<cell>.training-effect`, `<cell>.non-inferiority.<suite>`, or `<cell>.same.<subject>`."""
    cell: str
    """The first one, where several cells share a comparison."""
    task: str
    label: str
    kind: ClaimKind
    """Fine-tuned over base or over the best baseline, not worse than base on an other-task suite, or the same within a margin."""
    subject: str
    """The metric, or the other-task suite; of `equivalence` what is tested: `lift`, `training effect`, or the merged arm."""
    against: str
    """The arm that fine-tuned is compared with."""
    metric: str | None
    """What both are scored by; null where losses are compared."""
    unit: ClaimUnit
    value: float
    """Fine-tuned minus the arm that it is compared with; for a loss, higher is worse."""
    low: float
    high: float
    p: float
    """Two-sided, by itself."""
    margin: float | None
    """The change that is still no regression: below zero of a score, above it of a loss; of `equivalence` either way; null for lifts."""
    evidence: str
    """Anchor of the row on the page."""
    p_adjusted: float | None
    """Over all confirmatory tests."""
    verdict: Verdict | None
    """On other tasks `no regression` is a drop shown to be below the margin, `regressed` one shown to exceed it."""
    sentence: str


class SentenceRow(TypedDict):
    """One sentence of an advice."""

    kind: StatementKind
    """The kind of statement, independent of its wording."""
    text: str
    evidence: str
    """Anchor of what it rests on."""
    rule: str | None
    """Name of the rule that it rests on, among those of the cell; null where it rests on a table of the page alone."""


class AdviceRow(TypedDict):
    """What to use for a cell."""

    task: str
    cell: str
    label: str
    use: str
    """`tuned`, the name of the best baseline (do not use the fine-tuned model), `same` (either), `inconclusive`, or `no verdict`."""
    verdict: Verdict
    """Of the training effect, or of the lift where no other baseline was tested."""
    sentences: list[SentenceRow]
    """Why, and where not."""


class RuleRow(PartialInterval):
    """A figure behind the advice, and the threshold that it is compared with."""

    cell: str
    label: str
    rule: str
    kind: RuleKind
    """The same for programs."""
    against: str
    """The arm or suite that it compares with."""
    unit: Unit
    side: Side
    """Whether the figure speaks for the fine-tuned model above or below its threshold."""
    value: float | None
    threshold: float | None
    verdict: Verdict
    evidence: str
    """Anchor of its row on the page."""
    p: float | None
    """Of confirmatory tests."""
    p_adjusted: float | None
    """Of confirmatory tests."""
    reason: Reason | None
    """Why a break-even has no value; else null."""
    confirmatory: bool
    """Whether it is a confirmatory test."""


SentenceKind = Literal["answer", "warning", "note", "method"]


class SummarySentence(TypedDict):
    """A sentence of the verdict in one paragraph."""

    kind: SentenceKind
    """The answer to the report's question, a warning that limits it, a note beside it, or how it was tested."""
    text: str
    evidence: list[str]
    """An anchor for each task or test that the sentence speaks of."""
    spans: list[list[int]]
    """For each of them the span of its words in `text`: the first character and the one after the last."""


class PublishedFigure(TypedDict):
    """A figure of ours beside that of LoRA Land."""

    ours: float | None
    paper: float | None
    """Null where the paper does not have the base."""
    word: Literal["agree", "higher", "lower", "not comparable"]
    """`higher`: ours is above the paper's."""
    low: float | None
    """Interval of ours minus the paper's; null where they cannot be compared."""
    high: float | None
    why: str


class PublishedConstant(ConstantScore):
    """A constant answer on the paper's rows."""

    rows: int


class StrictScores(TypedDict):
    """Our scores by the task's primary metric."""

    metric: str
    base: float
    tuned: float


class PublishedRow(TypedDict):
    """A cell beside the figures of LoRA Land, by its scoring rule."""

    cell: str
    task: str
    label: str
    metric: str
    """The paper's rule."""
    n: int
    interval: list[float]
    """Low and high of our lift."""
    figures: dict[str, PublishedFigure]
    """Of base, fine-tuned and lift."""
    strict: StrictScores
    gpt35: float | None
    gpt4: float | None
    paper_n: int
    paper_rows: str
    """Which rows the paper scored."""
    constant: ConstantScore | None
    """The constant-answer baseline on our rows."""
    paper_constant: PublishedConstant | None
    marks: dict[str, str]
    """By arm that is at the constant-answer baseline, the constant answer that scores the same."""
    paper_marks: dict[str, str]
    differs: list[str]
    """How our task differs from the paper's."""
    setup: list[str]
    """How our training differs from the paper's."""
    source: str


class ReferenceRow(TypedDict):
    """A cell's score by a model behind an endpoint, one per metric; low, high are those of fine-tuned over it."""

    cell: str
    task: str
    label: str
    metric: str
    name: str
    score: float
    lift: float
    """Fine-tuned minus this model."""
    low: float
    high: float
    model: str
    tokens_in: int | None
    """Of all answers; null but for the first metric, as are the next three."""
    tokens_out: int | None
    refused: int | None
    cost: float | None
    """US dollars; null too where the recipe has no price."""


class Change(TypedDict):
    """What an adapter changed on one other task, or on plain English."""

    change: float
    """Fine-tuned minus base; of a loss, higher is worse."""
    low: float
    high: float
    verdict: Verdict
    evidence: str
    """Anchor of its row on the page."""


class EvaluatedOn(TypedDict):
    """Something that adapters were evaluated on besides their own tasks."""

    suite: str
    label: str
    """Its name for people."""
    kind: Literal["loss", "task"]


class AdapterChanges(TypedDict):
    """One adapter on everything else."""

    cell: str
    task: str
    """What it was trained on."""
    label: str
    """The same with the point of the sweep."""
    changes: list[Change | None]
    """One for every column; null where it was not evaluated, as on its own task."""


class OtherTasks(TypedDict):
    """The matrix of adapters and other tasks."""

    columns: list[EvaluatedOn]
    rows: list[AdapterChanges]


class Conclusions(TypedDict):
    """What the report concludes from its cells."""

    claims: list[ClaimRow]
    """The confirmatory tests."""
    advice: list[AdviceRow]
    """What to use for every cell."""
    rules: list[RuleRow]
    """The rules behind the advice."""
    summary: list[SummarySentence]
    """The verdict in one paragraph, sentence by sentence."""


class OutsideFigures(TypedDict):
    """Figures from elsewhere beside ours."""

    published: list[PublishedRow]
    """Figures of LoRA Land beside ours."""
    published_mean: PublishedMean | None
    """Null for fewer than two tasks of LoRA Land, and for a sweep."""
    references: list[ReferenceRow]
    """Scores and costs of models behind endpoints."""


class Report(Conclusions, OutsideFigures):
    """The whole of report.json."""

    schema: int
    """Version of this format."""
    name: str
    """Of the recipe."""
    title: str
    """Its question."""
    bases: list[str]
    made_at: str
    """When the newest input was made, UTC."""
    preliminary: Preliminary | None
    """Null in a final report. In any other every verdict is `no verdict`, and p-values are not corrected."""
    setup: Setup
    """What was trained, on how many rows, with which settings and on which hardware."""
    confidence: float
    """Of the intervals."""
    correction: Correction
    """Of the p-values."""
    family: int
    """Confirmatory tests that are corrected together."""
    verdicts: dict[str, int]
    """By verdict, how many cells got it."""
    warnings: list[str]
    """What to know before relying on a figure."""
    notes: list[str]
    """Limitations that are not faults."""
    cells: list[CellRow]
    """One per task and point of the sweep."""
    overview: Overview | None
    """Null for one task, and for a sweep."""
    other_tasks: OtherTasks | None
    """Null where nothing else was evaluated."""
    variants: list[VariantTable]
    """The variants of one model compared with each other, by task; none for fewer than two, or in a report that is not final."""
    tuning: list[TuningRow]
    """Values of training chosen for each cell by the validation loss; empty where the recipe has no `tune`."""
    sweep: Sweep | None
    """Null where nothing is swept."""
    learning: list[SizeLine]
    """Of sweeps over ranks or training examples: which value is sufficient."""
    adapters: dict[str, AdapterRow]
    """By short key."""
    data: dict[str, DataSetRow]
    """By short key."""
    recipe: dict[str, Any]
    """The whole recipe with its defaults."""
    artifacts: list[ArtifactRow]
    """The inputs."""
    surroundings: list[Environment]
    """The environments (computer and packages) in which the inputs were made."""
    seconds: dict[str, float]
    """Time spent, by stage."""
