"""What arms and general suites are called in sentences."""

ARMS = {
    "base": "the base",
    "base_fewshot": "the base with examples in its prompt",
    "base_constrained": "the base held to its form",
    "tuned": "the fine-tune",
}
SUITES = {"paragraphs": "plain English"}


def arm(name: str) -> str:
    return ARMS.get(name, name.removeprefix("reference."))


def suite(name: str) -> str:
    return SUITES.get(name, name)
