# SPDX-License-Identifier: MIT
"""Which rows a fit may see: 20 that span the columns, chosen without looking at the measured times."""


def choose(runs, variant):
    """One run of every parallelism x hidden size x micro-batch, alternately of the fewest and most layers and of the
    smallest and largest global batch, and one more of micro-batch 1 for every parallelism x hidden size. Four variants
    (0 to 3) alternate differently. Returns the numbers, ascending."""
    numbers = set()
    depths = min(run.layers for run in runs), max(run.layers for run in runs)
    for p, replicas in enumerate(sorted({run.replicas for run in runs})):
        for h, hidden in enumerate(sorted({run.hidden for run in runs})):
            for m, micro_batch in enumerate(sorted({run.micro_batch for run in runs})):
                picks = [((p + h + m + variant) % 2, (p + m // 2 + variant // 2) % 2)]
                if m == 0:
                    picks.append(((p + h + variant + 1) % 2, (p + variant // 2 + 1) % 2))
                for depth, batch in picks:
                    alike = [run for run in runs if (run.replicas, run.hidden, run.micro_batch, run.layers) ==
                             (replicas, hidden, micro_batch, depths[depth])]
                    numbers.add((max if batch else min)(alike, key=lambda run: run.batch).number)
    return sorted(numbers)
