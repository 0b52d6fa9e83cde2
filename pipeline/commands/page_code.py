"""Handles code of its author's that a page brings: verify runs it only where the reader says so, and prints it on request."""

from collections.abc import Iterable

from pipeline.errors import UserError
from pipeline.page import fmt
from pipeline.store import user_code
from pipeline.store.artifact import Artifact
from pipeline.store.user_code import Bundle


class UntrustedCodeError(UserError):
    """The page was scored by code that came with it and was not run. The command line exits with 4: cannot tell."""

    status = 4


def bundles(artifacts: Iterable[Artifact]) -> dict[str, Bundle]:
    """The distinct code of the author's own tasks and metrics behind these artifacts, by what it is."""
    named = [pair for artifact in artifacts for pair in user_code.bundles_in(artifact.params)]
    distinct = {user_code.digest(bundle): (name, bundle) for name, bundle in named}.values()
    return {f"the {'task' if name.endswith('.py') else 'metric'} {name}": bundle for name, bundle in distinct}


def require_trust(page: str, code: dict[str, Bundle], trusts_code: bool) -> None:
    """Raise UntrustedCodeError if there is code, unless the reader trusts it."""
    if not code or trusts_code:
        return
    names = ", ".join(f"{name} ({fmt.plural(lines(bundle), 'line')})" for name, bundle in code.items())
    problem = f"{page}: code of its author scored it: {names}. The records match their hashes; nothing was recomputed."
    raise UntrustedCodeError(problem, "Read the code with --show-code, then run it with --trust-code: it has all rights that you have.")


def lines(bundle: Bundle) -> int:
    return sum(text.count("\n") for text in bundle["files"].values())


def listing(code: dict[str, Bundle]) -> str:
    """The code with line numbers, file by file; control characters as escapes."""
    parts = []
    for owner, bundle in code.items():
        for name, text in bundle["files"].items():
            parts.append(f"{owner}: {name}")
            parts += [f"{number:4}  {plain(line)}" for number, line in enumerate(text.split("\n"), 1)]
    return "\n".join(parts) or "The page brings no code: its tasks and metrics are shipped ones, or templates."


def plain(line: str) -> str:
    """A line of a text that may come from anyone, without what a terminal would obey."""
    return "".join(sign if sign.isprintable() or sign == "\t" else sign.encode("unicode_escape").decode() for sign in line)
