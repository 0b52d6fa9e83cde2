"""Hallucination on planted answers: what was invented is found, and nothing else."""

import json
import random
from dataclasses import replace

import pytest
from statsmodels.stats.proportion import proportion_confint

from pipeline.data import task as tasks
from pipeline.data.inline import from_spec
from pipeline.data.task import Task
from pipeline.measures import hallucination, named_facts
from pipeline.scoring import parsers
from pipeline.store.records import Example, Prediction
from tests import task_rows

SOURCE = "Passage: In May 2019 the Old Mill at Elm River sold 1,200 loaves, José O'Neill of the U.S. team said. PlayStation 4 came 2nd."
GROUNDED = [task for task in task_rows.every() if task.grounded]


def normals(text, **more):
    return [(fact.kind, fact.normal) for fact in named_facts.extract_facts(text, **more)]


def invented(answer, source=SOURCE):
    allowed = named_facts.AllowedFacts([source])
    return [fact.surface for fact in named_facts.extract_facts(answer) if allowed.is_unsupported(fact)]


def arm(examples, texts, stopped="eos"):
    return [Prediction(example.id, text, 1, stopped) for example, text in zip(examples, texts, strict=True)]


def measured(task, examples, texts, **more):
    """The figures of one arm, and the ids of its examples that hallucinate."""
    result = hallucination.measure(task, examples, {"base": [arm(examples, texts, **more)]}, 0.95)
    return result.figures["arms"]["base"], result.hallucinated["base"][0]


def real_examples(name):
    rows = task_rows.converted(tasks.find(name), list(task_rows.real(f"{name}/test")))
    return [row for row in rows if isinstance(row, Example)]


def inline(target="", prompt=SOURCE, name="1", group=""):
    return Example(name, prompt, target, group=group)


TEXT = Task("t", "", (), (), lambda row: inline(), parsers.text, ("rougeL",), 9, grounded="text")
RECORD = replace(TEXT, answer=parsers.json)


# What is in a text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("She met Ada King in York.", ["name ada king", "name york"]),
        ("Ada King met her.", ["name ada king"]),
        ("Zorkon is here. Then Bilb came.", ["name zorkon", "name bilb"]),
        ("This is it. Please come! However, Yes: I think I'm in.", []),
        ("It was Located there, said Mr. Hay of the US.", ["name hay", "name us"]),
        ("They saw Gen. Young Hay, and I'm glad I've seen it.", ["name gen young hay"]),
        ("THE ROAD IS CLOSED TODAY AND ALWAYS", ["name road", "name closed"]),
        ("1,000 and 1000.0 and one thousand and 1k", ["number 1000"] * 4),
        ("1.5 million, 2nd, 1990s, 5km, twenty-one, three hundred and five", [f"number {n}" for n in (1500000, 2, 1990, 5, 21, 305)]),
        ("two three and one of hundreds came first, twenty; thirty", [f"number {n}" for n in (2, 3, 20, 30)]),
        ("June 29, 2018; 29 June 2018; the 29th of June 2018; 2018-06-29", ["date 2018-06-29"] * 4),
        ("On monday or Tue in June, or Sept. 11, or 5 March", ["date monday", "date tuesday", "date 06", "date 09-11", "date 03-05"]),
        ("May I come? You may march in March on the sun. We met in May.", ["date 03", "date 05"]),
        ("a <b>Bold</b> Fish &amp; Chips place, 2K16", ["name bold fish chip", "name 2k16"]),
        ("東京 で会った。 ٣ كتب 1２", ["number 3", "number 12"]),
    ],
)  # fmt: skip
def test_facts_by_hand(text, expected):
    assert [" ".join(fact) for fact in normals(text)] == expected


