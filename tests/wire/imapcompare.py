"""The same IMAP transcript to Dovecot and to mailtree over copies of one store (STORE=mbox: of
an mbox), and a table of the classes into which the differences fall (imaprules.py has them).

Messages without a final newline are compared as the wire rule completes them (Dovecot's copy
gets the newline); that Dovecot alone would not is compared in a mailbox of its own.
"""
import os
import random
import re
import shutil
import sys

import imapclient
import imapwire
import lib
import stores

sys.path.insert(0, os.path.join(lib.ROOT, 'tests/data'))
import make_fixtures  # noqa: E402

REAL_MAIL = os.path.join(lib.ROOT, '.cache/spam-assassin')
MIME = os.path.join(lib.ROOT, 'tests/data/mime')

ENVELOPE = ('date', 'subject', 'from', 'sender', 'reply-to', 'to', 'cc', 'bcc', 'in-reply-to',
            'message-id')
MISSING = 'MISSING'		# no such item in the answer
PARTS_MAX = 60			# of one message whose sections are asked for


class Diff:
    """One difference. item: `ENVELOPE`, `BODY[1.MIME]`, `SEARCH FROM "a"`, …; path: the way
    to the place inside a structure; ours, theirs: values there; beside: Dovecot's other items
    of the same answer."""

    def __init__(self, message, item, path, ours, theirs, beside):
        self.message, self.item, self.path = message, item, path
        self.ours, self.theirs, self.beside = ours, theirs, beside

    def __str__(self):
        where = ' '.join(map(str, self.path))
        return '%s: %s%s: %s, Dovecot %s' % (self.message.name, self.item,
                                              where and ' ' + where, short(self.ours),
                                              short(self.theirs))


def short(value):
    text = repr(value)
    return text if len(text) < 160 else text[:110] + ' … ' + text[-40:]


class Message:
    def __init__(self, name, stored, date, info):
        self.name, self.stored, self.date, self.info = name, stored, date, info
        self.wire = lib.wire_of(stored)

    def completed(self):
        """As stored, with the final newline that the wire rule adds."""
        if not self.stored or self.wire == re.sub(rb'(?<!\r)\n', b'\r\n', self.stored):
            return self.stored
        return self.stored + (b'\r\n' if self.stored.endswith(b'\r') else b'\n')


class Wanted(Message):
    """A SEARCH command in the place of a message."""

    def __init__(self, command):
        super().__init__(command, b'', 0, '')


HUNG_UP = imapclient.Answer('', [], imapclient.Response([b'* HANGUP\r\n']))


# ---- the corpus -----------------------------------------------------------------------------

def corpus(folders, every=1, end=''):
    """Messages of files below these folders whose names end so, every so-manieth."""
    paths = sorted(os.path.join(folder, name) for top in folders
                   for folder, _, names in os.walk(top) for name in names if name.endswith(end))
    return [(os.path.relpath(p, lib.ROOT) if p.startswith(lib.ROOT) else p, lib.text_of(p))
            for p in paths[::every]]


def fixtures(largest=70000):
    """The fixtures of tests/data: oddities of MIME, then of bytes."""
    return corpus([MIME], end='.eml') + [
        (name, stored) for name, stored in make_fixtures.fixtures().items()
        if len(stored) <= largest]


def with_state(named):
    """Flags and dates that differ from message to message, the same on every run."""
    pick = random.Random(3501)
    out = []
    for name, stored in named:
        info = ':2,' + ''.join(c for c in 'DFRST' if pick.random() < 0.2)
        out.append(Message(name, stored, pick.randrange(1009843200, 1262304000), info))
    return out


# ---- differences ----------------------------------------------------------------------------

def leaves(item, ours, theirs, path=()):
    """(path, ours, theirs) of the smallest places where two structures part."""
    if ours == theirs:
        return
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, (a, b) in enumerate(zip(ours, theirs)):
            name = ENVELOPE[i] if item == 'ENVELOPE' and not path else i
            yield from leaves(item, a, b, path + (name,))
        return
    yield path, ours, theirs


def status_of(answer):
    """`OK`, `NO [BADCHARSET]`, …"""
    return answer.status + (' [%s]' % answer.code if answer.code else '')


def is_multi(node):
    return isinstance(node, list) and node and isinstance(node[0], list)


def is_message(node):
    return (len(node) > 8 and isinstance(node[0], bytes) and node[0].lower() == b'message' and
            isinstance(node[1], bytes) and node[1].lower() in (b'rfc822', b'global') and
            isinstance(node[7], list))


