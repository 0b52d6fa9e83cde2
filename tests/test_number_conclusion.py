"""Of several numbers the one is read that certain grounds single out; where there are none, or they differ, none is."""

import gzip
import json
import re

import pytest

from pipeline.metrics import numbers
from pipeline.scoring import parsers
from pipeline.store.records import Example
from tests.tiny import SHARED

PEOPLE = "A conference had 700 men and 550 women. How many people attended?\nAnswer:"
ATTENDED = "How many people attended?\nAnswer:"
FOUNDED = "When was it founded?\nAnswer:"
STUDENTS = "How many students founded it?\nAnswer:"
COLD = "What was the temperature?\nAnswer:"
CLIPS = "She sold 48 clips in April and half as many in May. How many clips did she sell altogether?\nAnswer:"
BAKER = "A baker makes 12 loaves an hour and works 8 hours. He sells each loaf for $3. How much does he earn in a day?\nAnswer:"
PEARS = "Apples 3, pears 5, plums 9. How many pears are there?\nAnswer:"


def read(text, prompt, mark="."):
    return parsers.number_in(mark)(text, Example("1", prompt, "-"))


@pytest.mark.parametrize(
    ("prompt", "text", "value"),
    [
        (PEOPLE, "1250, i.e. 700 men and 550 women", "1250"),
        (PEOPLE, "It had 700 men and 550 women, so 1250 people attended.", "1250"),
        (FOUNDED, "founded in 1998 by 2 students", "1998"),
        (FOUNDED, "It was founded in 1998 and has 180,000 employees today.", "1998"),
        (FOUNDED, "It was founded two years before 1990, with 3 employees.", None),
        ("会社はいつ設立されましたか。\n答え:", "1998年に2人の学生が設立しました。", "1998"),
        (CLIPS, "72\n\nIn May she sold 24.", "72"),
        (CLIPS, "72. Check: 72 - 24 = 48.", "72"),
        (CLIPS, "72. Check: 48 + 26 = 74.", None),
        (CLIPS, "April = 48\nMay = 48 / 2 = 24\nTotal = 48 + 24 = 72", "72"),
        (CLIPS, "In May she sold 24. She sold 72 clips altogether.", "72"),
        (BAKER, "He makes 96 loaves a day. Each sells for $3. He earns $288 a day.", "288"),
        (BAKER, "24/3 = 8 walk, so 16 take the bus.", "16"),
        (BAKER, "96 loaves - 10 loaves = 86 loaves", "86"),
        (BAKER, "He has $4 left because 10 - 6 = 4", "4"),
        (BAKER, "He has $6 left because 10 - 6 = 4", None),
        (BAKER, "He makes 96 loaves and earns **$288** a day.", "288"),
        (BAKER, "12 * 8 = 96\n96 * 3 = 288\nHe earns $288 a day.", "288"),
        (PEARS, "There are 3 apples, 5 pears and 9 plums.", "5"),
    ],
)
def test_what_a_text_singles_out_is_read(prompt, text, value):
    assert read(text, prompt) == value


MEDIAN = "What is the median of 4, 9, 12, 7 and 19?\nAnswer:"
VISITORS = "On Monday 120 visitors came and on Tuesday 150. How many visitors came on Tuesday?\nAnswer:"


