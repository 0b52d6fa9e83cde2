"""Joins the scripts and styles that pages carry within them, and hashes them for content security policies."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"


def script(names: Sequence[str]) -> str:
    """One script of these files, in a scope of its own, without indentation and lines of comments. No string spans lines."""
    lines = (line.strip() for name in names for line in (TEMPLATES / f"{name}.js").read_text("utf-8").splitlines())
    parts = "\n".join(line for line in lines if line and not line.startswith("//"))
    return f'"use strict";\n(() => {{\n{parts}\n}})();'


def stylesheet(names: Sequence[str]) -> str:
    """The styles of these files without indentation and lines of comments."""
    lines = (line.strip() for name in names for line in (TEMPLATES / f"{name}.css").read_text("utf-8").splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("/*"))


def policy_hash(text: str) -> str:
    """The source of a content security policy that allows this script or style, and no other."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
