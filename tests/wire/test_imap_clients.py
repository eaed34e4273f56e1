#!/usr/bin/env python3
"""curl, Python's imaplib and NeoMutt work with a mailbox as their users expect. STORE=mbox: with
mboxes."""
import imaplib
import os
import re
import subprocess
import time

import lib
from dovecot import good
from imapserver import Served, USER

HEAD = b'From: Ann <ann@example.org>\nTo: bob@example.net\nDate: Mon, 02 Jan 2023 03:04:05 +0000\n'


def letter(subject, body):
    return HEAD + b'Subject: %s\nMessage-ID: <%s@example.org>\n\n' % (
        (subject.encode(),) * 2) + body


MAIL = [letter('first', b'apples\n'), letter('second', b'pears\n.\n..\n\n'),
        letter('third', b'caf\xc3\xa9\n' + b'y' * 5000 + b'\n')]


# ---- curl -----------------------------------------------------------------------------------

class Curl:
    def __init__(self, served):
        self.served = served
        self.base = 'imap://127.0.0.1:%d/' % served.port

    def __call__(self, path, *options, ok=True):
        done = lib.run('curl', '-sS', '-m', '20', '-u', '%s:%s' % (USER, self.served.password),
                       *options, self.base + path, ok=ok)
        return done.stdout if ok else done.returncode


def curl():
    with Served() as served:
        for stored in MAIL:
            served.store.deliver(stored)
        ask = Curl(served)
        lib.check(re.search(rb'\* LIST \(.*\) "[./]" "?INBOX"?\r\n', ask('')), 'the list')
        for n, stored in enumerate(MAIL, 1):
            lib.same(ask('INBOX;UID=%d' % n), lib.wire_of(stored), 'UID %d' % n)
            lib.same(ask('INBOX;MAILINDEX=%d' % n), lib.wire_of(stored), 'number %d' % n)
        head, text = lib.wire_of(MAIL[2]).split(b'\r\n\r\n', 1)
        lib.same(ask('INBOX;UID=3;SECTION=TEXT'), text, 'SECTION=TEXT')
        lib.same(ask('INBOX;UID=3;SECTION=HEADER.FIELDS%20(SUBJECT)'),
                 b'Subject: third\r\n\r\n', 'HEADER.FIELDS')
        lib.same(ask('INBOX?SUBJECT%20second').strip(), b'* SEARCH 2', 'search')
        lib.same(ask('INBOX?TEXT%20e').strip(), b'* SEARCH 1 2 3', 'search for all')
        sent = served.path('sent')
        with open(sent, 'wb') as f:
            f.write(lib.wire_of(letter('fourth', b'plums\n')))
        ask('INBOX', '-T', sent)
        lib.same(ask('INBOX;UID=4'), lib.text_of(sent), 'what was uploaded')
        ask('INBOX', '-X', 'STORE 4 +FLAGS (\\Deleted \\Flagged)')
        lib.check(b'\\Flagged' in ask('INBOX', '-X', 'FETCH 4 FLAGS'), 'FLAGS')
        ask('INBOX', '-X', 'EXPUNGE')
        lib.same(len(served.store.messages()), 3, 'messages on disk')
        ask('', '-X', 'CREATE Made')
        lib.check(served.store.exists('Made'), 'CREATE')
        lib.check(ask('Nothing;UID=1', ok=False) != 0, 'a mailbox that is not there')
        served.password = 'wrong'
        lib.same(ask('', ok=False), 67, 'exit status when the password is wrong')


# ---- imaplib --------------------------------------------------------------------------------

def refused(client, call, *args):
    status, data = call(*args)
    lib.check(status == 'NO', '%s%r: %s %r', call.__name__, args, status, data)


def body(client, number):
    found = [x[1] for x in good(client.fetch(number, '(BODY.PEEK[])')) if isinstance(x, tuple)]
    lib.same(len(found), 1, 'bodies of ' + number)
    return found[0]


