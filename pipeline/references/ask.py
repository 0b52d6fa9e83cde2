"""Asks an OpenAI-compatible endpoint every question of an exam, and pays for no answer twice.

Greedy chat completions of one user message, several at a time. The first question goes alone, so a wrong key or model costs one
request. What may pass (429, 5xx, timeouts, cut connections, garbled bodies) is tried again after a wait; anything else ends the
run at once.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import MachineError, ModelError
from pipeline.progress import Meter, meter
from pipeline.references.endpoint import BusyError, Call, Endpoint, check_address, key_of, on_this_machine, wait
from pipeline.store.records import Example, Prediction
from pipeline.store.row_log import Kept

STOPS = 4
"""Stop strings that servers take; all are cut here as well."""
TOKEN_CHARACTERS = 4
"""Characters of English text in a token, by OpenAI's rule of thumb; used where the server reports no usage."""
REFUSALS = ("content_filter", "content_policy_violation", "invalid_prompt")
"""Codes of a 400 for a prompt that a filter stopped: Azure's, proxies' and OpenAI's."""
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class Ask:
    """What an answer may be."""

    max_new_tokens: int
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer with what it took."""

    example: str
    text: str
    tokens: int
    """Completion tokens as the server counts them, those behind a stop string that was cut here included."""
    stopped: str
    """`eos`, `stop`, `length`, or `refused` with an empty text. Most servers do not tell `stop` from `eos`; that counts as `eos`."""
    prompt_tokens: int
    reported: bool
    """The token counts are the server's; else estimated from the length of the text."""
    tries: int
    seconds: float
    """Of the try that was answered."""
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


def answers(call: Call, ask: Ask, exam: list[Example], kept: Path, offline: bool = False, sleep: Sleep = asyncio.sleep) -> list[Reply]:
    """A reply for every example, in the order of the exam.

    Args:
        kept: the file of finished replies; those in it are not asked for again. A kill loses what was under way, `concurrency` at most.
        offline: refuse every endpoint that is not on this machine.
        sleep: waits between tries.

    Raises:
        RecipeError: the endpoint is no base URL.
        MachineError: offline, no openai package or no key.
        ModelError: the endpoint refuses what is asked, or does not answer. The finished replies stay in `kept`.
    """
    check_address(call.endpoint)
    if offline and not on_this_machine(call.endpoint):
        problem = f"reference {call.model}: HF_HUB_OFFLINE is set, and {call.endpoint} is not on this machine"
        raise MachineError(problem, "Unset it to ask.")
    if find_spec("openai") is None:
        raise MachineError(f"reference {call.model}: the package openai is not installed", "pip install 'loralift[references]'")
    endpoint = Endpoint(call, key_of(call))
    with Kept(kept) as done, meter("asking", len(exam), "questions") as shown:
        found = {reply.example: reply for reply in (Reply(**row) for row in done.rows)}
        left = [example for example in exam if example.id not in found]
        shown.advance(len(exam) - len(left))

        def take(reply: Reply) -> None:
            done.add(asdict(reply))
            found[reply.example] = reply
            shown.advance()

        try:
            asyncio.run(Asker(endpoint, ask, take, shown, sleep).run(left))
        except ModelError as error:
            raise ModelError(error.problem, f"{error.remedy} Answers kept: {len(found)} of {len(exam)}.") from None
    return [found[example.id] for example in exam]


