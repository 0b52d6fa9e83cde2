"""The side of the tests: runs their text in a process that the program cannot reach, and asks the program for what they call.

The text is run as it is. A name that it does not define stands for the program's: a function called there runs in the
program's process, its arguments and its result go over as copies, and what is compared is compared here. An object that is
no plain value stays with the program as a `Remote`, which equals no plain value, whatever its class says. A function of the
tests that they hand over stays here in the same way: the program gets one that asks this side to call it.
"""

import builtins
from _pickle import PicklingError
from collections.abc import Callable
from types import FunctionType
from typing import Any

from pipeline.sandbox import values
from pipeline.sandbox.reasons import reason_of

CANNOT_SEND = "the tests hand over what cannot be copied"
"""The reason where tests give the program, say, a generator of their own: they have to run in its process."""
TESTS = "tests"
"""The module of the functions that tests define."""
LOST = "lost"
"""The report where the program has ended before its tests: how it ended says why."""


class LostError(BaseException):
    """The program has ended."""


class CannotSendError(BaseException):
    """The tests hand over a value that is neither plain nor the program's."""


class Link:
    """Asks the program."""

    def __init__(self, requests: int, replies: int) -> None:
        self.requests = requests
        self.replies = replies
        self.callbacks: list[FunctionType] = []
        """Functions of the tests that the program may call."""

    def ask(self, operation: str, *arguments: Any) -> Any:
        """The result, or the program's exception. Arguments that the program has changed are changed here, too."""
        self.send((operation, arguments))
        while True:
            try:
                kind, *answer = values.loads(self.receive(), values.find_plain, self.from_handle)
                if kind == "callback":
                    function, sent, named = self.callbacks[answer[0]], tuple(answer[1]), dict(answer[2])
                raised = exception(*answer) if kind == "raised" else None
                result, changed = answer if kind == "value" else (None, None)
            except Exception:
                raise LostError from None  # no answer of ours
            if kind != "callback":
                break
            self.send(("returned", self.outcome(function, sent, named)))
        if raised:
            raise raised
        if changed is not None:
            values.renew(arguments, changed)
        return result

    def send(self, message: tuple[Any, ...]) -> None:
        try:
            request = values.dumps(message, self.reduce)
        except (PicklingError, TypeError, AttributeError) as error:
            raise CannotSendError(str(error)) from None
        try:
            values.send(self.requests, request)
        except BrokenPipeError:
            raise LostError from None

    def outcome(self, function: FunctionType, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        """What a function of the tests makes of the program's arguments, and their contents after it; or what it raises."""
        try:
            return "value", function(*arguments, **named), arguments
        except Exception as error:
            kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
            return "raised", kinds, [str(part) for part in error.args]

    def reduce(self, value: Any) -> Any:
        if type(value) is Remote:
            return values.handle, (value._number,)
        if type(value) is FunctionType and value.__module__ == TESTS:
            if value not in self.callbacks:
                self.callbacks.append(value)
            return values.handle, (values.callback_number(self.callbacks.index(value)),)
        return NotImplemented

    def receive(self) -> bytes:
        message = values.receive(self.replies)
        if message is None:
            raise LostError
        return message

    def from_handle(self, number: int, base: Any = None) -> "Remote | FunctionType":
        return Remote(self, number, base) if number >= 0 else self.callbacks[values.callback_number(number)]


class Remote:
    """An object of the program that is no plain value. `base` holds its contents where its class is derived from a container's."""

    def __init__(self, link: Link, number: int, base: Any) -> None:
        self.__dict__.update(_link=link, _number=number, _base=base)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """A named tuple is a tuple."""
        return Remote if self._base is None else type(self._base)

    def __getattr__(self, name: str) -> Any:
        return self._link.ask("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._link.ask("setattr", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._link.ask("delattr", self, name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._link.ask("call", self, arguments, named)

    def __instancecheck__(self, value: Any) -> bool:
        return self._link.ask("in_class", self, value) is True

    def __eq__(self, other: object) -> bool:
        if self._base is not None:
            return bool(self._base == (other._base if type(other) is Remote else other))
        return type(other) is Remote and (self._number == other._number or self._link.ask("eq", self, other) is True)

    def __hash__(self) -> int:
        return hash(self._number if self._base is None else self._base)


def both_remote(operation: str) -> Callable[[Remote, Any], Any]:
    """An operation that the program must not do with a value of the tests, since it could answer what they want to see."""

    def ask(self: Remote, other: Any) -> Any:
        if self._base is not None:
            return NotImplemented if type(other) is Remote else getattr(self._base, f"__{operation.rstrip('_')}__")(other)
        return self._link.ask(operation, self, other) if type(other) is Remote else NotImplemented

    return ask


def of_itself(operation: str) -> Callable[..., Any]:
    def ask(self: Remote, *arguments: Any) -> Any:
        return self._link.ask(operation, self, *arguments)

    return ask


for name in ("lt", "le", "gt", "ge", "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor"):
    setattr(Remote, f"__{name.rstrip('_')}__", both_remote(name))
for name in (
    "len",
    "iter",
    "next",
    "reversed",
    "str",
    "repr",
    "bool",
    "int",
    "float",
    "complex",
    "round",
    "abs",
    "index",
    "neg",
    "pos",
    "invert",
):
    setattr(Remote, f"__{name}__", of_itself(name))
for name in ("getitem", "setitem", "delitem"):
    setattr(Remote, f"__{name}__", of_itself(name))


def exception(kinds: list[str], arguments: tuple[Any, ...], reason: str, text: str) -> BaseException:
    """The program's exception as the nearest of Python's own, with what the report will say of it."""
    types = (getattr(builtins, kind, None) for kind in kinds)
    kind = next((kind for kind in types if isinstance(kind, type) and issubclass(kind, BaseException)), Exception)
    try:
        error = kind(*arguments)
    except Exception:
        error = Exception(*arguments)
    error.__dict__["report"] = (str(reason), str(text))
    return error


class Names(dict[str, Any]):
    """The global names of the tests: their own, Python's but for `replaced`, `modules` of its library, and for all others the program's."""

    def __init__(self, link: Link, modules: list[str], replaced: list[str]) -> None:
        super().__init__(__name__=TESTS)
        self.link = link
        self.modules = modules
        self.replaced = replaced

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name) and name not in self.replaced:
            raise KeyError(name)
        if name in self.modules:
            self[name] = values.library_module(name)
            return self[name]
        value = self.link.ask("name", name)
        if isinstance(value, Remote):
            self[name] = value
        return value


def run_tests(tests: dict[str, Any], requests: int, replies: int) -> tuple[str, str]:
    """Run tests, see sandbox.ProgramAndTests. "passed", LOST or why not, in the words of sandbox.py; and the traceback.

    `helpers` are functions that the tests may use besides the program's: they are run here, but for the one named `entry`.
    """
    link = Link(requests, replies)
    try:
        link.receive()
        names = Names(link, tests["modules"], tests["replaced"])
        define_helpers(tests["helpers"], names)
        names.pop(tests["entry"], None)
        exec(compile(tests["tests"], "<tests>", "exec", dont_inherit=True), names)
    except LostError:
        return LOST, ""
    except CannotSendError:
        return CANNOT_SEND, ""
    except BaseException as error:
        import traceback  # slow to load

        return error.__dict__.get("report") or (
            reason_of(error),
            "".join(traceback.format_exception(error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))),
        )
    return "passed", ""


def define_helpers(text: str, names: Names) -> None:
    """A beginning that is no program by itself defines none: then they are the program's."""
    try:
        exec(compile(text, "<helpers>", "exec", dont_inherit=True), names)
    except Exception:
        names.clear()
