"""Generates rows of the three quickstart tasks. Train and held-out parts share no person, town, goods or wording."""

import random
from collections.abc import Callable, Iterator

from pipeline.data.task import Row
from pipeline.quickstart import lexicon

COUNTS = {"train": 3000, "heldout": 600}

LETTERS = {
    "train": [
        "Hello, this is {person} from {city}. Please send us {count} {color} {item}s by {day}. Thank you.",
        "My name is {person} and I need {count} {item}s on {day}. Deliver them to {city}. The color is {color}.",
        "We are waiting in {city} for {count} {item}s, all of it {color}. It must be {day}. Regards, {person}",
        "By {day} we want {count} {item}s. {color} would be good. {person}, {city}",
        "{person} here. Last week I asked for {color} {item}s, now I want {count}. Send it to {city} before {day}.",
    ],
    "heldout": [
        "Good morning, I would like to order {count} {item}s in {color} for {person}. The parcel is for {city} and it is needed on {day}.",
        "Dear team, put me down for {count} {color} {item}s. I live in {city}, and {day} is the day. Best wishes, {person}",
        "Could you deliver {count} {item}s to {city} until {day}? They should be {color}. Yours, {person}",
    ],
}
REVIEWS = {
    "train": ["The {aspect} is {word}.", "{aspect} was {word}.", "I think the {aspect} is {word}.", "They sent it with {word} {aspect}."],
    "heldout": ["Its {aspect} seems {word} to me.", "We found the {aspect} {word}.", "And the {aspect}? It was {word}."],
}
NEGATIONS = {"train": ["not", "hardly"], "heldout": ["never"]}


def letters(split: str) -> Iterator[Row]:
    """Orders by letter: the fields, and the text with their values."""
    return distinct_rows("letter", split, letter)


def records(split: str) -> Iterator[Row]:
    """Records to be written as a notice."""
    return distinct_rows("order", split, order)


def reviews(split: str) -> Iterator[Row]:
    """Reviews with their sentiment, the three classes equally often."""
    return distinct_rows("review", split, review)


def distinct_rows(kind: str, split: str, make: Callable[[random.Random, str], Row]) -> Iterator[Row]:
    """As many different rows as the split has; kind and split decide the random numbers."""
    rng = random.Random(f"quickstart {kind} {split}")
    seen: set[str] = set()
    while len(seen) < COUNTS[split]:
        row = make(rng, split)
        if (text := str(row)) not in seen:
            seen.add(text)
            yield row


def order(rng: random.Random, split: str) -> Row:
    people = lexicon.names(split)
    return {
        "person": people.person(rng),
        "item": rng.choice(lexicon.GOODS[split]),
        "count": rng.randint(2, 60),
        "city": people.town(rng),
        "day": rng.choice(lexicon.DAYS),
        "color": rng.choice(lexicon.COLORS),
    }


def letter(rng: random.Random, split: str) -> Row:
    fields = order(rng, split)
    text = rng.choice(LETTERS[split]).format(**fields)
    return {**fields, "text": text[0].upper() + text[1:]}


def review(rng: random.Random, split: str) -> Row:
    label = rng.choice(["positive", "negative", "mixed"])
    moods = {
        "positive": [True] * rng.randint(1, 3),
        "negative": [False] * rng.randint(1, 3),
        "mixed": rng.choice([[True, False], [False, True]]),
    }[label]
    aspects = rng.sample(lexicon.ASPECTS[split], len(moods))
    text = " ".join(
        rng.choice(REVIEWS[split]).format(aspect=aspect, word=opinion(rng, split, is_good))
        for aspect, is_good in zip(aspects, moods, strict=True)
    )
    return {"item": rng.choice(lexicon.GOODS[split]), "text": text[0].upper() + text[1:], "label": label}


def opinion(rng: random.Random, split: str, good: bool) -> str:
    """An opinion word, or a negated word of the opposite opinion."""
    is_negated = rng.random() < 0.15
    word = rng.choice((lexicon.GOOD_WORDS if good != is_negated else lexicon.BAD_WORDS)[split])
    return f"{rng.choice(NEGATIONS[split])} {word}" if is_negated else word
