"""Planted cases with a known truth: every surface opens with the same recommendation, and it is the right one."""

import html
import io
import re
from functools import cache

import pytest
from rich.console import Console

from pipeline.commands import gate, report_table
from pipeline.commands.recompute_page import verify
from pipeline.measures import claims
from pipeline.page import fmt
from pipeline.store.records import Prediction
from tests import report_answers, report_measures
from tests.report_inputs import BuiltReport, Chartless, Inputs

N = 60
INTERVAL = r"95 % interval -?\d\.\d+ to -?\d\.\d+"
ON_60 = rf"{INTERVAL} \(60 test examples\)"
EXAMPLES = report_answers.examples("boolq", N)


def texts(base, tuned):
    """By example number, what both arms answer.

    Args:
        base, tuned: functions of (number, target).
    """
    return {number: {"base": base(number, row.target), "tuned": tuned(number, row.target)} for number, row in enumerate(EXAMPLES)}


def right_on(share):
    """An arm that is right on this share of the examples and wrong on the others."""
    return lambda number, target: (
        target if number % 10 < 10 * share else next(choice for choice in report_answers.CHOICES if choice != target)
    )


def always(text):
    return lambda number, target: text


CASES = {
    "failed": {"texts": texts(right_on(0.5), always("qqq")), "steps": 4},
    "constant": {"texts": texts(always("qqq"), always("{most common}"))},
    "format": {"texts": texts(always("qqq"), right_on(0.5))},
    "improved": {"texts": texts(right_on(0.3), right_on(0.9))},
    "same": {"texts": texts(always("qqq"), right_on(0.5))},
    "destroyed": {"texts": texts(right_on(0.3), right_on(0.9)), "loss_rise": 8.1, "measured": True},
}


