"""Scores constant answers: the floor of a task with few answers."""

from pipeline.store.records import Example

LARGEST_SET = 100
"""A task with more different answers than this has no closed set."""


def answers(examples: list[Example]) -> list[str]:
    """All different targets, sorted, if the task has choices or only numeric targets; else none."""
    targets = sorted({answer for example in examples for answer in example.right_answers})
    closed = all(example.choices for example in examples) or all(not target or reads_as_number(target) for target in targets)
    return targets if closed and 1 < len(targets) <= LARGEST_SET else []


def reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
