"""Files as people have them: encodings, ends of lines, headers, and the types of Parquet columns."""

import codecs
import csv
import datetime
import decimal
import io
import json
import re

import datasets
import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from pipeline.data import arrow_rows, source
from pipeline.data.task import Source
from pipeline.data.templates import Template
from pipeline.errors import DataError
from tests import preparing

ROWS = [{"text": "eins, zwei", "n": "1"}, {"text": "Öl 水", "n": "2"}]
JSONL = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
CSV = 'text,n\n"eins, zwei",1\nÖl 水,2\n'
ENCODINGS = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16": b"",
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32": b"",
}
"""With the mark that the codec does not write itself."""


def read(path, used=()):
    return [row.row for row in source.open_source(Source(path=str(path)), used=used).read()]


def arrow(column, kind):
    """The values of a column of an Arrow type, as rows hold them."""
    return [row["x"] for row in arrow_rows.rows(pyarrow.table({"x": pyarrow.array(column, kind)}))]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("name", "text"), [("a.jsonl", JSONL), ("a.csv", CSV), ("a.tsv", "text\tn\neins, zwei\t1\nÖl 水\t2\n")])
def test_every_unicode_encoding_gives_the_same_rows(encoding, name, text, tmp_path):
    (tmp_path / name).write_bytes(ENCODINGS[encoding] + text.encode(encoding))
    assert read(tmp_path / name) == ROWS


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_json_in_utf16_needs_no_mark(encoding, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(JSONL.encode(encoding))
    assert read(tmp_path / "a.jsonl") == ROWS


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r\n"])
@pytest.mark.parametrize(("name", "text"), [("a.jsonl", JSONL), ("a.csv", CSV)])
def test_every_end_of_line_gives_the_same_rows(end, name, text, tmp_path):
    (tmp_path / name).write_bytes(text.replace("\n", end).encode())
    assert read(tmp_path / name) == ROWS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", ("{'text': 'x'}\n" * 2).encode(), r"none of its 2 lines is a JSON object; line 1: not JSON .*json\.dumps"),
        ("a.jsonl", b"text label\n", r"none of its 1 lines is a JSON object; line 1: not JSON .*one JSON object a line"),
        ("a.jsonl", "{}".encode("utf-16")[:-1], r"is not valid UTF-16: .* Save it as UTF-8"),
        ("a.csv", "größe,n\nx,1\n".encode("cp1252"), r"its header is not UTF-8 text from byte 3 on .* Save it as UTF-8"),
        ("a.csv", b"PK\x03\x04\0\0,\0\n", r"is not text: its header contains zero bytes"),
        ("a.tsv", b"text,n\n", r"is not separated by tabs: its header is 'text,n'"),
        ("a.tsv", b'text\tn\n"one\t1\ntwo\t2\nthree"\t3\n', r"a\.tsv line 2 is not TSV: a value in quotes holds tabs and line breaks"),
        ("a.csv", b"text\tn\n", r"is not separated by commas: .* Rename it to \.tsv"),
        ("a.csv", b",\n1,2\n", r"equal or empty names in its header: '', ''"),
    ],
)
def test_what_is_no_such_file_is_told_with_its_reason(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        read(tmp_path / name)
    assert re.search(message, str(error.value).replace("\n", " ")), error.value


@pytest.mark.parametrize("name", ["TRAIN.JSONL", "train.Csv", "train.NDJSON", "train.PARQUET", "train.JSONL.GZ"])
def test_capitals_in_a_name_do_not_matter(name, tmp_path):
    content = CSV if name.lower().endswith("csv") else ROWS
    preparing.write_file(tmp_path / name.lower(), content)
    (tmp_path / name.lower()).rename(tmp_path / name)
    assert read(tmp_path / name) == ROWS
    assert source.open_source(Source(name.split(".")[0], folder=str(tmp_path))).total == 2


def test_a_compressed_file_is_known_by_its_bytes(tmp_path):
    preparing.write_file(tmp_path / "a.jsonl.gz", ROWS)
    (tmp_path / "a.jsonl.gz").rename(tmp_path / "a.jsonl")
    assert read(tmp_path / "a.jsonl") == ROWS


def test_a_home_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    preparing.write_file(tmp_path / "rows" / "train.jsonl", ROWS)
    assert read("~/rows/train.jsonl") == ROWS
    assert source.open_source(Source("train", folder="~/rows")).total == 2


def test_columns_that_nothing_uses_may_be_nameless_or_equal(tmp_path):
    (tmp_path / "a.csv").write_text(",text,n,,n\n0,one,1,x,2\n")
    assert read(tmp_path / "a.csv", used=("text",))[0]["text"] == "one"
    assert source.open_source(Source(path=str(tmp_path / "a.csv")), used=("text",)).columns == ("text", "n", "n")
    for used in [("n",), ()]:
        with pytest.raises(DataError, match="equal or empty names"):
            read(tmp_path / "a.csv", used=used)


# Parquet


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=5))
def test_single_precision_has_the_fewest_digits_that_tell_it_apart(values):
    actual = arrow(values, pyarrow.float32())
    assert [np.float32(value) for value in actual] == [np.float32(value) for value in values]
    assert [str(value) for value in actual] == [str(float(str(np.float32(value)))) for value in values]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.decimals(min_value=-1000, max_value=1000, places=2))
