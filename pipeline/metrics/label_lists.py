"""Reads the labels of a text that lists them, however a model writes its list: commas, bullets, JSON, fences, sentences."""

import ast
import json
import re
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache
from typing import Any

from pipeline.metrics.struck import without_struck
from pipeline.metrics.words import KEYED, normalise, strip_wrappers

BETWEEN = re.compile(r"[,;、，؛،\n]")
BULLET = re.compile(r"^\s*[-*•·▪◦–+①-⑳]\s+")
LIST = re.compile(r"\s*\[.*\]\s*\Z", re.DOTALL)
STRING = r"(?:\"[^\"\n]*\"|'[^'\n]*')"
LIST_IN_TEXT = re.compile(rf"(?:^|[:=]|\bis|\bare)\s*(\[\s*{STRING}(?:\s*,\s*{STRING})*\s*,?\s*\])\s*\.?\s*$", re.MULTILINE)
"""A list of strings at the end of a line, after nothing or after what announces it."""
BRACKETS_AT_END = re.compile(r"[^\[\](){}\n]{1,60}(?:[:=]|\bis|\bare)\s*(\[[^\[\]\n]*\]|\([^()\n]*\)|\{[^{}\n]*\})\.?\Z")
FENCED = re.compile(r"^[ \t]*(?:```|~~~)\w*[ \t]*\n(.*?)(?:^[ \t]*(?:```|~~~)|\Z)", re.MULTILINE | re.DOTALL)
FENCED_LINE = re.compile(r"\s*```([^`\n]+)```\s*\Z")
TAGGED = re.compile(r"\s*<(\w+)>(.*)</\1>\s*\Z", re.DOTALL)
CONJUNCTION = re.compile(r"(?:^|\s+)(?:and|or|&|\+|as well as|und|oder|et|ou|y|o|e|и|или)(?:\s+|$)")
BRACKETED = re.compile(r"\s*(?:\[[^\[\]]*\]|\([^()]*\)|\{[^{}]*\})\s*\Z")
"""Brackets around the whole of a list."""
NUMBERED = re.compile(r"^\s*(\d{1,2})[.)]\s+(?=\S)")
INLINE_NUMBER = re.compile(r"^\(?(?:\d{1,2}[.)]|[a-z][.)]|[ivx]{1,4}[.)])\s*(?=\S)|^#(?=\w)|^[①-⑳]\s*")
INLINE_MARK = re.compile(r"\s*(?<!\w)(?:\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)](?!\d)|[①-⑳]|[•·▪◦]|#(?=\w))\s*")
"""Marks an entry of a list in one line, as in `(1) red (2) blue`, `• red • blue` and `#red #blue`."""
OPEN_END = re.compile(
    r"(?:^|\s+|\b)(?:and\s+|or\s+)?(?:etc\.?|etcetera|so\s+(?:on|forth)|(?:many\s+)?(?:more|others)|usw\.?|u\.?\s?a\.?|и\s+т\.?\s?[дп]\.?|и\s+др\.?|等|など|等等|…|\.{3})$"
)
"""What says that a list goes on, and is no label."""
REMARK = re.compile(r"\s*\([^()]*\)$")
STATED = re.compile(r"^.{0,60}\b(?:is|are|about|mentions?|includes?|contains?|covers?|=|->)\s+(?=\S)")
BOTH = re.compile(r"^(?:both|primarily|mainly|mostly|chiefly|only|just|either|also|and\s+also|plus|additionally)\s+")
EXPLAINED = re.compile(r"\s*:\s|\s[-–—]\s|\.\s|\s\(")
"""What separates a label from the remark behind it, as in `earn: profits rose`."""
SLASH = re.compile(r"\s*[/|]\s*|\s+[-–—]{1,2}\s+")
TABLE_HEAD = re.compile(r"^[^\n]*\|[^\n]*\n[ \t]*\|?(?:\s*:?-{2,}:?\s*\|?)+[ \t]*$", re.MULTILINE)
"""The first two lines of a table in markdown."""
OPENING = re.compile(r"^\s*(?:sure|certainly|of course|absolutely|okay|ok)[!,.:]\s+(?=\S)", re.IGNORECASE)
SENTENCE_END = re.compile(r"(?<=\w\w[.!?])\s+(?=\S)")
CONCLUDES = re.compile(
    r"\b(?:topics?|labels?|tags?|categor(?:y|ies)|answer)\s+(?:is|are|would be)\b|^(?:so|thus|therefore|hence|overall|in conclusion)\b"
)
"""A sentence that says what the labels are, whatever others name before it."""
PROSE = re.compile(
    r"\b(?:the|this|that|these|those|it|its|i(?!\.)|we|you|is|are|was|were|be|because|since|which|let|with|he|she|they|has|have|had|nothing|ist|sind|est|sont|это)\b"
)
"""Words that sentences have and labels do not."""
DENIED = re.compile(
    r"^(?:but\s+|and\s+|,\s*)?(?:not|no|never|nor|without|except(?:\s+for)?|excluding|rather\s+than|instead\s+of)\s+(?:(?:about|an?|the)\s+)?"
)
NOT = re.compile(r"(?:but\s+|and\s+)not?\s|not\s")
DENIED_BEFORE = re.compile(rf"(?:^|\s){DENIED.pattern[1:]}$")
DENIED_AFTER = re.compile(r"^.*?(?:\s*[:=(]|\s[-–—])\s*(?:no|not|false|absent|nein|non|нет)\)?$")
"""An entry that says of a label that it is none."""
GROUNDS = re.compile(r"\n\s*\**(?:explanation|reason|reasoning|rationale|justification|note)\b\**\s*:.*", re.DOTALL | re.IGNORECASE)
"""What follows a list without being part of it."""
COURTESY = frozenset(["sure", "certainly", "of course", "okay", "ok"])
MAX_LABEL_WORDS = 3
"""Words of an entry that may be an unknown label; one of more words that names no known label is prose."""


