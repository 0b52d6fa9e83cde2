"""What prepare says of data before any training: how many rows, the first of them, what to do; and nothing of data without fault."""

import json
import re
from itertools import permutations

import pytest

from pipeline.data import data_checks, inline
from pipeline.errors import DataError
from pipeline.models import renderer
from tests import preparing, tiny

RED_BLUE = {"choices": ["red", "blue"], "answer": "choice", "metrics": ["accuracy"]}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def warnings(place, model, rows, heldout=None, task=None, **params):
    """By check, the warnings of held-out and training rows."""
    preparing.write_file(place / "train.jsonl", rows)
    preparing.write_file(place / "test.jsonl", heldout or [row | {"text": f"{row['text']} again"} for row in rows])
    facts = preparing.prepare_both(preparing.task(**(task or {})), place / "out", model, **params)
    return [{row["check"]: row for row in split["warnings"]} for split in facts]


def rows(team="red", count=12):
    return [{"text": f"ticket number {n}", "team": team.format(n) if "{" in team else team} for n in range(count - 1)] + [
        {"text": "ticket of another team", "team": "blue"}
    ]


@pytest.mark.parametrize("task", [{}, RED_BLUE, {"stop": ["\n"]}, {"prompt": "Ticket: {text}\n"}])
def test_nothing_is_said_of_data_without_fault(place, model, task):
    assert warnings(place, model, preparing.rows(12), task=task) == [{}, {}]


