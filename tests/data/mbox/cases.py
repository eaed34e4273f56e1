"""Edge cases of mbox: what is stored, and what is to be seen of it. Written by hand.

Each case is a file with lines that end in LF; crlf_of() makes its other form, of which the
same is to be seen. `want` lists the messages as they are stored, without what is hidden; None
says that the file is no mbox. UIDs rise through the file: whoever stands behind a new one
gets a new one too. Where it matters `flags` (letters as in Status and X-Status), `keywords`,
`uids`, `validity`, `uidnext` and `dates` (seconds) say what else is to be seen of each message.

A Content-Length is written `@`, `@+3` or `@-3`: of what stands between `<[` and `]>`, as long
as that is in the form at hand, and some more or less.

Debian's Dovecot, asked for the same file, answers the same; where it does not, a line at the
end says why. Two rules are applied to its answers: it takes the last line end of a message
for a part of the separator, so a last line is completed; and its IMAP shows a NUL as 0x80, so
the two count as one.
"""
import calendar
import re

CASES = []
DATE = b'Thu Nov 29 22:33:52 2001'
WHEN = 1007073232		# that, in UTC
F = b'From a@example.org ' + DATE + b'\n'
G = b'From b@example.org Thu Nov 29 22:33:53 2001\n'
H = b'From c@example.org Thu Nov 29 22:33:54 2001\n'
A = b'Subject: a\n\none\n'
B = b'Subject: b\n\ntwo\n'
C = b'Subject: c\n\nthree\n'
BASE = b'X-IMAPbase: 1000000000 0000000009\n'


class Case:
    def __init__(self, name, stored, want, forms=('lf', 'crlf'), **rest):
        self.name, self.stored, self.want, self.forms = name, stored, want, forms
        self.flags = self.keywords = self.uids = self.dates = None
        self.validity = self.uidnext = None
        self.dovecot = {}		# form -> why it answers otherwise
        for key, value in rest.items():
            assert hasattr(self, key), key
            setattr(self, key, value)

    def file(self, form):
        return lengths(crlf_of(self.stored) if form == 'crlf' else self.stored)


def crlf_of(octets):
    return re.sub(rb'(?<!\r)\n', b'\r\n', octets)


def lengths(octets):
    """Content-Length filled in, the marks taken away."""
    sizes = [len(part) for part in re.findall(rb'<\[(.*?)\]>', octets, re.S)]

    def size(found):
        return found.group(1) + b'%d' % (sizes.pop(0) + int(found.group(2) or 0))
    octets = re.sub(rb'(?i)(Content-Length: )@([+-]\d+)?', size, octets)
    assert not sizes
    return octets.replace(b'<[', b'').replace(b']>', b'')


def case(name, *args, **kwargs):
    assert all(name != c.name for c in CASES), name
    CASES.append(Case(name, *args, **kwargs))


# ---- From_ lines: does this one, behind an empty line, begin a second message? ---------------

def utc(*when):
    return calendar.timegm(when + (0,) * (9 - len(when)))


def begins(name, line, date=WHEN, **rest):
    case('from-' + name, F + A + b'\n' + line + b'\n' + B, [A, B], dates=[WHEN, date], **rest)


def is_text(name, line, **rest):
    case('text-' + name, F + A + b'\n' + line + b'\n' + B, [A + b'\n' + line + b'\n' + B], **rest)


begins('asctime', b'From a@b Thu Nov 29 22:33:52 2001')
begins('no-seconds', b'From a@b Thu Nov 29 22:33 2001', WHEN - 52)
begins('zone-before-year', b'From a@b Thu Nov 29 22:33:52 +0100 2001', WHEN - 3600)
begins('zone-behind-year', b'From a@b Thu Nov 29 22:33:52 2001 +0100', WHEN - 3600)
begins('zone-west', b'From a@b Thu Nov 29 22:33:52 2001 -0730', WHEN + 27000)
begins('zone-west-before', b'From a@b Thu Nov 29 22:33:52 -0730 2001', WHEN + 27000)
begins('zone-zero', b'From a@b Thu Nov 29 22:33:52 2001 +0000')
begins('zone-named-before', b'From a@b Thu Nov 29 22:33:52 EST 2001')
begins('zone-two-words', b'From a@b Thu Nov 29 22:33:52 MET DST 2001')
begins('zone-named-behind', b'From a@b Thu Nov 29 22:33:52 2001 GMT')
begins('no-seconds-zone', b'From a@b Thu Nov 29 22:33 +0100 2001', WHEN - 52 - 3600)
begins('no-seconds-named-zone', b'From a@b Thu Nov 29 22:33 EST 2001', WHEN - 52)
begins('remote-from', b'From a!b Thu Nov 29 22:33:52 2001 remote from host')
begins('rfc822', b'From a@b Thu, 29 Nov 2001 22:33:52 +0100', WHEN - 3600)
begins('rfc822-no-zone', b'From a@b Thu, 29 Nov 2001 22:33:52')
begins('rfc822-west', b'From a@b Thu, 29 Nov 2001 22:33:52 -0200', WHEN + 7200)
begins('rfc822-no-comma', b'From a@b Thu 29 Nov 2001 22:33:52 +0000')
begins('no-sender', b'From Thu Nov 29 22:33:52 2001')
begins('quoted-sender', b'From "a b"@c Thu Nov 29 22:33:52 2001')
begins('quoted-escape', b'From "a\\"b c"@d Thu Nov 29 22:33:52 2001')
begins('quoted-date', b'From "Thu Nov 29 22:33:52 2001" Thu Nov 29 22:33:53 2001', WHEN + 1)
begins('angle-sender', b'From <a@b> Thu Nov 29 22:33:52 2001')
begins('dash-sender', b'From - Thu Nov 29 22:33:52 2001')
begins('unknown-sender', b'From ???@??? Thu Nov 29 22:33:52 2001')
begins('daemon-sender', b'From MAILER-DAEMON Thu Nov 29 22:33:52 2001')
begins('8bit-sender', b'From \xe4\xff@b Thu Nov 29 22:33:52 2001')
begins('nul-sender', b'From a\0b@c Thu Nov 29 22:33:52 2001')
begins('sender-like-day', b'From thu Thu Nov 29 22:33:52 2001')
begins('two-blanks', b'From a@b  Thu Nov 29 22:33:52 2001')
begins('blanks-everywhere', b'From a@b  Thu  Nov  29  22:33:52  2001')
begins('day-padded', b'From a@b Fri Nov  9 22:33:52 2001', utc(2001, 11, 9, 22, 33, 52))
begins('day-one-digit', b'From a@b Fri Nov 9 22:33:52 2001', utc(2001, 11, 9, 22, 33, 52))
begins('day-zero-digit', b'From a@b Fri Nov 09 22:33:52 2001', utc(2001, 11, 9, 22, 33, 52))
begins('hour-one-digit', b'From a@b Thu Nov 29 2:33:52 2001', WHEN - 72000)
begins('lower-case', b'From a@b thu nov 29 22:33:52 2001')
begins('upper-case', b'From a@b THU NOV 29 22:33:52 2001')
begins('leap-second', b'From a@b Sun Dec 31 23:59:60 2005', utc(2006, 1, 1))
begins('leap-day', b'From a@b Thu Feb 29 00:00:00 2024', utc(2024, 2, 29))
begins('midnight', b'From a@b Sat Jan  1 00:00:00 2000', utc(2000, 1, 1))
begins('wrong-weekday', b'From a@b Mon Nov 29 22:33:52 2001')
begins('year-1970', b'From a@b Thu Jan  1 00:00:01 1970', 1)
begins('year-2038', b'From a@b Tue Jan 19 03:14:08 2038', 1 << 31)
begins('year-2106', b'From a@b Sun Feb  7 06:28:16 2106', 1 << 32)
begins('year-9999', b'From a@b Fri Dec 31 23:59:59 9999', utc(9999, 12, 31, 23, 59, 59))
begins('trailing-blanks', b'From a@b Thu Nov 29 22:33:52 2001   ')
begins('trailing-text', b'From a@b Thu Nov 29 22:33:52 2001 (and so on)')
begins('long-sender', b'From ' + b'x' * 900 + b' Thu Nov 29 22:33:52 2001')

