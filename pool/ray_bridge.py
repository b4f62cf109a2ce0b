#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bridge between a gabra search and a Ray cluster: `gabra optimize --ray ADDRESS` starts it.

Speaks gabra/work/1 (docs/formats.md) on its standard input and output. On every node of the cluster it keeps an actor for
each CPU, and each actor one `gabra worker`. Plans travel to actors in chunks, answers come back as the workers wrote them.
Nodes may join and leave at any time; plans of a lost worker are given back to the search, which gives them out again.
"""

import argparse
import collections
import contextlib
import fcntl
import importlib.util
import itertools
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

# Work of a chunk: Ray takes 2 ms of CPU for each, 4 ms where the answers are more than 100 kB, and 1 ms for the way.
LEAST_CHUNK_S, MOST_CHUNK_S = 0.008, 0.3
ONE_CHUNK_S = 0.02  # of work for each worker is one chunk
SHARE = 1.5  # chunks of a worker that the plans that wait would make
CHUNKS = 2  # of an actor at once: one to work on, one to follow without a pause
LOOK_S = 1.0  # between two looks at the nodes of the cluster
FIRST_WORKERS_S = 60.0  # for the workers of the nodes that are there at the start
PING_AFTER_S, PING_LIMIT_S = 10.0, 30.0  # an actor that is silent is asked whether it lives
MOST_FAILED_STARTS = 5  # of a worker in a row, with pauses in between; then its node is left out
MOST_LOST_ACTORS = 16  # of a node in a row, none of which answered a plan
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 20.0  # before another start; doubled each time


class Failure(Exception):
    """One sentence for the user: the search ends with it."""


def pause_after(failures):
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (failures - 1))


class Lines:
    """Lines of a file, as many at a time as there are."""

    def __init__(self, file):
        self.file, self.rest, self.waiting = file, b"", []

    def read(self):
        """At least one line; none at the end."""
        lines, self.waiting = self.waiting, []
        pieces = [self.rest]
        while not lines and (piece := os.read(self.file, 1 << 20)):
            pieces.append(piece)
            if b"\n" in piece:
                lines = b"".join(pieces).splitlines(keepends=True)
                pieces = [b"" if lines[-1].endswith(b"\n") else lines.pop()]
        self.rest = b"".join(pieces)
        return lines

    def read_one(self):
        lines = self.read()
        self.waiting = lines[1:]
        return lines[0] if lines else b""


class Call:
    """Of WorkerActor.work()."""

    sent_to = None  # number of the worker that has its plans


class WorkerActor:
    """In a process of Ray on some node: one `gabra worker` and what happens to it.

    Several calls of work() may run at once: the plans of all are in the worker's pipe, so that it goes on while a call returns, and
    the calls take turns in reading the answers."""

    STOPPED_AFTER_S = 2.0
    SLOWEST_FACTOR = 20.0
    LONGEST_NAP_S = 0.05
    PIPE_BYTES, F_SETPIPE_SZ = 1 << 20, 1031  # of answers: the worker need not wait until somebody reads
    FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}

    def __init__(self, program, header, plan_limit):
        self.program, self.header, self.plan_limit = program, header, plan_limit
        self.process = None
        self.starts, self.is_up = 0, False
        self.greeting = ""
        self.unsent, self.received = b"", b""
        self.longest = 0.0
        self.plan_s = 0.0  # of the last chunk, on average
        self.state = threading.Lock()  # of all above, and of the worker's input
        self.turns = collections.deque()  # calls, in the order of their plans in the pipe
        self.turn = threading.Condition(self.state)

    def ping(self):
        return True

    def start(self):
        """The worker's first line, or why there is none: ("ready", line), ("refused", sentence) where it says so itself,
        ("failed", sentence) where another try may be worth while."""
        with self._turn():
            return ("ready", self.greeting) if self.process is not None else self._start()

    def _start(self):
        try:
            self.process = subprocess.Popen([self.program, "worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.PIPE, bufsize=0)
        except OSError as error:
            return "failed", f"{self.program} cannot be started: {error.strerror}; gabra must be installed there too"
        self.starts += 1
        for stream in (self.process.stdin, self.process.stderr):
            os.set_blocking(stream.fileno(), False)
        try:
            fcntl.fcntl(self.process.stdout, self.F_SETPIPE_SZ, self.PIPE_BYTES)
        except OSError:
            pass  # the user's limit is lower
        self.unsent, self.received = self.header, b""
        line, _, end = self._read(1, 60.0, knows_time=False)
        if end is not None:
            return "failed", f"{self.program} worker {end['reason']}"
        text = line.decode(errors="replace").rstrip("\n")
        if text.startswith('{"failed"'):
            self.kill()
            return "refused", json.loads(text)["failed"]
        self.greeting, self.is_up = text, True
        return "ready", text

    def work(self, plans, count):
        """(whole lines of answers, how many, None, seconds), or what the worker said until it ended, and how it ended: the
        rest has to be given out again."""
        with self._turn(plans) as call:
            if self.process is None:
                kind, text = self._start()
                if kind != "ready":
                    return b"", 0, {"reason": text, "failed_start": True}, 0.0
            if call.sent_to != self.starts:  # to none, or to one that has ended over the plans of another call
                self._send(call, plans)
            begin = time.monotonic()
            answers, answered, end = self._read(count, self.plan_limit)
            seconds = time.monotonic() - begin
            self.plan_s = seconds / max(1, answered)
            return answers, answered, end, seconds

    @contextlib.contextmanager
    def _turn(self, plans=b""):
        """Gives `plans` to the worker that runs, and waits until it is this call's turn."""
        call = Call()
        with self.state:
            # Plans are in the pipe in the order of the turns: not before those of a call that has to send them again.
            if self.is_up and (not self.turns or self.turns[-1].sent_to == self.starts):
                self._send(call, plans)
            self.turns.append(call)
            self.turn.wait_for(lambda: self.turns[0] is call)
            try:
                yield call
            finally:
                self.turns.popleft()
                self.turn.notify_all()

    def _send(self, call, lines):
        self.unsent += lines
        self._write()
        call.sent_to = self.starts

    def _read(self, count, limit, knows_time=True):
        """So many lines. Others may send meanwhile. Neither pipe is waited for alone: both may be full."""
        pieces, answered = [self.received], self.received.count(b"\n")
        self.received = b""
        silent, last = 0.0, time.monotonic()
        output = self.process.stdout.fileno()
        while answered < count:
            # Several answers at a time: each look takes CPU that the worker could use.
            self._nap(0.0 if self.unsent or not knows_time else (count - answered - 1) * self.plan_s * 0.7)
            self._write()
            ready = self._wait_for(output)
            now = time.monotonic()
            silent, last = silent + min(now - last, 0.25), now
            if ready:
                piece = os.read(output, 1 << 20)
                if not piece:
                    return self._part(pieces, answered, *self._end_of_itself())
                pieces.append(piece)
                found = piece.count(b"\n")
                if found:
                    answered += found
                    if knows_time:
                        self.longest = max(self.longest, silent)
                    silent = 0.0
            elif silent > self.STOPPED_AFTER_S and self._state() in ("T", "t"):
                self.kill()
                return self._part(pieces, answered, "was stopped", True)
            elif silent > max(limit, self.SLOWEST_FACTOR * self.longest):
                self.kill()
                return self._part(pieces, answered, f"gave no answer within {limit:.0f} s", False)
        read = b"".join(pieces)
        end = len(read) if answered == count and read.endswith(b"\n") else len(b"\n".join(read.split(b"\n", count)[:count])) + 1
        self.received = read[end:]
        return read[:end], count, None

    def _nap(self, seconds):
        if seconds > 0.0:
            self.state.release()
            time.sleep(min(self.LONGEST_NAP_S, seconds))
            self.state.acquire()

    def _wait_for(self, output):
        """Whether there is something to read, after 0.1 s at most."""
        self.state.release()
        ready, _, _ = select.select([output], [self.process.stdin] if self.unsent else [], [], 0.1)
        self.state.acquire()
        return bool(ready)

    @staticmethod
    def _part(pieces, answered, reason, from_outside):
        whole, line_break, _ = b"".join(pieces).rpartition(b"\n")
        return whole + line_break, answered, {"reason": reason, "from_outside": from_outside}

    def _write(self):
        try:
            while self.unsent:
                self.unsent = self.unsent[os.write(self.process.stdin.fileno(), self.unsent) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.unsent = b""  # what it said before its end is still read

    def _state(self):
        try:
            with open(f"/proc/{self.process.pid}/stat") as stream:
                return stream.read().rpartition(") ")[2][:1]
        except OSError:
            return ""

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
        self.unsent = self.received = b""
        self.is_up = False
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                stream.close()
            self.process = None


class Slot:
    """One actor as the bridge sees it."""

    def __init__(self, actor, node):
        self.actor, self.node = actor, node
        self.is_ready = False
        self.failed_starts = 0  # in a row
        self.restart_at = None
        self.chunks = {}  # number -> lines
        self.last_sign = time.monotonic()
        self.pinged = None

    def takes_more(self, suspects):
        """A plan that may have ended an actor is worked on alone."""
        return self.is_ready and len(self.chunks) < CHUNKS and not (suspects and any(
            id_of(lines[0]) in suspects for lines in self.chunks.values()))


class Losses:
    """Actors of one node that were lost in a row."""

    def __init__(self):
        self.count, self.next_start = 0, 0.0

    def add(self):
        self.count += 1
        self.next_start = time.monotonic() + pause_after(self.count)


def id_of(line):
    return int(line[6 : line.index(b",")])  # {"id":7,...


class Bridge:
    def __init__(self, ray, options, header, out):
        self.ray, self.options, self.header, self.out = ray, options, header, out
        self.remote = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0, max_concurrency=CHUNKS + 1,
                                 concurrency_groups={"control": 1}, enable_task_events=False)(WorkerActor)
        self.events = queue.SimpleQueue()
        self.plans = []
        self.suspects = set()  # ids of plans that an actor had when it was lost, and that were not answered since
        self.waiting_suspects = []
        self.plan_s = 1.0  # of the last chunk, on average
        self.slots = []
        self.nodes = {}  # id -> name, of those with workers
        self.losses = {}  # id -> Losses
        self.bad_nodes = {}  # id -> why it is left out
        self.build = None
        self.is_announced = False
        self.first_look = time.monotonic()
        self.last_said = time.monotonic()
        self.chunk_number = 0

    def write(self, lines):
        self.out.write(lines)
        self.out.flush()
        self.last_said = time.monotonic()

    def say(self, **message):
        self.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def say_slots(self):
        if self.is_announced:
            self.say(slots=sum(slot.is_ready for slot in self.slots))

    def call(self, reference, event, *details):
        """Puts (event, *details, result, exception) into the queue once the remote call is done."""

        def note(future):
            error = future.exception()
            self.events.put((event, *details, None if error else future.result(), error))

        reference.future().add_done_callback(note)

    # Nodes and workers

    def watch_nodes(self):
        """In a thread of its own: what is known of the cluster takes a while to come."""
        try:
            while True:
                self.events.put(("nodes", self.ray.nodes()))
                time.sleep(LOOK_S)
        except Exception as error:  # Ray's own classes have no common ancestor
            self.events.put(("cluster_lost", error))

    def on_cluster_lost(self, error):
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise Failure(f"the Ray cluster is lost: {first}")

    def on_nodes(self, nodes):
        most = self.options.jobs or math.inf
        now = time.monotonic()
        usable = 0
        for node in nodes:
            name, key = f'{node["NodeManagerAddress"]} ({node["NodeID"][:6]})', node["NodeID"]
            cpus = int(node["Resources"].get("CPU", 0))
            if not node["Alive"] or key in self.bad_nodes or cpus == 0:
                continue
            usable += 1
            if now < self.losses.setdefault(key, Losses()).next_start:
                continue
            here = sum(slot.node == key for slot in self.slots)
            for _ in range(min(cpus - here, most - len(self.slots))):
                self.start_actor(key, name)
        if self.is_announced and not self.slots and usable == 0 and self.bad_nodes:
            raise Failure(f"no worker is left: {list(self.bad_nodes.values())[-1]}")

    def start_actor(self, node, name):
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        affinity = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        actor = self.remote.options(scheduling_strategy=affinity).remote(
            self.options.worker, self.header, self.options.plan_limit)
        slot = Slot(actor, node)
        self.slots.append(slot)
        self.nodes[node] = name
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
            self.note_failed_start(slot, message, is_final=kind == "refused")
            return
        slot.is_ready = True
        slot.failed_starts = 0
        self.build = json.loads(text)["ready"]
        if self.is_announced:
            self.say(note=f"one more worker, on node {self.nodes[slot.node]}")
            self.say_slots()

    def note_failed_start(self, slot, message, is_final=False):
        """Tries again after a pause; after several failures, or one for good, the node is left out."""
        slot.is_ready = False
        slot.failed_starts += 1
        if is_final or slot.failed_starts >= MOST_FAILED_STARTS:
            self.leave_out(slot.node, message)
            return
        slot.restart_at = time.monotonic() + pause_after(slot.failed_starts)
        self.say(note=f"{message}; another try follows")
        self.say_slots()

    def restart_workers(self):
        for slot in self.slots:
            if slot.restart_at is not None and time.monotonic() >= slot.restart_at:
                slot.restart_at = None
                self.call(slot.actor.start.remote(), "started", slot)

    def leave_out(self, node, message):
        self.say(note=f"{message}; the node is left out")
        self.bad_nodes[node] = message
        for slot in [slot for slot in self.slots if slot.node == node]:
            self.slots.remove(slot)
            self.ray.kill(slot.actor)
            self.give_back(slot, f"node {self.nodes[node]} is left out")
        self.say_slots()

    def announce(self):
        """Once the workers of all nodes of the start are ready, or those that are after a while."""
        if self.is_announced:
            return
        ready = sum(slot.is_ready for slot in self.slots)
        is_late = time.monotonic() - self.first_look > FIRST_WORKERS_S
        if ready > 0 and (ready == len(self.slots) or is_late):
            self.is_announced = True
            self.say(schema="gabra/work/1", ready=self.build, slots=ready)
        elif is_late:
            raise Failure(f"no worker of {len(self.slots)} started on the Ray cluster within {FIRST_WORKERS_S:.0f} s: "
                          "are its CPUs in use?" if self.slots else "the Ray cluster has no CPUs for workers")

    def drop(self, slot, error):
        """An actor is gone: its node was lost, somebody ended its process, or a plan did. Which of its plans, if any, is found
        out by working on each of them alone."""
        self.slots.remove(slot)
        self.ray.kill(slot.actor)  # it may only be out of reach
        reason = f"a worker on node {self.nodes[slot.node]} is lost ({type(error).__name__})"
        ids = [id_of(line) for lines in slot.chunks.values() for line in lines]
        self.suspects.update(ids)
        blame = {"culprit": ids[0], "from_outside": True} if len(ids) == 1 else {}
        if not self.give_back(slot, reason, **blame) and self.is_announced:
            self.say(note=reason)
        self.say_slots()
        losses = self.losses.setdefault(slot.node, Losses())
        losses.add()
        if losses.count >= MOST_LOST_ACTORS:
            self.leave_out(slot.node, f"{reason}, {losses.count} in a row")

    def give_back(self, slot, reason, **blame):
        lost = [id_of(line) for lines in slot.chunks.values() for line in lines]
        slot.chunks = {}
        if lost:
            self.say(lost=lost, reason=reason, **blame)
        return bool(lost)

    def look_after_silent(self):
        now = time.monotonic()
        for slot in list(self.slots):
            if slot.pinged is not None and now - slot.pinged > PING_LIMIT_S:
                self.drop(slot, TimeoutError())
            elif slot.chunks and slot.pinged is None and now - slot.last_sign > PING_AFTER_S:
                slot.pinged = now
                self.call(slot.actor.ping.options(concurrency_group="control").remote(), "pinged", slot)

    def on_pinged(self, slot, _, error):
        if error is None:
            slot.pinged, slot.last_sign = None, time.monotonic()

    def give_sign_of_life(self):
        """A search that waits for plans takes a bridge that is silent for minutes for one that hangs."""
        is_at_work = self.plans or self.waiting_suspects or any(slot.chunks for slot in self.slots)
        if is_at_work and time.monotonic() - self.last_said > self.options.sign_of_life:
            self.say_slots()

    # Plans

    def on_plans(self, lines):
        if not self.suspects:
            self.plans += lines
            return
        for line in lines:
            (self.waiting_suspects if id_of(line) in self.suspects else self.plans).append(line)

    def take_chunk(self, size):
        """At most `size` of the plans that wait. The search gives them by size, so a chunk takes them at even distances."""
        count = len(self.plans)
        size = min(size, count)
        is_chosen = bytearray(count)
        for i in range(size):
            is_chosen[i * count // size] = 1
        lines = list(itertools.compress(self.plans, is_chosen))
        self.plans = list(itertools.compress(self.plans, (not chosen for chosen in is_chosen)))
        return lines

    def hand_out(self):
        while self.waiting_suspects:
            slot = next((slot for slot in self.slots if slot.is_ready and not slot.chunks), None)
            if slot is None:
                break
            self.give(slot, [self.waiting_suspects.pop(0)])
        if not self.plans:
            return
        ready = sum(slot.is_ready for slot in self.slots)
        is_idle = not any(slot.chunks for slot in self.slots)
        shared = math.ceil(len(self.plans) / max(1, ready))
        is_little = is_idle and shared * self.plan_s < ONE_CHUNK_S
        while self.plans:
            free = [slot for slot in self.slots if slot.takes_more(self.suspects)]
            if not free:
                return
            slot = min(free, key=lambda slot: len(slot.chunks))
            self.give(slot, self.take_chunk(shared if is_little else self.usual_chunk(ready)))

    def usual_chunk(self, slots):
        """A part of the plans that wait, so that all end together; not so few that the way there takes longer than they do."""
        size = max(math.ceil(len(self.plans) / (SHARE * slots)), math.ceil(LEAST_CHUNK_S / self.plan_s))
        return min(size, math.ceil(MOST_CHUNK_S / self.plan_s))

    def give(self, slot, lines):
        self.chunk_number += 1
        slot.chunks[self.chunk_number] = lines
        slot.last_sign = time.monotonic()
        self.call(slot.actor.work.remote(b"".join(lines), len(lines)), "worked", slot, self.chunk_number)

    def on_worked(self, slot, number, result, error):
        if number not in slot.chunks:
            return
        if error is not None:
            self.drop(slot, error)
            return
        lines = slot.chunks.pop(number)
        slot.last_sign = time.monotonic()
        answers, answered, end, seconds = result
        if answered:
            self.plan_s = max(1e-6, seconds / answered)
            self.write(answers)
            self.losses[slot.node].count = 0
        if self.suspects:
            self.suspects.difference_update(id_of(line) for line in lines[:answered])
        if end is not None:
            self.on_worker_ended(slot, [id_of(line) for line in lines[answered:]], end)

    def on_worker_ended(self, slot, rest, end):
        reason = f'the worker on node {self.nodes[slot.node]}{":" if "failed_start" in end else ""} {end["reason"]}'
        if "failed_start" not in end:
            self.say(lost=rest, culprit=rest[0], from_outside=end["from_outside"], reason=reason)
            return
        self.say(lost=rest, reason=reason)
        if slot.is_ready:  # else another chunk of this worker has said so
            self.note_failed_start(slot, reason)

    # Events

    def read_plans(self, lines):
        """As many at a time as have come."""
        while some := lines.read():
            self.events.put(("plans", some))
        self.events.put(("end",))

    def run(self, lines):
        threading.Thread(target=self.read_plans, args=(lines,), daemon=True).start()
        threading.Thread(target=self.watch_nodes, daemon=True).start()
        next_look = 0.0
        while True:
            if time.monotonic() >= next_look:
                self.look_after_silent()
                self.restart_workers()
                self.give_sign_of_life()
                next_look = time.monotonic() + LOOK_S / 2
            self.announce()
            self.hand_out()
            try:
                event = self.events.get(timeout=max(0.0, next_look - time.monotonic()))
            except queue.Empty:
                continue
            while event is not None:
                if event[0] == "end":
                    return
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
    parser.add_argument("--sign-of-life", type=float, default=5.0, help="seconds after which it says something")
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
        lines = Lines(sys.stdin.fileno())
        header = lines.read_one()
        if not header:
            return 0
        Bridge(ray, options, header, out).run(lines)
    except Failure as failure:
        fail(str(failure))
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
