#!/usr/bin/env python3
"""mailtree-pop3 over a real mount: what RFC 1939, 2449, 3206 and 6856 say, octet by octet."""
import os
import shutil
import time

import lib

ONE = b'Subject: one\n\nfirst\nsecond\nthird\n'
DOTS = b'.Subject: two\n\n.\n..\n.x\ny.\n'
MAIL = [ONE, DOTS, b'', b'Subject: \xc3\xa4\n\n\xff\xfe\n', b'no header end', b'\n\nbody\n']
SIZES = [len(lib.wire_of(m)) for m in MAIL]


def store_in(folder, messages=MAIL):
    store = lib.Maildir(os.path.join(folder, 'store'))
    for stored in messages:
        store.deliver(stored)
    return store


class Maildrop:
    """A store, a mount over it, and sessions."""

    def __init__(self, messages=MAIL):
        self.scratch = lib.scratch()
        self.folder = self.scratch.__enter__()
        self.store = store_in(self.folder, messages)
        self.mount = lib.Mount(self.folder, self.store.path)

    def session(self, *options):
        return lib.Session(self.mount.path, *options)

    def by_hand(self, octets, *options, **kwargs):
        """What `printf ... | mailtree-pop3` prints."""
        return lib.run(os.path.join(lib.BUILD, 'mailtree-pop3'), '-u', self.mount.path, *options,
                       input=octets, **kwargs)

    def __enter__(self):
        return self

    def __exit__(self, *how):
        self.mount.stop()
        self.scratch.__exit__(*how)


def by_hand_through_a_pipe():
    with Maildrop() as drop:
        said = drop.by_hand(b'STAT\r\nQUIT\r\n')
        lib.same(said.stdout, b'+OK %d %d\r\n+OK Logging out.\r\n' % (len(MAIL), sum(SIZES)),
                 'STAT and QUIT')
        lib.same(said.stderr, b'', 'log of a session by hand')
        every = b''.join(b'RETR %d\r\n' % n for n in range(1, len(MAIL) + 1))
        want = b''.join(
            b'+OK %d octets\r\n' % size +
            b''.join(b'.' * line.startswith(b'.') + line + b'\n'
                     for line in lib.wire_of(m).split(b'\n')[:-1]) + b'.\r\n'
            for m, size in zip(MAIL, SIZES))
        lib.same(drop.by_hand(every).stdout, want, 'RETR of all, pipelined')


def listings_and_single_lines_agree():
    with Maildrop() as drop, drop.session() as pop:
        sizes, ids = pop.table('LIST'), pop.table('UIDL')
        lib.same(list(sizes.values()), [str(s) for s in SIZES], 'LIST')
        lib.same(len(set(ids.values())), len(MAIL), 'distinct UIDLs')
        for n in sizes:
            lib.same(pop.ok('LIST %d' % n), b'+OK %d %s' % (n, sizes[n].encode()), 'LIST n')
            lib.same(pop.ok('UIDL %d' % n), b'+OK %d %s' % (n, ids[n].encode()), 'UIDL n')
            lib.same(pop.retr(n), (SIZES[n - 1], lib.wire_of(MAIL[n - 1])), 'RETR %d' % n)
        for bad in ('0', '-1', '7', 'x', '4294967297', '18446744073709551617', '1 2', '*'):
            for verb in ('LIST', 'UIDL', 'RETR', 'DELE'):
                pop.err('%s %s' % (verb, bad))
        pop.quit()


def top_ends_where_it_should():
    with Maildrop() as drop, drop.session() as pop:
        wire = lib.wire_of(ONE)
        head = wire[:wire.index(b'\r\n\r\n') + 4]
        for n in range(6):
            pop.ok('TOP 1 %d' % n)
            lib.same(pop.body(), head + b''.join(
                line + b'\r\n' for line in (b'first', b'second', b'third')[:n]), 'TOP 1 %d' % n)
        for n, want in ((3, b''), (5, lib.wire_of(MAIL[4])), (6, b'\r\n')):
            pop.ok('TOP %d 0' % n)
            lib.same(pop.body(), want, 'TOP %d 0' % n)
        pop.ok('TOP 2 2')
        lib.same(pop.raw_body(), b'..Subject: two\r\n\r\n..\r\n...\r\n', 'TOP stuffs')
        pop.err('TOP 1')
        pop.err('TOP 1 x')
        pop.quit()


