"""Lists the arms of a comparison, one row each: its names, its parameters of `generate`, and where its figures belong.

A new arm is a row of ROWS: recipes, plan, comparison, page, costs, gates read it. A new form of prompt needs a parameter of `generate`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

Constraint = Literal["choices", "keys", ""]
ColourGroup = Literal["base", "base, helped", "tuned", "placebo", "other model"]
Step = Literal["constant", "format", "few-shot"]
Adapter = Literal["tuned", "shuffled_labels", "unrelated"]
Value = TypeVar("Value")
DEFAULT = ("base", "base_fewshot", "base_constrained", "tuned", "constant")
"""The arms of a recipe that names none."""
UNQUANTIZED = "base_bf16"
"""The timed arm of weights that are not quantized: of one shape and type, whatever their values."""
UNNORMALIZED = "_raw"
"""Ends the names of arms that rank choices by their total log-likelihood, as lm-evaluation-harness's `acc` does; the arms that they go with
rank by log-likelihood per token (compare its `acc_norm`). They need no generation of their own."""
DEBUGGED = "_debugged"
"""Ends the names of arms whose programs were debugged with the tests of their prompts; the arms that they go with wrote the programs."""
CUT = "tuned_rank"
"""Begins the names of arms that answer with the fine-tuned adapter cut to a smaller rank, which ends them."""
REFERENCE = "reference."
"""Begins the names of arms that a model behind an endpoint answers."""


@dataclass(frozen=True)
class ArmContext:
    """What the arms of one task in one recipe depend on."""

    quantized: bool
    """Whether the base is quantized."""
    constraint: Constraint
    """How answers to the task can be held to its form: to a closed set of answers, or to the keys of its JSON targets."""
    shots: int
    shots_seed: int
    runs_programs: bool = False
    """Whether answers are programs that the metric runs."""
    is_trained_here: bool = True
    """Whether the fine-tuned model is an adapter of this recipe's training; a placebo is trained as it was."""
    has_train: bool = True
    """Whether the task has training rows."""
    has_adapter: bool = True
    """Whether the fine-tuned model is an adapter on the base, and no whole model."""
    harness: bool = False
    """Whether the task is one of lm-evaluation-harness, which makes the prompts and scores the answers."""
    has_model: bool = True
    """Whether a model answers; if not, there are predictions of base and tuned, from elsewhere."""
    thinks: bool = False
    behind_endpoint: bool = False
    """Whether the fine-tuned model answers behind an endpoint, so that its weights are not here."""

    @property
    def has_fine_tune(self) -> bool:
        """Whether the fine-tuned model is here, as an adapter or a whole one."""
        return self.has_model and not self.behind_endpoint


def always(value: Value) -> Callable[[ArmContext], Value]:
    """The same value whatever the task."""
    return lambda context: value


NO_PARAMS: Callable[[ArmContext], dict[str, Any]] = always({})
NEVER = always(False)
NO_OBSTACLE = always("")


def few_shot(context: ArmContext) -> dict[str, Any]:
    return {} if context.harness else {"shots": context.shots, "shots_seed": context.shots_seed}


def constrain(context: ArmContext) -> dict[str, Any]:
    return {"constrain": context.constraint}


def reads_shots(context: ArmContext) -> bool:
    return context.shots > 0 and not context.harness


def reads_keys(context: ArmContext) -> bool:
    return context.constraint == "keys"


def train_obstacle(context: ArmContext) -> str:
    return "" if context.has_train else "the recipe names no training rows (data.train)"


def shots_obstacle(context: ArmContext) -> str:
    if context.harness:
        return "" if context.shots else "lm-evaluation-harness gives its prompts no examples (num_fewshot: 0)"
    return train_obstacle(context)


def form_obstacle(context: ArmContext) -> str:
    if context.harness:
        return "lm-evaluation-harness says how it is answered"
    if not context.constraint:
        return "free-text task, neither a closed set of answers nor JSON"
    thought = "the model thinks before it answers, so no choice follows its prompt" if context.thinks else ""
    return train_obstacle(context) if reads_keys(context) else thought


