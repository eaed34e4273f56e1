#!/usr/bin/env python3
# limit: 240
"""The process of a session serves its user's next client, as if it had been started for it."""
import contextlib
import os
import shutil
import signal

import lib
import test_imap_login
import test_reload
import tls

Raw = test_imap_login.Raw
PROTOCOLS = ('imap', 'pop3')
IDLE_FILES = {'2', '4'}		# the log, and where the next client comes from
TURNS = 1000
GROWTH = 256 * 1024		# octets in TURNS turns, of whatever libc keeps


def pids(server, protocol):
    return server.children('mailtree-' + protocol)


def files(pid):
    try:
        return set(os.listdir('/proc/%d/fd' % pid))
    except OSError:
        return set()


def field(pid, name):
    for line in lib.text_of('/proc/%d/status' % pid).decode().splitlines():
        if line.startswith(name + ':'):
            return int(line.split()[1])
    raise lib.Failed('no %s of %d' % (name, pid))


def until_idle(server, protocol):
    """Every process of that protocol is without a client; the pids."""
    lib.wait_until(lambda: all(files(p) == IDLE_FILES for p in pids(server, protocol)), 20,
                   'processes without a client hold nothing else')
    return pids(server, protocol)


def the_only(server, protocol):
    found = pids(server, protocol)
    lib.same(len(found), 1, 'processes of ' + protocol)
    return found[0]


def gone(server, protocol, pid, seconds=20):
    lib.wait_until(lambda: pid not in pids(server, protocol), seconds, '%d ends' % pid)


class Served(tls.Served):
    """ann has three letters, bob has one. `killed`: of that the log may tell."""

    def __init__(self, extra='', killed=False):
        super().__init__(extra)
        self.killed = killed

    def __enter__(self):
        super().__enter__()
        self.stores = {}
        for user, n in (('ann', 3), ('bob', 1)):
            self.stores[user] = fill(self.server.maildir(user), n)
        return self

    def __exit__(self, kind, *rest):
        if self.killed and kind is None:
            with self.stack:
                lib.same(self.server.stop(), 0, 'exit status after SIGTERM')
            return
        super().__exit__(kind, *rest)

    def open(self, name):
        return self.secure(name) if name.endswith('s') else self.connect(name)

    def login(self, name, user='ann', more=b''):
        """A connection that has just logged in, `more` sent with it; what it was told."""
        raw = Raw(self.open(name))
        word = b'secret-' + user.encode()
        if name.startswith('imap'):
            raw.send(b'a LOGIN %s %s\r\n' % (user.encode(), word) + more)
        else:
            raw.ok('USER ' + user)
            raw.send(b'PASS %s\r\n' % word + more)
        return raw

    def used(self, name, user='ann', more=b''):
        raw = self.login(name, user, more)
        said = raw.line()
        lib.check(said.startswith((b'a OK ', b'+OK ')), 'login: %r', said)
        return raw

    def turn(self, name, user='ann'):
        """Log in, look, and go as one should: how many letters there are."""
        raw = self.used(name, user)
        if name.startswith('imap'):
            before, said = raw.tagged(b'b EXAMINE INBOX\r\n', b'b')
            lib.check(said.startswith(b'OK '), 'EXAMINE: %r', said)
            n = next(int(l.split()[1]) for l in before if l.endswith(b' EXISTS'))
            raw.tagged(b'c LOGOUT\r\n', b'c')
        else:
            n = int(raw.ok('STAT').split()[1])
            raw.ok('QUIT')
        raw.close()
        return n


def letters(served, name):
    """How many there are; None: not to be had for now."""
    with contextlib.suppress(lib.Failed, EOFError, ConnectionError):
        return served.turn(name)


def fill(path, n):
    store = lib.Maildir(path, uid=lib.MAIL_UID)
    for i in range(n):
        store.deliver(b'Subject: %d\n\n' % i + b'letter\n' * (i + 1))
    return store


# ---- nothing is left ------------------------------------------------------------------

ALL_SAID = {	# by the server, when a client asks all this
    'imap': b'b FETCH 1 UID\r\nc SELECT INBOX\r\nd SEARCH $\r\ne UID FETCH 1:* (UID FLAGS)\r\n'
            b'f LIST "" *\r\ng STATUS INBOX (MESSAGES UIDNEXT)\r\nh NOOP\r\ni X\r\n'
            b'j FETCH 2 BODY.PEEK[]\r\nk LOGOUT\r\n',
    'pop3': b'STAT\r\nLIST\r\nUIDL\r\nRETR 2\r\nX\r\nDELE 9\r\nNOOP\r\nQUIT\r\n'}

