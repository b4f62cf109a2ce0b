# SPDX-License-Identifier: MIT
"""One training run of gabra or of PyTorch, as a dictionary of what it measured. Used by the experiments on real speed."""
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = "workstation-cpu"


def default_gabra():
    return ROOT / "build" / "release" / "bin" / "gabra"


def default_python():
    return ROOT / "build" / "venv" / "bin" / "python"


def default_peers():
    return ROOT.parent / "shared" / "peers" / "pytorch"


def network_of(case):
    """The network of a case as `--network` reads it."""
    if case["model"] == "vgg2d":
        return str(Path(__file__).resolve().parent / "vgg2d.json")
    size = case["size"]
    return f"3d-resattnet-{case['depth']}:width={case['width']},input=1x{size}x{size}x{size}"


def units_of(gabra, case):
    command = [str(gabra), "describe", "network", network_of(case)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(re.search(r"layers in (\d+) units", text).group(1))


def stages_of(gabra, case, mode, split):
    """Units @ devices. A pipeline is cut after the first `split` units, where the peer cuts."""
    last = units_of(gabra, case) - 1
    if mode == "serial":
        return f"0-{last}@0"
    if mode == "ddp":
        return f"0-{last}@0,1"
    return f"0-{split - 1}@0 {split}-{last}@1"


def run_gabra(gabra, case, mode, split=None, steps=None, warmup=2):
    """Trains on synthetic samples with the peer's batch, micro-batches and bucket size; one thread per rank."""
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "plan.json"
        make = [str(gabra), "simulate", "--network", network_of(case), "--cluster", CLUSTER, "--global-batch",
                str(case["batch"]), "--micro-batches", str(case["micro"]), "--schedule",
                "gpipe" if mode == "gpipe" else "1f1b", "--bucket", "25 MB", "--stages", stages_of(gabra, case, mode, split),
                "-o", str(plan), "--json"]
        predicted = json.loads(subprocess.run(make, check=True, capture_output=True, text=True).stdout)
        log = Path(folder) / "log.jsonl"
        train = [str(gabra), "train", "--plan", str(plan), "--synthetic", "--steps", str((steps or case["steps"]) + warmup),
                 "--threads-per-rank", "1", "--log", str(log), "--json", "--quiet"]
        measured = json.loads(subprocess.run(train, check=True, capture_output=True, text=True).stdout)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
    seconds = [line["step_s"] for line in lines if line["kind"] == "step"]
    return {"step_s": statistics.median(seconds[warmup:]), "rss_bytes": measured["peak_rss_bytes"],
            "tensor_bytes": [device["peak_memory_bytes"] for device in measured["devices"]],
            "predicted_tensor_bytes": [device["peak_memory_bytes"] for device in predicted["devices"]]}


def run_peer(python, peers, case, mode, split=None, steps=None, warmup=2):
    command = [str(python), str(Path(peers) / "peer_train.py"), "--mode", mode, "--model", case["model"], "--batch",
               str(case["batch"]), "--micro", str(case["micro"]), "--steps", str(steps or case["steps"]), "--warmup",
               str(warmup), "--threads", "1"]
    if case["model"] != "vgg2d":
        command += ["--depth", str(case["depth"]), "--width", str(case["width"]), "--size", str(case["size"])]
    if split:
        command += ["--split", str(split)]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    document = json.loads(done.stdout.strip().splitlines()[-1])
    return {"step_s": document["median_s"], "rss_bytes": [1024 * 1024 * mb for mb in document["peak_rss_mb"]],
            "split": document.get("split")}


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


def core_count():
    return len(os.sched_getaffinity(0))
