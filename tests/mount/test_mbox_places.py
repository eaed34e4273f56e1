#!/usr/bin/env python3
"""After a restart an mbox that is as it was is not read again; whatever is doubtful is."""
import os
import random
import time

from support import lib
import stores

MESSAGES = 400
BODY = b'0123456789 abcdefghijklmnopqrstuvwxyz 0123456789 abcdefghijklmnopqrstuvwxyz\n' * 40


def fill(store):
    with stores.Locked(store.file) as fd:
        for i in range(MESSAGES):
            os.write(fd, b'From a@example.org Thu Nov 29 22:%02d:%02d 2001\nSubject: %d\n'
                         b'Status: %s\n\n%s\n' % (i // 60, i % 60, i, b'RO' if i % 3 else b'O',
                                                BODY[:i * 7] + BODY))


def octets_read(mount):
    with open('/proc/%d/io' % mount.process.pid) as f:
        return int(dict(line.split(': ') for line in f.read().splitlines())['rchar'])


def look(mount):
    """Everything that must be the same after a restart."""
    box = mount.box('INBOX')
    lib.ctl_sizes(box)
    return {n: (os.stat(box + '/' + n).st_size, os.stat(box + '/' + n).st_ino,
                os.stat(box + '/' + n).st_mtime)
            for n in os.listdir(box) if n.endswith('.eml')}, lib.text_of(box + '/.mailbox')


def places(mount):
    return lib.run('find', mount.index, '-name', 'mbox-places').stdout.split()


def again(mount, how=lambda: None, crash=False):
    """What is seen after a restart, and was the file read?"""
    if crash:
        mount.crash()
    else:
        mount.unmount()
    how()
    mount.start()
    seen = look(mount)
    size = MESSAGES * len(BODY)
    return seen, octets_read(mount) > size / 2


def mounted(folder):
    store = stores.new(os.path.join(folder, 'store'), kind='mbox')
    fill(store)
    return store, lib.Mount(folder, store.location)


def a_file_that_is_as_it_was_is_not_read():
    with lib.scratch() as folder:
        store, mount = mounted(folder)
        with mount:
            before = look(mount)
            lib.check(octets_read(mount) > MESSAGES * len(BODY), 'it was not read at first')
            lib.same(again(mount), (before, False), 'a restart')
            box = mount.box('INBOX')
            lib.ctl(box, 'flags +\\Flagged,Work 1:3')
            lib.ctl(box, 'flags -\\Seen 2')
            os.unlink(box + '/7.eml')
            lib.wait_until(lambda: not os.path.exists(box + '/7.eml'), 20, '7.eml to go')
            before = look(mount)
            # before that another change might hide behind the same time
            lib.wait_until(lambda: time.time() - os.stat(store.file).st_ctime > 0.1, 20, 'a tick')
            lib.same(again(mount), (before, False), 'a restart after changes')
            lib.same(again(mount, crash=True), (before, False), 'and a kill')
            store.deliver(b'Subject: more\n\nmore\n')
            lib.same(len(look(mount)[0]), MESSAGES, 'messages after a delivery')
            for n in (1, 2, 5, 77, MESSAGES):
                want = lib.wire_of(store.messages()[n - 1 if n < 7 else n - 2].octets)
                lib.same(lib.text_of('%s/%d.eml' % (box, n)), want, '%d.eml' % n)


def what_others_changed_is_seen():
    """Although the size is the same, and the time that a program can set."""
    with lib.scratch() as folder:
        store, mount = mounted(folder)
        with mount:
            before = look(mount)

            def overwrite(at, octets):
                st = os.stat(store.file)
                with open(store.file, 'r+b') as f:
                    f.seek(at)
                    f.write(octets)
                os.utime(store.file, ns=(st.st_atime_ns, st.st_mtime_ns))
            text = lib.text_of(store.file)
            at = text.index(b'Subject: 200\n') + 9
            seen, read = again(mount, lambda: overwrite(at, b'201'))
            lib.check(read, 'it was not read')
            lib.same(len(seen[0]), MESSAGES, 'messages')
            lib.check(seen != before, 'the message is the same')
            lib.check(b'Subject: 201\r\n' in lib.text_of(
                mount.box('INBOX', '%d.eml' % (MESSAGES + 1))), 'it has no new UID')


def what_is_doubtful_is_thrown_away():
    with lib.scratch() as folder:
        store, mount = mounted(folder)
        pick = random.Random(9051)
        with mount:
            before = look(mount)
            for what in ('cut', 'changed', 'changed', 'empty', 'of others', 'a folder'):
                path = places(mount)[0]

                def spoil():
                    text = bytearray(lib.text_of(path))
                    if what == 'cut':
                        text = text[:pick.randrange(len(text))]
                    elif what == 'empty':
                        text = b''
                    elif what == 'changed':
                        text[pick.randrange(len(text))] ^= 1 << pick.randrange(8)
                    elif what == 'of others':
                        os.utime(store.file)		# the stamp of an earlier file
                    os.unlink(path)
                    if what == 'a folder':
                        os.mkdir(path)
                    else:
                        with open(path, 'wb') as f:
                            f.write(text)
                lib.same(again(mount, spoil), (before, True), what)
                if what != 'a folder':
                    lib.same(again(mount), (before, False), 'after ' + what)


if __name__ == '__main__':
    lib.run_tests([a_file_that_is_as_it_was_is_not_read, what_others_changed_is_seen,
                   what_is_doubtful_is_thrown_away])