@pytest.mark.parametrize(
    ("prompt", "text", "value"),
    [
        (MEDIAN, "the median is 9, the mean is 10.2", "9"),
        (MEDIAN, "9 is the median, as 2 numbers are below", "9"),
        (MEDIAN, "The mean is 10.2. The middle number is 9.", None),
        (VISITORS, "120 on Monday and 150 on Tuesday, for a total of 270", None),
        (VISITORS, "On Tuesday there were 150. On Monday 120 visitors came.", None),
        (BAKER, "He earns 288, but could take 55.", None),
        (BAKER, "He makes 96 loaves. So he could take 55.", None),
        (CLIPS, "The answer is 70. So she sold 72.", None),
        (CLIPS, r"\boxed{48} and \boxed{72}", None),
        (CLIPS, "Three of the 8 were sold.", None),
        (CLIPS, "more than 72", None),
        (CLIPS, "She sold more than 72 clips.", None),
        (CLIPS, "She sold 24 fewer clips than in April.", None),
        (FOUNDED, "after 1998", None),
        (CLIPS, "72 or 48", None),
        (CLIPS, "48\n24\n72", None),
        (CLIPS, "half of 48", None),
    ],
)
def test_grounds_that_differ_or_are_none_leave_a_text_unread(prompt, text, value):
    assert read(text, prompt) == value


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (ATTENDED, "1250 attendees: 700 men and 550 women"),
        (PEOPLE, "The conference had 1250 attendees. 700 of them were men. 550 were women."),
        (PEOPLE, "1250 attendees: 700 men and 550 women"),
        (STUDENTS, "founded in 1998 by 2 students"),
        (COLD, "-5 C, i.e. 23 F"),
        (COLD, "-5 at night and 3 during the day"),
        (FOUNDED, "founded in 1998 and went public in 2004"),
        ("公司是哪一年成立的？\n答案：", "公司于1998年成立，2004年上市。"),
        (BAKER, "He earns $288 a day. He makes 96 loaves a day."),
        (BAKER, "12 * 8 = 96, 96 * 3 = 288. He earns $288 from 96 loaves."),
        (BAKER, "It takes 288/36 = 8 hours to earn 288 dollars"),
        (CLIPS, "Total of 72 clips, 48 from April, 24 from May"),
        (CLIPS, "In May she sold 24. Adding these up we find 72."),
        ("What was the revenue?", "$4.2 million, up 12% in Q3 2023"),
        ("Wie viele Mitarbeiter hat die Firma?", "450 Mitarbeiter, davon 200 in Berlin"),
        ("Solve: 3x + 6 = 21\nx =", "x = 5 or x = -5"),
        ("How tall is the tower?", "It is 330 metres tall, was completed in 1889 and has 3 floors."),
    ],
)
def test_where_nothing_certain_singles_one_out_none_is_read(prompt, text):
    """Of some a person takes one for likely; what rests on the meaning of words is left unread."""
    assert read(text, prompt) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Er backt 96 Brote, somit verdient er 288 Euro.", "288"),
        ("Il fait 96 pains et gagne donc 288 euros.", "288"),
        ("Hace 96 panes, así que gana 288 euros.", "288"),
        ("Fa 96 pani, quindi guadagna 288 euro.", "288"),
        ("Faz 96 pães, portanto ganha 288 reais.", "288"),
        ("Hij bakt 96 broden, dus hij verdient 288 euro.", "288"),
        ("Он печёт 96 хлебов, значит, зарабатывает 288 евро.", "288"),
        ("Piecze 96 chlebów, więc zarabia 288 euro.", "288"),
        ("96 ekmek yapar, yani 288 euro kazanır.", "288"),
        ("Φτιάχνει 96 ψωμιά, άρα κερδίζει 288 ευρώ.", "288"),
        ("他做96个面包，所以赚288元。", "288"),
        ("96個のパンを作るので、288ユーロ稼ぎます。", "288"),
        ("يصنع 96 رغيفا، إذن يكسب 288 يورو.", "288"),
        ("वह 96 रोटियाँ बनाता है, इसलिए 288 रुपये कमाता है।", "288"),
        ("ทำได้ 96 ก้อน ดังนั้นได้เงิน 288 บาท", "288"),
    ],
)
def test_words_that_draw_a_conclusion_in_other_languages(text, value):
    assert read(text, BAKER, ",") == value


AREA = "A rectangle is 6 cm by 4 cm. What is its area in square centimetres?\nAnswer:"
PENCILS = "Tom has 5 boxes with 12 pencils each. He gives away 17 pencils. How many pencils does he have left?\nAnswer:"
STAFF = "In 2019 the company had 1,250 employees. By 2021 this had fallen to 980.\nHow many employees did it have in 2021?\nAnswer:"
BRIDGE = "The bridge opened in 1937 after 4 years of work. It is 2,737 metres long.\nHow long is the bridge in metres?\nAnswer:"
INVOICE = "What is the total amount due on this invoice?\nSubtotal: $1,200.00\nVAT: $228.00\nAmount due:"
SPEED = "A train leaves at 9 and covers 240 miles in 4 hours. What is the speed of the train in miles per hour?\nAnswer:"
PAGES = "Her book has 240 pages and she has read 90, 15 a day. How many more days does she need?\nAnswer:"
ELBRUS = "Context: Mount Elbrus is 5,642 m high. What is the height of Mount Elbrus?\nAnswer:"
BOOKS = "Lisa has $50. She buys 3 books at $8 each and a pen for $2. How much money does she have left?\nAnswer:"
DIE = "A die has 6 sides. What is the probability of a six, as a fraction?\nAnswer:"
MOVIE = "It starts at 7 and lasts 2.5 hours. How many minutes does it last?\nAnswer:"
BECKER = "Ein Bäcker backt 12 Brote je Stunde und arbeitet 8 Stunden. Jedes kostet 3 Euro. Wie viel verdient er am Tag?\nAntwort:"
BOULANGER = "Il fait 12 pains par heure et travaille 8 heures. Un pain coûte 3 euros. Combien gagne-t-il par jour ?\nRéponse :"