def without_numbers(text: str) -> str:
    """A list of one item a line without its numbers, where they count from 1."""
    lines = [line for line in text.splitlines() if line.strip()]
    matches = [NUMBERED.match(line) for line in lines]
    counts = [int(match[1]) for match in matches if match]
    is_numbered = bool(lines) and counts == list(range(1, len(lines) + 1))
    return "\n".join(NUMBERED.sub("", line) for line in lines) if is_numbered else text


def unwrapped(text: str) -> str:
    """A text without grounds on lines of their own, a fence, tags or a JSON key around its list, and what announces a list in brackets."""
    text = GROUNDS.sub("", text) or text
    text = TABLE_HEAD.sub("", text) or text
    if fenced := FENCED.search(text) or FENCED_LINE.match(text):
        text = fenced[1]
    text = tagged[2] if (tagged := TAGGED.match(text)) else text
    text = from_object(text.strip())
    lists = [] if LIST.match(text) else LIST_IN_TEXT.findall(text)
    text = lists[0] if len(lists) == 1 else text
    return announced[1] if (announced := BRACKETS_AT_END.match(text.strip())) else text


def from_object(text: str) -> str:
    """The one list of a JSON object, or its keys where they are all true or false and so say which labels there are; else the text."""
    if keyed := KEYED.fullmatch(text):
        return str(keyed[1])
    with suppress(ValueError, RecursionError):
        value: Any = json.loads(text)
        if isinstance(value, dict) and value and all(isinstance(item, bool) for item in value.values()):
            return json.dumps([key for key, item in value.items() if item], ensure_ascii=False)
        lists = [item for item in value.values() if isinstance(item, list)] if isinstance(value, dict) else []
        return json.dumps(lists[0], ensure_ascii=False) if len(lists) == 1 else text
    return text


