"""Whether loss curves of one run on several devices agree: metrics.jsonl files, the first the reference.

    python curves.py CPU.jsonl GPU.jsonl ... --first 0.01 --later 0.02

Rounding sends two runs apart step by step, so single losses are held to the reference only at the start
(the first five steps); later the means of twenty steps are. Exit status 1 where a curve does not agree.
"""

import argparse
import json
import statistics
import sys

FIRST, WINDOW = 5, 20


def losses(path):
    with open(path) as file:
        return [json.loads(line)["loss"] for line in file]


def furthest(found, expected):
    """The largest relative difference."""
    return max(abs(f - e) / abs(e) for f, e in zip(found, expected))


def means(curve):
    return [statistics.fmean(curve[at : at + WINDOW]) for at in range(0, len(curve) - WINDOW + 1, WINDOW)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference")
    parser.add_argument("curves", nargs="+")
    parser.add_argument("--first", type=float, default=0.01, help="allowed in the first steps, relative")
    parser.add_argument("--later", type=float, default=0.02, help="allowed of the means, relative")
    options = parser.parse_args()

    expected = losses(options.reference)
    shown = lambda curve: "  ".join(f"{mean:.4f}" for mean in means(curve))
    print(f"means of {WINDOW} steps: {shown(expected)}  {options.reference}")
    all_agree = True
    for path in options.curves:
        curve = losses(path)
        print(f"                   {shown(curve)}  {path}")
        if len(curve) != len(expected):
            print(f"  DIFFERS: {len(curve)} steps, the reference has {len(expected)}")
            all_agree = False
            continue
        first = furthest(curve[:FIRST], expected[:FIRST])
        later = furthest(means(curve), means(expected))
        agrees = first <= options.first and later <= options.later
        all_agree &= agrees
        print(f"  {'agrees' if agrees else 'DIFFERS'}: {first:.2e} apart in the first {FIRST} steps ({options.first} allowed), means {later:.2e} ({options.later} allowed)")
    sys.exit(0 if all_agree else 1)


if __name__ == "__main__":
    main()
