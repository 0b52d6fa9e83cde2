"""Rows out of every kind of source, with their ids and places; and a hub that is here, gated, wrong or away."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.data import source
from pipeline.data.files import BadRow
from pipeline.data.task import Source
from pipeline.errors import DataError
from tests import preparing
from tests.local_hub import HangUp, LocalHub, commit

ROWS = [{"text": "eins, zwei", "n": 1}, {"text": 'sie sagt "ja"\nund geht', "n": 2}, {"text": "Öl 水", "n": 3}]


def read(path, used=()):
    opened = source.open_source(Source(path=str(path)), used=used)
    return opened, [*opened.read()]


@pytest.mark.parametrize("name", ["train.jsonl", "train.json", "train.jsonl.gz", "train.json.gz", "train.parquet"])
def test_files_with_types_give_the_same_rows(name, tmp_path):
    preparing.write_file(tmp_path / name, ROWS)
    opened, rows = read(tmp_path / name)
    assert [row.row for row in rows] == ROWS
    assert [row.id for row in rows] == ["train-1", "train-2", "train-3"]
    assert (opened.total, opened.columns, opened.location) == (3, ("text", "n"), str(tmp_path / name))


@pytest.mark.parametrize("name", ["train.csv", "train.csv.gz"])
def test_csv_keeps_every_value_as_it_is_written(name, tmp_path):
    text = '\ufefftext,day,code,none\r\n"a, b",2020-01-01,007,NA\r\n\r\n"two\r\nlines",x,1.0,\r\nlast,,null,None\r\n'
    preparing.write_file(tmp_path / name, text)
    opened, rows = read(tmp_path / name)
    assert [[*row.row.values()] for row in rows] == [
        ["a, b", "2020-01-01", "007", "NA"],
        ["two\r\nlines", "x", "1.0", ""],
        ["last", "", "null", "None"],
    ]
    assert [row.location for row in rows] == ["line 2", "line 4", "line 6"]
    assert (opened.total, opened.columns) == (3, ("text", "day", "code", "none"))


def test_jsonl_keeps_dates_and_numbers_as_they_are_written(tmp_path):
    preparing.write_file(tmp_path / "a.jsonl", [{"day": "2020-01-01", "n": 1}, {"day": "2021-01-01", "n": 1.5}])
    assert [row.row for row in read(tmp_path / "a.jsonl")[1]] == [{"day": "2020-01-01", "n": 1}, {"day": "2021-01-01", "n": 1.5}]


def test_a_bad_line_is_found_by_its_number_and_the_others_are_read(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(
        b'\xef\xbb\xbf{"a": 1}\n\n  \n{"a": 2,}\n"a"\n{"a": "\xff"}\n{"a": Infinity}\r\n' + b'{"a":' * 5000 + b'\n{"a": 3}'
    )
    opened, rows = read(tmp_path / "a.jsonl")
    assert [(row.location, row.row) for row in rows if not isinstance(row.row, BadRow)] == [("line 1", {"a": 1}), ("line 9", {"a": 3})]
    assert [row.location for row in rows if isinstance(row.row, BadRow)] == ["line 4", "line 5", "line 6", "line 7", "line 8"]
    assert {row.row.reason for row in rows if isinstance(row.row, BadRow)} == {"malformed"}
    assert opened.total == 7


def test_the_usual_type_of_a_column_decides(tmp_path):
    preparing.write_file(tmp_path / "a.jsonl", [{"a": 1}, {"a": "x"}, {"a": "y"}, {"a": None}, {}, {"a": True}, {"a": "z"}])
    bad = [row.location for row in read(tmp_path / "a.jsonl", used=("a",))[1] if isinstance(row.row, BadRow)]
    assert bad == ["line 1", "line 6"]
    assert not [row for row in read(tmp_path / "a.jsonl", used=("b",))[1] if isinstance(row.row, BadRow)]


def test_csv_that_is_not_utf8_is_bad_in_that_row_only(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,b\nx,\xfc\ny,z\n")
    first, second = read(tmp_path / "a.csv")[1]
    assert isinstance(first.row, BadRow)
    assert second.row == {"a": "y", "b": "z"}


def test_unused_columns_of_parquet_are_not_decoded(tmp_path):
    preparing.write_file(tmp_path / "train.parquet", ROWS)
    assert [row.row for row in read(tmp_path / "train.parquet", used=("n", "none"))[1]] == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_a_folder_has_a_file_a_split(tmp_path):
    preparing.write_file(tmp_path / "train.jsonl", ROWS)
    preparing.write_file(tmp_path / "test.csv.gz", "text\nx\n")
    train, test = (Source(split, folder=str(tmp_path)) for split in ("train", "test"))
    assert source.open_source(train).total == 3
    assert [row.id for row in source.open_source(test).read()] == ["test-2"]


def test_a_saved_data_set(tmp_path):
    import datasets

    dataset = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict(train=dataset, test=dataset.select([2])).save_to_disk(tmp_path / "both")
    dataset.save_to_disk(tmp_path / "one")
    saved = Source("test", folder=str(tmp_path / "both"))
    opened = source.open_source(saved)
    assert [(row.id, row.row) for row in opened.read()] == [("test-1", ROWS[2])]
    assert opened.facts["fingerprint"]
    with pytest.raises(DataError, match="has no split 'dev', only test, train"):
        source.open_source(Source("dev", folder=str(tmp_path / "both")))
    with pytest.raises(DataError, match="without splits"):
        source.open_source(Source("train", folder=str(tmp_path / "one")))
    (tmp_path / "both" / "test" / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match="does not load as a saved data set"):
        source.open_source(saved)


def test_rows_of_a_function():
    opened = source.open_source(Source("heldout", make=lambda split: ({"text": f"{split} {n}"} for n in range(3))))
    assert (opened.total, opened.columns) == (3, ("text",))
    assert [(row.id, row.location, row.row["text"]) for row in opened.read()][1] == ("heldout-2", "row 2", "heldout 1")
    assert len([*opened.read()]) == 3


def test_no_rows(tmp_path):
    with pytest.raises(DataError, match="the embedded train rows holds no rows"):
        source.open_source(Source("train", make=lambda split: []))
    preparing.write_file(tmp_path / "a.jsonl.gz", "")
    with pytest.raises(DataError, match=r"a\.jsonl\.gz holds no rows"):
        read(tmp_path / "a.jsonl.gz")


def test_parquet_with_two_columns_of_one_name(tmp_path):
    import pyarrow
    from pyarrow import parquet

    columns = [pyarrow.array(["a"]), pyarrow.array(["b"]), pyarrow.array(["c"])]
    parquet.write_table(pyarrow.Table.from_arrays(columns, names=["text", "team", "team"]), tmp_path / "a.parquet")
    assert [row.row for row in read(tmp_path / "a.parquet", used=("text",))[1]] == [{"text": "a"}]
    with pytest.raises(DataError, match="several columns of one name: 'team'"):
        read(tmp_path / "a.parquet", used=("text", "team"))


def test_parquet_with_a_damaged_middle(tmp_path):
    import random

    preparing.write_file(tmp_path / "a.parquet", [{"text": random.Random(n).randbytes(40).hex()} for n in range(2000)])
    held = bytearray((tmp_path / "a.parquet").read_bytes())
    held[4:400] = bytes(396)
    (tmp_path / "a.parquet").write_bytes(held)
    with pytest.raises(DataError, match="is not a complete Parquet file"):
        read(tmp_path / "a.parquet")


def test_a_missing_file_in_a_place_with_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    preparing.write_file(tmp_path / "my" / "other.jsonl", ROWS)
    with pytest.raises(DataError, match=r"there is no file my/train\.csv\.\n  The folder my has other\.jsonl\."):
        read("my/train.csv")
    with pytest.raises(DataError, match=r"Nor is there a folder q/r; paths start at "):
        read("q/r/train.csv")


# The hub. huggingface_hub reads its settings when it is imported, so everything is asked in a process of its own.

ASK = """
import json, os, sys, time
from pipeline.data import source
from pipeline.errors import UserError
from pipeline.data.task import Source
for ask in json.loads(sys.argv[1]):
    os.environ["HF_TOKEN"] = ask.pop("token", "")
    offline = ask.pop("offline", False)
    try:
        opened = source.open_source(Source(**{"split": "test", **ask}), offline, ("text",))
        answer = {"columns": opened.columns, "rows": [(row.id, row.row) for row in opened.read()], **opened.facts}
    except UserError as error:
        answer = {"error": str(error)}
    print("ANSWER", json.dumps(answer), flush=True)
