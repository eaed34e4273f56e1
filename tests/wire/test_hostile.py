#!/usr/bin/env python3
# limit: 240
"""Hostile and broken POP3 clients: only their own connection suffers, and nothing is
removed but by a whole QUIT."""
import os
import socket
import time

import lib

LETTERS = [b'Subject: %d\n\nletter %d\n' % (i, i) for i in range(5)]


class served:
    """A server with ann, who has five letters, and bob, who has one."""

    def __enter__(self):
        self.folder = lib.scratch()
        path = self.folder.__enter__()
        self.server = lib.Server(path, ['ann', 'bob'])
        self.store = lib.Maildir(self.server.maildir('ann'), uid=lib.MAIL_UID)
        for stored in LETTERS:
            self.store.deliver(stored)
        lib.Maildir(self.server.maildir('bob'), uid=lib.MAIL_UID).deliver(b'Subject: bob\n\n')
        return self.server, self.store

    def __exit__(self, *why):
        try:
            status = self.server.stop()
            if why[0] is None:
                lib.same(status, 0, 'exit status of mailtree serve after SIGTERM')
        finally:
            self.folder.__exit__(*why)


def still_serves(server, messages=len(LETTERS)):
    pop = server.session('ann')
    lib.check(pop.ok('STAT').startswith(b'+OK %d ' % messages), 'STAT for ann')
    pop.quit()


def free_again(server):
    """Wait for the session of a client that went away."""
    def free():
        pop = server.connect()
        pop.ok('USER ann')
        said = pop.ask('PASS secret-ann')
        if said.startswith(b'+OK'):
            pop.quit()
            return True
        lib.check(b'[IN-USE]' in said, 'PASS: %r', said)
        return False
    lib.wait_until(free, 10, 'the maildrop is free')


def disconnects_at_every_octet_remove_nothing():
    script = b'USER ann\r\nPASS secret-ann\r\nDELE 1\r\nDELE 2\r\nQUIT\r\n'
    with served() as (server, store):
        for cut in range(len(script) - 1):	# one octet short of QUIT's LF
            sock = socket.create_connection(('127.0.0.1', server.port), 10)
            sock.sendall(script[:cut])
            if cut % 3 == 0:	# reset instead of an orderly end
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
            elif cut % 3 == 1:
                sock.shutdown(socket.SHUT_WR)
                try:
                    while sock.recv(4096):
                        pass
                except OSError:
                    pass
            sock.close()
        free_again(server)
        lib.same(len(store.files()), 5, 'letters after all disconnects')
        still_serves(server)
        pop = server.connect()
        pop.send(script)
        for _ in range(5):
            said = pop.line()
            lib.check(said.startswith(b'+OK'), 'pipelined: %r', said)
        lib.wait_until(lambda: len(store.files()) == 3, 5, 'the whole script removes two')


def every_split_of_a_pipelined_login_works():
    script = b'USER ann\r\nPASS secret-ann\r\nSTAT\r\nQUIT\r\n'
    with served() as (server, _):
        for cut in range(1, len(script), 3):
            pop = server.connect()
            pop.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pop.send(script[:cut])
            time.sleep(0.01)
            pop.send(script[cut:])
            said = [pop.line() for _ in range(4)]
            lib.check(all(s.startswith(b'+OK') for s in said), 'cut at %d: %r', cut, said)
            lib.check(said[2].startswith(b'+OK 5 '), 'cut at %d: STAT %r', cut, said[2])
            pop.close()
            free_again(server)


