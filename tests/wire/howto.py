"""For tests of whole configurations: a network of their own, in which every port of the
fragments is free and `ss` shows nobody else; a server started with a configuration as it is
written; what listens there."""
import imaplib
import os
import poplib
import re
import subprocess
import sys
import time

import lib

MAILTREE = os.path.join(lib.BUILD, 'mailtree')


def own_network():
    """Run this program again where there is nothing but a loopback interface of its own."""
    if os.environ.get('MT_OWN_NETWORK') != str(os.getppid()):
        os.environ['MT_OWN_NETWORK'] = str(os.getpid())
        os.execvp('unshare', ['unshare', '--net', '--fork', '--kill-child', sys.executable,
                              *sys.argv])
    lib.run('ip', 'link', 'set', 'lo', 'up')


def listeners():
    """{(address, port)} of TCP sockets that listen, as `ss -ltnp` tells; each is mailtree's."""
    found = set()
    for line in lib.run('ss', '-H', '-ltnp').stdout.decode().splitlines():
        words = line.split()
        address, _, port = words[3].rpartition(':')
        lib.check('"mailtree' in line, 'somebody else listens: %s', line)
        found.add((address.strip('[]'), int(port)))
    return found


def everywhere(*ports):
    """IPv4 and IPv6, every address."""
    return {(address, port) for address in ('0.0.0.0', '::') for port in ports}


class Serve:
    """`mailtree serve -c` of this text, which says everything but where the tree is."""

    def __init__(self, folder, text, whole=False):
        self.folder, self.mount = folder, os.path.join(folder, 'mail')
        self.conf, self.log_path = folder + '/mailtree.conf', folder + '/serve.log'
        if not whole:
            text += '\nmount_path = %s\nindex_path = %s/index\n' % (self.mount, folder)
        with open(self.conf, 'w') as f:
            f.write(text)
        os.makedirs(self.mount, exist_ok=True)
        self.log = open(self.log_path, 'wb')
        self.process = subprocess.Popen([MAILTREE, 'serve', '-c', self.conf],
                                        stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)

    def log_text(self):
        return lib.text_of(self.log_path).decode('utf-8', 'replace')

    def __enter__(self):
        """Until it serves, or has said why not."""
        end = time.monotonic() + 60
        while not re.search('^.*serving ', self.log_text(), re.M):
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise lib.Failed('it does not serve: %s' % self.log_text()[-1200:])
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        lib.run('umount', '-l', self.mount, ok=False)


def refused(folder, text):
    """What it says when it does not begin to serve."""
    server = Serve(folder, text)
    try:
        status = server.process.wait(60)
    finally:
        server.__exit__()
    lib.same(status, 1, 'exit status of a server that cannot begin')
    return server.log_text()


def imap(host='127.0.0.1', port=143):
    return imaplib.IMAP4(host, port, timeout=60)


def pop3(host='127.0.0.1', port=110):
    return poplib.POP3(host, port, timeout=60)


def letters(host='127.0.0.1', port=110, user=None, password=None):
    """All letters of the maildrop, by POP3."""
    client = pop3(host, port)
    client.user(user)
    client.pass_(password)
    out = [b'\n'.join(client.retr(n + 1)[1]) for n in range(client.stat()[0])]
    client.quit()
    return out
