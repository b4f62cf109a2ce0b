# SPDX-License-Identifier: MIT
"""Accuracy of hybrid-parallel training beside serial training, same seeds. Run with Debian's python3; see README.md."""
import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from scipy import stats

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MEASURES = ("accuracy", "auc")


def write_plan(gabra, config, plan, path):
    command = [str(gabra), "simulate", "--network", config["network"], "--cluster", config["cluster"], "--global-batch",
               str(config["global_batch"]), "--micro-batches", str(config["micro_batches"]), "--stages", plan["stages"],
               "--schedule", plan.get("schedule", "1f1b"), "--bucket", plan.get("bucket", "25 MB"), "--gradient-sum", config["gradient_sum"],
               "-o", str(path), "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def train(options, config, plan, task, seed):
    """Test measures after the last epoch, and the training loss of every epoch."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        write_plan(options.gabra, config, plan, Path(folder) / "plan.json")
        command = [str(options.gabra), "train", "--plan", f"{folder}/plan.json", "--data", str(options.cohort), "--task", task,
                   "--epochs", str(config["epochs"]), "--seed", str(seed), "--learning-rate", str(config["learning_rate"]),
                   "--schedule", "cosine", "--threads-per-rank", "1", "--log", str(log), "--json", "--quiet"]
        document = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        epochs = [json.loads(line) for line in log.read_text().splitlines()]
    losses = [line["train_loss"] for line in epochs if line["kind"] == "epoch"]
    return {"losses": losses, **{name: document["test"][name] for name in MEASURES}}


def run_all(options, config):
    rows = []
    for task in config["tasks"]:
        for seed in config["seeds"]:
            for name, plan in config["plans"].items():
                found = train(options, config, plan, task, seed)
                rows.append({"task": task, "seed": seed, "plan": name, **found})
                print(f"{task} seed {seed}, {name}: accuracy {found['accuracy']:.3f}, AUC {found['auc']:.3f}, last loss "
                      f"{found['losses'][-1]:.6f}", file=sys.stderr)
    return rows


def interval(values):
    """Mean and half of the 95 % confidence interval (Student's t); 0 where all values are equal."""
    mean = statistics.mean(values)
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return mean, spread / len(values) ** 0.5 * stats.t.ppf(0.975, max(len(values) - 1, 1))


def select(rows, task, plan):
    return [row for row in rows if row["task"] == task and row["plan"] == plan]


def summarise(rows, config):
    """Per task and plan: measures, and differences to serial training with the same seed."""
    summary = []
    for task in config["tasks"]:
        serial = select(rows, task, "serial")
        for plan in config["plans"]:
            own = select(rows, task, plan)
            entry = {"task": task, "plan": plan}
            for name in MEASURES:
                entry[name] = interval([row[name] for row in own])
                entry[f"{name}_difference"] = interval([a[name] - b[name] for a, b in zip(own, serial)])
            entry["largest_loss_difference"] = max(abs(x - y) for a, b in zip(own, serial) for x, y in zip(a["losses"], b["losses"]))
            summary.append(entry)
    return summary


def table(summary):
    lines = ["| task | plan | accuracy | AUC | accuracy, minus serial | AUC, minus serial | largest difference of a loss |",
             "|---|---|---|---|---|---|---|"]
    for entry in summary:
        cells = [f"{entry[key][0]:.3f} ± {entry[key][1]:.3f}" for key in ("accuracy", "auc", "accuracy_difference", "auc_difference")]
        lines.append(f"| {entry['task']} | {entry['plan']} | {' | '.join(cells)} | {entry['largest_loss_difference']:.1e} |")
    return "\n".join(lines)


def draw(rows, config, path):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(1, len(config["tasks"]), figsize=(6 * len(config["tasks"]), 4.2), squeeze=False)
    styles = ["-", "--", "-.", ":"]
    for axis, task in zip(axes[0], config["tasks"]):
        for number, plan in enumerate(config["plans"]):
            for row in select(rows, task, plan):
                axis.plot(range(1, len(row["losses"]) + 1), row["losses"], styles[number % 4], color=f"C{number}",
                          linewidth=3.5 - 0.8 * number, alpha=0.8, label=plan if row["seed"] == config["seeds"][0] else None)
        axis.set_title(f"{task}, {len(config['seeds'])} seeds")
        axis.set_xlabel("epoch")
        axis.set_ylabel("training loss")
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gabra", default=ROOT / "build" / "release" / "bin" / "gabra")
    parser.add_argument("--python", default=ROOT / "build" / "venv" / "bin" / "python", help="with nibabel and nilearn")
    parser.add_argument("--config", default=HERE / "config.json")
    parser.add_argument("--cohort", default=ROOT / "build" / "cohort", help="made there if it does not exist")
    parser.add_argument("--results", default=HERE / "results")
    options = parser.parse_args()
    config = json.loads(Path(options.config).read_text())
    if not Path(options.cohort).exists():
        make = [str(options.python), str(ROOT / "experiments" / "cohort" / "make_cohort.py"), "--output", str(options.cohort),
                "--subjects", str(config["subjects"]), "--seed", str(config["cohort_seed"])]
        subprocess.run(make, check=True)
    rows = run_all(options, config)
    summary = summarise(rows, config)
    print(table(summary))
    results = Path(options.results)
    results.mkdir(exist_ok=True)
    document = {"machine": platform.machine(), "config": config, "rows": rows, "summary": summary}
    (results / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    draw(rows, config, results / "losses.png")


if __name__ == "__main__":
    main()
