"""What the parsers read out of a model's text, and that they leave targets of their kind as they are."""

import gzip
import itertools
import json
import random

import pytest

from pipeline.scoring import parsers
from pipeline.store.records import Example
from tests.tiny import SHARED

LABELS = ("entailment", "not entailment", "Neutral")
PARSERS = [
    parsers.text,
    parsers.first_line,
    parsers.choice,
    parsers.number,
    parsers.json,
    parsers.boolean,
    parsers.topics,
    parsers.sql,
    parsers.code,
]


def example(choices=()):
    return Example("1", "?", "-", tuple(choices))


@pytest.mark.parametrize(
    ("parse", "target"),
    [
        (parsers.text, "two\nlines, and a # sign"),
        (parsers.first_line, "one line"),
        (parsers.choice, "not entailment"),
        (parsers.choice, "entailment"),
        (parsers.choice, "Neutral"),
        (parsers.number, "18"),
        (parsers.number, "-3.5"),
        (parsers.number, "0"),
        (parsers.json, json.dumps({"a": {"c": [1.5, None, True]}, "b": 1, "é": "Öl"}, ensure_ascii=False)),
        (parsers.json, "{}"),
        (parsers.json, json.dumps({"a": {"c": [1.5, None, True]}, "b": "it's \"\\\n"})),
        (parsers.boolean, "yes"),
        (parsers.boolean, "no"),
        (parsers.topics, "earn, money-fx, nat-gas"),
        (parsers.sql, "SELECT MAX Silver; Gold FROM table WHERE Score = 6–3; 6-4 AND Name = select"),
        (parsers.code, "    return [x for x in y]\n\n\ndef helper():\n    pass"),
        (parsers.code, 'def f(x):\n    """\n    ```\n    f(1)\n    ```\n    """\n    return x'),
    ],
)
def test_a_target_is_its_own_answer(parse, target):
    assert parse(target, example(LABELS)) == target


@pytest.mark.parametrize(
    ("parse", "target"),
    [
        (parsers.number, "so it is 1,018.50"),
        (parsers.json, '{"b":1,"a":2}'),
        (parsers.choice, "NEUTRAL!"),
        (parsers.json, "{'b': None, 'a': (True,)}"),
        (parsers.boolean, "TRUE"),
        (parsers.topics, "['trade', 'earn']"),
        (parsers.sql, "select a\nfrom b;"),
        (parsers.code, "```\n\n  x = 1\n```"),
    ],
)
def test_what_was_read_is_read_again(parse, target):
    read = parse(target, example(LABELS))
    assert read != target
    assert parse(read, example(LABELS)) == read


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("text", ["", " \n\t ", "\u200b?!"])
def test_nothing_is_read_where_nothing_stands(parse, text):
    assert parse(text, example(LABELS)) in (None, text.strip() or None)


def test_text_is_stripped():
    assert parsers.text(" \n a b \n", example()) == "a b"


def test_first_line_skips_blank_lines():
    assert parsers.first_line("\n  \n  yes \nand more", example()) == "yes"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("NOT Entailment.", "not entailment"),
        ("entailment, not neutral", "entailment"),
        ("I think: neutral", "Neutral"),
        ("**Entailment**", "entailment"),
        ("entailments", None),
        ("no idea", None),
    ],
)
def test_choice_is_the_first_whole_word(text, read):
    assert parsers.choice(text, example(LABELS)) == read


def test_choice_prefers_the_exact_spelling():
    assert parsers.choice("b", example(["B", "b"])) == "b"
    assert parsers.choice("B", example(["b", "B"])) == "B"


def test_choice_may_hold_signs():
    assert parsers.choice("the answer is (c++).", example(["c", "c++"])) == "c++"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("16 - 3 - 4 = 9, so\n#### 18", "18"),
        ("#### 1,018.00 dollars, not 7", "1018"),
        ("first 3, then 4", None),
        ("it costs $2,125.50.", "2125.5"),
        ("5-3", None),
        ("x = -3", "-3"),
        ("x = \u22123", "-3"),
        ("H2O", None),
        ("5kg", "5"),
        ("1,2,3", None),
        (".50", "0.5"),
        ("2e-4", "0.0002"),
        ("-0.0", "0"),
        ("#### none", None),
    ],
)
def test_number(text, read):
    assert parsers.number(text, example()) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('Sure: {"a":1,\n "b":"x}"} and more', '{"a": 1, "b": "x}"}'),
        ("[]", "{}"),
        ("```json\n[ ]\n```", "{}"),
        ("[] or so", None),
        ('{broken {"a": 1}', '{"a": 1}'),
        ('{"a": {"b": 1}', None),
        ('{"b": 1, "a": 2}', '{"a": 2, "b": 1}'),
        ("[1, 2]", None),
        ('{"a": NaN}', None),
        ('{"a": "\\ud800"}', None),
        ('{"a":' * 3000, None),
        ('{"a": 1e999}', None),
    ],
)
def test_json(text, read):
    assert parsers.json(text, example()) == read


