#!/usr/bin/env python3
"""Many users under one mount: each sees their own directory only, and files that are made
for them belong to them."""
import errno
import os
import shutil
import stat
import subprocess

import lib

# one that every user may run
PYTHON = shutil.which('python3', path='/usr/bin:/bin:/usr/local/bin')


def letter(tag):
    return b'Subject: %s\n\nletter %s\n' % (tag, tag)


class served:
    def __init__(self, *users, extra=''):
        self.users, self.extra = users, extra

    def __enter__(self):
        self.folder = lib.scratch()
        path = self.folder.__enter__()
        for user in self.users:
            store = lib.Maildir(os.path.join(path, 'home', user, 'Maildir'), uid=lib.MAIL_UID)
            store.deliver(letter(user.encode()))
        self.server = lib.Server(path, self.users, extra=self.extra)
        return self.server

    def __exit__(self, *why):
        self.server.stop()
        self.folder.__exit__(*why)


def as_uid(uid, code, *args):
    """Run Python as that user; what it printed."""
    return subprocess.run([PYTHON, '-c', code, *args], user=uid, group=uid,
                          extra_groups=[], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT).stdout.decode()


def users_appear_by_name():
    with served('ann', 'bob') as server:
        lib.same(stat.S_IMODE(os.stat(server.mount).st_mode), 0o711, 'mode of the mount')
        ann = server.view('ann')
        about = os.stat(ann.path)
        lib.same((stat.S_IMODE(about.st_mode), about.st_uid), (0o700, lib.MAIL_UID), 'ann')
        lib.same(lib.text_of(ann.box('INBOX', '1.eml')), lib.wire_of(letter(b'ann')), 'ann')
        lib.same(lib.text_of(server.view('bob').box('INBOX', '1.eml')),
                 lib.wire_of(letter(b'bob')), 'bob')
        lib.same(sorted(os.listdir(server.mount)), ['ann', 'bob'], 'listing')
        for name in ('nobody-here', '.hidden', 'x' * 200, 'a b', '%n', 'ann\n'):
            lib.refused(errno.ENOENT, 'user %r' % name[:20], os.stat,
                        os.path.join(server.mount, name))
        lib.refused((errno.EACCES, errno.EPERM), 'mkdir of a user', os.mkdir,
                    os.path.join(server.mount, 'new'))


def other_uids_see_nothing():
    look = '''
import os, sys
for path in sys.argv[1:]:
    for act in (os.listdir, lambda p: open(p + '/INBOX/1.eml').read(),
                lambda p: os.stat(p + '/INBOX'), lambda p: os.mkdir(p + '/X'),
                lambda p: open(p + '/INBOX/x', 'w')):
        try:
            print('SEEN', act(path))
        except OSError as e:
            print(e.errno)
'''
    with served('ann') as server:
        said = as_uid(lib.MAIL_UID + 1, look, server.view('ann').path).split()
        lib.same(set(said), {str(errno.EACCES)}, 'what another uid gets')
        said = as_uid(lib.MAIL_UID, 'import os, sys; print(os.listdir(sys.argv[1]))',
                      server.view('ann').path)
        lib.check('INBOX' in said, 'what ann herself gets: %s', said)


def what_is_made_belongs_to_the_user():
    with served('ann') as server:
        inbox = server.view('ann').box('INBOX')
        with open(inbox + '/by-root', 'wb') as f:
            f.write(letter(b'x'))
        os.mkdir(server.view('ann').box('Made'))
        lib.ctl(inbox, 'flags +\\Seen,Key 1')
        lib.ctl(inbox, 'copy 1 Made')
        lib.uids(inbox)
        for folder, below, files in os.walk(server.maildir('ann')):
            for name in below + files:
                about = os.lstat(os.path.join(folder, name))
                lib.same(about.st_uid, lib.MAIL_UID, 'owner of ' + os.path.join(folder, name))
                lib.check(not about.st_mode & 0o022, '%s can be written by others', name)


def a_maildir_that_is_missing_is_made():
    with served('ann') as server:
        with open(server.passwd, 'a') as f:
            f.write('new:{PLAIN}secret-new:%d:%d::%s::\n' % (lib.MAIL_UID, lib.MAIL_UID,
                                                           server.home('new')))
        os.mkdir(server.home('new'))
        os.chown(server.home('new'), lib.MAIL_UID, lib.MAIL_UID)
        pop = server.session('new')
        lib.same(pop.ok('STAT'), b'+OK 0 0', 'STAT of an empty maildrop')
        pop.quit()
        lib.same(os.stat(server.maildir('new')).st_uid, lib.MAIL_UID, 'owner')


def root_is_no_mail_user():
    with served('ann') as server:
        for name, uid in (('zero', 0), ('daemon1', 1)):
            home = server.home(name)
            lib.Maildir(home + '/Maildir', uid=uid).deliver(letter(b'secret'))
            with open(server.passwd, 'a') as f:
                f.write('%s:{PLAIN}secret-%s:%d:%d::%s::\n' % (name, name, uid, uid, home))
            pop = server.connect()
            pop.ok('USER ' + name)
            pop.err('PASS secret-' + name)
            lib.refused((errno.ENOENT, errno.EACCES, errno.EAGAIN), 'stat ' + name, os.stat,
                        server.view(name).path)


def a_dead_daemon_comes_back():
    """mailtreed dies: the server mounts again, and new sessions work."""
    with served('ann') as server:
        lib.uids(server.view('ann').box('INBOX'))
        pid = next(int(p) for p in os.listdir('/proc') if p.isdigit()
                   and _is_daemon(p, server.mount))
        os.kill(pid, 9)

        def works():
            try:
                pop = server.session('ann')
                said = pop.ok('STAT')
                pop.quit()
                return said.startswith(b'+OK 1 ')
            except (lib.Failed, EOFError, OSError):
                return False
        lib.wait_until(works, 20, 'a session after mailtreed died')


def _is_daemon(pid, mount):
    try:
        words = lib.text_of('/proc/%s/cmdline' % pid).split(b'\0')
    except OSError:
        return False
    return words[0].endswith(b'mailtreed') and mount.encode() in words


def the_end_is_clean():
    with served('ann') as server:
        pop = server.session('ann')
        pop.ok('DELE 1')
        lib.same(server.stop(), 0, 'exit status')
        with open('/proc/self/mountinfo') as f:
            lib.check(server.mount not in f.read(), 'still mounted')
        lib.same(len(lib.Maildir(server.maildir('ann')).files()), 1, 'letters')


if __name__ == '__main__':
    lib.run_tests([
        users_appear_by_name,
        other_uids_see_nothing,
        what_is_made_belongs_to_the_user,
        a_maildir_that_is_missing_is_made,
        root_is_no_mail_user,
        a_dead_daemon_comes_back,
        the_end_is_clean,
    ])