is_text('no-date', b'From a@b')
is_text('no-date-blank', b'From a@b ')
is_text('from-alone', b'From')
is_text('from-blank', b'From ')
is_text('from-blanks', b'From     ')
is_text('lower-from', b'from a@b Thu Nov 29 22:33:52 2001')
is_text('upper-from', b'FROM a@b Thu Nov 29 22:33:52 2001')
is_text('colon', b'From: a@b Thu Nov 29 22:33:52 2001')
is_text('indented', b' From a@b Thu Nov 29 22:33:52 2001')
is_text('tab-behind-from', b'From\ta@b Thu Nov 29 22:33:52 2001')
is_text('quoted-once', b'>From a@b Thu Nov 29 22:33:52 2001')
is_text('quoted-twice', b'>>From a@b Thu Nov 29 22:33:52 2001')
is_text('quoted-blank', b'> From a@b Thu Nov 29 22:33:52 2001')
is_text('no-weekday', b'From a@b Nov 29 22:33:52 2001')
is_text('weekday-unknown', b'From a@b Thx Nov 29 22:33:52 2001')
is_text('month-unknown', b'From a@b Thu Nox 29 22:33:52 2001')
is_text('year-missing', b'From a@b Thu Nov 29 22:33:52')
is_text('year-two-digits', b'From a@b Thu Nov 29 22:33:52 01')
is_text('year-three-digits', b'From a@b Thu Nov 29 22:33:52 200')
is_text('hour-24', b'From a@b Thu Nov 29 24:00:00 2001')
is_text('minute-60', b'From a@b Thu Nov 29 22:60:00 2001')
is_text('second-61', b'From a@b Thu Nov 29 22:33:61 2001')
is_text('day-0', b'From a@b Thu Nov  0 22:33:52 2001')
is_text('day-32', b'From a@b Thu Nov 32 22:33:52 2001')
is_text('day-three-digits', b'From a@b Thu Nov 029 22:33:52 2001')
is_text('minute-one-digit', b'From a@b Thu Nov 29 22:3:52 2001')
is_text('time-dots', b'From a@b Thu Nov 29 22.33.52 2001')
is_text('iso-date', b'From a@b 2001-11-29 22:33:52')
is_text('prose', b'From Monday on we shall meet at 12:00 in room 2001')
is_text('prose-day', b'From Mon to Fri we are open, also in 2001')
is_text('sender-with-blank', b'From John Doe Thu Nov 29 22:33:52 2001')
is_text('sender-comment', b'From a@b (John) Thu Nov 29 22:33:52 2001')
is_text('too-long', b'From ' + b'x' * 2000 + b' Thu Nov 29 22:33:52 2001')
is_text('very-long', b'From ' + b'x' * 70000 + b' Thu Nov 29 22:33:52 2001')
is_text('zone-words', b'From a@b Thu Nov 29 22:33:52 A B C 2001')
is_text('zone-six-letters', b'From a@b Thu Nov 29 22:33:52 ABCDEF 2001')
is_text('zone-colon', b'From a@b Thu Nov 29 22:33:52 +01:00 2001')

# ---- where messages begin and end ------------------------------------------------------------

case('size-0', b'', [])
case('one', F + A, [A])
case('one-separated', F + A + b'\n', [A])
case('two', F + A + b'\n' + G + B + b'\n', [A, B])
case('three', F + A + b'\n' + G + B + b'\n' + H + C, [A, B, C])
case('no-separator', F + A + G + B, [A, B])
case('no-separator-three', F + A + G + B + H + C, [A, B, C])
case('no-final-lf', F + A[:-1], [A[:-1]])
case('no-final-lf-two', F + A + b'\n' + G + B[:-1], [A, B[:-1]])
case('final-empty-lines-1', F + A + b'\n\n', [A + b'\n'])
case('final-empty-lines-2', F + A + b'\n\n\n', [A + b'\n\n'])
case('empty-lines-between-2', F + A + b'\n\n' + G + B, [A + b'\n', B])
case('empty-lines-between-5', F + A + b'\n\n\n\n\n' + G + B, [A + b'\n\n\n\n', B])
case('blank-line-between', F + A + b' \n' + G + B, [A + b' \n', B])
case('headers-only', F + b'Subject: a\n', [b'Subject: a\n'])
case('headers-only-no-lf', F + b'Subject: a', [b'Subject: a'])
case('headers-only-then-from', F + b'Subject: a\n' + G + B, [b'Subject: a\n', B])
case('headers-then-end', F + b'Subject: a\n\n', [b'Subject: a\n'])
case('headers-then-from', F + b'Subject: a\n\n' + G + B, [b'Subject: a\n', B])
case('empty-body', F + b'Subject: a\n\n\n', [b'Subject: a\n\n'])
case('empty-body-then-from', F + b'Subject: a\n\n\n' + G + B, [b'Subject: a\n\n', B])
case('body-of-empty-line', F + b'Subject: a\n\n\n\n' + G + B, [b'Subject: a\n\n\n', B])
case('no-headers', F + b'\none\n', [b'\none\n'])
case('no-headers-two', F + b'\none\n\n' + G + b'\ntwo\n', [b'\none\n', b'\ntwo\n'])
case('no-headers-no-body', F + b'\n\n' + G + B, [b'\n', B])
case('body-without-empty-line', F + b'one\ntwo\n\n' + G + B, [b'one\ntwo\n', B])
case('nothing-behind-from', F, [b''])
case('separator-behind-from', F + b'\n' + G + B, [b'', B])
case('header-colon-only', F + b':\n\none\n', [b':\n\none\n'])
case('header-no-colon', F + b'Subject: a\nnonsense\nTo: b\n\none\n',
     [b'Subject: a\nnonsense\nTo: b\n\none\n'])
