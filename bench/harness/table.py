"""The one table, as text and as JSON."""

COLUMNS = ["row", "", "castile", "haproxy", "nginx", "apache", "envoy", "best peer", "ratio (spread)", "must", "goal", "verdict"]


def text(lines):
    """Columns that line up, and readable as Markdown."""
    cells = [COLUMNS, *map(row_cells, lines)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(COLUMNS))]
    rows = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
    rows.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(rows)


def row_cells(line):
    row = line.row
    peers = [cell(line.peers.get(name)) if name in row.programs else "" for name in ("haproxy", "nginx", "apache", "envoy")]
    ratio = f"{number(line.ratio())} ({number(min(line.ratios))} to {number(max(line.ratios))})" if line.ratios else ""
    return [row.name, row.unit, cell(line.ours), *peers, line.best.name if line.best else "", ratio,
            "" if row.must is None else f"{row.must:g}", "" if row.goal is None else f"{row.goal:g}", line.verdict]


def cell(samples):
    """The median; why there is none."""
    if samples is None:
        return "cannot"
    if not samples.values:
        return samples.note if samples.note == "not installed" else "failed"
    mark = f" ({samples.wrong} wrong)" if samples.wrong else f" ({samples.errors} errors)" if samples.errors else ""
    return number(samples.figure()) + mark


def number(value):
    """Three digits, or more where it is large."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def details(line):
    """Every candidate of a row."""
    out = [f"{line.row.name}: {line.row.unit}"]
    everyone = ([line.ours] if line.ours else []) + sorted(line.peers.values(), key=lambda one: one.figure() or 0)
    for one in everyone:
        spread = f"{number(min(one.values))} to {number(max(one.values))}, {len(one.values)} rounds" if one.values else "no figure"
        extra = "".join(f"; {text}" for text in (one.note, f"{one.wrong} wrong answers" if one.wrong else "",
                                                   f"{one.errors} errors" if one.errors else "") if text)
        out.append(f"  {one.name:24} {number(one.figure()) if one.values else '-':>9}  ({spread}{extra})")
    return "\n".join(out)


def data(lines, about):
    """For JSON."""
    def one(samples):
        return {"name": samples.name, "program": samples.program, "values": samples.values, "figure": samples.figure(), "wrong": samples.wrong,
                "errors": samples.errors, "note": samples.note, "runs": samples.runs}
    return {**about, "rows": [
        {"row": line.row.name, "kind": line.row.kind, "unit": line.row.unit, "castile": one(line.ours) if line.ours else None,
         "peers": [one(peer) for peer in line.peers.values()], "best_peer": line.best.name if line.best else None, "ratio": line.ratio(),
         "ratios": line.ratios, "must": line.row.must, "goal": line.row.goal, "judged": line.row.judged, "verdict": line.verdict} for line in lines]}
