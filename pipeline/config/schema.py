"""Defines each section of a recipe: every key with its type, its default and its meaning."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr

from pipeline import arms

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
DEVICE_NAMES = ("con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10)))


def portable(name: str) -> str:
    """A name, if it can be a part of a file's name everywhere.

    Raises:
        ValueError: Windows keeps it for a device, or drops its last character.
    """
    if name.partition(".")[0].lower() in DEVICE_NAMES or name.endswith("."):
        raise ValueError(f"'{name}' cannot be a part of a file's name on every system: take another name")
    return name


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64), AfterValidator(portable)]
"""It becomes a part of the names of folders, of which one may hold three."""
OwnTask = Annotated[str, Field(pattern=r"\.py$")]
"""The path of a Python file that defines TASK, as the shipped ones in pipeline/tasks do; from the recipe's folder."""
TaskName = Annotated[str, Field(pattern=r"^(lm_eval/)?[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100), AfterValidator(portable)]
"""The name of a task, or HARNESS and that of a task of lm-evaluation-harness."""
INSPECT = "inspect_ai/"
"""Begins the names of scores that a log of Inspect holds."""
HARNESS, HARNESS_TASK = "lm_eval/", "lm_eval."
"""Begin the names of tasks of lm-evaluation-harness, in a recipe and where a slash would part folders."""
NonEmpty = Field(strict=False, min_length=1)
HELDOUT_NAMES = ("heldout", "test", "validation", "eval")
"""What a recipe may call the data that base and tuned are compared on; keys of artifacts know the first alone."""


COLUMN = "column:"
"""Begins an entry of `compare.slices` that is a column, where its name alone would mean something else."""
SLICE_WORDS = ("length", "label")
"""Entries of `compare.slices` that are no column."""


def slice_name(entry: str) -> str:
    """An entry of `compare.slices` in its shortest spelling."""
    column = entry.removeprefix(COLUMN)
    return entry if column in SLICE_WORDS else column


MAX_RESAMPLES = 10_000_000
"""Of compare.resamples: more take hours and gigabytes, and no p-value needs them."""


def check_repeats(key: str, names: list[str]) -> None:
    """Raise ValueError if a name appears twice."""
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise ValueError(f"{key}: {', '.join(twice)} appears more than once")


def check_names(key: str, names: list[str]) -> None:
    """Raise ValueError unless the names differ, on every file system."""
    check_repeats(key, names)
    folded = Counter(name.lower() for name in names)
    if alike := sorted(name for name in names if folded[name.lower()] > 1):
        raise ValueError(f"{key}: {' and '.join(alike)} differ in case only, and are one name to many file systems")


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True, allow_inf_nan=False)


class Data(Section):
    """Where the rows of an inline task come from."""

    train: str | None = None
    """A JSON, JSONL, CSV, TSV or Parquet file (text also gzipped), or a pattern of several (`train-*.parquet`), from the current folder
    or the recipe's; with `hub` or `folder`, the name of a split. Only a recipe that trains nothing may leave it out."""
    heldout: Annotated[str, Field(validation_alias=AliasChoices(*HELDOUT_NAMES))]
    """The same for the test set, on which base and fine-tuned model are compared; may be written as `test`, `validation` or `eval`."""
    hub: str | None = None
    """Id of a data set on the Hugging Face hub, as `owner/name`."""
    folder: str | None = None
    """A folder with one file per split, or a data set saved with `save_to_disk`."""
    config: str | None = None
    """Configuration of the hub data set, where it has several."""
    revision: str | None = None
    """Commit of the hub data set; without one, today's is used and recorded."""
    _recipe_folder: Path | None = PrivateAttr(None)
    """Where else than in the current folder its files were looked for; no key of a recipe."""

    @property
    def recipe_folder(self) -> Path | None:
        return self._recipe_folder

    def note_folder(self, folder: Path) -> None:
        """Remember the folder of the recipe, for messages."""
        self._recipe_folder = folder


def with_text_keys(labels: object) -> object:
    """A mapping of labels with its keys as text: YAML reads `0:` and `true:` as values of their own."""
    if not isinstance(labels, dict):
        return labels
    return {str(key).lower() if isinstance(key, bool) else str(key): name for key, name in labels.items()}


Labels = Annotated[Annotated[tuple[str, ...], NonEmpty] | Annotated[dict[str, str], Field(min_length=1)], BeforeValidator(with_text_keys)]
"""Names of the values of a column: a list for the numbers from 0 on, or one for each value."""


class InlineTask(Section):
    """A task of the user's own, without Python."""

    name: Name
    data: Data
    prompt: str = ""
    """What the model is asked; `{column}` stands for a column of the row. Without prompt and target, rows are read as their columns say:
    see format."""
    target: str = ""
    """The right answer; `{column}` stands for a column of the row."""
    format: Literal["messages", "prompt_completion", "alpaca", "lm_eval_samples", "inspect_log"] | None = None
    """What rows are without templates: `messages` (OpenAI, TRL; `conversations` of ShareGPT), `prompt_completion`, `alpaca`
    (`instruction`, `input`, `output`), `lm_eval_samples` (lm-evaluation-harness' `--log_samples`; metrics are its own scores, as
    `lm_eval/acc`), or `inspect_log` (a log of Inspect; metrics are its scorers, as `inspect_ai/match`). The last assistant turn is the
    target, all before it the prompt. Unset: what the columns fit."""
    columns: dict[str, str] = {}
    """Other names of the columns of a format: `{messages: dialog}`."""
    loss: Literal["last", "assistant"] = "last"
    """Which turns of a conversation an adapter is trained on: the last answer, or every one. An answer with `weight: 0` never."""
    thinking: bool = False
    """Turn the thinking switch of the chat template on (Qwen3): models think before they answer, and adapters are trained on the thoughts
    of the rows (`<think>...</think>` in front of the answer, or `reasoning_content` of its turn). Targets and scores are answers alone."""
    accepted: str = ""
    """Further right answers: `{column}` stands for one entry after another of a list, as in `{answers[text]}`. A model is trained on
    the target, and an answer is scored against the right one that it is closest to."""
    metrics: Annotated[tuple[str, ...], NonEmpty] = ("exact_match",)
    """Names of metrics; the task is judged by the first. The path of a folder or file from the recipe's folder, as `./metrics/mine`, is
    an `evaluate` module of yours: its code is run."""
    choices: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """The closed set of answers, if there is one."""
    cut: str = ""
    """The column that `prepare.long_prompts: cut_field` shortens, so that the words of the template stay whole."""
    labels: dict[str, Labels] = {}
    """Names for the numbers in a column: `{label: [negative, positive]}`; or for any of its values: `{label: {-1: low, 1: high}}`."""
    defaults: dict[str, str] = {}
    """What stands for a field that a row lacks or leaves empty: `{input: ""}`, `{"answers[text][0]": unanswerable}`. Where it is `""` for
    the whole target, no answer is a right answer."""
    group: str = ""
    """Template of the source document; rows of one group are resampled together, and a row without one is a group of its own."""
    answer: Literal["text", "first_line", "choice", "number", "json", "tool_call"] = "text"
    """How the answer is parsed from the model's text; where `mae_similarity` is the only metric `text` is `number`. `tool_call`: the calls
    of tools that it makes, as JSON or in the form of Qwen and Hermes, Llama, Mistral, GLM, LFM2, DeepSeek, gpt-oss, Gemma, Kimi or ReAct;
    an answer in words calls none, and a broken call is unparsable."""
    decimal_mark: Literal[".", ","] | None = None
    """How the data write decimals: `.` as in 1,234.5, `,` as in 1.234,5. Unset: a number that can be read both ways is not."""
    span: PositiveFloat | None = None
    """Distance between the ends of the scale of `mae_similarity`; unset: 5."""
    grounded: bool = False
    """Whether answers must be grounded in the prompt; names, numbers and dates from elsewhere then count as hallucinations, in German
    numbers and dates alone, since every noun has a capital."""
    max_new_tokens: PositiveInt = 64
    stop: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)] = ()
    """Strings that end an answer, in addition to the end token."""


