"""Many hands on one account: IMAP and POP3 sessions, a shell on the mount, and deliveries
straight into the store, all driven by one event loop and checked by a ledger."""
import asyncio
import collections
import os
import random
import re
import traceback

import imapwire
import lib
import stores
from ledger import OWNED, SHARED, Ledger, View, deletable, ident_of, octets_of, owner

# An mbox has no children.
BOXES = ('INBOX', 'Work', 'Past/Work' if stores.KIND == 'mbox' else 'Work/Old', 'Trash')
ROOM = 250		# messages of a mailbox; above it, hands rather remove than add
PATIENCE = 60		# seconds for an answer
HEADER = 'BODY.PEEK[HEADER.FIELDS (X-HANDS)]'


class Stop(Exception):
    """This hand stops: something is wrong, and the ledger knows it."""


class Link(asyncio.Protocol):
    """Octets of one session to responses; `plant` may change them on the way, to show that
    the checks see it."""

    def __init__(self, hand, plant):
        self.hand, self.plant, self.framer = hand, plant, imapwire.Framer()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, octets):
        self.framer.push(octets)
        try:
            while (raw := self.framer.next()) is not None:
                for one in self.plant.response(self.hand, raw) if self.plant else (raw,):
                    self.hand.response(one)
        except lib.Failed as e:
            self.hand.fail('form', str(e))

    def connection_lost(self, why):
        self.hand.lost(why)

    def send(self, octets):
        for one in self.plant.command(self.hand, octets) if self.plant else (octets,):
            self.transport.write(one)


