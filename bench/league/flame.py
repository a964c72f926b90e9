"""Where the time of each node goes, as pictures; which system calls it makes, as numbers."""

import argparse
import collections
import html
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

from .contenders import HOPS, Ockam
from .processes import output
from .targets import start_targets

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WIDTH, ROW = 1200, 16


def bulk(ockam, seconds):
    """A stream; returns how many times 64 KiB it was."""
    end = json.loads(output(["iperf3", "--client", "127.0.0.1", "--port", str(ockam.ports["bulk"]), "--time", str(seconds), "--json"]))
    return end["end"]["sum_received"]["bytes"] / 65536


def small(ockam, seconds):
    """Small requests of one client; returns how many."""
    end, requests = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        output(["redis-benchmark", "-h", "127.0.0.1", "-p", str(ockam.ports["small"]), "-t", "ping_mbulk", "-n", "2000", "-c", "1", "--csv"])
        requests += 2000
    return requests


LOADS = {"bulk": ("64 KiB", bulk), "small": ("request", small)}


def program():
    named = os.environ.get("OCKAM_FLAME_BINARY")
    if not named:
        folder = ROOT / "target" / "named"
        environment = os.environ | {"CARGO_TARGET_DIR": str(folder), "CARGO_PROFILE_RELEASE_STRIP": "none",
                                    "CARGO_PROFILE_RELEASE_DEBUG": "line-tables-only",
                                    "RUSTFLAGS": "-C force-frame-pointers=yes"}
        subprocess.run(["cargo", "build", "--release", "--locked", "--package", "ockam-cli"], cwd=ROOT, check=True, env=environment)
        named = folder / "release" / "ockam"
    return pathlib.Path(named).resolve()


# Pictures -----------------------------------------------------------------------------------------------------------

def sample(pid, seconds, load, ockam, work):
    """Runs a load and returns how often each stack was seen, outermost function first."""
    data = work / "perf.data"
    recording = subprocess.Popen(
        ["perf", "record", "-q", "-F", "999", "--call-graph", "fp", "-p", str(pid), "-o", str(data), "--", "sleep", str(seconds)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    load(ockam, seconds + 1)
    trouble = recording.communicate()[1]
    if recording.returncode != 0:
        raise SystemExit(f"perf record: {trouble}")
    text = output(["perf", "script", "-i", str(data), "-F", "comm,ip,sym"], seconds=300)
    stacks = collections.Counter()
    for block in text.split("\n\n"):
        lines = block.strip().splitlines()
        frames = [short(line.strip().split(" ", 1)[-1]) for line in lines[1:]]
        if frames:
            stacks[tuple(reversed(frames))] += 1
    return stacks


def short(symbol):
    """A function's name without what makes it unique."""
    symbol = re.sub(r"::h[0-9a-f]{16}$", "", symbol)
    return re.sub(r"<impl ([^>]*)>", r"\1", symbol)


def tree(stacks):
    root = {"name": "all", "count": 0, "below": {}}
    for stack, count in stacks.items():
        node = root
        node["count"] += count
        for name in stack:
            node = node["below"].setdefault(name, {"name": name, "count": 0, "below": {}})
            node["count"] += count
    return root


def svg(title, stacks):
    root, boxes = tree(stacks), []

    def draw(node, left, depth):
        width = node["count"] / root["count"] * WIDTH
        if width < 0.5:
            return depth
        boxes.append((left, depth, width, node))
        deepest = depth
        for below in sorted(node["below"].values(), key=lambda below: below["name"]):
            deepest = max(deepest, draw(below, left, depth + 1))
            left += below["count"] / root["count"] * WIDTH
        return deepest

    height = (draw(root, 0, 0) + 3) * ROW
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="monospace" font-size="11">',
             f'<text x="4" y="12">{html.escape(title)}: {root["count"]} samples</text>']
    for left, depth, width, node in boxes:
        top = height - (depth + 1) * ROW
        name, share = node["name"], node["count"] / root["count"]
        shade = sum(map(ord, name)) % 80
        colour = f"rgb(240,{120 + shade},{60 + shade // 2})"
        lines.append(f'<g><title>{html.escape(name)} ({share:.1%})</title><rect x="{left:.1f}" y="{top}" width="{width:.1f}" '
                     f'height="{ROW - 1}" fill="{colour}"/>')
        if width > 40:
            lines.append(f'<text x="{left + 2:.1f}" y="{top + 11}">{html.escape(name[:int(width / 6.7)])}</text>')
        lines.append("</g>")
    return "\n".join(lines + ["</svg>"]) + "\n"


def widest(stacks, most=12):
    """In which functions the samples were taken themselves."""
    leaves = collections.Counter()
    for stack, count in stacks.items():
        leaves[stack[-1]] += count
    total = sum(leaves.values())
    return "\n".join(f"  {count / total:6.1%}  {name[:110]}" for name, count in leaves.most_common(most))


def pictures(ockam, options, work):
    options.out.mkdir(parents=True, exist_ok=True)
    for name, (_, load) in LOADS.items():
        for hop in HOPS:
            stacks = sample(ockam.pids[hop][0], options.seconds, load, ockam, work)
            if not stacks:
                raise SystemExit(f"nothing was sampled of the {hop} under {name}")
            path = options.out / f"{hop}-{name}.svg"
            path.write_text(svg(f"{hop}, {name}", stacks))
            print(f"\n{path}: {hop}, {name}\n{widest(stacks)}")


# System calls -------------------------------------------------------------------------------------------------------

def calls(ockam, options, work):
    for name, (unit, load) in LOADS.items():
        tracing = {}
        for hop in HOPS:
            out = work / f"{hop}-{name}.strace"
            command = ["strace", "-f", "-c", "-U", "name,calls", "-o", str(out), "-p", str(ockam.pids[hop][0])]
            tracing[hop] = out, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)
        units = load(ockam, options.seconds)
        print(f"\n{name}: system calls for each {unit}")
        for hop, (out, child) in tracing.items():
            child.send_signal(signal.SIGINT)
            child.wait(20)
            found = re.findall(r"^\s*(\w+)\s+(\d+)\s*$", out.read_text(), re.MULTILINE)
            counts = {call: int(count) / units for call, count in found if call != "total"}
            shown = ", ".join(f"{call} {count:.2f}" for call, count in sorted(counts.items(), key=lambda item: -item[1]) if count >= 0.005)
            print(f"  {hop:8}{sum(counts.values()):7.2f}   {shown}")


def main(description):
    arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=int, default=5)
    arguments.add_argument("--out", type=pathlib.Path, default=ROOT / "target" / "flame")
    arguments.add_argument("--calls", action="store_true")
    options = arguments.parse_args()
    needed = ["iperf3", "redis-server", "redis-benchmark", "strace" if options.calls else "perf"]
    missing = [tool for tool in needed if not shutil.which(tool)]
    if missing:
        raise SystemExit(f"not found: {', '.join(missing)}; `bench/flame --help` names the packages")
    binary = pathlib.Path(os.environ["OCKAM_TEST_BINARY"]).resolve() if options.calls and "OCKAM_TEST_BINARY" in os.environ else program()
    work = pathlib.Path(tempfile.mkdtemp(prefix="ockam-flame-"))
    children, ockam = [], None
    try:
        ports, children, _ = start_targets(work)
        ockam = Ockam(work, {name: ports[name] for name in ("bulk", "small")}, binary)
        (calls if options.calls else pictures)(ockam, options, work)
    finally:
        if ockam:
            ockam.stop()
        for child in children:
            child.terminate()
        for child in children:
            child.wait()
        shutil.rmtree(work, ignore_errors=True)
