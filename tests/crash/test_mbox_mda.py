#!/usr/bin/env python3
# limit: 900
"""procmail, maildrop and Postfix's local(8) append to one mbox, each with its own locks in its
own order, while POP3, IMAP and the shell read, flag and expunge there. Afterwards every message
that was delivered is in the file once, whole, or was expunged by somebody who read it.

MT_MDA_MESSAGES    messages of each of the three (default 120)
MT_MDA_AT_ONCE     processes of each of the three at the same time (default 3)
MT_MDA_SECONDS     whatever has not been delivered by then is not (default 600)
MT_MDA_SEED        for the same choices again
"""
import collections
import hashlib
import os
import random
import re
import subprocess
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../wire'))
sys.dont_write_bytecode = True
import imapwire  # noqa: E402
import lib  # noqa: E402
import postfix  # noqa: E402

EACH = int(os.environ.get('MT_MDA_MESSAGES', 120))
MDAS = ('procmail', 'maildrop', 'postfix')
AT_ONCE = int(os.environ.get('MT_MDA_AT_ONCE', 3))
SECONDS = int(os.environ.get('MT_MDA_SECONDS', 600))
SEED = int(os.environ.get('MT_MDA_SEED', random.randrange(1 << 30)))
USER = 'mtuser1'
LETTER = re.compile(rb'^id: (\w+)\nsum: (\w+)\n\n(.*?)^end of (\w+)\n', re.M | re.S)


def letter(tag, pick):
    """A message that can tell whether it is whole, with lines that an MDA must quote."""
    lines = [pick.choice(('From here to there', 'a line of text', '', 'x' * 70,
                          'From a@b Thu Nov 29 22:33:52 2001'))
             for _ in range(pick.choice((0, 1, 5, 40, 400)))]
    body = ''.join(line + '\n' for line in lines)
    return ('From: a@example.org\nSubject: %s\n\nid: %s\nsum: %s\n\n%send of %s\n' %
            (tag, tag, hashlib.sha1(body.encode()).hexdigest(), body, tag)).encode()


def tag_of(octets):
    """The tag of a message as anybody shows it; Failed when it is not one whole message."""
    text = octets.replace(b'\r\n', b'\n')
    found = LETTER.findall(text)
    lib.check(len(found) == 1 and text.count(b'\nid: ') == 1, 'not one whole message: %r',
              octets[:2000])
    tag, total, body, end = found[0]
    body = re.sub(rb'^>From ', b'From ', body, flags=re.M)
    lib.same(hashlib.sha1(body).hexdigest(), total.decode(), 'sum of %s' % tag.decode())
    lib.same(end, tag, 'end of %s' % tag.decode())
    lib.check(not text[text.index(b'\nend of ') + len(b'\nend of \n') + len(tag):].strip(b'\n'),
              'something behind %s: %r', tag.decode(), octets[-300:])
    return tag.decode()


def messages_of(path):
    """The file cut at its From_ lines, as anyone would who knows that those in bodies are
    quoted."""
    parts = re.split(rb'^From \S+ +\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}\n', lib.text_of(path),
                     flags=re.M)
    lib.same(parts[0], b'', 'what is before the first message')
    return [p for p in parts[1:] if not re.search(rb'^X-IMAP: ', p.split(b'\n\n')[0], re.M)]