BEFORE = {	# what clients do before they are gone without a word, and what they wait for
    'imap': [(b'b ENABLE CONDSTORE QRESYNC UTF8=ACCEPT IMAP4rev2\r\nc SELECT INBOX\r\n'
              b'd SEARCH RETURN (SAVE) ALL\r\ne IDLE\r\n', b'+ '),
             (b'b ENABLE UTF8=ACCEPT\r\nc SELECT INBOX\r\nd SEARCH RETURN (SAVE) 1\r\n', b'd '),
             (b'b SELECT INBOX\r\nc IDLE\r\nDON', b'+ '),
             (b'b NOOP\r\nc APPEND INBOX {100+}\r\nSubject: half', b'b '),
             (b'b NOOP\r\nc SELECT {5+}\r\nIN', b'b '),
             (b'b SELECT INBOX\r\nc FETCH 1:2 ', b'b '),
             (b'b X\r\n' * 60 + b'c NOOP\r\n', b'c '),
             (b'b X\r\n' * 60 + b'c NOOP\r\n', b'c '),
             (b'b LOGOUT\r\nc SELECT INBOX\r\n', b'b ')],
    'pop3': [(b'DELE 1\r\nDELE 2\r\nTOP 3 0\r\n', b'.'),
             (b'LANG en\r\nUTF8\r\nTOP 3 0\r\n', b'.'),
             (b'DELE 3\r\nTOP 1 0\r\nRET', b'.'),
             (b'X\r\n' * 60 + b'TOP 1 0\r\n', b'.'),
             (b'X\r\n' * 60 + b'TOP 1 0\r\n', b'.'),
             (b'RETR 3\r\nQUIT\r\nDELE 1\r\n', b'+OK Logging out'),
             (b'TOP 1 0\r\nNO\xff\0', b'.')]}


def everything(served, name):
    """All that is said to a client that asks it all, to the end."""
    raw = served.used(name, more=ALL_SAID[name[:4]])
    said = raw.buf
    while part := raw.sock.recv(1 << 16):
        said += part
    raw.close()
    return said


def nothing_is_left():
    with Served() as served:
        server = served.server
        want = {}
        for name in ('imap', 'pop3'):
            everything(served, name)	# letters are recent once
            lib.check(len(until_idle(server, name)) == 1, 'a process stays')
            test_reload.reload(server)
            lib.wait_until(lambda: not pids(server, name), 20, 'none')
            want[name] = everything(served, name)
            lib.check(b'letter\r\nletter' in want[name], 'it says all: %r', want[name])
        for name in ('imap', 'imaps', 'pop3', 'pop3s'):
            kind = name[:4]
            served.turn(name)
            pid = until_idle(server, kind)[0]
            for before, last in BEFORE[kind] if name == kind else BEFORE[kind][:2]:
                raw = served.login(name, more=before)
                while not raw.line().startswith(last):
                    pass
                raw.close()
                lib.wait_until(lambda: files(pid) == IDLE_FILES, 20,
                               'nothing is open after %r: %r' % (before, files(pid)))
                lib.same(field(pid, 'Threads'), 1, 'threads after %r' % before)
                lib.same(everything(served, name), want[kind],
                         '%s after %r' % (name, before))
                lib.same(the_only(server, kind), pid, 'the process after %r' % before)
                until_idle(server, kind)
            # who does not read what it asked for
            raw = served.used(name)
            raw.send(b'b SELECT INBOX\r\n' + b'c FETCH 1:* BODY.PEEK[]\r\n' * 500
                     if kind == 'imap' else b'RETR 3\r\n' * 500)
            raw.close()
            lib.wait_until(lambda: pids(server, kind) in ([], [pid]) and
                           files(pid) in (set(), IDLE_FILES), 20, 'it has ended, or is idle')
            lib.same(everything(served, name), want[kind], 'after one that did not read')
            until_idle(server, kind)
        lib.same(len(served.stores['ann'].files()), 3, 'letters')


def mailboxes_are_made_for_each():
    with Served('namespace inbox {\n  inbox = yes\n  mailbox Sent {\n    auto = subscribe\n'
                '    special_use = \\Sent\n  }\n}\n') as served:
        for _ in range(2):
            raw = served.used('imap')
            said = raw.tagged(b'b LIST "" *\r\nc DELETE Sent\r\n', b'b')[0]
            lib.check(any(b'\\Sent' in line for line in said), 'Sent is there: %r', said)
            lib.check(raw.line().startswith(b'c OK '), 'DELETE')
            raw.close()
            pid = until_idle(served.server, 'imap')
        lib.same(len(pid), 1, 'processes')


# ---- whose it is ----------------------------------------------------------------------

