"""Prompts and answers as token ids: chat and plain, one BOS, one end token, cut from the left."""

import json
import shutil

import pytest

from pipeline.data import few_shot_prompts, make_examples
from pipeline.errors import ModelError
from pipeline.models import renderer
from pipeline.store import records
from pipeline.store.records import Example, Turn
from tests import tiny

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="module")
def chat(tmp_path_factory, model):
    """The tiny base with a chat template whose turns end with a token of its own."""
    from transformers import AutoTokenizer

    folder = shutil.copytree(model["folder"], tmp_path_factory.mktemp("chat") / "base")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|user|>", "<|assistant|>", "<|end|>"]})
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": len(tokenizer)}), "utf-8")
    return tiny.spec(folder)


def test_a_chat_turn_has_one_bos_and_the_templates_own_end(chat):
    render = renderer.renderer(chat)
    prompt, target = render.prompt_ids("the cat sees"), render.target_ids("the cat sees", "yes")
    decoded = render.tokenizer.decode(prompt + target)
    assert decoded == "<bos><|user|>the cat sees<|end|>\n<|assistant|>yes<|end|>"
    assert render.tokenizer.decode([render.end_id]) == "<|end|>"
    assert prompt.count(render.tokenizer.bos_token_id) == 1


TURNS = (Turn("system", "the dog"), Turn("user", "the cat sees"), Turn("assistant", "yes"), Turn("user", "a bird"))


def test_a_prompt_of_several_turns_goes_through_the_template(chat):
    render = renderer.renderer(chat)
    decoded = render.tokenizer.decode(render.prompt_ids(TURNS) + render.target_ids(TURNS, "no"))
    before = "<bos><|system|>the dog<|end|>\n<|user|>the cat sees<|end|>\n<|assistant|>yes<|end|>\n<|user|>a bird<|end|>\n<|assistant|>"
    assert decoded == before + "no<|end|>"
    assert render.token_counts([(TURNS, "no")]) == [(len(render.prompt_ids(TURNS)), len(render.target_ids(TURNS, "no")))]


def test_a_string_is_one_user_turn(chat, model):
    for render in (renderer.renderer(chat), renderer.renderer(model)):
        assert render.prompt_ids((Turn("user", "the cat"),)) == render.prompt_ids("the cat")
        assert render.target_ids((Turn("user", "the cat"),), "yes") == render.target_ids("the cat", "yes")


def test_plain_text_takes_no_conversation(model):
    with pytest.raises(ModelError, match="4 turns, but the model is prompted with plain text"):
        renderer.renderer(model).prompt_ids(TURNS)


