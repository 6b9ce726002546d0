"""What Schemathesis is to put where the document says `format: mailbox`."""

import schemathesis
from hypothesis import strategies as st

_WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=20)
_EMAIL = st.builds("{}@{}.example.org".format, _WORD, _WORD)

schemathesis.openapi.format("mailbox", _EMAIL | st.builds("{} <{}>".format, _WORD, _EMAIL))
