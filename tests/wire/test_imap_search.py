#!/usr/bin/env python3
"""SEARCH: what is found in messages that are hard to read, beside Debian's Dovecot; the few
answers that differ are written down here with why. Then what Dovecot is not asked."""
import base64
import os
import re
import shutil

import imapclient
import imapwire
import lib


MAIL = [
    b'From: "Ann, the First" <ann@example.org>\nTo: bob@example.org, =?utf-8?Q?J=C3=B6rg?= '
    b'<j@x.org>\nSubject: plain\nDate: Fri, 21 Nov 1997 23:55:06 -0600\n\nhello body needle1\n',
    b'Subject: =?utf-8?B?w4RwZmVs?= =?utf-8?Q?_und_Birnen?=\nContent-Type: text/plain; '
    b'charset=utf-8\nContent-Transfer-Encoding: base64\n\n' +
    base64.encodebytes('grüße needle2 an alle'.encode() * 20),
    b'Subject: qp\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: '
    b'quoted-printable\n\nsch=F6n need=\nle3 \xe4\n',
    b'Subject: multi\nContent-Type: multipart/mixed; boundary="b1"\nX-Top: topword\n\n'
    b'preambleword\n--b1\nX-Part: partword\nContent-Type: text/html\n\n<b>bold</b>word htmlword\n'
    b'--b1\nContent-Type: application/octet-stream; name=appname\n\nappword\n--b1--\n'
    b'epilogueword\n',
    b'Subject: outer\nContent-Type: multipart/mixed; boundary=xx\n\n--xx\nContent-Type: '
    b'message/rfc822\n\nSubject: innersubject =?utf-8?Q?inn=C3=A9?=\n\ninnerbody\n--xx--\n',
    b'Subject: outer6\nContent-Type: message/rfc822\n\nSubject: innersix\n\ninnersixbody\n',
    b'Subject: digest\nContent-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: digone\n\n'
    b'digbody\n--d--\n',
    b'Subject: nodate\nX-Empty:\n\nx\n',
    b'Subject: dsn\nDate: garbage\nContent-Type: multipart/report; boundary=r\n\n--r\n'
    b'Content-Type: message/delivery-status\n\nReporting-MTA: dns; dsnword\n\n--r\n'
    b'Content-Type: text/rfc822-headers\n\nSubject: rfcheaders\n--r--\n',
    b'Subject: folded\n subject\n\there\nTo: "quoted \\"name\\" x" (comment) <a@b>\n'
    b'Date: 1 Jan 2000 00:30 +0200\n\nsplit\nacross\n',
    b'Subject: raw \xe4 8bit \xc3\xa4\n\nbody \xe4 \xc3\xa4\n',
    b'Subject: img\nContent-Type: image/png\n\nimgword\n',
    b'Subject: nob\nContent-Type: multipart/mixed\n\nnobword\n',
    b'Subject: first\nSubject: second\nDate: Thu, 1 Jan 1970 00:00:00 +0000\n\n',
    b'Subject: unk\nContent-Type: text/plain; charset=nobody-knows\n\nunkword \xc3\xa4\n',
    b'Subject: jp\nContent-Type: text/plain; charset=iso-2022-jp\n\n\x1b$BF|K\\\x1b(B jpword\n',
    b'noheader at all\n\nx\n',
    b'\nbodyonly\n',
    b'',
    b'Subject: unkcte\nContent-Transfer-Encoding: x-foo\n\nunkcteword\n',
    b'Subject: =?utf-8?Q?St=C3=BCck?= x =?broken?= end\nFrom: =?utf-8?Q?St=C3=BCck_Werk?= <s@w>\n'
    b'\nSTRASSE stra\xc3\x9fe \xef\xac\x81nal\n',
    b'Subject: altern\nContent-Type: multipart/alternative; boundary=o\n\n--o\nContent-Type: '
    b'multipart/mixed; boundary=oi\n\n--oi\n\ndeepword\n--oi--\ndeepepi\n--o--\nouterepi\n',
    b'Received: from x\n\tby y;\n\tdate\nReceived: second\nMessage-ID: <abc@def>\n\nx\n',
    b'Subject: only a header without an end',
]