def parts(node, number=''):
    """(section number, structure) of each part below a body structure."""
    if not isinstance(node, list) or not node:
        return
    if is_multi(node):
        for i, child in enumerate((c for c in node if isinstance(c, list) and is_body(c)), 1):
            below = '%s.%d' % (number, i) if number else str(i)
            yield below, child
            yield from below_part(child, below)
    elif not number:
        yield '1', node
        yield from below_part(node, '1')


def is_body(node):
    return is_multi(node) or (len(node) > 6 and isinstance(node[0], bytes) and
                              isinstance(node[1], bytes) and not isinstance(node[5], list))


def below_part(node, number):
    if is_multi(node):
        yield from parts(node, number)
    elif is_message(node):
        inner = node[8]
        if is_multi(inner):
            yield from parts(inner, number)
        elif isinstance(inner, list):
            yield number + '.1', inner
            yield from below_part(inner, number + '.1')


WHOLE = ('BODY.PEEK[]', 'BODY.PEEK[HEADER]', 'BODY.PEEK[TEXT]',
         'BODY.PEEK[HEADER.FIELDS (Subject From TO x-spam-status Received)]',
         'BODY.PEEK[HEADER.FIELDS.NOT (RECEIVED Subject date)]',
         'BODY.PEEK[HEADER.FIELDS (Nothing-Like-This)]',
         'BODY.PEEK[]<0.100>', 'BODY.PEEK[]<50.7>', 'BODY.PEEK[TEXT]<3.1000000>',
         'BODY.PEEK[HEADER]<100000000.10>', 'BODY.PEEK[1]<5.20>', 'BODY.PEEK[99]',
         'BODY.PEEK[1.MIME]', 'RFC822.HEADER')


def sections(structures):
    """(items of FETCH that always work, items of BINARY, which an encoding may forbid)."""
    plain, binary = list(WHOLE), []
    found = {}
    for structure in structures:
        for number, node in list(parts(structure))[:PARTS_MAX]:
            found[number] = node
    for number, node in found.items():
        plain += ['BODY.PEEK[%s]' % number, 'BODY.PEEK[%s.MIME]' % number]
        if is_message(node):
            plain += ['BODY.PEEK[%s.%s]' % (number, what) for what in
                      ('HEADER', 'TEXT', 'HEADER.FIELDS (Subject Received)',
                       'HEADER.FIELDS.NOT (Received)')]
        elif not is_multi(node):
            binary += ['BINARY.PEEK[%s]' % number, 'BINARY.SIZE[%s]' % number,
                       'BINARY.PEEK[%s]<2.9>' % number]
    return list(dict.fromkeys(plain)), list(dict.fromkeys(binary))


# ---- SEARCH ---------------------------------------------------------------------------------

WORDS = ('spam', 'Linux', 'the', 'perl script', 'FREE', 'zzzunlikely', 'http://', '@', 'a b',
         '=?', 'razor-users', '100%', 'unsubscribe', 'Content-Type', 'html')
EIGHT_BIT = ('é', 'ü', 'Grüße', 'GRÜSSE', 'señor', 'ß', 'привет', 'ПРИВЕТ', '日本', '中文', '한국',
             'ÅNGSTRÖM', 'e\u0301', 'ﬁ', '€', '\u00a0')
CHARSETS = (('ISO-8859-1', 'é'), ('ISO-8859-1', 'Grüße'), ('ISO-8859-15', '€'),
            ('KOI8-R', 'привет'), ('WINDOWS-1251', 'ПРИВЕТ'), ('ISO-2022-JP', '日本'),
            ('SHIFT_JIS', '日本'), ('GB2312', '中文'), ('EUC-KR', '한국'), ('BIG5', '中文'),
            ('US-ASCII', 'spam'), ('UTF-8', 'spam'), ('utf8', 'ü'))
DATES = ('1-Jan-1990', '22-Aug-2002', '23-Aug-2002', '9-Sep-2002', '01-Oct-2002', '1-Jan-2005',
         '29-Feb-2004', '31-Dec-2009', '1-Jan-2037')
HEADERS = (('Subject', ''), ('subject', 're:'), ('X-Spam-Status', ''), ('Received', 'localhost'),
           ('List-Id', '<'), ('Message-ID', '@'), ('In-Reply-To', ''), ('No-Such', ''),
           ('From', 'yahoo'), ('Content-Type', 'multipart'), ('Content-Type', 'boundary='),
           ('MIME-Version', '1.0'), ('Date', '2002'), ('To', ''), ('Reply-To', ''),
           ('X-Mailer', 'outlook'), ('References', '<'), ('Return-Path', ''))


