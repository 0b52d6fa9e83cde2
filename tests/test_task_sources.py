"""The data of every task through the real loading code: from a hub of its layout, from its other place, and what is said without."""

import gzip
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from pipeline.data import source, task
from pipeline.data.task import ManualFile, Source
from pipeline.errors import DataError
from tests import preparing
from tests.local_hub import LocalHub
from tests.task_hub import World, used_rows

ROOT = Path(__file__).parents[1]
PARTS = [(name, part) for name in task.names() if not name.startswith("shop_") for part in ("train", "heldout")]
OTHERS = [(name, part) for name, part in PARTS if len(getattr(task.find(name), part)) > 1]
ASK = """
import json, os, sys
from pipeline.data import source, task
from pipeline.errors import UserError
from pipeline.data.task import Source
for line in sys.stdin:
    ask = json.loads(line)
    os.environ["HF_TOKEN"] = ask.get("token", "")
    try:
        fields = ask.get("source", {})
        there = [Source(**fields | {"files": tuple(fields.get("files", ()))})] if fields else getattr(task.find(ask["task"]), ask["part"])
        opened = source.open_first(there, ask.get("offline", False))
        rows = [[row.id, row.row] for row in opened.read()]
        answer = {"rows": rows, "total": opened.total, "facts": opened.facts, "where": opened.location}
    except UserError as error:
        answer = {"error": error.problem, "remedy": error.remedy}
    print("ANSWER " + json.dumps(answer))
"""


def ask(environ, folder, asks):
    """What each question gets in one new process; its cache is empty, or what an earlier one left in the same folder."""
    env = {**os.environ, **environ, "PYTHONPATH": str(ROOT)}
    lines = "".join(json.dumps(question) + "\n" for question in asks)
    done = subprocess.run([sys.executable, "-c", ASK], input=lines, env=env, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line.removeprefix("ANSWER ")) for line in done.stdout.splitlines() if line.startswith("ANSWER ")]


def loaded(folder, parts, position):
    """What these parts of tasks give, where only the source at that place of theirs is to be had; by name and part."""
    world = World(folder / "hub", folder / "sources")
    expected = {(name, part): world.add(task.find(name), getattr(task.find(name), part)[position]) for name, part in parts}
    world.declare()
    with LocalHub(world.hub) as hub:
        environ = hub.environ(folder / "cache") | {"LORALIFT_SOURCES": str(world.manual_folder)}
        answers = ask(environ, folder, [{"task": name, "part": part} for name, part in expected])
    return {key: (rows, answer) for (key, rows), answer in zip(expected.items(), answers, strict=True)}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return loaded(tmp_path_factory.mktemp("first"), PARTS, position=0)


def examples(name, rows):
    """What the task makes of the rows that it can use."""
    return [(example.prompt, example.target, example.choices) for example in map(task.find(name).example, rows)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "part"), PARTS)
def test_every_task_loads_from_its_best_source(name, part, first):
    rows, answer = first[name, part]
    assert "error" not in answer, answer
    assert examples(name, [row for _, row in answer["rows"]]) == examples(name, rows)
    assert len({mark for mark, _ in answer["rows"]}) == answer["total"] == len(rows) >= 2
    assert (
        answer["facts"].get("expected_rows") == getattr(task.find(name), part)[0].rows
    )  # as few rows as these are not what was written down
    assert "instead_of" not in answer["facts"]


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    return loaded(tmp_path_factory.mktemp("second"), OTHERS, position=1)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "part"), OTHERS)
def test_the_other_source_gives_the_same_examples_and_says_why(name, part, second):
    rows, answer = second[name, part]
    assert "error" not in answer, answer
    best = getattr(task.find(name), part)[0]
    assert examples(name, [row for _, row in answer["rows"]]) == examples(name, used_rows(rows, best))
    (why,) = answer["facts"]["instead_of"]
    assert why.startswith(f"the data set {best.hub} has no ") or "there is no data set" in why


SCORED = {
    "validation_matched": ["glue_mnli"],
    "validation": [
        "bc5cdr", "boolq", "drop", "glue_cola", "glue_mrpc", "glue_qnli", "glue_qqp", "glue_sst2", "glue_stsb", "glue_wnli", "hellaswag",
        "hellaswag_processed", "mmlu", "winogrande",
    ],
}  # fmt: skip
"""The splits that the paper scored, where they are not the test split."""


