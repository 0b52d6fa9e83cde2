"""Reads the labels of a text that lists them, however a model writes its list: commas, bullets, JSON, fences, sentences."""

import ast
import re
from collections.abc import Collection
from contextlib import suppress

from pipeline.metrics.words import KEYED, normalise, strip_wrappers

BETWEEN = re.compile(r"[,;、，؛،\n]")
BULLET = re.compile(r"^\s*[-*•·▪◦–+]\s+")
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
INLINE_NUMBER = re.compile(r"^\(?(?:\d{1,2}[.)]|[a-z]\)|[ivx]{1,4}[.)])\s*(?=\S)|^#(?=\w)")
INLINE_MARK = re.compile(r"\s*(?<!\w)(?:\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)](?!\d)|[①-⑳]|[•·▪◦]|#(?=\w))\s*")
"""Marks an entry of a list in one line, as in `(1) red (2) blue`, `• red • blue` and `#red #blue`."""
OPEN_END = re.compile(
    r"(?:^|\s+|\b)(?:and\s+|or\s+)?(?:etc\.?|etcetera|so\s+(?:on|forth)|(?:many\s+)?(?:more|others)|usw\.?|u\.?\s?a\.?|и\s+т\.?\s?[дп]\.?|и\s+др\.?|等|など|等等|…|\.{3})$"
)
"""What says that a list goes on, and is no label."""
REMARK = re.compile(r"\s*\([^()]*\)$")
STATED = re.compile(r"^.{0,40}\b(?:is|are|about|mentions?|includes?|contains?|covers?|=|->)\s+(?=\S)")
BOTH = re.compile(r"^(?:both|either|also|and\s+also|plus|additionally)\s+")
EXPLAINED = re.compile(r"\s*:\s|\s[-–—]\s|\.\s|\s\(")
"""What separates a label from the remark behind it, as in `earn: profits rose`."""
SLASH = re.compile(r"\s*[/|]\s*")
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
    if fenced := FENCED.search(text) or FENCED_LINE.match(text):
        text = fenced[1]
    text = tagged[2] if (tagged := TAGGED.match(text)) else text
    text = keyed[1] if (keyed := KEYED.fullmatch(text.strip())) else text
    lists = [] if LIST.match(text) else LIST_IN_TEXT.findall(text)
    text = lists[0] if len(lists) == 1 else text
    return announced[1] if (announced := BRACKETS_AT_END.match(text.strip())) else text


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
    """The lines that list labels, without those of prose before the first label, and nothing from the first of prose after it on.

    Of a bulleted line with a label and a remark the label stays.
    """
    selected: list[str] = []
    has_label = False
    for line in text.splitlines():
        is_bare = normalise(strip_wrappers(BETWEEN.split(line)[0])) in vocabulary
        bare = line if is_bare else NUMBERED.sub("", BULLET.sub("", line))
        first = normalise(strip_wrappers(EXPLAINED.split(bare, maxsplit=1)[0]))
        if bare != line and first in vocabulary and normalise(bare) not in vocabulary and not INLINE_MARK.search(bare):
            bare = first
        entries = [entry for part in BETWEEN.split(bare) if (entry := normalise(part))]
        names_label = any(names_known(entry, vocabulary) for entry in entries)
        is_item = bare != line or (names_label and not (has_label and line.rstrip().endswith(".")))
        if is_item or not any(is_sentence(entry, vocabulary) for entry in entries):
            selected.append(bare)
            has_label = has_label or names_label
        elif has_label:
            break
    return "\n".join(selected) if has_label else text


def names_known(entry: str, vocabulary: Collection[str]) -> bool:
    """Whether a label of the vocabulary is in an entry."""
    return any(part in vocabulary for part in apart(strip_wrappers(entry), vocabulary))


def is_sentence(entry: str, vocabulary: Collection[str]) -> bool:
    """Whether an entry names no known label and is too long for an unknown one, or begins with a cue."""
    is_long = len(entry.split()) > MAX_LABEL_WORDS or (":" in entry and not entry.endswith(":")) or (entry.endswith(".") and " " in entry)
    return is_long and not names_known(entry, vocabulary)


def apart(label: str, vocabulary: Collection[str]) -> list[str]:
    """The labels of an entry such as `a and b`, `a/b`, `labels: a`, `the labels are a`, `2) a` or `a (a remark)`.

    The entry itself where it is a label or no part of it is.
    """
    if label in vocabulary or not vocabulary:
        return [label]
    bare = BOTH.sub("", strip_wrappers(REMARK.sub("", INLINE_NUMBER.sub("", label))))
    announced, explained = bare.rpartition(":")[2].strip(" *_`"), strip_wrappers(EXPLAINED.split(bare, maxsplit=1)[0])
    forms = dict.fromkeys([label, bare, announced, BOTH.sub("", STATED.sub("", bare)), explained])
    splits = [marked] if len(marked := [part for part in INLINE_MARK.split(label) if part]) > 1 else []
    splits += [[form] for form in forms]
    splits += [[part for part in separator.split(form) if part] for separator in (CONJUNCTION, SLASH) for form in forms]
    for parts in [*splits, *(form.split() for form in forms)]:
        if parts and all(part in vocabulary for part in parts):
            return parts
    return next((parts for parts in splits if any(part in vocabulary for part in parts)), [label])


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
    for part in listed(text, vocabulary):
        entry = normalise(strip_wrappers(part))
        sentence = strip_wrappers(entry.partition(". ")[0])
        is_last = sentence != entry and names_known(sentence, vocabulary) and not names_known(entry, vocabulary)
        entry = closed(sentence if is_last else entry, vocabulary)
        labels += apart(entry, vocabulary) if entry else []
        if is_last:
            break
    present = {label for label in labels if label in vocabulary or not (label.endswith(":") or (vocabulary and label in COURTESY))}
    return present or set(labels)
