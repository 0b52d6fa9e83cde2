"""Files that a person puts into data/sources: how their rows are read, and what is said where one is missing or spoilt."""

import shutil

import pytest

from pipeline.data import manual_files, source, task
from pipeline.errors import DataError
from pipeline.tasks import _readers
from tests import task_rows


@pytest.mark.parametrize("name", ["covid", "customer_support", "jigsaw", "legal"])
def test_readers_give_the_rows_of_placed_files(name, monkeypatch):
    monkeypatch.setenv("LORALIFT_SOURCES", str(task_rows.FIXTURES))
    for split, sources in (("train", task.find(name).train), ("heldout", task.find(name).heldout)):
        read = [row.row for row in source.open_source(sources[-1]).read()]
        want = task_rows.rows(task.find(name), split)
        assert read == [{column: str(row[column]) for column in read[0]} for row in want]


def test_tweets_are_read_as_latin_1():
    places = [row["Location"] for row in _readers.tweets(task_rows.FIXTURES / "covid" / "Corona_NLP_train.csv", "train")]
    assert places == ["Málaga", "", "Leeds"]


def test_calls_are_split_by_their_ids_alone(tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(task_rows.FIXTURES / "customer_support", folder)
    train, held = ({row["sid"] for row in _readers.calls(tmp_path, split)} for split in ("train", "test"))
    assert len(train) == len(held) == 3
    assert not train & held
    (folder / "metadata" / f"{sorted(train)[0]}.json").unlink()
    assert {row["sid"] for row in _readers.calls(tmp_path, "test")} == held
    assert sum(_readers.is_heldout(f"{number:016x}") for number in range(10_000)) == pytest.approx(2000, abs=120)


def test_noise_and_missing_parts_of_a_call(tmp_path):
    shutil.copytree(task_rows.FIXTURES / "customer_support", tmp_path, dirs_exist_ok=True)
    rows = [*_readers.calls(tmp_path, "train")]
    assert "[noise]" not in "".join(row["text"] for row in rows)
    (tmp_path / "transcript" / f"{rows[0]['sid']}.json").unlink()
    (tmp_path / "metadata" / f"{rows[1]['sid']}.json").write_text("{}")
    examples = task_rows.converted(task.find("customer_support"), [*_readers.calls(tmp_path, "train")])
    assert [bad.value for bad in examples[:2]] == ["text is missing or null", "task is missing or null"]


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        (
            "covid",
            lambda folder: (folder / "Corona_NLP_test.csv").write_text("Tweet,Sentiment\n"),
            "has no column OriginalTweet and Location and TweetAt",
        ),
        ("jigsaw", lambda folder: (folder / "test_labels.csv").unlink(), "there is no"),
        ("jigsaw", lambda folder: (folder / "test.csv").write_bytes(b"id,comment_text\n1,\xff\n"), "cannot be read"),
        ("legal", lambda folder: shutil.copy(folder / "clauses.csv", folder / "more.csv"), "holds 2 csv files, where one is expected"),
        ("legal", lambda folder: (folder / "clauses.csv").write_text("text,type\n"), "has no column clause_text and clause_type and split"),
        ("legal", lambda folder: (folder / "clauses.csv").rename(folder / "clauses.csv.gz"), "cannot be read"),
        ("customer_support", lambda folder: shutil.rmtree(folder / "metadata"), "holds no call"),
        ("customer_support", lambda folder: next((folder / "metadata").iterdir()).write_text("{"), "is no JSON document"),
    ],
)
def test_a_spoilt_placed_file_is_an_error_of_the_user(name, spoil, message, tmp_path, monkeypatch):
    monkeypatch.setenv("LORALIFT_SOURCES", str(tmp_path))
    shutil.copytree(task_rows.FIXTURES / name, tmp_path / name)
    spoil(tmp_path / name)
    with pytest.raises(DataError, match=message) as error:
        [source.open_source(sources[-1]) for sources in (task.find(name).train, task.find(name).heldout)]
    assert error.value.remedy


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        (
            "covid",
            "Fetch Corona_NLP_test.csv from https://www.kaggle.com/datasets/datatattle/covid-19-nlp-text-classification "
            "and put it at data/covid/Corona_NLP_test.csv.",
        ),
        (
            "jigsaw",
            "Fetch train.csv, test.csv and test_labels.csv, each unzipped, from "
            "https://www.kaggle.com/c/jigsaw-toxic-comment-classification-challenge/data into the folder data/jigsaw.",
        ),
        (
            "legal",
            "Fetch the csv file with the columns clause_text, clause_type and split (folder LegalClause of github.com/ludwig-ai/datasets "
            "has it too) from https://www.kaggle.com/datasets/alexandersherstinsky/legal-clause-type-hint-removed-from-clause-text "
            "into the folder data/legal.",
        ),
        (
            "customer_support",
            "Run: git clone --depth 1 --filter=blob:none --sparse https://github.com/cricketclub/gridspace-stanford-harper-valley "
            "data/customer_support && git -C data/customer_support sparse-checkout set data/metadata data/transcript",
        ),
    ],
)
def test_a_missing_file_says_what_to_fetch_and_where_to_put_it(name, remedy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LORALIFT_SOURCES", str(tmp_path / "data"))
    with pytest.raises(DataError) as error:
        source.open_source(task.find(name).heldout[-1])
    assert error.value.problem.startswith(f"there is no data/{name}")
    assert error.value.remedy == remedy


def test_doctor_can_list_the_placed_files(tmp_path, monkeypatch):
    monkeypatch.setenv("LORALIFT_SOURCES", str(tmp_path))
    shutil.copytree(task_rows.FIXTURES / "legal", tmp_path / "legal")
    listed = manual_files.required_files(task_rows.every())
    is_present = {(one.name, file.path): is_here for one, file, is_here in listed}
    assert {name for name, _ in is_present} >= {"covid", "customer_support", "jigsaw", "legal"}
    assert is_present["legal", "legal"]
    assert not is_present["covid", "covid/Corona_NLP_train.csv"]
    assert not is_present["covid", "covid/Corona_NLP_test.csv"]
    assert len(listed) == len(is_present)


def test_the_hash_of_a_folder_is_of_its_data(tmp_path, monkeypatch):
    monkeypatch.setenv("LORALIFT_SOURCES", str(tmp_path))
    shutil.copytree(task_rows.FIXTURES / "customer_support", tmp_path / "customer_support")
    file = task.find("customer_support").train[0].manual_file
    before = manual_files.content_hash(manual_files.folder() / file.path)
    (tmp_path / "customer_support" / ".git").mkdir()
    (tmp_path / "customer_support" / ".git" / "index").write_text("differs from clone to clone")
    assert manual_files.content_hash(manual_files.folder() / file.path) == before
    next((tmp_path / "customer_support" / "transcript").iterdir()).write_text("[]")
    assert manual_files.content_hash(manual_files.folder() / file.path) != before
