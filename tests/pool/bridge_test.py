#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The bridge to Ray without Ray: its actors are threads of this process, its workers a script, and the test plays the search. Whatever
workers and actors do, each plan is answered once or given back, and who is blamed is the one that did it.

bridge_test.py BRIDGE SEED
"""

import concurrent.futures
import importlib.util
import json
import os
import pathlib
import random
import sys
import tempfile
import threading
import types

WORKER = """#!/usr/bin/env python3
import os, signal, sys
sys.stdin.readline()
print('{"schema":"gabra/work/1","ready":"b","slots":1}', flush=True)
for line in sys.stdin:
    if '"crash"' in line:
        os.kill(os.getpid(), signal.SIGSEGV)
    if '"vanish"' in line:
        os.unlink(__file__)
        sys.exit(1)
    print(line[:line.index(",")] + "}", flush=True)
"""


def load(path):
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location("bridge", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.FIRST_PAUSE_S, module.LONGEST_PAUSE_S, module.LOOK_S = 0.01, 0.05, 0.05
    return module


def plan(number, kind="good"):
    return json.dumps({"id": number, "kind": kind}, separators=(",", ":")).encode() + b"\n"


class ActorDiedError(Exception):
    pass


class Remote:
    """What Ray makes of an actor: calls of its methods run in threads, and all end when it does."""

    def __init__(self, actor, threads):
        self._actor, self._pool = actor, concurrent.futures.ThreadPoolExecutor(threads)
        self._open, self._is_dead, self._lock = set(), False, threading.Lock()

    def __getattr__(self, name):
        method = types.SimpleNamespace(remote=lambda *words: self._call(name, *words))
        method.options = lambda **_: method
        return method

    def _call(self, name, *words):
        future = concurrent.futures.Future()
        with self._lock:
            is_dead = self._is_dead
            self._open.add(future)
        if is_dead:
            future.set_exception(ActorDiedError())
        else:
            self._pool.submit(self._run, future, name, words)
        return types.SimpleNamespace(future=lambda: future)

    def _run(self, future, name, words):
        if name == "work" and b'"orphan"' in words[0]:
            self.die()
            return
        result = getattr(self._actor, name)(*words)
        with self._lock:
            if future not in self._open:
                return
            self._open.remove(future)
        future.set_result(result)

    def die(self):
        with self._lock:
            self._is_dead, ended, self._open = True, self._open, set()
        for future in ended:
            future.set_exception(ActorDiedError())


class Ray:
    def __init__(self, nodes):
        self.names = [f"node{number}" for number in range(nodes)]

    def nodes(self):
        return [{"NodeManagerAddress": name, "NodeID": name, "Alive": True, "Resources": {"CPU": 1.0}} for name in self.names]

    def remote(self, max_concurrency, **_):
        def wrap(kind):
            made = types.SimpleNamespace(remote=lambda *words: Remote(kind(*words), max_concurrency))
            made.options = lambda **_: made
            return made

        return wrap

    def kill(self, actor):
        actor.die()


class Search:
    """A bridge that runs in a thread."""

    def __init__(self, bridge, worker, nodes, sign_of_life=1000.0):
        strategies = types.ModuleType("ray.util.scheduling_strategies")
        strategies.NodeAffinitySchedulingStrategy = lambda **_: None
        sys.modules.update({"ray": types.ModuleType("ray"), "ray.util": types.ModuleType("ray.util"),
                            "ray.util.scheduling_strategies": strategies})
        here, self.plans = os.pipe()
        answers, there = os.pipe()
        self.answers = os.fdopen(answers)
        options = types.SimpleNamespace(worker=str(worker), jobs=None, plan_limit=1.0, sign_of_life=sign_of_life)
        self.bridge = bridge.Bridge(Ray(nodes), options, b'{"header":1}\n', os.fdopen(there, "wb"))
        self.failure = None

        def run():
            try:
                self.bridge.run(bridge.Lines(here))
            except bridge.Failure as failure:
                self.failure = str(failure)
                self.bridge.say(failed=self.failure)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        while "ready" not in self.hear():
            pass

    def say(self, lines):
        os.write(self.plans, b"".join(lines))

    def hear(self):
        return json.loads(self.answers.readline())

    def end(self):
        os.close(self.plans)
        self.thread.join()
        for slot in self.bridge.slots:
            slot.actor.die()
            slot.actor._actor.kill()


def check_turns(bridge, worker, rng):
    """Three calls of one actor at once, of which some crash the worker: the others' plans are worked on by the next one."""
    actor = bridge.WorkerActor(str(worker), b'{"header":1}\n', 5.0)
    assert actor.start()[0] == "ready"

    def call(first):
        plans = [plan(first + i, "crash" if rng.random() < 0.02 else "good") for i in range(rng.randrange(1, 12))]
        answers, count, end, _ = actor.work(b"".join(plans), len(plans))
        assert [json.loads(line)["id"] for line in answers.splitlines()] == [first + i for i in range(count)]
        assert (end is None) == (count == len(plans)), end
        assert end is None or b'"crash"' in plans[count], (end, plans[count])
        return end is not None

    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        crashes = sum(threads.map(call, range(0, 12000, 100)))
    actor.kill()
    assert crashes > 0
    print(f"turns: 120 calls, {crashes} crashes")


