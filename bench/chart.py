"""Charts as SVG, without a library; light or dark as the reader's screen is. What a row is: table.summarize."""

import html
import math

LEFT, WIDTH, RIGHT, BAR, GAP, TOP = 480, 520, 260, 16, 8, 70
SERVERS = ("turnd", "coturn", "pion", "floor", "signald", "peerserver", "poll", "longpoll", "sse", "websocket")
PAIRS = {"relay": ("turnd", "coturn"), "signal": ("signald", "peerserver")}
CHARTS = {
    "relay": {
        "relay": ("Against coturn", "ratios"),
        "relay-cpu": ("Each packet", "bars"),
        "relay-latency": ("Latency", "bars"),
        "relay-memory": ("Each allocation", "bars"),
    },
    "signal": {
        "signal": ("Against PeerServer", "ratios"),
        "signal-latency": ("Latency", "bars"),
        "transports": ("What one client costs over each transport", "panels"),
    },
}
STYLE = """
.bg{fill:#ffffff}.ink{fill:#1f2430}.faint{fill:#5d6675}.line{stroke:#d9dde5}.one{stroke:#1f2430}.goal{stroke:#b3261e;stroke-width:2.5}
.whisker{stroke:#1f2430;stroke-width:1.2}.better{fill:#2f7d4f}.worse{fill:#c2553a}
.turnd,.signald,.websocket{fill:#2563c9}.coturn,.peerserver,.poll{fill:#98a1b0}.floor,.longpoll{fill:#d3a11d}.pion,.sse{fill:#8e5bb5}
@media (prefers-color-scheme:dark){.bg{fill:#14171d}.ink{fill:#e8ebf1}.faint{fill:#a0a9b8}.line{stroke:#333a46}.one{stroke:#e8ebf1}
.goal{stroke:#ff8a80}.whisker{stroke:#e8ebf1}.better{fill:#4caf7a}.worse{fill:#e07b5e}
.turnd,.signald,.websocket{fill:#6d9ff0}.coturn,.peerserver,.poll{fill:#7d8696}.floor,.longpoll{fill:#d9b44a}.pion,.sse{fill:#b58ad6}}
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


def ratios(title, rows, words, pair=PAIRS["relay"]):
    """A bar from 1 to the ratio, its whisker from the least to the most of the rounds, and the goal as a mark across."""
    own, other = pair
    rows = [row for row in rows if (row["ratio"].get(other) or {}).get("median")]
    if not rows:
        return None
    seen = [row["ratio"][other] for row in rows]
    low = min([0.25, *(s["min"] / 1.15 for s in seen if s["min"] > 0)])
    high = max([2.0, *(s["max"] * 1.3 for s in seen)])
    d = Drawing(f"{title}: {own} / {other}", words, TOP + len(rows) * (BAR + GAP) + 34)
    for mark in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20):
        if low <= mark <= high:
            x = place(mark, low, high)
            d.line("one" if mark == 1 else "line", x, TOP - 8, x, d.height - 28)
            d.text(x, d.height - 10, f"{mark:g}", "faint", text_anchor="middle")
    for i, row in enumerate(rows):
        y, s, goal = TOP + i * (BAR + GAP), row["ratio"][other], goal_of(row, other)
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
        mine, theirs = (row["servers"][name]["median"] for name in pair)
        words = f"{'>' if s.get('least') else ''}{s['median']:.2f}{verdict}   {mine:,.0f} : {theirs:,.0f} {row['unit']}"
        d.text(place(max(ends), low, high) + 8, y + 13, words, font_size=12)
    return str(d)


def names_in(rows):
    return [name for name in SERVERS if any(row["servers"].get(name) for row in rows)]


def draw_legend(d, names, y):
    x = 16
    for name in names:
        d.bar(name, x, x + 12, y - 10, 12)
        d.text(x + 18, y, name)
        x += 100


def short(value):
    """For a bar: three digits of what is small."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def scale_of(most):
    """(marks, value -> x), from 0."""
    steps = nice_steps(most)
    return steps, lambda value: LEFT + value / steps[-1] * WIDTH


def wide_scale_of(least, most):
    """The same in powers of ten."""
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    high = max(high, low + 1)
    at = lambda value: LEFT + (math.log10(max(value, 10**low)) - low) / (high - low) * WIDTH  # noqa: E731
    return [10**power for power in range(low, high + 1)], at


