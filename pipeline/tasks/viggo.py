"""ViGGO: a dialogue act about a video game as what a speaker would say."""

from collections.abc import Sequence

from pipeline.data.task import Paper, Row, Slot, Source, Task
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks._shared import bracketed, converted, words

RENAME = (("mr", "meaning_representation"), ("ref", "target"))

LISTS = ("genres", "platforms", "player_perspective")
UNJUDGED = ("rating", "specifier", "has_multiplayer", "available_on_steam", "has_linux_release", "has_mac_release")
"""Slots that writers paraphrase: a mediocre game, played alone, not for Mac."""
WAYS = {
    "simulation": ("simulator", "sim", "simulate"),
    "role-playing": ("RPG", "role-player"),
    "shooter": ("shooting", "shoot"),
    "platformer": ("platforming", "platform"),
    "strategy": ("strategic",),
    "real-time strategy": ("RTS",),
    "tactical": ("tactics",),
    "fighting": ("fighter", "fight"),
    "bird view": ("top-down", "bird's eye"),
    "M (for Mature)": ("mature",),
    "T (for Teen)": ("teen",),
    "E (for Everyone)": ("everyone",),
    "E 10+ (for Everyone 10 and Older)": ("everyone 10",),
}
"""Paraphrases of a value by the data set's writers."""


def example(row: Row) -> Example:
    act, text = words(row, "meaning_representation"), words(row, "target")
    return Example("", f"Representation: {act}\nOutput:", text, group=act)


def slots(example: Example) -> list[Slot]:
    all_slots = []
    for name, value in bracketed(example.group):
        values = value.split(", ") if name in LISTS else [value]
        all_slots += [Slot(name, item, WAYS.get(item, ()), bool(item) and name not in UNJUDGED) for item in values]
    return all_slots


def preface(shots: Sequence[Example]) -> str:
    """The example pairs are in quotes, the question is not. A shot's group is its representation."""
    pairs = (f'Representation: "{shot.group}"\nOutput: "{shot.target}"\n\n' for shot in shots)
    task = "A representation of something to say about a video game is a dialogue act with its slots. These are put into words:\n\n"
    return task + "".join(pairs) + "Put the next one into words in the same way.\n\n"


TASK = Task(
    name="viggo",
    about="generation: a dialogue act about a game as a sentence",
    train=(
        converted("GEM/viggo", "train", "default/train", 5103),
        Source("train", hub="GEM/viggo", files=("train.csv",), rename=RENAME, rows=5103),
    ),
    heldout=(
        converted("GEM/viggo", "test", "default/test", 1083),
        Source("test", hub="GEM/viggo", files=("test.csv",), rename=RENAME, rows=1083),
    ),
    example=example,
    answer=parsers.text,
    metrics=("rougeL", "chrf"),
    max_new_tokens=128,
    shots=(3, 6),
    preface=preface,
    grounded="slots",
    slots=slots,
    paper=Paper(
        metric="rougeL",
        tokens=(240, 304),
        differs=("the test split is scored, as the paper's Figure 2 says; its configuration names the validation split",),
    ),
)