def task_name(entry: str | InlineTask) -> str:
    """The name of a task under `tasks`, as folders have it; one that is a Python file is called as its file."""
    if not isinstance(entry, str):
        return entry.name
    if entry.startswith(HARNESS):
        return HARNESS_TASK + entry.removeprefix(HARNESS)
    return Path(entry).stem if is_own_task(entry) else entry


def is_own_task(entry: object) -> bool:
    """Whether an entry under `tasks` is the path of a Python file, and no name of a shipped task."""
    return isinstance(entry, str) and entry.endswith(".py")


class Prepare(Section):
    """Which examples are drawn, by the seed. `prepare` and `plan` say how many of how many rows are used."""

    train_examples: PositiveInt | None = None
    """Training examples drawn from the train split, validation examples not counted; unset: all."""
    dev_examples: NonNegativeInt = 100
    """Further examples of the train split, for the validation loss that picks the best checkpoint; of few rows a smaller share."""
    heldout_examples: PositiveInt = 2000
    """Test examples drawn from the test split; all, if it has no more."""
    max_tokens: PositiveInt = 512
    """Maximum length of a prompt with its answer."""
    heldout_order: Literal["drawn", "first"] = "drawn"
    """Draw the test examples by the seed, or take the first ones in the order of the source."""
    long_prompts: Literal["drop", "cut_left", "cut_field"] = "drop"
    """What happens to a prompt that is too long; `cut_field` shortens its passage or table, if the task has one. Answers are never cut."""
    near_duplicates: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Jaccard similarity of 5-word shingles from which a training prompt is a near-duplicate of a test prompt; 1: exact ones only."""
    max_bad_rows: Fraction = 0.1
    """Abort if more than this share of the rows is malformed or lacks a field."""
    seed: Seed = 0


class Generate(Section):
    """How base and fine-tuned model answer."""

    quantization: Literal["nf4", "none"] = "nf4"
    """The same for both, so that the adapter is the only difference."""
    compute: Literal["bf16", "fp32"] = "bf16"
    max_new_tokens: PositiveInt | None = None
    """Instead of each task's own."""
    score_choices: bool = False
    """Also store the log-likelihood of every choice."""
    samples: NonNegativeInt = 0
    """Sampled answers to each example, in addition to the greedy one; code is then scored by pass@k as well."""
    temperature: PositiveFloat = 0.8
    """Of the sampled answers."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Nucleus sampling: tokens are drawn from the likeliest ones that together have this probability."""
    seed: Seed = 0
    """Of the sampled answers."""


