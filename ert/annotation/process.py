"""Work in a process of its own, of low priority, that can be stopped at any time."""

import os
import signal
import sys
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
        result, error, has_ended = None, "", False
        with suppress(EOFError, OSError):
            while True:
                kind, content = self._connection.recv()
                if kind == "message" and not self._stopped.is_set():
                    self._on_message(content)
                elif kind == "result":
                    result, has_ended = content, True
                elif kind == "error":
                    error, has_ended = content, True
        self._process.join()
        self._connection.close()
        if not has_ended:
            error = _reason(self._process.exitcode or 0)
        stopped = self._stopped.is_set()
        self._on_end(None if stopped else result, "" if stopped else error)


def _reason(exit_status: int) -> str:
    """Say why a process has ended without a result, and what to do."""
    if exit_status == -9:
        return "the system has ended it, most often because memory is short; close other programs, and try again"
    how = f"signal {-exit_status}" if exit_status < 0 else f"exit status {exit_status}"
    return f"its process has ended unexpectedly ({how}); try again, and if that fails as well, report it"


def _run(connection: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Run in the new process: send what happens."""
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
        send("error", "there is too little memory; close other programs, and try again")
    except Exception as error:
        fault = one_line(f"{type(error).__name__}: {error}")
        send("error", f"a fault of ert ({fault}); try again, and if that fails as well, report it")
    # Without what Python does at its end: threads that go on meanwhile may make it fail with a page of messages.
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)


def _end_with_parent(connection: Connection) -> None:
    # Nothing is ever sent to this process.
    with suppress(EOFError, OSError):
        connection.recv()
    os._exit(1)
