"""Reads which of a closed set of answers a text gives, as a careful reader does; None where the text does not say it for certain.

`not B` does not choose B; a text that names two different choices and says of neither that it is the answer has none.
"""

from collections.abc import Mapping
from functools import lru_cache

import regex

from pipeline.metrics import struck
from pipeline.scoring import negation, option_texts, replacements
from pipeline.scoring.answer_text import (
    ANSWER_CUES,
    CORRECTED,
    MARKUP,
    after_correction,
    answer_part,
    cues,
    next_question_start,
    plain_line,
    prompt_lines,
    unified,
    without_cue,
)
from pipeline.scoring.choice_doubt import CONDITION, OR_BEHIND, SHARE_AFTER, SHARE_BEFORE, is_doubtful
from pipeline.scoring.choice_mentions import ANSWER_NOUNS, COPULA, FLAGS, Mention, label_pattern, mentions, ordered, pattern
from pipeline.store.records import Example

LIST_SEPARATOR = regex.compile(
    r"[\s\"'*)\]]*(?:[,;，；、]|/|\||&|\+|\.{2,}|…+|or|and|to|bis|oder|und|ou|et|o|y|и|или|或|和|または)[\s\"'*(\[]*", FLAGS
)
"""Separates two labels of a list."""
SENTENCE_BREAK = regex.compile(r"[\"'*_`)]*[.!]\s+[\"'*_`(]*")
ENDS_SENTENCE = regex.compile(r"^[*_`\"']*(?:[.!](?:\s|$)|\s*(?:\n|$))")
PREDICATE = regex.compile(r"^[\"'*_`)]*\s+(?:is|was|are|were|would|has|does|can|should)\b", FLAGS)
"""What follows a choice that begins a clause of its own, and so no list goes on with it."""
BULLETED, LINE_END = regex.compile(r"(?:^|\n)\s*[-*•·▪◦]\s+[*_`\"']*$"), regex.compile(r"^[*_`\"'.!]*\s*(?:\n|$)")
"""What stands before and behind an entry of a list with bullets."""
CONCLUSION = regex.compile(
    r"(?:^|[.!?;:,\n|–—。，；]\s*|\b(?:but|and)\s+)[\s*_`>#-]*(?:(?:so|overall|ultimately|altogether|therefore|thus|hence|consequently|accordingly|"
    r"in\s+(?:conclusion|summary|short|sum|the\s+end)|to\s+(?:conclude|summari[sz]e|sum\s+up)|all\s+in\s+all|on\s+(?:balance|the\s+whole)|"
    r"as\s+a\s+result|insgesamt|daher|somit|folglich|alles\s+in\s+allem|donc|globalement|en\s+somme|au\s+final|por\s+lo\s+tanto|así\s+que|"
    r"en\s+(?:general|resumen)|quindi|nel\s+complesso|portanto|no\s+geral|итак|таким\s+образом|следовательно|в\s+целом)\b|"
    r"因此|所以|总的来说|總的來說|综上|总体|したがって|よって|全体として|따라서|전반적으로|결론적으로)[^.!?。！？\n]*$",
    FLAGS,
)
"""The start of a sentence, a clause or a line that draws the conclusion, up to a choice."""
FILLERS = r"(?:(?:that|the|option|choice|letter|number|a|an|most\s+likely|probably|clearly|therefore|thus|indeed)\s+){0,3}"
BEST = (
    r"(?:the\s+(?!(?:re|te|we|gue|reque|intere|conte|que)st)\w+est|"
    r"(?:correct|right|best|most\s+\w+)\s+(?:option|choice|one|letter|number|ending|match))"
)
SUPERLATIVE = regex.compile(r"the\s+(\w+est)\s+(?!(?:is|was|one|option|choice|match|answer|fit)\b)\w", FLAGS)
GENERAL = ("best", "closest", "nearest", "likeliest", "strongest", "safest", "fittest", "clearest", "latest")
"""Superlatives by which any answer may be called."""
CHOICE_PHRASE = (
    r"(?:i(?:'d|\s+would|'ll|\s+will|'m\s+going\s+to|\s+am\s+going\s+to)?\s+(?:say|think|guess|choose|pick|prefer|select|answer|go\s+with|go\s+for|vote\s+for|"
    r"(?:call|rate|label|classify|categori[sz]e|tag|consider|mark)\s+(?:it|this|that|the\s+\w+)(?:\s+(?:as|under))?)|"
    r"(?:that|which)\s+leaves(?:\s+(?:us\s+with|only))?|leaving(?:\s+(?:us\s+with|only))?|picks?|chooses?|selects?|"
    r"(?<!\b(?:could|might|may|can|would|not)\s+(?:also\s+)?(?:be\s+)?(?:\w+\s+)?)(?:falls?\s+(?:under|into)|belongs?\s+(?:to|in)|"
    r"(?:categori[sz]ed|classified|labell?ed)\s+(?:as|under)))"
)
REMARK = regex.compile(r"^[\"'*_`]*\s\((?!\s*(?:or|oder|ou|o|или)\b)[^()\n]*\)", FLAGS)
"""What may follow a choice without changing it, as in `neutral (neither positive nor negative)`."""
UNIT = regex.compile(r"^\s(?:stars?|points?|sterne?|étoiles?|estrellas?|stelle)\b", FLAGS)
CORRECT = regex.compile(
    r"^[)\]\"'*.]*\s+(?:is|was|would\s+be|must\s+be|seems)\s+(?:the\s+)?(?:most\s+|much\s+|slightly\s+)?"
    r"(?:correct|right|best|better|preferable|appropriate|suitable|fitting|answer|true)\b"
    r"|^[)\]\"'*]*\s+it\s+is\s*(?:$|[.!\n])",
    FLAGS,
)
ASIDE = regex.compile(r"\b(?:because|since|as|though|although|while|whereas|despite|than|where|which|but|even|no|not|over)\b", FLAGS)
"""Between an answer and a choice that its sentence names beside it."""
QUESTION_END = r"\s*(?:[:：?？]|\s[-–—]\s)(?=\s*\S)"
LIST_NUMBER = regex.compile(r"^[\s>*]*(\d{1,2})[.)](?=[ \t]+\S)", regex.MULTILINE)
"""The number of an entry of a list."""
MAX_RESTATED = 8
"""Most choices that a text may list before it answers."""
MIN_SCALE = 3
"""Fewest numbers that make a scale; `0/1` names two choices."""
ENDS_ANSWER = regex.compile(
    r"[\s\"'*_`)\]}”»」]*(?:$|[.,;!?—–)\]\\|。，！、；]|-\s|(?:because|since|over|rather\s+than|instead\s+of)\b|:(?=\s*\w)|[：])", FLAGS
)
"""What follows a choice that opens a text and is the answer: a sign, a reason, or the choice that it is preferred to."""
MAX_SHORT_WORDS = 8
"""Most words of a first line that counts as the whole answer although more lines follow."""


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
    bare = option_texts.without_texts(struck.without_struck(answer_part(text, example)), example.text, example.choices)
    bare = option_texts.marks_for_texts(bare, example.text, example.choices)
    bare = without_meaning(without_scale(bare, example.choices), example)
    part = without_list_numbers(without_question(bare, example, 2 if meanings else len(example.choices)), example.choices)
    corrected = part if CORRECTED.search("".join(f"{name}. " for name in example.choices)) else after_correction(part)
    part, candidates = (corrected, later) if (later := mentions(corrected, example)) else (part, mentions(part, example))
    start = replacements.start_of_last(part, [(mention.start, mention.end) for mention in candidates if not denied(part, mention)])
    part, candidates = replacements.blanked(part, start), [mention for mention in candidates if mention.start >= start]
    if not candidates:
        return None
    candidates = before_next(part, candidates, example)
    if restates_options(part, candidates, example.choices):
        candidates = candidates[len(example.choices) :] or candidates
    grounds = (
        leading(part, candidates, example),
        stated(part, candidates, example),
        concluded(part, candidates),
        short_line(part, candidates, example.choices),
    )
    if names := weighed(part, candidates) or set().union(*grounds):
        return only_name(names)
    answers = [mention for mention in candidates if not in_question(part, mention)]
    is_question = len(answers) < len(candidates) and all(part[mention.end :].lstrip().startswith("?") for mention in answers)
    possible = [mention for mention in answers if not denied(part, mention)]
    is_certain = not is_question and not any(is_doubtful(part, mention) for mention in possible)
    return only_name({mention.name for mention in possible}) if is_certain else None