@pytest.mark.parametrize(
    ("prompt", "text", "value"),
    [
        (AREA, "The area is **24**. The perimeter would be 20.", "24"),
        (AREA, "The perimeter is 20 cm. The area is 24 cm².", "24"),
        (AREA, "The area is 24, whereas the perimeter is 20.", "24"),
        (AREA, "6 x 4 = 24. So the area is 24 square centimetres, while the perimeter is 20 cm.", "24"),
        (AREA, "The area is 0.0024 m², i.e. 24 cm².", None),
        (STAFF, "The company had 1,250 employees in 2019. In 2021 it had 980 employees.", None),
        (STAFF, "980. In 2019 it had 1,250.", "980"),
        (STAFF, "980 people worked there in 2021; 1,250 in 2019.", None),
        (STAFF, "1,250 in 2019, 980 in 2021", None),
        (BRIDGE, "The bridge is 2,737 metres (1.7 miles) long.", "2737"),
        (BRIDGE, "2,737 metres = 8,980 ft", "2737"),
        (BRIDGE, "The bridge opened in 1937. It is 2,737 metres long.", "2737"),
        ("How long is the bridge?", "2,737 metres = 8,980 ft", None),
        (MOVIE, "2.5 hours = 150 minutes", "150"),
        ("Wie hoch ist der Turm? Text: Er ist 330 Meter hoch.\nAntwort:", "Er ist 330 m hoch (1083 Fuß).", None),
        ("How high is it in feet? Text: It is 330 metres high.\nAnswer:", "It is 330 m high (1083 ft).", "1083"),
        ("In which year did she publish it? She was born in 1951.\nAnswer:", "1951 + 28 = 1979", "1979"),
        (MOVIE, "150 minutes (2 hours and 30 minutes)", "150"),
        (PAGES, "10 days, which is about 1.5 weeks", None),
        (PAGES, "16 days in total, 10 of which remain.", None),
        ("Convert 5 km to miles.\nAnswer:", "5 km ≈ 3.1 mi", "3.1"),
        (BAKER, "96 loaves, 288 dollars", None),
        (BAKER, "He makes 96 loaves, which sell for $288.", None),
        ("面包师每天赚多少钱？", "96个面包，288元", None),
        (BECKER, "288 Euro mit 96 Broten", None),
        (BECKER, "Er backt 96 Brote, also verdient er 288 Euro.", "288"),
        (BOULANGER, "Il gagne 288 euros avec 96 pains.", None),
    ],
)
def test_the_question_says_which_number_it_asks_for(prompt, text, value):
    """By a noun or a unit, where it stands with the number; a year beside two numbers, or money beside things, decides nothing."""
    assert read(text, prompt) == value


@pytest.mark.parametrize(
    ("prompt", "text", "value"),
    [
        (PENCILS, "60 - 17 = 43. He could fill 3 full boxes with these.", None),
        (PENCILS, "It was 60. Now it's 43.", None),
        (PENCILS, "He had 60 pencils in total, gave away 17, leaving 43.", None),
        (PENCILS, "He had 60 pencils in total and has 43 left.", None),
        (INVOICE, "$1,428.00 due within 14 days", None),
        (ELBRUS, "The height of the mountain is 5,642 m, so it is 842 m higher than Mont Blanc.", "5642"),
        (ELBRUS, "5,642 m, which is 832 m higher than Mont Blanc (4,810 m).", None),
        (STAFF, "980, a drop of 270 since then", None),
        (BOOKS, "Books: $24\nPen: $2\nTotal: $26\nMoney left: $24", "24"),
        (BOOKS, "Books: $24\nPen: $2\nTotal: $26", None),
        (AREA, "6*4=24, 2*(6+4)=20", None),
        (AREA, "They need 24. If there were 3 more, they would need 27.", None),
        (AREA, "6 × 4.0001 = 24.0006 ≈ 24", None),
        (DIE, "P(6) = 1/6", "1/6"),
        (DIE, "The probability is 1/6 ≈ 0.167.", None),
        ("Which answer came most?\nyes: 62, no: 30, undecided: 8", "yes 62\nno 30\nundecided 8", None),
        (SPEED, "The train's speed is 60 mph. It arrives at 1 pm.", "60"),
        (SPEED, "It leaves at 9 a.m. and goes 60 mph.", None),
        ("What time does it leave? It takes 3 hours.\nAnswer:", "It leaves at 9 am.", "9"),
        (BECKER, "288 Euro, d. h. 36 Euro pro Stunde", None),
        (BOULANGER, "Le boulanger gagne 288 euros par jour, soit 36 euros par heure.", None),
        (AREA, "The product of 6 and 4 is 24, and their sum is 10.", None),
        (MOVIE, "2 hours and 30 minutes", None),
        (MOVIE, "The answer is 2 hours 30 minutes", None),
    ],
)
def test_what_is_beside_the_point_decides_nothing(prompt, text, value):
    assert read(text, prompt) == value


