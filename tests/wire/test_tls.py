#!/usr/bin/env python3
# limit: 300
"""TLS: who may begin it and how, which certificates and ciphers are shown, what passes
through it to a session and back, and what a reload does to it."""
import os
import signal
import socket
import ssl
import time

import lib
import test_imap_login
import test_serve
import tls

Raw = test_imap_login.Raw


def imap_works(sock, user='ann', greeting=True):
    raw = Raw(sock, greeting)
    raw.login(user)
    test_imap_login.selects(raw, 0)
    return raw


def pop3_works(sock, user='ann', greeting=True):
    pop = lib.Pop3(sock, greeting)
    pop.login(user, 'secret-' + user)
    pop.ok('STAT')
    return pop


def upgrade_imap(served, context=None, source=None):
    """(capabilities before, a socket with TLS)"""
    raw = Raw(served.connect('imap', source))
    before, said = raw.tagged(b'a CAPABILITY\r\n')
    _, said = raw.tagged(b's STARTTLS\r\n', b's')
    lib.check(said.startswith(b'OK '), 'STARTTLS: %r', said)
    lib.same(raw.buf, b'', 'octets behind the OK')
    return before[0], (context or served.context()).wrap_socket(raw.sock,
                                                                server_hostname=tls.HOST)


def upgrade_pop3(served, context=None):
    pop = lib.Pop3(served.connect('pop3'))
    before = pop.lines('CAPA')
    pop.ok('STLS')
    lib.same(pop.buf, b'', 'octets behind the +OK')
    return before, (context or served.context()).wrap_socket(pop.sock,
                                                             server_hostname=tls.HOST)


# ---- beginning ------------------------------------------------------------------------

def each_way_in_works():
    with tls.Served() as served:
        imap_works(served.secure('imaps')).close()
        pop3_works(served.secure('pop3s')).quit()
        before, sock = upgrade_imap(served)
        lib.check(b' STARTTLS' in before, 'before: %r', before)
        raw = Raw(sock, greeting=False)
        after, _ = raw.tagged(b'a CAPABILITY\r\n')
        lib.check(b'STARTTLS' not in after[0] and b'AUTH=PLAIN' in after[0], 'after: %r', after)
        _, said = raw.tagged(b'a STARTTLS\r\n')
        lib.check(said.startswith(b'BAD '), 'a second time: %r', said)
        raw.login()
        test_imap_login.bye(raw)
        before, sock = upgrade_pop3(served)
        lib.check('STLS' in before, 'before: %r', before)
        pop = lib.Pop3(sock, greeting=False)
        lib.check('STLS' not in pop.lines('CAPA'), 'STLS is announced in TLS')
        pop.err('STLS')
        pop.login('ann', 'secret-ann')
        pop.quit()
        lib.run('curl', '-sS', '--fail', '--cacert', served.usual()[0], '-u', 'ann:secret-ann',
                'imaps://%s:%d/INBOX' % (tls.HOST, served.ports['imaps']))
        lib.run('curl', '-sS', '--ssl-reqd', '--cacert', served.usual()[0], '-u',
                'ann:secret-ann', 'pop3://%s:%d/' % (tls.HOST, served.ports['pop3']))
        for name, how in (('imap', 'imap'), ('pop3', 'pop3')):
            said = tls.s_client(served.ports[name], '-starttls', how, '-verify_return_error',
                                '-CAfile', served.usual()[0])
            lib.check('Verify return code: 0 (ok)' in said, '%s: %s', name, said[-1500:])


