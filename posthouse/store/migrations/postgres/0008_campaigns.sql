-- Campaigns. `record` is the Campaign as JSON and is the truth, but for `completed_at`; the other columns repeat what queries
-- look for. `stopped` is the address that the freezing of its contacts has come to.
CREATE TABLE campaigns (
  id TEXT COLLATE "C" PRIMARY KEY,
  created_at BIGINT NOT NULL,
  phase TEXT COLLATE "C" NOT NULL,
  priority BIGINT NOT NULL,
  scheduled_at BIGINT,
  completed_at BIGINT,
  stopped TEXT COLLATE "C" NOT NULL DEFAULT '',
  record TEXT NOT NULL
) WITH (fillfactor = 50);

CREATE INDEX campaigns_created ON campaigns (created_at, id);
CREATE INDEX campaigns_working ON campaigns (priority, created_at) WHERE completed_at IS NULL;

-- Recipients that were given with a campaign, as they were given, until they are frozen.
CREATE TABLE given (
  campaign TEXT COLLATE "C" NOT NULL,
  slice BIGINT NOT NULL,
  people BYTEA NOT NULL,
  PRIMARY KEY (campaign, slice)
);

-- Who is frozen but has no message yet. `email` is the address in lower case: nobody is in an audience twice. `roles` and
-- `variables` are JSON.
CREATE TABLE audience (
  campaign TEXT COLLATE "C" NOT NULL,
  email TEXT COLLATE "C" NOT NULL,
  address TEXT NOT NULL,
  name TEXT NOT NULL,
  roles TEXT NOT NULL,
  variables TEXT NOT NULL,
  PRIMARY KEY (campaign, email)
) WITH (autovacuum_vacuum_cost_delay = 0);

-- The breakdown of campaigns (store.tally.Spot): how many there are, and how many of those are kept no longer. A domain that
-- is often written to is spread over shards, as the counters are.
CREATE TABLE shares (
  campaign TEXT COLLATE "C" NOT NULL,
  domain TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  category TEXT COLLATE "C" NOT NULL,
  shard INTEGER NOT NULL,
  n BIGINT NOT NULL,
  gone BIGINT NOT NULL,
  PRIMARY KEY (campaign, domain, state, category, shard)
) WITH (fillfactor = 70, autovacuum_vacuum_cost_delay = 0);

-- The state of a campaign's message, '' of any other (no older message has a campaign): a campaign's list, or the part of
-- it in some states, is a few ranges.
ALTER TABLE messages ADD COLUMN state TEXT COLLATE "C" NOT NULL DEFAULT '';
DROP INDEX messages_campaign;
CREATE INDEX messages_campaign ON messages (campaign, state, seq) WHERE campaign <> '';
