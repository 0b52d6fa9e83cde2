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

    def serve(self, names: dict[str, Any], requests: int, replies: int) -> None:
        """Answer until the tests have ended. The first message says that the program was loaded."""
        self.names = names
        values.send(replies, b"")
        while (request := values.receive(requests)) is not None:
            reply = self.answer(request)
            with contextlib.suppress(BaseException):
                sys.stdout.flush()
            values.send(replies, reply)

    def answer(self, request: bytes) -> bytes:
        """The result and, where the operation has changed its arguments, their new values; or the exception."""
        try:
            name, arguments = values.loads(request, self.find, self.from_handle)
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
        if (plain := values.scalar(value)) is not None:
            return plain
        if id(value) not in self.numbers:
            self.numbers[id(value)] = len(self.objects)
            self.objects.append(value)
        return values.handle, (self.numbers[id(value)], values.contents(value))

    def from_handle(self, number: int, *_: Any) -> Any:
        return self.objects[number]

    def find(self, module: str, name: str) -> Any:
        return operator.attrgetter(name)(values.library_module(module))
