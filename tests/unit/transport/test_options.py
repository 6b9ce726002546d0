from pathlib import Path

import pytest

from posthouse.transport.smtp import SmtpOptions, read_options


@pytest.mark.parametrize(
    ("url", "port", "tls", "user", "password"),
    [
        ("smtp://mail.example", 25, "opportunistic", None, None),
        ("smtp://mail.example/", 25, "opportunistic", None, None),
        ("smtp://mail.example:2525?tls=none", 2525, "none", None, None),
        ("smtp://u:p@mail.example", 587, "starttls", "u", "p"),
        ("smtp://u:p@mail.example:25?tls=none", 25, "none", "u", "p"),
        ("smtp://u%40d.example:p%2F%3F%23%40%3A@mail.example", 587, "starttls", "u@d.example", "p/?#@:"),
        ("smtp://mail.example:465", 465, "implicit", None, None),
        ("smtp://mail.example?tls=implicit", 465, "implicit", None, None),
        ("smtps://u:p@mail.example", 465, "implicit", "u", "p"),
        ("smtps://mail.example:2465", 2465, "implicit", None, None),
        ("smtp://mail.example:465?tls=none", 465, "none", None, None),
    ],
)
def test_a_url(url, port, tls, user, password):
    options = read_options(url)
    assert (options.host, options.port, options.tls) == ("mail.example", port, tls)
    assert (options.user, options.password) == (user, password)
    assert (options.connections, options.rate) == (10, None)


def test_numbers():
    options = read_options("smtp://[::1]:25?connections=3&rate=600/m")
    assert (options.host, options.connections, options.rate) == ("::1", 3, 10.0)
    assert options.name == "smtp://[::1]:25"


@pytest.mark.parametrize(
    ("url", "auth", "token_file"),
    [
        ("smtp://u:p@h", "password", None),
        ("smtp://u:p@h?auth=password", "password", None),
        ("smtp://u:p@h?auth=xoauth2", "xoauth2", None),
        ("smtp://u@h?auth=xoauth2&token_file=/run/a%20token", "xoauth2", Path("/run/a token")),
        ("smtp://u@h?auth=oauthbearer&token_file=token", "oauthbearer", Path("token")),
    ],
)
def test_access_tokens(url, auth, token_file):
    options = read_options(url)
    assert (options.auth, options.token_file, options.user) == (auth, token_file, "u")
    assert (options.password is None) == (token_file is not None)
    assert options.tls == "starttls"


@pytest.mark.parametrize(
    ("rate", "expected"), [("100/s", 100), ("90/minute", 1.5), ("3600/h", 1), ("0.5/s", 0.5)]
)
def test_rates(rate, expected):
    assert read_options(f"smtp://h?rate={rate}").rate == expected


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("http://mail.example", "smtp://"),
        ("smtp://", "host"),
        ("smtp://:25", "host"),
        ("smtp://h:0", "port"),
        ("smtp://h:99999", "port"),
        ("smtp://u:hunter2/x@h", "port"),
        ("smtp://u:12/hunter2@h", "percent-encode"),
        ("smtp://u:hunter2#x@h", "port"),
        ("smtp://u:hunter2?x@h", "port"),
        ("smtp://u:hunter2@h/path", "percent-encode"),
        ("smtp://u@h", "password"),
        ("smtp://:hunter2@h", "user"),
        ("smtp://u:hunter2%00@h", "control"),
        ("smtp://u:hunter2@h?tls=opportunistic", "credentials"),
        ("smtp://h?tls=ssl", "tls"),
        ("smtp://h?connections=0", "connections"),
        ("smtp://h?connections=x", "connections"),
        ("smtp://h?connections=100000", "connections"),
        ("smtp://h?rate=fast", "rate"),
        ("smtp://h?rate=0/s", "rate"),
        ("smtp://u:hunter2@h?pool=5", "pool"),
        ("smtp://h?tls=none&tls=none", "tls"),
        ("smtps://h?tls=none", "smtps"),
        ("smtp://u:hunter2@h?auth=oauth", "auth="),
        ("smtp://h?auth=xoauth2", "user"),
        ("smtp://h?auth=xoauth2&token_file=t", "user"),
        ("smtp://u@h?auth=xoauth2", "password"),
        ("smtp://u@h?token_file=t", "auth=xoauth2"),
        ("smtp://u:hunter2@h?auth=xoauth2&token_file=t", "one of them"),
        ("smtp://u@h?auth=xoauth2&token_file=", "token_file"),
        ("smtp://u%00@h?auth=xoauth2&token_file=t", "user without"),
        ("smtp://u@h?auth=xoauth2&token_file=t&tls=opportunistic", "credentials"),
    ],
)
def test_a_bad_url_is_named_and_the_password_is_not_shown(url, named):
    with pytest.raises(ValueError, match=named) as caught:
        read_options(url)
    assert "hunter2" not in str(caught.value)


def test_no_repr_shows_the_password():
    options = SmtpOptions(host="h", port=587, tls="starttls", user="u", password="hunter2")
    assert "hunter2" not in repr(options) + str(options) + options.name
