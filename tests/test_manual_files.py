"""Files that a person puts into data/sources: how their rows are read, and what is said where one is missing or spoilt."""

import json
import shutil

import pytest

from pipeline.data import file_hashes, manual_files, source, task
from pipeline.errors import DataError
from pipeline.tasks import _readers
from tests import preparing, task_rows


@pytest.mark.parametrize("name", ["covid", "customer_support", "jigsaw", "legal"])
def test_readers_give_the_rows_of_placed_files(name, monkeypatch):
    monkeypatch.setenv("LORALIFT_SOURCES", str(task_rows.FIXTURES))
    for split, sources in (("train", task.find(name).train), ("heldout", task.find(name).heldout)):
        read = [row.row for row in source.open_source(sources[-1]).read()]
        want = task_rows.rows(task.find(name), split)
        assert read == [{column: str(row[column]) for column in read[0]} for row in want]


def test_facts_name_a_placed_file_and_its_hash(monkeypatch, tmp_path, model, capsys):
    monkeypatch.setenv("LORALIFT_SOURCES", str(task_rows.FIXTURES))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    place = task_rows.FIXTURES / "jigsaw"
    hashed = file_hashes.of_task(task.find("jigsaw"))
    facts = preparing.prepare_split("jigsaw", "heldout", tmp_path / "out", model, files=hashed, max_tokens=5000)
    assert (facts["source"]["file"], facts["source"]["sha256"]) == (str(place), hashed["jigsaw"])
    assert f"test: from {place}, not from the first source" in " ".join(capsys.readouterr().err.split())


TWEETS = (
    "UserName,Location,TweetAt,OriginalTweet,Sentiment\n1,Málaga,x,“Wash” your hands – it’s\u00a0free…,Neutral\n2,Łódź,x,I ❤ soap,Neutral\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_tweets_are_read_in_the_encoding_that_they_have(encoding, tmp_path):
    text = TWEETS if encoding != "cp1252" else TWEETS.rpartition("2,")[0]
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    rows = [*_readers.tweets(tmp_path / "a.csv", "train")]
    assert (rows[0]["Location"], rows[0]["OriginalTweet"]) == ("Málaga", "“Wash” your hands – it’s\u00a0free…")
    assert [(row["Location"], row["OriginalTweet"]) for row in rows[1:]] == [("Łódź", "I ❤ soap")] * (encoding != "cp1252")


def test_a_file_of_two_encodings_is_read_value_by_value(tmp_path):
    first, second = TWEETS.split("2,")
    (tmp_path / "a.csv").write_bytes(first.encode("cp1252") + b"2," + second.encode() + b"3,x,x,caf\x81,Neutral\n")
    rows = [*_readers.tweets(tmp_path / "a.csv", "train")]
    assert [row["Location"] for row in rows] == ["Málaga", "Łódź", "x"]
    assert rows[2]["OriginalTweet"] == "caf\x81"  # no sign in cp1252; nothing is lost


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
    segments = [("agent", "how [noise] may <unk> I"), ("caller", "[noise] <unk>"), ("caller", "  pay <unk>my bill")]
    spoken = json.dumps([{"speaker_role": role, "human_transcript": words} for role, words in segments])
    (tmp_path / "transcript" / f"{rows[2]['sid']}.json").write_text(spoken)
    assert [*_readers.calls(tmp_path, "train")][2]["text"] == "agent: how may I\ncaller: pay my bill"
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
