#!/usr/bin/env python3
# limit: 600
"""The server's own processes: who may log in and from where, what they survive and what
they give up."""
import contextlib
import os
import pwd
import signal
import socket
import time

import lib


@contextlib.contextmanager
def served(*users, extra=''):
    with lib.scratch() as path:
        server = lib.Server(path, users or ('ann', 'bob'), extra=extra)
        try:
            yield server
            lib.same(server.stop(), 0, 'exit status of mailtree serve after SIGTERM')
            for word in ('ERROR: AddressSanitizer', 'runtime error:', 'ThreadSanitizer'):
                lib.check(word not in server.log_text(), 'the log: %s',
                          server.log_text()[-2000:])
        finally:
            server.stop()


def status_of(pid, field):
    for line in lib.text_of('/proc/%d/status' % pid).decode().splitlines():
        if line.startswith(field + ':'):
            return line.split(':', 1)[1].split()
    raise lib.Failed('no %s in the status of %d' % (field, pid))


def works(server, user='ann'):
    pop = server.session(user)
    pop.ok('STAT')
    pop.quit()


def can_log_in(server, user='ann'):
    try:
        works(server, user)
        return True
    except (lib.Failed, EOFError, OSError):
        return False


def from_address(server, source):
    sock = socket.create_connection(('127.0.0.1', server.port), 60, (source, 0))
    return lib.Pop3(sock)


# ---- who may log in --------------------------------------------------------------------

def clear_text_passwords_from_elsewhere_are_refused():
    with served(extra='disable_plaintext_auth = yes\n') as server:
        works(server)			# from this very address: nobody can listen
        far = from_address(server, '127.0.0.2')
        lib.check('USER' not in far.lines('CAPA'), 'USER is announced')
        far.err('USER ann', b'AUTH')
        far.err('PASS secret-ann', b'AUTH')
        far.quit()


def unusable_records_are_not_let_in():
    extra = {'root': 'root:{PLAIN}x:0:0::/root::\n',
             'low': 'low:{PLAIN}x:100:100::/tmp::\n',
             'noid': 'noid:{PLAIN}x:::::\n',
             'homeless': 'homeless:{PLAIN}x:61001:61001::::\n',
             'netted': 'netted:{PLAIN}x:61001:61001::/tmp::allow_nets=10.0.0.0/8\n',
             'barred': 'barred:{PLAIN}x:61001:61001::/tmp::nologin=y\n',
             'odd': 'odd:{NOSUCH}x:61001:61001::/tmp::\n',
             'none': 'none::61001:61001::/tmp::\n'}
    with served() as server:
        with open(server.passwd, 'a') as f:
            f.writelines(extra.values())
        for user in extra:
            pop = server.connect()
            pop.ok('USER ' + user)
            pop.err('PASS x')
            pop.close()
        works(server)


def system_users_log_in_by_pam():
    name, service = 'mtuser2', '/etc/pam.d/mt-test'
    with lib.scratch() as path:
        home = os.path.join(path, 'home')
        with lib.account(name, '--create-home', '--home-dir', home):
            try:
                with open(service, 'w') as f:
                    f.write('auth required pam_unix.so nullok\naccount required pam_unix.so\n')
                lib.run('chpasswd', input=('%s:right horse\n' % name).encode())
                extra = ('passdb { driver = pam args = mt-test }\n'
                         'userdb { driver = passwd }\n')
                with served(extra=extra) as server:
                    pop = server.connect()
                    pop.ok('USER ' + name)
                    pop.err('PASS wrong', b'AUTH')
                    pop.login(name, 'right horse')
                    pop.ok('STAT')
                    pop.quit()
                    top = os.stat(os.path.join(home, 'Maildir'))
                    lib.same((top.st_uid, top.st_mode & 0o777),
                             (pwd.getpwnam(name).pw_uid, 0o700), 'the Maildir that was made')
                    works(server)		# those of the file are still asked first
            finally:
                os.unlink(service)


def hashes_made_by_passwd_are_right():
    with served() as server:
        command = os.path.join(lib.BUILD, 'mailtree')
        for scheme in ('SHA512-CRYPT', 'BLF-CRYPT', 'YESCRYPT', 'PLAIN'):
            lib.run(command, 'passwd', '-s', scheme, '-f', server.passwd, 'bob',
                    input=b'new %s\n' % scheme.encode())
            pop = server.connect()
            pop.login('bob', 'new ' + scheme)
            pop.quit()
        lib.check('bob:{PLAIN}new PLAIN:61001:' in lib.text_of(server.passwd).decode(),
                  'the other fields stay')
        works(server)
        lib.same(os.stat(server.passwd).st_mode & 0o777, 0o644, 'mode of the file')


# ---- what a user plants ------------------------------------------------------------------

def a_store_is_not_reached_through_a_users_symlink():
    with served() as server:
        os.makedirs(server.maildir('bob') + '/cur')
        lib.run('chown', '-R', '61001:61001', server.maildir('bob'))
        os.symlink(server.maildir('bob'), server.maildir('ann'))
        lib.check(not can_log_in(server, 'ann'), 'ann got in')
        lib.check('a symlink' in server.log_text(), 'the log says why')
        works(server, 'bob')


def a_store_of_somebody_else_is_refused():
    with served() as server:
        os.makedirs(server.maildir('ann') + '/cur')	# root's
        lib.check(not can_log_in(server, 'ann'), 'ann got in')
        works(server, 'bob')


def a_store_on_the_mount_itself_is_refused():
    with lib.scratch() as path:
        server = lib.Server(path, ('ann', 'bob'))
        try:
            works(server, 'bob')
            with open(server.passwd, 'a') as f:
                f.write('eve:{PLAIN}x:61001:61001::%s/bob::'
                        'userdb_mail=maildir:%s/bob/INBOX\n' % (server.mount, server.mount))
            pop = server.connect()
            pop.ok('USER eve')
            pop.err('PASS x')
            pop.close()
            works(server, 'bob')
            lib.same(server.stop(), 0, 'exit status')
        finally:
            server.stop()


