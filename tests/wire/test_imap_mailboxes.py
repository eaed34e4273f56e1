#!/usr/bin/env python3
"""Commands about mailboxes as a whole: the same sequences to mailtree and to Dovecot over two
copies of one Maildir++, with each separator and with a prefix, and what only mailtree says."""
import contextlib
import os
import random
import shutil
import time

import imapclient
import imapwire
import lib

KINDS = {'dot': ('.', ''), 'slash': ('/', ''), 'prefix': ('.', 'INBOX.')}


class Mailtree(imapwire.Mailtree):
    def __init__(self, folder, store, kind, *options):
        self.options = ['-s', KINDS[kind][0], '-p', KINDS[kind][1], *options]
        super().__init__(folder, store)

    def spawn(self):
        return imapwire.spawn([os.path.join(lib.BUILD, 'mailtree-imap'), '-u', self.mount.path,
                               *self.options])


class Dovecot(imapwire.Dovecot):
    def __init__(self, folder, store, kind):
        super().__init__(folder, store)
        separator, prefix = KINDS[kind]
        with open(self.conf) as f:
            conf = f.read()
        lib.check('separator = .\n' in conf, 'no separator in: %s', conf)
        with open(self.conf, 'w') as f:
            f.write(conf.replace('separator = .\n', 'separator = %s\n  prefix = %s\n' %
                                 (separator, prefix)))


def fill(path, uid=None):
    """A Maildir++ with two levels, a missing parent, and subscriptions."""
    store = lib.Maildir(path, uid)
    for i in range(3):
        store.deliver(b'Subject: %d\n\nbody %d\n' % (i, i), info=':2,S' if i else ':2,')
    for name in ('Archive', 'Archive.2023', 'Archive.2024', 'Lost.Child', 'Entw&APw-rfe', 'a&-b'):
        store.folder(name).deliver(b'Subject: %s\n\nx\n' % name.encode(), info=':2,T')
    with open(os.path.join(path, 'subscriptions'), 'w') as f:
        f.write('INBOX\nArchive.2024\nGone\nDeep.er.still\n')
    return store


@contextlib.contextmanager
def one(kind, *options, make=fill):
    """A session of mailtree's over such a store: (session, store's path)."""
    with lib.scratch() as folder:
        path = os.path.join(folder, 'store')
        make(path)
        with Mailtree(folder, path, kind, *options) as server:
            session = imapclient.Process(server.spawn())
            yield session, path
            session.close()


@contextlib.contextmanager
def both(kind):
    """A session of each over copies of one store, taken over by Dovecot first so that both
    begin with the same UIDs."""
    with lib.scratch() as folder:
        path = os.path.join(folder, 'store')
        fill(path, lib.MAIL_UID)
        theirs = Dovecot(folder, path, kind)
        first = imapclient.Process(theirs.spawn())
        for name in ('Archive', 'Archive.2023', 'Archive.2024', 'Lost.Child', 'INBOX'):
            prefix = KINDS[kind][1] if name != 'INBOX' else ''
            first.ok('STATUS %s (MESSAGES)' % (prefix + name.replace('.', KINDS[kind][0])))
        first.logout()
        copy = os.path.join(folder, 'copy')
        lib.run('cp', '-a', path, copy)
        with theirs, Mailtree(folder, copy, kind) as ours:
            sessions = imapclient.Process(ours.spawn()), imapclient.Process(theirs.spawn())
            yield sessions
            for session in sessions:
                session.close()
        lib.same(theirs.complaints(), [], "Dovecot's complaints")


# ---- comparing --------------------------------------------------------------------------

# What a list may say or not say: \Noselect goes without saying with \NonExistent; Dovecot
# says one or the other by the kind of command.
def attributes_of(values, lsub):
    said = {v.lower() for v in values}
    if '\\nonexistent' in said or '\\noselect' in said:
        said = said - {'\\nonexistent'} | {'\\noselect'}
    if lsub:		# says nothing for certain but this
        said &= {'\\noselect'}
    return frozenset(said - {'\\marked', '\\unmarked', '\\noinferiors'})


def octets(value):
    """Whether it came quoted or as an atom."""
    if isinstance(value, list):
        return [octets(v) for v in value]
    return value.encode('latin-1') if isinstance(value, str) else value


