-- What providers told, whole, and once: `id` is the mail it was about, NULL while no mail is known for it.
-- `provider_message_id` is set where only that name can still bring them together.
CREATE TABLE notices (
  provider TEXT NOT NULL,
  key TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  id TEXT,
  provider_message_id TEXT,
  data BLOB NOT NULL,
  PRIMARY KEY (provider, key)
) STRICT;

CREATE INDEX notices_waiting ON notices (provider_message_id) WHERE id IS NULL AND provider_message_id IS NOT NULL;
CREATE INDEX notices_received ON notices (received_at);
