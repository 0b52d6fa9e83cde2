"""Defines what a recipe compares that was fine-tuned elsewhere: adapters, or predictions in files and how they are paired."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, PositiveInt, model_validator

from pipeline.config.schema import Name, NonEmpty, Reference, Section

TRAINED_HERE = "trained here"
"""The entry of `variants` that stands for the recipe's own training."""
TASK_FIELD = "{task}"
"""In the path of a variant's adapter: the name of the task."""


Place = Annotated[str, Field(min_length=1)]
Files = Place | Annotated[tuple[str, ...], NonEmpty]
KINDS = ("adapter", "adapters", "predictions", "model", "endpoint")
"""What a variant may be, one of them."""
ENDPOINT_KEYS = ("key_env", "concurrency", "max_new_tokens")
"""Keys of a variant that say how an endpoint is asked."""


class Variant(Section):
    """Something fine-tuned elsewhere, in the place of an adapter that is trained here: an adapter, predictions, a model or an endpoint."""

    name: Name
    """What the report calls it."""
    adapter: Place | None = None
    """A LoRA adapter as peft saves it: its folder, or its id on the hub, `owner/name` or `owner/name@revision`. `{task}` stands for the
    name of the task, where every task has an adapter of its own."""
    adapters: Annotated[tuple[Place, ...], NonEmpty] | None = None
    """Several adapters of one training set-up, one for each training seed, as `adapter` names one: scores are their mean, and intervals
    and p-values cover other seeds."""
    predictions: Files | None = None
    """The file with its predictions for the test rows, or several, one for each training seed; `base_predictions` has the formats. With
    `{task}` as above."""
    train: str | None = None
    """The file of rows that it was trained on, in the form of the task's own: they are searched for duplicates of test prompts, and nothing
    is trained on them. Unset: unknown, and the report says so."""
    model: Place | None = None
    """A whole fine-tuned model with the base's tokenizer, such as a full fine-tune or a merged adapter: its folder or hub id, as for
    `adapter`. It is quantized as the base is. With `endpoint` the name of the model there."""
    endpoint: Place | None = None
    """Base address of an OpenAI-compatible endpoint that answers in its place; `model` is then the model's name there. Nothing is sent to
    it unless a recipe says so here, and nothing but its answers is known of it."""
    key_env: str = "OPENAI_API_KEY"
    """With `endpoint`: the environment variable that holds its key; empty: none is sent."""
    concurrency: PositiveInt = 8
    """With `endpoint`: requests at a time."""
    max_new_tokens: PositiveInt | None = None
    """With `endpoint`: instead of each task's own."""

    @model_validator(mode="after")
    def check_kind(self) -> "Variant":
        """Raise ValueError unless it is one thing, and one that can be compared."""
        if bool(self.adapter) + bool(self.adapters) + bool(self.predictions) + bool(self.endpoint or self.model) != 1:
            kinds = f"{', '.join(KINDS[:-1])} and {KINDS[-1]}"
            raise ValueError(f"variants: {self.name} must be one of {kinds}. Write adapter: or model:, and its folder or hub id")
        if twice := [place for place, count in Counter(self.adapters or ()).items() if count > 1]:
            raise ValueError(f"variants: {self.name} names {twice[0]} twice, and equal adapters are one training run. Leave one out")
        if self.endpoint and not self.model:
            raise ValueError(f"variants: {self.name} has an endpoint and no model. Add model: and its name there")
        extra = [key for key in ENDPOINT_KEYS if getattr(self, key) != type(self).model_fields[key].default]
        if extra and not self.endpoint:
            raise ValueError(f"variants: {self.name} has {extra[0]} and no endpoint. Add endpoint: and its address, or leave it out")
        return self

    @property
    def reference(self) -> Reference | None:
        """How its answers are requested, where it is a model behind an endpoint."""
        if self.endpoint is None or self.model is None:
            return None
        settings = {"key_env": self.key_env, "concurrency": self.concurrency, "max_new_tokens": self.max_new_tokens}
        return Reference.model_validate({"name": self.name, "endpoint": self.endpoint, "model": self.model, **settings})

    @property
    def adapter_places(self) -> tuple[str, ...]:
        """Its adapters, one for each training seed; empty where it is no adapter."""
        return (self.adapter,) if self.adapter else self.adapters or ()

    @property
    def runs(self) -> int:
        """Training runs behind it, as far as the recipe says."""
        return max(1, len(self.adapter_places), len(self.prediction_files))

    @property
    def prediction_files(self) -> tuple[str, ...]:
        """The files with its predictions, one for each training seed; empty where a model answers."""
        return (self.predictions,) if isinstance(self.predictions, str) else self.predictions or ()


class Pairing(Section):
    """How predictions from files are paired with test rows."""

    answers: str | dict[str, str] | None = None
    """The column of the files that holds the answers, or that of each by its name, as `{base: response, mine: output}`; unset: the one
    that is called as such columns are (`text`, `answer`, `pred`, `response`, `output`, `completion` and the like), if there is one alone.
    One that equals the targets beside another that may hold the answers is refused."""
    id: str | None = None
    """The column by which an answer finds its test row; test rows and predictions have it. Unset: `id` or the like where both have it,
    else the order of the rows counts."""
    common_rows: bool = False
    """Compare only the test rows that every file answers once, and say how many are left out. Off: any other row is an error."""

    def column_of(self, name: str) -> str | None:
        """The column that holds the answers in the files of base or of a variant; None: the one that is called so."""
        return self.answers.get(name) if isinstance(self.answers, dict) else self.answers


def unknown_file_fault(pairing: Pairing, variants: Sequence[object]) -> str:
    """Whose columns are named that has no file; empty if nobody's are."""
    names = ["base", *(entry.name for entry in variants if isinstance(entry, Variant))]
    unknown = [name for name in pairing.answers if name not in names] if isinstance(pairing.answers, dict) else []
    return f"pairing.answers names {unknown[0]}, and the predictions are those of {', '.join(names)}. Name one of them" if unknown else ""


def prediction_fault(base: str | None, variants: Sequence[object], tasks: int, references: int) -> str:
    """What contradicts itself in a recipe of predictions; empty if nothing does.

    Args:
        base: the file of the base's predictions.
        variants: the entries of the recipe.
        tasks: how many tasks there are.
        references: how many models behind endpoints are to be asked.
    """
    own = [entry for entry in variants if isinstance(entry, Variant) and entry.predictions]
    if base is None:
        return f"base_predictions is missing: variants has the predictions of {own[0].name}. Name the base's file" if own else ""
    if not own:
        return "base_predictions has nothing to be compared with. Name predictions under variants"
    if others := [getattr(entry, "name", entry) for entry in variants if entry not in own]:
        return f"variants: {others[0]} has no predictions, and where base_predictions is set no model answers. Name its file"
    if references:
        return "references: no endpoint is asked where base_predictions is set. Name the reference's predictions under variants"
    files = [base, *(file for entry in own for file in entry.prediction_files)]
    if tasks > 1 and (shared := [file for file in files if TASK_FIELD not in file]):
        return f"{shared[0]} would answer {tasks} tasks. Name one task, or files by task: {TASK_FIELD} stands for the name"
    return ""
