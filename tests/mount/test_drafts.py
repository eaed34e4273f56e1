#!/usr/bin/env python3
"""Files that are being written, when something happens to them meanwhile."""
import errno
import os

from support import letter, lib, mounted


def begin(path, octets=b''):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(fd, octets)
    return fd


def a_mailbox_that_somebody_writes_to_stays():
    with mounted() as (_, mount):
        box = mount.box('Box')
        os.mkdir(box)
        fd = begin(box + '/new')
        lib.refused(errno.ENOTEMPTY, 'rmdir', os.rmdir, box)
        os.write(fd, letter(b'late'))
        os.close(fd)
        lib.same(lib.text_of(box + '/1.eml'), lib.wire_of(letter(b'late')), 'delivered')
        os.unlink(box + '/1.eml')
        os.close(begin(box + '/empty'))
        os.rmdir(box)	# nobody writes there any more


def what_was_durable_is_so_in_the_other_mailbox():
    """fsync, mv to another mailbox while it is open, kill -9."""
    with lib.scratch() as folder:
        store = lib.Maildir(os.path.join(folder, 'store'))
        mount = lib.Mount(folder, store.path)
        try:
            os.mkdir(mount.box('Box'))
            fd = begin(mount.box('INBOX/a'), letter(b'moved'))
            os.fsync(fd)
            os.rename(mount.box('INBOX/a'), mount.box('Box/a'))
            mount.crash()
            try:
                os.close(fd)
            except OSError:
                pass	# its daemon is dead
            mount.start()
            lib.same(lib.text_of(mount.box('Box/1.eml')), lib.wire_of(letter(b'moved')), 'Box')
            lib.same(lib.uids(mount.box('INBOX')), [], 'INBOX')
        finally:
            mount.stop()


def open_files_follow_a_renamed_mailbox():
    big = letter(b'big', 300000)
    with mounted() as (_, mount):
        os.mkdir(mount.box('A'))
        os.close(begin(mount.box('A/m'), big))
        message = os.open(mount.box('A/1.eml'), os.O_RDONLY)
        wire = os.open(mount.box('A/.mailtree/wire'), os.O_RDONLY)
        ctl = os.open(mount.box('A/.mailtree/ctl'), os.O_RDWR)
        events = os.open(mount.box('A/.mailtree/events'), os.O_RDONLY | os.O_NONBLOCK)
        draft = begin(mount.box('A/draft'), letter(b'draft'))
        os.rename(mount.box('A'), mount.box('B'))
        for fd in message, wire:
            lib.same(os.pread(fd, 1 << 20, 0), lib.wire_of(big), 'the message')
        os.write(ctl, b'flags +\\Seen 1')
        lib.same(os.read(ctl, 100), b'ok\n', 'ctl')
        os.close(draft)
        lib.same(lib.uids(mount.box('B')), [1, 2], 'after the close')
        lib.check(len(os.read(events, 4096)) >= 80, 'events of both')
        for fd in message, wire, ctl, events:
            os.close(fd)


if __name__ == '__main__':
    lib.run_tests([
        a_mailbox_that_somebody_writes_to_stays,
        what_was_durable_is_so_in_the_other_mailbox,
        open_files_follow_a_renamed_mailbox,
    ])
