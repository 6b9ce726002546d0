-- Who may be written to. `key` is the address in lower case, what tells contacts apart and what they are listed by;
-- `roles` and `attributes` are JSON.
CREATE TABLE contacts (
  key TEXT COLLATE "C" PRIMARY KEY,
  email TEXT NOT NULL,
  name TEXT NOT NULL,
  roles TEXT NOT NULL,
  attributes TEXT NOT NULL,
  consent_when TEXT NOT NULL,
  consent_how TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

-- The people of a role, by address: an audience is a range of it.
CREATE TABLE contact_roles (
  role TEXT COLLATE "C" NOT NULL,
  key TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (role, key)
);

-- How many have a role, kept by the writers; `*` is everybody, and whoever writes contacts locks its row until the commit.
CREATE TABLE contact_counts (
  role TEXT COLLATE "C" PRIMARY KEY,
  n BIGINT NOT NULL
) WITH (fillfactor = 50);

INSERT INTO contact_counts (role, n) VALUES ('*', 0);