@pytest.mark.parametrize(
    "answer",
    [
        "The Old Mills sold 1200 loaves.", "Jose ONeill's US team", "In old-mill, ELM RIVER", "one thousand two hundred in May of '19",
        "PlayStation4 or Play Station, two", "2019-05", "The U.S.A.", "1.2k loaves in 2019",
        "Green Land", "Zoe\u0308lla",
    ],
)  # fmt: skip
def test_other_spellings_are_known(answer):
    assert invented(answer, SOURCE + " U.S.A. Greenland, Zoëlla") == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The New Mill sold 1,201 loaves in June 2019.", ["New Mill", "1,201", "June 2019"]),
        ("Ana O'Neill, on Friday", ["Ana O'Neill", "Friday"]),
        ("May 5, 2019", ["May 5, 2019"]),
        ("It sold 12000, twelve and 0.5.", ["12000", "twelve", "0.5"]),
        ("Zizzi is near Elm River.", ["Zizzi"]),
        ("An old mill by a river", []),
    ],
)
def test_what_no_text_knows_is_found(answer, expected):
    assert invented(answer) == expected


# One arm


@pytest.mark.parametrize(
    ("source", "answer", "expected"),
    [
        ("価格は1200円です。", "価格は1300円です。", ["1300"]),
        ("価格は1200円です。", "1200円。", []),
        ("가격은 1200원입니다", "가격은 1300원입니다", ["1300"]),
        ("ราคา1200บาท", "ราคา 1,200 บาท", []),
        ("ราคา1200บาท", "ราคา1300บาท", ["1300"]),
        ("2024年5月3日", "2024年5月4日", ["4"]),
        ("価格は30000円", "価格は3万円", []),
    ],
)
def test_numbers_stand_apart_from_words_without_blanks(source, answer, expected):
    assert invented(answer, source) == expected


def test_a_target_is_never_an_invention():
    for task in GROUNDED:
        examples = task_rows.examples(task) + task_rows.examples(task, "train")
        examples = [replace(example, id=str(index)) for index, example in enumerate(examples)]
        figures, flags = measured(task, examples, [example.target for example in examples])
        assert (figures["hallucinated"], figures["rate"], figures["answers"], flags) == (0, 0, len(examples), set())


@pytest.mark.parametrize("name", ["shop_notice", "shop_extraction"])
def test_planted_inventions_are_found_at_their_rate_and_no_others(name):
    task, rng = tasks.find(name), random.Random(1)
    examples = task_rows.converted(task, list(task.heldout[0].make("heldout")))
    planted = {
        example.id: rng.choice([("name", "Zorkville"), ("number", 7041), ("date", "September")])
        for example in examples
        if rng.random() < 0.3
    }
    texts = [said_with(example, planted[example.id][1]) if example.id in planted else example.target for example in examples]
    figures, flags = measured(task, examples, texts)
    assert flags == set(planted)
    assert figures["hallucinated"] == len(planted)
    assert figures["rate"] == pytest.approx(len(planted) / len(examples))
    assert figures["kinds"] == {
        kind: sum(planted_kind == kind for planted_kind, _ in planted.values()) for kind in ("name", "number", "date")
    }
    assert [row["facts"] for row in figures["first"][:9]] == [[str(value)] for _, value in list(planted.values())[:9]]


def said_with(example, planted):
    """The target with something planted in it."""
    if not example.target.startswith("{"):
        return f"{example.target} It is {planted}."
    return json.dumps({**json.loads(example.target), "note": planted})


@pytest.mark.parametrize("name", ["viggo", "e2e_nlg", "conllpp"])
def test_inventions_in_real_text(name):
    task, rng = tasks.find(name), random.Random(2)
    examples = real_examples(name)[:1500]
    planted = {example.id for example in examples if rng.random() < 0.2}
    texts = [example.target + " Zorkville told 70417 people." for example in examples]
    if name == "conllpp":
        texts = [example.target.replace("[", '["Zorkville in 70417", ', 1).replace(", ]", "]") for example in examples]
    answers = [text if example.id in planted else example.target for text, example in zip(texts, examples, strict=True)]
    figures, flags = measured(task, examples, answers)
    assert flags == planted
    assert figures["kinds"] == {"name": len(planted), "number": len(planted), "date": 0}


