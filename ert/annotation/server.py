"""The server of ``ert annotate``: its routes, and how it is run until it is interrupted."""

import logging
import secrets
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Collection, Sequence
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

PAGE = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
# Of an address that others may have: open connections end with the server.
_SHUTDOWN_SECONDS = 2
_SWITCH_SECONDS = 0.001
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
        route("/api/checks", POST=api.post_checks),
        route("/api/measure", POST=api.post_measure),
        route("/api/disk", POST=api.post_disk),
        route("/api/repeatability", GET=api.get_repeatability),
    ]
    handlers: Any = {
        HTTPException: lambda request, error: _error(error.status_code, str(error.detail), error.headers),
        Refused: lambda request, error: _error(error.status, str(error), error.headers),
        Exception: lambda request, error: _error(500, f"a fault of ert annotate: {type(error).__name__}"),
    }
    middleware = [Middleware(Guard, token=token, hosts=hosts)]
    return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)


def _endpoint(answers: dict[str, Answer], project: Project) -> Callable[["Request"], Any]:
    """Return the function that reads a request, answers it in a thread, and turns errors into answers."""
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse, Response

    async def endpoint(request: "Request") -> Response:
        answer = answers["GET" if request.method == "HEAD" else request.method]
        body = await read_body(request.receive) if request.method in ("PUT", "POST") else b""
        call = Call(_photo(request, project), dict(request.query_params), parse_json(body) if body else {})
        try:
            result = await run_in_threadpool(answer, call)
            if isinstance(result, bytes):
                return _tagged(result, "image/jpeg", request)
            return JSONResponse(result)
        except Changed as changed:
            return JSONResponse({"error": str(changed), "photo": changed.photo}, 409)
        except InputError as error:
            return _error(400, str(error))
        except Refused:
            raise
        except Exception as error:
            logging.getLogger("ert").exception("%s %s", request.method, request.scope["path"])
            return _error(500, f"a fault of ert annotate: {type(error).__name__}")

    return endpoint


def _photo(request: "Request", project: Project) -> int:
    text = request.path_params.get("id", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS and int(text) < len(project)):
        raise Refused(404, "no photo of this number")
    return int(text)


def _error(status: int, text: str, headers: Any = None) -> "Response":
    from starlette.responses import JSONResponse

    return JSONResponse({"error": text}, status, headers)


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
    config = uvicorn.Config(
        make(token, hosts),
        log_level="warning",
        access_log=False,
        ws="none",
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    address = f"http://{shown}:{port}/?token={token}"

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    # The file is written in a thread, which is to delay answers by less than the 5 ms that are usual.
    usual = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    before = {number: signal.signal(number, interrupt) for number in _signals()}
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
        for number, handler in before.items():
            signal.signal(number, handler)
        listening.close()


def _signals() -> list[signal.Signals]:
    """Return the signals that end the server, in the main thread, which alone may handle them."""
    is_main = threading.current_thread() is threading.main_thread()
    return [signal.SIGINT, signal.SIGTERM] if is_main else []
