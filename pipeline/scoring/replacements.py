"""Finds what a text replaces and so is no answer: `Sales` in `Sales... Actually, billing.`"""

from collections.abc import Sequence

import regex

FLAGS = regex.IGNORECASE | regex.VERSION1
MARKS = r"[\s\"'“”„«»*_`()\[\]]*"
REPLACING = (
    r"actually|well(?=,)|(?:or\s+)?rather(?!\s+than)|(?:i'm\s+|so\s+)?sorry|i\s+meant?|make\s+(?:that|it)|oops|(?:just|only)\s+(?:kidding|joking)|"
    r"(?:ich\s+)?meine(?:\s+ich)?|vielmehr|besser\s+gesagt|quatsch|moment|eigentlich|tatsächlich|entschuldigung|"
    r"pardon|(?:ou\s+)?plutôt(?!\s+que)|en\s+fait|je\s+veux\s+dire|désolé|"
    r"perdón|mejor\s+dicho|quiero\s+decir|en\s+realidad|digo|lo\s+siento|anzi|scusa|volevo\s+dire|in\s+realtà|"
    r"aliás|quer\s+dizer|perdão|na\s+verdade|desculpe|eigenlijk|ik\s+bedoel|"
    r"точнее|вернее|на\s+самом\s+деле|извините|простите|哦?不对|哦?不對|错了|錯了|更正|いや|違う|訂正|아니요?|정정|عفوا|بل"
)
NO = r"no|nope|nein|doch\s+nicht|non|não|nee|nie|nej|нет|ні|不|不是|لا|hayır"
"""Takes back what stands before it only where a sign separates it from what follows: `no, B`, but `no B vitamins`."""
HESITATION = r"(?:(?:well|oh|ah|um+|uh+|er+|hm+|ach|äh+|eh|ой|no|nein|non|нет)[,.…]*\s+)*"
STATED = (
    r"(?:(?:(?:it|that|this)(?:'s|\s+is|\s+was|\s+(?:should|must|would)\s+be)|i(?:'d|\s+would)\s+say|i\s+think(?:\s+it(?:'s|\s+is))?|"
    r"(?:the|my)\s+(?:\p{L}+\s+){1,3}(?:is|should\s+be)|es\s+ist|c'est|es|è|é|это|是|应该是|應該是)\s*:?\s*)?(?:(?:an?|the|option)\s+)?"
)
BETWEEN = regex.compile(
    rf"{MARKS}(?:\p{{L}}+\s?){{0,2}}{MARKS}(?:(?:\.{{2,}}|…+|[,;.!?—–，。；！？\n]|-\s)[\s—–-]*)+{HESITATION}"
    rf"(?:(?:{REPLACING})\s*[,:.…!—–，：。、-]*|(?:{NO})\s*(?:[,:…—–，：、]|\.{{2,}}|-\s))\s*{STATED}{MARKS}",
    FLAGS,
)
"""What stands between an answer and the one that replaces it."""
ENDS = regex.compile(rf"{MARKS}(?:\p{{L}}+{MARKS})?(?:$|[.,;:!?—–…。，；！？\n]|(?:because|since|as|or)\b)", FLAGS)
"""What follows the answer that replaces another: the end of its clause."""


def start_of_last(part: str, spans: Sequence[tuple[int, int]]) -> int:
    """Where the last answer begins that replaces the one before it; 0 where none does.

    Args:
        spans: start and end of everything in the text that may be the answer, in order.
    """
    for (_, end), (start, after) in zip(reversed(spans[:-1]), reversed(spans[1:]), strict=True):
        if BETWEEN.fullmatch(part, end, start) and ENDS.match(part, after):
            return start
    return 0


def blanked(part: str, end: int) -> str:
    """The text in which blanks stand for all before a position."""
    return str(regex.sub(r"\S", " ", part[:end])) + part[end:]
