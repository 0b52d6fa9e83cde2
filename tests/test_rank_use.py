"""Cuts and singular values of adapters against the product B A itself; and what is made of them."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline import arms
from pipeline.config import recipe as recipes
from pipeline.errors import RecipeError
from pipeline.measures import rank_use, sufficient_size
from pipeline.measures.report_types import Report
from pipeline.measures.sufficient_size import Point
from pipeline.models import low_rank
from pipeline.planning.plan import plan
from tests import project
from tests.test_export import exporter, record_of
from tests.test_report_schema import faults

RANK, OUT, IN = 8, 24, 40
NAME = "base_model.model.layers.0.q_proj"


def adapter(folder, b, a, rslora=False, dtype=torch.float32):
    """A folder of one module, as peft saves it."""
    folder.mkdir(exist_ok=True)
    config = {"r": len(a), "lora_alpha": 12.0, "use_rslora": rslora, "use_dora": False, "rank_pattern": {}, "alpha_pattern": {}}
    (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    tensors = {f"{NAME}.lora_B.weight": b.to(dtype).contiguous(), f"{NAME}.lora_A.weight": a.to(dtype).contiguous()}
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def update(folder):
    """Scale x B A of the module, in double precision, and its rank."""
    config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    tensors = load_file(folder / "adapter_model.safetensors")
    b, a = tensors[f"{NAME}.lora_B.weight"].double(), tensors[f"{NAME}.lora_A.weight"].double()
    scale = config["lora_alpha"] / (math.sqrt(config["r"]) if config["use_rslora"] else config["r"])
    return scale * b @ a, len(a)


@pytest.fixture
def random_adapter(tmp_path):
    generator = torch.Generator().manual_seed(0)
    b, a = torch.randn(OUT, RANK, generator=generator), torch.randn(RANK, IN, generator=generator)
    return lambda rslora=False: adapter(tmp_path / f"whole{rslora}", b, a, rslora)


@pytest.mark.parametrize("rslora", [False, True])
def test_singular_values_are_those_of_the_product(random_adapter, rslora):
    folder = random_adapter(rslora)
    whole, _ = update(folder)
    values = low_rank.spectrum(folder)
    assert list(values) == ["layers.0.q_proj"]
    assert values["layers.0.q_proj"] == pytest.approx(torch.linalg.svdvals(whole)[:RANK].tolist(), rel=1e-6)


@pytest.mark.parametrize("rslora", [False, True])
@pytest.mark.parametrize("rank", [1, 3, 7])
def test_a_cut_is_the_nearest_update_of_its_rank(random_adapter, tmp_path, rank, rslora):
    folder = random_adapter(rslora)
    (tmp_path / "cut").mkdir()
    weights = low_rank.cut(folder, tmp_path / "cut", rank)
    whole, _ = update(folder)
    cut, columns = update(tmp_path / "cut")
    u, values, vh = torch.linalg.svd(whole, full_matrices=False)
    assert columns == rank
    assert weights == rank * (OUT + IN)
    assert torch.allclose(cut, (u[:, :rank] * values[:rank]) @ vh[:rank], atol=1e-4)


def test_a_planted_rank_is_seen_and_kept_whole(tmp_path):
    """A target map of rank 3, learned at rank 8: three singular values hold all the energy, and the cut to 3 loses nothing."""
    generator = torch.Generator().manual_seed(1)
    b = torch.randn(OUT, 3, generator=generator) @ torch.randn(3, RANK, generator=generator)
    folder = adapter(tmp_path / "planted", b, torch.randn(RANK, IN, generator=generator))
    row = rank_use.spectrum_row(0, low_rank.spectrum(folder))
    assert row["energy"][2] == pytest.approx(1.0, abs=1e-9)
    assert row["energy"][1] < 0.999
    assert row["rank_99"] == 3
    (tmp_path / "cut").mkdir()
    low_rank.cut(folder, tmp_path / "cut", 3)
    assert torch.allclose(update(folder)[0], update(tmp_path / "cut")[0], atol=1e-4)


def test_energy_and_stable_rank_are_those_of_known_values():
    modules = {"layers.0.q_proj": [3.0, 1.0, 0.0], "layers.1.q_proj": [1.0, 1.0, 1.0], "layers.0.up_proj": [2.0, 0.0, 0.0]}
    row = rank_use.spectrum_row(7, modules)
    assert row["energy"] == pytest.approx([14 / 17, 16 / 17, 1.0])
    assert (row["seed"], row["modules"], row["rank_90"], row["rank_95"], row["rank_99"]) == (7, 3, 2, 3, 3)
    assert row["stable_rank"] == pytest.approx(10 / 9)
    assert [(kind["kind"], kind["modules"], kind["rank_95"]) for kind in row["kinds"]] == [("q_proj", 2, 3), ("up_proj", 1, 1)]
    assert row["kinds"][0]["stable_rank"] == pytest.approx((10 / 9 + 3) / 2)


def test_an_update_of_zeros_uses_the_least_rank():
    row = rank_use.spectrum_row(0, {"a": [0.0, 0.0]})
    assert (row["rank_99"], row["stable_rank"], row["energy"]) == (1, 0.0, [1.0, 1.0])


@pytest.mark.parametrize(("p", "smallest"), [([0.9, 0.04, 0.01], 2), ([0.01, 0.9, 0.01], 4), ([0.01, 0.01, 0.06], None), ([], None)])
def test_the_smallest_cut_is_one_from_which_all_are_enough(p, smallest):
    assert rank_use.smallest_enough([1, 2, 4][: len(p)], p, 0.05) == smallest


@pytest.mark.parametrize(("wrong", "is_enough"), [(0, True), (40, False)])
def test_a_cut_that_answers_worse_is_not_enough(wrong, is_enough):
    full = np.ones(400)
    cut = np.where(np.arange(400) < wrong, 0.0, 1.0)
    test = rank_use.against_full(cut, full, np.arange(400), 0.02, 0.95)
    assert test["difference"] == pytest.approx(-wrong / 400)
    assert (test["p"] <= 0.05) == is_enough
    assert (test["low"] > -0.02) == is_enough


# A planted truth: the target differs from the base by a map of rank 4


PLANTED, WIDTH, EXAMPLES = 4, 32, 1500


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Adapters trained towards the planted map, by rank: the folder, and which held-out answers are right."""
    generator = torch.Generator().manual_seed(5)
    base, left, right = (torch.randn(WIDTH, WIDTH, generator=generator) / WIDTH**0.5 for _ in range(3))
    target = base + 2 * torch.linalg.qr(left)[0][:, :PLANTED] @ torch.linalg.qr(right)[0][:PLANTED]
    train, heldout = torch.randn(512, WIDTH, generator=generator), torch.randn(EXAMPLES, WIDTH, generator=generator)
    right_answers = (heldout @ target.T).argmax(dim=1)

    def answers(folder):
        return (heldout @ (base.double() + update(folder)[0]).T.float()).argmax(dim=1) == right_answers

    trained = {}
    for rank in (1, 2, 4, 8, 16):
        b = torch.zeros(WIDTH, rank, requires_grad=True)
        a = (torch.randn(rank, WIDTH, generator=generator) / WIDTH**0.5).requires_grad_()
        optimizer = torch.optim.Adam([b, a], lr=0.02)
        for _ in range(600):
            loss = ((train @ (base + 12 / rank * b @ a).T - train @ target.T) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        folder = adapter(tmp_path_factory.mktemp("planted") / str(rank), b.detach(), a.detach())
        trained[rank] = (folder, answers(folder).numpy().astype(float))
    return trained, answers


def test_a_sweep_recovers_the_planted_rank(planted):
    trained, _ = planted
    groups = np.arange(EXAMPLES)
    rows = {rank: row for rank, (_, row) in trained.items()}
    points = [Point("planted", {"finetune.rank": rank}, "a", row.mean(), 0.0, 1.0, row, groups) for rank, row in rows.items()]
    (line,) = sufficient_size.section(points, sufficient_size.Settings(margin=0.02))
    assert line["smallest"] in (PLANTED, 2 * PLANTED)


def test_cuts_of_the_largest_recover_the_planted_rank(planted, tmp_path):
    trained, answers = planted
    folder, whole = trained[16]
    p = []
    for rank in (1, 2, 4, 8):
        (tmp_path / str(rank)).mkdir()
        low_rank.cut(folder, tmp_path / str(rank), rank)
        cut = answers(tmp_path / str(rank)).numpy().astype(float)
        p.append(rank_use.against_full(cut, whole, np.arange(EXAMPLES), 0.02, 0.95)["p"])
    assert rank_use.smallest_enough([1, 2, 4, 8], p, 0.05) == PLANTED
    assert rank_use.spectrum_row(0, low_rank.spectrum(folder))["rank_99"] == PLANTED


# Plans


def planned(compare=None, **more):
    body = {"name": "a", "base": "quickstart-base", "tasks": ["shop_notice"], "compare": {"arms": ["base", "tuned"], **(compare or {})}}
    return plan(recipes.build({**body, **more}), ask=False)


def test_cuts_are_arms_with_an_adapter_of_their_own():
    jobs = planned({"rank_cuts": "halves"}, finetune={"rank": 12, "seeds": [3, 1]})
    cuts = {job.params["rank"]: dict(job.inputs)["adapter"] for job in jobs if job.stage == "cut_adapter"}
    assert sorted(cuts) == [1, 3, 6]
    assert {adapter.params["seed"] for adapter in cuts.values()} == {3}  # the first of the recipe
    comparison = next(job for job in jobs if job.stage == "compare")
    names = [name for name, _ in comparison.inputs if name.startswith("arm.")]
    assert names == [f"arm.{arms.cut_to(rank)}" for rank in (1, 3, 6)]
    assert [job.stage for job in jobs].count("spectrum") == 2


def test_ranks_that_are_not_smaller_are_no_cuts():
    jobs = planned({"rank_cuts": [2, 8, 16]}, sweep={"finetune.rank": [4, 8]})
    assert sorted(job.params["rank"] for job in jobs if job.stage == "cut_adapter") == [2, 2]


def test_a_sweep_over_ranks_takes_singular_values_and_nothing_else_does():
    assert [job.stage for job in planned(sweep={"finetune.rank": [4, 8]})].count("spectrum") == 2
    assert "spectrum" not in {job.stage for job in planned(sweep={"finetune.epochs": [1, 2]})}


def test_dora_cannot_be_cut():
    with pytest.raises(RecipeError, match=r"compare\.rank_cuts: a DoRA adapter scales"):
        planned({"rank_cuts": [2]}, finetune={"dora": True})


def test_arms_of_cuts_stand_behind_the_whole_adapter_by_rank():
    names = ["merged", "tuned_rank16", "tuned_rank4", "base", "tuned"]
    assert sorted(names, key=arms.sort_key) == ["base", "tuned", "tuned_rank4", "tuned_rank16", "merged"]
    assert arms.find("tuned_rank4").label == "fine-tuned, cut to rank 4"


# From training to the page, and out


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model):
    root = tmp_path_factory.mktemp("cuts")
    path = project.make(root, model["folder"])
    body = json.loads(path.read_text("utf-8"))
    body["finetune"] |= {"rank": 4, "epochs": 20}
    body["compare"] |= {"rank_cuts": [1, 2], "arms": ["base", "tuned"]}
    path.write_text(json.dumps(body), "utf-8")
    project.carry_out(path, root)
    return path, root


