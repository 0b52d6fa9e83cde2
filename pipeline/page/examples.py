"""Every held-out example with what base and tuned said: how it changed, and how the page carries it.

The page holds columns of texts as compressed JSON, each block once: all cells of a task share its prompts and its
base's answers. The browser unpacks a cell when it is looked at.
"""

import base64
import hashlib
import json
import zlib
from dataclasses import dataclass, field
from typing import Any

from pipeline import records
from pipeline.page.cells import Cell

ZERO_ONE = ("fixed", "broken", "both right", "both wrong")
GRADED = ("improved", "worsened", "equal")
TIE = 1e-9
"""Scores closer than this are equal: a mean over seeds differs in its last bits."""
PAGE_BYTES = 40 * 2**20
"""Room for packed texts on the page, so that it opens everywhere; cells beyond it are named with their folder."""
AS_IS = 1
"""Stands for an answer that is the text itself, without the blanks around it."""


@dataclass
class Blocks:
    """Packed columns by name, each content once."""

    packed: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """Digest of the content to its name."""
    room: int = PAGE_BYTES

    def add(self, columns: dict[str, Any]) -> str:
        """The name of the block with this content; empty where there is no room for it."""
        raw = json.dumps(columns, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
        known = hashlib.sha256(raw).hexdigest()
        if known not in self.names:
            text = base64.b64encode(zlib.compress(raw, 9)).decode()
            if len(text) > self.room:
                return ""
            self.room -= len(text)
            self.names[known] = f"block{len(self.names)}"
            self.packed[self.names[known]] = text
        return self.names[known]


def read(cell: Cell, primary: dict[str, Any], blocks: Blocks) -> dict[str, Any]:
    """What the report says of a cell's examples; their texts go to the blocks."""
    rows = list(records.dictionaries(cell.inputs["verdict"].path / "examples.jsonl"))
    metric = primary["metric"]
    base = [float(row["base"]["scores"][metric]) for row in rows]
    tuned = [[float(arm["scores"][metric]) for arm in row["tuned"]] for row in rows]
    zero_one = all(score in (0.0, 1.0) for score in (*base, *(score for scores in tuned for score in scores)))
    kinds = [kind(before, after, zero_one) for before, after in zip(base, tuned, strict=True)]
    classes = ZERO_ONE if zero_one else GRADED
    gained = [row for row, found in zip(rows, kinds, strict=True) if found == classes[0]]
    packed = {
        "questions": blocks.add({name: [row[name] for row in rows] for name in ("id", "prompt", "target")}),
        "base": blocks.add(columns([row["base"] for row in rows], metric)),
        "tuned": blocks.add({"kind": [classes.index(found) for found in kinds], "arms": arms(rows, metric)}),
    }
    return {
        "n": len(rows),
        "zero_one": zero_one,
        "classes": {name: kinds.count(name) for name in classes},
        "gained_unread": sum(row["base"]["answer"] is None for row in gained),
        "runs": runs(cell, base, tuned, primary),
        "blocks": packed if all(packed.values()) else None,
        "folder": cell.inputs["verdict"].path.name,
    }


def kind(base: float, tuned: list[float], zero_one: bool) -> str:
    """How an example changed by the primary score, tuned being the mean over seeds."""
    gain = sum(tuned) / len(tuned) - base
    if abs(gain) > TIE:
        return (ZERO_ONE if zero_one else GRADED)[0 if gain > 0 else 1]
    return GRADED[2] if not zero_one else ZERO_ONE[2] if base else ZERO_ONE[3]


def arms(rows: list[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    return [columns([row["tuned"][number] for row in rows], metric) for number in range(len(rows[0]["tuned"]))]


def columns(answers: list[dict[str, Any]], metric: str) -> dict[str, Any]:
    """One arm's answers by column, the answer shortened where it says what the text says."""
    return {
        "text": [answer["text"] for answer in answers],
        "answer": [AS_IS if answer["answer"] == answer["text"].strip() else answer["answer"] for answer in answers],
        "stopped": [answer["stopped"] for answer in answers],
        "tokens": [answer["tokens"] for answer in answers],
        "score": [round(float(answer["scores"][metric]), 4) for answer in answers],
    }


def runs(cell: Cell, base: list[float], tuned: list[list[float]], primary: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The lift of every seed by itself; None where the metric is not the mean of its examples' scores (BLEU)."""
    before = sum(base) / len(base)
    after = [sum(scores) / len(scores) for scores in zip(*tuned, strict=True)]
    if abs(before - primary["base"]) > 1e-6 or abs(sum(after) / len(after) - primary["tuned"]) > 1e-6:
        return None
    return [{"seed": seed, "tuned": mean, "lift": mean - before} for seed, mean in zip(cell.seeds, after, strict=True)]
