"""`loralift bench-serve` on a tiny base: every number of clients and adapters is measured, with as many adapters in memory as it says."""

import json

import pytest

from pipeline import cli
from pipeline.commands import bench_serve
from pipeline.commands.bench_options import BenchOptions
from pipeline.commands.serve import served_models
from pipeline.errors import ArtifactError, MachineError, UserError
from pipeline.machine import Machine
from pipeline.serving import background, load_client
from pipeline.serving.load_client import LoadResult, Timing
from pipeline.serving.server import Capacity
from tests import foreign, tiny

pytest.importorskip("fastapi")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    root = tmp_path_factory.mktemp("bench")
    base = root / "tiny"
    tiny.make_model(base)
    folder = foreign.adapter(root / "mine", base)
    foreign.configure(folder / "adapter_config.json", base_model_name_or_path=str(base))
    return folder


def test_every_number_of_clients_and_adapters_is_measured(adapter, tmp_path, monkeypatch, capsys):
    out = tmp_path / "results" / "bench.json"
    words = [
        str(adapter),
        "--clients",
        "1,3",
        "--adapters",
        "1,4",
        "--tokens",
        "5",
        "--requests",
        "2",
        "--out",
        str(out),
        "--device",
        "cpu",
    ]
    monkeypatch.setattr("sys.argv", ["loralift", "bench-serve", *map(str, words), "generate.compute=fp32"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    body = json.loads(out.read_text("utf-8"))
    assert {"cpu", "packages", "python", "setup"} <= body.keys()
    assert body["setup"] == {
        "base": "tiny", "adapters": ["mine"], "quantization": "nf4", "compute": "fp32", "tokens": 5, "requests_per_client": 2,
    }  # fmt: skip
    rows = body["results"]
    assert [(row["adapters"], row["clients"]) for row in rows] == [(a, c) for a in (0, 1, 4) for c in (1, 3)]
    assert [row["adapters_in_memory"] for row in rows] == [0, 0, 1, 1, 4, 4]
    for row in rows:
        assert row["requests"] == 2 * row["clients"]
        assert 0 < row["tokens"] <= 5 * row["requests"]
        assert 0 < row["first_token"]["median"] <= row["request"]["median"] <= row["request"]["max"]
        assert 1 <= row["rows_per_step"] <= row["clients"]
        assert row["cpu_ms_per_token"] > 0
    printed = capsys.readouterr().out
    assert "tok/s over those of the base alone, 3 clients: 1 adapters" in printed
    assert printed.count("\n") > 7


def test_figures_of_one_measurement():
    timings = [Timing(0.1, 0.5, 4), Timing(0.3, 1.0, 6), Timing(0.2, 0.9, 0)]
    row = bench_serve.row(8, 3, LoadResult(timings, 2.0, 1.5, 8), 0.5)
    assert (row["tokens"], row["tokens_per_second"], row["cpu_ms_per_token"]) == (10, 5.0, 50.0)
    assert row["first_token"] == {"median": 0.2, "max": 0.3}
    assert row["request"] == {"median": 0.9, "max": 1.0}


def test_adapters_are_loaded_several_times_where_there_are_too_few(tmp_path):
    two = {"a": tmp_path / "a", "b": tmp_path / "b"}
    assert list(bench_serve.repeated(two, 5)) == ["a", "b", "a~1", "b~1", "a~2"]
    assert bench_serve.repeated(two, 5)["b~1"] == tmp_path / "b"
    assert list(bench_serve.repeated(two, 1)) == ["a"]


@pytest.mark.parametrize("text", ["", "0", "-1", "1,x", "1,,2", "1.5"])
def test_numbers_that_are_none(text):
    with pytest.raises(UserError, match="these are no numbers from 1 on"):
        _ = BenchOptions(clients=text).client_counts
    assert BenchOptions(adapters="8, 1,8").adapter_counts == [1, 8]


def test_what_cannot_be_measured(adapter):
    device = Machine("cpu").torch_device()
    options = BenchOptions(base="quickstart-base")
    with served_models([str(adapter)], BenchOptions().served, adapter) as models:
        with pytest.raises(ArtifactError, match="nothing to measure"):
            bench_serve.measure(type(models)(models.base, models.params, {}, models.page), options, device)
        with background.running(models, Capacity(1, 4, None), device) as server:
            body = {"model": "nobody", "messages": [{"role": "user", "content": "a"}]}
            with pytest.raises(MachineError, match="the model 'nobody' is not served"):
                load_client.load(server.url, [body] * 3, 2)
        with pytest.raises(MachineError, match="broke off: ConnectionRefusedError"):
            load_client.send_all(*closed(server.url, body))
    broken = type(models)(models.base, {**models.params, "model": {**models.params["model"], "folder": "/nowhere"}}, {}, models.page)
    with pytest.raises(UserError), background.running(broken, Capacity(1, 4, None), device):
        pytest.fail("it runs")


def closed(url, body):
    """The arguments of send_all, whose fault is raised at once."""
    from queue import SimpleQueue

    waiting = SimpleQueue()
    waiting.put(body)

    class Faults(list):
        def append(self, fault):
            raise fault

    return url, waiting, [], Faults()
