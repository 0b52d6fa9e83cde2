"""Finds training prompts that copy held-out ones, exactly or nearly.

Two prompts are compared by the Jaccard similarity of their sets of shingles, runs of five words. Prompts filled into one long template
share its words, so their non-template shingles, those that occur in few held-out prompts, must be as similar too. A prompt shorter
than a shingle, or of template only, has only exact copies.

MinHash is not needed: prompts this similar share at least one of their rarest shingles (prefix filtering; Bayardo, Ma,
Srikant: Scaling Up All Pairs Similarity Search, WWW 2007), so a small index finds every pair as fast.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pipeline.store.records import LOSS_TURNS, Example

SHINGLE_WORDS = 5
TEMPLATE_SHARE = 0.1
"""A shingle in more than this share of the distinct held-out prompts, and in two of them, is template."""
CHINESE_JAPANESE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
WORD = re.compile(rf"[{CHINESE_JAPANESE}]|[^\W{CHINESE_JAPANESE}]+|[^\w\s]")
"""A word, a sign (12 + 7 is not 12 - 7), or a character of a script without blanks between words."""

Words = tuple[str, ...]
"""The words of a prompt, or of one shingle of it."""


@dataclass(frozen=True, slots=True)
class Match:
    """The held-out example that a training prompt copies."""

    heldout: str
    similarity: float
    kind: str
    """`exact`: equal but for case and blanks; `near`: similar."""


class OverlapIndex:
    """Held-out prompts, indexed to find the one that a training prompt copies."""

    def __init__(self, examples: Iterable[Example], threshold: float) -> None:
        """threshold: Jaccard similarity in (0, 1] from which a prompt is a copy; 1 finds equal prompts only."""
        self.threshold = threshold
        self.ids: dict[Words, str] = {}
        """The words of every distinct held-out prompt, with the id of the first example that has it."""
        for example in examples:
            self.ids.setdefault(words(example.question), example.id)
        self.frequency = Counter(shingle for prompt_words in self.ids for shingle in shingles(prompt_words))
        self.common = max(1.0, TEMPLATE_SHARE * len(self.ids))
        self.heldout = [(name, frozenset(shingles(prompt_words))) for prompt_words, name in self.ids.items()] if threshold < 1 else []
        self.positions: dict[Words, list[int]] = defaultdict(list)
        for position, (_, prompt_shingles) in enumerate(self.heldout):
            for shingle in self.prefix(self.non_template(prompt_shingles)):
                self.positions[shingle].append(position)

    def match(self, prompt: str) -> Match | None:
        """The held-out example most similar to a prompt, if above the threshold; the first of equally similar ones."""
        prompt_words = words(prompt)
        if prompt_words in self.ids:
            return Match(self.ids[prompt_words], 1.0, "exact")
        if not self.heldout:
            return None
        own = frozenset(shingles(prompt_words))
        candidates = sorted({position for shingle in self.prefix(self.non_template(own)) for position in self.positions.get(shingle, ())})
        best = max(((self.similarity(own, self.heldout[position][1]), -position) for position in candidates), default=(0.0, 0))
        return Match(self.heldout[-best[1]][0], best[0], "near") if best[0] >= self.threshold else None

    def similarity(self, one: frozenset[Words], other: frozenset[Words]) -> float:
        """The lower of two Jaccard similarities: of all shingles, and of the non-template ones."""
        return min(jaccard(one, other), jaccard(self.non_template(one), self.non_template(other)))

    def non_template(self, prompt_shingles: frozenset[Words]) -> frozenset[Words]:
        """The shingles that are rare among held-out prompts."""
        return frozenset(shingle for shingle in prompt_shingles if self.frequency[shingle] <= self.common)

    def prefix(self, prompt_shingles: frozenset[Words]) -> Sequence[Words]:
        """The rarest shingles: a set that holds none of them has a similarity below the threshold."""
        size = len(prompt_shingles) - math.ceil(self.threshold * len(prompt_shingles) - 1e-9) + 1 if prompt_shingles else 0
        return sorted(prompt_shingles, key=lambda shingle: (self.frequency[shingle], shingle))[:size]


def questions(example: Example) -> list[str]:
    """What a training example learns to answer: its prompt, and of a conversation also what stands before each earlier turn with loss."""
    ends = example.extra.get(LOSS_TURNS, ()) if isinstance(example.prompt, tuple) else ()
    return [example.question, *(replace(example, prompt=example.prompt[:end]).question for end in ends)]


def words(prompt: str) -> Words:
    return tuple(WORD.findall(unicodedata.normalize("NFKC", prompt).casefold()))


def shingles(prompt_words: Words) -> set[Words]:
    """All runs of five words; none for a shorter text, which only exact copies match."""
    return {prompt_words[start : start + SHINGLE_WORDS] for start in range(len(prompt_words) - SHINGLE_WORDS + 1)}


def jaccard(one: frozenset[Words], other: frozenset[Words]) -> float:
    both = len(one & other)
    return both / (len(one) + len(other) - both) if both else 0.0
