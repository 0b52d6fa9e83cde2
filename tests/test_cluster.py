"""What is asked of a cluster before any job runs there: address, token, versions, store, files and size; and how it is cut into slots."""

import http.server
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.cluster import address, node_report, nodes, place, worker
from pipeline.cluster.nodes import Needs, Node
from pipeline.errors import DataError, MachineError
from pipeline.planning.job import job
from pipeline.store.artifact import Store

CPU_NODE = Node("a", "a (10.0.0.1)", cpus=8, gpus=0, memory=32 * 10**9)
GPU_NODE = Node("b", "b (10.0.0.2)", cpus=16, gpus=4, memory=256 * 10**9)


@pytest.mark.parametrize("text", ["local", "auto", "ray://head:10001", "10.0.0.1:6379", "[::1]:6379", "ray://[fe80::1]:10001"])
def test_an_address_of_ray_is_taken(text):
    assert address.check_where(text) == text


@pytest.mark.parametrize("text", ["", "head", "ray://head", "http://head:8265", "head:0", "head:70000", "ray://:10001", "slurm"])
def test_what_is_no_address_is_refused_with_the_forms(text):
    with pytest.raises(MachineError, match=r"--where .*no address of a Ray cluster\n.*ray://HOST:10001"):
        address.check_where(text)


def test_where_nothing_or_something_else_answers_is_said_at_once():
    pytest.importorskip("grpc")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_port
        with pytest.raises(MachineError, match=f"--where 127.0.0.1:{port}: no Ray cluster answers there"):
            address.knock(f"127.0.0.1:{port}")
        server.shutdown()
    with pytest.raises(MachineError, match=f"--where ray://127.0.0.1:{port}: no Ray cluster answers there"):
        address.knock(f"ray://127.0.0.1:{port}")


def test_the_token_is_the_one_that_ray_would_send(tmp_path, monkeypatch):
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("of-home\n")
    (tmp_path / "file").write_text("of-file")
    assert address.auth_token() == ""  # Ray sends none unless its mode says so
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert address.auth_token() == "of-home"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "file"))
    assert address.auth_token() == "of-file"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-variable")
    assert address.auth_token() == "of-variable"
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "nowhere"))
    assert address.auth_token() == ""


def test_a_node_is_cut_into_slots_by_what_a_job_needs():
    on_cpu = Needs(threads=2, memory=10**9, on_gpu=False)
    assert [(share.gpus, share.cpus) for share in nodes.shares(CPU_NODE, on_cpu)] == [(0, 2)] * 4
    assert len(nodes.shares(CPU_NODE, replace(on_cpu, memory=12 * 10**9))) == 2  # memory for two, processors for four
    assert nodes.shares(CPU_NODE, replace(on_cpu, threads=16)) == []
    parts = nodes.shares(GPU_NODE, Needs(threads=1, memory=10**9, on_gpu=True))
    assert [share.gpus for share in parts] == [1, 1, 1, 1, 0, 0]  # jobs without a model take no card
    assert sum(share.cpus for share in parts) <= GPU_NODE.cpus
    assert [share.gpus for share in nodes.shares(CPU_NODE, Needs(1, 10**9, True))] == [0, 0]


@pytest.mark.parametrize(
    ("available", "needs", "device", "wanted", "message"),
    [
        ([CPU_NODE], Needs(1, 10**9, False), "cuda", None, r"--device cuda: the cluster has no GPU \(a \(10.0.0.1\): 8 CPUs, 0 GPUs\)"),
        ([GPU_NODE], Needs(1, 10**9, True), "cuda:1", None, "--device cuda:1: on a cluster Ray assigns the devices"),
        ([GPU_NODE, CPU_NODE], Needs(1, 10**9, True), "auto", 5, "--max-jobs 5: the cluster takes 4 jobs at a time, each with GPU"),
        ([CPU_NODE], Needs(4, 10**9, False), "cpu", 3, "--max-jobs 3: the cluster takes 2 jobs at a time, each with 4 CPUs"),
        ([CPU_NODE], Needs(1, 10**12, False), "auto", None, "no node with 1 CPUs and 1000.0 GB of memory for a job"),
        ([], Needs(1, 10**9, False), "auto", None, "no node has a processor to offer"),
    ],
)
def test_a_cluster_that_is_too_small_is_refused_before_any_job(available, needs, device, wanted, message):
    with pytest.raises(MachineError, match=message):
        nodes.check_size(available, needs, device, wanted)


