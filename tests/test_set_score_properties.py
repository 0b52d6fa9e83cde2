"""Sets of entities and labels, and queries: right in every spelling and script, and never equal where they say something else."""

import json
import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.data import task as tasks
from pipeline.metrics.words import normalise
from pipeline.scoring import parsers, right_answers
from pipeline.store.records import Example
from tests.test_score_properties import SCRIPTS, load, scores

FEW = settings(max_examples=60, deadline=None, derandomize=True)
WORDS = sorted({word for name, words in SCRIPTS.items() if name not in ("signs", "LaTeX", "emoji", "numbers") for word in words.split()})
names = st.lists(st.sampled_from([*WORDS, "O'Brien", "C++", "C", "3", "-3", "AT&T", "Ann"]), min_size=1, max_size=3).map(" ".join)
KINDS = ("person", "organization", "location", "miscellaneous")
entities = st.fixed_dictionaries({kind: st.lists(names, max_size=3, unique_by=normalise) for kind in KINDS})
FORMS = st.sampled_from(["NFC", "NFD"])


def example(prompt="Input: x Output:"):
    return Example("1", prompt, "-")


def score(name, text, gold):
    """(corpus score, score of the example)."""
    metric = load(name)
    best = right_answers.best_scores(metric, [text], [[gold]])
    return float(metric.aggregate(best.statistics.sum(axis=0))), float(best.values[0])


ENTITY_TASKS = ["bc5cdr", "conllpp"]
ENTITY_SPELLINGS = (
    json.dumps,
    lambda value: json.dumps(value, ensure_ascii=False),
    lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    lambda value: f"Here you are:\n```json\n{json.dumps(value)}\n```\nAnything else?",
    repr,
    lambda value: repr({kind: texts or None for kind, texts in value.items()}),
    lambda value: json.dumps({kind: texts[0] if len(texts) == 1 else texts for kind, texts in value.items()}),
    lambda value: json.dumps({kind: texts or "" for kind, texts in value.items()}),
    lambda value: json.dumps({kind: [*texts[::-1], *texts, " "] for kind, texts in reversed(value.items())}),
    lambda value: json.dumps({kind.title(): [text.upper() for text in texts] for kind, texts in value.items()}),
    lambda value: json.dumps({kind: [f" {text.replace(' ', '  ')}\n" for text in texts] for kind, texts in value.items()}),
)


@pytest.mark.parametrize("task", ENTITY_TASKS)
@FEW
@given(entities, st.sampled_from(ENTITY_SPELLINGS), FORMS)
def test_entities_are_equal_in_every_spelling(task, value, spell, form):
    parse = tasks.find(task).answer
    assume(all(normalise(text.upper()) == normalise(text) for texts in value.values() for text in texts))
    gold = parse(json.dumps(value), example())
    read = parse(unicodedata.normalize(form, spell(value)), example())
    assert score("entity_f1", read, gold) == (1, 1), read
    assert parse(read, example()) == read


@pytest.mark.parametrize("task", ENTITY_TASKS)
@FEW
@given(entities, st.sampled_from(KINDS), st.sampled_from(KINDS), names)
def test_other_entities_are_not(task, value, kind, other, name):
    parse = tasks.find(task).answer
    present = {normalise(text) for texts in value.values() for text in texts}
    assume(normalise(name) not in present)
    gold = parse(json.dumps(value), example())
    changed = [{**value, kind: [*value[kind], name]}]
    changed += [{**value, kind: value[kind][1:]}, {**value, kind: [name, *value[kind][1:]]}] if value[kind] else []
    if value[kind] and kind != other and normalise(value[kind][0]) not in map(normalise, value[other]):
        changed.append({**value, kind: value[kind][1:], other: [*value[other], value[kind][0]]})
    for another in changed:
        for prediction, reference in ((parse(json.dumps(another), example()), gold), (gold, parse(json.dumps(another), example()))):
            assert max(score("entity_f1", prediction, reference)) < 1, (prediction, reference)


