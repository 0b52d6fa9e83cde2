"""Begins an adapter with EVA: A holds the principal directions of what each module reads in the training rows (arXiv 2410.07170)

The directions and the ranks are found by peft. What is ours: batches that always have enough tokens, an end to the search, no module that
silently begins as plain LoRA, and a result that outlives a kill.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.engine import batching, training_state
from pipeline.errors import TrainingError
from pipeline.progress import say

FILE = "eva.pt"
"""In the resume folder."""
BATCH_TOKENS = 2048
"""Tokens of a batch, at least."""
MAX_BATCHES = 200
"""Batches after which the search ends; small data sets are read several times."""
TAKE_PLAIN = "Lower finetune.rank or finetune.eva_rho, or leave finetune.init out."


@dataclass(frozen=True)
class Reading:
    """How the training rows are read."""

    compute: str
    """Precision, as in training."""
    pad_id: int
    resume: Path
    """Folder of what outlives a kill."""


class Batches:
    """Batches of padded rows. The first iteration has a single row: by its first batch peft finds equal inputs, value by value."""

    def __init__(self, rows: Sequence[Sequence[batching.TokenRow]], pad_id: int, device: Any) -> None:
        self.rows = rows
        self.pad_id = pad_id
        self.device = device
        self.is_first = True

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        rows = [self.rows[0][:1]] if self.is_first else self.rows
        self.is_first = False
        return (batching.padded(batch, self.pad_id, self.device) for batch in rows)


def initialize(model: Any, rows: Sequence[batching.TokenRow], reading: Reading) -> None:
    """Give the fresh EVA adapter of a PeftModel its directions, and every module its rank.

    Args:
        rows: of the training, in the order in which they are read.

    Raises:
        TrainingError: there are too few tokens, modules are too narrow, or the directions do not settle.
    """
    from peft import initialize_lora_eva_weights

    directions = found_before(model, reading.resume) or find(model, rows, reading)
    initialize_lora_eva_weights(model, eva_state_dict=dict(directions), show_progress_bar=False)
    name_targets(model)


def find(model: Any, rows: Sequence[batching.TokenRow], reading: Reading) -> dict[str, Any]:
    """By module its directions (rank, in), kept in the resume folder. Raises TrainingError as initialize() does."""
    import torch
    from peft import get_eva_state_dict

    config = model.active_peft_config
    tokens = 2 * round(config.r * config.eva_config.rho)  # peft takes an SVD of twice as many directions as a module may get
    check_widths(model, tokens)
    batches = batches_of(rows, max(tokens, BATCH_TOKENS), tokens)
    limit = max(MAX_BATCHES, len(batches))
    read = 0

    def forward(model: Any, batch: dict[str, Any]) -> None:
        nonlocal read
        read += 1
        if read > limit:
            raise TrainingError(f"EVA: the directions of some modules still change after {limit} batches of training rows", TAKE_PLAIN)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=reading.compute == "bf16"):
            model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False)

    generators = training_state.random_state()
    data = Batches(batches, reading.pad_id, model.device)
    options = {"gather_distributed_inputs": False, "show_progress_bar": False}  # every process of a launcher reads the same batches
    directions: dict[str, Any] = get_eva_state_dict(model, data, forward_fn=forward, **options)
    training_state.set_random_state(generators)
    if missing := sorted(set(adapted(model)) - directions.keys()):
        raise TrainingError(f"EVA: {len(missing)} modules have no directions, the first {missing[0]}", "Leave finetune.init out.")
    say(f"EVA: read {read - 1} batches of training rows; ranks {spread(directions)}")
    keep(directions, reading.resume)
    return directions


def batches_of(rows: Sequence[batching.TokenRow], size: int, least: int) -> list[list[batching.TokenRow]]:
    """Rows in batches of at least `size` tokens, or all of them where they have at least `least`. Raises TrainingError for fewer."""
    batches: list[list[batching.TokenRow]] = [[]]
    for row in rows:
        if sum(map(len, batches[-1])) >= size:
            batches.append([])
        batches[-1].append(row)
    if len(batches) > 1 and sum(map(len, batches[-1])) < size:
        batches[-2:] = [[*batches[-2], *batches[-1]]]
    if (tokens := sum(map(len, batches[0]))) < least:
        raise TrainingError(f"EVA needs {least:,} tokens at this rank, and the training rows have {tokens:,}", TAKE_PLAIN)
    return batches


def adapted(model: Any) -> dict[str, Any]:
    """By its name in a PeftModel every module with an adapter."""
    return {name: module for name, module in model.named_modules() if hasattr(module, "lora_A")}


def check_widths(model: Any, directions: int) -> None:
    """Raise TrainingError for a module that reads fewer features than there are directions to find."""
    name, width = min(((name, module.in_features) for name, module in adapted(model).items()), key=lambda one: one[1])
    if width < directions:
        short = name.removeprefix("base_model.model.")
        raise TrainingError(
            f"EVA looks for {directions} directions, twice rank times eva_rho, and {short} reads {width} features", TAKE_PLAIN
        )


def name_targets(model: Any) -> None:
    """Name every module with an adapter in full: peft's shorter names would also fit those that EVA left without."""
    model.active_peft_config.target_modules = {name.removeprefix("base_model.model.") for name in adapted(model)}


def spread(directions: dict[str, Any]) -> str:
    ranks = [len(value) for value in directions.values()]
    return f"{min(ranks)} to {max(ranks)}, mean {sum(ranks) / len(ranks):g}"


def keep(directions: dict[str, Any], folder: Path) -> None:
    """Write directions so that a kill leaves all of them or none."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{FILE}.part"
    torch.save({name: value.cpu().contiguous() for name, value in directions.items()}, partial)
    os.replace(partial, folder / FILE)


def found_before(model: Any, folder: Path) -> dict[str, Any]:
    """What keep() wrote before a kill; empty where it is not there, damaged or of another base."""
    try:
        directions = training_state.whole_state(folder / FILE)
    except (OSError, *training_state.UNREADABLE):
        return {}
    return {name: value.to(model.device) for name, value in directions.items()} if directions.keys() == adapted(model).keys() else {}
