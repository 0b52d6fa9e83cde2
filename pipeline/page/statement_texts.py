"""Puts the statements of an advice into sentences. They stand below the name of their task, so they do not repeat it."""

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence

from pipeline.measures import constant_baseline, names
from pipeline.measures.advice import Statement
from pipeline.measures.cell_types import CellRow, ConstantAnswer
from pipeline.measures.claims import Claim
from pipeline.measures.failure_causes import Cause
from pipeline.page import fmt
from pipeline.scoring.verdict import IMPROVED, THIS_TASK_ONLY, WORSE

MAX_ANSWER = 60
"""Letters of an answer in a sentence."""
WATCH_OUT = "Watch out: "
BROKEN = "the adapter breaks the model on general text"


def nothing_claimed(_: Statement, cell: CellRow) -> str:
    return "Inconclusive: nothing was tested."


def not_finished(_: Statement, cell: CellRow) -> str:
    return "No verdict yet: other tasks are not finished, and all are judged together."


def smoke_test(_: Statement, cell: CellRow) -> str:
    return "No verdict: a smoke test shows that every step runs, and not how good the model is."


def effect(cell: CellRow) -> str:
    """`accuracy 0.90 against 0.48 (best baseline: few-shot base); +0.42, 95 % interval 0.35 to 0.49 (60 test examples)`."""
    n = cell["headline"]["n"]
    return f"{fmt.effect(cell['headline'], names.arm(cell['headline']['baseline'], cell['constraint']))} ({fmt.plural(n, 'test example')})"


def use_tuned(statement: Statement, cell: CellRow) -> str:
    model = cell["variant"] if cell["predictions"] else "the fine-tuned model"
    opening = f"Use {model}{f' on {THIS_TASK_ONLY}' if statement.is_limited else ''}"
    return f"{opening}: {effect(cell)}.{not_tested([names.arm(arm, cell['constraint']) for arm in statement.untested])}"


def not_tested(arms: Sequence[str]) -> str:
    """A reservation: the baselines that might do as well."""
    if not arms:
        return ""
    return f" {capital(fmt.enumerated(arms))} {'were' if arms[1:] else 'was'} not tested and may do as well."


def do_not_use(statement: Statement, cell: CellRow) -> str:
    model = cell["variant"] if cell["predictions"] else "this fine-tune"
    return f"Do not use {model}: {effect(cell)}.{beside_constant(statement, cell)}{cause_sentence(statement.causes)}"


def beside_constant(statement: Statement, cell: CellRow) -> str:
    """That the model is not shown to beat a constant answer, with both scores, or which answer that is where the effect has the scores."""
    constant, verdict = cell["constant_answer"], statement.against_constant
    if constant is None or verdict == IMPROVED:
        return ""
    is_named = constant["answer"] and cell["constraint"] == "choices"  # a model card quotes no other text of a user's data
    answer = f" ({quoted(constant['answer'] or '')})" if is_named else ""
    loses = "It is worse than" if verdict == WORSE else "It is not shown to beat"
    if cell["headline"]["baseline"] == "constant":
        return f" {loses} the constant answer{answer}."
    return f" {loses} a constant answer{answer}, which scores {fmt.number(constant['score'])}{over_constant(constant, cell)}."


def over_constant(constant: ConstantAnswer, cell: CellRow) -> str:
    """The interval that leaves open whether the fine-tuned model beats the constant answer."""
    if constant["tuned_over"]:
        over = constant["tuned_over"]
        return f" ({fmt.spelled_change(over['lift'], over['low'], over['high'], cell['headline']['confidence'])})"
    own = constant_baseline.interval(cell, "tuned")
    return f" (its own score has the interval {own[0]:.2f} to {own[1]:.2f})" if own else ""


def quoted(answer: str) -> str:
    """An answer on one line, shortened."""
    return f'"{textwrap.shorten(answer, MAX_ANSWER, placeholder=" ...")}"'


def cause_sentence(causes: tuple[Cause, ...]) -> str:
    if not causes:
        return ""
    return f" Likely {'cause' if len(causes) == 1 else 'causes'}: {'; '.join(CAUSES[cause.kind](cause) for cause in causes)}."


CAUSES: Mapping[str, Callable[[Cause], str]] = {
    "unparsed": lambda cause: (
        f"{cause.value:,.0f} of {cause.of:,.0f} answers are unparsable (read a few: prompt and target may not ask for the same form)"
    ),
    "truncated": lambda cause: f"{cause.value:,.0f} of {cause.of:,.0f} answers are truncated (raise generate.max_new_tokens)",
    "endless": lambda cause: f"{cause.value:,.0f} of {cause.of:,.0f} answers end in a repetition loop",
    "one answer": lambda cause: (
        f"the model collapsed to one answer, {cause.value:,.0f} of {cause.of:,.0f} are "
        f"{quoted(cause.answer) if cause.answer else 'the same'} (check the balance of the training targets and finetune.learning_rate)"
    ),
    "few steps": lambda cause: f"only {fmt.plural(int(cause.value), 'optimizer step')} (raise finetune.epochs or add training rows)",
    "loss not falling": lambda cause: (
        f"the training loss did not fall ({cause.of:.2f} to {cause.value:.2f}; change finetune.learning_rate)"
    ),
}