def quoted(text):
    return '"%s"' % text.replace('\\', '\\\\').replace('"', '\\"')


def simple_keys(n):
    """Keys of one word, of numbers and of dates, over n messages."""
    out = ['ALL', 'ANSWERED', 'DELETED', 'DRAFT', 'FLAGGED', 'SEEN', 'UNANSWERED', 'UNDELETED',
           'UNDRAFT', 'UNFLAGGED', 'UNSEEN', 'KEYWORD Work', 'UNKEYWORD Work', 'KEYWORD $Later',
           'KEYWORD NoSuchKeyword', 'UNKEYWORD NoSuchKeyword', '1', '*', '1:*', '*:1', '2:4,7',
           '4:2', '%d' % n, 'UID 1', 'UID *', 'UID 1:*', 'UID 3:7,5', 'UID %d:*' % (n + 50),
           'UID 4000000000', 'OLDER 86400', 'YOUNGER 86400', 'NOT 1:10', '1:10 SEEN',
           '(1:20 NOT SEEN)', '((ALL))', 'OR 1 OR 2 3', 'NOT NOT SEEN', 'NOT (SEEN FLAGGED)',
           'OR (SEEN FLAGGED) (DRAFT)']
    out += ['%s %d' % (key, size) for key in ('LARGER', 'SMALLER')
            for size in (0, 1, 500, 2048, 4000, 100000, 4294967295)]
    out += ['%s %s' % (key, date) for date in DATES for key in
            ('BEFORE', 'ON', 'SINCE', 'SENTBEFORE', 'SENTON', 'SENTSINCE')]
    return out


def text_keys():
    out = ['%s %s' % (key, quoted(word)) for word in WORDS
           for key in ('SUBJECT', 'FROM', 'TO', 'CC', 'BODY', 'TEXT')]
    out += ['BCC ""', 'FROM ""', 'SUBJECT ""', 'CC ""', 'TEXT ""', 'BODY ""', 'TEXT "\\\\"',
            'SUBJECT "\\""']
    return out + ['HEADER %s %s' % (name, quoted(text)) for name, text in HEADERS]


def charset_keys():
    """8-bit arguments as literals: lists for imapclient."""
    out = [['CHARSET UTF-8 %s ' % key, word.encode()] for word in EIGHT_BIT
           for key in ('SUBJECT', 'FROM', 'BODY', 'TEXT')]
    out += [['CHARSET %s %s ' % (charset, key), word.encode(charset)]
            for charset, word in CHARSETS for key in ('SUBJECT', 'TEXT')]
    return out + ['CHARSET X-UNKNOWN TEXT a', 'CHARSET "UTF-8" ALL',
                  ['CHARSET UTF-8 TEXT ', b'\xff\xfe'], ['CHARSET US-ASCII TEXT ', b'caf\xc3\xa9']]


def random_keys(n, count):
    pick = random.Random(9051)
    atoms = [k for k in simple_keys(n) if ' ' not in k or k.split()[0] in
             ('LARGER', 'SMALLER', 'BEFORE', 'SINCE', 'SENTON', 'SENTSINCE', 'UID', 'KEYWORD')]
    atoms += ['FROM com', 'SUBJECT re', 'TO list', 'HEADER X-Mailer ""', 'CC a']

    def key(depth):
        shape = pick.choice(('not', 'or', 'and', 'atom', 'atom')) if depth else 'atom'
        if shape == 'not':
            return 'NOT ' + key(depth - 1)
        if shape == 'or':
            return 'OR %s %s' % (key(depth - 1), key(depth - 1))
        if shape == 'and':
            return '(%s)' % ' '.join(key(depth - 1) for _ in range(pick.randrange(1, 4)))
        return pick.choice(atoms)
    return [' '.join(key(4) for _ in range(pick.randrange(1, 4))) for _ in range(count)]


def searches(n):
    return simple_keys(n) + text_keys() + charset_keys() + random_keys(n, 100)


# ---- two servers ----------------------------------------------------------------------------