def nothing_sent_before_the_handshake_counts():
    """In the same segment as STARTTLS or after it: commands in clear text are never answered
    by what is secure."""
    with tls.Served() as served:
        for name, begin, evil, probe, wants in (
                ('imap', b'a STARTTLS\r\n', b'b LOGIN bob secret-bob\r\n', b'c NOOP\r\n',
                 b'c OK NOOP completed.'),
                ('pop3', b'STLS\r\n', b'USER bob\r\nPASS secret-bob\r\n', b'PASS secret-bob\r\n',
                 b'-ERR No username given.')):
            for cut in range(len(begin), len(begin + evil) + 1, 3):
                sock = served.connect(name)
                raw = Raw(sock)
                sock.sendall((begin + evil)[:cut])
                said = raw.line()
                lib.check(b'Begin TLS' in said and raw.buf == b'', 'cut %d: %r', cut, said)
                secure = served.context().wrap_socket(sock, server_hostname=tls.HOST)
                raw = Raw(secure, greeting=False)
                raw.send(probe)
                lib.same(raw.line(), wants, 'cut %d' % cut)
                raw.close()
            sock = served.connect(name)		# behind the reply: no handshake, no answer
            raw = Raw(sock)
            sock.sendall(begin)
            raw.line()
            sock.sendall(evil)
            got = b''
            try:
                while part := sock.recv(4096):
                    got += part
            except ConnectionError:
                pass
            lib.check(b'OK' not in got and b'ERR' not in got, 'clear text was answered: %r', got)
            sock.close()


def required_means_required():
    with tls.Served('ssl = required\ndisable_plaintext_auth = no\n') as served:
        raw = Raw(served.connect('imap'))	# even from this very address
        lib.check(b'LOGINDISABLED' in raw.greeting and b'STARTTLS' in raw.greeting
                  and b'AUTH=' not in raw.greeting, '%r', raw.greeting)
        for octets in (b'a LOGIN ann secret-ann\r\n', b'a LOGIN {3}\r\n',
                       b'a AUTHENTICATE PLAIN\r\n'):
            before, said = raw.tagged(octets)
            lib.check(not before and said.startswith(b'NO [PRIVACYREQUIRED] Plaintext'), '%r: %r',
                      octets, said)
        raw.close()
        pop = lib.Pop3(served.connect('pop3'))
        caps = pop.lines('CAPA')
        lib.check('USER' not in caps and 'STLS' in caps
                  and not any(c.startswith('SASL') and 'PLAIN' in c for c in caps), '%r', caps)
        said = pop.err('USER ann', b'AUTH')
        lib.check(b'SSL/TLS' in said, 'no reason: %r', said)
        pop.close()
        imap_works(upgrade_imap(served)[1], greeting=False).close()
        pop3_works(upgrade_pop3(served)[1], greeting=False).quit()


# ---- certificates and settings ----------------------------------------------------------

def certificates_by_name():
    with lib.scratch() as path:
        a = tls.certificate(path, 'a.example')
        b = tls.certificate(path, 'b.example', key='rsa', password='x y')
        rsa = tls.certificate(path, 'localhost', key='rsa')
        usual = tls.Served.usual()
        settings = '''ssl = yes
ssl_server_cert_file = %s
ssl_server_key_file = %s
ssl_alt_cert = <%s
ssl_alt_key = <%s
local_name a.example { ssl_cert = <%s
  ssl_key = <%s }
local_name "b.example *.b.example" {
  ssl_cert_file = %s
  ssl_key_file = %s
  ssl_key_password = x y
}
''' % (usual + rsa + a + b)
        with tls.Served(tls=settings) as served:
            for asked, pair in (('a.example', a), ('A.EXAMPLE', a), ('b.example', b),
                                ('x.b.example', b), ('x.y.b.example', usual),
                                ('c.example', usual), (None, usual)):
                sock = served.secure('imaps', tls.lax(), server_hostname=asked)
                shown = ssl.DER_cert_to_PEM_cert(sock.getpeercert(True))
                lib.same(shown.strip(), lib.text_of(pair[0]).decode().strip(),
                         'certificate for %s' % asked)
                sock.close()
            old = tls.lax(maximum_version=ssl.TLSVersion.TLSv1_2)
            old.set_ciphers('ECDHE-RSA-AES256-GCM-SHA384')
            sock = served.secure('pop3s', old)
            lib.same(ssl.DER_cert_to_PEM_cert(sock.getpeercert(True)).strip(),
                     lib.text_of(rsa[0]).decode().strip(), 'who knows RSA only')
            sock.close()


