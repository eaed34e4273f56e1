#!/usr/bin/env python3
"""What an mbox is locked with and by whom, as the settings say; INBOXes in a spool directory that
only a group may write to; a mailbox that is a single file under the server."""
import contextlib
import os
import subprocess
import sys

import lib

SPOOL_GID = 61777		# a group that no user of these tests has
OTHER_UID = 61002
LETTER = b'From ann@example.org Thu Nov 29 22:33:52 2001\nSubject: %s\n\nletter %s\n\n'


def mbox(*tags):
    return b''.join(LETTER % (t, t) for t in tags)


def put(path, octets, uid=lib.MAIL_UID, gid=lib.MAIL_UID, mode=0o660):
    with open(path, 'wb') as f:
        f.write(octets)
    os.chown(path, uid, gid)
    os.chmod(path, mode)


# ---- who else holds it ---------------------------------------------------------------------------

HOLD = '''
import fcntl, os, sys
kind, path = sys.argv[1:]
f = open(path, 'r+b')
if kind == 'dotlock':
    with open(path + '.lock', 'x') as lock:
        lock.write('%d:%s' % (os.getpid(), os.uname().nodename))
elif kind == 'flock':
    fcntl.flock(f, fcntl.LOCK_EX)
else:
    fcntl.lockf(f, fcntl.LOCK_EX if kind != 'read' else fcntl.LOCK_SH)
print('held', flush=True)
sys.stdin.read()
if kind == 'dotlock':
    os.unlink(path + '.lock')
'''


@contextlib.contextmanager
def held(kind, path, **how):
    """Another process has that lock; its number."""
    p = subprocess.Popen([sys.executable, '-c', HOLD, kind, path], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, **how)
    try:
        lib.same(p.stdout.readline(), b'held\n', 'the other process')
        yield p.pid
    finally:
        p.communicate()


def settings(**values):
    return [word for name, value in values.items() for word in ('--mbox', '%s=%s' % (name, value))]


def flag(view, uid=1):
    try:
        return lib.ctl(view.box('INBOX'), 'flags +\\Flagged %d' % uid)[1]
    except OSError as e:
        return os.strerror(e.errno)


def each_lock_keeps_a_change_waiting():
    """In vain: then the log names the file, the lock and who has it."""
    for ours, theirs, said in (('fcntl', 'fcntl', 'fcntl'), ('lockf', 'fcntl', 'fcntl'),
                               ('flock', 'flock', 'flock'), ('dotlock', 'dotlock', 'dotlock'),
                               ('fcntl', 'read', 'fcntl'),
                               ('fcntl flock dotlock', 'flock', 'flock')):
        with lib.scratch() as folder:
            os.mkdir(folder + '/mail')
            path = folder + '/mail/inbox'
            put(path, mbox(b'a', b'b'), 0, 0)
            with lib.Mount(folder, 'mbox:%s/mail' % folder, *settings(
                    mbox_write_locks=ours, mbox_lock_timeout='1 sec')) as mount:
                with held(theirs, path) as pid:
                    lib.same(lib.uids(mount.box('INBOX')), [1, 2], 'looking under ' + theirs)
                    lib.same(flag(mount), 'Connection timed out', ours)
                    lib.same(lib.text_of(path), mbox(b'a', b'b'), 'the file')
                    want = '%s: the %s lock is held by process %d (python' % (path, said, pid)
                    lib.check(want in mount.log_text(), '%s: %s', want, mount.log_text())
                    lib.same(mount.log_text().count('is held by'), 1, 'complaints')
                lib.same(flag(mount), 'ok', ours)
                lib.check(b'X-Status: F' in lib.text_of(path), 'not written')
                lib.same(sorted(os.listdir(folder + '/mail')), ['inbox'], 'files left')


def other_locks_do_not_matter():
    with lib.scratch() as folder:
        os.mkdir(folder + '/mail')
        path = folder + '/mail/inbox'
        put(path, mbox(b'a'), 0, 0)
        with lib.Mount(folder, 'mbox:%s/mail' % folder, *settings(
                mbox_read_locks='flock', mbox_write_locks='flock',
                mbox_lock_timeout='1 sec')) as mount, held('fcntl', path), held('dotlock', path):
            lib.same(flag(mount), 'ok', 'under flock')