@pytest.mark.parametrize(("name", "low", "high"), [("viggo", 0.004, 0.02), ("e2e_nlg", 0.02, 0.06), ("conllpp", 0, 0)])
def test_people_name_little_that_the_source_does_not(name, low, high):
    task = tasks.find(name)
    examples = real_examples(name)
    figures, _ = measured(task, [replace(example, target="") for example in examples], [example.target for example in examples])
    assert low <= figures["rate"] <= high


def test_answers_to_another_question_are_inventions():
    task = tasks.find("e2e_nlg")
    examples = real_examples("e2e_nlg")[:2000]
    names = [task.slots(example)[0].value for example in examples]
    pairs = list(zip(examples, names, strict=True))
    others = [next(other for other, name in pairs[index:] + pairs if name != names[index]) for index in range(2000)]
    figures, _ = measured(task, examples, [example.target for example in others])
    assert figures["rate"] > 0.9


# Answers that are no plain text


def test_empty_and_refused_answers_invent_nothing():
    examples = [inline(name=str(index)) for index in range(4)]
    texts = ["Zork", " \n", "", "It is."]
    figures, flags = measured(TEXT, examples, texts)
    assert (figures["n"], figures["answers"], figures["hallucinated"], figures["rate"], flags) == (4, 2, 1, 0.5, {"0"})
    figures, flags = measured(TEXT, examples, texts, stopped="refused")
    assert (figures["n"], figures["answers"], figures["rate"], figures["low"], flags) == (4, 0, None, None, set())


def test_what_another_right_answer_names_is_not_invented():
    task = tasks.find("drop")
    row = {"passage": "They lost.", "question": "Who?", "answers_spans": {"spans": ["Ada King", "the Queen Zork"], "types": ["span"] * 2}}
    examples = [replace(task.example(row), id=name) for name in "ab"]
    _, flags = measured(task, examples, ["the Queen Zork", "the Queen Bilb"])
    assert flags == {"b"}


def test_a_word_that_the_limit_cut_off_is_not_read():
    examples = [inline("the old mill")]
    assert measured(TEXT, examples, ["At the Old Mill by Elm Riv"], stopped="length")[1] == set()
    assert measured(TEXT, examples, ["At the Old Mill by Elm Riv"])[1] == {"1"}
    price = [inline("", "価格は1200円です。")]
    assert measured(TEXT, price, ["価格は1300円で新し"], stopped="length")[1] == {"1"}
    assert measured(TEXT, price, ["価格は13"], stopped="length")[1] == set()


def test_every_word_of_a_record_is_looked_up():
    examples = [inline('{"at": "Old Mill", "n": 1200}')]
    assert measured(RECORD, examples, ['{"n": 1200, "at": "old mill"}'])[1] == set()
    figures, _ = measured(RECORD, examples, ['Sure: {"at": ["old barn"], "n": 1201, "ok": true, "none": null} Zork'])
    assert figures["first"] == [{"example": "1", "facts": ["old barn", "1201"]}]
    assert measured(RECORD, examples, ["no record, but Zork"])[0]["first"][0]["facts"] == ["Zork"]


def test_a_label_in_a_record_need_not_stand_in_the_source():
    examples = [inline(f'{{"at": "Old Mill", "mood": "{mood}"}}', name=mood) for mood in ("good", "bad")]
    figures, _ = measured(RECORD, examples, ['{"at": "Old Mill", "mood": "awful"}', '{"at": "New Mill", "mood": "good"}'])
    assert figures["first"] == [{"example": "bad", "facts": ["New Mill"]}]


