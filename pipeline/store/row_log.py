"""Logs finished rows of a long stage, one JSON object per line, so a killed run continues after the last whole row."""

import json
import os
from pathlib import Path
from typing import Any, Self


class Kept:
    """`with Kept(path) as kept:` gives the rows of earlier tries in `kept.rows`; `kept.add(*rows)` returns when they are on disk."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.read_bytes() if path.exists() else b""
        self.end = whole.rfind(b"\n") + 1  # what stands behind the last line end was cut off
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in whole[: self.end].split(b"\n")[:-1]]
        self.file = path.open("ab", buffering=0)
        self.file.truncate(self.end)

    def add(self, *rows: dict[str, Any]) -> None:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8")
        try:
            remaining = lines
            while remaining:
                remaining = remaining[self.file.write(remaining) :]
            os.fsync(self.file.fileno())
        except OSError:
            self.file.truncate(self.end)  # no later row may stand behind half a line
            raise
        self.end += len(lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.file.close()
