#!/usr/bin/env python3
"""S1, S2: one size and the same octets in every channel, for every oddity of bytes, in a
Maildir and in an mbox (what is compared there is what an MDA leaves in the file)."""
import os
import sys

import exact
import lib
import stores

sys.path.insert(0, os.path.join(lib.ROOT, 'tests/data'))
from make_fixtures import fixtures  # noqa: E402


def every_fixture_is_exact_in_every_channel(kind):
    with lib.scratch() as folder:
        store = stores.new(os.path.join(folder, 'store'), kind=kind)
        for name, stored in fixtures().items():
            store.deliver(stored, base='1600000000.%s.test' % name, info=':2,')
        with lib.Mount(folder, store.location) as mount:
            os.listdir(mount.box('INBOX'))
            with lib.Session(mount.path) as session:
                counts = exact.check_mailbox(store, mount.box('INBOX'), session)
            lib.same(counts['messages'], len(fixtures()), 'messages compared')


def size_hints_in_names_are_not_believed():
    with lib.scratch() as folder:
        store = lib.Maildir(os.path.join(folder, 'store'))
        for i, hint in enumerate((',S=1', ',W=1', ',S=1,W=1', ',S=999999,W=999999',
                                  ',S=99999999999999999999', ',W=-1', ',S=', ',S=12,W=14x')):
            store.deliver(b'a\nb\nc\n.\n', base='160000000%d.hint%s' % (i, hint), info=':2,S')
        with lib.Mount(folder, store.path) as mount:
            os.listdir(mount.box('INBOX'))
            with lib.Session(mount.path) as session:
                exact.check_mailbox(store, mount.box('INBOX'), session)


def the_same_after_a_remount_and_after_the_index_is_lost(kind):
    """Flags are changed first: that writes UIDs into an mbox."""
    with lib.scratch() as folder:
        store = stores.new(os.path.join(folder, 'store'), kind=kind)
        for stored in list(fixtures().values())[:40]:
            store.deliver(stored)
        with lib.Mount(folder, store.location) as mount:
            lib.uids(mount.box('INBOX'))
            lib.same(lib.ctl(mount.box('INBOX'), 'flags +\\Seen 1:3')[1], 'ok', 'flags')

            def look():
                with lib.Session(mount.path) as session:
                    os.listdir(mount.box('INBOX'))
                    exact.check_mailbox(store, mount.box('INBOX'), session)
                    uidl = session.table('UIDL')
                inodes = {n: os.stat(mount.box('INBOX', n)).st_ino
                          for n in os.listdir(mount.box('INBOX')) if n.endswith('.eml')}
                return inodes, uidl
            before = look()
            mount.restart()
            lib.same(look(), before, 'inode numbers and UIDLs after a remount')
            mount.unmount()
            lib.run('rm', '-rf', mount.index)
            mount.start()
            lib.same(look(), before, 'inode numbers and UIDLs after the index was removed')


def a_message_that_changes_size_behind_our_back_never_gives_wrong_octets():
    with lib.scratch() as folder:
        store = lib.Maildir(os.path.join(folder, 'store'))
        base = store.deliver(b'Subject: a\n\nfirst\n', info=':2,')
        with lib.Mount(folder, store.path) as mount:
            path = mount.box('INBOX', '1.eml')
            lib.same(lib.text_of(path), b'Subject: a\r\n\r\nfirst\r\n', 'before')
            with open(os.path.join(store.path, 'cur', base + ':2,'), 'ab') as f:
                f.write(b'and more, against all rules\n' * 1000)
            try:
                seen = lib.text_of(path)
            except OSError:
                seen = None
            size = os.stat(path).st_size
            lib.check(seen is None or len(seen) == size, 'read %s octets, stat says %d',
                      seen and len(seen), size)


if __name__ == '__main__':
    lib.run_tests([
        *stores.on_each(every_fixture_is_exact_in_every_channel),
        size_hints_in_names_are_not_believed,
        *stores.on_each(the_same_after_a_remount_and_after_the_index_is_lost),
        a_message_that_changes_size_behind_our_back_never_gives_wrong_octets,
    ])
