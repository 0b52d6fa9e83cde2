"""Logs finished rows of a long stage, one JSON object per line, so a killed run continues after the last whole row."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from zlib import crc32

from pipeline.store.disk import set_aside


class RowLog:
    """`with RowLog(path) as log:` gives the rows of earlier runs in `log.rows`; `log.add(*rows)` returns when they are on disk.

    A line is the object, a tab and a CRC of the object; lines of older versions have no CRC. A file with a damaged line is set aside, and
    its whole lines are taken.

    Args:
        is_row: whether an object is a row of this log.
    """

    def __init__(self, path: Path, is_row: Callable[[dict[str, Any]], bool] = bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        self.end = content.rfind(b"\n") + 1  # anything after the last line end is incomplete
        lines = content[: self.end].split(b"\n")[:-1]
        whole = [(line, row) for line in lines if (row := parsed(line)) is not None and is_row(row)]
        self.rows = [row for _, row in whole]
        if damaged := len(lines) - len(whole):
            set_aside(path, f"{damaged} of {len(lines)} lines are damaged, and what they held is done again")
            path.write_bytes(b"".join(line + b"\n" for line, _ in whole))
            self.end = path.stat().st_size
        self.file = path.open("ab", buffering=0)
        self.file.truncate(self.end)

    def add(self, *rows: dict[str, Any]) -> None:
        lines = b"".join(encode_row(row) for row in rows)
        try:
            remaining = lines
            while remaining:
                remaining = remaining[self.file.write(remaining) :]
            os.fsync(self.file.fileno())
        except OSError:
            self.file.truncate(self.end)  # no later row may follow an incomplete line
            raise
        self.end += len(lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.file.close()


def encode_row(row: dict[str, Any]) -> bytes:
    """The line of a row; JSON spells a tab inside a string otherwise."""
    text = json.dumps(row, ensure_ascii=False).encode("utf-8")
    return text + f"\t{crc32(text):08x}\n".encode()


def parsed(line: bytes) -> dict[str, Any] | None:
    """The row of a line; None if it is damaged."""
    text, tab, checksum = line.rpartition(b"\t")
    if tab and checksum != f"{crc32(text):08x}".encode():
        return None
    try:
        row = json.loads(text if tab else line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
