-- Mail that is left for a person: a recipient of it is in doubt, or failed. The record's own text tells; in it no text of
-- a mail can look the same, since quotes within one are escaped.
CREATE INDEX messages_unknown ON messages (seq) WHERE instr(record, '"state":"unknown"') > 0;
CREATE INDEX messages_failed ON messages (seq) WHERE instr(record, '"state":"failed"') > 0;
