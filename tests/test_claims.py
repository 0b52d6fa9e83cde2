"""What is claimed, over which family, and in which words."""

import pytest

from pipeline.measures import claims
from pipeline.page import claims_section
from pipeline.page.anchors import link


def lift(p=0.01, low=0.08, high=0.16):
    return {"metric": "exact_match", "lift": (low + high) / 2, "low": low, "high": high, "p": p, "primary": True}


def parts(p=0.01, low=0.02, high=0.08, arm="base_fewshot"):
    training = {"name": "training", "arm": "tuned", "over": arm, "value": (low + high) / 2, "low": low, "high": high, "p": p}
    cheap = [{"name": "constant", "arm": None}, {"name": "format", "arm": None}, {"name": "few-shot", "arm": arm}]
    return {"parts": [*cheap, training], "best_cheap": arm or "base", "lift": 0.12}


def suite(name="paragraphs", p=0.01, p_worse=0.99, low=-0.01, high=0.012, kind="loss"):
    """Tuned minus base; what still is no regression is above zero for a loss and below zero for a score."""
    margin = 0.05 if kind == "loss" else -0.05
    shared = {"suite": name, "kind": kind, "measurable": True, "task_metric": None if kind == "loss" else "exact_match", "margin": margin}
    return shared | {"difference": (low + high) / 2, "low": low, "high": high, "p": p, "p_worse": p_worse}


def cell(name="a", key=None, primary=None, decomposition=None, forgetting=(), equivalence=None):
    named = {"cell": name, "comparison_key": key or name, "task": "boolq", "label": "boolq, rank 8"}
    return (
        named
        | {"primary": primary or lift(), "decomposition": decomposition, "forgetting": list(forgetting)}
        | {"equivalence": equivalence}
    )


def judged_claims(*cells, confidence=0.95, correction="holm"):
    return claims.judge(claims.family(cells), confidence, correction)


def test_a_cell_claims_its_lift_its_training_effect_and_no_regressions():
    family = claims.family([cell(decomposition=parts(), forgetting=[suite(), suite("sst2", kind="task")])])
    assert [claim.id for claim in family] == ["a.lift", "a.training-effect", "a.non-inferiority.paragraphs", "a.non-inferiority.sst2"]
    assert [claim.kind for claim in family] == ["lift", "training effect", "non-inferiority", "non-inferiority"]
    assert [claim.subject for claim in family] == ["exact_match", "exact_match", "paragraphs", "sst2"]
    assert [link(claim.evidence) for claim in family] == ["#a", "#a-parts", "#a-kept-paragraphs", "#a-kept-sst2"]
    assert [claim.margin for claim in family] == [None, None, 0.05, -0.05]
    assert {(claim.task, claim.label, claim.verdict, claim.p_adjusted) for claim in family} == {("boolq", "boolq, rank 8", None, None)}


def test_claims_are_sentences_with_figures():
    family = claims.family([cell(decomposition=parts(), forgetting=[suite(), suite("sst2", kind="task", low=-0.0004, high=0.0002)])])
    assert [claims_section.sentence(claim, "") for claim in family] == [
        "fine-tuned over the base on boolq, rank 8: exact match +0.12 [0.08, 0.16]",
        "fine-tuned over the best baseline without training (the few-shot base) on boolq, rank 8: exact match +0.05 [0.02, 0.08]",
        "fine-tuned on boolq, rank 8 minus base, on plain English: loss +0.001 [-0.010, 0.012] nats/token, margin +0.05",
        "fine-tuned on boolq, rank 8 minus base, on sst2: exact match 0.000 [0.000, 0.000], margin -0.05",
    ]


def test_a_claim_names_arms_by_how_the_task_constrains_answers():
    _, effect = claims.family([cell(decomposition=parts(arm="constant"))])
    assert "without training (a constant answer)" in claims_section.sentence(effect, "choices")
    _, effect = claims.family([cell(decomposition=parts(arm="base_constrained"))])
    assert "without training (the base with ranked choices)" in claims_section.sentence(effect, "choices")
    assert "without training (the base with keys in its prompt)" in claims_section.sentence(effect, "keys")


