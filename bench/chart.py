"""Charts as SVG, without a library; light or dark as the reader's screen is. What a row is: table.summarize."""

import html
import math

LEFT, WIDTH, RIGHT, BAR, GAP, TOP = 480, 520, 260, 16, 8, 70
SERVERS = ("turnd", "coturn", "pion", "floor")
CHARTS = {
    "relay": ("Against coturn", "ratios"),
    "relay-cpu": ("Each packet", "bars"),
    "relay-latency": ("Latency", "bars"),
    "relay-memory": ("Each allocation", "bars"),
}
STYLE = """
.bg{fill:#ffffff}.ink{fill:#1f2430}.faint{fill:#5d6675}.line{stroke:#d9dde5}.one{stroke:#1f2430}.goal{stroke:#b3261e;stroke-width:2.5}
.whisker{stroke:#1f2430;stroke-width:1.2}.better{fill:#2f7d4f}.worse{fill:#c2553a}
.turnd{fill:#2563c9}.coturn{fill:#98a1b0}.floor{fill:#d3a11d}.pion{fill:#8e5bb5}
@media (prefers-color-scheme:dark){.bg{fill:#14171d}.ink{fill:#e8ebf1}.faint{fill:#a0a9b8}.line{stroke:#333a46}.one{stroke:#e8ebf1}
.goal{stroke:#ff8a80}.whisker{stroke:#e8ebf1}.better{fill:#4caf7a}.worse{fill:#e07b5e}.turnd{fill:#6d9ff0}.coturn{fill:#7d8696}
.floor{fill:#d9b44a}.pion{fill:#b58ad6}}
"""


