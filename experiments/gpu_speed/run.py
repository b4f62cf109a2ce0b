#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Step time on one GPU beside PyTorch eager, case by case, in one run: both systems alternate. Run with Debian's python3.
Exit status 3 where there is no GPU."""
import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "peer_speed"))
import measure  # noqa: E402

MIB = 1024 * 1024
NO_DEVICE = 3
# What PyTorch is asked for; of two, the faster counts.
VARIANTS = {"float32": ["float32"], "bfloat16": ["autocast", "bfloat16-weights"]}
COMPARED_STEPS = 3


def fail(text, status=1):
    print(f"gpu_speed: {text}", file=sys.stderr)
    sys.exit(status)


def run(command):
    """What it prints."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode == NO_DEVICE:
        fail(f"{done.stderr.strip().splitlines()[-1]}; nothing was measured", NO_DEVICE)
    if done.returncode != 0:
        fail(f"{' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    return done.stdout


def peer_command(options, *more):
    return [options.python, HERE / "peer_gpu.py", "--device", options.device, *more]


def run_peer(options, case, variant, folder):
    return json.loads(run(peer_command(options, "--peers", options.peers, "--case", json.dumps(case), "--variant", variant,
                                       "--save", folder / "start.pt", "--save-batch", folder / "batch.pt")))


def run_gabra(options, config, case, precision, folder):
    """From the peer's weights, on its samples, with its micro-batches, optimizer and learning rate."""
    plan, log = folder / "plan.json", folder / "log.jsonl"
    network = f"3d-resattnet-{case['depth']}:width={case['width']},input=1x{'x'.join(map(str, case['input']))}"
    units = int(re.search(r"layers in (\d+) units", run([options.gabra, "describe", "network", network])).group(1))
    run([options.gabra, "simulate", "--network", network, "--cluster", config["cluster"], "--global-batch", case["batch"],
         "--micro-batches", case["micro"], "--precision", precision, "--stages", f"0-{units - 1}@0", "-o", plan, "--json"])
    log.unlink(missing_ok=True)
    found = json.loads(run([options.gabra, "train", "--plan", plan, "--device", options.device, "--batch-file",
                            folder / "batch.pt", "--weights", folder / "start.pt", "--learning-rate", "0.001", "--steps",
                            case["warmup"] + case["steps"], "--log", log, "--json", "--quiet"]))
    steps = [line for line in map(json.loads, log.read_text().splitlines()) if line["kind"] == "step"]
    return {"step_s": statistics.median(line["step_s"] for line in steps[case["warmup"]:]),
            "losses": [line["loss"] for line in steps], "peak_memory_bytes": found["devices"][0]["peak_memory_bytes"]}


def measure_pair(options, config, case, precision):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peers = [run_peer(options, case, variant, folder) for variant in VARIANTS[precision]]
        gabra = run_gabra(options, config, case, precision, folder)
    peer = min(peers, key=lambda found: found["step_s"])
    difference = max(abs(a - b) / abs(b) for a, b in zip(gabra["losses"][:COMPARED_STEPS], peers[0]["losses"]))
    return {"peers": peers, "peer": peer, "gabra": gabra, "ratio": peer["step_s"] / gabra["step_s"], "loss_difference": difference}


def run_all(options, config):
    rows = []
    for case in config["cases"]:
        for precision in VARIANTS:
            pairs = []
            for repeat in range(config["repeats"]):
                pairs.append(measure_pair(options, config, case, precision))
                print(f"{repeat + 1}/{config['repeats']} {case['name']} {precision}: PyTorch {pairs[-1]['peer']['step_s']:.4f} s, "
                      f"gabra {pairs[-1]['gabra']['step_s']:.4f} s, {pairs[-1]['ratio']:.2f} times", file=sys.stderr)
            rows.append({"case": case["name"], "precision": precision, "pairs": pairs,
                         "ratio": statistics.median(pair["ratio"] for pair in pairs),
                         "loss_difference": max(pair["loss_difference"] for pair in pairs)})
    return rows


def table(rows):
    lines = ["| case | precision | PyTorch eager | gabra | ratio | peak memory, PyTorch | gabra | losses differ by |",
             "|---|---|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: row["ratio"]):
        peer = min((pair["peer"] for pair in row["pairs"]), key=lambda found: found["step_s"])
        gabra = min((pair["gabra"] for pair in row["pairs"]), key=lambda found: found["step_s"])
        lines.append(f"| {row['case']} | {row['precision']} | {peer['step_s'] * 1e3:.1f} ms ({peer['variant']}) | "
                     f"{gabra['step_s'] * 1e3:.1f} ms | {row['ratio']:.2f} | {peer['peak_memory_bytes'] / MIB:.0f} MiB | "
                     f"{gabra['peak_memory_bytes'] / MIB:.0f} MiB | {row['loss_difference']:.1e} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gabra", default=measure.default_gabra())
    parser.add_argument("--python", default=measure.default_python(), help="with torch 2.11.0")
    parser.add_argument("--peers", default=measure.default_peers(), help="folder of models.py")
    parser.add_argument("--config", default=HERE / "config.json")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: to try the script")
    parser.add_argument("--results", default=HERE / "results" / "results.json")
    options = parser.parse_args()
    machine = json.loads(run(peer_command(options, "--check")))
    config = json.loads(Path(options.config).read_text())
    config["cases"] = [case for case in config["cases"] if options.only in case["name"]]
    rows = run_all(options, config)
    print(f"{machine['device']}, torch {machine['torch']}\n\n{table(rows)}")
    Path(options.results).parent.mkdir(exist_ok=True)
    Path(options.results).write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
