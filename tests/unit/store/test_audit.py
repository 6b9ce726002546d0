"""The audit of a SQLite store: what somebody did to the file behind our back is found, one finding each."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.mail.contact import Entry
from posthouse.store import audit as auditing
from posthouse.store.audit import audit
from posthouse.store.sqlite import SqliteStore
from posthouse.testing.campaign_office import ready
from posthouse.testing.store_mail import ACCEPTED, LONG, draft, key, said, saved, settle


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """With one mail that is sent, and one that waits and has a key and a tag."""
    store = SqliteStore(tmp_path / "posthouse.db")
    await store.start()
    (message,) = await saved(store)
    (leased,) = await store.claim("worker", 1, LONG, ids=[message.id])
    await settle(store, said(leased, ACCEPTED))
    await store.save([draft(key=key("k"), tags=("t",))])
    await store.write_contacts(
        [Entry(email=f"{name}@example.org", roles=("staff",)) for name in ("ann", "bob")]
    )
    yield store
    await store.stop()


def harm(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "posthouse.db") as connection:
        assert connection.execute(statement).rowcount > 0
    connection.close()


NEW = "seq = 2"

HARMS = {
    f"UPDATE messages SET due_at = NULL WHERE {NEW}": "due_at beside the record is nothing",
    f"UPDATE messages SET owner = 'nobody' WHERE {NEW}": "owner beside the record is nobody, in it nothing",
    "UPDATE messages SET status = 'PENDING' WHERE seq = 1": "status beside the record is PENDING, in it SENT",
    f"UPDATE messages SET record = json_remove(record, '$.due_at'), due_at = NULL WHERE {NEW}": "has no due_at",
    f"DELETE FROM contents WHERE {NEW}": "its content is gone",
    "INSERT INTO contents VALUES (77, NULL, x'00')": "a content is kept for record 77",
    "INSERT INTO recipients VALUES ('x@example.org', 78)": "a recipient is kept for record 78",
    "INSERT INTO tags VALUES ('x', 79)": "a tag is kept for record 79",
    "UPDATE keys SET id = 'gone'": "a key is kept for record gone",
    "UPDATE counters SET n = n + 1 WHERE name = 'state:sent'": "state:sent is 2, the records say 1",
    "DELETE FROM counters WHERE name = 'sent'": "is 0, the records say 1",
    "UPDATE counters SET n = n + 1 WHERE name = 'created'": "is 3, the records say 2",
    "INSERT INTO counters VALUES ('gone:created', 0, 1)": "is -1, the records say 0",
    "INSERT INTO heads VALUES (80, x'00')": "a content is kept for record 80",
    f"DELETE FROM recipients WHERE {NEW}": "nothing leads to it from one that it has: recipient",
    f"DELETE FROM tags WHERE {NEW}": "nothing leads to it from one that it has: tag",
    "INSERT INTO recipients VALUES ('x@example.org', 1)": "record 1, which is not there, or has it not",
    f"UPDATE tags SET tag = 'u' WHERE {NEW}": "nothing leads to it from one that it has: tag",
    "INSERT INTO notices (provider, key, received_at, id, data) VALUES ('p', 'k', 1, 'gone', x'00')": "a notice is kept for record gone",
    "UPDATE contact_counts SET n = 3 WHERE role = 'staff'": "the role staff is counted 3 times",
    "UPDATE contact_counts SET n = 0 WHERE role = '*'": "the role * is counted 0 times",
    "INSERT INTO contact_roles VALUES ('staff', 'x@example.org')": "and listed 3 times; 2 contacts have it",
    "UPDATE contacts SET roles = '[]' WHERE key = 'ann@example.org'": "1 contacts have it, 1 of these are listed",
    "UPDATE contact_roles SET key = 'x' WHERE key = 'ann@example.org'": "2 contacts have it, 1 of these are listed",
}


@pytest.mark.parametrize("statement", HARMS)
async def test_each_harm_is_one_finding(store: SqliteStore, tmp_path: Path, statement: str) -> None:
    harm(tmp_path, statement)
    seen = await audit(store)
    assert seen.wrong == len(seen.findings) == (2 if "SET tag" in statement else 1), seen.findings
    assert HARMS[statement] in seen.findings[0].fault


async def test_a_lost_record_is_missed_by_all_that_was_kept_for_it(
    store: SqliteStore, tmp_path: Path
) -> None:
    harm(tmp_path, f"DELETE FROM messages WHERE {NEW}")
    found = " ".join(finding.fault for finding in (await audit(store)).findings)
    for kind in ("content", "recipient", "tag", "key"):
        assert f"a {kind} is kept" in found
    assert "state:pending is 1, the records say 0" in found


async def test_findings_are_capped_but_counted(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "FINDINGS", 3)
    await saved(store, 10)
    harm(tmp_path, "UPDATE messages SET due_at = 1 WHERE due_at IS NOT NULL")
    seen = await audit(store)
    assert (len(seen.findings), seen.wrong, seen.records) == (3, 11, 12)


async def test_however_much_is_wrong_only_so_many_names_are_held(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "NAMES", 3)
    await saved(store, 20)
    harm(tmp_path, "DELETE FROM recipients")
    seen = await audit(store)
    assert len(seen.findings) < 8 < 15 < seen.wrong <= 22  # names may share a cell


async def test_a_catalog_of_its_own_is_looked_at_too(store: SqliteStore, tmp_path: Path) -> None:
    (tmp_path / "apart").mkdir()
    catalog = SqliteStore(str(tmp_path / "apart/posthouse.db"))
    await catalog.start()
    await catalog.write_contacts([Entry(email="ann@example.org", roles=("staff",))])
    harm(tmp_path / "apart", "UPDATE contact_counts SET n = 3 WHERE role = 'staff'")
    seen = await audit(store, catalog)
    await catalog.stop()
    assert (await audit(store, store)).wrong == 0
    assert seen.wrong == 1 and "the role staff" in seen.findings[0].fault


CAMPAIGN_HARMS = {
    "UPDATE counters SET n = n + 1 WHERE name LIKE 'campaign:%:pending'": ":pending is 3, the records say 2",
    "DELETE FROM counters WHERE name LIKE 'campaign:%:sent'": ":sent is 0, the records say 1",
    "UPDATE shares SET n = n - 1 WHERE state = 'sent'": "has 0 of example.org, sent, the records say 1",
    "INSERT INTO shares SELECT campaign, 'x.org', 'failed', 'policy', 1, 0 FROM shares LIMIT 1": "1 of x.org, failed (policy)",
    "UPDATE campaigns SET completed_at = 1": "is over, but 2 of its recipients are open",
    "UPDATE campaigns SET record = json_set(record, '$.frozen', json('false'))": "its audience is not complete",
    "INSERT INTO audience SELECT id, 'x@x.org', 'x@x.org', '', '[]', '{}' FROM campaigns": "1 of its audience have no mail",
    "UPDATE messages SET state = 'sent' WHERE state = 'pending'": "state beside the record is sent, in it pending",
    "DELETE FROM campaigns": "a mail is kept for campaign",
    "INSERT INTO given SELECT id, 0, x'00' FROM campaigns": "1 slices that were given with it are not in it",
    "UPDATE campaigns SET priority = 7": "priority beside the record is 7, in it 0",
    """INSERT INTO audience SELECT campaign, email, email, '', '[]', '{}'
      FROM recipients JOIN messages USING (seq) WHERE campaign <> '' LIMIT 1""": "has mail for 1 of its audience already",
}


@pytest.mark.parametrize("statement", CAMPAIGN_HARMS)
async def test_what_does_not_add_up_in_a_campaign_is_named(
    store: SqliteStore, tmp_path: Path, statement: str
) -> None:
    id = await ready(store, 3)
    (leased,) = await store.claim("worker", 1, LONG, lane="bulk", campaign=id)
    await settle(store, said(leased, ACCEPTED))
    assert (await audit(store)).findings == []
    harm(tmp_path, statement)
    found = [finding.fault for finding in (await audit(store)).findings]
    assert any(CAMPAIGN_HARMS[statement] in fault for fault in found), found
