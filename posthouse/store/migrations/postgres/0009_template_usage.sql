-- Which campaigns used a template, the newest first.
ALTER TABLE campaigns ADD COLUMN template TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE campaigns SET template = record::json ->> 'template';
CREATE INDEX campaigns_template ON campaigns (template, created_at, id);