def constant_obstacle(context: ArmContext) -> str:
    if context.harness:
        return "lm-evaluation-harness scores it"
    return "its answers are programs" if context.runs_programs else train_obstacle(context)


def training_obstacle(context: ArmContext) -> str:
    return "" if context.is_trained_here else "it was fine-tuned elsewhere, and a placebo needs its training"


def weights_obstacle(context: ArmContext) -> str:
    return "the fine-tuned model answers behind an endpoint, and its weights are not here" if context.behind_endpoint else ""


def adapter_obstacle(context: ArmContext) -> str:
    whole = "" if context.has_adapter else "the fine-tuned model is a whole one, without an adapter to merge"
    return weights_obstacle(context) or whole


def merge_obstacle(context: ArmContext) -> str:
    return adapter_obstacle(context) or same_as_if_unquantized("merged_original")(context)


def same_as_if_unquantized(other: str) -> Callable[[ArmContext], str]:
    """The obstacle of an arm that equals another one if the base is not quantized."""
    return lambda context: "" if context.quantized else f"the base is not quantized, so it would be the same as {other}"


@dataclass(frozen=True)
class ArmSpec:
    """One arm."""

    name: str
    """In recipes, reports and folder names."""
    label: str
    """In tables and charts."""
    sentence: str
    """In sentences, as in "below ..."."""
    meaning: str
    """What it is, in a sentence for people."""
    colour_group: ColourGroup
    """Arms of one group have one colour in charts."""
    params: Callable[[ArmContext], dict[str, Any]] = NO_PARAMS
    """Parameters of `generate` that make it another arm than base."""
    adapter: Adapter | None = None
    """The adapter that answers: none, the task's own, or a placebo."""
    reads_train: Callable[[ArmContext], bool] = NEVER
    """Whether its prompts are made with training examples."""
    is_generated: bool = True
    """Whether a model answers; if not, the comparison makes its answers."""
    constrained: bool = False
    """Whether its answers are held to their form. It may then rank choices, and so have an unnormalized arm (UNNORMALIZED)."""
    obstacle: Callable[[ArmContext], str] = NO_OBSTACLE
    """Why a task cannot have it; empty if it can."""
    timed_as: str = ""
    """The arm whose time it takes, since that has weights of the same shape and type; empty: it is timed itself, if it is at all."""
    step: Step | None = None
    """The step of the decomposition that it may make, if it needs no training."""
    short: str = ""
    """In narrow tables, beside a score."""
    by_constraint: Mapping[Constraint, tuple[str, str, str]] = field(default_factory=dict)
    """Other labels, names in sentences and short names, by how answers to the task can be constrained."""
    reference: str = ""
    """The recipe's name of the model behind an endpoint that answers, if one does."""
    debugs: str = ""
    """The arm whose programs were debugged (DEBUGGED)."""
    ranks_choices_of: str = ""
    """The arm whose choices it ranks without length normalization (UNNORMALIZED); it has no predictions of its own."""