def test_a_training_effect_is_claimed_where_a_baseline_was_tried():
    lost = parts(arm="base")  # tried and no better than the base: the family is fixed before the scores are known
    assert [claim.kind for claim in claims.family([cell(decomposition=lost)])] == ["lift", "training effect"]
    assert [claim.kind for claim in claims.family([cell(decomposition=parts(arm=None))])] == ["lift"]
    assert [claim.kind for claim in claims.family([cell()])] == ["lift"]


def test_cells_that_share_a_comparison_claim_once():
    cells = [cell("a", "k", forgetting=[suite()]), cell("b", "k", forgetting=[suite()]), cell("c")]
    family = judged_claims(*cells)
    assert [claim.id for claim in family] == ["a.lift", "a.non-inferiority.paragraphs", "c.lift"]
    assert [claim.p_adjusted for claim in family] == pytest.approx([0.03, 0.03, 0.03])
    shared = claims.by_cell({"a": "k", "b": "k", "c": "c"}, family)
    assert {name: [claim.id for claim in cell_claims] for name, cell_claims in shared.items()} == {
        "a": ["a.lift", "a.non-inferiority.paragraphs"],
        "b": ["a.lift", "a.non-inferiority.paragraphs"],
        "c": ["c.lift"],
    }
    assert all({claim.cell for claim in cell_claims} == {name} for name, cell_claims in shared.items())


def test_holm_counts_every_kind_of_claim():
    one = cell(primary=lift(p=0.02), decomposition=parts(p=0.03), forgetting=[suite(p=0.001)])
    family = judged_claims(one)
    assert [claim.p_adjusted for claim in family] == pytest.approx([0.04, 0.04, 0.006])
    assert [claim.verdict for claim in family] == ["above base", "improved", "no regression"]
    assert judged_claims(cell(primary=lift(p=0.03), decomposition=parts(p=0.03)))[0].verdict == "inconclusive"
    assert judged_claims(cell(primary=lift(p=0.03), decomposition=parts(p=0.03)), correction="none")[0].verdict == "above base"
    assert judged_claims(one, confidence=0.99)[0].verdict == "inconclusive"


@pytest.mark.parametrize(
    ("p", "low", "high", "word"),
    [(0.01, 0.02, 0.2, "improved"), (0.01, -0.2, -0.02, "worse"), (0.06, 0.02, 0.2, "inconclusive"), (0.01, -0.1, 0.2, "inconclusive")],
)
def test_lifts_and_training_effects_need_test_and_interval(p, low, high, word):
    assert judged_claims(cell(primary=lift(p, low, high)))[0].verdict == word
    assert judged_claims(cell(primary=lift(1e-9), decomposition=parts(p, low, high)))[1].verdict == word


REGRESSIONS = [
    (0.02, 0.98, -0.01, 0.04, "no regression"),  # within the margin of 0.05
    (0.02, 0.98, 0.01, 0.04, "no regression"),  # worse, but by less than the margin
    (0.03, 0.97, -0.01, 0.04, "inconclusive"),  # twice 0.03
    (0.02, 0.98, -0.01, 0.06, "inconclusive"),
    (0.02, 0.98, -0.01, 0.05, "inconclusive"),
    (0.98, 0.02, 0.06, 0.2, "regressed"),
    (0.98, 0.02, 0.04, 0.2, "inconclusive"),
    (0.97, 0.03, 0.06, 0.2, "inconclusive"),
    (0.01, 0.99, -0.2, -0.1, "no regression"),  # tuned gained
]
"""p, p_worse, and the interval of how much worse tuned is."""


@pytest.mark.parametrize(("p", "p_worse", "low", "high", "word"), REGRESSIONS)
@pytest.mark.parametrize("kind", ["loss", "task"])
def test_a_change_on_another_task_is_compared_with_the_margin(kind, p, p_worse, low, high, word):
    """A loss that rises is worse, and so is a score that falls: the same cases with the other sign."""
    ends = (low, high) if kind == "loss" else (-high, -low)
    one = cell(forgetting=[suite(p=p, p_worse=p_worse, low=ends[0], high=ends[1], kind=kind)])
    claim = claims.judge(claims.family([one])[1:], 0.95, "holm")[0]
    assert (claim.verdict, claim.p) == (word, pytest.approx(2 * min(p, p_worse)))


