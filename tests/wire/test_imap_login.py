#!/usr/bin/env python3
# limit: 240
"""IMAP up to the first command of the session: who gets in, by which commands, what
strangers can do, and what the configuration's namespaces come to."""
import base64
import contextlib
import os
import resource
import signal
import socket
import threading
import time

import lib

LETTERS = [b'Subject: %d\n\nletter %d\n' % (i, i) for i in range(3)]
CEILING = 16384			# octets that a connection may cost mailtree-login
CROWD = 2000
FLOOD = 1000000
WRONG = b'NO [AUTHENTICATIONFAILED] Authentication failed.'


class Raw(lib.Pop3):
    """Lines, as they come."""

    def tagged(self, octets, tag=b'a'):
        """Send; (lines before the tagged one, what follows the tag)."""
        self.send(octets)
        before = []
        while True:
            line = self.line()
            if line.startswith(tag + b' '):
                return before, line[len(tag) + 1:]
            before.append(line)

    def login(self, user='ann', password=None):
        before, said = self.tagged(b'a LOGIN %s %s\r\n' % (
            user.encode(), (password or 'secret-' + user).encode()))
        lib.check(not before and said.startswith(b'OK '), 'LOGIN: %r %r', before, said)
        return said


@contextlib.contextmanager
def served(extra=''):
    with lib.scratch() as path:
        port = lib.free_port()
        server = lib.Server(path, ('ann', 'bob'), extra='protocols = imap pop3\n'
                            'service imap-login { inet_listener imap { port = %d } }\n%s'
                            % (port, extra))
        server.imap_port = port
        try:
            store = lib.Maildir(server.maildir('ann'), uid=lib.MAIL_UID)
            for stored in LETTERS:
                store.deliver(stored)
            yield server
            lib.same(server.stop(), 0, 'exit status of mailtree serve after SIGTERM')
            for word in ('ERROR: AddressSanitizer', 'runtime error:', 'ThreadSanitizer'):
                lib.check(word not in server.log_text(), 'the log: %s',
                          server.log_text()[-2000:])
        finally:
            server.stop()


def connect(server, source=None):
    return Raw(socket.create_connection(('127.0.0.1', server.imap_port), 60,
                                        source and (source, 0)))


def selects(raw, n=len(LETTERS)):
    """The session works, and has so many letters."""
    before, said = raw.tagged(b'z SELECT INBOX\r\n', b'z')
    lib.check(said.startswith(b'OK '), 'SELECT: %r', said)
    lib.check(b'* %d EXISTS' % n in before, 'SELECT: %r', before)


def bye(raw):
    before, said = raw.tagged(b'q LOGOUT\r\n', b'q')
    lib.check(said.startswith(b'OK ') and before[-1].startswith(b'* BYE '), 'LOGOUT: %r %r',
              before, said)
    raw.close()


def works(server):
    raw = connect(server)
    raw.login()
    selects(raw)
    bye(raw)


def rss(pid):
    for line in lib.text_of('/proc/%d/status' % pid).decode().splitlines():
        if line.startswith('VmRSS:'):
            return int(line.split()[1]) * 1024
    raise lib.Failed('no VmRSS of %d' % pid)


def plain(user, password, authzid=''):
    return base64.b64encode(('%s\0%s\0%s' % (authzid, user, password)).encode())


# ---- who gets in -------------------------------------------------------------------------

def capabilities_are_told_before_and_after():
    with served() as server:
        raw = connect(server)
        lib.check(raw.greeting.startswith(b'* OK [CAPABILITY IMAP4rev1 '), 'greeting: %r',
                  raw.greeting)
        before, _ = raw.tagged(b'a CAPABILITY\r\n')
        words = before[0].split()
        lib.check(b'AUTH=PLAIN' in words and b'LOGINDISABLED' not in words, '%r', words)
        said = raw.login()
        lib.check(said.startswith(b'OK [CAPABILITY IMAP4rev1 '), 'LOGIN: %r', said)
        lib.check(b'AUTH=PLAIN' not in said and b' IDLE' in said, 'LOGIN: %r', said)
        selects(raw)
        bye(raw)


