"""Tells whether a text denies a choice that it names: right before it (`not B`), from further off (`does not look like B`), or after it."""

import regex

from pipeline.scoring.answer_text import unified

FLAGS = regex.IGNORECASE | regex.VERSION1 | regex.FULLCASE
NEGATION = regex.compile(
    r"(?:(?<!\w)(?:not|cannot|neither|nor|never|no|without|rather\s+than|instead\s+of|as\s+opposed\s+to|unlike|weder|ni|né|nicht|kein\w*|ne|pas|nunca|non|não|nem|не|ни|"
    r"niet|geen|nie|inte|ikke|δεν|όχι|ليس|ليست|غير|لا|לא|אין|אינו|אינה|"
    r"không(?:\s+phải(?:\s+là)?)?|tidak|bukan(?:lah)?|ei(?:\s+ole)?|eivät(?:\s+ole)?|nu(?:\s+(?:este|e))?|není|nejsou|(?-i:hindi)|hindi\s+ito|"
    r"(?<!\b(?:un|um)\s)(?:poco|peu|pouco))|n't"
    r"|(?<!\w)(?:all|any|every)(?:\s?(?:thing|one|of\s+(?:them|these)))?\s+(?:except|but|besides|save)(?:\s+for)?)[^\S\n]+"
    r"(?:(?:a|an|the|be|is|are|so|really|very|quite|simply|just|option|choice|answer|es|está|ist|eine?|est|é|είναι)\s+){0,3}[\"'(\[*]*$"
    r"|(?:不是|並非|并非|不|非|没有|ไม่|ไม่ใช่|non-|un-|anti-)[\"'「“]*$",
    FLAGS,
)
"""Matches a negation that ends right before what it negates."""
NOT_OPPOSITE = regex.compile(r"\b(?:so|very|quite|simply|just|neither|nor|without)\b", FLAGS)
"""Words in a negation after which the opposite is not what is said: `not just spam`."""
BOUNDARIES = (
    "but|so|because|since|therefore|thus|hence|however|though|although|while|whereas|which|and|yet|instead|except|unless|if|when|only|"
    "just|merely|aber|sondern|weil|denn|und|mais|donc|et|car|pero|sino|porque|y|e|mas|ma|perché|но|а|и|maar|omdat|en|men"
)
"""Words that end the clause that a negation governs."""
NEW_CLAUSE = (
    r"(?<!\b(?:think|believe|say|said|feel|agree|sure|certain|clear|claim|mean|that|if|whether|how|why)\s+)"
    r"(?:it|this|that)(?:'s|\s+(?:is|was))"
)
"""What begins another clause without a word between, as in `it does not work it is bad`; after a verb of opinion it goes on with that."""
AFFIRMED = (
    r"(?:(?:no|without(?:\s+(?:a|any))?)\s+(?:doubt|question|denying|wonder)|(?:not|\w+n't)\s+(?:only|just|merely|hesitate|wrong|hard|difficult|"
    r"surprising\w*)|nothing\s+(?:but|other|less|more)|(?:can't|cannot|couldn't)\s+help)\b"
)
"""Negations that stress what follows."""
NEGATOR = (
    r"(?<!\w)(?:not|cannot|never|nothing|none|nobody|no|without|lack(?:s|ed|ing)?|hardly|barely|unlikely|improbable|doubtful|(?<!\b(?:no|without|without\s+an?y?)\s+)doubts?|scarcely|less|far\s+from|anything\s+but|"
    r"free\s+(?:of|from)|(?:wrong|incorrect|inaccurate|misleading|unfair|an?\s+(?:mistake|error|stretch))\s+to|neither|nor|weder|ni|(?:the\s+)?opposite\s+(?:of|is)|fail(?:s|ed)?\s+to|refuse[sd]?\s+to|nicht|kein\w*|nie|pas|jamais|aucun\w*|rien|nunca|nada|sin|tampoco|não|nem|non|mai|"
    r"не|нет|ни|niet|geen|inte|ikke|δεν|ليس|ليست|لا|לא|אין|אינו|אינה|tidak|bukan|nu|není|ei\s+ole|không\s+phải)(?!\w)|\w(?:n't)(?!\w)"
)
LETTERS_BEFORE = regex.compile(r"(?:(?<!\w)\w\s*(?:,\s*(?:or|and|nor)\b|,|/|&|or\b|and\b|nor\b)\s*)+$", FLAGS)
"""The letters before another one in a list, as in `not A, B or C`."""
CLAUSE_END = regex.compile(r"[,.;:!?\n，。；：！？]|\s[-–—]\s|—")
MAX_GAP = 8
"""Words between a negation and what it denies within one clause."""
DISTANT = regex.compile(
    rf"(?:(?!{AFFIRMED})(?:{NEGATOR}))(?:\s+(?!(?:{BOUNDARIES}|{NEW_CLAUSE})(?!\w))[\"'(*]*[\w'’-]+){{0,{MAX_GAP}}}\s+[\"'“”(\[*`]*$"
    r"|(?:(?<!毫)[不没沒非无無未](?![错錯但仅僅愧过過]|得不|疑))[^\s，。、；：！？,.;:!?但而所]{0,6}$",
    FLAGS,
)
"""Matches a negation in the clause before a choice."""
EXCLUDED = regex.compile(
    r"\b(?:eliminat\w*|rul(?:e|es|ed|ing)\s+out|exclud\w*|reject\w*|discard\w*)\s+"
    r"(?:(?!\b(?:leav\w*|so|therefore)\b)[\w(),&*'\" -]){0,60}$",
    FLAGS,
)
"""Matches a list of what is ruled out."""
NOT_YES = regex.compile(
    r"(?:(?<!\w)(?:not|cannot)|n't)\s+(?:(?:be|an?|the|say|think|believe|agree|answer|that|it|this|is|it's|with)\s+){0,5}[\"'(\[*]*$", FLAGS
)
"""The same for yes and no, which other negations do not deny."""
COMPARED = regex.compile(
    r"(?<!(?:\b(?:not|no|nothing|never)|n't)\s+)\b(?:more(?!\s+(?:errors|mistakes|problems|issues|flaws|gaps))|closer|likelier)\b[^.!?\n]{0,60}?\bthan\s+(?:to\s+)?(?:(?:an?|the)\s+)?"
    r"[\"'“(\[*`]*$",
    FLAGS,
)
"""Matches a comparison in which the other choice won: `more negative than `."""
COMPARED_ELSEWHERE = regex.compile(
    r"(?<!\b(?:nicht|pas|no|non|não|не|niet)\s+)\b(?:(?:eher|mehr|näher)\b[^.!?\n]{0,60}?\bals|(?:plutôt|plus)\b[^.!?\n]{0,60}?\bqu(?:e|')|"
    r"más\b[^.!?\n]{0,60}?\bque|più\b[^.!?\n]{0,60}?\bche|mais\b[^.!?\n]{0,60}?\bque|(?:скорее|более)\b[^.!?\n]{0,60}?\bчем|"
    r"(?:meer|eerder)\b[^.!?\n]{0,60}?\bdan|(?:raczej|bardziej)\b[^.!?\n]{0,60}?\bniż|weder\b[^.!?\n]{0,60}?\bnoch)(?:\s+|(?<='))(?:eine?n?|une?|una?|een)?\s*"
    r"[\"'“(\[*`]*$",
    FLAGS,
)
"""The same in other languages, and the second of two that are both denied."""
DENIED_AFTER = regex.compile(
    r"^(?:(?!(?<!라)고[\s,]|であり|で[^はも])[^。、，,.!?！？\n]){0,12}?(?:(?:では|じゃ)(?:な|あり)|と(?:は|も)?(?:言|い)え(?:な|ませ)|"
    r"は(?:特に|全く|まったく|一切)?(?:な[いくし]|ありませ)|が(?:な[いくし]|ありませ)|지\s?(?:않|못)|수\s?없|[이가은는도]\s?없|(?:이|가)\s?아[니닙닌])"
    r"|^[\"'」”]?\s?(?:아[니닙님닌]|değil|नहीं|نیست|نہیں|নয়|নয়|அல்ல)"
    r"|^[\"'*_`]*(?:\s(?:sentiment|tone|emotion|class|label|category))?(?:\s?[:=]|\s[-–—])\s?[\"'*_`]*(?:no|absent|none|nein|non|нет|не|false|incorrect|wrong|not\s+(?:correct|true|right))[\"'*_`]*\s*(?:$|[.,;!}\n])"
    r"|^(?:[\s,&/]*(?:and|or)?\s*[(\"'*]*[A-Z][)\"'*]*(?!\w))*[\s\"'*)\]]*\s"
    r"(?:(?:is|was|are|were|seems|would\s+be)\s+(?:clearly\s+|also\s+|all\s+|both\s+|the\s+|an?\s+|far\s+|much\s+)?"
    r"(?:wrong|incorrect|false|not|ruled\s+out|out|worse|worst|weaker|poorer|inferior|less(?!\s+(?:toxic|harmful)))"
    r"|(?:loses\s+to|falls\s+short|is\s+outperformed)"
    r"|(?:isn't|wasn't|aren't|doesn't|does\s+not|don't|do\s+not|cannot|can't|couldn't|would\s+not|wouldn't)"
    r"|(?:can|should|must|could)\s+be\s+(?:ruled\s+out|eliminated|excluded|rejected|discarded))\b",
    FLAGS,
)