class Asker:
    """Examples in, replies out, over one client."""

    def __init__(self, endpoint: Endpoint, ask: Ask, take: Callable[[Reply], None], shown: Meter, sleep: Sleep) -> None:
        self.endpoint, self.call, self.ask, self.take, self.shown, self.sleep = endpoint, endpoint.call, ask, take, shown, sleep
        self.limit_name = "max_tokens"
        self.answered = False
        self.again = 0
        self.failure: Exception | None = None
        self.resting: set[asyncio.Task[Any]] = set()

    async def run(self, exam: list[Example]) -> None:
        """Hand every reply to `take` as it comes.

        After a failure no question is begun; answers under way are waited for, since they are paid for.
        """
        if not exam:
            return
        async with self.endpoint.connect() as client:
            await self.work(client, iter(exam[:1]))
            left = iter(exam[1:])
            await asyncio.gather(*(self.work(client, left) for _ in range(self.call.concurrency)), return_exceptions=True)
        if self.failure:
            raise self.failure

    async def work(self, client: Any, left: Iterator[Example]) -> None:
        """Answer questions until there are none left or one failed."""
        for example in left:
            if self.failure:
                return
            try:
                self.take(await self.reply(client, example))
                self.answered = True
            except Exception as error:
                self.failure = self.failure or error
                for task in self.resting:
                    task.cancel()

    async def reply(self, client: Any, example: Example) -> Reply:
        """The reply to one question, in as many tries as it takes."""
        patience, tried = self.call.patience, 0
        while True:
            tried, start = tried + 1, time.monotonic()
            try:
                body = await self.request(client, example.prompt)
                return self.read(example, body, tried, time.monotonic() - start)
            except BusyError as busy:
                if tried >= patience.tries or self.failure:
                    raise self.endpoint.fault(
                        f"does not answer in {tried} tries: {busy.why}", "Run the same command again later."
                    ) from None
                if busy.after is not None and busy.after > patience.heed:
                    problem = f"asks to wait {busy.after:.0f} s: {busy.why}"
                    raise self.endpoint.fault(problem, "Run the same command again then.") from None
                self.again += 1
                self.shown.advance(0, f"({self.again} tried again)")
                await self.rest(wait(patience, tried, busy.after))

    async def rest(self, seconds: float) -> None:
        """Sleep where a failure of another question can wake and end this one."""
        task = asyncio.current_task()
        assert task is not None
        self.resting.add(task)
        try:
            await self.sleep(seconds)
        finally:
            self.resting.discard(task)

    async def request(self, client: Any, prompt: str) -> dict[str, Any]:
        """The body of one answer.

        Raises:
            BusyError: to be tried again.
            ModelError: not to be tried again.
        """
        import openai

        asked: dict[str, Any] = {"temperature": 0, self.limit_name: self.ask.max_new_tokens}
        asked |= {"stop": list(self.ask.stop[:STOPS])} if self.ask.stop else {}
        asked |= {"model": self.call.model, "messages": [{"role": "user", "content": prompt}]}
        try:
            raw = await client.chat.completions.with_raw_response.create(**asked, extra_headers=self.endpoint.headers())
        except openai.APIStatusError as error:
            if error.status_code == 400 and error.code in REFUSALS:
                return {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}
            if error.status_code == 400 and self.limit_name == "max_tokens" and "max_completion_tokens" in str(error.message):
                self.limit_name = "max_completion_tokens"  # the newer name; many servers know only the older one
                return await self.request(client, prompt)
            raise self.endpoint.status_fault(error) from None
        except openai.APIConnectionError as error:
            raise self.endpoint.connection_fault(error, self.answered) from None
        return self.endpoint.body_of(raw.http_response)

    def read(self, example: Example, body: dict[str, Any], tried: int, seconds: float) -> Reply:
        """The reply in a body. No choice, a refusal and a filter's stop are all `refused`."""
        choice = body["choices"][0] if body["choices"] else {"finish_reason": "content_filter", "message": {}}
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict) or not isinstance(message.get("content"), str | None):
            raise BusyError("the answer holds no text")
        finish = choice.get("finish_reason")
        refused = finish == "content_filter" or bool(message.get("refusal"))
        whole = "" if refused else self.endpoint.cleaned(message.get("content") or "")
        text = cut(whole, self.ask.stop)
        marked = len(text) < len(whole) or choice.get("stop_reason") in self.ask.stop  # vLLM names the string
        stopped = "refused" if refused else "stop" if marked else "length" if finish == "length" else "eos"
        counts = reported(body.get("usage"))
        prompt_tokens, tokens = counts or (estimate(example.prompt), estimate(whole))
        served = self.endpoint.cleaned(str(body.get("model") or ""))
        return Reply(example.id, text, tokens, stopped, prompt_tokens, counts is not None, tried, round(seconds, 4), served)


def cut(text: str, stop: tuple[str, ...]) -> str:
    """The text before the first stop string."""
    ends = [at for at in (text.find(mark) for mark in stop) if at >= 0]
    return text[: min(ends)] if ends else text


def reported(usage: object) -> tuple[int, int] | None:
    """Prompt and completion tokens, where the server reports both."""
    found = (usage.get("prompt_tokens"), usage.get("completion_tokens")) if isinstance(usage, dict) else (None, None)
    return (found[0], found[1]) if isinstance(found[0], int) and isinstance(found[1], int) else None


def estimate(text: str) -> int:
    """Tokens of a text whose tokenizer is not known."""
    return math.ceil(len(text) / TOKEN_CHARACTERS)


def usage(replies: list[Reply], seconds: float) -> dict[str, Any]:
    """What the replies took: tokens, requests (the tries of the answers that came), latency in seconds of the answered tries.

    seconds: wall time of this run; that of killed ones is not known.
    """
    times = sorted(reply.seconds for reply in replies)
    tries, estimated = sum(reply.tries for reply in replies), sum(not reply.reported for reply in replies)
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


def cost(used: Mapping[str, Any], price: Price) -> float:
    """USD for what usage() counts.

    Discounts for cached prompts are not known, so the bill may be less; where usage is estimated it may be more as well.
    """
    return float(used["prompt_tokens"] * price.input + used["completion_tokens"] * price.output) / 1e6