class Hand:
    """One IMAP session: random commands, and every response against its view."""

    def __init__(self, crowd, number):
        self.crowd, self.number, self.ledger = crowd, number, crowd.ledger
        self.rnd = random.Random(crowd.seed * 1000 + number)
        self.name = 'session %d' % number
        self.level = self.rnd.choices(('qresync', 'condstore', 'plain'), (6, 3, 1))[0]
        self.view, self.process, self.link = None, None, None
        self.memory = {}		# box -> what a QRESYNC client keeps of it
        self.earlier = None		# such a memory, while SELECT brings it up to date
        self.running, self.tag, self.n, self.ready = None, None, 0, None
        self.plus, self.untagged = None, []
        self.closing, self.fresh = False, False
        self.lines = collections.deque(maxlen=100)

    # ---- octets ----

    async def connect(self):
        loop = asyncio.get_running_loop()
        self.ready = loop.create_future()
        self.process, sock = self.crowd.server.spawn()
        _, self.link = await loop.create_connection(lambda: Link(self, self.crowd.plant), sock=sock)
        await asyncio.wait_for(self.ready, PATIENCE)
        if self.level != 'plain':
            await self.ok('ENABLE ' + self.level.upper())

    def fail(self, kind, why):
        self.ledger.wrong(kind, self.name, why)
        self.crowd.trouble(self)
        for future in (self.ready, self.plus):
            if future is not None and not future.done():
                future.set_exception(Stop())

    def lost(self, why):
        if not self.closing:
            self.fail('closed', 'the connection ended: %s' % why)

    def send(self, octets):
        self.lines.append(b'C: ' + octets[:200])
        self.link.send(octets)

    async def answer(self, future):
        try:
            return await asyncio.wait_for(future, PATIENCE)
        except asyncio.TimeoutError:
            self.fail('stuck', 'no answer within %d s' % PATIENCE)
            raise Stop()

    async def command(self, text, literal=None):
        """(tagged response, untagged ones)."""
        loop = asyncio.get_running_loop()
        self.n += 1
        self.tag, self.untagged = 't%d' % self.n, []
        self.ready = loop.create_future()
        name, by_uid = self.running_name(text), text.startswith('UID ')
        self.running = (name, by_uid)
        self.fresh = 'MODSEQ' in text or name != 'FETCH'
        self.crowd.count('UID ' + name if by_uid else name)
        line = ('%s %s' % (self.tag, text)).encode()
        if literal is None:
            self.send(line + b'\r\n')
        elif self.rnd.random() < .5:
            self.send(b'%s {%d+}\r\n' % (line, len(literal)) + literal + b'\r\n')
        else:
            self.plus = loop.create_future()
            self.send(b'%s {%d}\r\n' % (line, len(literal)))
            if await self.answer(self.plus):
                self.send(literal + b'\r\n')
        done = await self.answer(self.ready)
        if done.name == 'BAD':
            self.fail('bad', '%s: %r' % (text[:200], done.raw))
            raise Stop()
        if done.name == 'NO':
            self.crowd.refused(text, done)
            if self.crowd.server.holds and self.running_name(text) not in ('COPY', 'MOVE'):
                self.fail('no', '%s: %r' % (text[:200], done.raw))
        return done, self.untagged

    @staticmethod
    def running_name(text):
        words = text.upper().split(' ')
        return words[1] if words[0] == 'UID' else words[0]

    async def ok(self, text, literal=None):
        done, untagged = await self.command(text, literal)
        if done.name != 'OK':
            self.fail('no', '%s: %r' % (text[:200], done.raw))
            raise Stop()
        return done, untagged

    # ---- responses ----

    def response(self, raw):
        self.lines.append(b'S: ' + raw[:200])
        r = imapwire.Response(raw)
        before = len(self.ledger.wrongs)
        if r.name == '+':
            self.resolve('plus', True)
        elif r.tag is not None:
            self.tagged(r)
        else:
            self.untagged.append(r)
            self.told(r)
        if len(self.ledger.wrongs) > before:
            self.crowd.trouble(self)

    def resolve(self, name, value):
        future = getattr(self, name)
        if future is None or future.done():
            self.ledger.wrong('form', self.name, 'a response that nothing asked for')
        else:
            future.set_result(value)

    def tagged(self, r):
        if self.running is None or r.tag != self.tag:
            self.ledger.wrong('form', self.name, 'a tag of nobody: %r' % r.raw)
            return
        modseq = r.code_is('HIGHESTMODSEQ')
        if modseq and self.view and self.earlier is None:
            self.view.highest(int(modseq))
        self.running = None
        if self.plus is not None and not self.plus.done():
            self.plus.set_result(False)
        self.resolve('ready', r)

    def told(self, r):
        """An untagged response."""
        if r.name in ('OK', 'PREAUTH') and self.n == 0:
            self.resolve('ready', r)
        elif r.name == 'BYE' and not self.closing:
            self.ledger.wrong('closed', self.name, '%r' % r.raw)
        elif self.view is not None:
            if r.name == 'EXISTS':
                self.view.exists(r.number)
            elif r.name in ('EXPUNGE', 'VANISHED'):
                self.removed(r)
            elif r.name == 'FETCH':
                self.fetched(r)

    def removed(self, r):
        if r.name == 'VANISHED' and isinstance(r.values[0], list):
            self.vanished_earlier(imapwire.numbers_of(r.values[1]))
            return
        if self.running is None or self.running in (('FETCH', False), ('STORE', False),
                                                    ('SEARCH', False)):
            self.ledger.wrong('when', self.name, '%r during %s' % (r.raw, self.running))
        if r.name == 'EXPUNGE':
            if self.level == 'qresync':
                self.ledger.wrong('form', self.name, 'EXPUNGE after ENABLE QRESYNC')
            self.view.expunge(r.number)
        else:
            self.view.vanished(imapwire.numbers_of(r.values[0]))
            if self.earlier is not None:
                self.vanished_earlier(imapwire.numbers_of(r.values[0]))

    def vanished_earlier(self, uids):
        if self.earlier is None:
            self.ledger.wrong('form', self.name, 'VANISHED (EARLIER) that nothing asked for')
            return
        for uid in uids:
            self.earlier['flags'].pop(uid, None)

    def fetched(self, r):
        items = r.items()
        solicited = self.running is not None and self.running[0] == 'FETCH'
        uid = self.view.fetch(r.number, items, self.level == 'qresync' and not solicited,
                              self.level != 'plain' and self.fresh)
        if uid is None:
            return
        if self.earlier is not None and 'FLAGS' in items:
            self.earlier['flags'][uid] = items['FLAGS'] - {'\\Recent'}
        self.content(uid, items)

    def content(self, uid, items):
        """What never changes, against what it must be."""
        box = self.view.box
        if 'INTERNALDATE' in items:
            self.ledger.dated(self.name, box, uid, items['INTERNALDATE'])
        if self.blank(items):
            return
        whole = items.get('BODY[]')
        if whole is not None:
            self.ledger.octets(self.name, box, uid, whole)
        fields = items.get('BODY[HEADER.FIELDS (X-HANDS)]')
        if fields is not None:
            ident = ident_of(fields)
            if ident is None:
                self.ledger.wrong('octets', self.name, 'header of UID %d: %r' % (uid, fields))
            else:
                self.ledger.means(self.name, box, uid, ident)
        ident = self.ledger.meaning.get((box, uid))
        if ident is None:
            return
        want = octets_of(ident)
        head = want.index(b'\r\n\r\n') + 4
        for name, value in items.items():
            if name in ('BODY[HEADER]', 'RFC822.HEADER'):
                good = value == want[:head]
            elif name in ('BODY[TEXT]', 'RFC822.TEXT'):
                good = value == want[head:]
            elif name.startswith('BODY[]<'):
                at = int(name[7:-1])
                good = value == want[at:at + 700]
            elif name == 'RFC822.SIZE':
                good = value == len(want)
            elif name == 'ENVELOPE':
                good = value[1] == b'hands %d.' % ident and value[9] == b'<%d@hands.example>' % ident
            else:
                continue
            if not good:
                self.ledger.wrong('octets', self.name, '%s of UID %d of %s (message %d): %r' %
                                  (name, uid, box, ident, value))

    def blank(self, items):
        """How a server that does not hold what another session removes answers for it."""
        return not self.crowd.server.holds and any(
            v is None or v == 0 or (n == 'ENVELOPE' and not any(v)) for n, v in items.items())

    # ---- choosing ----

    def some(self, uids, most=8):
        """A few of them, sometimes all."""
        uids = list(uids)
        if not uids:
            return []
        if self.rnd.random() < .05:
            return uids
        return sorted(self.rnd.sample(uids, min(len(uids), self.rnd.randrange(1, most + 1))))

    def known(self, test=lambda ident: True):
        """UIDs of the view whose identity is known and that pass the test."""
        meaning, box = self.ledger.meaning, self.view.box
        return [u for u in self.view.uids if u is not None and (box, u) in meaning and
                test(meaning[box, u])]

    def mine(self, ident):
        return owner(ident, self.ledger.sessions) == self.number

    def addressed(self, uids):
        """(`UID ` or nothing, the set as it is written): by UID or by number."""
        if self.rnd.random() < .5:
            return 'UID ', imapwire.set_of(uids)
        return '', imapwire.set_of(self.view.uids.index(u) + 1 for u in uids)

    def full(self, box):
        return self.crowd.sizes.get(box, 0) > ROOM

    # ---- commands ----

    async def open(self, box=None, how=''):
        box = box or self.rnd.choice(BOXES)
        verb = 'EXAMINE' if self.rnd.random() < .15 else 'SELECT'
        if how == '' and self.level != 'qresync' and self.rnd.random() < .3:
            how = ' (CONDSTORE)'
            self.level = 'condstore'
        self.view, told = View(self.ledger, box, self.name, self.number), self.ledger.uids.get(box, 0)
        self.readonly = verb == 'EXAMINE'
        _, untagged = await self.ok('%s %s%s' % (verb, self.crowd.imap_name(box), how))
        for r in untagged:
            if modseq := r.code_is('HIGHESTMODSEQ'):
                self.view.highest(int(modseq))
            if validity := r.code_is('UIDVALIDITY'):
                self.view.validity = int(validity)
            if uidnext := r.code_is('UIDNEXT'):
                self.view.uidnext = int(uidnext)
                if self.view.uidnext <= told:
                    self.ledger.wrong('uidnext', self.name, '%s: %r; UID %d was told before' %
                                      (box, r.raw, told))
        if self.view.validity != self.crowd.validities.setdefault(box, self.view.validity):
            self.ledger.wrong('uidvalidity', self.name, '%s: %s' % (box, self.view.validity))

    async def select(self):
        await self.open()
        await self.look()

    async def look(self):
        """All of the mailbox against the view; then every identity is learned."""
        view = self.view
        await self.learn(1)
        if len(view.uids) == 0:
            return
        unknown = [u for u in view.uids if u is not None and
                   (view.box, u) not in self.ledger.meaning]
        if unknown:
            await self.fetch_uids(unknown, HEADER)
        self.crowd.sizes[view.box] = len(view.uids)

    async def learn(self, first):
        """What message `first` and all after it are."""
        view = self.view
        if first > len(view.uids):
            return
        what = '(UID FLAGS)' if self.level == 'plain' else '(UID FLAGS MODSEQ)'
        last = len(view.uids)
        wanted = [(n, view.uids[n - 1]) for n in range(first, last + 1)]
        done, untagged = await self.command('FETCH %d:%d %s' % (first, last, what))
        got = {r.number for r in untagged if r.name == 'FETCH' and 'UID' in r.items()}
        view.suspects |= {uid for n, uid in wanted if uid is not None and n not in got}
        if None in view.uids[:last]:		# numbers move only with the next command
            await self.noop(learn=False)
            if None in view.uids[:last]:
                await self.noop(learn=False)
            if None in view.uids[:max(0, last - len(wanted))]:
                view.wrong('missing', 'FETCH 1:* did not tell of all')

    async def news(self):
        """New messages that came along with something else."""
        if self.view is not None and None in self.view.uids:
            await self.learn(self.view.uids.index(None) + 1)

    async def fetch_uids(self, uids, items):
        _, untagged = await self.command('UID FETCH %s (UID %s)' % (imapwire.set_of(uids), items))
        self.view.suspects |= set(uids) - {r.items().get('UID') for r in untagged
                                           if r.name == 'FETCH'}

    async def fetch(self):
        uids = self.some(self.known())
        if not uids:
            return
        modseq = '' if self.level == 'plain' else ' MODSEQ'
        items = ['UID'] + self.rnd.sample(
            ['FLAGS' + modseq, 'ENVELOPE', 'RFC822.SIZE', 'INTERNALDATE', 'BODYSTRUCTURE', 'BODY',
             'BODY.PEEK[]', 'BODY.PEEK[HEADER]', 'BODY.PEEK[TEXT]', 'RFC822.HEADER',
             'BODY.PEEK[]<%d.700>' % self.rnd.randrange(2000), HEADER], self.rnd.randrange(1, 5))
        if 'BODY.PEEK[]' in items and self.rnd.random() < .2 and self.crowd.server.holds:
            items[items.index('BODY.PEEK[]')] = 'BODY[]'
        if self.level == 'plain' and self.rnd.random() < .2:
            items = ['UID', 'ENVELOPE', 'FLAGS', 'INTERNALDATE', 'RFC822.SIZE']
        by_uid, where = self.addressed(uids)
        names = [i.replace('.PEEK', '').upper() for i in ' '.join(items).replace(
            HEADER, 'BODY[HEADER.FIELDS#(X-HANDS)]').split()]
        done, untagged = await self.command('%sFETCH %s (%s)' % (by_uid, where, ' '.join(items)))
        got = set()
        for r in untagged:
            if r.name == 'FETCH':
                have = {re.sub(r'<(\d+)\.?\d*>$', r'<\1>', n) for n in r.items()}
                if all(re.sub(r'<(\d+)\.?\d*>$', r'<\1>', n.replace('#', ' ')) in have
                       for n in names) and not self.blank(r.items()):
                    got.add(r.items()['UID'])
        self.view.answered(uids, got & set(uids))

    async def store(self):
        """Flags that all may change; what the owner may change; \\Deleted of what may go."""
        if self.readonly:
            return
        kind = self.rnd.random()
        if kind < .5:
            await self.store_some(self.some(self.known()), self.rnd.choice('+-'),
                                  self.rnd.sample(SHARED, self.rnd.randrange(1, 3)))
        elif kind < .85:
            await self.store_mine()
        else:
            uids = self.some(self.known(deletable))
            self.ledger.doomed |= {self.ledger.meaning[self.view.box, u] for u in uids}
            await self.store_some(uids, self.rnd.choice('++-'), ['\\Deleted'])

    async def store_mine(self):
        uids = self.some(self.known(self.mine))
        flags = self.rnd.sample(sorted(OWNED), self.rnd.randrange(1, 3))
        how = self.rnd.choice('+-=')
        if how == '=':
            flags += self.rnd.sample(SHARED, 1)
        await self.store_some(uids, how, flags)

    def after(self, uid, how, flags):
        """The owned flags that this STORE leaves, when that is known."""
        flags = set(flags) & OWNED
        if how == '=':
            return frozenset(flags)
        was = self.view.flags.get(uid)
        if was is None:
            return None
        return frozenset(was & OWNED | flags if how == '+' else was & OWNED - flags)

    async def store_some(self, uids, how, flags):
        view, ledger = self.view, self.ledger
        if not uids:
            return
        ours = [u for u in uids if self.mine(ledger.meaning[view.box, u]) and
                (set(flags) & OWNED or how == '=')]
        for u in ours:
            ledger.owned.pop((view.box, u), None)
        before = {u: view.modseqs.get(u, 0) for u in uids}
        since = ''
        if self.level != 'plain' and self.rnd.random() < .3:
            known = sorted(before.values())
            limit = self.rnd.choice((known[-1], known[0], max(1, known[0] - 1), 1 << 62))
            since = ' (UNCHANGEDSINCE %d)' % limit
        silent = '.SILENT' if self.rnd.random() < .4 else ''
        by_uid, where = self.addressed(uids)
        want = {u: self.after(u, how, flags) for u in ours}
        done, untagged = await self.command('%sSTORE %s%s %sFLAGS%s (%s)' % (
            by_uid, where, since, how.strip('='), silent, ' '.join(flags)))
        held = done.code_is('MODIFIED')
        held = set(imapwire.numbers_of(held)) if held else set()
        if not by_uid:
            held = {view.uids[n - 1] for n in held if n <= len(view.uids)}
        await self.stored(uids, held, want, limit if since else None, how, flags, done)

    async def stored(self, uids, held, want, limit, how, flags, done):
        """After a STORE: what the server says now is what must be so."""
        view, ledger = self.view, self.ledger
        for uid in held - set(uids):
            view.wrong('uid', 'MODIFIED %s, which was not asked', uid)
        await self.fetch_uids(uids, 'FLAGS' if self.level == 'plain' else 'FLAGS MODSEQ')
        for uid in uids:
            if uid not in view.flags or uid in view.suspects:
                continue			# expunged meanwhile
            if uid in held and limit is not None and view.modseqs[uid] <= limit:
                view.wrong('modified', 'MODIFIED %d, with MODSEQ %d', uid, view.modseqs[uid])
            if done.name != 'OK' or uid in held or want.get(uid) is None:
                continue
            if view.flags[uid] & OWNED != want[uid]:
                view.wrong('flags', 'STORE %s %s of UID %d left %s', how, flags, uid,
                           sorted(view.flags[uid]))
            ledger.owned[view.box, uid] = (want[uid], view.modseqs.get(uid))

    async def search(self):
        view, ledger = self.view, self.ledger
        uid = 'UID ' if self.rnd.random() < .6 else ''
        uids = self.known()
        what, exact, least = self.question(uids)
        _, untagged = await self.ok('%sSEARCH %s' % (uid, what))
        hits = imapwire.search_hits(untagged)
        if len(set(hits)) != len(hits):
            view.wrong('search', 'SEARCH %s: a number twice', what)
        if not uid:
            if any(not 1 <= n <= len(view.uids) for n in hits):
                view.wrong('number', 'SEARCH %s: %s of %d', what, hits[-5:], len(view.uids))
                return
            # of some that came a moment ago the UID is not known yet
            hits = [view.uids[n - 1] for n in hits if view.uids[n - 1] is not None]
        view.suspects |= set(least) - set(hits)
        if exact is not None and not {u for u in hits if u in uids} <= set(exact):
            view.wrong('search', 'SEARCH %s: %s, but only %s can be', what, hits, exact)

    def question(self, uids):
        """(criteria, UIDs of those that may be found, UIDs that must be)."""
        view, ledger = self.view, self.ledger
        kind = self.rnd.randrange(5)
        if kind == 0 or not uids:
            return 'ALL', None, uids
        ident = ledger.meaning[view.box, self.rnd.choice(uids)]
        right = [u for u in uids if ledger.meaning[view.box, u] == ident]
        if kind == 1:
            return 'SUBJECT "hands %d."' % ident, right, right
        if kind == 2:
            return 'HEADER X-Hands "%d "' % ident, [
                u for u in uids if str(ledger.meaning[view.box, u]).endswith(str(ident))], right
        if kind == 3:
            return 'BODY " of %d "' % ident, right, right
        flag, = self.rnd.sample(sorted(OWNED), 1)
        mine = [u for u in uids if self.mine(ledger.meaning[view.box, u])]
        sure = {u: ledger.owned[view.box, u][0] for u in mine if (view.box, u) in ledger.owned}
        return flag[1:].upper(), [u for u in uids if flag in sure.get(u, (flag,))], [
            u for u in sure if flag in sure[u]]

    async def copy(self, verb='COPY'):
        view, ledger = self.view, self.ledger
        there = self.rnd.choice([b for b in BOXES if b != view.box])
        few = self.full(there)
        if verb == 'COPY':
            uids = self.known(deletable) if self.rnd.random() < .8 else self.known()
        else:
            uids = self.known()
        uids = self.some(uids, 3 if few else 8)
        if not uids or (verb == 'COPY' and (few or len(uids) > 40)) or \
                (verb == 'MOVE' and self.readonly):
            return
        idents = {u: ledger.meaning[view.box, u] for u in uids}
        by_uid, where = self.addressed(uids)
        done, untagged = await self.command('%s%s %s %s' % (by_uid, verb, where,
                                                            self.crowd.imap_name(there)))
        for r in untagged + [done]:
            if pairs := r.code_is('COPYUID'):
                self.copied(there, pairs, idents, verb)
        # Without an answer nothing may have been done (RFC 9051 section 6.4.7).

    def copied(self, there, pairs, idents, verb):
        _, old, new = pairs.split(' ')
        old, new = imapwire.numbers_of(old), imapwire.numbers_of(new)
        if len(old) != len(new):
            self.view.wrong('copyuid', '%d UIDs became %d: %s', len(old), len(new), pairs)
        for was, now in zip(old, new):
            if was not in idents:
                self.view.wrong('copyuid', 'UID %d was not asked for: %s', was, pairs)
                continue
            self.ledger.means(self.name, there, now, idents[was])
            if verb == 'COPY':
                self.ledger.bear(idents[was])

    async def move(self):
        await self.copy('MOVE')

    async def expunge(self):
        if self.readonly:
            return
        if self.rnd.random() < .4:
            await self.command('EXPUNGE')
            return
        uids = self.some(self.known(deletable), 20)
        if uids:
            self.ledger.doomed |= {self.ledger.meaning[self.view.box, u] for u in uids}
            uids = imapwire.set_of(uids)
            await self.command('UID STORE %s +FLAGS.SILENT (\\Deleted)' % uids)
            await self.command('UID EXPUNGE %s' % uids)

    async def append(self):
        box = self.rnd.choice(BOXES)
        ident = self.ledger.new_ident(True if self.full(box) or self.crowd.many() else None)
        flags = self.rnd.sample(SHARED, self.rnd.randrange(3))
        date = ' " 7-Mar-2026 11:22:%02d +0100"' % (ident % 60) if self.rnd.random() < .5 else ''
        done, _ = await self.command('APPEND %s (%s)%s' % (
            self.crowd.imap_name(box), ' '.join(flags), date), octets_of(ident))
        if done.name != 'OK':
            return
        self.ledger.bear(ident)
        where = done.code_is('APPENDUID')
        if where is None:
            self.ledger.wrong('form', self.name, 'APPEND without APPENDUID: %r' % done.raw)
        else:
            self.ledger.means(self.name, box, int(where.split(' ')[1]), ident)

    async def idle(self):
        self.plus = asyncio.get_running_loop().create_future()
        waiting = asyncio.ensure_future(self.command('IDLE'))
        try:
            if await self.answer(self.plus):
                await asyncio.sleep(self.rnd.random() * 2)
                self.send(b'DONE\r\n')
        finally:
            await waiting

    async def noop(self, learn=True):
        await self.ok(self.rnd.choice(('NOOP', 'NOOP', 'CHECK')))
        self.view.synchronised()

    async def status(self):
        box = self.rnd.choice(BOXES)
        told = self.ledger.uids.get(box, 0)
        items = 'MESSAGES UIDNEXT UIDVALIDITY UNSEEN' + (
            '' if self.level == 'plain' else ' HIGHESTMODSEQ')
        _, untagged = await self.ok('STATUS %s (%s)' % (self.crowd.imap_name(box), items))
        flat = next(r for r in untagged if r.name == 'STATUS').values[1]
        said = {k.decode(): int(v) for k, v in zip(flat[::2], flat[1::2])}
        if said['UIDNEXT'] <= told:
            self.ledger.wrong('uidnext', self.name, 'STATUS %s: UIDNEXT %d; UID %d was told before' %
                              (box, said['UIDNEXT'], told))
        self.crowd.sizes[box] = said['MESSAGES']

    async def close(self):
        await self.ok(self.rnd.choice(('CLOSE', 'UNSELECT')))
        self.view = None
        await self.select()

    async def reselect(self):
        """Leave, remember, and come back with QRESYNC: what it tells is all that changed."""
        if self.level != 'qresync' or self.view.modseq == 0 or None in self.view.uids:
            return
        await self.noop()
        await self.news()
        view = self.view
        if None in view.uids or any(u not in view.flags for u in view.uids):
            return
        self.memory[view.box] = {'validity': view.validity, 'modseq': view.modseq,
                                 'flags': dict(view.flags)}
        await self.ok('UNSELECT')
        self.view = None
        box = self.rnd.choice(sorted(self.memory))
        if box != view.box or self.rnd.random() < .5:
            await asyncio.sleep(self.rnd.random())
        await self.resume(box)

    async def resume(self, box):
        memory = self.earlier = self.memory.pop(box)
        known, new = '', max(memory['flags'], default=0) + 1
        if memory['flags'] and self.rnd.random() < .5:
            known = ' ' + imapwire.set_of(memory['flags'])
        try:
            await self.open(box, ' (QRESYNC (%d %d%s))' % (memory['validity'], memory['modseq'],
                                                           known))
            late = await self.ask_for_new(memory['flags'], new, bool(known))
        finally:
            self.earlier = None
        view = self.view
        if not 0 <= len(view.uids) - len(memory['flags']) <= late:
            view.wrong('qresync', '%d EXISTS; from MODSEQ %d on I got to %d: %s', len(view.uids),
                       memory['modseq'], len(memory['flags']), imapwire.set_of(memory['flags']))
            return
        for n, uid in enumerate(sorted(memory['flags']), 1):
            view.place(n, uid)
            view.flags.setdefault(uid, memory['flags'][uid])
        before = {uid: (view.flags[uid], view.modseqs.get(uid)) for uid in view.uids if uid}
        top = view.modseq
        await self.look()
        for uid, (flags, _) in before.items():
            if view.flags.get(uid, flags) != flags and view.modseqs.get(uid, 0) <= top:
                view.wrong('qresync', 'UID %d has %s at MODSEQ %d <= %d; I was left with %s', uid,
                           sorted(view.flags[uid]), view.modseqs[uid], top, sorted(flags))

    async def ask_for_new(self, flags, new, narrow):
        """Messages that were not asked about, or came after the SELECT had been answered."""
        view, told, more = self.view, set(flags), 0
        for _ in range(4):
            if len(flags) >= len(view.uids):
                break
            before = view.arrived
            await self.command('UID FETCH %d:* (FLAGS MODSEQ)' % new)
            more = view.arrived - before	# what came since is not known yet
        late = [u for u in flags if u not in told and u < view.uidnext]
        if late and not narrow:
            view.wrong('qresync', 'nobody told of UIDs %s when this was selected', late)
        return more

    # ---- a life ----

    COMMANDS = (('fetch', 30), ('store', 20), ('search', 8), ('copy', 4), ('move', 5),
                ('expunge', 5), ('append', 6), ('idle', 6), ('noop', 10), ('status', 4),
                ('close', 2), ('reselect', 4), ('select', 2), ('look', 4))

    async def live(self):
        names, weights = zip(*self.COMMANDS)
        await self.connect()
        await self.select()
        while not self.crowd.over():
            await getattr(self, self.rnd.choices(names, weights)[0])()
            await self.news()
            await asyncio.sleep(self.rnd.random() * self.crowd.pause)

    async def finish(self):
        """All is quiet: the view must be what is there."""
        await self.noop()
        await self.look()
        await self.noop()
        if self.view.suspects or None in self.view.uids:
            self.view.wrong('missing', 'at rest: %s', self.view.uids)

    async def leave(self):
        self.closing = True
        await self.command('LOGOUT')
        self.link.transport.close()


