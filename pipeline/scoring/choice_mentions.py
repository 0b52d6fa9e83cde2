"""Finds the choices that a text names, without words that only look like one.

The article `a`, the `d` of `I'd` and the pronoun `I` are no options, nor is the end of a name such as `Vitamin D`.
"""

from functools import lru_cache
from typing import NamedTuple

import regex

from pipeline.metrics import numbers, words
from pipeline.scoring import choice_idioms, negation
from pipeline.scoring.answer_text import ANSWER_CUES, MARKUP, cues, unified
from pipeline.store.records import Example

FLAGS = regex.IGNORECASE | regex.VERSION1 | regex.FULLCASE
WORD_SEPARATOR = r"[\s_\-‐‑–]+"
"""What may replace a blank inside a label."""
UNSPACED_SCRIPTS = f"[{words.UNSPACED_SCRIPTS}]"
LETTER = rf"[\w--{UNSPACED_SCRIPTS}]"
"""A character that continues a word of a script with blanks."""
ARTICLES = regex.compile(r"[AEIOUYАВИКОСУЯ]")
"""Capital letters that are words of their own in some language, as the Latin A and the Cyrillic В."""
LETTERS = r"[\p{Latin}\p{Cyrillic}]"
VERB_AFTER = regex.compile(
    r"^\s+(?:over|to|than|rather|instead|beats|outperforms|wins|loses|gives|answers|provides|makes|addresses|explains|covers|offers|needs|"
    r"fails|lacks|ignores|misses|contains|includes|follows|uses|shows|matches|fits|goes|states|has|does)(?!\w)"
)
"""What follows a letter that is a choice and no article: a verb of the third person, or a comparison."""
NOUNS = r"(?:option|choice|letter|answer|response|assistant|model|output|completion|candidate|summary|translation|version|ending)"
JOINED_BEFORE = regex.compile(rf"(?:^|[^{words.UNSPACED_SCRIPTS}\p{{Hangul}}]|[选選是为為答案择擇项項はがで은는]|คือ)$", FLAGS)
JOINED_AFTER = regex.compile(
    rf"^(?:$|[^{words.UNSPACED_SCRIPTS}\p{{Hangul}}]|[项項选選是。はがで]|입니다|이다|이에요|예요|번|[이가은는](?!\w))", FLAGS
)
"""What may stand right beside a letter that is a choice in a script without blanks: after `维生素` it is a vitamin."""
VERBS = r"(?:is|was|are|would|should|seems|looks|because|since|as|and|or|but|best|fits|too)"
LOWER_NO = regex.compile(r"^\s+(?!(?:it|this|that|he|she|they|the|there|i|we|you)\b)\w", FLAGS)
"""`no` before a word is rarely an answer: `no doubt`."""
ANSWER_NOUNS = (
    "sentiment|category|class|topic|verdict|conclusion|prediction|rating|score|stars|"
    "答案|答え|정답|ответ|risposta|resposta|απάντηση|الإجابة|उत्तर|คำตอบ"
)
COPULA = r"(?:is|was|are|be|would\s+be|should\s+be|must\s+be|[:：=]|->|→|是|为|為|は)"
NO_AFTER_CUE = regex.compile(
    rf"(?:\b(?:{ANSWER_CUES})|\b(?:{ANSWER_CUES}|{ANSWER_NOUNS})\b[^.\n]{{0,30}}?(?:{COPULA}|\b(?:es|est|ist|è|é))"
    rf"|[:：=]|->|→|\b(?:to|would|must|'d)\s+(?:say|answer|conclude)|\byes\s+(?:and|or))\s*$",
    FLAGS,
)
"""What comes before a `no` that is an answer though a word follows; `there is no limit` and `it is no longer` are none."""
COUNTED = regex.compile(r"^\s+of\s+(?:the|these|those|them)\b", FLAGS)
"""What follows a number that counts something: `2 of the 3 are false`."""
NO_BEFORE_REASON = regex.compile(r"^\s+(?:because|since|as|and|but|so|in|if|when|porque|perché|car|parce)\b", FLAGS)
WORD_BEFORE = regex.compile(r"(?<![\w'])(\p{L}[\p{L}'-]+)[^\S\n]+$")
"""The word right before a letter or digit, in the same line and without markup between."""
LETTERS_BEFORE = regex.compile(r"(?:(?<!\w)\w\s*(?:,|/|&|\band\b|\bor\b)\s*)+$", FLAGS)
"""The rest of a list before a letter, as in `Hepatitis B and C`."""
NAME_AFTER = regex.compile(r"^\s(?:vitamins?|cells?|rays?|waves?|major|minor|sharp|flat)\b", FLAGS)
"""What a letter before it names, as in `B vitamins` and `C major`."""
NAMED_BY_LETTER = frozenset(
    "vitamin vitamins plan plans hepatitis influenza type types group grade level section appendix figure table chart part chapter page "
    "schedule exhibit model strain version series point line angle vector matrix set site step stage phase room building block gate row "
    "column team player person patient student witness company city country drug compound substance element planet sentence question "
    "premise paragraph example day week year unit zone route platform box jar bag card sample".split()
)
"""Nouns that a letter or digit after them names: `vitamin D` does not choose D."""
BEFORE_A_CHOICE = frozenset(
    "option choice answer alternative candidate statement item letter number label result response output solution class category "
    "assistant model score rating verdict conclusion prediction choose choosing chose pick picking picks select selecting selects say "
    "saying guess go going think believe take mark is was be are so thus hence therefore then and or but not only either neither both "
    "just maybe perhaps probably likely definitely clearly surely certainly obviously because since if with for of by from to in on a "
    "an yes no ok okay also it's its that's this that the my final correct antwort möglichkeit wähle nehme also réponse choix option "
    "je c'est respuesta opción elijo risposta opzione scelgo resposta opção escolho ответ вариант выбираю απάντηση επιλογή antwoord "
    "keuze".split()
)
"""Words in capitals, at the start of a sentence, after which a letter is a choice; after other names it is a part of the name."""


