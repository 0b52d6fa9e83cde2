"""Reads which number a text gives as its answer; None where the text does not say it for certain.

What counts, in this order: the number behind `####` or in a box; else the one on which all grounds of `number_grounds` agree: alone, the
only one, called the answer, in bold, the result of the last equation, the last conclusion, what the question names.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

import regex

from pipeline.metrics import numbers
from pipeline.scoring import number_equations, number_grounds, number_rivals, number_sentences, replacements
from pipeline.scoring.answer_text import after_correction, answer_part, cues, without_cue
from pipeline.scoring.number_sentences import Sentence, Value, only
from pipeline.store.records import Example

BOXED = re.compile(r"\\boxed\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
HASHES = re.compile(r"####[^\S\n]*([^\n]*)")
ANSWER = (
    r"(?<!\b(?:wrong|incorrect|false|first|previous|other)\s+)(?:(?:final|correct|right|best|my|the)\s+){0,3}"
    r"(?:answer|solution|réponse|respuesta|antwort|risposta|resposta)|答案|答え|정답|답|ответ|الإجابة|उत्तर|คำตอบ"
)
MAX_CUES = 20
"""Cues that are looked at, from the last one on: a model may repeat itself for ever."""
STATED = regex.compile(
    r"(?:\s*[\p{L}°%]+\.?){0,2}[*_`$)\\]*\s*(?:$|[.!](?:\s|$)|\(|[,;]?\s*(?:not|because|since|as|rather|instead)\b)", regex.IGNORECASE
)
"""What may follow a number right behind its cue where its sentence has other numbers, too."""
PRODUCT = regex.compile(r"(?<=\d)[x×](?=\d[\d.,x×]*\s*=)")
"""A sign without blanks in an equation: `4x3=12`."""
PROMPT_SCALE = regex.compile(r"(?<![\w.,/-])[01](?:\.0)?(?:\s*\([^()\n]*\))?\s*(?:-|–|to|and|bis|à)\s*(\d{1,3})(?:\.0)?(?![\w.,/-]*\d)")
"""A scale in a prompt that asks for a number on it, such as `from 0 (not at all) to 5`."""


def read(text: str, example: Example, mark: numbers.Mark | None) -> Value:
    """The number that a text gives; `$1,018.50` is `1018.5`. None where it has no ground, grounds that differ, or two readings."""
    part = without_scale(numbers.plain(before_own_question(answer_part(text, example), example)), example)
    part, check = number_sentences.before_check(corrected(part))
    if marked := HASHES.findall(part) or BOXED.findall(part):
        return only({stated(place, mark) for place in marked})
    part = number_sentences.without_asides(PRODUCT.sub(" x ", part), example.text)
    sentences = number_sentences.split(part, mark)
    values = {*of_grounds(part, sentences, example, mark), *of_cues(part, example, mark)} if sentences else set()
    value = only(values)
    in_check = {numbers.value_of(run, mark) for run in numbers.runs(check)}
    is_certain = value is not None and (not in_check or value in in_check) and number_grounds.has_unit(value, sentences, example.text)
    return value if is_certain else None


def of_grounds(part: str, sentences: list[Sentence], example: Example, mark: numbers.Mark | None) -> Iterator[str]:
    """The number of every ground that a text has."""
    prompt = example.text
    first = without_cue(next(line for line in part.splitlines() if line.strip()), example)
    of_prompt = {numbers.value_of(run, mark) for run in numbers.runs(numbers.plain(prompt))} - {None}
    values = (
        number_grounds.single(sentences, part, prompt),
        number_grounds.opening(part, first, of_prompt, mark),
        number_grounds.bare_start(sentences, of_prompt, prompt),
        number_grounds.predicate(sentences, of_prompt),
        number_grounds.bold(part, mark),
        number_grounds.conclusion(sentences, prompt),
        number_grounds.end_of_chain(sentences, of_prompt, prompt),
        number_grounds.subject(sentences, prompt),
        number_grounds.restated(sentences, prompt),
        number_grounds.year(sentences, prompt),
        number_grounds.counted(sentences, prompt),
        number_rivals.last_result(sentences, of_prompt, mark, prompt),
    )
    yield from (value for value in values if value is not None)


def of_cues(part: str, example: Example, mark: numbers.Mark | None) -> Iterator[Value]:
    """What every sentence gives that says what the answer is and has a number; None where one gives several."""
    pattern = cue(cues(example.text)[0].rstrip(":：").strip())
    for match in [*pattern.finditer(part)][-MAX_CUES:]:
        sentence = regex.split(r"\n|[.。!?](?:\s|$)", part[match.end() :].lstrip(" \n*_"), maxsplit=1)[0]
        if number_sentences.spoken(sentence):
            yield stated(sentence, mark)


def stated(sentence: str, mark: numbers.Mark | None) -> Value:
    """The number of a sentence that says what the answer is: its only one, the result of its equation, or the one right at its start."""
    runs = number_sentences.spoken(sentence)
    values = {numbers.value_of(run, mark) for run in runs}
    if len(values) < 2:
        return None if any(number_grounds.is_doubtful(sentence, run, "") for run in runs) else only(values)
    if (value := number_equations.result(sentence, set(), mark)) is not None:
        return value
    is_first = not regex.search(r"[\p{L}\d]", sentence[: runs[0].start()])
    return numbers.value_of(runs[0], mark) if is_first and STATED.match(sentence, runs[0].end()) else None


@lru_cache(maxsize=64)
def cue(last_cue: str) -> "regex.Pattern[str]":
    """Matches what comes before the answer where a text says which it is; last_cue: what the prompt ends with."""
    names = "|".join([ANSWER, *([regex.escape(last_cue)] if last_cue else [])])
    copula = r"\bis\b|\bare\b|\bwas\b|\bist\b|\best\b|\bes\b|[:：=]|->|→|是|为|為|は|คือ"
    return regex.compile(rf"(?<!\p{{L}})(?:{names})(?!\p{{Latin}})[^.\n:：=\d]{{0,40}}?(?:{copula})+", regex.IGNORECASE)


def corrected(part: str) -> str:
    """The text in which blanks stand for what it takes back or replaces."""
    later = after_correction(part)
    part = later if next(numbers.runs(later), None) else part
    return replacements.blanked(part, replacements.start_of_last(part, [match.span() for match in numbers.runs(part)]))


def before_own_question(part: str, example: Example) -> str:
    """The text up to a paragraph in which the model asks itself a question and answers it behind the cue of the prompt.

    All of it where no number stands before that paragraph.
    """
    cue = cues(example.text)[0]
    paragraphs = regex.split(r"(\n\s*\n)", part) if cue else []
    own_question = regex.compile(rf"[?？][\s*_]*\n[\s*_]*{regex.escape(cue)}", regex.IGNORECASE)
    for place in range(2, len(paragraphs), 2):
        before = "".join(paragraphs[:place])
        if own_question.search("".join(paragraphs[place : place + 3])) and next(numbers.runs(numbers.plain(before)), None):
            return before
    return part


def without_scale(part: str, example: Example) -> str:
    """The text without what names the scale or the whole that a number is a part of: `/5` (if the prompt names it), `out of 5`."""
    for highest in dict.fromkeys(PROMPT_SCALE.findall(example.text)):
        part = regex.sub(rf"(?<=\d[*_]*)\s?/\s?{highest}(?:\.0+)?(?![\d.,/%:]*\d)", "", part)
    return numbers.without_scale(part)