def without_scale(part: str, choices: tuple[str, ...]) -> str:
    """The text in which blanks stand for what only names the scale of choices that are numbers: `/5`, `out of 5`, `from 1 to 5`."""
    if len(choices) < MIN_SCALE or not all(name.isdecimal() for name in choices):
        return part
    lowest, highest = min(choices, key=int), max(choices, key=int)
    out_of = rf"(?<=\d(?:{UNIT.pattern[1:]})?)\s?(?:[/⁄]|out\s+of|of|von|sur|de|su|из)\s?{highest}(?![\d.,/%]\d|\d)"
    scale = rf"{out_of}|(?<!\w){lowest}\s?(?:-|–|to|bis|à)\s?{highest}(?!\w|[.,/]\d)"
    return str(regex.sub(scale, lambda match: " " * len(match[0]), part, flags=FLAGS))


def without_meaning(part: str, example: Example) -> str:
    """The text in which blanks stand for what the one number that it names means, where the prompt lists no options: `0 - incorrect`."""
    numbered = {match[0] for match in pattern(example.choices).finditer(part)} if all(map(str.isdecimal, example.choices)) else set()
    if len(numbered) != 1 or option_texts.options(example.text, example.choices):
        return part
    meaning = r"(?<=^\s*\d+)\s*(?:[-–—:=(]\s*)(?:not\s+)?(?:in)?(?:correct|right|true|false|wrong|acceptable|yes|no)\b\)?"
    return str(regex.sub(meaning, lambda match: " " * len(match[0]), part, count=1, flags=FLAGS))


