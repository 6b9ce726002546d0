-- The record of every mail. `record` is the Message as JSON and is the truth; the columns beside it repeat what
-- queries look for and are written from it in the same statement. `seq` is the place in the order of creation.
CREATE TABLE messages (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  status TEXT NOT NULL,
  lane TEXT NOT NULL,
  campaign TEXT NOT NULL DEFAULT '',
  due_at INTEGER,
  owner TEXT,
  expires_at INTEGER NOT NULL,
  losses INTEGER NOT NULL,
  record TEXT NOT NULL
) STRICT;

-- Dispatch, schedule, retry and crash recovery; closed messages are not in it. The last three only cover.
CREATE INDEX messages_due ON messages (lane, campaign, due_at, owner, expires_at, losses) WHERE due_at IS NOT NULL;
CREATE INDEX messages_status ON messages (status, seq);
CREATE INDEX messages_campaign ON messages (campaign, seq) WHERE campaign <> '';
CREATE INDEX messages_created ON messages (created_at);

-- Written once. `shown` is what a list shows of a content too large to be read for that; NULL when `data` is small.
CREATE TABLE contents (
  seq INTEGER PRIMARY KEY,
  shown BLOB,
  data BLOB NOT NULL
) STRICT;

CREATE TABLE recipients (
  email TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (email, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE tags (
  tag TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (tag, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  id TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX keys_expiry ON keys (expires_at);

-- What writers count: created, sent and failed by quarter of an hour; `state:…` in bucket 0.
CREATE TABLE counters (
  name TEXT NOT NULL,
  bucket INTEGER NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (name, bucket)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  digest BLOB NOT NULL,
  scopes TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE facts (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO facts (name, value) VALUES ('identity', lower(hex(randomblob(16)))), ('api_key_version', '0');
