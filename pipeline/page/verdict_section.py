"""Puts the verdict into words: the sentences of the paragraph that opens the page, the advice and the names of its rules."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.measures import constant_baseline, names
from pipeline.measures.advice import Advice, Rule, RuleName, Statement
from pipeline.measures.cell_types import CellRow
from pipeline.measures.claims import Claim
from pipeline.measures.report_types import AdviceRow, RuleRow, SentenceRow, SummarySentence
from pipeline.page import fmt
from pipeline.page.anchors import CLAIMS, link
from pipeline.page.cells import json_safe
from pipeline.scoring.verdict import BETTER, CANNOT_TELL, VERDICTS

Linked = tuple[str, list[str]]
"""Words of a sentence, and links to their evidence."""
NOTES = {BETTER: " (shown to stay within the margin)"}
"""What a verdict on an other-task suite means, if its word alone would mislead."""


def rule_name(name: RuleName) -> str:
    """The display name of a rule."""
    kind, against = name
    return {
        "lift": "lift over the base",
        "learned": f"learned over {names.arm(against)}",
        "non-inferiority": f"kept on {names.suite(against)}",
        "hallucination": f"hallucination against {names.arm(against)}",
        "request price": f"dollars a request against {names.arm(against)}",
        "break-even": f"requests from which it is cheaper than {names.arm(against)}",
    }[kind]


def rule_row(rule: Rule) -> RuleRow:
    """A rule as report.json has it."""
    row: Any = vars(rule) | {"evidence": link(rule.evidence), "rule": rule_name(rule.name)}
    in_report: RuleRow = json_safe(row)
    return in_report


def advice_row(advice: Advice, cell: CellRow) -> AdviceRow:
    """A recommendation as report.json has it."""
    sentences: list[SentenceRow] = [
        {
            "kind": statement.kind,
            "text": TEXTS[statement.kind](statement, cell),
            "evidence": link(statement.evidence),
            "rule": None if statement.rule is None else rule_name(statement.rule),
        }
        for statement in advice.statements
    ]
    return {"task": advice.task, "cell": advice.cell, "label": advice.label, "use": advice.use, "sentences": sentences}


def lift_of(claim: Claim | None) -> str:
    """A claim's figure with its interval."""
    return fmt.change(claim.value, claim.low, claim.high) if claim else ""


def nothing_claimed(_: Statement, cell: CellRow) -> str:
    return f"Cannot tell what to use for {cell['label']}: nothing was claimed."


def use_tuned(statement: Statement, cell: CellRow) -> str:
    untried = "; examples in the prompt and a fixed form of the answer were not tried" if is_lift(statement) else ""
    return f"Use the fine-tune when the task is {cell['label']}: it is {compared(statement)}{untried}."


def is_lift(statement: Statement) -> bool:
    return statement.claim is not None and statement.claim.kind == "lift"


def compared(statement: Statement) -> str:
    """`better than the base by +0.31 [0.27, 0.35]`."""
    word = statement.claim.verdict if statement.claim else CANNOT_TELL
    return f"{word} than {names.arm(statement.rival)} by {lift_of(statement.claim)}"


def use_another(statement: Statement, cell: CellRow) -> str:
    return f"Use {names.arm(statement.arm)} when the task is {cell['label']}: the fine-tune is {compared(statement)}."


def undecided(statement: Statement, cell: CellRow) -> str:
    against = names.arm(statement.rival)
    qualifier = ", though it is better than the bare base" if statement.beats_base else ""
    opening = f"Cannot tell whether the fine-tune is better than {against} on {cell['label']} ({lift_of(statement.claim)}){qualifier}"
    return f"{opening}: use {against} when training is to be spared."


def use_neither(statement: Statement, cell: CellRow) -> str:
    opening = f"Use neither the fine-tune nor {names.arm(statement.rival)} when the task is {cell['label']}"
    return f"{opening}: {scores(cell, statement.rival)} (exploratory)."


def undecided_against_constant(statement: Statement, cell: CellRow) -> str:
    opening = f"Cannot tell whether {names.arm(statement.arm)} is better than an answer that is always the same on {cell['label']}"
    return f"{opening} ({beside_constant(cell, statement.arm)}exploratory): {scores(cell, statement.rival)}."


def share_of_constant(statement: Statement, cell: CellRow) -> str:
    over = over_constant(cell)
    against = f": against it {over} (exploratory)" if over else ""
    share = 100 * (statement.share or 0.0)
    return f"Much of this may be form, {share:.0f} % of the lift: {scores(cell, statement.rival)}{against}."


def beside_constant(cell: CellRow, arm: str) -> str:
    """The interval that leaves open whether an arm beats the constant answer."""
    over = over_constant(cell)
    own = constant_baseline.interval(cell, arm)
    if arm == "tuned" and over:
        return f"{over}, "
    return f"its own score lies in [{own[0]:.2f}, {own[1]:.2f}], " if own else ""


def over_constant(cell: CellRow) -> str:
    """Tuned over the arm `constant`, with its interval; empty if the recipe does not have it."""
    over = cell["constant_answer"]["tuned_over"] if cell["constant_answer"] else None
    return fmt.change(over["lift"], over["low"], over["high"]) if over else ""


def scores(cell: CellRow, rival: str) -> str:
    by_arm = {arm: constant_baseline.score(cell, arm) for arm in (rival, "tuned")}
    assert cell["constant_answer"] is not None  # only then is it worded
    constant = f"an answer that is always the same scores {cell['constant_answer']['score']:.2f}"
    return f"{constant}, {names.arm(rival)} {by_arm[rival]:.2f}, the fine-tune {by_arm['tuned']:.2f}"


