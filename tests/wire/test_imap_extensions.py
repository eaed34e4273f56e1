#!/usr/bin/env python3
"""mailtree-imap over a real mount: literals, MULTIAPPEND, BINARY, SEARCHRES, CONDSTORE and
QRESYNC as their RFCs say."""
import os
import time

import lib
from imapserver import Mounted
from test_imap_protocol import MAIL, ONE, WIRE, status


# ---- RFC 7888 -----------------------------------------------------------------------------------

def literals_that_do_not_wait():
    with Mounted(MAIL) as mail, mail.session() as imap:
        lib.same(imap.raw(b'l SELECT {5+}\r\nINBOX\r\n', 'l').status, 'OK', 'LITERAL+')
        lib.same(imap.raw(b'm SEARCH SUBJECT {3+}\r\ntwo TEXT {2+}\r\nno\r\n', 'm').numbers(), [2],
                 'two literals')
        for n in (0, 1, 4096, 5000):
            text = b'x' * n
            said = imap.raw(b'n SEARCH NOT SUBJECT {%d+}\r\n%s\r\n' % (n, text), 'n')
            lib.same((said.status, said.numbers()), ('OK', [1, 2, 3] if n else []), 'of %d' % n)
        imap.send(b'o SEARCH SUBJECT {3}\r\n')
        lib.same(imap.response().tag, '+', 'one that waits')
        lib.check(imap.quiet(0.1), 'an answer before the literal')
        lib.same(imap.raw(b'two\r\n', 'o').numbers(), [2], 'its answer')
        imap.send(b'p LOGIN {3}\r\n')		# refused or not, the next command works
        said = imap.response()
        imap.send(b'abc\r\n' if said.tag == '+' else b'')
        if said.tag == '+':
            said = imap.response()
        lib.check(said.name in ('BAD', 'NO'), 'LOGIN: %r', said)
        imap.ok('NOOP')
        imap.logout()