LABEL_PROMPT = "Title: a\nBody: b\n\nTopics:"
labels = st.lists(
    st.sampled_from([*WORDS, "money-fx", "nat gas", "c", "c++", "c#", "👍", "👎", "3", "-3", "10²"]),
    min_size=1,
    max_size=5,
    unique_by=normalise,
)
LABEL_SPELLINGS = {
    "commas": ", ".join,
    "no blanks": ",".join,
    "semicolons": "; ".join,
    "other commas": "、".join,
    "Arabic commas": "، ".join,
    "bullets": lambda names: "\n".join(f"- {name}" for name in names),
    "numbers": lambda names: "\n".join(f"{n}. {name}" for n, name in enumerate(names, 1)),
    "a cue": lambda names: f"Topics: {', '.join(names)}",
    "bold": lambda names: f"**{', '.join(names)}**",
    "quotes": lambda names: ", ".join(f"'{name}'" for name in names),
    "a full stop": lambda names: f"{', '.join(names)}.",
    "another order": lambda names: ", ".join(names[::-1]),
    "twice": lambda names: ", ".join([*names, names[0]]),
    "blanks": lambda names: "  ,  ".join(name.replace(" ", "  ") for name in names),
    "a next question": lambda names: f"{', '.join(names)}\nTitle: next\nTopics: other",
}


@pytest.mark.parametrize("spelling", LABEL_SPELLINGS)
@FEW
@given(labels, FORMS)
def test_topics_are_equal_in_every_spelling(spelling, value, form):
    gold = parsers.topics(", ".join(value), example(LABEL_PROMPT))
    read = parsers.topics(unicodedata.normalize(form, LABEL_SPELLINGS[spelling](value)), example(LABEL_PROMPT))
    assert score("set_f1", read, gold) == (1, 1), read
    assert parsers.topics(read, example(LABEL_PROMPT)) == read


@pytest.mark.parametrize(
    "spelling", ["commas", "no blanks", "semicolons", "other commas", "Arabic commas", "bullets", "numbers", "another order", "twice"]
)
@FEW
@given(labels, FORMS)
def test_sets_of_labels_are_equal_in_every_spelling(spelling, value, form):
    assume(len(value) > 1 or spelling != "numbers")  # a lone `1. Liga` may be a name
    assert score("set_f1", unicodedata.normalize(form, LABEL_SPELLINGS[spelling](value)), ", ".join(value)) == (1, 1)


@pytest.mark.parametrize("parse", [parsers.topics, parsers.text, parsers.first_line])
@FEW
@given(labels, labels)
def test_other_labels_are_not(parse, one, other):
    assume({*map(normalise, one)} != {*map(normalise, other)})
    read = [parse(", ".join(value), example(LABEL_PROMPT)) for value in (one, other)]
    assert max(score("set_f1", *read)) < 1, read


columns = st.sampled_from(["Name", "Home team", "Größe", "Страна", "国", "Score (pts)"])
cells = st.one_of(names, st.integers(-99, 99).map(str), st.sampled_from(["1.5", "15", "2 - 1", "2-1", "John O'Brien", "1/8", "10²", "102"]))
conditions = st.lists(st.tuples(columns, st.sampled_from(["=", ">", "<", "!=", ">=", "<="]), cells), max_size=3)
queries = st.tuples(st.sampled_from(["", "MAX", "MIN", "COUNT", "SUM", "AVG"]), columns, conditions)


def query(parts, quote="'", gap=" ", brackets="{} {}", keyword=str.upper):
    aggregate, column, filters = parts
    chosen = brackets.format(aggregate, column) if aggregate else column
    text = f"{keyword('select')} {chosen} {keyword('from')} table"
    for n, (name, sign, cell) in enumerate(filters):
        inside = cell.replace("'", "''") if quote == "'" else cell
        text += f" {keyword('and' if n else 'where')} {name}{gap}{sign}{gap}{quote}{inside}{quote}"
    return text