JUDGED = r"[\"'*_`]*[.)\]:=]?[\"'*_`]*(?:\s*[-–—])?\s?[\"'*_`(]*"
VERDICT_END = r"[\"'*_`)]*\s*(?:$|[.,;!}\n])"
CALLED_WRONG = regex.compile(
    rf"^{JUDGED}(?:(?:incorrect|wrong|false|not\s+(?:correct|true|right)|falsch|неверно){VERDICT_END}|[✗✘❌❎])", FLAGS
)
CALLED_RIGHT = regex.compile(
    rf"^(?:{JUDGED}(?:(?:correct|true|right|richtig|верно){VERDICT_END}|[✓✔✅☑])"
    rf"|[\"'*_`)]*(?:\s?[:=?]|\s[-–—])\s?[\"'*_`]*yes{VERDICT_END})",
    FLAGS,
)
"""What a text that goes through marked options says right after each: `A. Incorrect`, `B: yes`."""
OTHER_ANSWER = regex.compile(r"\b(?:yes|no)[\"']*\s*(?:or|nor|/)\s*[\"']*$", FLAGS)
"""The first of `yes or no`, before the second."""


def is_denied(part: str, name: str, start: int, end: int) -> bool:
    """Whether the text says that it is not the choice of this name, which stands from start to end."""
    before = part[max(0, start - 90) : start]
    before = LETTERS_BEFORE.sub("", before) if len(name) == 1 else before
    if name.casefold() in ("yes", "no"):
        return bool(NOT_YES.search(OTHER_ANSWER.sub("", before)))
    clause = CLAUSE_END.split(before)[-1]
    if (
        NEGATION.search(before)
        or DISTANT.search(clause)
        or EXCLUDED.search(before)
        or COMPARED.search(before)
        or COMPARED_ELSEWHERE.search(before)
    ):
        return True
    if len(name) == 1 and CALLED_WRONG.match(part[end:]):
        return True
    return DENIED_AFTER.match(part[end:]) is not None


def opposite(part: str, name: str, start: int, choices: tuple[str, ...]) -> tuple[str, int] | None:
    """The choice that a negation right before another one makes of it, as `isn't spam` says `not spam`, and where it begins."""
    match = NEGATION.search(part[max(0, start - 60) : start])
    if match is None or NOT_OPPOSITE.search(match[0]):
        return None
    bare = unified(name).casefold()
    words = [f"{prefix}{bare}" for prefix in ("not ", "not-", "not_", "non ", "non-", "no ")]
    named = next((choice for choice in choices if unified(choice).casefold() in words), None)
    return (named, max(0, start - 60) + match.start()) if named else None
