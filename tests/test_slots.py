"""Slot errors on planted answers: what is dropped, added or swapped is found, and nothing else."""

import random

import pytest

from pipeline.data import task as tasks
from pipeline.data.task import Slot
from pipeline.measures import slots
from pipeline.store.records import Example
from tests import task_rows

PLACE = [Slot("name", "Blue Spice"), Slot("food", "Indian"), Slot("near", "Café Rouge"), Slot("open", "no", judged=False)]
OTHERS = [
    Slot("name", "The Rice Boat"), Slot("name", "Blue"), Slot("near", "Raja Indian Cuisine"), Slot("near", "The Rice Boat"),
    Slot("food", "Thai"), Slot("food", "Fast food"), Slot("seats", "12"), Slot("seats", "1"), Slot("esrb", "M (for Mature)"),
    Slot("esrb", "T (for Teen)"), Slot("out", "June 29, 2018"), Slot("genre", "driving/racing", ("cars",)),
    Slot("open", "yes", judged=False),
]  # fmt: skip
VOCABULARY = slots.Vocabulary([PLACE, OTHERS])
NAMES = {"food": "Indian", "near": "Café Rouge", "name": "Blue Spice"}


def errors(answer, representation=PLACE):
    result = slots.slot_errors(representation, answer, VOCABULARY)
    lists = (result.missing, result.added, result.wrong)
    assert all(len(values) == len(set(values)) for values in lists)
    return [dict(values) for values in lists]


@pytest.mark.parametrize(
    ("answer", "missing", "added", "wrong"),
    [
        ("Blue Spice serves Indian food near Café Rouge.", {}, {}, {}),
        ("blue spice's indian food, by the CAFE-ROUGE", {}, {}, {}),
        ("The Spice that is Blue, by Rouge's Café: Indian", {}, {}, {}),  # all the words, in another order
        ("Blue Spice near Café Rouge.", {"food": "Indian"}, {}, {}),
        ("", NAMES, {}, {}),
        ("Blue Spice has 12 seats and Indian food near Café Rouge", {}, {"seats": "12"}, {}),
        ("Blue Spice has twelve seats and Indian food near Café Rouge", {}, {"seats": "12"}, {}),
        ("Blue Spice serves Thai food near Café Rouge", {}, {}, {"food": "Thai"}),
        ("Blue Spice serves Indian and Thai and Thai food near Café Rouge", {}, {"food": "Thai"}, {}),
        ("Blue Spice serves Indian food near Raja Indian Cuisine", {}, {}, {"near": "Raja Indian Cuisine"}),
        ("The Rice Boat serves Indian food near Café Rouge", {}, {}, {"name": "The Rice Boat"}),  # a value of two slots fills the empty one
        ("Blue Spice serves Indian food near The Rice Boat", {}, {}, {"near": "The Rice Boat"}),
        ("Blue serves Indian food near Café Rouge", {"name": "Blue Spice"}, {}, {}),  # a part of its own value is not another's
        ("One Blue Spice serves Indian food near Café Rouge, yes", {}, {}, {}),  # a pronoun, a part of a name, a slot that is not judged
        ("Blue Spice sells fast food of Indian kind near Café Rouge", {}, {"food": "Fast food"}, {}),
        ("Blue Spice, a thai and Indian place near Café Rouge", {}, {}, {}),  # a name counts only in capitals,
        ("blue spice serves thai food near café rouge", {}, {}, {"food": "Thai"}),  # unless there are none
    ],
)
def test_errors_by_hand(answer, missing, added, wrong):
    assert errors(answer) == [missing, added, wrong]


@pytest.mark.parametrize(
    ("slot", "answer"),
    [
        ("esrb: M (for Mature)", "It is M rated"),
        ("esrb: M (for Mature)", "rated M (for Mature)"),
        ("out: June 29, 2018", "out on 29 June 2018"),
        ("out: 2018-06-29", "out on June 29th, 2018"),
        ("genre: driving/racing", "a racing game"),
        ("genre: driving/racing", "a game of cars"),
        ("seats: 1,000", "a thousand and one thousand seats"),
        ("home: Old_Bridge", "at the Old Bridge"),
    ],
)
def test_a_value_is_said_in_several_ways(slot, answer):
    (expected,) = [other for other in OTHERS if f"{other.name}: {other.value}" == slot] or [Slot(*slot.split(": "))]
    assert errors(answer, [expected]) == [{}, {}, {}]
    assert errors("Nothing of it is said.", [expected]) == [{expected.name: expected.value}, {}, {}]


def test_a_value_said_for_one_slot_is_not_added_to_a_second():
    assert errors("Cotto is near Blue", [Slot("near", "Blue")]) == [{}, {}, {}]


def test_what_cannot_be_judged_is_counted_apart():
    result = slots.slot_errors(PLACE, "Blue Spice", VOCABULARY)
    assert (result.of, result.unjudged) == (3, 1)
    assert slots.slot_errors([Slot("esrb", "", judged=False)], "Which rating?", VOCABULARY)[3:] == (0, 1)


