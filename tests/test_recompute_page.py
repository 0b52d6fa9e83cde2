"""An untouched page can be worked out again from itself; whatever is altered on it is found and named."""

import hashlib
import json
import re
import shutil
import sys

import pytest

from pipeline import cli
from pipeline.commands import page_file, recompute_page
from pipeline.commands.difference import first_difference, first_text_difference
from pipeline.commands.page_file import OtherVersionError, ProofError
from pipeline.errors import ArtifactError
from pipeline.machine import Work
from pipeline.page import embedded_records
from pipeline.stages import report
from pipeline.store.artifact import MANIFEST, Artifact, ArtifactSpec, Store, json_sha256
from tests import project

WHOLE = {"compare.arms": ["base", "base_fewshot", "base_constrained", "tuned", "constant"], "general.suites": ["paragraphs"]}
WHOLE |= {"compare.shots": 2, "compare.relevance_examples": 6, "compare.speed_prompts": 2, "cost.gpu_hour": 2.0}


@pytest.fixture(scope="module")
def store_root(tmp_path_factory, model):
    """The store of a small comparison that was really run, with all that is measured."""
    root = tmp_path_factory.mktemp("proof")
    project.carry_out(project.make(root, model["folder"]), root, WHOLE)
    return root


@pytest.fixture
def page(store_root, tmp_path):
    """A copy of its page, alone as someone gets it."""
    return shutil.copyfile(page_of(store_root), tmp_path / "report.html")


def page_of(root):
    return next(root.glob("data/report/*/report.html"))


def edit(path, old, new):
    text = path.read_text("utf-8")
    assert text.count(old) >= 1, old
    path.write_text(text.replace(old, new, 1), "utf-8")


class Forger:
    """Puts other records into a page and mends the hashes that lead to them, as far as the page has them."""

    def __init__(self, path):
        self.path, self.text = path, path.read_text("utf-8")
        self.index = json.loads(page_file.INDEX.findall(self.text)[0])

    def entry(self, source):
        return self.index["carried"][source]

    def bytes_of(self, sha256):
        packed = re.search(f'id="file-{sha256[:16]}">([^<]*)<', self.text)
        return embedded_records.unpack(packed[1], 2**30)

    def put(self, sha256, raw):
        """Replace a content; returns its new sha256."""
        name, new = f"file-{sha256[:16]}", embedded_records.content_id(raw)
        self.text = re.sub(f'id="{name}">[^<]*<', f'id="{new}">{embedded_records.pack(raw)}<', self.text)
        return hashlib.sha256(raw).hexdigest()

    def manifest(self, source, **changes):
        """Change the manifest of an input, and what the index says of it."""
        entry = self.entry(source)
        body = json.loads(self.bytes_of(entry["manifest"])) | changes
        body["digest"] = json_sha256(body["files"])
        body["key"] = ArtifactSpec(body["stage"], "", body["version"], body["params"], body["inputs"]).key
        del body["checksum"]
        body["checksum"] = json_sha256(body)
        new = self.put(entry["manifest"], json.dumps(body).encode())
        folder = f"{body['label']}--{body['key'][:12]}"
        entry |= {"manifest": new, "digest": body["digest"], "key": body["key"], "files": body["files"], "folder": folder}
        return body

    def file(self, source, name, change):
        """Change a file of an input, its manifest, and the manifest of the comparison that read it."""
        entry = self.entry(source)
        before = entry["digest"]
        new = self.put(entry["files"][name], change(self.bytes_of(entry["files"][name]).decode()).encode())
        after = self.manifest(source, files=entry["files"] | {name: new})["digest"]
        comparison = json.loads(self.bytes_of(self.entry("cell0000.comparison")["manifest"]))
        read = {key: after if value == before else value for key, value in comparison["inputs"].items()}
        if read != comparison["inputs"]:
            self.manifest("cell0000.comparison", inputs=read)

    def save(self):
        spelled = json.dumps(self.index).replace("<", "\\u003c")
        self.path.write_text(
            page_file.INDEX.sub(lambda _: f'<script type="application/json" id="index">{spelled}</script>', self.text), "utf-8"
        )


