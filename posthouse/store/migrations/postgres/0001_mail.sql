-- The record of every mail: a small row, rewritten as the mail moves, so its page has room for the next version.
-- `record` is the Message as MessagePack and is the truth, but for `created_at`, which is decided when `seq` is; the
-- other columns repeat what queries look for and are written from it in the same statement. `seq` is the place in the
-- order of creation.
CREATE TABLE messages (
  seq BIGINT PRIMARY KEY,
  created_at BIGINT NOT NULL,
  due_at BIGINT,
  expires_at BIGINT NOT NULL,
  losses INTEGER NOT NULL,
  id TEXT COLLATE "C" NOT NULL UNIQUE,
  status TEXT COLLATE "C" NOT NULL,
  lane TEXT COLLATE "C" NOT NULL,
  campaign TEXT COLLATE "C" NOT NULL,
  owner TEXT COLLATE "C",
  record BYTEA NOT NULL
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- What waits for a worker, and what one holds. Closed messages are in neither.
CREATE INDEX messages_due ON messages (lane, campaign, due_at, seq) WHERE due_at IS NOT NULL AND owner IS NULL;
CREATE INDEX messages_leased ON messages (owner, due_at) WHERE owner IS NOT NULL;
CREATE INDEX messages_expiry ON messages (expires_at) WHERE due_at IS NOT NULL AND owner IS NULL;
CREATE INDEX messages_costly ON messages (lane, campaign, due_at) WHERE due_at IS NOT NULL AND owner IS NULL AND losses > 0;
CREATE INDEX messages_status ON messages (status, seq);
CREATE INDEX messages_campaign ON messages (campaign, seq) WHERE campaign <> '';

-- Written once. `shown` is what a list shows of a content too large to be read for that; NULL when `data` is small.
CREATE TABLE contents (
  seq BIGINT PRIMARY KEY,
  shown BYTEA,
  data BYTEA NOT NULL
);

CREATE TABLE recipients (
  email TEXT COLLATE "C" NOT NULL,
  seq BIGINT NOT NULL,
  PRIMARY KEY (email, seq)
);

CREATE TABLE tags (
  tag TEXT COLLATE "C" NOT NULL,
  seq BIGINT NOT NULL,
  PRIMARY KEY (tag, seq)
);

CREATE TABLE keys (
  scope TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  fingerprint BYTEA NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (scope, key)
);

CREATE INDEX keys_expiry ON keys (expires_at);

-- What writers count: created, sent and failed by quarter of an hour; `state:…` in bucket 0. A count is the sum of its
-- shards, so that two writers seldom wait for one row.
CREATE TABLE counters (
  name TEXT COLLATE "C" NOT NULL,
  bucket BIGINT NOT NULL,
  shard INTEGER NOT NULL,
  n BIGINT NOT NULL,
  PRIMARY KEY (name, bucket, shard)
) WITH (fillfactor = 50, autovacuum_vacuum_cost_delay = 0);

-- The last place given and its time. One row: whoever saves locks it until the commit, so seq has no gaps, its order is
-- the order of commits and of created_at, and a page is a range of seq.
CREATE TABLE place (
  single BOOLEAN PRIMARY KEY DEFAULT true CHECK (single),
  seq BIGINT NOT NULL,
  created_at BIGINT NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_cost_delay = 0);

INSERT INTO place (seq, created_at) VALUES (0, 0);

CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  digest BYTEA NOT NULL,
  scopes TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  revoked_at BIGINT
);

CREATE TABLE facts (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

INSERT INTO facts (name, value)
VALUES ('identity', replace(gen_random_uuid()::text, '-', '')), ('api_key_version', '0');