def test_p_of_a_claim_of_no_regression_is_at_most_one():
    assert claims.family([cell(forgetting=[suite(p=0.6, p_worse=0.7)])])[1].p == 1


def test_a_claim_has_the_fields_of_the_report():
    fields = "id cell task label kind subject against metric unit sentence value low high p margin evidence p_adjusted verdict".split()
    assert sorted(claims_section.claim_row(judged_claims(cell())[0], {"constraint": ""})) == sorted(fields)


def test_no_cells_no_claims():
    assert judged_claims() == []


def test_a_suite_on_which_the_base_can_lose_nothing_is_no_claim():
    there = {
        "suite": "x",
        "kind": "task",
        "task_metric": "accuracy",
        "difference": 0.0,
        "low": 0.0,
        "high": 0.0,
        "p": 0.01,
        "p_worse": 0.9,
        "margin": -0.02,
    }
    families = [claims.family([cell(forgetting=[there | {"measurable": measurable}])]) for measurable in (True, False)]
    assert [[claim.kind for claim in family] for family in families] == [["lift", "non-inferiority"], ["lift"]]


def test_a_claim_among_many_shows_larger_lifts_only():
    assert claims.effect_inflation(1, 0.95, "holm") == pytest.approx(1)
    assert claims.effect_inflation(15, 0.95, "holm") == pytest.approx((2.9352 + 0.8416) / (1.96 + 0.8416), rel=1e-3)
    assert claims.effect_inflation(15, 0.95, "none") == 1


def within(margin, p=0.01, low=-0.01, high=0.015, merged=()):
    row = {"value": (low + high) / 2, "low": low, "high": high, "p": p}
    return {"margin": margin, "lift": row, "training": row, "merged": dict.fromkeys(merged, row)}


@pytest.mark.parametrize(
    ("p", "low", "high", "word"),
    [
        (0.01, -0.01, 0.015, "same"),
        (0.01, 0.002, 0.015, "same"),  # above zero, and less than the margin
        (0.01, -0.02, 0.015, "inconclusive"),
        (0.01, -0.01, 0.02, "inconclusive"),
        (0.06, -0.01, 0.015, "inconclusive"),
    ],
)
def test_an_effect_within_the_margin_is_the_same(p, low, high, word):
    """Both the test and the interval must rule out a difference of the margin."""
    (lift_claim, same) = judged_claims(cell(primary=lift(0.9, -0.01, 0.02), equivalence=within(0.02, p, low, high)))
    assert (same.id, same.kind, same.subject, same.verdict) == ("a.equivalence.lift", "equivalence", "lift", word)
    assert lift_claim.verdict == word
    assert claims_section.sentence(same, "").startswith("fine-tuned minus the base on boolq, rank 8: exact match ")


def test_same_goes_before_improved_and_worse():
    for ends in ((0.002, 0.018), (-0.018, -0.002)):
        judged = judged_claims(cell(primary=lift(1e-6, *ends), equivalence=within(0.02, 1e-6, *ends)))
        assert [claim.verdict for claim in judged] == ["same", "same"]
        assert judged_claims(cell(primary=lift(1e-6, *ends)))[0].verdict in ("improved", "worse")


def test_an_effect_and_its_sameness_are_never_both_counted_against_the_level():
    """Zero and beyond the margin exclude each other, so p is multiplied by the number of effects, not of tests (Shaffer 1986)."""
    one = cell(primary=lift(p=0.02), decomposition=parts(p=0.03), equivalence=within(0.02, 0.4, merged=["merged"]))
    family = judged_claims(one)
    both = ["a.equivalence.lift", "a.equivalence.training-effect"]
    assert [claim.id for claim in family] == ["a.lift", "a.training-effect", *both, "a.equivalence.merged"]
    assert [claim.p_adjusted for claim in family] == pytest.approx([0.06, 0.09, 1.0, 1.0, 1.0])
    assert claims.most_true(family) == 3
    assert claims_section.sentence(family[-1], "").startswith("the merged fine-tuned model minus the fine-tuned model on")