case('header-continued', F + b'Subject: a\n  b\n\tc\n\none\n', [b'Subject: a\n  b\n\tc\n\none\n'])
case('header-begins-continued', F + b' folded\nSubject: a\n\none\n',
     [b' folded\nSubject: a\n\none\n'])
case('from-in-header', F + b'Subject: a\n' + G + b'To: b\n\ntwo\n',
     [b'Subject: a\n', b'To: b\n\ntwo\n'])
case('from-field', F + b'From: a@b\nSubject: a\n\none\n', [b'From: a@b\nSubject: a\n\none\n'])
case('quoted-from-in-header', F + b'>From a@b Thu Nov 29 22:33:52 2001\nSubject: a\n\none\n',
     [b'>From a@b Thu Nov 29 22:33:52 2001\nSubject: a\n\none\n'])
case('from-first-line-of-body', F + b'Subject: a\n\n' + G + b'\ntwo\n',
     [b'Subject: a\n', b'\ntwo\n'])
case('from-in-body-no-empty-line', F + A + G + b'not a header\n\nx\n',
     [A, b'not a header\n\nx\n'])
case('mboxrd-levels', F + A + b'>From a@b\n>>From a@b\n>>>From a@b\n> From\n',
     [A + b'>From a@b\n>>From a@b\n>>>From a@b\n> From\n'])
case('text-from-end', F + A + b'From ', [A + b'From '])
case('text-from-end-lf', F + A + b'From \n', [A + b'From \n'])
case('text-partial-from-end', F + A + b'Fro', [A + b'Fro'])
case('text-many-f', F + A + b'F\nFr\nFro\nFrom\nFrom x\n' * 20,
     [A + b'F\nFr\nFro\nFrom\nFrom x\n' * 20])
case('trailing-garbage', F + A + b'\n\0\0\0\0garbage', [A + b'\n\0\0\0\0garbage'])
case('trailing-nuls', F + A + b'\0' * 512, [A + b'\0' * 512])
case('same-message-twice', F + A + b'\n' + F + A, [A, A])
case('hundred', b''.join(b'From a@b Thu Nov 29 22:33:52 2001\nSubject: %d\n\nbody\n\n' % i
                         for i in range(100)), [b'Subject: %d\n\nbody\n' % i for i in range(100)])
case('hundred-empty', (F + b'\n') * 100 + G + B, [b''] * 100 + [B])
case('mime', F + b'Content-Type: multipart/mixed; boundary="x"\n\n--x\n\none\n--x\n\ntwo\n--x--\n',
     [b'Content-Type: multipart/mixed; boundary="x"\n\n--x\n\none\n--x\n\ntwo\n--x--\n'])
case('mime-boundary-like-from',
     F + b'Content-Type: multipart/mixed; boundary="From "\n\n--From \n\none\n--From --\n\n' +
     G + B,
     [b'Content-Type: multipart/mixed; boundary="From "\n\n--From \n\none\n--From --\n', B])
case('mime-cut-by-from',
     F + b'Content-Type: multipart/mixed; boundary="x"\n\n--x\n\none\n' + G + b'--x--\n',
     [b'Content-Type: multipart/mixed; boundary="x"\n\n--x\n\none\n', b'--x--\n'])
case('mime-embedded-message',
     F + b'Content-Type: message/rfc822\n\nSubject: inner\nStatus: RO\nX-UID: 7\n'
     b'Content-Length: 4\n\nfour\n',
     [b'Content-Type: message/rfc822\n\nSubject: inner\nStatus: RO\nX-UID: 7\n'
      b'Content-Length: 4\n\nfour\n'], flags=[''], uids=[1])
case('digest-of-froms', F + A + b'\n>' + G + b'>Subject: x\n\n>' + H + b'\n',
     [A + b'\n>' + G + b'>Subject: x\n\n>' + H])

# ---- what is no mbox, and nearly one ---------------------------------------------------------

case('size-1', b'x', None)
case('size-2', b'xy', None)
case('size-5', b'From ', None)
case('size-4', b'From', None)
case('garbage-first', b'hello\n' + F + A, None)
case('garbage-first-nul', b'\0\n' + F + A, None)
case('from-without-date-first', b'From a@b\nSubject: a\n\none\n', None)
case('header-first', b'Subject: a\n\none\n', None)
case('quoted-first', b'>' + F + A, None)
case('long-first', b'x' * 100000, None)
case('binary', bytes(range(256)) * 8, None)
case('empty-line-first', b'\n' + F + A, [A])
case('empty-lines-first', b'\n\n\n' + F + A + b'\n' + G + B, [A, B])
case('only-empty-line', b'\n', [])
case('only-empty-lines', b'\n\n\n\n', [])

# ---- Content-Length ----------------------------------------------------------------------------

INNER = b'one\n\n' + H + b'Subject: inner\n\ntext\n'


def length(name, stored, want, **rest):
    case('length-' + name, stored, want, **rest)


def head(value, more=b''):
    return F + b'Subject: a\nContent-Length: ' + value + b'\n' + more + b'\n'