if TYPE_CHECKING:
    Arm = str
else:
    Arm = Literal[tuple(arms.ARMS)]  # the names of the table, so that a new arm is one row there


class Compare(Section):
    """How the difference is judged."""

    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    resamples: Annotated[int, Field(ge=100, le=MAX_RESAMPLES)] = 10000
    interval: Literal["bca", "percentile"] = "bca"
    correction: Literal["holm", "none"] = "holm"
    """For several tasks and sweep points; `none` for exploring only."""
    seed: Seed = 0
    liveness: bool = True
    """Refuse to score an adapter that changes nothing. Off only to compare a model with itself."""
    arms: Annotated[tuple[Arm, ...] | None, Field(strict=False)] = None
    """Arms scored on the same test examples; unset: the arms marked as default in the table above, as far as a task can have them."""
    shots: PositiveInt = 5
    """Few-shot examples in each prompt of `base_fewshot`; fewer where they do not fit."""
    shots_seed: Seed = 0
    """Of the choice of these examples."""
    unrelated: Name | None = None
    """The task whose adapter is the placebo of the arm `unrelated`, none that is compared; unset: the next one, or an embedded one."""
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.02
    """Non-inferiority margin on scores: a drop below it is no regression on another task; a sweep size is enough within it."""
    same_within: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Margin within which a lift or training effect, either way, is `same`, and a merged model the same as the fine-tuned one of the seed
    that it was merged from (TOST, two one-sided tests); unset: not tested."""
    slices: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False)] = ()
    """Slices of the test set, each with a lift of its own (exploratory): `length` (words of the prompt, in up to four bands), `label` (the
    target, where targets are labels), or a column of the test rows of up to 20 values, or of numbers, which are put into bands;
    `column:label` for a column of such a name. Nothing is trained or answered again for it."""
    rank_cuts: Literal["halves"] | Annotated[tuple[PositiveInt, ...], Field(strict=False)] = ()
    """Ranks below that of the adapter to which its update is cut by SVD, each answered and scored without further training: a whole rank
    curve from one training. `halves`: half the rank, a quarter, and so on down to 1. Of several training seeds the first is cut."""
    relevance_examples: NonNegativeInt = 200
    """Examples for the prompt-relevance measure; 0: not measured."""
    speed_prompts: NonNegativeInt = 16
    """Requests, one at a time, for the latency measure; 0: not measured."""


class General(Section):
    """Regressions: fine-tuned against base on other tasks."""

    suites: Annotated[tuple[TaskName, ...] | None, Field(strict=False)] = None
    """`paragraphs` (plain English that is shipped) and tasks, zero-shot, also groups of lm-evaluation-harness as `lm_eval/mmlu`; unset:
    paragraphs and up to two other tasks of the recipe, else embedded ones; empty: nothing is measured."""
    examples: PositiveInt = 400
    """Test examples of each task; with fewer, a margin of 0.02 can hardly be shown to hold even where no answer changes."""
    loss_margin: PositiveFloat = 0.05
    """Non-inferiority margin on the loss of the paragraphs, in nats/token."""


class LmEval(Section):
    """How tasks of lm-evaluation-harness are run: those under `tasks` or `general.suites` whose names begin with lm_eval/."""

    include: str | None = None
    """A folder of task YAML, as lm-evaluation-harness' `--include_path`, from the current folder or the recipe's."""
    num_fewshot: NonNegativeInt | None = None
    """Few-shot examples of the arm `base_fewshot`, chosen by lm-evaluation-harness; unset: as many as the task says, else
    `compare.shots`. All other arms have none."""
    apply_chat_template: bool = False
    """Render prompts by the base's chat template, as lm-evaluation-harness' `--apply_chat_template`; else they are plain text."""
    metrics: dict[str, str] = {}
    """The primary metric of a task, where it is not the first one of its YAML: `{lambada_openai: acc}`, `{gsm8k:
    "exact_match,flexible-extract"}`."""


class Cost(Section):
    """Prices, for the cost section of the report; nothing here changes a run."""

    gpu_hour: Annotated[float, Field(ge=0)] | None = None
    """US dollars per hour of the machine that trains and answers."""


class Price(Section):
    """US dollars for a million tokens."""

    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]


class Reference(Section):
    """A model behind an OpenAI-compatible endpoint, as a further column. Nothing is sent anywhere unless a recipe says so here."""

    name: Name
    """What the report calls it."""
    endpoint: str
    """Base address, as https://api.openai.com/v1."""
    model: str
    """As the endpoint calls it."""
    key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; empty: none is sent."""
    price: Annotated[Price | None, Field(strict=False)] = None
    """US dollars per million tokens, for the cost section of the report: `{input: 2.5, output: 10}`."""
    concurrency: PositiveInt = 8
    """Requests at a time."""
    max_new_tokens: PositiveInt | None = None
    """Instead of each task's own."""