def same(statement: Statement, cell: CellRow) -> str:
    """Where the interval excludes zero the effect is real, but the recipe calls one of that size none."""
    headline = cell["headline"]
    low, high = headline["low"], headline["high"]
    side = "above" if low is not None and low > 0 else "below" if high is not None and high < 0 else ""
    sign = f" It is {side} zero, but by less than the margin." if side else ""
    ruled_out = f"a difference of {headline['same_within']:g} or more is ruled out"
    rival = capital(names.arm(statement.rival, cell["constraint"]))
    return f"Same within the margin: {effect(cell)}; {ruled_out}.{sign} {rival} needs no training."


def capital(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def inconclusive(statement: Statement, cell: CellRow) -> str:
    qualifier = " It does improve on the base alone." if statement.beats_base else ""
    rival = names.arm(statement.rival, cell["constraint"])
    least = cell["headline"]["smallest_effect"]
    size = f" A test set of this size detects {fmt.number(least)} or more." if least is not None and least < 1 else ""
    return f"Inconclusive: {effect(cell)}.{qualifier}{size} There is no evidence that training pays off; {rival} needs no training."


def share_of_baseline(statement: Statement, cell: CellRow) -> str:
    share = 100 * (statement.share or 0.0)
    score = fmt.number(constant_baseline.score(cell, statement.rival))
    rival = names.arm(statement.rival, cell["constraint"])
    return f"{share:.0f} % of the lift over the base needs no training: {rival} already scores {score}."


def base_unparsable(statement: Statement, cell: CellRow) -> str:
    number, _, answers = statement.figures or (0, None, 0)
    share = f"All {number:,.0f}" if number == answers else f"{number:,.0f} of {answers or 0:,.0f}"
    return (
        f"{share} answers of the base are unparsable and count as wrong, so the lift over it measures output format too, not skill alone."
    )


def text_destroyed(statement: Statement, _: CellRow | None = None) -> str:
    rise = statement.figures[0] if statement.figures else 0.0
    times = two_digits(round(math.exp(rise)))
    loss = f"its loss on plain English rises by {rise:.1f} nats/token (the right token is about {times} times less likely)"
    return f"{WATCH_OUT}{BROKEN}: {loss}. Disable it for everything else."


def seeds(statement: Statement, cell: CellRow) -> str:
    if statement.share is None and cell["predictions"]:
        return "One set of predictions from elsewhere: another training run may score differently by an unknown amount."
    if statement.share is None and cell["variant"]:
        return "One fine-tune from elsewhere: another training run of it may score differently by an unknown amount."
    if statement.share is None:
        return "One training run: another seed may move this score by an unknown amount (add finetune.seeds)."
    spread = f"about {fmt.number(statement.share, 3)} (standard deviation of {len(cell['seeds'])} seeds)"
    return f"Another seed may move this score by {spread}; the interval covers it."


def regressed(statement: Statement, _: CellRow) -> str:
    claim = statement.claim
    if claim is None:
        return ""
    by = f"{abs(claim.value):.3f}"  # a margin is 0.02
    change = f"its loss is {by} nats/token higher" if claim.unit == "nats/token" else f"it scores {by} lower"
    return f"Disable the adapter for {names.suite(statement.arm)}: {change} than the base there (margin {margin(claim)})."


def inconclusive_on_suite(statement: Statement, _: CellRow) -> str:
    what = "rise" if statement.claim and statement.claim.unit == "nats/token" else "drop"
    suite = names.suite(statement.arm)
    return (
        f"Inconclusive on {suite}: a {what} of more than {margin(statement.claim)} cannot be ruled out. "
        "Test it before using the adapter there."
    )


def margin(claim: Claim | None) -> str:
    """The size of a margin with its unit: nats per token for a loss, none for a score."""
    if claim is None or claim.margin is None:
        return ""
    return f"{abs(claim.margin):g}{' nats/token' if claim.unit == 'nats/token' else ''}"


def hallucinates_more(statement: Statement, _: CellRow) -> str:
    by = fmt.change(*statement.figures) if statement.figures else ""
    return f"The fine-tuned model hallucinates more often than the base: {by} of its answers (exploratory)."


def break_even(statement: Statement, cell: CellRow) -> str:
    by = "by price" if statement.is_priced else "by machine time"
    other = names.arm(statement.arm, cell["constraint"])
    if statement.requests is None:
        return f"Break-even: never; {by} the fine-tuned model is not cheaper than {other} at any number of requests."
    return f"Break-even: {by} the fine-tuned model is cheaper than {other} from about {two_digits(statement.requests)} requests on."


def two_digits(requests: int) -> str:
    """Two digits: an estimate from measured speeds deserves no more."""
    digits = max(0, len(str(requests)) - 2)
    return f"{-(-requests // 10**digits) * 10**digits:,}"


TEXTS: Mapping[str, Callable[[Statement, CellRow], str]] = {
    "nothing claimed": nothing_claimed,
    "not finished": not_finished,
    "smoke test": smoke_test,
    "use tuned": use_tuned,
    "do not use": do_not_use,
    "same": same,
    "inconclusive": inconclusive,
    "share of baseline": share_of_baseline,
    "base unparsable": base_unparsable,
    "text destroyed": text_destroyed,
    "seeds": seeds,
    "regressed": regressed,
    "inconclusive on suite": inconclusive_on_suite,
    "hallucinates more": hallucinates_more,
    "pays off": break_even,
    "never pays off": break_even,
}
"""The sentence of every kind of statement."""
