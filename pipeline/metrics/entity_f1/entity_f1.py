"""Named entities that are found."""

from pipeline.metrics.base import MicroF1, json_object
from pipeline.metrics.words import normalise


class EntityF1(MicroF1):
    """Micro F1 over entities, the pairs (type, text) of a JSON object {type: [texts]}, case and runs of blanks aside.

    A text named twice under one type counts once; a lone string counts as a list of one, null and blank text as none. What is no JSON
    object is never right, also where no entity is expected.
    """

    def items(self, text: str) -> set[tuple[str, str]] | None:
        if (value := json_object(text)) is None:
            return None
        return {
            (normalise(kind), normalise(str(entity)))
            for kind, entities in value.items()
            for entity in (entities if isinstance(entities, list) else [entities])
            if entity is not None and str(entity).strip()
        }