# `<...>` is a literal, its octets written as in Python.
SAME = r'''
ALL | TEXT needle1 | BODY NEEDLE2 | BODY <gr\xc3\xbc\xc3\x9fe> | BODY <GR\xc3\x9c\xc3\x9fe>
BODY needle3 | BODY <SCH\xc3\x96N> | BODY schon | BODY partword | TEXT partword | TEXT topword
BODY topword | BODY htmlword | BODY "\<b>bold" | BODY boldword | BODY appword | TEXT appword
TEXT appname | BODY appname | BODY preambleword | TEXT preambleword | BODY epilogueword
BODY innersubject | TEXT innersubject | BODY innerbody | TEXT <inn\xc3\xa9> | BODY innersix
TEXT innersix | BODY innersixbody | BODY digone | BODY digbody | BODY dsnword | BODY rfcheaders
TEXT Reporting-MTA | BODY imgword | BODY nobword | BODY unkword | BODY jpword | BODY unkcteword
BODY <\xe6\x97\xa5\xe6\x9c\xac> | BODY bodyonly | BODY deepword | BODY deepepi | BODY outerepi
SUBJECT <\xc3\xa4pfel und> | SUBJECT "pfel und birnen" | SUBJECT "folded subject here"
SUBJECT first | SUBJECT second | SUBJECT "" | SUBJECT <\xc3\xa4> | SUBJECT "=?broken?="
SUBJECT <st\xc3\xbcck x> | SUBJECT "without an end" | FROM <st\xc3\xbcck werk> | FROM "Ann, the"
FROM ann@example.org | TO <J\xc3\xb6rg \x3cj@> | TO quoted | HEADER X-Empty "" | HEADER X-Empty a
HEADER x-top topword | HEADER X-Part partword | HEADER Received second
HEADER Received "by y; date" | HEADER Message-ID "\<abc@def>" | HEADER "" "" | HEADER Date ""
TEXT "subject: folded" | TEXT "x-empty:" | BODY "" | TEXT "" | BODY strasse | BODY final
BODY <stra\xc3\x9fe> | TEXT noheader | SENTBEFORE 1-Jan-1980 | SENTBEFORE 22-Nov-1997
SENTON 21-Nov-1997 | SENTON 22-Nov-1997 | SENTON 1-Jan-2000 | SENTON 1-Jan-1970
SENTSINCE 1-Jan-1970 | SENTSINCE 22-Nov-1997 | NOT SENTON 21-Nov-1997 | BEFORE 9-Sep-2001
ON 9-Sep-2001 | SINCE 9-Sep-2001 | SINCE 10-Sep-2001 | LARGER 100 | SMALLER 100
OR SUBJECT plain SUBJECT qp | NOT SUBJECT plain | (SUBJECT plain) BODY hello | SEEN | UNSEEN
SEEN TEXT word | 1:5 | 5:1 | * | 1:* | 100 | 3:100 | UID 1:3 | UID 3:* | UID 100:200
NOT NOT 1:5 | OR 1 OR 2 OR 3 4 | KEYWORD foo | UNKEYWORD foo | OLDER 100 | YOUNGER 100 | MODSEQ 1
RETURN (SAVE) 1:5 | $ | UID $ | NOT $ | OR $ 7 | RETURN (SAVE MIN) 2:6 | $
RETURN (SAVE MIN MAX) 2:6 | $ | RETURN (SAVE COUNT) 2:6 | $ | RETURN (MIN) ALL | RETURN (MAX) ALL
RETURN (COUNT) TEXT word | RETURN () 1:5 | RETURN (ALL) 1:5,7 | RETURN (MIN MAX COUNT ALL) UNSEEN
RETURN (MIN MAX) SUBJECT nothing | RETURN (COUNT) SUBJECT nothing
CHARSET UTF-8 SUBJECT <\xc3\xa4pfel> | CHARSET iso-8859-1 SUBJECT <\xe4pfel>
CHARSET foo SUBJECT x | SUBJECT <\xe4> | FOO | SUBJECT | SENTON foo | NOT | OR 1 | () | LARGER x
0 | 1:0 | UID 0 | UID x | HEADER Subject | RETURN (FOO) ALL | RETURN ALL ALL | CHARSET | YOUNGER 0
'''
OURS = [	# key, what Dovecot finds, what we find, why
    ('TO comment', [], [10], 'the field is searched as it is written, not put together anew'),
    ('BODY <split\\r\\nacross>', [], [10], 'lines end in CR LF'),
    ('SINCE 31-Feb-2000', list(range(1, 25)), 'BAD', 'there is no such day'),
    ('KEYWORD \\Seen', [], 'BAD', 'a system flag is no keyword'),
]


def command(key):
    """With literals, as imapclient wants them."""
    pieces = re.split(r'(?<!\\)<(.*?)(?<!\\)>', key)
    out = ['SEARCH ' + pieces[0].replace('\\<', '<')]
    for i, piece in enumerate(pieces[1:], 1):
        if i % 2:
            out.append(piece.encode().decode('unicode_escape').encode('latin-1'))
        else:
            out.append(piece.replace('\\<', '<'))
    return out


def answer(session, key):
    said = session.ask(command(key))
    if said.status != 'OK':
        return said.status
    if said.named('ESEARCH'):
        raw = said.one('ESEARCH').raw
        return re.sub(rb'\(TAG "\w+"\)', b'', raw)
    return [int(n) for r in said.named('SEARCH') for n in r.args if isinstance(n, str)]


