"""The answers that a model might give to everything: what they score is the floor under every score of a task with few answers."""

from pipeline.store.records import Example

MOST = 100
"""More different answers than these make no closed set."""


def answers(examples: list[Example]) -> list[str]:
    """Every answer that is worth always giving: each different target, where the task has choices or all its targets are numbers."""
    found = sorted({example.target for example in examples})
    closed = all(example.choices for example in examples) or all(is_number(target) for target in found)
    return found if closed and 1 < len(found) <= MOST else []


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
