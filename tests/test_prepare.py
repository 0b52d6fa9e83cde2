"""What is drawn, what is left out and counted, and that training never sees a held-out prompt."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.data import drop_tally, inline, rows_used
from pipeline.data.drop_tally import DropTally
from pipeline.data.files import shorten
from pipeline.data.overlap import OverlapIndex
from pipeline.errors import DataError
from pipeline.stages import prepare
from pipeline.store.records import LOSS_TURNS, Example, Turn
from tests import preparing
from tests.tiny import SHARED

ROOT = Path(__file__).parents[1]
needs_data = pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="no shared data beside the repository")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with 300 training and 60 held-out rows, in which to stand."""
    monkeypatch.chdir(tmp_path)
    preparing.write_file(tmp_path / "train.jsonl", preparing.rows(300))
    preparing.write_file(tmp_path / "test.jsonl", preparing.rows(60, 1000))
    return tmp_path


def draw(place, model, name="out", task=None, **params):
    facts = preparing.prepare_both(task or preparing.task(), place / name, model, **params)
    return facts, preparing.examples(place / name / "heldout"), preparing.examples(place / name / "train")


def ids(examples):
    return {example.id for example in examples}


def test_both_splits_are_written(place, model):
    (heldout, train), held, learned = draw(place, model, dev_examples=30)
    dev = preparing.examples(place / "out" / "train", "dev.jsonl")
    assert (heldout["examples"], heldout["wanted"], heldout["selected"]) == (60, 100, 60)
    assert (train["examples"], train["dev"], train["wanted"], train["selected"]) == (100, 30, 130, 130)
    assert (len(held), len(learned), len(dev)) == (60, 100, 30)
    assert not ids(learned) & ids(dev)
    assert heldout["source"]["file"] == "test.jsonl"
    assert heldout["tokens"]["prompt"]["max"] >= heldout["tokens"]["prompt"]["mean"] > 0
    assert preparing.read_json(place / "out" / "train", "overlap.json") == {"exact": 0, "near": 0, "threshold": 0.8, "pairs": []}
    assert sorted(path.name for path in (place / "out" / "train").iterdir()) == [
        "dev.jsonl",
        "dropped.json",
        "examples.jsonl",
        "overlap.json",
    ]


def test_ids_name_the_line(place, model):
    _, held, _ = draw(place, model)
    for example in held:
        line = int(example.id.removeprefix("test-"))
        assert example.prompt == f"Ticket: ticket number {999 + line}\nTeam:"


def test_the_same_seed_draws_the_same(place, model):
    _, _, one = draw(place, model, "one")
    _, _, two = draw(place, model, "two")
    _, _, other = draw(place, model, "other", seed=1)
    assert one == two
    assert ids(one) != ids(other)


def test_a_larger_draw_holds_the_smaller_and_keeps_its_dev_part(place, model):
    _, _, small = draw(place, model, "small", examples=50, dev_examples=20)
    _, _, large = draw(place, model, "large", examples=150, dev_examples=20)
    assert ids(small) < ids(large)
    assert preparing.examples(place / "small" / "train", "dev.jsonl") == preparing.examples(place / "large" / "train", "dev.jsonl")


def test_another_prompt_draws_the_same_rows(place, model):
    _, _, one = draw(place, model, "one", examples=50)
    _, _, other = draw(place, model, "other", preparing.task(prompt="{text}?"), examples=50)
    assert ids(one) == ids(other)


def test_fewer_rows_than_asked_for_share_with_the_dev_part(place, model, capsys):
    (_, train), _, _ = draw(place, model, examples=900, dev_examples=100)
    assert (train["examples"], train["dev"], train["selected"], train["wanted"]) == (270, 30, 300, 1000)
    output = capsys.readouterr().err
    assert "train: using 270 of 300 rows, and 30 for validation (of 900 and 100 for validation requested; there are no more)" in output
    assert "warning" not in output


def test_all_rows_are_used_unless_the_recipe_says_otherwise(place, model, capsys):
    (held, train), _, rows = draw(place, model, examples=None, dev_examples=100)
    assert (train["examples"], train["dev"], train["wanted"], train["surplus"]) == (270, 30, 300, 0)
    assert len({*ids(rows), *ids(preparing.examples(place / "out" / "train", "dev.jsonl"))}) == 300
    assert "  train: using 270 of 300 rows, and 30 for validation\n" in capsys.readouterr().err
    assert rows_used.sentence(held) == "using 60 of 60 rows"


