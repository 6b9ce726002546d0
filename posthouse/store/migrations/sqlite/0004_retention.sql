-- What is left of a content whose body is kept no longer (mail.retention): it has a row here instead of in `contents`.
CREATE TABLE heads (
  seq INTEGER PRIMARY KEY,
  data BLOB NOT NULL
) STRICT;

-- What goes with a record.
CREATE INDEX keys_id ON keys (id);
CREATE INDEX notices_id ON notices (id) WHERE id IS NOT NULL;
