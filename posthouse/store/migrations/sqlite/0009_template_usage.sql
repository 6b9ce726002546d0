-- Which campaigns used a template, the newest first.
ALTER TABLE campaigns ADD COLUMN template TEXT NOT NULL DEFAULT '';
UPDATE campaigns SET template = json_extract(record, '$.template');
CREATE INDEX campaigns_template ON campaigns (template, created_at, id);
