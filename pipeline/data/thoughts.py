"""Fits thoughts in a target (`<think>...</think>`) to a chat template whose prompts open or close thoughts themselves."""

import re
from dataclasses import replace

from pipeline.data.files import BadRow
from pipeline.models.renderer import Renderer
from pipeline.store.records import Example

END = "</think>"
START = re.compile(r"\s*<think>\n?")
EMPTY = re.compile(r"\s*<think>\s*</think>\s*")


def fitted(example: Example, render: Renderer) -> Example | BadRow:
    """The example with the target that follows its prompt, or why none can.

    Where prompts end in an open `<think>` (DeepSeek R1), the target goes on from there. Where they end in closed thoughts, as those of
    a thinking switch that is off do (Qwen3), thoughts of a target would come second, and no template writes that.
    """
    if END not in example.target or not render.chat:
        return example
    prompt, _ = render.chat_suffix
    start, end = prompt.rfind("<think>"), prompt.rfind(END)
    if start < 0:
        return example
    if start > end:
        return replace(example, target=START.sub("", example.target, count=1))
    if empty := EMPTY.match(example.target):
        return replace(example, target=example.target[empty.end() :])
    problem = f"the answer holds thoughts ({END}), and a prompt of the chat template ends with closed ones"
    return BadRow("chat template", problem, "Take the thoughts out of the answers, or name a base without a thinking switch.")
