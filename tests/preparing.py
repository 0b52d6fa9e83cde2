"""Runs the prepare stage on small data: an inline task, its files, and what comes out."""

import gzip
import json
from pathlib import Path
from typing import Any

from pipeline.config.schema import InlineTask
from pipeline.data import inline
from pipeline.machine import Machine, Work
from pipeline.stages import prepare
from pipeline.store import records
from pipeline.store.records import Example

STORY = "the old captain of the northern ship sailed home in the first light of a grey and silent morning to see his only daughter, "
STORY += "who had waited a long year for a letter that never came, though three others wrote to her every single week of it"
DRAW = {"seed": 0, "files": {}, "max_tokens": 100, "long_prompts": "drop", "max_bad_rows": 0.1, "max_new_tokens": 64}


def task(**changes: Any) -> InlineTask:
    plain = {
        "name": "tickets",
        "data": {"train": "train.jsonl", "heldout": "test.jsonl"},
        "prompt": "Ticket: {text}\nTeam:",
        "target": "{team}",
    }
    return InlineTask.model_validate(plain | changes)


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"text": f"ticket number {n}", "team": ("red", "blue")[n % 2], "n": n} for n in range(start, start + count)]


def write_file(path: Path, content: Any) -> None:
    """Text as it is, a list of rows as JSON lines or Parquet; compressed where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet" and isinstance(content, list):
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(content), path)
        return
    text = content if isinstance(content, str) else "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
    path.write_bytes(gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text.encode())


def prepare_split(definition: str | InlineTask, split: str, out: Path, model: dict[str, Any], **params: Any) -> dict[str, Any]:
    """Facts of one split; training reads the held-out part from `out.parent / "heldout"`."""
    learn = {"dev_examples": params.pop("dev_examples", 0), "near_duplicates": params.pop("near_duplicates", 0.8)}
    call_params = {**DRAW, "task": inline.spec(definition), "model": model, "split": split, "examples": 100, **params}
    call_params |= {} if split == "heldout" else learn
    out.mkdir(parents=True, exist_ok=True)
    inputs = {} if split == "heldout" else {"avoid": out.parent / "heldout"}
    return prepare.run(Work(call_params, inputs, out, out.with_name("resume"), Machine(device="cpu")))


def prepare_both(definition: str | InlineTask, folder: Path, model: dict[str, Any], **params: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return tuple(prepare_split(definition, split, folder / split, model, **params) for split in ("heldout", "train"))


def examples(folder: Path, name: str = "examples.jsonl") -> list[Example]:
    return [*records.read(folder / name, Example)]


def read_json(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / name).read_text("utf-8"))