def every_way_to_log_in():
    ways = (b'a LOGIN ann secret-ann\r\n', b'a login "ann" "secret-ann"\r\n',
            b'a LOGIN {3+}\r\nann {10+}\r\nsecret-ann\r\n',
            b'a LOGIN {3}\r\n|ann {10}\r\n|secret-ann\r\n',
            b'a AUTHENTICATE PLAIN %s\r\n' % plain('ann', 'secret-ann'),
            b'a AUTHENTICATE PLAIN\r\n|%s\r\n' % plain('ann', 'secret-ann', 'ann'))
    with served() as server:
        for way in ways:
            raw = connect(server)
            *first, last = way.split(b'|')
            for part in first:		# each waits to be asked on
                raw.send(part)
                lib.check(raw.line().startswith(b'+'), '%r: not asked on', way)
            before, said = raw.tagged(last)
            lib.check(not before and said.startswith(b'OK '), '%r: %r', way, said)
            selects(raw)
            bye(raw)


def the_tag_is_the_clients():
    with served() as server:
        for tag in (b'1', b'A]/x.-#', b'x' * 64):
            raw = connect(server)
            _, said = raw.tagged(tag + b' LOGIN ann secret-ann\r\n', tag)
            lib.check(said.startswith(b'OK '), '%r: %r', tag, said)
            bye(raw)


def wrong_and_unknown_look_alike():
    tries = (b'a LOGIN ann wrong\r\n', b'a LOGIN nobody-here secret-ann\r\n',
             b'a AUTHENTICATE PLAIN %s\r\n' % plain('ann', 'wrong'))
    with served() as server:
        took = []
        for octets in tries:
            raw = connect(server)
            began = time.monotonic()
            before, said = raw.tagged(octets)
            took.append(time.monotonic() - began)
            lib.same((before, said), ([], WRONG), 'answer to %r' % octets)
            raw.login()			# on the same connection
            bye(raw)
        lib.check(min(took) >= 1.9 and max(took) - min(took) < 0.5, 'times: %r', took)


def nobody_acts_for_somebody_else():
    with served() as server:
        raw = connect(server)
        _, said = raw.tagged(b'a AUTHENTICATE PLAIN %s\r\n' % plain('ann', 'secret-ann', 'bob'))
        lib.check(said.startswith(b'NO [AUTHENTICATIONFAILED]'), '%r', said)
        raw.login()
        bye(raw)


def clear_text_passwords_are_refused_where_they_must_be():
    with served('disable_plaintext_auth = yes\n') as server:	# `ssl = required`: test_tls.py
        raw = connect(server, '127.0.0.2')
        lib.check(b'LOGINDISABLED' in raw.greeting and b'AUTH=PLAIN' not in raw.greeting,
                  'greeting: %r', raw.greeting)
        for octets in (b'a LOGIN ann secret-ann\r\n', b'a LOGIN {3}\r\n',
                       b'a AUTHENTICATE PLAIN\r\n'):
            before, said = raw.tagged(octets)
            lib.check(not before and said.startswith(b'NO [PRIVACYREQUIRED] '), '%r: %r',
                      octets, said)
        bye(raw)
        works(server)			# from this very address nobody can listen


def what_was_sent_behind_login_is_answered():
    octets = (b'a LOGIN ann secret-ann\r\nb SELECT INBOX\r\nc FETCH 1 (UID RFC822.SIZE)\r\n'
              b'd LOGOUT\r\n')
    with served() as server:
        for cut in (None, 10, len(b'a LOGIN ann secret-ann\r\nb SEL')):
            raw = connect(server)
            raw.send(octets[:cut])
            if cut:
                time.sleep(0.3)
                raw.send(octets[cut:])
            _, said = raw.tagged(b'', b'c')
            lib.check(said.startswith(b'OK '), 'FETCH: %r', said)
            before, said = raw.tagged(b'', b'd')
            lib.check(said.startswith(b'OK '), 'LOGOUT: %r', said)
            raw.close()


