"""Migrations: numbered .sql files, applied in order, each once, with its checksum kept.

Rules: a file that was applied never changes (its checksum is compared at every start); a schema newer than this
version is refused. The caller holds the lock and the transaction; this module only says which statements to run.
"""

import hashlib
from pathlib import Path

import msgspec


class Migration(msgspec.Struct, frozen=True):
    """One numbered file: `statements` in order, `checksum` of the whole text."""

    number: int
    name: str
    checksum: str
    statements: tuple[str, ...]


class SchemaMismatch(Exception):
    """The schema in the store is not the one this version of Posthouse needs; the text says what to do."""


def migrations(kind: str) -> list[Migration]:
    """The migrations of a kind of store ("sqlite", ...), in order."""
    folder = Path(__file__).parent / "migrations" / kind
    return [_read(path) for path in sorted(folder.glob("*.sql"))]


def pending(known: list[Migration], applied: dict[int, str]) -> list[Migration]:
    """Those still to apply, given the number and checksum of those applied; raises SchemaMismatch."""
    numbers = {migration.number for migration in known}
    if newer := sorted(set(applied) - numbers):
        raise SchemaMismatch(
            f"the store has migration {newer[-1]}, which this version does not know: run the newer Posthouse"
        )
    for migration in known:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise SchemaMismatch(
                f"migration {migration.name} is not the one that was applied to this store: restore the file"
            )
    return [migration for migration in known if migration.number not in applied]


def _read(path: Path) -> Migration:
    text = path.read_text(encoding="utf-8")
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    statements = tuple(part.strip() for part in code.split(";") if part.strip())
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return Migration(int(path.stem.split("_")[0]), path.stem, checksum, statements)