@cache
def most_common():
    """The target that scores best on the training examples."""
    train = [row.target for row in report_answers.examples("boolq", 600, "train")]
    return max(report_answers.CHOICES, key=train.count)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The report of a case, built once."""

    @cache
    def build(case, seeds=(0,)):
        fields = dict(CASES[case])
        fields["texts"] = {
            number: {arm: text.replace("{most common}", most_common()) for arm, text in row.items()}
            for number, row in fields["texts"].items()
        }
        recipe = {"tasks": ["boolq"], "finetune": {"seeds": seeds}, "general": {"suites": ["paragraphs"]}}
        recipe |= {"compare": {"same_within": 0.3}} if case == "same" else {}
        return BuiltReport(Inputs(tmp_path_factory.mktemp(case), recipe, n=N, arms=("base_fewshot", "constant"), **fields))

    return build


def surfaces(report):
    """By surface, its text with all white space folded."""
    console = Console(width=80, file=io.StringIO())
    console.print(report_table.summary(report.json))
    (card,) = (report.work.out / "cards").glob("*/README.md")
    page = re.sub(r"<[^>]+>", "", report.html.split("<main>")[1].split('id="lifts"')[0])
    by_name = {
        "page": html.unescape(page).replace("−", "-"),
        "report.md": report.md.replace("\\", ""),
        "terminal": console.file.getvalue(),
        "model card": card.read_text("utf-8").replace("\\", ""),
        "gate": gate.headlines_of(report.json)[0]["text"],
    }
    return {name: " ".join(text.split()) for name, text in by_name.items()}


@pytest.mark.parametrize(
    ("case", "verdict", "use", "words"),
    [
        ("failed", "worse", "base",
         rf"Do not use this fine-tune: accuracy 0\.00 against 0\.50 \(best baseline: base\); -0\.50, {ON_60}\. "
         rf'It is worse than a constant answer \("\w+"\), which scores 0\.27 \(-0\.27, {INTERVAL}\)\. Likely causes: '
         r"60 of 60 answers are unparsable \(read a few: prompt and target may not ask for the same form\); only 4 optimizer steps "),
        ("constant", "worse", "base_fewshot",
         rf"Do not use this fine-tune: accuracy 0\.25 against 0\.48 \(best baseline: few-shot base\); -0\.23, {ON_60}\. "
         rf'It is not shown to beat a constant answer \("yes"\), which scores 0\.27 \(-0\.02, {INTERVAL}\)\. '
         r'Likely cause: the model collapsed to one answer, 60 of 60 are "unknown" \(check'),
        ("format", "inconclusive", "inconclusive",
         rf"Inconclusive: accuracy 0\.50 against 0\.48 \(best baseline: few-shot base\); \+0\.02, {ON_60}\. "
         r"It does improve on the base alone\. A test set of this size detects 0\.31 or more\. There is no evidence that training "
         "pays off; "
         r"the few-shot base needs no training\."),
        ("same", "same", "same",
         rf"Same within the margin: accuracy 0\.50 against 0\.48 \(best baseline: few-shot base\); \+0\.02, {ON_60}; "
         r"a difference of 0\.3 or more is ruled out\. The few-shot base needs no training\."),
        ("improved", "improved", "tuned",
         rf"Use the fine-tuned model: accuracy 0\.90 against 0\.48 \(best baseline: few-shot base\); \+0\.42, {ON_60}\. "
         "The base with ranked choices was not tested and may do as well"),
        ("destroyed", "improved", "tuned", r"Use the fine-tuned model on this task only: .*"
         r"Watch out: the adapter breaks the model on general text: .*8\.1 nats/token"),
    ],
)  # fmt: skip
def test_every_surface_says_the_same_truth(built, case, verdict, use, words):
    report = built(case)
    (advised,) = report.json["advice"]
    assert re.fullmatch(verdict, advised["verdict"])
    assert re.fullmatch(use, advised["use"])
    if advised["verdict"] != "improved":  # nor is it so called anywhere because it beats the base alone
        assert not re.search(r'<span class="word \w+">improved</span>', report.html)
    for surface, text in surfaces(report).items():
        assert re.search(words, text), (surface, text[:1500])


def test_an_improvement_that_destroys_general_text_is_no_plain_success(built):
    """It is amber and limited in words on every surface, and what it destroys is no regression besides."""
    report = built("destroyed")
    (cell,) = report.json["cells"]
    assert cell["headline"]["this_task_only"]
    assert '<span class="word limited">improved, this task only</span>' in report.html
    assert '<li class="card limited">' in report.html
    assert '<p class="watch">' in report.html.partition('id="scores"')[0]
    assert "improved, this task only" in fmt.headline("x", cell["headline"], "the base", "holm")
    by_surface = surfaces(report)
    assert "**improved, this task only**" in by_surface["report.md"]
    assert "improved, this task only" in by_surface["terminal"]
    assert "improved, this task only" in by_surface["model card"]
    assert not [row["text"] for row in report.json["summary"] if "regressed" in row["text"]]
    assert not built("improved").json["cells"][0]["headline"]["this_task_only"]


def test_same_is_a_verdict_of_its_own(built):
    """It is said of nothing where the recipe has no margin, and is then inconclusive."""
    report = built("same")
    assert report.json["verdicts"] == {"improved": 0, "worse": 0, "same": 1, "inconclusive": 0}
    assert '<span class="word open">same</span>' in report.html
    assert "A difference of 0.3 (compare.same_within) or more is ruled out either way" in report.html
    (rule,) = [rule for rule in report.json["rules"] if rule["rule"] == "the same as the best baseline"]
    assert (rule["verdict"], rule["threshold"], rule["confirmatory"], fmt.rule_threshold(rule)) == ("same", 0.3, True, "within 0.3")
    assert "4 confirmatory tests" in report.json["summary"][-1]["text"]
    assert gate.headlines_of(report.json)[0]["verdict"] == gate.headlines_of(report.json)[0]["use"] == "same"
    assert report.json["cells"][0]["headline"]["same_within"] == 0.3
    verify(report.work.out / "report.html")
    unset = built("format")
    assert "same" not in unset.json["verdicts"]
    assert "compare.same_within" not in unset.html.partition('id="lineage"')[0]
    assert not [claim for claim in unset.json["claims"] if claim["kind"] == "equivalence"]


def test_what_was_tested_is_no_headline(built):
    sections = dict(re.findall(r'<p class="(\w+)">(.*?)</p>', built("improved").html.partition('id="scores"')[0], re.DOTALL))
    assert "Use the fine-tuned model" in sections["summary"]
    assert "Holm-corrected" in sections["caption"]
    assert "Holm" not in sections["summary"]


def test_the_minimum_detectable_effect_is_that_of_the_headline(built):
    """Not of the lift over the base, whose variance is another."""
    cell = built("format").json["cells"][0]
    decomposition = built("format").load("cell0000.comparison", "decomposition.json")["accuracy"]
    inflation = claims.effect_inflation(2, 0.95, "holm")
    assert cell["headline"]["smallest_effect"] == pytest.approx(inflation * decomposition["smallest_effect"])
    assert cell["headline"]["smallest_effect"] != pytest.approx(cell["comparisons"][0]["smallest_effect"])
    assert f"Minimum detectable effect: {cell['headline']['smallest_effect']:.3f} (80 % power)" in built("format").html


def test_a_few_suites_that_are_not_testable_are_linked_without_a_claim(tmp_path, monkeypatch):
    """Words with a few links have a number for each; here two suites on which neither arm can be parsed."""
    nothing = [Prediction(example.id, "qqq", 1, "eos") for example in report_measures.other_task()]
    monkeypatch.setattr(report_measures, "other_answers", lambda broken, fixed: {"base": nothing, "tuned": nothing})
    recipe = {"tasks": ["boolq", "titles"], "general": {"suites": [report_measures.OTHER_TASK]}}
    report = Chartless(Inputs(tmp_path, recipe, n=20, arms=("constant",), measured=True))
    (sentence,) = [row for row in report.json["summary"] if row["text"].startswith("On ")]
    assert sentence["text"] == "On other tasks: 2 not testable (the base itself does no better than a constant answer there)."
    assert re.findall(r'<a class="why" href="(#[^"]+)">\d</a>', report.html) == sentence["evidence"]


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_said_twice_on_the_first_screen(built, case):
    """Neither a sentence, nor that one training run leaves open what another seed would give."""
    report = built(case)
    screen = report.html.split("<main>")[1].split("<dl>")[0]
    texts = re.findall(r'<p class="(?:summary|watch|aside|use|detail)">(.*?)</p>|<li>(.*?)</li>', screen, re.DOTALL)
    plain = " ".join(" ".join(re.sub(r"<[^>]+>", "", "".join(text)).replace("evidence", "").split()) + " " for text in texts)
    sentences = [sentence.strip(" .") for sentence in re.split(r"(?<=[.:;])\s", plain) if len(sentence.strip(" .")) > 12]
    assert len(sentences) >= 3
    assert not [sentence for sentence in sentences if sentences.count(sentence) > 1]
    assert len(re.findall("seed", plain)) == 1
    assert plain.count("general text") == (case == "destroyed")
    (advised,) = report.json["advice"]
    change = fmt.spelled_change(*[report.json["cells"][0]["headline"][key] for key in ("effect", "low", "high", "confidence")])
    assert plain.count(fmt.typeset(change)) == 1
    assert not advised["sentences"][0]["text"].startswith(tuple(row["text"] for row in advised["sentences"][1:]))
