"""Hallucination on planted answers: what was invented is found, and nothing else."""

import json
import random
from dataclasses import replace

import pytest
from statsmodels.stats.proportion import proportion_confint

from pipeline.data import task
from pipeline.data.inline import from_spec
from pipeline.data.task import Task
from pipeline.measures import grounding, named_facts
from pipeline.scoring import parsers
from pipeline.store.records import Example, Prediction
from tests import task_rows

SOURCE = "Passage: In May 2019 the Old Mill at Elm River sold 1,200 loaves, José O'Neill of the U.S. team said. PlayStation 4 came 2nd."
GROUNDED = [one for one in task_rows.every() if one.grounded]


def normals(text, **more):
    return [(fact.kind, fact.normal) for fact in named_facts.found(text, **more)]


def invented(answer, source=SOURCE):
    known = named_facts.Known([source])
    return [fact.surface for fact in named_facts.found(answer) if known.lacks(fact)]


def arm(examples, texts, stopped="eos"):
    return [Prediction(example.id, text, 1, stopped) for example, text in zip(examples, texts, strict=True)]


def measured(one, examples, texts, **more):
    found = grounding.measure(one, examples, {"base": [arm(examples, texts, **more)]}, 0.95)
    return found.figures["arms"]["base"], found.hallucinated["base"][0]


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
    assert [" ".join(each) for each in normals(text)] == expected


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
    ("answer", "found"),
    [
        ("The New Mill sold 1,201 loaves in June 2019.", ["New Mill", "1,201", "June 2019"]),
        ("Ana O'Neill, on Friday", ["Ana O'Neill", "Friday"]),
        ("May 5, 2019", ["May 5, 2019"]),
        ("It sold 12000, twelve and 0.5.", ["12000", "twelve", "0.5"]),
        ("Zizzi is near Elm River.", ["Zizzi"]),
        ("An old mill by a river", []),
    ],
)
def test_what_no_text_knows_is_found(answer, found):
    assert invented(answer) == found


# One arm


def test_a_target_is_never_an_invention():
    for one in GROUNDED:
        made = task_rows.examples(one) + task_rows.examples(one, "train")
        made = [replace(example, id=str(at)) for at, example in enumerate(made)]
        found, flags = measured(one, made, [example.target for example in made])
        assert (found["hallucinated"], found["rate"], found["answers"], flags) == (0, 0, len(made), set())


@pytest.mark.parametrize("name", ["shop_notice", "shop_extraction"])
def test_planted_inventions_are_found_at_their_rate_and_no_others(name):
    one, rng = task.find(name), random.Random(1)
    made = task_rows.converted(one, list(one.heldout[0].make("heldout")))
    planted = {
        example.id: rng.choice([("name", "Zorkville"), ("number", 7041), ("date", "September")]) for example in made if rng.random() < 0.3
    }
    texts = [said_with(example, planted[example.id][1]) if example.id in planted else example.target for example in made]
    found, flags = measured(one, made, texts)
    assert flags == set(planted)
    assert found["hallucinated"] == len(planted)
    assert found["rate"] == pytest.approx(len(planted) / len(made))
    assert found["kinds"] == {kind: sum(each[0] == kind for each in planted.values()) for kind in ("name", "number", "date")}
    assert [row["found"] for row in found["first"][:9]] == [[str(each[1])] for each in list(planted.values())[:9]]


def said_with(example, planted):
    """The target with something planted in it."""
    if not example.target.startswith("{"):
        return f"{example.target} It is {planted}."
    return json.dumps({**json.loads(example.target), "note": planted})


@pytest.mark.parametrize("name", ["viggo", "e2e_nlg", "conllpp"])
def test_inventions_in_real_text(name):
    one, rng = task.find(name), random.Random(2)
    made = [each for each in task_rows.converted(one, list(task_rows.real(f"{name}/test"))) if isinstance(each, Example)][:1500]
    planted = {example.id for example in made if rng.random() < 0.2}
    texts = [example.target + " Zorkville told 70417 people." for example in made]
    if name == "conllpp":
        texts = [example.target.replace("[", '["Zorkville in 70417", ', 1).replace(", ]", "]") for example in made]
    said = [text if example.id in planted else example.target for text, example in zip(texts, made, strict=True)]
    found, flags = measured(one, made, said)
    assert flags == planted
    assert found["kinds"] == {"name": len(planted), "number": len(planted), "date": 0}


