"""What the server takes from requests: only those of its own page, of bounded size, and JSON of the right form."""

import hmac
import json
import math
import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Any, TypeAlias

import numpy as np

from ert._core.exceptions import InputError, printable, quoted
from ert.annotation.project import STATUSES, Marked, PhotoState
from ert.datasets.parsing import check_name

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 2_000_000
MAX_OBJECTS = 1000
MAX_ID_CHARACTERS = 1000
MIN_SCALE, MAX_SCALE = 1e-15, 1e9
# Of numbers in addresses.
MAX_DIGITS = 9
# Landmarks may lie beside the photo, by at most this many of its sizes.
MAX_IMAGE_SIZES = 10
_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")
# In place of a name, for a server of all addresses of the machine: any number is served.
ANY_ADDRESS = "*"
_SAFE_METHODS = ("GET", "HEAD")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Refused(Exception):  # noqa: N818
    """A request that is answered with an error: its status, and one line."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(printable(text, 300))
        self.status = status
        # What else comes of a body that is too long is not read.
        self.headers = {"Connection": "close"} if status == 413 else {}


class Guard:
    """Lets only requests of the page to the application; every answer gets the headers that protect the page.

    Parameters
    ----------
    app : ASGI application
    token : str
        Every request must have it, as a cookie or in the header Authorization.
    hosts : collection of str
        The values of the header Host that are served, with the port. Others come from a page of another site whose
        name leads to this machine.
    """

    def __init__(self, app: App, *, token: str, hosts: Collection[str]) -> None:
        self._app, self._token, self._hosts = app, token.encode(), frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                present = {name.lower() for name, _ in headers}
                added = {**HEADERS, "Cache-Control": "no-store"}
                headers += [
                    (name.lower().encode(), value.encode())
                    for name, value in added.items()
                    if name.lower().encode() not in present
                ]
                message = {**message, "headers": headers}
            await send(message)

        try:
            check_request(scope, self._hosts, self._token)
        except Refused as refused:
            await send_error(send_with_headers, refused.status, str(refused))
            return
        await self._app(scope, receive, send_with_headers)


def check_request(scope: Message, hosts: Collection[str], token: bytes) -> None:
    """Raise Refused for a request that does not come from the page."""
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    method, given = scope["method"], dict(headers)
    host = [value.lower() for name, value in headers if name == "host"]
    if len(host) != 1 or not is_served(host[0], hosts):
        raise Refused(403, "unknown host: open the address that ert annotate has printed")
    if method not in _METHODS:
        raise Refused(405, f"method {method}, expected {', '.join(_METHODS)}")
    is_entry = scope["path"] == "/" and method in _SAFE_METHODS
    # The link may be opened from anywhere: it brings the token with it.
    if not is_entry and given.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refused(403, "a request from another site")
    origin = given.get("origin")
    if origin is not None and origin.lower() != f"http://{host[0]}":
        raise Refused(403, "a request from another site")
    if is_entry and b"token=" in scope["query_string"]:
        return
    if not is_authorized(given, host[0], token):
        raise Refused(401, "no or a wrong token: open the address that ert annotate has printed")
    kind = given.get("content-type", "").partition(";")[0].strip().lower()
    has_body = given.get("content-length", "0") != "0" or "transfer-encoding" in given
    if method in ("PUT", "POST") and has_body and kind != "application/json":
        raise Refused(415, f"a body of type {kind or 'unknown'}, expected application/json")


def is_served(host: str, hosts: Collection[str]) -> bool:
    """Return whether a value of the header Host is among those that are served."""
    name, _, port = host.rpartition(":")
    if f"{ANY_ADDRESS}:{port}" in hosts:
        # A page of another site can give its own name an address of this machine, but not send a number as its name.
        with suppress(ValueError):
            ip_address(name.removeprefix("[").removesuffix("]"))
            return True
    return host in hosts and name != ANY_ADDRESS


def is_authorized(headers: dict[str, str], host: str, token: bytes) -> bool:
    """Return whether the headers of a request have the token."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and is_token(bearer.strip(), token):
        return True
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(cookie_name(host))
    except CookieError:
        return False
    return cookie is not None and is_token(cookie.value, token)


def is_token(text: str, token: bytes) -> bool:
    """Return whether a text is the token, in a time that does not depend on how much of it is right."""
    return hmac.compare_digest(text.encode(errors="replace"), token)


def cookie_name(host: str) -> str:
    """Return the name of the cookie: cookies do not distinguish ports."""
    return f"ert_{host.rpartition(':')[2]}"


async def send_error(send: Send, status: int, text: str) -> None:
    """Answer with an error."""
    body = json.dumps({"error": printable(text, 500)}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        # What else comes of the request is not read.
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Receive) -> bytes:
    """Return the body of a request; it is not read further than the limit."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "the request ended before its body did")
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise Refused(413, f"more than {MAX_BODY_BYTES} bytes")
        if not message.get("more_body"):
            return bytes(body)


# --- JSON ---


def parse_json(body: bytes) -> dict[str, Any]:
    """Return the object in a body; Refused for anything else."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number")

    try:
        data = json.loads(body.decode("utf-8"), parse_constant=refuse)
    except RecursionError:
        raise Refused(400, "invalid JSON: lists or objects nested too deep") from None
    except UnicodeDecodeError:
        raise Refused(400, "invalid JSON: bytes that are not text in UTF-8") from None
    except ValueError as error:
        raise Refused(400, f"invalid JSON: {error}") from None
    if not isinstance(data, dict):
        raise Refused(400, f"the body is {quoted(data)}, expected an object")
    return data