"""


def ask(environment, folder, *asks):
    """What open_source says to each question, asked one after the other in a new process."""
    env = {**os.environ, **environment, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", ASK, json.dumps(asks)], env=env, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line.removeprefix("ANSWER ")) for line in done.stdout.splitlines() if line.startswith("ANSWER ")]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with a hub's repositories, and a cache."""
    folder = tmp_path_factory.mktemp("world")
    for name, kind in (("rows", "jsonl"), ("rows@v1", "jsonl"), ("columns", "parquet"), ("gated", "jsonl")):
        repo = folder / "hub" / "datasets" / "org" / name
        for split in ("train", "test"):
            preparing.write_file(repo / f"{split}.{kind}", [{"text": f"{name} {split} {n}", "n": n} for n in range(2)])
        (repo / "README.md").write_text(f"# {name}\n")
    (folder / "hub" / "datasets" / "org" / "gated" / ".gated").write_text("open sesame")
    preparing.write_file(folder / "hub" / "datasets" / "org" / "broken" / "train.jsonl", '{"text": "a"}\n{"text"')
    preparing.write_file(folder / "org" / "rows" / "test.jsonl", [{"text": "a folder of that name"}])
    return folder


@pytest.fixture(scope="module")
def online(world):
    """What the hub's data sets give, by question."""
    rows, head = "org/rows", commit(world / "hub" / "datasets" / "org" / "rows")
    asks = {
        "tag": {"hub": rows, "revision": "v1"},
        "main": {"hub": rows},
        "train": {"hub": rows, "split": "train"},
        "commit": {"hub": rows, "revision": head},
        "parquet": {"hub": "org/columns"},
        "no revision": {"hub": rows, "revision": "v9"},
        "no set": {"hub": "org/nothing"},
        "no split": {"hub": rows, "split": "tset"},
        "no config": {"hub": rows, "config": "en"},
        "broken": {"hub": "org/broken"},
        "no token": {"hub": "org/gated"},
        "wrong token": {"hub": "org/gated", "token": "x"},
        "token": {"hub": "org/gated", "token": "open sesame"},
    }
    with LocalHub(world / "hub") as hub:
        return dict(zip(asks, ask(hub.environ(world / "cache"), world, *asks.values()), strict=True))


