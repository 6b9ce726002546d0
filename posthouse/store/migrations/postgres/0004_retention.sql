-- What is left of a content whose body is kept no longer (mail.retention): it has a row here instead of in `contents`.
CREATE TABLE heads (
  seq BIGINT PRIMARY KEY,
  data BYTEA NOT NULL
);

-- The first place that is kept: records go strictly in the order of creation, so all from here on are there, and a page
-- is still a range of seq. (The index alone would be asked through all that was deleted and not yet vacuumed.)
INSERT INTO facts (name, value) VALUES ('first', '1');

-- What goes with a record.
CREATE INDEX keys_id ON keys (id);
CREATE INDEX notices_id ON notices (id) WHERE id IS NOT NULL;

-- Names past their time are found by walking the table, page by page (store/postgres/sweep.py).
DROP INDEX provider_names_seq;
