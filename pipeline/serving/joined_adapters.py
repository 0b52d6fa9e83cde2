"""Answers mixed batches with joined matrices in place of peft's loop over adapters, which takes two products and more for each of them"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ModelError
from pipeline.serving.joined_matrices import JoinedMatrices
from pipeline.serving.joined_products import Layout, Product, Slot, products_of


@dataclass(frozen=True)
class Pass:
    """A forward pass of rows with models of their own."""

    names: tuple[str, ...]
    """peft's name of the adapter of each row."""
    columns: int
    """New tokens of every row."""

    def names_for(self, x: Any) -> list[str]:
        """The name for each entry of an input, which has a row's tokens together or apart."""
        return [name for name in self.names for _ in range(len(x) // max(1, len(self.names)))]


class JoinedLayer:
    """A LoRA layer of peft whose adapters share products where they can.

    Args:
        module: of the model; its `forward` is replaced.
        label: its name in the model.
    """

    def __init__(self, module: Any, label: str) -> None:
        self.module = module
        self.label = label
        self.matrices = JoinedMatrices(module)
        self.layout: Layout | None = None
        self.products: list[Product] = []
        """Of the current pass."""
        self.apart: set[str] = set()
        """Adapters that peft answers here."""

    def add(self, name: str) -> None:
        if self.matrices.can_take(name):
            self.matrices.add(name)
        else:
            self.apart.add(name)
        self.lay_out()

    def remove(self, name: str) -> None:
        self.apart.discard(name)
        if name in self.matrices.ranks:
            self.matrices.remove(name)
        self.lay_out()

    def lay_out(self) -> None:
        scaling, stacks = self.module.scaling, sorted(self.matrices.stacks.items())
        slots = [(rank, tuple(Slot(name, i, float(scaling[name])) for i, name in enumerate(stack.names) if name)) for rank, stack in stacks]
        self.layout = Layout(tuple(slots), self.module.in_features + self.module.out_features) if slots else None

    def answer(self, current: Pass, x: Any, *args: Any, **options: Any) -> Any:
        """The output of a pass of mixed rows."""
        if not self.apart.isdisjoint(current.names):
            return type(self.module).forward(self.module, x, *args, adapter_names=current.names_for(x), **options)
        out = self.module.base_layer(x, *args, **options)
        if not self.products:
            return out
        out, rows = out.contiguous(), len(current.names)
        if len(x) not in (rows, rows * current.columns):
            raise ModelError(
                f"{self.label} reads tokens of different rows together, so adapters on it cannot share a batch",
                "Merge the adapter into its base.",
            )
        by_row = out.view(rows, -1, out.shape[-1])
        for product in self.products:
            stack = self.matrices.stacks[product.rank]
            product.add(by_row, x.reshape(rows, -1, x.shape[-1]), stack.a, stack.b)
        return out


class JoinedAdapters:
    """All LoRA layers of a model.

    Args:
        model: the base, into which peft puts its layers.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.layers: dict[Any, JoinedLayer] = {}
        """By module."""
        self.layouts: dict[Layout | None, list[JoinedLayer]] = {}
        """The layers that have the same."""
        self.current: Pass | None = None
        """None: peft answers by its active adapter."""

    def add(self, name: str) -> None:
        """Take over an adapter that peft has loaded under this name."""
        for layer in self.layers.values():
            if name in layer.module.lora_A or name in layer.module.lora_embedding_A:
                layer.add(name)
        self.sort_layers()

    def remove(self, name: str) -> None:
        """Let go of an adapter that peft has deleted."""
        for layer in self.layers.values():
            layer.remove(name)
        self.sort_layers()

    def sort_layers(self) -> None:
        self.current = None
        self.layouts = {}
        for layer in self.layers.values():
            self.layouts.setdefault(layer.layout, []).append(layer)

    def take_over(self) -> None:
        """Replace `forward` of LoRA layers that peft has put in, also where it failed to load their adapter."""
        from peft.tuners.lora import LoraLayer

        for label, module in self.model.named_modules():
            if isinstance(module, LoraLayer) and module not in self.layers:
                self.layers[module] = JoinedLayer(module, label)
                module.forward = self.forward_of(self.layers[module])

    def forward_of(self, layer: JoinedLayer) -> Callable[..., Any]:
        """What a module does in place of peft's forward."""
        by_peft = type(layer.module).forward

        def forward(x: Any, *args: Any, **options: Any) -> Any:
            if self.current is None:
                return by_peft(layer.module, x, *args, **options)
            return layer.answer(self.current, x, *args, **options)

        return forward

    def begin(self, names: Sequence[str], columns: int) -> None:
        """Prepare a pass of rows whose adapters have these names, with so many new tokens each."""
        current = Pass(tuple(names), columns)
        if current == self.current:
            return
        self.current = current
        for layout, layers in self.layouts.items():
            products = products_of(layout, current.names, columns, self.model.device) if layout else []
            for layer in layers:
                layer.products = products

    def end(self) -> None:
        """Let peft answer by its active adapter from here on."""
        self.current = None
