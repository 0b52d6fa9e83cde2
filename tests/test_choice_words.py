"""Choices beside words that only look like them, denied in many languages, or named as the worse of two."""

import pytest

from pipeline.scoring import parsers
from pipeline.store.records import Example

JUDGE = "Which response is better, A or B?\nResponse A: x\nResponse B: y\nAnswer:"
CAPITAL = "What is the capital of Australia?\nA) Sydney\nB) Melbourne\nC) Canberra\nD) Perth\nAnswer:"
SPECIES = "Which is a nematode?\nA. E. coli\nB. C. elegans\nC. D. melanogaster\nD. A. thaliana\nAnswer:"
PRESIDENT = "Who was president in 1944?\nA) Harry S. Truman\nB) Franklin D. Roosevelt\nC) John F. Kennedy\nD) Herbert Hoover\nAnswer:"
TEAMS = ("IT", "HR", "Finance", "Legal")


def read(prompt, choices, text):
    return parsers.choice(text, Example("1", prompt, choices[0], tuple(choices)))


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("I prefer A over B.", "A"),
        ("I would pick A over B because it is complete.", "A"),
        ("A over B", "A"),
        ("B over A", "B"),
        ("I prefer A to B.", None),
        ("A is better than B.", "A"),
        ("A wins", "A"),
        ("A beats B.", None),
        ("A outperforms B.", None),
        ("A gives better reasons than B.", None),
        ("A has more errors than B.", None),
        ("A is worse.", None),
        ("B is the worse response.", None),
        ("Response B is worse than response A.", "A"),
        ("Response A better addresses the question, whereas response B misses it.", None),
        ("I think a short answer is B", "B"),
        ("A good answer is short, so B.", "B"),
    ],
)
def test_the_letter_a_is_told_from_the_article_and_the_better_of_two_from_the_worse(text, choice):
    assert read(JUDGE, "AB", text) == choice


def test_the_less_natural_of_two_is_not_the_answer():
    names = ("Sentence 1", "Sentence 2")
    assert read("Which is more natural?\nAnswer:", names, "Sentence 1 is less natural than Sentence 2.") is None
    assert read("Which is more natural?\nAnswer:", names, "Sentence 2 is more natural than Sentence 1.") == "Sentence 2"


DENIED = [
    (("tích cực", "tiêu cực", "trung tính"), ["không tích cực", "không tiêu cực"]),
    (("positif", "negatif", "netral"), ["tidak positif", "bukan negatif", "Ulasan ini tidak positif."]),
    (("مثبت", "منفی", "خنثی"), ["مثبت نیست", "منفی نیست."]),
    (("مثبت", "منفی"), ["یہ تبصرہ مثبت نہیں ہے۔"]),
    (("ইতিবাচক", "নেতিবাচক"), ["এই পর্যালোচনা ইতিবাচক নয়।"]),
    (("நேர்மறை", "எதிர்மறை"), ["இது நேர்மறை அல்ல."]),
    (("myönteinen", "kielteinen"), ["Arvostelu ei ole myönteinen.", "ei kielteinen"]),
    (("pozitiv", "negativ", "neutru"), ["Nu este pozitiv.", "Sentimentul nu este negativ."]),
    (("pozitivní", "negativní"), ["Recenze není pozitivní.", "není negativní"]),
    (("positibo", "negatibo"), ["hindi positibo", "Hindi ito negatibo."]),
    (("긍정적", "부정적", "중립적"), ["부정적이지 않습니다.", "긍정적이라고 볼 수 없습니다.", "긍정적인 내용이 없습니다."]),
    (("肯定的", "否定的", "中立"), ["肯定的とは言えません。", "否定的な要素はない。", "肯定的な評価はありません。"]),
    (("positivo", "negativo"), ["poco positivo"]),
    (
        ("positive", "negative"),
        [
            "The review fails to be positive.",
            "I refuse to call this positive.",
            "positive sentiment: absent",
            "A positive one would praise it.",
        ],
    ),
    (("positive", "negative"), ["A positive one would praise it."]),
    (("true", "false"), ["The opposite is true."]),
    (("pass", "fail"), ["The code fails to pass the tests."]),
]


@pytest.mark.parametrize(("choices", "text"), [(choices, text) for choices, texts in DENIED for text in texts])
def test_a_denied_choice_is_not_read(choices, text):
    assert read("Text: x\nLabel:", choices, text) is None


@pytest.mark.parametrize(
    ("choices", "text", "choice"),
    [
        (("positif", "negatif"), "Sentimen bukan positif, tetapi negatif.", "negatif"),
        (("myönteinen", "kielteinen"), "ei myönteinen vaan kielteinen", "kielteinen"),
        (("pozitiv", "negativ"), "nu pozitiv, ci negativ", "negativ"),
        (("긍정적", "부정적"), "긍정적이지 않고 부정적입니다.", "부정적"),
        (("肯定的", "否定的"), "肯定的ではなく否定的です。", "否定的"),
        (("positif", "négatif"), "un peu positif", "positif"),
        (("positivo", "negativo"), "un poco positivo", "positivo"),
        (("English", "Hindi"), "Hindi", "Hindi"),
        (("positive", "negative"), "positive would be my label", "positive"),
    ],
)
def test_what_a_text_says_instead_of_a_denied_choice_is_read(choices, text, choice):
    assert read("Text: x\nLabel:", choices, text) == choice


