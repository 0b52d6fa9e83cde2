"""Maps keys of peft, TRL, Axolotl, LLaMA-Factory and lm-evaluation-harness to the keys of a recipe: a table for error messages."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.config.methods import NO_COMPARISON


@dataclass(frozen=True)
class Peer:
    """A key of another program."""

    key: str = ""
    """The dotted key of a recipe for it; empty: there is none."""
    convert: Callable[[Any, Mapping[str, Any]], Any] = lambda value, _: value
    """Its value as the key's; None if it has none. The second argument holds the keys beside it."""
    note: str = ""
    """What else to know; the whole advice if there is no key."""


def whole(value: Any, _: Mapping[str, Any] | None = None) -> int | None:
    """A whole number; None of anything else, as a share or text."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and value >= 1 and value == int(value) else None


def batch(_: Any, others: Mapping[str, Any]) -> int | None:
    """Examples in an optimizer step: those of a pass times the passes."""
    sizes = [whole(others[name]) for name in PASS_SIZES if name in others]
    steps = [whole(others[name]) for name in PASS_COUNTS if name in others]
    factors = [*(sizes or [None]), *(steps or [1])]
    return None if None in factors else factors[0] * factors[1]  # type: ignore[operator]


def if_on(on: Any, off: Any = None) -> Callable[[Any, Mapping[str, Any]], Any]:
    """One of two values by a switch; None of anything else than a switch."""
    return lambda value, _: {True: on, False: off}.get(value) if isinstance(value, bool) else None


def one_of(**words: Any) -> Callable[[Any, Mapping[str, Any]], Any]:
    """The value for a word; None for one that is not listed."""
    return lambda value, _: words.get(str(value).replace("-", "_"))


def init(value: Any, _: Mapping[str, Any]) -> str | None:
    """How A begins; peft calls its default True."""
    return "default" if value is True else value if value in ("gaussian", "eva") else None


def targets(value: Any, _: Mapping[str, Any]) -> Any:
    """Names of modules: `all` and `all-linear` as a word, several as a list."""
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    return "all-linear" if names in (["all"], ["all-linear"]) else names


def listed(value: Any, _: Mapping[str, Any]) -> Any:
    return value if isinstance(value, list) else [value]


def share_of_steps(value: Any, others: Mapping[str, Any]) -> float | None:
    """Steps of warm-up as a share, where the number of steps is given beside it."""
    steps, total = whole(value), whole(others.get("max_steps"))
    return round(steps / total, 4) if steps and total and steps < total else None


MAX_VALUE = 100
"""Characters of a value that is repeated."""
PASS_SIZES = ("per_device_train_batch_size", "micro_batch_size", "batch_size", "train_batch_size")
PASS_COUNTS = ("gradient_accumulation_steps", "grad_accum_steps")
OPTIMIZER = "There is one optimizer, AdamW (finetune.weight_decay and finetune.max_grad_norm are its keys): leave the line out."
PASSES = "How many of them fit in one pass depends on the memory (--tokens on the command line)."
TWO_SECTIONS = "Also under generate, so that base and fine-tuned model differ by the adapter alone."
LONGEST = Peer("prepare.max_tokens", whole, "It counts a prompt with its answer.")
BATCH = Peer("finetune.batch_examples", batch, PASSES)
PART_OF_EPOCH = "For a part of an epoch use finetune.max_steps."
EPOCHS = Peer("finetune.epochs", whole, f"It is a whole number. {PART_OF_EPOCH}")
SCHEDULE = Peer(
    "finetune.schedule",
    one_of(cosine="cosine", linear="linear", constant="constant", constant_with_warmup="constant"),
    "It is cosine, linear or constant, after the warm-up (finetune.warmup).",
)
WARMUP = Peer("finetune.warmup", share_of_steps, "It is a share of the steps: 10 of 200 are 0.05.")
EVALUATIONS = Peer("finetune.dev_every", whole, "It is a number of optimizer steps.")
TARGETS = Peer("finetune.targets", targets)
HALF = Peer("finetune.compute", if_on("bf16", "fp32"))
NO_HALF = Peer("finetune.compute", lambda *_: "bf16", "fp16 is not offered.")
FOUR_BIT = Peer("finetune.quantization", if_on("nf4", "none"), TWO_SECTIONS)
NO_EIGHT_BIT = Peer("finetune.quantization", lambda *_: "nf4", "8 bit is not offered.")
VALIDATION = Peer("prepare.dev_examples", whole, "It is a number of examples of the train split, not a share.")
TEST_EXAMPLES = Peer("prepare.heldout_examples", whole, "It is a number of test examples.")
FEW_SHOT = "Few-shot is an arm of its own (base_fewshot in compare.arms), beside zero-shot; lm_eval.num_fewshot is for its tasks alone."
INIT = Peer("finetune.init", init, "It is default, gaussian or eva; what rewrites the base (pissa, olora, corda, loftq) is refused.")
KIND = Peer("finetune.method", one_of(LORA="lora", ADALORA="adalora"), "It is lora, adalora or another one of docs/recipes.md.")
LAYERS = Peer("finetune.layers", listed)
NO_SAVING = Peer(note="Resume points are written by themselves and go when the run ends: leave the line out.")
NO_STOPPING = Peer(note="Training runs to its end, and the checkpoint of the lowest validation loss is kept (finetune.keep: best).")
BASE = Peer("base")
DATA = Peer(note="Data stand under tasks, as data: {hub: owner/name, train: train, test: test}; see docs/recipes.md.")
TEMPLATE = Peer(note="Prompts are written under tasks (prompt, target); chat: true puts them through the tokenizer's chat template.")
CHECKPOINTING = Peer(note="It is not offered. A pass that does not fit is halved by itself; lower --tokens to begin smaller.")
RESPONSES = Peer(note="The loss is taken over the answers alone: leave the line out.")
NO_REWRITING = Peer(note=f"It {NO_COMPARISON}.")
MODULES = Peer(note="Only linear modules get an adapter (finetune.targets), and no other weight is trained.")

# fmt: off
PEERS: dict[str, Peer] = {
    # LoRA
    "r": Peer("finetune.rank"), "lora_r": Peer("finetune.rank"), "lora_rank": Peer("finetune.rank"), "lora_dim": Peer("finetune.rank"),
    "lora_alpha": Peer("finetune.alpha"), "lora_dropout": Peer("finetune.dropout"),
    "target_modules": TARGETS, "lora_target_modules": TARGETS, "lora_target": TARGETS,
    "lora_target_linear": Peer("finetune.targets", if_on("all-linear")),
    "use_rslora": Peer("finetune.rslora"), "peft_use_rslora": Peer("finetune.rslora"), "use_dora": Peer("finetune.dora"),
    "peft_use_dora": Peer("finetune.dora"), "modules_to_save": MODULES, "lora_modules_to_save": MODULES, "additional_target": MODULES,
    "init_lora_weights": INIT, "peft_init_lora_weights": INIT, "layers_to_transform": LAYERS, "peft_layers_to_transform": LAYERS,
    "use_loraplus": Peer("finetune.loraplus_lr_ratio", lambda *_: None), "loraplus_ratio": Peer("finetune.loraplus_lr_ratio"),
    "use_lorafa": Peer("finetune.lora_fa"), "peft_type": KIND, "init_r": Peer("finetune.adalora_initial_rank"),
    "target_r": Peer("finetune.rank", note="With finetune.adalora: true it is the mean of all modules."),
    **dict.fromkeys(("pissa_init", "pissa_iter", "use_pissa", "use_olora", "loftq_config", "corda_config", "pissa_convert"), NO_REWRITING),
    # optimization
    "lr": Peer("finetune.learning_rate"), "lr_scheduler": SCHEDULE, "lr_scheduler_type": SCHEDULE,
    "warmup_ratio": Peer("finetune.warmup"), "warmup_steps": WARMUP, "num_warmup_steps": WARMUP,
    "num_train_epochs": EPOCHS, "num_epochs": EPOCHS, "n_epochs": EPOCHS,
    **dict.fromkeys((*PASS_SIZES, *PASS_COUNTS), BATCH),
    "optim": Peer(note=OPTIMIZER), "optimizer": Peer(note=OPTIMIZER), "seed": Peer("finetune.seeds", listed),
    # precision and memory
    "bf16": HALF, "pure_bf16": HALF, "fp16": NO_HALF, "load_in_4bit": FOUR_BIT, "load_in_8bit": NO_EIGHT_BIT,
    "quantization_bit": Peer("finetune.quantization", lambda value, _: "nf4" if value == 4 else None, f"It is nf4 or none. {TWO_SECTIONS}"),
    "bnb_4bit_quant_type": Peer("finetune.quantization", one_of(nf4="nf4"), "fp4 is not offered."),
    "gradient_checkpointing": CHECKPOINTING, "sample_packing": Peer("finetune.packing"),
    # validation
    "eval_steps": EVALUATIONS, "evals_per_epoch": replace(EVALUATIONS, convert=lambda *_: None),
    "eval_every": EVALUATIONS, "val_every": EVALUATIONS, "val_set_size": VALIDATION, "val_size": VALIDATION,
    "val_examples": VALIDATION, "validation_examples": VALIDATION, "early_stopping_patience": NO_STOPPING,
    "checkpoint": Peer("finetune.keep", one_of(best="best", last="last")),
    "load_best_model_at_end": Peer("finetune.keep", if_on("best", "last")),
    "save_steps": NO_SAVING, "saves_per_epoch": NO_SAVING, "save_strategy": NO_SAVING, "save_total_limit": NO_SAVING,
    # lengths and numbers of examples
    **dict.fromkeys(("max_seq_length", "max_seq_len", "max_length", "sequence_len", "cutoff_len", "model_max_length"), LONGEST),
    "max_samples": Peer("prepare.train_examples", whole), "max_train_samples": Peer("prepare.train_examples", whole),
    "max_eval_samples": TEST_EXAMPLES, "limit": TEST_EXAMPLES, "test_examples": TEST_EXAMPLES,
    "num_fewshot": Peer("compare.shots", whole, FEW_SHOT),
    "max_gen_toks": Peer("generate.max_new_tokens", whole),
    # the rest
    "model_name_or_path": BASE, "base_model": BASE, "model": BASE, "model_id": BASE, "pretrained": BASE,
    "dataset": DATA, "datasets": DATA, "dataset_name": DATA, "dataset_path": DATA, "train_file": DATA,
    "chat_template": TEMPLATE, "template": TEMPLATE, "apply_chat_template": Peer("chat", if_on(on=True, off=False)),
    "train_on_inputs": RESPONSES, "completion_only_loss": RESPONSES, "assistant_only_loss": RESPONSES, "train_on_prompt": RESPONSES,
    "output_dir": Peer(note="Results go below the current folder, or where --store says."),
    "report_to": Peer(note="A tracker is named on the command line: --track tensorboard, wandb or trackio."),
    "run_name": Peer("name"), "fp32": Peer("finetune.compute", if_on("fp32", "bf16")),
}
"""Only names that are no key of a recipe are looked up here."""
# fmt: on


def advice(name: str, value: Any = None, others: Mapping[str, Any] | None = None) -> str:
    """What to write instead of a key of another program, with its value converted; empty if none calls a key so.

    Args:
        value: None: not known.
        others: the keys beside it, with its own.
    """
    peer = PEERS.get(name)
    if peer is None:
        return ""
    if not peer.key:
        return peer.note
    converted = None if value is None else peer.convert(value, others or {name: value})
    text = converted if isinstance(converted, str) else json.dumps(converted, ensure_ascii=False, default=str)
    is_short = converted is not None and len(text) <= MAX_VALUE
    instead = f"Write {peer.key}: {text}." if is_short else f"Here it is {peer.key}."
    return f"{instead} {peer.note}".rstrip()
