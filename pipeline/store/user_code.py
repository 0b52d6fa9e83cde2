"""Reads Python files of a user, with what they import beside them, as texts that travel in a job's parameters; and runs such texts.

A file runs from a copy of these texts and nowhere else, so whatever it is made of is part of the keys of the jobs that use it.
"""

import ast
import atexit
import builtins
import importlib.util
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, ParamSpec, TypedDict, TypeVar, cast

from pipeline.errors import RecipeError, UserError, suggest
from pipeline.store.artifact import json_sha256

MAX_CHARACTERS = 1_000_000
"""Of all files of a Bundle together: they are part of the parameters of several jobs, and of the page."""
PACKAGE = "loralift_user_code_"
"""Begins the name of the package that the files of a Bundle are imported as; the rest is its digest."""

P = ParamSpec("P")
T = TypeVar("T")


class Bundle(TypedDict):
    """A user's Python file and those that it imports beside it, as texts."""

    start: str
    """The name of the file that a recipe names."""
    files: dict[str, str]
    """By path from its folder, with `/`."""


class UserCodeError(UserError):
    """Code of the user failed, or is none that can be used; says in which file and line."""


def digest(bundle: Bundle) -> str:
    """16 hexadecimal digits that change with any character of the files."""
    return json_sha256(dict(bundle))[:16]


def collect(path: Path, whole_folder: bool = False) -> Bundle:
    """The file with what it imports beside it, and what that imports; nothing is executed.

    Args:
        whole_folder: take every text file of its folder too, as an `evaluate` module may have data there.

    Raises:
        RecipeError: there is no such file, one is no Python in UTF-8 or has the name of an installed module, or they are too large.
    """
    if not path.is_file():
        near = sorted(file.name for file in path.parent.glob("*.py")) if path.parent.is_dir() else []
        remedy = suggest(path.name, near) if near else f"The folder {path.parent} has no Python files."
        raise RecipeError(f"there is no file {path}.", remedy)
    files: dict[str, str] = {}
    pending = [path]
    while pending:
        file = pending.pop()
        name = file.relative_to(path.parent).as_posix()
        if name not in files:
            files[name] = read(file)
            pending += imported_files(file, files[name], path.parent)
    if whole_folder:
        others = [file for file in sorted(path.parent.rglob("*")) if is_part(file, path.parent)]
        files |= {file.relative_to(path.parent).as_posix(): read(file) for file in others}
    if (size := sum(map(len, files.values()))) > MAX_CHARACTERS:
        problem = f"{path} consists of {len(files)} files with {size:,} characters, and at most {MAX_CHARACTERS:,} are taken."
        raise RecipeError(problem, "Read large data through a Source of the task, which names the file.")
    return {"start": path.name, "files": dict(sorted(files.items()))}


def is_part(file: Path, folder: Path) -> bool:
    parts = file.relative_to(folder).parts
    is_hidden = any(part.startswith((".", "__pycache__")) or part.endswith("~") for part in parts)
    return file.is_file() and not is_hidden and file.suffix != ".pyc"


def read(file: Path) -> str:
    """The text of a file. Raises RecipeError: it cannot be read, is no UTF-8, or is Python with a mistake in its syntax."""
    try:
        text = file.read_text("utf-8")
        if file.suffix == ".py":
            ast.parse(text)
    except OSError as error:
        raise RecipeError(f"cannot read {file}: {error.strerror}.", "A file of code must be readable.") from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{file} is not UTF-8 text (byte {error.start + 1}).", "Save it as UTF-8.") from None
    except SyntaxError as error:
        raise RecipeError(f"{file} line {error.lineno}: {error.msg}: {(error.text or '').strip()}", "Mend it there.") from None
    except ValueError as error:  # zero bytes
        raise RecipeError(f"{file} is not Python: {error}.", "Save it as UTF-8.") from None
    return text


def imported_files(file: Path, text: str, folder: Path) -> Iterator[Path]:
    """The files in `folder` that a file imports, wherever in it the import stands.

    Raises:
        RecipeError: one has the name of an installed module, so that it is not clear which is meant.
    """
    for node in ast.walk(ast.parse(text)):
        names: list[str] = []
        base = folder
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = file.parents[node.level - 1]
            module = node.module or ""
            names = [module, *(f"{module}.{alias.name}".lstrip(".") for alias in node.names)]
        for name in filter(None, names):
            beside = [path for path in files_of(name, base) if path.is_relative_to(folder)]
            top = name.partition(".")[0]
            if beside and not getattr(node, "level", 0) and is_installed(top):
                line = getattr(node, "lineno", 1)
                problem = f"{file} line {line} imports {top}, which is an installed module and also {beside[0]}."
                raise RecipeError(problem, f"Rename {beside[0].name}.")
            yield from beside


def files_of(name: str, folder: Path) -> list[Path]:
    """The files of a dotted module in a folder: the __init__.py of the packages on its way, and its own."""
    parts = name.split(".")
    packages = [folder.joinpath(*parts[:length]) / "__init__.py" for length in range(1, len(parts) + 1)]
    return [path for path in (*packages, folder.joinpath(*parts).with_suffix(".py")) if path.is_file()]


def is_installed(name: str) -> bool:
    """Whether a module of that name comes with Python or with a package, wherever the current folder is."""
    places = [place for place in sys.path if Path(place).name in ("site-packages", "dist-packages")]
    return name in sys.stdlib_module_names or name == "pipeline" or PathFinder.find_spec(name, places) is not None


