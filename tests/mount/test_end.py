#!/usr/bin/env python3
"""The end of a mount that is in use: taken out of the tree, and those who have something
open are served on for a while."""
import errno
import os
import signal

from support import letter, lib, mounted

SIZE = 1 << 21


def who_has_a_message_open_reads_on():
    stored = letter(b'big', SIZE)
    want = lib.wire_of(stored)
    with mounted(messages=[stored]) as (_, mount):
        fd = os.open(mount.box('INBOX', '1.eml'), os.O_RDONLY | os.O_DIRECT)
        try:
            daemon = mount.process
            daemon.send_signal(signal.SIGTERM)
            lib.wait_until(lambda: not os.path.ismount(mount.path), 10, 'unmounted')
            got = b''
            while part := os.read(fd, 1 << 16):
                got += part
            lib.same(got, want, 'read after the end of the mount')
        finally:
            os.close(fd)
        lib.same(daemon.wait(5), 0, 'exit status')


def who_never_lets_go_is_left():
    with mounted(messages=[letter(b'1')]) as (_, mount):
        fd = os.open(mount.box('INBOX'), os.O_RDONLY)
        try:
            daemon = mount.process
            daemon.send_signal(signal.SIGTERM)
            lib.same(daemon.wait(30), 0, 'exit status')
            lib.refused((errno.ENOTCONN, errno.ECONNABORTED), 'listing', os.listdir, fd)
        finally:
            os.close(fd)


if __name__ == '__main__':
    lib.run_tests([
        who_has_a_message_open_reads_on,
        who_never_lets_go_is_left,
    ])
