# SPDX-License-Identifier: MIT
"""Predicted against measured all-reduces. Run with Debian's python3; see README.md."""
import argparse
import json
import platform
import subprocess
from pathlib import Path

import numpy
import scipy

import fit

HERE = Path(__file__).resolve().parent


def gabra_times(gabra, cluster, gpus, sizes):
    """What `gabra simulate --collective all-reduce` predicts: (seconds of each size, its document)."""
    command = [str(gabra), "simulate", "--collective", "all-reduce", "--cluster", cluster, "--json", "--bytes",
               ",".join(f"{int(size)}B" for size in sizes), "--devices", ",".join(str(i) for i in range(gpus))]
    document = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return numpy.array([one["time_s"] for one in document["results"]]), document


def compare(gabra, machine, measured, config):
    """Errors by number of GPUs and pooled, and a table of some sizes."""
    small, large, by_gpus, table, predicted = [], [], {}, [], {}
    for gpus, (sizes, seconds) in measured.items():
        predicted[gpus], _ = gabra_times(gabra, machine["cluster"], gpus, sizes)
        error = numpy.abs(predicted[gpus] / seconds - 1)
        small.append(error[sizes <= config["small_bytes"]])
        large.append(error[sizes >= config["small_bytes"]])
        by_gpus[gpus] = {"mean_error_1_to_16_mib": small[-1].mean(), "median_error_from_16_mib": numpy.median(large[-1])}
        for index in [2**i - 1 for i in range(0, 11)]:
            table.append({"gpus": gpus, "bytes": int(sizes[index]), "measured_s": seconds[index],
                          "predicted_s": predicted[gpus][index]})
    pooled = {"mean_error_1_to_16_mib": numpy.concatenate(small).mean(),
              "median_error_from_16_mib": numpy.median(numpy.concatenate(large))}
    return {"pooled": pooled, "by_gpus": by_gpus, "table": table}, predicted


def predict_unmeasured(gabra, machine, config):
    """Bus bandwidth for every number of GPUs, at one size."""
    size, rows = config["predicted_bytes"], []
    for gpus in sorted(config["measured_gpus"] + config["predicted_gpus"]):
        seconds, document = gabra_times(gabra, machine["cluster"], gpus, [size])
        one = document["results"][0]
        rows.append({"gpus": gpus, "bytes": size, "predicted_s": seconds[0], "algorithm": one["algorithm"],
                     "channels": one["channels"], "bus_bandwidth_bytes_per_s": 2 * (gpus - 1) / gpus * size / seconds[0]})
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gabra", type=Path, required=True, help="the gabra command")
    parser.add_argument("--data", type=Path, required=True, help="folder that has vtrain_allreduce")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    config = json.loads((HERE / "config.json").read_text())
    result, drawings = {"machines": {}}, {}
    for machine in config["machines"]:
        rings = {int(gpus): count for gpus, count in machine["rings"].items()}
        measured = {gpus: fit.read(arguments.data / "vtrain_allreduce" / f"{machine['name']}_{gpus}gpu.txt")
                    for gpus in config["measured_gpus"]}
        fitted = fit.fit_machine(measured, rings, config)
        errors, predicted = compare(arguments.gabra, machine, measured, config)
        unmeasured = predict_unmeasured(arguments.gabra, machine, config)
        result["machines"][machine["cluster"]] = {"fitted": fitted, **errors, "by_number_of_gpus": unmeasured}
        drawings[machine["cluster"]] = (measured, predicted, unmeasured)
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout.strip()
    version = subprocess.run([str(arguments.gabra), "--version"], capture_output=True, text=True).stdout.strip()
    result.update(seed=config["seed"], git=git, versions={"gabra": version, "python": platform.python_version(),
                                                         "numpy": numpy.__version__, "scipy": scipy.__version__})
    arguments.output.mkdir(parents=True, exist_ok=True)
    rounded = json.loads(json.dumps(result), parse_float=lambda text: float(f"{float(text):.9g}"))
    (arguments.output / "collectives.json").write_text(json.dumps(rounded, indent=2) + "\n")
    draw(drawings, arguments.output / "collectives.png")
    print_tables(rounded)


def print_tables(result):
    for name, machine in result["machines"].items():
        for gpus, errors in [*machine["by_gpus"].items(), ("2, 4, 8", machine["pooled"])]:
            print(f"{name}, {gpus} GPUs: mean error 1 to 16 MiB {100 * errors['mean_error_1_to_16_mib']:.2f} %, "
                  f"median error from 16 MiB {100 * errors['median_error_from_16_mib']:.2f} %")
        for row in machine["by_number_of_gpus"]:
            print(f"{name}, {row['gpus']} GPUs, {row['bytes'] >> 20} MiB: {row['predicted_s'] * 1e3:.3f} ms, "
                  f"{row['bus_bandwidth_bytes_per_s'] / 1e9:.1f} GB/s, {row['channels']} {row['algorithm']}")


def draw(drawings, path):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(2, 2, figsize=(11, 8))
    for (curves, bars), (name, (measured, predicted, unmeasured)) in zip(axes, drawings.items()):
        for colour, (gpus, (sizes, seconds)) in zip(("tab:blue", "tab:orange", "tab:green"), measured.items()):
            factor = 2 * (gpus - 1) / gpus * sizes / 1e9
            curves.semilogx(sizes / 2**20, factor / seconds, ".", color=colour, markersize=2, label=f"{gpus} GPUs, measured")
            curves.semilogx(sizes / 2**20, factor / predicted[gpus], color=colour, linewidth=1, label=f"{gpus} GPUs, predicted")
        curves.set(title=name, xlabel="size, MiB", ylabel="bus bandwidth, GB/s", ylim=(0, None))
        curves.grid(True, linewidth=0.3)
        curves.legend(fontsize=7)
        counts = [row["gpus"] for row in unmeasured]
        bars.bar(counts, [row["bus_bandwidth_bytes_per_s"] / 1e9 for row in unmeasured],
                 color=["tab:blue" if count in measured else "lightsteelblue" for count in counts])
        for row in unmeasured:
            text = f"{row['channels']} {row['algorithm']}" if row["channels"] > 1 else f"1 {row['algorithm'][:-1]}"
            bars.text(row["gpus"], 2, text, ha="center", va="bottom", fontsize=8)
        points = [(gpus, 2 * (gpus - 1) / gpus * unmeasured[0]["bytes"] / seconds[sizes == unmeasured[0]["bytes"]][0] / 1e9)
                  for gpus, (sizes, seconds) in measured.items()]
        bars.plot(*zip(*points), "kx", label="measured")
        bars.set(title=f"{name}, {unmeasured[0]['bytes'] >> 20} MiB", xlabel="first so many GPUs",
                 ylabel="bus bandwidth, GB/s")
        bars.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
