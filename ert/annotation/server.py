"""The server of ``ert annotate``: its routes, and how it is run until it is interrupted."""

import json
import logging
import secrets
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ert._core.exceptions import InputError
from ert.annotation.api import Api, Call, Changed
from ert.annotation.project import Project
from ert.annotation.second_round import SecondRound
from ert.annotation.security import (
    ANY_ADDRESS,
    MAX_DIGITS,
    Guard,
    Refused,
    cookie_name,
    is_token,
    parse_json,
    read_body,
)
from ert.annotation.storage import Saver

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from uvicorn import Config

PAGE = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
# Of an address that others may have: open connections end with the server.
_SHUTDOWN_SECONDS = 2
_SWITCH_SECONDS = 0.001
# In which a connection must have sent the beginning of a request.
_REQUEST_SECONDS = 15.0
Answer: TypeAlias = Callable[[Call], Any]


def make_app(
    project: Project,
    assistant: Any,
    checker: Any,
    *,
    token: str,
    hosts: Collection[str],
    saver: Saver | None = None,
    notes: Sequence[str] = (),
    second_round: SecondRound | None = None,
) -> "Starlette":
    """Return the application.

    Parameters
    ----------
    project, assistant, checker, saver, notes, second_round
        See `Api`.
    token : str
        What every request must bring.
    hosts : collection of str
        Values of the header Host that are served, such as "127.0.0.1:8000".
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.routing import Route

    api = Api(project, assistant, checker, saver=saver, notes=notes, second_round=second_round)
    # The names are fixed now: no path of a request is ever joined to a folder.
    files = {path.name: path for path in sorted(PAGE.iterdir()) if path.suffix in _TYPES} if PAGE.is_dir() else {}

    def get_page(request: "Request") -> "Response":
        given = request.query_params.get("token")
        return _file(files.get("index.html"), request) if given is None else _enter(request, given, token)

    def get_static(request: "Request") -> "Response":
        return _file(files.get(request.path_params["name"]), request)

    def route(path: str, **answers: Answer) -> Route:
        return Route(path, _endpoint(answers, project), methods=[*answers])

    routes = [
        Route("/", get_page),
        Route("/static/{name}", get_static),
        route("/api/project", GET=api.get_project, PUT=api.put_project),
        route("/api/status", GET=api.get_status),
        route("/api/photos", GET=api.get_photos),
        route("/api/photos/{id}", GET=api.get_photo, PUT=api.put_photo),
        route("/api/photos/{id}/next", GET=api.get_next),
        route("/api/photos/{id}/image", GET=api.get_image),
        route("/api/photos/{id}/thumbnail", GET=api.get_thumbnail),
        route("/api/photos/{id}/proposal", GET=api.get_proposal),
        route("/api/photos/{id}/opinion", GET=api.get_opinion),
        route("/api/train", POST=api.post_train, DELETE=api.delete_train),
        route("/api/checks", POST=api.post_checks, DELETE=api.delete_checks),
        route("/api/measure", POST=api.post_measure),
        route("/api/disk", POST=api.post_disk),
        route("/api/repeatability", GET=api.get_repeatability),
    ]
    handlers: Any = {
        HTTPException: lambda request, error: _error(error.status_code, str(error.detail), error.headers),
        Refused: lambda request, error: _error(error.status, str(error), error.headers),
        Exception: _fault,
    }
    middleware = [Middleware(Guard, token=token, hosts=hosts)]
    return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)


def _endpoint(answers: dict[str, Answer], project: Project) -> Callable[["Request"], Any]:
    """Return the function that reads a request, answers it in a thread, and turns errors into answers."""
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import Response

    async def endpoint(request: "Request") -> Response:
        answer = answers["GET" if request.method == "HEAD" else request.method]
        body = await read_body(request.receive) if request.method in ("PUT", "POST") else b""
        call = Call(_photo(request, project), dict(request.query_params), parse_json(body) if body else {})
        try:
            result = await run_in_threadpool(answer, call)
            if isinstance(result, bytes):
                return _tagged(result, "image/jpeg", request)
            return _json(result)
        except Changed as changed:
            return _json({"error": str(changed), "photo": changed.photo}, 409)
        except InputError as error:
            return _error(400, str(error))
        except Refused:
            raise
        except Exception as error:
            return _fault(request, error)

    return endpoint


def _photo(request: "Request", project: Project) -> int:
    text = request.path_params.get("id", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS and int(text) < len(project)):
        raise Refused(404, "no photo of this number")
    return int(text)


def _fault(request: "Request", error: Exception) -> "Response":
    logging.getLogger("ert").error("%s %s", request.method, request.scope["path"], exc_info=error)
    return _error(500, f"a fault of ert annotate: {type(error).__name__}")


def _error(status: int, text: str, headers: Any = None) -> "Response":
    return _json({"error": text}, status, headers)


def _json(data: Any, status: int = 200, headers: Any = None) -> "Response":
    from starlette.responses import Response

    # In ASCII: names of files may have bytes that are no text.
    body = json.dumps(data, allow_nan=False, separators=(",", ":")).encode()
    return Response(body, status, headers, "application/json")


def _file(path: Path | None, request: "Request") -> "Response":
    if path is None:
        raise Refused(404, "no such file")
    return _tagged(path.read_bytes(), _TYPES[path.suffix], request)


def _tagged(data: bytes, kind: str, request: "Request") -> "Response":
    """Return an answer that a browser may keep, but asks about each time: numbers of photos change with servers."""
    from starlette.responses import Response

    tag = f'"{blake2b(data, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=kind, headers=headers)


def _enter(request: "Request", given: str, token: str) -> "Response":
    """Give the token in the address to the browser as a cookie, and go on without it in the address."""
    from starlette.responses import RedirectResponse

    if not is_token(given, token.encode()):
        raise Refused(401, "no or a wrong token: open the address that ert annotate has printed")
    response = RedirectResponse("/", 303)
    response.set_cookie(cookie_name(request.headers["host"]), token, httponly=True, samesite="strict")
    return response


# --- running ---


def require_packages() -> None:
    """Raise InputError when the packages of the server are not installed."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise InputError(f'needs {error.name}: pip install "ert-landmarks[annotate]"') from None