def test_worked_examples_in_the_prompt_are_no_source():
    examples = [inline(prompt="Like: Zork is in York.\n\nPassage: Ada is ill.", target="Ada is ill")]
    arms = {"base": [arm(examples, ["Zork is ill"])]}
    assert hallucination.measure(TEXT, examples, arms, 0.95, "Like: Zork is in York.\n\n").hallucinated == {"base": [{"1"}]}
    assert hallucination.measure(TEXT, examples, arms, 0.95).hallucinated == {"base": [set()]}


# Several arms and seeds


def test_seeds_are_pooled_and_flagged_apart():
    examples = [inline(name=str(index)) for index in range(3)]
    arms = {
        "base": [arm(examples, ["Zork", "", "so"])],
        "tuned": [arm(examples, ["Zork", "Bilb", "so"]), arm(examples, ["so", "Zork 77", "so"])[::-1]],
    }
    result = hallucination.measure(TEXT, examples, arms, 0.95)
    tuned = result.figures["arms"]["tuned"]
    assert (tuned["n"], tuned["answers"], tuned["hallucinated"], tuned["kinds"]["name"], tuned["kinds"]["number"]) == (6, 6, 3, 3, 1)
    assert result.hallucinated == {"base": [{"0"}], "tuned": [{"0", "1"}, {"1"}]}
    assert (result.figures["kind"], tuned["slots"]) == ("text", None)


def test_a_task_that_is_not_grounded_is_not_judged():
    examples = [inline()]
    result = hallucination.measure(replace(TEXT, grounded=""), examples, {"base": [arm(examples, ["Zork"])]}, 0.95)
    assert (result.figures, result.hallucinated) == ({"kind": None, "arms": {}}, {"base": [set()]})


@pytest.mark.parametrize("grounded", [True, False])
def test_an_inline_task_may_say_that_it_is_grounded(grounded):
    spec = {"name": "t", "data": {"train": "a.jsonl", "heldout": "b.jsonl"}, "prompt": "{a}", "target": "{b}", "grounded": grounded}
    task, examples = from_spec(spec), [inline()]
    result = hallucination.measure(task, examples, {"base": [arm(examples, ["Zork"])]}, 0.95)
    assert (result.figures["kind"], result.hallucinated["base"]) == (("text", [{"1"}]) if grounded else (None, [set()]))


GERMAN = "Notiz: Der Kunde schreibt, dass die Lampe Nummer 500 zu spät kam und zurückgeht."


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [("Der Käufer schickt die Ware zurück.", {}), ("Die Ware kam zurück, 12 Stück.", {"number"})],
)
def test_a_noun_of_german_is_no_name(answer, kinds):
    examples = [inline("Die Lampe geht zurück.", GERMAN, name) for name in ("1", "2")]
    figures, hallucinating = measured(TEXT, examples, [answer, "Die Lampe kam zu spät."])
    assert (figures["kinds"]["name"], hallucinating) == (0, {"1"} if kinds else set())
    assert {kind for kind, count in figures["kinds"].items() if count} == set(kinds)
    english = [
        inline("The lamp goes back.", "Note: The buyer of lamp 500 wrote that it came late and goes back.", name) for name in ("1", "2")
    ]
    assert measured(TEXT, english, ["Zork sends it back.", "It came late."])[1] == {"1"}


@pytest.mark.parametrize("task", GROUNDED, ids=lambda task: task.name)
def test_names_of_shipped_tasks_are_judged(task):
    assert hallucination.task_context(task, task_rows.examples(task), "").judges_names


def test_slot_errors_of_an_arm():
    task, group = tasks.find("e2e_nlg"), "name[Blue Spice], food[Indian], priceRange[high]"
    examples = [Example("1", group, "Blue Spice", group=group), Example("2", "x", "x", group="name[Cotto], food[Thai]")]
    figures = measured(task, examples, ["Cotto serves Indian and Thai", "Cotto"])[0]["slots"]
    assert {name: figures[name] for name in ("missing", "added", "wrong", "of", "unjudged")} == dict(
        missing=1, added=1, wrong=1, of=4, unjudged=1
    )
    assert [figures["rates"][name]["rate"] for name in ("missing", "added", "wrong")] == [0.25] * 3
    assert figures["first"][0] == {"example": "1", "missing": [], "added": ["food: Thai"], "wrong": ["name: Cotto"]}
    said_nothing = measured(task, examples, ["", "Cotto, Thai"])[0]
    assert (said_nothing["answers"], said_nothing["slots"]["of"], said_nothing["slots"]["missing"]) == (1, 4, 2)
    assert measured(task, examples, ["", "Cotto, Thai"], stopped="refused")[0]["slots"] is None