def a_session_is_the_user_and_refuses_what_it_must():
    with served() as server:
        os.makedirs(server.maildir('bob') + '/cur')	# root's
        raw = connect(server)
        before, said = raw.tagged(b'a LOGIN bob secret-bob\r\n')
        lib.check(said.startswith(b'NO [UNAVAILABLE]') and not before, '%r', said)
        raw.close()
        works(server)
        pop = server.session('ann')			# the other protocol is served too
        pop.ok('STAT')
        pop.quit()


# ---- strangers ---------------------------------------------------------------------------

def flood(server, start, octet, failed):
    """10^6 octets that end nothing, then the end of the line: one BAD."""
    try:
        raw = connect(server)
        raw.send(start)
        raw.send(octet * FLOOD)
        raw.send(b'\r\n')
        said = raw.line()
        if said.startswith(b'+'):
            said = raw.line()
        lib.check(b' BAD ' in said, '%r', said)
        bye(raw)
    except (lib.Failed, EOFError, OSError) as e:
        failed.append('%r and %r: %s' % (start, octet, e))


def floods_cost_nothing():
    """Bounded, and nobody else notices. All at once: the kernel gives each little room, so
    that each takes its time."""
    starts = (b'', b'a ', b'a X ', b'a LOGIN ', b'a LOGIN "', b'a AUTHENTICATE PLAIN\r\n')
    failed = []
    with served() as server:
        works(server)
        pid = server.child('mailtree-login')
        before = rss(pid)
        threads = [threading.Thread(target=flood, args=(server, start, octet, failed))
                   for start in starts for octet in (b'(', b'{', b'x')]
        for t in threads:
            t.start()
        works(server)
        for t in threads:
            t.join()
        lib.same(failed, [], 'floods')
        grown = rss(pid) - before
        lib.check(grown < len(threads) * CEILING + (1 << 18) or lib.sanitised('mailtree-login'),
                  'it grew by %d', grown)
        works(server)


def huge_literals_are_refused():
    with served() as server:
        for size in (b'769', b'4294967296', b'18446744073709551617', b'9' * 100):
            raw = connect(server)
            before, said = raw.tagged(b'a LOGIN {%s}\r\n' % size)
            lib.check(not before and said.startswith(b'BAD '), '%r: %r', size, said)
            bye(raw)
            raw = connect(server)
            raw.send(b'a LOGIN {%s+}\r\n' % size)
            if size == b'769':		# small enough to be outlasted
                _, said = raw.tagged(b'x' * 769 + b'\r\n')
                lib.check(said.startswith(b'BAD '), '%r: %r', size, said)
                bye(raw)
            else:
                said = raw.line()
                lib.check(said.startswith(b'* BYE '), '%r: %r', size, said)
                raw.close()


def nonsense_and_guessing_end():
    with served('auth_failure_delay = 0\n') as server:
        for octets, n in ((b'a NONSENSE\r\n', 10), (b'a LOGIN ann wrong\r\n', 5)):
            raw = connect(server)
            for _ in range(n):
                raw.tagged(octets)
            lib.check(raw.line().startswith(b'* BYE '), '%r: no BYE', octets)
            try:
                raw.line()
                raise lib.Failed('%r: not closed' % octets)
            except (EOFError, ConnectionResetError):
                pass
            raw.close()


def who_hangs_up_at_any_octet_leaves_nothing():
    octets = (b'a CAPABILITY\r\nb LOGIN {3+}\r\nann {10}\r\nsecret-ann\r\nc SELECT INBOX\r\n'
              b'd AUTHENTICATE PLAIN\r\n')
    with served() as server:
        works(server)
        for cut in range(len(octets) + 1):
            raw = connect(server)
            raw.send(octets[:cut])
            raw.close()
        works(server)
        lib.wait_until(lambda: not server.children('mailtree-imap'), 20,
                       'all sessions have ended')


