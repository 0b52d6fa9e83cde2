"""Cuts the functions of a program into basic blocks, by its syntax: lines that always run one after the other."""

import ast

Block = tuple[int, int]
"""First and last line of a block, counted from 1."""
JUMPS = (ast.Return, ast.Raise, ast.Break, ast.Continue)
LOOPS = (ast.For, ast.AsyncFor, ast.While)


def block_of_line(program: str) -> dict[int, Block]:
    """The block of every line that holds a statement; empty for what is no program."""
    blocks: list[Block] = []
    try:
        collect(ast.parse(program).body, blocks)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    of_line: dict[int, Block] = {}
    for block in blocks:
        for line in range(block[0], block[1] + 1):
            of_line.setdefault(line, block)
    return of_line


def collect(body: list[ast.stmt], blocks: list[Block]) -> None:
    """Add the blocks of a suite: a loop's head stands alone, since it runs once a turn; other heads end the block before them."""
    current: list[int] = []

    def close() -> None:
        if current:
            blocks.append((current[0], current[-1]))
            current.clear()

    for statement in body:
        suites = suites_of(statement)
        if isinstance(statement, LOOPS):
            close()
        current += [statement.lineno, head_end(statement, suites)]
        if suites or isinstance(statement, JUMPS):
            close()
        for suite in suites:
            collect(suite, blocks)
    close()


def suites_of(statement: ast.stmt) -> list[list[ast.stmt]]:
    """The indented bodies of a statement, each a list of statements."""
    suites = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
    suites += [handler.body for handler in getattr(statement, "handlers", [])]
    suites += [case.body for case in getattr(statement, "cases", [])]
    return [suite for suite in suites if suite]


def head_end(statement: ast.stmt, suites: list[list[ast.stmt]]) -> int:
    """The last line of a statement, or of what stands before its first body."""
    last = statement.end_lineno or statement.lineno
    return max(statement.lineno, min(suites[0][0].lineno - 1, last)) if suites else last