THIN, PANEL_TOP, PANEL_FOOT, WIDE = 11, 14, 34, 30


def panel_height(rows, names):
    return PANEL_TOP + 8 + len(rows) * (len(names) * (THIN + 2) + 12) + PANEL_FOOT


def draw_bars(d, y, rows, names, scale):
    """For each row a bar for each server, on one scale, from `y` on."""
    steps, at = scale
    block = len(names) * (THIN + 2) + 12
    foot = y + panel_height(rows, names)
    for mark in steps:
        d.line("line", at(mark), y + PANEL_TOP, at(mark), foot - 28)
        d.text(at(mark), foot - 10, f"{mark:,.0f}" if mark >= 100 else f"{mark:g}", "faint", text_anchor="middle")
    for i, row in enumerate(rows):
        top = y + PANEL_TOP + 8 + i * block
        d.text(LEFT - 10, top + block / 2 - 2, label_of(row), text_anchor="end")
        for k, name in enumerate(names):
            s, bar_y = row["servers"].get(name), top + k * (THIN + 2)
            if not s:
                continue
            d.bar(name, LEFT, at(s["median"]), bar_y, THIN)
            if s["max"] > s["min"]:
                d.line("whisker", at(s["min"]), bar_y + THIN / 2, at(s["max"]), bar_y + THIN / 2)
            d.text(at(s["max"]) + 6, bar_y + THIN - 1, short(s["median"]), font_size=11)


def bars(title, rows, words):
    """One unit."""
    rows = [row for row in rows if any(row["servers"].values())]
    if not rows:
        return None
    names = names_in(rows)
    d = Drawing(f"{title}: {rows[0]['unit']}", words, TOP + panel_height(rows, names))
    draw_legend(d, names, TOP + 2)
    draw_bars(d, TOP, rows, names, scale_of(max(s["max"] for row in rows for s in row["servers"].values() if s)))
    return str(d)


def panels(title, rows, words):
    """One unit below the other; where the most is far from the least, in powers of ten."""
    rows = [row for row in rows if any(row["servers"].values())]
    if not rows:
        return None
    names, units = names_in(rows), list(dict.fromkeys(row["unit"] for row in rows))
    parts = [[row for row in rows if row["unit"] == unit] for unit in units]
    d = Drawing(title, words, TOP + sum(panel_height(part, names) + 26 for part in parts))
    draw_legend(d, names, TOP + 2)
    y = TOP + 12
    for unit, part in zip(units, parts):
        seen = [s["median"] for row in part for s in row["servers"].values() if s]
        above = [value for value in seen if value > 0]
        wide = above and max(above) > WIDE * min(above)
        d.text(LEFT, y + 12, unit + (" (powers of ten)" if wide else ""), font_weight="bold")
        most = max(s["max"] for row in part for s in row["servers"].values() if s)
        draw_bars(d, y + 8, part, names, wide_scale_of(min(above), most) if wide else scale_of(most))
        y += panel_height(part, names) + 24
    return str(d)


def choose(name, rows):
    if name == "relay-cpu":
        return [row for row in rows if row["unit"] == "CPU ns/packet" and row["group"] in ("cpu", "stream", "xdp")]
    if name in ("relay-latency", "signal-latency"):
        return [row for row in rows if row["group"] == "latency"]
    if name == "transports":
        return [row for row in rows if row["group"] == "transports"]
    if name == "relay-memory":
        return [row for row in rows if row["group"] == "memory"]
    return rows


def all_of(rows, about, what="relay"):
    """`what`: the comparison. {file name without .svg: text}; charts without a figure are left out."""
    words = f"{about['machine']['cpu']}, Linux {about['machine']['kernel']}, {about['date']}; medians, thin lines from the least to the most"
    words += "; ~ busy machine" if any(row["busy"] for row in rows) else ""
    words += "; ! from bad trials" if any(row["bad"] for row in rows) else ""
    out = {}
    for name, (title, kind) in CHARTS[what].items():
        more = "; logarithmic, red marks are the goals" if kind == "ratios" else ""
        pair = (PAIRS[what],) if kind == "ratios" else ()
        svg = globals()[kind](title, choose(name, rows), words + more, *pair)
        if svg:
            out[name] = svg
    return out
