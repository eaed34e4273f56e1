#!/usr/bin/env python3
"""mailtree-imap over a real mount: the commands of RFC 9051 and RFC 3501, and their order."""
import calendar
import os
import re
import time

import lib
from imapserver import Mounted

HEAD = (b'Date: Mon, 02 Jan 2023 03:04:05 +0000\nFrom: "Ann B." <ann@example.org>\n'
        b'To: bob@example.net, <carl@example.net>\nMessage-ID: <%d@example.org>\n')
ONE = HEAD % 1 + b'Subject: one\n\nfirst\nsecond\n'
TWO = HEAD % 2 + b'Subject: two\nX-Odd: a\n b\n\n.\n..\nno end'
MULTI = (HEAD % 3 + b'Subject: three\nMIME-Version: 1.0\n'
         b'Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n\nplain\n--b\n'
         b'Content-Type: application/octet-stream; name=x\nContent-Transfer-Encoding: base64\n\n'
         b'AAEC/w==\n--b--\n')
MAIL = [ONE, TWO, MULTI]
WIRE = [lib.wire_of(m) for m in MAIL]
SYSTEM = {'\\Answered', '\\Flagged', '\\Deleted', '\\Seen', '\\Draft'}


def words(text):
    return set(text.strip('()').split())


def head_of(wire):
    return wire[:wire.index(b'\r\n\r\n') + 4]


def text_of(wire):
    return wire[wire.index(b'\r\n\r\n') + 4:]


# ---- before a mailbox is selected -------------------------------------------------------------

def greeting_and_capabilities():
    with Mounted() as mail, mail.session() as imap:
        lib.same((imap.greeting.tag, imap.greeting.name), ('*', 'PREAUTH'), 'greeting')
        said = imap.ok('CAPABILITY')
        listed = said.one('CAPABILITY').args
        for name in ('IMAP4rev1', 'IMAP4rev2', 'LITERAL+', 'IDLE', 'NAMESPACE', 'ID', 'CHILDREN',
                     'UIDPLUS', 'MOVE', 'UNSELECT', 'ESEARCH', 'SEARCHRES', 'ENABLE', 'CONDSTORE',
                     'QRESYNC', 'BINARY', 'MULTIAPPEND', 'LIST-EXTENDED', 'LIST-STATUS',
                     'SPECIAL-USE', 'UTF8=ACCEPT', 'WITHIN', 'STATUS=SIZE'):
            lib.check(name in listed, 'CAPABILITY lacks %s: %r', name, listed)
        lib.same(len(set(listed)), len(listed), 'no capability twice')
        for name in listed:
            lib.check(not name.startswith(('AUTH=', 'STARTTLS', 'LOGINDISABLED')),
                      '%s after login', name)
        if imap.greeting.code == 'CAPABILITY':
            lib.same(imap.greeting.code_args.split(), listed, 'capabilities of the greeting')
        lib.check(imap.ok('ID NIL').one('ID').args, 'ID')
        imap.ok('ID ("name" "test" "version" NIL)')
        imap.logout()


def commands_out_of_their_state():
    with Mounted(MAIL) as mail, mail.session() as imap:
        for command in ('FETCH 1 FLAGS', 'STORE 1 FLAGS ()', 'COPY 1 INBOX', 'MOVE 1 INBOX',
                        'SEARCH ALL', 'EXPUNGE', 'CLOSE', 'UNSELECT', 'CHECK', 'UID FETCH 1 UID',
                        'UID EXPUNGE 1', 'LOGIN a b', 'AUTHENTICATE PLAIN', 'STARTTLS'):
            said = imap.ask(command)
            lib.check(said.status == 'BAD' or
                      said.status == 'NO' and command[:5] in ('LOGIN', 'AUTHE', 'START'),
                      '%s: %r', command, said.tagged)
        imap.ok('NOOP')
        imap.logout()


def malformed_commands():
    """Each is BAD under its tag (`*` when there is none), and the next command works."""
    with Mounted(MAIL) as mail, mail.session('INBOX') as imap:
        for line in (b'', b'a', b'a ', b'a XYZZY', b'a FETCH', b'a FETCH 1', b'a FETCH 0 FLAGS',
                     b'a FETCH 1 (FLAGS', b'a FETCH 1 FLAGS)', b'a FETCH 1 ()', b'a FETCH x FLAGS',
                     b'a FETCH 4 FLAGS', b'a FETCH 1 NOTHING', b'a FETCH 1 BODY[',
                     b'a FETCH 1 BODY[0]', b'a FETCH 1 BODY[MIME]', b'a FETCH 1 BODY[1.2.]',
                     b'a FETCH 1 BODY[]<0.0>', b'a FETCH 1 BODY[]<1>', b'a FETCH 1 BODY[HEADER.FIELDS]',
                     b'a FETCH 1 BODY[HEADER.FIELDS ()]', b'a FETCH 4294967296 FLAGS',
                     b'a FETCH 1:  FLAGS', b'a FETCH 1,,2 FLAGS', b'a FETCH -1 FLAGS', b'a SEARCH',
                     b'a SEARCH (', b'a SEARCH FROM', b'a SEARCH NOT', b'a SEARCH OR 1',
                     b'a SEARCH SINCE 31-Foo-2020', b'a SEARCH LARGER -1', b'a SEARCH XYZZY',
                     b'a STORE 1', b'a STORE 1 FLAGS', b'a STORE 1 FLAGS (\\Seen',
                     b'a STORE 1 +-FLAGS (\\Seen)', b'a STORE 1 FLAGS (\\Recent)',
                     b'a STORE 1 FLAGS (\\Nothing)', b'a COPY 1', b'a COPY 1 A B', b'a SELECT',
                     b'a SELECT "INBOX', b'a SELECT INBOX INBOX', b'a STATUS INBOX',
                     b'a STATUS INBOX ()', b'a STATUS INBOX (XYZZY)', b'a LIST', b'a LIST ""',
                     b'a APPEND', b'a APPEND INBOX', b'a APPEND INBOX "quoted"',
                     b'a APPEND INBOX (\\Seen) x', b'a UID', b'a UID XYZZY', b'a UID NOOP',
                     b'a UID EXPUNGE', b'a NOOP x', b'a CREATE', b'a RENAME a', b'a ENABLE',
                     b'a SELECT "a\\b"', b'a SELECT {x}', b'a SELECT {-1}', b'a SELECT "\xff"',
                     b'a  NOOP', b'* NOOP', b'+ NOOP', b'a\0b NOOP', b'a NO\0OP',
                     b'(a) NOOP', b'a FETCH 1 BODY[1\0]', b'a SELECT INBOX\0'):
            imap.send(line + b'\r\nz NOOP\r\n')
            first = imap.response()
            while first.tag == '*' and first.name not in ('BAD', 'BYE'):
                first = imap.response()
            lib.check(first.name == 'BAD' or first.name == 'NO' and b'\xff' in line,
                      'answer to %r: %r', line, first)
            if line.startswith(b'a ') and b'\0' not in line.split(b' ')[0] and len(line) > 2:
                lib.same(first.tag, 'a', 'tag of the answer to %r' % line)
            lib.same(imap.answer('z', line).status, 'OK', 'NOOP after %r' % line)
            if line.startswith(b'a SELECT'):
                imap.ok('SELECT INBOX')
        imap.logout()


