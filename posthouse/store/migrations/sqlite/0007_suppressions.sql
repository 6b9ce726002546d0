-- Who did what, and when: only ever added to.
CREATE TABLE acts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  "by" TEXT NOT NULL,
  act TEXT NOT NULL,
  about TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;

CREATE INDEX acts_about ON acts (about, id);

-- Who is not to be mailed. `address` is the email as it is compared; `lane` is both, transactional or bulk.
CREATE TABLE suppressions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  address TEXT NOT NULL,
  lane TEXT NOT NULL,
  email TEXT NOT NULL,
  reason TEXT NOT NULL,
  note TEXT NOT NULL,
  expires_at INTEGER,
  "by" TEXT NOT NULL,
  at INTEGER NOT NULL,
  UNIQUE (address, lane)
) STRICT;

CREATE INDEX suppressions_lane ON suppressions (lane);
CREATE INDEX suppressions_reason ON suppressions (reason, id);
CREATE INDEX suppressions_expiry ON suppressions (expires_at) WHERE expires_at IS NOT NULL;

INSERT INTO facts (name, value) VALUES ('secret', lower(hex(randomblob(32))));