def read_integer(value: Any, what: str, low: int, high: int) -> int:
    """Return an integer of JSON within bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Refused(400, f"{what} is {quoted(value)}, expected an integer from {low} to {high}")
    return value


def read_query(text: str | None, what: str, default: int, low: int, high: int) -> int:
    """Return an integer of a query; outside of the bounds, Refused."""
    if text is None:
        return default
    if not re.fullmatch(r"-?[0-9]{1,9}", text, re.ASCII) or not low <= int(text) <= high:
        raise Refused(400, f"{what} is {quoted(text)}, expected an integer from {low} to {high}")
    return int(text)


def _read_number(value: Any, what: str, low: float, high: float) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # Before a conversion, which fails for huge integers.
    if not is_number or not low <= value <= high or not math.isfinite(value):
        raise Refused(400, f"{what} is {quoted(value)}, expected a number from {low:g} to {high:g}")
    return float(value)


def _read_list(value: Any, what: str, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise Refused(400, f"{what}: {quoted(value)}, expected a list of at most {most}")
    return value


def read_state(data: dict[str, Any], n_landmarks: int, size: tuple[int, int]) -> PhotoState:
    """Return the state of a photo in the body of a request; Refused where its form is not right.

    Parameters
    ----------
    data : dict
        "status", "objects" and "scale".
    n_landmarks : int
    size : (int, int)
        Width and height of the photo.
    """
    status = data.get("status")
    if status not in STATUSES:
        raise Refused(400, f"status is {quoted(status)}, expected one of {', '.join(STATUSES)}")
    scale = data.get("scale")
    if scale is not None:
        scale = _read_number(scale, "scale", MIN_SCALE, MAX_SCALE)
    objects = read_objects(data.get("objects"), n_landmarks, size)
    return PhotoState(status, objects, scale)


def read_objects(data: Any, n_landmarks: int, size: tuple[int, int]) -> tuple[Marked, ...]:
    """Return the objects in the body of a request; Refused where their form is not right."""
    found = _read_list(data, "objects", MAX_OBJECTS)
    return tuple(_read_object(each, f"objects[{k}]", n_landmarks, size) for k, each in enumerate(found))


def _read_object(data: Any, here: str, n_landmarks: int, size: tuple[int, int]) -> Marked:
    if not isinstance(data, dict):
        raise Refused(400, f"{here} is {quoted(data)}, expected an object")
    points = _read_list(data.get("landmarks"), f"{here}: landmarks", n_landmarks)
    if len(points) != n_landmarks:
        raise Refused(400, f"{here}: {len(points)} landmarks, expected {n_landmarks}")
    landmarks = np.full((n_landmarks, 2), np.nan)
    for k, point in enumerate(points):
        if point is not None:
            landmarks[k] = _read_point(point, f"{here}: landmark {k}", size)
    hidden = _read_list(data.get("hidden", []), f"{here}: hidden", n_landmarks)
    marks = frozenset(read_integer(k, f"{here}: hidden", 0, n_landmarks - 1) for k in hidden)
    missing = _read_list(data.get("missing", []), f"{here}: missing", n_landmarks)
    lacking = {read_integer(k, f"{here}: missing", 0, n_landmarks - 1) for k in missing}
    # One that is marked is not missing.
    lacking = {k for k in lacking if points[k] is None}
    box, id = _read_box(data.get("box"), here, size), _read_id(data.get("id", ""), here)
    return Marked(landmarks, marks, box, id, frozenset(lacking))


def _read_point(point: Any, here: str, size: tuple[int, int]) -> list[float]:
    if not isinstance(point, list) or len(point) != 2:
        raise Refused(400, f"{here} is {quoted(point)}, expected x and y, or null")
    return [
        _read_number(value, f"{here}: {name}", -MAX_IMAGE_SIZES * length, MAX_IMAGE_SIZES * length)
        for value, name, length in zip(point, "xy", size, strict=True)
    ]


def _read_box(box: Any, here: str, size: tuple[int, int]) -> Any:
    if box is None:
        return None
    if not isinstance(box, list) or len(box) != 4:
        raise Refused(400, f"{here}: box is {quoted(box)}, expected left, top, width, height, or null")
    most = 2 * MAX_IMAGE_SIZES * max(size)
    numbers = [_read_number(value, f"{here}: box", -most, most) for value in box]
    if min(numbers[2:]) < 1e-3:
        raise Refused(400, f"{here}: the box is {numbers[2]:g} wide and {numbers[3]:g} high, expected more than 0")
    return np.array(numbers)


def _read_id(id: Any, here: str) -> str:
    if not isinstance(id, str) or len(id) > MAX_ID_CHARACTERS:
        raise Refused(400, f"{here}: id is {quoted(id)}, expected a text of at most {MAX_ID_CHARACTERS} characters")
    try:
        return id and check_name(id, "a table")
    except InputError as error:
        raise Refused(400, f"{here}: id: {error}") from None


def read_names(data: Any, n: int) -> list[str]:
    """Return the new names of landmarks in the body of a request."""
    names = _read_list(data, "landmarks", n)
    if len(names) != n or not all(isinstance(name, str) and len(name) <= MAX_ID_CHARACTERS for name in names):
        raise Refused(400, f"landmarks: expected {n} names")
    return names
