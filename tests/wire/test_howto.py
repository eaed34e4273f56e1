#!/usr/bin/env python3
# limit: 300
"""The fragments of the classic howto for Dovecot, as they are written there: each is what
`mailtree serve -c` is started with, for a system user whom PAM knows."""
import contextlib
import imaplib
import os
import poplib
import pwd
import shutil
import socket
import ssl
import subprocess
import warnings

import howto
import lib

USER, PASSWORD = 'mthowto', 'right horse'
LETTER = b'Subject: howto\n\nletter\n'

# What the fragments leave open.
SYSTEM = '''passdb {
  driver = pam
  args = dovecot
}
userdb {
  driver = passwd
}
'''
CLEAR = 'ssl = no\ndisable_plaintext_auth = no\n'
MAILDIR = 'mail_location = maildir:~/Maildir\n'


class Everything:
    """The account and its mail."""
    user = home = None


@contextlib.contextmanager
def system_user():
    with lib.scratch() as path:
        home = path + '/home'
        # other tests make accounts, too, and there is one lock for them all
        lib.run('userdel', '-f', USER, ok=False)
        lib.wait_until(lambda: lib.run('useradd', '--create-home', '--home-dir', home, '--shell',
                                       '/bin/sh', USER, ok=False).returncode == 0, 60,
                       'an account')
        try:
            lib.wait_until(lambda: lib.run('chpasswd', input=b'%s:%s\n' % (
                USER.encode(), PASSWORD.encode()), ok=False).returncode == 0, 60, 'a password')
            user = pwd.getpwnam(USER)
            Everything.user, Everything.home = user, home
            lib.Maildir(home + '/Maildir', uid=user.pw_uid).deliver(LETTER)
            yield
        finally:
            lib.run('userdel', '-f', USER, ok=False)


def letters(**where):
    return howto.letters(user=USER, password=PASSWORD, **where)


def serves(fragment, **more):
    """With this fragment, mail is served."""
    with lib.scratch() as folder, howto.Serve(folder, fragment) as server:
        lib.same(letters(**more), [LETTER[:-1]], 'the letters')
        return server.log_text()


def mail_in_a_maildir():
    serves(CLEAR + SYSTEM + 'mail_location = maildir:~/Maildir\n')


def mail_in_mboxes():
    """INBOX in the spool, folders below the home."""
    spool, folders = '/var/mail/' + USER, Everything.home + '/mail'
    os.mkdir(folders)
    stored = b'From al@example.org Thu Jan  1 00:00:01 2015\n%s\n'
    try:
        for path, text in ((spool, stored % LETTER),
                           (folders + '/Sent', stored % b'Subject: sent\n\nout\n')):
            with open(path, 'wb') as f:
                f.write(text)
            os.chmod(path, 0o600)
        for path in (spool, folders, folders + '/Sent'):
            os.chown(path, Everything.user.pw_uid, Everything.user.pw_gid)
        fragment = 'mail_location = mbox:~/mail:INBOX=/var/mail/%u\n'
        with lib.scratch() as folder, howto.Serve(folder, CLEAR + SYSTEM + fragment):
            lib.same(letters(), [LETTER[:-1]], 'the letters of the INBOX')
            client = howto.imap()
            client.login(USER, PASSWORD)
            names = {line.split()[-1].strip(b'"') for line in client.list()[1]}
            lib.same(names, {b'INBOX', b'Sent'}, 'mailboxes')
            lib.same(client.select('Sent')[1], [b'1'], 'letters of Sent')
            client.logout()
        serves(CLEAR + SYSTEM + fragment + 'mbox_min_index_size = 1000\n')
    finally:
        os.unlink(spool)
        shutil.rmtree(folders)


def version_one():
    """`auth default`, with databases in it."""
    serves(CLEAR + MAILDIR + '''auth default {
  mechanisms = plain login
  passdb pam {
    args = dovecot
  }
  userdb passwd {
  }
}
''')


