"""Marks of chat templates and of thoughts around an answer: every parser reads the model's own turn without its thoughts, or nothing."""

import json

import pytest

from pipeline import metrics
from pipeline.data import inline
from pipeline.scoring import parsers, right_answers
from pipeline.store.records import Example, Turn
from pipeline.tasks import glue_stsb
from tests import preparing

THOUGHTS = [
    ("<think>\n", "\n</think>\n\n"),
    ("<thinking>", "</thinking>"),
    ("<THINK>", "</THINK>"),
    ("[THINK]", "[/THINK]"),
    ("<thought>", "</thought>"),
    ("<reasoning>\n", "\n</reasoning>\n"),
    ("<scratchpad>", "</scratchpad>"),
    ("<seed:think>", "</seed:think>"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>\n\n"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<unused94>thought\n", "<unused95>"),
    ("<|channel>thought\n", "<channel|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("<|start|>assistant<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>"),
    ("analysisWe look at it. ", "assistantfinal"),
    ("Here is my thought process:\n", "\n\nHere is my response:\n"),
]
QUERY, PROGRAM = "SELECT a FROM t", "def f(x):\n    return x"
CALL = '{"name": "add", "arguments": {"a": 1}}'
READ = [
    (parsers.text, "The capital is Lyon.", "Paris", "Paris"),
    (parsers.first_line, "The capital is Lyon.", "Paris", "Paris"),
    (parsers.choice, "It is Lyon.", "Paris", "Paris"),
    (parsers.boolean, "It seems so: yes.", "no", "no"),
    (parsers.number, "The answer is 4.", "5", "5"),
    (parsers.number_in("."), "The answer is 4.", "5", "5"),
    (parsers.json, 'Like {"a": 1}?', '{"a": 2}', '{"a": 2}'),
    (parsers.topics, "Trade, ship?", "wheat, corn", "corn, wheat"),
    (parsers.sql, "Maybe SELECT b FROM t", QUERY, QUERY),
    (parsers.code, "Try:\n```python\ndef f(x): return 1\n```", PROGRAM, PROGRAM),
    (parsers.tool_call, 'Maybe {"name": "now", "arguments": {}}', CALL, '[{"arguments": {"a": 1}, "name": "add"}]'),
    (glue_stsb.answer, "Maybe 1 of them.", "4", "4"),
]
ENDS = (
    *("<|im_end|>", "</s>", " <|im_end|>\n", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<turn|>"),
    *("<|endoftext|>", "<|end|>", "<｜end▁of▁sentence｜>", "<eos>", "<|return|>", "[|endofturn|]"),
)
USER_MARKS = ("<|im_start|>", "<|start_h", "<start_of", "<|turn>", "<|user", "<｜U", "[INST]", "<|start_of_r", "<|START", "[|user")
NEXT_TURN = "<|im_end|>\n<|im_start|>user\nSo?<|im_end|>\n<|im_start|>assistant\n"
HEADERS = {
    "<|im_start|>assistant\n": "<|im_end|>\n<|im_start|>user\n",
    "<|start_header_id|>assistant<|end_header_id|>\n\n": "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n",
    "<start_of_turn>model\n": "<end_of_turn>\n<start_of_turn>user\n",
    "<|turn>model\n": "<turn|>\n<|turn>user\n",
    "<|assistant|>\n": "<|end|>\n<|user|>\n",
    "<｜Assistant｜>": "<｜end▁of▁sentence｜><｜User｜>",
    "[/INST] ": "</s>[INST] ",
    "<|start_of_role|>assistant<|end_of_role|>": "<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>",
    "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>": "<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|USER_TOKEN|>",
    "[|assistant|]": "[|endofturn|]\n[|user|]",
}


def example(target="Paris", prompt="Which city is it?\nCity:", choices=("Paris", "Lyon")):
    return Example("1", prompt, target, choices)


def score(metric, parse, text, one):
    """The score of a text, as a comparison has it."""
    answers = [right_answers.unread(one) if (answer := parse(text, one)) is None else answer]
    golds = [right_answers.gold_strings("answer", one, parse)]
    return float(right_answers.best_scores(metrics.load(metric), answers, golds).values[0])


@pytest.mark.parametrize(("parse", "thought", "answer", "read"), READ)
@pytest.mark.parametrize(("start", "end"), THOUGHTS)
def test_what_follows_thoughts_is_the_answer(start, end, parse, thought, answer, read):
    assert parse(f"{start}{thought}{end}{answer}", example(answer)) == read
    assert parse(f"{start}{thought}{end}{answer}<|im_end|>", example(answer)) == read


@pytest.mark.parametrize(("parse", "thought", "answer", "read"), READ)
@pytest.mark.parametrize("start", [start for start, _ in THOUGHTS])
def test_thoughts_without_an_end_are_no_answer(start, parse, thought, answer, read):
    del read
    assert parse(start + thought, example(answer)) is None
    assert parse(f"{start}The answer is {answer}", example(answer)) is None
    assert parse(f"{start}The answer is {answer}{NEXT_TURN}{answer}", example(answer)) is None


@pytest.mark.parametrize(("parse", "thought", "answer", "read"), READ)
@pytest.mark.parametrize("end", [end for _, end in THOUGHTS if not any(word in end for word in ("assistant", "response"))])
def test_the_start_of_thoughts_may_stand_in_the_prompt(end, parse, thought, answer, read):
    assert parse(f"{thought}{end}{answer}", example(answer)) == read


@pytest.mark.parametrize(("parse", "thought", "answer", "read"), READ)
@pytest.mark.parametrize("end", ENDS)
def test_the_mark_that_ends_a_turn_is_no_part_of_it(end, parse, thought, answer, read):
    del thought
    assert parse(answer + end, example(answer)) == read
    assert parse(f"<s> {answer}{end}", example(answer)) == read


@pytest.mark.parametrize(("parse", "thought", "answer", "read"), READ)
@pytest.mark.parametrize(("header", "between"), HEADERS.items())
def test_the_answer_is_the_first_turn_of_the_model(header, between, parse, thought, answer, read):
    assert parse(f"{answer}{between}Another?{header}{thought}", example(answer)) == read
    assert parse(f"{header}{answer}{between}Another?", example(answer)) == read


@pytest.mark.parametrize(("header", "between"), HEADERS.items())
def test_of_a_whole_conversation_the_turn_that_answers_the_prompt_is_read(header, between):
    user = between[
        max(
            between.rfind(mark)
            for mark in (
                "<|im_start|>",
                "<|start_h",
                "<start_of",
                "<|turn>",
                "<|user",
                "<｜U",
                "[INST]",
                "<|start_of_r",
                "<|START",
                "[|user",
            )
        ) :
    ]
    one = f"{user}Which city?{header}Paris{between}And then?{header}Lyon"
    assert parsers.choice(f"{user}Which city?{header}Paris", example()) == "Paris"
    assert parsers.choice(one, example()) is None  # a question of its own, or few-shot examples before the prompt
    turns = (Turn("user", "Which city?"), Turn("assistant", "Paris"), Turn("user", "And then?"))
    assert parsers.choice(one, example("Lyon", turns)) == "Lyon"


@pytest.mark.parametrize(
    "text",
    [
        "<answer>Paris</answer>",
        "<answer>\nParis\n</answer>\n",
        "<answer>Paris",
        "It is in France.\n<answer>Paris</answer>",
        "<|begin_of_thought|>Lyon?<|end_of_thought|>\n<|begin_of_solution|>Paris<|end_of_solution|>",
        "<reasoning>Lyon?</reasoning>\n<final_answer>Paris</final_answer>",
        "<|START_THINKING|>Lyon?<|END_THINKING|><|START_RESPONSE|>Paris<|END_RESPONSE|>",
    ],
)
@pytest.mark.parametrize("parse", [parsers.text, parsers.first_line, parsers.choice])
def test_tags_around_the_answer_are_no_part_of_it(parse, text):
    assert parse(text, example()) == "Paris"
    assert score("exact_match", parse, text, example("<reasoning>I know it.</reasoning>\n<answer>Paris</answer>")) == 1


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("<|im_end|>", "</s>"),
        ("Write <|im_end|> behind it", "Write </s> behind it"),
        ("Write <|im_end|> behind it", "Write"),
        ("<s>old</s> new", "<s>old</s> next"),
        ("<s>old</s>", "<s>new</s>"),
        ("a<|im_start|>user\nb", "a<|im_start|>user\nc"),
        ("<think>x</think>", "<think>y</think>"),
        ("<reasoning>x</reasoning>", "<reasoning>y</reasoning>"),
        ("[THINK]x", "[THINK]y"),
        ("analysisThe one", "analysisThe other"),
        ("<qa><answer>x</answer></qa>", "<qa><answer>y</answer></qa>"),
        ("The <answer>x</answer> tag", "The <answer>y</answer> tag"),
        ("Use <answer>x</answer>", "Write <answer>x</answer>"),
        ("<review><thought>x</thought><score>5</score></review>", "<review><thought>y</thought><score>5</score></review>"),
        ("<score>5</score><reasoning>x</reasoning>", "<score>5</score><reasoning>y</reasoning>"),
        ("<answer>x</answer>\n<answer>y</answer>", "<answer>y</answer>"),
        ("[INST] a [/INST] b", "[INST] a [/INST] c"),
    ],
)
def test_marks_of_a_right_answer_belong_to_it(right, wrong):
    one = example(right, choices=())
    assert score("exact_match", parsers.text, right, one) == 1
    assert score("exact_match", parsers.text, wrong, one) == 0
    assert parsers.choice(right, example(right, choices=(right, wrong))) == right


