"""Carries values between a program and its tests, which run in two processes: plain ones as copies, all others as handles.

A plain value is one of PLAIN by its exact type. A handle is a number that stands for an object that stays with the program.
Messages are pickles behind their length. The tests read what a program sent by `find_plain` alone, which knows no function
but the constructors of PLAIN: nothing that a program sends runs code in the process of its tests or equals what it is not.
"""

import importlib
import io
import os
import struct
import sys
import types
from _pickle import Pickler, Unpickler, UnpicklingError  # the module pickle takes longer to load
from collections.abc import Callable
from typing import Any

LENGTH = struct.Struct("<Q")
MAX_LENGTH = 1 << 31
HANDLES = "handles_of_program"
"""The name of the module of `handle`, by which a pickle names it."""
PLAIN = {
    "builtins": {
        "set",
        "frozenset",
        "range",
        "slice",
        "complex",
        "bytearray",
        "int",
        "float",
        "bool",
        "str",
        "bytes",
        "list",
        "tuple",
        "dict",
    },
    "collections": {"OrderedDict", "Counter", "defaultdict", "deque"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
}
"""Module and name of the types whose values are copied."""
SCALARS: dict[type, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    complex: complex.__complex__,
    str: str.__str__,
    bytes: bytes.__bytes__,
}
CONTAINERS: dict[type, Callable[[Any], Any]] = {
    list: list.__iter__,
    tuple: tuple.__iter__,
    dict: dict.items,
    set: set.__iter__,
    frozenset: frozenset.__iter__,
    bytearray: bytearray.__iter__,
}
Reduce = Callable[[Any], Any]
Find = Callable[[str, str], Any]


def handle(*_: Any) -> None:
    """Stands in a pickle for what gives the object of a handle on the other side."""


def register() -> None:
    """Make `handle` known by its name, whatever becomes of the modules of this package."""
    handle.__module__ = HANDLES
    sys.modules[HANDLES] = types.ModuleType(HANDLES)
    sys.modules[HANDLES].handle = handle  # type: ignore[attr-defined]


def callback_number(index: int) -> int:
    """The number of a handle that stands for a function of the tests; the program's objects are counted from 0."""
    return -1 - index


def is_plain(value: Any) -> bool:
    """Whether a value beyond those that pickle knows by itself, or a type, travels as a copy."""
    kind = value if isinstance(value, type) else type(value)
    return kind.__qualname__ in PLAIN.get(kind.__module__, ()) or value is handle or value is NotImplemented or value is Ellipsis


def scalar(value: Any) -> Any:
    """How a pickle makes the number or text that an instance of a derived class holds, such as a member of an IntEnum; else None."""
    return next(((base, (exact(value),)) for base, exact in SCALARS.items() if isinstance(value, base)), None)


def contents(value: Any) -> Any:
    """What an instance of a class derived from a container holds, such as a named tuple, in that container; else None."""
    return next((base(content(value)) for base, content in CONTAINERS.items() if isinstance(value, base)), None)


def find_plain(module: str, name: str) -> Any:
    """Raises UnpicklingError for what is no plain type."""
    if name not in PLAIN.get(module, ()):
        raise UnpicklingError(f"a value names {module}.{name}"[:80])
    return getattr(library_module(module), name)


def library_module(name: str) -> types.ModuleType:
    """A module of Python's own library; none of this package, whose code a child does not name so."""
    if name.partition(".")[0] not in sys.stdlib_module_names:
        raise ModuleNotFoundError(f"No module named {name!r}")
    return importlib.import_module(name)


def dumps(value: Any, reduce: Reduce) -> bytes:
    """`reduce` gives NotImplemented for what pickle shall write as it does, else what stands for an object."""

    class Writer(Pickler):
        def reducer_override(self, value: Any) -> Any:
            return reduce(value)

    file = io.BytesIO()
    Writer(file, protocol=5).dump(value)
    return file.getvalue()


def loads(data: bytes, find: Find, from_handle: Callable[..., Any]) -> Any:
    """`find` gives what a name stands for, `from_handle` the object of a handle."""

    class Reader(Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            return from_handle if module == HANDLES else find(module, name)

    return Reader(io.BytesIO(data)).load()


def renew(old: Any, new: Any) -> Any:
    """What the other side's copy `new` of a value is here: `old` itself, with its new contents, where it is a container of that type."""
    if type(old) is not type(new):
        return new
    if isinstance(old, list):
        old[:] = [*map(renew, old, new), *new[len(old) :]]
    elif isinstance(old, tuple):
        new = tuple(map(renew, old, new))
    elif isinstance(old, dict):
        contents = {key: renew(old[key], value) if key in old else value for key, value in new.items()}
        old.clear()
        old.update(contents)
    elif isinstance(old, set):
        old.clear()
        old.update(new)
    elif isinstance(old, bytearray):
        old[:] = new
    return old if isinstance(old, list | dict | set | bytearray) else new


def send(descriptor: int, data: bytes) -> None:
    rest = memoryview(LENGTH.pack(len(data)) + data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def receive(descriptor: int) -> bytes | None:
    """The next message; None at the end, and for a length that no message of ours has."""
    head = read_exactly(descriptor, LENGTH.size)
    length = LENGTH.unpack(head)[0] if head else MAX_LENGTH
    return read_exactly(descriptor, length) if length < MAX_LENGTH else None


def read_exactly(descriptor: int, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        new = os.read(descriptor, min(count - len(data), 1 << 20))
        if not new:
            return None
        data += new
    return bytes(data)


register()