@pytest.mark.parametrize("name", sorted({name for name, _ in PARTS}))
def test_what_the_paper_scored_is_held_out_wherever_it_comes_from(name):
    split = next((split for split, names in SCORED.items() if name in names), "test")
    sources = task.find(name).heldout
    assert {source.split for source in sources} == {split}
    assert not [path for source in sources for path in source.files if split[:5] not in path]
    assert {source.split for source in task.find(name).train} == {"auxiliary_train" if name == "mmlu" else "train"}
    assert not [path for source in task.find(name).train for path in source.files if "train" not in path and name != "magicoder"]


# What is said where a place is closed, gone or changed: one line with the remedy.

BRANCH = "refs/convert/parquet"
COPY = {"revision": BRANCH, "files": ["default/test/*.parquet"], "split": "test"}


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """What a hub says of repositories with faults, by question."""
    folder = tmp_path_factory.mktemp("refused")
    hub, rows = folder / "hub" / "datasets" / "org", [{"text": "a"}, {"text": "b"}]
    for name, files in {"gated": "default/test", "renamed": "default/validation", "good": "default/test"}.items():
        preparing.write_file(hub / f"{name}@{quote(BRANCH, safe='')}" / files / "0000.parquet", rows)
        preparing.write_file(hub / name / "README.md", "# data")
    preparing.write_file(hub / f"gated@{quote(BRANCH, safe='')}" / ".gated", "open sesame")
    preparing.write_file(hub / "script" / "script.py", "import datasets\n")
    asks = {
        "closed": {"source": {"hub": "org/gated", **COPY}},
        "wrong token": {"source": {"hub": "org/gated", **COPY}, "token": "x"},
        "right token": {"source": {"hub": "org/gated", **COPY}, "token": "open sesame"},
        "nothing": {"source": {"hub": "org/nothing", **COPY}},
        "renamed split": {"source": {"hub": "org/renamed", **COPY}},
        "no branch": {"source": {"hub": "org/script", **COPY}},
        "script": {"source": {"hub": "org/script", "split": "test"}},
        "no revision": {"source": {"hub": "org/good", **COPY, "revision": "v9"}},
        "good": {"source": {"hub": "org/good", **COPY, "rows": 3}},
        "neither": {"task": "boolq", "part": "train"},
        "neither of one place": {"task": "viggo", "part": "train"},
        "by hand": {"task": "webnlg", "part": "heldout"},
    }
    with LocalHub(folder / "hub") as server:
        environ = server.environ(folder / "cache") | {"LORALIFT_SOURCES": str(folder / "sources")}
        answers = dict(zip(asks, ask(environ, folder, asks.values()), strict=True))
    away = environ | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    later = [{"source": {"hub": "org/other", **COPY}}, {"source": {"hub": "org/good", **COPY}}]
    return answers | dict(zip(("no network", "cached"), ask(away, folder, later), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "problem", "remedy"),
    [
        ("closed", "the data set org/gated is gated, and your access is not granted.", "Accept its terms at"),
        ("wrong token", "the data set org/gated is gated, and your access is not granted.", "set HF_TOKEN"),
        ("nothing", "there is no data set org/nothing on the hub, or it is private.", "Check https://"),
        ("renamed split", "the data set org/renamed has no file default/test/*.parquet at refs/convert/parquet.", "See its files"),
        ("no branch", "the data set org/script has no revision 'refs/convert/parquet'.", "Name a commit"),
        ("script", "the data set org/script does not load: Dataset scripts are no longer supported", "name local files"),
        ("no revision", "the data set org/good has no revision 'v9'.", "Name a commit, a tag or a branch of"),
        ("neither", "there is no data set google/boolq on the hub", "\n  Or: there is no data set aps/super_glue"),
        ("neither of one place", "there is no data set GEM/viggo on the hub", "for a private one, set HF_TOKEN or run `hf auth login`."),
        ("by hand", "there is no data set webnlg-challenge/web_nlg on the hub", "release_v3.0/en"),
        ("no network", "the data set org/other is not in the cache, and http://127.0.0.1:9 does not answer", "Run once with the network"),
    ],
)
def test_what_the_hub_refuses(case, problem, remedy, refused):
    assert problem in refused[case]["error"]
    assert remedy in refused[case]["remedy"]
    assert len(refused[case]["error"].splitlines()) == 1


@pytest.mark.slow
def test_a_branch_opens_with_a_token_and_from_the_cache(refused):
    assert [row for _, row in refused["right token"]["rows"]] == [{"text": "a"}, {"text": "b"}]
    assert refused["cached"]["rows"] == refused["good"]["rows"]
    assert refused["cached"]["facts"]["revision"] == refused["good"]["facts"]["revision"]
    assert refused["good"]["facts"]["expected_rows"] == 3