class Ledger:
    """Who did what; `removed` by somebody who was told that it is gone."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent, self.removed, self.doubtful, self.flagged = set(), set(), set(), {}
        self.counts, self.wrongs = collections.Counter(), []
        self.slowest = collections.Counter()
        self.stop = threading.Event()
        self.began = time.monotonic()

    def wrong(self, who, why):
        with self.lock:
            self.wrongs.append('%s: %s' % (who, why))
        self.stop.set()

    def add(self, to, tags, who):
        with self.lock:
            to.update(tags)
            self.counts[who] += len(tags)

    def took(self, who, seconds):
        with self.lock:
            self.slowest[who] = max(self.slowest[who], seconds)

    def seconds(self):
        return time.monotonic() - self.began


# ---- deliveries -----------------------------------------------------------------------------

def pipe_into(argv, user, text):
    done = subprocess.run(argv, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=300, **lib.as_user(user))
    lib.check(done.returncode == 0, '%s: exit %d: %s', argv[0], done.returncode, done.stdout)


def rc_file(path, user, text):
    with open(path, 'w') as f:
        f.write(text)
    os.chmod(path, 0o600)
    os.chown(path, user.pw_uid, user.pw_gid)
    return path


def by_procmail(home, user, inbox):
    rc = rc_file(home + '/procmailrc', user, 'LOCKSLEEP=1\nDEFAULT=%s\n:0:\n%s\n' % (inbox, inbox))
    return lambda text: pipe_into(['procmail', '-f', 'a@example.org', '-m', rc], user, text)


def by_maildrop(home, user, inbox):
    """It waits for a dotlock by spinning (2.9.3): the shorter the better for the others."""
    rc = rc_file(home + '/mailfilter', user, 'LOCKSLEEP=0\nto "%s"\n' % inbox)
    return lambda text: pipe_into(['maildrop', rc], user, text)


def by_postfix(mta):
    """It takes a message into its queue, which is kept short."""
    smtp = mta.smtp()

    def deliver(text):
        smtp.sendmail('a@example.org', [USER + '@localhost'], text.replace(b'\n', b'\r\n'))
        lib.wait_until(lambda: mta.waiting() < 50, 300, 'a shorter queue of postfix')
    return deliver


def deliveries(ledger, name, deliver, numbers):
    """None runs far ahead of the others: they are to meet from the first message to the last."""
    for n in numbers:
        while not ledger.stop.is_set() and n > 50 + min(ledger.counts[m] for m in MDAS):
            time.sleep(0.02)
        if ledger.stop.is_set() or ledger.seconds() > SECONDS:
            return
        tag = '%s%d' % (name, n)
        text = letter(tag, random.Random('%d %s' % (SEED, tag)))
        began = time.monotonic()
        deliver(text)
        ledger.took(name, time.monotonic() - began)
        ledger.add(ledger.sent, [tag], name)


# ---- who reads, flags and expunges ------------------------------------------------------------

def pop3_session(ledger, server, pick):
    pop = server.session(USER)
    listed = sorted(pop.table('LIST'))
    tags = []
    for n in pick.sample(listed, min(len(listed), 6)):
        _, octets = pop.retr(n)
        tags.append(tag_of(octets))
        pop.ok('DELE %d' % n)
    ledger.add(ledger.doubtful, tags, 'pop3 tried')
    pop.quit()
    ledger.add(ledger.removed, tags, 'pop3')


def imap_rows(imap, uids):
    done, out = imap.ask('UID FETCH %s (UID BODY.PEEK[])' % imapwire.set_of(uids))
    lib.check(done.name in ('OK', 'NO'), 'FETCH: %r', done.raw)
    rows = [r.items() for r in out if r.name == 'FETCH']
    return {r['UID']: tag_of(r['BODY[]']) for r in rows if r.get('BODY[]')}


def imap_session(ledger, view, pick):
    process, sock = imapwire.spawn([os.path.join(lib.BUILD, 'mailtree-imap'), '-u', view.path])
    with imapwire.Imap(sock, process) as imap:
        imap.ok('SELECT INBOX')
        for _ in range(4):
            uids = imapwire.search_hits(imap.ok('UID SEARCH ALL'))
            if not uids:
                continue
            rows = imap_rows(imap, pick.sample(uids, min(len(uids), 8)))
            keep = {u: t for u, t in rows.items() if u % 3}
            drop = {u: t for u, t in rows.items() if u not in keep}
            if keep:
                imap.ask('UID STORE %s +FLAGS (\\Flagged work)' % imapwire.set_of(keep))
                with ledger.lock:
                    ledger.flagged.update((t, u) for u, t in keep.items())
            if drop:
                ledger.add(ledger.doubtful, drop.values(), 'imap tried')
                imap.ask('UID STORE %s +FLAGS (\\Deleted)' % imapwire.set_of(drop))
                done, _ = imap.ask('UID EXPUNGE %s' % imapwire.set_of(drop))
                lib.check(done.name == 'OK', 'EXPUNGE: %r', done.raw)
                ledger.add(ledger.removed, drop.values(), 'imap')
        imap.ok('LOGOUT')


def shell_round(ledger, view, pick):
    box = view.box('INBOX')
    uids = lib.uids(box)
    for uid in pick.sample(uids, min(len(uids), 4)):
        path = os.path.join(box, '%d.eml' % uid)
        try:
            tag = tag_of(lib.text_of(path))
            ledger.add(ledger.doubtful, [tag], 'shell tried')
            os.unlink(path)
            ledger.add(ledger.removed, [tag], 'shell')
        except FileNotFoundError:
            pass
    if uids:
        lib.ctl(box, 'flags +\\Seen %d:%d' % (uids[0], uids[-1]))
    time.sleep(0.2)


def again_and_again(ledger, name, one_round):
    pick = random.Random('%d %s' % (SEED, name))
    while not ledger.stop.is_set():
        one_round(pick)
        ledger.counts['rounds of ' + name] += 1
        ledger.stop.wait(0.5)	# less is taken out than comes in: rewrites get longer


# ---- the whole ---------------------------------------------------------------------------------

def guarded(ledger, who, call, *args):
    def body():
        try:
            call(*args)
        except Exception as e:	# it stops the others; the main thread tells
            ledger.wrong(who, '%s: %s' % (type(e).__name__, e))
            if os.environ.get('MT_TRACE'):
                traceback.print_exc()
    thread = threading.Thread(target=body, name=who)
    thread.start()
    return thread


def daemon_seconds(server):
    """Of processor time."""
    pid = lib.run('pgrep', '-P', str(server.process.pid), '-x', 'mailtreed').stdout.split()[0]
    fields = lib.text_of('/proc/%d/stat' % int(pid)).rpartition(b')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def tell(ledger, server, inbox, mta):
    """A line about how far it is."""
    sent = ', '.join('%s %d' % (name, ledger.counts[name]) for name in MDAS)
    print('# %4.0f s: %s, %d of them in a queue; %d expunged; %d KB; mailtreed %.1f s' % (
        ledger.seconds(), sent, mta.waiting(), len(ledger.removed),
        os.path.getsize(inbox) >> 10, daemon_seconds(server)), flush=True)


def join_all(threads, ledger, *about):
    for thread in threads:
        thread.join(10)
        while thread.is_alive():
            tell(ledger, *about)
            thread.join(10)


def writers(ledger, server, user, inbox, mta):
    home = server.home(USER)
    for name, deliver, workers in (('procmail', by_procmail(home, user, inbox), AT_ONCE),
                                   ('maildrop', by_maildrop(home, user, inbox), AT_ONCE),
                                   ('postfix', by_postfix(mta), 1)):
        numbers = iter(range(EACH))	# its workers share them
        for _ in range(workers):
            yield guarded(ledger, name, deliveries, ledger, name, deliver, numbers)


def readers(ledger, server):
    view = server.view(USER)
    for name, one in (('pop3', lambda pick: pop3_session(ledger, server, pick)),
                      ('imap', lambda pick: imap_session(ledger, view, pick)),
                      ('shell', lambda pick: shell_round(ledger, view, pick))):
        yield guarded(ledger, name, again_and_again, ledger, name, one)


def run_all(ledger, server, user, inbox, mta):
    reading = list(readers(ledger, server))
    try:
        join_all(list(writers(ledger, server, user, inbox, mta)), ledger, server, inbox, mta)
        if not ledger.stop.is_set():
            lib.wait_until(lambda: mta.waiting() == 0, 120, 'an empty queue of postfix')
    finally:
        ledger.stop.set()
        for thread in reading:
            thread.join()


def compare(ledger, server, inbox):
    """The file beside the ledger, and the tree beside the file."""
    there = collections.Counter(tag_of(m) for m in messages_of(inbox))
    lib.same(sorted(t for t, n in there.items() if n > 1), [], 'doubled')
    lib.same(sorted(set(there) - ledger.sent), [], 'of nobody')
    lib.same(sorted(set(there) & ledger.removed), [], 'expunged, and still there')
    lost = ledger.sent - set(there) - ledger.removed - ledger.doubtful
    lib.same(sorted(lost), [], 'lost')
    box = server.view(USER).box('INBOX')
    _, _, rows = lib.state(box)
    shown = {tag_of(lib.text_of('%s/%d.eml' % (box, uid))): uid for uid in lib.uids(box)}
    lib.same(sorted(shown), sorted(there), 'what the tree shows')
    for tag, uid in ledger.flagged.items():
        if tag in shown:
            lib.same(shown[tag], uid, 'UID of %s' % tag)
            lib.check('F' in rows[uid]['flags'] and 'work' in rows[uid]['keywords'],
                      'the flags of %s are lost: %s', tag, rows[uid])
    return len(there)


def report(ledger, left):
    print('# %d sent, %d left, %s; the slowest of each: %s; %.0f s' % (
        len(ledger.sent), left, ', '.join('%s %d' % c for c in sorted(ledger.counts.items())),
        ', '.join('%s %.1f s' % c for c in sorted(ledger.slowest.items())), ledger.seconds()),
        flush=True)


def nothing_is_lost_split_or_doubled():
    print('# seed %d' % SEED, flush=True)
    with lib.scratch() as folder, lib.ordinary_user(USER) as user:
        spool = os.path.join(folder, 'var')
        os.mkdir(spool)
        os.chmod(spool, 0o1777)
        inbox = os.path.join(spool, USER)
        location = 'mail_location = mbox:~/mail:INBOX=%s/%%u\n' % spool
        with lib.Server(folder, [USER], location, uid=user.pw_uid) as server, \
                postfix.Postfix(folder, spool, AT_ONCE) as mta:
            ledger = Ledger()
            run_all(ledger, server, user, inbox, mta)
            lib.check(not ledger.wrongs, '%s; the log: %s', '; '.join(ledger.wrongs)[:3000],
                      server.log_text()[-1500:])
            lib.same(len(ledger.sent), 3 * EACH, 'messages sent in %d s' % SECONDS)
            left = compare(ledger, server, inbox)
            lib.check(not os.path.exists(inbox + '.lock'), 'a dotlock is left')
    report(ledger, left)


lib.run_tests([nothing_is_lost_split_or_doubled])
