"""A server with IMAP for real clients: `mailtree serve`, or with MT_IMAP=dovecot Dovecot, for
those who doubt the tests. One user, ann."""
import imaplib
import os

import dovecot
import imapclient
import imapwire
import lib
import stores

USER = 'ann'

EXTRA = '''
protocols = pop3 imap
service imap-login {
  inet_listener imap {
    port = %d
  }
  inet_listener imaps {
    port = 0
  }
}
'''


class Served:
    """A folder, a store in it (of stores.py) and its server. port, password, store."""

    def __init__(self, extra=''):
        self.extra = extra

    def __enter__(self):
        self.scratch = lib.scratch()
        self.folder = self.scratch.__enter__()
        home = os.path.join(self.folder, 'home', USER)
        self.store = stores.new(home, lib.MAIL_UID)
        self.separator = self.store.separator
        if os.environ.get('MT_IMAP') == 'dovecot':
            self.server = dovecot.Dovecot(self.folder, self.store.path)
            self.port, self.password = self.server.imap_port, 'secret'
        else:
            self.port, self.password = lib.free_port(), 'secret-' + USER
            self.server = lib.Server(self.folder, [USER], EXTRA % self.port + self.extra,
                                     location=stores.mail_location())
        return self

    def __exit__(self, *how):
        self.server.stop()
        self.scratch.__exit__(*how)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, text):
        with open(self.path(name), 'w') as f:
            f.write(text)
        os.chmod(self.path(name), 0o600)
        return self.path(name)

    def imap(self):
        client = imaplib.IMAP4('127.0.0.1', self.port, timeout=60)
        client.login(USER, self.password)
        return client

    def box_path(self, name):
        """The Maildir of that mailbox on disk."""
        return self.store.path if name == 'INBOX' else os.path.join(self.store.path, '.' + name)

    def box(self, name):
        return self.store.folder(name)


def flags_of(path):
    """Flag letters in a Maildir name, without keywords."""
    _, _, info = os.path.basename(path).partition(':2,')
    return ''.join(sorted(c for c in info.partition(',')[0] if c.isupper()))


class Mounted:
    """A store, a mount over it, and IMAP sessions that need no login. By MT_IMAP=dovecot
    Dovecot's sessions."""

    def __init__(self, messages=(), **deliver):
        self.messages, self.how = messages, deliver

    def __enter__(self):
        self.scratch = lib.scratch()
        self.folder = self.scratch.__enter__()
        self.by_dovecot = os.environ.get('MT_IMAP') == 'dovecot'
        self.store = lib.Maildir(os.path.join(self.folder, 'store'),
                                 uid=lib.MAIL_UID if self.by_dovecot else None)
        for stored in self.messages:
            self.store.deliver(stored, **self.how)
        kind = imapwire.Dovecot if self.by_dovecot else imapwire.Mailtree
        self.server = kind(self.folder, self.store.path)
        return self

    def __exit__(self, *how):
        self.server.stop()
        self.scratch.__exit__(*how)

    def session(self, box=None, how='SELECT'):
        session = imapclient.Process(self.server.spawn())
        if box is not None:
            session.ok('%s %s' % (how, box))
        return session

    def transcript(self, octets):
        """What a session says to these octets when nothing more comes."""
        process, sock = self.server.spawn()
        sock.settimeout(60)
        sock.sendall(octets)
        sock.shutdown(1)
        out = b''
        while part := sock.recv(1 << 16):
            out += part
        sock.close()
        process.wait(20)
        return out