# Intervals


@pytest.mark.parametrize(("hits", "n"), [(0, 9), (1, 9), (30, 100), (100, 100)])
def test_of_single_answers_the_interval_is_that_of_wilson(hits, n):
    figures = hallucination.wilson_rate([1] * hits + [0] * (n - hits), [1] * n, [str(index) for index in range(n)], 0.9)
    low, high = proportion_confint(hits, n, 0.1, "wilson")
    assert (figures["low"], figures["high"]) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))


def test_answers_that_go_together_count_as_one():
    once = hallucination.wilson_rate([1, 0, 0, 1], [1] * 4, list("abcd"), 0.95)
    for thrice in (
        hallucination.wilson_rate([3, 0, 0, 3], [3] * 4, list("abcd"), 0.95),  # seeds of one example
        hallucination.wilson_rate([1, 0, 0, 1] * 3, [1] * 12, list("abcd") * 3, 0.95),  # examples of one group
        hallucination.wilson_rate([3, 0, 0, 3, 0], [3, 3, 3, 3, 0], list("abcde"), 0.95),  # one without an answer
    ):
        assert thrice == pytest.approx(once)
    assert hallucination.wilson_rate([0, 0], [5, 5], ["a", "a"], 0.95)["high"] == pytest.approx(proportion_confint(0, 1, 0.05, "wilson")[1])
    assert hallucination.wilson_rate([0, 0], [1, 0], ["a", "b"], 0.95) == hallucination.wilson_rate([0], [1], ["a"], 0.95)
    assert hallucination.wilson_rate([4], [2], ["a"], 0.95)["rate"] == 1


@pytest.mark.parametrize("size", [1, 3])
def test_the_interval_covers_the_true_rate_as_often_as_it_says(size):
    rng, covered = random.Random(3), 0
    for _ in range(1000):
        shared = [rng.random() for _ in range(60)]  # answers of a group are alike, as those of seeds are
        hits = [sum((common if rng.random() < 0.8 else rng.random()) < 0.2 for _ in range(size)) for common in shared]
        figures = hallucination.wilson_rate(hits, [size] * 60, [str(index) for index in range(60)], 0.95)
        covered += figures["low"] <= 0.2 <= figures["high"]
    assert 0.93 <= covered / 1000 <= 0.975


# Strange text


@pytest.mark.parametrize(
    "piece",
    [
        "7",
        "7,",
        "123,",
        "1.",
        "A",
        "A.",
        "a'",
        "Ab ",
        "hundred ",
        "two and ",
        "5 of ",
        "May 5 ",
        "2018-06-29 ",
        "<a",
        "&a;",
        "[",
        '{"a":',
        "1a,",
        "é\u0301",
    ],
)
def test_long_strange_answers_are_read_to_their_end(piece):
    task = replace(tasks.find("e2e_nlg"), answer=parsers.json)
    examples = [Example("1", SOURCE, "target", group="name[May 5], food[hundred]")]
    result = hallucination.measure(task, examples, {"base": [arm(examples, [piece * (100_000 // len(piece))])]}, 0.95)
    assert result.figures["arms"]["base"]["answers"] == 1


def test_digits_beyond_what_python_turns_into_a_number():
    assert normals("9" * 10_000) == [("number", "9" * 10_000)]
    assert normals("1," + "000," * 5000 + "000 million")[0][1] == "1" + "000" * 5001