def imaplib_mailboxes():
    with Served() as served:
        client = served.imap()
        lib.same(good(client.enable('CONDSTORE')) and client.response('ENABLED')[1],
                 [b'CONDSTORE'], 'ENABLE')
        lib.check('IMAP4REV1' in client.capabilities, 'capabilities %r', client.capabilities)
        lib.check(client.namespace()[1][0].startswith(b'((""'), 'NAMESPACE')
        for name in ('Work', 'Work.2024', '"with space"', '&ZeVnLIqe-'):
            good(client.create(name))
        names = {line.decode().split('"." ')[1].strip('"') for line in good(client.list())}
        lib.same(names, {'INBOX', 'Work', 'Work.2024', 'with space', '&ZeVnLIqe-'}, 'LIST')
        lib.same(len(good(client.list('""', '%'))), 4, 'LIST %')
        lib.check(b'\\HasChildren' in good(client.list('""', 'Work'))[0], 'children')
        good(client.subscribe('Work'))
        lib.check(good(client.lsub())[0].strip(b'"').endswith(b'Work'), 'LSUB')
        good(client.unsubscribe('Work'))
        lib.same(good(client.lsub()), [None], 'LSUB after UNSUBSCRIBE')
        refused(client, client.create, 'Work')
        refused(client, client.select, 'Nothing')
        good(client.append('Work.2024', '(\\Seen)', None, lib.wire_of(MAIL[0])))
        good(client.rename('Work', 'Play'))
        lib.same(re.sub(rb'^\S+ ', b'', good(client.status('Play.2024', '(MESSAGES UNSEEN)'))[0]),
                 b'(MESSAGES 1 UNSEEN 0)', 'STATUS')
        good(client.delete('Play.2024'))
        refused(client, client.delete, 'Play.2024')
        refused(client, client.delete, 'INBOX')
        lib.check(not os.path.exists(served.box_path('Play.2024')), 'the folder is still there')
        lib.check(os.path.isdir(served.box_path('&ZeVnLIqe-')), 'the name on disk')
        client.logout()


def imaplib_messages():
    with Served() as served:
        client = served.imap()
        for n, stored in enumerate(MAIL):
            date = imaplib.Time2Internaldate(1000000000 + n)
            good(client.append('INBOX', ('(\\Seen $Mark)', '', '\\Draft')[n], date,
                               lib.wire_of(stored)))
        lib.same(good(client.select()), [b'3'], 'EXISTS')
        lib.same(client.response('UIDNEXT')[1], [b'4'], 'UIDNEXT')
        lib.check(b'\\*' in client.response('PERMANENTFLAGS')[1][0], 'PERMANENTFLAGS')
        for n, stored in enumerate(MAIL, 1):
            wire = lib.wire_of(stored)
            lib.same(body(client, str(n)), wire, 'BODY[] of %d' % n)
            said = good(client.fetch(str(n), '(RFC822.SIZE)'))[0]
            lib.check(b'RFC822.SIZE %d)' % len(wire) in said, 'size: %r', said)
        shown = good(client.fetch('1:*', '(UID FLAGS INTERNALDATE)'))
        lib.check(b'\\Seen' in shown[0] and b'$Mark' in shown[0] and b'\\Draft' in shown[2],
                  'flags: %r', shown)
        lib.same([time.mktime(imaplib.Internaldate2tuple(s)) for s in shown],
                 [1000000000.0, 1000000001.0, 1000000002.0], 'dates')
        searches(client)
        changes(served, client)
        client.logout()


def searches(client):
    for words, want in ((('ALL',), b'1 2 3'), (('KEYWORD', '$Mark'), b'1'), (('DRAFT',), b'3'),
                        (('SUBJECT', '"second"'), b'2'), (('BODY', '"apples"'), b'1'),
                        (('LARGER', '5000'), b'3'), (('SENTON', '2-Jan-2023'), b'1 2 3'),
                        (('NOT', 'SUBJECT', 'first', 'UID', '1:2'), b'2'),
                        (('OR', 'SUBJECT', 'first', 'SUBJECT', 'third'), b'1 3'),
                        (('SINCE', '1-Jan-2010'), b'')):
        lib.same(good(client.search(None, *words))[0], want, 'SEARCH %r' % (words,))
    client.literal = 'café'.encode()
    lib.same(good(client.search('UTF-8', 'TEXT'))[0], b'3', 'SEARCH with a literal')
    lib.same(good(client.uid('SEARCH', 'UID', '2:*'))[0], b'2 3', 'UID SEARCH')
    if 'SORT' in client.capabilities:
        lib.same(good(client.sort('REVERSE SIZE', 'UTF-8', 'ALL'))[0].split()[0], b'3', 'SORT')
    if 'THREAD=REFERENCES' in client.capabilities:
        lib.same(good(client.thread('REFERENCES', 'UTF-8', 'ALL'))[0], b'(1)(2)(3)', 'THREAD')


