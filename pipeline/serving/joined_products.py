"""Adds the terms of several adapters to the output of a module: those of one rank in two batched products over their matrices, in which
each row meets its own adapter alone"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PRODUCT_COST = {"cpu": 1e6, "cuda": 1e9}
"""Floating-point operations that a device does while it is called for one more product: measured on a CPU, estimated on CUDA."""
SPARSE = 3
"""So many slots for each one in use, and its matrices are copied together: reading the others would take longer."""


@dataclass(frozen=True)
class Slot:
    """The place of an adapter in the matrices of its rank."""

    name: str
    index: int
    scale: float


@dataclass(frozen=True)
class Layout:
    """What the terms of a module depend on, but for the values of its matrices; many modules have the same."""

    slots: tuple[tuple[int, tuple[Slot, ...]], ...]
    """By rank, in order."""
    width: int
    """in + out."""


@dataclass(frozen=True)
class Product:
    """Rows of a batch and adapters of one rank whose terms are made together."""

    rank: int
    slots: Any
    """A slice of the slots, or their indices (adapters,)."""
    count: int
    """Slots."""
    taken: Any
    """(slots x rows of each,): places of the rows in the batch, slot by slot; None: all as they are."""
    valid: Any
    """(rows with a term,): which of these are no padding; None: all."""
    places: Any
    """(rows with a term,): their places in the batch; None: all as they are."""
    scale: Any
    """A number, or (slots, 1, 1)."""

    def add(self, out: Any, x: Any, a: Any, b: Any) -> None:
        """Add the terms in place.

        Args:
            out: (rows, columns, out).
            x: (rows, columns, in).
            a, b: all A (slots, rank, in) and B (slots, rank, out).
        """
        import torch

        x = (x if self.taken is None else x[self.taken]).to(a.dtype)
        columns = x.shape[1]
        low = torch.bmm(x.reshape(self.count, -1, x.shape[-1]), a[self.slots].transpose(1, 2)).mul_(self.scale)
        term = torch.bmm(low, b[self.slots]).view(-1, columns, out.shape[-1]).to(out.dtype)
        if self.valid is not None:
            term = term[self.valid]
        if self.places is None:
            out.add_(term)
        else:
            out.index_add_(0, self.places, term)


def products_of(layout: Layout, names: Sequence[str], columns: int, device: Any) -> list[Product]:
    """The products that add the terms of a module.

    Args:
        names: of the adapter of each row.
        columns: new tokens of every row.
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    products = []
    for rank, slots in layout.slots:
        if used := [slot for slot in slots if slot.name in places]:
            groups = groups_of(used, places, 2 * columns * layout.width * rank, device)
            products += [product_of(rank, group, places, len(names), device) for group in groups]
    return products


def groups_of(used: Sequence[Slot], places: Mapping[str, Sequence[int]], flops: int, device: Any) -> list[Sequence[Slot]]:
    """The adapters that share products: all, or each alone where that is cheaper, as rows are padded to the most of any adapter.

    Args:
        flops: of a row.
    """
    counts = [len(places[slot.name]) for slot in used]
    call = PRODUCT_COST.get(device.type, PRODUCT_COST["cuda"])
    together = call + flops * len(used) * max(counts)
    apart = call * len(used) + flops * sum(counts)
    return [used] if together <= apart else [[slot] for slot in used]


def product_of(rank: int, used: Sequence[Slot], places: Mapping[str, Sequence[int]], batch: int, device: Any) -> Product:
    """The product of these adapters.

    Args:
        used: in the order of their slots.
        places: by adapter, those of its rows in the batch.
        batch: rows in it.
    """
    import torch

    first, last = used[0].index, used[-1].index + 1
    is_sparse = last - first >= SPARSE * len(used)
    by_index = {slot.index: slot for slot in used}
    columns = [by_index.get(index) for index in ([*by_index] if is_sparse else range(first, last))]
    height = max(len(places[slot.name]) for slot in used)
    taken: list[int] = []
    valid: list[int] = []
    targets: list[int] = []
    for number, slot in enumerate(columns):
        rows = places[slot.name] if slot else ()
        valid += [number * height + row for row in range(len(rows))]
        targets += rows
        taken += [*rows, *[0] * (height - len(rows))]
    is_whole = targets == [*range(batch)]

    def indices(values: list[int]) -> Any:
        return torch.tensor(values, device=device)

    return Product(
        rank,
        indices([*by_index]) if is_sparse else slice(first, last),
        len(columns),
        None if is_whole and len(taken) == batch else indices(taken),
        None if len(valid) == len(taken) else indices(valid),
        None if is_whole else indices(targets),
        scale_of([(slot or used[0]).scale for slot in columns], device),
    )


def scale_of(scales: Sequence[float], device: Any) -> Any:
    """One number where all adapters have the same, else one for each (slots, 1, 1)."""
    import torch

    return scales[0] if len(set(scales)) == 1 else torch.tensor(scales, device=device)[:, None, None]