class Drawing:
    def __init__(self, title, words, height):
        self.width, self.height = LEFT + WIDTH + RIGHT, height
        self.out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {height}" font-family="sans-serif" font-size="13" '
            f'role="img" aria-label="{html.escape(title)}">',
            f"<style>{STYLE}</style>",
            f'<rect class="bg" width="{self.width}" height="{height}"/>',
        ]
        self.text(16, 28, title, font_size=19, font_weight="bold")
        self.text(16, 49, words, "faint")

    def text(self, x, y, words, kind="ink", **how):
        attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in how.items())
        self.out.append(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{attributes}>{html.escape(words)}</text>')

    def line(self, kind, x1, y1, x2, y2):
        self.out.append(f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def bar(self, kind, x1, x2, y, height=BAR):
        self.out.append(
            f'<rect class="{kind}" x="{min(x1, x2):.1f}" y="{y:.1f}" width="{max(abs(x2 - x1), 1.5):.1f}" height="{height}" rx="2"/>'
        )

    def __str__(self):
        return "\n".join([*self.out, "</svg>", ""])


def nice_steps(most):
    """Marks of a scale from 0: 4 to 8 of them, at 1, 2 or 5 times a power of ten."""
    if most <= 0:
        return [0, 1]
    step = 10 ** math.floor(math.log10(most / 4))
    step *= next(k for k in (1, 2, 5, 10) if most / (step * k) <= 7)
    return [step * i for i in range(math.ceil(most / step) + 1)]


def place(ratio, low, high):
    """Where a ratio stands on the logarithmic scale."""
    ratio = min(max(ratio, low), high)
    return LEFT + (math.log(ratio) - math.log(low)) / (math.log(high) - math.log(low)) * WIDTH


def label_of(row):
    """With the marks of table.text_table."""
    return row["label"] + (" ~" if row["busy"] else "") + (" !" if row["bad"] else "")


def goal_of(row, against):
    return next((g for g in row["goals"] if g["against"] == against), None)


def ratios(title, rows, words):
    """A bar from 1 to the ratio, its whisker from the least to the most of the rounds, and the goal as a mark across."""
    rows = [row for row in rows if (row["ratio"].get("coturn") or {}).get("median")]
    if not rows:
        return None
    seen = [row["ratio"]["coturn"] for row in rows]
    low = min([0.25, *(s["min"] / 1.15 for s in seen if s["min"] > 0)])
    high = max([2.0, *(s["max"] * 1.3 for s in seen)])
    d = Drawing(f"{title}: turnd / coturn", words, TOP + len(rows) * (BAR + GAP) + 34)
    for mark in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20):
        if low <= mark <= high:
            x = place(mark, low, high)
            d.line("one" if mark == 1 else "line", x, TOP - 8, x, d.height - 28)
            d.text(x, d.height - 10, f"{mark:g}", "faint", text_anchor="middle")
    for i, row in enumerate(rows):
        y, s, goal = TOP + i * (BAR + GAP), row["ratio"]["coturn"], goal_of(row, "coturn")
        better = s["median"] > 1 if row["more"] else s["median"] < 1
        d.text(LEFT - 10, y + 13, label_of(row), text_anchor="end")
        d.bar("better" if better else "worse", place(1, low, high), place(s["median"], low, high), y)
        if s["max"] > s["min"]:
            d.line("whisker", place(s["min"], low, high), y + BAR / 2, place(s["max"], low, high), y + BAR / 2)
        ends = [1, s["median"], s["max"]]
        if goal:
            x = place(goal["limit"], low, high)
            d.line("goal", x, y - 3, x, y + BAR + 3)
            ends.append(goal["limit"])
        verdict = f"  {goal['verdict']}" if goal and goal["verdict"] else ""
        mine, other = (row["servers"][name]["median"] for name in ("turnd", "coturn"))
        words = f"{'>' if s.get('least') else ''}{s['median']:.2f}{verdict}   {mine:,.0f} : {other:,.0f} {row['unit']}"
        d.text(place(max(ends), low, high) + 8, y + 13, words, font_size=12)
    return str(d)


def bars(title, rows, words):
    """For each row a bar for each server, all on one scale."""
    rows = [row for row in rows if any(row["servers"].values())]
    if not rows:
        return None
    names = [name for name in SERVERS if any(row["servers"].get(name) for row in rows)]
    thin = 11
    block = len(names) * (thin + 2) + 12
    most = max(s["max"] for row in rows for s in row["servers"].values() if s)
    steps = nice_steps(most)
    d = Drawing(f"{title}: {rows[0]['unit']}", words, TOP + 22 + len(rows) * block + 34)
    x = 16
    for name in names:
        d.bar(name, x, x + 12, TOP - 8, 12)
        d.text(x + 18, TOP + 2, name)
        x += 90
    at = lambda value: LEFT + value / steps[-1] * WIDTH  # noqa: E731
    for mark in steps:
        d.line("line", at(mark), TOP + 14, at(mark), d.height - 28)
        d.text(at(mark), d.height - 10, f"{mark:,.0f}" if steps[1] >= 1 else f"{mark:g}", "faint", text_anchor="middle")
    for i, row in enumerate(rows):
        top = TOP + 22 + i * block
        d.text(LEFT - 10, top + block / 2 - 2, label_of(row), text_anchor="end")
        for k, name in enumerate(names):
            s, y = row["servers"].get(name), top + k * (thin + 2)
            if not s:
                continue
            d.bar(name, LEFT, at(s["median"]), y, thin)
            if s["max"] > s["min"]:
                d.line("whisker", at(s["min"]), y + thin / 2, at(s["max"]), y + thin / 2)
            d.text(at(s["max"]) + 6, y + thin - 1, f"{s['median']:,.0f}", font_size=11)
    return str(d)


def choose(name, rows):
    if name == "relay-cpu":
        return [row for row in rows if row["unit"] == "CPU ns/packet" and row["group"] in ("cpu", "stream", "xdp")]
    if name == "relay-latency":
        return [row for row in rows if row["group"] == "latency"]
    if name == "relay-memory":
        return [row for row in rows if row["group"] == "memory"]
    return rows


def all_of(rows, about):
    """{file name without .svg: text}; charts without a figure are left out."""
    words = f"{about['machine']['cpu']}, Linux {about['machine']['kernel']}, {about['date']}; medians, thin lines from the least to the most"
    words += "; ~ busy machine" if any(row["busy"] for row in rows) else ""
    words += "; ! from bad trials" if any(row["bad"] for row in rows) else ""
    out = {}
    for name, (title, kind) in CHARTS.items():
        more = "; logarithmic, red marks are the goals" if kind == "ratios" else ""
        svg = globals()[kind](title, choose(name, rows), words + more)
        if svg:
            out[name] = svg
    return out
