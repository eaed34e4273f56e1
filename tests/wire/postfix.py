"""A Postfix of our own: SMTP on 127.0.0.1 in, its local(8) into DIR/USER, with the locks that
Debian gives it: fcntl, then the dotlock, which it makes as root."""
import os
import smtplib
import subprocess
import threading

import lib

MAIN = '''
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = localhost.example.org
mydestination = localhost
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
mail_spool_directory = {spool}
mailbox_delivery_lock = fcntl, dotlock
local_destination_concurrency_limit = {at_once}
mailbox_size_limit = 0
message_size_limit = 0
biff = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_tls_security_level = none
smtpd_peername_lookup = no
minimal_backoff_time = 5s
maximal_backoff_time = 5s
queue_run_delay = 5s
maillog_file = {folder}/log/mail
maillog_file_prefixes = {folder}/log
'''
MASTER = '''
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
anvil unix - - n - 1 anvil
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
'''


class Postfix:
    """`at_once`: so many deliver at the same time."""

    def __init__(self, folder, spool, at_once=2):
        self.folder = os.path.join(folder, 'postfix')
        self.port = lib.free_port()
        self.lock, self.seen, self.queued = threading.Lock(), 0, 0
        for name in ('queue', 'data', 'etc', 'log'):
            os.makedirs(os.path.join(self.folder, name))
        lib.run('chown', 'postfix', os.path.join(self.folder, 'data'))
        self.etc = os.path.join(self.folder, 'etc')
        for name, text in (('main.cf', MAIN), ('master.cf', MASTER)):
            with open(os.path.join(self.etc, name), 'w') as f:
                f.write(text.format(folder=self.folder, spool=spool, port=self.port,
                                    at_once=at_once))
        lib.run('postfix', '-c', self.etc, 'start')

    def log_text(self):
        path = os.path.join(self.folder, 'log/mail')
        return lib.text_of(path).decode('utf-8', 'replace') if os.path.exists(path) else ''

    def smtp(self):
        client = []

        def answers():
            try:
                client.append(smtplib.SMTP('127.0.0.1', self.port, 'localhost', timeout=60))
                return True
            except OSError:
                return False
        lib.wait_until(answers, 20, 'an answer of postfix')
        return client[0]

    def waiting(self):
        """Messages in its queue: taken in, and not yet told to be delivered."""
        with self.lock, open(os.path.join(self.folder, 'log/mail'), 'rb') as f:
            f.seek(self.seen)
            whole, end, _ = f.read().rpartition(b'\n')
            self.seen += len(whole + end)
            self.queued += whole.count(b': client=') - whole.count(b', status=sent ')
            return self.queued

    def stop(self):
        subprocess.run(['postfix', '-c', self.etc, 'stop'], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
