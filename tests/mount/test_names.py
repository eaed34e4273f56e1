#!/usr/bin/env python3
"""Mailbox names: Maildir++ and modified UTF-7 in the store, UTF-8 paths in the tree."""
import errno
import os

from support import letter, lib, mounted

# (name in the store, path in the tree)
SHOWN = [
    ('.Work', 'Work'),
    ('.a.b.c', 'a/b/c'),
    ('.Gr&APwA3w-e', 'Grüße'),
    ('.&ZeVnLIqe-', '日本語'),
    ('.A &- B', 'A & B'),
    ('.Gr&APw-.&ZeU-', 'Grü/日'),
    ('.&2D3cqQ-', '💩'),
    ('.INBOX.Sent', 'INBOX/Sent'),
    ('.with space', 'with space'),
    ('.100%', '100%'),
    ('.100%25', '100%2525'),
    ("."+'x' * 200, 'x' * 200),
]
# in the store, but not what a server would write: shown all the same, each under a name
# that leads back to it
STRANGE = ['.&', '.&AGE-', '.&xx', '.Gr\udcfc\udcdf', '.Grüße', '.tab\there', '.nl\nhere',
           '.12', '.12.eml', '.trailing.', '.INBOX', '.%41', '.%2525', '.~x',
           '.&AC8-', '.*', '.back\\slash', '.quo"te', '.cur.new', '.tmp']


def names_are_shown():
    def before(store):
        for raw, _ in SHOWN:
            store.folder(raw[1:]).deliver(letter(raw.encode()))

    with mounted(before=before) as (_, mount):
        for raw, path in SHOWN:
            box = mount.box(path)
            lib.check(os.path.isdir(box), '%r is not at %r', raw, path)
            parent, name = os.path.split(path)
            lib.check(name in os.listdir(mount.box(parent)), '%r is not listed', path)
            lib.same(lib.text_of(box + '/1.eml'), lib.wire_of(letter(raw.encode())), path)


def strange_names_are_shown_once_each():
    def before(store):
        for raw in STRANGE:
            store.folder(raw[1:]).deliver(letter(os.fsencode(raw)))

    with mounted(before=before) as (store, mount):
        seen = []
        for folder, below, files in os.walk(os.fsencode(mount.path)):
            for name in below + files:
                lib.check(all(c > 31 and c != 127 for c in name), 'control in %r', name)
            for name in files:
                if name.endswith(b'.eml'):
                    seen.append(lib.text_of(os.path.join(folder, name)))
        want = [lib.wire_of(letter(os.fsencode(raw))) for raw in STRANGE]
        lib.same([w for w in want if w not in seen], [], 'letters that are not shown')
        lib.same(len(seen), len(want), 'letters shown')


def names_are_made():
    with mounted() as (store, mount):
        for raw, path in SHOWN:
            if raw == '.INBOX.Sent':
                continue
            os.makedirs(mount.box(path), exist_ok=True)
            lib.check(os.path.isdir(os.path.join(store.path, raw, 'cur')), '%r is not in %r',
                      path, raw)
            with open(mount.box(path, 'x'), 'wb') as f:
                f.write(letter(path.encode()))
            lib.same(lib.uids(mount.box(path)), [1], path)
        mount.restart()
        for raw, path in SHOWN:
            if raw != '.INBOX.Sent':
                lib.same(lib.text_of(mount.box(path, '1.eml')),
                         lib.wire_of(letter(path.encode())), path)


def children_of_inbox():
    with mounted() as (store, mount):
        os.mkdir(mount.box('INBOX', 'Sent'))
        lib.check(os.path.isdir(os.path.join(store.path, '.INBOX.Sent/cur')), 'in the store')
        lib.same(os.listdir(mount.box('INBOX', 'Sent')), ['.mailbox'], 'listing')
        lib.check('Sent' in os.listdir(mount.box('INBOX')), 'listed in INBOX')


def names_that_leave_the_tree_are_refused():
    with mounted() as (store, mount):
        before = sorted(os.listdir(store.path))
        for name, why in (
                ('5.eml', errno.EINVAL), ('.hidden', errno.EINVAL), ('a.b', errno.EINVAL),
                ('%41', errno.EINVAL), ('nl\n', errno.EINVAL),
                ('x' * 256, errno.ENAMETOOLONG), ('ü' * 127, errno.ENAMETOOLONG)):
            # EPERM, EEXIST: names that have another meaning in a mailbox
            lib.refused((why, errno.EPERM), 'mkdir %r' % name[:20], os.mkdir, mount.box(name))
        for name in ('../outside', 'INBOX/../../outside'):
            path = os.path.normpath(mount.box(name))
            lib.check(not path.startswith(mount.path + '/'), 'leads out, by the kernel')
        lib.same([n for n in sorted(os.listdir(store.path)) if n not in before
                  and not n.startswith('dovecot-')], [], 'new in the store')


def a_parent_without_messages_takes_none():
    def before(store):
        store.folder('Missing.Child').deliver(letter(b'c'))

    with mounted(before=before) as (_, mount):
        lib.same(os.listdir(mount.box('Missing')), ['Child'], 'listing of the parent')
        lib.refused(errno.EACCES, 'delivery', open, mount.box('Missing', 'x'), 'wb')
        os.mkdir(mount.box('Missing', 'Second'))
        lib.same(sorted(os.listdir(mount.box('Missing'))), ['Child', 'Second'], 'two children')


def a_moved_message_is_there_at_once():
    """The kernel takes it for the one that was moved until it is told otherwise."""
    messages = [letter(b'%d' % n) for n in range(100)]
    with mounted(messages=messages) as (_, mount):
        inbox, other = mount.box('INBOX'), mount.box('T')
        os.mkdir(other)
        for uid in lib.uids(inbox):		# the first of T is 1 too
            name = '/%d.eml' % uid
            os.stat(inbox + name)
            os.rename(inbox + name, other + name)
            if uid % 2:
                os.chmod(other + name, 0o600)
            lib.same(lib.text_of(other + name), lib.wire_of(messages[uid - 1]), name)


if __name__ == '__main__':
    lib.run_tests([
        names_are_shown,
        strange_names_are_shown_once_each,
        names_are_made,
        children_of_inbox,
        names_that_leave_the_tree_are_refused,
        a_parent_without_messages_takes_none,
        a_moved_message_is_there_at_once,
    ])
