"""The chart: four small panels of horizontal bars, as SVG written by hand. It follows the reader's light or dark theme."""

from html import escape

from report import FLOOR

WIDTH = 830  # of a README's column
GAP = 30  # between the two columns of panels
LABEL = 96  # for the names of the subjects
VALUE = 46  # for the figure behind a bar
ROW, BAR = 20, 13
HEAD = 34  # of a panel, with its title
MARGIN = 8

PANELS = [
    ("miss us", "CPU per query, distinct names", "µs", 1),
    ("hit us", "CPU per query, from the cache", "µs", 1),
    ("paced us", "CPU per query at {pace} a second", "µs", 0),
    ("p99 ms", "99 % of answers at {pace} a second within", "ms", 2),
]
OURS = "dotward"

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.bar { fill: #9aa4af }
.ours { fill: #1a7f5a }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .bar { fill: #6e7681 }
  .ours { fill: #3fb68b }
}
"""


def panel(x, y, width, title, unit, decimals, rows):
    parts = [f'<text class="title" x="{x}" y="{y + 16}">{escape(title)}, {unit}</text>']
    longest = max(value for _, value in rows)
    room = width - LABEL - VALUE
    for number, (name, value) in enumerate(rows):
        top = y + HEAD - 8 + number * ROW
        length = max(1.0, room * value / longest)
        kind = "bar ours" if name == OURS else "bar"
        middle = top + BAR - 2
        parts.append(f'<text x="{x + LABEL - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect class="{kind}" x="{x + LABEL}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2"/>')
        parts.append(f'<text x="{x + LABEL + length + 6:.1f}" y="{middle}">{value:,.{decimals}f}</text>')
    return "\n".join(parts)


def svg(found):
    pace = f"{found['options']['pace']:,}"
    panels = []
    for key, title, unit, decimals in PANELS:
        rows = [(name, figures["median"].get(key)) for name, figures in found["subjects"].items()]
        rows = [(name, value) for name, value in rows if value is not None]
        if key == "p99 ms":
            rows = [(name, value) for name, value in rows if name != FLOOR]
        if rows:
            panels.append((title.format(pace=pace), unit, decimals, rows))
    width = (WIDTH - GAP - 2 * MARGIN) / 2
    parts, y = [], MARGIN
    for pair in (panels[i : i + 2] for i in range(0, len(panels), 2)):
        for column, (title, unit, decimals, rows) in enumerate(pair):
            parts.append(panel(MARGIN + column * (width + GAP), y, width, title, unit, decimals, rows))
        y += HEAD + max(len(rows) for *_, rows in pair) * ROW + 10
    title = f"dotward beside other forwarders to DNS over TLS, {found['date']}; shorter is better"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )
