"""Copies of held-out prompts: found wherever they are, and not seen where only a template is shared."""

import random

import pytest

from pipeline.data.overlap import OverlapIndex, jaccard, questions, shingles, words
from pipeline.store.records import LOSS_TURNS, Example, Turn
from tests.preparing import STORY


def watch(prompts, threshold=0.8):
    return OverlapIndex([Example(f"h{n}", prompt, "") for n, prompt in enumerate(prompts)], threshold)


def test_a_template_alone_makes_no_copies():
    long = (
        "Read the review of a film below with care, decide whether the person who wrote it was pleased or not, and answer with one word. "
    )
    long += "Do not explain the answer, do not repeat the review, and write nothing else than the word. Review: {} "
    long += "Now write the one word that says it best:"
    reviews = [f"{a} {b}" for a in ("dull", "great", "fine", "odd") for b in ("film", "plot", "cast", "tale", "song")]
    seen = watch([long.format(word) for word in reviews])
    assert jaccard(*(frozenset(shingles(words(long.format(word)))) for word in ("dull film", "tame bore"))) > 0.8
    assert seen.match(long.format("tame bore")) is None
    assert seen.match(long.format("Great  cast")).kind == "exact"


def test_half_a_copy_in_a_template_is_none():
    """Alike as wholes, and one rare run of words in common: what tells them apart still differs."""
    template = " ".join(f"t{n}" for n in range(150))
    seen = watch([f"{template} {STORY.split(',')[n % 3]} {n} {n} {n} {n} {n}" for n in range(20)] + [f"{template} a b c d e f g h i"])
    text = f"{template} a b c d e"
    mine, other = (frozenset(shingles(words(prompt))) for prompt in (text, f"{template} a b c d e f g h i"))
    assert jaccard(mine, other) > 0.8
    assert {*seen.prefix(seen.non_template(mine))} & {*seen.prefix(seen.non_template(other))}
    assert seen.match(text) is None


def test_prompts_that_differ_in_common_text_are_no_copies():
    ending = "and it is near the old cafe with the green door at the river where all the people of the town go on a sunny day"
    columns = ("food", "price", "rating", "area", "kind", "seats", "music", "menu", "garden", "view")
    own = [" ".join(f"{name} is {n}" for name in columns) for n in range(20)]
    seen = watch([f"{prompt} {ending}" if n % 2 else prompt for n, prompt in enumerate(own)])
    mine, other = (frozenset(shingles(words(prompt))) for prompt in (own[1], f"{own[1]} {ending}"))
    assert jaccard(seen.non_template(mine), seen.non_template(other)) > 0.8 > jaccard(mine, other)
    assert seen.match(own[1]) is None


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
def test_similar_sets_share_a_rare_member(threshold):
    rng, seen, alike = random.Random(0), watch([], threshold), 0
    for _ in range(3000):
        pool = rng.sample(range(40), rng.randint(2, 40))
        one, other = (frozenset((n,) for n in pool if rng.random() < 0.9) for _ in range(2))
        if jaccard(one, other) >= threshold:
            alike += 1
            assert {*seen.prefix(one)} & {*seen.prefix(other)}
    assert alike > 50


def test_a_copy_in_a_template_is_found():
    template = "Read this and say who is in it, in one word and no more than one word please: {} Who is it?"
    seen = watch([template.format(STORY), *(template.format(f"{n} is a number that nobody here has ever seen") for n in range(30))])
    assert seen.match(template.format(STORY.replace("daughter", "sister"))).kind == "near"


@pytest.mark.parametrize(("one", "other"), [("12 + 7 =", "12 - 7 ="), ("a", "b"), ("call f(x)", "call f(y)"), ("水を飲む", "水を飲め")])
def test_short_prompts_have_equal_copies_only(one, other):
    assert watch([one]).match(other) is None
    assert watch([one]).match(f" {one}\n").kind == "exact"


def test_text_without_blanks_is_compared_by_characters():
    text = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で泣いていた。"
    assert watch([text]).match(text.replace("猫", "犬")).kind == "near"


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.95])
def test_the_index_misses_nothing(threshold):
    rng = random.Random(5)
    changes = {0.5: 0.1, 0.7: 0.05, 0.8: 0.03, 0.95: 0.003}[threshold]
    pool = [[rng.choice("abcdefghij") * rng.randint(1, 3) for _ in range(rng.randint(3, 400))] for _ in range(40)]
    held = [" ".join(prompt_words) for prompt_words in pool]
    near_copies = 0
    seen, sets = watch(held, threshold), [frozenset(shingles(words(text))) for text in held]
    for prompt_words in pool * 2:
        changed = [rng.choice("xyz") if rng.random() < changes else word for word in prompt_words]
        mine = frozenset(shingles(words(" ".join(changed))))
        most = max(seen.similarity(mine, other) for other in sets)
        match = seen.match(" ".join(changed))
        assert (match is not None) == (most >= threshold or words(" ".join(changed)) in seen.ids)
        if match is not None and match.kind == "near":
            near_copies += 1
            assert match.similarity == most
    assert near_copies > 5


def test_a_held_out_prompt_that_an_earlier_turn_answers_is_a_copy():
    index = OverlapIndex([Example("h", "What is the capital of Peru?", "Lima")], 0.8)
    turns = (
        Turn("system", "Be brief."),
        Turn("user", "What is the capital of Peru?"),
        Turn("assistant", "Lima"),
        Turn("user", "And Chile?"),
    )
    learned = Example("t", turns, "Santiago", extra={LOSS_TURNS: [2]})
    assert [index.match(question) is not None for question in questions(learned)] == [False, True]
    assert [index.match(question) for question in questions(Example("t", turns, "Santiago"))] == [None]
