"""Joins two tables by their first column and tells the quickest of each side: ours and PyTorch's.

    python compare.py OURS.txt THEIRS.txt

A line of a table: what, how, milliseconds, ..., two spaces or more between them. Others are passed over.
"""

import argparse
import math
import re


def quickest(path):
    """what -> (milliseconds, how)."""
    found = {}
    with open(path) as table:
        for cells in (re.split(r" {2,}", line.strip()) for line in table):
            if len(cells) >= 3 and re.fullmatch(r"\d+\.\d+", cells[2]):
                what, how, ms = cells[0], cells[1], float(cells[2])
                found[what] = min(found.get(what, (math.inf, "")), (ms, how))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ours")
    parser.add_argument("theirs")
    options = parser.parse_args()
    ours, theirs = quickest(options.ours), quickest(options.theirs)
    both = [what for what in ours if what in theirs]
    if not both:
        print("nothing stands in both tables")
        return
    print(f"{'what':<58}  {'ours, ms':>9}  {'theirs, ms':>10}  {'theirs / ours':>13}  how theirs")
    for what in both:
        (a, _), (b, how) = ours[what], theirs[what]
        print(f"{what:<58}  {a:>9.4f}  {b:>10.4f}  {b / a:>13.2f}  {how}")
    mean = math.exp(sum(math.log(theirs[what][0] / ours[what][0]) for what in both) / len(both))
    print(f"{'geometric mean of ' + str(len(both)):<58}  {'':>9}  {'':>10}  {mean:>13.2f}")


if __name__ == "__main__":
    main()