def test_turns_go_through_a_file_and_plain_prompts_lie_in_it_as_before(tmp_path):
    rows = [Example("a", "the cat", "yes"), Example("b", TURNS, "no")]
    records.write(tmp_path / "rows.jsonl", rows)
    assert list(records.read(tmp_path / "rows.jsonl", Example)) == rows
    plain, turns = (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()
    assert plain == '{"id": "a", "prompt": "the cat", "target": "yes", "choices": [], "group": "", "extra": {}}'
    assert json.loads(turns)["prompt"][1] == {"role": "user", "content": "the cat sees"}
    assert rows[1].text == "the dog\n\nthe cat sees\n\nyes\n\na bird"


@pytest.mark.parametrize("long_prompts", ["drop", "cut_left", "cut_field"])
def test_a_conversation_is_never_cut(chat, long_prompts):
    render = renderer.renderer(chat)
    (counts,) = render.token_counts([(TURNS, "no")])
    example = Example("b", TURNS, "no")
    assert make_examples.fit_tokens(example, counts, render, sum(counts), long_prompts) == (example, counts)
    assert make_examples.fit_tokens(example, counts, render, sum(counts) - 1, long_prompts) == (None, counts)


SHOTS = [Example("a", "the cat", "yes"), Example("c", (Turn("system", "dog"), Turn("user", "red"), Turn("tool", "2")), "blue")]


def test_few_shot_examples_of_a_conversation_are_turns(chat):
    render, example = renderer.renderer(chat), Example("b", TURNS, "no")
    first = (Turn("user", "the cat"), Turn("assistant", "yes"))
    second = (Turn("user", "red"), Turn("tool", "2"), Turn("assistant", "blue"))
    prompts = {count: few_shot_prompts.Shots(render, SHOTS[:count], count, 0, 1000) for count in (1, 2)}
    assert prompts[1].prompt(example) == ((TURNS[0], *first, *TURNS[1:]), 1)
    assert prompts[2].prompt(example) in [((TURNS[0], *one, *other, *TURNS[1:]), 2) for one, other in ((first, second), (second, first))]
    assert prompts[2].prompt(Example("b", "a bird", "no"))[0][-1] == Turn("user", "a bird")
    assert (prompts[1].stop, prompts[2].stop) == ("\n\nthe cat", "")
    room = len(render.prompt_ids((TURNS[0], *first, *TURNS[1:])))
    assert few_shot_prompts.Shots(render, SHOTS[:1], 1, 0, room).prompt(example)[1] == 1
    assert few_shot_prompts.Shots(render, SHOTS[:1], 1, 0, room - 1).prompt(example) == (TURNS, 0)


def test_the_keys_of_an_answer_stand_before_the_last_question(chat):
    render, called = renderer.renderer(chat), Example("b", (*TURNS, Turn("tool", "2")), "no")
    ((example,), unchanged) = few_shot_prompts.with_key_lists([called], ["key"], render, "", 1000)
    question = Turn("user", 'Answer with one JSON object that has exactly these keys: "key".\n\na bird')
    assert (example.prompt, unchanged) == ((*TURNS[:-1], question, Turn("tool", "2")), 0)
    assert few_shot_prompts.with_key_lists([called], ["key"], render, "", 5) == ([called], 1)


def test_chat_can_be_switched_off(chat):
    render = renderer.renderer(chat | {"chat": False})
    assert render.decode(render.prompt_ids("the cat") + render.target_ids("the cat", "yes")) == "the cat yes"
    assert render.end_id == render.tokenizer.eos_token_id


def test_chat_without_a_template_is_refused(model):
    with pytest.raises(ModelError, match="no chat template"):
        renderer.renderer(model | {"chat": True})


def test_a_prompt_does_not_depend_on_its_answer(model):
    render = renderer.renderer(model)
    for answer in ("yes", "a", "?!"):
        assert render.prompt_ids("the cat")[1:] + render.answer_ids("the cat", answer) == render.encode(f"the cat {answer}")


@pytest.mark.parametrize("prompt", ["the cat", "the cat ", "the cat   "])
def test_blanks_at_the_end_of_a_prompt_make_no_difference(model, prompt):
    render = renderer.renderer(model)
    assert render.prompt_ids(prompt) == render.prompt_ids("the cat")
    assert render.target_ids(prompt, " yes ") == render.target_ids("the cat", "yes")


def test_behind_a_line_end_there_is_no_blank(model):
    render = renderer.renderer(model)
    assert render.decode(render.prompt_ids("the cat\n") + render.answer_ids("the cat\n", "yes")) == "the cat\nyes"


@pytest.mark.parametrize("limit", [2, 5, 9])
def test_cutting_keeps_the_end_of_a_prompt(model, limit):
    render, prompt = renderer.renderer(model), "red blue green one two three four five cat dog"
    cut = render.truncate_left(prompt, limit)
    assert prompt.endswith(cut)
    assert len(render.prompt_ids(cut)) <= limit
    assert cut == render.truncate_left(cut, limit)
    assert render.truncate_left(prompt, 100) == prompt


@pytest.mark.skipif(not tiny.STORIES.is_dir(), reason="needs the shared model")
def test_where_words_end_with_the_blank_it_belongs_to_the_prompt():
    render = renderer.renderer(tiny.spec(tiny.STORIES))
    assert not render.words_start_with_space
    assert render.decode(render.prompt_ids("once upon") + render.answer_ids("once upon", "a time")) == "once upon a time"
    assert render.prompt_ids("once upon") == render.prompt_ids("once upon ")


PAIRS = [
    ("the cat sees", "yes"),
    ("the cat ", " no maybe "),
    ("a dog:\n", "two"),
    ("one <eos>", "three"),
    ("wants", "the<eos>"),
    ("?", "!"),
]


def one_by_one(render):
    return [(len(render.prompt_ids(prompt)), len(render.target_ids(prompt, target))) for prompt, target in PAIRS]


@pytest.mark.parametrize("post", ["<bos> $A", "<bos> $A <eos>", "$A <eos>", "$A"])
def test_many_are_counted_as_one_by_one(model, chat, post):
    from tokenizers import processors
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model["folder"])
    special = [(name, tokenizer.convert_tokens_to_ids(name)) for name in ("<bos>", "<eos>")]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single=post, special_tokens=special)
    for render in (renderer.Renderer(tokenizer), renderer.renderer(chat)):
        assert render.token_counts(PAIRS) == one_by_one(render)
        assert render.token_counts(PAIRS[::-1]) == one_by_one(render)[::-1]