def changes(served, client):
    good(client.store('2', '+FLAGS', '(\\Flagged $Later)'))
    flags = good(client.store('2', '-FLAGS', '$Later'))[0]
    lib.check(b'\\Flagged' in flags and b'$Later' not in flags, 'STORE: %r', flags)
    good(client.create('Saved'))
    good(client.copy('1:2', 'Saved'))
    lib.same(len(served.box('Saved').messages()), 2, 'after COPY')
    good(client.uid('MOVE', '3', 'Saved'))
    lib.same(len(served.box('Saved').messages()), 3, 'after MOVE')
    lib.same(len(served.store.messages()), 2, 'left after MOVE')
    refused(client, client.copy, '1', 'Nothing')
    good(client.store('1', '+FLAGS.SILENT', '\\Deleted'))
    client.response('EXPUNGE')		# forgets what MOVE has told
    lib.same(good(client.expunge()), [b'1'], 'EXPUNGE')
    good(client.store('1', '+FLAGS.SILENT', '\\Deleted'))
    good(client.check())
    good(client.close())
    lib.same(served.store.messages(), [], 'after CLOSE')
    lib.same(good(client.select('Saved', readonly=True)), [b'3'], 'EXAMINE')
    client.store('1', '+FLAGS', '\\Deleted')
    lib.check(all('T' not in m.flags for m in served.box('Saved').messages()),
              'STORE after EXAMINE changed something')
    good(client.noop())
    lib.same(sorted(lib.wire_of(m.octets) for m in served.box('Saved').messages()),
             sorted(map(lib.wire_of, MAIL)), 'octets in Saved')


def two_clients_at_once():
    """What one does the other is told, in NOOP, with numbers that stay right."""
    with Served() as served:
        one, two = served.imap(), served.imap()
        for client in (one, two):
            good(client.select())
        for stored in MAIL:
            good(one.append('INBOX', '', None, lib.wire_of(stored)))
        good(two.noop())
        lib.same(two.response('EXISTS')[1][-1], b'3', 'EXISTS in the other session')
        good(one.noop())
        good(one.store('1', '+FLAGS', '\\Deleted'))
        good(one.expunge())
        lib.same(body(two, '3'), lib.wire_of(MAIL[2]), 'number 3 before the expunge was told')
        good(two.noop())
        lib.same(two.response('EXPUNGE')[1], [b'1'], 'EXPUNGE in the other session')
        lib.same(body(two, '2'), lib.wire_of(MAIL[2]), 'its number afterwards')
        one.logout()
        two.logout()


# ---- NeoMutt --------------------------------------------------------------------------------

MUTTRC = '''
set folder = "imap://%(user)s@127.0.0.1:%(port)d/"
set imap_pass = "%(password)s"
set spoolfile = "+INBOX"
set imap_authenticators = "login"
set ssl_starttls = no
set ssl_force_tls = no
set record = ""
set postponed = ""
set sort = mailbox-order
set mark_old = no
set confirmappend = no
set delete = yes
set quit = yes
set sleep_time = 0
set wait_key = no
set timeout = 1
set mail_check = 1
set imap_poll_timeout = 5
set imap_idle = yes
set index_format = "%%4C %%Z %%s"
set status_format = "%%f [Msgs:%%M]"
set move = no
set resolve = no
set menu_scroll = yes
set charset = "utf-8"
set header_cache = ""
'''


