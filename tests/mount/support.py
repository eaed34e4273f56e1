"""For the suites in tests/mount: finds tests/wire/lib.py, and one store with its mount."""
import contextlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../wire'))
import lib  # noqa: E402


@contextlib.contextmanager
def mounted(*options, messages=(), user=None, before=None):
    """(store, mount) on a scratch folder; `before(store)` may plant things first."""
    with lib.scratch() as folder:
        path = os.path.join(folder, 'store')
        store = lib.Maildir(path, uid=user.pw_uid if user else None)
        for stored in messages:
            store.deliver(stored, info=':2,')
        if before:
            before(store)
        with lib.Mount(folder, path, *options, user=user) as mount:
            yield store, mount
            mount.unmount()


def letter(tag, size=0):
    """A small message with LF lines; with `size`, of that many octets more."""
    return (b'From: ann@example.org\nSubject: %s\n\nthis is %s\n.\n' % (tag, tag) +
            (b'0123456789abcdef' * 4)[:63].ljust(63, b'x').replace(b'f', b'\n') * (size // 63))