@pytest.mark.parametrize("target", ["Paris</s>", "Paris <|im_end|>", "Paris<|eot_id|>\n"])
def test_a_target_may_end_in_the_mark_of_its_turn(target):
    assert [score("exact_match", parsers.text, text, example(target, choices=())) for text in (target, "Paris", "Lyon")] == [1, 1, 0]


@pytest.mark.parametrize(
    "text",
    [
        'def f(x):\n    return x + "<|im_end|>"',
        "def f(x):\n    return f'<|im_start|>user\\n{x}<|im_end|>\\n'",
        'def f(x):\n    return f"""<|im_start|>user\n{x}<|im_end|>\n"""',
        'def f(x):\n    return f"[INST] {x} [/INST]"',
        'def f(x):\n    return "<s>" + x + "</s>"',
    ],
)
def test_marks_in_quotes_do_not_end_a_program(text):
    assert parsers.code(text, example(PROGRAM)) == text


@pytest.mark.parametrize(
    "text",
    [
        "Use `<|im_end|>` to end it",
        "<s>old</s> new </s",
        "a < b and [1, 2]",
        "Here is my thought: Paris",
        "analysis of the text",
        "analysisResult",
        "a </b> c",
    ],
)
def test_texts_that_only_look_like_marks_stay_whole(text):
    assert parsers.text(text, example()) == text


def test_nothing_before_the_end_of_a_turn_is_the_empty_answer_and_unfinished_thoughts_are_none():
    parse = inline.build_task(preparing.task(answer="text", metrics=["exact_match"], defaults={"team": ""})).answer
    one = example("", choices=())
    assert [parse(text, one) for text in ("", "<|im_end|>", "<s></s>", "red</s>")] == ["", "", "", "red"]
    assert [parse(text, one) for text in ("[THINK]red", "<think>red", "<|im_start|>user\nred")] == [None, None, None]


def test_answers_after_thoughts_are_parsed_once():
    for start, end in THOUGHTS:
        text = parsers.text(f"{start}The sign is so.{end}Paris", example())
        assert parsers.text(text, example()) == text == "Paris"
    assert json.loads(parsers.json('[THINK]x[/THINK]{"a": "</s>"}', example("{}")))["a"] == "</s>"