def test_every_row_that_is_not_used_is_counted(place, model, capsys):
    (_, train), _, _ = draw(place, model, examples=100, dev_examples=20)
    assert train["surplus"] == 180
    assert rows_used.sentence(train) == "using 100 of 300 rows, and 20 for validation; left out: 180 not requested"
    assert "train: using 100 of 300 rows, and 20 for validation (180 more than prepare.train_examples requests)" in capsys.readouterr().err


def test_copies_and_faulty_rows_are_in_the_account(place, model):
    others = [*preparing.rows(4, 1000), *preparing.rows(3), {"text": "no team"}]
    preparing.write_file(place / "train.jsonl", [*preparing.rows(300), *others])
    (_, train), _, _ = draw(place, model, examples=None, dev_examples=20)
    counts = rows_used.left_out(train)
    assert (counts["exact duplicates of test prompts"], counts["duplicate"], counts["missing field"]) == (4, 3, 1)
    assert train["surplus"] == 0
    assert sum(counts.values()) + train["examples"] + train["dev"] == train["rows"] == 308


def test_the_account_of_rows_adds_up():
    facts = {"examples": 2000, "dev": 100, "rows": 6000, "surplus": 3885, "overlap_exact": 2, "overlap_near": 3}
    facts["dropped"] = {"too long": 9, "duplicate": 1}
    assert rows_used.sentence(facts) == (
        "using 2,000 of 6,000 rows, and 100 for validation; left out: 9 too long, 1 duplicate, 2 exact duplicates of test prompts, "
        "3 near-duplicates of test prompts, 3,885 not requested"
    )
    assert sum(rows_used.left_out(facts).values()) + 2100 == 6000


@pytest.mark.parametrize(
    ("available", "count"), [(1, 0), (4, 0), (39, 7), (99, 19), (100, 20), (150, 20), (300, 30), (1000, 100), (9000, 100)]
)
def test_the_dev_part_where_all_rows_are_used(available, count):
    assert prepare.dev_count(available, None, 100) == count
    assert prepare.dev_count(available, None, 0) == 0
    if count < 20:
        assert "it takes 100 usable training rows" in prepare.small_dev_remedy(available, None, 100)
    assert "set prepare.dev_examples to 20 or more" in prepare.small_dev_remedy(available, None, 10)


@pytest.mark.parametrize(
    ("examples", "dev", "message"),
    [
        (
            5000,
            20,
            "a validation set of 1 is too small to select the best checkpoint reliably (finetune.keep): set prepare.train_examples to 280",
        ),
        (
            50,
            19,
            "a validation set of 19 is too small to select the best checkpoint reliably (finetune.keep): set prepare.dev_examples to 20",
        ),
    ],
)
def test_a_small_dev_part_is_warned_of(place, model, capsys, examples, dev, message):
    draw(place, model, examples=examples, dev_examples=dev)
    assert f"train: warning: {message}" in capsys.readouterr().err
    draw(place, model, "none", examples=50, dev_examples=0)
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize("selected", [15, 20, 21, 22, 40, 41, 116, 300, 1999])
@pytest.mark.parametrize("dev", [1, 19, 20, 100, 1000])
def test_the_remedy_for_a_small_dev_part_gives_a_large_enough_one_and_no_smaller_change_does(selected, dev):
    remedy, examples = prepare.small_dev_remedy(selected, 2000, dev), int(selected * dev / 20) - dev
    if dev < 20:
        assert "set prepare.dev_examples to 20 or more" in remedy
    elif examples < 1:
        assert "more than 20 usable training rows" in remedy
        assert prepare.dev_count(selected, 1, dev) < 20
    else:
        assert remedy == f"set prepare.train_examples to {examples} or less"
        assert prepare.dev_count(selected, examples, dev) >= 20 > prepare.dev_count(selected, examples + 1, dev)


def test_the_remedy_for_long_conversations_never_cuts_them():
    params = {"max_tokens": 100, "long_prompts": "drop", "task": inline.spec(preparing.task(prompt="", target=""))}
    remedy = drop_tally.length_remedy(params)
    assert remedy.startswith(
        "Raise prepare.max_tokens (it is 100), or set prepare.long_prompts to cut_left, which cuts prompts of a single turn"
    )
    assert "(cut)" not in remedy


