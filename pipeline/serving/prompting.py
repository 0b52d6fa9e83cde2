"""Renders prompts as the model that answers was trained on them: with the thinking switch of the chat template where its task had it on"""

from collections.abc import Mapping, Set
from functools import cached_property
from typing import Any

from pipeline.errors import ModelError
from pipeline.models import thinking
from pipeline.models.renderer import Renderer, renderer
from pipeline.serving.faults import ApiError


class Prompting:
    """
    Args:
        spec: of the base, from base_model.Model.spec().
        thinkers: ids of the adapters that were trained with the switch on.
    """

    def __init__(self, spec: Mapping[str, Any], thinkers: Set[str]) -> None:
        self.spec = dict(spec)
        self.thinkers = thinkers
        self.plain = renderer(self.spec)
        """With the switch off, as the base is prompted."""

    def of(self, model: str, thinks: bool | None) -> Renderer:
        """The renderer for a model.

        Args:
            thinks: the wish of a request; None: as the model was trained.

        Raises:
            ApiError: the switch is wanted, and the base has none.
        """
        if not (model in self.thinkers if thinks is None else thinks):
            return self.plain
        try:
            return self.thinking
        except ModelError:
            problem = "the chat template of the base has no thinking switch; leave enable_thinking out"
            raise ApiError(400, problem, "chat_template_kwargs") from None

    @cached_property
    def thinking(self) -> Renderer:
        """With the switch on. Raises ModelError if there is none."""
        render = renderer({**self.spec, "thinking": True})
        thinking.check(render)
        return render