class Both:
    """Dovecot and mailtree (or another Dovecot) over copies of these messages. `before`: what
    that one has found and counted is gone on with."""

    def __init__(self, messages, rules, against='mailtree', before=None):
        self.messages = {uid: m for uid, m in enumerate(messages, 1)}
        self.rules, self.against = rules, against
        self.servers, self.spawn = [], {}
        self.classes = before.classes if before else {}		# rule or None: [Diff]
        self.counts = before.counts if before else \
            {'messages': len(messages), 'values': 0, 'searches': 0}

    def __enter__(self):
        self.scratch = lib.scratch()
        self.folder = self.scratch.__enter__()
        theirs = stores.new(os.path.join(self.folder, 'theirs'), lib.MAIL_UID)
        for uid, m in self.messages.items():
            theirs.deliver(m.completed(), info=m.info, date=m.date, **self._told(theirs, uid))
        # in an mbox every message ends in a line end
        self.unended = [uid for uid, m in self.messages.items()
                        if theirs.kind == 'maildir' and m.completed() != m.stored]
        if self.unended:
            raw = theirs.folder('Raw')
            for uid in self.unended:
                raw.deliver(self.messages[uid].stored, info=':2,')
        self._begin('theirs', self._dovecot('beside', theirs))
        if theirs.kind == 'maildir':
            self.theirs.ok('SELECT INBOX')
            for keyword, uids in self._keywords():
                self.theirs.ok('UID STORE %d:%d +FLAGS.SILENT (%s)' % (uids[0], uids[-1], keyword))
        self.theirs.ok('EXAMINE INBOX')
        self._begin('ours', self._server_over(self._copy(theirs)))
        self.ours.ok('EXAMINE INBOX')
        for which in ('ours', 'theirs'):
            lib.same(getattr(self, which).ok('UID SEARCH ALL').numbers(), sorted(self.messages),
                     'UIDs: ' + which)
        return self

    def _keywords(self):
        n = len(self.messages)
        return ('Work', range(1, (n // 2 or 1) + 1)), ('$Later', range(n, n + 1))

    def _told(self, store, uid):
        """Of an mbox UIDs and keywords are told from the start: Dovecot 2.3 doubles some of
        thousands of messages when it has to write that into their headers."""
        if store.kind == 'maildir':
            return {}
        words = ''.join(' ' + name for name, uids in self._keywords() if uid in uids)
        return {'more': ('X-IMAPbase: 1600000000 %d Work $Later\n' % len(self.messages)
                         if uid == 1 else '') +
                'X-UID: %d\nX-Keywords:%s\n' % (uid, words)}

    def _begin(self, which, server):
        self.servers.append(server)
        self.spawn[which] = server.spawn
        setattr(self, which, imapclient.Process(server.spawn()))

    def _dovecot(self, name, store):
        return imapwire.Dovecot(os.path.join(self.folder, name), store.location,
                                separator=store.separator)

    def _copy(self, theirs):
        """The messages as they were stored, under the names, UIDs and flags of Dovecot."""
        path = os.path.join(self.folder, 'ours')
        shutil.copytree(os.path.dirname(theirs.path), path,
                        ignore=shutil.ignore_patterns('dovecot.*', '.Raw', '.imap'))
        ours = stores.new(path)
        if self.against == 'dovecot':
            lib.run('chown', '-R', '%d:%d' % (lib.MAIL_UID, lib.MAIL_UID), path)
        elif self.unended:
            bases, files = dict(ours.uidlist()[1]), ours.files()
            for uid in self.unended:
                path, m = files[bases[uid]], self.messages[uid]
                with open(path, 'wb') as f:
                    f.write(m.stored)
                os.utime(path, (m.date, m.date))
        return ours

    def _server_over(self, store):
        if self.against == 'dovecot':
            return self._dovecot('other', store)
        return imapwire.Mailtree(self.folder, store.location, store.separator)

    def __exit__(self, *how):
        for session in (self.ours, self.theirs):
            session.__exit__(*how)
        for server in self.servers:
            server.stop()
        self.scratch.__exit__(*how)

    # -- differences --

    def differ(self, message, item, ours, theirs, beside=None):
        self.counts['values'] += 1
        if ours == theirs:
            return
        for path, a, b in leaves(item, ours, theirs):
            diff = Diff(message, item, path, a, b, beside or {})
            rule = next((r for r in self.rules if r.matches(diff)), None)
            self.classes.setdefault(rule, []).append(diff)

    def differ_items(self, message, ours, theirs):
        for item in dict.fromkeys(list(ours) + list(theirs)):
            self.differ(message, item, ours.get(item, MISSING), theirs.get(item, MISSING), theirs)

    # -- transcripts --

    def fetch(self, batch=50):
        uids = sorted(self.messages)
        for i in range(0, len(uids), batch):
            some = uids[i:i + batch]
            command = ('UID FETCH %d:%d (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY '
                       'BODYSTRUCTURE)' % (some[0], some[-1]))
            ours, theirs = (s.ok(command).by_uid() for s in (self.ours, self.theirs))
            for uid in some:
                a, b = ours.get(uid, {}), theirs.get(uid, {})
                for answer in (a, b):
                    answer['FLAGS'] = sorted(answer.get('FLAGS', [MISSING]))
                self.differ_items(self.messages[uid], a, b)
                self._sections(uid, [x.get('BODYSTRUCTURE') for x in (a, b)])

    def _sections(self, uid, structures):
        plain, binary = sections(structures)
        self._items(uid, plain)
        if binary:
            self._items(uid, binary)

    def _items(self, uid, items):
        """These in one command; one by one when one of the servers cannot do that."""
        m = self.messages[uid]
        command = 'UID FETCH %d (%s)' % (uid, ' '.join(items))
        a, b = self._ask('ours', command), self._ask('theirs', command)
        if a.status == b.status == 'OK':
            self.differ_items(m, a.by_uid().get(uid, {}), b.by_uid().get(uid, {}))
        elif len(items) > 1:
            for item in items:
                self._items(uid, [item])
        else:
            self.differ(m, items[0] + ' answer', status_of(a), status_of(b))

    def _ask(self, which, command):
        """The answer; HUNG_UP when the server closes the connection over it, as Dovecot
        does when it has promised more octets than it finds."""
        try:
            return getattr(self, which).ask(command)
        except EOFError:
            getattr(self, which).__exit__()
            setattr(self, which, imapclient.Process(self.spawn[which]()))
            getattr(self, which).ok('EXAMINE INBOX')
            return HUNG_UP

    def without_newline(self):
        """Size and octets of messages that Dovecot leaves unended."""
        if not self.unended or self.against == 'dovecot':
            return
        self.theirs.ok('EXAMINE Raw')
        command = 'FETCH 1:* (RFC822.SIZE BODY.PEEK[])'
        theirs = self.theirs.ok(command).fetched()
        self.theirs.ok('EXAMINE INBOX')
        for number, uid in enumerate(self.unended, 1):
            ours = self.ours.ok('UID FETCH %d (RFC822.SIZE BODY.PEEK[])' % uid).by_uid()[uid]
            for item, value in theirs[number].items():
                self.differ(self.messages[uid], item + ' unended', ours.get(item, MISSING), value)

    def search(self, commands=None):
        for command in commands or searches(len(self.messages)):
            self.counts['searches'] += 1
            parts_ = command if isinstance(command, list) else [command]
            sent = ['UID SEARCH ' + parts_[0]] + parts_[1:]
            a, b = (self._ask(which, sent) for which in ('ours', 'theirs'))
            shown = ''.join(p if isinstance(p, str) else repr(p)[1:] for p in parts_)
            self.differ(Wanted(shown), 'SEARCH answer', status_of(a), status_of(b))
            if a.status == b.status == 'OK':
                found, wanted = set(a.numbers()), set(b.numbers())
                for uid in sorted(found ^ wanted):
                    m = self.messages[uid]
                    self.differ(m, 'SEARCH ' + shown, uid in found, uid in wanted)
                self.counts['values'] += len(self.messages)

    # -- the table --

    def unclassified(self):
        return self.classes.get(None, [])

    def table(self):
        """Lines of Markdown: every rule, with how many differences it took here."""
        yield '| difference | times | who is right | why |'
        yield '|---|---|---|---|'
        for rule in self.rules:
            yield '| %s | %d | %s | %s |' % (rule.name, len(self.classes.get(rule, [])),
                                              rule.right, rule.why)


# ---- all of it ------------------------------------------------------------------------------

def compare(named, rules):
    """Everything, over these: the Both that has counted it. Dovecot hangs up when it searches
    an mbox that has several CRs before an LF: those messages are not searched there."""
    messages = with_state(named)
    with Both(messages, rules) as both:
        both.fetch()
        both.without_newline()
        if stores.KIND == 'maildir':
            both.search()
            return both
    with Both([m for m in messages if b'\r\r\n' not in m.wire], rules, before=both) as both:
        both.search()
    return both