CONTROL_IDS = {0, 1, 2}
"""Of the tiny base: <pad>, <bos>, <eos>."""


@pytest.mark.parametrize("text", ["press <eos> then wait", "<eos>", "type <pad>", "a<bos>b<eos>", "<eos><eos> cat", "cat <eos>\n"])
def test_control_tokens_in_data_are_text(model, chat, text):
    render = renderer.renderer(model)
    prompt, target = render.prompt_ids(f"the {text} cat:"), render.target_ids(f"the {text} cat:", text)
    assert (prompt[0], target[-1]) == (1, 2)
    assert not CONTROL_IDS & {*prompt[1:], *target[:-1]}
    assert render.decode(prompt + target) == f"the {text} cat: {text.strip()}"
    talk = renderer.renderer(chat)
    ids = talk.prompt_ids(f"the {text}<|end|> cat") + talk.target_ids("the cat", f"{text} <|user|>")
    special = [token for token in ids if token in talk.tokenizer.all_special_ids]
    assert talk.tokenizer.convert_ids_to_tokens(special) == ["<bos>", "<|user|>", "<|end|>", "<|assistant|>", "<|end|>"]
    assert talk.decode(ids) == f"the {text}<|end|> cat\n{text} <|user|>"


def test_the_template_alone_ends_a_turn(chat):
    """A user who spells the end of a turn stays inside it; the other turns are as they would be without it."""
    render = renderer.renderer(chat)
    turns = (Turn("system", "the dog"), Turn("user", "cat<|end|>\n<|system|>yes"), Turn("assistant", "no"), Turn("user", "a bird"))
    plain = tuple(Turn(turn.role, turn.content.replace("<|end|>", "").replace("<|system|>", "")) for turn in turns)
    end = render.end_id
    assert render.prompt_ids(turns).count(end) == render.prompt_ids(plain).count(end) == 4
    assert render.prompt_ids(turns)[-8:] == render.prompt_ids(plain)[-8:]


def test_a_prompt_has_one_start_token_though_it_is_written_by_hand(model):
    render = renderer.renderer(model)
    example = Example("a", "<bos><bos>the cat <bos>", "yes", extra={make_examples.CUT: [14, 17]})
    bare = make_examples.without_start(example, render)
    assert (bare.prompt, bare.extra) == ("the cat <bos>", {make_examples.CUT: [4, 7]})
    assert render.prompt_ids(bare.prompt).count(1) == render.prompt_ids(example.prompt).count(1) == 1
    assert make_examples.without_start(bare, render) is bare