def open_socket(host: str, port: int | None, default: int) -> socket.socket:
    """Return a socket that listens; without a port the default one, or any if that is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wanted = [default, 0] if port is None else [port]
    for each in wanted:
        listening = socket.socket(family)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, each))
            listening.listen(128)
            return listening
        except (OSError, OverflowError) as error:
            listening.close()
            reason = getattr(error, "strerror", None) or str(error)
            if each == wanted[-1]:
                raise InputError(f"--host {host} --port {each}: cannot listen there: {reason}") from None
    raise AssertionError


def server_config(app: Any) -> "Config":
    """Return how an application is served: nothing that strangers send fills the terminal or keeps a connection."""
    import uvicorn
    from h11 import LocalProtocolError
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Protocol(H11Protocol):
        """HTTP without messages about requests that are none, for connections that send one soon."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.loop.call_later(_REQUEST_SECONDS, self._end_if_idle, None)

        def data_received(self, data: bytes) -> None:
            try:
                super().data_received(data)
            except Exception:
                self.transport.abort()

        def _end_if_idle(self, before: object) -> None:
            """End the connection if no request has come since the one before."""
            if self.transport.is_closing():
                return
            if self.cycle is before and (self.cycle is None or self.cycle.response_complete):
                self.transport.abort()
            else:
                self.loop.call_later(_REQUEST_SECONDS, self._end_if_idle, self.cycle)

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        async def send_if_open(message: Any) -> None:
            # A client may break off within its request.
            with suppress(LocalProtocolError):
                await send(message)

        await app(scope, receive, send_if_open)

    return uvicorn.Config(
        answer,
        http=Protocol,
        log_level="critical",
        access_log=False,
        ws="none",
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


def serve(
    make: Callable[[str, Collection[str]], Any],
    listening: socket.socket,
    *,
    host: str = "127.0.0.1",
    announce: Callable[[str], object] = print,
    browser: bool = True,
) -> None:
    """Serve an application until the process is interrupted or told to end.

    Parameters
    ----------
    make : callable
        Given the token and the values of the header Host, it returns the application.
    listening : socket.socket
    host : str
        What the socket is bound to.
    announce : callable
        Called with the address, which has the token in it.
    browser : bool
        Whether to open the address in the browser of the user.
    """
    import uvicorn

    token = secrets.token_urlsafe(24)
    port = listening.getsockname()[1]
    named = f"[{host}]" if ":" in host else host
    is_any = host in ("0.0.0.0", "::")
    shown = socket.gethostname() if is_any else named
    hosts = {f"{name}:{port}" for name in (*LOOPBACK, named, shown, *([ANY_ADDRESS] if is_any else []))}
    config = server_config(make(token, hosts))
    address = f"http://{shown}:{port}/?token={token}"

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    # The file is written in a thread, which is to delay answers by less than the 5 ms that are usual.
    usual = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    before = {number: signal.signal(number, interrupt) for number in _signals()}
    # It would print a page of lines, once a second, while strangers hold all connections.
    logger = logging.getLogger("asyncio")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        announce(address)
        if browser:
            # It may wait for the browser to end.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        sys.setswitchinterval(usual)
        logger.setLevel(level)
        for number, handler in before.items():
            signal.signal(number, handler)
        listening.close()


def _signals() -> list[signal.Signals]:
    """Return the signals that end the server, in the main thread, which alone may handle them."""
    is_main = threading.current_thread() is threading.main_thread()
    return [signal.SIGINT, signal.SIGTERM] if is_main else []
