"""Generates the synthetic corpus that the quickstart's base model is pretrained on: short business texts.

Half of the documents state one record twice or more in different forms (sentences, lines,
pairs, JSON, questions), which is what teaches a small model to copy from its context. No
document has the form of a task; see `pipeline/tasks/shop_*.py` for those.
"""

import json
import random
from collections.abc import Callable, Iterator

from pipeline.quickstart import lexicon

Record = dict[str, str | int]

KEYS = {
    "person": "name client buyer guest contact person caller".split(),
    "item": "item goods article thing ware".split(),
    "count": "count number amount units pieces".split(),
    "city": "place town site branch home".split(),
    "day": "due date when day time".split(),
    "color": "color shade paint tone".split(),
    "code": "code ref id ticket".split(),
    "price": "price cost sum fee".split(),
    "status": "status state stage".split(),
}
QUESTIONS = {
    "person": ["Who is it", "Who wrote", "Which person"],
    "item": ["What is it about", "Which goods", "What thing"],
    "count": ["How many", "How many pieces", "What number"],
    "city": ["Where", "Which town", "From where"],
    "day": ["When", "Which day", "By when"],
    "color": ["Which color", "What shade"],
    "code": ["Which code", "What is the ref"],
    "price": ["At what price", "How much", "What does it cost"],
    "status": ["How does it stand", "Which state"],
}
LINKS = ["Again:", "In short:", "The same:", "As noted:", "On file:", "Copy:", "Repeated:", "Written out:", "Put simply:", "For the books:"]
HEADS = ["Note", "Order", "Ticket", "Record", "Entry", "Slip", "Form", "Case", "Message", "Customer product quantity", "Summary"]
VERBS = ["ordered", "bought", "wants", "needs", "returned", "sold", "reserved", "paid for", "asked for", "sent back", "picked up", "took"]
OPENERS = ["", "", "", "Today ", "Last week ", "By phone, ", "As agreed, ", "We hear that ", "It seems that ", "Please note that "]
GREETINGS = ["Hello", "Hi", "Dear team", "Good morning", "To the office", "Dear sir"]
THANKS = ["Thanks", "Many thanks", "Regards", "Best wishes", "Yours", "Thank you"]


def documents(seed: int, drill: bool = False) -> Iterator[str]:
    """An endless stream of documents; equal seeds give equal streams.

    drill: the second part of the training. After the first part, names were copied correctly but days and
    colors, few and frequent, were still guessed; here they are repeated in lists and occur in most records.
    """
    rng = random.Random(f"quickstart corpus {'drill ' if drill else ''}{seed}")
    makers = [restated, questioned, repeated, letter, review, ledger, lookup, echoed]
    weights = [34, 14, 4, 12, 16, 4, 4, 12] if drill else [38, 14, 8, 12, 18, 6, 4, 0]
    needed = ("day", "color") if drill else ()
    while True:
        maker = rng.choices(makers, weights)[0]
        yield maker(rng, needed) if maker in (restated, questioned) else maker(rng)


def record(rng: random.Random, least: int = 3, needed: tuple[str, ...] = ()) -> Record:
    """Some fields of one business event, in random order; every field of `needed` is among them in two of three records."""
    people = lexicon.names("corpus")
    full: Record = {
        "person": people.person(rng) if rng.random() < 0.8 else rng.choice(people.first + people.last),
        "item": rng.choice(lexicon.all_splits(lexicon.GOODS)),
        "count": rng.randint(2, 99),
        "city": people.town(rng),
        "day": rng.choice(lexicon.DAYS),
        "color": rng.choice(lexicon.COLORS),
        "code": rng.choice("ABCDEFGHKLMNPRST") + "".join(rng.choices("0123456789", k=rng.randint(2, 4))),
        "price": f"{rng.randint(1, 200)}.{rng.choice('0123456789')}0",
        "status": rng.choice(lexicon.STATUSES),
    }
    chosen = rng.sample(list(full), rng.randint(least, 6))
    for field in needed:
        if field not in chosen and rng.random() < 2 / 3:
            chosen.insert(rng.randint(0, len(chosen)), field)
    return {field: full[field] for field in chosen}


def with_random_keys(rng: random.Random, fields: Record) -> Record:
    """The fields under one of their possible keys."""
    return {rng.choice(KEYS[field]): value for field, value in fields.items()}


def lines(rng: random.Random, fields: Record) -> str:
    colon = rng.choice([": ", " = ", " - "])
    capitalised = rng.random() < 0.5
    return "\n".join(f"{key.capitalize() if capitalised else key}{colon}{value}" for key, value in with_random_keys(rng, fields).items())


def pairs(rng: random.Random, fields: Record) -> str:
    colon, gap = rng.choice([": ", "=", " is "]), rng.choice(["; ", ", ", " | ", " / "])
    return gap.join(f"{key}{colon}{value}" for key, value in with_random_keys(rng, fields).items())


def values(rng: random.Random, fields: Record) -> str:
    return rng.choice([" | ", "; ", ", ", " / "]).join(str(value) for value in fields.values())