ONE = b'Subject: a\n\n'
length('right', head(b'@') + b'<[one\n]>\n' + G + B, [ONE + b'one\n', B])
length('right-last', head(b'@') + b'<[one\n]>', [ONE + b'one\n'])
length('right-last-separated', head(b'@') + b'<[one\n]>\n', [ONE + b'one\n'])
length('right-no-separator', head(b'@') + b'<[one\n]>' + G + B, [ONE + b'one\n', B])
length('right-no-lf', head(b'@') + b'<[one]>', [ONE + b'one'])
length('right-no-lf-separated', head(b'@') + b'<[one]>\n' + G + B, [ONE + b'one', B])
length('right-over-from', head(b'@') + b'<[' + INNER + b']>\n' + G + B, [ONE + INNER, B])
length('right-over-from-last', head(b'@') + b'<[' + INNER + b']>', [ONE + INNER])
length('right-empty-lines', head(b'@') + b'<[one\n\n\n]>\n' + G + B, [ONE + b'one\n\n\n', B])
length('right-ends-in-from', head(b'@') + b'<[one\n' + H + b']>\n' + G + B,
       [ONE + b'one\n' + H, B])
length('right-begins-with-from', head(b'@') + b'<[' + H + b'x\n]>\n' + G + B,
       [ONE + H + b'x\n', B])
length('counts-separator', head(b'@') + b'<[one\n\n]>' + G + B, [ONE + b'one\n\n', B])
length('zero', head(b'0') + b'\n' + G + B, [ONE, B])
length('zero-no-separator', head(b'0') + G + B, [ONE, B])
length('zero-last', head(b'0'), [ONE])
length('zero-last-separated', head(b'0') + b'\n', [ONE])
length('zero-lies', head(b'0') + b'one\n\n' + G + B, [ONE + b'one\n', B])
length('zero-lies-two-lines', head(b'0') + b'\none\n\n' + G + B, [ONE + b'\none\n', B])
length('one-short', head(b'@-1') + b'<[one\n]>\n' + G + B, [ONE + b'one\n', B])
length('two-short', head(b'@-2') + b'<[one\n]>\n' + G + B, [ONE + b'one\n', B])
length('two-short-from', head(b'@-2') + b'<[' + INNER + b']>\n' + G + B,
       [ONE + b'one\n', b'Subject: inner\n\ntext\n', B])
length('short-line', head(b'@') + b'<[one\n]>two\n\n' + G + B, [ONE + b'one\ntwo\n', B])
length('short-empty-line', head(b'@') + b'<[one\n]>\ntwo\n\n' + G + B, [ONE + b'one\n\ntwo\n', B])
length('short-of-inner', head(b'@') + b'<[one\n]>\n' + H + b'Subject: inner\n\ntext\n',
       [ONE + b'one\n', b'Subject: inner\n\ntext\n'])
length('three-long', head(b'@+3') + b'<[one\n]>\n' + G + B, [ONE + b'one\n', B])
length('into-from', head(b'@+10') + b'<[one\n]>\n' + G + B, [ONE + b'one\n', B])
length('behind-from-line', head(b'@') + b'<[one\n\n' + G + b']>' + B, [ONE + b'one\n', B])
length('over-next-message', head(b'@') + b'<[one\n\n' + G + B + b']>\n' + H + C,
       [ONE + b'one\n\n' + G + B, C])
length('over-all', head(b'@') + b'<[one\n\n' + G + B + b']>', [ONE + b'one\n\n' + G + B])
length('past-end', head(b'@+1') + b'<[one\n\n' + G + B + b'\n]>', [ONE + b'one\n', B])
length('huge', head(b'99999999999') + b'one\n\n' + G + B, [ONE + b'one\n', B])
length('2-to-31', head(b'2147483648') + b'one\n\n' + G + B, [ONE + b'one\n', B])
length('2-to-32', head(b'4294967300') + b'one\n\n' + G + B, [ONE + b'one\n', B])
length('2-to-63', head(b'9223372036854775808') + b'one\n\n' + G + B, [ONE + b'one\n', B])
length('2-to-64-less-1', head(b'18446744073709551615') + b'one\n\n' + G + B, [ONE + b'one\n', B])
length('2-to-64', head(b'18446744073709551616') + b'one\n\n' + G + B, [ONE + b'one\n', B])
length('30-digits', head(b'9' * 30) + b'one\n\n' + G + B, [ONE + b'one\n', B])
length('negative', head(b'-4') + b'one\n\n' + G + B, [ONE + b'one\n', B])
length('minus-zero', head(b'-0') + b'one\n\n' + G + B, [ONE + b'one\n', B])
length('plus', head(b'+4') + b'one\n\n' + G + B, [ONE + b'one\n', B])
length('empty', head(b'') + b'one\n\n' + G + B, [ONE + b'one\n', B])
length('word', head(b'four') + b'one\n\n' + G + B, [ONE + b'one\n', B])
length('hexadecimal', head(b'0x4') + b'one\n\n' + G + B, [ONE + b'one\n', B])
length('leading-zeros', head(b'000@').replace(b'000@', b'@') + b'<[one\n]>\n' + G + B,
       [ONE + b'one\n', B])
length('lower-case', F + b'Subject: a\ncontent-length: @\n\n<[' + INNER + b']>\n' + G + B,
       [ONE + INNER, B])
length('first-field', F + b'Content-Length: @\nSubject: a\n\n<[' + INNER + b']>\n' + G + B,
       [ONE + INNER, B])
length('only-field', F + b'Content-Length: @\n\n<[one\n]>\n' + G + B, [b'\none\n', B])
length('twice-same', head(b'@', b'Content-Length: 4\n') + b'<[' + INNER + b']>\n' + G + B,
       [ONE + INNER, B])
length('twice-wrong-first', head(b'2', b'Content-Length: @\n') + b'<[one\n]>\n' + G + B,
       [ONE + b'one\n', B])
length('each-of-three', head(b'@') + b'<[' + INNER + b']>\n' + G + b'Content-Length: @\n'
       b'Subject: b\n\n<[two\n]>\n' + H + b'Content-Length: @\nSubject: c\n\n<[' + INNER + b']>\n',
       [ONE + INNER, b'Subject: b\n\ntwo\n', b'Subject: c\n\n' + INNER])
length('in-body', F + b'Subject: a\n\nContent-Length: 3\n\none\n\n' + G + B,
       [b'Subject: a\n\nContent-Length: 3\n\none\n', B])
length('headers-only', F + b'Subject: a\nContent-Length: 40\n', [b'Subject: a\n'])
length('long-body', head(b'@') + b'<[' + b'x' * 300000 + b'\n\n' + H + b'\n]>\n' + G + B,
       [ONE + b'x' * 300000 + b'\n\n' + H + b'\n', B])
length('blank-line-behind', head(b'@') + b'<[' + INNER + b']> \n' + G + B,
       [ONE + b'one\n', b'Subject: inner\n\ntext\n \n', B])
