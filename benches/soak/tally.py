"""What the clients print, and which of it counts."""

import processes

STEP = 0.1  # seconds of a line, as in ledger.rs
COLUMNS = ("asked", "right", "failed", "wrong", "lost", "held", "news", "slowest-ms")
# Around an outage of all upstreams: what was in flight at its beginning, and the time that it may take to find them again.
BEFORE, AFTER = 0.1, 2.0


class Tally:
    """The counts of one run of the clients."""

    def __init__(self, log):
        lines = log.read_text(errors="replace").splitlines()
        begun = [line for line in lines if line.startswith("begun ")]
        if not begun or " ".join(COLUMNS) not in lines:
            raise processes.Failed("clients: " + "\n".join(lines[-6:]))
        self.begun = float(begun[0].split()[1])
        numbers = [line.split() for line in lines if line[:1].isdigit()]
        self.steps = [dict(zip(COLUMNS, map(float, row))) for row in numbers]
        self.complaints = [line for line in lines if line.startswith("wrong answer")]

    def counted(self, outages=()):
        """The lines outside the outages, each (begin, end) in seconds of the clock on the wall."""

        return [step for index, step in enumerate(self.steps) if not self.touches(index, outages)]

    def touches(self, index, times):
        """Does a line tell of what was asked during one of these times, or shortly before or after?"""
        begin = self.begun + index * STEP
        return any(begin < end + AFTER and begin + STEP > start - BEFORE for start, end in times)

    def total(self, column, outages=()):
        return int(sum(step[column] for step in self.counted(outages)))

    def around(self, column, time, outages):
        """The sum over the lines that a time touches and no outage does."""
        inside = lambda index: self.touches(index, [time]) and not self.touches(index, outages)
        return int(sum(step[column] for index, step in enumerate(self.steps) if inside(index)))

    def slowest(self, outages=()):
        return max((step["slowest-ms"] for step in self.counted(outages)), default=0.0)

    def rate(self, outages=()):
        """Queries sent a second, while there were any."""
        asked = [step["asked"] + step["held"] for step in self.counted(outages)]
        while asked and not asked[-1]:
            asked.pop()  # the wait for the last answers
        return sum(asked) / (len(asked) * STEP) if asked else 0.0

    def answered_rate(self):
        steps = [step["right"] for step in self.steps if step["asked"]]
        return sum(steps) / (len(steps) * STEP) if steps else 0.0

    def first_news(self, moment):
        """Seconds from a moment to the first right answer to a new name, to a tenth."""
        for index, step in enumerate(self.steps):
            end = self.begun + (index + 1) * STEP
            if step["news"] and end > moment + STEP:
                return end - moment
        return None
