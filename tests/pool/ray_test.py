#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A search on a Ray cluster of two nodes on the loopback address: one node is killed and another joins while it runs, and a worker is
killed. The plan is the same, byte for byte. Then plans that end their workers and workers that cannot be started again; and what is
said when Ray cannot be used.

ray_test.py GABRA BRIDGE BRIDGE_PROGRAM WORKER_PROGRAM; ends with 77 (skipped) where Ray is not installed.
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
GABRA, BRIDGE, BRIDGE_PROGRAM, WORKER_PROGRAM = sys.argv[1:5]
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


def check_bad_plans(cluster):
    """Plans that crash, hang or leave their worker, or end the actor: set aside, and all others are answered."""
    search = subprocess.run([BRIDGE_PROGRAM, sys.executable, BRIDGE, cluster.address, WORKER_PROGRAM], capture_output=True,
                            text=True, timeout=LIMIT_S)
    print(search.stdout, end="")
    assert search.returncode == 0, search.returncode
    aside = [line for line in search.stdout.splitlines() if line.startswith("set aside")]
    for reason in ("ended by signal 11", "gave no answer within 2 s", "ended with status 5", "is lost (ActorDiedError)"):
        assert any(reason in line for line in aside), reason


class BridgeRun:
    """A bridge whose workers are a script; the test plays the search."""

    def __init__(self, cluster, path, script, *more):
        path.write_text("#!/bin/sh\nread header\n" + script)
        path.chmod(0o755)
        self.process = subprocess.Popen([sys.executable, BRIDGE, "--address", cluster.address, "--worker", path, *more], text=True,
                                        bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.say({"schema": "gabra/work/1", "build": "b", "training": {}, "network": {}, "cluster": {}})

    def say(self, message):
        self.process.stdin.write(json.dumps(message, separators=(",", ":")) + "\n")

    def hear(self):
        line = self.process.stdout.readline()
        print(line, end="")
        return json.loads(line)

    def hear_until(self, *kinds):
        """Everything up to a message of these kinds, that one last."""
        heard = [self.hear()]
        while not any(kind in heard[-1] for kind in kinds):
            heard.append(self.hear())
        return heard


READY = """echo '{"schema":"gabra/work/1","ready":"b","slots":1}'\n"""


def check_vanishing_worker(cluster, folder):
    """The program of the workers is gone after the first plan: no endless giving out of the same plans."""
    bridge = BridgeRun(cluster, folder / "vanishing", READY + 'read plan\nrm -f "$0"\nexit 1\n')
    bridge.hear_until("ready")
    for number in range(20):
        bridge.say({"id": number, "micro_batches": 1})
    lost = 0
    while "failed" not in (last := bridge.hear_until("lost", "failed")[-1]):
        lost += 1
        for number in last["lost"]:
            bridge.say({"id": number, "micro_batches": 1})
    assert "no worker is left" in last["failed"] and "cannot be started" in last["failed"], last
    assert bridge.process.wait(LIMIT_S) == 3
    assert lost < 40, lost


def check_sign_of_life(cluster, folder):
    """While a plan takes long the bridge says that it lives; what its worker's limit is, only the bridge knows."""
    bridge = BridgeRun(cluster, folder / "hanging", READY + "read plan\nexec sleep 1000\n", "--plan-limit", "3", "--jobs", "1",
                       "--sign-of-life", "0.5")
    bridge.hear_until("ready")
    bridge.say({"id": 7, "micro_batches": 1})
    *before, lost = bridge.hear_until("lost")
    assert {"slots": 1} in before, before
    assert (lost["lost"], lost["culprit"], lost["from_outside"]) == ([7], 7, False), lost
    bridge.process.stdin.close()
    assert bridge.process.wait(LIMIT_S) == 0


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
    bridge = BridgeRun(cluster, folder / "other", """echo '{"failed":"this worker is gabra 0.0.2, the search is gabra b"}'\n""")
    line = bridge.hear()
    assert bridge.process.wait(LIMIT_S) == 3 and "this worker is gabra 0.0.2" in line["failed"], line


def main():
    from ray.cluster_utils import Cluster

    begin = time.monotonic()
    cluster = Cluster(initialize_head=True, head_node_args=node_arguments(0))
    try:
        second = cluster.add_node(**node_arguments(1))
        print(f"two nodes at {cluster.address} after {time.monotonic() - begin:.1f} s")
        with tempfile.TemporaryDirectory() as folder:
            check_search(cluster, second, pathlib.Path(folder))
            check_bad_plans(cluster)
            check_vanishing_worker(cluster, pathlib.Path(folder))
            check_sign_of_life(cluster, pathlib.Path(folder))
            check_refusals(cluster, pathlib.Path(folder))
    finally:
        cluster.shutdown()
    print(f"{time.monotonic() - begin:.1f} s")


main()