class Mention(NamedTuple):
    """One occurrence of a choice in a text."""

    name: str
    start: int
    end: int


@lru_cache(maxsize=4096)
def pattern(choices: tuple[str, ...]) -> "regex.Pattern[str]":
    """Matches any choice as a whole word, the longest first; group n is the n-th choice of `ordered`."""
    return regex.compile("|".join(f"({label_pattern(unified(name))})" for name in ordered(choices)), FLAGS)


def ordered(choices: tuple[str, ...]) -> list[str]:
    return sorted(choices, key=lambda name: (-len(name), choices.index(name)))


def label_pattern(name: str) -> str:
    pieces = [piece for piece in regex.split(WORD_SEPARATOR, name.strip()) if piece]
    if not pieces:
        return str(regex.escape(name.strip()))
    camel = [r"[\s_-]*".join(map(regex.escape, regex.split(r"(?<=\p{Ll})(?=\p{Lu})", word, flags=regex.VERSION1))) for word in pieces]
    if len(pieces) > 1 and pieces[0].casefold() in ("not", "non"):
        camel[:2] = [rf"(?:not|non)(?:{WORD_SEPARATOR})?{camel[1]}"]
    return border(name.strip()[0], before=True) + WORD_SEPARATOR.join(camel) + border(name.strip()[-1], before=False)


def border(edge: str, before: bool) -> str:
    """What may not be adjacent to a label, depending on the label's outermost character."""
    if not regex.match(r"[\w]", edge) or regex.match(UNSPACED_SCRIPTS, edge):
        return "" if before else r"(?!\p{M})"
    if edge.isdecimal():
        if before:
            return rf"(?<!{LETTER}|%)(?<!\d[.,/:])(?<!(?<!\w)[-−+.])"
        return rf"(?:[.,]0{{1,2}}(?![\d.,]))?(?![\w%])(?![.,/:^]\d|[{numbers.BLANK}]\d{{3}}(?!\d))(?!\p{{M}})"
    if before:
        return rf"(?<!{LETTER})(?<!\w['.])(?<!\w[-‐‑])"
    if regex.match(r"\p{Hangul}", edge):
        return r"(?!\p{M})(?![+#])"
    return rf"(?!\p{{M}})(?![+#])(?![{LETTER}--\p{{Hangul}}])(?!'\w)(?![-‐‑.@]\w)"


