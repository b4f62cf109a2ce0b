# SPDX-License-Identifier: MIT
"""Predicted against measured, with figures that others published. Run with Debian's python3; see README.md."""
import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy

import choose
import constants
import runs
import scaling

HERE = Path(__file__).resolve().parent
CLUSTER = HERE / "dgx-a100-megatron.json"


def main():
    arguments = parse()
    config = json.loads((HERE / "config.json").read_text())
    if arguments.rows:
        return predict_file(arguments, config)
    data = arguments.data
    if data is None:
        sys.exit("--data or the environment variable GABRA_DATA_DIR: nothing; the folder with vtrain_iterations is needed")
    result, drawings = {"seed": 1}, {}
    if arguments.stability:
        return stability(arguments, config, data)
    result["iterations"], drawings["iterations"] = iterations(arguments, config, data)
    result["all_reduce"], drawings["all_reduce"] = all_reduces(arguments.gabra, data)
    result["scaling"] = drawings["scaling"] = scaling.compare(arguments.gabra, HERE / "published_scaling.json")
    finish(result, drawings, arguments)
    print_iterations(result["iterations"])
    print_all_reduces(result["all_reduce"])
    scaling.show(result["scaling"])
    error = result["iterations"]["prediction"]["mean_absolute_error"]
    return 0 if error <= config["bars"]["prediction_rows"] else 1


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gabra", type=Path, required=True, help="the gabra command")
    parser.add_argument("--data", type=Path, default=os.environ.get("GABRA_DATA_DIR"),
                        help="folder with vtrain_iterations and vtrain_allreduce; GABRA_DATA_DIR by default")
    parser.add_argument("--fit", action="store_true", help=f"fit the constants again and write {CLUSTER.name}")
    parser.add_argument("--stability", action="store_true", help="fit to other choices of 20 rows, print the constants and "
                        "the errors of all other rows, and write nothing")
    parser.add_argument("--rows", type=Path, help="predict the runs of this CSV of the same columns, with the stored "
                        "constants, and print a CSV; the last column may be missing")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    return parser.parse_args()


def predict_file(arguments, config):
    """Nothing is fitted here, whatever the rows; runs that the stored constants were fitted to are marked and left out."""
    rows = runs.read_runs(arguments.rows, config["most_gpus"])
    seen = fitted_settings(arguments.data, config)
    predicted = runs.predict(arguments.gabra, rows, CLUSTER, config)
    print("row,role,measured_ms,predicted_ms,error")
    errors, fitted = [], 0
    for run, seconds in zip(rows, predicted):
        is_fitted = settings_of(run) in seen
        fitted += is_fitted
        role = "fit" if is_fitted else "prediction" if seen or run.gpus != 2 else "unknown"
        measured, error = "", ""
        if run.seconds is not None:
            measured, error = f"{run.seconds * 1e3:.6f}", f"{seconds / run.seconds - 1:+.5f}"
            errors += [] if is_fitted else [abs(seconds / run.seconds - 1)]
        print(f"{run.number},{role},{measured},{seconds * 1e3:.6f},{error}")
    sys.stdout.flush()
    note = f"{fitted} of {len(rows)} runs are fit rows" if seen else "without --data fit rows, all on 2 GPUs, are not told apart"
    if errors:
        note += (f"; {len(errors)} other rows: mean absolute error {100 * numpy.mean(errors):.2f} %, "
                 f"largest {100 * numpy.max(errors):.2f} %")
    print(note, file=sys.stderr)
    return 0


def settings_of(run):
    return dataclasses.replace(run, number=0, seconds=None)


def fitted_settings(data, config):
    """Of the rows that the stored constants were fitted to; none where their file is not at hand."""
    if data is None:
        return set()
    return {settings_of(run) for run in split(runs.read_runs(Path(data) / config["rows"], config["most_gpus"]))[0]}


def stability(arguments, config, data):
    """Other choices of rows: the constants should move little, and the errors of the rows that were not chosen too."""
    rows = runs.read_runs(Path(data) / config["rows"], config["most_gpus"])
    over_a_pass = {**config, "stated": {**config["stated"], "launch_ahead": "pass"}}
    for variant, config in [*((variant, config) for variant in range(4)), (0, over_a_pass)]:
        numbers = choose.choose(rows, variant)
        chosen = [run for run in rows if run.number in numbers]
        others = [run for run in rows if run.number not in numbers]
        values, document = constants.fit(arguments.gabra, chosen, config)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cluster.json"
            path.write_text(json.dumps(document))
            predicted = runs.predict(arguments.gabra, others, path, config)
        part = summary(others, {run.number: seconds for run, seconds in zip(others, predicted)})
        print(f"choice {variant}, launches over a {config['stated']['launch_ahead']}: {len(chosen)} rows fitted, "
              f"{part['rows']} others: mean absolute error "
              f"{100 * part['mean_absolute_error']:.2f} %, bias {100 * part['bias']:+.2f} %; {json.dumps(values)}")
    return 0


def split(rows):
    """The rows that were named for the fit, and all others; a row is never in both."""
    named = json.loads((HERE / "fit_rows.json").read_text())["rows"]
    fit_rows = [run for run in rows if run.number in set(named)]
    others = [run for run in rows if run.number not in set(named)]
    assert len(named) == len(set(named)) == len(fit_rows) <= 20, "at most 20 different rows of the file"
    assert not {run.number for run in fit_rows} & {run.number for run in others}
    assert len(fit_rows) + len(others) == len(rows)
    return fit_rows, others


