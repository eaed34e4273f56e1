#!/usr/bin/env python3
"""Messages with every oddity of bytes, as a store may hold them.

    make_fixtures.py FOLDER     writes one file per fixture, named after its oddity

No size and no wire form is computed here: what must come out is for the tests to say.
"""
import os
import sys

EDGES = (4096, 8192, 16384, 32768, 65536, 131072, 262144, 1 << 20)
HEAD = (b'From: Ann <ann@example.org>\nTo: bob@example.net\nSubject: fixture\n'
        b'Date: Mon, 02 Jan 2023 03:04:05 +0000\n\n')
CRLF_HEAD = HEAD.replace(b'\n', b'\r\n')

ODD = {
    'empty': b'',
    'one-lf': b'\n',
    'one-crlf': b'\r\n',
    'one-cr': b'\r',
    'one-dot': b'.',
    'one-nul': b'\0',
    'one-letter': b'x',
    'two-octets': b'F\n',
    'only-lfs': b'\n' * 33,
    'only-crs': b'\r' * 33,
    'only-crlfs': b'\r\n' * 33,
    'only-dots': b'.\n' * 33,
    'lf-lines': HEAD + b'one\ntwo\n',
    'crlf-lines': CRLF_HEAD + b'one\r\ntwo\r\n',
    'mixed-ends': HEAD + b'lf\ncrlf\r\nlf\n\ncrlf\r\n\r\n',
    'lf-head-crlf-body': HEAD + b'a\r\nb\r\n',
    'crlf-head-lf-body': CRLF_HEAD + b'a\nb\n',
    'no-final-newline': HEAD + b'the last line does not end',
    'no-final-newline-crlf': CRLF_HEAD + b'the last line does not end',
    'ends-in-lone-cr': HEAD + b'ends in a CR\r',
    'ends-in-two-crs': HEAD + b'ends in CRs\r\r',
    'ends-in-cr-cr-lf': HEAD + b'ends\r\r\n',
    'ends-in-lf-cr': HEAD + b'ends\n\r',
    'ends-in-dot': HEAD + b'ends\n.',
    'ends-in-dot-lf': HEAD + b'ends\n.\n',
    'ends-in-dot-cr': HEAD + b'ends\n.\r',
    'cr-cr-lf': HEAD + b'a\r\r\nb\r\r\n\r\r\n',
    'bare-crs': HEAD + b'one\rtwo\rthree\r\rfour\n',
    'cr-then-text-lf': HEAD + b'\rtext\n\r\rtext\n',
    'nuls': HEAD + b'a\0b\0\n\0\n\0\0\0',
    'nul-before-lf': HEAD + b'\0\n\0\r\n\r\0\n',
    'eight-bit': HEAD + bytes(range(128, 256)) + b'\n\xff\n\xc3\xa9',
    'every-octet': HEAD + bytes(range(256)) * 3,
    'dot-first-octet': b'.' + HEAD + b'body\n',
    'dot-lines': HEAD + b'.\n..\n...\n.a\n..a\na.\n.\n',
    'dot-lines-crlf': CRLF_HEAD + b'.\r\n..\r\n.a\r\n.\r\n',
    'dot-after-bare-cr': HEAD + b'a\r.b\r.\r.\n',
    'dot-cr-text': HEAD + b'.\rx\n',
    'dot-cr-cr-lf': HEAD + b'.\r\r\n',
    'terminator-inside': HEAD + b'a\r\n.\r\nb\n.\nc\r\n.\r\n',
    'header-only': HEAD[:-1],
    'header-only-no-newline': HEAD[:-2],
    'empty-line-first': b'\nbody without a header\n',
    'from-inside': HEAD + b'From here on\n>From there\n',
    'long-line': HEAD + b'x' * 70000 + b'\n',
    'long-header-line': b'Subject: ' + b'y' * 70000 + b'\n\nbody\n',
    'crlf-every-second': HEAD + b'a\nb\r\n' * 5000,
    'all-lf-64k': b'\n' * 65536,
    'all-dot-lines-64k': b'.\n' * 32768,
}


def filler(n, end=b'\n'):
    """n octets of lines of 40."""
    line = b'0123456789 abcdefghijklmnopqrstuvwxyz' + b'x' * (3 - len(end)) + end
    return (line * (n // len(line) + 1))[:n]


def plain(n):
    """n octets without any line end: what follows stands at a known place in both forms."""
    return (b'0123456789abcdef' * (n // 16 + 1))[:n]


def around_edges():
    """Sizes, and CR, LF and dots, at every place within three octets of a buffer's edge."""
    for edge in EDGES:
        for by in range(-3, 4):
            at, name = edge + by, '%d%+d' % (edge, by)
            yield 'size-lf-' + name, filler(at - 1) + b'\n'
            yield 'size-crlf-' + name, filler(at - 2, b'\r\n') + b'\r\n'
            yield 'size-unended-' + name, filler(at - 1) + b'z'
            yield 'size-cr-' + name, filler(at - 1) + b'\r'
            # the octets below begin `at` in the file, and in the wire form as well
            yield 'crlf-at-' + name, plain(at) + b'\r\nnext\n'
            yield 'dot-at-' + name, plain(at) + b'\n.\n.next\n'
            yield 'crcrlf-at-' + name, plain(at) + b'\r\r\n.\r\n'
            # every line grows by one octet, so edges of the wire form lie elsewhere
            lines = (at // 41) * 40
            yield 'wire-dot-' + name, filler(lines) + plain(at - lines // 40 * 41) + b'\n.\n'


def fixtures():
    """{name: stored octets}, always the same."""
    out = dict(ODD)
    out.update(around_edges())
    return out


def main():
    if len(sys.argv) != 2:
        sys.exit('usage: make_fixtures.py FOLDER')
    os.makedirs(sys.argv[1], exist_ok=True)
    for name, stored in fixtures().items():
        with open(os.path.join(sys.argv[1], name + '.eml'), 'wb') as f:
            f.write(stored)
    print('%d fixtures' % len(fixtures()))


if __name__ == '__main__':
    main()