def name_of(value):
    """Dovecot says INBOX as the client did."""
    return b'INBOX' if octets(value).upper() == b'INBOX' else octets(value)


def plain(answer):
    """Status, and what the untagged responses say: {(LIST, name): …}."""
    out = {}
    for r in answer.untagged:
        if r.name in ('LIST', 'LSUB'):
            attributes, separator, name = r.args[:3]
            said = attributes_of(attributes, r.name == 'LSUB')
            key, value = (r.name, name_of(name)), (said, octets(separator), octets(r.args[3:]))
        elif r.name == 'STATUS':
            key = (r.name, name_of(r.args[0]))
            value = dict(zip(r.args[1][::2], r.args[1][1::2]))
        elif r.name == 'NAMESPACE':
            key, value = r.name, octets(r.args)
        else:
            continue
        lib.check(key not in out, '%r: twice %r', answer.command, key)
        out[key] = value
    return answer.status, out


def is_missing(sessions, name):
    return all(s.ask('STATUS %s (MESSAGES)' % name.decode()).status == 'NO' for s in sessions)


def lags(sessions, key, ours, theirs):
    """Dovecot lists for a while as a mailbox what has been deleted and has children."""
    return (key[0] == 'LIST' and ours is not None and theirs is not None and
            (ours[0] - {'\\noselect'},) + ours[1:] == theirs and is_missing(sessions, key[1]))


def agree(sessions, command):
    ours, theirs = (plain(s.ask(command)) for s in sessions)
    verb, name = command.split(' ')[0], command.split(' ')[-1]
    if (verb, ours[0], theirs[0]) == ('SUBSCRIBE', 'NO', 'OK') and \
            is_missing(sessions, name.encode()):
        for session in sessions:		# likewise
            session.ok('UNSUBSCRIBE ' + name)
        return
    lib.same(ours[0], theirs[0], '%s: status' % command)
    for key in sorted(set(ours[1]) | set(theirs[1]), key=repr):
        one, other = ours[1].get(key), theirs[1].get(key)
        if one != other and not lags(sessions, key, one, other):
            lib.same(one, other, '%s: %r' % (command, key))


def agree_on_all(sessions, kind):
    separator, prefix = KINDS[kind]
    for command in ('LIST "" *', 'LIST "" %', 'LSUB "" *', 'LSUB "" %',
                    'LIST "" %s%%%s%%' % (prefix, separator),
                    'LIST (SUBSCRIBED) "" * RETURN (CHILDREN)',
                    'LIST (SUBSCRIBED RECURSIVEMATCH) "" % RETURN (CHILDREN)'):
        agree(sessions, command)


# ---- as Dovecot ----------------------------------------------------------------------------