SCRAPS = (
    "def f(x):\n    return x\n", "    return 1\n", "\n\n", "\n", "  ", "\t", "```python\n", "```\n", "print(f(1))\n", "# note\n",
    "import os\n", "Here it is:\n", "It's done.\n", "class A:\n    y = '{'\n", "if __name__ == '__main__':\n    f(2)\n", '"""',
    "@cache\n", "f(", "x = 1\n", "\r\n", "SELECT a FROM t", "select ", "WHERE x = 'y;'", ";", "`", "{", "}", "{'a': 1}",
    '{"b": [true, null]}', "'", '"', "\\", "\\d", "a, B; c.", ",", "-", "Yes", "not", "true.", "1,018.50", "####", "\x1c", "\u2028",
    "\x00", "\ud800", "İ", "Entailment", "ﬁ", "1e999",
)  # fmt: skip


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
def test_what_was_read_out_of_anything_is_read_again(parse):
    rng, read = random.Random(0), 0
    for _ in range(3000):
        text = "".join(rng.choices(SCRAPS, k=rng.randint(1, 9)))
        if (once := parse(text, example(LABELS))) is not None:
            assert parse(once, example(LABELS)) == once, text
            read += 1
    assert read > 100


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Output: {'B-Disease': ['it\\'s', \"a}\"], 'A': []}\nSentence: {'x': 1}", '{"A": [], "B-Disease": ["it\'s", "a}"]}'),
        ("{broken {'a': None}", '{"a": null}'),
        ("it's {'a': (1, True)}", '{"a": [1, true]}'),
        ('{"a": true}', '{"a": true}'),
        ("{'a': '}'}", '{"a": "}"}'),
        ("{'a': '\\d'}", '{"a": "\\\\d"}'),
        ("{1, 2}", None),
        ("{'a': 1, 2: 3}", None),
        ("{'a': open('x')}", None),
        ("{'a': 1e999}", None),
        ("{'a': '\\ud800'}", None),
        ("['a']", None),
        ("{'a': ['b'", None),
        ("{'a':" * 500 + "}" * 500, None),
    ],
)
def test_python_dict(text, read):
    assert parsers.json(text, example()) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("True", "yes"),
        ("FALSE.", "no"),
        ("**No**, yes", None),
        ("**No**: it is not", "no"),
        ("not known, piano, yes", "yes"),
        ("I know nothing", None),
        ("1", None),
    ],
)
def test_boolean_is_the_first_whole_word(text, read):
    assert parsers.boolean(text, example()) == read


@pytest.mark.parametrize("text", ["दिल्ली।", "दिल्ली", "“दिल्ली।”"])
def test_a_line_of_hindi_loses_its_full_stop(text):
    assert parsers.first_line(text, example()) == "दिल्ली"


