"""Draws the life of a recipient from mail/lifecycle.py into docs/architecture.md: `diagram.py [--check]`.

Drawn is what changes a state; pairs that leave it as it is (a double webhook, say) are counted below the picture.
An event that takes every open state to the same place is drawn once, from `open`. With --check nothing is
written, and a stale picture gives exit code 1.
"""

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from posthouse.mail.lifecycle import EVENTS, OPEN, STATES, STATUS, TABLE

PAGE = Path(__file__).parent.parent / "docs/architecture.md"
START = "<!-- drawn by scripts/diagram.py: start -->\n"
END = "<!-- drawn by scripts/diagram.py: end -->\n"


def main(arguments: Sequence[str]) -> int:
    """Brings the page up to date, or says that it is not."""
    page = PAGE.read_text()
    fresh = refresh(page)
    if "--check" not in arguments:
        PAGE.write_text(fresh)
        return 0
    if page != fresh:
        print(f"{PAGE.name} is stale: run scripts/diagram.py", file=sys.stderr)
    return int(page != fresh)


def refresh(page: str) -> str:
    """The page with the picture between its two marks drawn anew."""
    before, rest = page.split(START)
    _, after = rest.split(END)
    return f"{before}{START}{draw()}{END}{after}"


def draw() -> str:
    """The picture in mermaid, and a line on what it leaves out."""
    lines = ["```mermaid", "stateDiagram-v2", "  [*] --> pending", "  state open {"]
    lines += [f"    {state}" for state in STATES if state in OPEN]
    lines += ["  }"]
    lines += [
        f"  {source} --> {target}: {', '.join(events)}" for (source, target), events in _arrows().items()
    ]
    words = [f"{word}: {', '.join(s for s in STATES if STATUS[s] == word)}." for word in _words()]
    same = sum(source == target for pairs in TABLE.values() for source, target in pairs.items())
    note = f"{same} more pairs leave the state as it is; every other pair is illegal."
    return "\n".join([*lines, "```", "", f"{note} Outer words: {' '.join(words)}", ""])


def _arrows() -> dict[tuple[str, str], list[str]]:
    arrows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for event in EVENTS:
        pairs = TABLE[event]
        targets = {pairs.get(state) for state in OPEN}
        target = targets.pop()
        together = not targets and target is not None and target not in OPEN
        if together:
            arrows["open", str(target)].append(event)
        for source in STATES:
            if source in pairs and pairs[source] != source and not (together and source in OPEN):
                arrows[source, pairs[source]].append(event)
    return arrows


def _words() -> list[str]:
    return list(dict.fromkeys(STATUS[state] for state in STATES))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
