"""Contacts over HTTP: written many at a time, listed by role, forgotten, fetched as a file (`/api/emails/contacts…`)."""
