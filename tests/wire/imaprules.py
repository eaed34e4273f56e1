"""The classes of differences between Dovecot 2.3.19 and mailtree, for imapcompare: each with
who is right, why, and a test that only such a difference passes."""
import re

import lib
import stores


MISSING = 'MISSING'		# as imapcompare has it


class Rule:
    """right: `mailtree`, `Dovecot` or `both`. matches: a function of an imapcompare.Diff."""

    def __init__(self, name, right, why, matches):
        self.name, self.right, self.why, self.matches = name, right, why, matches


def head_of(wire):
    """Up to and with the empty line."""
    if wire.startswith(b'\r\n'):
        return wire[:2]
    return wire[:(wire + b'\r\n\r\n').find(b'\r\n\r\n') + 4]


def is_structure(d):
    return d.item in ('BODY', 'BODYSTRUCTURE')


def is_section(d, *kinds):
    return d.item.startswith(('BODY[', 'BINARY[', 'BINARY.')) and \
        (not kinds or any(k in d.item for k in kinds))


def is_answer(d):
    return d.item.endswith(' answer')


def unended(d):
    if not d.item.endswith(' unended'):
        return False
    if d.item.startswith('RFC822.SIZE'):
        return int(d.ours) - int(d.theirs) == 2
    return d.ours == lib.wire_of(d.theirs)


def absent_part(d):
    return is_section(d) and d.ours is None and d.theirs == b''


def blank_line(d):
    """A header without the empty line that ends it."""
    return is_section(d, '.MIME]', '.HEADER]', 'HEADER.FIELDS.NOT ') and \
        isinstance(d.ours, bytes) and isinstance(d.theirs, bytes) and \
        d.ours == d.theirs + b'\r\n' and not d.theirs.endswith(b'\r\n\r\n')


def letter_case(d):
    return is_structure(d) and isinstance(d.ours, bytes) and isinstance(d.theirs, bytes) and \
        d.ours.lower() == d.theirs.lower() and d.ours in d.message.wire


def broken_type(d):
    """Dovecot has an empty type or subtype where the field cannot be read."""
    if is_structure(d):
        return d.theirs == b'' or isinstance(d.theirs, list) and b'' in d.theirs[:2]
    return is_section(d) and '/type-' in d.message.name


def global_message(d):
    return b'message/global' in d.message.wire.lower() and \
        (is_structure(d) or is_section(d) or d.item.startswith('SEARCH '))


def cut_header(d):
    return (is_structure(d) or is_section(d)) and d.message.name.endswith('message-header-cut.eml')


def section_numbers(d):
    return is_structure(d) and isinstance(d.theirs, bytes) and \
        re.sub(rb'\*\d+', b'', d.theirs) == re.sub(rb'\*\d+', b'', d.ours) and b'*' in d.theirs


def no_known_encoding(d):
    """Dovecot refuses BINARY of a part whose encoding BODYSTRUCTURE gives as 7bit."""
    return is_answer(d) and d.item.startswith('BINARY') and \
        (d.ours, d.theirs) == ('OK', 'NO [UNKNOWN-CTE]')


def broken_encoding(d):
    return is_answer(d) and d.item.startswith('BINARY') and \
        (d.ours, d.theirs) == ('OK', 'NO [PARSE]')


def binary_size(d):
    if not d.item.startswith('BINARY.SIZE['):
        return False
    octets = d.beside.get(d.item.replace('.SIZE', ''))
    return octets is not None and int(d.ours) == len(octets)


def buffer_edge(d):
    """What the wire rule says is what mailtree says."""
    wire = d.message.wire
    want = {'RFC822.SIZE': str(len(wire)), 'BODY[]': wire, 'BODY[HEADER]': head_of(wire),
            'RFC822.HEADER': head_of(wire), 'BODY[1.MIME]': head_of(wire),
            'BODY[TEXT]': wire[len(head_of(wire)):]}.get(d.item)
    if 'HEADER.FIELDS.NOT ' in d.item and b':' not in wire:		# then no field is left out
        want = wire + b'\r\n'
    return len(wire) > 8000 and want is not None and \
        d.ours == (want.replace(b'\0', b'\x80') if isinstance(want, bytes) else want)


def hang_up(d):
    return is_answer(d) and (d.ours, d.theirs) == ('OK', 'HANGUP')


def lone_cr(d):
    return d.item == 'ENVELOPE' and isinstance(d.ours, bytes) and isinstance(d.theirs, bytes) and \
        re.search(rb'\r(?!\n)', head_of(d.message.wire)) and \
        d.ours.replace(b' ', b'') == d.theirs.replace(b' ', b'')


def date_of(d):
    return re.search(rb'(?im)^date[ \t]*:(.*)', head_of(d.message.wire))


def sent_with_odd_date(d):
    """Folded, or with words that Dovecot does not read."""
    return d.item.startswith('SEARCH ') and 'SENT' in d.item and date_of(d) and \
        not re.match(rb'\s*(\w{3},)? ?\d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}', date_of(d)[1])


