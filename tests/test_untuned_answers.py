"""Code, queries and lines are read out of what untuned models write around them: fences, tags, lists, cues, comments."""

import pytest

from pipeline.scoring import parsers
from pipeline.store.records import Example

CODE = "def f(x):\n    return x + 1"
INDENTED = "   def f(x):\n       return x + 1"


def example(prompt="Note: x\nTeam:"):
    return Example("1", prompt, "-")


@pytest.mark.parametrize(
    "text",
    [
        f"~~~python\n{CODE}\n~~~",
        f"Install it first:\n```bash\npip install x\n```\n```python\n{CODE}\n```",
        f"```\n>>> f(1)\n2\n```\nis what this gives:\n```python\n{CODE}\n```",
        f"1. First:\n   ```python\n{INDENTED}\n   ```\n2. Then call it.",
        f"[PYTHON]\n{CODE}\n[/PYTHON]",
        f"<code>\n{CODE}\n</code>",
        f"[CODE]\n{CODE}",
    ],
)
def test_code_is_read_out_of_every_kind_of_block(text):
    assert parsers.code(text, example()) == CODE


def test_the_first_block_counts_where_none_is_python():
    assert parsers.code("```\nx =\n```\n```\ny =\n```", example()) == "x ="


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a, b\nFROM t\nLEFT JOIN u ON x = y\nWHERE c = 1\nORDER BY a",
        "SELECT a, b\nfrom t\nleft join u on x = y\nwhere c = 1\norder by a",
        "SELECT a,\nb\nFROM t\nLEFT JOIN u\nON x = y\nWHERE c = 1\nORDER BY a",
        "**SELECT a, b FROM t LEFT JOIN u ON x = y WHERE c = 1 ORDER BY a**",
        "SELECT a, b -- two\nFROM t LEFT JOIN u ON x = y\nWHERE c = 1 ORDER BY a; -- sorted",
        "SELECT a, b FROM t LEFT JOIN u ON x = y WHERE c = 1 ORDER BY a\nFrom this we see both.\nAnd that is all.",
    ],
)
def test_a_query_is_read_to_its_end(text):
    read = parsers.sql(text, example())
    assert read is not None
    assert read.lower() == "select a, b from t left join u on x = y where c = 1 order by a"


@pytest.mark.parametrize(
    "text",
    [
        "```\nred\n```",
        "```text\nred",
        "Team:\nred",
        "Team:\n\n- red",
        "# red",
        "> red",
        "### **red**",
        r"\boxed{red}",
        r"$\boxed{\text{red}}$",
        "The answer is red.",
        "So, the correct answer is: **red**",
        "My answer is red",
    ],
)
def test_the_first_line_is_that_of_the_answer(text):
    assert parsers.first_line(text, example()) == "red"
    assert parsers.first_line("red", example()) == "red"


@pytest.mark.parametrize("text", ["answers are few", "#1", "-3", ">5", "Team", "the answer"])
def test_what_only_looks_like_a_cue_stays(text):
    assert parsers.first_line(text, example()) == text
