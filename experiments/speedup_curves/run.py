# SPDX-License-Identifier: MIT
"""Speedup of GABRA and of existing parallel methods by number of GPUs. Run with Debian's python3; see README.md."""
import argparse
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXISTING = {"data-parallel": "data parallel", "sequential": "sequential", "even-gpipe": "even GPipe"}
METHODS = {**EXISTING, "gabra": "GABRA"}
CHECKED_TO = 1e-6  # relative, of a stored number


def optimize(gabra, config, network, cluster, gpus, global_batch):
    """One search: step time and plan of each method, and of one device."""
    command = [str(gabra), "optimize", "--json", "--quiet", "--network", network, "--cluster", f"{cluster}:gpus={gpus}",
               "--global-batch", str(global_batch), "--seed", str(config["seed"]),
               "--max-evaluations", str(config["max_evaluations"])]
    document = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    found = {**document["baselines"], "gabra": document}
    return document, {name: {"step_time_s": found[name]["step_time_s"], "micro_batches": found[name].get("micro_batches"),
                             "schedule": found[name].get("schedule"), "stages": stages_text(found[name])}
                      for name in ["one-device", *METHODS]}


def stages_text(plan):
    """Units @ devices, as `gabra simulate --stages` reads it; none for a family that does not fit."""
    if "stages" not in plan:
        return None
    return " ".join(f"{stage['first_unit']}-{stage['last_unit']}@{','.join(stage['devices'])}"
                    + ("" if stage["recompute"] == "never" else f"/{stage['recompute']}") for stage in plan["stages"])


def run_all(gabra, config):
    """A row per mode, network, cluster and number of GPUs. Speedups are ratios of volumes per second, to one GPU with the
    same batch (fixed global batch) or with its share of it (fixed batch per GPU)."""
    rows = []
    for mode in config["modes"]:
        for network in config["networks"]:
            for cluster in config["clusters"]:
                one_gpu = None  # volumes per second
                for gpus in config["gpus"]:
                    batch = mode.get("global_batch") or mode["batch_per_gpu"] * gpus
                    document, methods = optimize(gabra, config, network, cluster, gpus, batch)
                    if gpus == 1:
                        one_gpu = batch / methods["one-device"]["step_time_s"]
                    for method in methods.values():
                        rate = batch / method["step_time_s"] if method["step_time_s"] else None
                        method["speedup"] = rate / one_gpu if rate else None
                        method["efficiency"] = rate / one_gpu / gpus if rate else None
                    rows.append({"mode": mode["name"], "network": network, "cluster": cluster, "gpus": gpus,
                                 "global_batch": batch, "evaluations": document["evaluations"], "methods": methods})
                    print(f"{mode['name']} {network} {cluster} {gpus}: "
                          + ", ".join(f"{name} {methods[key]['speedup'] or 0:.2f}" for key, name in METHODS.items()),
                          file=sys.stderr)
    return rows


def mean(values):
    return sum(values) / len(values) if values else None


def improvements(rows):
    """Both readings of "20 % better training time", over all rows with more than one GPU."""
    gains = {name: [] for name in [*EXISTING, "best existing", "all existing"]}
    for row in rows:
        own = row["methods"]["gabra"]["step_time_s"]
        bases = {name: row["methods"][name]["step_time_s"] for name in EXISTING}
        bases = {name: time for name, time in bases.items() if time}
        if row["gpus"] == 1 or not own or not bases:
            continue
        for name, time in bases.items():
            gains[name].append((own, time))
        gains["best existing"].append((own, min(bases.values())))
        gains["all existing"].append((own, mean(list(bases.values()))))
    return {name: {"cases": len(pairs), "mean_time_saved": mean([1 - own / base for own, base in pairs]),
                   "least_time_saved": min(1 - own / base for own, base in pairs),
                   "mean_rate_gained": mean([base / own - 1 for own, base in pairs])}
            for name, pairs in gains.items() if pairs}


def efficiencies(rows, config):
    """Mean efficiency of each method by number of GPUs, over networks, clusters and modes."""
    result = {}
    for method in METHODS:
        result[method] = {}
        for gpus in config["gpus"]:
            values = [row["methods"][method]["efficiency"] for row in rows if row["gpus"] == gpus]
            result[method][str(gpus)] = mean([value for value in values if value])
    return result