# ---- deaths ------------------------------------------------------------------------------

def auth_and_login_are_started_again():
    with served() as server:
        kept = server.session('bob')
        for name in ('mailtree-auth', 'mailtree-login'):
            for _ in range(2):
                os.kill(server.child(name), signal.SIGKILL)
                lib.wait_until(lambda: can_log_in(server), 15, 'login after %s died' % name)
        kept.ok('NOOP')
        kept.quit()


def a_login_that_waits_for_a_dying_auth_is_told():
    with served() as server:
        pop = server.connect()
        pop.ok('USER ann')
        pop.send(b'PASS wrong\r\n')	# the refusal is held back
        time.sleep(0.3)
        os.kill(server.child('mailtree-auth'), signal.SIGKILL)
        said = pop.line()
        lib.check(said.startswith(b'-ERR [SYS/TEMP]'), 'told %r', said)
        lib.wait_until(lambda: can_log_in(server), 15, 'login afterwards')
        pop.login('ann', 'secret-ann')	# on the same connection
        pop.quit()


def hangup_reads_the_settings_again():
    with served() as server:
        kept = server.session('bob')
        with open(server.conf, 'a') as f:
            f.write('login_greeting = fresh\n')
        server.process.send_signal(signal.SIGHUP)

        def fresh():
            try:
                pop = server.connect()
            except (OSError, EOFError):
                return False
            pop.close()
            return pop.greeting == b'+OK fresh'
        lib.wait_until(fresh, 15, 'the new greeting')
        kept.ok('NOOP')
        kept.quit()
        works(server)
        with open(server.conf, 'a') as f:
            f.write('no_such_thing = 1\n')
        server.process.send_signal(signal.SIGHUP)
        lib.wait_until(lambda: 'not reloaded' in server.log_text(), 15, 'the complaint')
        works(server)


def stopping_ends_everything():
    with lib.scratch() as path:
        server = lib.Server(path, ('ann',))
        pids = [server.child(n) for n in ('mailtree-auth', 'mailtree-login', 'mailtreed')]
        talking, idle = server.session('ann'), server.connect()
        lib.same(server.stop(), 0, 'exit status')
        for pop in (talking, idle):
            try:
                while pop.line():
                    pass
            except (EOFError, ConnectionResetError):
                pass
        for pid in pids:
            lib.check(not os.path.exists('/proc/%d' % pid), 'process %d is still there', pid)
        lib.check(server.mount not in lib.text_of('/proc/mounts').decode(), 'still mounted')


def a_killed_server_leaves_nothing_that_hinders_the_next():
    with lib.scratch() as path:
        server = lib.Server(path, ('ann',))
        try:
            works(server)
            server.process.kill()
            server.process.wait()
            server.start()		# perhaps it was the old one that greeted us
            lib.wait_until(lambda: can_log_in(server), 15, 'login to the next server')
            lib.same(server.stop(), 0, 'exit status')
        finally:
            server.stop()


def what_cannot_begin_says_why():
    command = os.path.join(lib.BUILD, 'mailtree')
    with served() as server:
        done = lib.run(command, 'serve', '-c', server.conf, ok=False, timeout=30)
        lib.check(done.returncode == 1 and b'cannot listen on 127.0.0.1' in done.stderr,
                  'a port that is taken: %r', done.stderr)
    done = lib.run(command, 'serve', '-c', '/nonexistent.conf', ok=False, timeout=30)
    lib.check(done.returncode == 1 and b'/nonexistent.conf: No such file' in done.stderr,
              'a missing file: %r', done.stderr)


# ---- rights ------------------------------------------------------------------------------

def login_gives_up_its_rights():
    with served() as server:
        pid = server.child('mailtree-login')
        lib.check('0' not in status_of(pid, 'Uid') + status_of(pid, 'Gid'), 'it is root')
        lib.same(status_of(pid, 'CapPrm'), ['0000000000000000'], 'capabilities')
        lib.same(status_of(pid, 'NoNewPrivs'), ['1'], 'no_new_privs')
        lib.same(status_of(pid, 'Groups'), [], 'groups')
        lib.same(os.listdir('/proc/%d/root/' % pid), [], 'its root')


def a_session_is_the_user():
    with served() as server:
        pop = server.session('ann')
        pid = server.child('mailtree-pop3')
        lib.same(set(status_of(pid, 'Uid') + status_of(pid, 'Gid')), {'61001'}, 'ids')
        lib.same(status_of(pid, 'CapPrm'), ['0000000000000000'], 'capabilities')
        env = lib.text_of('/proc/%d/environ' % pid).split(b'\0')
        lib.check(all(e.split(b'=')[0] in (b'PATH', b'HOME', b'USER', b'') for e in env),
                  'environment %r', env)
        pop.quit()


if __name__ == '__main__':
    lib.run_tests([
        clear_text_passwords_from_elsewhere_are_refused,
        unusable_records_are_not_let_in,
        system_users_log_in_by_pam,
        hashes_made_by_passwd_are_right,
        a_store_is_not_reached_through_a_users_symlink,
        a_store_of_somebody_else_is_refused,
        a_store_on_the_mount_itself_is_refused,
        auth_and_login_are_started_again,
        a_login_that_waits_for_a_dying_auth_is_told,
        hangup_reads_the_settings_again,
        stopping_ends_everything,
        a_killed_server_leaves_nothing_that_hinders_the_next,
        what_cannot_begin_says_why,
        login_gives_up_its_rights,
        a_session_is_the_user,
    ])