@cache
def copies() -> Path:
    """The folder of this process that holds copies of files; it goes with the process."""
    folder = Path(tempfile.mkdtemp(prefix="loralift-code-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def load(bundle: Bundle) -> ModuleType:
    """The module of a bundle, executed once per process and content.

    Raises:
        UserCodeError: the code fails while it is loaded; says in which line.
    """
    package = f"{PACKAGE}{digest(bundle)}"
    if package not in sys.modules:
        folder = copies() / package
        for name, text in bundle["files"].items():
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise UserCodeError(f"code names a file outside its folder: {name!r}.", "Do not trust where it comes from.")
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, "utf-8")
        root = ModuleType(package)
        root.__path__ = [str(folder)]
        sys.modules[package] = root
    try:
        return Loader(package, bundle).module(Path(bundle["start"]).stem)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise failure(bundle, error, "while it was loaded") from error


class Loader:
    """Imports the files of a bundle as modules of one package, so that two bundles may have files of the same name."""

    def __init__(self, package: str, bundle: Bundle) -> None:
        self.package = package
        self.files = bundle["files"]
        self.folder = copies() / package

    def module(self, name: str) -> ModuleType:
        """The module of a dotted name from the bundle's folder."""
        whole = f"{self.package}.{name}"
        if whole not in sys.modules:
            parent, _, last = name.rpartition(".")
            above = self.module(parent) if parent else sys.modules[self.package]
            setattr(above, last, self.executed(name, whole))
        return sys.modules[whole]

    def executed(self, name: str, whole: str) -> ModuleType:
        """The module of a dotted name, made anew; `whole` is its name with that of the package."""
        path = self.folder.joinpath(*name.split("."))
        is_package = path.is_dir() and not path.with_suffix(".py").is_file()
        if is_package and not (path / "__init__.py").is_file():
            module = ModuleType(whole)
            module.__path__ = [str(path)]
            sys.modules[whole] = module
            return module
        places = [str(path)] if is_package else None
        file = path / "__init__.py" if is_package else path.with_suffix(".py")
        spec = importlib.util.spec_from_file_location(whole, file, submodule_search_locations=places)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": self.import_statement}
        sys.modules[whole] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[whole]
            raise
        return module

    def import_statement(
        self, name: str, scope: Any = None, inner: Any = None, fromlist: tuple[str, ...] | None = (), level: int = 0
    ) -> ModuleType:
        """What an import statement in a file of the bundle calls: its own files first, else as everywhere."""
        if level:
            above = str(scope["__package__"]).split(".")
            name = ".".join(filter(None, [*above[1 : len(above) - level + 1], name]))
        elif not self.has(name.partition(".")[0]):
            return builtins.__import__(name, scope, inner, fromlist or (), level)
        module = self.module(name) if name else sys.modules[self.package]
        for part in fromlist or ():
            if not hasattr(module, part) and self.has(whole := f"{name}.{part}".lstrip(".")):
                setattr(module, part, self.module(whole))
        return module if fromlist or level else self.module(name.partition(".")[0])

    def has(self, name: str) -> bool:
        start = name.replace(".", "/")
        return any(file == f"{start}.py" or file.startswith(f"{start}/") for file in self.files)


def failure(bundle: Bundle, error: BaseException, doing: str) -> UserCodeError:
    """The error that names file and line where code of a bundle failed, and what it was doing."""
    remedy = "Mend it there."
    if isinstance(error, ModuleNotFoundError):
        remedy = f"Install it, or put {str(error.name).rpartition('.')[2]}.py beside {bundle['start']}."
    if isinstance(error, FileNotFoundError):
        remedy = "Beside the file come what it imports and, for a metric, the files of its folder; data come from a Source."
    return UserCodeError(f"{location(bundle, error)}: {description(bundle, error)} ({doing}).", remedy)


def description(bundle: Bundle, error: BaseException) -> str:
    """The type of an error and its message, on one line; names of the copy as in the user's folder."""
    package = f"{PACKAGE}{digest(bundle)}"
    message = str(error).replace(f"{copies() / package}/", "").replace(f"{package}.", "")
    return f"{type(error).__name__}: {' '.join(message.split())}".rstrip(": ")


def location(bundle: Bundle, error: BaseException) -> str:
    """File and line of the last frame of an error that lies in the bundle."""
    folder = copies() / f"{PACKAGE}{digest(bundle)}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(folder)]
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_relative_to(folder):
        return f"{Path(error.filename).relative_to(folder)} line {error.lineno}"
    return f"{Path(frames[-1].filename).relative_to(folder)} line {frames[-1].lineno}" if frames else bundle["start"]


def is_own(value: Any) -> bool:
    """Whether a function or class was defined in files of a user."""
    return str(getattr(value, "__module__", "")).startswith(PACKAGE)


def guarded(function: Callable[P, T], bundle: Bundle, doing: str) -> Callable[P, T]:
    """The function with its errors as UserCodeError; errors that are meant for the user pass."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except UserError:
            raise
        except Exception as error:
            raise failure(bundle, error, doing) from error

    return call


def bundles_in(value: Any) -> Iterator[tuple[str, Bundle]]:
    """Every bundle in the parameters of a job with its name, as parameters of a task hold them under `code`."""
    if isinstance(value, Mapping):
        code = value.get("code")
        if isinstance(code, Mapping):
            pairs = [(str(name), cast(Bundle, bundle)) for name, bundle in code.items() if isinstance(bundle, Mapping)]
            yield from ((name, bundle) for name, bundle in pairs if {"start", "files"} <= bundle.keys())
        for name, inner in value.items():
            if name != "code":
                yield from bundles_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from bundles_in(inner)