def print_tables(result, config):
    most = max(config["gpus"])
    print(f"\n| {most} GPUs | " + " | ".join(METHODS.values()) + " |\n|---|" + "---|" * len(METHODS))
    for row in result["rows"]:
        if row["gpus"] != most:
            continue
        cells = [f"{m['step_time_s'] * 1e3:.1f} ms, {m['speedup']:.2f} x, {m['efficiency'] * 100:.0f} %"
                 if m["step_time_s"] else "does not fit" for m in (row["methods"][name] for name in METHODS)]
        print(f"| {row['network']}, {row['cluster']}, batch {row['global_batch']} | " + " | ".join(cells) + " |")
    print("\n| mean efficiency | " + " | ".join(METHODS.values()) + " |\n|---|" + "---|" * len(METHODS))
    for gpus in config["gpus"]:
        cells = [f"{result['mean_efficiency'][method][str(gpus)] * 100:.1f} %" for method in METHODS]
        print(f"| {gpus} GPU{'' if gpus == 1 else 's'} | " + " | ".join(cells) + " |")
    print("\n| GABRA against | cases | mean 1 - T/T_base | least | mean T_base/T - 1 |\n|---|---|---|---|---|")
    for name, gain in result["improvement"].items():
        print(f"| {METHODS.get(name, name)} | {gain['cases']} | {gain['mean_time_saved'] * 100:.1f} % | "
              f"{gain['least_time_saved'] * 100:.1f} % | {gain['mean_rate_gained'] * 100:.1f} % |")


def draw(result, config, path):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    lines = [(mode, network) for mode in config["modes"] for network in config["networks"]]
    figure, axes = pyplot.subplots(len(lines), len(config["clusters"]), squeeze=False, sharex=True,
                                   figsize=(3.6 * len(config["clusters"]), 2.9 * len(lines)), layout="constrained")
    styles = {"data-parallel": ("C0", "s"), "sequential": ("C7", "v"), "even-gpipe": ("C2", "^"), "gabra": ("C3", "o")}
    for line, (mode, network) in enumerate(lines):
        for column, cluster in enumerate(config["clusters"]):
            axis = axes[line][column]
            axis.plot(config["gpus"], config["gpus"], color="black", linewidth=0.8, linestyle=":", label="linear")
            rows = [row for row in result["rows"]
                    if (row["mode"], row["network"], row["cluster"]) == (mode["name"], network, cluster)]
            for method, name in METHODS.items():
                color, marker = styles[method]
                points = [(row["gpus"], row["methods"][method]["speedup"]) for row in rows
                          if row["methods"][method]["speedup"]]
                axis.plot(*zip(*points), color=color, marker=marker, markersize=6 if method == "data-parallel" else 4,
                          markerfacecolor="none" if method == "data-parallel" else color, label=name)
            axis.set_title(f"{network}, {cluster}\n{mode['title']}", fontsize=9)
            axis.set_xticks(config["gpus"])
            axis.grid(alpha=0.3)
            if column == 0:
                axis.set_ylabel("speedup")
            if line == len(lines) - 1:
                axis.set_xlabel("GPUs")
    axes[0][0].legend(fontsize=8)
    figure.savefig(path, dpi=110)


def differences(seen, stored, place="$"):
    """Where two results differ: numbers beyond CHECKED_TO, everything else exactly. Versions and git id are left out."""
    if isinstance(stored, dict) and isinstance(seen, dict):
        keys = (seen.keys() | stored.keys()) - {"git", "versions"}
        return [text for key in sorted(keys) for text in differences(seen.get(key), stored.get(key), f"{place}.{key}")]
    if isinstance(stored, list) and isinstance(seen, list) and len(seen) == len(stored):
        return [text for i, pair in enumerate(zip(seen, stored)) for text in differences(*pair, f"{place}[{i}]")]
    if isinstance(stored, float) and isinstance(seen, (int, float)):
        return [] if abs(seen - stored) <= CHECKED_TO * max(abs(stored), 1e-9) else [f"{place}: {seen}, stored {stored}"]
    return [] if seen == stored else [f"{place}: {seen}, stored {stored}"]


def provenance(gabra):
    """Versions, and the commit of this checkout where it is one."""
    version = subprocess.run([str(gabra), "--version"], check=True, capture_output=True, text=True).stdout.strip()
    git = None
    if shutil.which("git"):
        seen = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True)
        git = seen.stdout.strip() or None
    return {"git": git, "versions": {"gabra": version, "python": platform.python_version()}}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gabra", type=Path, required=True, help="the gabra command")
    parser.add_argument("--config", type=Path, default=HERE / "config.json")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder for the results")
    parser.add_argument("--check", type=Path, help="compare with this stored result instead of writing one")
    arguments = parser.parse_args()
    config = json.loads(arguments.config.read_text())
    rows = run_all(arguments.gabra, config)
    result = {"config": config, "seed": config["seed"], **provenance(arguments.gabra),
              "mean_efficiency": efficiencies(rows, config), "improvement": improvements(rows), "rows": rows}
    if arguments.check:
        found = differences(result, json.loads(arguments.check.read_text()))
        print("\n".join(found) if found else f"{len(rows)} rows as stored in {arguments.check.name}")
        sys.exit(1 if found else 0)
    arguments.output.mkdir(parents=True, exist_ok=True)
    name = "speedup_curves" if arguments.config.stem == "config" else arguments.config.stem
    (arguments.output / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    draw(result, config, arguments.output / f"{name}.png")
    print_tables(result, config)


if __name__ == "__main__":
    main()