def a_hundred_bad_commands_end_it():
    with Mounted() as mail, mail.session() as imap:
        imap.send(b'GET / HTTP/1.0\r\n' * 1000)
        said = []
        try:
            while True:
                said.append(imap.response())
        except (EOFError, ConnectionResetError):
            pass
        lib.check(said and said[-1].name == 'BYE', 'no BYE at the end: %r', said[-1:])
        lib.check(10 <= len(said) <= 110, '%d answers', len(said))


def octet_by_octet_and_all_at_once():
    said = (b'1 NOOP\r\n2 select {5}\r\nINBOX\r\n3 fetch 2 (UID body.peek[header.fields (subject)])'
            b'\r\n4 uId sTaTuS\r\n5 search subject {3+}\r\ntwo\r\n6 LOGOUT\r\n')
    with Mounted(MAIL) as mail:
        mail.transcript(b'1 SELECT INBOX\r\n')		# \Recent is claimed by the first
        whole = strip(mail.transcript(said))
        lib.check(b'* 2 FETCH (UID 2 BODY[HEADER.FIELDS' in whole and
                  b'Subject: two\r\n\r\n)' in whole and b'* SEARCH 2\r\n' in whole and
                  re.search(rb'\r\n4 BAD.*\* BYE\b.*\r\n6 OK\b', whole, re.S), 'said %r', whole)
        with mail.session() as imap:
            for octet in said[:-len(b'6 LOGOUT\r\n')]:
                imap.send(bytes([octet]))
                time.sleep(0.002)
            imap.send(b'6 LOGOUT\r\n')
            slow = imap.greeting.raw
            while part := imap.sock.recv(65536):
                slow += part
        lib.same(strip(slow), whole, 'octet by octet')


def strip(said):
    """Without what names times and texts."""
    return re.sub(rb'(?m)^(\S+ (?:OK|NO|BAD|BYE|PREAUTH)(?: \[[^\]]*\])?).*$', rb'\1\r', said)


def disconnect_at_every_octet():
    """What was not finished did not happen; what was answered did."""
    message = ONE.replace(b'\n', b'\r\n')
    said = (b'1 APPEND INBOX (\\Seen) {%d+}\r\n%s\r\n' % (len(message), message) +
            b'2 SELECT INBOX\r\n3 STORE 1 +FLAGS (\\Deleted)\r\n4 EXPUNGE\r\n5 LOGOUT\r\n')
    end = said.index(b'\r\n2 SELECT') + 2
    with Mounted([TWO]) as mail:
        for n in [*range(0, 60, 3), end - 3, end - 2, end - 1]:
            mail.transcript(said[:n])
            lib.same(len(mail.store.files()), 1, 'messages after %r' % said[:n][-40:])
        for n in (*range(end, len(said), 5), len(said)):
            before = len(mail.store.files())
            out = mail.transcript(said[:n])
            done = (b'1 OK' in out) - (b'4 OK' in out)
            lib.same(len(mail.store.files()) - before, done, 'messages after %r' % said[end:n])
        lib.wait_until(lambda: not os.listdir(os.path.join(mail.store.path, 'tmp')), 5,
                       'an empty tmp')		# holds are let go of by a thread of their own


def logout():
    with Mounted() as mail:
        out = mail.transcript(b'x LOGOUT\r\ny NOOP\r\n')
        lines = out.split(b'\r\n')
        lib.check(lines[-3].startswith(b'* BYE') and lines[-2].startswith(b'x OK') and
                  lines[-1] == b'', 'LOGOUT: %r', out)
        lib.check(b'\r\ny ' not in out, 'an answer after LOGOUT')


# ---- SELECT ------------------------------------------------------------------------------------

def select_says_what_it_must():
    with Mounted(MAIL) as mail, mail.session() as imap:
        said = imap.ok('SELECT inbox', 'READ-WRITE')
        codes = said.codes()
        lib.same(said.one('EXISTS').number, 3, 'EXISTS')
        lib.same(said.one('RECENT').number, 3, 'RECENT')
        lib.check(SYSTEM <= set(said.one('FLAGS').args[0]), 'FLAGS: %r', said.untagged)
        lib.check(SYSTEM | {'\\*'} <= words(codes['PERMANENTFLAGS']), 'PERMANENTFLAGS: %r', codes)
        lib.same(codes['UIDNEXT'], '4', 'UIDNEXT')
        lib.check(0 < int(codes['UIDVALIDITY']) < 1 << 32, 'UIDVALIDITY')
        lib.check(int(codes['HIGHESTMODSEQ']) > 0, 'HIGHESTMODSEQ')
        lib.same(codes['UNSEEN'], '1', 'UNSEEN')
        again = imap.ok('EXAMINE INBOX', 'READ-ONLY')
        lib.same(again.codes()['UIDVALIDITY'], codes['UIDVALIDITY'], 'UIDVALIDITY again')
        lib.same(again.codes()['PERMANENTFLAGS'], '()', 'PERMANENTFLAGS of EXAMINE')
        lib.same(again.one('RECENT').number, 0, 'RECENT in the next session')
        imap.no('SELECT Nothing')
        imap.bad('FETCH 1 FLAGS')		# a SELECT that fails leaves nothing selected
        imap.logout()


