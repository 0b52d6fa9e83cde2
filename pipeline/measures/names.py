"""Names arms and other-task suites in sentences."""

from pipeline import arms

SUITES = {"paragraphs": "plain English"}


def arm(name: str, constraint: arms.Constraint = "") -> str:
    return arms.find(name, constraint).sentence


def suite(name: str) -> str:
    return SUITES.get(name, name)
