-- Limits that hold across processes (posthouse.rate): what was counted of each in its window. Unlogged, so a lease costs no
-- write to the disk; a server that crashes begins the windows anew.
CREATE UNLOGGED TABLE rates (
  name TEXT COLLATE "C" PRIMARY KEY,
  start DOUBLE PRECISION,
  before BIGINT NOT NULL,
  count BIGINT NOT NULL
) WITH (fillfactor = 50);
