"""How figures must be written in a report: patterns of the tests' own, so that a fault of the product's wording shows."""

import re
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
METRICS = {"rougeL": "ROUGE-L", "chrf": "chrF", "token_f1": "token F1", "paper_accuracy": "paper accuracy"}
CORRECTIONS = {"holm": "Holm", "none": "not corrected"}
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
"""Kinds of figures: plain, with its sign, a count, tokens (one decimal), a share in percent with and without the sign of percent, dollars,
a p-value, a time, bytes."""


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
        regex = "".join(
            re.escape(words) + (f"({KINDS[kinds[index]]}|not known)" if index < len(kinds) else "") for index, words in enumerate(between)
        )
        match = re.fullmatch(regex, text)
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
        return abs(float(number) - value / UNITS[unit]) <= 0.0051 * value / UNITS[unit]
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
    number = float(text.replace(",", ""))
    return abs(number - value) <= half * 1.000001 + 1e-12 and (places >= least or half <= abs(value) / 20 or number == value)


def lasts(text: str, value: float) -> bool:
    """Whether a time as written is so many seconds, in two digits or whole ones; from 60 on it is in minutes, from an hour in both."""
    if " h " in text:
        hours, minutes = re.findall(r"\d+", text)
        return value >= 3570 and abs(60 * int(hours) + int(minutes) - value / 60) <= 1
    number, unit = text.split()
    return (
        (value >= 59 and abs(float(number) - value / 60) <= 0.051)
        if unit == "min"
        else abs(float(number) - value) <= max(0.051 * value, 0.5 * (value >= 10))
    )


Expected = dict[str, "str | Shown"]
"""A row of a table: what must stand in it by the head of its column."""
Tables = dict[str, list[Expected]]


def place(report: Row, cell: Row) -> Expected:
    return {"Task": cell["task"]} | ({"Point": cell["coordinates"]} if report["sweep"] else {})


def metric(name: str) -> str:
    return METRICS.get(name, name.replace("_", " "))


def corrected(report: Row) -> str:
    return f"p ({CORRECTIONS[report['correction']]})"


def span(pattern: str, row: Row, key: str = "lift") -> Shown:
    """A figure and its interval; a pattern for the figure."""
    return shows(f"{pattern} [{{}}, {{}}]", row[key], row["low"], row["high"])


def optional(pattern: str, value: float | None) -> str | Shown:
    """A figure, or nothing where there is none."""
    return "" if value is None else shows(pattern, value)


def share(number: float, whole: float) -> Shown:
    return shows("{n} ({%})", number, number / whole)


def score(kind: str, value: float | None) -> Shown:
    return shows("-") if value is None else shows(kind, value)


def label_of(cell: Row, name: str) -> str:
    """An arm's name for people, as its row has it."""
    return str(next(arm["label"] for arm in cell["arms"] if arm["name"] == name))


def short(key: str) -> str:
    return key.rpartition(".")[2].replace("_", " ")


def size(row: Row) -> Expected:
    return {"Trainable parameters": shows("{n}", row["trainable_parameters"]), "Adapter": shows("{b}", row["adapter_bytes"])}


def not_repeated(cell: Row) -> list[Row]:
    """The arms of a cell but choices ranked by total likelihood that only repeat those ranked per token."""
    arms = {arm["name"]: arm for arm in cell["arms"]}
    rankings = {
        name: arms.get(name.removesuffix("_raw"), {}) for name in arms if name.endswith("_raw") and name != cell["headline"]["baseline"]
    }
    return [arm for name, arm in arms.items() if rankings.get(name, {}).get("score") != arm["score"]]