def select_of_rev2():
    with Mounted(MAIL) as mail, mail.session() as imap:
        lib.same(imap.ok('ENABLE IMAP4rev2').one('ENABLED').args, ['IMAP4rev2'], 'ENABLED')
        said = imap.ok('SELECT inbox')
        lib.same(said.named('RECENT'), [], 'RECENT')
        lib.check('UNSEEN' not in said.codes(), '[UNSEEN]')
        lib.same(names(said), {'INBOX'}, 'LIST of the mailbox')
        said = imap.ok('EXAMINE INBOX')
        lib.same([r.code for r in said.untagged][0], 'CLOSED', 'the first response')
        said = imap.ok('SEARCH ALL')
        lib.same(said.named('SEARCH'), [], 'SEARCH')
        lib.same(said.one('ESEARCH').args[-2:], ['ALL', '1:3'], 'ESEARCH')
        imap.logout()


def examine_changes_nothing():
    with Mounted(MAIL) as mail, mail.session('INBOX', 'EXAMINE') as imap:
        before = sorted(mail.store.files().values())
        imap.ok('FETCH 1:3 (BODY[] RFC822 BINARY[1])')
        for command in ('STORE 1 +FLAGS (\\Deleted)', 'UID STORE 1:* FLAGS.SILENT (\\Seen)',
                        'EXPUNGE', 'MOVE 1 INBOX', 'UID EXPUNGE 1:*'):
            said = imap.ask(command)
            lib.check(said.status in ('NO', 'BAD'), '%s: %r', command, said.tagged)
        imap.ok('CLOSE')
        lib.same(sorted(mail.store.files().values()), before, 'files')
        imap.ok('SELECT INBOX')
        lib.check(all(i['FLAGS'] == [] or i['FLAGS'] == ['\\Recent']
                      for i in imap.ok('FETCH 1:3 FLAGS').fetched().values()), 'flags')
        imap.logout()


# ---- mailboxes ---------------------------------------------------------------------------------

def names(said, kind='LIST'):
    return {r.args[2] if isinstance(r.args[2], str) else r.args[2].decode()
            for r in said.named(kind)}


def attributes(said, name, kind='LIST'):
    for r in said.named(kind):
        if r.args[2] in (name, name.encode()):
            return {a.lower() for a in r.args[0]}
    raise lib.Failed('%s: no %s in %r' % (said.command, name, said.untagged))


def list_and_its_patterns():
    with Mounted() as mail, mail.session() as imap:
        for name in ('Work', 'Work.2024', 'Work.2024.May', 'Lists.c', 'x'):
            imap.ok('CREATE ' + name)
        every = {'INBOX', 'Work', 'Work.2024', 'Work.2024.May', 'Lists', 'Lists.c', 'x'}
        for pattern, want in (
                ('*', every), ('%', {'INBOX', 'Work', 'Lists', 'x'}), ('inbox', {'INBOX'}),
                ('INBOX', {'INBOX'}), ('iNb*', {'INBOX'}), ('Work.%', {'Work.2024'}),
                ('Work.*', {'Work.2024', 'Work.2024.May'}), ('*May', {'Work.2024.May'}),
                ('%.%', {'Work.2024', 'Lists.c'}),
                ('*.*', {'Work.2024', 'Work.2024.May', 'Lists.c'}),
                ('W*k', {'Work'}), ('work', set()), ('Work.', set()), ('%%%', every & {
                    'INBOX', 'Work', 'Lists', 'x'}), ('x*x', set()), ('', None)):
            said = imap.ok('LIST "" "%s"' % pattern)
            if want is None:
                lib.same((said.one('LIST').args[1:]), [b'.', b''], 'LIST of the separator')
            else:
                lib.same(names(said) - {'Lists'}, want - {'Lists'}, 'LIST ' + pattern)
        lib.same(names(imap.ok('LIST Work. %')), {'Work.2024'}, 'a reference')
        said = imap.ok('LIST "" *')
        lib.check('\\hasnochildren' in attributes(said, 'x'), 'x has no children')
        lib.check('\\haschildren' in attributes(said, 'Work'), 'Work has children')
        lib.check(attributes(imap.ok('LIST "" %'), 'Lists') & {'\\nonexistent', '\\noselect'},
                  'Lists does not exist itself')
        imap.no('SELECT Lists')
        namespaces(imap)
        imap.logout()


def namespaces(imap):
    personal, others, shared = imap.ok('NAMESPACE').one('NAMESPACE').args
    lib.same((personal, others, shared), ([[b'', b'.']], None, None), 'NAMESPACE')


def list_extended():
    with Mounted(MAIL) as mail, mail.session() as imap:
        for name in ('A', 'A.b', 'C'):
            imap.ok('CREATE ' + name)
        imap.ok('SUBSCRIBE A.b')
        imap.ok('CREATE Gone')
        imap.ok('SUBSCRIBE Gone')
        imap.ok('DELETE Gone')		# the subscription stays (section 6.3.7)
        lib.same(names(imap.ok('LIST (SUBSCRIBED) "" *')), {'A.b', 'Gone'}, 'SUBSCRIBED')
        said = imap.ok('LIST (SUBSCRIBED) "" *')
        lib.check('\\subscribed' in attributes(said, 'A.b'), '\\Subscribed')
        lib.check('\\nonexistent' in attributes(said, 'Gone'), '\\NonExistent')
        said = imap.ok('LIST "" * RETURN (SUBSCRIBED CHILDREN)')
        lib.check('\\subscribed' in attributes(said, 'A.b') and
                  '\\subscribed' not in attributes(said, 'C'), 'RETURN (SUBSCRIBED)')
        lib.check('\\haschildren' in attributes(said, 'A'), 'RETURN (CHILDREN)')
        said = imap.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" %')
        lib.check('A' in names(said), 'RECURSIVEMATCH: %r', said.untagged)
        lib.check(b'CHILDINFO' in b''.join(r.raw for r in said.untagged), 'CHILDINFO')
        imap.bad('LIST (RECURSIVEMATCH) "" %')
        lib.same(names(imap.ok('LIST "" (A% C INBOX)')), {'A', 'C', 'INBOX'}, 'several patterns')
        said = imap.ok('LIST "" (INBOX C) RETURN (STATUS (MESSAGES UIDNEXT))')
        found = sorted(r.args[1] for r in said.named('STATUS'))
        lib.same(found, [['MESSAGES', '0', 'UIDNEXT', '1'], ['MESSAGES', '3', 'UIDNEXT', '4']],
                 'LIST-STATUS')
        lib.same(names(imap.ok('LSUB "" *'), 'LSUB'), {'A.b', 'Gone'}, 'LSUB')
        lib.check('A' in names(imap.ok('LSUB "" %'), 'LSUB'), 'LSUB % names the parent')
        imap.ok('UNSUBSCRIBE Gone')
        imap.ok('UNSUBSCRIBE A.b')
        lib.same(imap.ok('LSUB "" *').untagged, [], 'LSUB after UNSUBSCRIBE')
        imap.logout()