def versions_and_ciphers_are_as_configured():
    version = ssl.TLSVersion
    with tls.Served('''ssl_cipher_list = ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256
ssl_prefer_server_ciphers = yes
ssl_cipher_suites = TLS_AES_128_GCM_SHA256
ssl_options = no_ticket
ssl_curve_list = P-384
ssl_dh_parameters_length = 2048
ssl_protocols = !SSLv2 !SSLv3 !TLSv1
''') as served:
        old = tls.lax(maximum_version=version.TLSv1_2)
        old.set_ciphers('ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384')
        for context, cipher in ((tls.lax(), 'TLS_AES_128_GCM_SHA256'),
                                (old, 'ECDHE-ECDSA-AES256-GCM-SHA384')):
            sock = served.secure('imaps', context)
            lib.same(sock.cipher()[0], cipher, 'cipher')
            sock.close()
        weak = tls.lax(maximum_version=version.TLSv1_1)
        weak.minimum_version = version.TLSv1
        weak.set_ciphers('ALL:@SECLEVEL=0')
        for context in (weak, tls.lax(maximum_version=version.TLSv1_2)):
            if context is not weak:
                context.set_ciphers('ECDHE-ECDSA-CHACHA20-POLY1305')
            try:
                served.secure('imaps', context).close()
            except (ssl.SSLError, ConnectionError):
                continue
            raise lib.Failed('a handshake below what is configured')
        said = tls.s_client(served.ports['pop3s'], '-groups', 'P-256:P-384', '-tls1_3')
        lib.check('secp384r1, 384 bits' in said, 'the curve: %s', said[-1500:])


def sessions_are_resumed_unless_forbidden():
    for extra, reused in (('', True), ('ssl_options = no_ticket\n', False)):
        with tls.Served(extra) as served:
            context = tls.lax(maximum_version=ssl.TLSVersion.TLSv1_2)
            first = served.secure('imaps', context)
            raw = Raw(first)
            session = first.session
            raw.close()
            again = context.wrap_socket(served.connect('imaps'), session=session)
            lib.same(again.session_reused, reused, 'resumed with %r' % extra)
            again.close()


def certificates_of_clients():
    with lib.scratch() as path:
        ca = tls.certificate(path, 'ca')
        own = ('-addext', 'basicConstraints=CA:FALSE')
        ann = tls.certificate(path, 'ann', *own, issuer=ca)
        stranger = tls.certificate(path, 'bob')
        extra = '''auth_mechanisms = plain external scram-sha-256 cram-md5
ssl_ca = <%s
ssl_require_crl = no
ssl_verify_client_cert = yes
auth_ssl_require_client_cert = yes
auth_ssl_username_from_cert = yes
''' % ca[0]
        with tls.Served(extra) as served:
            def by(pair):
                context = served.context()
                if pair:
                    context.load_cert_chain(*pair)
                return context
            for pair in (None, stranger):
                raw = Raw(served.secure('imaps', by(pair)))
                _, said = raw.tagged(b'a LOGIN ann secret-ann\r\n')
                lib.check(said.startswith(b'NO ') and b'client certificate' in said, '%r', said)
                raw.close()
            raw = Raw(served.connect('imap'))
            lib.check(b'LOGINDISABLED' in raw.greeting and b'AUTH=' not in raw.greeting,
                      'in clear text: %r', raw.greeting)
            _, said = raw.tagged(b'a AUTHENTICATE CRAM-MD5\r\n')
            lib.check(said.startswith(b'NO '), 'CRAM-MD5 without a certificate: %r', said)
            raw.close()
            raw = Raw(served.secure('imaps', by(ann)))
            lib.check(b'AUTH=PLAIN' in raw.greeting and b'AUTH=EXTERNAL' in raw.greeting
                      and b'CRAM' not in raw.greeting, 'with a certificate: %r', raw.greeting)
            _, said = raw.tagged(b'a AUTHENTICATE EXTERNAL =\r\n')
            lib.check(said.startswith(b'OK '), 'EXTERNAL: %r', said)
            raw.close()
            raw = Raw(served.secure('imaps', by(ann)))
            _, said = raw.tagged(b'a LOGIN bob secret-ann\r\n')	# bob is what the client says
            lib.check(said.startswith(b'OK '), 'ann by certificate: %r', said)
            raw.close()
            lib.wait_until(lambda: ': ann: session' in served.server.log_text(), 20, 'ann')


