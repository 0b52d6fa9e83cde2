"""BC5CDR: the chemicals and diseases that a sentence names, as a dictionary of tokens."""

from collections.abc import Sequence

from pipeline.data.task import Paper, Row, Source, Task
from pipeline.store.records import Example
from pipeline.tasks._shared import converted, entity_lists, label, value

TAGS = ("O", "B-Chemical", "B-Disease", "I-Disease", "I-Chemical")
KEYS = ("B-Chemical", "B-Disease", "I-Disease", "I-Chemical")
"""In the order of the paper's dictionaries."""


def example(row: Row) -> Example:
    """The sentence is never cut: its answer would name words that are no longer there."""
    tokens, tags = value(row, "tokens"), value(row, "tags")
    if not tokens or len(tokens) != len(tags):
        raise ValueError(f"{len(tokens)} tokens and {len(tags)} tags")
    entities: dict[str, list[str]] = {key: [] for key in KEYS}
    for token, tag in zip(tokens, tags, strict=True):
        if (name := label(TAGS, tag)) in entities:
            entities[name].append(token)
    return Example("", f'Sentence: "{" ".join(tokens)}"\nEntities:', str(entities))


def preface(shots: Sequence[Example]) -> str:
    task = (
        "Tag the named entities of a sentence: put each word of an entity under its category in a dictionary. The categories are "
        f"{', '.join(KEYS[:-1])} and {KEYS[-1]}; one without a word keeps an empty list.\n\n"
    )
    return task + "".join(f"{shot.prompt} {shot.target}\n\n" for shot in shots)


TASK = Task(
    name="bc5cdr",
    about="structured output: chemicals and diseases in medical text",
    train=(
        converted("tner/bc5cdr", "train", "bc5cdr/train", 5228),
        Source("train", hub="tner/bc5cdr", files=("dataset/train.json",), rows=5228),
    ),
    heldout=(
        converted("tner/bc5cdr", "validation", "bc5cdr/validation", 5330),
        Source("validation", hub="tner/bc5cdr", files=("dataset/valid.json",), rows=5330),
    ),
    example=example,
    answer=entity_lists,
    metrics=("entity_f1", "exact_match", "paper_rouge"),
    max_new_tokens=256,
    shots=(0,),
    preface=preface,
    grounded="text",
    paper=Paper(
        metric="paper_rouge",
        tokens=(226, 570),
        differs=("the strict score, F1 over pairs of category and word, counts a word that a sentence repeats once",),
    ),
)
