#!/usr/bin/env python3
# limit: 180
"""Every mechanism by foreign clients, right and wrong; what strangers learn from it, and
what it costs when they leave in the middle."""
import base64
import contextlib
import imaplib
import os
import poplib
import socket
import subprocess

import lib

IMTEST, POP3TEST = '/usr/lib/cyrus/bin/imtest', '/usr/lib/cyrus/bin/pop3test'
STORED = ('CRAM-MD5', 'SCRAM-SHA-1', 'SCRAM-SHA-256')
MECHANISMS = ('PLAIN', 'LOGIN') + STORED
ABORTED = 1000


@contextlib.contextmanager
def served(extra=''):
    with lib.scratch() as path:
        port = lib.free_port()
        server = lib.Server(path, ('ann', 'bob', 'anonymous'), extra='''protocols = imap pop3
service imap-login { inet_listener imap { port = %d } }
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256 anonymous apop
auth_failure_delay = 0
%s''' % (port, extra))
        server.imap_port = port
        try:
            yield server
            lib.same(server.stop(), 0, 'exit status of mailtree serve after SIGTERM')
            for word in ('AddressSanitizer', 'runtime error:', 'has ended'):
                lib.check(word not in server.log_text(), 'the log: %s',
                          server.log_text()[-2000:])
        finally:
            server.stop()


class Imap(lib.Pop3):
    def send_line(self, text):
        self.send(text + b'\r\n')

    def reply(self):
        while True:
            line = self.line()
            if not line.startswith(b'* '):
                return line


def imap(server):
    raw = Imap(socket.create_connection(('127.0.0.1', server.imap_port), 60))
    return raw


def b64(octets):
    return base64.b64encode(octets)


def client(argv, text):
    done = subprocess.run(argv, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=60, check=False)
    return done.returncode, done.stdout.decode('latin-1')


def both(run):
    """`run` says whether a name and a password get in: the right ones do, no others."""
    for name, password, want in (('ann', 'secret-ann', True), ('ann', 'secret-bob', False),
                                 ('zoe', 'secret-ann', False)):
        got, said = run(name, password)
        lib.same(got, want, '%s with %s: %s' % (name, password, said[-600:]))


def gsasl_logs_in():
    with served() as server:
        for mechanism in MECHANISMS:
            def run(name, password):
                status, said = client(
                    ['gsasl', '--imap', '--no-starttls', '-m', mechanism, '-a', name, '-z',
                     name, '-p', password, '--connect', '127.0.0.1:%d' % server.imap_port],
                    b'a LOGOUT\n')
                return 'Client authentication finished' in said, mechanism + said
            both(run)


def cyrus_clients_log_in():
    with served() as server:
        for program, port, bye in ((IMTEST, server.imap_port, b'. logout\n'),
                                   (POP3TEST, server.port, b'QUIT\n')):
            for mechanism in MECHANISMS:
                def run(name, password):
                    _, said = client([program, '-m', mechanism, '-a', name, '-u', name, '-w',
                                      password, '-p', str(port), '127.0.0.1'], bye)
                    return 'Authenticated.' in said, mechanism + said
                both(run)


def curl_and_mpop_log_in():
    with served() as server:
        for url in ('imap://127.0.0.1:%d/INBOX' % server.imap_port,
                    'pop3://127.0.0.1:%d/' % server.port):
            for mechanism in ('PLAIN', 'LOGIN', 'CRAM-MD5') + (
                    ('+APOP',) if 'pop3' in url else ()):
                def run(name, password):
                    status, said = client(['curl', '-sS', '--login-options',
                                           'AUTH=' + mechanism, '-u',
                                           name + ':' + password, url], b'')
                    return status == 0, mechanism + said
                both(run)
        for mechanism in ('plain', 'login', 'cram-md5', 'scram-sha-1', 'scram-sha-256', 'apop',
                          'user'):
            def run_mpop(name, password):
                status, said = client(['mpop', '-C', '/dev/null', '--host=127.0.0.1',
                                       '--port=%d' % server.port, '--tls=off',
                                       '--auth=' + mechanism, '--user=' + name,
                                       '--passwordeval=echo ' + password,
                                       '--delivery=mda,/bin/true', '--auth-only'],
                                      b'')
                return status == 0, mechanism + said
            both(run_mpop)


