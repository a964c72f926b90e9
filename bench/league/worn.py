"""The same instance after much use, turn by turn with fresh ones."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from .contenders import Ockam
from .loads import connections, loads
from .processes import output
from .table import interval, number, ratios

# What is better when it is smaller.
SMALLER = ("ms", "CPU s/GB", "KiB")
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def wear(contender, options):
    """Opens connections and moves bytes, both ways."""
    opened = 0
    while opened < options.worn[0]:
        opened += int(connections(contender, options, seconds=10)["connections/s"] * 10)
        print(f"\r{opened:,} connections", end="", file=sys.stderr, flush=True)
    gigabytes = int(options.worn[1])
    for reverse in ([], ["--reverse"]):
        if gigabytes:
            output(["iperf3", "--client", "127.0.0.1", "--port", str(contender.ports["bulk"]), "--bytes", f"{gigabytes * 1000 // 2}M",
                    "--json", *reverse], seconds=24 * 3600)
    print(f"; {gigabytes} GB", file=sys.stderr)


def instructions(program, connections, gigabytes, rounds=400):
    """Instructions of a chunk of 64 KiB over the whole path in one process that has carried so much. Only the chunks after that are
    counted, so that it takes minutes and not a day."""
    with tempfile.TemporaryDirectory(prefix="ockam-worn-") as work:
        counting = subprocess.Popen(
            ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={work}/out", program, "worn", str(connections),
             str(int(gigabytes * 1e9 / 65536)), str(rounds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if counting.stdout.readline() != "worn\n":
            raise SystemExit(f"the worn path failed:\n{counting.communicate()[1]}")
        output(["callgrind_control", "--instr=on", str(counting.pid)])
        said = counting.communicate("\n", timeout=120)[1]
        return int(re.search(r"Collected\s*:\s*(\d+)", said)[1]) / rounds


def instruction_rows(options):
    """The worn path beside a fresh one. Under valgrind it is worn by a 250th: a GB takes two minutes."""
    if not shutil.which("valgrind"):
        return {"left out": "valgrind is not there"}
    subprocess.run(["cargo", "build", "--release", "--locked", "--package", "ockam-bench"], cwd=ROOT, check=True)
    program = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "ockam-bench"
    carried = max(int(options.worn[0] / 250), 1), options.worn[1] / 250
    fresh, worn = instructions(program, 1, 0.02), instructions(program, *carried)
    return {"connections": carried[0], "GB": carried[1], "fresh": fresh, "worn": worn, "ratio": worn / fresh}


def rounds_of_both(worn, work, targets, binary, options):
    """Each round with a new fresh instance, so that it stays fresh."""
    rounds = []
    for turn in range(options.rounds):
        fresh = Ockam(work, targets, binary, name=f"fresh {turn}")
        try:
            results = {}
            both = [("worn", worn), ("fresh", fresh)]
            for load, run in loads(options).items():
                # Neither is always the first.
                for name, contender in both if turn % 2 else reversed(both):
                    results.setdefault(load, {})[name] = run(contender)
                    print(".", end="", file=sys.stderr, flush=True)
            rounds.append(results)
        finally:
            fresh.stop()
    return rounds


def report(rounds):
    """For each figure how the worn one does beside the fresh one; above 1 it does better."""
    rows = []
    for load in rounds[0]:
        for figure in rounds[0][load].get("worn", {}):
            values = ratios(rounds, load, figure, "worn", "fresh")
            if not values or figure in ("errors", "answering"):
                continue
            if any(word in figure for word in SMALLER):
                values = [1 / value for value in values]
            low, high = interval(values)
            rows.append({"load": load, "figure": figure, "ratio": sorted(values)[len(values) // 2], "low": low, "high": high})
    return rows


def table(rows):
    lines = [f"{'worn beside fresh; above 1 the worn one is better':54}{'ratio':>8}{'95 % interval':>18}"]
    for row in rows:
        between = f"{number(row['low'])} to {number(row['high'])}"
        lines.append(f"{row['load']:28}{row['figure']:26}{number(row['ratio']):>8}{between:>18}")
    return "\n".join(lines)
