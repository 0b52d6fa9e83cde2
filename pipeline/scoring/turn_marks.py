"""Finds the model's own turn in a text that holds the marks of a chat template, as prediction files and endpoints may have them."""

import regex

from pipeline.store.records import Example

ROLE = r"(?P<role>\w+)"
GAP = r"(?:[^\S\n]*\n)*(?: (?!\s))?"
"""What a template writes behind a mark; the indentation of code is none."""
HEADER = regex.compile(
    rf"(?:<\|im_start\|>[ \t]*{ROLE}[ \t]*(?=\r?\n|\Z)|<\|(?:start_header_id|header_start)\|>\s*{ROLE}\s*<\|(?:end_header_id|header_end)\|>"
    rf"|<start_of_turn>[ \t]*{ROLE}[ \t]*(?=\r?\n|\Z)|<\|turn>[ \t]*{ROLE}[ \t]*(?=\r?\n|\Z)"
    rf"|<\|start_of_role\|>\s*{ROLE}\s*<\|end_of_role\|>|<\|START_OF_TURN_TOKEN\|>\s*<\|{ROLE}_TOKEN\|>"
    r"|<\|(?P<role>user|assistant|system|tool|observation)\|>|<｜(?P<role>User|Assistant)｜>|\[\|(?P<role>user|assistant|system)\|\]"
    rf"|(?P<role>\[/?INST\])|<\|start\|>(?P<role>user|system|developer)(?=<\|)){GAP}"
)
"""What opens a turn in the templates of ChatML, Llama, Gemma, Granite, Cohere, Phi, GLM, DeepSeek, EXAONE, Mistral and gpt-oss.

The turn of gpt-oss has several messages: `<|start|>assistant` opens none.
"""
END = regex.compile(
    r"<\|(?:im_end|endoftext|end_of_text|eot_id|eom_id|eot|EOT|eos|END_OF_TURN_TOKEN|return)\|>|<\|end\|>(?!\s*<\|start\|>assistant)|"
    r"<end_of_turn>|<turn\|>|<eos>|</s>|<｜end▁of▁sentence｜>|\[\|endofturn\|\]"
)
"""What ends a turn or a text."""
MARK = regex.compile(rf"{END.pattern}|{HEADER.pattern}")
START = regex.compile(
    rf"(?:\s*(?:<\|(?:begin_of_text|startoftext)\|>|<bos>|<BOS_TOKEN>|<｜begin▁of▁sentence｜>|<s>(?!.*</s>\s*\S)))+{GAP}", regex.DOTALL
)
"""What begins a text; `<s>old</s> new` is HTML."""
QUOTED = regex.compile(
    r"\"{3}.*?\"{3}|'{3}.*?'{3}|\"[^\"\n]*\"|`[^`\n]+`|“[^”\n]*”|(?<!\w)[bfru]{0,2}'[^'\n]*'(?!\w)", regex.DOTALL | regex.IGNORECASE
)
"""Where a text speaks of a mark, as code does that holds it in a string."""
ANSWER_ROLES = frozenset(("assistant", "model", "chatbot", "[/inst]"))
"""Roles of the model, as templates spell them."""


def own_turn(text: str, example: Example) -> str | None:
    """The text of the model's turn: up to the first mark that ends it or opens another, and without the header of its own.

    Of a text that begins with turns of the prompt, the one that answers it; None where that is not certain. A mark within a right answer
    or a choice is a part of answers, and then the whole text is.
    """
    if not (MARK.search(text) or START.match(text)) or any(map(holds_mark, (*example.right_answers, *example.choices))):
        return text
    body = START.sub("", text, count=1) if START.match(text) else text
    header = HEADER.match(body.lstrip())
    if not header:
        return up_to_mark(body)
    if is_answer(header):
        return up_to_mark(body.lstrip()[header.end() :])
    answers = [match for match in HEADER.finditer(body) if is_answer(match)]
    earlier = 0 if isinstance(example.prompt, str) else sum(turn.role == "assistant" for turn in example.prompt)
    return up_to_mark(body[answers[-1].end() :]) if answers and len(answers) in (1, earlier + 1) else None


def up_to_mark(text: str) -> str:
    """The text up to its first mark outside of quotes; `</s>` behind an open `<s>` is HTML."""
    quoted = [match.span() for match in QUOTED.finditer(text)]
    for match in MARK.finditer(text):
        is_html = match[0] == "</s>" and text.count("<s>", 0, match.start()) > text.count("</s>", 0, match.start())
        if not is_html and not any(start < match.start() < end for start, end in quoted):
            return text[: match.start()]
    return text


def holds_mark(answer: str) -> bool:
    """Whether a right answer holds a mark that does not merely end it."""
    bare = up_to_mark(answer)
    is_ended = bool(bare.strip()) and not END.sub("", answer[len(bare) :]).strip()
    return START.match(answer) is not None or (bare != answer and not is_ended)


def is_answer(header: "regex.Match[str]") -> bool:
    """Whether a header opens a turn of the model."""
    return str(header["role"]).lower() in ANSWER_ROLES
