-- Limits that hold across processes (posthouse.rate): what was counted of each in its window.
CREATE TABLE rates (
  name TEXT PRIMARY KEY,
  start REAL NOT NULL,
  before INTEGER NOT NULL,
  count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