def a_lock_left_by_the_dead_is_overridden():
    """By its process number; without one, after the time set."""
    with lib.scratch() as folder:
        os.mkdir(folder + '/mail')
        path = folder + '/mail/inbox'
        put(path, mbox(b'a', b'b'), 0, 0)
        with lib.Mount(folder, 'mbox:%s/mail' % folder, *settings(
                mbox_dotlock_change_timeout='2 secs', mbox_lock_timeout='60 secs')) as mount:
            p = subprocess.run(['sh', '-c', 'printf %d:%s $$ "$(uname -n)"'], stdout=subprocess.PIPE)
            put(path + '.lock', p.stdout, 0, 0)
            lib.same(flag(mount, 1), 'ok', 'a dead process')
            put(path + '.lock', b'', 0, 0)
            lib.same(flag(mount, 2), 'ok', 'an old one')
            lib.same(sorted(os.listdir(folder + '/mail')), ['inbox'], 'files left')


def a_small_mbox_has_no_index_and_keeps_its_uids():
    with lib.scratch() as folder:
        os.mkdir(folder + '/mail')
        put(folder + '/mail/inbox', mbox(b'a', b'b'), 0, 0)
        put(folder + '/mail/big', mbox(*[b'x%d' % i for i in range(100)]), 0, 0)
        with lib.Mount(folder, 'mbox:%s/mail' % folder,
                       *settings(mbox_min_index_size='4k')) as mount:
            for _ in range(2):
                lib.same(lib.uids(mount.box('INBOX')), [1, 2], 'UIDs')
                lib.same(lib.uids(mount.box('big')), list(range(1, 101)), 'UIDs of the other')
                lib.ctl_sizes(mount.box('INBOX'))
                found = lib.run('find', mount.index + '/', '-mindepth', '2', '-name', 'index', '-o', '-name', 'log',
                                '-o', '-name', 'cache').stdout.splitlines()
                lib.same(len({os.path.dirname(f) for f in found}), 1, 'folders with an index')
                lib.same(len(lib.run('find', mount.index, '-name', 'mbox-uids')
                             .stdout.splitlines()), 2, 'files of UIDs')
                mount.restart()
            os.unlink(mount.path + '/INBOX/2.eml')
            put(folder + '/mail/inbox', lib.text_of(folder + '/mail/inbox') + mbox(b'c'), 0, 0)
            lib.wait_until(lambda: lib.uids(mount.box('INBOX')) == [1, 3], 20, 'the next UID')


# ---- the spool -----------------------------------------------------------------------------------

class Spool:
    """folder/spool, root's, which a group may write to; a server whose INBOXes are there."""

    def __init__(self, folder, users=('ann',), extra='', mode=0o2775, location=None):
        self.folder, self.path = folder, folder + '/spool'
        os.mkdir(self.path)
        os.chown(self.path, 0, SPOOL_GID)
        os.chmod(self.path, mode)
        self.extra = 'mail_location = %s\n' % (
            location or 'mbox:~/mail:INBOX=%s/%%u' % self.path) + extra
        self.users = list(users)
        for user in users:
            put(self.inbox(user), mbox(user.encode(), b'2'), gid=SPOOL_GID)

    def inbox(self, user):
        return os.path.join(self.path, user)

    def server(self):
        return lib.Server(self.folder, self.users, self.extra)


def dotlock_while_a_change_waits(spool, box, change):
    """The change waits for fcntl with the dotlock in hand: whose is it?"""
    path, got = spool.inbox('ann'), {}

    def seen():
        try:
            got['st'] = os.stat(path + '.lock')
        except FileNotFoundError:
            return False
        return True

    with held('fcntl', path):
        p = subprocess.Popen([sys.executable, '-c', 'import os, sys\n'
                              'fd = os.open(sys.argv[1], os.O_RDWR)\n'
                              'os.write(fd, sys.argv[2].encode())\n'
                              'sys.stdout.buffer.write(os.read(fd, 999))',
                              box + '/.mailtree/ctl', change], stdout=subprocess.PIPE)
        lib.wait_until(seen, 25, 'the dotlock')
    lib.same(p.communicate()[0], b'ok\n', change)
    return got['st']


