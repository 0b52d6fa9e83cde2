"""Formats numbers, intervals and p-values, the same on the page, in Markdown and on the terminal. Plain ASCII; the page typesets it."""

import math
import re
from collections.abc import Sequence
from typing import Any, Literal

from pipeline.config import methods
from pipeline.config.schema import HARNESS, INSPECT
from pipeline.measures.cell_types import CellRow, ComparisonRow, Headline
from pipeline.measures.report_types import PublishedFigure, RuleRow
from pipeline.measures.variant_types import VariantTable
from pipeline.scoring.verdict import qualified
from pipeline.store.cost_types import BreakEven, TrainingCost
from pipeline.store.figure_types import PartialInterval, PartRow, Rate
from pipeline.store.score_types import Interval

METRICS = {"rougeL": "ROUGE-L", "rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "bleu": "BLEU", "chrf": "chrF"}
AnyInterval = Interval | PartialInterval
MINUS = re.compile(r"(?<![\w.)\]/-])-(?=\d)")
METHOD = "finetune.method"
SIDES = {"above": ">", "below": "<"}
"""The side of its threshold on which a figure speaks for the fine-tune."""
TWO_SIDED = ("lift", "training effect")
"""Kinds of rules whose test is two-sided."""


def metric(name: str) -> str:
    """A metric's display name: `entity_f1` is entity F1, `rougeL` is ROUGE-L."""
    for prefix, tool in ((HARNESS, "lm-eval"), (INSPECT, "Inspect")):
        if name.startswith(prefix):
            return f"{name.removeprefix(prefix)} ({tool})"
    return METRICS[name] if name in METRICS else re.sub(r"\bf1\b", "F1", name.replace("_", " "))


class LiftInterval(Interval):
    """A lift with its interval."""

    lift: float


class ScorePair(Interval):
    """Scores of base and tuned, with the interval of the lift."""

    base: float
    tuned: float


def number(value: float | None, places: int = 2) -> str:
    """A number with so many decimals, without the minus of a negative zero."""
    if value is None:
        return "not known"
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def three_digits(value: float | None, figure: str = "") -> str:
    """A score with three decimals, as in the paper, or a lift with its sign; a dash if there is none."""
    if value is None:
        return "-"
    return signed(value, 3) if figure == "lift" else number(value, 3)


def three_figures(value: float | None) -> str:
    """A number in three significant figures, zeros at its end too; nothing if there is none."""
    return "" if value is None else f"{value:#.3g}".removesuffix(".")


def count_or_blank(value: int | None) -> str:
    """A count for a table cell; empty if there is none."""
    return "" if value is None else count(value)


def agreement_reasons(figures: dict[str, PublishedFigure]) -> list[str]:
    """Why every figure agrees with the paper or not; a reason that all share appears once."""
    reasons = {name: f"{figure['word']}: {figure['why']}" for name, figure in figures.items()}
    if len(set(reasons.values())) == 1:
        common = next(iter(reasons.values()))
        return [f"{common[0].upper()}{common[1:]}."]
    return [f"{name.capitalize()} {reason}." for name, reason in reasons.items()]


def dollars(value: float | None) -> str:
    """A price; small ones keep more decimals."""
    if value is None:
        return ""
    places = 7
    if value >= 0.01 or not value:
        places = 2
    elif value >= 0.0001:
        places = 4
    return f"${value:,.{places}f}"


def rule_value(row: RuleRow) -> str:
    """The value of a rule, with its interval if it has one."""
    value = row["value"]
    if value is None:
        return "never" if row["reason"] == "never" else "not known"
    if row["low"] is not None and row["high"] is not None:
        places = decimals(row["low"], row["high"], row["threshold"])
        return f"{signed(value, places)} {interval(row, places)}"
    if row["unit"] == "dollars":
        return dollars(value)
    return count(value) if row["unit"] == "requests" else number(value, 3)


def rule_threshold(row: RuleRow) -> str:
    """The threshold of a rule, with the side on which its value should be; empty if it has none."""
    if row["threshold"] is None:
        return ""
    if row["kind"] == "equivalence":
        return f"within {row['threshold']:g}"
    threshold = dollars(row["threshold"]) if row["unit"] == "dollars" else f"{row['threshold']:g}"
    return f"{'≠' if row['kind'] in TWO_SIDED else SIDES[row['side']]} {threshold}"


def part_value(row: PartRow) -> str:
    """A part of a lift with its interval, or why it is zero."""
    return f"{part_figure(row)} {part_interval(row)}"


def part_figure(row: PartRow) -> str:
    """A part of a lift; a dash if its arm was not tested."""
    return "-" if row["arm"] is None else signed(row["value"], decimals(row["low"], row["high"]))


def part_interval(row: PartRow) -> str:
    """The interval of a part of a lift; if its arm scored no higher, by how much."""
    if row["low"] is not None:
        return interval(row)
    tried = row["tried"]
    if not tried:
        return f"(not tested: {row['why']})" if row["why"] else "(not tested)"
    return f"(no gain: {signed(tried['value'], decimals(tried['low'], tried['high']))} {interval(tried)})"


def size_note(cell: CellRow) -> str:
    """The sizes of a cell that do not belong to single arms."""
    speed = cell["speed"]
    if not speed:
        return ""
    on_cpu = "" if any(arm["speed"]["peak_bytes"] for arm in cell["arms"] if arm["speed"]) else " Peak memory is measured on CUDA only."
    weights = "Adapter" if cell["fine_tune"] == "adapter" else "Fine-tuned model"
    return f"{weights} {size(speed['adapter_bytes'])}, context window {count(speed['context_window'])} tokens.{on_cpu}"


def fine_tuned(cells: list[CellRow]) -> str:
    """What is compared with the base, in words."""
    kinds = {cell["fine_tune"] for cell in cells}
    if kinds == {"endpoint"}:
        return "a model behind an endpoint"
    behind = ", and models behind endpoints" if "endpoint" in kinds else ""
    if "adapter" not in kinds:
        return f"a model fine-tuned from it{behind}"
    return f"the same model with a LoRA adapter{', and models fine-tuned from it' if 'model' in kinds else ''}{behind}"


def pairs_note(table: VariantTable, confidence: float) -> str:
    """What the table of pairs of variants is to be taken for."""
    tests = "the pairs of a task, and their tests for the same" if table["margin"] is not None else "the pairs of a task"
    how = f"p-values are corrected for {tests}" if table["correction"] == "holm" else "p-values are not corrected"
    alone = any(row["seeds"] == 1 for row in table["scores"])
    seeds = " Of a variant with one training run, other runs may differ by an unknown amount." if alone else ""
    return f"Exploratory: {how}, apart from the confirmatory tests; intervals are {percent(confidence)}.{seeds}"


def percent_of_rate(rate: float) -> str:
    """`12.5 %`."""
    return f"{100 * rate:.1f} %"


def percent_interval(row: Rate) -> str:
    """The interval of a rate in percent; empty if there is none."""
    return "" if row["low"] is None or row["high"] is None else f"[{100 * row['low']:.1f}, {100 * row['high']:.1f}]"


def break_even(row: BreakEven) -> str:
    """The number of requests from which one arm is cheaper than another."""
    return "never" if row["reason"] == "never" else count(row["requests"])


def training_cost(training: TrainingCost) -> str:
    """The cost of one training: dollars and hours, or hours if the hour has no price."""
    if training["gpu_hours"] is None:
        return "not known"
    hours = seconds(3600 * training["gpu_hours"])
    return hours if training["dollars"] is None else f"{dollars(training['dollars'])} ({hours})"


def decimals(low: float | None, high: float | None, limit: float | None = None) -> int:
    """Decimals of scores and differences in tables: three in every row, or four where an end would round to zero or to its limit."""
    limits = [0.0] if limit is None else [0.0, limit]
    return 4 if any(end is not None and end != one and round(end, 3) == round(one, 3) for end in (low, high) for one in limits) else 3


def prose_decimals(low: float | None, high: float | None) -> int:
    """Decimals in a sentence: two, or as in tables where an end would round to zero."""
    return decimals(low, high) if any(end and not round(end, 2) for end in (low, high)) else 2


def change(value: float, low: float | None, high: float | None, places: int | None = None) -> str:
    """A difference in a sentence: `+0.31 [0.27, 0.35]`; what rounds to zero has no minus."""
    places = prose_decimals(low, high) if places is None else places
    text = signed(value, places)
    ends = [number(end, places) for end in (low, high) if end is not None and math.isfinite(end)]
    return f"{text} [{', '.join(ends)}]" if len(ends) == 2 else text


def signed(value: float | None, places: int = 2) -> str:
    """A number with a plus if it is above zero as printed."""
    text = number(value, places)
    return text if value is None or value < 0 or float(text) == 0 else f"+{text}"


def interval(row: AnyInterval, places: int | None = None) -> str:
    places = decimals(row["low"], row["high"]) if places is None else places
    return f"[{number(row['low'], places)}, {number(row['high'], places)}]"


def lift(row: LiftInterval) -> str:
    return f"{signed(row['lift'], decimals(row['low'], row['high']))} {interval(row)}"


def score(row: ScorePair, arm: Literal["base", "tuned"]) -> str:
    return number(row[arm], decimals(row["low"], row["high"]))


def p_value(p: float | None) -> str:
    """A p-value alone: `0.031`, `< 0.001`."""
    if p is None:
        return "not known"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def probability(p: float | None) -> str:
    """A p-value after its name: `= 0.031`, `< 0.001`."""
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def correction(name: str) -> str:
    return {"holm": "Holm", "none": "not corrected"}.get(name, name)


def corrected(correction: str) -> str:
    """Whether the verdicts of all tests were corrected together, in a sentence."""
    return "Holm-corrected" if correction == "holm" else "not corrected for multiple testing"


def effect(row: Headline, baseline: str) -> str:
    """The effect behind a verdict, in the same words on every surface.

    `accuracy 0.90 against 0.48 (best baseline: few-shot base); +0.42, 95 % interval 0.35 to 0.49`

    Args:
        baseline: the name of the best one in a sentence.
    """
    places = prose_decimals(row["low"], row["high"])
    name = "base, the only baseline tested" if row["kind"] == "lift" else f"best baseline: {re.sub('^(the|a) ', '', baseline)}"
    scores = f"{metric(row['metric'])} {number(row['tuned'], places)} against {number(row['baseline_score'], places)} ({name})"
    return f"{scores}; {spelled_change(row['effect'], row['low'], row['high'], row['confidence'])}"


def spelled_change(value: float, low: float | None, high: float | None, confidence: float) -> str:
    """A difference with its interval in words: `+0.42, 95 % interval 0.35 to 0.49`."""
    places = prose_decimals(low, high)
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return signed(value, places)
    return f"{signed(value, places)}, {percent(confidence)} interval {number(low, places)} to {number(high, places)}"


def headline(label: str, row: Headline, baseline: str, correction_name: str) -> str:
    """The headline of a cell in one line; baseline: the name of the best one in a sentence."""
    places = prose_decimals(row["low"], row["high"])
    base = "" if row["baseline"] == "base" else f"base {number(row['base'], places)}, "
    p = f"p ({correction(correction_name)}) {probability(row['p_adjusted'])}"
    return f"{label}: {qualified(row['verdict'], row['this_task_only'])}; {effect(row, baseline)}; {base}{p}, n = {row['n']:,}"


def smallest_effect(row: ComparisonRow | Headline) -> str:
    """The lift, or the training effect, that the test set would detect with 80 % power."""
    if row["smallest_effect"] is None:
        return "minimum detectable effect: unknown"
    places = decimals(row["low"], row["high"])
    if row["smallest_effect"] >= 1:
        return "minimum detectable effect: none, this test set is too small"
    return f"minimum detectable effect: {number(row['smallest_effect'], places)} (80 % power)"


def key_label(dotted: str) -> str:
    """A recipe key for people: `finetune.learning_rate` is learning rate."""
    return dotted.rpartition(".")[2].replace("_", " ")


def setting(value: Any) -> str:
    """A value of a recipe key for people."""
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(map(setting, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {setting(one)}" for name, one in value.items())
    return str(value)


def value_of(dotted: str, value: Any) -> str:
    """The value of a recipe key for people: of the method of LoRA its name, of other keys as setting() has it."""
    return methods.LABELS.get(value, str(value)) if dotted == METHOD and value else setting(value)


def coordinates(values: dict[str, Any]) -> str:
    """A point of a sweep: `rank 16, learning rate 0.0002`; keys whose last word is not unique keep their section."""
    labels = [key_label(dotted) for dotted in values]
    names = (label if labels.count(label) == 1 else dotted for label, dotted in zip(labels, values, strict=True))
    return ", ".join(f"{name} {value_of(dotted, value)}" for name, (dotted, value) in zip(names, values.items(), strict=True))


def count(value: float | None) -> str:
    """A count with thousands separators."""
    return "not known" if value is None else f"{value:,.0f}"


def share(part: float | None, whole: float) -> str:
    """`12 (2.4 %)`."""
    if part is None:
        return "not known"
    return f"{part:,} ({100 * part / whole:.1f} %)" if whole else f"{part:,}"


def plural(number: int, one: str, many: str = "") -> str:
    """A count with its noun: `1 example`, `2 examples`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def enumerated(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def seconds(duration: float | None) -> str:
    """A duration in seconds, minutes or hours."""
    if duration is None:
        return "not known"
    if duration < 60:
        return f"{duration:#.2g} s" if duration < 9.95 else f"{duration:.0f} s"
    minutes = round(duration / 60, 1)
    return f"{minutes:g} min" if minutes < 60 else f"{int(minutes // 60)} h {int(minutes % 60):02} min"


def size(amount: float | None) -> str:
    """Bytes in binary units."""
    if amount is None:
        return "not known"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1024
    return f"{amount:.3g} TiB"


def percent(fraction: float) -> str:
    return f"{100 * fraction:g} %"


def typeset(text: object) -> str:
    """Text for the page, with real minus signs and arrows."""
    return MINUS.sub("−", str(text).replace("->", "→"))