def test_every_wrong_value_takes_the_place_of_one_missing():
    representation = [Slot("genre", "puzzle"), Slot("genre", "sport"), Slot("genre", "music")]
    vocabulary = slots.Vocabulary([representation, [Slot("genre", "arcade"), Slot("genre", "indie")]])
    result = slots.slot_errors(representation, "an arcade music game", vocabulary)
    assert (len(result.missing), result.added, result.wrong) == (1, [], [("genre", "arcade")])
    result = slots.slot_errors(representation[:1], "an arcade or indie game", vocabulary)
    assert (result.missing, len(result.added), len(result.wrong)) == ([], 1, 1)


# The tasks' representations


@pytest.mark.parametrize(
    ("name", "group", "expected"),
    [
        ("e2e_nlg", "name[A], customer rating[5 out of 5]", [("name", "A", True), ("customer rating", "5 out of 5", False)]),
        ("viggo", "inform(name[A, B], genres[x, y], has_multiplayer[no])",
         [("name", "A, B", True), ("genres", "x", True), ("genres", "y", True), ("has_multiplayer", "no", False)]),
        ("viggo", "request_attribute(esrb[])", [("esrb", "", False)]),
        ("webnlg", 'Oak | age | "30"\nOak | home | Elm_Hill', [("subject", "Oak", True), ("age", "30", True), ("home", "Elm_Hill", True)]),
    ],
)  # fmt: skip
def test_representations(name, group, expected):
    example = Example("1", "prompt", "target", group=group)
    assert [(slot.name, slot.value, slot.judged) for slot in tasks.find(name).slots(example)] == expected


@pytest.mark.parametrize("name", [task.name for task in task_rows.every() if task.grounded == "slots"])
def test_invented_targets_say_their_representation(name):
    task = tasks.find(name)
    examples = task_rows.examples(task) + task_rows.examples(task, "train")
    vocabulary = slots.Vocabulary(map(task.slots, examples))
    assert all(task.slots(example) for example in examples)
    assert [slots.slot_errors(task.slots(example), example.target, vocabulary)[:3] for example in examples] == [([], [], [])] * len(
        examples
    )


def test_planted_errors_of_the_embedded_task_are_found_and_no_others():
    from pipeline.quickstart import rows
    from pipeline.tasks.shop_notice import NOTICE

    task, records, rng = tasks.find("shop_notice"), list(rows.records("heldout")), random.Random(1)
    examples = task_rows.converted(task, records)
    vocabulary = slots.Vocabulary(map(task.slots, examples))
    for row, example in zip(records, examples, strict=True):
        other = next(record for record in rng.sample(records, 60) if not {*map(str, record.values())} & {*map(str, row.values())})
        column, slot = rng.choice([("person", "customer"), ("city", "city"), ("count", "quantity"), ("color", "color"), ("day", "day")])
        value, wrong = str(row[column]), str(other[column])
        swapped, added = NOTICE.format(**{**row, column: wrong}), f"{example.target} Or {wrong}?"
        assert slots.slot_errors(task.slots(example), swapped, vocabulary)[:3] == ([], [], [(slot, wrong)])
        assert slots.slot_errors(task.slots(example), added, vocabulary)[:3] == ([], [(slot, wrong)], [])
        assert slots.slot_errors(task.slots(example), NOTICE.format(**{**row, column: "it"}), vocabulary)[:3] == ([(slot, value)], [], [])


@pytest.mark.parametrize(
    ("name", "missing", "added", "wrong"),
    [("viggo", (0.001, 0.005), (0.001, 0.005), (0, 0.001)), ("e2e_nlg", (0.04, 0.06), (0.002, 0.005), (0.004, 0.008))],
)
def test_people_leave_out_as_much_as_was_measured(name, missing, added, wrong):
    task = tasks.find(name)
    examples = [row for row in task_rows.converted(task, list(task_rows.real(f"{name}/test"))) if isinstance(row, Example)]
    vocabulary = slots.Vocabulary(map(task.slots, examples))
    results = [slots.slot_errors(task.slots(example), example.target, vocabulary) for example in examples]
    total = sum(result.of for result in results)
    for index, (low, high) in enumerate((missing, added, wrong)):
        assert low <= sum(len(result[index]) for result in results) / total <= high


@pytest.mark.parametrize("name", ["viggo", "e2e_nlg"])
def test_errors_planted_in_real_text_are_found(name):
    task, rng = tasks.find(name), random.Random(2)
    examples = [row for row in task_rows.converted(task, list(task_rows.real(f"{name}/test"))) if isinstance(row, Example)]
    vocabulary = slots.Vocabulary(map(task.slots, examples))
    names = sorted({slot.value for example in examples for slot in task.slots(example) if slot.name == "name"})
    tried = detected = 0
    for example in rng.sample(examples, 300):
        (own,) = [slot.value for slot in task.slots(example) if slot.name == "name"] or [""]
        other = rng.choice([name for name in names if name != own])
        if own and own in example.target and slots.slot_errors(task.slots(example), example.target, vocabulary)[:3] == ([], [], []):
            tried += 1
            detected += slots.slot_errors(task.slots(example), example.target.replace(own, other), vocabulary)[:3] == (
                [],
                [],
                [("name", other)],
            )
    assert detected > 0.95 * tried > 100
