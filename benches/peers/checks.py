"""What a measuring script found, beside the bounds that hold for it."""

import datetime

import report


class Checks:
    """A table in the making: figures with a bound, and figures for information."""

    def __init__(self):
        self.rows = []

    def most(self, what, found, bound, unit=""):
        """A figure that may be at most so large. One that is missing breaks its bound."""
        self.add(what, found, f"at most {number(bound)}{unit}", found is not None and found <= bound, unit)

    def least(self, what, found, bound, unit=""):
        """A figure that must be at least so large."""
        self.add(what, found, f"at least {number(bound)}{unit}", found is not None and found >= bound, unit)

    def exactly(self, what, found, bound):
        self.add(what, found, number(bound), found == bound)

    def told(self, what, found, unit=""):
        """A figure without a bound."""
        self.add(what, found, "", True, unit)

    def add(self, what, found, bound, good, unit=""):
        found = "none" if found is None else number(found) + unit
        self.rows.append((what, found, bound, good))
        print(f"{'' if good else 'BROKEN: '}{what}: {found}{f' ({bound})' if bound else ''}", flush=True)

    def broken(self):
        return [what for what, _, _, good in self.rows if not good]

    def markdown(self, versions):
        """The table, under the line that says when, where and of what."""
        where = report.machine()
        lines = [
            f"{datetime.date.today().isoformat()}, {where['cpu']}, {where['cores']} cores, Linux {where['kernel']}; {versions}.",
            "",
            "| | found | bound | |",
            "|---|---:|---:|---|",
        ]
        for what, found, bound, good in self.rows:
            verdict = "" if not bound else "kept" if good else "**broken**"
            lines.append(f"| {what} | {found} | {bound} | {verdict} |")
        return "\n".join(lines) + "\n"


def number(value):
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 1 else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
