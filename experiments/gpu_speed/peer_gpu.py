#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One training of the peers' network by PyTorch eager on one GPU; prints one JSON line. --check only says whether there
is a GPU. Exit status 3 where there is none."""
import argparse
import collections
import contextlib
import json
import statistics
import sys
import time

import torch
from torch import nn

NO_DEVICE = 3


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--peers", help="folder of models.py")
    parser.add_argument("--case", type=json.loads, help="a case of config.json")
    parser.add_argument("--variant", choices=("float32", "autocast", "bfloat16-weights"), default="float32")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--save", metavar="FILE", help="write the state_dict before the first step")
    parser.add_argument("--save-batch", metavar="FILE", help="write {data, target}: the samples every step trains on")
    return parser.parse_args()


def device_name(device):
    if device == "cpu":
        return "CPU"
    if not torch.cuda.is_available():
        print("no GPU is here: PyTorch finds none", file=sys.stderr)
        sys.exit(NO_DEVICE)
    return torch.cuda.get_device_name(0)


def samples(case):
    generator = torch.Generator().manual_seed(2)
    data = torch.randn(case["batch"], 1, *case["input"], generator=generator)
    return data, torch.randint(2, (case["batch"],), generator=generator)


def parts(tensor, case, device):
    """Micro-batches in host memory, pinned where a GPU reads them: they go there in every step, as gabra's do."""
    chunks = tensor.chunk(case["micro"])
    return [chunk.pin_memory() for chunk in chunks] if device == "cuda" else list(chunks)


def train(options):
    sys.path.insert(0, options.peers)
    import models

    case, device, variant = options.case, options.device, options.variant
    torch.manual_seed(1)
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    model = nn.Sequential(collections.OrderedDict(models.resattnet(case["depth"], case["width"])))
    data, target = samples(case)
    if options.save:
        torch.save(model.state_dict(), options.save)
    if options.save_batch:
        torch.save({"data": data, "target": target}, options.save_batch)
    weights_type = torch.bfloat16 if variant == "bfloat16-weights" else torch.float32
    model.to(device, weights_type)
    optimizer = torch.optim.SGD(model.parameters(), lr=options.learning_rate, momentum=0.9, fused=True)
    loss_of = nn.CrossEntropyLoss()
    xs, ts = parts(data, case, device), parts(target, case, device)

    def step():
        total = torch.zeros((), device=device)
        for x, t in zip(xs, ts):
            x, t = x.to(device, non_blocking=True).to(weights_type), t.to(device, non_blocking=True)
            with torch.autocast(device, torch.bfloat16) if variant == "autocast" else contextlib.nullcontext():
                loss = loss_of(model(x), t) / len(xs)
            loss.backward()
            total += loss.detach()
        optimizer.step()
        optimizer.zero_grad()
        return total.item()  # the only wait for the GPU

    seconds, losses = [], []
    for index in range(case["warmup"] + case["steps"]):
        if index == case["warmup"] and device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        begin = time.perf_counter()
        losses.append(step())
        seconds.append(time.perf_counter() - begin)
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else 0
    print(json.dumps({"variant": variant, "step_s": statistics.median(seconds[case["warmup"]:]), "losses": losses,
                      "peak_memory_bytes": peak, "torch": torch.__version__}))


def main():
    options = arguments()
    name = device_name(options.device)
    if options.check:
        print(json.dumps({"device": name, "torch": torch.__version__}))
    else:
        train(options)


if __name__ == "__main__":
    main()