# Files that no hub serves.


class Files(ThreadingHTTPServer):
    """Serves one body under every name but `none`; says that there is more of it than it sends, if it is told to."""

    daemon_threads = True

    def __init__(self, body, more=0):
        super().__init__(("127.0.0.1", 0), Sender)
        self.body, self.more, self.requests = body, more, []
        self.url = f"http://127.0.0.1:{self.server_port}/rows.csv.gz"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.shutdown()
        self.server_close()


class Sender(BaseHTTPRequestHandler):
    def log_message(self, *words):
        self.server.requests.append(self.path)

    def do_GET(self):
        self.send_response(404 if "none" in self.path else 200)
        self.send_header("Content-Length", str(len(self.server.body) + self.server.more))
        self.end_headers()
        self.wfile.write(self.server.body)


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """An empty folder for placed files, and leave to fetch."""
    monkeypatch.setenv("LORALIFT_SOURCES", str(tmp_path / "sources"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    return tmp_path / "sources"


def fetched_source(url):
    return Source("train", manual_file=ManualFile("set/rows.csv.gz", "https://page.example", "rows.csv.gz", url), rename=(("mr", "words"),))


ROWS = gzip.compress(b'mr,ref\n"one, two",three\n')


def test_a_file_is_fetched_once(sources):
    with Files(ROWS) as server:
        for _ in range(2):
            opened = source.open_source(fetched_source(server.url))
            assert [row.row for row in opened.read()] == [{"words": "one, two", "ref": "three"}]
        assert server.requests == ["/rows.csv.gz"]
    assert [path.name for path in (sources / "set").iterdir()] == ["rows.csv.gz"]


@pytest.mark.parametrize(("more", "name"), [(100, "rows.csv.gz"), (0, "none.csv.gz")])
def test_a_download_that_fails_leaves_nothing(more, name, sources):
    with Files(ROWS, more) as server, pytest.raises(DataError, match="cannot be fetched: ") as error:
        source.open_source(fetched_source(server.url.replace("rows.csv.gz", name)))
    assert f"Fetch it by hand and put it at {sources / 'set' / 'rows.csv.gz'}." == error.value.remedy
    assert not [*(sources / "set").iterdir()]


def test_what_must_be_put_in_place_is_said_exactly(sources, monkeypatch):
    with pytest.raises(DataError) as error:
        source.open_source(task.find("webnlg").train[1])
    assert error.value.problem == f"there is no {sources / 'webnlg'}."
    assert error.value.remedy == (
        "Fetch the folder release_v3.0/en, which holds train, dev and test, from https://gitlab.com/shimorina/webnlg-dataset "
        f"into the folder {sources / 'webnlg'}."
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError) as error:
        source.open_source(task.find("tldr_headline_gen").train[0])
    assert error.value.problem == f"there is no {sources / 'tldr_news_full.csv.gz'}, and HF_HUB_OFFLINE is set."
    assert "https://raw.githubusercontent.com/ludwig-ai/datasets/main/TLDRNews/tldr_news_full.csv.gz" in error.value.remedy


def test_an_archive_of_another_kind_is_refused(sources):
    preparing.write_file(sources / "wikisql" / "data.tar.bz2", "no archive")
    with pytest.raises(DataError, match="is not the archive of WikiSQL"):
        source.open_source(task.find("wikisql").train[1])


def test_a_renamed_column_is_named(sources, model, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    preparing.write_file(sources / "e2e_nlg" / "testset_w_refs.csv", "mr,text\nname[Inn],An inn.\n")
    preparing.write_file(sources / "e2e_nlg" / "trainset.csv", "mr,ref\nname[Inn],An inn.\nname[Bar],A bar.\n")
    with pytest.raises(DataError) as error:
        preparing.prepare_split("e2e_nlg", "heldout", tmp_path / "out", model)
    path = sources / "e2e_nlg" / "testset_w_refs.csv"
    assert error.value.problem == f"{path}: in every one of its 1 rows human_reference is missing or null."
    assert error.value.remedy.startswith("It may be another version of the data")


def test_a_renamed_column_that_tells_the_splits_is_named(sources):
    preparing.write_file(sources / "tldr_news_full.csv.gz", "part,headline,content,category\n0,a,b,1\n")
    with pytest.raises(DataError, match="there is no column split to tell the rows of the split by, only part, headline"):
        source.open_source(task.find("tldr_headline_gen").train[0])
