"""Charts as SVG, without a library: bars of ratios, logarithmic, with the line where both are equal."""

import html
import math

LEFT, WIDTH, BAR, GAP, TOP = 330, 560, 18, 8, 64
GOOD, BAD, INK, FAINT = "#2b8a57", "#c2553a", "#1f2430", "#9aa2b1"


def _place(ratio, low, high):
    return LEFT + (math.log(ratio) - math.log(low)) / (math.log(high) - math.log(low)) * WIDTH


def _text(x, y, words, **how):
    attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in how.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{html.escape(words)}</text>'


def ratios(title, rows):
    """`rows`: dicts with label, ratio (or None), more, turnd, coturn, unit."""
    rows = [row for row in rows if row["ratio"]]
    low = min([0.25, *(row["ratio"] / 1.3 for row in rows)])
    high = max([2.0, *(row["ratio"] * 1.3 for row in rows)])
    height = TOP + len(rows) * (BAR + GAP) + 30
    total = LEFT + WIDTH + 190
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height}" font-family="sans-serif" font-size="13" '
        f'role="img" aria-label="{html.escape(title)}">',
        f'<rect width="{total}" height="{height}" fill="#ffffff"/>',
        _text(16, 26, title, font_size=18, fill=INK, font_weight="bold"),
        _text(16, 46, "turnd / coturn in one run, logarithmic; green is better than coturn", fill=FAINT),
    ]
    one = _place(1, low, high)
    for mark in (0.1, 0.25, 0.5, 1, 2, 4, 8):
        if low <= mark <= high:
            x = _place(mark, low, high)
            out.append(f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{height - 24}" stroke="{INK if mark == 1 else "#e3e6ec"}"/>')
            out.append(_text(x, height - 8, f"{mark:g}", fill=FAINT, text_anchor="middle"))
    for i, row in enumerate(rows):
        y, x = TOP + i * (BAR + GAP), _place(row["ratio"], low, high)
        better = row["ratio"] > 1 if row["more"] else row["ratio"] < 1
        out.append(_text(LEFT - 10, y + 14, row["label"], fill=INK, text_anchor="end"))
        out.append(
            f'<rect x="{min(x, one):.1f}" y="{y}" width="{max(abs(x - one), 1):.1f}" height="{BAR}" rx="3" fill="{GOOD if better else BAD}"/>'
        )
        words = f"{row['ratio']:.2f}   {row['turnd']:,.0f} : {row['coturn']:,.0f} {row['unit']}"
        out.append(_text(max(x, one) + 8, y + 14, words, fill=INK, font_size=12))
    return "\n".join([*out, "</svg>", ""])