SCRIPT = '''
NAMESPACE
LIST "" ""
LIST "" *
LIST "" %
LIST "" inbox
LIST "" InB%
LIST "" @Archive
LIST "" @Archive/%
LIST "" @Arch*2024
LIST @Archive/ %
LIST "" @%/%
LIST "" *&APw-*
LIST "" @Nothing*
LSUB "" *
LSUB "" %
LSUB "" @%
LSUB "" @Deep/%
LSUB "" @Deep/*
LIST (SUBSCRIBED) "" * RETURN (CHILDREN)
LIST (SUBSCRIBED) "" % RETURN (CHILDREN)
LIST (SUBSCRIBED RECURSIVEMATCH) "" @% RETURN (CHILDREN)
LIST (SUBSCRIBED RECURSIVEMATCH) "" * RETURN (CHILDREN)
LIST "" (INBOX @Arch* @Lost) RETURN (CHILDREN SUBSCRIBED)
LIST "" (@Archive INBOX) RETURN (CHILDREN STATUS (MESSAGES UNSEEN UIDNEXT UIDVALIDITY))
LIST (RECURSIVEMATCH) "" *
LIST (UNHEARD) "" *
LIST "" * RETURN (UNHEARD)
STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)
STATUS inbox (MESSAGES)
STATUS @Archive/2024 (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)
STATUS @Entw&APw-rfe (MESSAGES)
STATUS @a&-b (MESSAGES)
STATUS @Nothing (MESSAGES)
STATUS @Lost (MESSAGES)
STATUS INBOX (UNHEARD)
STATUS INBOX
CREATE @New
CREATE @New
CREATE INBOX
CREATE inbox
CREATE @One/Two/Three
CREATE @Trailing/
STATUS @Trailing (MESSAGES)
CREATE @One
CREATE @&ZeVnLIqe-
CREATE @&AC8-x
CREATE @a//b
CREATE @../x
CREATE @~x/..
CREATE ""
DELETE @Nothing
DELETE INBOX
DELETE @New
DELETE @New
DELETE @Archive
LIST "" @Archive*
STATUS @Archive (MESSAGES)
CREATE @Archive
STATUS @Archive (MESSAGES UIDNEXT)
RENAME @Archive @Old
LIST "" *
STATUS @Old/2024 (MESSAGES UIDNEXT UIDVALIDITY)
RENAME @Old/2024 @Old/2023
RENAME @Nothing @x
RENAME @Old INBOX
RENAME @Old @Old/below
RENAME @Old @Old
RENAME @Trailing @Very/Deep/Place
LIST "" *
SUBSCRIBE @One
SUBSCRIBE INBOX
UNSUBSCRIBE @Gone
UNSUBSCRIBE @Nothing
SUBSCRIBE @Entw&APw-rfe
LSUB "" *
DELETE @One
LSUB "" *
LIST (SUBSCRIBED) "" * RETURN (CHILDREN)
UNSUBSCRIBE @One
LSUB "" %
'''


def commands(kind):
    """`@` is the prefix, `/` the separator."""
    separator, prefix = KINDS[kind]
    for line in SCRIPT.split('\n'):
        if line:
            yield line.replace('/', separator).replace('@', prefix)


def the_script(kind):
    with both(kind) as sessions:
        wrong = []
        for command in commands(kind):
            try:
                agree(sessions, command)
            except lib.Failed as e:
                wrong.append(str(e))
        lib.check(not wrong, '%d answers differ: %s', len(wrong), '\n'.join(wrong))


def as_dovecot_dot():
    the_script('dot')


def as_dovecot_slash():
    the_script('slash')


def as_dovecot_prefix():
    the_script('prefix')


def names_of(session, pattern='*', returns=''):
    return {octets(r.args[2]): [a.lower() for a in r.args[0]]
            for r in session.ok('LIST "" "%s"%s' % (pattern, returns)).named('LIST')}


def merges(session, old, new):
    """From or to a level that is no mailbox, to a name that is there: Dovecot puts what is
    below the one beside what is below the other. Here a name that is there is taken (RFC 9051
    section 6.3.6)."""
    there = names_of(session)
    levels = [n for n, said in there.items() if '\\nonexistent' in said]
    return old.encode() in there and new.encode() in there and old != new and (
        old.encode() in levels or new.encode() in levels)


def random_changes(kind, seed, rounds=120):
    rng = random.Random(seed)
    separator, prefix = KINDS[kind]
    levels = ('A', 'B', 'C', 'Entw&APw-rfe')

    def name():
        return prefix + separator.join(rng.choice(levels) for _ in range(rng.randint(1, 3)))

    with both(kind) as sessions:
        for i in range(rounds):
            verb = rng.choice(('CREATE', 'CREATE', 'DELETE', 'RENAME', 'SUBSCRIBE',
                               'UNSUBSCRIBE'))
            names = [name(), name()] if verb == 'RENAME' else [name()]
            if verb == 'RENAME' and merges(sessions[0], *names):
                sessions[0].no('RENAME %s %s' % tuple(names))
                continue
            agree(sessions, ' '.join([verb] + names))
            if i % 10 == 9:
                agree_on_all(sessions, kind)


def random_changes_as_dovecot():
    for seed, kind in enumerate(KINDS):
        random_changes(kind, seed)


# ---- only mailtree ---------------------------------------------------------------------------