def python_logs_in():
    with served() as server:
        def imap_by(act):
            def run(name, password):
                box = imaplib.IMAP4('127.0.0.1', server.imap_port)
                try:
                    act(box, name, password)
                    box.logout()
                    return True, ''
                except imaplib.IMAP4.error as e:
                    box.shutdown()
                    return False, str(e)
            return run

        def pop3_by(act):
            def run(name, password):
                pop = poplib.POP3('127.0.0.1', server.port)
                try:
                    act(pop, name, password)
                    pop.quit()
                    return True, ''
                except poplib.error_proto as e:
                    pop.close()
                    return False, str(e)
            return run

        def plain(box, name, password):
            box.authenticate('PLAIN', lambda _: b'\0%s\0%s' % (name.encode(),
                                                               password.encode()))

        def user(pop, name, password):
            pop.user(name)
            pop.pass_(password)
        both(imap_by(imaplib.IMAP4.login_cram_md5))
        both(imap_by(plain))
        both(pop3_by(poplib.POP3.apop))
        both(pop3_by(user))


def anonymous_is_its_user():
    with served() as server:
        raw = imap(server)
        raw.send_line(b'a AUTHENTICATE ANONYMOUS ' + b64(b'guest@example.org'))
        lib.check(raw.reply().startswith(b'a OK '), 'ANONYMOUS')
        raw.close()
        lib.check('anonymous: session' in server.log_text(), '%s', server.log_text())


def unknown_and_wrong_look_alike():
    """Octet for octet, at each step; salts stay what they are."""
    with served() as server:
        for mechanism in ('SCRAM-SHA-1', 'SCRAM-SHA-256'):
            seen = {}
            for name in (b'ann', b'zoe', b'ann', b'zoe'):
                raw = imap(server)
                raw.send_line(b'a AUTHENTICATE %s %s' % (
                    mechanism.encode(), b64(b'n,,n=%s,r=abcdefgh' % name)))
                said = base64.b64decode(raw.reply()[2:])
                nonce, salt, count = said.split(b',')
                lib.same(seen.setdefault(name, (len(nonce), salt, count)),
                         (len(nonce), salt, count), 'salt of %r' % name)
                raw.send_line(b64(b'c=biws,%s,p=%s' % (nonce, b64(b'x' * (
                    20 if mechanism == 'SCRAM-SHA-1' else 32)))))
                lib.same(raw.reply(), b'a NO [AUTHENTICATIONFAILED] Authentication failed.',
                         mechanism)
                raw.close()
            lib.same(len(seen[b'ann'][1]), len(seen[b'zoe'][1]), 'length of the salt')
            lib.same(seen[b'ann'][2], seen[b'zoe'][2], 'iterations')


def resident(server):
    """KB of mailtree-auth and its children, which the server's process has begun."""
    total = 0
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/stat' % pid) as f:
                name = f.read()
            if '(mailtree-auth)' in name and is_below(int(pid), server.process.pid):
                with open('/proc/%s/statm' % pid) as f:
                    total += int(f.read().split()[1]) * 4
        except OSError:
            continue
    return total


def is_below(pid, parent):
    while pid > 1:
        if pid == parent:
            return True
        with open('/proc/%d/stat' % pid) as f:
            pid = int(f.read().rsplit(')', 1)[1].split()[1])
    return False


