-- Mail that is left for a person: a recipient of it is in doubt, or failed. The record's own bytes tell: "state" and the
-- word as MessagePack has them, a5 and a7 or a6 before them; in UTF-8 no text of a mail can have such bytes there.
CREATE INDEX messages_unknown ON messages
  ((CASE WHEN position('\xa57374617465a7756e6b6e6f776e'::bytea IN record) > 0 THEN 'unknown' END), seq)
  WHERE (CASE WHEN position('\xa57374617465a7756e6b6e6f776e'::bytea IN record) > 0 THEN 'unknown' END) IS NOT NULL;
CREATE INDEX messages_failed ON messages
  ((CASE WHEN position('\xa57374617465a66661696c6564'::bytea IN record) > 0 THEN 'failed' END), seq)
  WHERE (CASE WHEN position('\xa57374617465a66661696c6564'::bytea IN record) > 0 THEN 'failed' END) IS NOT NULL;
