# SPDX-License-Identifier: MIT
"""Speedup of two CPU ranks over one at a fixed batch per rank, beside PyTorch's. Run with Debian's python3."""
import argparse
import json
import platform
import statistics
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "peer_speed"))
import measure  # noqa: E402

SYSTEMS = ("gabra", "PyTorch")


def volumes_per_second(options, system, case, mode):
    if system == "gabra":
        found = measure.run_gabra(options.gabra, case, mode)
    else:
        found = measure.run_peer(options.python, options.peers, case, mode)
    return case["batch"] / found["step_s"]


def run_all(options, config):
    rates = {system: {"one": [], "two": []} for system in SYSTEMS}
    for repeat in range(config["repeats"]):
        for system in SYSTEMS:
            for key, mode in (("one", "serial"), ("two", "ddp")):
                rate = volumes_per_second(options, system, config[key], mode)
                rates[system][key].append(rate)
                print(f"{repeat + 1}/{config['repeats']} {system}, {config[key]['name']}: {rate:.2f} volumes/s", file=sys.stderr)
    return {system: {"volumes_per_s": found, "speedups": [two / one for one, two in zip(found["one"], found["two"])]}
            for system, found in rates.items()}


def table(results, config):
    lines = [f"| system | {config['one']['name']} | {config['two']['name']} | speedup |", "|---|---|---|---|"]
    for system in SYSTEMS:
        rates = results[system]["volumes_per_s"]
        lines.append(f"| {system} | {statistics.median(rates['one']):.2f} volumes/s | {statistics.median(rates['two']):.2f} "
                     f"volumes/s | {statistics.median(results[system]['speedups']):.2f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gabra", default=measure.default_gabra())
    parser.add_argument("--python", default=measure.default_python(), help="with torch 2.11.0")
    parser.add_argument("--peers", default=measure.default_peers(), help="folder of peer_train.py")
    parser.add_argument("--config", default=HERE / "config.json")
    parser.add_argument("--results", default=HERE / "results" / "results.json")
    options = parser.parse_args()
    config = json.loads(Path(options.config).read_text())
    results = run_all(options, config)
    print(table(results, config))
    document = {"machine": f"{platform.machine()}, {measure.cpu_name()}, {measure.core_count()} cores", "config": config,
                "results": results}
    Path(options.results).parent.mkdir(exist_ok=True)
    Path(options.results).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