def those_who_leave_cost_nothing():
    with served() as server:
        def begin(raw):
            raw.send_line(b'a AUTHENTICATE CRAM-MD5')
            lib.check(raw.reply().startswith(b'+ '), 'challenge')

        def leave(n):
            for _ in range(n // 9):		# ten bad commands would end it
                raw = imap(server)
                for _ in range(8):
                    begin(raw)
                    raw.send_line(b'*')
                    lib.check(raw.reply().startswith(b'a BAD '), 'cancel')
                begin(raw)
                raw.close()
        leave(ABORTED // 4)
        before = resident(server)
        leave(ABORTED)
        after = resident(server)
        print('# mailtree-auth and its workers: %d KB, %d KB after %d aborted dialogues'
              % (before, after, ABORTED))
        lib.check(before > 0 and (after < before + 2048 or lib.sanitised('mailtree-auth')),
                  '%d KB, then %d KB', before, after)
        both(lambda n, p: (client(['curl', '-sS', '-u', n + ':' + p,
                                   'imap://127.0.0.1:%d/INBOX' % server.imap_port],
                                  b'')[0] == 0, ''))


def what_waits_behind_a_login_is_heard():
    """One question at a time, but each of them: a second login behind one that is refused, one
    behind a dialogue that is cancelled in the same octets."""
    def pop3(server):
        return lib.Pop3(socket.create_connection(('127.0.0.1', server.port), 60))
    with served() as server:
        raw = pop3(server)
        raw.send(b'USER ann\r\nPASS wrong\r\nUSER zoe\r\nPASS wrong\r\nUSER ann\r\nPASS secret-ann\r\n')
        for want in (b'+OK', b'-ERR', b'+OK', b'-ERR', b'+OK', b'+OK'):
            line = raw.line()
            lib.check(line.startswith(want), '%r, not %r', line, want)
        raw.close()
        plain = b64(b'\0bob\0secret-bob')
        for wait in (True, False):
            for cancel in (b'*\r\nAUTH PLAIN ' + plain + b'\r\n',
                           b'*\r\nUSER bob\r\nPASS secret-bob\r\n'):
                raw = pop3(server)
                if wait:
                    raw.send(b'AUTH LOGIN\r\n')
                    lib.check(raw.line().startswith(b'+ '), 'challenge')
                    raw.send(cancel)
                else:
                    raw.send(b'AUTH LOGIN\r\n' + cancel)
                    lib.check(raw.line().startswith(b'+ '), 'challenge')
                lib.check(raw.line().startswith(b'-ERR'), 'cancelled')
                if b'USER' in cancel:
                    lib.check(raw.line().startswith(b'+OK'), 'USER')
                line = raw.line()
                lib.check(line.startswith(b'+OK'), 'the login behind it: %r', line)
                raw.close()
        raw = imap(server)
        raw.send(b'a AUTHENTICATE LOGIN\r\n*\r\nb AUTHENTICATE PLAIN %s\r\n' % plain)
        lib.check(raw.reply().startswith(b'+ '), 'challenge')
        lib.check(raw.reply().startswith(b'a BAD '), 'cancelled')
        line = raw.reply()
        lib.check(line.startswith(b'b OK '), 'the login behind it: %r', line)
        raw.close()


def databases_are_asked_in_their_order():
    with lib.scratch() as path:
        for name, text in (('barred', 'bob:\n'), ('masters', 'root1:{PLAIN}m::::::\n')):
            with open(os.path.join(path, name), 'w') as f:
                f.write(text)
            os.chmod(os.path.join(path, name), 0o644)
        os.chmod(path, 0o755)
        with served('auth_master_user_separator = *\n'
                    'auth_username_chars =\n'
                    'passdb { driver = passwd-file\n args = %s/barred\n deny = yes }\n'
                    'passdb { driver = passwd-file\n args = %s/masters\n master = yes }\n'
                    'passdb { driver = static\n args = password=second }\n' % (path, path)) as server:
            for name, password, want in (('ann', 'secret-ann', 0), ('ann', 'second', 0),
                                         ('ann', 'm', 67), ('bob', 'second', 67),
                                         ('ann*root1', 'm', 0),
                                         ('ann*root1', 'secret-ann', 67),
                                         ('ann*bob', 'secret-bob', 67),
                                         ('root1', 'm', 67), ('zoe*root1', 'm', 67)):
                status, said = client(['curl', '-sS', '--login-options', 'AUTH=PLAIN',
                                       '-u', name + ':' + password,
                                       'imap://127.0.0.1:%d/INBOX' % server.imap_port], b'')
                lib.same(status, want, '%s %s: %s' % (name, password, said))


if __name__ == '__main__':
    lib.run_tests([
        gsasl_logs_in,
        cyrus_clients_log_in,
        curl_and_mpop_log_in,
        python_logs_in,
        anonymous_is_its_user,
        unknown_and_wrong_look_alike,
        those_who_leave_cost_nothing,
        what_waits_behind_a_login_is_heard,
        databases_are_asked_in_their_order,
    ])