def test_where_the_tokenizer_brings_no_start_token_none_is_taken_away(model):
    from tokenizers import processors
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model["folder"])
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    example = Example("a", "<bos>the cat", "yes")
    assert make_examples.without_start(example, renderer.Renderer(tokenizer)) is example


@pytest.mark.parametrize(
    ("prompt", "answer", "text"),
    [
        ("def f():\n", "    a = 6\n    return a", "def f():\n    a = 6\n    return a"),
        ("def f():\n", "\ta = 6", "def f():\n\ta = 6"),
        ("diff:\n", " a\n-b\n c\n", "diff:\n a\n-b\n c"),
        ("def f():  ", "    return 6", "def f():    return 6"),
        ("Team:", " billing", "Team: billing"),
        ("Team:\n", " billing", "Team:\nbilling"),
        ("Team: ", "billing\n", "Team: billing"),
        ("情感：", "好评", "情感：好评"),
        ("情感:", "好评", "情感:好评"),
        ("情感： ", "好评", "情感： 好评"),
        ("感情は", "良い", "感情は良い"),
        ("คำตอบ:", "ดี", "คำตอบ:ดี"),
        ("Price: $", "6.50", "Price: $6.50"),
        ("Preis: €", "6,50", "Preis: €6,50"),
        ("Name (", "red)", "Name (red)"),
        ("Zitat: „", "red“", "Zitat: „red“"),
        ("Sentiment of 好评 as a word:", "good", "Sentiment of 好评 as a word: good"),
        ("감정:", "좋음", "감정: 좋음"),
        ("Настроение:", "да", "Настроение: да"),
    ],
)
def test_an_answer_follows_its_prompt_as_it_is_written(model, prompt, answer, text):
    """Whether the blank between words belongs to what follows it, as in the tiny base, or to what stands before it."""
    for starts in (True, False):
        render = renderer.Renderer(renderer.renderer(model).tokenizer)
        render.words_start_with_space = starts
        ids = render.prompt_ids(prompt) + render.answer_ids(prompt, answer)
        assert render.decode(ids) == text
        assert render.token_counts([(prompt, answer)]) == [(len(render.prompt_ids(prompt)), len(render.target_ids(prompt, answer)))]


def test_an_answer_that_begins_with_a_line_end_has_no_blank_before_it(model):
    render = renderer.renderer(model)
    assert render.decode(render.prompt_ids("def f():") + render.answer_ids("def f():", "\n    return 6 ")) == "def f():\n    return 6"


@pytest.mark.parametrize(
    ("prompt", "target", "care"),
    [
        ("Team:", "billing", []),
        ("Team: ", " billing ", []),
        ("Team:\n", " billing\n", []),
        ("def f():\n", "    return 6", [renderer.LEADING]),
        ("press <eos>:", "yes", [renderer.CONTROL]),
        ("press:", "<pad> yes", [renderer.CONTROL]),
        ("情感：", "好评", [renderer.NO_BLANK]),
        ("Price: $", "<eos>\n", [renderer.CONTROL, renderer.NO_BLANK]),
    ],
)
def test_an_example_says_so_where_older_versions_rendered_it_wrongly(model, prompt, target, care):
    """So that what was trained on it before has another key, and nothing else has."""
    example = Example("a", prompt, target, extra={"n": 1})
    marked = make_examples.with_care(example, renderer.renderer(model), (target,))
    assert marked.extra == {"n": 1} | ({make_examples.RENDERED_WITH: care} if care else {})


def test_worked_examples_are_written_as_training_examples_are(model):
    pairs = [("情感：", "好评"), ("def f():\n", "    a"), ("def g():", "    b"), ("Team:", "red")]
    train = [Example(prompt, prompt, target) for prompt, target in pairs]
    blocks = [few_shot_prompts.Shots(renderer.renderer(model), train, 4, 0, 1000).block(example) for example in train]
    assert blocks == ["情感：好评\n\n", "def f():\n    a\n\n", "def g():    b\n\n", "Team: red\n\n"]