def rows(change):
    """A change of a JSON-lines file as one of its rows."""
    return lambda text: "".join(json.dumps(row) + "\n" for row in change([json.loads(line) for line in text.splitlines()]))


@pytest.mark.slow
def test_an_untouched_page_is_what_its_records_give(page):
    checked = recompute_page.verify(page)
    assert checked.comparisons == 1
    assert checked.files > 15
    assert checked.numbers > 200
    assert any(name.endswith("adapter_model.safetensors") for name in checked.hash_only)
    assert re.fullmatch(r"\d+ files checked, 1 comparisons rescored, [\d,]+ numbers recomputed: .* named by hash only", checked.line())


@pytest.mark.slow
def test_the_command_line(page, monkeypatch, capsys):
    def typed():
        monkeypatch.setattr(sys, "argv", ["loralift", "verify", str(page)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code or 0, captured.out, " ".join(captured.err.split())

    code, output, _ = typed()
    assert (code, "the page matches them" in output) == (0, True)
    edit(page, "Do pets say yes?", "Do pets say no?")
    code, _, output = typed()
    assert (code, "the page has" in output, "was altered after it was made" in output) == (3, True, True)
    page.write_text("<html>")
    code, _, output = typed()
    assert (code, "is truncated or not a page" in output) == (2, True)


@pytest.mark.slow
def test_a_displayed_number(page):
    number = re.search(r'<td class="n">(?:<b>)?([+−]?0\.\d\d)<', page.read_text())
    edit(page, number[0], number[0].replace(number[1], "0.99"))
    with pytest.raises(ProofError, match=r"line \d+, behind #[\w-]+: the page has '0.99', recomputed it is '.?0\.\d\d'"):
        recompute_page.verify(page)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", [r'<td class="n">(0\.\d{3})<small>', r'<td class="n right" [^>]*>(?:<a [^>]*>)?(\d+)<'])
def test_a_displayed_number_of_a_class(page, pattern):
    classes = page.read_text("utf-8").partition('<section id="classes">')[2]
    number = re.search(pattern, classes)
    edit(page, number[0], number[0][: number.start(1) - number.start()] + "77" + number[0][number.end(1) - number.start() :])
    with pytest.raises(ProofError, match=r"line \d+, behind #[\w-]+: the page has '77', recomputed it is"):
        recompute_page.verify(page)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("Do pets say yes?", "Do pets say no?", "line"),
        ("</style>", "#verdict{display:none}</style>", "line"),
        ("</main>", "<p>So!</p></main>", "line"),
    ],
)
def test_any_other_byte(page, old, new, place):
    edit(page, old, new)
    with pytest.raises(ProofError, match=place):
        recompute_page.verify(page)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "name"),
    [("base", "predictions.jsonl"), ("tuned0", "predictions.jsonl"), ("heldout", "examples.jsonl"), ("comparison", "examples.jsonl"),
     ("comparison", "comparisons.jsonl"), ("adapter0", "curve.csv"), ("train", "overlap.json"), ("base", MANIFEST)],
)  # fmt: skip
def test_a_changed_record_is_named(page, source, name):
    forger = Forger(page)
    entry = forger.entry(f"cell0000.{source}")
    sha256 = entry["manifest"] if name == MANIFEST else entry["files"][name]
    raw = forger.bytes_of(sha256).replace(b"e", b"f", 1)
    forger.text = re.sub(f'(id="file-{sha256[:16]}">)[^<]*<', rf"\g<1>{embedded_records.pack(raw)}<", forger.text)
    page.write_text(forger.text)
    with pytest.raises(ProofError, match=rf"the embedded file cell0000\.[\w.]+/{re.escape(name)}: the page calls it file-{sha256[:16]}"):
        recompute_page.verify(page)


