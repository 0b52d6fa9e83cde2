"""Collects the texts that a user meets: documents, comments of recipes, help, messages, templates of pages."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PIPELINE = ROOT / "pipeline"
NO_TEXTS = ("quickstart/", "tasks/", "scoring/", "metrics/", "measures/stop_words.py", "measures/named_facts.py", "sandbox/")
"""Files whose strings are prompts, corpora and vocabularies, or reach a user only as single words."""
NO_ERRORS = ("scoring/scoring.py", "scoring/gold_check.py", "scoring/right_answers.py", "metrics/__init__.py", "sandbox/sandbox.py")
"""Files among them that have messages all the same."""
WORDS = re.compile(r"[A-Za-z]{2,}[^A-Za-z]*\s+\S*[a-z]{2,}")
"""Two words: shorter strings are names and keys."""


def prose(markdown):
    """Markdown without code, addresses and keys of recipes."""
    text = re.sub(r"^(```+).*?^\1", "", markdown, flags=re.S | re.M)
    text = re.sub(r"`[^`\n]*`", "`", re.sub(r"\]\([^)]*\)", "]", text))
    return re.sub(r"\b(?:prepare|finetune|generate|compare|general|cost|data)\.[a-z_]+", "`", text)


def lines(place, text):
    return ((f"{place}:{number}", line) for number, line in enumerate(text.splitlines(), 1) if line.strip())


def documents():
    """All but decisions.md: a log, whose entries have the words of their day."""
    for path in (ROOT / "README.md", *sorted(set((ROOT / "docs").glob("*.md")) - {ROOT / "docs" / "decisions.md"})):
        text = path.read_text("utf-8")
        blank = re.sub(r"^(```+).*?^\1", lambda match: "\n" * match[0].count("\n"), text, flags=re.S | re.M)
        yield from ((place, prose(line)) for place, line in lines(path.relative_to(ROOT).as_posix(), blank))


def recipes():
    """Comments, and the questions that become titles."""
    for path in sorted((ROOT / "recipes").rglob("*.yaml")):
        for place, line in lines(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")):
            text = line.partition("#")[2] or line.removeprefix("question:") * line.startswith("question:")
            yield place, text


def without_docstrings(tree):
    """The ids of nodes that are docstrings."""
    bodies = [body for node in ast.walk(tree) if isinstance(body := getattr(node, "body", None), list)]
    return {id(line.value) for body in bodies for line in body if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)}


def literals(source):
    """Line and text of every string of Python code; what an f-string fills in is `…`."""
    tree = ast.parse(source)
    skipped = without_docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
            yield node.lineno, "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def messages():
    """Strings of two words or more in the code: errors, warnings, lines on a terminal, words of pages."""
    for path in sorted(PIPELINE.rglob("*.py")):
        name = path.relative_to(PIPELINE).as_posix()
        if not name.startswith(NO_TEXTS) or name in NO_ERRORS:
            strings = literals(path.read_text("utf-8"))
            yield from ((f"pipeline/{name}:{line}", prose(text)) for line, text in strings if WORDS.search(text))


def help_texts():
    """What `--help` prints of every command."""
    import typer
    from typer.testing import CliRunner

    from pipeline.cli import app

    for command in ("", *typer.main.get_command(app).commands):
        result = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "400", "TERMINAL_WIDTH": "400"})
        assert result.exit_code == 0
        yield from lines(f"loralift {command} --help", prose(result.output))


LABEL = re.compile(r'"([^"\n]*)"')
"""A string in a template's code or in JavaScript."""


READ_ALOUD = re.compile(r'(?:aria-label|title|placeholder)="([^"\n]*)"')


def labels(code):
    """Strings of code that are words for people: those with a blank, a capital, or the mark of a column."""
    return " | ".join(text for text in LABEL.findall(code) if re.search(r"[A-Z# ]", text) and not text.isupper())


def template_text(source):
    """The words of a template, line by line: text nodes, attributes that are read aloud, labels in its code."""
    text = re.sub(r"\{#.*?#\}", lambda match: "\n" * match[0].count("\n"), source, flags=re.S)
    text = re.sub(r"\{[{%].*?[%}]\}", lambda match: f" {labels(match[0])} " + "\n" * match[0].count("\n"), text, flags=re.S)
    return re.sub(r"<[^>]*>", lambda match: f" {' '.join(READ_ALOUD.findall(match[0]))} " + "\n" * match[0].count("\n"), text)


def templates():
    """Text nodes, attributes that are read aloud, and labels in the code of templates and scripts."""
    for path in sorted((PIPELINE / "page" / "templates").iterdir()):
        text, name = path.read_text("utf-8"), path.relative_to(ROOT).as_posix()
        if path.suffix == ".js":
            text = "\n".join(labels(re.sub(r"^\s*//.*| // .*", "", line)) for line in text.splitlines())
        elif path.suffix == ".jinja":
            text = template_text(text)
        else:
            continue
        yield from lines(name, prose(text))


def everything():
    """(place, text) of every line that a user may meet."""
    for texts in (documents, recipes, messages, help_texts, templates):
        yield from texts()
