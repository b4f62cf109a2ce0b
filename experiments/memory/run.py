#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random plans, simulated and trained for three steps on CPU ranks: predicted beside measured peak memory by device.

  run.py --gabra build/release/bin/gabra [--plans 60] [--seed 1]
"""
import argparse
import collections
import json
import pathlib
import random
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
NETWORKS = [
    "3d-resattnet-18:width=16,input=1x48x48x48",
    "3d-resattnet-34:width=8,input=1x48x48x48",
    "unet-3d:width=8,input=1x32x32x32,depth=3",
    "unet-3d:width=16,input=1x32x32x32,depth=2",
    "vgg-16:width=16,input=3x64x64,classes=10",
    "resnet-50:width=16,input=3x64x64,classes=10",
    "resnet-18:width=32,input=3x64x64,classes=10",
    "gpt:hidden=128,layers=4,heads=4,sequence=128,vocabulary=1000",
    "alexnet:width=16,input=3x64x64,classes=10",
]
SMALL = 10e6  # bytes below which a device holds next to nothing


def gabra(program, *words):
    result = subprocess.run([program, *words], text=True, capture_output=True)
    if result.returncode != 0:
        raise SystemExit(f"gabra {' '.join(words)}\n{result.stderr}")
    return result.stdout


def unit_count(program, network):
    return int(gabra(program, "describe", "network", network).split(" units")[0].split()[-1])  # "41 layers in 16 units"


def random_plan(rng, units):
    """Stages on two or three devices, one of them with two replicas where a device is left; text of --stages."""
    devices = list(range(rng.choice([2, 3])))
    rng.shuffle(devices)
    count = rng.choice([1, 2, 2, 3])
    edges = [0, *sorted(rng.sample(range(1, units), count - 1)), units]
    stages = [[edges[i], edges[i + 1] - 1, [devices[i % len(devices)]]] for i in range(count)]
    if count < len(devices) and rng.random() < 0.5:
        stages[rng.randrange(count)][2].append(devices[-1])
    text = " ".join(f"{first}-{last}@{','.join(map(str, own))}" + ("/always" if rng.random() < 0.2 else "")
                    for first, last, own in stages)
    return text, len(devices)


def random_settings(rng):
    words = ["--schedule", rng.choice(["gpipe", "1f1b", "1f1b", "sequential"])]
    for flag, value, chance in (("--precision", "bfloat16", 0.3), ("--clip-norm", "1", 0.3),
                                ("--gradient-sum", "wide", 0.2), ("--optimizer", "adamw", 0.3)):
        if rng.random() < chance:
            words += [flag, value]
    return words


def measure(program, rng, units, folder):
    network = rng.choice(NETWORKS)
    stages, devices = random_plan(rng, units[network])
    micro_batches = rng.choice([2, 4, 6])
    settings = random_settings(rng)
    plan = str(folder / "plan.json")
    simulated = json.loads(gabra(program, "simulate", "--network", network, "--cluster",
                                 f"workstation-cpu:gpus={devices}", "--global-batch", str(2 * micro_batches),
                                 "--micro-batches", str(micro_batches), "--stages", stages, *settings, "-o", plan,
                                 "--json"))
    trained = json.loads(gabra(program, "train", "--plan", plan, "--synthetic", "--steps", "3", "--quiet", "--json"))
    predicted = {device["device"]: device["peak_memory_bytes"] for device in simulated["devices"]}
    return [{"network": network, "stages": stages, "micro_batches": micro_batches, "settings": " ".join(settings),
             "device": device["name"], "predicted": predicted[device["name"]],
             "measured": device["peak_memory_bytes"]} for device in trained["devices"]]


def print_table(rows):
    def error(row):
        return row["predicted"] / row["measured"] - 1.0

    def line(name, some):
        errors = sorted(abs(error(row)) for row in some)
        within = sum(one <= 0.1 for one in errors)
        print(f"| {name} | {len(some)} | {100 * errors[len(errors) // 2]:.1f} % | {100 * errors[-1]:.1f} % | {within} |")

    print("| devices | number | error, median | largest | within 10 % |\n|---|---|---|---|---|")
    line("all", rows)
    line("with 10 MB and more", [row for row in rows if row["measured"] >= SMALL])
    by_precision = collections.defaultdict(list)
    for row in rows:
        by_precision["bfloat16" if "bfloat16" in row["settings"] else "float32"].append(row)
    for name, some in sorted(by_precision.items(), reverse=True):
        line(name, some)
    print("\nBeyond 10 %:")
    for row in sorted(rows, key=error):
        if abs(error(row)) > 0.1:
            print(f'  {100 * error(row):+.1f} % of {row["measured"] / 1e6:.1f} MB on {row["device"]}: {row["network"]}, '
                  f'stages {row["stages"]}, M {row["micro_batches"]}, {row["settings"]}')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gabra", default="gabra", help="the program")
    parser.add_argument("--plans", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    units = {network: unit_count(options.gabra, network) for network in NETWORKS}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.plans):
            rows += measure(options.gabra, rng, units, pathlib.Path(folder))
    print(f"{options.plans} random plans, seed {options.seed}\n")
    print_table(rows)
    (HERE / "results" / f"seed-{options.seed}.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
