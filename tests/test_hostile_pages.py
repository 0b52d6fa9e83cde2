"""A page may come from anyone: however it is built, `verify` ends soon, in one line, and writes nothing beside its own folder."""

import json
import shutil
import time

import pytest

from pipeline.commands import page_file, recompute_page
from pipeline.commands.page_file import ProofError
from pipeline.errors import ArtifactError, UserError
from pipeline.page import embedded_records
from tests import project
from tests.test_recompute_page import Forger, drawn_by_others, edit

MANY = 100_000
SECONDS = 20.0
"""Of the processor; an honest page of this size takes one to three."""
UNCLOSED = {
    "drawings": "<svg",
    "drawings with a bracket": "<svg>",
    "drawings inside drawings": "<svg><g>",
    "entries of versions": '"drawn_by": {',
    "embedded files": '<script type="text/plain" id="file-0">',
    "names of embedded files": '<script type="text/plain" id="',
    "ids": ' id="a',
    "ends of drawings": "</svg>",
    "comments": "<!--",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory, model):
    """The store of a small comparison that was really run."""
    folder = tmp_path_factory.mktemp("hostile")
    project.carry_out(project.make(folder, model["folder"]), folder)
    return folder


@pytest.fixture
def page(root, tmp_path):
    return shutil.copyfile(next(root.glob("data/report/*--*/report.html")), tmp_path / "report.html")


def seconds_to_refuse(page):
    started = time.process_time()
    with pytest.raises(UserError) as error:
        recompute_page.verify(page)
    assert len(str(error.value).splitlines()) <= 2
    return time.process_time() - started


@pytest.mark.parametrize("name", UNCLOSED)
def test_many_things_without_an_end_take_no_longer_than_others(name, page):
    drawn_by_others(page)  # so that its charts are compared one by one
    edit(page, "</body>", UNCLOSED[name] * MANY + "</body>")
    assert seconds_to_refuse(page) < SECONDS


def test_a_deep_drawing(page):
    drawn_by_others(page)
    edit(page, "</body>", f"<svg>{'<g>' * MANY}{'</g>' * MANY}</svg></body>")
    assert seconds_to_refuse(page) < SECONDS


def test_many_embedded_files_and_many_names(page):
    forger = Forger(page)
    files = [str(number).encode() for number in range(20_000)]
    blocks = [f'<script type="text/plain" id="{embedded_records.content_id(raw)}">{embedded_records.pack(raw)}</script>' for raw in files]
    forger.text = forger.text.replace("</body>", "".join(blocks) + "</body>")
    forger.entry("cell0000.base")["files"] = {f"f{number}": f"{number:064x}" for number in range(20_000)}
    forger.save()
    assert seconds_to_refuse(page) < SECONDS


def test_split_at_drawings():
    text = "a<svg x>1</svg>b<svgs><svg>2<svg>3</svg>c</svg><svg>d"
    parts = recompute_page.split_at_drawings(text)
    assert parts == ["a", "<svg x>1</svg>", "b<svgs>", "<svg>2<svg>3</svg>", "c</svg><svg>d"]
    assert "".join(parts) == text


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a/b", "a/b/c"), ("manifest.json/a",), ("a/b/c/d",)])
def test_a_folder_inside_a_file_is_refused(names, page, tmp_path):
    forger = Forger(page)
    entry = forger.entry("cell0000.base")
    entry["files"] = dict.fromkeys(names, entry["files"]["predictions.jsonl"])
    forger.save()
    before = sorted(tmp_path.rglob("*"))
    assert seconds_to_refuse(page) < SECONDS
    assert sorted(tmp_path.rglob("*")) == before


def test_a_content_that_is_named_often_does_not_fill_the_disk(page, monkeypatch):
    forger = Forger(page)
    entry = forger.entry("cell0000.base")
    size = len(forger.bytes_of(entry["files"]["predictions.jsonl"]))
    total = sum(len(raw) for raw in page_file.read(page).files.values())
    monkeypatch.setattr(page_file, "MAX_UNPACKED_BYTES", total + 10 * size)
    copies = (f"copy{number}" for number in range(total // size + 20))
    entry["files"] = dict.fromkeys(copies, entry["files"]["predictions.jsonl"])
    forger.save()
    with pytest.raises(ProofError, match=r"exceed .* bytes in total when unpacked"):
        recompute_page.verify(page)


def test_a_page_cannot_ask_for_more_resamples_than_a_recipe(page):
    forger = Forger(page)
    params = json.loads(forger.bytes_of(forger.entry("cell0000.comparison")["manifest"]))["params"]
    forger.manifest("cell0000.comparison", params=params | {"resamples": 10**11})
    forger.save()
    with pytest.raises(ProofError, match="100,000,000,000 resamples, and no recipe may ask for more than 10,000,000"):
        recompute_page.verify(page)


def test_an_index_given_twice_is_none(page):
    edit(page, "</body>", page_file.INDEX_START * MANY + "</body>")
    with pytest.raises(ArtifactError, match="has no embedded records"):
        recompute_page.verify(page)