def test_rows_from_the_hub(online, world):
    assert online["main"]["rows"] == [["test-1", {"text": "rows test 0"}], ["test-2", {"text": "rows test 1"}]]
    assert online["main"]["columns"] == ["text", "n"]
    assert online["main"]["revision"] == commit(world / "hub" / "datasets" / "org" / "rows")
    assert online["train"]["rows"][0] == ["train-1", {"text": "rows train 0"}]
    assert online["parquet"]["rows"][1] == ["test-2", {"text": "columns test 1"}]
    assert online["main"]["fingerprint"]


def test_a_revision_of_the_hub(online, world):
    assert online["tag"]["rows"][0][1] == {"text": "rows@v1 test 0"}
    assert online["tag"]["revision"] == commit(world / "hub" / "datasets" / "org" / "rows@v1")
    assert online["commit"]["rows"] == online["main"]["rows"]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (
            "no revision",
            "the data set org/rows has no revision 'v9'.\n  Name a commit, a tag or a branch of https://huggingface.co/datasets/org/rows.",
        ),
        ("no set", "there is no data set org/nothing on the hub, or it is private.\n  Check https://huggingface.co/datasets/org/nothing"),
        ("no split", "org/rows has no split 'tset', only train, test.\n  Did you mean 'test'?"),
        ("no config", "the data set org/rows (en) needs another configuration: BuilderConfig 'en' not found. Available: ['default']"),
        ("broken", "the data set org/broken does not load: "),
        (
            "no token",
            "the data set org/gated is gated, and your access is not granted.\n  Accept its terms at https://huggingface.co/datasets/org/gated",
        ),
        ("wrong token", "the data set org/gated is gated, and your access is not granted.\n  Accept its terms at"),
    ],
)
def test_what_the_hub_refuses(case, message, online):
    assert online[case]["error"].startswith(message)


