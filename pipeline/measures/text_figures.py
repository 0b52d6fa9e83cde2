"""Measures the texts of a data set as LoRA Land does before it relates them to lifts: compressibility, and what answers repeat of inputs"""

import zlib
from collections.abc import Sequence
from statistics import fmean
from typing import TypedDict

from pipeline.store.records import Example

MAX_EXAMPLES = 200
"""Examples that are looked at."""
MAX_CHARACTERS = 4000
"""Characters of a prompt that are compared with its target; ROUGE takes time by the product of both lengths."""


class TextFigures(TypedDict):
    """Figures of the first training examples."""

    examples: int
    compressibility: float
    """Bytes of prompt and target together after zlib over those before: mean over the examples. 1 and more: nothing repeats."""
    overlap: float
    """ROUGE-L F of target against prompt: mean over the examples."""


def measure(examples: Sequence[Example]) -> TextFigures:
    """The figures of the first MAX_EXAMPLES examples, of which there is at least one."""
    from pipeline.metrics import rouge

    rows = examples[:MAX_EXAMPLES]
    return {
        "examples": len(rows),
        "compressibility": fmean(map(compressed_share, rows)),
        "overlap": fmean(rouge.f_measure("rougeL", example.target, example.text[-MAX_CHARACTERS:]) for example in rows),
    }


def compressed_share(example: Example) -> float:
    """Size of an example after compression over its size before."""
    text = f"{example.text}{example.target}".encode()
    return len(zlib.compress(text, 9)) / len(text) if text else 1.0