def before_next(part: str, candidates: list[Mention], example: Example) -> list[Mention]:
    """The mentions before the text asks itself the prompt's question once more in the line of its answer."""
    first = next((mention for mention in candidates if not denied(part, mention)), None)
    end = next_question_start(part, first.end, example) if first else len(part)
    return [mention for mention in candidates if mention.start < end]


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
    restated = rf"^{MARKUP}(?:{names})(?:\s*(?:,\s*(?:or\s+)?|/|\bor\b)\s*(?:{names})){{{least - 1},{count - 1}}}{QUESTION_END}"
    return str(regex.sub(restated, lambda match: " " * len(match[0]), part, count=1, flags=FLAGS)) if 1 < count <= MAX_RESTATED else part


def leading(part: str, candidates: list[Mention], example: Example) -> set[str]:
    """The choice that the first line consists of or begins with, if a sign or a reason follows it; several if it lists several."""
    first, stripped = first_line(part, example)
    if restates_options(part, candidates, example.choices) or concludes(part, candidates, example):
        return set()
    opening = next((m for m in candidates if m.start >= first and not regex.sub(MARKUP, "", part[first : m.start]).strip(" ")), None)
    if opening is None or not stripped or in_question(part, opening) or denied(part, opening):
        return set()
    rest = part[opening.end :].split("\n", 1)[0]
    listed = {mention.name for mention in joined(part, opening, [m for m in candidates if not denied(part, m)])}
    entries = {m.name for m in candidates if is_entry(part, m) and not denied(part, m)}
    listed |= entries if BULLETED.search(part[: opening.start]) or len(entries) == len(example.choices) > 2 else set()
    after = REMARK.sub("", UNIT.sub("", rest) if opening.name.isdecimal() else rest)
    ends = ENDS_ANSWER.match(after)
    if regex.match(r"[\"'*_`]*\s*[:：]", rest) and len({mention.name for mention in candidates}) > 1:
        others = stated(part, [mention for mention in candidates if mention is not opening], example)
        if len(opening.name) > 1 or (others and opening.name not in others):  # `A: The answer is B`
            return set()
    if len(example.choices) > 2 and len(listed) == len(example.choices):  # a list of all choices chooses none
        return set()
    if OR_BEHIND.match(rest) or len(marked(part, candidates)) > 1:
        return set()
    of_prompt = prompt_lines(example.text)
    later = [mention for mention in candidates if mention.start > opening.end and line_of(part, mention) not in of_prompt] if ends else []
    listed |= {mention.name for mention in later if is_rival(part, mention, opening.end)}
    if ends and "\n\n" not in part[: candidates[-1].start]:
        listed |= stated(part, [mention for mention in candidates if mention is not opening], example)
    return listed if ends or len(listed) > 1 else set()


