"""Declares the types of provenance in report.json: adapters, data sets, artifacts, computers."""

from typing import Any, Literal, NotRequired, TypedDict

from pipeline.data.row_notes import RowNote


class Curve(TypedDict):
    """Loss in nats/token by optimizer step."""

    every: int
    """Number of steps that a point of `train` averages."""
    train: list[tuple[int, float]]
    """Last step and mean loss."""
    dev: list[tuple[int, float]]


class ImportedAdapter(TypedDict):
    """What the files of an adapter or a whole model say that was fine-tuned elsewhere."""

    variant: str
    """Its name in the recipe."""
    source: str
    """Hub id with its commit, or the name of a folder."""
    kind: Literal["adapter", "model"]
    rank: list[int]
    """More than one where modules differ; none of a whole model."""
    alpha: float | None
    """Null of a whole model."""
    rslora: bool
    dora: bool
    modules: list[str]
    """Names of the modules that carry it; of a whole model those that differ from the base."""
    modules_to_save: list[str]
    """Modules of the base that it replaces as a whole."""
    warnings: list[str]
    """What its files say that may mean another base or another form of prompts."""


class ImportedPredictions(TypedDict):
    """A file of predictions from elsewhere."""

    arm: str
    """`base`, `fine-tuned`, or `fine-tuned, seed 1` where a name has several files."""
    name: str
    """As the recipe calls it."""
    file: str
    format: str
    """`table`, `lines` (one answer a line) or `loralift`."""
    paired_by: str
    """`order`, `ids of examples`, or a column that test rows have too."""
    answers: int
    """Answers that are compared, one for each test example."""
    unused: int
    """Answers to rows that the test set leaves out."""
    unknown: int
    """Answers to no test row, where common rows alone are compared."""


class EndpointVariant(TypedDict):
    """A model behind an endpoint that stands in the place of the fine-tuned one."""

    name: str
    """As the recipe calls it."""
    host: str
    """Of its address."""
    model: str
    """As the endpoint calls it."""
    served: list[str]
    """The models that its answers say they are from; more than one where it changed during the run."""
    requests: int
    """Tries of all answers."""
    refused: int
    """Prompts that it did not answer."""
    prompt_tokens: int
    completion_tokens: int
    usage: Literal["reported", "estimated"]
    """Whether it counted these tokens itself."""


class AdapterRow(TypedDict):
    """The training of one adapter; of one from elsewhere what is known of it."""

    seed: int
    """Of an adapter from elsewhere its number in the recipe, from 0."""
    trainable_parameters: int
    adapter_bytes: int
    """Of the files of the adapter, or of the whole fine-tuned model."""
    steps: int | None
    """Optimizer steps; null where it was trained elsewhere."""
    kept_step: int | None
    """The step whose weights it has."""
    dev_loss: float | None
    """At that step; null without a validation set."""
    target_tokens: int | None
    tokens_per_second: float | None
    seconds: float | None
    """Of the training; null where it was trained elsewhere."""
    curve: Curve
    """Without points where it was trained elsewhere."""
    imported: ImportedAdapter | None
    """Null where it was trained here."""


class DroppedRows(TypedDict):
    """Rows that were left out for one reason."""

    count: int
    first: list[str]
    value: str
    """The value in the first."""


class OverlapPair(TypedDict):
    """A training prompt that was left out, and the test one that it resembles."""

    train: str
    heldout: str
    similarity: float
    kind: str


class Overlap(TypedDict):
    """Training prompts that were left out since they resemble test ones."""

    exact: int
    near: int
    threshold: float | None
    """Similarity from which a prompt counts as near."""
    pairs: list[OverlapPair]
    """The first of them."""


class DataSetRow(TypedDict):
    """A set of examples."""

    task: str
    split: Literal["test", "training"]
    examples: int
    dev: int
    """Examples of the validation set."""
    wanted: int | None
    """Examples that the recipe asks for, with those for validation."""
    cut: int | None
    """Examples whose prompt was shortened."""
    dropped: dict[str, DroppedRows]
    """By reason."""
    notes: list[RowNote]
    """Rows that are used, but not as most are."""
    overlap: Overlap | None
    """Null for test sets."""
    cells: list[str]
    """Cells that use it."""


class PeakMemory(TypedDict):
    """Bytes at the peak of a job."""

    rss: int
    cuda: NotRequired[int]


class GitState(TypedDict, total=False):
    """The code that made an artifact; empty outside a checkout."""

    commit: str
    dirty: bool


class ArtifactRow(TypedDict):
    """An input of the report."""

    stage: str
    folder: str
    key: str
    """Hash of what was requested."""
    digest: str
    """Hash of what came out."""
    version: int | str
    made_at: str
    """UTC."""
    seconds: float
    peak: PeakMemory
    git: GitState
    machine: dict[str, Any]
    """The options of the command line."""
    surroundings: str
    """Name of the computer and packages that made it."""
    lineage: dict[str, str]
    """By input, the folder that it was made from."""
    inputs: list[str]
    """Its input names in the cells."""


class Processor(TypedDict):
    """The CPU."""

    model: str
    cores: int | None


class Gpu(TypedDict):
    """The first CUDA device."""

    name: str
    bytes: int
    cuda: str | None
    count: int


class Environment(TypedDict):
    """A computer with its packages."""

    name: str
    """A, B, ..."""
    python: str
    system: str
    packages: dict[str, str]
    cpu: Processor
    gpu: Gpu | None


class RowsUsed(TypedDict):
    """Rows of one task: used, and available in its source (null where that is not known)."""

    task: str
    train: int
    train_available: int | None
    validation: int
    """Rows of the training source that choose the best step."""
    train_left_out: dict[str, int]
    """By reason, rows of the training source that are not used."""
    test: int
    test_available: int | None
    test_left_out: dict[str, int]


class Setup(TypedDict):
    """What was trained and how, empty where nothing was trained here; a list has more than one value where the recipe sweeps over it."""

    bases: list[str]
    quantization: list[str]
    rank: list[int]
    alpha: list[float]
    """LoRA's alpha itself, not its ratio to the rank."""
    targets: list[str]
    learning_rate: list[float]
    epochs: list[int]
    steps: list[int]
    """Optimizer steps of the adapters, without repeats, ascending."""
    seeds: list[int]
    rows: list[RowsUsed]
    hardware: list[str]
    """GPU, or CPU where there was none, that trained; of what was trained elsewhere the one that answered."""
    adapters: int
    """Trained here."""
    imported: list[str]
    """Adapters and models from elsewhere, each with its source."""
    predictions: list[str]
    """Predictions from elsewhere, each with its file, where no model was loaded; else empty."""
    training_seconds: float
    """Of all adapters together that were trained here."""
    seconds: float
    """Of all jobs behind the report, training among them."""
    hour_dollars: float | None
    """USD per hour, from cost.gpu_hour of the recipe."""
    training_dollars: float | None
    """Of the training, at the price of an hour; null without one."""
