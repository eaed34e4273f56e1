#!/usr/bin/env python3
"""A store that runs full: whoever delivers is told, nothing that was acknowledged is lost,
and half a message is never a message."""
import contextlib
import errno
import os
import time

from support import letter, lib


@contextlib.contextmanager
def small_store(limits):
    """(store, mount) where the store lies on a file system of its own."""
    with lib.scratch() as folder:
        disk = os.path.join(folder, 'disk')
        os.mkdir(disk)
        lib.run('mount', '-t', 'tmpfs', '-o', limits, 'tmpfs', disk)
        try:
            store = lib.Maildir(os.path.join(disk, 'store'))
            with lib.Mount(folder, store.path) as mount:
                yield disk, store, mount
                mount.unmount()
        finally:
            lib.run('umount', '-l', disk)


def left_in_tmp(store):
    return os.listdir(os.path.join(store.path, 'tmp'))


def half_a_message_is_not_delivered():
    with small_store('size=1m') as (_, store, mount):
        inbox = mount.box('INBOX')
        for name in ('plain', '.draft'):
            fd = os.open(os.path.join(inbox, name), os.O_WRONLY | os.O_CREAT)
            os.write(fd, letter(b'half'))
            lib.refused(errno.ENOSPC, 'writing', lambda: [os.write(fd, letter(b'x', 65000))
                                                          for _ in range(32)])
            lib.refused(errno.ENOSPC, 'closing', os.close, fd)
            lib.same(lib.uids(inbox), [], 'after ' + name)
            lib.wait_until(lambda: not left_in_tmp(store), 5, 'no room is taken')
        with open(inbox + '/plain', 'wb') as f:
            f.write(letter(b'whole'))
        lib.same(lib.uids(inbox), [1], 'the same name again')


def written_anew_it_is_whole():
    """Who starts over on the same descriptor delivers."""
    with small_store('size=1m') as (_, _, mount):
        inbox = mount.box('INBOX')
        fd = os.open(inbox + '/x', os.O_WRONLY | os.O_CREAT)
        lib.refused(errno.ENOSPC, 'writing', lambda: [os.write(fd, letter(b'x', 65000))
                                                      for _ in range(32)])
        os.ftruncate(fd, 0)
        os.pwrite(fd, letter(b'small'), 0)
        os.close(fd)
        lib.same(lib.text_of(inbox + '/1.eml'), lib.wire_of(letter(b'small')), 'the second try')


def what_was_acknowledged_waits_for_room():
    """No inode is left for what the delivery needs: it stays staged, over the end of the
    daemon too, and is delivered once."""
    for restart in (False, True):
        with small_store('nr_inodes=64') as (disk, store, mount):
            inbox = mount.box('INBOX')
            os.listdir(inbox)
            fd = os.open(inbox + '/kept', os.O_WRONLY | os.O_CREAT)
            os.write(fd, letter(b'kept'))
            os.fsync(fd)
            fill = []
            try:
                while True:
                    fill.append('%s/fill%d' % (disk, len(fill)))
                    os.close(os.open(fill[-1], os.O_WRONLY | os.O_CREAT))
            except OSError as e:
                lib.same(e.errno, errno.ENOSPC, 'filling')
            os.close(fd)
            lib.same(lib.uids(inbox), [], 'while there is no room')
            lib.same(len(left_in_tmp(store)), 1, 'staged')
            if restart:
                mount.unmount()
                lib.same(len(left_in_tmp(store)), 1, 'staged over the end')
            for path in fill[:-1]:
                os.unlink(path)
            if restart:
                mount.start()
            lib.wait_until(lambda: lib.uids(mount.box('INBOX')) == [1], 20, 'the delivery')
            lib.same(lib.text_of(inbox + '/1.eml'), lib.wire_of(letter(b'kept')), 'its bytes')
            time.sleep(0.5)
            lib.same(lib.uids(inbox), [1], 'once')


if __name__ == '__main__':
    lib.run_tests([
        half_a_message_is_not_delivered,
        written_anew_it_is_whole,
        what_was_acknowledged_waits_for_room,
    ])
