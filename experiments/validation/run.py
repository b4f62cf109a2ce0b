#!/usr/bin/env python3
"""Calibrates this machine, predicts plans, measures them, compares. One network at a time, then the table.

  run.py --network resattnet-small     calibrate, make plans, validate: results/NAME.json
  run.py                               all networks, one after another
  run.py --table                       the figures of results/*.json
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def gabra(options, *words, **keywords):
    return subprocess.run([options.gabra, *map(str, words)], check=True, text=True, **keywords)


def run_network(options, config, folder):
    machine, profile = folder / "machine.json", folder / "profile.json"
    sizes = sorted({plan["micro_batch"] for plan in config["plans"]})
    calibrated = gabra(options, "calibrate", "--network", config["network"], "--micro-batches", ",".join(map(str, sizes)),
                       "--devices", "cpu:2", "-o", machine, "--profile", profile, "--time-limit",
                       f'{options.seconds or config["calibrate_s"]}s', "--confidence", "0.01", "--json", "--quiet",
                       stdout=subprocess.PIPE)
    plans = folder / "plans"
    plans.mkdir()
    for plan in config["plans"]:
        name = f'{config["name"]}-{plan["name"]}'
        gabra(options, "simulate", "--network", config["network"], "--cluster", machine, "--profile", profile,
              "--global-batch", plan["micro_batch"] * plan["micro_batches"], "--micro-batches", plan["micro_batches"],
              "--schedule", plan.get("schedule", "1f1b"), "--stages", plan["stages"], "-o", plans / f"{name}.json",
              stdout=subprocess.DEVNULL)
    validated = gabra(options, "validate", "--plans", plans, "--cluster", machine, "--profile", profile, "--steps",
                      config["steps"], "--rounds", config["rounds"], "--json", "--quiet", stdout=subprocess.PIPE)
    return {"network": config["network"], "calibration": json.loads(calibrated.stdout),
            "validation": json.loads(validated.stdout)}


def disturbed_share(result):
    """Of the steps of all plans, those beside which others used the machine: what a gauge says, never their times."""
    plans = result["validation"]["plans"]
    disturbed = sum(plan["disturbed_steps"] for plan in plans)
    return disturbed / max(1, disturbed + sum(len(plan["steps_s"]) for plan in plans))


def run_until_calm(options, config):
    """The first attempt on a calm machine, else the calmest."""
    best = None
    for attempt in range(options.attempts):
        with tempfile.TemporaryDirectory() as folder:
            result = run_network(options, config, pathlib.Path(folder))
        result["disturbed_share"] = disturbed_share(result)
        result["attempt"] = attempt + 1
        print(f'{config["name"]}, attempt {attempt + 1}: {100 * result["disturbed_share"]:.0f} % of the steps disturbed, '
              f'median error {100 * result["validation"]["median_error"]:.1f} %, '
              f'at most {100 * result["validation"]["max_error"]:.1f} %', file=sys.stderr)
        if best is None or result["disturbed_share"] < best["disturbed_share"]:
            best = result
        if best["disturbed_share"] <= options.calm:
            break
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / f'{config["name"]}.json').write_text(json.dumps(slim(best), indent=1) + "\n")


def slim(result):
    """Without what only a person who looks into one plan needs."""
    for plan in result["validation"]["plans"]:
        for key in ("steps_s", "instructions", "path"):
            plan.pop(key)
    return result


def tau(plans):
    """Over pairs of one network that differ by more than 3 %."""
    agreement, compared = 0, 0
    for group in plans.values():
        for i, a in enumerate(group):
            for b in group[i + 1:]:
                difference = a["measured"] / a["samples"] - b["measured"] / b["samples"]
                if abs(difference) <= 0.03 * max(a["measured"] / a["samples"], b["measured"] / b["samples"]):
                    continue
                compared += 1
                predicted = a["predicted"] / a["samples"] - b["predicted"] / b["samples"]
                agreement += 1 if predicted * difference > 0 else -1
    return agreement / compared, compared


def table(config):
    names = [one["name"] for one in config["networks"]]
    results = {name: json.loads((HERE / "results" / f"{name}.json").read_text()) for name in names}
    plans = {name: result["validation"]["plans"] for name, result in results.items()}
    everything = [plan for group in plans.values() for plan in group]
    print("| plan | predicted | measured | error | noise | memory |\n|---|---|---|---|---|---|")
    for plan in everything:
        memory = max((figure["error"] for figure in plan["peak_memory_bytes"]), key=abs)
        print(f'| {plan["name"]} | {1e3 * plan["predicted"]:.1f} ms | {1e3 * plan["measured"]:.1f} ms | '
              f'{100 * plan["error"]:+.1f} % | {100 * plan["noise"]:.1f} % | {100 * memory:+.1f} % |')
    errors = [abs(plan["error"]) for plan in everything]
    memory = max(abs(figure["error"]) for plan in everything for figure in plan["peak_memory_bytes"])
    agreement, pairs = tau(plans)
    regret = {name: result["validation"]["regret"] for name, result in results.items()}
    noise = [plan["noise"] for plan in everything]
    print(f"\n{len(everything)} plans: step time error {100 * statistics.median(errors):.1f} % in the median, "
          f"{100 * statistics.mean(errors):.1f} % in the mean, {100 * max(errors):.1f} % at most")
    print(f"noise of the machine: {100 * statistics.median(noise):.1f} % in the median, {100 * max(noise):.1f} % at most")
    print(f"Kendall's tau {agreement:.3f} over {pairs} pairs that differ by more than 3 %")
    print("regret " + ", ".join("not known" if value is None else f"{100 * value:.1f} % ({name})" for name, value in regret.items()))
    print(f"peak memory within {100 * memory:.1f} %")
    print("\n| network | compute beside the neighbour | compute lost to an all-reduce | whole steps known to | seconds |\n"
          "|---|---|---|---|---|")
    for name, result in results.items():
        one = result["calibration"]
        print(f'| {name} | x {one["neighbour_slowdown"]:.3f} | '
              f'{100 * (1 - 1 / one["communication_slowdown"]):.0f} % | {100 * one["uncertainty"]:.1f} % | '
              f'{one["elapsed_s"]:.0f} |')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gabra", default=str(ROOT / "build/release/bin/gabra"))
    parser.add_argument("--network", help="only this one of config.json")
    parser.add_argument("--seconds", type=float, help="time limit of a calibration, in place of config.json's")
    parser.add_argument("--attempts", type=int, default=3, help="for a network, as long as the machine is not calm")
    parser.add_argument("--calm", type=float, default=0.25, help="the largest share of disturbed steps of a calm machine")
    parser.add_argument("--table", action="store_true", help="only print what is in results")
    options = parser.parse_args()
    config = json.loads((HERE / "config.json").read_text())
    chosen = [one for one in config["networks"] if options.network in (None, one["name"])]
    if not chosen:
        sys.exit(f'no network {options.network}; there are {", ".join(one["name"] for one in config["networks"])}')
    if not options.table:
        for one in chosen:
            run_until_calm(options, one)
    if options.table or options.network is None:
        table(config)


if __name__ == "__main__":
    main()