def mistakes_are_told_with_their_place():
    with lib.scratch() as path:
        good = tls.certificate(path, 'good')
        other = tls.certificate(path, 'other')
        locked = tls.certificate(path, 'locked', password='right')
        old = tls.certificate(path, 'old')
        lib.run('openssl', 'x509', '-x509toreq', '-in', old[0], '-signkey', old[1], '-out',
                path + '/req')
        lib.run('openssl', 'x509', '-req', '-in', path + '/req', '-signkey', old[1], '-days',
                '-1', '-out', old[0])
        nonsense = os.path.join(path, 'nonsense')
        with open(nonsense, 'w') as f:
            f.write('nonsense\n')
        conf = os.path.join(path, 'x.conf')

        def config_check(text):
            with open(conf, 'w') as f:
                f.write('passdb { driver = pam }\nuserdb { driver = passwd }\n' + text)
            done = lib.run(os.path.join(lib.BUILD, 'mailtree'), 'config', 'check', '-c', conf,
                           ok=False)
            return done.returncode, done.stdout.decode()
        pair = 'ssl_cert = <%s\nssl_key = <%s\n'
        for text, status, says in (
                (pair % good, 0, 'no mistakes'),
                (pair % (good[0], other[1]), 1, ':4:1: error: ssl_key: the key in'),
                (pair % (good[0], path + '/none'), 1, 'none: No such file'),
                (pair % (path + '/none', good[1]), 1, ':3:1: error: ssl_cert: '),
                (pair % (nonsense, good[1]), 1, 'there is no certificate'),
                (pair % (good[0], nonsense), 1, 'there is no private key'),
                (pair % (good[0], path), 1, 'not a regular file'),
                (pair % locked, 1, 'has a password: set ssl_key_password'),
                (pair % locked + 'ssl_key_password = wrong\n', 1, 'ssl_key_password is wrong'),
                (pair % locked + 'ssl_key_password = right\n', 0, 'no mistakes'),
                (pair % old, 0, 'warning: ssl_cert: the certificate in %s has expired' % old[0]),
                (pair % good + 'ssl_cipher_list = NONSENSE\n', 1, ':5:1: error: ssl_cipher_list'),
                (pair % good + 'ssl_cipher_suites = X\n', 1, 'ssl_cipher_suites'),
                (pair % good + 'ssl_curve_list = X\n', 1, 'ssl_curve_list'),
                (pair % good + 'ssl_dh = <%s\n' % nonsense, 1, 'no DH parameters'),
                (pair % good + 'ssl_ca = <%s\nssl_verify_client_cert = yes\n' % good[0], 1,
                 'no revocation list'),
                (pair % good + 'local_name x {\n ssl_cert = <%s\n ssl_key = <%s\n}\n'
                 % (other[0], good[1]), 1, ':5:1: error: ssl_key: the key in')):
            got, said = config_check(text)
            lib.check(got == status and says in said, '%s: exit %d: %s', text, got, said)
        config_check(pair % locked + 'ssl_key_password = right\n')
        shown = lib.run(os.path.join(lib.BUILD, 'mailtree'), 'config', 'show', '-n', '-c',
                        conf).stdout.decode()
        lib.check('ssl_key = <%s\n' % locked[1] in shown and 'right' not in shown, '%s', shown)
        os.chmod(good[1], 0o444)
        got, said = config_check(pair % good)
        lib.check(got == 0 and 'warning: ssl_key: others can read' in said, '%s', said)


# ---- through the relay ------------------------------------------------------------------

def deliver(served, user, stored):
    store = lib.Maildir(served.server.maildir(user), uid=lib.MAIL_UID)
    for text in stored:
        store.deliver(text)


