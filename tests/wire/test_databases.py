#!/usr/bin/env python3
# limit: 180
"""Databases and their passwords by foreign clients: every scheme, shadow, prefetch, masters,
names made whole, version 2.4's blocks; and who is who by a client's certificate."""
import contextlib
import imaplib
import os
import poplib
import subprocess

import lib
import tls

UID = lib.MAIL_UID
PASSWORD = 'Hello world!'
CRAM = '{CRAM-MD5}be3fa00ed91dac8efa2f2929dee858c2e9d1232732bba82c2a73c4d157f80e10'
# each by `doveadm pw -s SCHEME` of Dovecot 2.3.19, argon2 by libargon2
STORED = {
    'sha': '{SHA}00hq6RNueFa8QiEjhep5cJRHWAI=',
    'ssha512hex': '{SSHA512.HEX}a25210fed0669ffd00079d4b2811e972c4897a1ad945b84b70d5fb57c5830ec7'
                  'f93f0a939768e697d0eb3390162d4d7700bccfcd6ad88652bc29fffbc0bb5ac1d63e7f80',
    'smd5': '{SMD5}JlMcwU0287WKZwSHmb9kM9AUGAg=',
    'plainmd5': '{PLAIN-MD5}86fb269d190d2c85f6e0468ceca42a20',
    'md5': '{MD5}$1$LCQu/oj/$8EUU8IPNHYpvkg4ZRJvlU1',
    'ann@ex.org': '{DIGEST-MD5}8ce0b18d11794f7256baedadc25e0547',
    'crypt': '$2y$05$GDzZ2aWbP7fR0nLynO1YK.1wyEYJc5MrYaDcIDoakQfXipkJ3V/I6',
    'pbkdf2': '{PBKDF2}$1$6gtP1B7i6A29Pa5u$5000$7e65c4879ba50c92197d033ce788afd9b43b9b71',
    'argon': '{ARGON2ID}$argon2id$v=19$m=64,t=3,p=1$c2FsdHNhbHRzYWx0c2FsdA$nK/A3KwFbeDgGfj7wC28'
             'MVgxZSZx0AeVygR8KLR5Hak',
    'scram': '{SCRAM-SHA-256}4096,0TQL6ltqjYTDlkfmpolvGA==,KG+HA6bfg7SSN60BsLZ6+gJl2NeTIBLAQDhD'
             'i3kX+3k=,aCjDpgdl8IjGb6PDEZYt/WoMWQUzZtp7dn6R2yJGzgk=',
    'cram': CRAM,
}


@contextlib.contextmanager
def served(passdbs, userdbs='userdb {\n driver = static\n args = uid=%d gid=%d home=HERE/%%n\n}\n' %
           (UID, UID), users=(), extra=''):
    """Databases of the test's own; HERE is the folder, users the lines of HERE/db."""
    with lib.scratch() as path:
        os.chmod(path, 0o711)
        with open(path + '/db', 'w') as f:
            f.writelines(line + '\n' for line in users)
        port = lib.free_port()
        fragment = ('%s\n%s\n%s' % (extra, passdbs, userdbs)).replace('HERE', path)

        class Own(lib.Server):
            """The databases that lib.Server writes make way for these."""
            def start(self):
                with open(self.conf) as f:
                    text = f.read()
                with open(self.conf, 'w') as f:
                    f.write(text[:text.index('passdb {')] + fragment + '''
protocols = imap pop3
first_valid_uid = 100
auth_failure_delay = 0
service imap-login { inet_listener imap { port = %d } }
''' % port)
                super().start()
        server = Own(path, ())
        server.imap_port = port
        try:
            yield server
            lib.same(server.stop(), 0, 'exit status of mailtree serve after SIGTERM')
            for word in ('AddressSanitizer', 'runtime error:', 'killed by'):
                lib.check(word not in server.log_text(), 'the log: %s',
                          server.log_text()[-2000:])
        finally:
            server.stop()