class Crowd:
    """All hands on one account of one server."""

    def __init__(self, server, store, sessions=50, seconds=60, seed=1, pops=4, shells=2, plant=None,
                 pause=.05):
        self.server, self.store, self.seconds, self.seed = server, store, seconds, seed
        self.ledger, self.plant, self.pause = Ledger(sessions), plant, pause
        self.hands = [Hand(self, n) for n in range(sessions)]
        self.pops, self.shells = pops, shells if server.mount else 0
        self.sizes, self.validities = {}, {}
        self.counts, self.noes = collections.Counter(), collections.Counter()
        self.told, self.end = [], None
        self.folder = os.path.join(server.folder, 'hands')
        os.makedirs(self.folder, exist_ok=True)

    def imap_name(self, box):
        return box.replace('/', self.server.separator)

    def count(self, name):
        self.counts[name] += 1

    def refused(self, text, done):
        self.noes[(text.split(' ')[0], (done.code or b'').decode(), done.text.decode()[:60])] += 1

    def over(self):
        return bool(self.ledger.wrongs) or asyncio.get_running_loop().time() > self.end

    def many(self):
        return sum(self.sizes.values()) > ROOM * len(BOXES) * 2 // 3

    def trouble(self, hand):
        """The last lines of a session that found something wrong, once each."""
        if len(self.told) < 3 and hand.name not in [n for n, _ in self.told]:
            self.told.append((hand.name, list(hand.lines)))

    # ---- the other hands ----

    async def deliver(self):
        """An MDA of other people: straight into the store."""
        rnd, boxes = random.Random(self.seed), [self.store.folder(b) for b in ('INBOX', 'Work')]
        loop = asyncio.get_running_loop()
        while not self.over():
            n = rnd.choice((0, 2)) if self.many() else 1
            for _ in range(n if not self.many() or n == 2 else 0):
                ident = self.ledger.new_ident(True if self.many() else None)
                self.ledger.bear(ident)
                await loop.run_in_executor(None, rnd.choice(boxes).deliver,
                                           octets_of(ident).replace(b'\r\n', b'\n'))
                self.count('deliveries')
            await asyncio.sleep(rnd.random() * .4)

    async def program(self, *argv):
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE)
        _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
        return process.returncode, said

    async def shell(self, number):
        """cp, mv and rm on the mount."""
        rnd = random.Random(self.seed + number + 1)
        while not self.over():
            await asyncio.sleep(rnd.random() * .5)
            here, there = rnd.sample(BOXES, 2)
            alive = self.ledger.alive(here)
            kind = rnd.choice(('new', 'cp', 'mv', 'mv', 'rm'))
            if kind == 'new' or not alive:
                await self.shell_new(rnd, number, there)
            elif kind == 'rm':
                await self.shell_rm(rnd, here)
            else:
                await self.shell_move(kind, *rnd.choice(alive), there)

    def path(self, box, *names):
        return os.path.join(self.server.mount.path, *box.split('/'), *names)

    async def shell_new(self, rnd, number, box):
        ident = self.ledger.new_ident(True if self.many() else None)
        source = os.path.join(self.folder, 'new%d' % number)
        with open(source, 'wb') as f:
            f.write(octets_of(ident).replace(b'\r\n', rnd.choice((b'\r\n', b'\n'))))
        self.ledger.bear(ident)
        status, said = await self.program('cp', source, self.path(box, 'h%d' % ident))
        self.count('cp')
        if status != 0:
            self.ledger.wrong('shell', 'cp', '%r' % said)

    async def shell_rm(self, rnd, box):
        alive = self.ledger.alive(box, True)
        if alive:
            _, uid, ident = rnd.choice(alive)
            self.ledger.doomed.add(ident)
            await self.program('rm', '-f', self.path(box, '%d.eml' % uid))
            self.count('rm')

    async def shell_move(self, kind, box, uid, ident, there):
        """cp may find that somebody has moved or removed it; then nothing has come of it."""
        if kind == 'cp' and (self.many() or not deletable(ident)):
            return
        argv = ('mv',) if kind == 'mv' else ('cp',)
        target = self.path(there, '.mailtree/new/' if kind == 'cp' else '')
        status, said = await self.program(*argv, self.path(box, '%d.eml' % uid), target)
        self.count(kind)
        if status == 0 and kind == 'cp':
            self.ledger.bear(ident)
        elif kind == 'cp':
            self.ledger.doubt(ident)
        elif status != 0 and b'No such file' not in said:
            self.ledger.wrong('shell', 'mv', '%r' % said)

    async def pop(self, number):
        rnd = random.Random(self.seed + 100 + number)
        while not self.over():
            await Pop(self, rnd).live()
            await asyncio.sleep(rnd.random())

    # ---- a run ----

    async def guarded(self, hand, what):
        try:
            await what
        except Stop:
            pass
        except Exception as e:
            self.ledger.wrong('broken', getattr(hand, 'name', hand), ''.join(
                traceback.format_exception(e)[-3:]))

    async def prepare(self):
        """The mailboxes, and a few messages in each."""
        with self.server.imap() as imap:
            for box in BOXES[1:]:
                imap.ok('CREATE ' + self.imap_name(box))
            for box in BOXES:
                for _ in range(15):
                    ident = self.ledger.new_ident()
                    self.ledger.bear(ident)
                    done, _ = imap.append(self.imap_name(box), octets_of(ident))
                    uid = int(done.code_is('APPENDUID').split(' ')[1])
                    self.ledger.means('begin', box, uid, ident)

    async def main(self):
        loop = asyncio.get_running_loop()
        await self.prepare()
        self.end = loop.time() + self.seconds
        others = [('deliver', self.deliver())]
        others += [('shell', self.shell(n)) for n in range(self.shells)]
        others += [('pop3', self.pop(n)) for n in range(self.pops)]
        await asyncio.gather(*[self.guarded(h, h.live()) for h in self.hands],
                             *[self.guarded(n, w) for n, w in others])
        if not self.ledger.wrongs:
            await asyncio.sleep(2)		# what others changed is taken in within a second
            for hand in self.hands:
                await self.guarded(hand, hand.finish())
        for hand in self.hands:
            if hand.link is not None and not self.ledger.wrongs:
                await self.guarded(hand, hand.leave())
        if not self.ledger.wrongs:
            self.settle()
        await self.end_all()

    async def end_all(self):
        for hand in self.hands:
            hand.closing = True
            if hand.link is not None:
                hand.link.transport.abort()
        await asyncio.sleep(0)		# that is when they hang up
        for hand in self.hands:
            if hand.process is not None:
                try:
                    imapwire.end_of(hand.process)
                except lib.Failed as e:
                    self.ledger.wrong('stuck', hand.name, str(e))

    def settle(self):
        """All messages of all mailboxes, as a fresh session sees them, and as the store has
        them, against the ledger."""
        found = {}
        with self.server.imap() as imap:
            for box in BOXES:
                imap.ok('EXAMINE ' + self.imap_name(box))
                for r in imap.ok('UID FETCH 1:* (UID FLAGS BODY.PEEK[])'):
                    if r.name == 'FETCH':
                        items = r.items()
                        self.ledger.octets('end', box, items['UID'], items['BODY[]'])
                        found[box, items['UID']] = (ident_of(items['BODY[]']), items['FLAGS'])
        self.ledger.settle(found)
        self.settle_files(found)

    def settle_files(self, found):
        for box in BOXES:
            stored = collections.Counter(ident_of(lib.wire_of(m.octets))
                                         for m in self.store.folder(box).messages())
            shown = collections.Counter(v[0] for k, v in found.items() if k[0] == box)
            if stored != shown:
                self.ledger.wrong('lost', 'end', '%s: store less session %s, session less store '
                                  '%s' % (box, stored - shown, shown - stored))
            if self.server.mount:
                uids = lib.uids(self.path(box))
                if uids != sorted(u for b, u in found if b == box):
                    self.ledger.wrong('uid', 'end', '%s: the tree has %s' % (box, uids))

    def run(self):
        asyncio.run(self.main())
        return self.ledger.wrongs

    def report(self):
        """Lines about the run."""
        out = ['%d sessions, %g s: %s' % (len(self.hands), self.seconds, ', '.join(
            '%s %d' % (n, c) for n, c in sorted(self.counts.items())))]
        out += ['NO %d times: %s [%s] %s' % (n, *what) for what, n in sorted(self.noes.items())]
        for kind, who, why in self.ledger.wrongs[:10]:
            out.append('WRONG (%s) %s: %.1500s' % (kind, who, why))
        for hand in self.hands:
            if hand.name in [who for _, who, _ in self.ledger.wrongs]:
                self.trouble(hand)
        for name, lines in self.told if self.ledger.wrongs else ():
            out.append('--- the last lines of %s' % name)
            out += ['    %r' % line for line in lines]
        return out


