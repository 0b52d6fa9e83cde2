"""Reads the tables, figures and marked texts of a report from HTML, from Markdown, from the terminal."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

Cells = dict[str, str]
"""A row of a table: text by the head of its column."""


@dataclass
class Table:
    label: str
    heads: list[str]
    rows: list[Cells] = field(default_factory=list)
    caption: str = ""


@dataclass
class Drawing:
    """A figure of the page: the headings above it, its label, and the texts of its marks."""

    under: tuple[str, ...]
    label: str
    texts: list[str] = field(default_factory=list)
    points: list[tuple[str, float, float]] = field(default_factory=list)
    """(text, x, y) of every point, in pixels from the upper left corner of its panel."""
    rules: list[tuple[str, float, float]] = field(default_factory=list)
    """(text, start, end) of every horizontal line, x in pixels."""


VOID = {"meta", "input", "br", "wbr", "img", "link", "hr"}
HEADINGS = ("h2", "h3", "h4")


class Page(HTMLParser):
    """Every table, figure and marked text of a report page, in their order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: list[Table] = []
        self.drawings: list[Drawing] = []
        self.marked: list[tuple[str, str]] = []
        """(class, text) of every element with a class, at its end."""
        self.folds: list[str] = []
        """The summary of every fold."""
        self.open: list[tuple[str, str, list[str]]] = []
        self.headings = dict.fromkeys(HEADINGS, "")
        self.region = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag in VOID:
            return
        if tag == "small":
            self.handle_data(" ")
        if attributes.get("role") == "region":
            self.region = attributes["aria-label"]
        if tag == "table":
            self.tables.append(Table(self.region, []))
        if tag == "tr":
            self.cells: list[str] = []
        if tag == "svg":
            self.drawings.append(Drawing(tuple(filter(None, self.headings.values())), attributes["aria-label"]))
        if tag != "title":
            self.mark = (
                tag,
                [float(number) for number in re.findall(r"-?[\d.]+", attributes.get("transform", ""))],
                float(attributes.get("x2") or 0),
            )
        self.open.append((tag, attributes.get("class", ""), []))

    def handle_data(self, data: str) -> None:
        for _, _, texts in self.open[-8:]:
            texts.append(data)

    def handle_endtag(self, tag: str) -> None:
        while self.open:
            name, marks, texts = self.open.pop()
            self.closed(name, marks, tidy("".join(texts)))
            if name == tag:
                return

    def closed(self, tag: str, marks: str, text: str) -> None:
        if tag in HEADINGS:
            self.headings |= {tag: text} | dict.fromkeys(HEADINGS[HEADINGS.index(tag) + 1 :], "")
        if tag == "summary":
            self.folds.append(text)
        if tag == "caption":
            self.tables[-1].caption = text
        if tag in ("th", "td") and self.tables:
            self.cells.append(text)
        if tag == "tr":
            table = self.tables[-1]
            if table.heads:
                assert len(self.cells) == len(table.heads), f"{table.label}: {self.cells} under {table.heads}"
                table.rows.append(dict(zip(table.heads, self.cells, strict=True)))
            else:
                table.heads = numbered(self.cells)
        if tag == "title" and any(name == "svg" for name, _, _ in self.open):
            self.add_mark_text(text)
        if marks:
            self.marked.append((marks, text))

    def add_mark_text(self, text: str) -> None:
        """Add the text of the last mark of a figure."""
        drawing = self.drawings[-1]
        tag, position, length = self.mark
        drawing.texts.append(text)
        if position and tag == "path":
            drawing.points.append((text, *position[:2]))
        elif position and tag == "line":
            drawing.rules.append((text, position[0], position[0] + length))


def tidy(text: str) -> str:
    """The text with ASCII minus signs and single spaces, without soft hyphens."""
    return " ".join(text.replace("−", "-").replace("\u00ad", "").split())


def numbered(heads: list[str]) -> list[str]:
    """The heads, with a number after a repeated one."""
    return [head if head not in heads[:index] else f"{head} {heads[:index].count(head) + 1}" for index, head in enumerate(heads)]


def markdown_tables(text: str) -> list[Table]:
    """Every table of a Markdown text, labelled by the heading above it."""
    tables: list[Table] = []
    label, inside = "", False
    for line in text.splitlines():
        if line.startswith("#"):
            label = line.lstrip("# ")
        is_row = line.startswith("|")
        cells = [tidy(re.sub(r"\\(.)", r"\1", cell.replace("**", ""))) for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if is_row and not inside:
            tables.append(Table(label, numbered(cells)))
        elif is_row and not set(line) <= set("|-:"):
            tables[-1].rows.append(dict(zip(tables[-1].heads, cells, strict=True)))
        inside = is_row
    return tables


def terminal_table(table: Any) -> Table:
    """A table of the terminal with its whole texts, before they are wrapped."""
    heads = numbered([str(column.header) for column in table.columns])
    cells = [[str(cell) for cell in column.cells] for column in table.columns]
    return Table(str(table.title or ""), heads, [dict(zip(heads, row, strict=True)) for row in zip(*cells, strict=True)])
