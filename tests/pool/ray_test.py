#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A search on a Ray cluster of two nodes on the loopback address: one node is killed and another joins while it runs, and a worker is
killed. The plan is the same, byte for byte. Then what is said when Ray cannot be used.

ray_test.py GABRA BRIDGE; ends with 77 (skipped) where Ray is not installed.
"""

import importlib.util
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

if importlib.util.find_spec("ray") is None:
    print("SKIPPED: Ray is not installed for", sys.executable)
    sys.exit(77)

TOKEN = "0123456789abcdef0123456789abcdef"
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN, RAY_USAGE_STATS_ENABLED="0",
                  PATH=os.path.dirname(sys.executable) + ":" + os.environ["PATH"])
GABRA, BRIDGE = sys.argv[1:3]
SEARCH = ["optimize", "--network", "3d-resattnet-34", "--cluster", "dgx-a100:nodes=4", "--global-batch", "256", "--seed", "3",
          "--max-evaluations", "600"]
LIMIT_S = 150


def workers():
    """Process ids of `gabra-sim worker` under actors of Ray."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if words[:2] == [GABRA.encode(), b"worker"]:
                parent = (folder / "stat").read_text().rpartition(") ")[2].split()[1]
                if b"WorkerActor" in pathlib.Path("/proc", parent, "cmdline").read_bytes():
                    found.append(int(folder.name))
        except (OSError, ValueError):
            pass
    return found


def wait_until(what, is_true):
    begin = time.monotonic()
    while not is_true():
        assert time.monotonic() - begin < LIMIT_S, f"waited {LIMIT_S} s for {what}"
        time.sleep(0.05)


def node_arguments(number):
    # 127.0.0.1 itself would not do: Ray takes it for this machine's outer address.
    return {"num_cpus": 1, "object_store_memory": 80_000_000, "node_ip_address": f"127.0.0.{number + 2}"}


def check_search(cluster, second, folder):
    expected, plan, log = folder / "expected.json", folder / "plan.json", folder / "log"
    subprocess.run([GABRA, *SEARCH, "-o", expected], check=True, stdout=subprocess.DEVNULL, timeout=LIMIT_S)
    with open(log, "w") as stream:
        search = subprocess.Popen([GABRA, *SEARCH, "--ray", cluster.address, "-o", plan], stdout=subprocess.DEVNULL,
                                  stderr=stream)
    wait_until("two workers", lambda: len(workers()) == 2)
    time.sleep(0.3)
    os.kill(workers()[0], signal.SIGKILL)
    time.sleep(0.3)
    cluster.remove_node(second, allow_graceful=False)
    assert search.poll() is None, "the search was over before a node was killed: " + log.read_text()
    cluster.add_node(**node_arguments(2), wait=False)
    status = search.wait(LIMIT_S)
    print(log.read_text(), end="")
    assert status == 0, status
    assert plan.read_bytes() == expected.read_bytes(), "another plan than without Ray"
    assert "is lost" in log.read_text(), "the loss of a node was not noticed"
    wait_until("the end of the workers", lambda: not workers())


def check_refusals(cluster, folder):
    def refuse(address, text, **environment):
        result = subprocess.run([GABRA, *SEARCH, "--ray", address], capture_output=True, text=True, timeout=LIMIT_S,
                                env=os.environ | environment)
        print(result.stderr, end="")
        assert result.returncode == 3, result.returncode
        assert text in result.stderr and result.stderr.count("\n") == 1, result.stderr

    refuse(cluster.address, "refuses this user's token", RAY_AUTH_TOKEN="f" * 32)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens
        refuse(f"127.0.0.1:{closed.getsockname()[1]}", "no Ray cluster at")
    alone = folder / "bin"  # without the environment beside the build, and a Python without Ray
    alone.mkdir()
    (alone / "python3").symlink_to("/usr/bin/python3")
    refuse(cluster.address, "Ray is not installed for", PATH=str(alone), PYTHONNOUSERSITE="1",
           GABRA_BRIDGE_PYTHON=os.path.normpath(os.path.join(os.path.dirname(BRIDGE), "../../venv/bin/python")))
    # A worker of another version, as the bridge sees it: the header is of another build.
    header = {"schema": "gabra/work/1", "build": "0.0.1", "training": {}, "network": {}, "cluster": {}}
    other = folder / "worker"
    other.write_text('#!/bin/sh\nread header\necho \'{"failed":"this worker is gabra 0.0.2, the search is gabra 0.0.1"}\'\n')
    other.chmod(0o755)
    bridge = subprocess.Popen([sys.executable, BRIDGE, "--address", cluster.address, "--worker", other], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    bridge.stdin.write(json.dumps(header) + "\n")
    bridge.stdin.flush()
    line = bridge.stdout.readline()
    print(line, end="")
    assert bridge.wait(LIMIT_S) == 3 and "this worker is gabra 0.0.2" in json.loads(line)["failed"], line


def main():
    from ray.cluster_utils import Cluster

    begin = time.monotonic()
    cluster = Cluster(initialize_head=True, head_node_args=node_arguments(0))
    try:
        second = cluster.add_node(**node_arguments(1))
        print(f"two nodes at {cluster.address} after {time.monotonic() - begin:.1f} s")
        with tempfile.TemporaryDirectory() as folder:
            check_search(cluster, second, pathlib.Path(folder))
            check_refusals(cluster, pathlib.Path(folder))
    finally:
        cluster.shutdown()
    print(f"{time.monotonic() - begin:.1f} s")


main()