ROWS = (
    ArmSpec("base", "base", "the base", "The quantized base with the question alone as its prompt.", "base", short="base"),
    ArmSpec(
        "base_fewshot",
        "few-shot base",
        "the few-shot base",
        "The same base with few-shot examples from the training rows in its prompt.",
        "base, helped",
        params=few_shot,
        short="few-shot",
        reads_train=reads_shots,
        obstacle=shots_obstacle,
        step="few-shot",
    ),
    ArmSpec(
        "base_constrained",
        "ranked choices or keys in prompt (base)",
        "the base with ranked choices or keys in its prompt",
        "The same base with its answer restricted: multiple choice by log-likelihood ranking (per token); for JSON tasks the keys are "
        "listed in the prompt, and the output is not constrained.",
        "base, helped",
        params=constrain,
        reads_train=reads_keys,
        constrained=True,
        obstacle=form_obstacle,
        step="format",
        short="ranked or keys",
        by_constraint={
            "choices": ("ranked choices (base)", "the base with ranked choices", "ranked"),
            "keys": ("keys in prompt (base)", "the base with keys in its prompt", "keys"),
        },
    ),
    ArmSpec(
        "tuned",
        "fine-tuned",
        "the fine-tuned model",
        "The same base with the trained adapter; the mean over training seeds where there are several.",
        "tuned",
        adapter="tuned",
    ),
    ArmSpec(
        "tuned_constrained",
        "ranked choices or keys in prompt (fine-tuned)",
        "the fine-tuned model with ranked choices or keys in its prompt",
        "The fine-tuned model with its answer restricted in the same way.",
        "tuned",
        by_constraint={
            "choices": ("ranked choices (fine-tuned)", "the fine-tuned model with ranked choices", "ranked, fine-tuned"),
            "keys": ("keys in prompt (fine-tuned)", "the fine-tuned model with keys in its prompt", "keys, fine-tuned"),
        },
        params=constrain,
        adapter="tuned",
        reads_train=reads_keys,
        constrained=True,
        obstacle=lambda context: weights_obstacle(context) or form_obstacle(context),
    ),
    ArmSpec(
        UNQUANTIZED,
        "base, not quantized",
        "the base, not quantized",
        "The base at its own precision: what quantization costs.",
        "base, helped",
        params=always({"quantization": "none"}),
        obstacle=same_as_if_unquantized("base"),
        timed_as=UNQUANTIZED,
    ),
    ArmSpec(
        "merged", "fine-tuned, merged", "the merged fine-tuned model",
        "The adapter merged into the dequantized 4-bit weights, which stay unquantized.", "tuned",
        params=always({"merge": "dequantized"}), adapter="tuned", obstacle=merge_obstacle, timed_as=UNQUANTIZED,
    ),
    ArmSpec(
        "merged_original", "fine-tuned, merged into the original", "the fine-tuned model merged into the original",
        "The adapter merged into the original, unquantized weights.", "tuned", params=always({"merge": "original"}), adapter="tuned",
        obstacle=adapter_obstacle, timed_as=UNQUANTIZED,
    ),
    ArmSpec(
        "constant",
        "constant answer",
        "a constant answer",
        "The same answer to every example: the training target that scores best on the training examples, for classes mostly the majority "
        "class. It needs no model.",
        "placebo",
        is_generated=False,
        obstacle=constant_obstacle,
        step="constant",
        short="constant",
    ),
    ArmSpec(
        "shuffled_labels", "placebo: shuffled answers", "the placebo with shuffled answers",
        "An adapter of the same size and steps, trained on shuffled targets. It should learn the output format only.", "placebo",
        adapter="shuffled_labels", obstacle=training_obstacle, timed_as="tuned",
    ),
    ArmSpec(
        "unrelated", "placebo: unrelated task", "the placebo of an unrelated task",
        "An adapter trained on another task. It should gain nothing.", "placebo", adapter="unrelated", obstacle=training_obstacle,
        timed_as="tuned",
    ),
)  # fmt: skip
"""In the order of tables: base and what is cheap, tuned and what comes of it, placebos."""
ARMS = {row.name: row for row in ROWS}