def marks_last_until_quit():
    with Maildrop() as drop:
        with drop.session() as pop:
            pop.ok('DELE 1')
            for command in ('RETR 1', 'TOP 1 0', 'LIST 1', 'UIDL 1', 'DELE 1'):
                pop.err(command)
            lib.same(sorted(pop.table('LIST')), [2, 3, 4, 5, 6], 'LIST without it')
            lib.same(pop.ok('STAT'), b'+OK 5 %d' % sum(SIZES[1:]), 'STAT without it')
            pop.ok('RSET')
            lib.same(pop.ok('STAT'), b'+OK 6 %d' % sum(SIZES), 'STAT after RSET')
            pop.ok('DELE 2')
            pop.quit()
        lib.same(lib.uids(drop.mount.box('INBOX')), [1, 3, 4, 5, 6], 'UIDs left')
        with drop.session() as pop:
            lib.same(pop.retr(2)[1], b'', 'numbers close up in the next session')
            pop.quit()


def capabilities():
    with Maildrop() as drop, drop.session() as pop:
        tags = pop.lines('CAPA')
        for tag in ('TOP', 'UIDL', 'RESP-CODES', 'AUTH-RESP-CODE', 'PIPELINING', 'UTF8', 'LANG',
                    'EXPIRE NEVER', 'IMPLEMENTATION mailtree', 'USER'):
            lib.check(tag in tags, 'CAPA lacks %s: %r', tag, tags)
        lib.check('en English' in pop.lines('LANG'), 'LANG lists no English')
        lib.check(pop.ok('LANG en').startswith(b'+OK en '), 'LANG en')
        lib.check(pop.err('LANG MUL').startswith(b'-ERR en '), 'LANG MUL')
        for command in ('USER a', 'PASS b', 'UTF8', 'APOP a b', 'STLS', 'AUTH', 'XYZZY', ''):
            pop.err(command)
        pop.quit()


def eight_bit_octets_pass_in_either_mode():
    with Maildrop() as drop:
        for options in ((), ('-8',)):
            with drop.session(*options) as pop:
                lib.same(pop.retr(4)[1], lib.wire_of(MAIL[3]), '8-bit %s' % (options,))
                pop.quit()


def long_and_strange_lines():
    with Maildrop() as drop, drop.session() as pop:
        pop.send(b'X' * 100000 + b'\r\nNOOP\r\n')
        lib.check(pop.line().startswith(b'-ERR'), 'a 100 KB line')
        lib.same(pop.line(), b'+OK', 'the next command')
        pop.send(b'STAT' + b' ' * 249 + b'\r\n')
        lib.check(pop.line().startswith(b'+OK'), '255 octets')
        pop.send(b'STAT' + b' ' * 250 + b'\r\n')
        lib.check(pop.line().startswith(b'-ERR'), '256 octets')
        pop.send(b'DELE 1\0\r\n')
        lib.check(pop.line().startswith(b'-ERR'), 'NUL')
        for octet in b'noop\r\n':
            pop.send(bytes([octet]))
            time.sleep(0.01)
        lib.same(pop.line(), b'+OK', 'octet by octet, in lower case')
        pop.quit()


def disconnect_at_every_octet_removes_nothing():
    said = b'DELE 1\r\nDELE 2\r\nRETR 3\r\nQUIT\r\n'
    with Maildrop() as drop:
        for n in range(len(said) - 1):
            drop.by_hand(said[:n])
            lib.same(len(drop.store.files()), len(MAIL), 'messages after %r' % said[:n])
        drop.by_hand(said)
        lib.same(len(drop.store.files()), len(MAIL) - 2, 'messages after QUIT')


def the_rest_of_the_login_comes_first():
    """Octets that were pipelined behind PASS lie on a descriptor of their own."""
    with Maildrop() as drop:
        fd = os.memfd_create('rest', 0)
        os.write(fd, b'NOOP\r\nST')
        os.lseek(fd, 0, os.SEEK_SET)
        said = drop.by_hand(b'AT\r\nQUIT\r\n', '-g', '-r', str(fd), pass_fds=[fd])
        os.close(fd)
        lib.same(said.stdout, b'+OK Logged in.\r\n+OK\r\n+OK %d %d\r\n+OK Logging out.\r\n' %
                 (len(MAIL), sum(SIZES)), 'transcript')


