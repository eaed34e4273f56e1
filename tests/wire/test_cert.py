#!/usr/bin/env python3
"""`mailtree cert`: what is in the certificate, what is refused, and that a process killed at
any step leaves no file that is half a file."""
import os
import re
import ssl
import stat
import subprocess

import lib

MAILTREE = os.path.join(lib.BUILD, 'mailtree')
CONF = '''[ req ]
default_bits = 1024
distinguished_name = req_dn
x509_extensions = cert_type
prompt = no
[ req_dn ]
OU=IMAP server
CN=imap.example.com
emailAddress=postmaster@example.com
[ cert_type ]
nsCertType = server
'''


def cert(folder, *args, ok=True):
    return lib.run(MAILTREE, 'cert', '-o', folder + '/c.pem', '-k', folder + '/k.pem', *args,
                   ok=ok)


def openssl(*args):
    return lib.run('openssl', *args).stdout.decode()


def fresh(folder, *args):
    for name in ('c.pem', 'k.pem'):
        if os.path.exists(folder + '/' + name):
            os.unlink(folder + '/' + name)
    return cert(folder, *args).stdout.decode()


def shaken(folder, name):
    """A handshake of a client that trusts this certificate alone, for this name."""
    client = ssl.create_default_context(cafile=folder + '/c.pem')
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder + '/c.pem', folder + '/k.pem')
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(back, there, server_hostname=name)
    other = server.wrap_bio(there, back, server_side=True)
    for _ in range(4):
        for end in (one, other):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
    return one.version()


def what_is_in_it():
    with lib.scratch() as folder:
        said = fresh(folder, 'mail.example.org', '192.0.2.1', '2001:db8::1', '*.example.org')
        text = openssl('x509', '-in', folder + '/c.pem', '-noout', '-text')
        for want in ('prime256v1', 'DNS:mail.example.org, IP Address:192.0.2.1, '
                     'IP Address:2001:DB8:0:0:0:0:0:1, DNS:*.example.org', 'CA:FALSE',
                     'CN = mail.example.org', 'ecdsa-with-SHA256'):
            lib.check(want in text, 'no %s in %s', want, text)
        print_ = openssl('x509', '-in', folder + '/c.pem', '-noout', '-fingerprint', '-sha256')
        lib.check(print_.strip().split('=')[1] in said, '%s is not in %s', print_, said)
        lib.check('subject: CN=mail.example.org\n' in said, 'subject in %s', said)
        modes = {n: stat.S_IMODE(os.stat(folder + '/' + n).st_mode) for n in ('c.pem', 'k.pem')}
        lib.same(modes, {'c.pem': 0o644, 'k.pem': 0o600}, 'modes')
        lib.same(sorted(os.listdir(folder)), ['c.pem', 'k.pem'], 'files')
        openssl('verify', '-x509_strict', '-CAfile', folder + '/c.pem', folder + '/c.pem')
        for name in ('mail.example.org', 'pop.example.org', '192.0.2.1', '2001:db8::1'):
            lib.check(shaken(folder, name) is not None, 'a handshake for %s', name)
        days = re.search(r'Not Before: (.*)\n\s*Not After : (.*)\n', text)
        begin, end = (ssl.cert_time_to_seconds(t) for t in days.groups())
        lib.same(round((end - begin) / 86400), 730, 'days')


def serials_differ():
    with lib.scratch() as folder:
        seen = set()
        for _ in range(4):
            fresh(folder, 'a.example')
            seen.add(openssl('x509', '-in', folder + '/c.pem', '-noout', '-serial'))
        lib.same(len(seen), 4, 'serial numbers')


def an_openssl_configuration():
    with lib.scratch() as folder:
        conf = folder + '/dovecot-openssl.cnf'
        with open(conf, 'w') as f:
            f.write(CONF)
        fresh(folder, '-c', conf)
        text = openssl('x509', '-in', folder + '/c.pem', '-noout', '-text')
        for want in ('OU = IMAP server, CN = imap.example.com, '
                     'emailAddress = postmaster@example.com', 'DNS:imap.example.com',
                     'prime256v1'):
            lib.check(want in text, 'no %s in %s', want, text)
        with open(conf, 'a') as f:
            f.write('subjectAltName = @names\n[ names ]\nDNS.1 = a.example\nIP.1 = 192.0.2.9\n')
        fresh(folder, '-c', conf, 'b.example')
        text = openssl('x509', '-in', folder + '/c.pem', '-noout', '-text')
        lib.check('DNS:a.example, IP Address:192.0.2.9, DNS:b.example' in text, text)
        with open(conf, 'a') as f:
            f.write('[ broken\n')
        for name in ('c.pem', 'k.pem'):
            os.unlink(folder + '/' + name)
        done = cert(folder, '-c', conf, ok=False)
        lib.same(done.returncode, 1, 'exit status')
        lib.check(b'dovecot-openssl.cnf:16: ' in done.stderr, '%s', done.stderr)