def literals_that_are_too_large():
    """A waiting one is refused without `+`; one that does not wait is swallowed."""
    with Mounted(MAIL) as mail, mail.session('INBOX') as imap:
        for size in ((1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, 1 << 64, (1 << 64) + 1,
                     10 ** 40):
            for command in ('SEARCH SUBJECT {%d}', 'APPEND INBOX {%d}', 'SELECT {%d}'):
                imap.send(b't ' + (command % size).encode() + b'\r\n')
                said = imap.response()
                lib.check(said.tag == 't' and said.name in ('BAD', 'NO'), '%s: %r', command % size,
                          said)
        text = b'y' * (3 << 20)
        said = imap.raw(b'u SEARCH SUBJECT {%d+}\r\n%s\r\n' % (len(text), text), 'u')
        lib.check(said.status in ('BAD', 'NO'), '3 MB of a search: %r', said.tagged)
        imap.ok('NOOP')
        imap.logout()


def append_over_the_limit():
    with Mounted() as mail, mail.session() as imap:
        limits = [w for w in imap.ok('CAPABILITY').one('CAPABILITY').args
                  if w.startswith('APPENDLIMIT=')]
        lib.same(len(limits), 1, 'APPENDLIMIT')
        limit = int(limits[0].split('=')[1])
        imap.send(b't APPEND INBOX {%d}\r\n' % (limit + 1))
        said = imap.response()
        lib.same((said.tag, said.name, said.code), ('t', 'NO', 'TOOBIG'), 'one octet too many')
        imap.ok('NOOP')
        imap.logout()
        lib.same(mail.store.files(), {}, 'messages')


# ---- RFC 3502, RFC 3516, RFC 6855 ----------------------------------------------------------

def multiappend_is_all_or_nothing():
    with Mounted() as mail, mail.session('INBOX') as imap:
        said = imap.ok(['APPEND INBOX (\\Seen) ', WIRE[0],
                        ' "01-Jan-2020 00:00:00 +0000" ', WIRE[1],
                        ' (\\Flagged $X) "02-Jan-2020 00:00:00 +0000" ', WIRE[2]], 'APPENDUID')
        lib.same(said.code_args.split()[1], '1:3', 'APPENDUID')
        got = imap.ok('FETCH 1:3 (FLAGS INTERNALDATE BODY.PEEK[])').fetched()
        lib.same([got[n]['BODY[]'] for n in (1, 2, 3)], WIRE, 'octets')
        lib.same([set(got[n]['FLAGS']) - {'\\Recent'} for n in (1, 2, 3)],
                 [{'\\Seen'}, set(), {'\\Flagged', '$X'}], 'flags')
        lib.check(got[2]['INTERNALDATE'].startswith(b'01-Jan-2020'), 'date: %r', got[2])
        for bad in ('APPEND INBOX {1+}\r\na "no date" {1+}\r\nb',
                    'APPEND INBOX {1+}\r\na (\\Nope) {1+}\r\nb',
                    'APPEND INBOX {1+}\r\na {1+}\r\nb junk', 'APPEND Nothing {1+}\r\na {1+}\r\nb'):
            said = imap.ask(bad)
            lib.check(said.status in ('NO', 'BAD'), '%r: %r', bad, said.tagged)
        lib.same(len(mail.store.files()), 3, 'messages after what was refused')
        many = ' '.join('{%d+}\r\n%s' % (len(ONE), ONE.decode()) for _ in range(100))
        said = imap.ok('APPEND INBOX ' + many, 'APPENDUID')
        lib.same(said.code_args.split()[1], '4:103', 'a hundred')
        imap.logout()
        lib.same(os.listdir(os.path.join(mail.store.path, 'tmp')), [], 'left in tmp')


def binary_append():
    nul = b'Subject: nul\r\n\r\na\0b\r\n'
    with Mounted() as mail, mail.session('INBOX') as imap:
        imap.ok('APPEND INBOX ~{%d+}\r\n%s' % (len(nul), nul.decode()))
        lib.same(imap.ok('FETCH 1 BINARY.PEEK[]').fetched()[1]['BINARY[]'], nul, 'with a NUL')
        imap.ok('APPEND INBOX {%d+}\r\n%s' % (len(nul), nul.decode()))	# of the same use
        lib.same(imap.ok('FETCH 2 BINARY.PEEK[]').fetched()[2]['BINARY[]'], nul, 'in a plain one')
        imap.logout()


def binary_of_unknown_encoding():
    stored = b'MIME-Version: 1.0\nContent-Transfer-Encoding: x-own\n\nabc\n'
    with Mounted([stored] + MAIL) as mail, mail.session('INBOX') as imap:
        imap.no('FETCH 1 BINARY.PEEK[1]', 'UNKNOWN-CTE')
        lib.same(imap.ok('FETCH 1 BODY.PEEK[1]').fetched()[1]['BODY[1]'], b'abc\r\n', 'BODY[1]')
        got = imap.ok('FETCH 4 (BINARY.PEEK[2]<1.2> BINARY.SIZE[2])').fetched()[4]
        lib.same(got, {'BINARY[2]<1>': b'\1\2', 'BINARY.SIZE[2]': '4'}, 'a part of BINARY')
        imap.bad('FETCH 4 BINARY.PEEK[2.MIME]')
        imap.bad('FETCH 4 BINARY.PEEK[HEADER]')
        imap.logout()


def utf8_append():
    stored = 'Subject: Grüße\r\n\r\nschön\r\n'.encode()
    with Mounted() as mail, mail.session() as imap:
        imap.ok('ENABLE UTF8=ACCEPT')
        imap.ok('SELECT INBOX')
        imap.ok('APPEND INBOX UTF8 (~{%d+}\r\n%s)' % (len(stored), stored.decode()))
        got = imap.ok('FETCH 1 (ENVELOPE BODY.PEEK[])').fetched()[1]
        lib.same(got['BODY[]'], stored, 'octets')
        lib.same(got['ENVELOPE'][1], 'Grüße'.encode(), 'subject')
        lib.same(imap.ok('SEARCH SUBJECT "GRÜ"').numbers(), [1], 'search')
        imap.logout()


# ---- RFC 5182 -----------------------------------------------------------------------------------

def saved_results():
    with Mounted(MAIL * 2) as mail, mail.session('INBOX') as imap:
        said = imap.ok('SEARCH RETURN (SAVE) SUBJECT two')
        lib.same(said.named('SEARCH') + said.named('ESEARCH'), [], 'SAVE alone says nothing')
        lib.same(sorted(imap.ok('FETCH $ UID').fetched()), [2, 5], 'FETCH $')
        lib.same(imap.ok('SEARCH 1:4 $').numbers(), [2], 'SEARCH $')
        lib.same(imap.ok('UID SEARCH NOT $').numbers(), [1, 3, 4, 6], 'NOT $')
        imap.ok('STORE $ +FLAGS.SILENT (\\Deleted)')
        gone = [r.number for r in imap.ok('UID EXPUNGE 2').named('EXPUNGE')]
        lib.same(gone, [2], 'one of them goes')
        lib.same(imap.ok('UID FETCH $ UID').by_uid().keys(), {5}, 'and leaves $')
        imap.ok('SEARCH RETURN (SAVE MIN) ALL')
        lib.same(imap.ok('UID FETCH $ UID').by_uid().keys(), {1}, 'SAVE MIN')
        imap.ok('SEARCH RETURN (SAVE) SUBJECT nothing')
        lib.same(imap.ok('FETCH $ UID').named('FETCH'), [], 'an empty $')
        imap.ok('SEARCH RETURN (SAVE) ALL')
        imap.no('SEARCH RETURN (SAVE) CHARSET X-NOPE ALL')
        lib.same(imap.ok('FETCH $ UID').named('FETCH'), [], '$ after a search that failed')
        imap.ok('SEARCH RETURN (SAVE) ALL')
        imap.ok('SELECT INBOX')
        lib.same(imap.ok('FETCH $ UID').named('FETCH'), [], '$ after SELECT')
        imap.logout()


# ---- RFC 7162 -----------------------------------------------------------------------------------

def modseq(imap, n):
    return int(imap.ok('FETCH %d MODSEQ' % n).fetched()[n]['MODSEQ'][0])


def condstore():
    with Mounted(MAIL) as mail, mail.session() as imap:
        said = imap.ok('SELECT INBOX (CONDSTORE)')
        highest = int(said.codes()['HIGHESTMODSEQ'])
        first = [modseq(imap, n) for n in (1, 2, 3)]
        lib.check(max(first) <= highest, 'MODSEQ %r above HIGHESTMODSEQ %d', first, highest)
        got = imap.ok('STORE 2 +FLAGS (\\Seen)').fetched()[2]
        now = int(got['MODSEQ'][0])
        lib.check(now > highest, 'STORE: MODSEQ %d, HIGHESTMODSEQ was %d', now, highest)
        got = imap.ok('FETCH 1:* (FLAGS) (CHANGEDSINCE %d)' % highest).fetched()
        lib.same((sorted(got), int(got[2]['MODSEQ'][0])), ([2], now), 'CHANGEDSINCE')
        got = imap.ok('FETCH 1:* (FLAGS) (CHANGEDSINCE %d)' % now).fetched()
        lib.same(got, {}, 'nothing since')
        said = imap.ok('STORE 1:3 (UNCHANGEDSINCE %d) +FLAGS.SILENT (\\Flagged)' % highest)
        lib.same((said.code, said.code_args), ('MODIFIED', '2'), 'MODIFIED')
        got = imap.ok('FETCH 2:3 FLAGS').fetched()
        lib.check('\\Flagged' not in got[2]['FLAGS'], 'what was MODIFIED was stored')
        lib.check('\\Flagged' in got[3]['FLAGS'], 'what was not, was not')
        said = imap.ok('SEARCH MODSEQ %d' % (now + 1)).one('SEARCH').args
        lib.same(said[:2], ['1', '3'], 'SEARCH MODSEQ')
        lib.check(said[2][0] == 'MODSEQ' and int(said[2][1]) > now, 'its MODSEQ: %r', said)
        lib.same(int(status(imap, 'INBOX', 'HIGHESTMODSEQ')['HIGHESTMODSEQ']), int(said[2][1]),
                 'STATUS (HIGHESTMODSEQ)')
        for n in (0, (1 << 63) - 1):
            imap.ok('STORE 1 (UNCHANGEDSINCE %d) FLAGS ()' % n)
        imap.bad('FETCH 1 FLAGS (CHANGEDSINCE)')
        imap.bad('STORE 1 (UNCHANGEDSINCE x) FLAGS ()')
        imap.logout()


def condstore_is_told_of_others():
    with Mounted(MAIL) as mail, mail.session('INBOX (CONDSTORE)') as one, \
            mail.session('INBOX') as two:
        two.ok('STORE 3 +FLAGS ($New)')

        def told():
            got = one.ok('NOOP').fetched()
            return 3 in got and '$New' in got[3]['FLAGS'] and int(got[3]['MODSEQ'][0]) > 0
        lib.wait_until(told, 3, 'a FETCH with MODSEQ')
        told = two.ok('NOOP').fetched()
        lib.check('MODSEQ' not in told.get(3, {}), 'MODSEQ for who has not asked: %r', told)


def resynchronise():
    with Mounted(MAIL * 3) as mail:
        with mail.session() as imap:
            imap.ok('ENABLE QRESYNC')
            codes = imap.ok('SELECT INBOX').codes()
            validity, before = codes['UIDVALIDITY'], codes['HIGHESTMODSEQ']
            imap.ok('STORE 2,5,8 +FLAGS.SILENT (\\Deleted)')
            said = imap.ok('EXPUNGE')
            lib.same(said.named('EXPUNGE'), [], 'EXPUNGE for who has QRESYNC')
            lib.same([r.args for r in said.named('VANISHED')], [['2,5,8']], 'VANISHED')
            lib.check(said.code == 'HIGHESTMODSEQ', 'EXPUNGE has no HIGHESTMODSEQ: %r', said.tagged)
            imap.ok('UID STORE 7 +FLAGS.SILENT ($Late)')
            imap.logout()
        with mail.session() as imap:
            imap.bad('SELECT INBOX (QRESYNC (%s %s))' % (validity, before))	# not enabled
            imap.ok('ENABLE QRESYNC')
            said = imap.ok('SELECT INBOX (QRESYNC (%s %s))' % (validity, before))
            lib.same([r.args for r in said.named('VANISHED')], [[['EARLIER'], '2,5,8']],
                     'VANISHED (EARLIER)')
            lib.same(sorted(said.by_uid()), [7], 'what changed')
            lib.check('$Late' in said.by_uid()[7]['FLAGS'], 'its flags')
            said = imap.ok('UID FETCH 1:* (FLAGS) (CHANGEDSINCE %s VANISHED)' % before)
            lib.same([r.args for r in said.named('VANISHED')], [[['EARLIER'], '2,5,8']], 'VANISHED')
            said = imap.ok('SELECT INBOX (QRESYNC (%s %s 1:6))' % (validity, before))
            lib.same([r.args for r in said.named('VANISHED')], [[['EARLIER'], '2,5']], 'known UIDs')
            said = imap.ok('SELECT INBOX (QRESYNC (%d %s))' % (int(validity) + 1, before))
            lib.same(said.named('VANISHED') + said.named('FETCH'), [], 'another UIDVALIDITY')
            imap.logout()


def vanished_in_another_session():
    with Mounted(MAIL) as mail, mail.session('INBOX') as two, mail.session() as one:
        one.ok('ENABLE QRESYNC')
        one.ok('SELECT INBOX')
        two.ok('STORE 2 +FLAGS.SILENT (\\Deleted)')
        two.ok('EXPUNGE')
        said = one.ok('NOOP')
        lib.same([r.args for r in said.named('VANISHED')], [['2']], 'VANISHED')
        lib.same(said.named('EXPUNGE'), [], 'EXPUNGE beside it')


def modseqs_outlive_the_index():
    """Whoever comes with a modseq from before sees every change again, and loses none."""
    with Mounted(MAIL) as mail:
        with mail.session() as imap:
            codes = imap.ok('SELECT INBOX (CONDSTORE)').codes()
            validity, before = codes['UIDVALIDITY'], int(codes['HIGHESTMODSEQ'])
            imap.logout()
        time.sleep(1.1)		# a rebuilt index begins with the seconds of the clock
        mail.server.forget_index()
        with mail.session() as imap:
            imap.ok('ENABLE QRESYNC')
            codes = imap.ok('SELECT INBOX').codes()
            lib.same(codes['UIDVALIDITY'], validity, 'UIDVALIDITY')
            lib.check(int(codes['HIGHESTMODSEQ']) >= before, 'HIGHESTMODSEQ fell')
            imap.ok('STORE 1 +FLAGS.SILENT (\\Flagged)')
            lib.check(modseq(imap, 1) > before, 'MODSEQ of a change is not above what was')
            said = imap.ok('SELECT INBOX (QRESYNC (%s %d))' % (validity, before))
            lib.check(1 in said.by_uid(), 'the change is not told: %r', said.untagged)
            imap.logout()


if __name__ == '__main__':
    lib.commits_under_tsan()
    lib.run_tests([
        literals_that_do_not_wait,
        literals_that_are_too_large,
        append_over_the_limit,
        multiappend_is_all_or_nothing,
        binary_append,
        binary_of_unknown_encoding,
        utf8_append,
        saved_results,
        condstore,
        condstore_is_told_of_others,
        resynchronise,
        vanished_in_another_session,
        modseqs_outlive_the_index,
    ])
