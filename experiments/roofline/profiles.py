# SPDX-License-Identifier: MIT
"""Reads PipeDream profile graphs and derives each layer's operations and memory traffic from its description.

Traffic counts follow models/network/src/costs.cpp, weights added: once forward, three times backward.
"""
import math
import re
from dataclasses import dataclass


@dataclass
class Sample:
    network: str
    kind: str        # Conv2d, ReLU, ...
    layer_class: str  # as in gabra's ComputeClass
    direction: str   # forward or backward
    flops: float
    bytes: float
    rows: float
    seconds: float
    is_winograd: bool  # a 3x3 convolution of stride 1, for which cuDNN has an algorithm with fewer operations


CLASSES = {"Conv2d": "convolution", "Linear": "matrix_product", "BatchNorm2d": "normalization", "ReLU": "elementwise",
           "Dropout": "elementwise", "MaxPool2d": "pooling", "AvgPool2d": "pooling"}


def field(text, name):
    return float(re.search(name + r"=([0-9.]+)", text).group(1))


def pair(text, name, default):
    found = re.search(name + r"=\(?(\d+)(?:, (\d+))?", text)
    return (int(found.group(1)), int(found.group(2) or found.group(1))) if found else default


def read_graph(path):
    nodes, parents = {}, {}
    for line in open(path):
        parts = line.strip().split(" -- ")
        if len(parts) == 3:
            nodes[parts[0]] = (parts[1], parts[2])
        elif len(parts) == 2:
            parents.setdefault(parts[1], []).append(parts[0])
    return nodes, parents


def batch_of(nodes):
    """Samples of a step: a linear layer's output tells, else the input of 224 x 224 pixels."""
    for description, costs in nodes.values():
        if description.startswith("Linear("):
            return int(field(costs, "activation_size") / 4 / int(re.search(r"out_features=(\d+)", description).group(1)))
    for description, costs in nodes.values():
        if description.startswith("Input"):
            return int(field(costs, "activation_size") / 4 / (3 * 224 * 224))
    raise ValueError("no layer that tells the batch")


def work(kind, description, inputs, outputs, weights, batch, is_first):
    """(flops, bytes) forward, the same backward, rows. Sizes in elements of the whole batch."""
    if kind == "Conv2d":
        kernel = pair(description, "kernel_size", None)
        channels = [int(x) for x in re.match(r"Conv2d\((\d+), (\d+)", description).groups()]
        groups = pair(description, "groups", (1, 1))[0]
        flops = 2.0 * channels[0] / groups * kernel[0] * kernel[1] * outputs
        rows, passes, moved = outputs / channels[1], 1 if is_first else 2, inputs + outputs
        return (flops, 4 * (moved + weights)), (passes * flops, 4 * (passes * moved + 3 * weights)), rows
    if kind == "Linear":
        features = [int(x) for x in re.findall(r"_features=(\d+)", description)]
        flops, moved = 2.0 * features[0] * outputs, inputs + outputs
        return (flops, 4 * (moved + weights)), (2 * flops, 4 * (2 * moved + 3 * weights)), batch
    factors = {"BatchNorm2d": (3, 5), "ReLU": (2, 3), "Dropout": (2, 2)}
    if kind in factors:
        forward, backward = factors[kind]
        return (0.0, 4.0 * forward * outputs), (0.0, 4.0 * backward * outputs), outputs
    moved = 4.0 * (inputs + (3 if kind == "MaxPool2d" else 1) * outputs)
    return (0.0, moved), (0.0, moved), outputs


def read_samples(path, network):
    nodes, parents = read_graph(path)
    batch = batch_of(nodes)
    samples = []
    for name, (description, costs) in nodes.items():
        kind = re.match(r"\w+", description).group(0)
        before = parents.get(name, [])
        if kind not in CLASSES or len(before) != 1 or "[" in costs.split("activation_size=")[1]:
            continue
        inputs = field(nodes[before[0]][1], "activation_size") / 4
        if kind == "Linear":
            inputs = batch * int(re.search(r"in_features=(\d+)", description).group(1))
        outputs, weights = field(costs, "activation_size") / 4, field(costs, "parameter_size") / 4
        is_first = nodes[before[0]][0].startswith("Input")
        forward, backward, rows = work(kind, description, inputs, outputs, weights, batch, is_first)
        is_winograd = (kind == "Conv2d" and pair(description, "kernel_size", None) == (3, 3)
                       and pair(description, "stride", (1, 1)) == (1, 1) and "groups" not in description)
        for direction, (flops, moved) in (("forward", forward), ("backward", backward)):
            seconds = field(costs, direction + "_compute_time") * 1e-3
            if seconds > 0 and inputs > 0 and math.isfinite(moved):
                samples.append(Sample(network, kind, CLASSES[kind], direction, flops, moved, rows, seconds, is_winograd))
    return samples, batch
