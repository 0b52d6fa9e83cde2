"""Checks that a fine-tuned model is one of its base: same architecture, every tensor there and of the same shape, not all unchanged."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from pipeline.models import adapter_origin, base_model
from pipeline.models.checkpoint import AGAIN, Checkpoint
from pipeline.models.quiet import silence_warnings

UNRELATED = frozenset((
    "_name_or_path", "architectures", "auto_map", "bos_token_id", "dtype", "eos_token_id", "id2label", "label2id", "pad_token_id",
    "return_dict", "tie_word_embeddings", "torch_dtype", "transformers_version", "use_cache", "vocab_size",
))  # fmt: skip
"""Keys of a config.json that do not change what the weights compute, or that the tensors show."""
MAX_NAMED = 4
"""Settings that differ, of which so many are named."""
OTHER_BASE = "Name the base that it was fine-tuned from."


@dataclass(frozen=True)
class Fit:
    """A fine-tuned model that fits its base."""

    changed: list[str]
    """Names of the tensors that are not those of the base."""
    tensors: int
    """Tensors of both."""
    parameters: int
    """Weights in the tensors that differ."""
    bytes: int
    """Of its files."""
    warnings: list[str]
    """What may mean another base, or another form of prompts."""


@dataclass(frozen=True)
class Layout:
    """What a config.json says of a model's tensors."""

    config: Any
    names: frozenset[str]
    """Of the tensors in memory."""
    prefix: str
    """Of the decoder."""
    embedding: str
    head: str
    """The tensor of the output layer; of no meaning where it is the embedding."""

    @property
    def is_tied(self) -> bool:
        """Whether the output layer is the embedding."""
        return bool(self.config.tie_word_embeddings)


def fit(tuned: Mapping[str, Any], base: Mapping[str, Any]) -> Fit:
    """What a fine-tuned model changes of its base.

    Args:
        tuned: from model_source.find().
        base: from base_model.Model.spec().

    Raises:
        ModelError: it is of another architecture, incomplete, not finite, or the base itself.
    """
    folder, base_folder = (base_model.local_folder(dict(spec)) for spec in (tuned, base))
    adapter_origin.check_tokens(folder, base_folder, "Compare it where it is served, or as a base of its own.")
    ours, theirs = layout(base), layout(tuned)
    check_family(name_of(tuned), theirs.config, name_of(base), ours.config)
    mine = Checkpoint(folder, theirs.names, theirs.prefix)
    original = Checkpoint(base_folder, ours.names, ours.prefix)
    shared = checked_names(mine, original, ours, theirs)
    check_shapes(mine, original, shared, ours, base_folder)
    changed = changed_tensors(mine, original, shared)
    if not changed:
        raise ModelError(
            f"{mine.folder} changes nothing: all of its {len(shared)} tensors have the values of the base {name_of(base)}",
            "Merge the adapter before saving (merge_and_unload), or name the folder that the training wrote.",
        )
    warnings = [*adapter_origin.model_warnings(folder, base_folder), *differing_settings(theirs.config, ours.config)]
    return Fit(changed, len(shared), sum(prod(mine.shapes[name]) for name in changed), mine.bytes, warnings)


