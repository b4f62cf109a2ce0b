#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a synthetic cohort of T1-weighted scans as a BIDS-like folder. Not real patients; see README.md."""
import argparse
import gzip
import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # processes are the parallelism

try:
    import nibabel  # noqa: E402
    import numpy  # noqa: E402
except ModuleNotFoundError as missing:
    sys.exit(f"make_cohort.py: no Python package {missing.name}: scripts/install test puts it into build/venv")

from brain import Anatomy, Template, grid_mm, make_scan  # noqa: E402

# Degree of atrophy at the first visit: mean and deviation; growth a year. Our choice: AD and NC overlap little, sMCI
# and pMCI a lot.
GROUPS = {
    "NC": {"mean": 0.10, "deviation": 0.16, "growth": 0.02},
    "sMCI": {"mean": 0.30, "deviation": 0.17, "growth": 0.03},
    "pMCI": {"mean": 0.72, "deviation": 0.17, "growth": 0.09},
    "AD": {"mean": 0.95, "deviation": 0.18, "growth": 0.10},
}
PARTS = ("ventricles", "hippocampi", "cortex")
PART_DEVIATION = 0.10  # parts of one brain do not shrink alike
AGE_SLOPE = 0.008  # degree per year of age beyond 75, in every group
MONTHS_BETWEEN_VISITS = 12

worker = {}  # what every process makes once


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", required=True, type=Path, help="folder to write; must be empty or not exist")
    parser.add_argument("--subjects", type=int, default=50, help="of each group (50)")
    parser.add_argument("--groups", default="NC,AD,sMCI,pMCI", help="some of NC,AD,sMCI,pMCI")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shape", default="64x64x64", help="voxels of a scan (64x64x64)")
    parser.add_argument("--resolution", type=float, default=3.0, help="mm per voxel (3)")
    parser.add_argument("--sessions", type=int, default=1, help="visits, a year apart (1: no session folders)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes; the files do not depend on it")
    parser.add_argument("--sheet", type=Path, help="also draw a contact sheet, a PNG")
    arguments = parser.parse_args()
    try:
        arguments.shape = tuple(int(n) for n in arguments.shape.split("x"))
    except ValueError:
        parser.error(f"--shape: saw {arguments.shape!r}; allowed: three sizes, as 64x64x64")
    arguments.groups = arguments.groups.split(",")
    unknown = [group for group in arguments.groups if group not in GROUPS]
    if unknown or len(set(arguments.groups)) < len(arguments.groups):
        parser.error(f"--groups: saw {','.join(arguments.groups)}; allowed: some of {','.join(GROUPS)}, each once")
    if len(arguments.shape) != 3 or min(arguments.shape) < 16 or arguments.resolution <= 0:
        parser.error("--shape: three sizes of at least 16; --resolution: above 0")
    if arguments.subjects < 1 or arguments.sessions < 1 or arguments.jobs < 1:
        parser.error("--subjects, --sessions, --jobs: at least 1")
    if arguments.output.exists() and any(arguments.output.iterdir()):
        parser.error(f"--output: {arguments.output} is not empty")
    return arguments


def draw_people(arguments):
    """One dictionary per person; ids are shuffled, so that they say nothing about the group."""
    rng = numpy.random.default_rng([arguments.seed, 0])
    groups = [group for group in arguments.groups for _ in range(arguments.subjects)]
    people = []
    for number, index in enumerate(rng.permutation(len(groups)), start=1):
        kind = GROUPS[groups[index]]
        age = float(numpy.clip(rng.normal(74.5, 6.5), 55, 92))
        degree = rng.normal(kind["mean"], kind["deviation"]) + AGE_SLOPE * (age - 75)
        parts = {part: degree + rng.normal(0, PART_DEVIATION) for part in PARTS}
        people.append({"id": f"sub-{number:04d}", "number": number, "group": groups[index], "age": round(age, 1),
                       "sex": "F" if rng.random() < 0.5 else "M", "parts": parts, "growth": kind["growth"]})
    return people


def start_worker(arguments):
    worker["arguments"] = arguments
    worker["template"] = Template()
    worker["points"], worker["affine"] = grid_mm(arguments.shape, arguments.resolution)


def write_person(person):
    """All scans of one person. Random numbers are keyed by (seed, person, visit)."""
    arguments = worker["arguments"]
    anatomy = Anatomy(numpy.random.default_rng([arguments.seed, 1, person["number"]]), worker["points"],
                      person["sex"] == "F")
    for visit in range(arguments.sessions):
        months = visit * MONTHS_BETWEEN_VISITS
        degrees = {part: max(-0.2, value + person["growth"] * months / 12) for part, value in person["parts"].items()}
        rng = numpy.random.default_rng([arguments.seed, 2, person["number"], visit])
        voxels = make_scan(rng, worker["template"], anatomy, degrees)
        session = f"ses-M{months:02d}" if arguments.sessions > 1 else ""
        name = "_".join(part for part in (person["id"], session, "T1w.nii.gz") if part)
        path = arguments.output / person["id"] / session / "anat" / name
        path.parent.mkdir(parents=True)
        image = nibabel.Nifti1Image(voxels, worker["affine"])
        image.header.set_xyzt_units("mm")
        path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))
    return person["id"]


def write_tables(arguments, people):
    lines = ["participant_id\tage\tsex\tgroup"]
    lines += [f"{p['id']}\t{p['age']}\t{p['sex']}\t{p['group']}" for p in people]
    (arguments.output / "participants.tsv").write_text("\n".join(lines) + "\n")
    description = {"Name": "Synthetic cohort made from the MNI152 template: no patients", "BIDSVersion": "1.8.0",
                   "DatasetType": "raw", "GeneratedBy": [{"Name": "gabra experiments/cohort"}]}
    (arguments.output / "dataset_description.json").write_text(json.dumps(description, indent=2) + "\n")


def main():
    arguments = parse_arguments()
    people = draw_people(arguments)
    arguments.output.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")  # libraries loaded already may hold threads
    with ProcessPoolExecutor(arguments.jobs, context, start_worker, (arguments,)) as pool:
        for done, _ in enumerate(pool.map(write_person, people), start=1):
            if sys.stderr.isatty():
                print(f"\r{done} of {len(people)}", end="", file=sys.stderr)
    write_tables(arguments, people)
    if arguments.sheet:
        from contact_sheet import draw
        draw(arguments.output, arguments.sheet)
    print(f"{len(people)} people, {len(people) * arguments.sessions} scans of "
          f"{'x'.join(map(str, arguments.shape))} at {arguments.resolution:g} mm in {arguments.output}")


if __name__ == "__main__":
    main()