class Screen:
    """A program on a terminal of its own."""

    def __init__(self, folder, *argv):
        self.tmux = ('tmux', '-S', os.path.join(folder, 'tmux'), '-f', '/dev/null')
        self.shown = ''
        self._do('new-session', '-d', '-x', '100', '-y', '30', *argv,
                 env=dict(os.environ, HOME=folder, TERM='screen', LANG='C.UTF-8', LC_ALL='C.UTF-8'))

    def _do(self, *argv, **kwargs):
        return lib.run(*self.tmux, *argv, **kwargs).stdout.decode('utf-8', 'replace')

    def type(self, *keys):
        """Names of keys (`Enter`), or characters."""
        self._do('send-keys', *keys)

    def shows(self, text, lacks=None, seconds=10):
        def there():
            self.shown = self._do('capture-pane', '-p')
            return re.search(text, self.shown) and not (lacks and re.search(lacks, self.shown))
        try:
            lib.wait_until(there, seconds, text)
        except lib.Failed:
            raise lib.Failed('the screen does not show %s:\n%s' % (text, self.shown.rstrip()))

    def ended(self):
        done = subprocess.run(self.tmux + ('has-session',), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
        return done.returncode != 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(self.tmux + ('kill-server',), stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)


def stored_flags(box):
    """{subject: flag letters} of a mailbox, as it is stored now."""
    try:
        return {re.search(rb'^Subject: ([^\r\n]*)', m.octets, re.M).group(1).decode(): m.flags
                for m in box.messages()}
    except (FileNotFoundError, AttributeError):		# renamed, or half written, meanwhile
        return {}


def becomes(what, box, want):
    got = {}

    def so():
        got['is'] = stored_flags(box)
        return got['is'] == want
    try:
        lib.wait_until(so, 10, what)
    except lib.Failed:
        lib.same(got['is'], want, what)


def neomutt():
    with Served() as served:
        for n, stored in enumerate(MAIL):
            served.store.deliver(stored, date=1600000000 + n)
        client = served.imap()
        good(client.create('Saved'))
        client.logout()
        rc = served.write('muttrc', MUTTRC % {'user': USER, 'port': served.port,
                                              'password': served.password})
        with Screen(served.folder, 'neomutt', '-n', '-F', rc) as screen:
            screen.shows(r'(?s)1 N +first.*2 N +second.*3 N +third')
            reading(served, screen)
            flagging(served, screen)
            saving(served, screen)
            arriving(served, screen)
            screen.type('q')
            lib.wait_until(screen.ended, 10, 'the end of neomutt')
        becomes('at the end', served.store, {'second': 'F', 'fourth': ''})
        becomes('Saved at the end', served.box('Saved'), {'first': 'S', 'third': 'S'})
        for name in ('INBOX', 'Saved'):
            for m in served.box(name).messages():
                lib.check(lib.wire_of(m.octets) in [lib.wire_of(w) for w in MAIL + [FOURTH]],
                          'octets in %s: %r', name, m.octets)


FOURTH = letter('fourth', b'plums\n')


def reading(served, screen):
    screen.type('Enter')
    screen.shows('apples')
    screen.type('i')
    screen.shows('1 +first')
    screen.type('$')
    becomes('after reading', served.store, {'first': 'S', 'second': '', 'third': ''})
    screen.type('3', 'Enter', 'Enter')
    screen.shows('café')
    screen.type('i')


def flagging(served, screen):
    screen.type('2', 'Enter', 'F')
    screen.shows(r'2 N +! second')
    screen.type('$')
    becomes('after flagging', served.store, {'first': 'S', 'second': 'F', 'third': 'S'})


def saving(served, screen):
    """`s` copies and marks as deleted; `$` expunges."""
    screen.type('1', 'Enter', 's', 'C-u', '=Saved', 'Enter')
    becomes('after saving one', served.box('Saved'), {'first': 'S'})
    screen.type('3', 'Enter', 's', 'C-u', '=Saved', 'Enter')
    becomes('after saving two', served.box('Saved'), {'first': 'S', 'third': 'S'})
    screen.type('$')
    becomes('after the expunge', served.store, {'second': 'F'})
    screen.shows(r'Msgs:1\b')
    screen.type('c', 'C-u', '=Saved', 'Enter')
    screen.shows(r'(?s)1 +first.*2 +third')
    screen.type('l', 'C-u', '=b apples', 'Enter')		# the server searches
    screen.shows(r'1 +first', lacks='third')
    screen.type('l', 'C-u', 'all', 'Enter')
    screen.shows('third')
    screen.type('c', 'C-u', '=INBOX', 'Enter')
    screen.shows('second')


def arriving(served, screen):
    served.store.deliver(FOURTH)
    screen.shows(r'2 N +fourth')


if __name__ == '__main__':
    lib.run_tests([
        curl,
        imaplib_mailboxes,
        imaplib_messages,
        two_clients_at_once,
        neomutt,
    ])