def test_two_decimals_come_back_from_single_precision_as_written(value):
    assert arrow([float(value)], pyarrow.float32()) == [float(value)]


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (pyarrow.float32(), [0.7, None, float("nan")], [0.7, None, None]),
        (pyarrow.float16(), [np.float16(0.7), np.float16("nan")], [0.7, None]),
        (pyarrow.float64(), [0.1, float("nan"), None], [0.1, None, None]),
        (pyarrow.list_(pyarrow.float32()), [[0.1, float("nan")], None, []], [[0.1, None], None, []]),
        (pyarrow.list_(pyarrow.float32(), 2), [[0.1, 0.2]], [[0.1, 0.2]]),
        (pyarrow.struct([("a", pyarrow.float32()), ("b", pyarrow.string())]), [{"a": 0.3, "b": "x"}, None], [{"a": 0.3, "b": "x"}, None]),
        (pyarrow.map_(pyarrow.string(), pyarrow.float32()), [[("a", 0.3), ("b", None)], None], [{"a": 0.3, "b": None}, None]),
        (pyarrow.map_(pyarrow.int32(), pyarrow.string()), [[(1, "x")]], [{"1": "x"}]),
        (pyarrow.binary(), ["Öl".encode(), b"\xff", None], ["Öl", b"\xff", None]),
        (pyarrow.dictionary(pyarrow.int8(), pyarrow.string()), ["a", None], ["a", None]),
        (pyarrow.decimal128(6, 2), [decimal.Decimal("6.50")], [decimal.Decimal("6.50")]),
        (pyarrow.date32(), [datetime.date(2020, 1, 2)], [datetime.date(2020, 1, 2)]),
        (pyarrow.int64(), [1, None], [1, None]),
    ],
    ids=str,
)
def test_a_column_gives_the_values_that_were_written(kind, values, expected):
    assert arrow(values, kind) == expected


def test_a_saved_data_set_gives_what_its_parquet_file_does(tmp_path):
    table = pyarrow.table({"score": pyarrow.array([0.7, float("nan")], pyarrow.float32()), "text": ["a", "b"]})
    parquet.write_table(table, tmp_path / "a.parquet")
    saved = datasets.DatasetDict(train=datasets.Dataset(table))
    saved.save_to_disk(tmp_path / "saved")
    expected = [{"score": 0.7, "text": "a"}, {"score": None, "text": "b"}]
    assert read(tmp_path / "a.parquet") == expected
    assert [row.row for row in source.open_source(Source("train", folder=str(tmp_path / "saved"))).read()] == expected


VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(rows=st.lists(st.fixed_dictionaries({"text": VALUES, "n": VALUES}), min_size=1, max_size=4), encoding=st.sampled_from([*ENCODINGS]))
def test_whatever_is_written_is_read(rows, encoding, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, ["text", "n"], quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    for name, text in (("a.jsonl", lines), ("a.csv", table.getvalue())):
        (folder / name).write_bytes(ENCODINGS[encoding] + text.encode(encoding))
        assert read(folder / name) == rows
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "a.parquet")
    assert read(folder / "a.parquet") == rows


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(), st.text().filter(str.strip))
def test_text_stands_in_a_prompt_as_it_is(before, value):
    template = Template(before.replace("{", "{{").replace("}", "}}") + "{a}", {})
    assert template.fill({"a": value}) == before + value
