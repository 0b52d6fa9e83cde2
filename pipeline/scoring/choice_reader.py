"""Reads which of a closed set of answers a text gives, as a careful reader does; None where the text does not say it for certain.

The article `a`, the `d` of `I'd` and the pronoun `I` are no options; `not B` does not choose B; a text that names two
different choices and says of neither that it is the answer has none.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import regex

from pipeline.metrics import numbers, words
from pipeline.scoring import negation, option_texts, replacements
from pipeline.scoring.answer_text import ANSWER_CUES, CORRECTED, MARKUP, after_correction, answer_part, cues, unified, without_cue
from pipeline.store.records import Example

FLAGS = regex.IGNORECASE | regex.VERSION1 | regex.FULLCASE
WORD_SEPARATOR = r"[\s_\-‐‑–]+"
"""What may replace a blank inside a label."""
UNSPACED_SCRIPTS = f"[{words.UNSPACED_SCRIPTS}]"
LETTER = rf"[\w--{UNSPACED_SCRIPTS}]"
"""A character that continues a word of a script with blanks."""
ARTICLES = regex.compile(r"[AEIOUY]")
"""Capital letters that are words of their own in some language."""
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
    rf"(?:\b(?:{ANSWER_CUES})|\b(?:{ANSWER_CUES}|{ANSWER_NOUNS})\b[^.\n]{{0,30}}?(?:{COPULA}|\b(?:es|est|ist|è|é))|[:：=]|->|→)\s*$", FLAGS
)
"""What comes before a `no` that is an answer though a word follows; `there is no limit` and `it is no longer` are none."""
NO_BEFORE_REASON = regex.compile(r"^\s+(?:because|since|as|and|but|so|porque|perché|car|parce)\b", FLAGS)
LIST_SEPARATOR = regex.compile(r"^[\s\"'*)\]]*(?:,|/|\||&|\+|\.{2,}|…+|or|and|oder|und|ou|et|o|y|и|или|或|和|または)[\s\"'*(\[]*", FLAGS)
"""Separates two labels of a list."""
FILLERS = r"(?:(?:that|the|option|choice|letter|number|a|an|most\s+likely|probably|clearly|therefore|thus|indeed)\s+){0,3}"
BEST = r"(?:correct|right|best|most\s+\w+)\s+(?:option|choice|one|letter|number|ending|match)"
CHOICE_PHRASE = (
    r"(?:i(?:'d|\s+would|'ll|\s+will)?\s+(?:say|choose|pick|prefer|select|answer|go\s+with|go\s+for|vote\s+for)|picks?|chooses?|selects?|"
    r"(?<!\b(?:could|might|may|can|would|not)\s+(?:also\s+)?(?:be\s+)?(?:\w+\s+)?)(?:falls?\s+(?:under|into)|belongs?\s+(?:to|in)|"
    r"(?:categori[sz]ed|classified|labell?ed)\s+(?:as|under)))"
)
REMARK = regex.compile(r"^[\"'*_`]*\s\((?!\s*(?:or|oder|ou|o|или)\b)[^()\n]*\)", FLAGS)
"""What may follow a choice without changing it, as in `neutral (neither positive nor negative)`."""
UNIT = regex.compile(r"^\s(?:stars?|points?|sterne?|étoiles?|estrellas?|stelle)\b", FLAGS)
CORRECT = regex.compile(
    r"^[)\]\"'*.]*\s+(?:is|was|would\s+be|must\s+be|seems)\s+(?:the\s+)?(?:most\s+|much\s+|slightly\s+)?"
    r"(?:correct|right|best|better|preferable|answer|true)\b",
    FLAGS,
)
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
    "assistant model score rating verdict conclusion prediction "
    "choose choosing chose pick picking picks select selecting selects say saying guess go going think believe take mark is was be are "
    "so thus hence therefore then and or but not only either neither both just maybe perhaps probably likely definitely clearly surely "
    "certainly obviously because since if with for of by from to in on yes no ok okay also it's its that's this that the my final correct "
    "antwort möglichkeit wähle nehme also réponse choix option je respuesta opción elijo risposta opzione scelgo resposta opção escolho "
    "ответ вариант выбираю απάντηση επιλογή antwoord keuze".split()
)
"""Words in capitals, at the start of a sentence, after which a letter is a choice; after other names it is a part of the name."""
LIST_NUMBER = regex.compile(r"^[\s>*]*(\d{1,2})[.)](?=[ \t]+\S)", regex.MULTILINE)
"""The number of an entry of a list."""
MAX_RESTATED = 8
"""Most choices that a text may list before it answers."""
MIN_SCALE = 3
"""Fewest numbers that make a scale; `0/1` names two choices."""
MAX_SHORT_WORDS = 8
"""Most words of a first line that counts as the whole answer although more lines follow."""


class Mention(NamedTuple):
    """One occurrence of a choice in a text."""

    name: str
    start: int
    end: int


def read(text: str, example: Example, meanings: Mapping[str, str] | None = None) -> str | None:
    """The choice that the text gives, spelled as in the example.

    Args:
        meanings: what choices mean that are synonyms of others, and how they are returned.
    """

    def only_name(names: set[str]) -> str | None:
        distinct = {(meanings or {}).get(name, name) for name in names}
        return next(iter(distinct)) if len(distinct) == 1 else None

    if text.strip() in example.choices:
        return only_name({text.strip()})
    bare = option_texts.without_texts(replacements.without_struck(answer_part(text, example)), example.text, example.choices)
    bare = without_scale(bare, example.choices)
    part = without_list_numbers(without_question(bare, example, 2 if meanings else len(example.choices)), example.choices)
    corrected = part if CORRECTED.search("".join(f"{name}. " for name in example.choices)) else after_correction(part)
    part, candidates = (corrected, later) if (later := mentions(corrected, example)) else (part, mentions(part, example))
    start = replacements.start_of_last(part, [(mention.start, mention.end) for mention in candidates if not denied(part, mention)])
    part, candidates = replacements.blanked(part, start), [mention for mention in candidates if mention.start >= start]
    if not candidates:
        return None
    for names in (leading(part, candidates, example), stated(part, candidates, example), short_line(part, candidates)):
        if names:
            return only_name(names)
    return only_name({mention.name for mention in candidates if not denied(part, mention) and not in_question(part, mention)})


def without_scale(part: str, choices: tuple[str, ...]) -> str:
    """The text in which blanks stand for what only names the scale of choices that are numbers: `/5`, `out of 5`, `from 1 to 5`."""
    if len(choices) < MIN_SCALE or not all(name.isdecimal() for name in choices):
        return part
    lowest, highest = min(choices, key=int), max(choices, key=int)
    out_of = rf"(?<=\d)\s?(?:[/⁄]|out\s+of|of|von|sur|de|su|из)\s?{highest}(?![\d.,/%]\d|\d)"
    scale = rf"{out_of}|(?<!\w){lowest}\s?(?:-|–|to|bis|à)\s?{highest}(?!\w|[.,/]\d)"
    return str(regex.sub(scale, lambda match: " " * len(match[0]), part, flags=FLAGS))


def without_list_numbers(part: str, choices: tuple[str, ...]) -> str:
    """The text in which blanks stand for the numbers of a list (`1.`, `2.`) where choices are numbers."""
    if not any(name.isdecimal() for name in choices):
        return part
    numbered = list(LIST_NUMBER.finditer(part))
    if len(numbered) < 2 or [int(match[1]) for match in numbered] != list(range(1, len(numbered) + 1)):
        return part
    return str(LIST_NUMBER.sub(lambda match: " " * len(match[0]), part))


def without_question(part: str, example: Example, least: int) -> str:
    """The text in which blanks stand for the choices at its start, if it lists at least so many of them before it answers, as in
    `True or false: true`."""
    names = "|".join(label_pattern(unified(name)) for name in ordered(example.choices))
    count = len(example.choices)
    restated = rf"^{MARKUP}(?:{names})(?:\s*(?:,\s*(?:or\s+)?|/|\bor\b)\s*(?:{names})){{{least - 1},{count - 1}}}\s*[:：?？](?=\s*\S)"
    return str(regex.sub(restated, lambda match: " " * len(match[0]), part, count=1, flags=FLAGS)) if 1 < count <= MAX_RESTATED else part


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
    camel[0] = "(?:not|non)" if len(pieces) > 1 and pieces[0].casefold() == "not" else camel[0]
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
    return rf"(?!\p{{M}})(?![+#])(?![{LETTER}--\p{{Hangul}}])(?!'\w)(?![-‐‑.]\w)"


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
    if letters and name.isascii() and not (JOINED_BEFORE.search(before) and JOINED_AFTER.match(after)):
        return False
    if len(name) == 1 and name.isascii() and name.isalpha() and (letters or ARTICLES.match(word.upper())):
        return is_letter(before, word, after)
    if len(name) == 1 and regex.match(r"\p{Han}", name):  # 是 and 对 occur inside many words
        return bool(regex.search(r"(?:^|[^\w])$", before) and regex.match(r"的?(?:$|[^\w])", after))
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
    named = regex.search(rf"(?:\b(?:option|choice|letter|answer)|[(\[]|{COPULA})[\s*\"'(\[]*$", before, FLAGS)
    closed = regex.match(r"\s*[\"'*_`]*(?:[)\].:,;!?]|$|\n)", after)
    at_start = regex.search(rf"(?:^|\n){MARKUP}$", before)
    if word.islower():
        return bool(closed and (named or at_start))
    if ARTICLES.match(word) and regex.match(rf"\s+(?!{VERBS}\b)[\p{{Ll}}\d]", after):
        return bool(regex.search(r"\b(?:option|choice|letter|answer)\s+[*\"'(\[]*$", before, FLAGS))
    return True


def leading(part: str, candidates: list[Mention], example: Example) -> set[str]:
    """The choice that the first line consists of or begins with, if a sign or a reason follows it; several if it lists several."""
    first, stripped = first_line(part, example)
    if restates_options(part, candidates, example.choices) or concludes(part, candidates, example):
        return set()
    opening = next((m for m in candidates if m.start >= first and not regex.sub(MARKUP, "", part[first : m.start]).strip(" ")), None)
    if opening is None or not stripped or in_question(part, opening) or denied(part, opening):
        return set()
    rest = part[opening.end :].split("\n", 1)[0]
    listed = {mention.name for mention in joined(part, opening, candidates)}
    after = REMARK.sub("", UNIT.sub("", rest) if opening.name.isdecimal() else rest)
    ends = regex.match(r"[\s\"'*_`)\]}”»」]*(?:$|[.,;!?—–)\]\\|。，！、；]|-\s|because\b|since\b|:(?=\s*\w)|[：])", after, FLAGS)
    if regex.match(r"[\"'*_`]*\s*[:：]", rest) and len({mention.name for mention in candidates}) > 1:
        others = stated(part, [mention for mention in candidates if mention is not opening], example)
        if len(opening.name) > 1 or (others and opening.name not in others):  # `A: The answer is B`
            return set()
    return listed if ends or len(listed) > 1 else set()


def restates_options(part: str, candidates: list[Mention], choices: tuple[str, ...]) -> bool:
    """Whether a text begins with the list of all options, one a line or all in one line, as in `A) late B) lost`; that chooses none."""
    names = [mention.name for mention in candidates[: len(choices)]]
    if len(choices) < 2 or names != [*choices] or any(len(name) > 1 for name in choices):
        return False
    listed = candidates[: len(choices)]
    is_marked = all(regex.match(r"[\"'*_`]*[).:\]]", part[mention.end :]) for mention in listed)
    lines = [part.count("\n", 0, mention.start) for mention in listed]
    starts_lines = all(regex.search(rf"(?:^|\n){MARKUP}$", part[: mention.start]) for mention in listed)
    return is_marked and (starts_lines or len(set(lines)) == 1) and not any(denied(part, mention) for mention in listed)


def concludes(part: str, candidates: list[Mention], example: Example) -> bool:
    """Whether a text goes through marked options from the first one on, and then says which it is: `A) is late. B) is lost. So it is B.`"""
    marked = [
        mention
        for mention in candidates
        if regex.search(rf"(?:^|[.!?;\n]){MARKUP}$", part[: mention.start]) and regex.match(r"[\"'*_`]*[).:\]]", part[mention.end :])
    ]
    names = [mention.name for mention in marked[:2]]
    is_list = len(names) == 2 and names == [*example.choices[:2]] and marked[0] == candidates[0] and all(len(name) == 1 for name in names)
    return is_list and bool(stated(part, candidates, example))


def first_line(part: str, example: Example) -> tuple[int, str]:
    """Where the first line that is not blank begins after its cue, and what it says from there."""
    start = 0
    for line in part.split("\n"):
        bare = without_cue(line, example)
        if bare.strip():
            return start + len(line) - len(bare), bare
        start += len(line) + 1
    return start, ""


def joined(part: str, opening: Mention, candidates: list[Mention]) -> list[Mention]:
    """A mention and those that follow it in a list, as in `A or B`."""
    listed = [opening]
    for mention in candidates:
        end = listed[-1].end
        if mention.start > end and (joint := LIST_SEPARATOR.match(part[end : mention.start])) and joint.end() == mention.start - end:
            listed.append(mention)
    return listed


def stated(part: str, candidates: list[Mention], example: Example) -> set[str]:
    """The choices of which the text says that they are the answer; all of a list, if it says so of the first."""
    cue = statement(cues(example.text)[0].rstrip(":：").strip())
    possible = [mention for mention in candidates if not denied(part, mention)]
    names = {mention.name for mention in possible if CORRECT.match(part[mention.end :]) or is_called_right(part, mention)}
    for mention in possible:
        if cue.search(part[max(0, mention.start - 120) : mention.start]):
            names |= {other.name for other in joined(part, mention, possible)}
    return names


@lru_cache(maxsize=64)
def statement(last_cue: str) -> "regex.Pattern[str]":
    """Matches what comes right before the answer where a text says which it is; last_cue: what the prompt ends with."""
    names = "|".join([ANSWER_CUES, ANSWER_NOUNS, *([regex.escape(last_cue)] if last_cue else [])])
    marks = r"\s*_\"'`({\[$"
    return regex.compile(
        rf"(?:(?:{names}|{BEST})\b[^.\n:：]{{0,30}}?(?:{COPULA}|\b(?:ist|est|es|è|é)\b)|{CHOICE_PHRASE}|####|\\boxed|therefore|thus|hence)[:：,{marks}]*{FILLERS}[{marks}]*$",
        FLAGS,
    )


def short_line(part: str, candidates: list[Mention]) -> set[str]:
    """The one choice of a short first line after which a blank line or nothing follows."""
    block = regex.match(r"\s*([^\n]+)\n\s*\n", part)
    if block is None or len(block[1].split()) > MAX_SHORT_WORDS:
        return set()
    inside = {m.name for m in candidates if block.start(1) <= m.start < block.end(1) and not denied(part, m)}
    return inside if len(inside) == 1 and "?" not in block[1] else set()


def is_called_right(part: str, mention: Mention) -> bool:
    """Whether `correct` or `yes` stands right after a choice, where the choice is neither itself."""
    is_verdict = mention.name.casefold() in ("yes", "no", "true", "false")
    return not is_verdict and bool(negation.CALLED_RIGHT.match(part[mention.end :]))


def denied(part: str, mention: Mention) -> bool:
    """Whether the text says that it is not this choice."""
    return negation.is_denied(part, *mention)


def in_question(part: str, mention: Mention) -> bool:
    """Whether the choice is part of a question that more text follows."""
    end = regex.search(r"[.!?。！？\n]", part[mention.end :])
    return bool(end and end[0] in "?？" and part[mention.end + end.end() :].strip())