def dotlocks_in_a_spool_are_the_users_by_its_group():
    for extra in ('', 'mail_privileged_group = %d\n' % SPOOL_GID):
        with lib.scratch() as folder:
            spool = Spool(folder, extra=extra)
            with spool.server() as server:
                box = server.view('ann').box('INBOX')
                lib.same(lib.uids(box), [1, 2], 'UIDs')
                st = dotlock_while_a_change_waits(spool, box, 'flags +\\Seen 1')
                lib.same((st.st_uid, st.st_gid), (lib.MAIL_UID, SPOOL_GID), 'the dotlock')
                lib.same(os.listdir(spool.path), ['ann'], 'files left')
                with open(box + '/new', 'wb') as f:
                    f.write(b'Subject: c\n\nc\n')
                lib.same(lib.uids(box), [1, 2, 3], 'UIDs after a delivery')
                lib.same(lib.text_of(spool.inbox('ann')).count(b'\nSubject: c\n'), 1, 'in the file')


def an_inbox_that_is_not_there_is_made():
    with lib.scratch() as folder:
        spool = Spool(folder)
        os.unlink(spool.inbox('ann'))
        with spool.server() as server:
            box = server.view('ann').box('INBOX')
            lib.same(lib.uids(box), [], 'UIDs')
            lib.same(os.listdir(spool.path), [], 'looking makes nothing')
            with open(box + '/new', 'wb') as f:
                f.write(b'Subject: c\n\nc\n')
            lib.same(lib.uids(box), [1], 'UIDs')
        st = os.stat(spool.inbox('ann'))
        lib.same((st.st_uid, st.st_gid, st.st_mode & 0o777), (lib.MAIL_UID, SPOOL_GID, 0o600), 'it')


def without_a_group_that_may_nothing_is_changed():
    """Unless the dotlock is only to be tried."""
    for extra, want in (('mail_privileged_group = 61778\n', 'Permission denied'),
                        ('mail_privileged_group = 61778\nmbox_write_locks = dotlock_try fcntl\n',
                         'ok')):
        with lib.scratch() as folder:
            spool = Spool(folder, extra=extra)
            with spool.server() as server:
                box = server.view('ann').box('INBOX')
                lib.same(lib.uids(box), [1, 2], 'UIDs')
                lib.same(flag(server.view('ann')), want, extra)
                says = 'cannot make %s.lock: Permission denied' % spool.inbox('ann')
                lib.check(says in server.log_text(), '%s: %s', says, server.log_text())


def access_groups_open_a_closed_spool():
    for extra, want in (('', False), ('mail_access_groups = %d\n' % SPOOL_GID, True)):
        with lib.scratch() as folder:
            spool = Spool(folder, extra=extra, mode=0o2770)
            with spool.server() as server:
                try:
                    seen = lib.uids(server.view('ann').box('INBOX')) == [1, 2]
                except OSError:
                    seen = False
                lib.same(seen, want, extra)


# ---- attacks on it --------------------------------------------------------------------------------

def what_is_planted_in_the_spool_is_not_opened():
    """A file that the group of the spool could read, under ann's name or behind it."""
    secret = mbox(b'secret')

    def symlink(spool, path):
        os.symlink(spool.path + '/bob', path)

    def hardlink(spool, path):
        os.link(spool.path + '/bob', path)

    def foreign(spool, path):
        put(path, secret, OTHER_UID, SPOOL_GID, 0o666)

    def fifo(spool, path):
        os.mkfifo(path)
        os.chown(path, lib.MAIL_UID, SPOOL_GID)

    for plant in (symlink, hardlink, foreign, fifo):
        with lib.scratch() as folder:
            spool = Spool(folder, extra='mail_privileged_group = %d\n' % SPOOL_GID)
            put(spool.path + '/bob', secret, OTHER_UID, SPOOL_GID)
            os.unlink(spool.inbox('ann'))
            plant(spool, spool.inbox('ann'))
            with spool.server() as server:
                box = server.view('ann').box('INBOX')
                try:
                    lib.same(lib.uids(box), [], plant.__name__)
                except OSError:
                    pass
                try:
                    with open(box + '/new', 'wb') as f:
                        f.write(b'Subject: c\n\nc\n')
                except OSError:
                    pass
            lib.same(lib.text_of(spool.path + '/bob'), secret, plant.__name__)
            if plant is foreign:
                lib.same(lib.text_of(spool.inbox('ann')), secret, plant.__name__)


