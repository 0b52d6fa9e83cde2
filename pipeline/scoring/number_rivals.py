"""The result of the last equation, unless a text says before it what may be the answer instead: `$18 a day. 18 * 7 = 126 a week.`"""

import regex

from pipeline.metrics import numbers
from pipeline.scoring import number_equations, number_question
from pipeline.scoring.number_equations import BETWEEN, EQUALS
from pipeline.scoring.number_grounds import spelled_values, stems
from pipeline.scoring.number_sentences import Sentence, Value

IN_BRACKETS = regex.compile(r"\((?=[^()=]*=)")
"""Opens brackets that hold an equation."""


def last_result(sentences: list[Sentence], of_prompt: set[Value], mark: numbers.Mark | None, prompt: str) -> Value:
    """The result of the last equation; None where it has a rival, only checks an earlier one, or has a unit that is not asked for.

    Args:
        of_prompt: the numbers of the prompt.
    """
    value = number_equations.last(sentences, of_prompt, mark)
    if value is None:
        return None
    place = max(place for place, sentence in enumerate(sentences) if value in sentence.values)
    upto = sentences[: place + 1]
    all_values = {*of_prompt, *spelled_values(prompt), value}
    is_beside = has_rival(upto, all_values, mark, prompt) or is_check(upto, of_prompt, mark) or is_in_other_unit(value, upto[-1], prompt)
    return None if is_beside else value


def has_rival(sentences: list[Sentence], of_prompt: set[Value], mark: numbers.Mark | None, prompt: str) -> bool:
    """Whether a clause without an equation brings a new number, in the last sentence or in one with as many words of the question.

    Args:
        of_prompt: the numbers of the prompt, and the result.
    """
    question = stems(number_question.question(prompt))
    final = len(stems(sentences[-1].text) & question)
    earlier = {*of_prompt, None}
    for sentence in sentences:
        may_answer = sentence is sentences[-1] or len(stems(sentence.text) & question) >= final
        for clause in clauses(sentence):
            values = number_equations.numbers_in(clause, mark)
            if EQUALS.search(clause):
                earlier |= values
            elif may_answer and values - earlier:
                return True
    return False


def is_check(sentences: list[Sentence], of_prompt: set[Value], mark: numbers.Mark | None) -> bool:
    """Whether the last equation turns an earlier one round: `26 + 24 = 50` after `50 - 24 = 26`."""
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
    behind = {
        number_question.unit_of(sentence.text, run) for run, other in zip(sentence.runs, sentence.values, strict=True) if other == value
    }
    named = {part for unit in behind if unit and unit != "$" for part in unit.split("/")} or units(sentence.text)
    return bool(named - units(prompt)) and not units(number_question.question(prompt)) <= named


def units(text: str) -> set[str]:
    """The units that a text names in words; both of a rate."""
    named = [number_question.UNITS.get(word.casefold()) for word in regex.findall(r"\p{L}{3,}", text)]
    return {part for unit in named if unit for part in unit.split("/")}
