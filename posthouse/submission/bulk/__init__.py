"""Bulk sends over HTTP: what begins one, what steers it, and what tells how it goes (DESIGN §6, `/api/emails/…`)."""
