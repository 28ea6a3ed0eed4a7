#!/usr/bin/env python3
"""Makes the golden files beside it: tiny models trained in fp64, which the executor must reproduce (README.md).

make_goldens.py [NAME...]          writes NAME.json, of all runs without a name
make_goldens.py --check [NAME...]  compares with the files instead of writing them
make_goldens.py --self-test        compares models with a second implementation
make_goldens.py --find-seed NAME   the first seed whose routes stay clear of ties
"""

import argparse
import json
import pathlib
import sys

import torch

import self_test
import tiny_models
import training

FOLDER = pathlib.Path(__file__).parent
STEPS = 20


def number(value):
    return format(value, ".17g") if isinstance(value, float) else json.dumps(value)


def listed(values):
    return "[" + ", ".join(number(v) for v in values) + "]"


def lines_of(value, indent):
    """JSON with one line for each list or number, and 17 significant digits."""
    if isinstance(value, list):
        return listed(value)
    if not isinstance(value, dict):
        return number(value)
    inside = ",\n".join(f"{indent}  {json.dumps(k)}: {lines_of(v, indent + '  ')}" for k, v in value.items())
    return f"{{\n{inside}\n{indent}}}"


def text_of(run, golden):
    body = lines_of(golden, "")
    described = json.dumps(run, indent=2).replace("\n", "\n  ")
    return '{\n  "run": ' + described + "," + body[1:] + "\n"


def find_seed(run):
    best = 0
    for seed in range(1, 100000):
        run["train"]["seed"] = seed
        try:
            return seed, training.train(run, STEPS)["route_gap"]
        except training.Tie as tie:
            step = int(str(tie).split()[1].rstrip(":"))
            if step > best:
                best = step
                print(f"seed {seed} reaches step {step}", flush=True)
    raise training.Tie("no seed found")


def make(name, check):
    run = tiny_models.RUNS[name]
    golden = training.train(run, STEPS)
    text = text_of(run, golden)
    path = FOLDER / f"{name}.json"
    same = path.exists() and path.read_text() == text
    if not check:
        path.write_text(text)
    gap = f", route gap {golden['route_gap']:.3g}" if "route_gap" in golden else ""
    state = ("same as the file" if same else "differs from the file") if check else f"{len(text) / 1000:.0f} kB"
    print(f"{name}: loss {golden['losses'][0]:.4f} -> {golden['losses'][-1]:.4f}{gap}, {state}", flush=True)
    return same or not check


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--find-seed", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)  # one order of summation
    unknown = [n for n in options.names if n not in tiny_models.RUNS]
    if unknown:
        parser.error(f"unknown {unknown[0]}, known: {', '.join(tiny_models.RUNS)}")
    if options.self_test:
        return self_test.run(options.names)
    if options.find_seed:
        for name in options.names:
            print(name, *find_seed(tiny_models.RUNS[name]))
        return 0
    done = [make(name, options.check) for name in options.names or tiny_models.RUNS]
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
