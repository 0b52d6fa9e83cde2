"""Scores answers to documents of lm-evaluation-harness by its own filters and `process_results`; no documents are loaded for it."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from pipeline.errors import ComparisonError
from pipeline.harness import library
from pipeline.harness.definition import SCORED, Definition, fingerprint, parsed_configuration

Response = str | list[list[Any]]
"""What the model gave: a text, or [log-likelihood, whether it is the greedy continuation] of each pair."""


class Documents:
    """Stands for a data set of a task: the documents to score, under the name of every split."""

    def __init__(self, documents: Sequence[dict[str, Any]]) -> None:
        import datasets

        self.documents = datasets.Dataset.from_list(list(documents[:1]))

    def __getitem__(self, split: str) -> Any:
        return self.documents


class Scorer:
    """Scores documents of the tasks of a definition."""

    def __init__(self, definition: Definition) -> None:
        """
        Raises:
            ComparisonError: another version of lm-eval is installed, or the tasks have changed.
            MachineError: none is installed.
        """
        self.definition = definition
        if (installed := library.version()) != definition["version"]:
            problem = f"lm-evaluation-harness {installed} is installed, and the examples were made by {definition['version']}."
            raise ComparisonError(problem, f"Install lm-eval=={definition['version']}, or run again.")
        self.index = library.index_of(definition["lm_eval"], definition["include"])
        parsed = {name: parsed_configuration(name, self.index) for name in definition["tasks"]}
        if fingerprint(parsed, definition["include"]) != definition["config"]:
            problem = f"the YAML of {library.PREFIX}{definition['lm_eval']} is not that by which the examples were made."
            raise ComparisonError(problem, "Run again.")

    def scores(self, names: Sequence[str], documents: Sequence[dict[str, Any]], responses: Sequence[Response]) -> list[dict[str, Any]]:
        """Of each document its scores by `metric` or `metric,filter`, as lm-eval's process_results gives them.

        Args:
            names: the task of each document.
        """
        rows: list[dict[str, Any]] = [{} for _ in names]
        for name in dict.fromkeys(names):
            places = [place for place, own in enumerate(names) if own == name]
            scored = self.scores_of(name, [documents[place] for place in places], [responses[place] for place in places])
            for place, row in zip(places, scored, strict=True):
                rows[place] = row
        return rows

    def scores_of(self, name: str, documents: list[dict[str, Any]], responses: list[Response]) -> list[dict[str, Any]]:
        """scores() of the documents of one task."""
        with library.quiet():
            from lm_eval.api.instance import Instance

            task = self.task(name, documents)
            groups = []
            for number, (document, response) in enumerate(zip(documents, responses, strict=True)):
                answers = [tuple(pair) for pair in response] if isinstance(response, list) else [response]
                kind = "loglikelihood" if self.definition["output_type"] in SCORED else "generate_until"
                groups.append([Instance(kind, document, (), place, (name, number, 1), [answer]) for place, answer in enumerate(answers)])
            task._instances = [instance for group in groups for instance in group]
            task.apply_filters()
            return [self.row(task, document, group) for document, group in zip(documents, groups, strict=True)]

    def row(self, task: Any, document: dict[str, Any], instances: list[Any]) -> dict[str, Any]:
        scores: dict[str, Any] = {}
        filters = list(instances[0].filtered_resps)
        for filter_name in filters:
            results = task.process_results(document, [instance.filtered_resps[filter_name] for instance in instances])
            scores |= {metric if filters == ["none"] else f"{metric},{filter_name}": value for metric, value in results.items()}
        return scores

    def task(self, name: str, documents: Sequence[dict[str, Any]]) -> Any:
        """The lm_eval task over the given documents, which its own process_docs has seen before."""
        config = library.configuration(name, self.index)
        stub = Documents(documents)
        replaced = {"custom_dataset": lambda **_: stub, "process_docs": None, "dataset_kwargs": None, "fewshot_config": None}
        return library.build({**config, **replaced, "fewshot_split": None})


@cache
def cached_scorer(definition_json: str) -> Scorer:
    """The scorer of a definition, as canonical JSON."""
    import json

    return Scorer(json.loads(definition_json))