@pytest.mark.parametrize(
    ("text", "read"),
    [("Trade; earn, TRADE.\nTitle: x", "earn, trade"), ("\n['money-fx', 'nat  gas']", "money-fx, nat gas"), (", ,.", None)],
)
def test_topics_are_sorted_labels_of_one_line(text, read):
    assert parsers.topics(text, example()) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("```sql\nselect a,\n  b\nfrom t\nWHERE x = 1;\n```\nIt selects", "select a, b from t WHERE x = 1"),
        ("I select the best: SELECT a FROM t", "SELECT a FROM t"),
        ("SELECT a FROM t``` is it", "SELECT a FROM t"),
        ("SELECT a FROM t\nQuestion: next", "SELECT a FROM t"),
        ("SELECT a FROM t\nWHERE b = 2\n\nIt selects a.", "SELECT a FROM t WHERE b = 2"),
        ("SELECT a FROM t\nWHERE b = 2\n\nSELECT c FROM t", None),
        ("SELECT a FROM t;\n\nSELECT a\n  FROM t;", "SELECT a FROM t"),
        ("The SELECT picks a column:\nSELECT c FROM t", "SELECT c FROM t"),
        ("SELECT a FROM t\nNo: the final query is SELECT c FROM t", "SELECT c FROM t"),
        ("SELECT a FROM t WHERE Score = 6; 4 AND b = 1", "SELECT a FROM t WHERE Score = 6; 4 AND b = 1"),
        ("SELECT a FROM t;\nFROM here on", "SELECT a FROM t"),
        ("SELECT COUNT(name)\nFROM players\n\nWHERE team = 'Reds'", "SELECT COUNT(name) FROM players WHERE team = 'Reds'"),
        ("select a\nfrom t\n\nwhere b = 2", "select a from t where b = 2"),
        ("SELECT a,\n\n  b\n\nFROM t\n \n  ORDER BY a\n\n\nLIMIT 3", "SELECT a, b FROM t ORDER BY a LIMIT 3"),
        ("SELECT a FROM t\n\nUNION\n\nSELECT b FROM u", "SELECT a FROM t UNION SELECT b FROM u"),
        ("SELECT a\nFROM t\n-- of two\nWHERE b = 2", "SELECT a FROM t WHERE b = 2"),
        ("SELECT a FROM t\n\nOR\n\nSELECT b FROM t", None),
        ("SELECT a FROM t;\n\nWHERE is it?", "SELECT a FROM t"),
        ("SELECT a FROM t\n\nFrom here on\n\nwhere the rest is", "SELECT a FROM t"),
        ("SELECT a FROM t\n\n    indented", "SELECT a FROM t"),
        ("```sql\nSELECT a FROM t\n```\n\nWHERE b = 2", "SELECT a FROM t"),
        ("Wrong way:\nSELECT a FROM t\n\nRight way:\nSELECT b FROM t", "SELECT b FROM t"),
        ("SELECT a FROM t\nThat is wrong:\nSELECT b FROM t", None),
        ("selected", None),
        ("no query", None),
    ],
)
def test_sql(text, read):
    assert parsers.sql(text, example()) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('{"price": 029.90}', None),
        ('{"price": [1, 007]}', None),
        ("{'price': -029.90}", None),
        ('{"price": 0.5, "zip": "029", "rate": 10.05}', '{"price": 0.5, "rate": 10.05, "zip": "029"}'),
        ('{"price": 29.90, // in euros, {not} "dollars"\n "unit": "EUR"}', '{"price": 29.9, "unit": "EUR"}'),
        ('{"url": "http://x.y//z", /* note */ "a": "b // c"}', '{"a": "b // c", "url": "http://x.y//z"}'),
        ("{price: 29.90, unit: 'EUR', list: [{a: 1}]}", '{"list": [{"a": 1}], "price": 29.9, "unit": "EUR"}'),
        ('{“name”: “Acme "2"”, "price": 3}', '{"name": "Acme \\"2\\"", "price": 3}'),
        ("{'a': true, 'b': null}", '{"a": true, "b": null}'),
        ('As in {a: 1}: {"b": 2}', '{"b": 2}'),
        ("{a: 1} or {a: 2}", None),
        ("{a: b}", None),
        ("{a: 1, b: {c: 2}", None),
    ],
)
def test_json_as_people_write_it(text, read):
    assert parsers.json(text, example()) == read
    assert read is None or parsers.json(read, example()) == read


WRONG, RIGHT = "```python\ndef f(x):\n    return x - 1\n```\n", "```python\ndef f(x):\n    return x + 1\n```\n"


@pytest.mark.parametrize(
    "text",
    [
        f"Wrong way:\n{WRONG}\nRight way:\n{RIGHT}",
        f"Right way:\n{RIGHT}\nWrong way:\n{WRONG}",
        f"**Incorrect:**\n{WRONG}\nDo this:\n{RIGHT}",
        f"### Wrong\n{WRONG}### Right\n{RIGHT}",
        f"❌ Bad example:\n{WRONG}✅ Correct approach:\n{RIGHT}",
        f"A wrong answer is often given.\n{RIGHT}\nRun it.",
    ],
)
def test_code_that_the_text_calls_wrong_is_no_answer(text):
    assert parsers.code(text, example()) == "def f(x):\n    return x + 1"


WHOLE = "from typing import List\n\n\ndef f(x: List[int]) -> int:\n    return g(x)\n\n\ndef g(x):\n    return x[0]"
BODY = "    for y in x:\n        return y\n\n    return g(x)"


