-- Who did what, and when: only ever added to.
CREATE TABLE acts (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at BIGINT NOT NULL,
  "by" TEXT NOT NULL,
  act TEXT NOT NULL,
  about TEXT COLLATE "C" NOT NULL,
  detail TEXT NOT NULL
);

CREATE INDEX acts_about ON acts (about, id);

-- Who is not to be mailed. `address` is the email as it is compared; `lane` is both, transactional or bulk.
CREATE TABLE suppressions (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  address TEXT COLLATE "C" NOT NULL,
  lane TEXT COLLATE "C" NOT NULL,
  email TEXT NOT NULL,
  reason TEXT COLLATE "C" NOT NULL,
  note TEXT NOT NULL,
  expires_at BIGINT,
  "by" TEXT NOT NULL,
  at BIGINT NOT NULL,
  UNIQUE (address, lane)
);

CREATE INDEX suppressions_lane ON suppressions (lane);
CREATE INDEX suppressions_reason ON suppressions (reason, id);
CREATE INDEX suppressions_expiry ON suppressions (expires_at) WHERE expires_at IS NOT NULL;

INSERT INTO facts (name, value)
VALUES ('secret', replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''));