def marked(part: str, candidates: list[Mention]) -> set[str]:
    """The letters that a text puts before options, as in `A. late, B. lost`, and does not deny."""
    return {
        mention.name
        for mention in candidates
        if len(mention.name) == 1
        and mention.name.isalpha()
        and regex.match(r"[\"'*_`]*[).:][\"'*_`]*\s+\p{L}", part[mention.end :])
        and not denied(part, mention)
    }


def line_of(part: str, mention: Mention) -> str:
    """The line in which a choice stands, as `plain_line` spells it."""
    return plain_line(part[part.rfind("\n", 0, mention.start) + 1 :].split("\n", 1)[0])


def is_rival(part: str, mention: Mention, end: int) -> bool:
    """Whether a choice answers as well as the one that opens a text and ends there: it opens a sentence or line, or stands in the same."""
    between, after = part[end : mention.start], part[mention.end :]
    opens = regex.search(rf"[.!?\n]{MARKUP}$", between) and regex.match(r"[\"'*_`)]*\s*(?:[,!]|\.?\s*(?:$|\n))", after)
    is_same = regex.fullmatch(r"[^.!?;:\n]*", between) and not ASIDE.search(between)
    return bool(opens or is_same) and not denied(part, mention)


def is_entry(part: str, mention: Mention) -> bool:
    """Whether a choice is all that a line holds."""
    return bool(regex.search(rf"(?:^|\n){MARKUP}$", part[: mention.start]) and LINE_END.match(part[mention.end :]))


def restates_options(part: str, candidates: list[Mention], choices: tuple[str, ...]) -> bool:
    """Whether a text begins with the list of all options, one a line or all in one line, as in `A) late B) lost`; that chooses none."""
    names = [mention.name for mention in candidates[: len(choices)]]
    if len(choices) < 2 or sorted(names) != sorted(choices) or any(len(name) > 1 for name in choices):
        return False
    listed = candidates[: len(choices)]
    is_marked = all(regex.match(r"[\"'*_`]*[).:\]]", part[mention.end :]) for mention in listed)
    lines = [part.count("\n", 0, mention.start) for mention in listed]
    starts_lines = all(regex.search(rf"(?:^|\n){MARKUP}$", part[: mention.start]) for mention in listed)
    return is_marked and (starts_lines or len(set(lines)) == 1) and not any(denied(part, mention) for mention in listed)


def concludes(part: str, candidates: list[Mention], example: Example) -> bool:
    """Whether a text goes through marked options, and then says which it is: `A) is late. B) is lost. So it is B.`"""
    marked = [
        mention
        for mention in candidates
        if regex.search(rf"(?:^|[,.!?;\n]){MARKUP}$", part[: mention.start]) and regex.match(r"[\"'*_`]*[).:\]]", part[mention.end :])
    ]
    names = {mention.name for mention in marked}
    is_list = len(names) > 1 and marked[0] == candidates[0] and all(len(name) == 1 for name in names)
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
        joint = LIST_SEPARATOR.fullmatch(part, end, mention.start) if mention.start > end else None
        is_sentence = (
            mention.start > end and SENTENCE_BREAK.fullmatch(part, end, mention.start) and ENDS_SENTENCE.match(part[mention.end :])
        )
        if (joint and not ("," in joint[0] and PREDICATE.match(part[mention.end :]))) or is_sentence:
            listed.append(mention)
    return listed


