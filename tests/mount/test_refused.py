#!/usr/bin/env python3
"""Everything that the tree refuses, with its errno; and that nothing happened."""
import contextlib
import ctypes
import errno
import os
import socket

from support import letter, lib, mounted

libc = ctypes.CDLL(None, use_errno=True)
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2


def renameat2(old, new, flags):
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags) == -1:
        raise OSError(ctypes.get_errno(), 'renameat2')


def opened(path, flags):
    os.close(os.open(path, flags, 0o600))


@contextlib.contextmanager
def untouched(*options):
    """A mount of two mailboxes that must look the same afterwards."""
    def before(store):
        box = store.folder('Box')
        for i in range(3):
            box.deliver(letter(b'b%d' % i), info=':2,')
        store.folder('Empty')

    with mounted(*options, messages=[letter(b'%d' % i) for i in range(3)],
                 before=before) as (store, mount):
        def look():
            return {box: [(uid, lib.text_of(mount.box(box, '%d.eml' % uid)),
                           os.stat(mount.box(box, '%d.eml' % uid)).st_mtime)
                          for uid in lib.uids(mount.box(box))]
                    for box in ('INBOX', 'Box', 'Empty')}, sorted(os.listdir(mount.path))
        first = look()
        yield store, mount
        lib.same(look(), first, 'the tree afterwards')


def messages_are_immutable():
    with untouched() as (_, mount):
        eml = mount.box('INBOX', '1.eml')
        for what, flags in (('O_WRONLY', os.O_WRONLY), ('O_RDWR', os.O_RDWR),
                            ('O_APPEND', os.O_WRONLY | os.O_APPEND),
                            ('O_TRUNC', os.O_WRONLY | os.O_TRUNC),
                            ('O_CREAT', os.O_WRONLY | os.O_CREAT),
                            ('O_EXCL', os.O_WRONLY | os.O_CREAT | os.O_EXCL)):
            lib.refused(errno.EEXIST, what, opened, eml, flags)
        lib.refused(errno.EEXIST, 'truncate', os.truncate, eml, 0)
        lib.refused(errno.EPERM, 'chmod', os.chmod, eml, 0o777)
        lib.refused(errno.EPERM, 'chown', os.chown, eml, 12345, 12345)
        lib.refused(errno.EPERM, 'utime', os.utime, eml, (1, 1))
        lib.refused(errno.EPERM, 'link', os.link, eml, mount.box('INBOX', 'again'))
        lib.refused((errno.EOPNOTSUPP, errno.EPERM), 'setxattr', os.setxattr, eml,
                    'user.x', b'1')
        lib.refused(errno.ENOTDIR, 'listing', os.listdir, eml)


def renames_that_cannot_be():
    with untouched() as (_, mount):
        one, box = mount.box('INBOX', '1.eml'), mount.box('Box')
        lib.refused(errno.EPERM, 'within one mailbox', os.rename, one,
                    mount.box('INBOX', 'name'))
        lib.refused(errno.EPERM, 'onto a message of the same mailbox', os.rename, one,
                    mount.box('INBOX', '2.eml'))
        lib.refused(errno.EEXIST, 'RENAME_NOREPLACE', renameat2, one, box + '/1.eml',
                    RENAME_NOREPLACE)
        lib.refused((errno.EINVAL, errno.EPERM), 'RENAME_EXCHANGE', renameat2, one,
                    box + '/1.eml', RENAME_EXCHANGE)
        lib.refused(errno.EBUSY, 'INBOX', os.rename, mount.box('INBOX'), mount.box('Other'))
        lib.refused((errno.ENOTEMPTY, errno.EEXIST), 'a mailbox onto one with messages',
                    os.rename, mount.box('Empty'), box)
        lib.refused(errno.EINVAL, 'a mailbox into itself', os.rename, box, box + '/Sub')
        lib.refused(errno.EXDEV, 'a message out of the mount', os.rename, one,
                    mount.path + '.out')


def other_kinds_of_files():
    with untouched() as (_, mount):
        inbox = mount.box('INBOX')
        lib.refused(errno.EPERM, 'symlink', os.symlink, '/etc/passwd', inbox + '/link')
        lib.refused(errno.EPERM, 'mkfifo', os.mkfifo, inbox + '/fifo')
        lib.refused(errno.EPERM, 'symlink at the top', os.symlink, '/etc', mount.box('link'))
        with socket.socket(socket.AF_UNIX) as s:
            lib.refused(errno.EPERM, 'socket', s.bind, inbox + '/sock')
        if os.geteuid() == 0:
            lib.refused(errno.EPERM, 'device', os.mknod, inbox + '/dev', 0o020600,
                        os.makedev(1, 3))


def directories_that_must_stay():
    with untouched() as (_, mount):
        lib.refused(errno.EBUSY, 'rmdir INBOX', os.rmdir, mount.box('INBOX'))
        lib.refused(errno.ENOTEMPTY, 'rmdir with messages', os.rmdir, mount.box('Box'))
        lib.refused(errno.EEXIST, 'mkdir on a mailbox', os.mkdir, mount.box('Box'))
        lib.refused(errno.EEXIST, 'mkdir on a message', os.mkdir, mount.box('INBOX', '1.eml'))
        lib.refused(errno.ENOTDIR, 'rmdir of a message', os.rmdir, mount.box('INBOX', '1.eml'))
        lib.refused((errno.EISDIR, errno.EPERM), 'unlink of a mailbox', os.unlink,
                    mount.box('Box'))


