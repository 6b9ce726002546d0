-- Which version of a template is the latest; `archived_at` when it is out of use.
CREATE TABLE templates (
  id TEXT COLLATE "C" PRIMARY KEY,
  version BIGINT NOT NULL,
  archived_at BIGINT
);

-- Versions never change. `source` is what was written (`digest` tells it from another), `made` what mails are made of.
CREATE TABLE template_versions (
  template TEXT COLLATE "C" NOT NULL,
  version BIGINT NOT NULL,
  subject TEXT,
  at BIGINT NOT NULL,
  "by" TEXT NOT NULL,
  digest BYTEA NOT NULL,
  source BYTEA NOT NULL,
  made BYTEA NOT NULL,
  PRIMARY KEY (template, version)
);
