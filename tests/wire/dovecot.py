"""Debian's Dovecot on a Maildir, as one ordinary user, with everything in a scratch folder."""
import imaplib
import os
import re
import signal
import socket
import subprocess
import time

import lib

CONF = '''
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = maildir:{store}
default_process_limit = 20
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={uid} gid={uid} home={home}
}}
namespace inbox {{
  inbox = yes
  separator = .
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
'''


class Dovecot:
    def __init__(self, folder, store, uid=lib.MAIL_UID):
        self.folder = os.path.join(folder, 'dovecot')
        os.makedirs(os.path.join(self.folder, 'home'))
        os.chown(os.path.join(self.folder, 'home'), uid, uid)
        self.log_path = os.path.join(self.folder, 'dovecot.log')
        self.imap_port, self.pop3_port = lib.free_port(), lib.free_port()
        self.conf = os.path.join(self.folder, 'dovecot.conf')
        with open(self.conf, 'w') as f:
            f.write(CONF.format(folder=self.folder, store=store, uid=uid,
                                home=os.path.join(self.folder, 'home'), imap=self.imap_port,
                                pop3=self.pop3_port))
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(['dovecot', '-F', '-c', self.conf],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)

        def answers():
            if self.process.poll() is not None:
                raise lib.Failed('dovecot: %s' % self.process.stderr.read().decode()[-500:])
            try:
                self.pop3().quit()
                return True
            except (OSError, EOFError):
                return False
        lib.wait_until(answers, 15, 'an answer from dovecot')

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process.stderr.close()
            self.process = None
            time.sleep(0.2)	# its children end just after it

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def imap(self):
        client = imaplib.IMAP4('127.0.0.1', self.imap_port, timeout=60)
        client.login('ann', 'secret')
        return client

    def pop3(self):
        pop = lib.Pop3(socket.create_connection(('127.0.0.1', self.pop3_port), 60))
        pop.login('ann', 'secret')
        return pop

    # What it says of the machine (a clock that jumped, a stop that was asked for), not of mail.
    NO_COMPLAINT = r'Warning: (Killed with signal 15|Time moved (forwards|backwards))'

    def complaints(self):
        if not os.path.exists(self.log_path):
            return []
        with open(self.log_path, errors='replace') as f:
            return [line.strip() for line in f if re.search(r'Error|Warning|Panic|Fatal', line)
                    and not re.search(self.NO_COMPLAINT, line)]


def good(answer):
    """The data of an answer that is OK."""
    status, data = answer
    lib.check(status == 'OK', 'imap: %s %r', status, data)
    return data


def letters_of(flags):
    """System flags as `.mailbox` prints them."""
    order = (('D', '\\Draft'), ('F', '\\Flagged'), ('R', '\\Answered'), ('S', '\\Seen'),
             ('T', '\\Deleted'))
    return ''.join(c for c, name in order if name in flags)


def look(client, mailbox):
    """(UIDVALIDITY, {uid: (flags, size, date, octets)}) of a mailbox, read-only."""
    good(client.select(mailbox, readonly=True))
    validity = int(client.response('UIDVALIDITY')[1][0])
    out = {}
    if int(client.untagged_responses['EXISTS'][-1] or 0):
        data = good(client.uid('FETCH', '1:*', '(FLAGS RFC822.SIZE INTERNALDATE BODY.PEEK[])'))
        for item in data:
            if not isinstance(item, tuple):
                continue
            head, octets = item
            tail = data[data.index(item) + 1] if b'FLAGS' not in head else b''
            text = head + (tail if isinstance(tail, bytes) else b'')
            uid = int(re.search(rb'UID (\d+)', text).group(1))
            flags = frozenset(re.search(rb'FLAGS \(([^)]*)\)', text).group(1).decode().split())
            out[uid] = (flags - {'\\Recent'},
                        int(re.search(rb'RFC822.SIZE (\d+)', text).group(1)),
                        re.search(rb'INTERNALDATE "([^"]*)"', text).group(1).decode(), octets)
    good(client.unselect() if hasattr(client, 'unselect') else client.close())
    return validity, out
