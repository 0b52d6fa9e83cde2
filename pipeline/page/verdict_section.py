"""Puts the verdict into words: the paragraph that opens the page, the advice of every task and the names of its rules."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pipeline.arms import Constraint
from pipeline.config.recipe import VARIANT
from pipeline.data import general_text
from pipeline.measures import names
from pipeline.measures.advice import Advice, Statement
from pipeline.measures.cell_types import CellRow
from pipeline.measures.claims import Claim
from pipeline.measures.report_types import AdviceRow, RuleRow, SentenceKind, SentenceRow, SummarySentence
from pipeline.measures.rules import Rule, RuleName
from pipeline.page import fmt
from pipeline.page.anchors import CLAIMS, link, row_id
from pipeline.page.cells import json_safe
from pipeline.page.statement_texts import BROKEN, TEXTS, WATCH_OUT, text_destroyed
from pipeline.scoring.verdict import INCONCLUSIVE, NOT_TESTABLE, OTHER_TASK_VERDICTS, SAME, Correction
from pipeline.store.figure_types import SuiteRow

Linked = tuple[str, list[str]]
"""Words of a sentence, and links to their evidence."""


def rule_name(name: RuleName, constraint: Constraint) -> str:
    """The display name of a rule."""
    kind, against = name
    arm = names.arm(against, constraint)
    effects = {"lift": "the base", "training effect": "the best baseline"}
    return {
        "lift": "lift over the base",
        "training effect": f"training effect over the best baseline ({arm})",
        "non-inferiority": f"no regression on {names.suite(against)}",
        "equivalence": f"the same as {effects[against]}" if against in effects else f"{arm} is the same as the fine-tuned model",
        "hallucination": f"hallucination rate against {arm}",
        "request price": f"price of a request against {arm}",
        "break-even": f"break-even against {arm} (requests)",
    }[kind]


def rule_row(rule: Rule, cell: CellRow) -> RuleRow:
    """A rule as report.json has it."""
    row: Any = vars(rule) | {"evidence": link(rule.evidence), "rule": rule_name(rule.name, cell["constraint"])}
    in_report: RuleRow = json_safe(row)
    return in_report


def advice_row(advice: Advice, cell: CellRow) -> AdviceRow:
    """A recommendation as report.json has it."""
    sentences: list[SentenceRow] = [
        {
            "kind": statement.kind,
            "text": TEXTS[statement.kind](statement, cell),
            "evidence": link(statement.evidence),
            "rule": None if statement.rule is None else rule_name(statement.rule, cell["constraint"]),
        }
        for statement in advice.statements
    ]
    return {
        "task": advice.task,
        "cell": advice.cell,
        "label": advice.label,
        "use": advice.use,
        "verdict": advice.verdict,
        "sentences": sentences,
    }


def summary(advice: Sequence[Advice], claims: Sequence[Claim], cells: Sequence[CellRow], correction: Correction) -> list[SummarySentence]:
    """The whole verdict in one paragraph, sentence by sentence: [{text, evidence, spans}].

    `evidence` holds one link for every task or claim that the sentence is about, `spans` the position of its words in the text: the
    first character and the one after the last.

    Args:
        cells: of report.json.
    """
    labels = {cell["cell"]: label_in_list(cell) for cell in cells}
    sentences = recommendations(advice, cells, labels)
    destroyed = destroyed_text(advice, labels)
    sentences += destroyed
    sentences += other_tasks(claims, cells, {anchor for row in destroyed for anchor in row["evidence"]})
    sentences += seeds([statement for row in advice for statement in row.statements if statement.kind == "seeds"])
    return [*sentences, method(claims, cells, correction)]


def method(claims: Sequence[Claim], cells: Sequence[CellRow], correction: Correction) -> SummarySentence:
    """How many tests the verdicts rest on, and how many more were planned."""
    tests = (fmt.plural(len(claims), "confirmatory test"), [CLAIMS] if claims else [])
    left_out = sum(not row["measurable"] for cell in cells for row in cell["forgetting"])
    planned = f" ({left_out} more planned, not testable)" if left_out else ""
    return sentence(
        tests, f", {fmt.corrected(correction)}{planned}. Every other figure is exploratory: a hint, not a proof.", kind="method"
    )


def recommendations(advice: Sequence[Advice], cells: Sequence[CellRow], labels: dict[str, str]) -> list[SummarySentence]:
    """What to use: the whole statement on a single task, else the tasks that share a recommendation in one sentence each."""
    if len(advice) == 1:
        (row,) = advice
        first = row.statements[0]
        text = TEXTS[first.kind](first, cells[0])
        opening, _, rest = text.partition(":")
        return [sentence((opening, [link(first.evidence)]), f":{rest}" if rest else "", kind="answer")]
    do_not, use, open_question = "Do not use the fine-tuned model for ", "Use the fine-tuned model for ", "Inconclusive for "
    same = "The same as the best baseline within the margin for "
    groups: dict[str, list[Advice]] = {do_not: [], use: [], same: [], open_question: []}
    for row in advice:
        groups[{"tuned": use, SAME: same, INCONCLUSIVE: open_question}.get(row.use, do_not)].append(row)
    is_sweep = any(cell["coordinates"] for cell in cells)
    points = Counter(row.task for row in advice)
    is_of_variants = {key for cell in cells for key in cell["point"]} == {VARIANT}
    preposition, noun = ("with", "variant") if is_of_variants else ("at", "point")
    listed = {
        opening: listing(rows, labels, points if is_sweep else Counter(), (preposition, "any" if opening == do_not else "every", noun))
        for opening, rows in groups.items()
        if rows
    }
    return [sentence(opening, *enumeration(items), ".", kind="answer") for opening, items in listed.items()]


MAX_NAMES = 6
"""More tasks, or points of a sweep, than these are counted in a sentence, not named."""
MAX_POINTS = 2
"""More points of one task than these are counted."""


def listing(
    rows: Sequence[Advice], labels: dict[str, str], points: Mapping[str, int], place: tuple[str, str, str] = ("at", "every", "point")
) -> list[Linked]:
    """The tasks that share a recommendation, each with its evidence.

    Args:
        points: of every task, how many points a sweep, or variants, it has; empty without either.
        place: preposition, quantifier of all of them, and what one of them is called: a recommendation against any, one for every.
    """
    preposition, quantifier, noun = place
    items: list[Linked] = []
    for task in dict.fromkeys(row.task for row in rows):
        own = [row for row in rows if row.task == task]
        links = [link(row.statements[0].evidence) for row in own]
        if len(own) == points.get(task):
            items.append((f"{task} {preposition} {quantifier} {noun}" if len(own) > 1 else labels[own[0].cell], links))
        elif len(own) > MAX_POINTS and points:
            items.append((f"{task} {preposition} {len(own)} of {points[task]} {noun}s", links))
        else:
            items += [(labels[row.cell], [anchor]) for row, anchor in zip(own, links, strict=True)]
    if len(items) <= MAX_NAMES:
        return items
    count = f"{len(rows)} of {sum(points.values())} {noun}s" if points else fmt.plural(len(rows), "task")
    return [(count, [anchor for _, links in items for anchor in links])]


def sentence(*parts: str | Linked, kind: SentenceKind = "note") -> SummarySentence:
    """A sentence of the summary from its parts."""
    text = ""
    evidence: list[str] = []
    spans: list[list[int]] = []
    for part in parts:
        words, links = (part, []) if isinstance(part, str) else part
        evidence += links
        spans += [[len(text), len(text) + len(words)]] * len(links)
        text += words
    return {"kind": kind, "text": text, "evidence": evidence, "spans": spans}


def destroyed_text(advice: Sequence[Advice], labels: dict[str, str]) -> list[SummarySentence]:
    """The adapters that destroy general text, with the rise of the loss on plain English; of a single task the whole statement."""
    if len(advice) == 1:
        rows = [row for row in advice[0].statements if row.kind == "text destroyed"]
        rests = [text_destroyed(row).removeprefix(WATCH_OUT + BROKEN) for row in rows]
        return [sentence(WATCH_OUT, (BROKEN, [link(row.evidence)]), rest, kind="warning") for row, rest in zip(rows, rests, strict=True)]
    rises = [(labels[row.cell], statement) for row in advice for statement in row.statements if statement.kind == "text destroyed"]
    items = [(f"{label} (+{rise.figures[0]:.1f} nats/token)", [link(rise.evidence)]) for label, rise in rises if rise.figures]
    return [sentence(f"{WATCH_OUT}{BROKEN}: ", *enumeration(items), ".", kind="warning")] if items else []


def other_tasks(claims: Sequence[Claim], cells: Sequence[CellRow], destroyed: Collection[str]) -> list[SummarySentence]:
    """How many of the checks on other tasks got which verdict, those that could not be tested among them.

    Args:
        destroyed: evidence of the destroyed texts, which have a sentence of their own.
    """
    links: dict[str, list[str]] = {word: [] for word in OTHER_TASK_VERDICTS}
    claimed = [claim for claim in claims if claim.kind == "non-inferiority" and link(claim.evidence) not in destroyed]
    for claim in claimed:
        links[claim.verdict or INCONCLUSIVE].append(link(claim.evidence))
    untestable = [(cell["cell"], row["suite"]) for cell in cells for row in cell["forgetting"] if not row["measurable"]]
    links[NOT_TESTABLE] = [f"#{row_id('suites', cell, suite)}" for cell, suite in untestable]
    suites = {claim.subject for claim in claimed} | {suite for _, suite in untestable}
    parts: list[str | Linked] = []
    for word in OTHER_TASK_VERDICTS:
        if links[word]:
            parts += [", "] if parts else []
            parts += [(f"{len(links[word])} {word}", links[word])]
    if untestable:
        floors = {"guessing" if suite == general_text.PARAGRAPHS else "a constant answer" for _, suite in untestable}
        fallen = sum(beyond_margin(row) for cell in cells for row in cell["forgetting"] if not row["measurable"])
        worse = f"; {fallen} got worse by more than the margin all the same" if fallen else ""
        parts += [f" (the base itself does no better than {' or '.join(sorted(floors))} there{worse})"]
    groups = ["other tasks"] * bool(suites - {general_text.PARAGRAPHS}) + ["plain English"] * (general_text.PARAGRAPHS in suites)
    return [sentence(f"On {' and '.join(groups)}: ", *parts, ".")] if parts else []


def beyond_margin(suite: SuiteRow) -> bool:
    """Whether the interval of a change lies beyond its margin; of a loss a rise is worse."""
    return suite["low"] > suite["margin"] if suite["kind"] == "loss" else suite["high"] < suite["margin"]


ONE_RUN = "One training run per task: another seed may move these scores by an unknown amount, which no interval here covers."


def seeds(statements: Sequence[Statement]) -> list[SummarySentence]:
    """How far another training seed may move the scores."""
    spreads = [statement.share for statement in statements if statement.share is not None]
    if statements and not spreads:
        return [sentence(ONE_RUN)]
    if not spreads:
        return []
    low, high = fmt.number(min(spreads), 3), fmt.number(max(spreads), 3)
    return [
        sentence(
            f"Another training seed may move these scores by about {low if low == high else f'{low} to {high}'}, which intervals cover."
        )
    ]


def label_in_list(cell: CellRow) -> str:
    """A cell as a part of a list: `boolq (rank 8)`."""
    return f"{cell['task']} ({cell['coordinates']})" if cell["coordinates"] else str(cell["task"])


def enumeration(items: Sequence[Linked]) -> list[str | Linked]:
    """The items with separators: `a, b and c`."""
    parts: list[str | Linked] = []
    for remaining, item in zip(range(len(items) - 1, -1, -1), items, strict=True):
        parts.append(item)
        if remaining:
            parts.append(" and " if remaining == 1 else ", ")
    return parts
