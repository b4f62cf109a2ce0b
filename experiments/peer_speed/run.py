# SPDX-License-Identifier: MIT
"""Speed of training beside PyTorch, case by case, in one run: both systems alternate. Run with Debian's python3."""
import argparse
import json
import platform
import statistics
import sys
from pathlib import Path

import measure

HERE = Path(__file__).resolve().parent
MIB = 1024 * 1024


def run_pair(options, case, mode, split):
    peer = measure.run_peer(options.python, options.peers, case, mode, split)
    split = split or peer["split"]
    gabra = measure.run_gabra(options.gabra, case, mode, split)
    return {"gabra": gabra, "peer": peer}, split


def run_all(options, config):
    """A row per case and mode. `ratio` is the median of the repeats' ratios of step times, PyTorch's over gabra's."""
    pairs, splits = {}, {}
    for repeat in range(config["repeats"]):
        for case in config["cases"]:
            for mode in case.get("modes", config["modes"]):
                key = (case["name"], mode)
                pair, splits[key] = run_pair(options, case, mode, splits.get(key))
                pairs.setdefault(key, []).append(pair)
                print(f"{repeat + 1}/{config['repeats']} {case['name']} {mode}: PyTorch {pair['peer']['step_s']:.4f} s, gabra "
                      f"{pair['gabra']['step_s']:.4f} s, {pair['peer']['step_s'] / pair['gabra']['step_s']:.2f} times", file=sys.stderr)
    return [summarise(name, mode, found, splits[(name, mode)]) for (name, mode), found in pairs.items()]


def summarise(name, mode, found, split):
    ratios = [pair["peer"]["step_s"] / pair["gabra"]["step_s"] for pair in found]
    return {"case": name, "mode": mode, "split": split, "ratio": statistics.median(ratios), "ratios": ratios,
            "peer_step_s": [pair["peer"]["step_s"] for pair in found],
            "gabra_step_s": [pair["gabra"]["step_s"] for pair in found],
            "peer_rss_mib": max(max(pair["peer"]["rss_bytes"]) for pair in found) / MIB,
            "gabra_rss_mib": max(max(pair["gabra"]["rss_bytes"]) for pair in found) / MIB}


def table(rows, modes):
    lines = ["| case | mode | PyTorch | gabra | ratio | peak memory, PyTorch | gabra |", "|---|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: row["ratio"]):
        lines.append(f"| {row['case']} | {modes[row['mode']]} | {min(row['peer_step_s']) * 1e3:.0f} ms | "
                     f"{min(row['gabra_step_s']) * 1e3:.0f} ms | {row['ratio']:.2f} | {row['peer_rss_mib']:.0f} MiB | "
                     f"{row['gabra_rss_mib']:.0f} MiB |")
    return "\n".join(lines)


def with_others(rows, path):
    """Rows of earlier runs are kept where these did not measure them again."""
    if not path.exists():
        return rows
    measured = {(row["case"], row["mode"]) for row in rows}
    earlier = json.loads(path.read_text())["rows"]
    return rows + [row for row in earlier if (row["case"], row["mode"]) not in measured]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gabra", default=measure.default_gabra())
    parser.add_argument("--python", default=measure.default_python(), help="with torch 2.11.0")
    parser.add_argument("--peers", default=measure.default_peers(), help="folder of peer_train.py")
    parser.add_argument("--config", default=HERE / "config.json")
    parser.add_argument("--repeats", type=int, help="in place of the configuration's")
    parser.add_argument("--only", help="cases whose name contains this")
    parser.add_argument("--results", default=HERE / "results" / "results.json")
    options = parser.parse_args()
    config = json.loads(Path(options.config).read_text())
    config["repeats"] = options.repeats or config["repeats"]
    if options.only:
        config["cases"] = [case for case in config["cases"] if options.only in case["name"]]
    rows = run_all(options, config)
    rows = with_others(rows, Path(options.results))
    text = table(rows, config["modes"])
    print(text)
    document = {"machine": f"{platform.machine()}, {measure.cpu_name()}, {measure.core_count()} cores", "rows": rows}
    Path(options.results).parent.mkdir(exist_ok=True)
    Path(options.results).write_text(json.dumps(document, indent=1) + "\n")
    Path(options.results).with_suffix(".md").write_text(text + "\n")


if __name__ == "__main__":
    main()
