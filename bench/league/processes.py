"""Starting programs, waiting for them, and what they use."""

import atexit
import os
import pathlib
import re
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{what} is not there after {seconds} s")
        time.sleep(0.05)


def output(command, seconds=120, environment=None):
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment,
                            stdin=subprocess.DEVNULL)
    if result.returncode != 0:
        raise SystemExit(f"`{' '.join(map(str, command))}` ended with {result.returncode}:\n{result.stdout}{result.stderr}")
    return result.stdout


def start(command):
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # Also when its contender never came to be.
    atexit.register(lambda: child.poll() is None and child.terminate())
    return child


def descendants(pid):
    """A process and everything below it."""
    found, open_pids = [], [pid]
    while open_pids:
        current = open_pids.pop()
        found.append(current)
        try:
            for task in pathlib.Path(f"/proc/{current}/task").iterdir():
                open_pids += map(int, (task / "children").read_text().split())
        except OSError:
            pass
    return found


def cpu_seconds(pids):
    """Processor time of these processes and all they started, also of those that have ended."""
    total = 0
    for root in pids:
        for pid in descendants(root):
            try:
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                total += sum(map(int, fields[11:15]))
            except OSError:
                pass
    return total / TICK


def memory_bytes(pids, which="Pss"):
    """Memory of these processes and all below them. `Pss` counts pages that several share once, `Rss` in each."""
    total = 0
    for root in pids:
        for pid in descendants(root):
            try:
                text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += int(re.search(rf"^{which}:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024
            except (OSError, TypeError):
                pass
    return total


def end(children):
    """Ends processes and all below them."""
    for child in children:
        for pid in descendants(child.pid)[1:]:
            try:
                os.kill(pid, 15)
            except OSError:
                pass
        child.terminate()
    for child in children:
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