length('two-empty-lines-behind', head(b'@') + b'<[one\n]>\n\n' + G + B, [ONE + b'one\n\n', B])

# ---- hidden fields ---------------------------------------------------------------------------

def hidden(name, field, flags='', **rest):
    """One message with `field` between two that stay."""
    case('hidden-' + name, F + b'Subject: a\n' + field + b'To: x\n\none\n\n' + G + B,
         [b'Subject: a\nTo: x\n\none\n', B], flags=[flags, ''], **rest)


hidden('status-r', b'Status: R\n', 'R')
hidden('status-ro', b'Status: RO\n', 'R')
hidden('status-or', b'Status: OR\n', 'R')
hidden('status-o', b'Status: O\n')
hidden('status-empty', b'Status:\n')
hidden('status-blank', b'Status: \n')
hidden('status-no-blank', b'Status:RO\n', 'R')
hidden('status-blanks', b'Status:    RO   \n', 'R')
hidden('status-tab', b'Status:\tRO\n', 'R')
hidden('status-unknown', b'Status: U\n')
hidden('status-unknown-and-r', b'Status: URO\n', 'R')
hidden('status-lower-letters', b'Status: ro\n')
hidden('status-lower-name', b'status: RO\n', 'R')
hidden('status-upper-name', b'STATUS: RO\n', 'R')
hidden('status-twice', b'Status: R\nStatus: O\n', 'R')
hidden('status-doubled-letters', b'Status: RRRROOO\n', 'R')
hidden('status-folded', b'Status:\n RO\n', 'R')
hidden('status-continued', b'Status: O\n R\n', 'R')
hidden('status-x-letters', b'Status: RAFTD\n', 'R')
hidden('x-status-a', b'X-Status: A\n', 'A')
hidden('x-status-f', b'X-Status: F\n', 'F')
hidden('x-status-t', b'X-Status: T\n', 'T')
hidden('x-status-d', b'X-Status: D\n', 'D')
hidden('x-status-all', b'X-Status: AFTD\n', 'AFTD')
hidden('x-status-other-order', b'X-Status: DTFA\n', 'AFTD')
hidden('x-status-empty', b'X-Status: \n')
hidden('x-status-r', b'X-Status: R\n')
hidden('x-status-lower-name', b'x-status: A\n', 'A')
hidden('both', b'Status: RO\nX-Status: AF\n', 'RAF')
hidden('both-other-order', b'X-Status: AF\nStatus: RO\n', 'RAF')
hidden('x-keywords-empty', b'X-Keywords:\n')
hidden('x-keywords-blank', b'X-Keywords:                                \n')
hidden('x-uid-alone', b'X-UID: 5\n')
hidden('all-fields', b'Status: RO\nX-Status: F\nX-Keywords: \nX-UID: 3\nContent-Length: 4\n', 'RF')
hidden('x-imap-broken', b'X-IMAP: hello\n')
hidden('x-imapbase-broken', b'X-IMAPbase: hello\n')
hidden('x-imapbase-empty', b'X-IMAPbase:\n')
hidden('long', b'X-Keywords: ' + b' ' * 20000 + b'\n')
hidden('long-folded', b'X-Keywords: ' + b'\n ' * 9000 + b'\n')
hidden('nul-in-value', b'Status: R\0O\n', 'R')
hidden('cr-in-value', b'Status: R\rO\n', 'R')

for field in (b'Statu: RO', b'Statuss: RO', b'X-Status-More: A', b'XStatus: A', b'X-UIDL: abc',
              b'X-IMAP-Base: 1 2', b'X-Keyword: a', b'Keywords: a', b'Content-Lengths: 3',
              b'Resent-Status: RO', b'X-Mozilla-Status: 0001', b'X-Evolution: 00', b'Lines: 3'):
    case('shown-' + field.split(b':')[0].decode().lower(),
         F + b'Subject: a\n' + field + b'\n\none\n\n' + G + B,
         [b'Subject: a\n' + field + b'\n\none\n', B], flags=['', ''])

case('hidden-first', F + b'Status: RO\nSubject: a\n\none\n', [A], flags=['R'])
case('hidden-last', F + b'Subject: a\nStatus: RO\n\none\n', [A], flags=['R'])
case('hidden-alone', F + b'Status: RO\n\none\n', [b'\none\n'], flags=['R'])
case('hidden-alone-no-body', F + b'Status: RO\n', [b''], flags=['R'])
case('hidden-alone-no-lf', F + b'Status: RO', [b''], flags=['R'])
case('hidden-no-lf', F + b'Subject: a\nStatus: RO', [b'Subject: a\n'], flags=['R'])
case('hidden-alone-then-from', F + b'Status: RO\n\n' + G + B, [b'', B], flags=['R', ''])
case('hidden-scattered', F + b'Status: R\nSubject: a\nX-Status: F\nTo: b\nX-UID: 4\n\none\n',
     [b'Subject: a\nTo: b\n\none\n'], flags=['RF'])
case('hidden-between-folded', F + b'Subject: a\n b\nStatus: RO\nTo: c\n d\n\none\n',
     [b'Subject: a\n b\nTo: c\n d\n\none\n'], flags=['R'])
case('hidden-looks-like-continuation', F + b'Subject: a\n Status: RO\n\none\n',
     [b'Subject: a\n Status: RO\n\none\n'], flags=[''])
case('hidden-in-body', F + A + b'Status: RO\nX-Status: D\nX-UID: 9\n',
     [A + b'Status: RO\nX-Status: D\nX-UID: 9\n'], flags=[''])
case('hidden-in-body-of-no-headers', F + b'\nStatus: RO\n', [b'\nStatus: RO\n'], flags=[''])
case('hidden-each-message', F + b'Status: R\n' + A + b'\n' + G + b'X-Status: A\n' + B + b'\n' +
     H + b'X-Status: F\nStatus: RO\n' + C, [A, B, C], flags=['R', 'A', 'RF'])
case('quoted-by-us', b'From mailtree-mboxrd ' + DATE + b'\nSubject: a\n\n>From x\n>>From y\n'
     b'From z\n> From\n>Fro\n', [b'Subject: a\n\nFrom x\n>From y\nFrom z\n> From\n>Fro\n'])
case('quoted-by-us-and-not', b'From mailtree-mboxrd ' + DATE + b'\nSubject: a\n\n>From x\n\n' + G +
     b'Subject: b\n\n>From x\n', [b'Subject: a\n\nFrom x\n', b'Subject: b\n\n>From x\n'])