def challenges():
    """`mechanisms = plain login cram-md5`: with PAM alone it cannot be, and the server says why
    it does not begin; with a file of plain passwords it works."""
    fragment = 'auth default {\n  mechanisms = plain login cram-md5\n%s}\n'
    with lib.scratch() as folder:
        said = howto.refused(folder, CLEAR + MAILDIR + fragment %
                             '  passdb pam {\n  }\n  userdb passwd {\n  }\n')
        lib.check('CRAM-MD5' in said and 'pam can only say yes or no' in said, '%s', said)
    with lib.scratch() as folder:
        with open(folder + '/users', 'w') as f:
            f.write('%s:{PLAIN}%s\n' % (USER, PASSWORD))
        with howto.Serve(folder, CLEAR + MAILDIR + fragment % (
                '  passdb passwd-file {\n    args = %s/users\n  }\n  userdb passwd {\n  }\n' %
                folder)):
            client = howto.imap()
            lib.check('AUTH=CRAM-MD5' in client.capabilities, '%s', client.capabilities)
            client.login_cram_md5(USER, PASSWORD)
            lib.same(client.select()[1], [b'1'], 'letters after CRAM-MD5')
            client.logout()
            fails(howto.imap().login_cram_md5, USER, 'wrong horse')
            lib.same(letters(), [LETTER[:-1]], 'the letters by USER and PASS')


def version_two_point_four():
    serves('''dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
protocols {
  imap = yes
  pop3 = yes
}
ssl = no
auth_allow_cleartext = yes
auth_username_format = %{user | lower}
mail_driver = maildir
mail_path = %{home}/Maildir
passdb pam {
  service_name = dovecot
}
userdb passwd {
}
''')


def pam_of_ones_own():
    """pam_unix with `nullok`: a user without a password is one, when PAM says so."""
    name = '/etc/pam.d/mt-howto'
    with open(name, 'w') as f:
        f.write('#%PAM-1.0\nauth required pam_unix.so nullok\naccount required pam_unix.so\n')
    try:
        fragment = CLEAR + MAILDIR + SYSTEM.replace('args = dovecot', 'args = mt-howto')
        with lib.scratch() as folder, howto.Serve(folder, fragment):
            lib.same(letters(), [LETTER[:-1]], 'the letters')
            client = howto.pop3()
            client.user(USER)
            try:
                client.pass_('wrong horse')
            except poplib.error_proto as e:
                lib.check(b'[AUTH]' in e.args[0], 'answer %r', e.args[0])
            else:
                raise lib.Failed('a wrong password is right')
    finally:
        os.unlink(name)


def ports_of_clear_text():
    """IPv4 and IPv6; each component by itself; port 0 is off."""
    off = '''service %s-login {
  inet_listener %s {
    port = 0
  }
}
'''
    for fragment, ports in (
            ('', (110, 143)),
            ('protocols = imap\n', (143,)),
            ('protocols = pop3\n', (110,)),
            (off % ('imap', 'imap'), (110,)),
            (off % ('pop3', 'pop3'), (143,)),
            ('service imap-login { inet_listener imap { port = 1143 } }\n', (110, 1143))):
        with lib.scratch() as folder, \
                howto.Serve(folder, CLEAR + MAILDIR + SYSTEM + fragment):
            lib.same(howto.listeners(), howto.everywhere(*ports), fragment)
    serves(CLEAR + MAILDIR + SYSTEM, host='::1')
    with lib.scratch() as folder:
        said = howto.refused(folder, CLEAR + MAILDIR + SYSTEM + 'protocols = none\n')
        lib.check('nothing to listen on' in said, '%s', said)


class Tls:
    """The key and the certificate that a howto has made, and one whose key has a password."""
    folder = None

    @classmethod
    def make(cls):
        cls.folder = os.path.dirname(Everything.home) + '/dovecot'
        os.mkdir(cls.folder)
        lib.run(howto.MAILTREE, 'cert', '-o', cls.folder + '/dovecot.pem', '-k',
                cls.folder + '/dovecot.key', 'localhost', '127.0.0.1', '::1')
        lib.run('openssl', 'pkey', '-in', cls.folder + '/dovecot.key', '-aes256', '-passout',
                'pass:moose', '-out', cls.folder + '/locked.key')
        for name in ('dovecot.key', 'locked.key'):
            os.chmod(cls.folder + '/' + name, 0o400)

    @classmethod
    def of(cls, fragment):
        """The fragment, with /etc/dovecot being the test's."""
        return fragment.replace('/etc/dovecot/', cls.folder + '/')

    @classmethod
    def context(cls, **kwargs):
        context = ssl.create_default_context(cafile=cls.folder + '/dovecot.pem')
        for name, value in kwargs.items():
            setattr(context, name, value)
        return context


CERTIFICATE = '''ssl_cert = </etc/dovecot/dovecot.pem
ssl_key = </etc/dovecot/dovecot.key
'''