LONG_ROWS = [{"text": f"{n} " + "long " * 100, "team": f"{n % 2}"} for n in range(9)]
LONG_TARGETS = [{"text": f"short {n}", "team": f"{n} " + "long " * 100} for n in range(9)]


@pytest.mark.parametrize(
    ("rows", "cut", "long_prompts", "remedy"),
    [
        (
            LONG_ROWS,
            "",
            "drop",
            "or set prepare.long_prompts to cut_left, or name the column that may be cut (cut) and set it to cut_field.",
        ),
        (LONG_ROWS, "text", "drop", "or set prepare.long_prompts to cut_field, which keeps question and cue whole."),
        (LONG_TARGETS, "", "cut_left", "(it is 100): prompts are cut from the left already, but answers are never cut"),
        (
            LONG_TARGETS,
            "text",
            "cut_field",
            "(it is 100): what may be cut of a prompt is cut already, and its rest and the answer are too long.",
        ),
    ],
)
def test_the_remedy_for_long_rows_names_nothing_that_is_set_already(place, model, rows, cut, long_prompts, remedy):
    preparing.write_file(place / "test.jsonl", rows)
    with pytest.raises(DataError, match="9 too long") as error:
        preparing.prepare_split(preparing.task(cut=cut), "heldout", place / "out" / "heldout", model, long_prompts=long_prompts)
    assert remedy in error.value.remedy
    assert "cut_left" not in error.value.remedy or long_prompts == "drop"


def test_bad_rows_are_left_out_and_counted_by_reason(place, model):
    bad = [
        "{",
        '{"text": "a"}',
        '{"text": null, "team": "x"}',
        '{"text": 5, "team": "x"}',
        '{"text": " ", "team": "x"}',
        '{"text": "b", "team": ""}',
    ]
    text = "".join(json.dumps(row) + "\n" for row in preparing.rows(94)) + "\n".join(bad)
    preparing.write_file(place / "train.jsonl", text)
    (_, train), _, learned = draw(place, model)
    assert train["dropped"] == {"malformed": 1, "missing field": 2, "wrong type": 1, "empty prompt": 1, "empty target": 1}
    assert len(learned) == 94
    summary = preparing.read_json(place / "out" / "train", "dropped.json")
    assert summary["missing field"] == {"count": 2, "first": ["line 96", "line 97"], "value": "team is missing or null"}
    with pytest.raises(DataError, match=r"6% of its 100 rows cannot be used"):
        draw(place, model, "strict", max_bad_rows=0.05)


