"""What a run found, as a table for each situation."""

import datetime

import report
import situations

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
HEADS = {"first": ("first answer, s", "at most, s"), "normal": ("as before, s", "at most, s")}


class Table:
    """The figures of all rounds, by situation and subject."""

    def __init__(self, given, versions):
        self.given, self.versions, self.found = given, versions, {}

    def add(self, situation, subject, got):
        """Takes the figures of one measurement; gives them in one line."""
        rounds = self.found.setdefault(situation, {}).setdefault(subject, [])
        rounds.append(got)
        return ", ".join(f"{head} {cell}" for head, cell in zip(heads(situation), cells(situation, [got]), strict=True))

    def markdown(self, left_out):
        given, where = self.given, report.machine()
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        parts = [
            f"{datetime.date.today().isoformat()}, {where['cpu']}, {where['cores']} cores, Linux {where['kernel']}; {versions}.",
            f"Round trip {given.rtt:g} ms, new names only; {given.rounds} round{'s' if given.rounds != 1 else ''} of {given.seconds:g} s in each situation. Failed: no answer "
            f"within {situations.PATIENCE:g} s, or one with an error. Packets: on the link, both ways, for each query.",
        ]
        for situation, subjects in self.found.items():
            title = situation.title.format(
                rate=situations.RATE,
                loss=given.loss,
                pause=situations.PAUSE,
                idle=situations.IDLE_MS / 1000,
                outage=situations.OUTAGE,
            )
            lines = [f"{title}:", "", f"| | {' | '.join(heads(situation))} |", "|---|" + "---:|" * len(heads(situation))]
            lines += [f"| {name} | {' | '.join(cells(situation, rounds))} |" for name, rounds in subjects.items()]
            parts.append("\n".join(lines))
        parts += [f"{name}: left out: {'; '.join(why.splitlines())}" for name, why in left_out.items()]
        return "\n\n".join(parts) + "\n"


def heads(situation):
    parts = ["asked", "failed"]
    for column in situation.columns:
        parts += HEADS.get(column, (f"{column}, ms",))
    return [*parts, "packets"]


def cells(situation, rounds):
    asked = sum(got["asked"] for got in rounds)
    parts = [f"{asked:,}", f"{sum(got['failed'] for got in rounds):,}"]
    times = sorted(took for got in rounds for took in got["times"])
    for column in situation.columns:
        if column in SHARES:
            parts.append(report.cell(at(times, SHARES[column]), 1))
        else:
            seen = sorted(seconds for got in rounds for seconds in got[column])
            parts += [report.cell(seen[len(seen) // 2] if seen else None, 2), report.cell(seen[-1] if seen else None, 2)]
    return [*parts, report.cell(sum(got["packets"] for got in rounds) / max(asked, 1), 1)]


def at(times, share):
    """The time in ms that this share of the answers kept to."""
    return times[min(len(times) - 1, int(len(times) * share))] * 1000 if times else None
