-- What providers told, whole, and once: `id` is the mail it was about, NULL while no mail is known for it.
-- `provider_message_id` is set where only that name can still bring them together.
CREATE TABLE notices (
  provider TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  received_at BIGINT NOT NULL,
  id TEXT COLLATE "C",
  provider_message_id TEXT COLLATE "C",
  data BYTEA NOT NULL,
  PRIMARY KEY (provider, key)
);

CREATE INDEX notices_waiting ON notices (provider_message_id) WHERE id IS NULL AND provider_message_id IS NOT NULL;
CREATE INDEX notices_received ON notices USING brin (received_at);

-- The names under which the next hop will speak of our mail: one for nearly every mail that was sent, so nothing more
-- is kept of each than where it leads.
CREATE TABLE provider_names (
  name TEXT COLLATE "C" PRIMARY KEY,
  seq BIGINT NOT NULL
);

CREATE INDEX provider_names_seq ON provider_names USING brin (seq);