def iterations(arguments, config, data):
    rows = runs.read_runs(Path(data) / config["rows"], config["most_gpus"])
    fit_rows, others = split(rows)
    if arguments.fit:
        values, document = constants.fit(arguments.gabra, fit_rows, config)
        constants.write(CLUSTER, document, [run.number for run in fit_rows], config["rows"])
        print("fitted:", json.dumps(values))
    predicted = {run.number: seconds
                 for run, seconds in zip(rows, runs.predict(arguments.gabra, rows, CLUSTER, config))}
    result = {"fit": summary(fit_rows, predicted), "prediction": summary(others, predicted),
              "fit_rows": [run.number for run in fit_rows], "by": by_column(others, predicted)}
    return result, [(role, run.seconds, predicted[run.number])
                    for role, part in (("prediction", others), ("fit", fit_rows)) for run in part]


def errors_of(part, predicted):
    return numpy.array([predicted[run.number] / run.seconds - 1 for run in part])


def summary(part, predicted):
    errors = errors_of(part, predicted)
    return {"rows": len(part), "mean_absolute_error": numpy.abs(errors).mean(), "bias": errors.mean(),
            "largest": numpy.abs(errors).max()}


def by_column(others, predicted):
    """Errors of the prediction rows by the value of each column that varies."""
    table = []
    for column in ("replicas", "stages", "hidden", "layers", "micro_batch", "batch"):
        for value in sorted({getattr(run, column) for run in others}):
            part = [run for run in others if getattr(run, column) == value]
            table.append({"column": column, "value": value, **summary(part, predicted)})
    return table


def all_reduces(gabra, data):
    """Sizes of powers of two, on all numbers of GPUs that were measured; fitted in experiments/collectives."""
    table = []
    for machine, cluster in (("a100", "dgx-a100"), ("v100", "dgx1-v100")):
        for gpus in (2, 4, 8):
            measured = numpy.loadtxt(Path(data) / "vtrain_allreduce" / f"{machine}_{gpus}gpu.txt", delimiter=",",
                                    skiprows=1, usecols=(0, 3))
            document = runs.simulate(gabra, [
                "--collective", "all-reduce", "--cluster", cluster, "--bytes",
                ",".join(f"{int(size)}B" for size in measured[:, 0]), "--devices", ",".join(map(str, range(gpus)))])
            predicted = numpy.array([one["time_s"] for one in document["results"]])
            table += [{"machine": cluster, "gpus": gpus, "bytes": int(size), "measured_s": nanoseconds * 1e-9,
                       "predicted_s": seconds} for (size, nanoseconds), seconds in zip(measured, predicted)]
    parts = []
    for cluster, gpus in sorted({(one["machine"], one["gpus"]) for one in table}):
        errors = [abs(one["predicted_s"] / one["measured_s"] - 1) for one in table
                  if (one["machine"], one["gpus"]) == (cluster, gpus)]
        parts.append({"machine": cluster, "gpus": gpus, "sizes": len(errors), "mean_absolute_error": numpy.mean(errors),
                      "median_absolute_error": numpy.median(errors)})
    return parts, [(f"{one['machine']}, {one['gpus']} GPUs", one["measured_s"], one["predicted_s"]) for one in table]


def print_iterations(result):
    print(f"fit rows (numbers in {'fit_rows.json'}): {result['fit_rows']}")
    for role in ("fit", "prediction"):
        part = result[role]
        print(f"GPT iterations, {role} rows: {part['rows']}, mean absolute error {100 * part['mean_absolute_error']:.2f} %, "
              f"bias {100 * part['bias']:+.2f} %, largest {100 * part['largest']:.2f} %")
    for part in result["by"]:
        print(f"  prediction rows, {part['column']} = {part['value']}: {part['rows']}, mean absolute error "
              f"{100 * part['mean_absolute_error']:.2f} %, bias {100 * part['bias']:+.2f} %")


def print_all_reduces(parts):
    for part in parts:
        print(f"all-reduce, {part['machine']}, {part['gpus']} GPUs, {part['sizes']} sizes: mean absolute error "
              f"{100 * part['mean_absolute_error']:.2f} %, median {100 * part['median_absolute_error']:.2f} %")


def finish(result, drawings, arguments):
    result["git"] = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout.strip()
    version = subprocess.run([str(arguments.gabra), "--version"], capture_output=True, text=True).stdout.strip()
    result["versions"] = {"gabra": version, "python": platform.python_version(), "numpy": numpy.__version__}
    arguments.output.mkdir(parents=True, exist_ok=True)
    rounded = json.loads(json.dumps(result), parse_float=lambda text: float(f"{float(text):.6g}"))
    (arguments.output / "prediction_error.json").write_text(json.dumps(rounded, indent=1) + "\n")
    draw(drawings, arguments.output / "prediction_error.png")


def draw(drawings, path):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(1, 3, figsize=(15, 5))
    panels = (("GPT iterations, 2 A100s", drawings["iterations"], 1e3, "ms"),
              ("all-reduce, 1 MiB to 1 GiB", drawings["all_reduce"], 1e3, "ms"))
    for axis, (title, points, scale, unit) in zip(axes, panels):
        for role in sorted({role for role, _, _ in points}, reverse=True):
            pairs = scale * numpy.array([(measured, predicted) for other, measured, predicted in points if other == role])
            axis.loglog(pairs[:, 0], pairs[:, 1], ".", markersize=5, label=f"{role} ({len(pairs)})")
        ends = scale * numpy.array([min(one for _, one, _ in points), max(one for _, one, _ in points)])
        axis.plot(ends, ends, color="black", linewidth=0.7)
        axis.set(title=title, xlabel=f"measured, {unit}", ylabel=f"predicted, {unit}")
        axis.legend(fontsize=8)
        axis.grid(True, which="both", linewidth=0.3)
    scaling.draw(axes[2], drawings["scaling"])
    figure.tight_layout()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"prediction_error: {error}")
