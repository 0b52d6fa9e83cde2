"""E2E NLG: a restaurant's attributes as a sentence."""

from collections.abc import Sequence

from pipeline.data.task import ManualFile, Paper, Row, Slot, Source, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import bracketed, converted, words

UNJUDGED = ("priceRange", "customer rating", "familyFriendly")
"""Said in words of one's own: a place on a scale, and whether children are welcome."""
WAYS = {
    "riverside": ("river", "riverfront", "waterfront"),
    "city centre": ("city center", "downtown", "town centre", "town center"),
    "English": ("British", "England"),
    "Italian": ("Italy",),
    "French": ("France",),
    "Japanese": ("Japan", "sushi"),
    "Chinese": ("China",),
    "Indian": ("India",),
    "coffee shop": ("café", "coffee house"),
}
"""Words of the data set's writers for a value."""


def example(row: Row) -> Example:
    attributes, sentence = words(row, "meaning_representation"), words(row, "human_reference")
    return Example("", f"Attributes: {attributes}\nPlain English:", sentence, group=attributes)


def slots(example: Example) -> list[Slot]:
    return [Slot(name, value, WAYS.get(value, ()), name not in UNJUDGED) for name, value in bracketed(example.group)]


def preface(shots: Sequence[Example]) -> str:
    task = "Say in plain English what a list of attributes, each with its value in square brackets, tells of a place.\n\n"
    return task + "".join(f"{shot.prompt} {shot.target}\n\n" for shot in shots)


def original(split: str, file: str, rows: int) -> Source:
    """The same rows from the data set's own repository."""
    url = f"https://raw.githubusercontent.com/tuetschek/e2e-dataset/master/{file}"
    manual_file = ManualFile(f"e2e_nlg/{file}", "https://github.com/tuetschek/e2e-dataset", file, url)
    return Source(split, manual_file=manual_file, rename=(("mr", "meaning_representation"), ("ref", "human_reference")), rows=rows)


TASK = Task(
    name="e2e_nlg",
    about="generation: a restaurant's attributes as a sentence",
    train=(converted("tuetschek/e2e_nlg", "train", "default/train", 42061), original("train", "trainset.csv", 42061)),
    heldout=(converted("tuetschek/e2e_nlg", "test", "default/test", 4693), original("test", "testset_w_refs.csv", 4693)),
    example=example,
    answer=parsers.text,
    metrics=("rougeL", "chrf"),
    max_new_tokens=128,
    shots=(0,),
    preface=preface,
    grounded="slots",
    slots=slots,
    paper=Paper(
        metric="rougeL",
        tokens=(153, 213),
        differs=(
            "the worked example is the first training row; the paper showed the first test row, which it also scored",
            "rows are the data set's pairs, several to one list of attributes, which are resampled together",
        ),
    ),
)
