"""WikiSQL: a question about a table as SQL."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.data.task import ManualFile, Paper, Row, Source, Task
from pipeline.errors import DataError
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import converted, cuttable, value, words

SHOWN = 20
"""Rows of a table that a prompt shows at most; columns and their types are always shown in full."""
AGGREGATES = ("", "MAX", "MIN", "COUNT", "SUM", "AVG")
OPERATORS = ("=", ">", "<", "OP")


def example(row: Row) -> Example:
    table, query, question = value(row, "table"), value(row, "sql")["human_readable"], words(row, "question")
    if not table["header"] or not query:
        raise ValueError("no columns or no query")
    columns = ", ".join(f"{name} ({kind})" for name, kind in zip(table["header"], table["types"], strict=True))
    body = "\n".join(" | ".join(cells) for cells in table["rows"][:SHOWN])
    prompt, extra = cuttable(
        f"Write the SQL query over a table that answers a question.\n\nTable: table\nColumns: {columns}\nRows:\n",
        body,
        f"\n\nQuestion: {question}\nSQL:",
    )
    return Example("", prompt, " ".join(query.split()), group=table.get("id") or "", extra=extra if body.strip() else {})


def read(path: Path, split: str) -> Iterator[Row]:
    """Rows of the original archive, in the form of the hub: a table in each, and the query as text, too."""
    try:
        with tarfile.open(path, "r:bz2") as archive:
            members = {Path(name).name: name for name in archive.getnames() if not Path(name).name.startswith(".")}
            tables = {table["id"]: table for table in objects(archive, members[f"{split}.tables.jsonl"])}
            for row in objects(archive, members[f"{split}.jsonl"]):
                table = tables[row["table_id"]]
                sql = row["sql"] | {"human_readable": readable(row["sql"], table["header"])}
                rows = [[str(cell) for cell in cells] for cells in table["rows"]]
                yield {"question": row["question"], "table": {**table, "rows": rows}, "sql": sql}
    except (tarfile.TarError, EOFError, OSError, KeyError) as error:
        raise DataError(f"{path} is not the archive of WikiSQL: {error}.", "It may have been cut off; fetch it again.") from None


def objects(archive: tarfile.TarFile, name: str) -> Iterator[dict[str, Any]]:
    member = archive.extractfile(name)
    if member is None:
        raise KeyError(name)
    for line in io.TextIOWrapper(member, "utf-8"):
        yield json.loads(line)


def readable(sql: dict[str, Any], header: list[str]) -> str:
    """The query as the hub spells it, with column names and without quotes."""
    conditions = " AND ".join(f"{header[column]} {OPERATORS[operator]} {value}" for column, operator, value in sql["conds"])
    return " ".join(
        f"SELECT {AGGREGATES[sql['agg']]} {header[sql['sel']]} FROM table{f' WHERE {conditions}' if conditions else ''}".split()
    )


ARCHIVE = ManualFile(
    path="wikisql/data.tar.bz2",
    page="https://github.com/salesforce/WikiSQL",
    how="data.tar.bz2",
    url="https://github.com/salesforce/WikiSQL/raw/master/data.tar.bz2",
    read=read,
)

TASK = Task(
    name="wikisql",
    about="code: a question about a table as SQL",
    train=(converted("Salesforce/wikisql", "train", "default/train", 56355), Source("train", manual_file=ARCHIVE, rows=56355)),
    heldout=(converted("Salesforce/wikisql", "test", "default/test", 15878), Source("test", manual_file=ARCHIVE, rows=15878)),
    example=example,
    answer=parsers.sql,
    metrics=("sql_match", "paper_rouge"),
    max_new_tokens=96,
    paper=Paper(
        metric="paper_rouge",
        tokens=(1941, 72472),
        differs=(
            f"at most {SHOWN} rows of the table are shown, and its columns always; the paper showed all rows until the text was cut",
            "the question comes behind the table and is never cut",
        ),
    ),
)
