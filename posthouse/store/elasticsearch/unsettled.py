"""What a person settles on Elasticsearch: each mail by one compare-and-set."""

from collections.abc import Sequence

from posthouse.mail.message import Message
from posthouse.mail.unsettled import Resolution, Which, resolvable
from posthouse.mail.unsettled import resolve as settle
from posthouse.store.elasticsearch.change import Found, change
from posthouse.store.elasticsearch.session import Session


async def resolve(
    session: Session, ids: Sequence[str], how: Resolution, which: Which, by: str, expire: float
) -> list[Message]:
    """See the port."""

    def settled(each: Found, at: int) -> bool:
        if not resolvable(each.message, how, which) or (how == "retry" and not each.whole):
            return False
        settle(each.message, how, which, by, at, expire)
        return True

    return list((await change(session, ids, settled)).values())