def big_messages_pass_exactly():
    """To the octet, both ways, by clients that read much and little at a time."""
    body = bytes(range(32, 127)) * 700 + b'\n'
    stored = [b'Subject: %d\n\n' % i + body * (1 + 7 * i) for i in range(6)]
    with tls.Served() as served:
        deliver(served, 'ann', stored)
        pop = pop3_works(served.secure('pop3s'))
        for i, text in enumerate(stored):
            size, got = pop.retr(i + 1)
            lib.same(got, lib.wire_of(text), 'message %d' % i)
            lib.same(size, len(got), 'its size')
        pop.quit()
        raw = Raw(served.secure('imaps'))
        raw.login('bob')
        message = lib.wire_of(stored[5])
        raw.send(b'a APPEND INBOX {%d}\r\n' % len(message))
        lib.check(raw.line().startswith(b'+ '), 'APPEND')
        _, said = raw.tagged(message + b'\r\n')
        lib.check(said.startswith(b'OK '), 'APPEND: %r', said)
        test_imap_login.selects(raw, 1)
        raw.send(b'f FETCH 1 BODY.PEEK[]\r\n')
        line = raw.line()
        lib.check(line.endswith(b'{%d}' % len(message)), 'FETCH: %r', line)
        while len(raw.buf) < len(message):
            raw._more()
        lib.same(raw.buf[:len(message)], message, 'what was appended')
        raw.close()


def what_was_sent_behind_login_is_answered():
    octets = (b'a LOGIN ann secret-ann\r\n' + b'b NOOP\r\n' * 3000 + b'c LOGOUT\r\n')
    with tls.Served() as served:
        for cut in (len(octets), 30, 2000, 17000):
            sock = served.secure('imaps')
            raw = Raw(sock)
            for at in range(0, len(octets), cut):
                sock.sendall(octets[at:at + cut])
            got = raw.buf
            while part := sock.recv(1 << 16):
                got += part
            lib.same(got.count(b'b OK'), 3000, 'answers when cut to %d' % cut)
            lib.check(got.endswith(b'c OK LOGOUT completed.\r\n'), '%r', got[-100:])
            sock.close()


def each_side_may_end_first():
    with tls.Served() as served:
        deliver(served, 'ann', [b'x' * 1000 + b'\n'] * 500)
        sock = served.secure('pop3s')		# the client: answers come all the same
        pop3_works(sock)
        sock.sendall(b''.join(b'RETR %d\r\n' % i for i in range(1, 501)))
        raw = sock.detach()
        half = socket.socket(fileno=raw)
        half.settimeout(60)
        half.shutdown(socket.SHUT_WR)		# without a close_notify, as many do
        total = 0
        while part := half.recv(1 << 16):
            total += len(part)
        lib.check(total > 500 * 1000, 'only %d octets after half the end', total)
        half.close()
        pop = pop3_works(served.secure('pop3s'))	# and nothing is locked
        pop.quit()
        sock = served.secure('imaps')		# the session: its last word arrives, with the end
        raw = imap_works_with(sock, 500)
        sock.sendall(b'f FETCH 1:* BODY.PEEK[]\r\ng LOGOUT\r\n')
        time.sleep(0.5)				# all of it waits for the client
        got = raw.buf
        while part := sock.recv(1 << 16):	# ends with b'', not with an error: close_notify
            got += part
        lib.check(got.endswith(b'g OK LOGOUT completed.\r\n'), 'the last word: %r', got[-80:])
        sock.close()


def imap_works_with(sock, n):
    raw = Raw(sock)
    raw.login()
    test_imap_login.selects(raw, n)
    return raw


def who_does_not_read_costs_little():
    """Sessions with much to say to clients that do not listen: login's memory stays, others are
    served, and what was held back is exact when it is read at last."""
    text = b'y' * 75 + b'\n'
    message = text * 14000			# about a megabyte each
    with tls.Served() as served:
        deliver(served, 'ann', [message] * 8)
        login = served.server.child('mailtree-login')
        slow = []
        for _ in range(20):
            raw = imap_works_with(served.secure('imaps'), 8)
            slow.append(raw)
        before = int(test_serve.status_of(login, 'VmRSS')[0])
        for raw in slow:
            raw.send(b'f FETCH 1:8 BODY.PEEK[]\r\n')
        for _ in range(5):
            imap_works(served.secure('imaps'), 'bob').close()
        grown = (int(test_serve.status_of(login, 'VmRSS')[0]) - before) * 1024 // len(slow)
        print('# a client that does not read its mail: %d octets of login each' % grown)
        lib.check(grown <= 65536 or lib.sanitised('mailtree-login'), '%d octets each', grown)
        raw, wire = slow.pop(), lib.wire_of(message)
        for i in range(8):
            line = raw.line()
            lib.check(b'{%d}' % len(wire) in line, '%r', line)
            while len(raw.buf) < len(wire) + 3:
                raw._more()
            lib.same(raw.buf[:len(wire)], wire, 'message %d' % i)
            raw.buf = raw.buf[len(wire):]
            raw.line()
        for raw in slow + [raw]:
            raw.close()
        lib.wait_until(lambda: used(login) < 0.05, 30, 'login is idle again')