def layout(spec: Mapping[str, Any]) -> Layout:
    """The tensors of a model, built without values."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    silence_warnings()
    trust, folder = spec["trust_remote_code"], base_model.local_folder(dict(spec))
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust)
    except Exception as error:  # of the library, which has a type for every kind of odd config.json
        raise ModelError(
            f"{folder} does not load as a causal language model: {' '.join(str(error).split())[:200]}",
            "Name a model of an architecture that this transformers knows, with the config.json that it was saved with.",
        ) from None
    modules = {id(module): name for name, module in model.named_modules()}
    embedding, head = (f"{modules[id(part)]}.weight" for part in (model.get_input_embeddings(), model.get_output_embeddings()))
    return Layout(config, frozenset(model.state_dict()), model.base_model_prefix, embedding, head)


def check_family(tuned_name: str, tuned: Any, base_name: str, base: Any) -> None:
    """Raise ModelError unless both are of one architecture."""
    if tuned.model_type != base.model_type:
        raise ModelError(
            f"{tuned_name} is a {tuned.model_type} model and no fine-tune of {base_name}, a {base.model_type} model", OTHER_BASE
        )


def checked_names(mine: Checkpoint, original: Checkpoint, ours: Layout, theirs: Layout) -> list[str]:
    """The tensors that both have, sorted.

    Raises:
        ModelError: the fine-tuned model lacks some, or has some that the architecture does not.
    """
    tied = {theirs.head} if theirs.is_tied else set()
    expected = (original.places.keys() & ours.names) - tied | (set() if theirs.is_tied else {theirs.head})
    if missing := sorted(expected - mine.places.keys()):
        stray = sorted(mine.places.keys() - theirs.names)
        instead = f"; it has {stray[0]}" if stray else ""
        raise ModelError(
            f"{mine.folder} would be half loaded: {len(missing)} of {len(expected)} tensors are missing, the first {missing[0]}{instead}",
            AGAIN,
        )
    if unknown := sorted(mine.places.keys() - theirs.names - original.places.keys()):
        raise ModelError(
            f"{mine.folder} would be half loaded: {len(unknown)} of {len(mine.places)} tensors have no place in it, the first {unknown[0]}",
            AGAIN,
        )
    return sorted((mine.places.keys() & original.places.keys() & theirs.names) - tied)


def check_shapes(mine: Checkpoint, original: Checkpoint, shared: list[str], ours: Layout, base_folder: Path) -> None:
    """Raise ModelError for tensors of another shape; embedding and output layer may have other rows, if every token has one."""
    resizable = {ours.embedding, ours.head}
    differing = []
    for name in shared:
        shape, expected = mine.shapes[name], original.shapes[name]
        if shape != expected and (name not in resizable or shape[1:] != expected[1:]):
            differing.append(f"{name} {shape}, not {expected}")
    if differing:
        raise ModelError(
            f"{mine.folder} is no fine-tune of this base: {len(differing)} of {len(shared)} tensors differ in shape, "
            f"the first {differing[0]}",
            OTHER_BASE,
        )
    tokens = adapter_origin.tokens_of(base_folder)
    rows = min(mine.shapes[name][0] for name in resizable & {*shared})
    if tokens and rows <= max(tokens.values()):
        raise ModelError(
            f"{mine.folder} has embeddings of {rows:,} tokens, and the base's tokenizer has ids up to {max(tokens.values()):,}",
            "Its tokenizer lost tokens. Name the base that it was fine-tuned from.",
        )


def changed_tensors(mine: Checkpoint, original: Checkpoint, shared: list[str]) -> list[str]:
    """Names of the tensors whose values are not those of the base, in whichever of both types is coarser.

    Raises:
        ModelError: values are not finite.
    """
    import torch

    changed, broken = [], []
    for name in shared:
        value, before = mine.tensor(name), original.tensor(name)
        if not bool(torch.isfinite(value).all()):
            broken.append(name)
        if not is_same(value, before):
            changed.append(name)
    if broken:
        raise ModelError(
            f"{mine.folder}: {len(broken)} of {len(shared)} tensors are not finite, the first {broken[0]}",
            "The training diverged. Train it again.",
        )
    return changed


def is_same(value: Any, before: Any) -> bool:
    """Whether two tensors have equal values once one of them has the other's type."""
    import torch

    return torch.equal(value.to(before.dtype), before) or torch.equal(before.to(value.dtype), value)


def differing_settings(tuned: Any, base: Any) -> list[str]:
    """That the config.json of the fine-tuned model has other settings than that of the base; its own are used."""
    theirs, ours = (config.get_text_config().to_dict() for config in (tuned, base))
    keys = sorted(key for key in theirs.keys() | ours.keys() if key not in UNRELATED and theirs.get(key) != ours.get(key))
    if not keys:
        return []
    named = ", ".join(f"{key} {theirs.get(key)}, not {ours.get(key)}" for key in keys[:MAX_NAMED])
    more = f", and {len(keys) - MAX_NAMED} more" if len(keys) > MAX_NAMED else ""
    return [f"The fine-tuned model computes by other settings than the base: {named}{more} (config.json)."]


def name_of(spec: Mapping[str, Any]) -> str:
    return str(spec["repo"] or spec["folder"])