def refused_names():
    """Nothing leaves the user's tree, and nothing that could is made."""
    long = 'x' * 300
    for kind, names in (('dot', ('../x', '..', '.', 'a..b', '/etc', 'a/b', '~x', '&AC8-', 'a&b',
                                 '&AAA-', long, 'a.' + long)),
                        ('slash', ('../x', '..', '.', 'a//b', '/etc', 'a/../b', '~x', '&AC8-',
                                   '&AC4-', 'a.b', '.x', '12.eml', '.mailtree', long))):
        with one(kind) as (session, path):
            before = sorted(os.listdir(path))
            for name in names:
                for command in ('CREATE "%s"', 'RENAME Archive "%s"'):
                    session.no(command % name, 'CANNOT')
                session.no('STATUS "%s" (MESSAGES)' % name)
                session.no('SUBSCRIBE "%s"' % name)
            for pattern in ('../*', '/*', '/etc/*', '~*', '&AC8-*'):
                lib.same(session.ok('LIST "" "%s"' % pattern).named('LIST'), [], pattern)
            lib.same(sorted(os.listdir(path)), before, 'the store')


def odd_names():
    """What a store has is listed under a name by which it can be opened."""
    names = ('%41', '50%off', '50%26off', 'caf\xe9', 'a&b', '~x', 'inbox', 'A..B', 'x\x01y',
             'a"b\\c', 'INBOX.sub')

    def make(path):
        store = fill(path)
        for name in names:
            store.folder(name.encode('latin-1').decode('utf-8', 'surrogateescape')) \
                .deliver(b'Subject: x\n\n', info=':2,')

    for kind in KINDS:
        with one(kind, make=make) as (session, path):
            before = names_of(session)
            there = [n for n, attributes in before.items() if '\\nonexistent' not in attributes]
            # the six of fill(), INBOX, and those above
            lib.same(len(there), 7 + len(names), 'how many: %r' % sorted(before))
            for name in there:
                said = session.ok('STATUS "%s" (MESSAGES)' %
                                  name.decode().replace('\\', '\\\\').replace('"', '\\"'))
                lib.check(int(said.one('STATUS').args[1][1]) > 0, 'STATUS: %r', said.untagged)


def utf8_names():
    with one('dot') as (session, path):
        session.ok('ENABLE IMAP4rev2')
        lib.check('Entwürfe'.encode() in names_of(session), 'no UTF-8 name')
        session.ok('CREATE "Gr\u00fc\u00dfe"')
        lib.check(os.path.isdir(os.path.join(path, '.Gr&APwA3w-e')), '%r', os.listdir(path))
        session.ok('SELECT "Gr\u00fc\u00dfe"')
        session.ok('CREATE &AC8-')		# a name like any other
        lib.check(os.path.isdir(os.path.join(path, '.&-AC8-')), '%r', os.listdir(path))


def special_uses():
    with one('dot', '-S', '\\Archive Archive') as (session, path):
        session.ok('CREATE Ausgang (USE (\\Sent))')
        session.ok('CREATE Zwei (USE (\\Junk \\Trash))')
        session.no('CREATE Alles (USE (\\All))', 'USEATTR')
        said = names_of(session, '%', ' RETURN (SPECIAL-USE)')
        for name, use in ((b'Ausgang', ['\\sent']), (b'Zwei', ['\\junk', '\\trash']),
                          (b'Archive', ['\\archive'])):
            lib.same(sorted(set(said[name]) - {'\\haschildren', '\\hasnochildren'}), use, name)
        lib.check(b'Alles' not in said, 'it was made')
        only = session.ok('LIST (SPECIAL-USE) "" *').named('LIST')
        lib.same(sorted(octets(r.args[2]) for r in only), [b'Archive', b'Ausgang', b'Zwei'],
                 'selected by use')


def status_counts():
    with one('dot') as (session, path):
        said = session.ok('STATUS INBOX (MESSAGES UNSEEN SIZE DELETED RECENT MAILBOXID '
                          'HIGHESTMODSEQ APPENDLIMIT)').one('STATUS').args[1]
        items = dict(zip(said[::2], said[1::2]))
        size = sum(len(lib.wire_of(lib.text_of(os.path.join(path, 'cur', f))))
                   for f in os.listdir(os.path.join(path, 'cur')))
        lib.same((items['MESSAGES'], items['UNSEEN'], items['SIZE'], items['DELETED']),
                 ('3', '1', str(size), '0'), 'counts')
        lib.check(int(items['HIGHESTMODSEQ']) > 0 and len(items['MAILBOXID'][0]) == 32,
                  '%r', items)
        said = session.ok('STATUS Archive (DELETED)').one('STATUS').args[1]
        lib.same(said, ['DELETED', '1'], 'deleted')
        lib.Maildir(path).deliver(b'Subject: new\n\n', base='1700000000.M1P1.new')
        said = session.ok('STATUS INBOX (MESSAGES RECENT)').one('STATUS').args[1]
        lib.same(said, ['MESSAGES', '4', 'RECENT', '1'], 'after a delivery')


