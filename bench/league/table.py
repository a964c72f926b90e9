"""Medians, ratios, and whether they are what is wanted."""

import math
import random
import statistics

from .loads import BACK, BACK_8, FIFTY, IDLE, NEW, ONE, THERE, THERE_8

OURS, TWICE, PLAIN = "ockam", "ockam, sealed twice", "socat"
# Load, figure, and the least ratio to the plain forwarders; below 0 the greatest.
BESIDE_PLAIN = ((THERE, "Gbit/s", 0.9), (BACK, "Gbit/s", 0.85), (THERE_8, "Gbit/s", 0.85), (BACK_8, "Gbit/s", 0.85),
                (ONE, "p50 ms", -1.3))
# Of the single channel, for what is sealed twice.
BESIDE_ONCE = ((THERE, "Gbit/s", 0.7), (BACK, "Gbit/s", 0.7), (ONE, "p50 ms", -1 / 0.7), (FIFTY, "requests/s", 0.7),
               (NEW, "connections/s", 0.7))
# By themselves.
ALONE = ((THERE, "CPU s/GB all", -2.2), (THERE, "Gbit per CPU s of the relay", 13), (FIFTY, "requests/s", 20_000),
         (NEW, "connections/s", 2_500), (IDLE, "KiB/connection all", -10))


def medians(rounds):
    merged = {}
    for one in rounds:
        for load, contenders in one.items():
            for name, figures in contenders.items():
                for key, value in figures.items():
                    merged.setdefault(load, {}).setdefault(name, {}).setdefault(key, []).append(value)
    return {load: {name: {key: statistics.median(values) for key, values in figures.items()} for name, figures in contenders.items()}
            for load, contenders in merged.items()}


def ratios(rounds, load, figure, name, beside):
    """Of each round in which both were measured."""
    pairs = [(one.get(load, {}).get(name, {}).get(figure), one.get(load, {}).get(beside, {}).get(figure)) for one in rounds]
    return [ours / theirs for ours, theirs in pairs if ours and theirs]


def interval(values, times=2000):
    """The median's 95 % interval, by drawing rounds again and again; always the same draws."""
    draw = random.Random(1)
    found = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(times))
    return found[times // 40], found[-times // 40]


def targets(rounds, result, options, node_bytes, binary_bytes):
    """What is wanted, what was found, and whether it is met."""
    rows = []

    def row(what, found, wanted):
        met = found >= wanted if wanted >= 0 else found <= -wanted
        rows.append({"what": what, "found": found, "wanted": f"{'at least' if wanted >= 0 else 'at most'} {wanted_number(abs(wanted))}", "met": met})

    for wishes, name, beside in ((BESIDE_PLAIN, OURS, PLAIN), (BESIDE_ONCE, TWICE, OURS)):
        for load, figure, wanted in wishes:
            if values := ratios(rounds, load, figure, name, beside):
                row(f"{load}, {figure}: {name} / {beside}", statistics.median(values), wanted)
    for load, figure, wanted in ALONE:
        found = result.get(load, {}).get(OURS, {}).get(figure)
        if found is not None:
            row(f"{load}, {figure}", found, wanted)
    answering = result.get(IDLE, {}).get(OURS, {}).get("answering")
    if answering is not None:
        row(f"{options.idle:,} connections open at once: answering", answering, options.idle)
    row("resident memory of an idle node, MiB", node_bytes / 2**20, -12)
    row("program, MiB", binary_bytes / 2**20, -25)
    return rows


def wanted_number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def number(value):
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(result, names):
    widths = [max(len(name), 8) + 2 for name in names]
    lines = [" " * 54 + "".join(f"{name:>{width}}" for name, width in zip(names, widths))]
    for load, contenders in result.items():
        title = load
        keys = list(dict.fromkeys(key for name in names for key in contenders.get(name, {})))
        for key in keys:
            values = [contenders.get(name, {}).get(key) for name in names]
            if key == "errors" and not any(values):
                continue
            lines.append(f"{title:28}{key:26}" + "".join(f"{number(value):>{width}}" for value, width in zip(values, widths)))
            title = ""
    return "\n".join(lines)


def wishes(rows):
    return "\n".join(f"{'met' if row['met'] else 'not met':9}{row['what']}: {number(row['found'])}, wanted {row['wanted']}" for row in rows)