def special_use():
    with Mounted() as mail, mail.session() as imap:
        imap.ok('CREATE Old (USE (\\Archive))')
        imap.ok('CREATE Plain')
        said = imap.ok('LIST "" * RETURN (SPECIAL-USE)')
        lib.check('\\archive' in attributes(said, 'Old'), '\\Archive: %r', said.untagged)
        lib.same(names(imap.ok('LIST (SPECIAL-USE) "" *')), {'Old'}, 'LIST (SPECIAL-USE)')
        imap.no('CREATE New (USE (\\Nothing))', 'USEATTR')
        lib.check('New' not in names(imap.ok('LIST "" *')), 'New was made')
        imap.logout()


def create_delete_rename():
    with Mounted([ONE]) as mail, mail.session() as imap:
        imap.ok('CREATE a.b.c')
        imap.no('CREATE a.b.c', 'ALREADYEXISTS')
        imap.no('CREATE INBOX', 'ALREADYEXISTS')
        imap.no('DELETE Nothing', 'NONEXISTENT')
        imap.no('DELETE INBOX')
        imap.no('RENAME Nothing b', 'NONEXISTENT')
        imap.ok('CREATE d')
        imap.no('RENAME d a.b.c', 'ALREADYEXISTS')
        imap.ok('RENAME a x')
        lib.same(names(imap.ok('LIST "" x*')) - {'x', 'x.b'}, {'x.b.c'}, 'children go along')
        lib.same(names(imap.ok('LIST "" a*')), set(), 'nothing is left')
        imap.ok('RENAME INBOX Kept')		# its messages go, INBOX stays (section 6.3.6)
        lib.same(status(imap, 'Kept', 'MESSAGES'), {'MESSAGES': '1'}, 'Kept')
        lib.same(status(imap, 'INBOX', 'MESSAGES'), {'MESSAGES': '0'}, 'INBOX')
        imap.ok('CREATE trailing.')
        lib.check('trailing' in names(imap.ok('LIST "" *')), 'CREATE of a name that ends in .')
        imap.ok('SELECT d')
        imap.ok('DELETE d')
        said = imap.ask('FETCH 1:* FLAGS')
        lib.check(said.status != 'OK' or not said.fetched(), 'FETCH in a deleted mailbox')


def deleted_and_made_anew():
    """UIDVALIDITY must rise: another mailbox of that name has been there."""
    with Mounted() as mail, mail.session() as imap:
        seen = []
        for _ in range(4):
            imap.ok('CREATE again')
            seen.append(int(status(imap, 'again', 'UIDVALIDITY')['UIDVALIDITY']))
            imap.ok('DELETE again')
        lib.check(seen == sorted(set(seen)), 'UIDVALIDITY: %r', seen)
        imap.logout()


def status(imap, name, *items):
    flat = imap.ok('STATUS %s (%s)' % (name, ' '.join(items))).one('STATUS').args[1]
    return dict(zip(flat[::2], flat[1::2]))


def status_of_everything():
    with Mounted(MAIL) as mail, mail.session() as imap:
        got = status(imap, 'INBOX', 'MESSAGES', 'UIDNEXT', 'UIDVALIDITY', 'UNSEEN', 'RECENT',
                     'DELETED', 'SIZE', 'HIGHESTMODSEQ')
        lib.same(got['SIZE'], str(sum(map(len, WIRE))), 'SIZE')
        lib.same([got[k] for k in ('MESSAGES', 'UIDNEXT', 'UNSEEN', 'RECENT', 'DELETED')],
                 ['3', '4', '3', '3', '0'], 'STATUS')
        imap.ok('SELECT INBOX')
        imap.ok('STORE 1:2 +FLAGS (\\Seen \\Deleted)')
        got = status(imap, 'INBOX', 'UNSEEN', 'DELETED')
        lib.same(got, {'UNSEEN': '1', 'DELETED': '2'}, 'after STORE')
        imap.no('STATUS Nothing (MESSAGES)')
        imap.logout()


def utf7_and_utf8_names():
    with Mounted() as mail:
        with mail.session() as imap:
            imap.ok('CREATE &ZeVnLIqe-')
            imap.ok('CREATE "Entw&APw-rfe"')
            imap.ok('CREATE "a &- b"')
            lib.check({'&ZeVnLIqe-', 'Entw&APw-rfe', 'a &- b'} <= names(imap.ok('LIST "" *')),
                      'LIST of UTF-7 names')
            for bad in ('"&ZeVnLIqe"', '"&AC8-"', '"&AGE-"', '"&!-"'):
                said = imap.ask('CREATE ' + bad)
                lib.check(said.status != 'OK', 'CREATE %s: %r', bad, said.tagged)
            imap.logout()
        with mail.session() as imap:
            lib.same(imap.ok('ENABLE UTF8=ACCEPT').one('ENABLED').args, ['UTF8=ACCEPT'], 'ENABLED')
            listed = {n.encode('latin-1').decode() if n.isascii() else n
                      for n in names(imap.ok('LIST "" *'))}
            lib.check({'日本語', 'Entwürfe', 'a & b'} <= listed, 'LIST in UTF-8: %r', listed)
            imap.ok('SELECT "日本語"')
            imap.ok('CREATE "Gelöscht"')
            imap.bad('SEARCH CHARSET UTF-8 ALL')		# RFC 6855 section 3
            imap.ok('SEARCH SUBJECT "ä"')
            imap.logout()
        lib.check(os.path.isdir(os.path.join(mail.store.path, '.Gel&APY-scht')), 'name on disk')


