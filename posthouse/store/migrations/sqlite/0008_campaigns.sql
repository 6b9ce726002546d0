-- Campaigns. `record` is the Campaign as JSON and is the truth, but for `completed_at`; the other columns repeat what queries
-- look for. `stopped` is the address that the freezing of its contacts has come to.
CREATE TABLE campaigns (
  id TEXT PRIMARY KEY,
  created_at INTEGER NOT NULL,
  phase TEXT NOT NULL,
  priority INTEGER NOT NULL,
  scheduled_at INTEGER,
  completed_at INTEGER,
  stopped TEXT NOT NULL DEFAULT '',
  record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX campaigns_created ON campaigns (created_at, id);
CREATE INDEX campaigns_working ON campaigns (priority, created_at) WHERE completed_at IS NULL;

-- Recipients that were given with a campaign, as they were given, until they are frozen.
CREATE TABLE given (
  campaign TEXT NOT NULL,
  slice INTEGER NOT NULL,
  people BLOB NOT NULL,
  PRIMARY KEY (campaign, slice)
) STRICT;

-- Who is frozen but has no message yet. `email` is the address in lower case: nobody is in an audience twice. `roles` and
-- `variables` are JSON.
CREATE TABLE audience (
  campaign TEXT NOT NULL,
  email TEXT NOT NULL,
  address TEXT NOT NULL,
  name TEXT NOT NULL,
  roles TEXT NOT NULL,
  variables TEXT NOT NULL,
  PRIMARY KEY (campaign, email)
) STRICT, WITHOUT ROWID;

-- The breakdown of campaigns (store.tally.Spot): how many there are, and how many of those are kept no longer.
CREATE TABLE shares (
  campaign TEXT NOT NULL,
  domain TEXT NOT NULL,
  state TEXT NOT NULL,
  category TEXT NOT NULL,
  n INTEGER NOT NULL,
  gone INTEGER NOT NULL,
  PRIMARY KEY (campaign, domain, state, category)
) STRICT, WITHOUT ROWID;

-- The state of a campaign's message, '' of any other (no older message has a campaign): a campaign's list, or the part of
-- it in some states, is a few ranges.
ALTER TABLE messages ADD COLUMN state TEXT NOT NULL DEFAULT '';
DROP INDEX messages_campaign;
CREATE INDEX messages_campaign ON messages (campaign, state, seq) WHERE campaign <> '';
