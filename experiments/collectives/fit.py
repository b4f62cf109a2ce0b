# SPDX-License-Identifier: MIT
"""Fits CollectiveParameters (models/cluster) to the all-reduces that vTrain measured: one set for each machine.

    time = launch + 2(n-1) step + (2(n-1) + round_overhead)/n x S/(rings x bandwidth) x e
    e = 1 + (half_bytes/S)^exponent, or 1/low_latency_share where S/(n x rings) < switch_bytes

The number of rings for n GPUs is not fitted: it follows from the links (models/cluster/src/packing.cpp).
"""
import numpy
from scipy.optimize import least_squares

NAMES = ("launch_s", "step_s", "bandwidth_bytes_per_s", "round_overhead", "half_bytes", "exponent", "low_latency_share")
SCALES = numpy.array([1e-6, 1e-6, 1e9, 1.0, 1e6, 1.0, 1.0])
LOWER = (0.0, 0.0, 1.0, 0.0, 0.0, 0.2, 0.1)
UPPER = (200.0, 30.0, 400.0, 2.0, 20.0, 3.0, 1.0)


def read(path):
    table = numpy.loadtxt(path, delimiter=",", skiprows=1, usecols=(0, 3))
    return table[:, 0], table[:, 1] * 1e-9


def predict(parameters, gpus, rings, sizes):
    volume = (2 * (gpus - 1) + parameters["round_overhead"]) / gpus * sizes
    volume = volume / (rings * parameters["bandwidth_bytes_per_s"])
    excess = numpy.ones_like(sizes)
    if parameters["half_bytes"] > 0:
        excess = 1 + (parameters["half_bytes"] / sizes) ** parameters["exponent"]
    is_low_latency = sizes / (gpus * rings) < parameters["switch_bytes"]
    excess = numpy.where(is_low_latency, 1 / parameters["low_latency_share"], excess)
    return parameters["launch_s"] + 2 * (gpus - 1) * parameters["step_s"] + volume * excess


def fit_machine(measured, rings, config):
    """`measured`: GPUs -> (sizes, seconds). The switch is searched on a grid, everything else by least squares."""
    def as_parameters(x, switch_bytes):
        return dict(zip(NAMES, (x * SCALES).tolist()), switch_bytes=float(switch_bytes))

    def residuals(x, switch_bytes):
        parts = []
        for gpus, (sizes, seconds) in measured.items():
            weight = numpy.where(sizes <= config["small_bytes"], config["small_weight"], 1.0)
            error = numpy.log(predict(as_parameters(x, switch_bytes), gpus, rings[gpus], sizes) / seconds)
            parts.append(weight * error)
        return numpy.concatenate(parts)

    guess = max(ring_bandwidth(gpus, rings[gpus], *measured[gpus]) for gpus in measured) / 1e9
    best = None
    for switch in range(0, 1024, config["switch_grid_kibibytes"]):
        for half, exponent in ((0.05, 0.3), (1.0, 1.0), (1e-6, 1.0)):
            start = numpy.clip([25.0, 2.5, guess, 0.1, half, exponent, 0.8], numpy.array(LOWER) + 1e-9, UPPER)
            found = least_squares(residuals, start, bounds=(LOWER, UPPER), loss="soft_l1", f_scale=0.01,
                                  x_scale=[20, 2, guess, 0.1, 0.1, 0.5, 0.5], max_nfev=200, args=(switch * 1024,))
            if best is None or found.cost < best[0]:
                best = (found.cost, as_parameters(found.x, switch * 1024))
    parameters = best[1]
    if parameters["half_bytes"] < 1:  # below what can be told: no ramp
        parameters.update(half_bytes=0.0, exponent=1.0)
    if parameters["round_overhead"] < 1e-9:
        parameters["round_overhead"] = 0.0
    return parameters


def ring_bandwidth(gpus, rings, sizes, seconds):
    """Bytes per second of one ring at the largest size."""
    return 2 * (gpus - 1) / gpus * sizes[-1] / seconds[-1] / rings