def listed(text: str, vocabulary: Collection[str]) -> list[str]:
    """The entries of a text, which may be a list in JSON or Python, or an object of one."""
    text = unwrapped(text)
    if LIST.match(text):
        with suppress(ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            entries = ast.literal_eval(text.strip())
            if all(isinstance(entry, str | int | float) for entry in entries):
                return [str(entry) for entry in entries]
    text = text.strip()[1:-1] if BRACKETED.match(text) else strip_wrappers(text)
    text = without_numbers(without_prose(text, vocabulary) if vocabulary else text)
    return [BULLET.sub("", part) for part in BETWEEN.split(text)]


def without_prose(text: str, vocabulary: Collection[str]) -> str:
    """The lines and sentences that list labels, without those of prose before the first label, and nothing from the first of prose after
    it on. Those before a sentence that says what the labels are count for nothing.

    Of a bulleted line with a label and a remark the label stays.
    """
    selected: list[str] = []
    has_label = False
    for row in rows(OPENING.sub("", text), vocabulary):
        is_bare = normalise(strip_wrappers(BETWEEN.split(row)[0])) in vocabulary
        bare = row if is_bare else NUMBERED.sub("", BULLET.sub("", row))
        first = normalise(strip_wrappers(EXPLAINED.split(bare, maxsplit=1)[0]))
        is_remarked = bare != row and first in vocabulary and normalise(bare) not in vocabulary and not INLINE_MARK.search(bare)
        if is_remarked and not DENIED_AFTER.match(normalise(bare)):
            bare = first
        entries = [entry for part in BETWEEN.split(bare) if (entry := normalise(part))]
        names_label = any(names_known(entry, vocabulary) for entry in entries)
        is_item = bare != row or (names_label and not (has_label and any(PROSE.search(entry) for entry in entries)))
        if names_label and CONCLUDES.search(normalise(bare)):
            selected, has_label = [bare], True
        elif is_item or not any(is_sentence(entry, vocabulary) for entry in entries):
            selected.append(bare)
            has_label = has_label or names_label
        elif has_label:
            break
    return "\n".join(selected) if has_label else text


def rows(text: str, vocabulary: Collection[str]) -> list[str]:
    """The lines of a text, split into their sentences where no label holds the end of one; each but the first of a line ends in a stop."""
    is_whole = any(SENTENCE_END.search(label) for label in vocabulary)
    split = [[line] if is_whole or INLINE_NUMBER.match(line.strip()) else SENTENCE_END.split(line) for line in text.splitlines()]
    return [row for first, *others in split for row in (first, *(f"{other.rstrip('.')}." for other in others))]


def names_known(entry: str, vocabulary: Collection[str]) -> bool:
    """Whether a label of the vocabulary is in an entry."""
    return any(part in vocabulary for part in apart(strip_wrappers(entry), vocabulary))


def is_sentence(entry: str, vocabulary: Collection[str]) -> bool:
    """Whether an entry names no known label and is too long for an unknown one, has words of prose, or begins with a cue."""
    is_long = len(entry.split()) > MAX_LABEL_WORDS or (":" in entry and not entry.endswith(":")) or (entry.endswith(".") and " " in entry)
    return (is_long or is_prose(entry)) and not names_known(entry, vocabulary)


def is_prose(entry: str) -> bool:
    """Whether an entry of several words has one that labels do not have."""
    return " " in entry and PROSE.search(entry) is not None


def is_plain(row: str) -> bool:
    """Whether a line is a list of labels, by its form alone."""
    entries = [normalise(strip_wrappers(part)) for part in BETWEEN.split(BULLET.sub("", row))]
    return not any(is_sentence(entry, ()) or entry.endswith(":") or re.search(r"\"|\*\*|\. ", entry) for entry in entries)


def apart(label: str, vocabulary: Collection[str]) -> list[str]:
    """The labels of an entry such as `a and b`, `a/b`, `labels: a`, `the labels are a`, `2) a` or `a (a remark)`.

    The entry itself where it is a label or no part of it is; none where it denies a label.
    """
    if label in vocabulary or not vocabulary:
        return [label]
    if DENIED_AFTER.match(label) or DENIED.match(label):
        return [] if NOT.match(label) or named(label, vocabulary, even_denied=True) else [label]
    bare = BOTH.sub("", strip_wrappers(REMARK.sub("", INLINE_NUMBER.sub("", OPENING.sub("", label)))))
    announced, explained = re.split("[:=]", bare)[-1].strip(" *_`"), strip_wrappers(EXPLAINED.split(bare, maxsplit=1)[0])
    forms = dict.fromkeys([label, bare, announced, BOTH.sub("", STATED.sub("", bare))])
    splits = [marked] if len(marked := [part for part in INLINE_MARK.split(label) if part]) > 1 else []
    splits += [[form] for form in forms]
    splits += [
        [strip_wrappers(part) for part in separator.split(form) if part and not NOT.match(part)]
        for separator in (CONJUNCTION, SLASH)
        for form in forms
    ]
    splits.append([explained])
    for parts in [*splits, *(form.split() for form in forms)]:
        if parts and all(part in vocabulary for part in parts):
            return parts
    if is_prose(label):
        return [label] if REMARK.fullmatch(label) else named(label, vocabulary) or [label]
    return next((parts for parts in splits if any(part in vocabulary for part in parts)), [label])


def named(entry: str, vocabulary: Collection[str], even_denied: bool = False) -> list[str]:
    """The labels that prose names as whole words, without those that it denies."""
    matches = pattern(frozenset(vocabulary)).finditer(entry)
    return [match[0] for match in matches if even_denied or not DENIED_BEFORE.search(entry[: match.start()])]


@lru_cache(maxsize=64)
def pattern(vocabulary: frozenset[str]) -> re.Pattern[str]:
    """Matches any label as a whole word, the longest first."""
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(vocabulary, key=len, reverse=True)))})(?![\w-])")


def closed(entry: str, vocabulary: Collection[str]) -> str:
    """An entry without the words that say that the list goes on, where the labels are known and it is none: `red etc.`, `and so on`."""
    return entry if not vocabulary or entry in vocabulary else OPEN_END.sub("", entry)


def labels_in(text: str, vocabulary: Collection[str]) -> set[str]:
    """The labels that a text lists.

    What only announces others, as `sure` and `here are the labels:`, is none beside them; a sentence behind a label ends the list.

    Args:
        vocabulary: the labels of all references; empty while these are read.
    """
    labels: list[str] = []
    for part in listed(without_struck(text) if vocabulary else text, vocabulary):
        entry = closed(normalise(strip_wrappers(part)), vocabulary)
        labels += apart(entry, vocabulary) if entry else []
    present = {label for label in labels if label in vocabulary or not (label.endswith(":") or (vocabulary and is_no_label(label)))}
    return present or set(labels)


def is_no_label(entry: str) -> bool:
    """Whether an entry beside labels is none: a courtesy or prose."""
    return entry.rstrip("!.") in COURTESY or is_prose(entry) or REMARK.fullmatch(entry) is not None