def never_another_users():
    with Served() as served:
        for name in PROTOCOLS:
            lib.same([served.turn(name, user) for user in ('ann', 'bob', 'ann', 'bob')],
                     [3, 1, 3, 1], 'letters by ' + name)
            owners = {}
            for pid in until_idle(served.server, name):
                words = lib.text_of('/proc/%d/cmdline' % pid).split(b'\0')
                owners.setdefault(words[words.index(b'-n') + 1], []).append(pid)
            lib.same(sorted(owners), [b'ann', b'bob'], 'whose processes there are')
            lib.check(all(len(p) == 1 for p in owners.values()), 'one of each: %r', owners)


def a_changed_record_has_its_own_process():
    with Served() as served:
        server = served.server
        old = {}
        for name in PROTOCOLS:
            served.turn(name)
            old[name] = until_idle(server, name)[0]
        there = os.path.join(served.folder, 'elsewhere')
        shutil.copytree(server.home('ann'), there)
        lib.run('chown', '-R', str(lib.MAIL_UID), there)
        text = lib.text_of(server.passwd).replace(server.home('ann').encode(), there.encode())
        with open(server.passwd + '.new', 'wb') as f:
            f.write(text)
        os.rename(server.passwd + '.new', server.passwd)
        for name in PROTOCOLS:
            served.turn(name)
            lib.check(any(p != old[name] and
                          b'HOME=' + there.encode() in lib.text_of('/proc/%d/environ' % p)
                          for p in pids(server, name)), 'a process with the new home')


def a_reload_ends_those_that_are_free():
    with Served() as served:
        server = served.server
        first, held = {}, {}
        for name in PROTOCOLS:
            served.turn(name, 'bob')
            held[name] = served.used(name)
            first[name] = set(pids(server, name))
        test_reload.reload(server, 'pop3_uidl_format = after-%u\n')
        for name in PROTOCOLS:
            lib.wait_until(lambda: len(first[name] & set(pids(server, name))) <= 1, 20,
                           'who is free ends')
        held['imap'].tagged(b'b NOOP\r\n', b'b')
        held['pop3'].ok('NOOP')
        for name in PROTOCOLS:
            held[name].close()
            lib.wait_until(lambda: not first[name] & set(pids(server, name)), 20,
                           'who had a client ends after it')
        raw = served.used('pop3')
        lib.same(raw.ok('UIDL 1'), b'+OK 1 after-1', 'new settings')
        raw.close()


def who_cannot_be_served_hears_it_from_a_new_process():
    """It may be the fault of the process alone, which sees only what was there."""
    with Served() as served:
        server = served.server
        for name in PROTOCOLS:
            served.turn(name)
        old = {name: until_idle(server, name)[0] for name in PROTOCOLS}
        shutil.rmtree(server.maildir('ann'))

        def refused(name):
            raw = served.login(name)
            said = raw.line()
            raw.close()
            return said.startswith((b'a NO [UNAVAILABLE] ', b'-ERR [SYS/'))
        for name in PROTOCOLS:
            lib.wait_until(lambda: refused(name), 20, 'a refusal by ' + name)
            gone(server, name, old[name])
            lib.check('ann: another process serves the client' in server.log_text(),
                      'a new process says so: %s', server.log_text()[-800:])


def the_mount_dies():
    with Served(killed=True) as served:
        server = served.server
        for name in PROTOCOLS:
            served.turn(name)
        old = {name: pids(server, name) for name in PROTOCOLS}
        os.kill(server.child('mailtreed'), signal.SIGKILL)
        lib.wait_until(lambda: 'mailtreed has ended' in server.log_text(), 20, 'it is told')
        for name in PROTOCOLS:
            lib.wait_until(lambda: letters(served, name) == 3, 40, 'mail by ' + name)
            lib.check(not set(old[name]) & set(pids(server, name)), 'the old process')


# ---- processes that do not do what they must -------------------------------------------

@contextlib.contextmanager
def stopped(served, name):
    """A free process that hears nothing, with a client sent to it: (pid, the client)."""
    served.turn(name)
    pid = until_idle(served.server, name)[0]
    before = served.server.log_text().count('ann: session %d ' % pid)
    os.kill(pid, signal.SIGSTOP)
    # until it has stopped, it may still read what it is sent, and then it owes an answer
    lib.wait_until(lambda: b'\nState:\tT' in lib.text_of('/proc/%d/status' % pid), 20,
                   'it stops')
    raw = served.login(name)
    try:
        lib.wait_until(lambda: served.server.log_text().count('ann: session %d ' % pid) > before,
                       20, 'it has been sent the client')
        yield pid, raw
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        raw.close()


def lives(raw, name):
    said = raw.line()
    lib.check(said.startswith((b'a OK ', b'+OK ')), 'login: %r', said)
    if name == 'imap':
        lib.check(raw.tagged(b'b SELECT INBOX\r\n', b'b')[1].startswith(b'OK '), 'SELECT')
    else:
        raw.ok('STAT')


