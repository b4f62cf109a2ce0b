#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The plan of a search is the same, byte for byte, with any number of workers, while they are killed and frozen at random. A search whose
workers cannot be started again ends with the best plan so far.

chaos_test.py GABRA SEED
"""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PROBLEM = ["optimize", "--network", "3d-resattnet-34", "--cluster", "dgx-a100:nodes=2", "--global-batch", "128", "--seed", "3"]
SEARCH = [*PROBLEM, "--max-evaluations", "400"]
LIMIT_S = 120


def workers_of(process):
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except FileNotFoundError:
        return []


def run(gabra, plan, jobs, rng):
    """Runs a search and ends or stops one of its workers now and then. Returns what it said, and how many were hit."""
    command = [gabra, *SEARCH, "--jobs", str(jobs), "-o", str(plan)]
    search = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    hits, begin = 0, time.monotonic()
    while search.poll() is None:
        assert time.monotonic() - begin < LIMIT_S, f"--jobs {jobs} hangs"
        time.sleep(rng.uniform(0.05, 0.4) if hits else 0.02)
        workers = workers_of(search.pid)
        if workers and hits < 8:
            try:
                os.kill(rng.choice(workers), signal.SIGSTOP if hits % 4 == 3 else signal.SIGKILL)
                hits += 1
            except ProcessLookupError:
                pass
    said = search.stderr.read()
    assert search.returncode == 0, f"status {search.returncode}: {said}"
    return said, hits


def processor_time(process):
    try:
        fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except FileNotFoundError:
        return 0.0


def check_vanished_program(gabra, folder):
    """The program is gone, and a worker is killed when it has simulated plans for a while."""
    own = pathlib.Path(shutil.copy(gabra, folder))
    plan = folder / "best.json"
    search = subprocess.Popen([own, *PROBLEM, "--max-evaluations", "100000", "--jobs", "1", "--quiet", "-o", plan],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    begin = time.monotonic()
    while not any(processor_time(worker) > 2.0 for worker in workers_of(search.pid)):
        assert search.poll() is None and time.monotonic() - begin < LIMIT_S, "no worker was busy"
        time.sleep(0.05)
    own.unlink()
    os.kill(workers_of(search.pid)[0], signal.SIGKILL)
    result, said = search.communicate(timeout=LIMIT_S)
    print(said, end="")
    assert search.returncode == 0, search.returncode
    assert result.startswith("step ") and plan.exists(), result
    assert "ended before its time: worker 0 cannot be used" in said, said


def main():
    gabra, seed = sys.argv[1], int(sys.argv[2])
    rng = random.Random(seed)
    print("seed", seed)
    with tempfile.TemporaryDirectory() as folder:
        expected = pathlib.Path(folder, "expected.json")
        subprocess.run([gabra, *SEARCH, "-o", expected], check=True, stdout=subprocess.DEVNULL, timeout=LIMIT_S)
        for jobs in (1, 2, 3):
            plan = pathlib.Path(folder, f"{jobs}.json")
            said, hits = run(gabra, plan, jobs, rng)
            print(f"--jobs {jobs}: {hits} workers killed or stopped; {said.count('go to others')} ends noticed")
            assert hits > 0, "the search was over before a worker was hit"
            assert plan.read_bytes() == expected.read_bytes(), f"another plan with --jobs {jobs}\n{said}"
            assert "set aside" not in said, said
        check_vanished_program(gabra, pathlib.Path(folder))


main()