def with_tls(fragment):
    return Tls.of(MAILDIR + SYSTEM + fragment)


def cipher(port=993, **kwargs):
    """(protocol, cipher) of a connection."""
    with Tls.context(**kwargs).wrap_socket(socket.create_connection(('127.0.0.1', port), 60),
                                           server_hostname='localhost') as s:
        lib.check(s.recv(100), 'a greeting')
        return s.version(), s.cipher()[0]


def fails(call, *args, **kwargs):
    try:
        got = call(*args, **kwargs)
    except (OSError, imaplib.IMAP4.error, poplib.error_proto) as e:
        return str(e)
    raise lib.Failed('it was allowed: %r' % (got,))


def mail_by_tls(host='localhost'):
    """By all four ways, IMAP and POP3."""
    for client in (imaplib.IMAP4_SSL(host, 993, ssl_context=Tls.context(), timeout=60),
                   howto.imap(host)):
        if client.port == 143:
            client.starttls(Tls.context())
        client.login(USER, PASSWORD)
        lib.same(client.select()[1], [b'1'], 'letters by IMAP')
        client.logout()
    for client in (poplib.POP3_SSL(host, 995, context=Tls.context(), timeout=60),
                   howto.pop3(host)):
        if client.port == 110:
            client.stls(Tls.context())
        client.user(USER)
        client.pass_(PASSWORD)
        lib.same(client.stat()[0], 1, 'letters by POP3')
        client.quit()


def tls_is_required():
    """Nothing that reveals a password is taken in clear text, and the answer says why."""
    with lib.scratch() as folder, \
            howto.Serve(folder, with_tls(CERTIFICATE + 'ssl = required\n')):
        lib.same(howto.listeners(), howto.everywhere(110, 143, 993, 995), 'listeners')
        client = howto.imap()
        lib.check('LOGINDISABLED' in client.capabilities, '%s', client.capabilities)
        why = fails(client.login, USER, PASSWORD)
        lib.check('TLS' in why, 'answer %s', why)
        client = howto.pop3()
        lib.check('USER' not in client.capa(), '%s', client.capa())
        why = fails(client.user, USER)
        lib.check('TLS' in why, 'answer %s', why)
        for host in ('localhost', '127.0.0.1', '::1'):
            mail_by_tls(host)


def keys_and_passwords():
    """A key of root alone; one with a password; one whose password is wrong."""
    locked = CERTIFICATE.replace('dovecot.key', 'locked.key')
    with lib.scratch() as folder:
        with howto.Serve(folder, with_tls(locked + 'ssl_key_password = moose\n')):
            mail_by_tls()
        said = howto.refused(folder, with_tls(locked + 'ssl_key_password = elk\n'))
        lib.check('locked.key' in said, '%s', said)
        said = howto.refused(folder, with_tls(CERTIFICATE.replace('.key', '.none')))
        lib.check('dovecot.none' in said, '%s', said)


def protocols_and_ciphers():
    """What the settings of old howtos allow, one after the other."""
    strong = 'ssl_cipher_list = AES256+EECDH:AES256+EDH\n'
    with lib.scratch() as folder, howto.Serve(folder, with_tls(
            CERTIFICATE + 'ssl_protocols = !SSLv2 !SSLv3 !TLSv1\n' + strong +
            'ssl_prefer_server_ciphers = yes\nssl_dh_parameters_length = 2048\n')):
        two = ssl.TLSVersion.TLSv1_2
        lib.same(cipher()[0], 'TLSv1.3', 'the newest')
        version, name = cipher(maximum_version=two)
        lib.same(version, 'TLSv1.2', 'an older one')
        lib.check('AES256' in name or 'AES-256' in name, 'cipher %s', name)
        weak = Tls.context(maximum_version=two)
        weak.set_ciphers('ECDHE-ECDSA-AES128-GCM-SHA256')
        with socket.create_connection(('127.0.0.1', 993), 60) as s:
            fails(weak.wrap_socket, s, server_hostname='localhost')
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1
        old.set_ciphers('ALL:@SECLEVEL=0')
        with socket.create_connection(('127.0.0.1', 993), 60) as s:
            fails(old.wrap_socket, s)
        mail_by_tls()