@pytest.mark.slow
def test_a_record_that_is_no_packed_file(page):
    sha256 = Forger(page).entry("cell0000.base")["files"]["predictions.jsonl"]
    edit(page, f'id="file-{sha256[:16]}">', f'id="file-{sha256[:16]}">AAAA')
    with pytest.raises(ProofError, match=r"the embedded file cell0000.base/predictions.jsonl cannot be unpacked"):
        recompute_page.verify(page)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "name", "change", "message"),
    [
        ("base", "predictions.jsonl", lambda rows: [rows[0] | {"text": "yes indeed"}, *rows[1:]], r"examples.jsonl\[0\].base.\w+"),
        ("base", "predictions.jsonl", lambda rows: rows[1:], "cannot be recomputed: base: 1 example missing"),
        ("heldout", "examples.jsonl", lambda rows: rows[1:], r"the scores of .* cannot be recomputed: "),
        ("comparison", "examples.jsonl", lambda rows: rows[1:], r"examples.jsonl\[0\]\.\w+"),
        ("comparison", "examples.jsonl", lambda rows: rows[:-1], r"examples.jsonl, its length: the page has '19', .* it is '20'"),
        ("comparison", "comparisons.jsonl", lambda rows: [rows[0] | {"p": 0.001}, *rows[1:]], r"comparisons.jsonl\[0\].p: .* '0.001'"),
    ],
)  # fmt: skip
def test_forged_records_do_not_give_the_scores(page, source, name, change, message):
    forger = Forger(page)
    forger.file(f"cell0000.{source}", name, rows(change))
    forger.save()
    with pytest.raises(ProofError, match=message):
        recompute_page.verify(page)


@pytest.mark.slow
def test_a_forged_score(page):
    forger = Forger(page)
    wrong = rows(lambda examples: [row | {"base": row["base"] | {"scores": {"accuracy": 0.5, "rougeL": 0.5}}} for row in examples])
    forger.file("cell0000.comparison", "examples.jsonl", wrong)
    forger.save()
    with pytest.raises(ProofError, match=r"examples.jsonl\[0\].base.scores.accuracy: the page has '0.5', recomputed it is '[01].0'"):
        recompute_page.verify(page)


@pytest.mark.slow
def test_a_forged_time_shows_on_the_page(page):
    forger = Forger(page)
    facts = json.loads(forger.bytes_of(forger.entry("cell0000.adapter0")["manifest"]))["facts"]
    forger.manifest("cell0000.adapter0", facts=facts | {"train_seconds": 98765.0, "adapter_bytes": 7})
    forger.save()
    with pytest.raises(ProofError, match=r"line \d+, behind #"):
        recompute_page.verify(page)


def with_hash(index, change):
    """Change the parameters of a page, and the hash of them."""
    change(index["params"])
    index["params_sha256"] = json_sha256(index["params"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index["params"]["recipe"]["compare"].update(confidence=0.8), "the index.params_sha256"),
        (lambda index: index["params"]["cells"][0].update(paper=None), "the index.params_sha256"),  # nothing on the page shows it
        (lambda index: with_hash(index, lambda params: params["recipe"]["compare"].update(confidence=0.8)), "line"),
        (lambda index: index["carried"]["cell0000.base"].update(digest="0" * 64), "cell0000.base/manifest.json: digest in the index"),
        (lambda index: index["carried"]["cell0000.base"].update(key="0" * 64), "cell0000.base/manifest.json: key in the index"),
        (
            lambda index: index["carried"]["cell0000.base"].update(manifest="0" * 64),
            "cell0000.base/manifest.json: the page has 'no such file'",
        ),
        (lambda index: index["order"].pop(), "the index: its inputs"),
        (
            lambda index: index["cells"][0].update(label="cats"),
            r"the index.cells\[0\].label: the page has 'cats', recomputed it is 'pets'",
        ),
        (lambda index: index["carried"].pop("cell0000.base") and index["order"].remove("cell0000.base"), "which is not on the page"),
    ],
)
def test_an_edited_index(page, change, message):
    forger = Forger(page)
    change(forger.index)
    forger.save()
    with pytest.raises(ProofError, match=message):
        recompute_page.verify(page)