# ---- messages ----------------------------------------------------------------------------------

def append():
    with Mounted() as mail, mail.session() as imap:
        validity = imap.ok('SELECT INBOX').codes()['UIDVALIDITY']
        said = imap.ok(['APPEND INBOX (\\Seen $Mark) "05-Jan-2023 03:04:05 +0200" ', WIRE[0]],
                       'APPENDUID')
        lib.same(said.code_args, validity + ' 1', 'APPENDUID')
        lib.same(said.one('EXISTS').number, 1, 'EXISTS is told')
        got = imap.ok('FETCH 1 (UID FLAGS INTERNALDATE BODY.PEEK[])').fetched()[1]
        lib.same(set(got['FLAGS']) - {'\\Recent'}, {'\\Seen', '$Mark'}, 'FLAGS')
        lib.same(utc(got['INTERNALDATE']), utc(b'05-Jan-2023 03:04:05 +0200'), 'INTERNALDATE')
        lib.same(got['BODY[]'], WIRE[0], 'octets')
        imap.ok(['APPEND INBOX ', b'Subject: lf\n\nbody\nno end'])
        lib.same(imap.ok('FETCH 2 BODY.PEEK[]').fetched()[2]['BODY[]'],
                 b'Subject: lf\r\n\r\nbody\r\nno end\r\n', 'LF becomes CRLF')
        tag = imap.start('APPEND Nothing {3+}\r\nabc')
        said = imap.answer(tag)
        lib.same((said.status, said.code), ('NO', 'TRYCREATE'), 'APPEND to no mailbox')
        for bad in ('APPEND INBOX "32-Jan-2023 03:04:05 +0200" {1+}\r\nx',
                    'APPEND INBOX (\\Recent) {1+}\r\nx', 'APPEND INBOX (\\Seen {1+}\r\nx'):
            said = imap.ask(bad)
            lib.check(said.status in ('NO', 'BAD'), '%r: %r', bad, said.tagged)
            imap.ok('NOOP')
        lib.same(len(mail.store.files()), 2, 'messages on disk')
        imap.logout()


def utc(date):
    """Seconds since 1970 of an INTERNALDATE."""
    when = time.strptime(date.decode().strip(), '%d-%b-%Y %H:%M:%S %z')
    return calendar.timegm(when) - when.tm_gmtoff


def fetch_items():
    with Mounted(MAIL, date=1672628645) as mail, mail.session('INBOX') as imap:
        got = imap.ok('FETCH 1:* (UID RFC822.SIZE INTERNALDATE ENVELOPE)').fetched()
        lib.same([int(got[n]['RFC822.SIZE']) for n in (1, 2, 3)], list(map(len, WIRE)), 'sizes')
        lib.same([got[n]['UID'] for n in (1, 2, 3)], ['1', '2', '3'], 'UIDs')
        ann, bob, carl = ([name, None, box, host] for name, box, host in (
            (b'Ann B.', b'ann', b'example.org'), (None, b'bob', b'example.net'),
            (None, b'carl', b'example.net')))
        lib.same(got[1]['ENVELOPE'], [
            b'Mon, 02 Jan 2023 03:04:05 +0000', b'one', [ann], [ann], [ann], [bob, carl],
            None, None, None, b'<1@example.org>'], 'ENVELOPE')
        lib.same(sorted(imap.ok('FETCH 1 ALL').fetched()[1]),
                 ['ENVELOPE', 'FLAGS', 'INTERNALDATE', 'RFC822.SIZE'], 'ALL')
        lib.same(sorted(imap.ok('FETCH 1 FAST').fetched()[1]),
                 ['FLAGS', 'INTERNALDATE', 'RFC822.SIZE'], 'FAST')
        lib.same(sorted(imap.ok('FETCH 1 FULL').fetched()[1]),
                 ['BODY', 'ENVELOPE', 'FLAGS', 'INTERNALDATE', 'RFC822.SIZE'], 'FULL')
        plain = [b'text', b'plain', [b'charset', b'us-ascii'], None, None, b'7bit', '15', '2']
        lib.same(lower(imap.ok('FETCH 1 BODY').fetched()[1]['BODY']), plain, 'BODY')
        body = lower(imap.ok('FETCH 3 BODYSTRUCTURE').fetched()[3]['BODYSTRUCTURE'])
        lib.same(body, [
            [b'text', b'plain', [b'charset', b'us-ascii'], None, None, b'7bit', '5', '0',
             None, None, None, None],
            [b'application', b'octet-stream', [b'name', b'x'], None, None, b'base64', '8',
             None, None, None, None],
            b'mixed', [b'boundary', b'b'], None, None, None], 'BODYSTRUCTURE')
        imap.logout()


def lower(value):
    if isinstance(value, list):
        return [lower(v) for v in value]
    return value.lower() if isinstance(value, bytes) else value


def fetch_sections():
    head, text = head_of(WIRE[2]), text_of(WIRE[2])
    subject, others = b'Subject: three\r\n', None
    others = b''.join(l + b'\r\n' for l in head.split(b'\r\n')[:-2] if l[:7] != b'Subject')
    mime = (b'Content-Type: application/octet-stream; name=x\r\n'
            b'Content-Transfer-Encoding: base64\r\n\r\n')
    with Mounted(MAIL) as mail, mail.session('INBOX') as imap:
        for item, want in (
                ('BODY[]', WIRE[2]), ('BODY[HEADER]', head), ('BODY[TEXT]', text),
                ('BODY[1]', b'plain'), ('BODY[1.MIME]', b'\r\n'), ('BODY[2]', b'AAEC/w=='),
                ('BODY[2.MIME]', mime), ('BODY[HEADER.FIELDS (SUBJECT)]', subject + b'\r\n'),
                ('BODY[HEADER.FIELDS.NOT (SUBJECT)]', others + b'\r\n'),
                ('BODY[HEADER.FIELDS (X-NONE)]', b'\r\n'), ('BINARY[1]', b'plain'),
                ('BINARY[2]', b'\0\1\2\xff'), ('BINARY.SIZE[2]', '4'), ('RFC822', WIRE[2]),
                ('RFC822.HEADER', head), ('RFC822.TEXT', text)):
            got = imap.ok('FETCH 3 (%s)' % item).fetched()[3]
            lib.same(got.get(item), want, item)
        for item in ('BODY[3]', 'BODY[1.1.1]', 'BODY[2.TEXT]', 'BODY[1.HEADER]'):
            got = imap.ok('FETCH 3 (%s)' % item).fetched()[3]
            lib.check(item in got and not got[item], '%s: %r', item, got)
        both = imap.ok('FETCH 1:2 (BODY.PEEK[TEXT] UID BODY.PEEK[HEADER])').fetched()
        lib.same(both[2], {'BODY[TEXT]': text_of(WIRE[1]), 'UID': '2',
                           'BODY[HEADER]': head_of(WIRE[1])}, 'several items')
        imap.logout()


