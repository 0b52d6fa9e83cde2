"""Flags single answers: unparsed, truncated, endless, empty, refused."""

from pipeline.store.records import Prediction

SHORTEST_LOOP = 20
"""Texts of fewer characters are never called endless: `1000` ends in three repeats."""
PROBE = 16
"""Length in characters of the ending that is searched for earlier in a text, to find the period of its repeats."""


def flags(prediction: Prediction, answer: str | None) -> list[str]:
    """The flags of one answer; see ParsedArm.flags."""
    cut = prediction.stopped == "length"
    loops = cut and ends_in_loop(prediction.text)
    holds = {
        "unparsed": answer is None,
        "truncated": cut and not loops,
        "endless": loops,
        "empty": not prediction.text.strip(),
        "refused": prediction.stopped == "refused",
    }
    return [flag for flag, is_set in holds.items() if is_set]


def ends_in_loop(text: str) -> bool:
    """Whether the text ends in a loop: for some period p its last 3 p characters, and at least its last quarter, repeat every p.

    Texts shorter than SHORTEST_LOOP never do. A list that counts up (`1, 2, 3, ...`) is not a loop.
    """
    size = len(text)
    if size < SHORTEST_LOOP:
        return False
    probe = text[-min(PROBE, size // 6) :]  # short enough to occur again p characters before the end of any such tail
    position = size - len(probe)
    while (position := text.rfind(probe, 0, position + len(probe) - 1)) >= 0:
        period = size - len(probe) - position
        tail = text[-max(3 * period, -(-size // 4)) :]
        if 3 * period <= size and tail[period:] == tail[:-period]:
            return True
    return False
