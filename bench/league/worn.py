"""The same instance after much use, turn by turn with fresh ones."""

import json
import shutil
import subprocess
import sys

from .contenders import HOPS, Ockam
from .loads import connections, loads
from .processes import output
from .table import interval, number, ratios

# What is better when it is smaller.
SMALLER = ("ms", "CPU", "KiB", "instructions")


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


def instructions(contender, options):
    """User instructions of all three nodes for each 64 KiB of a stream; nothing where the processor's counters cannot be read."""
    if not shutil.which("perf"):
        return {}
    pids = ",".join(str(contender.pids[hop][0]) for hop in HOPS)
    counting = subprocess.Popen(["perf", "stat", "-x", ",", "-e", "instructions:u", "-p", pids], stderr=subprocess.PIPE, text=True,
                                stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    moved = json.loads(output(["iperf3", "--client", "127.0.0.1", "--port", str(contender.ports["bulk"]), "--time",
                               str(options.seconds), "--json"]))["end"]["sum_received"]["bytes"]
    counting.send_signal(2)
    line = counting.communicate()[1].strip().splitlines()
    try:
        return {"instructions per 64 KiB": float(line[-1].split(",")[0]) / (moved / 65536)}
    except (IndexError, ValueError):
        return {}


def rounds_of_both(worn, work, targets, binary, options):
    """Each round with a new fresh instance, so that it stays fresh."""
    rounds = []
    for turn in range(options.rounds):
        fresh = Ockam(work, targets, binary, name=f"fresh {turn}")
        try:
            results = {}
            both = [("worn", worn), ("fresh", fresh)]
            for load, run in {**loads(options), "instructions": lambda each: instructions(each, options)}.items():
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
