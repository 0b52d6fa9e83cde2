"""Defines the section `finetune` of a recipe: how the adapter is trained"""

from math import sqrt
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipeline.config.methods import METHODS, SWITCHES, Init, Method, clash, refuse_rewriting
from pipeline.config.schema import Fraction, NonEmpty, NonNegativeInt, PositiveFloat, PositiveInt, Section, Seed


class Finetune(Section):
    """How the adapter is trained."""

    quantization: Literal["nf4", "none"] = "nf4"
    """Of the frozen base: NF4 with double quantization, or its own precision."""
    compute: Literal["bf16", "fp32"] = "bf16"
    """Precision of the matrix products."""
    rank: PositiveInt = 16
    """Width of the adapter; capacity and memory grow with it."""
    alpha_per_rank: PositiveFloat = 2.0
    """LoRA scale: alpha = alpha_per_rank x rank (with rsLoRA: x sqrt(rank)), so that a sweep over ranks holds the scale fixed."""
    alpha: PositiveFloat | None = None
    """LoRA's alpha as a number (`lora_alpha` elsewhere), instead of alpha_per_rank. In a sweep over ranks alpha stays, so the scale falls
    as the rank grows."""
    method: Annotated[Method, BeforeValidator(refuse_rewriting)] | None = None
    """A method of LoRA by name, which a sweep can take as one key, in place of those that it sets: `rslora`, `dora`, `init`,
    `loraplus_lr_ratio` (16), `lora_fa`, `adalora`; `lora` sets none. All of them leave the weights of the base as they are."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank) instead of alpha / rank."""
    dora: bool = False
    """Weight-decomposed LoRA; slower."""
    init: Annotated[Init, BeforeValidator(refuse_rewriting)] = "default"
    """How A begins; B begins at zero. `default`: uniform (Kaiming), as peft does; `gaussian`: normal, with standard deviation 1 / rank;
    `eva`: principal directions of what each module reads in the training rows, with ranks by the variance that they explain. Methods
    that write other weights into the base (PiSSA, OLoRA, CorDA, LoftQ) are refused: it is compared with itself, adapter off and on."""
    eva_rho: Annotated[float, Field(ge=1)] = 2.0
    """With EVA, the highest rank of a module as a multiple of `rank`, which remains the mean; 1: every module has the same."""
    rank_pattern: dict[str, PositiveInt] = {}  # noqa: RUF012 (pydantic copies it)
    """Other ranks for some modules, by the end of their name or a regular expression for it, as peft's: `{down_proj: 4}`. The scale is
    that of the other modules, unless `alpha` or alpha_pattern set it."""
    alpha_pattern: dict[str, PositiveFloat] = {}  # noqa: RUF012 (pydantic copies it)
    """The same for alpha."""
    layers: Annotated[tuple[NonNegativeInt, ...], NonEmpty] | None = None
    """Layers with an adapter, the first is 0 (`layers_to_transform` elsewhere); unset: all."""
    loraplus_lr_ratio: Annotated[float, Field(ge=1)] | None = None
    """LoRA+: learning rate of B as a multiple of that of A, which is `learning_rate`; unset: the same. The authors take 16 and a lower
    rate."""
    lora_fa: bool = False
    """LoRA-FA: A stays as it began, and the gradient of B is projected so that its update is the nearest to full fine-tuning's. Half of
    the optimizer's memory."""
    adalora: bool = False
    """AdaLoRA: modules begin with a larger rank, and the directions that matter least are pruned until `rank` is their mean. The result
    is written as LoRA with a rank for each module, which every program reads."""
    adalora_initial_rank: PositiveInt | None = None
    """With AdaLoRA, the rank before pruning; unset: 1.5 times `rank`, rounded up."""
    adalora_start: Fraction = 0.1
    """With AdaLoRA, share of the steps before pruning begins."""
    adalora_end: Fraction = 0.5
    """With AdaLoRA, share of the steps after it ended, with the final ranks; the kept checkpoint is one of them."""
    adalora_every: PositiveInt = 1
    """With AdaLoRA, optimizer steps between two prunings."""
    adalora_orthogonality: Annotated[float, Field(ge=0)] = 0.5
    """With AdaLoRA, weight of the penalty that keeps directions orthogonal; the training loss on curve and page is without it."""
    dropout: Fraction = 0.0
    targets: Literal["all-linear", "qv"] | Annotated[tuple[str, ...], NonEmpty] = "all-linear"
    """LoRA target modules: all linear ones, `qv` (query and value projections), or a list of module names."""
    learning_rate: PositiveFloat = 2e-4
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: Fraction = 0.03
    """Warm-up ratio: the share of the steps over which the learning rate rises from zero. A run of up to three steps has none."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: PositiveFloat = 1.0
    batch_examples: PositiveInt = 16
    """Effective batch size: examples in one optimizer step, whatever the micro-batch."""
    packing: bool = False
    """Sequence packing instead of padding (block-diagonal attention). Gradients are equal up to rounding and dropout."""
    epochs: PositiveInt = 1
    max_steps: PositiveInt | None = None
    """Optimizer steps, if fewer than the epochs give."""
    dev_every: PositiveInt = 50
    """Optimizer steps between two evaluations of the validation loss."""
    keep: Literal["best", "last"] = "best"
    """Which checkpoint becomes the adapter: that of the lowest validation loss, or the last one."""
    seeds: Annotated[tuple[Seed, ...], NonEmpty] = (0,)
    """Replicates: one adapter each. Intervals and p-values of their mean cover other seeds, with seeds - 1 degrees of freedom: two seeds
    show large lifts only, each further one helps (`loralift plan --all`)."""

    @model_validator(mode="after")
    def resolve_method(self) -> "Finetune":
        """Set the keys that the method means, which is what adapters are made and found by; they still count as unset."""
        if self.method is None:
            return self
        settings = {key: METHODS[self.method].get(key, Finetune.model_fields[key].default) for key in SWITCHES}
        of_recipe = {key: getattr(self, key) for key in SWITCHES if key in self.model_fields_set}  # by a recipe that was resolved: the same
        if also := next((key for key, value in of_recipe.items() if value != settings[key]), ""):
            raise ValueError(f"finetune: method: {self.method} and {also} both set the method. Keep one of them")
        for key, value in settings.items():
            object.__setattr__(self, key, value)
        return self

    @model_validator(mode="after")
    def check_method(self) -> "Finetune":
        defaults = {name: field.default for name, field in Finetune.model_fields.items()}
        if fault := clash({name: getattr(self, name) for name in defaults}, defaults):
            raise ValueError(fault)
        if self.adalora and (self.adalora_initial_rank or self.rank + 1) <= self.rank:
            bound = f"rank, to which it is pruned ({self.adalora_initial_rank} and {self.rank})"
            raise ValueError(f"finetune: adalora_initial_rank must be more than {bound}")
        if self.adalora_start + self.adalora_end >= 1:
            raise ValueError("finetune: adalora_start and adalora_end leave no step to prune in. Keep their sum below 1")
        return self

    @model_validator(mode="after")
    def resolve_alpha(self) -> "Finetune":
        """Express `alpha` by `alpha_per_rank`, which is what adapters are made and found by."""
        if self.alpha is None:
            return self
        ratio = self.alpha / (sqrt(self.rank) if self.rslora else self.rank)
        if "alpha_per_rank" in self.model_fields_set and self.alpha_per_rank != ratio:  # a recipe that was resolved sets both alike
            raise ValueError("finetune: alpha and alpha_per_rank both set the scale. Keep one of them")
        object.__setattr__(self, "alpha_per_rank", ratio)  # the section is frozen, and the key still counts as unset: a point sets its own
        return self
