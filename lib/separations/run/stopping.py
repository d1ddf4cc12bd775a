"""Signals that ask a run to stop: heard whenever they come, and only once.

An exception that a signal raises can be lost: Python drops it where it falls into the end of an object's life or into a callback
of an import. So the signal is sent again, until whoever catches `Stopped` says `heard`; from then on nothing cuts the clean-up short.
"""

import contextlib
import os
import signal
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT)
AGAIN = 0.5  # seconds after which a signal that nobody heard is sent again
_waiting: set[threading.Timer] = set()


class Stopped(KeyboardInterrupt):
    """A signal asked this process to stop; `signum` says which."""

    def __init__(self, signum: int):
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


def stop_on_signals() -> None:
    """From here on SIGTERM and SIGINT raise `Stopped` in the main thread. To be called there."""
    for signum in SIGNALS:
        signal.signal(signum, _stop)


def heard() -> None:
    """Called by whoever caught `Stopped`: further signals of either kind are ignored while it cleans up."""
    while _waiting:
        _waiting.pop().cancel()
    if threading.current_thread() is threading.main_thread():
        for signum in SIGNALS:
            if signal.getsignal(signum) is _stop:
                signal.signal(signum, signal.SIG_IGN)


def _stop(signum: int, frame) -> None:
    again = threading.Timer(AGAIN, _send, (signum,))
    again.daemon = True
    _waiting.add(again)
    with contextlib.suppress(RuntimeError):  # no new thread at the end of the process
        again.start()
    raise Stopped(signum)


def _send(signum: int) -> None:
    if signal.getsignal(signum) is _stop:
        os.kill(os.getpid(), signum)