MANY = "yes no maybe " * 5
COLUMN = {"prompt": "Ticket: {text}\nBy: {team}\nTeam:"}
LONG = {"prompt": "Say which team, in one word, must answer this. {text}\nTeam:"}
FAULTS = [
    ("target over max_new_tokens", MANY, {}, {"max_new_tokens": 6}, 11, "targets are longer than an answer may be: max_new_tokens is 6"),
    ("stop string in target", "red\nteam", {"stop": ["\n"]}, {}, 11, 'targets hold a stop string ("\\n"), so a right answer is truncated'),
    ("target's column in prompt", "red", COLUMN, {}, 12, "prompts show {team}, from which the target is made"),
    ("control token", "press <eos> twice", {}, {}, 11, "rows spell control tokens of the base (<eos>), which reach the model as text"),
    ("start token", "red", {"prompt": "<bos>Ticket: {text}\nTeam:"}, {}, 12, "prompts begin with <bos>, which the tokenizer adds as well"),
    ("target read otherwise", "red\nand more", {"answer": "first_line"}, {}, 11, "targets are parsed only in part"),
    (
        "cut prompt", "red", LONG, {"max_tokens": 30, "long_prompts": "cut_left"}, 12,
        "prompts were longer than prepare.max_tokens (30) and lost their beginning, such as 'Say which team",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("check", "team", "task", "params", "count", "problem"), FAULTS, ids=[row[0] for row in FAULTS])
def test_a_fault_is_counted_and_told_for_both_splits(place, model, capsys, check, team, task, params, count, problem):
    for by_check in warnings(place, model, rows(team), task=task, **params):
        assert list(by_check) == [check]
        assert (by_check[check]["count"], by_check[check]["total"]) == (count, 12)
        assert by_check[check]["problem"].startswith(f"{count} of 12 {problem}")
        assert by_check[check]["first"].startswith("line ")
    output = " ".join(capsys.readouterr().err.split())
    for split in ("test", "train"):
        assert output.count(f"{split}: warning: {count} of 12 {' '.join(problem.split())}") == 1


def test_rows_over_the_window_are_counted_with_room_for_the_answer(place, model):
    """The tiny base was made for 256 tokens."""
    long = [row | {"text": "red " * 100 + row["text"]} for row in preparing.rows(12)]
    render = renderer.renderer(model)
    tokens = max(len(render.prompt_ids(f"Ticket: {row['text']} again\nTeam:")) for row in long)
    sizes = {"max_tokens": 1000, "near_duplicates": 1.0}
    assert warnings(place, model, long, **sizes, max_new_tokens=256 - tokens) == [{}, {}]
    heldout, train = warnings(place, model, long, **sizes, max_new_tokens=257 - tokens)
    assert train == {}
    assert heldout["row over the window"]["problem"].endswith(f"window of 256 tokens: prompt and {257 - tokens} new tokens come to 257")
    choices = RED_BLUE | {"choices": ["red", "blue", "blue " * 20 + "blue"]}  # generation makes room for the longest
    raised = warnings(place, model, long, task=choices, **sizes, max_new_tokens=256 - tokens)[0]["row over the window"]["problem"]
    assert re.search(r"prompt and (\d+) new tokens", raised)[1] == str(len(render.answer_ids("Ticket:\nTeam:", choices["choices"][-1])) + 1)
    longer = [row | {"text": "red " * 300 + row["text"]} for row in long]
    assert warnings(place, model, longer, **sizes)[1]["row over the window"]["count"] == 12


def test_a_closed_set_says_which_of_its_labels_have_no_row(place, model):
    task = {"labels": {"team": ["billing", "support", "sales"]}}
    from_one = [{"text": f"ticket number {n}", "team": 1 + n % 3 % 2} for n in range(12)]
    for by_check in warnings(place, model, from_one, task=task):
        row = by_check["label without rows"]
        assert (row["count"], row["total"], row["first"]) == (1, 3, "billing") or row["count"] == 2
        assert "Numbers count from 0: if those of the file count from 1, put a name for 0 first." in row["remedy"]
    one_sided = [{"text": f"ticket {n}", "team": ("red", "green")[n % 2]} for n in range(12)]
    heldout, train = warnings(place, model, preparing.rows(12), one_sided, task=RED_BLUE | {"choices": ["red", "blue", "green"]})
    assert heldout["label without rows"]["problem"] == "1 of 3 labels occur in no row of this split: blue"
    assert list(train) == ["label without rows"]  # once, not for the labels and again for the targets
    assert train["label without rows"]["problem"] == "1 of 3 labels occur in no row of this split: green; 6 test examples have them"


def test_targets_that_look_like_labels_are_compared_without_choices(place, model):
    one_sided = [{"text": f"ticket {n}", "team": ("red", "green")[n % 2]} for n in range(12)]
    heldout, train = warnings(place, model, preparing.rows(12), one_sided)
    assert heldout == {}
    assert train["target never trained"]["problem"] == "6 of 12 test targets occur in no training row: green"
    free = [{"text": f"ticket {n}", "team": f"team {n}"} for n in range(24)]
    assert warnings(place, model, free[:12], free[12:]) == [{}, {}]


def test_targets_of_another_spelling_than_trained_are_counted(place, model):
    decimals = [row | {"team": float(row["n"] % 4)} for row in preparing.rows(12)]
    whole = [row | {"team": row["n"] % 4} for row in preparing.rows(8, 100)]
    row = warnings(place, model, decimals, whole)[1]["spelled otherwise"]
    assert (row["count"], row["total"]) == (8, 8)
    assert re.search(r"8 of 8 test targets have another spelling in the training rows, such as '\d' for '\d\.0'", row["problem"])
    assert "spelled otherwise" not in warnings(place, model, decimals, whole, task={"answer": "number", "metrics": ["accuracy"]})[1]
    capitals = [row | {"team": row["team"].title()} for row in preparing.rows(8, 100)]
    assert "spelled otherwise" in warnings(place, model, preparing.rows(12), capitals)[1]
    assert "spelled otherwise" not in warnings(place, model, preparing.rows(12), capitals, task={"metrics": ["accuracy"]})[1]


@pytest.mark.parametrize(
    ("answer", "target", "changed"),
    [
        ("number", "12", False),
        ("number", "-1,234.50", False),
        ("number", "$ 6.50", False),
        ("number", "1e5", False),
        ("number", "12 apples", True),
        ("number", "3 or 4", True),
        ("number", "10-20", True),
        ("number", "555-1234", True),
        ("number", "1 1/2", False),
        ("number", "–5", False),
        ("json", '{"a": 1}', False),
        ("json", 'so {"a": 1}', True),
        ("json", '{"a": 1, "a": 2}', True),
        ("json", '{"a": {"b": 1, "b": 2}}', True),
        ("json", '{"a": 1, "a": 1}', False),
        ("json", '[{"a": 1}, {"a": 2}]', True),
        ("first_line", "a  b", False),
        ("first_line", "a\nb", True),
        ("text", " a\nb ", False),
    ],
)
def test_another_spelling_of_a_target_is_no_change(answer, target, changed):
    parse = inline.build_task(preparing.task(answer=answer)).answer
    assert data_checks.is_changed(answer, target, parse(target, tiny.examples(1)[0])) is changed


def test_a_prompt_is_cut_in_the_column_that_its_task_names(place, model):
    task = {"prompt": "Say which team must answer.\nTicket: {text}\nTeam:", "cut": "text"}
    long = [row | {"text": f"{row['n'] + 10} one two" + " three four five" * 9} for row in preparing.rows(24)]
    heldout, _ = warnings(place, model, long[:12], long[12:], task, max_tokens=100, long_prompts="cut_field", near_duplicates=1.0)
    assert "lost the end of the part that may be cut" in heldout["cut prompt"]["problem"]
    for example in preparing.examples(place / "out" / "heldout"):
        assert re.match(r"Say which team must answer\.\nTicket: [23]\d one two three", example.prompt)
        assert example.prompt.endswith("\nTeam:")
        assert example.extra == {}


def test_generation_makes_room_for_the_longest_choice(place, model):
    task = RED_BLUE | {"choices": ["red", "blue", "blue blue blue blue"]}
    mixed = [row | {"team": ("red", "blue", "blue blue blue blue")[n % 3]} for n, row in enumerate(preparing.rows(12))]
    render = renderer.renderer(model)
    longest = len(render.answer_ids("Ticket:\nTeam:", "blue blue blue blue"))
    assert warnings(place, model, mixed, task=task, max_new_tokens=longest) == [{}, {}]
    assert {json.dumps(example.extra) for example in preparing.examples(place / "out" / "heldout")} == {"{}"}
    assert warnings(place, model, mixed, task=task, max_new_tokens=longest - 1) == [{}, {}]
    assert {json.dumps(e.extra) for e in preparing.examples(place / "out" / "heldout")} == {json.dumps({"choice_tokens": longest + 1})}
    assert {json.dumps(e.extra) for e in preparing.examples(place / "out" / "train")} == {"{}"}


AMOUNT = {"answer": "number", "metrics": ["accuracy"], "decimal_mark": "."}


@pytest.mark.parametrize(
    ("targets", "count"),
    [
        (["5 kg", "5 g", "7 kg"], 2),
        (["5 of 7", "5 of 9", "5.0", "6"], 3),
        (["$5", "€5", "€6"], 2),
        (["5%", "5 ‰", "6"], 2),
        (["(5)", "5.00", "6"], 2),
    ],
)
def test_amounts_that_differ_and_are_read_alike_are_told(place, model, targets, count):
    data = [{"text": f"ticket number {n}", "team": target} for n, target in enumerate(targets)]
    heldout, train = warnings(place, model, data, task=AMOUNT)
    alike = heldout["targets read alike"]
    assert (alike["count"], alike["total"]) == (count, len(targets))
    assert any(f"{one!r} and {other!r}, both as '5': each" in alike["problem"] for one, other in permutations(targets[:count], 2))
    assert "targets read alike" not in train


@pytest.mark.parametrize(
    "targets",
    [
        ["5 kg", "5.00 kg", "5kg.", "7 kg"],
        ["2 + 3 = 5", "4 + 1 = 5", "6"],
        ["€5", "5 €", "5,000 €", "5000.0 €"],
        ["2 and 3 make 5, so #### 5", "1 and 4 make 5, so #### 5.0", "6"],
        ["she has two apples and buys three more, which makes 5", "he has one apple and buys four more, which makes 5", "6"],
    ],
)
def test_one_amount_in_several_spellings_is_no_fault(place, model, targets):
    data = [{"text": f"ticket number {n}", "team": target} for n, target in enumerate(targets)]
    assert "targets read alike" not in warnings(place, model, data, task=AMOUNT)[0]


SIGNS_APART = [
    ("rouge1", ["5%", "5", "six"], 2),
    ("rouge2", ["costs < 5 euros", "costs > 5 euros", "costs 6 euros"], 2),
    ("rougeL", ["$5", "€5", "£5", "6"], 3),
    ("rougeL", ["1.5", "1/5", "15"], 2),
    ("rougeL", ["c", "c++", "c#", "rust"], 3),
    ("rougeL", ["(500)", "500", "600"], 2),
    ("token_f1", ["+5 C", "5% C", "6 C"], 2),
    ("token_f1", ["dog bites man", "man bites dog", "nobody bites"], 2),
    ("rouge1", ["dog bites man", "man bites dog", "nobody bites"], 2),
    ("bleu", ["room 5 of the house", "room 5 of  the house.", "room 6 of the house"], 0),
    ("chrf", ["room 1 5", "room 15", "room 16"], 2),
]


@pytest.mark.parametrize(("metric", "targets", "count"), SIGNS_APART)
def test_targets_that_a_metric_takes_for_one_are_told_with_the_metric_to_take(place, model, metric, targets, count):
    data = [{"text": f"ticket number {n}", "team": target} for n, target in enumerate(targets)]
    heldout, train = warnings(place, model, data, task={"metrics": ["exact_match", metric]})
    assert "targets scored alike" not in train
    if not count:
        assert heldout == {}
        return
    alike = heldout["targets scored alike"]
    assert (alike["count"], alike["total"]) == (count, len(targets))
    assert any(f"are one to {metric}, such as {one!r} and {other!r}" in alike["problem"] for one, other in permutations(targets[:count], 2))
    assert alike["remedy"] == f"Take accuracy or exact_match instead of {metric}, or beside it."


@pytest.mark.parametrize("metric", ["rouge1", "rouge2", "rougeL", "token_f1", "bleu", "chrf"])
def test_one_target_in_several_habits_of_writing_is_no_fault(place, model, metric):
    groups = (
        ["Hello, world", "hello world.", "'Hello' world"],
        ["1,000 items", "1000 items"],
        ["red, blue", "blue, red"],
        ["**bold** one", "bold one"],
    )
    data = [{"text": f"ticket number {n}", "team": target} for n, target in enumerate(target for group in groups for target in group)]
    assert warnings(place, model, data, task={"metrics": [metric]}) == [{}, {}]


def test_targets_in_several_units_are_refused_for_a_distance(place, model):
    task = {"metrics": ["mae_similarity"], "decimal_mark": ".", "span": 100}
    for answer in ("text", "first_line", "number"):
        data = [{"text": f"ticket number {n}", "team": f"{n} {('kg', 'g')[n % 3 == 0]}"} for n in range(9)]
        with pytest.raises(DataError, match="reads no units, and the targets have several, such as 'kg' and 'g'") as refused:
            warnings(place, model, data, task=task | {"answer": answer})
        assert "take accuracy with answer: first_line" in refused.value.remedy
    single = [{"text": f"ticket number {n}", "team": f"{n} {('stars', 'star')[n == 1]}"} for n in range(9)]
    read_in_part = warnings(place, model, single, task=task)[0]["target read otherwise"]
    assert re.fullmatch(r"9 of 9 targets are parsed only in part by mae_similarity, such as '(\d) stars?' as '\1'", read_in_part["problem"])
    bare = [row | {"team": row["team"].split()[0]} for row in single]
    assert warnings(place, model, bare, task=task) == [{}, {}]


def test_a_label_of_which_another_right_answer_was_trained_is_known(place, model):
    train = [{"text": f"ticket number {n}", "team": ("red", "blue")[n % 2], "others": []} for n in range(12)]
    heldout = [{"text": f"note {n}", "team": ("scarlet", "blue")[n % 2], "others": ["red"] if n % 2 == 0 else []} for n in range(6)]
    task = {"accepted": "{others}"}
    assert "target never trained" not in warnings(place, model, train, heldout, task)[1]
    assert "target never trained" in warnings(place, model, train, heldout)[1]