SQL_SPELLINGS = (
    lambda parts: query(parts, quote='"'),
    lambda parts: query(parts, quote=""),
    lambda parts: query(parts, gap=""),
    lambda parts: query(parts, brackets="{}({})"),
    lambda parts: query(parts, brackets="{} ( {} )"),
    lambda parts: query(parts, keyword=str.title),
    lambda parts: f"{query(parts)};",
    lambda parts: query(parts).replace(" FROM", "\n  FROM").replace(" WHERE", "\nWHERE"),
    lambda parts: f"The query is:\n```sql\n{query(parts)};\n```\nIt selects a column.",
    lambda parts: f"SQL: {query(parts)}\n\nQuestion: and what else?",
)


@FEW
@given(queries, st.sampled_from(SQL_SPELLINGS), FORMS)
def test_a_query_is_equal_in_every_spelling(parts, spell, form):
    gold = parsers.sql(query(parts), example())
    read = parsers.sql(unicodedata.normalize(form, spell(parts)), example())
    assert score("sql_match", read, gold) == (1, 1), (read, gold)
    assert parsers.sql(read, example()) == read


def plainly(parts):
    return (parts[0], parts[1], *((name, sign, normalise(cell)) for name, sign, cell in parts[2]))


@FEW
@given(queries, queries, cells, st.sampled_from(["=", ">", "<", "!=", ">=", "<="]))
def test_another_query_is_not(one, other, cell, sign):
    aggregate, column, filters = one
    changed = [other, (aggregate, column, [*filters, ("Name", sign, cell)]), (aggregate, column, filters[1:])]
    changed += [(aggregate, column, [(filters[0][0], sign, filters[0][2]), *filters[1:]])] if filters else []
    changed += [(aggregate, column, [(filters[0][0], filters[0][1], cell), *filters[1:]])] if filters else []
    for another in changed:
        if plainly(another) != plainly(one):
            read = [parsers.sql(query(parts), example()) for parts in (one, another)]
            assert score("sql_match", *read) == (0, 0), read


@pytest.mark.parametrize(
    ("text", "expected", "score"),
    [
        ("earn and trade", "earn, trade", 1),
        ("earn, trade, and gold", "earn, gold, trade", 1),
        ("earn, gold or trade", "earn, gold, trade", 1),
        ("rock and roll, pop", "pop, rock and roll", 1),
        ("pop and rock and roll", "pop, rock and roll", None),
        ("[earn, trade]", "earn, trade", 1),
        ("(earn, trade)", "earn, trade", 1),
        ("Labels: earn, trade", "earn, trade", 1),
        ("1. earn", "earn", 1),
        ("earn und trade", "trade, earn", 1),
        ("odds and ends", "earn", 0),
    ],
)
def test_a_list_in_a_sentence_is_read_as_its_labels(text, expected, score):
    metric = load("set_f1")
    others = "earn, trade, gold, pop, rock and roll"  # of another example
    values = metric.compute(predictions=[text, others], references=[expected, others], per_example=True)["set_f1_per_example"]
    assert score is None or values[0] == score
    assert metric.compute(predictions=[expected], references=[expected])["set_f1"] == 1


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ('{"a": "two\nlines"}', '{"a": "two lines"}'),
        ('{"a": " "}', '{"a": ""}'),
        ('{"a": "\t"}', '{"a": null}'),
    ],
)
def test_line_breaks_and_blanks_inside_of_json_are_text(text, target):
    read = [parsers.json(string, example()) for string in (text, target)]
    assert scores("json_field_f1", [tuple(read)])[0] == 1


@pytest.mark.parametrize("text", ["‘Paris’", "„Paris”", "”Paris”", "»Paris«", "‹Paris›", "『Paris』", "‚Paris‘"])
def test_quotes_of_every_language_are_no_part_of_an_answer(text):
    assert scores("accuracy", [(text, "Paris")])[0] == 1
