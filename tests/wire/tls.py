"""A server with TLS for tests: certificates made by openssl, all four listeners, and clients
that say what a session of TLS looks like."""
import contextlib
import os
import ssl
import socket
import subprocess

import lib

HOST = '127.0.0.1'


def certificate(folder, name, *options, key='ec', days=30, issuer=None, password=None,
                alt='IP:127.0.0.1'):
    """(certificate, key) in PEM, self-signed or by `issuer`, another such pair."""
    cert, keyfile = os.path.join(folder, name + '.crt'), os.path.join(folder, name + '.key')
    made = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256') if key == 'ec' else \
        ('-newkey', 'rsa:2048')
    secret = ('-passout', 'pass:' + password) if password else ('-nodes',)
    by = ('-CA', issuer[0], '-CAkey', issuer[1]) if issuer else ()
    lib.run('openssl', 'req', '-x509', *made, *secret, *by, '-keyout', keyfile, '-out', cert,
            '-days', str(days), '-subj', '/CN=' + name, '-addext',
            'subjectAltName=DNS:%s,%s' % (name, alt), *options)
    os.chmod(keyfile, 0o400)
    return cert, keyfile


class Served:
    """with Served(extra) as s: s.server, s.ports = {'pop3': …, 'pop3s', 'imap', 'imaps'}."""

    pair = None
    made_in = None

    def __init__(self, extra='', users=('ann', 'bob'), tls=None):
        self.extra, self.users, self.tls = extra, users, tls

    @classmethod
    def usual(cls):
        """One certificate for all tests of a file that do not want their own."""
        if cls.pair is None:
            import atexit
            import shutil
            import tempfile
            cls.made_in = tempfile.mkdtemp(prefix='mt-test.')
            atexit.register(shutil.rmtree, cls.made_in, True)
            cls.pair = certificate(cls.made_in, 'localhost')
        return cls.pair

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        self.folder = self.stack.enter_context(lib.scratch())
        self.ports = {name: lib.free_port() for name in ('pop3s', 'imap', 'imaps')}
        tls = self.tls
        if tls is None:
            tls = 'ssl = yes\nssl_cert = <%s\nssl_key = <%s\n' % self.usual()
        self.server = lib.Server(self.folder, self.users, '''protocols = imap pop3
%s
service pop3-login { inet_listener pop3s { port = %d } }
service imap-login {
  inet_listener imap { port = %d }
  inet_listener imaps { port = %d }
}
%s''' % (tls, self.ports['pop3s'], self.ports['imap'], self.ports['imaps'], self.extra))
        self.stack.callback(self.server.stop)
        self.ports['pop3'] = self.server.port
        return self

    def __exit__(self, kind, *rest):
        with self.stack:
            if kind is not None:
                return
            lib.same(self.server.stop(), 0, 'exit status of mailtree serve after SIGTERM')
            for word in ('ERROR: AddressSanitizer', 'runtime error:', 'ThreadSanitizer',
                         'killed by signal'):
                lib.check(word not in self.server.log_text(), 'the log: %s',
                          self.server.log_text()[-2000:])

    def connect(self, name, source=None):
        return socket.create_connection((HOST, self.ports[name]), 60, source and (source, 0))

    def secure(self, name, context=None, source=None, server_hostname=HOST):
        """A socket with TLS on it, to imaps or pop3s."""
        raw = self.connect(name, source)
        try:
            return (context or self.context()).wrap_socket(raw, server_hostname=server_hostname)
        except BaseException:
            raw.close()
            raise

    def context(self, pair=None):
        return ssl.create_default_context(cafile=(pair or self.usual())[0])


def lax(**settings):
    """A context that believes everybody: what the server is like, not who it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in settings.items():
        setattr(context, name, value)
    return context


def s_client(port, *options, text=b''):
    """What `openssl s_client` prints."""
    done = subprocess.run(['openssl', 's_client', '-connect', '%s:%d' % (HOST, port), *options],
                          input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=60)
    return done.stdout.decode('latin-1')