case('hidden-before-continuation-at-end', F + b'Subject: a\nX-Keywords: \n \n \n\none\n', [A],
     flags=[''])

# ---- UIDs: X-IMAPbase, X-UID ----------------------------------------------------------------------

def uids(name, stored, want, uids, validity=1000000000, **rest):
    case('uid-' + name, stored, want, uids=uids, validity=validity, **rest)


def u(n):
    return b'X-UID: %d\n' % n


uids('none', F + A + b'\n' + G + B, [A, B], [1, 2], None)
uids('given', F + BASE + u(3) + A + b'\n' + G + u(7) + B, [A, B], [3, 7], uidnext=10)
uids('given-one-blank', F + BASE.replace(b' 0000000009', b' 9') + u(3) + A, [A], [3], uidnext=10)
uids('base-alone', F + BASE + A + b'\n' + G + B, [A, B], [10, 11], uidnext=12)
uids('second-new', F + BASE + u(3) + A + b'\n' + G + B, [A, B], [3, 10], uidnext=11)
uids('all-new-after', F + BASE + u(9) + A + b'\n' + G + B + b'\n' + H + C, [A, B, C], [9, 10, 11])
uids('without-base', F + u(3) + A + b'\n' + G + u(7) + B, [A, B], [1, 2], None)
uids('base-in-second', F + A + b'\n' + G + BASE + u(7) + B, [A, B], [1, 2], None)
uids('base-in-both', F + BASE + u(3) + A + b'\n' + G + BASE.replace(b'10000', b'20000') + u(4) + B,
     [A, B], [3, 4])
uids('before-base', F + u(3) + BASE + A + b'\n' + G + u(4) + B, [A, B], [10, 11])
uids('above-last', F + BASE + u(3) + A + b'\n' + G + u(12) + B, [A, B], [3, 10])
uids('equal-last', F + BASE + u(3) + A + b'\n' + G + u(9) + B, [A, B], [3, 9], uidnext=10)
uids('zero', F + BASE + u(0) + A + b'\n' + G + u(4) + B, [A, B], [10, 11])
uids('zero-second', F + BASE + u(3) + A + b'\n' + G + u(0) + B, [A, B], [3, 10])
uids('doubled', F + BASE + u(3) + A + b'\n' + G + u(3) + B, [A, B], [3, 10])
uids('falling', F + BASE + u(5) + A + b'\n' + G + u(3) + B, [A, B], [5, 10])
uids('falling-then-rising', F + BASE + u(5) + A + b'\n' + G + u(3) + B + b'\n' + H + u(8) + C,
     [A, B, C], [5, 10, 11])
uids('missing-then-given', F + BASE + u(5) + A + b'\n' + G + B + b'\n' + H + u(8) + C,
     [A, B, C], [5, 10, 11])
uids('negative', F + BASE + b'X-UID: -3\n' + A, [A], [10])
uids('word', F + BASE + b'X-UID: three\n' + A, [A], [10])
uids('empty', F + BASE + b'X-UID:\n' + A, [A], [10])
uids('huge', F + BASE + b'X-UID: 4294967295\n' + A, [A], [10])
uids('2-to-32', F + BASE + b'X-UID: 4294967299\n' + A, [A], [10])
uids('30-digits', F + BASE + b'X-UID: ' + b'3' * 30 + b'\n' + A, [A], [10])
uids('leading-zeros', F + BASE + b'X-UID: 0000000003\n' + A, [A], [3])
uids('trailing-blanks', F + BASE + b'X-UID: 3     \n' + A, [A], [3])
uids('trailing-text', F + BASE + b'X-UID: 3 x\n' + A, [A], [10])
uids('lower-case', F + BASE.lower() + b'x-uid: 3\n' + A, [A], [3])
uids('twice', F + BASE + u(3) + u(4) + A, [A], [3])
uids('folded', F + BASE + b'X-UID:\n 3\n' + A, [A], [3])
uids('behind-other-fields', F + BASE + A.replace(b'\n\n', b'\n' + u(3) + b'\n') + b'\n' + G +
     B.replace(b'\n\n', b'\n' + u(4) + b'\n'), [A, B], [3, 4])
uids('in-body', F + BASE + A + u(3), [A + u(3)], [10])
uids('base-in-body', F + A + BASE, [A + BASE], [1], None)
uids('base-zero', F + b'X-IMAPbase: 0 0000000009\n' + u(3) + A, [A], [1], None)
uids('base-one-number', F + b'X-IMAPbase: 1000000000\n' + u(3) + A, [A], [1], None)
uids('base-words', F + b'X-IMAPbase: ten nine\n' + u(3) + A, [A], [1], None)
uids('base-huge-validity', F + b'X-IMAPbase: 4294967296 0000000009\n' + u(3) + A, [A], [1], None)
uids('base-most-validity', F + b'X-IMAPbase: 4294967295 0000000009\n' + u(3) + A, [A], [3],
     4294967295)
uids('base-huge-last', F + b'X-IMAPbase: 1000000000 99999999999\n' + u(3) + A, [A], [1], None)
uids('base-last-zero', F + b'X-IMAPbase: 1000000000 0000000000\n' + A, [A], [1])
uids('base-last-below', F + b'X-IMAPbase: 1000000000 0000000002\n' + u(3) + A, [A], [3])
uids('base-twice', F + BASE + BASE.replace(b'10000', b'20000') + u(3) + A, [A], [3])
uids('base-tabs', F + b'X-IMAPbase:\t1000000000\t9\n' + u(3) + A, [A], [3])
uids('base-folded', F + b'X-IMAPbase: 1000000000\n 0000000009\n' + u(3) + A, [A], [3])
uids('base-padded', F + b'X-IMAPbase: 1000000000 0000000009          \n' + u(3) + A, [A], [3])
uids('same-message-twice', F + BASE + u(3) + A + b'\n' + F + u(4) + A, [A, A], [3, 4])
uids('from-quoted-base', F + BASE + u(3) + A + b'>' + G + u(4), [A + b'>' + G + u(4)], [3])
uids('many', F + BASE.replace(b'0009', b'0500') + u(1) + A + b'\n' +
     b''.join(G + u(5 * n) + B + b'\n' for n in range(1, 100)),
     [A] + [B] * 99, [1] + [5 * n for n in range(1, 100)], uidnext=501)

# ---- keywords --------------------------------------------------------------------------------

def keywords(name, base, fields, want, **rest):
    """`fields` of two messages."""
    case('keywords-' + name, F + base + u(1) + fields[0] + A + b'\n' + G + u(2) + fields[1] + B,
         [A, B], keywords=want, **rest)


