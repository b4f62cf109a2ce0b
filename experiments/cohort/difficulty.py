#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How hard a cohort is: accuracy of logistic regression on coarse voxels, cross-validated."""
import argparse
import csv
from pathlib import Path

import nibabel
import numpy
from scipy.ndimage import zoom
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SIDE = 32  # voxels along an axis
TASKS = {"ad-nc": ("NC", "AD"), "smci-pmci": ("sMCI", "pMCI")}


def features(path):
    """Smoothed, mean 0 and deviation 1 inside the brain, as one row."""
    voxels = numpy.asarray(nibabel.load(path).dataobj, dtype=numpy.float32)
    coarse = zoom(voxels, [SIDE / n for n in voxels.shape], order=1, grid_mode=True, mode="nearest")
    brain = coarse > 0.05 * coarse.max()
    return numpy.where(brain, (coarse - coarse[brain].mean()) / coarse[brain].std(), 0.0).ravel()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    with open(arguments.folder / "participants.tsv", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    for task, groups in TASKS.items():
        chosen = [row for row in rows if row["group"] in groups]
        if not chosen:
            continue
        scans = [sorted((arguments.folder / row["participant_id"]).glob("**/anat/*_T1w.nii*"))[0] for row in chosen]
        inputs = numpy.stack([features(scan) for scan in scans])
        labels = numpy.array([groups.index(row["group"]) for row in chosen])
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-4, max_iter=1000))
        folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=0)
        accuracy = cross_val_score(model, inputs, labels, cv=folds, scoring="accuracy")
        area = cross_val_score(model, inputs, labels, cv=folds, scoring="roc_auc")
        print(f"{task}: {len(labels)} people, accuracy {accuracy.mean():.3f}, AUC {area.mean():.3f}")


if __name__ == "__main__":
    main()
