# SPDX-License-Identifier: MIT
"""Published weak scaling of 3-D networks from 1 to 8 GPUs beside what gabra predicts for a network of that shape."""
import json
import subprocess

import runs

GPUS = 8


def last_unit(gabra, network):
    done = subprocess.run([str(gabra), "describe", "network", network, "--json"], check=True, capture_output=True, text=True)
    return len(json.loads(done.stdout)["unit_ends"]) - 1


def rate(gabra, figure, precision, batch, gpus):
    """Samples per second, `batch` on each of so many GPUs."""
    stages = f"0-{last_unit(gabra, figure['network'])}@{','.join(map(str, range(gpus)))}"
    return runs.simulate(gabra, ["--network", figure["network"], "--cluster", figure["cluster"], "--precision", precision,
                                 "--optimizer", "adamw", "--global-batch", str(batch * gpus), "--micro-batches", str(gpus),
                                 "--stages", stages])["samples_per_s"]


def compare(gabra, path):
    published = json.loads(path.read_text())
    rows = []
    for figure in published["figures"]:
        for batch, one, eight in zip(figure["batch"], figure["one"], figure["eight"]):
            precision = published["precisions"][figure["precision"]]
            predicted = [rate(gabra, figure, precision, batch, gpus) for gpus in (1, GPUS)]
            rows.append({"name": figure["name"], "batch": batch, "measured_one": one, "measured_eight": eight,
                         "predicted_one": predicted[0], "predicted_eight": predicted[1], "measured": eight / one,
                         "predicted": predicted[1] / predicted[0], "source": published["sources"][figure["source"]]})
    return rows


def show(rows):
    for row in rows:
        print(f"1 to {GPUS} GPUs, {row['name']}, {row['batch']} a GPU: measured {row['measured']:.2f} x, predicted "
              f"{row['predicted']:.2f} x ({100 * (row['predicted'] / row['measured'] - 1):+.1f} %); on one GPU "
              f"{row['measured_one']:.4g}/s measured, {row['predicted_one']:.4g}/s predicted")
    for source in dict.fromkeys(row["source"] for row in rows):
        print(f"  source: {source}")


def draw(axis, rows):
    labels = [f"{row['name'].split(' ')[0]} {row['name'].split(', ')[1].split(' ')[1]} {row['batch']}" for row in rows]
    places = range(len(rows))
    axis.barh([place - 0.2 for place in places], [row["measured"] for row in rows], 0.4, label="measured")
    axis.barh([place + 0.2 for place in places], [row["predicted"] for row in rows], 0.4, label="predicted")
    axis.set_yticks(list(places), labels, fontsize=7)
    axis.invert_yaxis()
    axis.set(title="3-D networks, 8 GPUs beside 1", xlabel="throughput, times one GPU's", xlim=(0, GPUS))
    axis.legend(fontsize=8, loc="lower left")