def a_users_own_link_to_the_spool_lends_nothing():
    """INBOX=~/box/bob, where ~/box is a link to the spool: no lock, no file is made there."""
    with lib.scratch() as folder:
        spool = Spool(folder, extra='mail_privileged_group = %d\n' % SPOOL_GID,
                      location='mbox:~/mail:INBOX=~/box/bob')
        home = folder + '/home/ann'
        os.makedirs(home)
        os.chown(home, lib.MAIL_UID, lib.MAIL_UID)
        os.symlink(spool.path, home + '/box')
        os.lchown(home + '/box', lib.MAIL_UID, lib.MAIL_UID)
        with spool.server() as server:
            box = server.view('ann').box('INBOX')
            try:
                with open(box + '/new', 'wb') as f:
                    f.write(b'Subject: c\n\nc\n')
                lib.check(False, 'the delivery succeeded')
            except OSError:
                pass
            lib.same(os.listdir(spool.path), ['ann'], 'files in the spool')


# ---- a single file under the server ------------------------------------------------------------------

def a_lone_file_is_the_inbox():
    with lib.scratch() as folder:
        home = folder + '/home/ann'
        os.makedirs(home + '/deep')
        put(home + '/deep/box', mbox(b'a', b'b'))
        lib.run('chown', '-R', '%d:%d' % (lib.MAIL_UID, lib.MAIL_UID), home)
        with lib.Server(folder, ['ann'], 'mail_location = mbox:~/deep/box\n') as server:
            view = server.view('ann')
            lib.same(os.listdir(view.path), ['INBOX'], 'mailboxes')
            lib.same(lib.uids(view.box('INBOX')), [1, 2], 'UIDs')
            os.unlink(view.path + '/INBOX/1.eml')
            with lib.Session(view.path) as pop:
                lib.same(pop.retr(1)[1], b'Subject: b\r\n\r\nletter b\r\n', 'RETR')
            try:
                os.mkdir(view.path + '/more')
                lib.check(False, 'a mailbox beside it')
            except OSError:
                pass
        lib.same(lib.text_of(home + '/deep/box').count(b'From ann@'), 1, 'messages in the file')
        lib.same(sorted(os.listdir(home + '/deep')), ['box'], 'files')


def a_link_is_no_lone_file():
    with lib.scratch() as folder:
        home = folder + '/home/ann'
        os.makedirs(home)
        put(folder + '/other', mbox(b'secret'), mode=0o666)
        os.symlink(folder + '/other', home + '/box')
        lib.run('chown', '-hR', '%d:%d' % (lib.MAIL_UID, lib.MAIL_UID), home)
        with lib.Server(folder, ['ann'], 'mail_location = mbox:~/box\n') as server:
            try:
                seen = os.listdir(server.view('ann').path + '/INBOX')
            except OSError:
                seen = []
            lib.check('1.eml' not in seen, 'what it links to is shown')


if __name__ == '__main__':
    lib.run_tests([
        each_lock_keeps_a_change_waiting,
        other_locks_do_not_matter,
        a_lock_left_by_the_dead_is_overridden,
        a_small_mbox_has_no_index_and_keeps_its_uids,
        dotlocks_in_a_spool_are_the_users_by_its_group,
        an_inbox_that_is_not_there_is_made,
        without_a_group_that_may_nothing_is_changed,
        access_groups_open_a_closed_spool,
        what_is_planted_in_the_spool_is_not_opened,
        a_users_own_link_to_the_spool_lends_nothing,
        a_lone_file_is_the_inbox,
        a_link_is_no_lone_file,
    ])
