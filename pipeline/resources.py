"""Locates the files that loralift ships: recipes, the quickstart's base, the published table, paragraphs of plain English.

They are in top-level folders of the source tree; pyproject.toml puts them inside the package of a wheel.
"""

from pathlib import Path

PACKAGE = Path(__file__).parent
SHIPPED = "shipped"
"""The folder of the package that a wheel holds them in; pyproject.toml has the same name."""


def shipped(name: str) -> Path:
    """A file or folder that ships with loralift, named as in the source tree: `recipes/quickstart.yaml`. It need not exist."""
    inside = PACKAGE / SHIPPED
    return (inside if inside.is_dir() else PACKAGE.parent) / name


def checkout() -> Path | None:
    """The source tree that this code runs from; None where it was installed."""
    return PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").is_file() else None
