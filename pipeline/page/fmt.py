"""Formats numbers, intervals and p-values, the same on the page, in Markdown and on the terminal. Plain ASCII; the page typesets it."""

import math
import re
from typing import Any

from pipeline.scoring.verdict import CANNOT_TELL

METRICS = {"rougeL": "ROUGE-L", "rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "bleu": "BLEU", "chrf": "chrF"}
MINUS = re.compile(r"(?<![\w.)\]])-(?=\d)")
SIDES = {"above": ">", "below": "<"}
"""On which side of its threshold a figure speaks for the fine-tune."""


def metric(name: str) -> str:
    """A metric's name for people: `entity_f1` is entity F1, `rougeL` is ROUGE-L."""
    return METRICS[name] if name in METRICS else re.sub(r"\bf1\b", "F1", name.replace("_", " "))


def number(value: float | None, places: int = 2) -> str:
    if value is None:
        return "not known"
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def three(value: float | None, figure: str = "") -> str:
    """A score as the paper prints them, with three digits, or a lift with its sign; a dash where there is none."""
    if value is None:
        return "-"
    return signed(value, 3) if figure == "lift" else number(value, 3)


def counted(value: int | None) -> str:
    return "" if value is None else count(value)


def reasons(figures: dict[str, dict[str, Any]]) -> list[str]:
    """Why each figure agrees or not, and a reason that all share only once."""
    said = {name: f"{found['word']}: {found['why']}" for name, found in figures.items()}
    if len(set(said.values())) == 1:
        only = next(iter(said.values()))
        return [f"{only[0].upper()}{only[1:]}."]
    return [f"{name.capitalize()} {why}." for name, why in said.items()]


def dollars(value: float | None) -> str:
    if value is None:
        return ""
    places = 2 if value >= 0.01 or not value else 4 if value >= 0.0001 else 7
    return f"${value:,.{places}f}"


def ruled(row: dict[str, Any]) -> str:
    """The value of a rule with its interval, where it has one."""
    value = row["value"]
    if value is None:
        return "never" if row["reason"] == "never" else "not known"
    if row["low"] is not None and row["high"] is not None:
        return f"{signed(value, digits(row['low'], row['high']))} {interval(row)}"
    if row["unit"] == "dollars":
        return dollars(value)
    return count(value) if row["unit"] == "requests" else number(value, 3)


def line(row: dict[str, Any]) -> str:
    """What the value of a rule is held against."""
    if row["threshold"] is None:
        return ""
    threshold = dollars(row["threshold"]) if row["unit"] == "dollars" else f"{row['threshold']:g}"
    return f"{SIDES[row['side']]} {threshold}"


def part(row: dict[str, Any]) -> str:
    """A part of a lift with its interval, or why it is nothing."""
    return f"{signed(row['value'], digits(row['low'], row['high']))} {part_interval(row)}"


def part_interval(row: dict[str, Any]) -> str:
    """The interval of a part of a lift; of an arm that scored no higher, by how much."""
    if row["low"] is not None:
        return interval(row)
    tried = row["tried"]
    if not tried:
        return f"(not tried: {row['why']})" if row["why"] else "(not tried)"
    return f"(tried: {signed(tried['value'], digits(tried['low'], tried['high']))} {interval(tried)})"


def sizes(cell: dict[str, Any]) -> str:
    """What was measured of size beside single arms."""
    speed = cell["speed"]
    on_cpu = "" if any(arm["speed"]["peak_bytes"] for arm in cell["arms"] if arm["speed"]) else " Peak memory is measured on CUDA only."
    return f"Adapter {size(speed['adapter_bytes'])}, context window {count(speed['context_window'])} tokens.{on_cpu}"


def hundred(rate: float) -> str:
    """`12.5 %`."""
    return f"{100 * rate:.1f} %"


def hundreds(row: dict[str, Any]) -> str:
    """The interval of a share."""
    return "" if row["low"] is None else f"[{100 * row['low']:.1f}, {100 * row['high']:.1f}]"


def from_requests(row: dict[str, Any]) -> str:
    """From how many requests on one way is cheaper than another."""
    return "never" if row["reason"] == "never" else count(row["requests"])


def spent(training: dict[str, Any]) -> str:
    """What one training took: dollars where the hour has a price."""
    if training["gpu_hours"] is None:
        return "not known"
    hours = seconds(3600 * training["gpu_hours"])
    return hours if training["dollars"] is None else f"{dollars(training['dollars'])} ({hours})"


def digits(low: float | None, high: float | None) -> int:
    """Decimals that an interval deserves: two digits of its width, as many as tell its ends from zero, at least 2, at most 4."""
    width = (high or 0.0) - (low or 0.0)
    places = max(2, math.floor(1 - math.log10(width))) if width > 0 else 2
    while places < 4 and any(end and not round(end, places) for end in (low, high)):
        places += 1
    return min(4, places)


def change(value: float, low: float | None, high: float | None, places: int | None = None) -> str:
    """A difference in a sentence: `+0.31 [0.27, 0.35]`; what rounds to nothing has no minus."""
    places = digits(low, high) if places is None else places
    text = f"{round(value, places) + 0.0:+.{places}f}"
    ends = [f"{round(end, places) + 0.0:.{places}f}" for end in (low, high) if end is not None and math.isfinite(end)]
    return f"{text} [{', '.join(ends)}]" if len(ends) == 2 else text


def signed(value: float | None, places: int = 2) -> str:
    """With a plus where it is above zero as written."""
    text = number(value, places)
    return text if value is None or value < 0 or float(text) == 0 else f"+{text}"


def interval(row: dict[str, Any]) -> str:
    places = digits(row["low"], row["high"])
    return f"[{number(row['low'], places)}, {number(row['high'], places)}]"


def lift(row: dict[str, Any]) -> str:
    return f"{signed(row['lift'], digits(row['low'], row['high']))} {interval(row)}"


def score(row: dict[str, Any], arm: str) -> str:
    return number(row[arm], digits(row["low"], row["high"]))


def small(p: float | None) -> str:
    """A p-value alone: `0.031`, `< 0.001`."""
    if p is None:
        return "not known"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def probability(p: float | None) -> str:
    """A p-value after its name: `= 0.031`, `< 0.001`."""
    text = small(p)
    return text if text.startswith("<") else f"= {text}"


def correction(name: str) -> str:
    return {"holm": "Holm", "none": "not corrected"}.get(name, name)


def sentence(label: str, row: dict[str, Any], corrected: str) -> str:
    """The verdict on one primary comparison in one line."""
    scores = f"{metric(row['metric'])} {score(row, 'base')} -> {score(row, 'tuned')}"
    p = f"p ({correction(corrected)}) {probability(row['p_adjusted'])}"
    said = f"{row['verdict']} on {label}: {scores}, lift {lift(row)}, {p}, n = {row['n']:,}"
    return f"{said}; {smallest(row)}" if row["verdict"] == CANNOT_TELL else said


def smallest(row: dict[str, Any]) -> str:
    if row["smallest_effect"] is None:
        return "what lift this test set could have shown is not known"
    places = max(2, digits(row["low"], row["high"]))
    if row["smallest_effect"] >= 1:
        return "this test set is too small to show any lift four times in five"
    return f"the smallest lift that this test set would show four times in five is {number(row['smallest_effect'], places)}"


def key(dotted: str) -> str:
    return dotted.rpartition(".")[2].replace("_", " ")


def value(given: Any) -> str:
    if given is None:
        return "unset"
    if isinstance(given, bool):
        return "on" if given else "off"
    if isinstance(given, float):
        return f"{given:g}"
    if isinstance(given, list):
        return ", ".join(value(item) for item in given)
    return str(given)


def coordinates(where: dict[str, Any]) -> str:
    """A place in a sweep: `rank 16, learning rate 0.0002`; keys whose last word is not unique keep their section."""
    short = [key(dotted) for dotted in where]
    names = (key(dotted) if short.count(key(dotted)) == 1 else dotted for dotted in where)
    return ", ".join(f"{name} {value(given)}" for name, given in zip(names, where.values(), strict=True))


def count(given: float | None) -> str:
    return "not known" if given is None else f"{given:,.0f}"


def share(part: float, whole: float) -> str:
    """`12 (2.4 %)`."""
    return f"{part:,} ({100 * part / whole:.1f} %)" if whole else f"{part:,}"


def plural(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def seconds(given: float | None) -> str:
    if given is None:
        return "not known"
    if given < 60:
        return f"{given:#.2g} s" if given < 9.95 else f"{given:.0f} s"
    minutes = round(given / 60, 1)
    return f"{minutes:g} min" if minutes < 60 else f"{int(minutes // 60)} h {int(minutes % 60):02} min"


def size(given: float | None) -> str:
    """Bytes in binary units."""
    if given is None:
        return "not known"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if given < 1000:
            return f"{given:.3g} {unit}"
        given /= 1024
    return f"{given:.3g} TiB"


def percent(fraction: float) -> str:
    return f"{100 * fraction:g} %"


def typeset(text: object) -> str:
    """For the page: real minus signs and arrows."""
    return MINUS.sub("−", str(text).replace("->", "→"))