def who_was_sent_to_a_process_that_dies_has_another():
    with Served(killed=True) as served:
        for name in PROTOCOLS:
            with stopped(served, name) as (pid, raw):
                os.kill(pid, signal.SIGKILL)
                lives(raw, name)
                lib.check(pid not in pids(served.server, name), 'the process')
            until_idle(served.server, name)
            # killed before a client comes
            os.kill(the_only(served.server, name), signal.SIGKILL)
            lib.same(served.turn(name), 3, 'letters')


def who_was_sent_to_a_process_that_hangs_has_another():
    with Served(killed=True) as served:
        with stopped(served, 'imap') as (one, imap), stopped(served, 'pop3') as (other, pop):
            lives(imap, 'imap')
            lives(pop, 'pop3')
            gone(served.server, 'imap', one)
            gone(served.server, 'pop3', other)


def a_reload_meanwhile_loses_nobody():
    with Served() as served:
        for name in PROTOCOLS:
            with stopped(served, name) as (pid, raw):
                test_reload.reload(served.server)
                os.kill(pid, signal.SIGCONT)
                lives(raw, name)
                lib.same(pids(served.server, name), [pid], 'who serves it')
                raw.close()
                gone(served.server, name, pid)


def at_the_end_they_are_told():
    with Served(killed=True) as served, stopped(served, 'imap') as (one, imap), \
            stopped(served, 'pop3') as (other, pop):
        served.server.process.terminate()
        lib.wait_until(lambda: 'stopping' in served.server.log_text(), 20, 'stopping')
        for pid in (one, other):
            os.kill(pid, signal.SIGKILL)
        lib.check(imap.line().startswith(b'a NO [UNAVAILABLE]'), 'IMAP')
        lib.check(pop.line().startswith(b'-ERR [SYS/TEMP]'), 'POP3')


# ---- how many -------------------------------------------------------------------------

def those_without_a_client_count_for_nothing():
    with Served('mail_max_userip_connections = 1\nservice imap { process_limit = 2 }\n'
                'service pop3 { process_limit = 2 }\n') as served:
        for name in PROTOCOLS:
            for _ in range(10):
                for user in ('ann', 'bob'):
                    served.turn(name, user)
                until_idle(served.server, name)
            held = served.used(name)
            raw = served.login(name)
            lib.check(b'mail_max_userip_connections=1' in raw.line(), 'one too many')
            other = served.used(name, 'bob')
            for one in (held, other):
                one.close()
            until_idle(served.server, name)
            served.turn(name)


def service_count_says_how_many():
    def served_by(served, name, ends):
        """Which process served each of some clients: the number of its first one."""
        found = []
        for _ in range(4):
            raw = served.used(name)
            found.append(max(pids(served.server, name), key=lambda pid: len(files(pid))))
            raw.close()
            until_idle(served.server, name)
            if ends:
                lib.wait_until(lambda: not pids(served.server, name), 20, 'it ends')
        return [found.index(pid) for pid in found]
    for count, want in (('1', [0, 1, 2, 3]), ('2', [0, 0, 2, 2]), ('0', [0] * 4)):
        with Served('service imap {\n  service_count = %s\n}\n' % count) as served:
            lib.same(served_by(served, 'imap', count == '1'), want, 'service_count = ' + count)
            lib.same(served_by(served, 'pop3', False), [0] * 4, 'without it')
    with Served('service pop3 {\n  service_count = 1\n}\n') as served:
        lib.same(served_by(served, 'pop3', True), [0, 1, 2, 3], 'POP3: service_count = 1')


def many_turns_cost_no_memory():
    with Served('service imap { service_count = 0 }\nservice pop3 { service_count = 0 }\n'
                ) as served:
        for name in PROTOCOLS:
            sizes = []
            for turns in (TURNS // 10, TURNS):
                for _ in range(turns):
                    served.turn(name)
                pid = until_idle(served.server, name)[0]
                sizes.append((pid, field(pid, 'RssAnon') * 1024))
            (first, before), (last, after) = sizes
            lib.same(last, first, 'the process of ' + name)
            if not lib.sanitised('mailtree-' + name):
                lib.check(after - before <= GROWTH, '%s: %d octets, then %d', name, before, after)


if __name__ == '__main__':
    lib.run_tests([
        nothing_is_left,
        mailboxes_are_made_for_each,
        never_another_users,
        a_changed_record_has_its_own_process,
        a_reload_ends_those_that_are_free,
        who_cannot_be_served_hears_it_from_a_new_process,
        the_mount_dies,
        who_was_sent_to_a_process_that_dies_has_another,
        who_was_sent_to_a_process_that_hangs_has_another,
        a_reload_meanwhile_loses_nobody,
        at_the_end_they_are_told,
        those_without_a_client_count_for_nothing,
        service_count_says_how_many,
        many_turns_cost_no_memory,
    ])