BASED = BASE.rstrip(b'\n')
keywords('declared', BASED + b' work $Label1\n', (b'', b''), [set(), set()])
keywords('one', BASED + b' work\n', (b'X-Keywords: work\n', b''), [{'work'}, set()])
keywords('two', BASED + b' work $Label1\n',
         (b'X-Keywords: work $Label1\n', b'X-Keywords: $Label1\n'),
         [{'work', '$Label1'}, {'$Label1'}])
keywords('other-order', BASED + b' a b c\n', (b'X-Keywords: c a\n', b'X-Keywords: b\n'),
         [{'a', 'c'}, {'b'}])
keywords('not-declared', BASED + b'\n', (b'X-Keywords: new\n', b''), [{'new'}, set()])
keywords('padded', BASED + b' work      \n',
         (b'X-Keywords: work          \n', b'X-Keywords:    work\n'), [{'work'}, {'work'}])
keywords('twice', BASED + b' work\n', (b'X-Keywords: work work\n', b''), [{'work'}, set()])
keywords('two-fields', BASED + b' a b\n', (b'X-Keywords: a\nX-Keywords: b\n', b''),
         [{'a', 'b'}, set()])
keywords('folded', BASED + b' a b\n', (b'X-Keywords: a\n b\n', b''), [{'a', 'b'}, set()])
keywords('base-folded', BASED + b' a\n b\n', (b'X-Keywords: a b\n', b''), [{'a', 'b'}, set()])
keywords('many', BASED + b''.join(b' k%d' % i for i in range(20)) + b'\n',
         (b'X-Keywords:' + b''.join(b' k%d' % i for i in range(20)) + b'\n', b'X-Keywords: k19\n'),
         [{'k%d' % i for i in range(20)}, {'k19'}])
keywords('lower-name', BASED + b' a\n', (b'x-keywords: a\n', b''), [{'a'}, set()])
keywords('with-flags', BASED + b' a\n',
         (b'Status: RO\nX-Status: F\nX-Keywords: a\n', b'Status: O\n'),
         [{'a'}, set()], flags=['RF', ''])

# ---- pseudo messages -------------------------------------------------------------------------

PSEUDO_FROM = b'From MAILER-DAEMON Thu Nov 29 22:33:50 2001\n'
PSEUDO = (PSEUDO_FROM + b'Date: 29 Nov 2001 22:33:50 +0000\n'
          b'From: Mail System Internal Data <MAILER-DAEMON@example.org>\n'
          b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"
          b'X-IMAP: 1000000000 0000000009\nStatus: RO\n\n'
          b'This text is part of the internal format of your mail folder.\n\n')


def pseudo(name, stored, want, **rest):
    case('pseudo-' + name, stored, want, **rest)


pseudo('alone', PSEUDO, [], validity=1000000000, uidnext=10)
pseudo('first', PSEUDO + F + A + b'\n' + G + B, [A, B], validity=1000000000, uids=[10, 11])
pseudo('first-given', PSEUDO + F + u(3) + A + b'\n' + G + u(7) + B, [A, B], validity=1000000000,
       uids=[3, 7], uidnext=10)
pseudo('keywords', PSEUDO.replace(b'0009\n', b'0009 work\n') + F + u(3) +
       b'X-Keywords: work\n' + A, [A], keywords=[{'work'}], uids=[3])
pseudo('no-body', PSEUDO_FROM + b'X-IMAP: 1000000000 0000000009\n\n' + F + u(3) + A, [A], uids=[3],
       validity=1000000000)
pseudo('base-in-next', PSEUDO + F + BASE.replace(b'10000', b'20000') + u(3) + A, [A], uids=[3],
       validity=1000000000)

# ---- octets ----------------------------------------------------------------------------------

def octets(name, body, **rest):
    case('octets-' + name, F + b'Subject: a\n\n' + body + b'\n' + G + B,
         [b'Subject: a\n\n' + body, B], **rest)


octets('nul', b'a\0b\n')
octets('nul-line', b'\0\nFrom\0 \n')
octets('nul-first', b'\0\0\0\n')
octets('8bit', bytes(range(128, 256)) + b'\n')
octets('utf-8', 'grüße, привет, 你好\n'.encode())
octets('latin-1', b'gr\xfc\xdfe\n')
octets('bare-cr', b'a\rb\n')
octets('bare-cr-end', b'ab\r\r\n')
octets('cr-before-from', b'a\r' + H)
octets('long-line', b'x' * 70000 + b'\n')
octets('longer-line', b'x' * 1200000 + b'\n')
octets('long-line-from', b'x' * 65530 + b' ' + H)
octets('dots', b'.\n..\n.a\n.\n')
octets('only-dot', b'.\n')
octets('form-feed', b'a\fb\v\x1a\x7f\n')
octets('blanks-at-end', b'a   \n\t\n')
octets('many-lines', b'line\n' * 20000)
octets('crlf-lines', b'a\r\nb\r\nc\r\n')
octets('mixed-lines', b'a\r\nb\nc\r\nd\n')
case('octets-crlf-header', F + b'Subject: a\r\n\r\none\n\n' + G + B, [A, B])
case('octets-crlf-from', F.replace(b'\n', b'\r\n') + A + b'\n' + G + B, [A, B])
case('octets-crlf-separator', F + A + b'\r\n' + G + B, [A, B])
case('octets-crlf-hidden', F + b'Status: RO\r\n' + A + b'\n' + G + B, [A, B], flags=['R', ''])
case('octets-crlf-first-message', crlf_of(F + A + b'\n') + G + B, [A, B])
case('octets-crlf-last-message', F + A + b'\n' + crlf_of(G + B), [A, B])
case('octets-cr-final', F + A[:-1] + b'\r', [A[:-1] + b'\r'], forms=('lf',))
case('octets-nul-header', F + b'Sub\0ject: a\n\none\n', [b'Sub\0ject: a\n\none\n'])
case('octets-8bit-header', F + b'Subject: gr\xfc\xdfe\nX-\xff: y\n\none\n',
     [b'Subject: gr\xfc\xdfe\nX-\xff: y\n\none\n'])
case('octets-long-header', F + b'Subject: ' + b'x' * 100000 + b'\nStatus: RO\n\none\n',
     [b'Subject: ' + b'x' * 100000 + b'\n\none\n'], flags=['R'])
