# SPDX-License-Identifier: MIT
"""Measured training runs of GPT, and what `gabra simulate` predicts for them."""
import concurrent.futures
import csv
import json
import os
import subprocess
from dataclasses import dataclass

COLUMNS = ["# GPUs", "global batch", "micro batch", "hidden size", "attention heads", "# layers", "sequence length",
           "tensor parallelism", "data parallelism", "pipeline parallelism", "iteration time (ms)"]


@dataclass(frozen=True)
class Run:
    """One row; `number` counts the rows of its file from 1, the header left out. `seconds` is None where not measured."""
    number: int
    gpus: int
    batch: int
    micro_batch: int
    hidden: int
    heads: int
    layers: int
    sequence: int
    tensor: int
    replicas: int
    stages: int
    seconds: float


def read_runs(path, most_gpus):
    """The rows of `path`; raises ValueError that names a row which the experiment cannot predict."""
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        missing = [column for column in COLUMNS[:-1] if column not in (reader.fieldnames or [])]
        if missing:
            raise ValueError(f"{path}: no column {', '.join(missing)}; expected are {', '.join(COLUMNS)}")
        runs = [to_run(path, number, row) for number, row in enumerate(reader, start=1)]
    for run in runs:
        check(path, run, most_gpus)
    return runs


def to_run(path, number, row):
    try:
        measured = row.get(COLUMNS[-1])
        seconds = float(measured) / 1e3 if measured else None
        return Run(number, *(int(row[column]) for column in COLUMNS[:-1]), seconds)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: row {number}: {error}") from None


def check(path, run, most_gpus):
    where = f"{path}: row {run.number}"
    if run.tensor != 1:
        raise ValueError(f"{where}: tensor parallelism {run.tensor}; gabra's plans have none, so only 1 is allowed")
    if run.gpus != run.replicas * run.stages or run.gpus > most_gpus:
        raise ValueError(f"{where}: {run.gpus} GPUs; data x pipeline parallelism and at most {most_gpus} are allowed")
    if run.batch % (run.micro_batch * run.replicas) or run.layers % run.stages:
        raise ValueError(f"{where}: micro-batches or layers cannot be divided evenly")


def stages_text(run):
    """Equal numbers of transformer blocks, two units each; the embedding before the first, the head after the last.
    Replica r of stage s is GPU s x replicas + r, as Megatron numbers its ranks."""
    blocks = run.layers // run.stages
    parts = []
    for stage in range(run.stages):
        first = 0 if stage == 0 else 1 + 2 * blocks * stage
        last = 2 * blocks * (stage + 1) + (1 if stage + 1 == run.stages else 0)
        gpus = ",".join(str(stage * run.replicas + replica) for replica in range(run.replicas))
        parts.append(f"{first}-{last}@{gpus}")
    return " ".join(parts)


def simulate(gabra, arguments):
    """The JSON report of `gabra simulate`."""
    done = subprocess.run([str(gabra), "simulate", *arguments, "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{gabra} simulate {' '.join(arguments)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def predict(gabra, runs, cluster, config):
    """Seconds of a step of every run on `cluster` (a preset or a file)."""
    def one(run):
        network = config["network"].format(layers=run.layers, hidden=run.hidden, heads=run.heads, sequence=run.sequence)
        return simulate(gabra, ["--network", network, "--cluster", str(cluster), *config["settings"],
                                "--global-batch", str(run.batch), "--micro-batches", str(run.batch // run.micro_batch),
                                "--stages", stages_text(run)])["step_time_s"]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, runs))
