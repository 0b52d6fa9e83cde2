"""Reads documents of a task of lm-evaluation-harness and makes its requests: prompts, few-shot examples and delimiters are its own."""

from collections.abc import Callable, Iterator
from typing import Any, TypedDict

from pipeline.errors import DataError
from pipeline.harness import library
from pipeline.harness.definition import SCORED, Definition

FEWSHOT_SEED = 1234
"""Of the choice of few-shot examples, as lm-eval's own."""
ChatTemplate = Callable[..., str]
"""Renders messages as the base's chat template does; see lm-eval's LM.apply_chat_template."""


class Request(TypedDict):
    """One document, as the model is asked."""

    task: str
    document: dict[str, Any]
    """As lm-eval scores it."""
    context: str
    target: str
    """A right answer, with the delimiter that stands before it."""
    pairs: list[list[str]]
    """Context and continuation of each text whose likelihood is asked for; empty where an answer is generated."""


def heldout(definition: Definition, shots: int, template: ChatTemplate | None = None) -> Iterator[Request]:
    """The requests of the documents that are answered: those of the test split, else of the validation split.

    Args:
        shots: few-shot examples in each prompt, which lm-eval chooses.
        template: None: prompts are plain text.

    Raises:
        DataError: the documents cannot be loaded, or are of another kind than the task asks for.
    """
    for name in definition["tasks"]:
        task = load(name, definition)
        with library.quiet():
            task.set_config("num_fewshot", shots)
            task.set_fewshot_seed(FEWSHOT_SEED)
            is_chat = template is not None
            task.build_all_requests(apply_chat_template=is_chat, fewshot_as_multiturn=is_chat, chat_template=template)
        instances: dict[int, list[Any]] = {}
        for instance in task.instances:
            instances.setdefault(instance.doc_id, []).append(instance)
        for group in instances.values():
            yield request(name, task, group)


def train(definition: Definition, template: ChatTemplate | None = None) -> Iterator[Request]:
    """The training documents with their right answers, prompted as the held-out ones are without few-shot examples."""
    for name in definition["tasks"]:
        task = load(name, definition)
        for number, document in enumerate(task.training_docs()):
            with library.quiet():
                is_chat = template is not None
                prefix = task.doc_to_prefix(document)
                chat = {"apply_chat_template": is_chat, "fewshot_as_multiturn": is_chat, "chat_template": template}
                context = task.fewshot_context(document, 0, gen_prefix=prefix, **chat)
                instances = task.construct_requests(
                    doc=document, ctx=context, metadata=(name, number, 1), apply_chat_template=is_chat, chat_template=template
                )
            yield request(name, task, instances if isinstance(instances, list) else [instances])


def load(name: str, definition: Definition) -> Any:
    """The lm_eval task, with its documents.

    Raises:
        DataError: they cannot be loaded.
    """
    config = library.configuration(name, library.index_of(definition["lm_eval"], definition["include"]))
    try:
        return library.build(config)
    except Exception as error:  # of datasets, of the task's own code, or of a template that misses a column
        source = definition["tasks"][name]
        origin = ", ".join(source["files"]) or source["path"]
        reason = (" ".join(str(error).split()) or type(error).__name__)[:300]
        raise DataError(f"the documents of {library.PREFIX}{name} ({origin}) do not load: {reason}", "Run once with the network.") from None


def request(name: str, task: Any, instances: list[Any]) -> Request:
    """The request of a document.

    Args:
        instances: lm-eval's, in their order.
    """
    document = instances[0].doc
    with library.quiet():
        pairs = [list(instance.args[:2]) for instance in instances] if task.OUTPUT_TYPE in SCORED else []
        gold = gold_pair(task, document, pairs) if pairs else [instances[0].args[0], generated_target(task, document, instances[0].args[0])]
    return {"task": name, "document": dict(document), "context": pairs[0][0] if pairs else gold[0], "target": gold[1], "pairs": pairs}


def gold_pair(task: Any, document: dict[str, Any], pairs: list[list[str]]) -> list[str]:
    """The context and continuation that are right; the first of several.

    Raises:
        DataError: the document names none.
    """
    if task.OUTPUT_TYPE == "loglikelihood":
        return pairs[0]
    gold = task.doc_to_text(document) if task.multiple_input else task.doc_to_target(document)
    gold = gold[0] if isinstance(gold, list) and gold else gold
    choices = task.doc_to_choice(document)
    index = choices.index(gold) if isinstance(gold, str) and gold in choices else gold
    if not isinstance(index, int) or not 0 <= index < len(choices):
        raise DataError(f"{task.config.task}: {gold!r} is none of the {len(choices)} choices of a document.", "See its doc_to_target.")
    return pairs[index]


def generated_target(task: Any, document: dict[str, Any], context: str) -> str:
    """The right answer to a generated prompt, with lm-eval's delimiter before it; the first of several."""
    gold = task.doc_to_target(document)
    gold = gold[0] if isinstance(gold, list) and gold else gold
    if task.config.doc_to_choice is not None and isinstance(gold, int):
        gold = task.doc_to_choice(document)[gold]
    delimiter = "" if context[-1:].isspace() else task.config.target_delimiter
    return f"{delimiter}{gold}"