def odd_lines_get_one_error_each():
    """Nothing crashes, hangs or is taken for another command."""
    odd = [b'', b' ', b':', b'\0', b'STAT\0', b'RETR 1\0', b'ST\0AT', b'RETR', b'RETR ', b'RETR x',
           b'RETR 0', b'RETR -1', b'RETR 6', b'RETR 4294967297', b'RETR 18446744073709551617',
           b'RETR 1 1', b'RETR 01x', b'TOP 1', b'TOP 1 -1', b'TOP 1 99999999999999999999',
           b'TOP 0 0', b'DELE', b'DELE 99', b'LIST 0', b'UIDL x', b'NONSENSE', b'RETR\t1',
           b'\xff\xfe\xfd', b'A' * 300, b'RETR ' + b'1' * 1000, b'B' * 65536]
    with served() as (server, _):
        pop = server.session('ann')
        for line in odd:
            pop.send(line + b'\r\n')
            said = pop.line()
            lib.check(said.startswith(b'-ERR'), '%r: %r', line[:30], said)
            lib.check(len(said) <= 510, '%r: a reply of %d octets', line[:30], len(said))
            pop.ok('NOOP')
        pop.quit()
        still_serves(server)


def odd_lines_before_login():
    odd = [b'', b'\0', b'USER', b'USER \0', b'USER an\0n', b'PASS x', b'A' * 300, b'B' * 65536,
           b'USER ' + b'u' * 70000, b'RETR 1', b'STAT', b'STLS x', b'AUTH NONSENSE', b'\xff' * 20]
    with served() as (server, _):
        for line in odd:
            pop = server.connect()
            try:
                pop.send(line + b'\r\n')
                said = pop.line()
                lib.check(said.startswith(b'-ERR'), '%r: %r', line[:30], said)
            except (EOFError, ConnectionError):
                pass		# ending the connection is an answer, too
            pop.close()
        still_serves(server)


def nobody_else_by_a_strange_name():
    names = ['../bob', 'ann/../bob', 'ann/INBOX', '/etc', '.', '..', 'bob/', './bob', '~bob',
             'root', '%u', '*', 'ann bob', 'a' * 300, 'caf\u00e9', '.mailtree', 'INBOX']
    with served() as (server, _):
        for name in names:
            for password in ('secret-ann', 'secret-bob', ''):
                pop = server.connect()
                try:
                    pop.send(b'USER ' + name.encode() + b'\r\n')
                    first = pop.line()
                    if first.startswith(b'+OK'):
                        pop.send(b'PASS ' + password.encode() + b'\r\n')
                        said = pop.line()
                        lib.check(said.startswith(b'-ERR'), '%r logged in: %r', name, said)
                except EOFError:
                    pass
                pop.close()
                if len(name) > 20:
                    break
        still_serves(server)


def a_client_that_does_not_read_harms_nobody():
    with served() as (server, store):
        store.deliver(b'Subject: big\n\n' + b'x' * 70 * 1000 + b'\n' * 400000)
        pop = server.session('ann')
        for _ in range(50):
            pop.send(b'RETR 6\r\n')
        other = server.session('bob')
        other.ok('STAT')
        other.quit()
        pop.close()
        free_again(server)
        still_serves(server, 6)


def a_killed_session_removes_nothing():
    """kill -9 of the session itself, after DELE, by its process number."""
    with served() as (server, store):
        pop = server.session('ann')
        for n in range(1, 6):
            pop.ok('DELE %d' % n)
        sessions = [int(p) for p in os.listdir('/proc') if p.isdigit()
                    and _is_session(p, server.mount)]
        lib.same(len(sessions), 1, 'mailtree-pop3 processes of this server')
        os.kill(sessions[0], 9)
        try:
            pop.line()
            raise lib.Failed('a reply after kill -9')
        except (EOFError, ConnectionError):
            pass
        lib.same(len(store.files()), 5, 'letters')
        free_again(server)
        still_serves(server)


def _is_session(pid, mount):
    try:
        words = lib.text_of('/proc/%s/cmdline' % pid).split(b'\0')
    except OSError:
        return False
    return words[0].endswith(b'mailtree-pop3') and any(mount.encode() in w for w in words)


if __name__ == '__main__':
    lib.run_tests([
        disconnects_at_every_octet_remove_nothing,
        every_split_of_a_pipelined_login_works,
        odd_lines_get_one_error_each,
        odd_lines_before_login,
        nobody_else_by_a_strange_name,
        a_client_that_does_not_read_harms_nobody,
        a_killed_session_removes_nothing,
    ])
