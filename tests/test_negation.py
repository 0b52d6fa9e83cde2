"""What a text denies is not its answer, however far the `not` stands from it; lists, questions and scales are no answers either."""

import pytest

from pipeline.scoring import parsers
from pipeline.store.records import Example

LETTERS, STARS, ROMAN = tuple("ABCD"), tuple("12345"), ("I", "II", "III", "IV")
HEBREW = ("חיובי", "שלילי")
TONE, SPAM, TRUTH = ("positive", "negative"), ("not spam", "spam"), ("true", "false")
PRAISE, JAPANESE, KOREAN = ("正面", "负面"), ("ポジティブ", "ネガティブ"), ("긍정", "부정")


def read(choices, text):
    return parsers.choice(text, Example("1", "Note: the red kettle came late\nLabel:", "-", choices))


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        *(
            (TONE, text)
            for text in (
                "This doesn't sound positive",
                "This does not seem to be a positive review",
                "I don't think it's positive.",
                "I would not say this is positive.",
                "There's nothing positive about it.",
                "The reviewer is not at all positive",
                "hardly positive",
                "far from positive",
                "anything but positive",
                "The opposite of positive",
                "less positive",
                "isn't really that positive",
                "Nobody would call it positive",
                "The tone lacks positive words",
                "I am not sure it is positive",
                "Das klingt nicht gerade positive",
                "No parece positive",
                "Ce n'est pas vraiment positive",
            )
        ),
        (SPAM, "I don't think it is spam"),
        (SPAM, "This does not look like spam"),
        (SPAM, "not just spam"),
        (LETTERS, "I would not choose A."),
        (PRAISE, "这不是一个正面的评论"),
        (JAPANESE, "ポジティブなレビューではない"),
        (KOREAN, "긍정적인 리뷰가 아닙니다"),
        (("yes", "no"), "I don't think the answer is yes"),
    ],
)
def test_what_is_denied_from_further_off_is_no_answer(choices, text):
    assert read(choices, text) is None


@pytest.mark.parametrize(
    "text",
    [
        "No doubt this is positive",
        "There's no question that this is positive",
        "It is not only positive but glowing",
        "I wouldn't hesitate to call it positive",
        "There's nothing but positive words",
        "Not bad: positive",
        "I was not disappointed - positive",
        "The movie isn't bad, so positive",
        "It does not mention price and is positive",
        "Although it is not perfect, the review is positive",
        "The sentiment is not negative, but positive",
        "not negative but positive",
        "It's positive and not negative",
        "The answer is positive because it doesn't say anything negative",
        "Nicht schlecht, positive",
        "no es malo, es positive",
    ],
)
def test_a_negation_of_something_else_denies_nothing(text):
    assert read(TONE, text) == "positive"


@pytest.mark.parametrize("text", ["It isn't spam.", "This is not spam", "not a spam", "There is no spam here", "is not really spam"])
def test_the_negation_of_a_choice_is_the_choice_that_says_so(text):
    assert read(SPAM, text) == "not spam"
    assert read(("ham", "spam"), text) is None


@pytest.mark.parametrize(
    ("choices", "text", "choice"),
    [
        (LETTERS, "It can't be A or B, so it is C.", "C"),
        (LETTERS, "A and B are wrong, so C", "C"),
        (LETTERS, "I'd eliminate A, C and D. B", "B"),
        (LETTERS, "It's not A, B, or C, so D", "D"),
        (LETTERS, "B isn't right; C", "C"),
        (LETTERS, "A doesn't fit. B", "B"),
        (PRAISE, "这不是一个正面的评论，是负面的", "负面"),
        (PRAISE, "毫无疑问是正面", "正面"),
        (SPAM, "spam? No, not spam", "not spam"),
        (TRUTH, "True or False: True", "true"),
        (TRUTH, "true or false? False.", "false"),
        (("yes", "no"), "Yes/No: No", "no"),
        (LETTERS, "A, B, C or D? C", "C"),
        (TRUTH, "True or false", None),
        (LETTERS, "A is better than B.", "A"),
        (LETTERS, "I prefer B over A", "B"),
        (LETTERS, "Assistant B", "B"),
        (ROMAN, "I am not sure", None),
        (ROMAN, "I think it's II", "II"),
        (ROMAN, "I", "I"),
        (ROMAN, "(I)", "I"),
        (("100", "200"), "100 000", None),
        (("100", "200"), "100", "100"),
        (HEBREW, "זה לא חיובי", None),
        (HEBREW, "זה חיובי.", "חיובי"),
        (STARS, "1. The product is great\n2. It came fast\nRating: 5", "5"),
        (STARS, "1. Good", "1"),
        (STARS, "4.0", "4"),
        (STARS, "4.0/5", "4"),
        (STARS, "4 of 5", "4"),
        (STARS, "4,000", None),
        (STARS, "4.5", None),
        (("0", "1"), "1.0", "1"),
    ],
)
def test_what_is_left_is_the_answer(choices, text, choice):
    assert read(choices, text) == choice
