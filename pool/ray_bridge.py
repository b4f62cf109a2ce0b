#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bridge between a gabra search and a Ray cluster: `gabra optimize --ray ADDRESS` starts it.

Speaks gabra/work/1 (docs/formats.md) on its standard input and output. On every node of the cluster it keeps an actor for
each CPU, and each actor one `gabra worker`. Plans travel to actors in chunks, answers come back as the workers wrote them.
Nodes may join and leave at any time; plans of a lost worker are given back to the search, which gives them out again.
"""

import argparse
import collections
import fcntl
import importlib.util
import json
import logging
import math
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

MOST_PLANS = 64  # of a chunk
LEAST_CHUNK_S = 0.004  # work of a chunk: Ray takes about 1 ms for the way there and back
CHUNKS = 2  # of an actor at once: one to work on, one to follow without a pause
LOOK_S = 1.0  # between two looks at the nodes of the cluster
FIRST_WORKERS_S = 60.0  # for the workers of the nodes that are there at the start
PING_AFTER_S, PING_LIMIT_S = 10.0, 30.0  # an actor that is silent is asked whether it lives


class Failure(Exception):
    """One sentence for the user: the search ends with it."""


class WorkerActor:
    """In a process of Ray on some node: one `gabra worker` and what happens to it."""

    STOPPED_AFTER_S = 2.0
    SLOWEST_FACTOR = 20.0
    LONGEST_NAP_S = 0.005
    PIPE_BYTES, F_SETPIPE_SZ = 1 << 20, 1031  # of answers: the worker need not wait until somebody reads
    WINDOW_BYTES = 32768  # of plans in the worker's pipe: it may not fill up while answers wait in the other
    FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}

    def __init__(self, program, header, plan_limit):
        self.program, self.header, self.plan_limit = program, header, plan_limit
        self.lock = threading.Lock()
        self.process = None
        self.longest = 0.0
        self.plan_s = 0.0  # of the last chunk, on average

    def ping(self):
        return True

    def start(self):
        """The worker's first line, or why there is none: ("ready", line), ("refused", sentence)."""
        with self.lock:
            return self._start()

    def _start(self):
        try:
            self.process = subprocess.Popen([self.program, "worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.PIPE, bufsize=0)
        except OSError as error:
            return "refused", f"{self.program} cannot be started: {error.strerror}; gabra must be installed there too"
        os.set_blocking(self.process.stderr.fileno(), False)
        try:
            fcntl.fcntl(self.process.stdout, self.F_SETPIPE_SZ, self.PIPE_BYTES)
        except OSError:
            pass  # the user's limit is lower
        self.received, self.lines = b"", collections.deque()
        self._write(self.header)
        line, reason, _ = self._read_line(60.0)
        if line is None:
            return "refused", f"{self.program} worker {reason}"
        text = line.decode(errors="replace")
        if text.startswith('{"failed"'):
            return "refused", json.loads(text)["failed"]
        return "ready", text

    def _write(self, data):
        try:
            while data:
                data = data[self.process.stdin.write(data) :]
        except BrokenPipeError:
            pass  # what it said before its end is still read

    def _state(self):
        try:
            with open(f"/proc/{self.process.pid}/stat") as stream:
                return stream.read().rpartition(") ")[2][:1]
        except OSError:
            return ""

    def _read_line(self, limit):
        """(line, None, None), or (None, reason, whether that came from outside) after ending the worker."""
        silent, last = 0.0, time.monotonic()
        while True:
            if self.lines:
                self.longest = max(self.longest, silent)
                return self.lines.popleft(), None, None
            ready, _, _ = select.select([self.process.stdout], [], [], 0.1)
            now = time.monotonic()
            silent, last = silent + min(now - last, 0.25), now
            if ready:
                piece = os.read(self.process.stdout.fileno(), 1 << 20)
                if not piece:
                    return None, *self._end_of_itself()
                *whole, self.received = (self.received + piece).split(b"\n")
                self.lines.extend(whole)
            elif silent > self.STOPPED_AFTER_S and self._state() in ("T", "t"):
                self.kill()
                return None, "was stopped", True
            elif silent > max(limit, self.SLOWEST_FACTOR * self.longest):
                self.kill()
                return None, f"gave no answer within {limit:.0f} s", False

    def _end_of_itself(self):
        try:
            status = self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            status = 0
        said = (self.process.stderr.read() or b"").decode(errors="replace").strip().rpartition("\n")[2]
        self.kill()
        said = ": " + said if said else ""
        if status >= 0:
            return f"ended with status {status}{said}", False
        return (f"ended by signal {-status} ({signal.strsignal(-status)}){said}", -status in self.FROM_OUTSIDE)

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                stream.close()
            self.process = None

    def work(self, plans):
        """(answers, None, seconds), or (the first answers, how the worker ended, seconds): the rest has to be given out again."""
        with self.lock:
            begin = time.monotonic()
            answers, end = self._work(plans)
            seconds = time.monotonic() - begin
            self.plan_s = seconds / max(1, len(answers))
            return answers, end, seconds

    def _work(self, plans):
        answers = []
        if self.process is None:
            kind, text = self._start()
            if kind != "ready":
                return answers, {"reason": text, "culprit": False, "from_outside": False}
        sent, pending = 0, 0
        while len(answers) < len(plans):
            first = sent
            while sent < len(plans) and (sent == len(answers) or pending + len(plans[sent]) < self.WINDOW_BYTES):
                pending += len(plans[sent])
                sent += 1
            self._write(b"".join(plans[first:sent]))
            if not self.lines:  # several answers at a time: this process takes CPU that the worker could use
                time.sleep(min(self.LONGEST_NAP_S, (len(plans) - len(answers) - 1) * self.plan_s / 4))
            line, reason, from_outside = self._read_line(self.plan_limit)
            if line is None:
                return answers, {"reason": reason, "culprit": True, "from_outside": from_outside}
            pending -= len(plans[len(answers)])
            answers.append(line)
        return answers, None


class Slot:
    """One actor as the bridge sees it."""

    def __init__(self, actor, node):
        self.actor, self.node = actor, node
        self.is_ready = False
        self.chunks = {}  # number -> lines
        self.last_sign = time.monotonic()
        self.pinged = None


def id_of(line):
    return int(line[6 : line.index(b",")])  # {"id":7,...


class Bridge:
    def __init__(self, ray, options, header, out):
        self.ray, self.options, self.header, self.out = ray, options, header, out
        self.remote = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0, max_concurrency=CHUNKS + 2)(WorkerActor)
        self.events = queue.SimpleQueue()
        self.plans = []
        self.plan_s = 1.0  # of the last chunk, on average
        self.slots = []
        self.nodes = {}  # id -> name, of those with workers
        self.bad_nodes = set()
        self.build = None
        self.is_announced = False
        self.first_look = time.monotonic()
        self.chunk_number = 0

    def say(self, **message):
        self.out.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        self.out.flush()

    def call(self, reference, event, *details):
        """Puts (event, *details, result, exception) into the queue once the remote call is done."""

        def note(future):
            error = future.exception()
            self.events.put((event, *details, None if error else future.result(), error))

        reference.future().add_done_callback(note)

    # Nodes and workers

    def look_at_nodes(self):
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        most = self.options.jobs or math.inf
        for node in self.ray.nodes():
            name, key = f'{node["NodeManagerAddress"]} ({node["NodeID"][:6]})', node["NodeID"]
            if not node["Alive"] or key in self.bad_nodes:
                continue
            here = sum(slot.node == key for slot in self.slots)
            for _ in range(int(node["Resources"].get("CPU", 0)) - here):
                if len(self.slots) >= most:
                    break
                affinity = NodeAffinitySchedulingStrategy(node_id=key, soft=False)
                actor = self.remote.options(scheduling_strategy=affinity).remote(
                    self.options.worker, self.header, self.options.plan_limit)
                slot = Slot(actor, key)
                self.slots.append(slot)
                self.nodes[key] = name
                self.call(actor.start.remote(), "started", slot)

    def on_started(self, slot, result, error):
        if slot not in self.slots:
            return
        if error is not None:
            self.drop(slot, error)
            return
        kind, text = result
        if kind != "ready":
            message = f"the worker on node {self.nodes[slot.node]}: {text}"
            if not self.is_announced:
                raise Failure(message)
            self.say(note=f"{message}; the node is left out")
            self.bad_nodes.add(slot.node)
            for other in [other for other in self.slots if other.node == slot.node]:
                self.slots.remove(other)
                self.ray.kill(other.actor)
                self.give_back(other, f"node {self.nodes[slot.node]} is left out")
            return
        slot.is_ready = True
        self.build = json.loads(text)["ready"]
        if self.is_announced:
            self.say(note=f"one more worker, on node {self.nodes[slot.node]}")
            self.say(slots=self.ready_count())

    def ready_count(self):
        return sum(slot.is_ready for slot in self.slots)

    def announce(self):
        """Once the workers of all nodes of the start are ready, or those that are after a while."""
        if self.is_announced:
            return
        ready = self.ready_count()
        is_late = time.monotonic() - self.first_look > FIRST_WORKERS_S
        if ready > 0 and (ready == len(self.slots) or is_late):
            self.is_announced = True
            self.say(schema="gabra/work/1", ready=self.build, slots=ready)
        elif is_late:
            raise Failure(f"no worker of {len(self.slots)} started on the Ray cluster within {FIRST_WORKERS_S:.0f} s: "
                          "are its CPUs in use?" if self.slots else "the Ray cluster has no CPUs for workers")

    def drop(self, slot, error):
        """An actor is gone: its node was lost, or somebody ended its process."""
        self.slots.remove(slot)
        self.ray.kill(slot.actor)  # it may only be out of reach
        reason = f"a worker on node {self.nodes[slot.node]} is lost ({type(error).__name__})"
        if not self.give_back(slot, reason) and self.is_announced:
            self.say(note=reason)
        if self.is_announced:
            self.say(slots=self.ready_count())

    def give_back(self, slot, reason):
        lost = [id_of(line) for lines in slot.chunks.values() for line in lines]
        slot.chunks = {}
        if lost:
            self.say(lost=lost, reason=reason)
        return bool(lost)

    def look_after_silent(self):
        now = time.monotonic()
        for slot in list(self.slots):
            if slot.pinged is not None and now - slot.pinged > PING_LIMIT_S:
                self.drop(slot, TimeoutError())
            elif slot.chunks and slot.pinged is None and now - slot.last_sign > PING_AFTER_S:
                slot.pinged = now
                self.call(slot.actor.ping.remote(), "pinged", slot)

    def on_pinged(self, slot, _, error):
        if error is None:
            slot.pinged, slot.last_sign = None, time.monotonic()

    # Plans

    def take_chunk(self, slots):
        """A part of the plans that wait, so that all end together; not so few that the way there takes longer than they do. The search
        gives them by size, so a chunk takes them at even distances."""
        size = max(math.ceil(len(self.plans) / (2 * slots)), math.ceil(LEAST_CHUNK_S / self.plan_s))
        size = min(size, MOST_PLANS, len(self.plans))
        chosen = {i * len(self.plans) // size for i in range(size)}
        lines = [line for i, line in enumerate(self.plans) if i in chosen]
        self.plans = [line for i, line in enumerate(self.plans) if i not in chosen]
        return lines

    def hand_out(self):
        free = [slot for slot in self.slots if slot.is_ready]
        while self.plans and free:
            slot = min(free, key=lambda slot: len(slot.chunks))
            if len(slot.chunks) >= CHUNKS:
                return
            lines = self.take_chunk(len(free))
            self.chunk_number += 1
            slot.chunks[self.chunk_number] = lines
            slot.last_sign = time.monotonic()
            self.call(slot.actor.work.remote(lines), "worked", slot, self.chunk_number)

    def on_worked(self, slot, number, result, error):
        if number not in slot.chunks:
            return
        if error is not None:
            self.drop(slot, error)
            return
        lines = slot.chunks.pop(number)
        slot.last_sign = time.monotonic()
        answers, end, seconds = result
        if answers:
            self.plan_s = max(1e-6, seconds / len(answers))
        if answers:
            self.out.write(b"\n".join(answers) + b"\n")
            self.out.flush()
        if end is not None:
            rest = [id_of(line) for line in lines[len(answers) :]]
            message = {"lost": rest}
            if end["culprit"]:
                message |= {"culprit": rest[0], "from_outside": end["from_outside"]}
            self.say(**message, reason=f'the worker on node {self.nodes[slot.node]} {end["reason"]}')

    # Events

    def read_plans(self, stream):
        for line in stream:
            self.events.put(("line", line))
        self.events.put(("end",))

    def run(self, stream):
        threading.Thread(target=self.read_plans, args=(stream,), daemon=True).start()
        next_look = 0.0
        while True:
            if time.monotonic() >= next_look:
                self.look_at_nodes()
                self.look_after_silent()
                next_look = time.monotonic() + LOOK_S
            self.announce()
            self.hand_out()
            try:
                event = self.events.get(timeout=max(0.0, next_look - time.monotonic()))
            except queue.Empty:
                continue
            while event is not None:
                if event[0] == "end":
                    return
                if event[0] == "line":
                    self.plans.append(event[1])
                else:
                    getattr(self, "on_" + event[0])(*event[1:])
                event = None if self.events.empty() else self.events.get()


def find_ray():
    """Whether this Python has Ray; goes on in the one that scripts/install made beside the build, if that has it."""
    if importlib.util.find_spec("ray") is not None:
        return True
    beside = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../venv/bin/python"))
    if os.path.exists(beside) and os.environ.get("GABRA_BRIDGE_PYTHON") != beside:
        os.environ["GABRA_BRIDGE_PYTHON"] = beside
        os.execv(beside, [beside, *sys.argv])
    return False


def check_reachable(address):
    """Ray itself takes a minute to find out that nobody listens there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        raise Failure(f"no Ray cluster at {address} ({error.strerror or error}): ray start --head starts one") from None


def find_cluster(ray):
    """The address that "auto" means, or none when Ray has to find out."""
    named = os.environ.get("RAY_ADDRESS")
    if named and named != "auto":
        return named
    try:
        from ray._private.services import get_ray_address_from_environment

        return get_ray_address_from_environment("auto", None)
    except ConnectionError:
        raise Failure("no Ray cluster runs here: ray start --head starts one, --ray HOST:PORT names another") from None
    except (ImportError, TypeError, AttributeError):
        return None


class ConnectionWatch:
    """While Ray connects: what its C++ part writes to standard error goes to a file, and is looked at. It tries a refused
    token for 20 s and then says only that there is no connection."""

    LIMIT_S = 60.0

    def __init__(self, fail, address):
        self.fail, self.address = fail, address
        self.said = tempfile.TemporaryFile()
        self.errors = os.dup(2)
        self.is_over = threading.Event()

    def __enter__(self):
        os.dup2(self.said.fileno(), 2)
        threading.Thread(target=self.watch, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        os.dup2(self.errors, 2)

    def is_token_refused(self):
        said = os.pread(self.said.fileno(), 1 << 20, 0)
        return b"InvalidAuthToken" in said or b"Unauthenticated" in said

    def watch(self):
        end = time.monotonic() + self.LIMIT_S
        while not self.is_over.wait(0.2):
            if self.is_token_refused():
                self.fail(refused_text(self.address))
            if time.monotonic() > end:
                self.fail(f"the Ray cluster at {self.address} gave no answer within {self.LIMIT_S:.0f} s")


def refused_text(address):
    return (f"the Ray cluster at {address} refuses this user's token (RAY_AUTH_MODE=token with RAY_AUTH_TOKEN, "
            "RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token)")


def connect(ray, asked, fail):
    address = find_cluster(ray) if asked == "auto" else asked
    if address and ":" in address:
        check_reachable(address)
    with ConnectionWatch(fail, address or asked) as watch:
        try:
            # Nodes may have loopback addresses of their own, where Ray would look for this machine's outer one.
            host = (address or "").rpartition(":")[0]
            own = {"_node_ip_address": host} if host.startswith("127.") and host != "127.0.0.1" else {}
            ray.init(address=address or "auto", log_to_driver=False, logging_level=logging.CRITICAL, namespace="gabra", **own)
            return
        except (Exception, SystemExit) as error:  # Ray's own classes have no common ancestor
            kind, text = type(error).__name__, str(error)
        if kind == "AuthenticationError" or watch.is_token_refused():
            raise Failure(refused_text(address or asked))
    first = next((line.strip() for line in text.splitlines() if line.strip()), kind)
    raise Failure(f"the Ray cluster at {address or asked} cannot be used: {first}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", default="auto")
    parser.add_argument("--worker", required=True, help="path of gabra-sim, the same on every node")
    parser.add_argument("--jobs", type=int, help="most workers")
    parser.add_argument("--plan-limit", type=float, default=60.0, help="seconds")
    options = parser.parse_args()
    os.environ.setdefault("RAY_gcs_server_request_timeout_seconds", "15")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    has_ray = find_ray()
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # Ray prints what it likes; only lines of the format go to the search

    def fail(message):
        out.write(json.dumps({"failed": message}).encode() + b"\n")
        out.flush()
        os._exit(3)  # Ray's own goodbye can take long

    try:
        if not has_ray:
            raise Failure(f"Ray is not installed for {sys.executable}: pip install ray, in the version of the cluster")
        import ray

        connect(ray, options.address, fail)
        header = sys.stdin.buffer.readline()
        if not header:
            return 0
        Bridge(ray, options, header, out).run(sys.stdin.buffer)
    except Failure as failure:
        fail(str(failure))
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
