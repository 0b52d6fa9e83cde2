"""Writes the Modelfile of an export, from which Ollama makes a model that reads prompts as they were measured"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import ModelError
from pipeline.export import gguf_back
from pipeline.export.fine_tuned import FineTuned
from pipeline.export.request import Form
from pipeline.models import loading, renderer
from pipeline.models.harness_renderer import HarnessRenderer
from pipeline.models.renderer import Renderer
from pipeline.store import records
from pipeline.store.records import Prompt, Turn, as_turns, prompt_text

SYSTEM, QUESTION, ANSWER, FOLLOWING = "\ue010", "\ue011", "\ue012", "\ue013"
"""Stand for the texts of turns while a chat template writes what is between them."""


@dataclass(frozen=True)
class ChatPieces:
    """What a chat template writes around the texts of turns."""

    start: str
    """Before the first question, where there is no system turn."""
    system: tuple[str, str]
    """Before and after a system turn; empty where the template takes none."""
    question_end: str
    """Between a question and its answer."""
    answer_end: str
    """Between an answer and the next question."""

    def render(self, turns: Sequence[Turn]) -> str:
        """A conversation up to where the next answer begins."""
        has_system = turns[0].role == "system"
        text = self.system[0] + turns[0].content + self.system[1] if has_system else self.start
        for turn in turns[has_system:]:
            text += turn.content + (self.answer_end if turn.role == "assistant" else self.question_end)
        return text

    def template(self) -> str:
        """The same in the language of Ollama's templates."""
        before, after = self.system
        start = (
            f"{{{{ if .System }}}}{before}{{{{ .System }}}}{after}{{{{ else }}}}{self.start}{{{{ end }}}}"
            if before or after
            else self.start
        )
        return (
            f'{start}{{{{ range .Messages }}}}{{{{ if eq .Role "user" }}}}{{{{ .Content }}}}{self.question_end}'
            f'{{{{ else if eq .Role "assistant" }}}}{{{{ .Content }}}}{self.answer_end}{{{{ end }}}}{{{{ end }}}}'
        )


def text(tuned: FineTuned, form: Form) -> str:
    """The Modelfile; where Ollama's prompts would differ from ours, it says so."""
    render = renderer.renderer(tuned.spec)
    template, note = chat_template(tuned, render) if render.chat else plain_template(tuned, render)
    stops = [render.tokenizer.decode([number]) for number in sorted({render.end_id, render.tokenizer.eos_token_id})]
    settings = [
        "PARAMETER temperature 0",
        "PARAMETER repeat_penalty 1",
        f"PARAMETER num_ctx {loading.configured_window(tuned.spec)}",
        f"PARAMETER num_predict {records.answer_tokens(tuned.loading['max_new_tokens'], tuned.examples)}",
        *(f"PARAMETER stop {quoted(stop)}" for stop in dict.fromkeys([*stops, *tuned.loading["stop"], *render.stop_strings])),
    ]
    lines = [
        f"# ollama create {form.name} -f Modelfile",
        f"# {note}",
        f"FROM ./{gguf_back.model_file(form)}",
        *([] if form.merge else [f"ADAPTER ./{gguf_back.adapter_file(form)}"]),
        *([f'TEMPLATE """{template}"""'] if template else []),
        *settings,
    ]
    return "\n".join(lines) + "\n"


def quoted(stop: str) -> str:
    """A stop string as a Modelfile takes it, on one line or several."""
    if "\n" in stop or stop[:1] in ('"', " "):
        return f'"""{stop}"""'
    return stop if '"' in stop else f'"{stop}"'


def plain_template(tuned: FineTuned, render: Renderer) -> tuple[str, str]:
    """The template of plain prompts, and how many test prompts it renders as they were measured."""
    prompts = [example.prompt for example in tuned.examples]
    ours = [prompt_text(prompt) if isinstance(render, HarnessRenderer) else render.prompt_answer_boundary(prompt)[0] for prompt in prompts]
    texts = [prompt_text(prompt) for prompt in prompts]
    most, template = max((count_equal([one.rstrip(" ") + end for one in texts], ours), end) for end in (" ", ""))
    as_sent = count_equal(texts, ours)
    if as_sent >= most:
        return "{{ .Prompt }}", counted(as_sent, len(ours))
    return f"{{{{ .Prompt }}}}{template}", counted(most, len(ours), " sent without blanks at their end")


def chat_template(tuned: FineTuned, render: Renderer) -> tuple[str, str]:
    """The template of conversations, and how many test prompts it renders as they were measured."""
    prompts: list[Prompt] = [example.prompt for example in tuned.examples]
    try:
        pieces = chat_pieces(render)
    except ModelError as error:
        return "", f"TEMPLATE is left out, and Ollama chooses one by the chat template of the GGUF file: {error.problem}."
    start = (render.tokenizer.bos_token or "") if render.adds_start else ""
    turns = [as_turns(prompt) for prompt in prompts]
    ours = [render.conversation(one).removeprefix(start) for one in turns]
    theirs = [pieces.render(one) if {turn.role for turn in one} <= {"system", "user", "assistant"} else "" for one in turns]
    return pieces.template(), counted(count_equal(theirs, ours), len(ours))


def chat_pieces(render: Renderer) -> ChatPieces:
    """What the chat template of a renderer writes around turns, without a start token that Ollama adds.

    Raises:
        ModelError: it does more than to write something between them.
    """
    bos = (render.tokenizer.bos_token or "") if render.adds_start else ""

    def written(*turns: Turn) -> str:
        return render.conversation(turns).removeprefix(bos)

    first, answer, second = Turn("user", QUESTION), Turn("assistant", ANSWER), Turn("user", FOLLOWING)
    start, _, question_end = written(first).partition(QUESTION)
    several = written(first, answer, second)
    between, _, rest = several.partition(QUESTION)[2].partition(ANSWER)
    answer_end, _, end = rest.partition(FOLLOWING)
    try:
        before, _, after = written(Turn("system", SYSTEM), first).partition(SYSTEM)
        system = (before, after.partition(QUESTION)[0])
    except ModelError:  # the template takes no system turn
        system = ("", "")
    pieces = ChatPieces(start, system, question_end, answer_end)
    if (between, end) != (question_end, question_end) or pieces.render([first, answer, second]) != several:
        raise ModelError("the chat template writes earlier turns otherwise than the last one")
    if any(mark in piece for piece in (start, *system, question_end, answer_end) for mark in ("{{", '"""')):
        raise ModelError('the chat template writes {{ or """')
    return pieces


def count_equal(some: Sequence[str], others: Sequence[str]) -> int:
    """How many texts are equal."""
    return sum(one == other for one, other in zip(some, others, strict=True))


def counted(equal: int, count: int, how: str = "") -> str:
    """A line on the template."""
    return f"TEMPLATE renders {equal:,} of {count:,} test prompts{how} as they were measured."