def refusals_at_the_door():
    with Maildrop() as drop:
        with drop.session('-g') as pop:
            lib.same(pop.greeting, b'+OK Logged in.', 'greeting')
            second = drop.by_hand(b'STAT\r\n', '-g', ok=False)
            lib.check(second.stdout.startswith(b'-ERR [IN-USE] '), 'in use: %r', second.stdout)
            lib.same((second.stdout.count(b'\n'), second.returncode), (1, 1), 'and nothing else')
            pop.quit()
        nothing = drop.by_hand(b'', '-m', 'Nothing', ok=False)
        lib.check(nothing.stdout.startswith(b'-ERR [SYS/PERM] '), 'no mailbox: %r',
                  nothing.stdout)
        for options in (('-U', '%v'), ('-U', ''), ('-l', 'xx'), ('-r', 'x'), ('-z',), ('more',)):
            bad = drop.by_hand(b'', *options, ok=False)
            lib.same((bad.returncode, bad.stdout), (2, b''), 'wrong usage %s' % (options,))
        lib.check(b'-u VIEW' in drop.by_hand(b'', '-h').stdout, '-h')


def other_mailboxes():
    with Maildrop() as drop:
        os.makedirs(drop.mount.box('Archive', '2024'))
        with open(drop.mount.box('Archive', '2024', 'x'), 'wb') as f:
            f.write(ONE)
        said = drop.by_hand(b'STAT\r\n', '-m', 'Archive/2024').stdout
        lib.same(said, b'+OK 1 %d\r\n' % SIZES[0], 'STAT of Archive/2024')


def uidls_stay():
    """Over flags, new -> cur, a restart, and the loss of the index."""
    with Maildrop() as drop:
        inbox = drop.mount.box('INBOX')

        def ids():
            with drop.session() as pop:
                table = pop.table('UIDL')
                pop.quit()
            return table

        def lose_the_index():
            drop.mount.unmount()
            shutil.rmtree(drop.mount.index)
            os.makedirs(drop.mount.index)
            drop.mount.start()

        before = ids()
        validity = int(drop.store.uidlist()[0]['V'])
        lib.same(before, {n: '%08x%08x' % (n, validity) for n in range(1, 7)}, 'default format')
        for what, act in (('flags', lambda: lib.ctl(inbox, 'flags +\\Seen,\\Flagged 1:*')),
                          ('recent', lambda: lib.ctl(inbox, 'recent')),
                          ('restart', drop.mount.restart), ('no index', lose_the_index)):
            act()
            lib.same(ids(), before, 'UIDLs after: ' + what)


def uidl_formats():
    with Maildrop() as drop:
        drop.by_hand(b'')
        head, entries = drop.store.uidlist()
        base, v = dict(entries), head['V']
        for text, want in (('%v.%u', lambda u: '%s.%d' % (v, u)),
                           ('%u%v', lambda u: '%d%s' % (u, v)),
                           ('%g', lambda u: base[u]), ('%f', lambda u: base[u]),
                           ('UID%u-%v', lambda u: 'UID%d-%s' % (u, v)),
                           ('%{uid | hex(8)}%{uidvalidity | hex(8)}',
                            lambda u: '%08x%08x' % (u, int(v)))):
            with drop.session('-U', text) as pop:
                lib.same(pop.table('UIDL'), {n: want(n) for n in range(1, 7)}, text)
                pop.quit()


def strange_base_names_become_unique_ids():
    with lib.scratch() as folder:
        store = lib.Maildir(os.path.join(folder, 'store'))
        names = ['a b', 'x' * 71, 'y' * 70, '\u00e4', 'plain']
        for name in names:
            store.deliver(ONE, base=name)
        with lib.Mount(folder, store.path) as mount, lib.Session(mount.path, '-U', '%f') as pop:
            ids = list(pop.table('UIDL').values())
            pop.quit()
        lib.same(len(set(ids)), len(names), 'distinct')
        for one in ids:
            lib.check(1 <= len(one) <= 70 and all('!' <= c <= '~' for c in one), 'UIDL %r', one)
        lib.check('plain' in ids and 'y' * 70 in ids, 'what is one stays: %r', ids)


def dovecots_own_uidls_win():
    """`P` in dovecot-uidlist: the UIDL that a client has known the message by."""
    with Maildrop(MAIL[:2]) as drop:
        drop.by_hand(b'')
        drop.mount.unmount()
        path = os.path.join(drop.store.path, 'dovecot-uidlist')
        lines = lib.text_of(path).split(b'\n')
        uid, rest = lines[1].split(b' ', 1)
        lines[1] = uid + b' POLD-17 ' + rest
        with open(path, 'wb') as f:
            f.write(b'\n'.join(lines))
        shutil.rmtree(drop.mount.index)
        os.makedirs(drop.mount.index)
        drop.mount.start()
        with drop.session() as pop:
            ids = pop.table('UIDL')
            lib.same(ids[1], 'OLD-17', 'UIDL 1')
            lib.check(ids[2].startswith('00000002'), 'UIDL 2: %r', ids[2])
            lib.same(pop.ok('UIDL 1'), b'+OK 1 OLD-17', 'alone')
            pop.quit()


