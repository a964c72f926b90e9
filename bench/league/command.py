"""The command line of `bench/run`."""

import argparse
import json
import os
import pathlib
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from . import worn
from .contenders import HOPS, Ockam, found
from .loads import IDLE, Unable, loads
from .processes import memory_bytes, output
from .table import medians, table, targets, wishes
from .targets import start_targets, verify

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NEEDED = ("iperf3", "redis-server", "redis-benchmark", "wrk", "socat")


def options_of(description):
    arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=int, default=5)
    arguments.add_argument("--idle", type=int, default=10000)
    arguments.add_argument("--requests", type=int, default=40000, help=argparse.SUPPRESS)
    arguments.add_argument("--json", type=pathlib.Path, default=ROOT / "target" / "bench.json")
    arguments.add_argument("--published", default=os.environ.get("OCKAM_BENCH_PUBLISHED"))
    arguments.add_argument("--without", action="append", default=[])
    arguments.add_argument("--only", action="append", default=[])
    arguments.add_argument("--worn", nargs=2, type=float, metavar=("CONNECTIONS", "GB"))
    arguments.add_argument("--smoke", action="store_true")
    arguments.add_argument("--soak", type=int, default=0)
    options = arguments.parse_args()
    if options.smoke:
        options.rounds, options.seconds, options.idle, options.requests = 1, 1, 100, 2000
    return options


def program():
    named = os.environ.get("OCKAM_TEST_BINARY")
    if not named:
        dense = [ROOT / "scripts/dense"] if shutil.which("valgrind") else None
        plain = ["cargo", "build", "--release", "--locked", "--package", "ockam-cli"]
        subprocess.run(dense or plain, cwd=ROOT, check=True)
        named = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "ockam"
    return pathlib.Path(named).resolve()


def machine():
    model = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {"cpus": os.cpu_count(), "model": model[1] if model else platform.machine(), "kernel": platform.release()}


def idle_node(binary, work):
    """Resident memory of a node that was just created and has nothing to do."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OCKAM")}
    environment["OCKAM_HOME"] = str(work / "idle")
    output([binary, "node", "create", "idle"], environment=environment)
    try:
        time.sleep(2)
        (node,) = json.loads(output([binary, "node", "list", "--output", "json"], environment=environment))
        return memory_bytes([int(node.get("pid") or node["status"]["pid"])], "Rss")
    finally:
        output([binary, "node", "delete", "--all", "--yes"], environment=environment)


def one_round(contenders, options):
    results = {}
    for load, run in loads(options).items():
        for contender in contenders:
            if load != IDLE or contender.holds_idle:
                try:
                    results.setdefault(load, {})[contender.name] = run(contender)
                    print(".", end="", file=sys.stderr, flush=True)
                except Unable as reason:
                    # Ours has to be able to.
                    if contender.name.startswith("ockam"):
                        raise SystemExit(str(reason)) from reason
                    print(f"\nleft out of {load}: {reason}", file=sys.stderr)
    return results


def write(options, result):
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n")
    shown = options.json.resolve()
    print(f"every result: {shown.relative_to(ROOT) if shown.is_relative_to(ROOT) else shown}")


def league(options, binary, work, ports, files, started):
    makers, absent = found(binary, options.published)
    for name, make in makers.items():
        if name in options.without:
            absent[name] = "left out"
        else:
            started.append(make(work, ports))
    for contender in started:
        verify(contender, files)
    ours = next((contender for contender in started if contender.name == Ockam.name), None)
    at_first = {hop: memory_bytes(ours.pids[hop]) for hop in HOPS} if ours else {}
    rounds, end = [], time.monotonic() + options.soak
    while len(rounds) < options.rounds or time.monotonic() < end:
        rounds.append(one_round(started, options))
    growth = {hop: memory_bytes(ours.pids[hop]) - before for hop, before in at_first.items()}
    print(file=sys.stderr)

    where, result = machine(), medians(rounds)
    rows = targets(rounds, result, options, idle_node(binary, work), binary.stat().st_size)
    print(f"{where['cpus']} x {where['model']}; medians of {len(rounds)} rounds; everything on one machine\n")
    print(table(result, [contender.name for contender in started]))
    print("\nnot there: " + "; ".join(f"{name}, {why}" for name, why in absent.items()))
    print("memory of our nodes after all loads, against before: "
          + ", ".join(f"{hop} {value / 2**20:+.1f} MiB" for hop, value in growth.items()) + "\n")
    print(wishes(rows))
    write(options, {"machine": where, "options": {"seconds": options.seconds, "idle": options.idle, "requests": options.requests},
                    "absent": absent, "median": result, "targets": rows, "growth_bytes": growth, "rounds": rounds})


def use(options, binary, work, ports, files, started):
    started.append(Ockam(work, ports, binary, name="worn"))
    verify(started[0], files)
    worn.wear(started[0], options)
    rounds = worn.rounds_of_both(started[0], work, ports, binary, options)
    print(file=sys.stderr)
    rows = worn.report(rounds)
    print(worn.table(rows))
    counted = worn.instruction_rows(options)
    print("instructions per chunk of 64 KiB, worn and fresh: " + ", ".join(f"{name} {value}" for name, value in counted.items()))
    write(options, {"machine": machine(), "worn": options.worn, "ratios": rows, "instructions": counted, "rounds": rounds})


def main(description):
    options = options_of(description)
    missing = [tool for tool in NEEDED if not shutil.which(tool)]
    if missing:
        raise SystemExit(f"not found: {', '.join(missing)}. This line installs everything:\n  sudo apt-get install --yes "
                         "--no-install-recommends iperf3 redis-server redis-tools wrk nginx-light socat stunnel4")
    binary = program()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = min(hard, 65536) if hard > 0 else 65536
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    # Each idle connection is one of ours and one of the server's, which is a process of its own.
    if options.idle + 200 > most:
        raise SystemExit(f"{options.idle} idle connections need {options.idle + 200} open files, {most} are allowed (ulimit -Hn)")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    work = pathlib.Path(tempfile.mkdtemp(prefix="ockam-bench-"))
    children, started = [], []
    try:
        ports, children, files = start_targets(work)
        (use if options.worn else league)(options, binary, work, ports, files, started)
    finally:
        for contender in started:
            contender.stop()
        for child in children:
            child.terminate()
        for child in children:
            child.wait()
        shutil.rmtree(work, ignore_errors=True)
