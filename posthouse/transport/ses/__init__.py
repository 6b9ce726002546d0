"""The transport `ses://`: Amazon SES, API v2 (SendEmail with the whole mail), signed by botocore, sent by httpx2."""

from posthouse.transport.ses.options import SesOptions, read_options
from posthouse.transport.ses.transport import SesTransport

__all__ = ["SesOptions", "SesTransport", "read_options"]
