"""Reads YAML that anyone may have written: bounded in size, depth and aliases, and with no key twice."""

import re
from typing import Any

import yaml

MAX_CHARACTERS = 1 << 20
MAX_NODES = 50_000
"""Values of a text with every alias written out; a few lines of aliases to aliases stand for billions."""
MAX_DEPTH = 40
MAX_DIGITS = 100
"""Characters of a number."""
SCIENTIFIC = r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+"
"""A number with an exponent. YAML 1.1 takes it for one only with a dot and a sign, as in 2.0e-4."""
WORD = re.compile(rf"{SCIENTIFIC}|(?i:yes|no|on|off)")
"""What stands for a number or a boolean to people, and may be text."""


class PlainWord(str):
    """A text without quotes of which its key must say whether it is a number, a boolean or text; see spellings.py."""


def parse(text: str, kind: Any = None) -> Any:
    """The value of a YAML text.

    Args:
        kind: the class of the loader; None: Loader.

    Raises:
        yaml.YAMLError: it is none, or is larger, deeper or refers to more than a file of keys and values would.
    """
    if len(text) > MAX_CHARACTERS:
        raise yaml.YAMLError(f"it has {len(text):,} characters, and at most {MAX_CHARACTERS:,} are read")
    loader = (kind or Loader)(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        count(node, {}, [])
        return loader.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except (ValueError, TypeError, OverflowError, ArithmeticError) as error:  # a date of month 13, a number of the form 1__e
        raise yaml.YAMLError(f"a value cannot be read: {error}") from None
    finally:
        loader.dispose()


def count(node: yaml.Node, sizes: dict[int, int], above: list[int]) -> int:
    """Nodes of a tree with every alias written out.

    Args:
        sizes: those of the nodes that are counted already, by id.
        above: the ids of the nodes that hold this one.

    Raises:
        yaml.MarkedYAMLError: they are too many, too deep, or one holds itself.
    """
    if id(node) in above:
        raise yaml.MarkedYAMLError(problem="an alias refers to what holds it", problem_mark=node.start_mark)
    if len(above) > MAX_DEPTH:
        raise yaml.MarkedYAMLError(problem=f"it is nested more than {MAX_DEPTH} levels deep", problem_mark=node.start_mark)
    if id(node) not in sizes:
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            parts = node.value
        sizes[id(node)] = 1 + sum(count(part, sizes, [*above, id(node)]) for part in parts)
    if sizes[id(node)] > MAX_NODES:
        raise yaml.MarkedYAMLError(problem=f"it stands for more than {MAX_NODES:,} values", problem_mark=node.start_mark)
    return sizes[id(node)]


class Loader(yaml.SafeLoader):
    """Refuses duplicate keys, of which YAML would take the last, and numbers to bases of 8 and 60: 010 is 8 to it, 12:30 is 750.

    `yes`, `no`, `on`, `off` and `2e-4` without quotes become a PlainWord.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML's table, without YAML 1.1's booleans)
        first: [(tag, pattern) for tag, pattern in pairs if not tag.endswith(":bool")]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for part, _ in node.value:
            if isinstance(part, yaml.ScalarNode) and part.value != "<<":
                if part.value in seen:
                    problem = f"the key '{part.value}' appears twice"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=part.start_mark, note="Keep one of them.")
                seen.add(part.value)
        return super().construct_mapping(node, deep)

    def construct_text(self, node: yaml.ScalarNode) -> str:
        """The text of a scalar; a PlainWord if it has no quotes and may stand for something else."""
        text = str(self.construct_scalar(node))
        return PlainWord(text) if node.style is None and len(text) <= MAX_DIGITS and WORD.fullmatch(text) else text

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """The number of a scalar that YAML takes for one."""
        text = node.value
        if len(text) > MAX_DIGITS:
            raise yaml.MarkedYAMLError(problem=f"a number of {len(text):,} characters", problem_mark=node.start_mark)
        number: int | float = (self.construct_yaml_int if node.tag.endswith(":int") else self.construct_yaml_float)(node)
        if ":" in text or re.fullmatch(r"[-+]?0[0-9_]+", text):
            note = f"Write '{text}' in quotes if it is text, else {number}."
            raise yaml.MarkedYAMLError(problem=f"{text} may be text or the number {number}", problem_mark=node.start_mark, note=note)
        return number


for kind in ("int", "float"):
    Loader.add_constructor(f"tag:yaml.org,2002:{kind}", Loader.construct_number)
Loader.add_constructor("tag:yaml.org,2002:str", Loader.construct_text)
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))