def a_file_at_the_top_is_refused():
    with untouched() as (_, mount):
        lib.refused((errno.EACCES, errno.EPERM), 'file at the top', opened, mount.box('x'),
                    os.O_WRONLY | os.O_CREAT)


def the_state_file_is_read_only_and_stays():
    with untouched() as (_, mount):
        path = mount.box('INBOX', '.mailbox')
        text = lib.text_of(path)
        lib.refused(errno.EPERM, 'open for writing', opened, path, os.O_WRONLY)
        lib.refused(errno.EPERM, 'truncate', os.truncate, path, 0)
        lib.refused(errno.EPERM, 'rename', os.rename, path, mount.box('INBOX', 'x'))
        os.unlink(path)
        lib.same(lib.text_of(path), text, '.mailbox after unlink')
        lib.same(os.stat(path).st_size, len(text), 'its size')


def hidden_files_stay_hidden():
    with untouched() as (_, mount):
        hidden = mount.box('INBOX', '.mailtree')
        lib.check('.mailtree' not in os.listdir(mount.box('INBOX')), 'listed')
        lib.check(os.path.isdir(hidden), 'not found by name')
        for name in ('wire', 'index'):
            lib.refused((errno.EPERM, errno.EACCES), 'writing ' + name, opened,
                        os.path.join(hidden, name), os.O_WRONLY)
        for name in ('wire', 'index', 'ctl', 'events', 'lock', 'cache'):
            lib.refused(errno.EPERM, 'unlink ' + name, os.unlink, os.path.join(hidden, name))
        lib.refused(errno.EPERM, 'creating in .mailtree', opened, hidden + '/x',
                    os.O_WRONLY | os.O_CREAT)
        lib.refused(errno.EPERM, 'mkdir in .mailtree', os.mkdir, hidden + '/d')
        lib.refused((errno.EPERM, errno.EBUSY, errno.ENOTEMPTY), 'rmdir of .mailtree',
                    os.rmdir, hidden)


def bad_ctl_commands():
    rows = [
        (b'', errno.EINVAL), (b'\n', errno.EINVAL), (b'nonsense', errno.EINVAL),
        (b'flags', errno.EINVAL), (b'flags +\\Seen', errno.EINVAL),
        (b'flags *\\Seen 1', errno.EINVAL), (b'flags +\\Nonsense 1', errno.EINVAL),
        (b'flags +a(b 1', errno.EINVAL), (b'flags +\\Seen 0', errno.EINVAL),
        (b'flags +\\Seen 1:', errno.EINVAL), (b'flags +\\Seen 4294967296', errno.EINVAL),
        (b'flags +\\Seen 99999999999999999999', errno.EINVAL),
        (b'flags +\\Seen 1,,2', errno.EINVAL), (b'flags +\\Seen -1', errno.EINVAL),
        (b'flags +\\Seen 1 extra', errno.EINVAL), (b'flags +a\0b 1', errno.EINVAL),
        (b'flags +' + b'k' * 144 + b' 1', errno.EINVAL), (b'flags +caf\xc3\xa9 1', errno.EINVAL),
        (b'expunge', errno.EINVAL), (b'expunge x', errno.EINVAL),
        (b'copy 1', errno.EINVAL), (b'copy 1 Nowhere', errno.ENOENT),
        (b'copy 1 ../INBOX', (errno.EINVAL, errno.ENOENT)),
        (b'copy 1 /etc', (errno.EINVAL, errno.ENOENT)),
        (b'copy 1 Box/../../x', (errno.EINVAL, errno.ENOENT)),
        (b'commit', errno.EINVAL), (b'commit nothing-here', errno.ENOENT),
        (b'keyword', errno.EINVAL), (b'keyword a b', errno.EINVAL),
        (b'x' * 16377, (errno.EINVAL, errno.EMSGSIZE, errno.E2BIG)),
        (b'\0' * 100, errno.EINVAL),
    ]
    with untouched() as (_, mount):
        for command, why in rows:
            if command:
                lib.refused(why, 'ctl %r' % command[:40], lib.ctl, mount.box('INBOX'), command)


def reading_only():
    with untouched('-o', 'ro') as (store, mount):
        before = sorted(os.listdir(store.path))
        inbox = mount.box('INBOX')
        for what, call, args in (
                ('rm', os.unlink, (inbox + '/1.eml',)), ('mkdir', os.mkdir, (mount.box('New'),)),
                ('rmdir', os.rmdir, (mount.box('Empty'),)),
                ('delivery', opened, (inbox + '/x', os.O_WRONLY | os.O_CREAT)),
                ('mv', os.rename, (inbox + '/1.eml', mount.box('Box', 'x'))),
                ('chmod', os.chmod, (inbox + '/1.eml', 0o700))):
            lib.refused(errno.EROFS, what, call, *args)
        lib.same(sorted(os.listdir(store.path)), before, 'names in the store')
        lib.same(len(lib.text_of(inbox + '/.mailtree/wire')),
                 3 * len(lib.wire_of(letter(b'0'))), 'wire on a read-only mount')


if __name__ == '__main__':
    lib.run_tests([
        messages_are_immutable,
        renames_that_cannot_be,
        other_kinds_of_files,
        directories_that_must_stay,
        a_file_at_the_top_is_refused,
        the_state_file_is_read_only_and_stays,
        hidden_files_stay_hidden,
        bad_ctl_commands,
        reading_only,
    ])