SHIRT = "A shirt costs $40 and is discounted by 25%. What is the sale price?"
CHANGE = "Mike bought 3 books at $8 each and paid with a $50 bill. How much change did he get?"
EGGS = "Janet's ducks lay 16 eggs a day. She eats three, bakes with four, and sells the rest for $2 each. How much does she make every day?"
MARS = "How many moons does Mars have?"


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (SHIRT, "The sale price is $30, so you save 40 - 30 = $10."),
        (CHANGE, "The change is $26. To verify: 26 + 24 = 50."),
        (CHANGE, "The change was $26. If he had bought 4 books, it would have been 50 - 32 = $18."),
        (EGGS, "Janet makes $18 every day. In a week that would be 18 × 7 = $126."),
        (EGGS, "She makes $18.\n\nNote: 16 - 3 = 13 would ignore the muffins."),
        ("What is 15% of 240?", "36, which leaves 240 - 36 = 204."),
        ("His son is 12, he is 36. How old will he be in 5 years?", "He will be 41, which is 41 - 17 = 24 years older than his son."),
    ],
)
def test_an_equation_behind_another_number_that_may_answer_the_question_gives_none(prompt, text):
    assert read(text, prompt) is None


@pytest.mark.parametrize(
    ("prompt", "text", "value"),
    [
        (CHANGE, "3*8=24, 50-24=26", "26"),
        (CHANGE, "3*8=24, 50-24=26 (26+24=50)", None),
        (CHANGE, "3*8=24, 50-24=26 (26+5=31)", "31"),
        (EGGS, "16-3-4=9\n9*2=18", "18"),
        (EGGS, "16-3-4=9\n9*2=18\n18/9=2", None),
    ],
)
def test_an_equation_that_turns_an_earlier_one_round_is_a_check(prompt, text, value):
    assert read(text, prompt) == value


@pytest.mark.parametrize(
    ("prompt", "text", "value"),
    [
        (EGGS, "9*2=18 a day", "18"),
        (EGGS, "9*2=18, 18*7=126 is what she makes in a week.", None),
        ("A train goes 180 miles in 3 hours. What is its speed in miles per hour?", "180/3 = 60 mph", "60"),
        ("A train goes 180 miles in 3 hours. What is its speed in miles per hour?", "180/3 = 60 mph = 60 × 1.609 = 96.56 km/h", None),
        ("In which year did the war end? It began in 1939.", "1945 - 1939 = 6", None),
        ("In which year did the war end? It began in 1939.", "1939 + 6 = 1945", "1945"),
    ],
)
def test_a_result_in_a_unit_that_is_not_asked_for_gives_none(prompt, text, value):
    assert read(text, prompt) == value


@pytest.mark.parametrize("text", ["Mars doesn't have 3 moons.", "Mars has more than 1 moon.", "±2"])
def test_a_number_that_is_denied_or_of_two_signs_is_not_read(text):
    assert read(text, MARS) is None


@pytest.mark.parametrize("text", ["24 cm^2", "24 cm^{2}", r"\[A = 6 \cdot 4 = \boxed{24\text{ cm}^2}\]", "24 cm²"])
def test_the_power_of_a_unit_is_no_number(text):
    assert read(text, AREA) == "24"


def test_a_question_that_a_model_asks_itself_ends_its_answer():
    assert read("The area is 24.\n\nA square is 5 cm on each side. What is its area?\nAnswer: 25", AREA) == "24"
    assert read("We need a product.\n\nWhat is the area?\nAnswer: 24", AREA) == "24"