def whose_order_counts():
    """ssl_prefer_server_ciphers: of two that both have, the server's first, or the client's."""
    theirs = 'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305'
    ours = ':'.join(reversed(theirs.split(':')))
    for prefer, want in (('yes', ours), ('no', theirs)):
        with lib.scratch() as folder, howto.Serve(folder, with_tls(
                CERTIFICATE + 'ssl_cipher_list = %s\nssl_prefer_server_ciphers = %s\n'
                % (ours, prefer))):
            context = Tls.context(maximum_version=ssl.TLSVersion.TLSv1_2)
            context.set_ciphers(theirs)
            with context.wrap_socket(socket.create_connection(('127.0.0.1', 993), 60),
                                     server_hostname='localhost') as s:
                lib.same(s.cipher()[0], want.split(':')[0], 'prefer %s' % prefer)


def tls_alone():
    """The two login services with port 0 and 993 and 995."""
    with lib.scratch() as folder, howto.Serve(folder, with_tls(CERTIFICATE + '''
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = 993
    ssl = yes
  }
}
service pop3-login {
  inet_listener pop3 {
    port = 0
  }
  inet_listener pop3s {
    port = 995
    ssl = yes
  }
}
''')):
        lib.same(howto.listeners(), howto.everywhere(993, 995), 'listeners')
        lib.check(cipher(993)[0], 'IMAP')
        lib.check(cipher(995)[0], 'POP3')
    for fragment, ports in (('protocols = imaps pop3s\n', (993, 995)),
                            ('protocols = imap imaps\n', (143, 993)),
                            ('protocols = pop3\nprotocol pop3 {\n  listen = *:1110\n'
                             '  ssl_listen = *:1995\n}\n', None)):
        with lib.scratch() as folder, \
                howto.Serve(folder, with_tls(CERTIFICATE.replace('ssl_cert =', 'ssl_cert_file =')
                                             .replace('ssl_key =', 'ssl_key_file =')
                                             .replace('= <', '= ') + fragment)):
            want = howto.everywhere(*ports) if ports else {('0.0.0.0', 1110), ('0.0.0.0', 1995)}
            lib.same(howto.listeners(), want, fragment)


def courier():
    """Each component of Debian's configuration, switched on by itself, and all of them."""
    files = {
        'imapd': 'ADDRESS=0\nPORT=143\nIMAPDSTART=%s\nMAILDIRPATH=Maildir\n',
        'imapd-ssl': 'SSLPORT=993\nSSLADDRESS=0\nIMAPDSSLSTART=%s\nIMAPDSTARTTLS=YES\n'
                     'IMAP_TLS_REQUIRED=0\nTLS_STARTTLS_PROTOCOL="$TLS_PROTOCOL"\n'
                     'TLS_CERTFILE=/etc/dovecot/dovecot.pem\n'
                     'TLS_PRIVATE_KEYFILE=/etc/dovecot/dovecot.key\nTLS_VERIFYPEER=NONE\n',
        'pop3d': 'PORT=110\nADDRESS=0\nPOP3DSTART=%s\nPOP3AUTH=""\n',
        'pop3d-ssl': 'SSLPORT=995\nSSLADDRESS=0\nPOP3DSSLSTART=%s\nPOP3_STARTTLS=YES\n'
                     'TLS_CERTFILE=/etc/dovecot/dovecot.pem\n'
                     'TLS_PRIVATE_KEYFILE=/etc/dovecot/dovecot.key\n',
        'authdaemonrc': 'authmodulelist="authpam"\ndaemons=5\n',
    }
    port = {'imapd': 143, 'imapd-ssl': 993, 'pop3d': 110, 'pop3d-ssl': 995}
    for on in (*((name,) for name in port), tuple(port)):
        with lib.scratch() as folder:
            for name, text in files.items():
                with open(folder + '/' + name, 'w') as f:
                    f.write(Tls.of(text.replace('%s', 'YES' if name in on else 'NO')))
            made = lib.run(howto.MAILTREE, 'config', 'import',
                           *(folder + '/' + name for name in files)).stdout.decode()
            with howto.Serve(folder, made):
                lib.same(howto.listeners(), howto.everywhere(*(port[n] for n in on)), on)
    lib.check('prefix = INBOX.' in made, 'the names of mailboxes: %s', made)


def settings_from_a_directory():
    """!include with wildcards, !include_try, a file that names none."""
    with lib.scratch() as folder:
        os.mkdir(folder + '/conf.d')
        for name, text in (('10-auth.conf', SYSTEM), ('10-mail.conf', MAILDIR),
                           ('10-ssl.conf', CLEAR), ('skipped.txt', 'no such setting\n')):
            with open(folder + '/conf.d/' + name, 'w') as f:
                f.write(text)
        with howto.Serve(folder, '!include conf.d/*.conf\n!include_try local.conf\n'
                         '!include_try /none/*.conf\n'):
            lib.same(letters(), [LETTER[:-1]], 'the letters')


