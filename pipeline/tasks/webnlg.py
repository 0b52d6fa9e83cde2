"""WebNLG: facts, each a subject, a predicate and an object, as sentences."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from pipeline.data.task import ManualFile, Paper, Row, Slot, Source, Task
from pipeline.errors import DataError
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import CONVERTED, has, value

HUB = "webnlg-challenge/web_nlg"
TEST = "rdf-to-text-generation-test-data-with-refs-en"
"""The test rows with references; the data set repeats them without, and adds those of another challenge."""


def example(row: Row) -> Example:
    triples, references = value(row, "modified_triple_sets")["mtriple_set"], texts(row)
    if not triples or not triples[0]:
        raise ValueError("no triples")
    if not references:
        raise ValueError("no text")
    facts = "\n".join(triples[0])
    return Example("", f"Facts:\n{facts}\nOutput:", references[0], group=facts)


def slots(example: Example) -> list[Slot]:
    """Each subject once, and each object under its predicate."""
    triples = [[part.strip().strip('"') for part in line.split(" | ")] for line in example.group.splitlines()]
    whole = [triple for triple in triples if len(triple) == 3]
    subjects = dict.fromkeys(subject for subject, _, _ in whole)
    objects = dict.fromkeys((predicate, value) for _, predicate, value in whole)
    return [*(Slot("subject", subject) for subject in subjects), *(Slot(name, value) for name, value in objects)]


def texts(row: Row) -> list[str]:
    """The lexicalisations that are not blank."""
    return [text for text in (row.get("lex") or {}).get("text") or [] if text and text.strip()]


def is_scored(row: Row) -> bool:
    return bool(has(row, "lex")) and bool(texts(row)) and row.get("test_category") in (None, "", TEST)


def files(split: str) -> tuple[str, ...]:
    """File names by the hub's converter: today's and the original ones."""
    return f"release_v3.0_en/{split}/*.parquet", f"release_v3.0_en/web_nlg-{split}*.parquet"


def preface(shots: Sequence[Example]) -> str:
    task = "Facts are written as subject | predicate | object, one a line. Put them into plain sentences.\n\n"
    return task + "".join(f"{shot.prompt} {shot.target}\n\n" for shot in shots)


def read(path: Path, split: str) -> Iterator[Row]:
    """Rows of the original XML files, below train/, or in the one file of test/ that has references."""
    files = sorted((path / split).rglob("*.xml" if split == "train" else f"{TEST}.xml"))
    if not files:
        raise DataError(f"{path} has no XML files of the split {split}.", "Put the whole folder release_v3.0/en there.")
    for file in files:
        for entry in ElementTree.parse(file).iter("entry"):
            facts = [[triple.text or "" for triple in group.iter("mtriple")] for group in entry.iter("modifiedtripleset")]
            sentences = [lex.text or "" for lex in entry.iter("lex")]
            yield {"category": entry.get("category"), "modified_triple_sets": {"mtriple_set": facts}, "lex": {"text": sentences}}


ORIGINAL = ManualFile(
    path="webnlg",
    page="https://gitlab.com/shimorina/webnlg-dataset",
    how="the folder release_v3.0/en, which holds train, dev and test,",
    read=read,
)

TASK = Task(
    name="webnlg",
    about="generation: facts as sentences",
    train=(
        Source("train", hub=HUB, revision=CONVERTED, files=files("train"), rows=13211),
        Source("train", manual_file=ORIGINAL, rows=13211),
    ),
    heldout=(
        Source("test", hub=HUB, revision=CONVERTED, files=files("test"), keep=is_scored, rows=1779),
        Source("test", manual_file=ORIGINAL, keep=is_scored, rows=1779),
    ),
    example=example,
    answer=parsers.text,
    metrics=("rougeL", "chrf"),
    max_new_tokens=160,
    shots=(92,),
    preface=preface,
    grounded="slots",
    slots=slots,
    paper=Paper(
        metric="rougeL",
        tokens=(215, 345),
        differs=(
            "only the 1,779 test rows with references are scored; the data set's test split has 5,713 rows, most without",
            "the facts are the data set's own triples, one a line; the paper's rule for preparing them is not published",
            "the first of up to several texts is the target and the only reference",
        ),
    ),
)