def what_debian_installs():
    """Dovecot's own template, in which the names are still to be filled in."""
    with lib.scratch() as folder:
        said = fresh(folder, '-c', '/usr/share/dovecot/dovecot-openssl.cnf', 'm.example')
        lib.check('subject: CN=m.example,O=Dovecot mail server\n' in said, '%s', said)


def what_is_refused():
    with lib.scratch() as folder:
        cert(folder, 'a.example')
        before = {n: lib.text_of(folder + '/' + n) for n in os.listdir(folder)}
        for gone in ('k.pem', 'c.pem'):
            os.rename(folder + '/' + gone, folder + '/aside')
            done = cert(folder, 'a.example', ok=False)
            lib.same(done.returncode, 1, 'one of them is there')
            lib.check(b'not overwritten' in done.stderr, '%s', done.stderr)
            lib.check(not os.path.exists(folder + '/' + gone), '%s was made', gone)
            os.rename(folder + '/aside', folder + '/' + gone)
        os.unlink(folder + '/c.pem')
        os.symlink('nowhere', folder + '/c.pem')
        lib.same(cert(folder, 'a.example', ok=False).returncode, 1, 'a symlink to nothing')
        lib.same(lib.text_of(folder + '/k.pem'), before['k.pem'], 'the key')

        os.mkdir(folder + '/open')
        os.chmod(folder + '/open', 0o777)
        for where, what in (('/none', b'No such file'), ('/open', b'everybody can write')):
            done = cert(folder + where, 'a.example', ok=False)
            lib.same(done.returncode, 1, where)
            lib.check(what in done.stderr, '%s', done.stderr)
        os.mkdir(folder + '/same')
        done = lib.run(MAILTREE, 'cert', '-o', folder + '/same/x', '-k', folder + '/same/x',
                       'a.example', ok=False)
        lib.check(b'a file each' in done.stderr, '%s', done.stderr)
        for bad in ('', 'a b', 'a..b', '-a.example', 'ä.example', 'a.example.', 'a' * 64,
                    '.'.join(['abcdefg'] * 40), 'a,DNS:b'):
            done = cert(folder + '/same', bad, ok=False)
            lib.same(done.returncode, 2, 'name %r' % bad)
        for days in ('0', '-1', '999999', 'x'):
            lib.same(cert(folder + '/same', '-d', days, 'a', ok=False).returncode, 2, days)
        lib.same(os.listdir(folder + '/same'), [], 'files after refusals')


def killed_at_any_step():
    """Nothing under a final name but whole files, and no other name, wherever it ends."""
    steps = 0
    options = os.environ.get('ASAN_OPTIONS', '') + ':detect_leaks=0'	# which cannot be under strace
    for call in ('openat', 'write', 'fchmod', 'fsync', 'linkat'):
        for nth in range(1, 40):
            with lib.scratch() as folder:
                done = subprocess.run(
                    ['strace', '-qq', '-o', '/dev/null', '-P', folder, '-e', 'trace=' + call,
                     '-e', 'inject=%s:signal=KILL:when=%d' % (call, nth), MAILTREE, 'cert',
                     '-o', folder + '/c.pem', '-k', folder + '/k.pem', 'a.example'],
                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                    env=dict(os.environ, ASAN_OPTIONS=options))
                left = sorted(os.listdir(folder))
                if done.returncode == 0:
                    lib.same(left, ['c.pem', 'k.pem'], 'files at the end')
                    break
                steps += 1
                lib.check(left in ([], ['k.pem'], ['c.pem', 'k.pem']),
                          'killed at %s %d: %s', call, nth, left)
                if 'k.pem' in left:
                    openssl('pkey', '-in', folder + '/k.pem', '-noout', '-check')
                    lib.same(stat.S_IMODE(os.stat(folder + '/k.pem').st_mode), 0o600, 'mode')
    lib.check(steps >= 8, 'killed %d times only', steps)


if __name__ == '__main__':
    lib.run_tests([
        what_is_in_it,
        serials_differ,
        an_openssl_configuration,
        what_debian_installs,
        what_is_refused,
        killed_at_any_step,
    ])
