"""Finds the files that a module's code consists of: imports, their imports, modules loaded by name, and data files beside them.

Reads the text of import statements anywhere in a file, so that nothing is executed and late imports of heavy libraries count too.
`tests/test_versions.py` compares the result with the syntax tree.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from pipeline.store.artifact import file_hash, json_sha256

PACKAGE = Path(__file__).parents[1]
IMPORT = re.compile(r"^[ \t]*(?:from (pipeline[\w.]*) import (\([^)]*\)|[^\n#]*)|import (pipeline[\w.]*))", re.MULTILINE)
ROOMS_BY_NAME = {
    "scoring/right_answers.py": "metrics",
    "scoring/constant_answers.py": "metrics",
    "scoring/scoring.py": "metrics",
    "scoring/gold_check.py": "metrics",
    "sandbox/sandbox.py": "sandbox",
}
"""A module that loads any module of a room by its name, and the room."""
FILES_BY_NAME = {"data/task.py": "tasks"}
"""A module that loads one module of a room by a name that a job's parameters hold, and the room."""


def files(start: Path, names: Iterable[str] = (), package: Path = PACKAGE) -> list[Path]:
    """All files that the code of a module consists of, sorted.

    Args:
        start: the module's file.
        names: words that may name a module, as strings_in(params) gives them.
        package: the folder `pipeline`; what it imports from elsewhere is not followed.
    """
    closure: set[Path] = set()
    pending = [start]
    while pending:
        path = pending.pop()
        if path not in closure:
            closure.add(path)
            pending += imports(path, package)
            name = path.relative_to(package).as_posix() if path.is_relative_to(package) else ""
            if name in ROOMS_BY_NAME:
                pending += modules(package / ROOMS_BY_NAME[name])
            if name in FILES_BY_NAME:
                pending += [path for path in modules(package / FILES_BY_NAME[name]) if path.stem in set(names)]
    rooms = {path.parent for path in closure if path.parent != package}
    return sorted(path for path in closure | {file for room in rooms for file in data_files(room)} if not is_docstring_only(path))


def version(start: Path, names: Iterable[str] = (), folders: Iterable[Path] = (), package: Path = PACKAGE) -> str:
    """16 hexadecimal digits that change with any byte of files() or of a file in the folders, which is data that the module reads.

    Bytes, not syntax trees: parsing takes ten times as long, and where an edited comment makes a cheap stage again, equal results
    come out, so that nothing expensive follows.
    """
    hashes = {relative_name(path, package): cached_hash(path) for path in files(start, names, package)}
    hashes |= {f"{folder.name}/{path.name}": cached_hash(path) for folder in folders for path in data_files(folder)}
    return json_sha256(hashes)[:16]


def relative_name(path: Path, package: Path) -> str:
    return path.relative_to(package).as_posix() if path.is_relative_to(package) else path.name


def modules(room: Path) -> list[Path]:
    return sorted(room.rglob("*.py"))


def data_files(folder: Path) -> list[Path]:
    """The data files of a folder, without code and without what editors and Python leave there."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    return [path for path in files if path.suffix not in (".py", ".pyc") and not path.name.startswith(".") and not path.name.endswith("~")]


@cache
def cached_hash(path: Path) -> str:
    """The file's hash, computed once per process: a run keeps the code that it started with."""
    return file_hash(path)


@cache
def imports(path: Path, package: Path) -> frozenset[Path]:
    """The files of the package that a file imports; a name may be a module or stand in one."""
    names = set()
    for module, listed, plain in IMPORT.findall(path.read_text("utf-8")):
        names |= {module or plain} | {f"{module}.{name}" for name in re.findall(r"(\w+)(?: as \w+)?", listed)}
    return frozenset(file for name in names if (file := file_of(name, package)))


def file_of(name: str, package: Path) -> Path | None:
    """The file of a module, if there is one of that name; not that of the whole package, which loads the API for others alone."""
    if "." not in name:
        return None
    path = package.joinpath(*name.split(".")[1:])
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def is_docstring_only(path: Path) -> bool:
    """Whether it is the __init__.py of a room and holds nothing but its docstring."""
    return path.name == "__init__.py" and len(ast.parse(path.read_text("utf-8")).body) < 2


def strings_in(value: object) -> Iterator[str]:
    """Every string in JSON values, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings_in(item)
