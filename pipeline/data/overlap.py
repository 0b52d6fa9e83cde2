"""Training prompts that are copies, or nearly, of held-out ones.

Two prompts are compared by the Jaccard similarity of their sets of shingles, runs of five words. Prompts made from one long template
are alike by its words alone, so they must be as similar again in what tells them apart: the shingles that do not stand in many
held-out prompts. A prompt shorter than a shingle, or of template only, has only equal copies.

No sketch such as MinHash is used: prompts this similar share at least one of their rarest shingles (prefix filtering; Bayardo, Ma,
Srikant: Scaling Up All Pairs Similarity Search, WWW 2007), so a small index finds every pair, and no slower.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.store.records import Example

WIDTH = 5
TEMPLATE_SHARE = 0.1
"""A shingle in more than this share of the distinct held-out prompts, and in two of them, is template."""
CHINESE_JAPANESE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
WORD = re.compile(rf"[{CHINESE_JAPANESE}]|[^\W{CHINESE_JAPANESE}]+|[^\w\s]")
"""A word, a sign (12 + 7 is not 12 - 7), or a character of a script that sets no blanks between words."""

Shingle = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """The held-out example that a training prompt copies."""

    heldout: str
    similarity: float
    kind: str
    """`exact`: equal but for case and blanks; `near`: similar."""


class Watch:
    """Knows the held-out prompts and tells whether a prompt copies one."""

    def __init__(self, examples: Iterable[Example], threshold: float) -> None:
        """threshold: Jaccard similarity in (0, 1] from which a prompt is a copy; 1 finds equal prompts only."""
        self.threshold = threshold
        self.ids: dict[Shingle, str] = {}
        """The words of every distinct held-out prompt, and the first example that asks it."""
        for example in examples:
            self.ids.setdefault(words(example.prompt), example.id)
        self.frequency = Counter(shingle for said in self.ids for shingle in shingles(said))
        self.common = max(1.0, TEMPLATE_SHARE * len(self.ids))
        self.held = [(name, frozenset(shingles(said))) for said, name in self.ids.items()] if threshold < 1 else []
        self.index: dict[Shingle, list[int]] = defaultdict(list)
        for place, (_, held) in enumerate(self.held):
            for shingle in self.prefix(self.telling(held)):
                self.index[shingle].append(place)

    def match(self, prompt: str) -> Match | None:
        """The held-out example most like a prompt, if it is like enough; of equals the first."""
        said = words(prompt)
        if said in self.ids:
            return Match(self.ids[said], 1.0, "exact")
        if not self.held:
            return None
        mine = frozenset(shingles(said))
        near = sorted({place for shingle in self.prefix(self.telling(mine)) for place in self.index.get(shingle, ())})
        best = max(((self.similarity(mine, self.held[place][1]), -place) for place in near), default=(0.0, 0))
        return Match(self.held[-best[1]][0], best[0], "near") if best[0] >= self.threshold else None

    def similarity(self, one: frozenset[Shingle], other: frozenset[Shingle]) -> float:
        """Of the whole prompts or of what tells them apart, whichever is less."""
        return min(jaccard(one, other), jaccard(self.telling(one), self.telling(other)))

    def telling(self, all_of_it: frozenset[Shingle]) -> frozenset[Shingle]:
        """The shingles of a prompt that are not template."""
        return frozenset(shingle for shingle in all_of_it if self.frequency[shingle] <= self.common)

    def prefix(self, kept: frozenset[Shingle]) -> Sequence[Shingle]:
        """Its rarest shingles, as many that a set without one of them has a similarity below the threshold."""
        size = len(kept) - math.ceil(self.threshold * len(kept) - 1e-9) + 1 if kept else 0
        return sorted(kept, key=lambda shingle: (self.frequency[shingle], shingle))[:size]


def words(prompt: str) -> Shingle:
    return tuple(WORD.findall(unicodedata.normalize("NFKC", prompt).casefold()))


def shingles(said: Shingle) -> set[Shingle]:
    """The runs of five words; none of a shorter text, which has equal copies only."""
    return {said[start : start + WIDTH] for start in range(len(said) - WIDTH + 1)}


def jaccard(one: frozenset[Shingle], other: frozenset[Shingle]) -> float:
    both = len(one & other)
    return both / (len(one) + len(other) - both) if both else 0.0
