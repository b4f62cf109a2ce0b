#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How near `--evaluator both` comes to the best of an exhaustive measurement, with a tenth of its measurements.

    run.py exhaustive     measures every plan of the space, in pieces of config's `chunk`; call it until it says "done"
    run.py both           one search for each seed, measuring a tenth as many plans, none of them taken from above
    run.py finals         measures what both found beside the best of the exhaustive measurement, in turns
    run.py report         prints the table, and writes it into README.md

Each is short enough to be run while nothing else computes on the machine (config.json).
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def optimize(gabra, config, words):
    command = [gabra, "optimize", "--network", config["network"], "--devices", config["devices"], "--json",
               *config["flags"], *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def measured_plans(report):
    """Key and step of every plan that could be measured."""
    plans = {}
    for one in report["measurements"]:
        if one["measured_step_s"] is not None:
            plans[key_of(one)] = one["measured_step_s"]
    return plans


def key_of(one):
    return f"{one['stages']}|{one['micro_batches']}|{one['schedule']}|{one['bucket_bytes']}"


def name(key):
    """For people, and for tables, where | is a border."""
    stages, count, schedule, _ = key.split("|")
    return f"{stages}, M {count}, {schedule}"


def read(results, name):
    path = results / name
    return json.loads(path.read_text()) if path.exists() else None


def write(results, name, value):
    (results / name).write_text(json.dumps(value, indent=1) + "\n")


def times_of_finalists(report):
    """Of the plans that the search measured again: these times decide."""
    times = {}
    for one in report["measurements"]:
        if one["promoted_as"] == "finalist" and one["measured_step_s"] is not None:
            times.setdefault(key_of(one), []).append(one["measured_step_s"])
    return {key: statistics.mean(values) for key, values in times.items()}


def exhaustive(gabra, config, results):
    store = results / "exhaustive.jsonl"
    report = optimize(gabra, config, ["--evaluator", "exec", "--planner", "exact", "--measurements", str(store),
                                      "--time-limit", config["chunk"]])
    plans = measured_plans(report)
    is_done = report["measured"] == 0 or report["elapsed_s"] < float(config["chunk"].rstrip("s"))
    write(results, "exhaustive.json", {
        "plans": plans, "space_size": report["space_size"], "devices": report["devices_measured"],
        "failed": report["failed"], "is_done": is_done})
    print(f"{len(plans)} plans measured, {report['measured']} of them now; best {min(plans.values()) * 1e3:.2f} ms; "
          f"{'done' if is_done else 'call it again'}")


def both(gabra, config, results):
    everything = read(results, "exhaustive.json")
    budget = int(len(everything["plans"]) * config["share"])
    found = []
    for seed in config["seeds"]:
        with tempfile.TemporaryDirectory() as folder:
            report = optimize(gabra, config, ["--evaluator", "both", "--measure", str(budget), "--seed", str(seed),
                                              "--measurements", f"{folder}/store.jsonl", "--no-reuse"])
        steps = measured_plans(report) | times_of_finalists(report)
        best = min(times_of_finalists(report), key=steps.get)
        simulated = [one for one in report["measurements"] if one["measured_step_s"] is not None]
        first = min(simulated, key=lambda one: one["simulated_step_s"])
        found.append({"seed": seed, "plan": best, "step_s": steps[best], "measured": report["measured"],
                      "simulators_choice": key_of(first), "evaluations": report["evaluations"],
                      "correction": report["correction"], "elapsed_s": report["elapsed_s"]})
        print(f"seed {seed}: {report['measured']} measured, {best} in {steps[best] * 1e3:.2f} ms")
    write(results, "both.json", {"budget": budget, "searches": found})


def plan_document(gabra, config, key, folder):
    """The plan as gabra/plan/1, for the cluster that --devices stands for."""
    stages, count, schedule, bucket = key.split("|")
    batch = config["flags"][config["flags"].index("--global-batch") + 1]
    path = f"{folder}/plan.json"
    subprocess.run([gabra, "simulate", "--network", config["network"], "--cluster",
                    f"workstation-cpu:gpus={config['devices'].split(':')[1]}", "--global-batch", batch, "--micro-batches", count,
                    "--schedule", schedule, "--stages", stages, "--bucket", f"{bucket}B", "-o", path, "--json"],
                   check=True, capture_output=True)
    return json.loads(pathlib.Path(path).read_text())


class Job:
    """A `gabra-exec measure` job, spoken to in lines (docs/formats.md, gabra/job/1)."""

    def __init__(self, gabra, ranks):
        program = str(pathlib.Path(gabra).with_name("gabra-exec"))
        self.process = subprocess.Popen(
            ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-np", ranks, program, "measure"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def step_of(self, document, steps):
        line = {"schema": "gabra/job/1", "kind": "measure", "id": 1, "warm_up": 2, "steps": steps, "step_limit_s": 60,
                "plan": document}
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["report"]["step_time_s"]

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)


def finals(gabra, config, results):
    plans = read(results, "exhaustive.json")["plans"]
    best = sorted(plans, key=plans.get)[:config["finalists"]]
    searches = read(results, "both.json")["searches"]
    keys = list(dict.fromkeys([*best, *[one["plan"] for one in searches],
                               *[one["simulators_choice"] for one in searches]]))
    job = Job(gabra, config["devices"].split(":")[1])
    steps = {key: [] for key in keys}
    with tempfile.TemporaryDirectory() as folder:
        documents = {key: plan_document(gabra, config, key, folder) for key in keys}
    for _ in range(config["rounds"]):
        for key in keys:
            steps[key].append(job.step_of(documents[key], config["final_steps"]))
    job.end()
    write(results, "finals.json", {"finalists": best, "steps_s": steps})
    for key in keys:
        print(f"{statistics.median(steps[key]) * 1e3:8.2f} ms  {key}")


def report(results, config):
    everything = read(results, "exhaustive.json")
    searches = read(results, "both.json")
    final = read(results, "finals.json")
    median = {key: statistics.median(values) for key, values in final["steps_s"].items()}
    spread = [quarters[2] / quarters[0] - 1
              for quarters in (statistics.quantiles(values, n=4) for values in final["steps_s"].values())]
    best = min(final["finalists"], key=median.get)
    ordered = sorted(everything["plans"].values())
    lines = [f"`{config['network']}`, {' '.join(config['flags'])}, on {everything['devices']}.", "",
             f"Exhaustive: {len(ordered)} plans measured ({everything['failed']} failed), {ordered[0] * 1e3:.2f} to "
             f"{ordered[-1] * 1e3:.2f} ms, in the middle {ordered[len(ordered) // 2] * 1e3:.2f} ms; "
             f"{sum(step <= 1.02 * ordered[0] for step in ordered)} of them within 2 % of the best. Its best, of "
             f"{config['finalists']} finalists measured again: `{name(best)}`, {median[best] * 1e3:.2f} ms. Noise: the middle "
             f"half of a finalist's {config['rounds']} medians spans {100 * statistics.median(spread):.1f} %.", "",
             "| seed | plans measured | of all | found | its step | behind the best | the simulator's own choice |",
             "|---|---|---|---|---|---|---|"]
    for one in searches["searches"]:
        key = one["plan"]
        lines.append(f"| {one['seed']} | {one['measured']} | {100 * one['measured'] / len(ordered):.1f} % | `{name(key)}` | "
                     f"{median[key] * 1e3:.2f} ms | {100 * (median[key] / median[best] - 1):+.1f} % | "
                     f"{100 * (median[one['simulators_choice']] / median[best] - 1):+.1f} % |")
    text = "\n".join(lines)
    print(text)
    readme = HERE / "README.md"
    before, rest = readme.read_text().split("<!-- results -->\n")
    after = rest.split("<!-- end -->")[1]
    readme.write_text(f"{before}<!-- results -->\n{text}\n<!-- end -->{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["exhaustive", "both", "finals", "report"])
    parser.add_argument("--gabra", default=str(HERE.parents[1] / "build/release/bin/gabra"))
    parser.add_argument("--config", default=str(HERE / "config.json"))
    parser.add_argument("--results", default=str(HERE / "results"))
    arguments = parser.parse_args()
    config = json.loads(pathlib.Path(arguments.config).read_text())
    results = pathlib.Path(arguments.results)
    results.mkdir(parents=True, exist_ok=True)
    if arguments.part == "report":
        report(results, config)
    else:
        {"exhaustive": exhaustive, "both": both, "finals": finals}[arguments.part](arguments.gabra, config, results)


if __name__ == "__main__":
    main()