def test_a_token_opens_a_gated_data_set(online):
    assert online["token"]["rows"][0] == ["test-1", {"text": "gated test 0"}]


@pytest.fixture(scope="module")
def away(world, online):
    """The same cache, and nobody at the hub's address."""
    del online
    head = commit(world / "hub" / "datasets" / "org" / "rows")
    asks = {
        "cached": {"hub": "org/columns"},
        "not cached": {"hub": "org/other"},
        "other revision": {"hub": "org/rows", "revision": "0" * 40},
        "offline": {"hub": "org/other", "offline": True},
        "offline cached": {"hub": "org/rows", "revision": head, "offline": True},
        "config": {"hub": "org/columns", "config": "en"},
    }
    settings = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(world / "cache"), "HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0"}
    return dict(zip(asks, ask(settings, world, *asks.values()), strict=True))


def test_an_unreachable_hub_is_said_at_once(away):
    assert away["not cached"]["error"].startswith("the data set org/other is not in the cache, and http://127.0.0.1:9 does not answer")
    assert away["offline"]["error"].startswith(
        "the data set org/other is not in the cache, and HF_HUB_OFFLINE is set.\n  Run once with the network"
    )
    assert away["config"]["error"].startswith("the data set org/columns (en) is not in the cache")


def test_an_unreachable_hub_is_asked_once(tmp_path):
    with HangUp() as hub:
        settings = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0"}
        (reply,) = ask(settings, tmp_path, {"hub": "org/other"})
    assert f"not in the cache, and {hub.endpoint} does not answer" in reply["error"]
    assert 1 <= hub.calls <= 2  # the libraries try five times a look-up, 23 s in all


def test_the_cache_answers_without_the_hub(away, online):
    assert away["cached"]["rows"] == online["parquet"]["rows"]
    assert away["cached"]["revision"] == online["parquet"]["revision"]


def test_the_cache_never_answers_with_another_revision(away, online):
    assert away["other revision"]["error"].startswith(f"org/rows is in the cache as of commit {online['commit']['revision'][:12]}")
    assert away["offline cached"]["rows"] == online["main"]["rows"]


def test_a_part_of_the_files_in_the_cache_is_not_taken_for_all(tmp_path):
    """A cache without the list of the repository's files, as older versions of the hub's client leave it."""
    held, commit_id = tmp_path / "cache" / "hub" / "datasets--org--parts", "1" * 40
    preparing.write_file(held / "snapshots" / commit_id / "train-0.jsonl", [{"text": "row 0"}])
    preparing.write_file(held / "refs" / "main", commit_id)
    both = {"hub": "org/parts", "files": ["train-*.jsonl"], "split": "train", "offline": True}
    cut, unknown = ask({"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}, tmp_path, both | {"rows": 2}, both)
    assert cut["error"].startswith("the data set org/parts is in the cache with 1 of 2 rows, and HF_HUB_OFFLINE is set.")
    assert unknown["rows"] == [["train-1", {"text": "row 0"}]]