def stated(part: str, candidates: list[Mention], example: Example) -> set[str]:
    """The choices of which the text says that they are the answer; all of a list, if it says so of the first."""
    cue = statement(cues(example.text)[0].rstrip(":：").strip())
    possible = [mention for mention in candidates if not denied(part, mention)]
    names = {mention.name for mention in possible if CORRECT.match(part[mention.end :]) or is_called_right(part, mention)}
    for mention in possible:
        before = part[max(0, mention.start - 120) : mention.start]
        match = cue.search(before)
        if match and is_asked_for(match[0], example.text) and not ("would" in before.casefold() and CONDITION.match(part[mention.end :])):
            listed = {other.name for other in joined(part, mention, possible)}
            names |= listed if len(listed) < max(2, len(example.choices)) else set()  # `I am to choose A, B or C` states none
    return names


def is_asked_for(statement: str, prompt: str) -> bool:
    """Whether what a statement calls the answer is that: of `the largest city is` only if the prompt asks for the largest."""
    word = SUPERLATIVE.match(statement)
    return word is None or word[1].casefold() in GENERAL or word[1].casefold() in prompt.casefold()


def weighed(part: str, candidates: list[Mention]) -> set[str]:
    """The choice with the largest share where a text gives every one that it names a share, as in `spam: 90%, ham: 10%`."""
    shares: dict[str, float] = {}
    for mention in candidates:
        match = SHARE_AFTER.match(part[mention.end :]) or SHARE_BEFORE.search(part[: mention.start])
        if match is None:
            return set()
        shares[mention.name] = float(match[1])
    highest = {name for name, share in shares.items() if share == max(shares.values())}
    return highest if len(shares) > 1 and len(highest) == 1 else set()


def concluded(part: str, candidates: list[Mention]) -> set[str]:
    """The choices that a sentence or line names which draws the conclusion, as in `Overall: neutral`; or the one of which alone the last
    line consists."""
    possible = [mention for mention in candidates if not denied(part, mention) and not in_question(part, mention)]
    first = [mention for mention in possible if CONCLUSION.search(part[max(0, mention.start - 120) : mention.start])]
    alone = [mention for mention in possible if is_entry(part, mention)]
    if not first and alone == candidates[-1:] and not part[alone[0].end :].strip(" \n.*_`\"'"):
        return {alone[0].name}
    return {other.name for mention in first for other in joined(part, mention, possible)}


@lru_cache(maxsize=64)
def statement(last_cue: str) -> "regex.Pattern[str]":
    """Matches what comes right before the answer where a text says which it is; last_cue: what the prompt ends with."""
    names = "|".join([ANSWER_CUES, ANSWER_NOUNS, *([regex.escape(last_cue)] if last_cue else [])])
    marks = r"\s*_\"'`({\[$"
    return regex.compile(
        rf"(?:(?:{names}|{BEST})\b[^.\n:：(]{{0,30}}?(?:{COPULA}|\b(?:ist|est|es|è|é)\b)|{CHOICE_PHRASE}|####|\\boxed|therefore|thus|hence)[:：,{marks}]*{FILLERS}[{marks}]*$",
        FLAGS,
    )


def short_line(part: str, candidates: list[Mention], choices: tuple[str, ...]) -> set[str]:
    """The choices of a short first line after which a blank line follows; none where it lists all, or another choice alone is a later
    line."""
    block = regex.match(r"\s*([^\n]+)\n\s*\n", part)
    if block is None or len(block[1].split()) > MAX_SHORT_WORDS or "?" in block[1]:
        return set()
    possible = [mention for mention in candidates if not denied(part, mention)]
    inside = {mention.name for mention in possible if block.start(1) <= mention.start < block.end(1)}
    entries = {mention.name for mention in possible if mention.start >= block.end() and is_entry(part, mention)}
    return inside if len(inside) < max(2, len(choices)) and not (len(inside) == 1 and entries - inside) else set()


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
