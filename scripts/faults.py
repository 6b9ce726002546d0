"""Writes the sink's faults, and what Posthouse does at each, into docs/smtp.md: `faults.py [--check]`.

With --check nothing is written, and a stale table gives exit code 1.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from posthouse.testing.fault import MEANINGS, Fault, Verdict
from posthouse.testing.sink_faults import FAULTS

PAGE = Path(__file__).parent.parent / "docs/smtp.md"
START = "<!-- written by scripts/faults.py: start -->\n"
END = "<!-- written by scripts/faults.py: end -->\n"


def main(arguments: Sequence[str]) -> int:
    """Brings the page up to date, or says that it is not."""
    page = PAGE.read_text()
    before, rest = page.split(START)
    _, after = rest.split(END)
    fresh = f"{before}{START}{table()}{END}{after}"
    if "--check" not in arguments:
        PAGE.write_text(fresh)
        return 0
    if page != fresh:
        print(f"{PAGE.name} is stale: run scripts/faults.py", file=sys.stderr)
    return int(page != fresh)


def table() -> str:
    """A row for each fault, in the order of a session."""
    head = "| fault | the server | outcome | attempt spent | next step |\n|---|---|---|---|---|\n"
    return head + "".join(_row(fault) for fault in FAULTS.values())


def _row(fault: Fault) -> str:
    verdicts = dict.fromkeys(fault.verdicts)
    cells = [_each(fault, verdict) for verdict in verdicts]
    columns = ["<br>".join(column) for column in zip(*cells, strict=True)]
    return f"| `{fault.name}` | {fault.does} | {' | '.join(columns)} |\n"


def _each(fault: Fault, verdict: Verdict) -> tuple[str, str, str]:
    """Outcome, attempt, next step; with the numbers of the recipients where they differ."""
    said = MEANINGS[verdict]
    outcome = said.result + (", the transport's failure" if verdict == "away" else "")
    if len(set(fault.verdicts)) > 1:
        whose = [str(number) for number, each in enumerate(fault.verdicts, 1) if each == verdict]
        outcome = f"{outcome} (recipient {', '.join(whose)})"
    return outcome, said.attempt, said.next


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
