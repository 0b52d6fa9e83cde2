"""Reads what a report shows, and compares it with figures: by patterns of its own, so that a fault of the product's wording shows."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

Cells = dict[str, str]
"""A row of a table: text by the head of its column."""
PLAIN = r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"
TIME = r"\d+ h \d\d min|[\d.]+ min|[\d.e+-]+ s"
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
KINDS = {
    "": rf"\+?{PLAIN}",
    "+": rf"\+?{PLAIN}",
    "n": r"-?\d[\d,]*",
    "t": PLAIN,
    "%": rf"{PLAIN} %",
    "h": PLAIN,
    "$": rf"\$(?:{PLAIN})",
    "p": r"< 0\.001|\d\.\d{3}",
    "s": TIME,
    "b": rf"{PLAIN} (?:B|KiB|MiB|GiB|TiB)",
}
"""Of a figure: plain, with its sign, a count, tokens (one decimal), a share in percent, the same without a sign, dollars, a p-value, a time, bytes."""


@dataclass(frozen=True)
class Shown:
    """A text with figures: the pattern holds `{kind}` for each of them, as KINDS has it."""

    pattern: str
    values: tuple[float | None, ...]

    def fits(self, text: str) -> bool:
        """Whether a text says this, every figure rounded to what it shows and to no fewer digits than a reader needs."""
        kinds = re.findall(r"\{(.?)\}", self.pattern)
        assert len(kinds) == len(self.values), f"'{self.pattern}' has {len(kinds)} places for {len(self.values)} values"
        between = re.split(r"\{.?\}", self.pattern)
        found = "".join(
            re.escape(words) + (f"({KINDS[kinds[at]]}|not known)" if at < len(kinds) else "") for at, words in enumerate(between)
        )
        match = re.fullmatch(found, text)
        return bool(match) and all(says(*one) for one in zip(kinds, match.groups(), self.values, strict=True))

    def __repr__(self) -> str:
        return f"'{self.pattern}' with {', '.join(map(str, self.values))}"


def fits(expected: "str | Shown", text: str) -> bool:
    """Whether a cell holds what is expected: these words, or these figures."""
    return expected.fits(text) if isinstance(expected, Shown) else expected == text


def shows(pattern: str, *values: float | None) -> Shown:
    return Shown(pattern, values)


def says(kind: str, text: str, value: float | None) -> bool:
    """Whether a figure as written is this value."""
    if value is None or text == "not known":
        return value is None and text == "not known"
    if kind == "p":
        return text == ("< 0.001" if value < 0.001 else f"{value:.3f}")
    if kind == "n":
        return text == f"{value:,.0f}"
    if kind == "s":
        return lasts(text, value)
    if kind == "b":
        number, unit = text.split()
        return near(number, value / UNITS[unit])
    if kind == "+" and text.startswith("+") != (float(text.replace(",", "")) > 0):
        return False
    if kind in ("", "t", "h", "%", "$") and text.startswith("+"):
        return False
    return near(text.strip("$ %"), 100 * value if kind in ("%", "h") else value, least=1 if kind in ("t", "%", "h") else 2)


def near(text: str, value: float, least: int = 2) -> bool:
    """Whether a number is the value rounded, to `least` decimals or else to within a twentieth of it."""
    digits, _, power = text.replace(",", "").partition("e")
    places = len(digits.partition(".")[2])
    half = 0.5 * 10.0 ** (int(power or 0) - places)
    told = float(text.replace(",", ""))
    return abs(told - value) <= half * 1.000001 + 1e-12 and (places >= least or half <= abs(value) / 20 or told == value)


def lasts(text: str, value: float) -> bool:
    """Whether a time as written is so many seconds, in two digits or whole ones: minutes with a decimal from 60, whole ones from an hour."""
    if " h " in text:
        hours, minutes = re.findall(r"\d+", text)
        return value >= 3570 and abs(60 * int(hours) + int(minutes) - value / 60) <= 1
    number, unit = text.split()
    return (
        (value >= 59 and abs(float(number) - value / 60) <= 0.051)
        if unit == "min"
        else abs(float(number) - value) <= max(0.051 * value, 0.5 * (value >= 10))
    )


@dataclass
class Table:
    label: str
    heads: list[str]
    rows: list[Cells] = field(default_factory=list)


@dataclass
class Drawing:
    """A figure of the page: the headings that it stands under, its label, what its points tell."""

    under: tuple[str, ...]
    label: str
    told: list[str] = field(default_factory=list)
    points: list[tuple[str, float, float]] = field(default_factory=list)
    """What a point tells, and where it lies: x and y in pixels from the left upper corner of its panel."""
    rules: list[tuple[str, float, float]] = field(default_factory=list)
    """What a level line tells, and where it begins and ends: x in pixels."""


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
        self.open: list[tuple[str, str, list[str]]] = []
        self.headings = dict.fromkeys(HEADINGS, "")
        self.region = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in VOID:
            return
        if tag == "small":
            self.handle_data(" ")
        if given.get("role") == "region":
            self.region = given["aria-label"]
        if tag == "table":
            self.tables.append(Table(self.region, []))
        if tag == "tr":
            self.cells: list[str] = []
        if tag == "svg":
            self.drawings.append(Drawing(tuple(filter(None, self.headings.values())), given["aria-label"]))
        if tag != "title":
            self.mark = (
                tag,
                [float(number) for number in re.findall(r"-?[\d.]+", given.get("transform", ""))],
                float(given.get("x2") or 0),
            )
        self.open.append((tag, given.get("class", ""), []))

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
            self.says(text)
        if marks:
            self.marked.append((marks, text))

    def says(self, text: str) -> None:
        """Note what the last mark of a figure tells."""
        drawing, (tag, at, length) = self.drawings[-1], self.mark
        drawing.told.append(text)
        if at and tag == "path":
            drawing.points.append((text, *at[:2]))
        elif at and tag == "line":
            drawing.rules.append((text, at[0], at[0] + length))


def tidy(text: str) -> str:
    """With ASCII minus signs, without places where a line may break, and with single blanks."""
    return " ".join(text.replace("−", "-").replace("\u00ad", "").split())


def numbered(heads: list[str]) -> list[str]:
    """The same with a number behind a head that stood before."""
    return [head if head not in heads[:at] else f"{head} {heads[:at].count(head) + 1}" for at, head in enumerate(heads)]


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


def terminal_table(made: Any) -> Table:
    """A table of the terminal with its whole texts, before they are cut into lines."""
    heads = numbered([str(column.header) for column in made.columns])
    cells = [[str(cell) for cell in column.cells] for column in made.columns]
    return Table(str(made.title or ""), heads, [dict(zip(heads, row, strict=True)) for row in zip(*cells, strict=True)])