def test_a_number_behind_a_full_width_comma_is_a_number():
    assert [number.value for number in numbers.find("96个面包，288元", ".")] == ["96", "288"]


@pytest.mark.skipif(not (SHARED / "data" / "gsm8k").exists(), reason="needs the whole rows of GSM8K")
def test_chains_of_thought_end_with_their_answer():
    """Solutions of GSM8K without the line that says what the answer is: a person reads the last result."""
    text = gzip.decompress((SHARED / "data" / "gsm8k" / "test.jsonl.gz").read_bytes()).decode()
    rows = [json.loads(line) for line in text.splitlines()]
    results = []
    for row in rows:
        example = Example("1", f"Question: {row['question']}\nAnswer:", "-")
        chain, _, answer = re.sub(r"<<[^>]*>>", "", row["answer"]).rpartition("####")
        results.append((read(chain.strip(), example.text), read(answer, example.text)))
    assert sum(one == other for one, other in results) >= 0.96 * len(rows)
    assert sum(one is not None and one != other for one, other in results) <= 0.003 * len(rows)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Each box holds 12 pens.\nThat makes 36 pens.\nHe gives away a third, which leaves him with 24 pens.", "24"),
        ("She earns 12 an hour for 5 hours.\nThat is 60 dollars.\nTaxes take 15.\nThis leaves her 45 dollars.", "45"),
        ("Each box holds 12 pens.\nThat makes 36 pens.\nA box has 12 pens.", None),  # the prompt's own number ends no chain
        ("Each box holds 12 pens.\nThat makes 36 pens.\nHe could also have had 48.", None),
        ("Each box holds 12 pens.\nThat makes 36 pens.\nThis is less than 50.", None),
        ("Monday had 120 visitors. Tuesday had 150 visitors.", None),  # two facts are no chain
    ],
)
def test_a_chain_of_thought_ends_with_the_number_that_it_worked_out(text, value):
    prompt = "Question: Tom has 3 boxes of 12 pens and gives away a third. How many does he have?\nAnswer:"
    assert parsers.number_in(".")(text, Example("1", prompt, "24")) == value


def test_what_something_makes_is_the_conclusion():
    text = "She has two apples and buys three more, which makes 5"
    assert parsers.number_in(".")(text, Example("1", "How many apples does she have?\nAnswer:", "5")) == "5"


@pytest.mark.parametrize(
    ("prompt", "text", "value"),
    [
        (CLIPS, "72 clips. She sold 48 in April and 24 in May.", "72"),
        (CLIPS, "72. In May she sold 24.", "72"),
        (CLIPS, "48. In May she sold 24.", None),  # the prompt's own number, and a chain may begin with it
        ("What is 15% of 240?\nAnswer:", "15% of 240 is 36.", "36"),
        ("What is 15% of 240?\nAnswer:", "15% of 240 is 36, and 85% of 240 is 204.", None),
        ("Combien coûtent 5 litres à 1,20 € ?\nRéponse :", "5 × 1,20 € = 6,00 €", "6"),
    ],
)
def test_a_number_that_a_person_reads_without_doubt(prompt, text, value):
    assert parsers.number_in("," if "Réponse" in prompt else ".")(text, Example("1", prompt, "1")) == value


SAVED = "A tub costs $2 less today and a packet $1. How much will you save on 2 tubs and 4 packets?\nAnswer:"


@pytest.mark.parametrize(
    ("prompt", "text", "value"),
    [
        (SAVED, "The tubs save 2 x 2 = 4.\nThe packets save 4 x 1 = 4.\nYou will save 4 + 4 = 8 for 2 tubs and 4 packets.", "8"),
        (SAVED, "The tubs save 2x2=4.\nSo, 4x3=12 dollars are saved.", "12"),  # a product without blanks
        (SAVED, "The tubs save 2 x 2 = 4.\nYou will save 4 + 4 = 8 for 7 tubs.", None),  # nothing says what 7 is
        (CLIPS, "She sold 72 clips altogether. In a week that would be 72 * 7 = 504.", None),
        (CLIPS, "She sold 72 clips, which is 72 - 48 = 24 more than in April.", None),
    ],
)
def test_the_equation_at_the_end_of_a_chain_uses_what_was_worked_out(prompt, text, value):
    assert read(text, prompt) == value