def test_a_cluster_of_the_right_size_is_taken():
    nodes.check_size([GPU_NODE, CPU_NODE], Needs(1, 10**9, True), "cuda", 4)
    nodes.check_size([CPU_NODE], Needs(4, 10**9, False), "cpu", 2)


def test_a_machine_answers_in_the_store_and_sees_the_lock(tmp_path):
    store = Store(tmp_path / "data", tmp_path / "checkpoints")
    with node_report.store_probe(store) as probe:
        report = node_report.there(str(tmp_path), (str(tmp_path), "/no/such/file"), probe, "n1")
        assert (report.store_fault, report.locks_hold, report.missing) == ("", True, ("/no/such/file",))
        assert node_report.has_answered(probe, "n1")
    assert not probe.folder.exists()
    assert report.packages == node_report.here().packages


def test_another_store_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(node_report, "SECONDS", 0.0)
    with node_report.store_probe(Store(tmp_path / "data", tmp_path / "checkpoints")) as probe:
        elsewhere = replace(probe, folder=tmp_path / "other" / "data" / probe.folder.name)
        assert "is not there, or not the same folder" in node_report.answer(elsewhere, "n1")[0]
        assert "is another folder" in node_report.answer(replace(probe, token="another"), "n1")[0]
        assert not node_report.has_answered(probe, "n1")


def test_nodes_that_differ_are_listed():
    mine = {"torch": "2.13.0", "peft": "0.21.2", "ray": "2.60.0"}
    other = {"torch": "2.11.0", "peft": "0.21.2", "ray": "2.60.0"}
    report = node_report.NodeReport(other, "cpu", ("/d/train.jsonl",), "/d is another folder")
    lines = list(nodes.faults_of(CPU_NODE, report, node_report.NodeReport(mine, "cpu")))
    assert lines == [
        "a (10.0.0.1) has torch 2.11.0 (here 2.13.0)",
        "a (10.0.0.1) does not have /d/train.jsonl",
        "a (10.0.0.1) does not share the store: /d is another folder",
    ]
    assert list(nodes.faults_of(CPU_NODE, node_report.NodeReport(mine, "cpu"), node_report.NodeReport(mine, "cpu"))) == []


def test_the_files_that_jobs_name_are_looked_for_and_nothing_else(tmp_path):
    (tmp_path / "train.jsonl").write_text("")
    params = {"task": {"data": {"train": str(tmp_path / "train.jsonl")}, "prompt": "a/b? " * 2000}, "repo": "owner/name"}
    base = {"model": {"folder": "checkpoints/quickstart-base"}}
    assert place.files_of([job("prepare", "x", params), job("generate", "y", base)]) == [str(tmp_path / "train.jsonl")]


def test_no_secret_is_sent_to_workers():
    own = {"HF_TOKEN": "t", "OPENAI_API_KEY": "k", "HF_HUB_OFFLINE": "1", "PATH": "/bin", "OMP_NUM_THREADS": "7"}
    sent = worker.environment(2, own)
    assert set(sent) == {"HF_HUB_OFFLINE", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "TOKENIZERS_PARALLELISM"}
    assert sent["OMP_NUM_THREADS"] == "2"


def test_a_worker_returns_errors_and_what_was_printed(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the worker sets it; so it is set back
    monkeypatch.chdir(tmp_path)
    process = worker.Worker(worker.Setup(str(tmp_path), 1))
    good = process.call(speaking, ("a note",))
    assert (good.result, good.error, good.lines) == ("done", None, ("a note",))
    users = process.call(failing, (DataError("row 3", "Mend it."),))
    assert isinstance(users.error, DataError)
    assert (users.error.problem, users.error.remedy) == ("row 3", "Mend it.")
    bug = process.call(failing, (KeyError("name"),))
    assert "KeyError: 'name'" in str(bug.error)
    assert "in failing" in str(bug.error)  # where it happened is not lost on the way


def speaking(text):
    from pipeline.progress import say

    say(text)
    return "done"


def failing(error):
    raise error


def test_relative_paths_are_relative_to_where_the_run_was_started(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    worker.Worker(worker.Setup(str(tmp_path / "run"), 1))
    assert Path.cwd() == tmp_path / "run"
    worker.Worker(worker.Setup(str(tmp_path / "gone"), 1))
    assert Path.cwd() == tmp_path / "run"