def test_a_value_that_no_file_can_hold_is_told_all_the_same(place, model):
    rows = [*preparing.rows(40), {"text": ["\ud800"], "team": "x"}, {"text": "\ud800", "team": " "}]
    (place / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (_, train), _, _ = draw(place, model)
    assert train["dropped"] == {"wrong type": 1, "empty target": 1}
    assert "\\ud800" in preparing.read_json(place / "out" / "train", "dropped.json")["wrong type"]["value"]


def test_only_the_first_places_are_kept(place, model):
    preparing.write_file(place / "train.jsonl", "".join(json.dumps(row) + "\n" for row in preparing.rows(100)) + "{\n" * 9)
    draw(place, model)
    summary = preparing.read_json(place / "out" / "train", "dropped.json")
    assert summary["malformed"]["count"] == 9
    assert summary["malformed"]["first"] == ["line 101", "line 102", "line 103", "line 104", "line 105"]


def test_long_prompts_are_dropped_or_cut_and_answers_never(place, model):
    from pipeline.models import renderer

    rows = preparing.rows(60, 1000) + [{"text": "very " * 200 + f"long {n}", "team": ("red", "blue")[n % 2]} for n in range(5)]
    preparing.write_file(place / "test.jsonl", rows)
    (dropped, _), held, _ = draw(place, model, "drop")
    assert (dropped["examples"], dropped["dropped"], dropped["cut"]) == (60, {"too long": 5}, 0)
    (cut, _), held, _ = draw(place, model, "cut", long_prompts="cut_left")
    assert (cut["examples"], cut["dropped"], cut["cut"]) == (65, {}, 5)
    render = renderer.renderer(model)
    for example in held:
        assert len(render.prompt_ids(example.prompt)) + len(render.target_ids(example.prompt, example.target)) <= 100
        assert example.prompt.endswith("\nTeam:")
        assert example.target in ("red", "blue")


def test_an_answer_that_does_not_fit_is_never_cut(place, model):
    preparing.write_file(place / "test.jsonl", [*preparing.rows(60, 1000), {"text": "a", "team": "very " * 200}])
    (heldout, _), held, _ = draw(place, model, long_prompts="cut_left")
    assert heldout["dropped"] == {"too long": 1}
    assert {example.target for example in held} == {"red", "blue"}


def test_too_many_long_rows_stop_the_draw_early(place, model):
    rows = [{"text": "long " * 100 if n % 3 else f"short {n}", "team": f"{n % 2}"} for n in range(5000)]
    preparing.write_file(place / "test.jsonl", rows)
    with pytest.raises(DataError, match=r"test\.jsonl: 6\d% of its 5000 rows cannot be used \(1\d\d too long\)"):
        preparing.prepare_split(preparing.task(), "heldout", place / "out" / "heldout", model)


def test_copies_within_training_are_left_out(place, model):
    rows = preparing.rows(50)
    preparing.write_file(place / "train.jsonl", [*rows, *rows[:3], {**rows[9], "team": "other"}])
    (_, train), _, _ = draw(place, model)
    assert train["dropped"] == {"duplicate": 3}
    assert train["examples"] == 51
    choosing = preparing.task(choices=["red", "blue", "other"], answer="choice")
    (_, train), _, learned = draw(place, model, "choosing", choosing)
    assert train["dropped"] == {"duplicate": 3, "conflicting answer": 1}
    assert len({example.prompt for example in learned}) == len(learned) == 50


def test_no_training_prompt_is_in_the_dev_part(place, model):
    preparing.write_file(place / "train.jsonl", [{"text": f"prompt {n % 40}", "team": f"answer {n}"} for n in range(120)])
    (_, train), _, learned = draw(place, model, dev_examples=10)
    dev = {example.prompt for example in preparing.examples(place / "out" / "train", "dev.jsonl")}
    assert not dev & {example.prompt for example in learned}
    assert train["dropped"]["prompt of the dev part"] == 120 - train["selected"] > 0
    assert len(dev) == train["dev"]


def test_equal_held_out_prompts_become_one_group(place, model):
    preparing.write_file(
        place / "test.jsonl", [{"text": f"prompt {n % 5}", "team": f"answer {n}"} for n in range(9)] + [{"text": "p", "team": "t"}]
    )
    (heldout, _), held, _ = draw(place, model)
    assert (heldout["examples"], heldout["prompts"]) == (10, 6)
    groups = {}
    for example in held:
        groups.setdefault(example.prompt, set()).add(example.group)
    assert all(len(groups_of_prompt) == 1 for groups_of_prompt in groups.values())
    alone = groups.pop("Ticket: p\nTeam:") | groups.pop("Ticket: prompt 4\nTeam:")
    assert alone == {""}
    assert len(set.union(*groups.values()) - {""}) == 4
    (_, _), held, _ = draw(place, model, "named", preparing.task(group="{team}"))
    assert {example.group for example in held} == {example.target for example in held}


def test_ids_are_unique(place, model, monkeypatch):
    from dataclasses import replace

    from pipeline.data import inline

    plain = inline.example_maker
    monkeypatch.setattr(inline, "example_maker", lambda definition: lambda row: replace(plain(definition)(row), id=f"n{row['n'] % 290}"))
    (_, train), _, _ = draw(place, model, examples=300)
    assert train["dropped"]["duplicate id"] == 10
    assert train["examples"] == 290


def test_a_source_document_in_both_splits_is_told(place, model, capsys):
    (_, train), _, _ = draw(place, model, task=preparing.task(group="{team}"))
    assert train["shared_groups"] == train["selected"]
    assert "come from the same source documents" in capsys.readouterr().err


def test_a_file_that_changed_since_the_plan(place, model):
    from pipeline.store.artifact import file_hash

    files = {"test.jsonl": file_hash(place / "test.jsonl")}
    facts = preparing.prepare_split(preparing.task(), "heldout", place / "a" / "heldout", model, files=files)
    assert facts["source"]["sha256"] == files["test.jsonl"]
    preparing.write_file(place / "test.jsonl", preparing.rows(3))
    with pytest.raises(DataError, match=r"test\.jsonl was changed after this run was planned"):
        preparing.prepare_split(preparing.task(), "heldout", place / "b" / "heldout", model, files=files)


def test_equal_and_similar_prompts_leave_training(place, model):
    near = preparing.STORY.replace("daughter", "sister")
    preparing.write_file(place / "test.jsonl", [*preparing.rows(20, 1000), {"text": preparing.STORY, "team": "red"}])
    preparing.write_file(
        place / "train.jsonl", [*preparing.rows(40), {"text": preparing.STORY.upper(), "team": "red"}, {"text": near, "team": "blue"}]
    )
    (_, train), _, _ = draw(place, model, max_tokens=400)
    assert (train["overlap_exact"], train["overlap_near"], train["examples"]) == (1, 1, 40)
    pairs = sorted(preparing.read_json(place / "out" / "train", "overlap.json")["pairs"], key=lambda pair: pair["kind"])
    assert [(pair["train"], pair["heldout"], pair["kind"]) for pair in pairs] == [
        ("train-41", "test-21", "exact"),
        ("train-42", "test-21", "near"),
    ]
    assert pairs[0]["similarity"] == 1.0 > pairs[1]["similarity"] >= 0.8
    (_, strict), _, _ = draw(place, model, "strict", max_tokens=400, near_duplicates=1.0)
    assert (strict["overlap_exact"], strict["overlap_near"], strict["examples"]) == (1, 0, 41)


def test_every_copy_of_a_held_out_prompt_counts_as_overlap(place, model):
    preparing.write_file(place / "train.jsonl", preparing.rows(20) + preparing.rows(2, 1000) * 3)
    (_, train), _, learned = draw(place, model)
    assert (train["overlap_exact"], train["dropped"], len(learned)) == (6, {}, 20)


def test_a_conversation_that_teaches_a_held_out_answer_on_its_way_is_left_out():
    turns = (Turn("user", "hi"), Turn("assistant", "hello"), Turn("user", "and?"))
    draw = prepare.Draw({"dev_examples": 0}, OverlapIndex([Example("h", "hi", "hello")], 0.8))
    assert draw.is_copy("line 1", Example("t", turns, "bye", extra={LOSS_TURNS: [1]}), DropTally(2))
    assert not draw.is_copy("line 2", Example("u", turns, "bye"), DropTally(2))
    assert draw.overlap == {"exact": 1}


# Real data, and much of it


@needs_data
def test_e2e_nlg(tmp_path, model):
    data = {"folder": str(SHARED / "data" / "e2e_nlg"), "train": "train", "heldout": "test"}
    task = preparing.task(
        name="e2e", data=data, prompt="{meaning_representation}", target="{human_reference}", group="{meaning_representation}"
    )
    heldout, train = preparing.prepare_both(task, tmp_path, model, examples=600, dev_examples=50, max_tokens=600)
    assert (heldout["rows"], heldout["examples"], heldout["dropped"]) == (4693, 600, {})
    assert (train["rows"], train["examples"], train["dev"], train["overlap_exact"], train["shared_groups"]) == (
        42061,
        600,
        50,
        0,
        0,
    )


@needs_data
def test_sst2(tmp_path, model):
    data = {"folder": str(SHARED / "data" / "glue_sst2"), "train": "train", "heldout": "validation"}
    labels = {"label": ["negative", "positive"]}
    task = preparing.task(
        name="sst2",
        data=data,
        prompt="Review: {sentence}\nSentiment:",
        target="{label}",
        labels=labels,
        choices=labels["label"],
        answer="choice",
    )
    heldout, train = preparing.prepare_both(task, tmp_path, model, examples=1000, max_tokens=400)
    assert (heldout["rows"], heldout["examples"], heldout["selected"]) == (872, 872, 872)
    assert (train["rows"], train["examples"]) == (67349, 1000)
    hidden = preparing.task(**{**task.model_dump(mode="json"), "data": {**data, "heldout": "test"}})
    with pytest.raises(DataError, match=r"100% of its 1821 rows cannot be used \(1821 bad value\)\.\n  line 1: bad value: label is -1"):
        preparing.prepare_split(hidden, "heldout", tmp_path / "hidden", model)


MANY = """
import json, random, sys
from pathlib import Path
from tests import preparing
folder, rng, model = Path(sys.argv[1]), random.Random(0), {}
from pipeline.models import base_model, renderer
class Words:
    thinking = False
    token_counts = staticmethod(lambda pairs: [(len(prompt.split()), 1) for prompt, _ in pairs])
    without_start = staticmethod(lambda prompt: prompt)
    care = staticmethod(lambda prompt, answers: [])
    spells_control = staticmethod(lambda text: False)
base_model.context_window = lambda spec: None
renderer.renderer = lambda spec: Words()  # without transformers what is measured is ours
with (folder / "train.jsonl").open("w") as file:
    for n in range(50_000):
        text = " ".join(rng.choice(("red", "blue", "ticket", "broken", "again", str(n))) for _ in range(60))
        file.write(json.dumps({"text": text, "team": str(n % 7), "body": "x" * 1000}) + chr(10))
preparing.write_file(folder / "test.jsonl", preparing.rows(500, 10**6))
preparing.prepare_split(preparing.task(), "heldout", folder / "heldout", model, examples=500)
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
before = peak()
facts = preparing.prepare_split(preparing.task(), "train", folder / "train", model, examples=int(sys.argv[2]), max_tokens=2000)
print(json.dumps({"kib": peak() - before, **facts}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_many_rows_need_little_memory(tmp_path):
    """50,000 rows in a file of 70 MB: what is read must not stay."""
    start = time.monotonic()
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(tmp_path), "2000"],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    assert (facts["rows"], facts["examples"]) == (50_000, 2000)
    assert facts["kib"] < 40 * 1024, f"{facts['kib'] / 1024:.0f} MiB more than before, after {time.monotonic() - start:.0f} s"


def test_a_value_in_a_message_is_short():
    assert shorten("a\n b  " + "c" * 100) == "a b " + "c" * 73 + "..."


def test_what_may_be_cut_stands_behind_the_worked_examples():
    from pipeline.data import make_examples, task
    from pipeline.data.files import SourceRow

    wikisql = task.find("wikisql")
    row = json.loads((ROOT / "tests/fixtures/tasks/wikisql/test.jsonl").read_text("utf-8").splitlines()[0])
    plain, led = (make_examples.ExampleMaker(wikisql, preface).example(SourceRow("a", "row 1", row)) for preface in ("", "Look first.\n\n"))
    (start, end), (later, last) = plain.extra["cut"], led.extra["cut"]
    assert led.prompt[later:last] == plain.prompt[start:end]
    assert led.prompt.startswith("Look first.\n\n" + plain.prompt[:start])


def test_training_behind_other_worked_examples_than_the_exams_is_refused(model, tmp_path, monkeypatch):
    from tests import task_rows

    rows = [{"gem_id": f"v-{n}", "meaning_representation": f"inform(name[Game {n}])", "target": f"Game {n} it is."} for n in range(30)]
    name = task_rows.place(monkeypatch, "viggo", tmp_path / "rows", rows[:20], rows[20:])
    preparing.prepare_split(name, "heldout", tmp_path / "heldout", model, max_tokens=400)
    assert "Game 3 it is." in (tmp_path / "heldout" / "preface.txt").read_text("utf-8")
    preparing.prepare_split(name, "train", tmp_path / "train", model, max_tokens=400)
    task_rows.place(monkeypatch, "viggo", tmp_path / "other", rows[1:20], rows[20:])
    with pytest.raises(DataError, match="the few-shot examples of the training prompts differ from those of the test prompts"):
        preparing.prepare_split(name, "train", tmp_path / "again", model, max_tokens=400)


def test_a_label_beyond_any_float_is_a_bad_row():
    from pipeline.data import inline, make_examples
    from pipeline.data.files import SourceRow

    task = inline.from_spec(inline.spec(preparing.task(labels={"team": ["red", "blue"]})))
    example = make_examples.example_of_row(task, SourceRow("a", "row 1", {"text": "x", "team": 10**400}))
    assert isinstance(example, make_examples.BadRow)
