"""Every benchmark of speed, one after the other, and their figures as a table in a Markdown page.

Each program runs in a process of its own and ends with one line of JSON; the table holds what those lines have in
common, with the machine's name. A program that fails is named, and the others go on.

    python benchmarks/all.py --quick
    python benchmarks/all.py --write docs/performance.md
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import machine

PROGRAMS = (
    "score_user", "score_batch", "expand", "kmeans", "kmeans_many", "refresh", "encode", "train_represent",
    "train_lookalike", "growth", "startup", "wechat_scale",
)  # fmt: skip
BEGIN, END = "<!-- figures: benchmarks/all.py -->", "<!-- end of figures -->"
_COLUMNS = ("ours_s", "peer_s", "limit_s", "peer_over_ours", "ours_over_limit", "identical", "peak_mb")


def run(name: str, quick: bool) -> dict[str, Any]:
    """What a program's last line says, and its seconds; {"failed": why} where it has none."""
    began = time.perf_counter()
    command = [sys.executable, str(Path(__file__).with_name(f"{name}.py")), "--json", *(["--quick"] if quick else [])]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        why = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return {"bench": name, "failed": f"exit {done.returncode}: {why}"}
    found: dict[str, Any] = json.loads(lines[-1])
    return {**found, "seconds": round(time.perf_counter() - began)}


def table(rows: Sequence[Mapping[str, Any]], quick: bool) -> str:
    """Markdown; a dash where a benchmark has no such figure."""
    how = "`make bench`" if not quick else "`python benchmarks/all.py --quick`"
    head = f"{how}, {machine()}. Seconds, medians; ratios as each program defines them (`--help`)."
    names = ("benchmark", "ours", "peer", "limit", "peer / ours", "ours / limit", "identical", "peak MB", "took, s")
    out = [head, "", f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for row in rows:
        cells = [_cell(row.get(c)) for c in _COLUMNS] if "failed" not in row else [str(row["failed"]), *[""] * 6]
        out.append(f"| `{row['bench']}` | {' | '.join(cells)} | {_cell(row.get('seconds'))} |")
    return "\n".join(out)


def put(page: Path, text: str) -> None:
    """Replace what stands between the marks of a page; at its end where it has none."""
    old = page.read_text()
    before, _, rest = old.partition(BEGIN)
    after = rest.partition(END)[2] if rest else "\n"
    page.write_text(f"{before.rstrip()}\n\n{BEGIN}\n\n{text}\n\n{END}{after}")


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("programs", nargs="*", default=PROGRAMS, metavar="PROGRAM", help=f"of {', '.join(PROGRAMS)}")
    p.add_argument("--quick", action="store_true", help="fewer repeats")
    p.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page, between its marks")
    p.add_argument("--json", type=Path, metavar="FILE", help="keep the JSON lines here")
    a = p.parse_args()
    if unknown := [name for name in a.programs if name not in PROGRAMS]:
        p.error(f"no benchmark is called {unknown[0]!r}: use one of {', '.join(PROGRAMS)}")
    rows = []
    for i, name in enumerate(a.programs, 1):
        print(f"{i}/{len(a.programs)} {name} ...", file=sys.stderr, flush=True)
        rows.append(run(name, a.quick))
        print(json.dumps(rows[-1]), flush=True)
        if a.json is not None:
            a.json.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = table(rows, a.quick)
    print(shown)
    if a.write is not None:
        put(a.write, shown)
    sys.exit(any("failed" in row for row in rows))


if __name__ == "__main__":
    main()