def deleted_while_selected():
    """Whoever deletes it has nothing selected then; others are told BYE."""
    with lib.scratch() as folder:
        path = os.path.join(folder, 'store')
        fill(path)
        with Mailtree(folder, path, 'dot') as server:
            session, other = (imapclient.Process(server.spawn()) for _ in range(2))
            for s in (session, other):
                s.ok('SELECT Archive.2024')
            session.ok('DELETE Archive.2024')
            session.bad('FETCH 1 FLAGS')
            session.ok('SELECT INBOX')
            lib.check(not os.path.exists(os.path.join(path, '.Archive.2024')), 'it is there')
            try:
                other.ask('NOOP')
                raise lib.Failed('a session goes on over a mailbox that is gone')
            except EOFError:
                pass
            session.close()
            other.close()


def renamed_while_selected():
    """Its messages are the same under the new name: nothing changes for who has it."""
    with one('dot') as (session, path):
        session.ok('SELECT Archive.2024')
        session.ok('RENAME Archive Old')
        lib.same(session.ok('FETCH 1 (UID)').fetched()[1]['UID'], '1', 'UID')
        lib.check(b'Archive.2024' in session.ok('FETCH 1 BODY[]').one('FETCH').raw, 'its text')
        session.ok('STORE 1 +FLAGS (\\Flagged)')
        session.ok('SELECT Old.2024')
        lib.check('\\Flagged' in session.ok('FETCH 1 FLAGS').fetched()[1]['FLAGS'], 'its flag')


def renamed_inbox():
    """Its messages go to the new mailbox; INBOX and what is below it stay."""
    with one('dot') as (session, path):
        session.ok('CREATE INBOX.below')
        session.no('RENAME INBOX Archive', 'ALREADYEXISTS')
        session.ok('RENAME inbox Was')
        for name, n in (('INBOX', '0'), ('Was', '3'), ('INBOX.below', '0')):
            said = session.ok('STATUS %s (MESSAGES)' % name).one('STATUS').args[1]
            lib.same(said, ['MESSAGES', n], name)
        session.ok('RENAME INBOX Empty')
        session.ok('SELECT Was')
        lib.same(sorted('\\Seen' in m['FLAGS'] for m in session.ok('FETCH 1:* FLAGS')
                        .fetched().values()), [False, True, True], 'flags')


def a_thousand():
    """A list of many is a few round trips: no time per mailbox that one would notice."""
    def make(path):
        store = lib.Maildir(path)
        for i in range(1000):
            store.folder('Folder.%04d' % i)

    with one('dot', make=make) as (session, path):
        names_of(session)
        start = time.monotonic()
        lib.same(len(names_of(session)), 1002, 'names')
        took = time.monotonic() - start
        print('# LIST of 1,000 mailboxes: %.0f ms' % (took * 1000), flush=True)
        lib.check(took < 2, 'LIST took %.1f s', took)
        start = time.monotonic()
        said = session.ok('LIST "" Folder.00% RETURN (STATUS (MESSAGES UIDNEXT))')
        print('# STATUS of 100 that nobody has looked into before: %.0f ms' %
              ((time.monotonic() - start) * 1000), flush=True)
        lib.same(len(said.named('STATUS')), 100, 'STATUS')


if __name__ == '__main__':
    tests = [refused_names, odd_names, utf8_names, special_uses, status_counts,
             deleted_while_selected, renamed_while_selected, renamed_inbox, a_thousand]
    if shutil.which('dovecot'):
        tests += [as_dovecot_dot, as_dovecot_slash, as_dovecot_prefix,
                  random_changes_as_dovecot]
    lib.run_tests(tests)
