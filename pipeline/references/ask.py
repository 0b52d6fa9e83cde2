"""Sends held-out prompts to an OpenAI-compatible endpoint, and never requests an answer twice.

Greedy chat completions of one user message, several at a time. The first prompt is sent alone, so a wrong key or model costs one
request. Transient failures (429, 5xx, timeouts, cut connections, garbled bodies) are retried after a wait; anything else ends the
run at once.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import ModelError
from pipeline.machine import EndpointSettings
from pipeline.progress import Meter, meter
from pipeline.references import messages
from pipeline.references.endpoint import BusyError, Endpoint, OversizedError, backoff_seconds, ready_key
from pipeline.store.records import Example, Prediction, Prompt, first_stop
from pipeline.store.row_log import RowLog

MAX_STOP_STRINGS = 4
"""Stop strings that servers accept; answers are cut at all of them here as well."""
WHOLE_ANSWER = 3.0
"""Times the longest wait for a byte that a whole answer may take: a server may send a byte now and then for ever."""
MAX_TOKENS = 10**8
"""Tokens of one answer that a report of a server is believed up to."""
TOKEN_CHARACTERS = 4
"""Characters of English text in a token, by OpenAI's rule of thumb; used if the server reports no usage."""
FILTER_CODES = ("content_filter", "content_policy_violation", "invalid_prompt")
"""Error codes of a 400 for a filtered prompt: of Azure, proxies and OpenAI."""
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class AnswerLimits:
    """Where an answer ends."""

    max_new_tokens: int
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer with its token counts, time and number of tries."""

    example: str
    text: str
    tokens: int
    """Completion tokens as the server counts them, including those after a stop string that was cut here."""
    stopped: str
    """`eos`, `stop`, `length`, or `refused` with an empty text. Most servers do not distinguish `stop` from `eos`; that counts as `eos`."""
    prompt_tokens: int
    reported: bool
    """Whether the server reported the token counts; else they are estimated from the length of the text."""
    tries: int
    seconds: float
    """Duration of the successful try."""
    served: str
    """The model that the server says it used."""

    @property
    def prediction(self) -> Prediction:
        return Prediction(self.example, self.text, self.tokens, self.stopped)


class Price(Protocol):
    """USD per million tokens."""

    @property
    def input(self) -> float: ...
    @property
    def output(self) -> float: ...


def answers(
    settings: EndpointSettings,
    limits: AnswerLimits,
    heldout: list[Example],
    path: Path,
    offline: bool = False,
    sleep: Sleep = asyncio.sleep,
) -> list[Reply]:
    """A reply for every held-out example, in their order.

    Args:
        path: the file of finished replies, which are not requested again. A kill loses the requests in flight, at most `concurrency`.
        offline: refuse every endpoint that is not on this machine.
        sleep: waits between tries.

    Raises:
        RecipeError: the endpoint is not a base URL.
        MachineError: offline, no openai package or no key.
        ModelError: the endpoint refuses a request, or does not answer. The finished replies stay in `path`.
    """
    endpoint = Endpoint(settings, ready_key(settings, offline))
    with RowLog(path, is_reply) as log, meter("asking", len(heldout), "questions") as progress:
        replies = {reply.example: reply for reply in (Reply(**row) for row in log.rows)}
        unanswered = [example for example in heldout if example.id not in replies]
        progress.advance(len(heldout) - len(unanswered))

        def store_reply(reply: Reply) -> None:
            log.add(asdict(reply))
            replies[reply.example] = reply
            progress.advance()

        try:
            asyncio.run(Requester(endpoint, limits, store_reply, progress, sleep).run(unanswered))
        except ModelError as error:
            raise ModelError(error.problem, f"{error.remedy} Answers saved: {len(replies)} of {len(heldout)}.") from None
    return [replies[example.id] for example in heldout]


def one_token(endpoint: Endpoint) -> None:
    """Request one token, to know that address, key and model are right. A server that is busy may answer later, so that is no failure.

    Raises:
        ModelError: the endpoint refuses the request or is not there.
    """

    async def request() -> None:
        requester = Requester(endpoint, AnswerLimits(1), lambda _: None, Meter("asking", 1, "questions"), asyncio.sleep)
        async with endpoint.connect() as client:
            await requester.request(client, "1 + 1 =")

    with suppress(BusyError):
        asyncio.run(request())


def is_reply(row: dict[str, Any]) -> bool:
    """Whether a line of the finished replies holds one."""
    names = {field.name for field in fields(Reply)}
    return row.keys() == names and isinstance(row["example"], str) and isinstance(row["text"], str)


class Requester:
    """Requests a reply for every example over one client."""

    def __init__(self, endpoint: Endpoint, limits: AnswerLimits, on_reply: Callable[[Reply], None], progress: Meter, sleep: Sleep) -> None:
        self.endpoint = endpoint
        self.settings = endpoint.settings
        self.limits = limits
        self.on_reply = on_reply
        self.progress = progress
        self.sleep = sleep
        self.limit_name = "max_tokens"
        self.answered = False
        self.retries = 0
        self.failure: Exception | None = None
        self.sleeping_tasks: set[asyncio.Task[Any]] = set()

    async def run(self, examples: list[Example]) -> None:
        """Pass every reply to `take` as it arrives.

        After a failure no request is sent; those in flight are awaited, since they are paid for.
        """
        if not examples:
            return
        async with self.endpoint.connect() as client:
            await self.work(client, iter(examples[:1]))
            remaining = iter(examples[1:])
            await asyncio.gather(*(self.work(client, remaining) for _ in range(self.settings.concurrency)), return_exceptions=True)
        if self.failure:
            raise self.failure

    async def work(self, client: Any, remaining: Iterator[Example]) -> None:
        """Send prompts until none remains or one failed."""
        for example in remaining:
            if self.failure:
                return
            try:
                self.on_reply(await self.reply(client, example))
                self.answered = True
            except Exception as error:
                self.failure = self.failure or error
                for task in self.sleeping_tasks:
                    task.cancel()

    async def reply(self, client: Any, example: Example) -> Reply:
        """The reply to one prompt, after as many tries as it takes."""
        patience, tries = self.settings.patience, 0
        while True:
            tries, start = tries + 1, time.monotonic()
            try:
                body = await self.request(client, example.prompt)
                return self.read(example, body, tries, time.monotonic() - start)
            except BusyError as busy:
                if tries >= patience.tries or self.failure:
                    raise self.endpoint.fault(
                        f"does not answer in {tries} tries: {busy.why}", "Run the same command again later."
                    ) from None
                if busy.after is not None and busy.after > patience.heed:
                    problem = f"asks to wait {busy.after:.0f} s: {busy.why}"
                    raise self.endpoint.fault(problem, "Run the same command again then.") from None
                self.retries += 1
                self.progress.advance(0, f"({self.retries} tried again)")
                await self.rest(backoff_seconds(patience, tries, busy.after))

    async def rest(self, seconds: float) -> None:
        """Sleep, unless the failure of another request cancels this one."""
        task = asyncio.current_task()
        assert task is not None
        self.sleeping_tasks.add(task)
        try:
            await self.sleep(seconds)
        finally:
            self.sleeping_tasks.discard(task)

    async def request(self, client: Any, prompt: Prompt) -> dict[str, Any]:
        """The body of one answer.

        Raises:
            BusyError: a retry may succeed.
            ModelError: a retry would fail again.
        """
        import openai

        body: dict[str, Any] = {"temperature": 0, self.limit_name: self.limits.max_new_tokens}
        body |= {"stop": list(self.limits.stop[:MAX_STOP_STRINGS])} if self.limits.stop else {}
        body |= {"model": self.settings.model, **messages.request_body(prompt)}
        whole = WHOLE_ANSWER * self.settings.patience.timeout
        try:
            async with asyncio.timeout(whole):
                raw = await client.chat.completions.with_raw_response.create(**body, extra_headers=self.endpoint.headers())
        except TimeoutError:
            raise BusyError(f"no whole answer came in {whole:g} s") from None
        except RecursionError:
            raise BusyError("the answer is nested too deeply") from None
        except OversizedError:
            raise self.endpoint.size_fault() from None
        except openai.APIStatusError as error:
            if error.status_code == 400 and error.code in FILTER_CODES:
                return {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}
            if error.status_code == 400 and self.limit_name == "max_tokens" and "max_completion_tokens" in str(error.message):
                self.limit_name = "max_completion_tokens"  # the newer name; many servers know only the older one
                return await self.request(client, prompt)
            raise self.endpoint.status_fault(error) from None
        except openai.APIConnectionError as error:
            raise self.endpoint.connection_fault(error, self.answered) from None
        return self.endpoint.body_of(raw.http_response)

    def read(self, example: Example, body: dict[str, Any], tries: int, seconds: float) -> Reply:
        """Parse a response body. No choice, a refusal and a stop by a filter are all `refused`."""
        choice = body["choices"][0] if body["choices"] else {"finish_reason": "content_filter", "message": {}}
        message = choice.get("message") if isinstance(choice, dict) else None
        answer = messages.answer_text(message) if isinstance(message, dict) else None
        if not isinstance(message, dict) or answer is None:
            raise BusyError("the answer holds no text")
        finish = choice.get("finish_reason")
        refused = finish == "content_filter" or bool(message.get("refusal"))
        whole = "" if refused else self.endpoint.cleaned(answer)
        text = whole[: first_stop(whole, self.limits.stop)]
        hit_stop_string = len(text) < len(whole) or choice.get("stop_reason") in self.limits.stop  # vLLM names the string
        stopped = "refused" if refused else "stop" if hit_stop_string else "length" if finish == "length" else "eos"
        counts = reported_counts(body.get("usage"))
        prompt_tokens, tokens = counts or (estimate(example.text), estimate(whole))
        served = self.endpoint.cleaned(str(body.get("model") or ""))
        return Reply(example.id, text, tokens, stopped, prompt_tokens, counts is not None, tries, round(seconds, 4), served)


def reported_counts(usage: object) -> tuple[int, int] | None:
    """Prompt and completion tokens, if the server reports both."""
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens")) if isinstance(usage, dict) else (None, None)
    is_count = [type(count) is int and 0 <= count <= MAX_TOKENS for count in counts]
    return (counts[0], counts[1]) if all(is_count) else None  # type: ignore[return-value]


def estimate(text: str) -> int:
    """Estimated number of tokens of a text."""
    return math.ceil(len(text) / TOKEN_CHARACTERS)


def usage(replies: list[Reply], seconds: float) -> dict[str, Any]:
    """Totals over replies: tokens, requests (all tries of the answered prompts), latency in seconds of the successful tries.

    seconds: wall time of this run; that of killed runs is unknown.
    """
    times = sorted(reply.seconds for reply in replies)
    tries = sum(reply.tries for reply in replies)
    estimated = sum(not reply.reported for reply in replies)
    return {
        "prompt_tokens": sum(reply.prompt_tokens for reply in replies),
        "completion_tokens": sum(reply.tokens for reply in replies),
        "usage": "estimated" if estimated else "reported",
        "estimated": estimated,
        "requests": tries,
        "retries": tries - len(replies),
        "seconds": round(seconds, 3),
        "latency_p50": quantile(times, 0.5),
        "latency_p95": quantile(times, 0.95),
        "served": sorted({reply.served for reply in replies if reply.served}),
    }


def quantile(values: list[float], share: float) -> float | None:
    """The smallest of the sorted values that at least this share does not exceed (nearest rank); None without values."""
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else None


def usage_cost(usage: Mapping[str, Any], price: Price) -> float:
    """USD for the tokens that usage() counts.

    Discounts for cached prompts are unknown, so the bill may be lower; if usage is estimated, it may be higher too.
    """
    return float(usage["prompt_tokens"] * price.input + usage["completion_tokens"] * price.output) / 1e6