HUGE = (1 << 32) - 1
PARTS = [(0, 1), (0, 10), (3, 7), (0, 100000), (100, 1), (0, HUGE), (1, HUGE), (HUGE, 1),
         (HUGE, HUGE), (5, 4294967290), (1 << 31, 1 << 31)]


def partial_ranges():
    with Mounted(MAIL) as mail, mail.session('INBOX') as imap:
        wires = {'BODY[]': WIRE[1], 'BODY[TEXT]': text_of(WIRE[1]),
                 'BODY[HEADER]': head_of(WIRE[1]),
                 'BODY[1]': text_of(WIRE[1]), 'BINARY[1]': text_of(WIRE[1]),
                 'BODY[HEADER.FIELDS (SUBJECT)]': b'Subject: two\r\n\r\n'}
        for item, whole in wires.items():
            n = len(whole)
            for at, count in PARTS + [(n - 1, 1), (n - 1, 2), (n, 1), (n + 1, 1), (n - 3, HUGE)]:
                peek = item.replace('[', '.PEEK[', 1)
                got = imap.ok('FETCH 2 %s<%d.%d>' % (peek, at, count)).fetched()[2]
                lib.same(got, {'%s<%d>' % (item, at): whole[at:at + count]},
                         '%s<%d.%d>' % (item, at, count))
        for at, count in (((1 << 64) - 1, 1), (1 << 64, 1), (0, 1 << 64), (1, (1 << 64) - 1),
                          ((1 << 63) - 1, 1 << 63), (10 ** 30, 1)):
            said = imap.ask('FETCH 2 BODY.PEEK[]<%d.%d>' % (at, count))
            if said.status == 'OK':		# numbers of more than 63 bits are no numbers
                lib.same(said.fetched()[2], {'BODY[]<%d>' % at: WIRE[1][at:at + count]}, 'huge')
            else:
                lib.same(said.status, 'BAD', '<%d.%d>' % (at, count))
        imap.ok('NOOP')
        imap.logout()


def seen_is_set_by_reading():
    with Mounted(MAIL * 3) as mail, mail.session('INBOX') as imap:
        def seen(n):
            return '\\Seen' in imap.ok('FETCH %d FLAGS' % n).fetched()[n]['FLAGS']
        for item in ('BODY.PEEK[]', 'BODY.PEEK[1]', 'RFC822.HEADER', 'BINARY.PEEK[1]', 'ENVELOPE',
                     'BINARY.SIZE[1]', 'BODYSTRUCTURE', 'RFC822.SIZE'):
            imap.ok('FETCH 1 ' + item)
            lib.check(not seen(1), '%s sets \\Seen', item)
        for n, item in enumerate(('BODY[]', 'BODY[TEXT]', 'RFC822', 'RFC822.TEXT', 'BINARY[1]',
                                  'BODY[HEADER]'), 1):
            got = imap.ok('FETCH %d %s' % (n, item)).fetched()[n]
            lib.check('\\Seen' in got.get('FLAGS', ()), '%s: the new flag is not told', item)
            lib.check(seen(n), '%s does not set \\Seen', item)
        imap.logout()


def nul_becomes_0x80():
    stored = b'Subject: nul\n\na\0b\n\0\0\n'
    wire = lib.wire_of(stored)
    with Mounted([stored]) as mail, mail.session('INBOX') as imap:
        got = imap.ok('FETCH 1 (RFC822.SIZE BODY.PEEK[] BODY.PEEK[TEXT] '
                      'BINARY.PEEK[])').fetched()[1]
        lib.same(got['BODY[]'], wire.replace(b'\0', b'\x80'), 'BODY[]')
        lib.same(got['BODY[TEXT]'], text_of(wire).replace(b'\0', b'\x80'), 'BODY[TEXT]')
        lib.same(got['RFC822.SIZE'], str(len(wire)), 'RFC822.SIZE')
        lib.same(got['BINARY[]'], wire, 'BINARY[]')
        lib.same(imap.ok('FETCH 1 BODY.PEEK[]<16.4>').fetched()[1]['BODY[]<16>'],
                 wire.replace(b'\0', b'\x80')[16:20], 'a part')
        imap.logout()


def store():
    with Mounted(MAIL) as mail, mail.session('INBOX') as imap:
        def flags(n):
            return set(imap.ok('FETCH %d FLAGS' % n).fetched()[n]['FLAGS']) - {'\\Recent'}
        said = imap.ok('STORE 1:2 +FLAGS (\\Seen $A b)')
        lib.same(set(said.fetched()), {1, 2}, 'STORE tells')
        lib.same(flags(1), {'\\Seen', '$A', 'b'}, 'after +FLAGS')
        lib.same(imap.ok('STORE 1 -FLAGS.SILENT \\Seen').named('FETCH'), [], '.SILENT')
        lib.same(flags(1), {'$A', 'b'}, 'after -FLAGS')
        said = imap.ok('UID STORE 2 FLAGS (\\Draft)')
        lib.same(said.fetched()[2]['UID'], '2', 'UID STORE tells the UID')
        lib.same(flags(2), {'\\Draft'}, 'after FLAGS')
        imap.ok('STORE 1:3 FLAGS ()')
        lib.same(flags(1) | flags(2) | flags(3), set(), 'FLAGS ()')
        imap.ok('UID STORE 77 +FLAGS (\\Seen)')		# a UID that is not there is no error
        imap.bad('STORE 4 +FLAGS (\\Seen)')
        imap.ok('STORE * +FLAGS (\\Flagged)')
        lib.same(flags(3), {'\\Flagged'}, '*')
        imap.logout()
        lib.same(sorted(re.sub('^.*:2,', '', p) for p in mail.store.files().values()),
                 ['', '', 'F'], 'names on disk')


