"""CoNLL++: the people, organizations, locations and other names in a sentence, as JSON."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from pipeline.data.task import ManualFile, Paper, Row, Source, Task
from pipeline.store.records import Example
from pipeline.tasks._shared import converted, entity_lists, label, value

TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC")
KEYS = {"PER": "person", "ORG": "organization", "LOC": "location", "MISC": "miscellaneous"}


def example(row: Row) -> Example:
    """The sentence is never cut: its answer would name words that are no longer there."""
    tokens, tags = value(row, "tokens"), value(row, "ner_tags")
    if not tokens or len(tokens) != len(tags):
        raise ValueError(f"{len(tokens)} tokens and {len(tags)} tags")
    entities: dict[str, list[str]] = {key: [] for key in KEYS.values()}
    for kind, words in spans(tokens, [label(TAGS, tag) for tag in tags]):
        entities[KEYS[kind]].append(" ".join(words))
    return Example("", f"Input: {' '.join(tokens)} Output:", json.dumps(entities, ensure_ascii=False))


def spans(tokens: Sequence[str], tags: Sequence[str]) -> list[tuple[str, list[str]]]:
    """(kind, words) of each entity, in order; an I- tag without a predecessor of its kind begins an entity too."""
    entities: list[tuple[str, list[str]]] = []
    previous = ""
    for token, tag in zip(tokens, tags, strict=True):
        position, _, kind = tag.partition("-")
        if position == "B" or (position == "I" and kind != previous):
            entities.append((kind, [token]))
        elif position == "I":
            entities[-1][1].append(token)
        previous = kind
    return entities


def preface(shots: Sequence[Example]) -> str:
    task = (
        "Tag the named entities of a sentence: put each under its category in a dictionary. The categories are person, organization, "
        "location and miscellaneous; one without an entity keeps an empty list.\n\n"
    )
    return task + "".join(f"{shot.prompt} {shot.target}\n\n" for shot in shots)


def read(path: Path, split: str) -> Iterator[Row]:
    """Sentences of a CoNLL file: one token per line, followed by its tags; a blank line after each sentence; the fourth field is NER."""
    del split
    with path.open(encoding="utf-8") as file:
        fields = (line.split() for line in file)
        for is_sentence, lines in groupby(fields, key=lambda words: bool(words) and words[0] != "-DOCSTART-"):
            if is_sentence:
                sentence = [*lines]
                yield {"tokens": [words[0] for words in sentence], "ner_tags": [TAGS.index(words[-1]) for words in sentence]}


def crossweigh(split: str, rows: int) -> Source:
    """The same sentences from the files of the people who corrected them."""
    name = f"conllpp_{split}.txt"
    url = f"https://raw.githubusercontent.com/ZihanWangKi/CrossWeigh/master/data/{name}"
    page = "https://github.com/ZihanWangKi/CrossWeigh"
    return Source(split, manual_file=ManualFile(f"conllpp/{name}", page, f"data/{name}", url, read), rows=rows)


TASK = Task(
    name="conllpp",
    about="structured output: names in news sentences",
    train=(converted("ZihanWangKi/conllpp", "train", "conllpp/train", 14041), crossweigh("train", 14041)),
    heldout=(converted("ZihanWangKi/conllpp", "test", "conllpp/test", 3453), crossweigh("test", 3453)),
    example=example,
    answer=entity_lists,
    json_targets=True,
    metrics=("entity_f1", "exact_match", "paper_rouge"),
    max_new_tokens=192,
    shots=(0,),
    preface=preface,
    grounded="text",
    paper=Paper(
        metric="paper_rouge",
        tokens=(170, 401),
        differs=(
            "the test split is scored, as the paper's Figure 2 says; its configuration names the validation split",
            "the strict score counts an entity that a sentence repeats under one category once",
        ),
    ),
)