@pytest.fixture(scope="module")
def report(finished):
    [path] = (finished[1] / "data" / "report").glob("*/report.json")
    return json.loads(path.read_text("utf-8")), path.with_name("report.html").read_text("utf-8")


def test_figures_of_the_page_are_those_of_the_records(finished, report):
    """Energy by numpy from the adapter's own tensors; scores and differences by the examples of the comparison."""
    use = report[0]["cells"][0]["rank_use"]
    [weights] = (finished[1] / "checkpoints").glob("*/adapter_model.safetensors")
    tensors = {name: value.double().numpy() for name, value in load_file(weights).items()}
    squares = [
        np.linalg.svd(value @ tensors[name.replace("lora_B", "lora_A")], compute_uv=False)[:4] ** 2
        for name, value in tensors.items()
        if "lora_B" in name
    ]
    energy = np.cumsum(np.sum(squares, axis=0)) / np.sum(squares)
    assert use["spectra"][0]["energy"] == pytest.approx(energy.tolist(), rel=1e-6)
    [examples] = (finished[1] / "data" / "compare").glob("*/examples.jsonl")
    rows = [json.loads(line) for line in examples.read_text("utf-8").splitlines()]
    metric = report[0]["cells"][0]["comparisons"][0]["metric"]
    whole = np.mean([row["tuned"][0]["scores"][metric] for row in rows])
    assert use["full_score"] == pytest.approx(whole)
    for cut in use["cuts"]:
        score = np.mean([row["others"][cut["arm"]]["scores"][metric] for row in rows])
        assert (cut["score"], cut["difference"]) == pytest.approx((score, score - whole))
        assert cut["trainable_parameters"] * 4 == use["trainable_parameters"] * cut["rank"]
    assert [cut["rank"] for cut in use["cuts"]] == [1, 2]


