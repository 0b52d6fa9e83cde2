"""Keeps adapters on one base in memory: loaded at first use, and the least recently used one leaves where there is no room."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from pipeline.models import adapter_source
from pipeline.models.quiet import silence_warnings
from pipeline.serving.joined_adapters import JoinedAdapters

BASE = "__base__"
"""The name for rows that no adapter touches; peft's own."""


class ResidentAdapters:
    """The base with the adapters that are in memory.

    Args:
        base: of transformers, in eval mode.
        folders: by id, the adapters that may be loaded, as peft saves them.
        limit: adapters in memory, at most.
    """

    def __init__(self, base: Any, folders: Mapping[str, Path], limit: int) -> None:
        self.base = base
        self.model = base
        """A PeftModel from the first adapter on."""
        self.joined = JoinedAdapters(base)
        self.folders = folders
        self.limit = limit
        self.unmixed = frozenset(model for model, folder in folders.items() if is_unmixed(adapter_source.read_config(folder)))
        """Ids of adapters whose rows share no batch with rows of other models: DoRA, and those with whole modules of their own."""
        self.active = ""
        """The id of the one of these that answers without being named; empty while rows are mixed."""
        self.names: dict[str, str] = {}
        """By id, peft's names of those in memory; the least recently used one first."""
        self.loads = 0
        """Adapters loaded so far."""
        self.evictions = 0

    def has_room(self, model: str, in_use: Collection[str]) -> bool:
        """Whether a row of a model can be answered now, beside rows of the models in use."""
        used = {name for name in in_use if name in self.folders}
        return model not in self.folders or len({*used, model}) <= self.limit

    def can_mix(self, models: Collection[str]) -> bool:
        """Whether rows of these models may share a batch."""
        return len(set(models)) <= 1 or self.unmixed.isdisjoint(models)

    def use(self, model: str, in_use: Collection[str]) -> None:
        """Have a model in memory, and mark it as used last.

        Args:
            model: id of the base or of an adapter.
            in_use: models that may not leave.

        Raises:
            ModelError: the adapter cannot be read, or does not fit the base.
        """
        if model not in self.folders:
            return
        name = self.names.pop(model, None) or self.load(model)
        self.names[model] = name
        idle = [other for other in self.names if other != model and other not in in_use]
        for other in idle[: max(0, len(self.names) - self.limit)]:
            self.evict(other)

    def load(self, model: str) -> str:
        """Put an adapter onto the base; returns peft's name of it."""
        from peft import PeftModel

        silence_warnings()
        folder = self.folders[model]
        name = f"resident{self.loads}"  # an id may hold a dot, which peft's names may not
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                if self.model is self.base:
                    self.model, absent = PeftModel.from_pretrained(self.base, folder, adapter_name=name), []
                else:
                    absent = self.model.load_adapter(folder, adapter_name=name).missing_keys
        except (ValueError, TypeError, RuntimeError, OSError, KeyError) as error:
            raise ModelError(f"the adapter cannot be loaded: {' '.join(str(error).split())[:200]}", "Start the server again.") from None
        finally:
            self.joined.take_over()
        self.loads += 1
        self.active = ""
        self.model.eval()
        if absent or any("missing adapter keys" in str(warning.message) for warning in caught):  # peft goes on with the base's answers
            self.model.delete_adapter(name)
            raise ModelError("the adapter does not fit the base: tensors are missing", "Start the server again.")
        self.switch_whole_modules(False)
        if model not in self.unmixed:
            self.joined.add(name)
        return name

    def evict(self, model: str) -> None:
        """Take an adapter out of memory, in which another one stays."""
        name = self.names.pop(model)
        if self.model.active_adapter == name:  # peft would look for it where its modules have no other
            self.model.set_adapter(next(iter(self.names.values())))
            self.active = ""
            self.switch_whole_modules(False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.model.delete_adapter(name)
        self.joined.remove(name)
        self.evictions += 1

    def forward(self, models: Sequence[str], **inputs: Any) -> Any:
        """A pass of the base in which each row is answered by its model.

        Args:
            models: of each row; none: the base answers all.
            inputs: of the base; input_ids (rows, columns) among them.
        """
        if not self.unmixed.isdisjoint(models):
            (model,) = set(models)
            self.activate(model)
            self.joined.end()
        else:
            if self.active:
                self.active = ""
                self.switch_whole_modules(False)
            self.joined.begin([self.names.get(model, BASE) for model in models], inputs["input_ids"].shape[1])
        return self.base(**inputs)

    def activate(self, model: str) -> None:
        """Let an adapter in memory answer wherever a pass names none."""
        if self.active != model:
            self.model.set_adapter(self.names[model])
            self.switch_whole_modules(True)
            self.active = model

    def switch_whole_modules(self, is_on: bool) -> None:
        """Let the whole modules of the active adapter answer, or those of the base: in a mixed batch peft has none for other rows."""
        from peft.utils.other import ModulesToSaveWrapper

        for module in self.model.modules():
            if isinstance(module, ModulesToSaveWrapper):
                module.enable_adapters(is_on)


def is_unmixed(config: Mapping[str, Any]) -> bool:
    """Whether peft cannot answer an adapter's rows beside others.

    Args:
        config: its adapter_config.json.
    """
    return bool(config.get("use_dora") or config.get("modules_to_save"))
