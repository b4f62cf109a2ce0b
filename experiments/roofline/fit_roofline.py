# SPDX-License-Identifier: MIT
"""Fits the roofline's efficiencies to measured layer times. Run with Debian's python3; see README.md."""
import argparse
import json
import platform
import subprocess
from pathlib import Path

import numpy
import scipy
from scipy.optimize import least_squares

from profiles import read_samples

HERE = Path(__file__).resolve().parent
CLASSES = ["convolution", "matrix_product", "normalization", "elementwise", "pooling"]


def columns(samples):
    return {name: numpy.array([getattr(s, name) for s in samples]) for name in
            ("kind", "layer_class", "direction", "flops", "bytes", "rows", "seconds", "is_winograd")}


def predict(data, peaks, overhead, shares):
    """overhead by direction + max(flops, bytes) at the class's (flops, bandwidth, half_rows)."""
    seconds = numpy.where(data["direction"] == "forward", overhead[0], overhead[1])
    for name, (flops, bandwidth, half_rows) in shares.items():
        here = data["layer_class"] == name
        rows = data["rows"][here]
        arithmetic = data["flops"][here] / (peaks[0] * flops * rows / (rows + half_rows))
        seconds[here] += numpy.maximum(arithmetic, data["bytes"][here] / (peaks[1] * bandwidth))
    return seconds


def solve(data, start, build, peaks):
    """Least absolute logarithms, smoothed. All parameters are positive, so their logarithms are free."""
    def residuals(x):
        return numpy.log(predict(data, peaks, *build(numpy.exp(x))) / data["seconds"])
    return numpy.exp(least_squares(residuals, numpy.log(start), loss="soft_l1", f_scale=0.05).x)


def one_scale(p):
    return p[:2], {name: (p[2], p[2], 0.0) for name in CLASSES}


def by_class(p):
    shares = {"convolution": (p[2], p[3], p[4]), "matrix_product": (p[5], p[6], 0.0)}
    shares.update({name: (1.0, p[7 + i], 0.0) for i, name in enumerate(CLASSES[2:])})
    return p[:2], shares


def spread(data, predicted):
    ratio, table = data["seconds"] / predicted, {}
    for kind in sorted(set(data["kind"])):
        part = ratio[data["kind"] == kind]
        table[kind] = {"layers": int(part.size), **{f"p{q}": round(float(numpy.percentile(part, q)), 4)
                                                     for q in (10, 25, 50, 75, 90)}}
    return table


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="folder that has pipedream_profiles")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    config = json.loads((HERE / "config.json").read_text())
    peaks = (config["reference"]["peak_flops_per_s"], config["reference"]["bandwidth_bytes_per_s"])
    samples, batches = [], {}
    for name in config["networks"]:
        found, batches[name] = read_samples(arguments.data / "pipedream_profiles" / f"{name}.txt", name)
        samples += found
    data = columns(samples)
    scale = solve(data, [3e-4, 3e-5, 0.6], one_scale, peaks)
    plain = columns([s for s in samples if not s.is_winograd and s.kind != "AvgPool2d"])
    fitted = solve(plain, [3e-4, 3e-5, 0.7, 0.5, 100.0, 0.7, 0.5, 0.8, 0.8, 0.6], by_class, peaks)
    overhead, shares = by_class(fitted)
    predicted = predict(data, peaks, overhead, shares)
    left_out = data["is_winograd"] | (data["kind"] == "AvgPool2d")
    result = {
        "reference": config["reference"], "batches": batches, "layers_forward_and_backward": len(samples),
        "one_scale": {"scale": scale[2], "overhead_s": {"forward": scale[0], "backward": scale[1]},
                      "measured_over_predicted": spread(data, predict(data, peaks, *one_scale(scale)))},
        "by_class": {"overhead_s": {"forward": overhead[0], "backward": overhead[1]},
                     "shares": {k: dict(zip(("flops", "bandwidth", "half_rows"), v)) for k, v in shares.items()},
                     "measured_over_predicted": spread(plain, predict(plain, peaks, overhead, shares)),
                     "left_out_measured_over_predicted": spread(
                         {k: v[left_out] for k, v in data.items()}, predicted[left_out])},
        "seed": config["seed"],
        "versions": {"python": platform.python_version(), "numpy": numpy.__version__, "scipy": scipy.__version__},
        "git": subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout.strip(),
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    rounded = json.loads(json.dumps(result), parse_float=lambda text: float(f"{float(text):.6g}"))
    (arguments.output / "roofline.json").write_text(json.dumps(rounded, indent=2) + "\n")
    draw(data, predicted, arguments.output / "roofline.png")


def draw(data, predicted, path):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 5), sharey=True)
    for axis, direction in zip(axes, ("forward", "backward")):
        for kind in sorted(set(data["kind"])):
            here = (data["kind"] == kind) & (data["direction"] == direction)
            axis.loglog(data["seconds"][here] * 1e3, predicted[here] * 1e3, ".", markersize=4, label=kind)
        limits = [0.02, 60]
        axis.plot(limits, limits, color="black", linewidth=0.8)
        axis.set(title=direction, xlabel="measured, ms", xlim=limits, ylim=limits)
        axis.grid(True, which="major", linewidth=0.3)
    axes[0].set_ylabel("roofline with fitted shares, ms")
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
