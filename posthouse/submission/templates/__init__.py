"""Templates of the catalog over HTTP: pushed, looked at, tried out, taken out of use (`/api/emails/templates/…`)."""
