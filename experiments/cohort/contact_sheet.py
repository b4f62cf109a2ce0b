#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws some people of each group of a BIDS-like folder: a slice through the ventricles and one through the hippocampi."""
import argparse
import csv
from pathlib import Path

import matplotlib
import nibabel
import numpy

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (after the choice of backend)

PEOPLE = 5  # of each group
AXIAL_MM = 18.0  # height of the slice through the ventricles
CORONAL_MM = -22.0  # depth of the slice through the hippocampi


def slices(path):
    """The two slices, turned so that up is up, each in [0, 1]."""
    image = nibabel.as_closest_canonical(nibabel.load(path))
    voxels = numpy.asarray(image.dataobj, dtype=float)
    voxels /= numpy.percentile(voxels[voxels > 0], 99.5)
    inverse = numpy.linalg.inv(image.affine)
    depth = int(round((inverse @ [0, CORONAL_MM, 0, 1])[1]))
    height = int(round((inverse @ [0, 0, AXIAL_MM, 1])[2]))
    return voxels[:, :, height].T[::-1], voxels[:, depth, :].T[::-1]


def draw(folder, target):
    with open(folder / "participants.tsv", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    known = [group for group in ("NC", "sMCI", "pMCI", "AD") if any(row["group"] == group for row in rows)]
    figure, axes = pyplot.subplots(len(known), 2 * PEOPLE, figsize=(2 * PEOPLE * 1.25, len(known) * 1.45), squeeze=False)
    for line, group in zip(axes, known):
        people = [row for row in rows if row["group"] == group][:PEOPLE]
        for column, row in enumerate(people):
            path = sorted((folder / row["participant_id"]).glob("**/anat/*_T1w.nii*"))[0]
            for panel, picture in zip(line[2 * column:2 * column + 2], slices(path)):
                panel.imshow(picture, cmap="gray", vmin=0, vmax=1)
            line[2 * column].set_title(f"{group}, {row['age']} {row['sex']}", fontsize=7, loc="left", pad=2)
    for panel in axes.flat:
        panel.axis("off")
    figure.suptitle("Synthetic, made from the MNI152 template: no patients", fontsize=9)
    figure.tight_layout(pad=0.3, rect=(0, 0, 1, 0.97))
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("png", type=Path)
    arguments = parser.parse_args()
    draw(arguments.folder, arguments.png)


if __name__ == "__main__":
    main()