def home_of(path, name, uid=UID):
    store = lib.Maildir('%s/%s/Maildir' % (path, name), uid=uid)
    store.deliver(b'Subject: %s\n\nhello\n' % name.encode())


def imap_in(server, name, password):
    box = imaplib.IMAP4('127.0.0.1', server.imap_port)
    try:
        box.login(name, password)
        lib.same(box.select()[0], 'OK', 'SELECT of %s' % name)
        box.logout()
        return True
    except imaplib.IMAP4.error as e:
        lib.check('AUTHENTICATIONFAILED' in str(e), '%s: %s\n%s', name, e,
                  server.log_text()[-1500:])
        box.shutdown()
        return False


def pop3_in(server, name, password):
    pop = poplib.POP3('127.0.0.1', server.port, timeout=60)
    try:
        pop.user(name)
        pop.pass_(password)
        pop.quit()
        return True
    except poplib.error_proto as e:
        lib.check(b'[AUTH]' in e.args[0], '%s: %s\n%s', name, e, server.log_text()[-1500:])
        pop.close()
        return False


def expect(server, *rows):
    for name, password, want in rows:
        lib.same(imap_in(server, name, password), want, 'IMAP: %s with %s' % (name, password))
        lib.same(pop3_in(server, name, password), want, 'POP3: %s with %s' % (name, password))


