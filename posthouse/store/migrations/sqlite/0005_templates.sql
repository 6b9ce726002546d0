-- Which version of a template is the latest; `archived_at` when it is out of use.
CREATE TABLE templates (
  id TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  archived_at INTEGER
) STRICT;

-- Versions never change. `source` is what was written (`digest` tells it from another), `made` what mails are made of.
CREATE TABLE template_versions (
  template TEXT NOT NULL,
  version INTEGER NOT NULL,
  subject TEXT,
  at INTEGER NOT NULL,
  "by" TEXT NOT NULL,
  digest BLOB NOT NULL,
  source BLOB NOT NULL,
  made BLOB NOT NULL,
  PRIMARY KEY (template, version)
) STRICT;