def pipelining_without_reading():
    """Commands go on coming while a large reply waits to be taken."""
    large = [b'Subject: %d\n\n' % n + b'line of text\n' * 20000 for n in range(12)]
    with Maildrop(large) as drop, drop.session() as pop:
        commands = b''.join(b'RETR %d\r\n' % n for n in range(1, 13)) + b'NOOP\r\n'
        pop.send(commands)
        time.sleep(0.3)
        for n in range(1, 13):
            said = pop.line()
            lib.check(said.startswith(b'+OK'), 'RETR %d: %r', n, said)
            lib.same(pop.body(), lib.wire_of(large[n - 1]), 'RETR %d' % n)
        lib.same(pop.line(), b'+OK', 'NOOP at the end')
        pop.quit()


def memory_is_bounded():
    """A client that reads nothing; one that sends without end."""
    large = [b'Subject: x\n\n' + b'line of text\n' * 400000]
    with Maildrop(large) as drop, drop.session() as pop:
        pop.ok('STAT')

        def rss():
            with open('/proc/%d/status' % pop.process.pid) as f:
                return next(int(line.split()[1]) for line in f if line.startswith('VmRSS'))

        before = rss()
        pop.sock.setblocking(False)
        try:
            while True:
                pop.sock.send(b'RETR 1\r\n' * 500)
        except BlockingIOError:
            pass
        time.sleep(0.5)
        lib.check(rss() - before < 2048, 'grew from %d to %d KB', before, rss())
        pop.sock.setblocking(True)
        pop.kill()


def the_session_is_confined():
    with Maildrop() as drop, drop.session() as pop:
        pop.ok('STAT')
        with open('/proc/%d/status' % pop.process.pid) as f:
            status = dict(line.rstrip('\n').split(':\t', 1) for line in f if ':\t' in line)
        lib.same(status['NoNewPrivs'], '1', 'no_new_privs')
        fds = os.listdir('/proc/%d/fd' % pop.process.pid)
        lib.check(len(fds) <= 12, '%d descriptors are open', len(fds))
        pop.quit()


def many_messages():
    """Numbers, sizes and octets of 3,000 messages, in order and at random."""
    mail = [b'Subject: %d\n\n' % n + b'.%d\n' % n * (n % 97) for n in range(3000)]
    with Maildrop(mail) as drop, drop.session() as pop:
        lib.same([int(s) for s in pop.table('LIST').values()],
                 [len(lib.wire_of(m)) for m in mail], 'LIST')
        for step in (1, 1009):
            for k in range(0, 3000):
                n = k * step % 3000 + 1
                lib.same(pop.retr(n)[1], lib.wire_of(mail[n - 1]), 'RETR %d' % n)
        pop.quit()


def edges_of_the_window():
    """Sizes around 4 KB, 64 KB and 256 KB, and where they begin on a page."""
    sizes = [edge + d for edge in (4096, 65536, 262144 - 4096, 262144, 524288)
             for d in range(-3, 4)]
    mail = [(b'Subject: %d\r\n\r\n' % s + b'.\r\n' * (s // 3 + 1))[:s - 2] + b'\r\n' for s in sizes]
    with Maildrop(mail) as drop, drop.session() as pop:
        for n, m in enumerate(mail, 1):
            want = lib.wire_of(m)
            size, octets = pop.retr(n)
            lib.same((size, octets), (len(want), want), 'RETR of %d octets' % len(want))
        pop.quit()


if __name__ == '__main__':
    lib.run_tests([
        by_hand_through_a_pipe,
        listings_and_single_lines_agree,
        top_ends_where_it_should,
        marks_last_until_quit,
        capabilities,
        eight_bit_octets_pass_in_either_mode,
        long_and_strange_lines,
        disconnect_at_every_octet_removes_nothing,
        the_rest_of_the_login_comes_first,
        refusals_at_the_door,
        other_mailboxes,
        uidls_stay,
        uidl_formats,
        strange_base_names_become_unique_ids,
        dovecots_own_uidls_win,
        pipelining_without_reading,
        memory_is_bounded,
        the_session_is_confined,
        many_messages,
        edges_of_the_window,
    ])