MANY = b''.join(b'X-%d: y\n' % i for i in range(5000))
case('octets-many-headers', F + MANY + b'Status: RO\n\none\n', [MANY + b'\none\n'], flags=['R'])
case('octets-many-hidden', F + b'Subject: a\n' + b'X-1: y\nStatus: O\n' * 40 + b'\none\n',
     [b'Subject: a\n' + b'X-1: y\n' * 40 + b'\none\n'], flags=[''])
case('octets-cr-in-header', F + b'Subject: a\rb\n\none\n', [b'Subject: a\rb\n\none\n'])
case('octets-cr-line-is-body', F + b'Subject: a\n\r\r\none\n', [b'Subject: a\n\r\r\none\n'],
     forms=('lf',))

# ---- from the field --------------------------------------------------------------------------

case('field-mozilla', b'From - Thu Nov 29 22:33:52 2001\nX-Mozilla-Status: 0001\n'
     b'X-Mozilla-Status2: 00000000\nSubject: a\n\none\n\n', [b'X-Mozilla-Status: 0001\n'
     b'X-Mozilla-Status2: 00000000\nSubject: a\n\none\n'], flags=[''])
case('field-eudora', b'From ???@??? Thu Nov 29 22:33:52 2001\r\nSubject: a\r\n\r\none\r\n', [A])
case('field-pipermail', b'From ann at example.org  Thu Nov 29 22:33:52 2001\nSubject: a\n\none\n',
     None)
case('field-mailman', b'From a@b Thu Nov 29 22:33:52 2001\nFrom: ann at b (Ann)\nDate: Thu, 29 Nov '
     b'2001 22:33:52 +0000\nSubject: a\n\none\n\n\n',
     [b'From: ann at b (Ann)\nDate: Thu, 29 Nov 2001 22:33:52 +0000\nSubject: a\n\none\n\n'])
case('field-solaris', b'From a@b Thu Nov 29 22:33 MET 2001\nContent-Length: @\nSubject: a\n\n<['
     + b'one\n\n' + H + b'x\n]>\n' + G + B, [ONE + b'one\n\n' + H + b'x\n', B])
case('field-mutt', b'From a@b Thu Nov 29 22:33:52 2001\nSubject: a\nStatus: RO\nContent-Length: @\n'
     b'Lines: 1\n\n<[one\n]>\n', [b'Subject: a\nLines: 1\n\none\n'], flags=['R'])
case('field-pine', PSEUDO + b'From a@b Thu Nov 29 22:33:52 2001 +0100\nSubject: a\nStatus: RO\n'
     b'X-Status: A\nX-Keywords:\nX-UID: 4\n\none\n\n', [A], flags=['RA'], uids=[4],
     validity=1000000000, dates=[WHEN - 3600])
case('field-mailutils', F + b'Subject: a\nX-IMAPbase:           1000000000                    9\n'
     b'X-UID: 1\n\none\n\n\n' + G + B, [A + b'\n', B], uids=[1, 10], validity=1000000000)
case('field-uucp', b'>From x Thu Nov 29 22:33:52 2001 remote from y\n' + F + A, None)
case('field-uucp-in-header', F + b'>From x Thu Nov 29 22:33:52 2001 remote from y\n' + A,
     [b'>From x Thu Nov 29 22:33:52 2001 remote from y\n' + A])
case('field-mmdf-like', b'\1\1\1\1\n' + F + A + b'\1\1\1\1\n', None)
case('field-babyl-like', b'BABYL OPTIONS:\n\n\x1f\f\n' + F + A, None)
case('field-gmail', b'From 1234567890123456789@xxx Thu Nov 29 22:33:52 +0000 2001\nX-GM-THRID: 1\n'
     b'X-Gmail-Labels: Inbox\nSubject: a\n\none\n\n',
     [b'X-GM-THRID: 1\nX-Gmail-Labels: Inbox\nSubject: a\n\none\n'], dates=[WHEN])

# ---- where Dovecot answers otherwise ---------------------------------------------------------


def differs(why, *names, forms=('lf', 'crlf')):
    for name in names:
        c = next(c for c in CASES if c.name == name)
        for form in forms:
            assert form not in c.dovecot
            if form in c.forms:
                c.dovecot[form] = why


differs('it wants a From_ line before anything else', 'empty-line-first', 'empty-lines-first',
        'only-empty-line', 'only-empty-lines')
differs('it passes over a zone before the year', 'from-zone-before-year',
        'from-zone-west-before', 'from-no-seconds-zone')
differs('it adds the minutes of a zone west of Greenwich', 'from-zone-west')
differs('it knows one word for a zone at most', 'from-zone-two-words')
differs('without the comma it reads the time as the year', 'from-rfc822-no-comma')
differs('it wants a sender', 'from-no-sender')
differs('it wants the columns of asctime', 'from-blanks-everywhere', 'from-hour-one-digit')
differs('it looks at three letters and a blank only, not at what day they name',
        'text-weekday-unknown')
differs('it takes any two digits for hours, minutes, seconds and days', 'text-hour-24',
        'text-minute-60', 'text-second-61', 'text-day-0', 'text-day-32')
differs('it sets no limit to the length of the line', 'text-too-long')
differs('it takes any word before the year for a zone', 'text-zone-six-letters',
        'text-zone-colon')
differs('it believes a Content-Length up to the end of the file only where no From_ line is '
        'found before', 'length-right-over-from-last', 'length-over-all')
differs('it takes the empty line before a From_ line for the separator even when '
        'Content-Length counts it', 'length-counts-separator')
differs('it takes the empty line that ends the header for the separator, though '
        'Content-Length says that the body is empty', 'length-zero-no-separator',
        'length-zero-last')
differs('it seeks there, and fails', 'length-2-to-63')
differs('the number wraps around', 'uid-2-to-32', 'uid-base-huge-last')
differs('it does not unfold the field', 'uid-folded', 'uid-base-folded')
differs('it wants one blank', 'uid-base-tabs', 'field-mailutils')
differs('it wants X-IMAPbase to name the keyword', 'keywords-not-declared')
differs('it looks at the first of two fields', 'keywords-two-fields')
differs('it shows what is stored; the quoting is ours', 'quoted-by-us', 'quoted-by-us-and-not')
differs('it drops all CRs before an LF', 'octets-cr-line-is-body')
differs('it looks for From_ behind the end of the file, and ends the session', 'text-from-end')
differs('its sync fails in a body that begins at the end of a message with CRLF',
        'headers-only', 'hidden-alone-no-body', 'length-headers-only', 'no-headers',
        'no-headers-two', 'from-first-line-of-body', 'hidden-in-body-of-no-headers',
        forms=('crlf',))
