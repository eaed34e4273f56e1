#!/usr/bin/env python3
"""SIGHUP: nobody who is about to log in is sent away, no session ends, and listeners come and
go as the file says."""
import base64
import hashlib
import hmac
import signal
import socket
import ssl

import lib
import test_imap_login
import tls

Raw = test_imap_login.Raw
EACH = 10	# connections of a kind


def reload(server, text=None, word='reloaded'):
    if text is not None:
        with open(server.conf, 'a') as f:
            f.write(text)
    before = server.log_text().count(word)
    server.process.send_signal(signal.SIGHUP)
    lib.wait_until(lambda: server.log_text().count(word) > before, 30, word)


class Halfway:
    """A connection that has begun to log in as ann; finish() does the rest."""

    def __init__(self, served, name):
        self.raw = Raw(served.connect(name), greeting=name != 'imaps')
        getattr(self, 'begin_' + self.kind)()

    def finish(self):
        getattr(self, 'finish_' + self.kind)()

    def ok(self, said):
        lib.check(said.startswith(b'OK '), '%s: %r', self.kind, said)
        self.raw.tagged(b'z LOGOUT\r\n', b'z')
        self.raw.close()


class User(Halfway):
    kind = 'pop3'

    def begin_pop3(self):
        self.raw.ok('USER bob')

    def finish_pop3(self):
        self.raw.ok('PASS secret-bob')
        self.raw.quit()


class Plain(Halfway):
    kind = 'plain'

    def begin_plain(self):
        self.raw.send(b'a AUTHENTICATE PLAIN\r\n')
        lib.check(self.raw.line().startswith(b'+'), 'AUTHENTICATE')

    def finish_plain(self):
        self.ok(self.raw.tagged(base64.b64encode(b'\0ann\0secret-ann') + b'\r\n')[1])


class Challenge(Halfway):
    kind = 'cram'

    def begin_cram(self):
        self.raw.send(b'a AUTHENTICATE CRAM-MD5\r\n')
        self.challenge = base64.b64decode(self.raw.line()[2:])

    def finish_cram(self):
        proof = hmac.new(b'secret-ann', self.challenge, hashlib.md5).hexdigest().encode()
        self.ok(self.raw.tagged(base64.b64encode(b'ann ' + proof) + b'\r\n')[1])


class Hello(Halfway):
    """Half of a ClientHello is sent."""
    kind = 'hello'

    def begin_hello(self):
        self.coming, self.going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = tls.lax().wrap_bio(self.coming, self.going)
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        self.hello = self.going.read()
        self.raw.sock.sendall(self.hello[:len(self.hello) // 2])

    def turn(self, act):
        while True:
            try:
                return act()
            except ssl.SSLWantReadError:
                self.raw.sock.sendall(self.going.read())
                got = self.raw.sock.recv(8192)
                lib.check(got, 'the end in the middle of a handshake')
                self.coming.write(got)

    def finish_hello(self):
        self.raw.sock.sendall(self.hello[len(self.hello) // 2:])
        self.turn(self.tls.do_handshake)
        said = b''
        self.tls.write(b'a LOGIN ann secret-ann\r\n')
        self.raw.sock.sendall(self.going.read())
        while b'a OK ' not in said:
            said += self.turn(lambda: self.tls.read(4096))
        self.raw.close()


class Upgrade(Halfway):
    """STARTTLS is answered, and the handshake not begun."""
    kind = 'starttls'

    def begin_starttls(self):
        lib.check(self.raw.tagged(b'a STARTTLS\r\n')[1].startswith(b'OK'), 'STARTTLS')

    def finish_starttls(self):
        raw = Raw(tls.lax().wrap_socket(self.raw.sock), greeting=False)
        raw.login('ann')
        raw.tagged(b'z LOGOUT\r\n', b'z')
        raw.close()


def who_is_about_to_log_in_does():
    kinds = ((User, 'pop3'), (Plain, 'imap'), (Challenge, 'imap'), (Hello, 'imaps'),
             (Upgrade, 'imap'))
    with tls.Served('auth_mechanisms = plain cram-md5\n') as served:
        server = served.server
        session = server.session('bob')
        secured = Raw(served.secure('imaps'))
        secured.login('ann')
        before = server.children('mailtree-auth')
        waiting = [kind(served, name) for kind, name in kinds for _ in range(EACH)]
        reload(server, 'login_greeting = another\n')
        fresh = served.connect('imap')
        lib.check(b'another' in lib.Pop3(fresh).greeting, 'new clients have new settings')
        session.ok('NOOP')
        session.quit()
        for one in waiting:
            one.finish()
        lib.check(secured.tagged(b'b NOOP\r\n', b'b')[1].startswith(b'OK'), 'a session with TLS')
        lib.wait_until(lambda: not set(before) & set(server.children('mailtree-auth')), 30,
                       'the old mailtree-auth ends')
        fresh.close()


def one_process_for_each_connection_drains_too():
    with tls.Served('auth_mechanisms = plain cram-md5\nservice imap-login {\n'
                    '  service_count = 1\n  process_limit = 20\n}\n') as served:
        waiting = [kind(served, name) for kind, name in
                   ((Plain, 'imap'), (Challenge, 'imap'), (Hello, 'imaps'), (Upgrade, 'imap'))]
        for _ in range(3):
            reload(served.server)
        for one in waiting:
            one.finish()


def listens(port):
    try:
        socket.create_connection(('127.0.0.1', port), 10).close()
        return True
    except ConnectionRefusedError:
        return False


def listeners_come_and_go():
    with tls.Served() as served:
        server, port = served.server, lib.free_port()
        session = Raw(served.connect('imap'))
        session.login('ann')
        gone = served.ports['imaps']
        lib.check(listens(gone), 'imaps listens')
        reload(server, 'service imap-login {\n  inet_listener imaps {\n    port = 0\n  }\n'
               '  inet_listener more {\n    port = %d\n  }\n}\n' % port)
        raw = Raw(socket.create_connection(('127.0.0.1', port), 60))
        raw.login('ann')
        lib.wait_until(lambda: not listens(gone), 30, 'the one that is removed is closed')
        for one in (raw, session):
            lib.check(one.tagged(b'b NOOP\r\n', b'b')[1].startswith(b'OK'), 'a session')
            one.close()
        server.session('ann').quit()


def what_cannot_be_opened_leaves_all_as_it_was():
    with tls.Served() as served, socket.socket() as taken:
        server = served.server
        taken.bind(('127.0.0.1', 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        more = lib.free_port()
        with open(server.conf) as f:
            good = f.read()
        reload(server, 'login_greeting = never\nservice imap-login {\n'
               '  inet_listener more {\n    port = %d\n  }\n'
               '  inet_listener taken {\n    port = %d\n  }\n}\n' % (more, port),
               'not reloaded')
        lib.check('cannot listen on 127.0.0.1 port %d' % port in server.log_text(),
                  'the log names it')
        lib.check(not listens(more), 'what was opened before it is closed')
        raw = Raw(served.connect('imap'))
        lib.check(b'never' not in raw.greeting, 'the old settings: %r', raw.greeting)
        raw.login('ann')
        raw.close()
        with open(server.conf, 'w') as f:
            f.write(good)
        reload(server, 'login_greeting = again\n')
        raw = Raw(served.connect('imap'))
        lib.check(b'again' in raw.greeting, 'the new ones: %r', raw.greeting)
        raw.close()


if __name__ == '__main__':
    lib.run_tests([
        who_is_about_to_log_in_does,
        one_process_for_each_connection_drains_too,
        listeners_come_and_go,
        what_cannot_be_opened_leaves_all_as_it_was,
    ])