def copy_and_move():
    with Mounted(MAIL) as mail, mail.session('INBOX') as imap:
        imap.ok('CREATE To')
        validity = status(imap, 'To', 'UIDVALIDITY')['UIDVALIDITY']
        imap.ok('STORE 2 FLAGS (\\Flagged $K)')
        said = imap.ok('COPY 1:2 To')
        lib.same((said.code, said.code_args), ('COPYUID', validity + ' 1:2 1:2'), 'COPY')
        said = imap.ok('UID COPY 3 To')
        lib.same((said.code, said.code_args), ('COPYUID', validity + ' 3 3'), 'UID COPY')
        for verb in ('COPY', 'MOVE', 'UID COPY', 'UID MOVE'):
            imap.no(verb + ' 1 Nothing', 'TRYCREATE')
        imap.ok('UID COPY 77 To')
        imap.bad('COPY 4 To')
        said = imap.ok('MOVE 1:2 To')
        shape = said.shape()
        lib.check(shape.index('OK [COPYUID]') < min(i for i, s in enumerate(shape)
                                                    if s.endswith('EXPUNGE')), '%r', shape)
        lib.same(said.codes()['COPYUID'], validity + ' 1:2 4:5', 'MOVE')
        lib.same([s for s in shape if s.endswith('EXPUNGE')] in (['1 EXPUNGE', '1 EXPUNGE'],
                                                              ['2 EXPUNGE', '1 EXPUNGE']),
                 True, 'EXPUNGE of MOVE: %r' % shape)
        lib.same(imap.ok('FETCH 1 UID').fetched()[1]['UID'], '3', 'what is left')
        imap.ok('SELECT To')
        got = imap.ok('FETCH 1:* (FLAGS BODY.PEEK[] INTERNALDATE)').fetched()
        lib.same([got[n]['BODY[]'] for n in range(1, 6)], WIRE + WIRE[:2], 'octets')
        lib.same([set(got[n]['FLAGS']) - {'\\Recent'} for n in (2, 5)],
                 [{'\\Flagged', '$K'}] * 2, 'flags go along')
        imap.logout()


def expunge_close_unselect():
    with Mounted(MAIL * 2) as mail, mail.session('INBOX') as imap:
        imap.ok('STORE 2,4,6 +FLAGS.SILENT (\\Deleted)')
        gone = [r.number for r in imap.ok('UID EXPUNGE 1:2,5').named('EXPUNGE')]
        lib.same(gone, [2], 'UID EXPUNGE')
        gone = [r.number for r in imap.ok('EXPUNGE').named('EXPUNGE')]
        lib.check(gone in ([3, 4], [5, 3]), 'EXPUNGE: %r', gone)
        lib.same(imap.ok('EXPUNGE').untagged, [], 'nothing more')
        imap.ok('STORE 1 +FLAGS.SILENT (\\Deleted)')
        imap.ok('UNSELECT')
        lib.same(len(mail.store.files()), 3, 'UNSELECT removes nothing')
        imap.ok('SELECT INBOX')
        lib.same(imap.ok('CLOSE').named('EXPUNGE'), [], 'CLOSE tells nothing')
        lib.same(len(mail.store.files()), 2, 'CLOSE removes')
        imap.bad('CLOSE')
        imap.logout()


def search_basics():
    """What the keys find is compared with Dovecot elsewhere; here, the forms of answers."""
    with Mounted(MAIL) as mail, mail.session('INBOX') as imap:
        lib.same(imap.ok('SEARCH ALL').numbers(), [1, 2, 3], 'SEARCH')
        none = imap.ok('SEARCH SUBJECT nothing')
        lib.same(none.one('SEARCH').args, [], 'an empty answer')
        lib.same(imap.ok('UID SEARCH 2:*').numbers(), [2, 3], 'UID SEARCH')
        imap.no('SEARCH CHARSET X-NOPE SUBJECT a', 'BADCHARSET')
        lib.same(imap.ok(['SEARCH SUBJECT ', b'two']).numbers(), [2], 'a literal')
        for returns, want in (('ALL', ['ALL', '1:3']), ('', ['ALL', '1:3']),
                              ('COUNT', ['COUNT', '3']), ('MIN', ['MIN', '1']), ('MAX', ['MAX',
                                                                                         '3'])):
            said = imap.ok('SEARCH RETURN (%s) ALL' % returns)
            lib.same(said.named('SEARCH'), [], 'no SEARCH beside ESEARCH')
            args = said.one('ESEARCH').args
            lib.same((args[0][0], args[0][1]), ('TAG', said.tagged.tag.encode()), 'tag')
            lib.same(args[1:], want, 'RETURN (%s)' % returns)
        said = imap.ok('UID SEARCH RETURN (MIN MAX COUNT ALL) 2:3').one('ESEARCH').args
        lib.check('UID' in said, 'UID of ESEARCH: %r', said)
        rest = said[2:]
        lib.same(dict(zip(rest[::2], rest[1::2])),
                 {'MIN': '2', 'MAX': '3', 'COUNT': '2', 'ALL': '2:3'}, 'all of it')
        nothing = imap.ok('SEARCH RETURN (MIN ALL COUNT) SUBJECT nothing').one('ESEARCH').args[1:]
        lib.same(nothing, ['COUNT', '0'], 'nothing found')
        imap.logout()


# ---- news of others ------------------------------------------------------------------------

