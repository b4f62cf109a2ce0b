# SPDX-License-Identifier: MIT
"""Constants of devices and runtime: a gabra/cluster/1 file, and the fit that writes it."""
import json
import subprocess
import tempfile
from pathlib import Path

import numpy
from scipy.optimize import least_squares

import runs


def preset(gabra, name):
    done = subprocess.run([str(gabra), "describe", "cluster", name, "--json"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def put(kind, field, value, unit=None):
    """Sets "efficiency.normalization.bandwidth" and the like."""
    *path, last = field.split(".")
    for part in path:
        kind = kind[part]
    kind[last] = f"{value:.9g} {unit}" if unit else value


def with_constants(cluster, config, values):
    """`cluster` (a document) with what the configuration states and the fitted `values` by field."""
    changed = json.loads(json.dumps(cluster))
    kind = changed["kinds"][0]
    for field, value in config["stated"].items():
        put(kind, field, value)
    for field, value in values.items():
        put(kind, field, value, config["fitted"][field].get("unit"))
    return changed


def fit(gabra, fit_runs, config):
    """Least squares of log(predicted / measured) over the logarithms of the constants, predictions by `gabra simulate`.
    A weak pull to the starting values keeps what the rows do not tell from drifting. Returns (values, document)."""
    fields = list(config["fitted"])
    start = numpy.array([config["fitted"][field]["start"] for field in fields])
    cluster = preset(gabra, config["cluster"])
    measured = numpy.array([run.seconds for run in fit_runs])

    def residuals(logarithms):
        values = dict(zip(fields, start * numpy.exp(logarithms)))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cluster.json"
            path.write_text(json.dumps(with_constants(cluster, config, values)))
            predicted = numpy.array(runs.predict(gabra, fit_runs, path, config))
        return numpy.concatenate([numpy.log(predicted / measured), config["prior_weight"] * logarithms])

    def slopes(logarithms):
        step = config["difference_step"]
        here = residuals(logarithms)
        return numpy.column_stack([(residuals(logarithms + step * axis) - here) / step for axis in numpy.eye(len(fields))])

    found = least_squares(residuals, numpy.zeros(len(fields)), jac=slopes, bounds=(-2.0, 2.0), xtol=1e-4, ftol=1e-5)
    values = {field: float(f"{value:.4g}") for field, value in zip(fields, start * numpy.exp(found.x))}
    return values, with_constants(cluster, config, values)


def write(path, document, rows, rows_file):
    document["name"] = "dgx-a100 under Megatron-DeepSpeed"
    document["kinds"][0]["source"] = (
        f"NVIDIA A100 data sheet; launch, overheads and shares of products, embedding and normalization: fitted to {len(rows)} "
        f"rows of {rows_file} in experiments/prediction_error; other shares as in the preset dgx-a100")
    path.write_text(json.dumps(document, indent=1) + "\n")
