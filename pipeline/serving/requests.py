"""Declares the requests that are answered. A parameter that would change the answer and is not supported is refused, never ignored."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from pipeline.serving.faults import ApiError
from pipeline.store.records import Prompt, Turn

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
}
"""Parameters that are not supported, with the values beside null that ask for nothing."""
IGNORED = ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls")
"""Parameters that change no answer."""
MAX_CHOICES = 128
ROLES = {"developer": "system"}
"""Roles that chat templates know by another name."""


def encodable(text: str) -> str:
    """The text. Raises ValueError for half of a surrogate pair, which JSON can spell and no tokenizer reads."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"no valid text: half of a character at {error.start}") from None
    return text


Text = Annotated[str, AfterValidator(encodable)]
StopString = Annotated[str, StringConstraints(min_length=1), AfterValidator(encodable)]
TokenIds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class StreamOptions(Body):
    include_usage: bool = False


class AnswerRequest(Body):
    """What both kinds of request have."""

    model: str
    """Id of the base or of an adapter, as /v1/models lists them."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    """Unset: 0, that is greedy, as the answers of a report are. OpenAI's default is 1."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: StopString | Annotated[list[StopString], Field(max_length=16)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def refuse_unsupported(cls, raw: Any) -> Any:
        """Drop parameters that ask for nothing. Raises ApiError for one that does, and is not supported."""
        if not isinstance(raw, dict):
            return raw
        for name in NEUTRAL.keys() & raw.keys():
            if raw[name] is not None and raw[name] not in NEUTRAL[name]:
                raise ApiError(400, f"{name} is not supported; leave it out", name, "unsupported_parameter")
        return {name: value for name, value in raw.items() if name not in NEUTRAL and name not in IGNORED}

    @property
    def choices(self) -> int:
        return self.n or 1

    @property
    def stop_strings(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def has_usage(self) -> bool:
        """Whether a stream ends with a chunk of token counts."""
        return bool(self.stream_options and self.stream_options.include_usage)


class TextPart(Body):
    type: Literal["text"]
    text: Text


class Message(Body):
    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[TextPart], Field(min_length=1)]
    name: str | None = None

    def turn(self) -> Turn:
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Turn(ROLES.get(self.role, self.role), text)


class TemplateOptions(Body):
    enable_thinking: bool | None = None
    """The thinking switch of the chat template; unset: on for adapters that were trained with it on, else off."""


class ChatRequest(AnswerRequest):
    """The body of /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1)]
    """The last one is the user's."""
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    chat_template_kwargs: TemplateOptions | None = None
    """As vLLM and SGLang name it; OpenAI has no such switch."""

    def prompt(self) -> Prompt:
        """The turns. Raises ApiError if the last one is not the user's."""
        if self.messages[-1].role != "user":
            raise ApiError(400, f"the last message is of the role {self.messages[-1].role}; it must be the user's", "messages")
        return tuple(message.turn() for message in self.messages)

    @property
    def thinks(self) -> bool | None:
        """Whether the thinking switch is wanted; None: as the model was trained."""
        return self.chat_template_kwargs.enable_thinking if self.chat_template_kwargs else None

    @property
    def new_tokens(self) -> int | None:
        """Tokens of the answer, at most; None: as many as fit. Raises ApiError for two limits."""
        limits = {self.max_tokens, self.max_completion_tokens} - {None}
        if len(limits) > 1:
            raise ApiError(400, "max_tokens and max_completion_tokens differ; name one of them", "max_tokens")
        return next(iter(limits), None)

    @property
    def logprob_count(self) -> int | None:
        """Likeliest tokens to report; None: no log-probabilities. Raises ApiError for top_logprobs without logprobs."""
        if self.top_logprobs is not None and not self.logprobs:
            raise ApiError(400, "top_logprobs needs logprobs: true", "top_logprobs")
        return (self.top_logprobs or 0) if self.logprobs else None


class CompletionRequest(AnswerRequest):
    """The body of /v1/completions."""

    prompt: Text | TokenIds | Annotated[list[Text], Field(min_length=1)] | Annotated[list[TokenIds], Field(min_length=1)]
    """One prompt or several, as text or as token ids."""
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    def prompts(self) -> list[str | list[int]]:
        """Every prompt, as text or as token ids."""
        entries: Any = self.prompt
        is_one = isinstance(entries, str) or isinstance(entries[0], int)
        return [entries] if is_one else list(entries)

    @property
    def new_tokens(self) -> int:
        """Tokens of the answer, at most; OpenAI's default where the request has no limit."""
        return self.max_tokens or 16

    @property
    def logprob_count(self) -> int | None:
        return self.logprobs
