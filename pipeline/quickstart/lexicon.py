"""Generates the vocabulary of the quickstart's tasks: people, towns, goods, opinions.

Names of people and towns are built from syllables and divided into three splits that share no
entry: `corpus` for pretraining, `train` and `heldout` for the tasks. A model that answers a
held-out example has therefore never seen its names; it can only copy them.
"""

import random
from dataclasses import dataclass
from functools import cache

SPLITS = ("corpus", "train", "heldout")
SHARES = {"corpus": 0.8, "train": 0.12, "heldout": 0.08}

ONSETS = "b br d dr f g gr h j k kr l m n p r s st t tr v w z".split()
VOWELS = "a e i o u".split()
CODAS = ["", "", "", "l", "n", "r", "s", "m", "k", "t"]
TOWN_ENDS = "ton by ford holm stad burg mark dale wick port field haven".split()

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
COLORS = "red blue green black white grey brown yellow orange purple pink silver".split()
STATUSES = "open closed paid late shipped lost ready waiting returned cancelled".split()
GOODS = {
    "corpus": (
        "lamp chair table desk sofa carpet mirror clock kettle toaster mixer bottle bucket ladder hammer drill saw rope tent "
        "jacket shirt coat hat scarf belt glove boot sandal ring printer phone camera radio speaker monitor keyboard mouse "
        "cable charger battery pen folder stamp poster puzzle doll kite drum guitar violin piano flute basket blanket pillow "
        "candle vase plate cup spoon fork knife pan pot oven heater fan filter pump hose rake spade bench barrel"
    ).split(),
    "train": "stool cabinet wallet helmet scooter notebook tablet router projector backpack umbrella curtain towel teapot "
    "screwdriver flashlight bicycle magnet".split(),
    "heldout": "bookcase suitcase headset scanner trolley lantern cushion tripod planter whistle".split(),
}
"""The plural of all goods ends in s. All occur in the corpus; every task uses its own split."""

ASPECTS = {
    "corpus": "delivery price quality service packaging size design smell surface handle manual support".split(),
    "train": "colour weight finish fit sound website".split(),
    "heldout": "warranty texture shape lining".split(),
}
GOOD_WORDS = {
    "corpus": "good great fine lovely solid superb pleasant perfect clean quick helpful bright sturdy neat smooth fair".split(),
    "train": "excellent splendid reliable generous charming handy elegant flawless".split(),
    "heldout": "wonderful delightful dependable impressive tidy graceful".split(),
}
BAD_WORDS = {
    "corpus": "bad poor weak ugly broken awful slow dirty useless rough noisy cheap flimsy wrong dull rude".split(),
    "train": "terrible shabby clumsy faulty sloppy dreadful wobbly stained".split(),
    "heldout": "horrible careless crooked disappointing brittle nasty".split(),
}
"""Opinion words of the tasks occur in the corpus beside star ratings, never beside the tasks' labels."""


def all_splits(table: dict[str, list[str]]) -> list[str]:
    """All splits of a table in one list; the corpus draws from it."""
    return [word for split in SPLITS for word in table[split]]


@dataclass(frozen=True)
class Names:
    """The first names, last names and towns of one split."""

    first: tuple[str, ...]
    last: tuple[str, ...]
    towns: tuple[str, ...]

    def person(self, rng: random.Random) -> str:
        return f"{rng.choice(self.first)} {rng.choice(self.last)}"

    def town(self, rng: random.Random) -> str:
        return rng.choice(self.towns)


@cache
def names(split: str) -> Names:
    """The names of `corpus`, `train` or `heldout`; no name is in two splits."""
    rng = random.Random("quickstart names")
    first_names = words_of_split([syllable_word(rng, 2) for _ in range(2600)], split)
    last_names = words_of_split([syllable_word(rng, 2) + rng.choice(["", "sen", "man", "er"]) for _ in range(4600)], split)
    towns = words_of_split([syllable_word(rng, 1) + rng.choice(TOWN_ENDS) for _ in range(3000)], split)
    return Names(first_names, last_names, towns)


def syllable_word(rng: random.Random, syllables: int) -> str:
    """A capitalised word of so many random syllables."""
    parts = (rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(syllables))
    return "".join(parts).capitalize()


def words_of_split(words: list[str], split: str) -> tuple[str, ...]:
    """The share of the distinct words that belongs to a split, in their order."""
    unique = list(dict.fromkeys(words))
    ends = {}
    total = 0.0
    for name in SPLITS:
        start, total = total, total + SHARES[name]
        ends[name] = (round(start * len(unique)), round(total * len(unique)))
    low, high = ends[split]
    return tuple(unique[low:high])