class Pop:
    """One POP3 session: what it lists it must give; what it deletes at QUIT is gone."""

    def __init__(self, crowd, rnd):
        self.crowd, self.rnd, self.ledger = crowd, rnd, crowd.ledger

    async def line(self):
        line = await asyncio.wait_for(self.reader.readline(), PATIENCE)
        if not line:
            raise EOFError('a POP3 session ended')
        return line

    async def ask(self, command):
        self.writer.write(command.encode() + b'\r\n')
        return await self.line()

    async def body(self):
        out = []
        while (line := await self.line()) != b'.\r\n':
            out.append(line[1:] if line.startswith(b'.') else line)
        return out

    async def live(self):
        process, sock = self.crowd.server.spawn_pop3()
        self.reader, self.writer = await asyncio.open_connection(sock=sock, limit=1 << 20)
        try:
            await self.session()
        except EOFError as e:
            self.ledger.wrong('pop3', 'pop3', str(e))
        finally:
            self.writer.close()
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, imapwire.end_of, process)

    async def session(self):
        try:
            said = await self.ask('STAT')
        except (ConnectionError, EOFError):
            said = b''
        if not said.startswith(b'+OK'):		# another one has the maildrop
            self.crowd.count('POP3 refused')
            return
        self.crowd.count('POP3 sessions')
        messages = int(said.split()[1])
        await self.ask('UIDL')
        uidls = await self.body()
        if len(uidls) != messages or len(set(u.split()[1] for u in uidls)) != messages:
            self.ledger.wrong('pop3', 'pop3', 'STAT %d, UIDL %d' % (messages, len(uidls)))
        for n in self.rnd.sample(range(1, messages + 1), min(messages, 6)):
            await self.retrieve(n)
        await asyncio.sleep(self.rnd.random())
        if self.rnd.random() < .8:
            said = await self.ask('QUIT')
            if not said.startswith(b'+OK'):
                self.crowd.noes['POP3 QUIT', '', said.decode().strip()] += 1

    async def retrieve(self, n):
        said = await self.ask('RETR %d' % n)
        if not said.startswith(b'+OK'):
            self.crowd.noes['POP3 RETR', '', said.decode().strip()[:40]] += 1
            return
        octets = b''.join(await self.body())
        ident = ident_of(octets)
        self.crowd.count('RETR')
        if ident is None or octets != octets_of(ident):
            self.ledger.wrong('octets', 'pop3', 'RETR of message %s: %r' % (ident, octets[:200]))
        elif deletable(ident) and self.rnd.random() < .5:
            self.ledger.doomed.add(ident)
            await self.ask('DELE %d' % n)
            self.crowd.count('DELE')