@pytest.mark.parametrize(("name", "low", "high"), [("viggo", 0.004, 0.02), ("e2e_nlg", 0.02, 0.06), ("conllpp", 0, 0)])
def test_people_name_little_that_the_source_does_not(name, low, high):
    one = task.find(name)
    made = [each for each in task_rows.converted(one, list(task_rows.real(f"{name}/test"))) if isinstance(each, Example)]
    found, _ = measured(one, [replace(example, target="") for example in made], [example.target for example in made])
    assert low <= found["rate"] <= high


def test_answers_to_another_question_are_inventions():
    one = task.find("e2e_nlg")
    made = [each for each in task_rows.converted(one, list(task_rows.real("e2e_nlg/test"))) if isinstance(each, Example)][:2000]
    names = [one.slots(example)[0].value for example in made]
    others = [
        next(other for other, name in zip(made[at:] + made, names[at:] + names, strict=True) if name != names[at]) for at in range(2000)
    ]
    found, _ = measured(one, made, [example.target for example in others])
    assert found["rate"] > 0.9


# Answers that are no plain text


def test_empty_and_refused_answers_invent_nothing():
    made = [inline(name=str(at)) for at in range(4)]
    texts = ["Zork", " \n", "", "It is."]
    found, flags = measured(TEXT, made, texts)
    assert (found["n"], found["answers"], found["hallucinated"], found["rate"], flags) == (4, 2, 1, 0.5, {"0"})
    found, flags = measured(TEXT, made, texts, stopped="refused")
    assert (found["n"], found["answers"], found["rate"], found["low"], flags) == (4, 0, None, None, set())


def test_what_another_right_answer_names_is_not_invented():
    one = task.find("drop")
    row = {"passage": "They lost.", "question": "Who?", "answers_spans": {"spans": ["Ada King", "the Queen Zork"], "types": ["span"] * 2}}
    made = [replace(one.example(row), id=name) for name in "ab"]
    _, flags = measured(one, made, ["the Queen Zork", "the Queen Bilb"])
    assert flags == {"b"}


def test_a_word_that_the_limit_cut_off_is_not_read():
    made = [inline("the old mill")]
    assert measured(TEXT, made, ["At the Old Mill by Elm Riv"], stopped="length")[1] == set()
    assert measured(TEXT, made, ["At the Old Mill by Elm Riv"])[1] == {"1"}


def test_every_word_of_a_record_is_looked_up():
    made = [inline('{"at": "Old Mill", "n": 1200}')]
    assert measured(RECORD, made, ['{"n": 1200, "at": "old mill"}'])[1] == set()
    found, _ = measured(RECORD, made, ['Sure: {"at": ["old barn"], "n": 1201, "ok": true, "none": null} Zork'])
    assert found["first"] == [{"example": "1", "found": ["old barn", "1201"]}]
    assert measured(RECORD, made, ["no record, but Zork"])[0]["first"][0]["found"] == ["Zork"]


def test_a_label_in_a_record_need_not_stand_in_the_source():
    made = [inline(f'{{"at": "Old Mill", "mood": "{mood}"}}', name=mood) for mood in ("good", "bad")]
    found, _ = measured(RECORD, made, ['{"at": "Old Mill", "mood": "awful"}', '{"at": "New Mill", "mood": "good"}'])
    assert found["first"] == [{"example": "bad", "found": ["New Mill"]}]


def test_worked_examples_in_the_prompt_are_no_source():
    made = [inline(prompt="Like: Zork is in York.\n\nPassage: Ada is ill.", target="Ada is ill")]
    said = {"base": [arm(made, ["Zork is ill"])]}
    assert grounding.measure(TEXT, made, said, 0.95, "Like: Zork is in York.\n\n").hallucinated == {"base": [{"1"}]}
    assert grounding.measure(TEXT, made, said, 0.95).hallucinated == {"base": [set()]}


# Several arms and seeds


def test_seeds_are_pooled_and_flagged_apart():
    made = [inline(name=str(at)) for at in range(3)]
    arms = {"base": [arm(made, ["Zork", "", "so"])], "tuned": [arm(made, ["Zork", "Bilb", "so"]), arm(made, ["so", "Zork 77", "so"])[::-1]]}
    found = grounding.measure(TEXT, made, arms, 0.95)
    tuned = found.figures["arms"]["tuned"]
    assert (tuned["n"], tuned["answers"], tuned["hallucinated"], tuned["kinds"]["name"], tuned["kinds"]["number"]) == (6, 6, 3, 3, 1)
    assert found.hallucinated == {"base": [{"0"}], "tuned": [{"0", "1"}, {"1"}]}
    assert (found.figures["kind"], tuned["slots"]) == ("text", None)


