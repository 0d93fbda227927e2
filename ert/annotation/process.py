"""Work in a process of its own, of low priority, that can be stopped at any time."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from ert._core.exceptions import InputError, one_line

# Of the scheduler: other programs go first.
NICENESS = 10


class Job:
    """A function that runs in a process of its own.

    Parameters
    ----------
    work : callable
        A function of a module. Its first argument is a function that sends a message here.
    *arguments : object
        Its other arguments.
    on_message : callable
        Called with each message, in a thread.
    on_end : callable
        Called once in that thread with what `work` returned and "", or with None and a line that says why there is no
        result; that line is "" too if the job was stopped.
    """

    def __init__(
        self,
        work: Callable[..., Any],
        *arguments: Any,
        on_message: Callable[[Any], object] = lambda message: None,
        on_end: Callable[[Any, str], object],
    ) -> None:
        self._on_message, self._on_end = on_message, on_end
        self._stopped = threading.Event()
        # A fork would copy the locks of other threads as they are.
        context = get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_run, args=(other, work, arguments), daemon=True)
        self._process.start()
        other.close()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the process at once; nothing is called any more, but `on_end`."""
        self._stopped.set()
        self._process.kill()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _listen(self) -> None:
        result, error = None, "it ended without a result"
        with suppress(EOFError, OSError):
            while True:
                kind, content = self._connection.recv()
                if kind == "message" and not self._stopped.is_set():
                    self._on_message(content)
                elif kind == "result":
                    result, error = content, ""
                elif kind == "error":
                    error = content
        self._process.join()
        self._connection.close()
        if error and self._process.exitcode and self._process.exitcode < 0:
            error = f"the process was ended by signal {-self._process.exitcode}; there may be too little memory"
        stopped = self._stopped.is_set()
        self._on_end(None if stopped else result, "" if stopped else error)


def _run(connection: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Run in the new process: send what happens."""
    import signal

    # Ctrl-C is for the server, which stops this process; and if the server is killed, this process ends too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(connection,), daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    lock = threading.Lock()

    def send(kind: str, content: Any) -> None:
        with lock, suppress(BrokenPipeError):
            connection.send((kind, content))

    try:
        send("result", work(lambda message: send("message", message), *arguments))
    except InputError as error:
        send("error", str(error))
    except MemoryError:
        send("error", "out of memory")
    except Exception as error:
        send("error", one_line(f"{type(error).__name__}: {error}"))


def _end_with_parent(connection: Connection) -> None:
    # Nothing is ever sent to this process.
    with suppress(EOFError, OSError):
        connection.recv()
    os._exit(1)
