"""Slot errors on planted answers: what is dropped, added or swapped is found, and nothing else."""

import random

import pytest

from pipeline.data import task
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
KNOWN = slots.Vocabulary([PLACE, OTHERS])
NAMES = {"food": "Indian", "near": "Café Rouge", "name": "Blue Spice"}


def errors(answer, representation=PLACE):
    found = slots.errors(representation, answer, KNOWN)
    assert all(len(each) == len(set(each)) for each in found[:3])
    return [dict(each) for each in found[:3]]


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
    ("slot", "said"),
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
def test_a_value_is_said_in_several_ways(slot, said):
    (known,) = [each for each in OTHERS if f"{each.name}: {each.value}" == slot] or [Slot(*slot.split(": "))]
    assert errors(said, [known]) == [{}, {}, {}]
    assert errors("Nothing of it is said.", [known]) == [{known.name: known.value}, {}, {}]


def test_a_value_said_for_one_slot_is_not_added_to_a_second():
    assert errors("Cotto is near Blue", [Slot("near", "Blue")]) == [{}, {}, {}]


def test_what_cannot_be_judged_is_counted_apart():
    found = slots.errors(PLACE, "Blue Spice", KNOWN)
    assert (found.of, found.unjudged) == (3, 1)
    assert slots.errors([Slot("esrb", "", judged=False)], "Which rating?", KNOWN)[3:] == (0, 1)


def test_every_wrong_value_takes_the_place_of_one_missing():
    asked = [Slot("genre", "puzzle"), Slot("genre", "sport"), Slot("genre", "music")]
    known = slots.Vocabulary([asked, [Slot("genre", "arcade"), Slot("genre", "indie")]])
    found = slots.errors(asked, "an arcade music game", known)
    assert (len(found.missing), found.added, found.wrong) == (1, [], [("genre", "arcade")])
    found = slots.errors(asked[:1], "an arcade or indie game", known)
    assert (found.missing, len(found.added), len(found.wrong)) == ([], 1, 1)


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
    made = Example("1", "prompt", "target", group=group)
    assert [(slot.name, slot.value, slot.judged) for slot in task.find(name).slots(made)] == expected


@pytest.mark.parametrize("name", [one.name for one in task_rows.every() if one.grounded == "slots"])
def test_invented_targets_say_their_representation(name):
    one = task.find(name)
    made = task_rows.examples(one) + task_rows.examples(one, "train")
    known = slots.Vocabulary(map(one.slots, made))
    assert all(one.slots(example) for example in made)
    assert [slots.errors(one.slots(example), example.target, known)[:3] for example in made] == [([], [], [])] * len(made)


def test_planted_errors_of_the_embedded_task_are_found_and_no_others():
    from pipeline.quickstart import rows
    from pipeline.tasks.shop_notice import NOTICE

    one, held, rng = task.find("shop_notice"), list(rows.records("heldout")), random.Random(1)
    made = task_rows.converted(one, held)
    known = slots.Vocabulary(map(one.slots, made))
    for row, example in zip(held, made, strict=True):
        other = next(each for each in rng.sample(held, 60) if not {*map(str, each.values())} & {*map(str, row.values())})
        column, slot = rng.choice([("person", "customer"), ("city", "city"), ("count", "quantity"), ("color", "color"), ("day", "day")])
        value, wrong = str(row[column]), str(other[column])
        swapped, added = NOTICE.format(**{**row, column: wrong}), f"{example.target} Or {wrong}?"
        assert slots.errors(one.slots(example), swapped, known)[:3] == ([], [], [(slot, wrong)])
        assert slots.errors(one.slots(example), added, known)[:3] == ([], [(slot, wrong)], [])
        assert slots.errors(one.slots(example), NOTICE.format(**{**row, column: "it"}), known)[:3] == ([(slot, value)], [], [])


@pytest.mark.parametrize(
    ("name", "missing", "added", "wrong"),
    [("viggo", (0.001, 0.005), (0.001, 0.005), (0, 0.001)), ("e2e_nlg", (0.04, 0.06), (0.002, 0.005), (0.004, 0.008))],
)
def test_people_leave_out_as_much_as_was_measured(name, missing, added, wrong):
    one = task.find(name)
    made = [each for each in task_rows.converted(one, list(task_rows.real(f"{name}/test"))) if isinstance(each, Example)]
    known = slots.Vocabulary(map(one.slots, made))
    found = [slots.errors(one.slots(example), example.target, known) for example in made]
    total = sum(each.of for each in found)
    for at, (low, high) in enumerate((missing, added, wrong)):
        assert low <= sum(len(each[at]) for each in found) / total <= high


@pytest.mark.parametrize("name", ["viggo", "e2e_nlg"])
def test_errors_planted_in_real_text_are_found(name):
    one, rng = task.find(name), random.Random(2)
    made = [each for each in task_rows.converted(one, list(task_rows.real(f"{name}/test"))) if isinstance(each, Example)]
    known = slots.Vocabulary(map(one.slots, made))
    names = sorted({slot.value for each in made for slot in one.slots(each) if slot.name == "name"})
    tried = found = 0
    for example in rng.sample(made, 300):
        (own,) = [slot.value for slot in one.slots(example) if slot.name == "name"] or [""]
        other = rng.choice([each for each in names if each != own])
        if own and own in example.target and slots.errors(one.slots(example), example.target, known)[:3] == ([], [], []):
            tried += 1
            found += slots.errors(one.slots(example), example.target.replace(own, other), known)[:3] == ([], [], [("name", other)])
    assert found > 0.95 * tried > 100