def test_a_task_that_is_not_grounded_is_not_judged():
    made = [inline()]
    found = grounding.measure(replace(TEXT, grounded=""), made, {"base": [arm(made, ["Zork"])]}, 0.95)
    assert (found.figures, found.hallucinated) == ({"kind": None, "arms": {}}, {"base": [set()]})


@pytest.mark.parametrize("grounded", [True, False])
def test_an_inline_task_may_say_that_it_is_grounded(grounded):
    spec = {"name": "t", "data": {"train": "a.jsonl", "heldout": "b.jsonl"}, "prompt": "{a}", "target": "{b}", "grounded": grounded}
    one, made = from_spec(spec), [inline()]
    found = grounding.measure(one, made, {"base": [arm(made, ["Zork"])]}, 0.95)
    assert (found.figures["kind"], found.hallucinated["base"]) == (("text", [{"1"}]) if grounded else (None, [set()]))


def test_slot_errors_of_an_arm():
    one, group = task.find("e2e_nlg"), "name[Blue Spice], food[Indian], priceRange[high]"
    made = [Example("1", group, "Blue Spice", group=group), Example("2", "x", "x", group="name[Cotto], food[Thai]")]
    found = measured(one, made, ["Cotto serves Indian and Thai", "Cotto"])[0]["slots"]
    assert {name: found[name] for name in ("missing", "added", "wrong", "of", "unjudged")} == dict(
        missing=1, added=1, wrong=1, of=4, unjudged=1
    )
    assert [found["rates"][name]["rate"] for name in ("missing", "added", "wrong")] == [0.25] * 3
    assert found["first"][0] == {"example": "1", "missing": [], "added": ["food: Thai"], "wrong": ["name: Cotto"]}
    said_nothing = measured(one, made, ["", "Cotto, Thai"])[0]
    assert (said_nothing["answers"], said_nothing["slots"]["of"], said_nothing["slots"]["missing"]) == (1, 4, 2)
    assert measured(one, made, ["", "Cotto, Thai"], stopped="refused")[0]["slots"] is None


# Intervals


@pytest.mark.parametrize(("hits", "n"), [(0, 9), (1, 9), (30, 100), (100, 100)])
def test_of_single_answers_the_interval_is_that_of_wilson(hits, n):
    found = grounding.rated([1] * hits + [0] * (n - hits), [1] * n, [str(at) for at in range(n)], 0.9)
    low, high = proportion_confint(hits, n, 0.1, "wilson")
    assert (found["low"], found["high"]) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))


def test_answers_that_go_together_count_as_one():
    once = grounding.rated([1, 0, 0, 1], [1] * 4, list("abcd"), 0.95)
    for thrice in (
        grounding.rated([3, 0, 0, 3], [3] * 4, list("abcd"), 0.95),  # seeds of one example
        grounding.rated([1, 0, 0, 1] * 3, [1] * 12, list("abcd") * 3, 0.95),  # examples of one group
        grounding.rated([3, 0, 0, 3, 0], [3, 3, 3, 3, 0], list("abcde"), 0.95),  # one without an answer
    ):
        assert thrice == pytest.approx(once)
    assert grounding.rated([0, 0], [5, 5], ["a", "a"], 0.95)["high"] == pytest.approx(proportion_confint(0, 1, 0.05, "wilson")[1])
    assert grounding.rated([0, 0], [1, 0], ["a", "b"], 0.95) == grounding.rated([0], [1], ["a"], 0.95)
    assert grounding.rated([4], [2], ["a"], 0.95)["rate"] == 1


@pytest.mark.parametrize("size", [1, 3])
def test_the_interval_covers_the_true_rate_as_often_as_it_says(size):
    rng, held = random.Random(3), 0
    for _ in range(1000):
        shared = [rng.random() for _ in range(60)]  # answers of a group are alike, as those of seeds are
        hits = [sum((one if rng.random() < 0.8 else rng.random()) < 0.2 for _ in range(size)) for one in shared]
        found = grounding.rated(hits, [size] * 60, [str(at) for at in range(60)], 0.95)
        held += found["low"] <= 0.2 <= found["high"]
    assert 0.93 <= held / 1000 <= 0.975


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
    one = replace(task.find("e2e_nlg"), answer=parsers.json)
    made = [Example("1", SOURCE, "target", group="name[May 5], food[hundred]")]
    found = grounding.measure(one, made, {"base": [arm(made, [piece * (100_000 // len(piece))])]}, 0.95)
    assert found.figures["arms"]["base"]["answers"] == 1


def test_digits_beyond_what_python_turns_into_a_number():
    assert normals("9" * 10_000) == [("number", "9" * 10_000)]
    assert normals("1," + "000," * 5000 + "000 million")[0][1] == "1" + "000" * 5001
