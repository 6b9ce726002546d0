"""The Postfix of scripts/services is what the journeys take it for."""

import smtplib
import ssl
from email.message import EmailMessage
from uuid import uuid4

import pytest

from tests.services import Postfix


def mail(postfix: Postfix, *people: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = f"sender@{postfix.domain}"
    message["To"] = ", ".join(f"{each}@{postfix.domain}" for each in people)
    message["Message-ID"] = f"<{uuid4()}@{postfix.domain}>"
    message.set_content("Horses are changed here.\n")
    return message


def test_it_takes_mail_over_starttls_with_credentials(postfix: Postfix) -> None:
    message = mail(postfix, "ann")
    with smtplib.SMTP("localhost", postfix.starttls) as client:
        client.starttls(context=ssl.create_default_context(cafile=postfix.ca))
        client.login(postfix.user, postfix.password)
        client.send_message(message)
    found = postfix.wait_for_mail(message["Message-ID"])
    assert found[f"ann@{postfix.domain}"].get_content() == "Horses are changed here.\n"


def test_it_takes_mail_over_implicit_tls(postfix: Postfix) -> None:
    message = mail(postfix, "ann", "bob")
    context = ssl.create_default_context(cafile=postfix.ca)
    with smtplib.SMTP_SSL(postfix.host, postfix.implicit, context=context) as client:
        client.login(postfix.user, postfix.password)
        client.send_message(message)
    found = postfix.wait_for_mail(message["Message-ID"], recipients=2)
    assert set(found) == {f"ann@{postfix.domain}", f"bob@{postfix.domain}"}


def test_it_wants_credentials_on_the_tls_ports(postfix: Postfix) -> None:
    with smtplib.SMTP(postfix.host, postfix.starttls) as client:
        client.starttls(context=ssl.create_default_context(cafile=postfix.ca))
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(postfix.user, "wrong")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.send_message(mail(postfix, "ann"))


def test_it_refuses_and_defers_by_address(postfix: Postfix) -> None:
    message = mail(postfix, "ann", "refused", "later")
    with smtplib.SMTP(postfix.host, postfix.plain) as client:
        refused = client.send_message(message)
    assert {address.split("@")[0]: reply[0] for address, reply in refused.items()} == {
        "refused": 550,
        "later": 450,
    }
    assert set(postfix.wait_for_mail(message["Message-ID"])) == {f"ann@{postfix.domain}"}


def test_nothing_leaves_the_machine(postfix: Postfix) -> None:
    message = mail(postfix)
    message.replace_header("To", "somebody@example.com")
    with (
        smtplib.SMTP(postfix.host, postfix.plain) as client,
        pytest.raises(smtplib.SMTPRecipientsRefused),
    ):
        client.send_message(message)
