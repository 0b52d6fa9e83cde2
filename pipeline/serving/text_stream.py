"""Turns token ids into text as they come, and holds back what a later token may still change or what may begin a stop string."""

from collections.abc import Callable, Sequence

from pipeline.store.records import first_stop

WINDOW = 64
"""Tokens that are decoded again for the next one, at most."""
OVERLAP = 16
"""Tokens that stay in the window when it moves: more than any character has bytes."""
INCOMPLETE = "\ufffd"
"""What decoders write for the bytes of a character that is not whole yet."""


class TextStream:
    """The text of one answer.

    Args:
        decode: ids to text, special tokens left out.
        stop_strings: each ends the answer, and is no part of it.
    """

    def __init__(self, decode: Callable[[list[int]], str], stop_strings: Sequence[str] = ()) -> None:
        self.decode = decode
        self.stop_strings = tuple(stop_strings)
        self.ids: list[int] = []
        self.is_stopped = False
        """Whether a stop string has come."""
        self.released = 0
        """Characters that add() and finish() have returned."""
        self.start = 0  # of the window, in ids
        self.taken = 0  # characters of the window's text that are in `pending` or were released
        self.pending = ""  # stable text that may begin a stop string

    @property
    def stable(self) -> int:
        """Characters that no later token can change."""
        return self.released + len(self.pending)

    def add(self, token: int) -> str:
        """The text that is final with this token; mostly its own, and empty while more is needed to tell."""
        self.ids.append(token)
        text = self.decode(self.ids[self.start :])
        stable = text.rstrip(INCOMPLETE).rstrip()  # some decoders join a blank with the mark that follows it
        tail = text[max(len(stable), self.taken) :]
        self.pending += stable[self.taken :]
        self.taken = max(self.taken, len(stable))
        self.move_window(len(text))
        if (end := first_stop(self.pending + tail, self.stop_strings)) is not None:
            self.is_stopped = True
            return self.release((self.pending + tail)[:end], "")
        held = self.partial_stop()
        return self.release(self.pending[: len(self.pending) - held], self.pending[len(self.pending) - held :])

    def finish(self) -> str:
        """The rest of the text, when no further token comes."""
        if self.is_stopped:
            return ""
        text = self.pending + self.decode(self.ids[self.start :])[self.taken :]
        end = first_stop(text, self.stop_strings)
        self.is_stopped = end is not None
        return self.release(text[:end], "")

    def release(self, text: str, pending: str) -> str:
        self.pending = pending
        self.released += len(text)
        return text

    def move_window(self, width: int) -> None:
        """Let the window begin later if it has grown long, so that a long answer costs no more per token than a short one.

        Args:
            width: characters of the window's text.
        """
        if len(self.ids) - self.start > WINDOW:
            unstable = width - self.taken
            self.start = len(self.ids) - OVERLAP
            self.taken = max(0, len(self.decode(self.ids[self.start :])) - unstable)

    def partial_stop(self) -> int:
        """Characters at the end of the stable text that may be the beginning of a stop string."""
        lengths = (
            size
            for string in self.stop_strings
            for size in range(min(len(string) - 1, len(self.pending)), 0, -1)
            if self.pending.endswith(string[:size])
        )
        return max(lengths, default=0)
