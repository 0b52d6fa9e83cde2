"""Tells tests that can run in a process of their own from those that must share one with the program, by their text."""

import ast
import builtins
import sys

SHARED = {
    *("stdout", "stderr", "stdin", "argv", "modules", "setrecursionlimit", "seed", "getsource", "redirect_stdout", "redirect_stderr"),
    *(
        "io",
        "os",
        "inspect",
        "unittest",
        "mock",
        "patch",
        "builtins",
        "gc",
        "importlib",
        "ctypes",
        "signal",
        "threading",
        "program",
        "pytest",
    ),
    *("globals", "locals", "vars", "id", "input", "open", "__import__", "__dict__", "__globals__", "__code__"),
}
"""Names in tests that reach what a process has for itself: its streams, modules, files and random state."""


def separable(tests: str) -> bool:
    """Whether tests can run in a process of their own: they share no state with the program and derive nothing from its classes.

    Tests that hand over what cannot be copied, such as a generator, are found out only when they do: CANNOT_SEND.
    """
    try:
        tree = ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return not any(shares(node) for node in ast.walk(tree))


def shares(node: ast.AST) -> bool:
    match node:
        case ast.ClassDef() | ast.Global():
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
            return name.partition(".")[0] in SHARED
        case ast.ExceptHandler(type=ast.expr() as kinds):
            return any(
                isinstance(part, ast.Name | ast.Attribute) and not hasattr(builtins, getattr(part, "id", "")) for part in ast.walk(kinds)
            )
        case ast.Compare(ops=ops, comparators=others):
            return any(
                isinstance(op, ast.Is | ast.IsNot) and not isinstance(other, ast.Constant) for op, other in zip(ops, others, strict=True)
            )
    return False


def library_modules(tests: str) -> list[str]:
    """Modules of the standard library that tests use without an import of their own (`sys.getsizeof`)."""
    tree = ast.parse(tests)
    bases = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return sorted({node.id for node in used} & set(sys.stdlib_module_names) - {node.id for node in used if id(node) not in bases})


def replaced_builtins(tests: str) -> list[str]:
    """`assert sum(10, 15) == 6` tests the program's own sum, since it tests nothing else; the sum in `sum(f(10)) == 6` is Python's."""
    tree = ast.parse(tests)
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    return sorted(called) if all(hasattr(builtins, node.id) for node in ast.walk(tree) if isinstance(node, ast.Name)) else []
