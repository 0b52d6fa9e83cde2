"""Holds the LoRA matrices of all adapters on one module together; peft's own weights are views into them, so nothing is held twice"""

from typing import Any


class Stack:
    """The matrices of adapters of one rank on a module, a slot for each.

    Args:
        module: a LoRA layer of peft.
        rank: of the adapters, there.
    """

    def __init__(self, module: Any, rank: int) -> None:
        self.module = module
        self.rank = rank
        self.names: list[str | None] = []
        """peft's name of the adapter in each slot; None: it is free."""
        self.a: Any = None
        """(slots, rank, in)."""
        self.b: Any = None
        """(slots, rank, out): B transposed."""

    def add(self, name: str) -> None:
        """Move the matrices of an adapter here, into a free slot or a new one."""
        if None not in self.names:
            self.resize([*self.names, None])
        self.write(name, self.names.index(None))

    def remove(self, name: str) -> None:
        """Free the slot of an adapter."""
        self.names[self.names.index(name)] = None

    @property
    def free(self) -> int:
        """Slots without an adapter."""
        return self.names.count(None)

    def compact(self) -> None:
        """Give free slots back."""
        if self.free:
            self.resize([name for name in self.names if name])

    def resize(self, names: list[str | None]) -> None:
        """Copy the adapters into new matrices with slots for these names."""
        self.names = list(names)
        module, like = self.module, next(iter(self.module.lora_A.values())).weight
        self.a = like.data.new_empty(len(names), self.rank, module.in_features)
        self.b = like.data.new_empty(len(names), self.rank, module.out_features)
        for slot, name in enumerate(names):
            if name:
                self.write(name, slot)

    def write(self, name: str, slot: int) -> None:
        """Copy the matrices of an adapter into a slot; peft's weights become views of it, and what held them is free."""
        a, b = self.module.lora_A[name].weight, self.module.lora_B[name].weight
        self.a[slot].copy_(a.data)
        self.b[slot].copy_(b.data.T)
        a.data, b.data = self.a[slot], self.b[slot].T
        self.names[slot] = name


class JoinedMatrices:
    """The matrices of the adapters on a module, by rank.

    Args:
        module: a LoRA layer of peft.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.stacks: dict[int, Stack] = {}
        self.ranks: dict[str, int] = {}
        """By peft's names of the adapters that are here."""

    def can_take(self, name: str) -> bool:
        """Whether an adapter adds A and B alone to this linear module, and has the type of the others."""
        module = self.module
        if name not in module.lora_A or name in module.lora_variant or module.lora_bias.get(name):
            return False
        weights = (module.lora_A[name].weight, module.lora_B[name].weight)
        like = next(iter(module.lora_A.values())).weight
        return all((weight.dtype, weight.device) == (like.dtype, like.device) for weight in weights)

    def add(self, name: str) -> None:
        """Move the matrices of an adapter here."""
        rank = self.ranks[name] = int(self.module.lora_A[name].weight.shape[0])
        if rank not in self.stacks:
            self.stacks[rank] = Stack(self.module, rank)
        self.stacks[rank].add(name)

    def remove(self, name: str) -> None:
        """Free the slot of an adapter, for the next one of its rank. No other slot stays free."""
        rank = self.ranks.pop(name)
        self.stacks[rank].remove(name)
        if rank not in self.ranks.values():
            del self.stacks[rank]
        for other, stack in self.stacks.items():
            if other != rank or stack.free > 1:
                stack.compact()