@pytest.mark.slow
def test_the_files_beside_a_page_in_its_folder(store_root, tmp_path):
    folder = shutil.copytree(page_of(store_root).parent, tmp_path / "report")
    assert recompute_page.verify(folder / "report.html").comparisons == 1
    [card] = folder.glob("cards/*/*.md")
    whole = card.read_bytes()
    card.write_bytes(whole.replace(b"0.", b"1.", 1))
    with pytest.raises(ProofError, match=r"was altered after it was made: cards/.*\.md"):
        recompute_page.verify(folder / "report.html")
    card.write_bytes(whole)
    written = (folder / "report.json").read_text()

    def spoil(change):
        body = json.loads(written)
        change(body["cells"][0])
        (folder / "report.json").write_text(json.dumps(body))

    spoil(lambda cell: cell["comparisons"][0].update(lift=0.01))
    with pytest.raises(ProofError, match=r"report.json.cells\[0\].comparisons\[0\].lift"):
        recompute_page.verify(folder / "report.html")
    spoil(lambda cell: cell["classes"]["classes"][0]["arms"]["base"].update(right=77))
    with pytest.raises(ProofError, match=r"report.json.cells\[0\].classes.classes\[0\].arms.base.right: the page has '77'"):
        recompute_page.verify(folder / "report.html")


def drawn_by_others(path):
    """Let a page say that another version drew its charts."""
    version = embedded_records.drawing_versions()["altair"]
    edit(path, f'"altair": "{version}"', '"altair": "9.9.9"')


def in_charts(pattern, path):
    """The first thing in a chart of the page that a pattern finds."""
    return re.search(pattern, "".join(recompute_page.split_at_drawings(path.read_text("utf-8"))[1::2]))


@pytest.mark.slow
def test_of_charts_that_another_version_drew_the_texts_are_compared(page):
    drawn_by_others(page)
    checked = recompute_page.verify(page)
    assert (checked.drawings, "geometry" in checked.line()) == (0, False)
    edit(page, in_charts(r' d="(M[^"]*)"', page)[0], ' d="M0,0"')
    checked = recompute_page.verify(page)
    assert checked.drawings == 1
    assert "; the geometry of 1 chart was not compared, only the texts, as another version of altair or" in checked.line()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "new", "says"),
    [
        (r">[−+]?0\.\d+</text>", ">0.99</text>", "the page has '0.99', recomputed it is"),
        (r"<title>[^<]+</title>", "<title>Much better</title>", "the page has 'Much better'"),
        (r'aria-label="Scores', 'aria-label="Great scores', "line"),
        (r"</text>", "</text><text>better</text>", "line"),
        (r"<text[^>]*>[^<]*</text>", "", "line"),
        (r"<g ", '<g class="x" ', "line"),
        (r"</svg>", "<style>#verdict{display:none}</style></svg>", "line"),
        (r"</svg>", "<!--><text>better</text>--></svg>", "line"),
        (r"</svg>", "<g><p>better</p></g></svg>", "line"),
        (r"</svg>", "<g>better</g></svg>", "line"),
    ],
)
def test_a_forged_chart_that_another_version_is_said_to_have_drawn(page, pattern, new, says):
    drawn_by_others(page)
    edit(page, in_charts(pattern, page)[0], new)
    with pytest.raises(ProofError, match=says) as raised:
        recompute_page.verify(page)
    assert "another version of altair or vl-convert-python writes this text of a chart differently" in raised.value.remedy


def code_version(path):
    return json.loads(page_file.INDEX.findall(path.read_text("utf-8"))[0])["code_version"]


@pytest.mark.slow
def test_a_page_of_other_code_that_comes_out_the_same(page):
    edit(page, f'"code_version": "{code_version(page)}"', f'"code_version": "{"0" * 16}"')
    assert recompute_page.verify(page).comparisons == 1
    edit(page, "<h1", "<h1 ")
    with pytest.raises(OtherVersionError) as raised:
        recompute_page.verify(page)
    assert raised.value.status == 4
    assert "inconclusive: another version of loralift made the page (0000000000000000, this is " in raised.value.problem
    assert "altered" not in str(raised.value)
    edit(page, "eJ", "eK")  # a hash that does not agree is no matter of versions
    with pytest.raises(ProofError, match=r"cannot be unpacked|its bytes are"):
        recompute_page.verify(page)


@pytest.mark.slow
def test_the_rest_of_a_page_counts_whoever_drew_its_charts(page):
    drawn_by_others(page)
    edit(page, '"vl-convert-python": "', '"vl-convert-python": "<!--<script>')
    with pytest.raises(ProofError, match="line"):
        recompute_page.verify(page)