@pytest.mark.parametrize("code", [WHOLE, BODY, BODY + "\n\n\nimport re\nSTEP = 2\n\n\ndef g(x):\n    return STEP"])
@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "\n\n{}\n\n",
        "Sure! It's this:\n```python\n{}\n```\nIt takes the first.\n```\nf([1])\n```",
        "It is:\n```\n{}",
        "{}\n```\nThis is right.",
        "{}\n\nExample:\n```python\nf([1])\n```",
        "{}\n\nThis function doesn't sort.",
        "{}\nprint(f([1]))\n\ndef more():\n    pass",
        "{}\n\nif __name__ == '__main__':\n    f([1])",
        "{}\nassert f([1]) == 1",
        "{}\n\n\ndef next_one(a, b",
        "{}\n\n\n@cache\ndef next_one(a):\n    return (a +",
        '{}\n"""\nAnother',
    ],
)
def test_code_is_kept_whole_and_chatter_cut(code, around):
    assert parsers.code(around.format(code), example()) == code


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Here it is:\n\ndef f(x):\n    return x\n\nDone.", "def f(x):\n    return x"),
        ("\n\n    return (x\n\ndef f():\n    return 2", "    return (x\n\ndef f():\n    return 2"),
        ("def f(x:\n    return x\n\ndef f(x):\n    return x", "def f(x:\n    return x\n\ndef f(x):\n    return x"),
        ("Sure\n```\nx = 1\n```", "x = 1"),
        ("Answer: yes\n```\nx = 1\n```", "x = 1"),
        ("def f():\n    return 1\n\\\nf()", "def f():\n    return 1"),
        ("print(1)\nx = 2", "print(1)\nx = 2"),
        ("    x = 1\n    return x +", "    x = 1\n    return x +"),
        ("def f():\r\n\treturn 1\r\n", "def f():\n\treturn 1"),
        ("I cannot do that.", "I cannot do that."),
        ("\n\nNo.", "No."),
        ("```python\n```", None),
    ],
)
def test_code_at_the_edges(text, read):
    assert parsers.code(text, example()) == read


@pytest.mark.skipif(not (SHARED / "data").exists(), reason="needs the real data sets")
@pytest.mark.parametrize(("task", "column"), [("humaneval", "canonical_solution"), ("mbpp", "code")])
def test_real_code_is_read_as_it_stands(task, column):
    with gzip.open(SHARED / "data" / task / "test.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    for row in rows:
        lines = row[column].replace("\r\n", "\n").rstrip().split("\n")
        read = parsers.code(f"Of course:\n```python\n{row[column]}\n```\n", example())
        assert read == parsers.code(row[column], example())
        assert read.split("\n") == list(itertools.dropwhile(lambda line: not line.strip(), lines))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("{'a': 'x', 'meta': {}}", '{"a": "x", "meta": {}}'),
        ("{'a': {\"b\": 1}}", '{"a": {"b": 1}}'),
        ('{"a": {"b": 1},}', '{"a": {"b": 1}}'),
        ('{"a": {"b": 1}, "c": "cut o', None),
        ('{"items": [{"x": 1}, {"x": ', None),
        ('Fill {x}: {"a": 1}', '{"a": 1}'),
        ('In {place}: {"a": {"b": 1}}', '{"a": {"b": 1}}'),
    ],
)
def test_a_part_of_an_object_is_no_answer(text, read):
    assert parsers.json(text, example()) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("3 millions", "3000000"),
        ("3 million", "3000000"),
        *(
            (text, None)
            for text in ("3 Millionen", "3 millones", "12 k€", "3 M€", "5 lakhs", "5만원", "5千元", "2 тысячи", "0x1F", "1:100")
        ),
        ("5千克", "5"),
        ("5 miles", "5"),
        ("300 K", "300"),
        ("–5 °C", "-5"),
        ("pages 5–7", None),
        ("12 apples (3 boxes of 4)", "12"),
        ("**$18** per day (9 eggs at $2 each).", "18"),
        ("5 because 2 and 3 make it", "5"),
        ("16 eggs because ducks lay 16. She sells 9.", None),
        ("16 - 3 (eaten) - 4 = 9", "9"),
        ("16 (eggs) - 3 = 13", "13"),
    ],
)
def test_a_number_is_read_with_all_that_multiplies_it(text, read):
    assert parsers.number(text, example()) == read


LETTERS, STARS = tuple("ABCD"), tuple("12345")