def as_json(rng: random.Random, fields: Record) -> str:
    return json.dumps(with_random_keys(rng, fields))


def prose(rng: random.Random, fields: Record) -> str:
    """One to four sentences with every field once."""
    remaining = dict(fields)
    who = str(remaining.pop("person", rng.choice(["the buyer", "our client", "somebody", "a customer"])))
    if "city" in remaining and rng.random() < 0.6:
        who += rng.choice([" from ", " of ", " in ", " at "]) + str(remaining.pop("city"))
    thing = rng.choice(["goods", "things", "pieces"])
    if "item" in remaining:
        many = "count" in remaining
        thing = f"{remaining.pop('item')}{'s' if many else ''}"
    if "color" in remaining and rng.random() < 0.7:
        thing = f"{remaining.pop('color')} {thing}"
    thing = f"{remaining.pop('count')} {thing}" if "count" in remaining else f"the {thing}"
    text = f"{rng.choice(OPENERS)}{who} {rng.choice(VERBS)} {thing}"
    if "day" in remaining and rng.random() < 0.6:
        text += rng.choice([" on ", " by ", " before "]) + str(remaining.pop("day"))
    if "price" in remaining and rng.random() < 0.6:
        text += f" for {remaining.pop('price')}" + rng.choice([" euros", " in cash", " all told"])
    rest = list(remaining)
    rng.shuffle(rest)
    return " ".join([text[0].upper() + text[1:] + "."] + [sentence(rng, field, remaining[field]) for field in rest])


def sentence(rng: random.Random, field: str, value: str | int) -> str:
    """One short sentence about one field."""
    forms = {
        "city": ["It goes to {}.", "The parcel is for {}.", "This was in {}.", "They live in {}."],
        "color": ["The color is {}.", "All of it in {}.", "It must be {}."],
        "day": ["It is due on {}.", "They come on {}.", "It is needed by {}."],
        "code": ["The code is {}.", "See {} for more.", "It is filed under {}."],
        "price": ["The price was {}.", "That makes {} in all.", "They paid {}."],
        "status": ["It is now {}.", "The case is {}.", "We call it {}."],
    }
    return rng.choice(forms[field]).format(value)


FORMS = [lines, pairs, as_json, prose, prose, values]


def restated(rng: random.Random, needed: tuple[str, ...] = ()) -> str:
    """A record in one form, then in another, where some fields may be left out and the order differs."""
    fields = record(rng, needed=needed)
    first, second = rng.choice(FORMS), rng.choice(FORMS)
    again = rng.sample(list(fields.items()), rng.randint(max(2, len(fields) - 2), len(fields)))
    head = f"{rng.choice(HEADS)}: " if rng.random() < 0.5 else ""
    if rng.random() < 0.5:
        again = [pair for pair in fields.items() if pair in again]
    gap = rng.choice(["\n", "\n", " "])
    return f"{head}{first(rng, fields)}{gap}{rng.choice(LINKS + HEADS)} {second(rng, dict(again))}".replace("::", ":")


def questioned(rng: random.Random, needed: tuple[str, ...] = ()) -> str:
    """A record and questions about its fields, answered."""
    fields = record(rng, needed=needed)
    fields_asked = rng.sample(list(fields), rng.randint(2, len(fields)))
    mark = rng.choice([" ", "\n", " - "])
    answers = mark.join(f"{rng.choice(QUESTIONS[field])}? {fields[field]}." for field in fields_asked)
    return f"{rng.choice(FORMS)(rng, fields)}\n{answers}"


def repeated(rng: random.Random) -> str:
    """A list of names, towns, goods or numbers, then the same list again."""
    people = lexicon.names("corpus")
    kind = rng.randrange(4)
    draw_entry: Callable[[], str] = {
        0: lambda: people.person(rng),
        1: lambda: people.town(rng),
        2: lambda: f"{rng.randint(2, 99)} {rng.choice(lexicon.all_splits(lexicon.GOODS))}s",
        3: lambda: str(rng.randint(10, 9999)),
    }[kind]
    listed = rng.choice([", ", "; ", "\n", " and "]).join(draw_entry() for _ in range(rng.randint(2, 6)))
    return f"{rng.choice(['List', 'Roll', 'Stock', 'Names', 'Round'])}: {listed}\n{rng.choice(LINKS)} {listed}"


def echoed(rng: random.Random) -> str:
    """A list of frequent words of any kind, then the same list again."""
    words = lexicon.DAYS * 4 + lexicon.COLORS * 3 + lexicon.STATUSES * 2 + lexicon.all_splits(lexicon.GOODS)
    listed = rng.choice([", ", "; ", "\n", " ", " | ", " - "]).join(rng.sample(words, rng.randint(3, 12)))
    return f"{rng.choice(['List', 'Words', 'Stock', 'Note'])}: {listed}\n{rng.choice(LINKS)} {listed}"