def test_the_report_is_as_its_types_say(report):
    assert faults(report[0], Report) == []


def test_the_page_has_the_cuts_and_the_ranks(report):
    content, html = report
    section = html.partition('<section id="rank">')[2].partition("</section>")[0]
    assert "Cut by SVD to a smaller rank" in section
    assert f"rank {content['cells'][0]['rank_use']['spectra'][0]['rank_95']} of 4 keeps 95 % of the energy" in section
    assert 'href="#rank"' in html


def test_a_cut_is_exported_with_its_own_answers(finished, tmp_path, monkeypatch, capsys):
    export = exporter(monkeypatch, capsys)
    export(*finished, "--rank", "2", "--form", "adapter", "--out", tmp_path / "small")
    assert json.loads((tmp_path / "small" / "adapter_config.json").read_text("utf-8"))["r"] == 2
    assert record_of(tmp_path / "small")["measured"]["equal_answers"] == record_of(tmp_path / "small")["measured"]["examples"]
    card = (tmp_path / "small" / "README.md").read_text("utf-8")
    assert "trained at rank 4 and then cut to rank 2" in card
    assert "LoRA adapter of rank 2" in card


@pytest.mark.parametrize(("rank", "problem"), [("4", "--rank 4: the adapter has rank 4"), ("9", "--rank 9: the adapter has rank 4")])
def test_a_rank_that_is_no_smaller_is_refused(finished, tmp_path, monkeypatch, capsys, rank, problem):
    export = exporter(monkeypatch, capsys)
    assert problem in export(*finished, "--rank", rank, "--form", "adapter", "--out", tmp_path / "x", status=2)