def used(pid):
    """Share of a processor in the next moment."""
    def ticks():
        fields = lib.text_of('/proc/%d/stat' % pid).rsplit(b')', 1)[1].split()
        return int(fields[11]) + int(fields[12])
    began, at = ticks(), time.monotonic()
    time.sleep(0.4)
    return (ticks() - began) / os.sysconf('SC_CLK_TCK') / (time.monotonic() - at)


# ---- reload and end ---------------------------------------------------------------------

def a_reload_drops_no_session():
    with tls.Served() as served:
        deliver(served, 'ann', [b'Subject: x\n\n' + b'z' * 70 + b'\n'])
        old = served.server.child('mailtree-login')
        first = imap_works_with(served.secure('imaps'), 1)
        waiting = Raw(served.connect('imap'))
        new = tls.certificate(served.folder, 'new')
        with open(served.server.conf, 'a') as f:
            f.write('ssl_cert = <%s\nssl_key = <%s\nssl_min_protocol = TLSv1.3\n' % new)
        served.server.process.send_signal(signal.SIGHUP)
        lib.wait_until(lambda: 'reloaded' in served.server.log_text(), 30, 'the reload')
        sock = served.secure('imaps', served.context(new))
        lib.same(sock.version(), 'TLSv1.3', 'version')
        second = imap_works_with(sock, 1)
        waiting.login('ann')	# by the process that it began with
        test_imap_login.bye(waiting)
        test_imap_login.selects(first, 1)	# by the login process of before
        lib.check(os.path.exists('/proc/%d' % old), 'the old login process is there')
        lib.check(served.server.child('mailtree-login') != None, 'a new one, too')
        test_imap_login.bye(first)
        lib.wait_until(lambda: not os.path.exists('/proc/%d' % old), 30, 'the old one ends')
        served.server.process.send_signal(signal.SIGHUP)
        test_imap_login.selects(second, 1)
        served.server.process.terminate()
        lib.same(second.sock.recv(100), b'', 'the end, as TLS has it')
        second.close()


def listeners_are_as_configured():
    """TLS has its listeners while there is a certificate, and each can be switched off."""
    with tls.Served() as served:
        for name in ('pop3s', 'imaps', 'imap', 'pop3'):
            served.connect(name).close()
        shown = lib.run('ss', '-ltnH').stdout.decode()
        for port in served.ports.values():
            lib.check(':%d ' % port in shown, 'port %d: %s', port, shown)
        with open(served.server.conf, 'a') as f:
            f.write('''service imap-login { inet_listener imap { port = 0 } }
service pop3-login { inet_listener pop3s { port = 0 } }
''')
        lib.same(served.server.stop(), 0, 'exit status')
        served.server.start()
        shown = lib.run('ss', '-ltnH').stdout.decode()
        for name, there in (('imap', False), ('imaps', True), ('pop3', True), ('pop3s', False)):
            lib.same(':%d ' % served.ports[name] in shown, there, 'listener %s' % name)


if __name__ == '__main__':
    lib.run_tests([
        each_way_in_works,
        nothing_sent_before_the_handshake_counts,
        required_means_required,
        certificates_by_name,
        versions_and_ciphers_are_as_configured,
        sessions_are_resumed_unless_forbidden,
        certificates_of_clients,
        mistakes_are_told_with_their_place,
        big_messages_pass_exactly,
        what_was_sent_behind_login_is_answered,
        each_side_may_end_first,
        who_does_not_read_costs_little,
        a_reload_drops_no_session,
        listeners_are_as_configured,
    ])