def searched_addresses(d):
    """What is in the field as it was written, or as Dovecot has put it together, only."""
    if re.search(r'\b(CC a|TO list|FROM com)\b', d.item):		# one key of many
        return re.search(rb'(?im)^(from|to|cc):.*\(', head_of(d.message.wire))
    m = re.match(r'SEARCH (?:CHARSET \S+ )?(?:FROM|TO|CC|BCC) (?:"(.*)"|\'\\xc2\\xa0\')$', d.item)
    return m and (m[1] in (None, '@') or
                  d.ours and m[1].lower().encode() in head_of(d.message.wire).lower())


def searches_text(d):
    return re.match(r'SEARCH (CHARSET \S+ )?(BODY|TEXT) ', d.item)


def broken_type_searched(d):
    """A parameter without its semicolon."""
    return searches_text(d) and d.ours and \
        re.search(rb'(?im)^content-type:[ \t]*[\w/+-]+[ \t]+\w+=', d.message.wire)


def broken_base64_searched(d):
    return searches_text(d) and b'base64' in d.message.wire.lower() and d.ours


def old_charset(d):
    """Dovecot takes GB2312 by the letter, and does not know KS C 5601-1987."""
    return searches_text(d) and re.search(rb'gb2312|ks_c_5601', d.message.wire.lower())


def blank_first_line(d):
    return d.item.startswith('SEARCH ') and 'SUBJECT' in d.item.upper() and \
        d.message.wire.startswith(b' ') and d.ours


def windows_1252(d):
    """The euro sign in what says that it is ISO-8859-1."""
    return re.match(r"SEARCH CHARSET \S+ \w+ '(\\xe2\\x82\\xac|\\xa4)'$", d.item) and d.ours and \
        b'8859-1' in d.message.wire and re.search(rb'=80|\x80', d.message.wire)


def many_crs(d):
    return b'\r\r\n' in d.message.wire and (d.item == 'RFC822.SIZE' or is_section(d) or
                                           d.item == 'RFC822.HEADER')


def any_of(*matches):
    return lambda d: any(m(d) for m in matches)


RULES = [
    Rule('a message without a final newline ends in CRLF', 'mailtree',
         'the wire rule: every channel has the size of whole lines (RFC 1939 section 3)', unended),
    Rule('a part that is not there: NIL, not an empty string', 'both',
         'nstring (RFC 9051 section 9)', absent_part),
    Rule('`.MIME` and `HEADER.FIELDS.NOT` of a header without an empty line end in one', 'both',
         'RFC 9051 section 6.4.5.1 wants it, but of a message that has none', blank_line),
    Rule('types and charsets as the message writes them', 'both',
         'no case is prescribed (RFC 2045 section 5.1); Dovecot has a shortcut for plain text',
         letter_case),
    Rule('a Content-Type that cannot be read is text/plain, and searched as that', 'mailtree',
         'RFC 2045 section 5.2', any_of(broken_type, broken_type_searched)),
    Rule('message/global has envelope and parts', 'mailtree',
         'RFC 6532 section 3.7, RFC 9051 section 7.5.2', global_message),
    Rule('the line end before a boundary belongs to it, in a header too', 'mailtree',
         'RFC 2046 section 5.1.1', cut_header),
    Rule('`b*` after `a*1` is `b*`', 'mailtree',
         'RFC 2231 section 4: that is no section number', section_numbers),
    Rule('BINARY of a part whose encoding cannot be read', 'both',
         'BODYSTRUCTURE says 7bit of it, in both', no_known_encoding),
    Rule('broken base64 and quoted-printable: decoded as far as it goes', 'both',
         'RFC 2045 sections 6.7 and 6.8 allow either', any_of(broken_encoding, broken_base64_searched)),
    Rule('Dovecot miscounts', 'mailtree',
         'BINARY.SIZE is the length of BINARY (RFC 9051 section 6.4.5); a line end at the edge of '
         'a buffer of 8 KB; it hangs up when it has announced more octets than it finds',
         any_of(binary_size, buffer_edge, hang_up)),
    Rule('odd octets in a header: a CR alone is a blank, a blank first line hides no field', 'both',
         'RFC 5322 section 2.2 forbids them', any_of(lone_cr, blank_first_line)),
    Rule('FROM, TO, CC and BCC look into the field as it is written', 'both',
         'Dovecot looks into the addresses as it has parsed them', searched_addresses),
    Rule('charsets are what their writers meant: GB2312 is GBK, KS C 5601-1987 is CP949, '
         'ISO-8859-1 with 0x80 to 0x9f is Windows-1252', 'both',
         'those octets are no letters else', any_of(old_charset, windows_1252)),
    Rule('SENTBEFORE and the like of a Date in an odd form', 'mailtree',
         'obsolete and folded dates are dates (RFC 5322 section 4.3)', sent_with_odd_date),
]

if stores.KIND == 'mbox':
    RULES += [
        Rule('several CRs before an LF are octets like others', 'mailtree',
             'Dovecot drops all of them when it reads an mbox', many_crs),
    ]
