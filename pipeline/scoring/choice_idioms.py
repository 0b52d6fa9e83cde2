"""Tells words that only look like a choice from choices: `it` in `It depends` is no department IT, `não` in `Não sei` is no answer."""

import regex

FLAGS = regex.IGNORECASE | regex.VERSION1 | regex.FULLCASE
IDIOMS = regex.compile(
    r"\b(?:in\s+order\s+(?:to|that)|on\s+account\s+of|into\s+account|(?<!\bis\s)up\s+to|is\s+up\s+to|let\s+us|as\s+per|(?:around|all\s+over|in)\s+the\s+world|"
    r"in\s+fact|as\s+a\s+matter\s+of\s+fact|in\s+my\s+opinion|in\s+(?:general|particular|(?:plain\s+)?English)|of\s+course|by\s+the\s+way|"
    r"may\s+(?:I|we|you)|(?:the\s+)?objective\s+of\s+(?:this|the)\s+\w+|z\.\s?B\.|d\.\s?h\.|e\.\s?g\.|i\.\s?e\.|p\.\s?ej\.)(?!\w)",
    FLAGS,
)
"""Fixed phrases and abbreviations, whose words stand for nothing else."""
FUNCTION_WORDS = frozenset("it us or in me am is at as so an on if to do go he we up all may per who can for not and the will be".split())
"""English words that are labels in another case: IT, US, May, PER."""
UNKNOWN = regex.compile(
    r"(?<!\w)(?:não\s+(?:sei|sabemos|há|tenho|temos|posso|podemos|dá|existe\w*|é\s+(?:possível|certo|claro)|está\s+(?:claro|certo))"
    r"|нет\s+(?:информации|данных|сведений|сомнени\w+|ответа|возможности|уверенности)"
    r"|لا\s+(?:أعرف|أعلم|أدري|نعرف|نعلم|توجد|يوجد|شك|يمكن)"
    r"|tidak\s+(?:tahu|ada|yakin|jelas|pasti|dapat|bisa|diketahui)|không\s+(?:biết|rõ|chắc|thể|có\s+(?:thông\s+tin|đủ))"
    r"|नहीं\s+(?:पता|जानता|जानती|मालूम|कह\s+सकत\w*)|(?:पता|जानकारी|निश्चित|मालूम|गलत|शक|संदेह)\s+नहीं"
    r"|没有(?:足够|任何|相关)?的?(?:信息|资料|数据|疑问|把握|答案))",
    FLAGS,
)
"""Says that something is unknown or beyond doubt, in which the word for no denies that and answers nothing."""
PARTICLES = frozenset(("ja", "có"))
"""Words for yes that stand inside a sentence as another word: `Das ist ja falsch`."""
INSIDE = regex.compile(r"\p{L}[\p{L}\p{M}]*[^\S\n]+$")
WORD_BEHIND = regex.compile(r"^[^\S\n]+[\p{L}]")
CHOSEN = regex.compile(r"(?:[:：=]|->|→|\b(?:lautet|heißt|also|daher|là))[^\S\n]*$", FLAGS)
"""What introduces an answer."""
BESIDE = (
    (regex.compile(r""), regex.compile(r"^不是"), "是"),
    (regex.compile(r"是不$"), regex.compile(r""), "是"),
    (regex.compile(r"是$"), regex.compile(r""), "不是"),
    (regex.compile(r""), regex.compile(r"^를\s?들"), "예"),
)
"""What stands before and behind a word that is part of another there, and the word: `是不是`, `예를 들어`."""


def is_other_word(part: str, span: tuple[int, int], name: str) -> bool:
    """Whether the word at a place, which equals a choice of this name, says something else there."""
    start, end = span
    word, before, after = part[start:end], part[:start], part[end:]
    if any(match.start() <= start and end <= match.end() for match in IDIOMS.finditer(part, max(0, start - 40), end + 40)):
        return True
    if name.casefold() in FUNCTION_WORDS and name.casefold() != name != word and not stands_alone(before, after):
        return True
    if any(match.start() <= start and end <= match.end() for match in UNKNOWN.finditer(part, max(0, start - 40), end + 40)):
        return True
    if name.casefold() in PARTICLES and INSIDE.search(before) and WORD_BEHIND.match(after) and not CHOSEN.search(before):
        return True
    return any(name == other and left.search(before) and right.match(after) for left, right, other in BESIDE)


def stands_alone(before: str, after: str) -> bool:
    """Whether a word is all that its line holds, but for signs."""
    return not regex.search(r"\w[^\n]*$", before) and not regex.match(r"[^\n]*\w", after)
