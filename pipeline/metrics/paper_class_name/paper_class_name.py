"""DBpedia as the LoRA Land paper scores it."""

from pipeline.metrics.base import MeanMetric
from pipeline.metrics.lenient import REFERENCE_URL
from pipeline.metrics.rouge import ascii_f_measure

CLASSES = (
    "Company", "EducationalInstitution", "Artist", "Athlete", "OfficeHolder", "MeanOfTransportation", "Building", "NaturalPlace",
    "Village", "Animal", "Plant", "Album", "Film", "WrittenWork",
)  # fmt: skip
"""In the order of the data set's labels, counted from 0."""


class PaperClassName(MeanMetric):
    """Mean ROUGE-L F-measure of outputs and class names; an output that is an integer stands for the class of that label.

    Kept, since it is the rule: every further word costs score, and `Office Holder` is not `OfficeHolder`. Labels
    count from 0, as in the data set. Fixed: blanks around the integer; an integer that is no label stays what it is, where
    -1 would have been the last class and 14 an error. A target may be a label too.
    """

    reads = "text"
    reference_url = REFERENCE_URL

    def score(self, prediction: str, reference: str) -> float:
        return ascii_f_measure("rougeL", class_name(prediction), class_name(reference))


def class_name(text: str) -> str:
    return dict(zip(map(str, range(len(CLASSES))), CLASSES, strict=True)).get(text.strip(), text)