def regressed(statement: Statement, _: CellRow) -> str:
    suite = names.suite(statement.arm)
    by = margin(statement.claim)
    return f"Do not leave the adapter on for {suite}: there it is worse than the base by more than {by}."


def undecided_on_suite(statement: Statement, _: CellRow) -> str:
    suite = names.suite(statement.arm)
    by = margin(statement.claim)
    return f"Cannot tell whether the fine-tune is worse on {suite} by more than {by}: try it there before it is used so."


def margin(claim: Claim | None) -> str:
    """The margin of a claim on an other-task suite, with its unit: nats per token for a loss, none for a score."""
    if claim is None or claim.margin is None:
        return ""
    return f"{claim.margin:g}{' nats per token' if claim.unit == 'nats/token' else ''}"


def invents(statement: Statement, _: CellRow) -> str:
    by = fmt.change(*statement.figures) if statement.figures else ""
    return f"Use the base when no fact may be invented: the fine-tune is worse there by {by} of the answers (exploratory)."


def break_even(statement: Statement, _: CellRow) -> str:
    by, arm_to_use = break_even_words(statement)
    return f"{by[0].upper()}{by[1:]}, {arm_to_use}."


def break_even_words(statement: Statement) -> tuple[str, str]:
    """What is compared, and which arm to use from how many requests on."""
    by = f"by {'price' if statement.is_priced else 'time'} alone"
    other = names.arm(statement.arm)
    if statement.requests is None:
        return by, f"use {other} for any number of requests"
    return by, f"use {other} for fewer than about {two_digits(statement.requests)} requests and the fine-tune for more"


def two_digits(requests: int) -> str:
    """Two digits: an estimate from measured speeds deserves no more."""
    digits = max(0, len(str(requests)) - 2)
    return f"{-(-requests // 10**digits) * 10**digits:,}"


TEXTS: Mapping[str, Callable[[Statement, CellRow], str]] = {
    "nothing claimed": nothing_claimed,
    "use tuned": use_tuned,
    "use another arm": use_another,
    "undecided": undecided,
    "use neither": use_neither,
    "undecided against constant": undecided_against_constant,
    "share of constant": share_of_constant,
    "regressed": regressed,
    "undecided on suite": undecided_on_suite,
    "invents": invents,
    "pays off": break_even,
    "never pays off": break_even,
}
"""The sentence of every kind of statement."""


def summary(advice: Sequence[Advice], claims: Sequence[Claim], cells: Sequence[CellRow]) -> list[SummarySentence]:
    """The whole verdict in one paragraph, sentence by sentence: [{text, evidence, spans}].

    `evidence` holds one link for every task or claim that the sentence is about, `spans` the position of its words in the text: the
    first character and the one after the last.

    Args:
        cells: of report.json.
    """
    labels = {cell["cell"]: label_in_list(cell) for cell in cells}
    openings = OPENINGS | {row.use: f"Use {names.arm(row.use)} for" for row in advice if row.use not in OPENINGS}
    sentences = []
    for use, opening in openings.items():
        tasks = [(labels[row.cell], [link(row.statements[0].evidence)]) for row in advice if row.use == use]
        sentences += [sentence(f"{opening} ", *enumeration(tasks), ".")] if tasks else []
    on_suites = [claim for claim in claims if claim.kind == "non-inferiority"]
    sentences += [suites(on_suites)] if on_suites else []
    priced = [
        (row, statement)
        for row in advice
        for statement in row.statements
        if row.use == "tuned" and statement.kind in ("pays off", "never pays off")
    ]
    if len(priced) == 1:  # with several tasks, every task has its own sentence
        row, statement = priced[0]
        sentences.append(price(statement, "" if len(advice) == 1 else labels[row.cell]))
    family = fmt.plural(len(claims), "claim")
    return [*sentences, sentence((family, [CLAIMS] if claims else []), " in the family; all else is exploratory.")]


OPENINGS = {
    "tuned": "Use the fine-tune for",
    CANNOT_TELL: "Cannot tell what is better for",
    constant_baseline.NEITHER: "Use neither for",
}
"""The first words of the sentence on the tasks that share a recommendation."""


def sentence(*parts: str | Linked) -> SummarySentence:
    """A sentence of the summary from its parts."""
    text = ""
    evidence: list[str] = []
    spans: list[list[int]] = []
    for part in parts:
        words, links = (part, []) if isinstance(part, str) else part
        evidence += links
        spans += [[len(text), len(text) + len(words)]] * len(links)
        text += words
    return {"text": text, "evidence": evidence, "spans": spans}


def suites(claims: Sequence[Claim]) -> SummarySentence:
    """How many claims on other-task suites got which verdict."""
    parts: list[str | Linked] = []
    for verdict in VERDICTS:
        links = [link(claim.evidence) for claim in claims if claim.verdict == verdict]
        if links:
            parts += [", "] if parts else []
            parts += [(f"{len(links)} {verdict}", links), NOTES.get(verdict, "")]
    return sentence(f"Asked {fmt.plural(len(claims), 'time')} for what it was not trained for: ", *parts, ".")


def price(statement: Statement, task: str) -> SummarySentence:
    """The one sentence on prices; task: which one, if there are several."""
    by, arm_to_use = break_even_words(statement)
    links = [link(statement.evidence)]
    if task:
        return sentence("On ", (task, links), f": {by}, {arm_to_use}.")
    return sentence((f"{by[0].upper()}{by[1:]}", links), f", {arm_to_use}.")


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
