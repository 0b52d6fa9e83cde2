"""The result of the last equation, unless a text says before it what may be the answer instead: `$18 a day. 18 * 7 = 126 a week.`"""

import regex

from pipeline.metrics import numbers
from pipeline.scoring import number_equations, number_question
from pipeline.scoring.number_equations import BETWEEN, EQUALS
from pipeline.scoring.number_grounds import IS, is_alone, spelled_values, stems
from pipeline.scoring.number_sentences import Sentence, Value

ASIDE = regex.compile(r"\s*which\b")
"""Begins an equation about the number before it."""
OPERAND_LEAD = 2
"""Words of the question that a clause needs more than the equation has, if the equation computes with its number."""
CLEAR_LEAD = 3
"""And if an earlier equation gave that number."""
IN_BRACKETS = regex.compile(r"\((?=[^()=]*=)")
"""Opens brackets that hold an equation."""


def last_result(sentences: list[Sentence], of_prompt: set[Value], mark: numbers.Mark | None, prompt: str) -> Value:
    """The result of the last equation; None where it has a rival, only checks an earlier one, or has a unit that is not asked for.

    Args:
        of_prompt: the numbers of the prompt.
    """
    prompt_values = {*of_prompt, *spelled_values(prompt)}
    value = number_equations.last(sentences, of_prompt, mark) or number_equations.chain_result(sentences, prompt_values, mark)
    if value is None:
        return None
    place = max(place for place, sentence in enumerate(sentences) if value in sentence.values)
    upto = sentences[: place + 1]
    is_beside = (
        has_rival(upto, {*prompt_values, value}, mark, prompt)
        or is_check(upto, of_prompt, mark, prompt)
        or is_in_other_unit(value, upto[-1], prompt)
    )
    return None if is_beside else value


def has_rival(sentences: list[Sentence], of_prompt: set[Value], mark: numbers.Mark | None, prompt: str) -> bool:
    """Whether a clause without an equation brings a number and says more of the question than the last equation does, or nothing else.

    Args:
        of_prompt: the numbers of the prompt, and the result.
    """
    question = stems(number_question.question(prompt))
    equation = next((clause for clause in reversed(clauses(sentences[-1])) if EQUALS.search(clause)), sentences[-1].text)
    overlap, operands = len(stems(equation) & question), number_equations.numbers_in(equation, mark)
    is_about_another = not overlap and bool(stems(equation))
    computed: set[Value] = set()
    for sentence in sentences:
        is_explained = sentence is sentences[-1] and ASIDE.match(equation)
        for clause in clauses(sentence):
            runs = [*numbers.runs(clause)]
            rivals = {numbers.value_of(run, mark) for run in runs} - {*of_prompt, None}
            if EQUALS.search(clause):
                computed |= number_equations.numbers_in(clause, mark)
            elif rivals <= computed:  # a result that the text repeats on its way
                if rivals and len(stems(clause) & question) >= overlap + CLEAR_LEAD:
                    return True
            else:
                is_operand = rivals <= operands and not is_about_another and not IS.search(clause[: runs[0].start()])
                least = OPERAND_LEAD if is_operand else 1
                if is_explained or is_alone(clause) or len(stems(clause) & question) >= overlap + least:
                    return True
    return False


def is_check(sentences: list[Sentence], of_prompt: set[Value], mark: numbers.Mark | None, prompt: str) -> bool:
    """Whether the last equation turns an earlier one round and says nothing of the question: `26 + 24 = 50` after `50 - 24 = 26`."""
    if stems(sentences[-1].text) & stems(number_question.question(prompt)):
        return False
    equations = [clause for sentence in sentences for clause in clauses(sentence) if EQUALS.search(clause)]
    *earlier, last = [(number_equations.numbers_in(clause, mark), number_equations.result(clause, of_prompt, mark)) for clause in equations]
    return any(terms == last[0] and result not in (None, last[1]) for terms, result in earlier)


def clauses(sentence: Sentence) -> list[str]:
    """The clauses of a sentence, and each equation in brackets."""
    return [clause for part in IN_BRACKETS.split(sentence.text) for clause in BETWEEN.split(part)]


def is_in_other_unit(value: str, sentence: Sentence, prompt: str) -> bool:
    """Whether a result has a unit that the prompt lacks and lacks one of the question: a sum `a week` where it asks for a day.

    Its own unit, else those that its sentence names. Where the question asks for a year, whether it is none.
    """
    if number_question.asks_year(prompt):
        return not number_question.YEAR.fullmatch(value)
    if len(stems(sentence.text) & stems(number_question.question(prompt))) > 1:
        return False
    behind = {
        number_question.unit_of(sentence.text, run) for run, other in zip(sentence.runs, sentence.values, strict=True) if other == value
    }
    named = {part for unit in behind if unit and unit != "$" for part in unit.split("/")} or units(sentence.text)
    return bool(named - units(prompt)) and not units(number_question.question(prompt)) <= named


def units(text: str) -> set[str]:
    """The units that a text names in words; both of a rate."""
    named = [number_question.UNITS.get(word.casefold()) for word in regex.findall(r"\p{L}{3,}", text)]
    return {part for unit in named if unit for part in unit.split("/")}