@pytest.mark.slow
def test_geometry_counts_where_the_version_is_the_same(page):
    edit(page, re.search(r'<svg[^>]*>.*?d="(M[^"]*)"', page.read_text(), re.S)[1], "M0,0")
    with pytest.raises(ProofError, match="line"):
        recompute_page.verify(page)


@pytest.mark.slow
def test_what_found_no_room_is_taken_from_the_store(store_root, tmp_path, monkeypatch):
    sealed = Artifact.open(page_of(store_root).parent)
    store = Store(store_root / "data", store_root / "checkpoints")
    order = Forger(page_of(store_root)).index["order"]
    folders = {name: next(artifact.path for artifact in store.all() if artifact.digest == sealed.inputs[name]) for name in order}
    monkeypatch.setattr(embedded_records, "MAX_EMBEDDED_BYTES", 3000)
    (tmp_path / "out").mkdir()
    report.run(Work(sealed.params, folders, tmp_path / "out", tmp_path))
    page = tmp_path / "out" / "report.html"
    with pytest.raises(ArtifactError, match=r"need [\w.-]+/[\w.]+, which the page names by its hash only"):
        recompute_page.verify(page)
    assert recompute_page.verify(page, store).comparisons == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["../../escaped", "/escaped", "a/../../b", "x\\y", "*"])
def test_a_page_cannot_write_outside(page, name):
    forger = Forger(page)
    forger.entry("cell0000.base")["files"] = {name: forger.entry("cell0000.base")["files"]["predictions.jsonl"]}
    forger.save()
    with pytest.raises(ArtifactError, match="names a file outside its folder"):
        recompute_page.verify(page)


@pytest.mark.slow
def test_a_page_cannot_fill_the_memory(page, monkeypatch):
    monkeypatch.setattr(page_file, "MAX_FILE_BYTES", 100)
    with pytest.raises(ProofError, match=r"cannot be unpacked: more than 100 bytes"):
        recompute_page.verify(page)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<html><body>Hello</body></html>", "has no embedded records"),
        ('<script type="application/json" id="index">{"cells": []}</script></html>', "has no embedded records"),
        ('<script type="application/json" id="index">{"cells"</script></html>', "has no embedded records"),
        ("<html><body>Hel", "is truncated or not a page"),
        ("", "is truncated or not a page"),
    ],
)
def test_no_page_of_ours(tmp_path, text, says):
    path = tmp_path / "report.html"
    path.write_text(text)
    with pytest.raises(ArtifactError, match=says):
        recompute_page.verify(path)


def test_no_file(tmp_path):
    with pytest.raises(ArtifactError, match=r"there is no .*report.html\n  Give the report.html"):
        recompute_page.verify(tmp_path / "report.html")


@pytest.mark.parametrize("raw", [b"", b"x" * 1000, "ä\n".encode() * 10])
def test_packing(raw):
    assert embedded_records.unpack(embedded_records.pack(raw), 2000) == raw
    with pytest.raises(ValueError, match="truncated"):
        embedded_records.unpack(embedded_records.pack(b"hello" * 50)[:16], 2000)


@pytest.mark.parametrize(
    ("stated", "recomputed", "difference"),
    [
        ({"a": [1, {"b": 0.1 + 0.2}]}, {"a": [1, {"b": 0.3}]}, None),
        ({"a": [1, {"b": 0.30001}]}, {"a": [1, {"b": 0.3}]}, (".a[1].b", 0.30001, 0.3)),
        ([1, 2], [1], (", its length", 2, 1)),
        ({"a": 1}, {"b": 1}, (".a", 1, "nothing")),
        ({"a": True}, {"a": 1}, (".a", True, 1)),
        ({"a": None}, {"a": 0}, (".a", None, 0)),
        ([float("nan")], [float("nan")], None),
        ([1e12], [1e12 + 1], None),
    ],
)
def test_where_values_differ(stated, recomputed, difference):
    assert first_difference(stated, recomputed) == difference


def test_where_texts_differ():
    one = '<p id="a">x</p>\n<p id="b">lift 0.31 now</p>'
    assert first_text_difference(one, one) is None
    assert first_text_difference(one, one.replace("0.31", "0.32")) == ("line 2, behind #b", "lift 0.31 now", "lift 0.32 now")
    assert first_text_difference(one, one + "<i>") is not None