class Both:
    """The same store under both, as copies, so that neither meets what the other left."""

    def __init__(self, folder):
        first, second = os.path.join(folder, 'first'), os.path.join(folder, 'second')
        lib.Maildir(first, uid=lib.MAIL_UID)
        for i, octets in enumerate(MAIL):
            path = os.path.join(first, 'cur', '%d.M%dP1.h:2,%s' % (1000000000 + i, i,
                                                                   '' if i % 3 else 'S'))
            with open(path, 'wb') as f:
                f.write(octets)
            os.utime(path, (1000000000 + i * 36000,) * 2)
            if os.geteuid() == 0:
                os.chown(path, lib.MAIL_UID, lib.MAIL_UID)
        shutil.copytree(first, second)
        if os.geteuid() == 0:
            for above, _, names in os.walk(second):
                for name in [above] + [os.path.join(above, n) for n in names]:
                    os.chown(name, lib.MAIL_UID, lib.MAIL_UID)
        for name in ('d', 'm'):
            os.mkdir(os.path.join(folder, name))
            os.chmod(os.path.join(folder, name), 0o755)
        self.dovecot = imapwire.Dovecot(os.path.join(folder, 'd'), first)
        self.mailtree = imapwire.Mailtree(os.path.join(folder, 'm'), second)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.dovecot.stop()
        self.mailtree.stop()

    def sessions(self):
        both = imapclient.Process(self.dovecot.spawn()), imapclient.Process(self.mailtree.spawn())
        for session in both:
            session.ok('SELECT INBOX')
        return both


def as_dovecot():
    with lib.scratch() as folder, Both(folder) as both:
        theirs, ours = both.sessions()
        for key in re.split(r' \| |\n', SAME.strip()):
            lib.same(answer(ours, key), answer(theirs, key), key)
        for key, want_theirs, want_ours, why in OURS:
            lib.same(answer(theirs, key), want_theirs, 'Dovecot: ' + key)
            lib.same(answer(ours, key), want_ours, '%s (%s)' % (key, why))


def answers_of_versions():
    """SEARCH or ESEARCH, UIDs, MODSEQ, `$` after failures."""
    with lib.scratch() as folder, Both(folder) as both:
        s = imapclient.Process(both.mailtree.spawn())
        s.ok('SELECT INBOX')
        lib.check(re.search(rb'\* SEARCH 1 2 \(MODSEQ \d+\)\r\n',
                            s.ok('SEARCH MODSEQ 1 1:2').one('SEARCH').raw), 'MODSEQ')
        lib.check(b'MODSEQ' not in s.ok('SEARCH MODSEQ 9223372036854775807 1:2').one('SEARCH').raw, 'none')
        said = s.ok('SEARCH RETURN (MAX) MODSEQ "/flags/\\\\Seen" all 1 1:3').one('ESEARCH').raw
        lib.check(re.search(rb'MAX 3 MODSEQ \d+\r\n', said), 'ESEARCH with MODSEQ: %r', said)
        s.ok('SEARCH RETURN (SAVE) 3:4')
        s.bad('SEARCH RETURN (SAVE) FOO')
        lib.same(answer(s, '$'), [3, 4], 'BAD keeps what is saved')
        s.no('SEARCH RETURN (SAVE) CHARSET nobody-knows ALL', 'BADCHARSET')
        lib.same(answer(s, '$'), [], 'NO empties it')
        s.ok('SEARCH RETURN (SAVE) 3:4')
        lib.check(not s.ok('SEARCH RETURN (SAVE) 5').untagged, 'SAVE alone says nothing')
        lib.same(answer(s, '$'), [5], 'the newest')
        s.ok('ENABLE IMAP4rev2')
        lib.check(s.ok('SEARCH 2:4').one('ESEARCH').raw.endswith(b' ALL 2:4\r\n'), 'rev2')
        lib.check(s.ok('UID SEARCH 2:4').one('ESEARCH').raw.endswith(b' UID ALL 2:4\r\n'), 'UIDs')
        s.logout()


def deep_and_many():
    """An answer, whatever it is; and the session is there afterwards."""
    with lib.scratch() as folder, Both(folder) as both:
        s = imapclient.Process(both.mailtree.spawn())
        s.ok('SELECT INBOX')
        lib.same(answer(s, 'NOT ' * 4000 + '1'), [1], '4,000 NOTs')
        for key in ('NOT ' * 5000 + '1', 'OR ' * 5000 + '1 ' * 5000 + '1', '1 ' * 5000 + '1'):
            s.bad('SEARCH ' + key)
        lib.same(answer(s, 'OR 3 ' * 2000 + '4'), [3, 4], '2,000 ORs')
        lib.same(answer(s, 'OR TEXT needle1 ' * 200 + 'TEXT htmlword'), [1, 4], '200 texts')
        lib.same(answer(s, ' '.join(['NOT BODY x%d' % i for i in range(500)]) + ' 1:2'), [1, 2],
                 '500 texts')
        s.logout()


def what_vanished():
    """Removed behind our back: without content, and nothing else comes of it."""
    with lib.scratch() as folder, Both(folder) as both:
        s = imapclient.Process(both.mailtree.spawn())
        s.ok('SELECT INBOX')
        lib.same(answer(s, 'TEXT needle1'), [1], 'before')
        for name in os.listdir(os.path.join(both.mailtree.store, 'cur')):
            if '.M0P' in name:
                os.unlink(os.path.join(both.mailtree.store, 'cur', name))
        lib.same(s.ok('UID SEARCH BODY needle3').numbers(), [3], 'the others')
        s.ok('NOOP')
        lib.same(answer(s, 'TEXT needle1'), [], 'after')
        s.logout()


lib.run_tests([as_dovecot, answers_of_versions, deep_and_many, what_vanished])