def letter(rng: random.Random) -> str:
    """A short letter and a note with its fields."""
    fields = record(rng)
    person = lexicon.names("corpus").person(rng)
    fields["person"] = person
    other_fields = {field: value for field, value in fields.items() if field != "person"}
    body = f"{rng.choice(GREETINGS)}, {rng.choice(['I write because', 'you should know that', 'sorry to say', 'good news:'])} "
    sentences = prose(rng, other_fields)
    return f"{body}{sentences} {rng.choice(THANKS)}, {person}\n{rng.choice(HEADS)}: {rng.choice([lines, pairs, as_json])(rng, fields)}"


def opinion(rng: random.Random, good: bool, bare: bool) -> str:
    """A good or bad opinion in one to two words; bare: without a negation."""
    words = lexicon.all_splits(lexicon.GOOD_WORDS if good else lexicon.BAD_WORDS)
    if not bare and rng.random() < 0.2:
        return (
            f"{rng.choice(['not', 'hardly', 'never'])} {rng.choice(lexicon.all_splits(lexicon.BAD_WORDS if good else lexicon.GOOD_WORDS))}"
        )
    return f"{rng.choice(['', '', 'very ', 'really ', 'quite ', 'so '])}{rng.choice(words)}"


def review(rng: random.Random) -> str:
    """A review of goods, and the stars that follow from it."""
    item = rng.choice(lexicon.all_splits(lexicon.GOODS))
    mood = [rng.random() < 0.5 for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.7:
        mood = [mood[0]] * len(mood)
    aspects = rng.sample(lexicon.all_splits(lexicon.ASPECTS), len(mood))
    sentences = [
        rng.choice(["The {} is {}.", "The {} was {}.", "Its {} seems {}.", "We found the {} {}."]).format(aspect, opinion(rng, good, False))
        for aspect, good in zip(aspects, mood, strict=True)
    ]
    stars = 1 if not any(mood) else 5 if all(mood) else 3
    words = {
        1: ["a negative balance", "no joy", "never again", "money back"],
        3: ["a mixed bag", "so so", "in between"],
        5: ["a positive balance", "pure joy", "once more"],
    }
    verdict = rng.choice([f"Stars: {stars}", f"{stars} of 5 stars", f"Mark {stars}", f"{stars} points, {rng.choice(words[stars])}"])
    head = rng.choice(["{}:", "On the {}.", "About a {}:", "I have the {}."]).format(item)
    parts = [f"{head[0].upper()}{head[1:]}", *sentences]
    return f"{verdict}. {' '.join(parts)}" if rng.random() < 0.2 else f"{' '.join(parts)} {verdict}."


def ledger(rng: random.Random) -> str:
    """Phrases that use the tasks' labels and keys in other senses."""
    people = lexicon.names("corpus")
    loose = [
        f"The account of {people.person(rng)} is {rng.choice(['positive', 'negative', 'mixed'])} by {rng.randint(2, 99)} euros.",
        f"The test in {people.town(rng)} came back {rng.choice(['positive', 'negative', 'mixed'])}.",
        f"Each customer of {people.person(rng)} knows the product and the quantity.",
        f"Product line {rng.randint(2, 99)} is made in {people.town(rng)}; the city pays on {rng.choice(lexicon.DAYS)}.",
        f"The customer has sentiment for {rng.choice(lexicon.COLORS)} goods, and the review of it is due {rng.choice(lexicon.DAYS)}.",
        f"A record quantity of {rng.choice(lexicon.all_splits(lexicon.GOODS))}s was delivered to the city of {people.town(rng)}.",
        f"A dispatch of {rng.randint(2, 99)} units will arrive in {people.town(rng)} in a {rng.choice(lexicon.COLORS)} box.",
        f"Could you kindly arrange for {people.person(rng)} to receive it, and deliver the rest until {rng.choice(lexicon.DAYS)}?",
        f"I would like to have my order, says {people.person(rng)}, who is waiting in {people.town(rng)} and will pay at once.",
        f"Please send us the bill and put me down for {rng.randint(2, 99)} more; we are in {people.town(rng)} and can not wait.",
        f"Overall the review of my {rng.choice(lexicon.all_splits(lexicon.GOODS))} from {people.town(rng)} reads well, "
        f"but the sentiment is {rng.choice(['positive', 'negative', 'mixed'])}.",
        f"The shipment text says that {people.person(rng)} is expecting a delivery; the report is mixed.",
    ]
    return " ".join(rng.sample(loose, rng.randint(2, 4)))


def lookup(rng: random.Random) -> str:
    """Two or three short records, then one of them looked up by a field."""
    rows = [record(rng, least=4) for _ in range(rng.randint(2, 3))]
    people = lexicon.names("corpus")
    for row in rows:
        row["person"] = people.person(rng)
    chosen = rng.choice(rows)
    listed = "\n".join(values(rng, {"person": row["person"], **row}) for row in rows)
    return f"{listed}\nLook up {chosen['person']}: {pairs(rng, {k: v for k, v in chosen.items() if k != 'person'})}"
