"""What a run found, as data and as a table."""

import datetime
import json
import os
import platform
import statistics

# What the table shows: the figure's key, the head of its column, and decimals.
COST = [
    ("miss us", "miss, µs", 1),
    ("hit us", "hit, µs", 1),
    ("tcp hit us", "TCP hit, µs", 1),
    ("paced us", "at {pace}/s, µs", 0),
    ("miss calls", "miss, calls", 2),
    ("hit calls", "hit, calls", 2),
    ("paced calls", "at {pace}/s, calls", 1),
]
FELT = [
    ("p50 ms", "p50, ms", 2),
    ("p99 ms", "p99, ms", 2),
    ("p99.9 ms", "p99.9, ms", 2),
    ("pair ms", "A + AAAA, ms", 2),
    ("start ms", "start, ms", 0),
]
CARRIED = [
    ("miss per s", "miss, per s", 0),
    ("hit per s", "hit, per s", 0),
    ("rss idle MiB", "RSS idle, MiB", 1),
    ("rss miss MiB", "RSS at work, MiB", 1),
    ("connections", "connections", 0),
    ("lost", "lost", 0),
    ("wrong", "wrong", 0),
]
PROTOCOL_NAMES = {"tls": "TLS", "https": "HTTPS", "quic": "QUIC"}
CALLS_BY = {
    "perf": " (counted by perf).",
    "strace": " (counted by strace, which slows the subject, so that its batches are larger than in earnest).",
}
# No forwarder, so that what clients feel of it means nothing.
FLOOR = "floor"
SUMMED = {"lost", "wrong"}  # over all rounds; all others are medians


def summary(rounds):
    """From the figures of each round, one figure each."""
    keys = dict.fromkeys(key for figures in rounds for key in figures)
    result = {}
    for key in keys:
        values = [figures[key] for figures in rounds if figures.get(key) is not None]
        result[key] = None if not values else sum(values) if key in SUMMED else statistics.median(values)
    return result


def machine():
    model = "unknown"
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "arch": platform.machine()}


def document(subjects, versions, left_out, options):
    return {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "options": options,
        "versions": versions,
        "left out": left_out,
        "subjects": {name: {"median": summary(rounds), "rounds": rounds} for name, rounds in subjects.items()},
    }


def write_json(path, found):
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def brief(figures):
    """One line for the terminal, with the losses of single phases only where there are any."""
    shown = {key: value for key, value in figures.items() if value or not key.endswith(("lost", "wrong"))}
    return ", ".join(f"{key} {cell(value, 2)}" for key, value in shown.items())


def cell(value, decimals):
    return "-" if value is None else f"{value:,.{decimals}f}"


def table(found, columns):
    pace = f"{found['options']['pace']:,}"
    subjects = found["subjects"]
    lines = ["| | " + " | ".join(head.format(pace=pace) for _, head, _ in columns) + " |"]
    lines.append("|---|" + "---:|" * len(columns))
    for name, figures in subjects.items():
        if name == FLOOR and columns is not COST:
            continue
        cells = [cell(figures["median"].get(key), decimals) for key, _, decimals in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def markdown(found):
    """Three tables: what a query costs, what a client feels, what a server carries."""
    options, where = found["options"], found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items() if version != "-")
    parts = [
        f"{found['date']}, {where['cpu']}, {where['cores']} cores, Linux {where['kernel']}; {versions}. "
        f"Medians of {options['rounds']} rounds, phases of {options['seconds']:g} s; queries to the upstream over "
        f"{PROTOCOL_NAMES[options['protocol']]}.",
        "What a query costs: CPU time, user and system, and system calls"
        + CALLS_BY.get(options["calls by"], ".")
        + " The floor is no forwarder: it receives and sends in batches, and does nothing between.",
        table(found, COST),
        "What a client feels: time to an answer at {:,} distinct queries a second, to both answers when A and AAAA are "
        "asked together on a quiet link, and from the start of the program to its first answer.".format(options["pace"]),
        table(found, FELT),
        "What it carries, and with what. Lost and wrong are sums over all rounds.",
        table(found, CARRIED),
    ]
    for name, why in found["left out"].items():
        parts.append(f"{name} was left out: {'; '.join(why.splitlines())}")
    return "\n\n".join(parts) + "\n"
