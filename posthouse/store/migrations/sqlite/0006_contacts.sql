-- Who may be written to. `key` is the address in lower case, what tells contacts apart and what they are listed by;
-- `roles` and `attributes` are JSON.
CREATE TABLE contacts (
  key TEXT PRIMARY KEY,
  email TEXT NOT NULL,
  name TEXT NOT NULL,
  roles TEXT NOT NULL,
  attributes TEXT NOT NULL,
  consent_when TEXT NOT NULL,
  consent_how TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The people of a role, by address: an audience is a range of it.
CREATE TABLE contact_roles (
  role TEXT NOT NULL,
  key TEXT NOT NULL,
  PRIMARY KEY (role, key)
) STRICT, WITHOUT ROWID;

-- How many have a role, kept by the writers; `*` is everybody.
CREATE TABLE contact_counts (
  role TEXT PRIMARY KEY,
  n INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO contact_counts (role, n) VALUES ('*', 0);
