"""What each contender is loaded with, and what is measured meanwhile."""

import csv
import io
import json
import re
import socket
import time

from .processes import cpu_seconds, memory_bytes, output

UNITS = {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}


def bulk(contender, options, reverse=False, streams=1):
    before = {hop: cpu_seconds(pids) for hop, pids in contender.pids.items()}
    command = ["iperf3", "--client", "127.0.0.1", "--port", str(contender.ports["bulk"]), "--time", str(options.seconds), "--json",
               "--parallel", str(streams)]
    report = json.loads(output(command + (["--reverse"] if reverse else [])))
    received = report["end"]["sum_received"]
    if not received["bytes"]:
        raise SystemExit(f"nothing came through {contender.name} with {streams} streams, iperf3 says: {report.get('error', 'nothing')}")
    time.sleep(0.2)
    gigabytes = received["bytes"] / 1e9
    result = {"Gbit/s": received["bits_per_second"] / 1e9}
    used = {hop: cpu_seconds(pids) - before[hop] for hop, pids in contender.pids.items()}
    for hop, seconds in used.items():
        result[f"CPU s/GB {hop}"] = seconds / gigabytes
    if used:
        result["CPU s/GB all"] = sum(used.values()) / gigabytes
    if used.get("relay"):
        result["Gbit per CPU s of the relay"] = gigabytes * 8 / used["relay"]
    return result


def small(contender, options, clients):
    requests = options.requests if clients > 1 else options.requests // 4
    text = output(["redis-benchmark", "-h", "127.0.0.1", "-p", str(contender.ports["small"]), "-t", "ping_mbulk", "-n", str(requests),
                   "-c", str(clients), "--csv"])
    row = list(csv.DictReader(io.StringIO(text)))[-1]
    return {
        "requests/s": float(row["rps"]), "p50 ms": float(row["p50_latency_ms"]), "p95 ms": float(row["p95_latency_ms"]),
        "p99 ms": float(row["p99_latency_ms"]), "max ms": float(row["max_latency_ms"]),
    }


def connections(contender, options, seconds=None):
    text = output(["wrk", "--threads", "1", "--connections", "8", "--duration", f"{seconds or options.seconds}s", "--latency",
                   "--header", "Connection: close", f"http://127.0.0.1:{contender.ports['pages']}/"])
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if not rate or float(rate[1]) == 0:
        raise SystemExit(f"wrk got no answer through {contender.name}:\n{text}")
    result = {"connections/s": float(rate[1])}
    for percent in ("50", "90", "99"):
        found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE)
        result[f"p{percent} ms"] = float(found[1]) * UNITS[found[2]]
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    result["errors"] = sum(map(int, errors.groups())) if errors else 0
    return result


class Unable(Exception):
    """A contender cannot carry a load."""


def idle(contender, options):
    """Memory by the slope between two numbers of connections; at the end all that are open must answer."""
    held, memory = [], []
    try:
        for number in (options.idle // 10, options.idle):
            while len(held) < number:
                try:
                    held.append(socket.create_connection(("127.0.0.1", contender.ports["idle"]), timeout=30))
                    greeting = held[-1].recv(1)
                except OSError:
                    greeting = b""
                if greeting != b".":
                    raise Unable(f"no idle connection came through {contender.name} after {len(held) - 1} others")
            time.sleep(1)
            memory.append({hop: memory_bytes(pids) for hop, pids in contender.pids.items()})
        more = options.idle - options.idle // 10
        result = {f"KiB/connection {hop}": (memory[1][hop] - memory[0][hop]) / more / 1024 for hop in contender.pids}
        result["KiB/connection all"] = sum(result.values())
        for connection in held:
            connection.sendall(b"?")
        result["answering"] = sum(connection.recv(1) == b"?" for connection in held)
        return result
    finally:
        for connection in held:
            connection.close()
        time.sleep(1)


THERE, BACK = "bulk, client to server", "bulk, server to client"
THERE_8, BACK_8 = "bulk, 8 streams to server", "bulk, 8 streams to client"
ONE, FIFTY = "small requests, 1 client", "small requests, 50 clients"
NEW, IDLE = "new connections, 8 clients", "idle connections"


def loads(options):
    every = {
        THERE: lambda contender: bulk(contender, options),
        BACK: lambda contender: bulk(contender, options, reverse=True),
        THERE_8: lambda contender: bulk(contender, options, streams=8),
        BACK_8: lambda contender: bulk(contender, options, reverse=True, streams=8),
        ONE: lambda contender: small(contender, options, 1),
        FIFTY: lambda contender: small(contender, options, 50),
        NEW: lambda contender: connections(contender, options),
        IDLE: lambda contender: idle(contender, options),
    }
    return {name: load for name, load in every.items() if not options.only or any(word in name for word in options.only)}
