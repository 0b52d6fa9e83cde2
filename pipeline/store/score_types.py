"""Declares the types of the scores of a comparison, as its files and report.json hold them."""

from typing import Any, Generic, NotRequired, TypedDict, TypeVar

Value = TypeVar("Value")
ShownTurn = dict[str, Any]
"""A turn as OpenAI's interface has it: `role`, `content`, `tool_calls`, `name`, `tool_call_id`. Arguments of calls are JSON text."""
ShownPrompt = str | list[ShownTurn]
"""A prompt for a reader: text, or the turns of a conversation."""


class Interval(TypedDict):
    """Ends of an interval at the recipe's confidence."""

    low: float
    high: float


class Lift(Interval):
    """One arm's score minus another's."""

    lift: float
    p: float
    """Two-sided, by itself."""


class SeedErrors(TypedDict):
    """Standard errors of a difference of which fine-tuned, the mean over training seeds, is one side."""

    seeds: int
    examples: float
    """Over test examples, with the seeds fixed."""
    between: float
    """Over training seeds, from the spread of their scores."""
    rest: float
    """The part of both that neither the seed nor the example explains."""


class Comparison(TypedDict):
    """Fine-tuned against base by one metric, on the same test examples."""

    task: str
    metric: str
    primary: bool
    """Whether the task is judged by it; only primary metrics are tested."""
    n: int
    """Test examples."""
    seeds: int
    """Training seeds; fine-tuned is their mean."""
    base: float
    tuned: float
    lift: float
    """fine-tuned - base."""
    low: float
    high: float
    p: float
    """Two-sided, by itself."""
    test: str
    """Name of the test that gave p: `exact McNemar`, `paired randomization`, or with several seeds the larger p of the latter and `t over
    seeds`."""
    fixed: int
    """Examples that fine-tuned scores higher than base, by the mean over seeds."""
    broken: int
    smallest_effect: float | None
    """Minimum detectable lift (80 % power), in a report with the multiple-testing correction; null where that is not
    known."""
    seed_errors: SeedErrors | None
    """Null with one training seed, where interval and p cover test examples only."""


class AnswerCounts(TypedDict):
    """Flaws of an arm's answers, of `n`."""

    n: int
    """Answers: of fine-tuned those of all training seeds together."""
    unparsed: int
    """The task's parser read no answer."""
    truncated: int | None
    """Stopped by the limit of new tokens; null where predictions from elsewhere do not say how they ended."""
    endless: int | None
    """Stopped by the limit of new tokens while repeating itself; null as above."""
    empty: int
    refused: int
    """A model behind an endpoint gave no answer."""
    mean_tokens: float | None
    """Generated tokens per answer; null as above."""


class ByArm(TypedDict, Generic[Value]):
    """One value per arm."""

    base: Value
    tuned: list[Value]
    """One per training seed."""
    others: dict[str, Value]


CountsByArm = ByArm[AnswerCounts]
"""counts.json of a comparison."""


class ConstantScore(TypedDict):
    """What a constant answer scores."""

    answer: str
    score: float


class OtherArm(Lift):
    """An arm besides base and fine-tuned by one metric; lift, low, high and p are those of fine-tuned over it."""

    name: str
    score: float
    score_low: float
    score_high: float
    over_base: Lift


class ScoreSd(TypedDict):
    """Standard deviation of the scores of single examples."""

    base: float
    tuned: float


class ArmScores(TypedDict):
    """One metric's entry of beside.json."""

    others: list[OtherArm]
    scores: dict[str, tuple[float, float]]
    """Interval of the score of base and of fine-tuned."""
    constants: list[ConstantScore]
    """Best first; empty where answers are free text or code."""
    score_sd: ScoreSd
    zero_one: bool
    """Whether an example scores 0 or 1 and nothing between."""


class AnswerRow(TypedDict):
    """One arm's answer to one example."""

    text: str
    answer: str | None
    """As the task's parser reads it; null where it reads none."""
    stopped: str
    """`eos`, `stop`, `length`, `refused`, or `unknown` for predictions from elsewhere."""
    tokens: int | None
    """Null where that is unknown."""
    scores: dict[str, float]
    """By metric."""
    flags: list[str]
    """`unparsed`, `truncated`, `endless`, `empty`, `refused`, `hallucinated`."""
    reasons: NotRequired[dict[str, str]]
    """By metric that explains failures."""


class ExampleText(TypedDict):
    """What a reader sees of a test example."""

    id: str
    prompt: ShownPrompt
    target: str
    target_turn: NotRequired[ShownTurn]
    """The target as a turn, where it calls tools."""
    choices: list[str]
    accepted: NotRequired[list[str]]
    """Right answers besides the target, where there are any."""


class ExampleRow(ExampleText, ByArm[AnswerRow]):
    """A row of a comparison's examples.jsonl: one test example with what every arm answered."""


class PairedRow(TypedDict):
    """One example that two arms answered, without statistics."""

    id: str
    prompt: ShownPrompt
    target: str
    base: str
    tuned: str
    scores: list[float]
    """Base's and fine-tuned's."""
