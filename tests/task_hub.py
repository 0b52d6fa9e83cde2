"""A hub, and a folder of manual files, made of the fixtures of the tasks and laid out as the real ones are.

tests/fixtures/tasks/<task>/<split>.jsonl holds invented rows as the best source of the task has them: its columns and types; a source
of several configurations has a folder for each. What is put in place by hand lies there as it is. What another place calls or
writes in another way is made of the same rows here.
"""

import csv
import io
import json
import shutil
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import yaml

from pipeline.data.task import Row, Source, Task
from tests import preparing

FIXTURES = Path(__file__).parent / "fixtures" / "tasks"
CLASSES = {
    "nyu-mll/glue": {"label": 3},
    "fancyzhx/dbpedia_14": {"label": 14},
    "cais/mmlu": {"answer": 4},
    "aps/super_glue": {"label": 2},
    "ZihanWangKi/conllpp": {"ner_tags": 9},
}
"""Columns whose numbers are classes with names, and how many; `datasets` must give numbers all the same."""


@dataclass
class World:
    """Where the files are, and what is expected of each source."""

    hub: Path
    manual_folder: Path
    configs: dict[Path, dict[str, dict[str, str]]] = field(default_factory=lambda: defaultdict(dict))
    """Of each repository: configuration, split, file."""
    held: dict[Path, list[Row]] = field(default_factory=dict)
    """What each file holds; the first task that writes it decides."""

    def add(self, task: Task, source: Source, rows: list[Row] | None = None) -> list[Row]:
        """Make the place of a source, of its fixture or the rows that are given, and return the rows that it must give."""
        if source.parts:
            return [row for part in source.parts for row in self.add(task, part)]
        rows = rows or fixture(task.name, source)
        if source.manual_file:
            place(task, source, self.manual_folder / source.manual_file.path, rows)
            return used_rows(rows, source)
        folder = self.repository(source)
        if source.files:
            path = folder / source.files[0].replace("*", "0000")
        else:
            path = folder / (source.config or "data") / f"{source.split}-00000-of-00001.parquet"
            files = self.configs[folder].setdefault(source.config or "default", {})
            files[source.split] = str(path.relative_to(folder))
        if path not in self.held:
            self.held[path] = rows
            write(path, [named(row, source) for row in rows], CLASSES.get(str(source.hub), {}))
        return used_rows(self.held[path], source)

    def repository(self, source: Source) -> Path:
        main = self.hub / "datasets" / str(source.hub)
        main.mkdir(parents=True, exist_ok=True)
        return main.with_name(f"{main.name}@{quote(source.revision, safe='')}") if source.revision else main

    def declare(self) -> None:
        """Write into each repository which files are which splits of which configurations."""
        for folder, configs in self.configs.items():
            configs_metadata = [
                {"config_name": name, "data_files": [{"split": split, "path": path} for split, path in files.items()]}
                for name, files in configs.items()
            ]
            (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': configs_metadata})}---\n")


def fixture(task: str, source: Source) -> list[Row]:
    """The invented rows of a split."""
    folder = FIXTURES / task / str(source.config)
    path = (folder if folder.is_dir() else folder.parent) / f"{source.split}.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def used_rows(rows: list[Row], source: Source) -> list[Row]:
    return [row for row in rows if source.keep is None or source.keep(row)]


def named(row: Row, source: Source) -> Row:
    """A row with the names that its columns have in another place."""
    there = {here: there for there, here in source.rename}
    return {there.get(name, name): value for name, value in row.items()}


def write(path: Path, rows: list[Row], classes: dict[str, int]) -> None:
    """A Parquet file as the hub's are, with the names of classes among its metadata; or CSV, or JSON lines."""
    import datasets

    if path.suffix != ".parquet":
        return write_text(path, rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    held = datasets.Dataset.from_list(rows)
    for column, count in classes.items():
        if column in held.column_names and held.features[column] != datasets.Value("float64"):
            kind = datasets.ClassLabel(names=[f"class {n}" for n in range(count)])
            held = held.cast_column(column, datasets.List(kind) if isinstance(rows[0][column], list) else kind)
    held.to_parquet(path)
    return None


def write_text(path: Path, rows: list[Row]) -> None:
    if ".csv" not in path.name:
        return preparing.write_file(path, rows)
    text = io.StringIO()
    table = csv.DictWriter(text, [*rows[0]], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return preparing.write_file(path, text.getvalue())


def place(task: Task, source: Source, path: Path, rows: list[Row]) -> None:
    """Put the rows of one split into a file or folder that a task reads by itself."""
    raw = [file for file in (FIXTURES / task.name).iterdir() if file.suffix != ".jsonl"]
    if raw:
        shutil.copytree(
            FIXTURES / task.name,
            path if path.name == task.name else path.parent,
            ignore=shutil.ignore_patterns("*.jsonl"),
            dirs_exist_ok=True,
        )
    elif task.name in WRITERS:
        WRITERS[task.name](path, source.split, rows)
    elif task.name.startswith("tldr"):  # one file holds both splits
        write_text(path, [row for split in ("test", "train") for row in fixture(task.name, Source(split))])
    else:
        write_text(path, [named(row, source) for row in rows])


def conll(path: Path, split: str, rows: list[Row]) -> None:
    from pipeline.tasks.conllpp import TAGS

    del split
    tagged = [zip(row["tokens"], row["ner_tags"], strict=True) for row in rows]
    sentences = ["".join(f"{word} NN B-NP {TAGS[tag]}\n" for word, tag in pairs) for pairs in tagged]
    preparing.write_file(path, "\n".join(["-DOCSTART- -X- -X- O\n", *sentences]))


def wikisql(path: Path, split: str, rows: list[Row]) -> None:
    """The archive holds both splits, so the second call adds to what the first wrote."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files = dict(members(path)) if path.exists() else {}
    questions, tables = [], {}
    for row in rows:
        conditions = zip(*(row["sql"]["conds"][name] for name in ("column_index", "operator_index", "condition")), strict=True)
        sql = {"sel": row["sql"]["sel"], "agg": row["sql"]["agg"], "conds": [*conditions]}
        questions.append({"phase": 1, "question": row["question"], "table_id": row["table"]["id"], "sql": sql})
        tables[row["table"]["id"]] = row["table"]
    files[f"data/{split}.jsonl"] = lines(questions)
    files[f"data/{split}.tables.jsonl"] = lines([*tables.values()])
    with tarfile.open(path, "w:bz2") as archive:
        for name, content in files.items():
            head = tarfile.TarInfo(name)
            head.size = len(content)
            archive.addfile(head, io.BytesIO(content))


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            yield member.name, archive.extractfile(member).read()


def lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def webnlg(path: Path, split: str, rows: list[Row]) -> None:
    """Train is many files, of which two stand here; test is one, beside another whose rows are not scored."""
    from pipeline.tasks.webnlg import is_scored

    half = len(rows) // 2
    files = {"1triples/A.xml": rows[:half], "2triples/B.xml": rows[half:]}
    if split == "test":
        scored = [row for row in rows if is_scored(row)]
        files = {f"{scored[0]['test_category']}.xml": scored, "other.xml": [row for row in rows if row not in scored]}
    for name, part in files.items():
        benchmark = ElementTree.Element("benchmark")
        entries = ElementTree.SubElement(benchmark, "entries")
        for row in part:
            entry = ElementTree.SubElement(entries, "entry", category=row["category"], eid=row["eid"])
            group = ElementTree.SubElement(entry, "modifiedtripleset")
            for fact in row["modified_triple_sets"]["mtriple_set"][0]:
                ElementTree.SubElement(group, "mtriple").text = fact
            for text in row["lex"]["text"]:
                ElementTree.SubElement(entry, "lex").text = text
        preparing.write_file(path / split / name, ElementTree.tostring(benchmark, "unicode"))


WRITERS: dict[str, Callable[[Path, str, list[Row]], None]] = {"conllpp": conll, "wikisql": wikisql, "webnlg": webnlg}
