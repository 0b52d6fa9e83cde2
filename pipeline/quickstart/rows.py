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
TURNS = {"train": ["not", "hardly"], "heldout": ["never"]}


def letters(hand: str) -> Iterator[Row]:
    """Orders by letter: the fields, and the text that tells them."""
    return unlike(hand, letter)


def records(hand: str) -> Iterator[Row]:
    """Records to be written out as a notice."""
    return unlike(hand, order)


def reviews(hand: str) -> Iterator[Row]:
    """Reviews with their sentiment, the three classes equally often."""
    return unlike(hand, review)


def unlike(hand: str, make: Callable[[random.Random, str], Row]) -> Iterator[Row]:
    """As many rows as the hand has, no two alike."""
    rng = random.Random(f"quickstart {make.__name__} {hand}")
    seen: set[str] = set()
    while len(seen) < COUNTS[hand]:
        row = make(rng, hand)
        if (mark := str(row)) not in seen:
            seen.add(mark)
            yield row


def order(rng: random.Random, hand: str) -> Row:
    people = lexicon.names(hand)
    return {
        "person": people.person(rng),
        "item": rng.choice(lexicon.GOODS[hand]),
        "count": rng.randint(2, 60),
        "city": people.town(rng),
        "day": rng.choice(lexicon.DAYS),
        "color": rng.choice(lexicon.COLORS),
    }


def letter(rng: random.Random, hand: str) -> Row:
    fields = order(rng, hand)
    text = rng.choice(LETTERS[hand]).format(**fields)
    return {**fields, "text": text[0].upper() + text[1:]}


def review(rng: random.Random, hand: str) -> Row:
    label = rng.choice(["positive", "negative", "mixed"])
    moods = {
        "positive": [True] * rng.randint(1, 3),
        "negative": [False] * rng.randint(1, 3),
        "mixed": rng.choice([[True, False], [False, True]]),
    }[label]
    aspects = rng.sample(lexicon.ASPECTS[hand], len(moods))
    said = " ".join(
        rng.choice(REVIEWS[hand]).format(aspect=a, word=opinion(rng, hand, good)) for a, good in zip(aspects, moods, strict=True)
    )
    return {"item": rng.choice(lexicon.GOODS[hand]), "text": said[0].upper() + said[1:], "label": label}


def opinion(rng: random.Random, hand: str, good: bool) -> str:
    """An opinion word, or the opposite one turned round."""
    turned = rng.random() < 0.15
    word = rng.choice((lexicon.GOOD_WORDS if good != turned else lexicon.BAD_WORDS)[hand])
    return f"{rng.choice(TURNS[hand])} {word}" if turned else word
