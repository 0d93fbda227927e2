"""Functions that tests run in processes of their own, which import them from here."""

import os
import threading
import warnings


def double(send, number):
    send({"half": number})
    return 2 * number


def priority(send):
    return os.nice(0)


def fail(send, error):
    raise error


def warn(send):
    warnings.warn("divide by zero", RuntimeWarning, stacklevel=1)


def leave(send, status):
    os._exit(status)


def wait_for_ever(send):
    send(os.getpid())
    threading.Event().wait()