def news_come_when_they_may():
    """EXPUNGE is never told in FETCH, STORE and SEARCH by numbers, which go on meaning what
    they meant; it is told in NOOP."""
    with Mounted(MAIL) as mail, mail.session('INBOX') as one, mail.session('INBOX') as two:
        two.ok('FETCH 1:3 RFC822.SIZE')
        one.ok('STORE 1 +FLAGS.SILENT (\\Deleted)')
        one.ok('EXPUNGE')
        time.sleep(0.3)
        said = two.ok('FETCH 1:3 (UID BODY.PEEK[])')
        lib.same([i['BODY[]'] for i in said.fetched().values()], WIRE, 'FETCH of what is gone')
        for command in ('SEARCH ALL', 'STORE 2 +FLAGS (\\Flagged)', 'FETCH 3 UID'):
            lib.same(two.ok(command).named('EXPUNGE'), [], 'EXPUNGE in ' + command)
        lib.same([r.number for r in two.ok('NOOP').named('EXPUNGE')], [1], 'EXPUNGE in NOOP')
        lib.same(two.ok('FETCH 1 UID').fetched()[1]['UID'], '2', 'number 1 now')
        mail.store.deliver(ONE)
        two.ok(['APPEND INBOX ', WIRE[1]])

        lib.wait_until(lambda: len(two.ok('UID SEARCH ALL').numbers()) == 4, 5, 'the delivery')
        one.ok('NOOP')
        two.ok('STORE 1 +FLAGS.SILENT ($Z)')
        time.sleep(0.3)
        got = one.ok('NOOP').fetched()
        lib.check('$Z' in got[1]['FLAGS'], 'the flag in the other session: %r', got)


def held_before_its_size_was_known():
    """Expunged by another session before anybody has looked at it."""
    with Mounted(MAIL) as mail, mail.session('INBOX') as one, mail.session('INBOX') as two:
        one.ok('STORE 1:2 +FLAGS.SILENT (\\Deleted)')
        one.ok('EXPUNGE')
        said = two.ok('FETCH 1:3 (RFC822.SIZE BODY.PEEK[])')
        lib.same([i['BODY[]'] for i in said.fetched().values()], WIRE, 'octets')


def idle():
    with Mounted(MAIL) as mail, mail.session('INBOX') as one, mail.session('INBOX') as two:
        one.send(b'i IDLE\r\n')
        lib.same(one.response().tag, '+', 'IDLE')
        lib.check(one.quiet(0.2), 'something came though nothing happened')
        began = time.monotonic()
        two.ok('STORE 2 +FLAGS (\\Answered)')
        told = one.response()
        lib.check(told.name == 'FETCH' and '\\Answered' in told.items()['FLAGS'], 'flags: %r', told)
        two.ok('STORE 1 +FLAGS.SILENT (\\Deleted)')
        two.ok('EXPUNGE')
        while (told := one.response()).name == 'FETCH':
            pass
        lib.same((told.name, told.number), ('EXPUNGE', 1), 'expunge')
        mail.store.deliver(ONE)
        while (told := one.response()).name in ('RECENT', 'OK'):
            pass
        lib.same((told.name, told.number), ('EXISTS', 3), 'delivery')
        lib.check(time.monotonic() - began < 5, 'it took %.1f s', time.monotonic() - began)
        one.send(b'DONE\r\n')
        lib.same(one.answer('i').status, 'OK', 'DONE')
        one.send(b'j IDLE\r\n')
        one.response()
        one.send(b'k NOOP\r\n')
        lib.same(one.answer('j').status, 'BAD', 'not DONE')
        one.ok('NOOP')
        one.send(b'l IDLE\r\nDONE\r\nm NOOP\r\n')
        said = [one.response() for _ in range(3)]
        lib.same([r.tag for r in said if r.tag != '*'][:2], ['+', 'l'], 'pipelined')
        one.logout()


def removed_behind_our_back():
    """By another program, so nothing could hold it: said before a literal is announced."""
    with Mounted(MAIL) as mail, mail.session('INBOX') as imap:
        files = mail.store.by_uid()
        lib.same(len(files), 3, 'messages')
        bases = dict(mail.store.uidlist()[1])
        os.unlink(mail.store.files()[bases[2]])
        said = imap.ask('FETCH 1:3 (UID BODY.PEEK[])')
        got = {n: i['BODY[]'] for n, i in said.fetched().items() if 'BODY[]' in i}
        lib.same((got[1], got[3]), (WIRE[0], WIRE[2]), 'the others are sent')
        if 2 not in got:
            lib.same((said.status, said.code), ('NO', 'EXPUNGEISSUED'), 'the answer')
        else:
            lib.same(got[2], WIRE[1], 'what was still known')

        def told():
            return [r.number for r in imap.ok('NOOP').named('EXPUNGE')] == [2] or \
                imap.ok('UID SEARCH ALL').numbers() == [1, 3]
        lib.wait_until(told, 6, 'the expunge')
        imap.logout()


def appended_in_another_session():
    """UIDs, numbers and UIDNEXT agree between sessions, and never fall."""
    with Mounted() as mail, mail.session('INBOX') as one, mail.session('INBOX') as two:
        uids = []
        for n in range(12):
            said = (one, two)[n % 2].ok(['APPEND INBOX ', WIRE[n % 3]], 'APPENDUID')
            uids.append(int(said.code_args.split()[1]))
            if n % 3 == 2:
                one.ok('NOOP')
                one.ok('UID STORE %d +FLAGS.SILENT (\\Deleted)' % uids[-1])
                one.ok('EXPUNGE')
        lib.same(uids, list(range(1, 13)), 'UIDs')
        one.ok('NOOP')
        two.ok('NOOP')
        a, b = (s.ok('UID SEARCH ALL').numbers() for s in (one, two))
        lib.same((a, b), ([u for u in uids if u % 3], ) * 2, 'what is left')
        lib.same(status(one, 'INBOX', 'UIDNEXT'), {'UIDNEXT': '13'}, 'UIDNEXT')


if __name__ == '__main__':
    lib.run_tests([
        greeting_and_capabilities,
        commands_out_of_their_state,
        malformed_commands,
        a_hundred_bad_commands_end_it,
        octet_by_octet_and_all_at_once,
        disconnect_at_every_octet,
        logout,
        select_says_what_it_must,
        select_of_rev2,
        examine_changes_nothing,
        list_and_its_patterns,
        list_extended,
        special_use,
        create_delete_rename,
        deleted_and_made_anew,
        status_of_everything,
        utf7_and_utf8_names,
        append,
        fetch_items,
        fetch_sections,
        partial_ranges,
        seen_is_set_by_reading,
        nul_becomes_0x80,
        store,
        copy_and_move,
        expunge_close_unselect,
        search_basics,
        news_come_when_they_may,
        held_before_its_size_was_known,
        idle,
        removed_behind_our_back,
        appended_in_another_session,
    ])