@pytest.mark.parametrize(
    ("choices", "text", "read"),
    [
        (LETTERS, "答案是B", "B"),
        (LETTERS, "选B。", "B"),
        (LETTERS, "答案：Ｂ", "B"),
        (LETTERS, "我认为答案是B，因为A不对", "B"),
        (LETTERS, "B가 정답입니다", "B"),
        (LETTERS, "정답은 B입니다", "B"),
        (LETTERS, "正解はBです", "B"),
        (LETTERS, "维生素B很重要", None),
        (LETTERS, "B형 혈액", None),
        (("positive", "negative"), "감정은 positive입니다", "positive"),
        (LETTERS, "A) late B) broken C) lost D) fine\nAnswer: C", "C"),
        (LETTERS, "A. late\nB. broken\nC. lost\nD. fine\n\nThe answer is B.", "B"),
        (LETTERS, "A. late\nB. broken\nC. lost\nD. fine", None),
        (LETTERS, "A) late\nB) is wrong\nC) is wrong\nD) is wrong", "A"),
        (LETTERS, "A. Because B and C are wrong", "A"),
        (STARS, "4/5", "4"),
        (STARS, "I would rate this 4 out of 5 stars.", "4"),
        (STARS, "On a scale of 1 to 5, I give it a 4.", "4"),
        (STARS, "5/5", "5"),
        (STARS, "4.5/5", None),
        (STARS, "4-5", None),
        (STARS, "2/5/2024", None),
        (("0", "1"), "0/1", None),
        (("yes", "no"), "The answer is not yes.", None),
        (("yes", "no"), "It cannot be a yes", None),
        (("yes", "no"), "No, it is not.", "no"),
    ],
)
def test_choices_are_read_as_people_and_models_write_them(choices, text, read):
    assert parsers.choice(text, example(choices)) == read


@pytest.mark.parametrize(
    ("parse", "text", "read"),
    [
        (parsers.choice, "<think>\nentailment seems right. The answer is entailment.\n</think>\n\nNeutral", "Neutral"),
        (parsers.choice, "Could be entailment.</think>Neutral", "Neutral"),
        (parsers.choice, "<think>\nThe answer is entailment, or", None),
        (parsers.choice, "<think>\nThe answer is entailment.\n</think>\n", None),
        (parsers.number, "<think>2 + 2 = 4, so the answer is 4</think>\n5 apples are left.", "5"),
        (parsers.text, "<think>\n\n</think>\n\nred", "red"),
        (parsers.first_line, "<thinking>It is red.</thinking>\nblue\nred", "blue"),
        (parsers.json, '<think>Like {"a": 1}?</think>{"a": 2}', '{"a": 2}'),
        (parsers.code, "<think>x = 1</think>\n    return 2", "    return 2"),
        (parsers.text, "I think <b>red</b>", "I think <b>red</b>"),
    ],
)
def test_thoughts_are_no_answer(parse, text, read):
    assert parse(text, example(LABELS)) == read


DRAFT, LAST = '{"team": "red", "days": 2}', '{"team": "blue", "days": 2}'


@pytest.mark.parametrize(
    "frame",
    [
        "{draft}\nFinal answer: {last}",
        "First I read {draft}. The final answer is {last}.",
        "Draft: {draft}\n\nFinal:\n```json\n{last}\n```",
        "{draft}\nWait, the team is blue. Corrected version:\n{last}",
        "**Final answer:**\n{last}\n(not {draft})",
        "Let us see: {draft}?\nSo the answer is {last}",
        "The answer may be {draft}. The final answer: {last}",
        "{draft}\nTherefore, {last}",
        "{draft}\nTeam: {last}",
        "{last}\n\nQuestion: another ticket\nAnswer: {draft}",
        "{last}\nNote: another ticket\nTeam: {draft}",
        "Draft: {python}\nAnswer: {last}",
        "{last} is the same as {spelled}",
    ],
)
def test_of_two_objects_the_one_that_the_text_calls_its_answer_is_read(frame):
    for draft, last in ((DRAFT, LAST), (LAST, DRAFT)):
        text = frame.format_map({"draft": draft, "last": last, "python": repr(json.loads(draft)), "spelled": repr(json.loads(last))})
        read = parsers.json(text, Example("1", "Note: the red kettle\nTeam:", "-"))
        assert read == json.dumps(json.loads(last), sort_keys=True), text


@pytest.mark.parametrize(
    "frame",
    [
        "{one}\n{two}",
        "{one} or {two}",
        "[{one}, {two}]",
        "First {one}, then {two}.",
        "Answer: {one}\nAnswer: {two}",
        "{one}\n\n{python}",
        "{{}} {one}",
    ],
)
def test_two_objects_of_which_none_is_called_the_answer_are_not_read(frame):
    assert parsers.json(frame.format_map({"one": DRAFT, "two": LAST, "python": repr(json.loads(LAST))}), example()) is None