@pytest.mark.parametrize(
    ("choices", "text", "choice"),
    [
        (("sim", "não"), "Não sei.", None),
        (("sim", "não"), "Não há informação suficiente.", None),
        (("sim", "não"), "Não, as baleias são mamíferos.", "não"),
        (("हाँ", "नहीं"), "मुझे नहीं पता।", None),
        (("हाँ", "नहीं"), "पाठ में जानकारी नहीं है।", None),
        (("हाँ", "नहीं"), "नहीं, व्हेल स्तनपायी है।", "नहीं"),
        (("نعم", "لا"), "لا أعرف.", None),
        (("نعم", "لا"), "لا، الحوت من الثدييات.", "لا"),
        (("да", "нет"), "В тексте нет информации.", None),
        (("да", "нет"), "Нет, кит не рыба.", "нет"),
        (("ya", "tidak"), "Tidak tahu.", None),
        (("ya", "tidak"), "Tidak, paus adalah mamalia.", "tidak"),
        (("có", "không"), "Không biết.", None),
        (("có", "không"), "Cá voi là động vật có vú.", None),
        (("có", "không"), "Có, cá voi là cá.", "có"),
        (("有", "没有"), "没有足够的信息。", None),
        (("Ja", "Nein"), "Das stimmt ja gar nicht.", None),
        (("Ja", "Nein"), "Die Aussage ist ja nicht richtig.", None),
        (("Ja", "Nein"), "Ja, das stimmt.", "Ja"),
        (("Ja", "Nein"), "Die Antwort lautet ja.", "Ja"),
        (("예", "아니요"), "예를 들어 고래는 포유류입니다.", None),
        (("예", "아니요"), "예, 맞습니다.", "예"),
        (("是", "不是"), "是不是鱼要看定义。", None),
        (("是", "不是"), "不是", "不是"),
        (("yes", "no"), "It depends. Yes in some cases, no in others.", None),
    ],
)
def test_a_word_for_yes_or_no_inside_another_phrase_is_no_answer(choices, text, choice):
    assert read("Is it so?\nAnswer:", choices, text) == choice


@pytest.mark.parametrize(
    ("choices", "text", "choice"),
    [
        (TEAMS, "It depends.", None),
        (TEAMS, "I'm sorry, it is impossible to say.", None),
        (TEAMS, "It should go to HR.", "HR"),
        (TEAMS, "it", "IT"),
        (TEAMS, "This is an IT issue.", "IT"),
        (("order", "support", "account"), "In order to help the customer, I would ask.", None),
        (("order", "support", "account"), "On account of the delay, I cannot say.", None),
        (("order", "support", "account"), "The intent is order.", "order"),
        (("March", "May", "June"), "May I ask for more context?", None),
        (("March", "May", "June"), "It was in May.", "May"),
        (("World", "Sports"), "This article is about countries around the world.", None),
        (("up", "down"), "It is up to the market.", None),
        (("up", "down"), "It is up.", "up"),
        (("US", "UK"), "Let us see.", None),
        (("subjective", "objective"), "The objective of this task is to classify.", None),
        (("English", "German"), "In English, it means good morning.", None),
        (("1", "2", "3"), "2 of the 3 are false.", None),
        (("1", "2", "3"), "at least 3", None),
    ],
)
def test_labels_that_are_also_words_are_read_only_as_labels(choices, text, choice):
    assert read("Text: x\nLabel:", choices, text) == choice


@pytest.mark.parametrize(
    ("prompt", "text", "choice"),
    [
        (CAPITAL, "The capital is Canberra and the largest city is Sydney.", None),
        (CAPITAL, "A seems plausible, but the capital is Canberra.", None),
        (CAPITAL, "Canberra (z. B. laut Verfassung)", "C"),
        (CAPITAL, "A helyes válasz C) Canberra.", "C"),
        (SPECIES, "C. elegans", "B"),
        (SPECIES, "The nematode is C. elegans.", "B"),
        (SPECIES, "B. C. elegans", "B"),
        (SPECIES, "D. melanogaster", "C"),
        (SPECIES, "D", "D"),
        (PRESIDENT, "Franklin D. Roosevelt", "B"),
        (PRESIDENT, "The president in 1944 was Franklin D. Roosevelt.", "B"),
        (PRESIDENT, "D", "D"),
    ],
)
def test_letters_inside_names_and_options_choose_nothing(prompt, text, choice):
    assert read(prompt, "ABCD", text) == choice


def test_a_superlative_names_the_answer_where_the_prompt_asks_for_it():
    rivers = "Which river is the longest?\nA) Rhine\nB) Danube\nAnswer:"
    assert read(rivers, "AB", "The longest river is the Danube, and the Rhine comes second.") == "B"


def test_cyrillic_words_of_one_letter_are_no_options():
    prompt = "Столица Австралии?\nА) Сидней\nБ) Мельбурн\nВ) Канберра\nГ) Перт\nОтвет:"
    assert read(prompt, "АБВГ", "А столица Австралии — Канберра.") == "В"
    assert read(prompt, "АБВГ", "В этом вопросе нет ответа.") is None
    assert read(prompt, "АБВГ", "Ответ: В") == "В"
