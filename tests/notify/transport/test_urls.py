"""URLs are sent as they were entered, and their credentials as UTF-8."""

import base64

import pytest

from relay.domain.channel_types import DiscordChannel, WebhookChannel
from relay.domain.outcomes import Sent
from tests.fixtures.platforms import Platform
from tests.notify.sending import send


@pytest.mark.parametrize(
    "target",
    [
        "/hook?next=%2Fa%2Fb&x=%3D",
        "/a%2Fb/%7Euser/~user",
        "/a/../b/./c//d",
        "/hook?sig=a+b%20c&sig=%2b%2B",
        "/hook?plain/?:@!$'()*,;=[]|^`{}\"<>\\",
        "/%e4%C3%a4",
        "/hook?a=1&&b=&c",
        "/%25%32%46",
        "/a;b=c,d/$&+=:@",
    ],
)
async def test_path_and_query_arrive_byte_for_byte(target: str, platform: Platform) -> None:
    assert isinstance(await send(WebhookChannel, platform.url + target), Sent)
    assert [request.path for request in platform.received] == [target]


@pytest.mark.parametrize(
    ("given", "arrives"),
    [
        ("/straße?q=ü", "/stra%C3%9Fe?q=%C3%BC"),
        ("", "/"),
        ("?a=%2F", "/?a=%2F"),
        ("/hook#part", "/hook"),
        ("#part", "/"),
    ],
)
async def test_what_cannot_be_sent_as_it_is_is_encoded(given: str, arrives: str, platform: Platform) -> None:
    assert isinstance(await send(WebhookChannel, platform.url + given), Sent)
    assert [request.path for request in platform.received] == [arrives]


@pytest.mark.parametrize(
    ("given", "login"),
    [
        ("user:password", "user:password"),
        ("jürgen:пароль", "jürgen:пароль"),
        ("j%C3%BCrgen:%D0%BF%2F%40", "jürgen:п/@"),
        ("token", "token:"),
        (":secret", ":secret"),
    ],
)
async def test_credentials_are_sent_as_utf8(given: str, login: str, platform: Platform) -> None:
    url = platform.url.replace("://", f"://{given}@")
    assert isinstance(await send(WebhookChannel, f"{url}/hook"), Sent)
    [request] = platform.received
    assert request.path == "/hook"
    scheme, _, credentials = request.headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(credentials).decode()) == ("Basic", login)


async def test_a_discord_url_with_a_query_keeps_it(platform: Platform) -> None:
    await send(DiscordChannel, f"{platform.url}/hook/?thread_id=7&x=%2F", update_message=False)
    assert [request.path for request in platform.received] == ["/hook/?thread_id=7&x=%2F"]