def check_blame(bridge, worker):
    """One plan crashes its worker, one ends its actor: both are found out, and all others are answered once."""
    kinds = {7: "crash", 33: "orphan"}
    search = Search(bridge, worker, 2)
    search.say([plan(number, kinds.get(number, "good")) for number in range(60)])
    answered, blames = [], {7: 0, 33: 0}
    while len(answered) < 58 or blames != {7: 2, 33: 4}:
        message = search.hear()
        if "id" in message:
            answered.append(message["id"])
        culprit = message.get("culprit")
        if culprit is not None:
            blames[culprit] += 1
            assert message["from_outside"] == (culprit == 33), message
        # As the search does: a plan is set aside after two crashes, or four ends from outside.
        search.say([plan(number, kinds.get(number, "good")) for number in message.get("lost", [])
                    if number not in blames or blames[number] < (2 if number == 7 else 4)])
    assert sorted(answered) == [number for number in range(60) if number not in kinds], answered
    search.end()
    print("blame:", blames)


def check_vanished_program(bridge, worker):
    """No worker can be started again: an end, and not the same plans for ever."""
    search = Search(bridge, worker, 2)
    search.say([plan(0, "vanish")])
    lost = 0
    while "failed" not in (message := search.hear()):
        if "lost" in message:
            lost += 1
            search.say([plan(number, "crash") for number in message["lost"]])
    assert "no worker is left" in message["failed"] and "cannot be started" in message["failed"], message
    assert lost < 40, lost
    print(f"vanished program: {message['failed']}")


def check_sign_of_life(bridge, folder):
    """While a worker is at a plan the search hears from the bridge."""
    worker = folder / "slow"
    worker.write_text("#!/bin/sh\nread header\necho '{\"schema\":\"gabra/work/1\",\"ready\":\"b\",\"slots\":1}'\nread plan\n"
                      "exec sleep 1000\n")
    worker.chmod(0o755)
    search = Search(bridge, worker, 1, sign_of_life=0.05)
    search.say([plan(0)])
    heard = [search.hear()]
    while "lost" not in heard[-1]:
        heard.append(search.hear())
    assert {"slots": 1} in heard[:-1], heard
    assert heard[-1]["culprit"] == 0 and heard[-1]["from_outside"] is False, heard
    search.end()
    print(f"sign of life: {len(heard) - 1} of them")


def main():
    path, seed = sys.argv[1], int(sys.argv[2])
    print("seed", seed)
    bridge = load(path)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        worker = folder / "worker"
        worker.write_text(WORKER)
        worker.chmod(0o755)
        check_turns(bridge, worker, random.Random(seed))
        check_blame(bridge, worker)
        check_sign_of_life(bridge, folder)
        check_vanished_program(bridge, worker)
    sys.stdout.flush()
    os._exit(0)  # threads that wait for events of Ray


main()
