"""The program's side of its tests: answers what the tests in the other process ask, call by call, and knows nothing else of them."""

import builtins
import contextlib
import operator
import sys
from collections.abc import Callable
from typing import Any

from pipeline.sandbox import values

OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": lambda function, arguments, named: function(*arguments, **named),
    "in_class": lambda kind, value: isinstance(value, kind),
    **{
        name: getattr(builtins, name)
        for name in ("getattr", "setattr", "delattr", "len", "iter", "next", "reversed", "str", "repr", "bool")
    },
    **{name: getattr(builtins, name) for name in ("int", "float", "complex", "hash", "round", "abs")},
    **{
        name: getattr(operator, name)
        for name in ("getitem", "setitem", "delitem", "index", "neg", "pos", "invert", "eq", "lt", "le", "gt", "ge")
    },
    **{
        name: getattr(operator, name) for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor")
    },
}


class Server:
    """Answers requests on the objects of one program."""

    def __init__(self, reason_of: Callable[[BaseException], str]) -> None:
        self.names: dict[str, Any] = {}
        self.reason_of = reason_of
        self.objects: list[Any] = []
        self.numbers: dict[int, int] = {}
        self.callbacks: dict[int, Any] = {}
        """By the number of its handle, what stands here for a function of the tests."""
        self.requests = self.replies = -1

    def serve(self, names: dict[str, Any], requests: int, replies: int) -> None:
        """Answer until the tests have ended. The first message says that the program was loaded."""
        self.names, self.requests, self.replies = names, requests, replies
        values.send(replies, b"")
        while (request := values.receive(requests)) is not None:
            self.reply(self.answer(request))

    def reply(self, message: bytes) -> None:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        values.send(self.replies, message)

    def call_back(self, number: int, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """The result of a function of the tests, which may ask for more of the program's before it returns."""
        values.send(self.replies, self.dumps(("callback", values.callback_number(number), arguments, named)))
        while (message := values.receive(self.requests)) is not None:
            name, outcome = self.load(message)
            if name != "returned":
                self.reply(self.answer(message))
                continue
            kind, result, more = outcome
            if kind == "raised":
                raise getattr(builtins, result[0], Exception)(*more)
            values.renew(arguments, more)
            return result
        raise SystemExit  # the tests have ended

    def load(self, message: bytes) -> Any:
        return values.loads(message, self.find, self.from_handle)

    def answer(self, request: bytes) -> bytes:
        """The result and, where the operation has changed its arguments, their new values; or the exception."""
        try:
            name, arguments = self.load(request)
            before = self.dumps(arguments)
            result = self.names[arguments[0]] if name == "name" else OPERATIONS[name](*arguments)
            changed = arguments if name == "call" and self.dumps(arguments) != before else None
            return self.dumps(("value", result, changed))
        except BaseException as error:
            return self.description(error)

    def description(self, error: BaseException) -> bytes:
        """Its built-in types, its arguments, its reason in the words of sandbox.py and its traceback."""
        kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
        reason = self.reason_of(error)
        frames = error.__traceback__
        while frames and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        try:
            import traceback  # slow to load

            return self.dumps(("raised", kinds, error.args, reason, "".join(traceback.format_exception(error.with_traceback(frames)))))
        except BaseException:
            return self.dumps(("raised", kinds, (), reason, ""))

    def dumps(self, value: Any) -> bytes:
        return values.dumps(value, self.reduce)

    def reduce(self, value: Any) -> Any:
        if values.is_plain(value):
            return NotImplemented
        if (number := next((number for number, function in self.callbacks.items() if function is value), 0)) < 0:
            return values.handle, (number, None)
        if (plain := values.scalar(value)) is not None:
            return plain
        if id(value) not in self.numbers:
            self.numbers[id(value)] = len(self.objects)
            self.objects.append(value)
        return values.handle, (self.numbers[id(value)], values.contents(value))

    def from_handle(self, number: int, *_: Any) -> Any:
        if number >= 0:
            return self.objects[number]
        if number not in self.callbacks:
            self.callbacks[number] = lambda *arguments, **named: self.call_back(number, arguments, named)
        return self.callbacks[number]

    def find(self, module: str, name: str) -> Any:
        return operator.attrgetter(name)(values.library_module(module))