def mentions(part: str, example: Example) -> list[Mention]:
    """All occurrences of choices, in order, without words that only look like one."""
    choices = example.choices
    names, candidates = ordered(choices), []
    letters = all(len(name) == 1 for name in choices)
    cue_words = frozenset(regex.findall(r"\p{L}+", cues(example.text)[0].casefold()))
    for match in pattern(choices).finditer(part):
        name = names[match.lastindex - 1]
        same = [other for other in choices if unified(other).casefold() == unified(name).casefold()]
        if len(same) > 1:  # they differ in case alone
            name = next((other for other in same if unified(other) == match[0]), "")
        if letters and (ends_a_name(part[: match.start()], cue_words) or NAME_AFTER.match(part[match.end() :])):
            continue
        if name and is_choice(part, match.span(), name, letters):
            name, start = negation.opposite(part, name, match.start(), choices) or (name, match.start())
            candidates.append(Mention(name, start, match.end()))
    return candidates


def is_choice(part: str, span: tuple[int, int], name: str, letters: bool) -> bool:
    """Whether a word that equals a choice is meant as one; letters: all choices are single characters."""
    before, word, after = part[: span[0]], part[span[0] : span[1]], part[span[1] :]
    if choice_idioms.is_other_word(part, span, name):
        return False
    if letters and name.isascii() and not (JOINED_BEFORE.search(before) and JOINED_AFTER.match(after)):
        return False
    if len(name) == 1 and regex.fullmatch(LETTERS, name) and (letters or ARTICLES.match(word.upper())):
        return is_letter(before, word, after)
    if len(name) == 1 and regex.match(r"\p{Han}", name):  # 是 and 对 occur inside many words
        return bool(regex.search(r"(?:^|[^\w])$", before) and regex.match(r"的?(?:$|[^\w])", after))
    if name.isdecimal() and COUNTED.match(after):
        return False
    if name.casefold() == "no":
        return not LOWER_NO.match(after) or bool(NO_AFTER_CUE.search(before)) or bool(NO_BEFORE_REASON.match(after))
    return True


def ends_a_name(before: str, cue_words: frozenset[str]) -> bool:
    """Whether a letter or digit after this text is the end of a name, as in `Vitamin D`, `Plan B` and `Type 2`.

    Args:
        cue_words: the words of the prompt's cue, in lower case: after `Blood type:` a type is an answer.
    """
    match = WORD_BEFORE.search(LETTERS_BEFORE.sub("", before))
    if match is None or (word := match[1].casefold()) in cue_words:
        return False
    return word in NAMED_BY_LETTER or (match[1][0].isupper() and word not in BEFORE_A_CHOICE and not word.endswith(("'s", "'d", "'ll")))


def is_letter(before: str, word: str, after: str) -> bool:
    """Whether a single letter is an option: not an article, a pronoun or a variable."""
    named = regex.search(rf"(?:\b{NOUNS}|[(\[]|{COPULA})[\s*\"'(\[]*$", before, FLAGS)
    closed = regex.match(r"\s*[\"'*_`]*(?:[)\].:,;!?]|$|\n)", after)
    at_start = regex.search(rf"(?:^|\n){MARKUP}$", before)
    if word.islower():
        return bool(closed and (named or at_start))
    if ARTICLES.match(word) and regex.match(rf"\s+(?!{VERBS}\b)[\p{{Ll}}\d]", after):
        is_inside = word != "I" and regex.search(r"[\p{Ll}][,;]?[^\S\n]+$", before)  # where an article has a small letter
        return bool(is_inside or VERB_AFTER.match(after) or regex.search(rf"\b{NOUNS}\s+[*\"'(\[]*$", before, FLAGS))
    return True