def gsasl(server, mechanism, name, password):
    done = subprocess.run(['gsasl', '--imap', '--no-starttls', '-m', mechanism, '-a', name, '-z',
                           name, '-p', password, '--connect',
                           '127.0.0.1:%d' % server.imap_port], input=b'a LOGOUT\n',
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    return b'Client authentication finished' in done.stdout


PASSWD_FILE = 'passdb {\n driver = passwd-file\n args = HERE/db\n}\n'


def every_scheme_lets_in_who_knows():
    lines = ['%s:%s' % pair for pair in STORED.items()] + ['odd:{NOSUCH}x', 'torn:{SSHA}x']
    with served(PASSWD_FILE, users=lines, extra='auth_mechanisms = plain cram-md5 scram-sha-256') \
            as server:
        for name in STORED:
            home_of(server.folder, name.split('@')[0])
            lib.same((imap_in(server, name, PASSWORD), imap_in(server, name, 'Hello world')),
                     (True, False), name)
        for name in ('odd', 'torn'):
            lib.same(imap_in(server, name, 'x'), False, name)
        log = server.log_text()
        lib.check(server.folder + '/db: odd: there is no password scheme {NOSUCH}' in log, '%s',
                  log)
        lib.check(server.folder + '/db: torn: what is stored as {SSHA} is none' in log, '%s', log)
        # a mechanism's own form serves it alone
        for mechanism, name, password, want in (
                ('CRAM-MD5', 'cram', PASSWORD, True), ('CRAM-MD5', 'cram', 'x', False),
                ('SCRAM-SHA-256', 'scram', PASSWORD, True), ('SCRAM-SHA-256', 'scram', 'x', False),
                ('SCRAM-SHA-256', 'cram', PASSWORD, False), ('CRAM-MD5', 'sha', PASSWORD, False)):
            lib.same(gsasl(server, mechanism, name, password), want,
                     '%s by %s with %s' % (name, mechanism, password))
        lib.check('/db: sha: a password stored as {SHA} cannot serve CRAM-MD5' in
                  server.log_text(), '%s', server.log_text())


def what_passwd_makes_is_served():
    with served(PASSWD_FILE, users=['x:{PLAIN}x'],
                extra='auth_mechanisms = plain cram-md5 scram-sha-256 scram-sha-1') as server:
        for mechanism in ('CRAM-MD5', 'SCRAM-SHA-1', 'SCRAM-SHA-256'):
            name = mechanism.lower()
            home_of(server.folder, name)
            lib.run(lib.BUILD + '/mailtree', 'passwd', '-s', mechanism, '-f',
                    server.folder + '/db', name, input=PASSWORD.encode() + b'\n')
            lib.same([gsasl(server, mechanism, name, PASSWORD), gsasl(server, mechanism, name, 'x'),
                      imap_in(server, name, PASSWORD), imap_in(server, name, 'x')],
                     [True, False, True, False], mechanism)
        # now nobody is left whom CRAM-MD5 could serve: the next start says so
        with open(server.folder + '/db', 'w') as f:
            f.write('x:{SHA512-CRYPT}$6$x$y\n')
        done = lib.run(lib.BUILD + '/mailtree', 'config', 'check', '-c', server.conf, ok=False)
        said = (done.stdout + (done.stderr or b'')).decode()
        lib.check(done.returncode == 1 and 'nobody could log in by CRAM-MD5' in said and
                  '{SHA512-CRYPT}' in said, '%d: %s', done.returncode, said)


def shadow_and_prefetch():
    with lib.account('mtshadow', '--no-create-home') as user:
        lib.wait_until(lambda: lib.run('chpasswd', input=b'mtshadow:horse\n',
                                       ok=False).returncode == 0, 60, 'a password')
        shadow_and_prefetch_of(user)


def shadow_and_prefetch_of(user):
    with served('passdb {\n driver = shadow\n}\n' + PASSWD_FILE,
                'userdb {\n driver = prefetch\n}\nuserdb {\n driver = passwd\n '
                'override_fields = home=HERE/%u\n}\n',
                users=['pre:{PLAIN}x::::::userdb_uid=%d userdb_gid=%d userdb_home=HERE/pre' %
                       (UID, UID), 'bare:{PLAIN}x']) as server:
        with open(server.folder + '/db') as f:
            text = f.read().replace('HERE', server.folder)
        with open(server.folder + '/db', 'w') as f:
            f.write(text)
        home_of(server.folder, user.pw_name, user.pw_uid)
        home_of(server.folder, 'pre')
        expect(server, (user.pw_name, 'horse', True), (user.pw_name, 'x', False),
               ('pre', 'x', True), ('pre', 'horse', False))
        # prefetched, or nobody: bare's passdb says nothing, and passwd has no such user
        box = imaplib.IMAP4('127.0.0.1', server.imap_port)
        try:
            box.login('bare', 'x')
            raise lib.Failed('bare has no record and is let in')
        except imaplib.IMAP4.error:
            box.shutdown()
        lib.check('bare: the password is right, but no userdb knows the user' in server.log_text(),
                  '%s', server.log_text())


def names_are_made_whole():
    with served('passdb {\n driver = passwd-file\n args = HERE/db\n master = yes\n}\n'
                'passdb {\n driver = static\n args = password=x\n}\n',
                users=['root1@ex.org:{PLAIN}m'],
                extra='auth_default_domain = EX.org\nauth_master_user_separator = *\n'
                'auth_username_format = %Lu\nauth_username_translation = "%@"\n'
                'auth_username_chars =') as server:
        home_of(server.folder, 'ann')
        expect(server, ('ann', 'x', True), ('ANN@ex.ORG', 'x', True), ('ann%ex.org', 'x', True),
               ('ann*root1', 'm', True), ('ann@ex.org*root1@EX.org', 'm', True),
               ('ann*root1', 'x', False), ('ann*root1@other', 'm', False), ('ann', 'm', False))
        log = server.log_text()
        lib.check('ann@ex.org: session' in log and 'root1@ex.org logs in as ann@ex.org' in log,
                  '%s', log)


def blocks_of_version_two_point_four():
    with served('''passdb barred {
  driver = passwd-file
  passwd_file_path = HERE/barred
  deny = yes
}
passdb first {
  passdb_driver = passwd-file
  passwd_file_path = HERE/db
  default_password_scheme = SHA
  result_failure = continue
  result_success = return-ok
}
passdb last {
  driver = static
  password = {SHA}00hq6RNueFa8QiEjhep5cJRHWAI=
}
''', '''userdb main {
  userdb_driver = passwd-file
  passwd_file_path = HERE/db
  fields {
    uid:default = %d
    gid:default = %d
    home = HERE/%%{user|username}
  }
}
''' % (UID, UID), users=['ann:00hq6RNueFa8QiEjhep5cJRHWAI=', 'bob:{PLAIN}pw:::::/nowhere',
                         'eve:{PLAIN}pw'], extra='auth_username_format = %{user | lower}') \
            as server:
        with open(server.folder + '/barred', 'w') as f:
            f.write('eve\n')
        for name in ('ann', 'bob'):
            home_of(server.folder, name)
        expect(server, ('ann', PASSWORD, True), ('BOB', 'pw', True), ('bob', PASSWORD, True),
               ('bob', 'x', False), ('eve', 'pw', False), ('eve', PASSWORD, False))


def certificates_name_their_owners():
    """EXTERNAL by python, curl and openssl, over IMAP and POP3; a certificate of nobody whom the
    databases know, and of a CA that nobody trusts, let in nobody."""
    with lib.scratch() as path:
        ca = tls.certificate(path, 'ca')
        leaf = ('-addext', 'basicConstraints=CA:FALSE')
        pairs = {name: tls.certificate(path, name, *leaf, issuer=ca) for name in ('ann', 'zoe')}
        os.mkdir(path + '/false')
        pairs['false'] = tls.certificate(path + '/false', 'ann')
        with tls.Served('auth_mechanisms = plain external\nauth_failure_delay = 0\n'
                        'ssl_ca = <%s\nssl_require_crl = no\nssl_verify_client_cert = yes\n'
                        'auth_ssl_username_from_cert = yes\n' % ca[0]) as s:
            for who, want in (('ann', True), ('zoe', False), ('false', False), (None, False)):
                pair = pairs.get(who)
                lib.same(python_external(s, pair), want, 'python, certificate %s' % who)
                for kind in ('imaps', 'pop3s'):
                    lib.same(curl_external(s, kind, pair), want, 'curl, %s, %s' % (kind, who))
                    lib.same(openssl_external(s, kind, pair), want, 'openssl, %s, %s' %
                             (kind, who))
            lib.wait_until(lambda: ': ann: session' in s.server.log_text(), 20, 'ann')
            lib.check('zoe: session' not in s.server.log_text(), '%s', s.server.log_text())


def python_external(s, pair):
    context = s.context()
    if pair:
        context.load_cert_chain(*pair)
    box = imaplib.IMAP4_SSL('127.0.0.1', s.ports['imaps'], ssl_context=context)
    try:
        box.authenticate('EXTERNAL', lambda _: b'')
        box.logout()
        return True
    except imaplib.IMAP4.error:
        box.shutdown()
        return False


def curl_external(s, kind, pair):
    url = '%s://127.0.0.1:%d/%s' % (kind, s.ports[kind], 'INBOX' if kind == 'imaps' else '')
    by = ('--cert', pair[0], '--key', pair[1]) if pair else ()
    # without --sasl-ir it answers `=` where an empty line is meant, which is no base64
    return subprocess.run(['curl', '-sS', '--sasl-ir', '--cacert', s.usual()[0], *by,
                           '--login-options', 'AUTH=EXTERNAL', '-u', ':', url],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=60).returncode == 0


def openssl_external(s, kind, pair):
    text = {'imaps': b'a AUTHENTICATE EXTERNAL =\r\na LOGOUT\r\n',
            'pop3s': b'AUTH EXTERNAL =\r\nQUIT\r\n'}[kind]
    by = ('-cert', pair[0], '-key', pair[1]) if pair else ()
    said = tls.s_client(s.ports[kind], '-quiet', '-ign_eof', *by, text=text)
    refused = 'a NO' in said or '-ERR' in said
    lib.check(refused or '+OK' in said or 'a OK' in said, 'openssl, %s: %s', kind, said)
    return not refused


if __name__ == '__main__':
    lib.run_tests([
        every_scheme_lets_in_who_knows,
        what_passwd_makes_is_served,
        shadow_and_prefetch,
        names_are_made_whole,
        blocks_of_version_two_point_four,
        certificates_name_their_owners,
    ])