def find(name: str, constraint: Constraint = "") -> ArmSpec:
    """The row of an arm, a reference model or an unnormalized arm; an unknown name gets a row with nothing but that name.

    Args:
        constraint: how answers to the task can be constrained, which decides some labels.
    """
    if name.endswith(DEBUGGED):
        return debugged_row(find(name.removesuffix(DEBUGGED), constraint))
    if name.startswith(REFERENCE):
        model = name.removeprefix(REFERENCE)
        return ArmSpec(name, model, model, "Another model, behind an endpoint, with the same prompts.", "other model", reference=model)
    if name.startswith(CUT):
        return cut_row(int(name.removeprefix(CUT)))
    if name.endswith(UNNORMALIZED):
        row = find(name.removesuffix(UNNORMALIZED), constraint)
        meaning = "The same choices ranked by their total log-likelihood, which favours short ones."
        return replace(
            row,
            name=name,
            label=f"{row.label}, total",
            sentence=f"{row.sentence} (total log-likelihood)",
            short=f"{row.short}, total",
            meaning=meaning,
            ranks_choices_of=row.name,
        )
    row = ARMS.get(name) or ArmSpec(name, name.replace("_", " "), name, "", "base, helped")
    label, sentence, short = row.by_constraint.get(constraint, (row.label, row.sentence, row.short))
    return replace(row, label=label, sentence=sentence, short=short)


def debugged_row(row: ArmSpec) -> ArmSpec:
    """The row of the arm of the same programs after debugging."""
    meaning = "The same programs, repaired with the tests that their prompts show. The hidden tests are run once, afterwards."
    return replace(
        row,
        name=row.name + DEBUGGED,
        label=f"{row.label}, debugged",
        sentence=f"{row.sentence} after debugging",
        short=f"{row.short or row.label}, debugged",
        meaning=meaning,
        timed_as="",
        step=None,
        debugs=row.name,
    )


def cut_row(rank: int) -> ArmSpec:
    """The row of the arm of an adapter that was cut to a rank."""
    return ArmSpec(
        cut_to(rank),
        f"fine-tuned, cut to rank {rank}",
        f"the fine-tuned model cut to rank {rank}",
        "The adapter with the update of every module cut to this rank by SVD, not trained further; of several seeds the first.",
        "tuned",
        adapter="tuned",
        timed_as="tuned",
        short=f"cut to {rank}",
    )


def cut_to(rank: int) -> str:
    """The arm of the fine-tuned adapter cut to a rank."""
    return f"{CUT}{rank}"


def reference(model: str) -> str:
    """The arm of a reference model.

    Args:
        model: its name in the recipe.
    """
    return REFERENCE + model


def unnormalized_arm(name: str) -> str:
    """The name of the arm that ranks the choices of another one by their total log-likelihood."""
    return name + UNNORMALIZED


def sort_key(name: str) -> tuple[int, str]:
    """Sorts arms in the order of the table, references last."""
    order = list(ARMS)
    if name.startswith(CUT):
        return order.index("tuned"), f"{CUT}{int(name.removeprefix(CUT)):09}"
    row = find(name)
    table_name = row.ranks_choices_of or row.debugs or name
    return (order.index(table_name) if table_name in order else len(order), name)


def untrained(step: Step | None = None) -> list[str]:
    """The arms that a fine-tune must beat, besides base: all of them, or those that may make one step of the decomposition.

    Ranking choices without length normalization is a way of holding to the form, too.
    """
    rows = [row for row in ARMS.values() if row.step and step in (None, row.step)]
    return [name for row in rows for name in ((row.name, unnormalized_arm(row.name)) if row.constrained else (row.name,))]


def obstacle_of(row: ArmSpec, context: ArmContext) -> str:
    """Why a task cannot have an arm; empty if it can."""
    if not context.has_model and row.is_generated and row.name not in ("base", "tuned"):
        return "it needs a model, and here are predictions alone"
    return row.obstacle(context)


def available_arms(requested: Iterable[str] | None, context: ArmContext) -> tuple[list[str], list[dict[str, str]]]:
    """The arms that a task gets, and {arm, why} for those that were requested but that the task cannot have.

    Args:
        requested: `compare.arms` of the recipe.
    """
    obstacles = {name: obstacle_of(find(name), context) for name in requested or DEFAULT}
    return [name for name, why in obstacles.items() if not why], [{"arm": name, "why": why} for name, why in obstacles.items() if why]
