"""Generates the vocabulary of the quickstart's tasks: people, towns, goods, opinions.

People and towns are put together from syllables and dealt into three hands that share no
entry: `corpus` for pretraining, `train` and `heldout` for the tasks. A model that answers a
held-out example has therefore never seen its names; it can only copy them.
"""

import random
from dataclasses import dataclass
from functools import cache

HANDS = ("corpus", "train", "heldout")
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
"""Goods take a plain s in the plural. Every one occurs in the corpus; the tasks use their own hands."""

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


def everything(table: dict[str, list[str]]) -> list[str]:
    """All hands of a table as one list; what the corpus draws from."""
    return [word for hand in HANDS for word in table[hand]]


@dataclass(frozen=True)
class Names:
    """The given names, family names and towns of one hand."""

    given: tuple[str, ...]
    family: tuple[str, ...]
    towns: tuple[str, ...]

    def person(self, rng: random.Random) -> str:
        return f"{rng.choice(self.given)} {rng.choice(self.family)}"

    def town(self, rng: random.Random) -> str:
        return rng.choice(self.towns)


@cache
def names(hand: str) -> Names:
    """The names of `corpus`, `train` or `heldout`; any two hands are disjoint."""
    rng = random.Random("quickstart names")
    given = deal([word(rng, 2) for _ in range(2600)], hand)
    family = deal([word(rng, 2) + rng.choice(["", "sen", "man", "er"]) for _ in range(4600)], hand)
    towns = deal([word(rng, 1) + rng.choice(TOWN_ENDS) for _ in range(3000)], hand)
    return Names(given, family, towns)


def word(rng: random.Random, syllables: int) -> str:
    parts = (rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(syllables))
    return "".join(parts).capitalize()


def deal(words: list[str], hand: str) -> tuple[str, ...]:
    unique = list(dict.fromkeys(words))
    ends, total = {}, 0.0
    for name in HANDS:
        start, total = total, total + SHARES[name]
        ends[name] = (round(start * len(unique)), round(total * len(unique)))
    low, high = ends[hand]
    return tuple(unique[low:high])