def doveconf(*args):
    """What Dovecot itself makes of a configuration: {'': {setting: value}, block: ...}."""
    out = subprocess.run(['doveconf', *args], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE).stdout.decode()
    return blocks(out)


def blocks(text):
    """Settings by the block that they stand in."""
    found, inside = {}, []
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith('#'):
            continue
        if line.endswith('{'):
            inside.append(line[:-1].strip().replace('"', ''))
        elif line == '}':
            inside.pop()
        else:
            name, _, value = line.partition('=')
            value = value.strip()
            if value.startswith('"'):
                value = value[1:-1].replace('\\\\', '\\')
            found.setdefault('/'.join(inside), {})[name.strip()] = value
    return found


def debians_dovecot_conf():
    """It is imported; what is in force then is what Dovecot says of itself."""
    with lib.scratch() as folder:
        # the key that the package makes when it is installed may be missing
        conf, private = folder + '/dovecot/dovecot.conf', folder + '/dovecot/private'
        shutil.copytree('/etc/dovecot', folder + '/dovecot', symlinks=True)
        shutil.rmtree(private, ignore_errors=True)
        os.mkdir(private)
        lib.run(howto.MAILTREE, 'cert', '-o', private + '/dovecot.pem', '-k',
                private + '/dovecot.key', 'localhost')
        ssl = folder + '/dovecot/conf.d/10-ssl.conf'
        text = lib.text_of(ssl).replace(b'/etc/dovecot/private', private.encode())
        with open(ssl, 'wb') as f:
            f.write(text)
        theirs = doveconf('-n', '-c', conf)
        lib.run(howto.MAILTREE, 'config', 'import', '-o', folder + '/mailtree.conf', conf)
        done = lib.run(howto.MAILTREE, 'config', 'show', '-c', folder + '/mailtree.conf')
        ours = blocks(done.stdout.decode())
        honoured = 0
        for block, settings in theirs.items():
            for name, value in settings.items():
                if name not in ours.get(block, {}) or value.startswith('# hidden'):
                    continue
                lib.same(ours[block][name], value, '%s %s' % (block, name))
                honoured += 1
        for name in ('mail_location', 'protocols', 'ssl_cert', 'ssl_key'):
            lib.check(name in ours[''], 'no %s', name)
        for block in ('passdb', 'userdb', 'namespace inbox',
                      'namespace inbox/mailbox Sent Messages'):
            lib.check(block in ours, 'no %s', block)
        lib.check(honoured >= 12, '%d settings are alike', honoured)
        # what is written is read back without a word more
        again = lib.run(howto.MAILTREE, 'config', 'import', folder + '/mailtree.conf')
        lib.same(blocks(again.stdout.decode()),
                 blocks(lib.text_of(folder + '/mailtree.conf').decode()), 'imported again')
        # a file that is there stays
        lib.same(lib.run(howto.MAILTREE, 'config', 'import', '-o', folder + '/mailtree.conf',
                         conf, ok=False).returncode, 1, 'exit status')


def mistakes_are_not_imported():
    """What may keep people out is not left out: nothing is written."""
    with lib.scratch() as folder:
        with open(folder + '/dovecot.conf', 'w') as f:
            f.write(MAILDIR + SYSTEM + 'passdb {\n  driver = passwd-file\n'
                    '  args = /etc/deny\n  only_for = some\n}\n')
        done = lib.run(howto.MAILTREE, 'config', 'import', folder + '/dovecot.conf', ok=False)
        lib.same((done.returncode, done.stdout), (1, b''), 'exit status and output')
        lib.check(b'dovecot.conf:12:3: error: there is no setting `only_for`' in done.stderr, '%s', done.stderr)


if __name__ == '__main__':
    howto.own_network()
    with system_user():
        Tls.make()
        lib.run_tests([
            mail_in_a_maildir,
            mail_in_mboxes,
            version_one,
            challenges,
            version_two_point_four,
            pam_of_ones_own,
            ports_of_clear_text,
            settings_from_a_directory,
            tls_is_required,
            keys_and_passwords,
            protocols_and_ciphers,
            whose_order_counts,
            tls_alone,
            courier,
            debians_dovecot_conf,
            mistakes_are_not_imported,
        ])