def a_crowd_costs_little():
    parts = (b'', b'a LOGIN {300+}\r\n' + b'x' * 299, b'a X ' + b'(' * 900,
             b'a AUTHENTICATE PLAIN\r\n' + b'A' * 1300)
    crowd = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, CROWD + 500), hard))
    with served() as server:
        works(server)
        pid = server.child('mailtree-login')
        before = rss(pid)
        try:
            for i in range(CROWD):
                crowd.append(socket.create_connection(('127.0.0.1', server.imap_port), 30))
                crowd[-1].sendall(parts[i % len(parts)])
            works(server)
            each = (rss(pid) - before) / len(crowd)
            print('# %d connections: %d octets each' % (len(crowd), each))
            lib.check(each <= CEILING or lib.sanitised('mailtree-login'),
                      '%d octets for each connection', each)
        finally:
            for sock in crowd:
                sock.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        works(server)


def who_waits_is_told_of_deaths():
    with served() as server:
        raw = connect(server)
        raw.send(b'a LOGIN ann wrong\r\n')	# the refusal is held back
        time.sleep(0.3)
        os.kill(server.child('mailtree-auth'), signal.SIGKILL)
        _, said = raw.tagged(b'')
        lib.check(said.startswith(b'NO [UNAVAILABLE] '), '%r', said)
        lib.wait_until(lambda: raw.tagged(b'a LOGIN ann secret-ann\r\n')[1].startswith(b'OK '),
                       15, 'login afterwards')
        idle = connect(server)
        server.process.terminate()
        lib.check(idle.line().startswith(b'* BYE '), 'no BYE at the end')
        idle.close()
        raw.close()


# ---- namespaces --------------------------------------------------------------------------

def namespaces_are_as_configured():
    extra = ('namespace inbox {\n inbox = yes\n separator = /\n prefix = INBOX/\n'
             ' mailbox "Sent Messages" {\n  auto = subscribe\n  special_use = \\Sent\n }\n'
             ' mailbox Archive/2024 {\n  auto = create\n  special_use = \\Archive\n }\n}\n')
    with served(extra) as server:
        raw = connect(server)
        raw.login()
        before, _ = raw.tagged(b'a NAMESPACE\r\n')
        lib.check(b'(("INBOX/" "/"))' in before[0], '%r', before)
        before, _ = raw.tagged(b'a LIST "" "*"\r\n')
        listed = b'\n'.join(before)
        for name, use in ((b'Sent Messages', b'\\Sent'), (b'Archive/2024', b'\\Archive')):
            line = [l for l in before if b'INBOX/' + name in l]
            lib.check(len(line) == 1 and use in line[0], '%r: %r', name, listed)
        before, _ = raw.tagged(b'a LSUB "" "*"\r\n')
        lib.check(any(b'INBOX/Sent Messages' in l for l in before) and
                  not any(b'Archive' in l for l in before), 'LSUB: %r', before)
        selects(raw)
        bye(raw)
        raw = connect(server)		# they are there already
        raw.login()
        bye(raw)
        lib.check('cannot be made' not in server.log_text(), 'the log: %s',
                  server.log_text()[-500:])


if __name__ == '__main__':
    lib.run_tests([
        capabilities_are_told_before_and_after,
        every_way_to_log_in,
        the_tag_is_the_clients,
        wrong_and_unknown_look_alike,
        nobody_acts_for_somebody_else,
        clear_text_passwords_are_refused_where_they_must_be,
        what_was_sent_behind_login_is_answered,
        a_session_is_the_user_and_refuses_what_it_must,
        floods_cost_nothing,
        huge_literals_are_refused,
        nonsense_and_guessing_end,
        who_hangs_up_at_any_octet_leaves_nothing,
        a_crowd_costs_little,
        who_waits_is_told_of_deaths,
        namespaces_are_as_configured,
    ])
