"""Finds the queries of a text, each from its SELECT to its end: comments, quotes around it and sentences behind it are no part of it."""

import re

from pipeline.scoring.final_answer import Candidate

CLAUSES = (
    "FROM|WHERE|AND|OR|GROUP|ORDER|HAVING|LIMIT|OFFSET|UNION|INTERSECT|EXCEPT|ON|JOIN|(?:LEFT|RIGHT|FULL|INNER|OUTER|CROSS) (?:OUTER )?JOIN"
)
OPEN_WORDS = (
    "SELECT|DISTINCT|FROM|WHERE|AND|OR|HAVING|(?:GROUP|ORDER) BY|ON|JOIN|(?:UNION|INTERSECT|EXCEPT)(?: ALL)?|CASE|WHEN|THEN|ELSE|IN|AS"
)
CONTINUED = re.compile(rf"[ \t]+\S|\)|(?:{CLAUSES}|{CLAUSES.lower()})\b")
"""A line that goes on with a query: it is indented, closes a bracket or begins with an SQL keyword."""
CLAUSE_APART = re.compile(
    r"[ \t]*(?:(?:FROM|WHERE|AND|HAVING|(?:GROUP|ORDER) BY|LIMIT|OFFSET|ON|(?:(?:LEFT|RIGHT|FULL|INNER|OUTER|CROSS) )?(?:OUTER )?JOIN)"
    r"[ \t]+\S|(?:UNION|INTERSECT|EXCEPT)\b|where\s+[\w.\"`]+\s*[=<>!]|(?:group|order) by\s+\w|limit \d|having\s+\w+\s*\()"
)
"""A clause behind blank lines; in small letters it must be none of plain English. A lone OR may stand between two queries."""
SKIPPED = re.compile(r"\s*(?:--.*)?$")
"""A line that is blank or a comment."""
ENDED = re.compile(r";\s*$|```")
UNFINISHED = re.compile(rf"(?:[,(]|(?<![=<>] )\b(?:{OPEN_WORDS}|{OPEN_WORDS.lower()}))[ \t]*$")
"""The end of a line after which a query must go on; `= OR` is a value."""
NAME_IN_BACKTICKS = re.compile(r"`\w+`")
SQL_COMMENT = re.compile(r"(\"[^\"\n]*\"|'[^'\n]*')|(?<=\s)--\s.*")
"""A comment, or a text in quotes, in which two hyphens begin none."""
END_OF_QUERY = "; ."
BLOCK_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
VERB = (
    r"(?:will|would|returns?|finds?|selects?|gives?|shows?|gets?|retrieves?|lists?|counts?|calculates?|computes?|"
    r"fetch(?:es)?|means?|filters?)"
)
SENTENCE = re.compile(
    r"(\"[^\"\n]*\"|'[^'\n]*')|(?<=[^\s=<>(,])(?:[.,:;]?\s+|\s*\n\s*)(?:and\s+)?\(?(?:"
    rf"(?:This|It|That|Which|which|that)\s+{VERB}\b"
    rf"|(?:[Tt]he|[Tt]his|[Tt]hat)\s+(?:(?:above|SQL|resulting|final)\s+)?(?:query|statement|result|answer|output)\s+(?:above\s+)?(?:{VERB}|is|uses?)\b"
    rf"|Here,?\s+(?:the|we|I)\b|Note\s+that\b|Explanation:|assuming\b|That's\b|(?:I\s+)?[Hh]ope\s+this\b|[Ii]n\s+order\s+to\s+{VERB}\b"
    r"|to\s+(?:get|find|retrieve|fetch|list|show|count|answer|obtain|see|select)\s+(?:the|all|how|it|that|your|this)\b).*",
    re.DOTALL,
)
"""A text in quotes; or a sentence in plain English behind a query, with all that follows it."""
END_BEFORE_MORE = re.compile(r"[.;](?=\s+(?:[A-Z][a-z]|SELECT\b|select\b))")
"""The end of a sentence or query with more behind it."""
WITH_TABLE = re.compile(r"\bFROM\b", re.IGNORECASE)


def queries(text: str) -> list[Candidate]:
    """The queries of a text, in order."""
    matches = list(re.finditer(r"\bSELECT\b", text)) or list(re.finditer(r"\bSELECT\b", text, re.IGNORECASE))
    candidates: list[Candidate] = []
    for start in (match.start() for match in matches):
        if candidates and start < candidates[-1].end:
            continue
        whole = up_to_next(from_select(text[start:]))
        bare = SQL_COMMENT.sub(quoted, BLOCK_COMMENT.sub(" ", within_quotes(text[:start], whole)))
        query = " ".join(SENTENCE.sub(quoted, re.split(r";\s*(?:\n|$)|```|</\w+>", bare, maxsplit=1)[0]).split())
        candidates.append(Candidate(query.rstrip(END_OF_QUERY).removesuffix("**").rstrip(END_OF_QUERY), start, start + len(whole)))
    return [query for query in candidates if WITH_TABLE.search(query.value)] or candidates


def from_select(text: str) -> str:
    """A text from its SELECT to the last line that goes on with the query."""
    lines = text.split("\n")
    end = 1
    while (following := next((place for place in range(end, len(lines)) if not SKIPPED.match(lines[place])), 0)) and goes_on(
        lines[end - 1], lines[following], not all(line.strip() for line in lines[end:following])
    ):
        end = following + 1
    return "\n".join(lines[:end])


def goes_on(before: str, line: str, is_apart: bool) -> bool:
    """Whether a line goes on with the query of the line before.

    Args:
        is_apart: whether blank lines stand between; an indented line may then be anything.
    """
    if is_apart:
        return not ENDED.search(before) and bool(CLAUSE_APART.match(line) or UNFINISHED.search(before))
    return bool(CONTINUED.match(line) or UNFINISHED.search(before))


def up_to_next(query: str) -> str:
    """A text from its SELECT up to the sentence or semicolon after which another query begins, in the same case."""
    for start in (match.start() for match in re.finditer(rf"\b{query[:6]}\s", query[1:])):
        end = next((match.start() for match in END_BEFORE_MORE.finditer(query) if match.start() <= start), None)
        if end is not None and not any(query.count(quote, 0, start) % 2 for quote in "'\""):
            return query[:end]
    return query


def within_quotes(before: str, query: str) -> str:
    """The query up to the quote or backtick that closes one right before it; names in backticks are part of it."""
    if before.endswith('"') and query.count('"') % 2:
        return query[: query.rindex('"')]
    if not before.endswith("`") or before.endswith("```"):
        return query
    end = NAME_IN_BACKTICKS.sub(lambda match: "x" * len(match[0]), query).find("`")
    return query[:end] if end >= 0 else query


def quoted(match: re.Match[str]) -> str:
    """A text in quotes, and nothing for any other match."""
    return match[1] or ""
