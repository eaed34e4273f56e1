#!/usr/bin/env python3
"""How many connections, sessions and login processes there may be, and what happens at the
limit."""
import contextlib
import os
import poplib
import signal
import socket
import time

import lib
import test_imap_login
import tls

Raw = test_imap_login.Raw
LOGIN = b'a LOGIN %s secret-%s\r\n'
ONE_EACH = 'service imap-login {\n  service_count = 1\n  process_limit = %d\n}\n'
EXCEEDED = 'Maximum number of connections from user+IP exceeded ' \
    '(mail_max_userip_connections=%d)'


def logins(server):
    return len(server.children('mailtree-login'))


def asked(sock, user, greeting=True):
    """(the connection, what LOGIN is answered)"""
    raw = Raw(sock, greeting)
    before, said = raw.tagged(LOGIN % (user, user))
    return raw, said


def ended(raw):
    try:
        while raw.line():
            pass
    except (EOFError, ConnectionError):
        return True


def let_go(raw):
    raw.tagged(b'z LOGOUT\r\n', b'z')
    raw.close()


def wait_for_room(served):
    """Until ann may have a session: one has ended, which its parent hears of later."""
    def again():
        raw, said = asked(served.connect('imap'), b'ann')
        raw.close()
        return said.startswith(b'OK ')
    lib.wait_until(again, 20, 'a session after one has ended')


def a_user_has_so_many_from_one_address():
    with tls.Served('mail_max_userip_connections = 3') as served, contextlib.ExitStack() as all:
        kept = []
        for n in range(3):
            # by TLS and without: the address is the client's
            sock = served.secure('imaps') if n == 1 else served.connect('imap')
            raw, said = asked(sock, b'ann', greeting=True)
            all.callback(raw.close)
            lib.check(said.startswith(b'OK '), 'session %d: %r', n, said)
            kept.append(raw)
        for name in ('imap', 'imaps'):
            sock = served.secure(name) if name == 'imaps' else served.connect(name)
            raw, said = asked(sock, b'ann')
            lib.same(said, b'NO [LIMIT] ' + (EXCEEDED % 3).encode(), 'one too many, ' + name)
            lib.check(ended(raw), 'it is over')
        other, said = asked(served.connect('imap'), b'bob')
        lib.check(said.startswith(b'OK '), 'somebody else: %r', said)
        let_go(other)
        elsewhere, said = asked(served.connect('imap', '127.0.0.9'), b'ann')
        lib.check(said.startswith(b'OK '), 'from another address: %r', said)
        let_go(elsewhere)
        pop = served.server.session('ann')	# the other protocol has its own count
        pop.ok('NOOP')
        pop.quit()
        lib.check(EXCEEDED % 3 in served.server.log_text(), 'the log')
        let_go(kept.pop())
        wait_for_room(served)


def each_protocol_may_have_its_own_number():
    with tls.Served('mail_max_userip_connections = 1\n'
                    'protocol imap {\n  mail_max_userip_connections = 2\n}\n') as served:
        first, second, third = (asked(served.connect('imap'), b'ann') for _ in range(3))
        lib.check(second[1].startswith(b'OK '), 'the second: %r', second[1])
        lib.check(third[1].startswith(b'NO [LIMIT]'), 'the third: %r', third[1])
        one = served.server.session('bob')
        pop = served.server.connect()
        pop.ok('USER bob')
        lib.same(pop.ask('PASS secret-bob'), b'-ERR [IN-USE] ' + (EXCEEDED % 1).encode(), 'PASS')
        one.quit()
        for raw, _ in (first, second):
            let_go(raw)


def sessions_of_a_protocol_have_a_limit():
    with tls.Served('service imap {\n  process_limit = 2\n}\n') as served:
        kept = [asked(served.connect('imap'), user)[0] for user in (b'ann', b'bob')]
        raw, said = asked(served.connect('imap'), b'ann')
        lib.check(said.startswith(b'NO [UNAVAILABLE]'), 'one too many: %r', said)
        lib.check('service(imap): process_limit (2) reached' in served.server.log_text(),
                  'the log says which')
        pop = served.server.session('ann')
        pop.quit()
        let_go(kept.pop())
        wait_for_room(served)


def one_process_for_each_connection():
    with tls.Served(ONE_EACH % 20) as served:
        server = served.server
        base = logins(server)	# that of POP3, and one of a connection that has just gone
        waiting = [Raw(served.connect('imap')) for _ in range(5)]
        lib.wait_until(lambda: logins(server) == 1 + 5, 20, 'a process for each (%d)' % base)
        for n, raw in enumerate(waiting):
            raw.login('ann')	# clear text: the process has done what it was for
            lib.wait_until(lambda: logins(server) == 1 + 4 - n, 20, 'it has ended')
            let_go(raw)
        kept = [Raw(served.secure('imaps')) for _ in range(3)]
        for raw in kept:
            raw.login('bob')
        lib.wait_until(lambda: logins(server) == 1 + 3, 20, 'who speaks TLS for a session stays')
        let_go(kept.pop())
        lib.wait_until(lambda: logins(server) == 1 + 2, 20, 'until the session ends')
        for raw in kept:
            let_go(raw)
        lib.check('has ended' not in server.log_text(), 'no news: %s', server.log_text()[-500:])


def one_each(path):
    return lib.Server(path, ['ann'], 'service pop3-login {\n  service_count = 1\n}\n')


def a_process_that_dies_is_followed_by_another():
    """Where none is to be ready, too; not at once, when they die again and again."""
    with lib.scratch() as path, one_each(path) as server:
        for n in range(2):
            lib.wait_until(lambda: logins(server) == 0, 20, 'none is ready')
            pop = server.connect()
            os.kill(server.child('mailtree-login'), signal.SIGKILL)
            lib.check(ended(pop), 'its client is gone')
            lib.wait_until(lambda: server.log_text().count('has ended (killed') > n, 20,
                           'it is told')
        server.session('ann').quit()


def seconds_of(pid):
    """Of a processor's time."""
    words = lib.text_of('/proc/%d/stat' % pid).rsplit(b')', 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf('SC_CLK_TCK')


def who_waits_for_mailtree_auth_costs_nothing():
    """There is none for 2 s after its third death: nobody can be let in meanwhile."""
    with lib.scratch() as path, one_each(path) as server:
        for n in range(3):
            lib.wait_until(lambda: server.children('mailtree-auth'), 20, 'mailtree-auth')
            os.kill(server.child('mailtree-auth'), signal.SIGKILL)
            lib.wait_until(lambda: server.log_text().count('mailtree-auth has ended') > n, 20,
                           'it is told')
        before = seconds_of(server.process.pid)
        server.session('ann').quit()
        took = seconds_of(server.process.pid) - before
        lib.check(took < 0.4, 'mailtree serve took %.2f s of a processor', took)


def when_all_processes_are_taken_the_oldest_goes():
    with tls.Served(ONE_EACH % 3) as served:
        silent = [Raw(served.connect('imap')) for _ in range(3)]
        raw = Raw(served.connect('imap'))
        raw.login('ann')
        lib.check(ended(silent[0]), 'who came first is gone')
        lib.check('service(imap-login): process_limit (3) reached' in served.server.log_text(),
                  'the log says which')
        for other in silent[1:]:
            other.login('bob')
            let_go(other)
        let_go(raw)
        # sessions with TLS hold their processes: nobody can be sent away for others
        held = [Raw(served.secure('imaps')) for _ in range(3)]
        for one in held:
            one.login('ann')
        late = served.connect('imap')
        late.settimeout(0.5)
        try:
            lib.check(late.recv(1) == b'', 'a greeting')
        except socket.timeout:
            pass
        let_go(held.pop())
        late.settimeout(60)
        late = Raw(late)
        late.login('bob')
        for one in held + [late]:
            let_go(one)


def clients_of_a_process_have_a_limit():
    extra = 'service imap-login {\n  service_count = 0\n  client_limit = 2\n' \
        '  process_limit = %d\n}\n'
    with tls.Served(extra % 2) as served:
        server = served.server
        four = [Raw(served.connect('imap')) for _ in range(4)]
        lib.same(logins(server), 1 + 2, 'processes')	# one is POP3's
        raw = Raw(served.connect('imap'))
        raw.login('ann')
        gone = 0
        for one in four:
            try:
                one.login('bob')
                let_go(one)
            except (EOFError, ConnectionError):
                gone += 1
        lib.same(gone, 1, 'connections that made room')
        let_go(raw)
    with tls.Served(extra % 1) as served:
        two = [Raw(served.connect('imap')) for _ in range(2)]
        raw = Raw(served.connect('imap'))
        raw.login('ann')
        lib.check(ended(two[0]), 'who came first is gone')
        two[1].login('bob')
        lib.check('service(imap-login): client_limit (2) reached' in served.server.log_text(),
                  'the log says which')
        for one in (two[1], raw):
            let_go(one)


def some_wait_ready():
    with lib.scratch() as path, lib.Server(
            path, ['ann'], 'service pop3-login {\n  service_count = 1\n'
            '  process_min_avail = 3\n}\n') as server:
        lib.wait_until(lambda: logins(server) == 3, 20, 'three are ready')
        one = server.connect()
        lib.wait_until(lambda: logins(server) == 4, 20, 'and three more than are used')
        os.kill(server.child('mailtree-login'), signal.SIGKILL)
        lib.wait_until(lambda: 'has ended (killed' in server.log_text(), 20, 'it is told')
        lib.wait_until(lambda: logins(server) >= 3, 30, 'another one begins')
        one.close()
        server.session('ann').quit()


def config_check_warns():
    with lib.scratch() as path:
        conf = os.path.join(path, 'c')
        with open(conf, 'w') as f:
            f.write('passdb {\n driver = passwd-file\n args = /dev/null\n}\n'
                    'userdb {\n driver = passwd\n}\n'
                    'service imap-login {\n process_min_avail = 9\n process_limit = 4\n}\n')
        said = lib.run(os.path.join(lib.BUILD, 'mailtree'), 'config', 'check', '-c', conf,
                       ok=False)
        text = (said.stdout or b'') + (said.stderr or b'')
        lib.check(b'process_min_avail = 9: more than process_limit' in text, '%r', text)


def handshakes_have_a_time_of_their_own():
    with tls.Served('login_handshake_timeout = 1 sec\nlogin_timeout = 50 secs\n') as served:
        silent, dribbled = served.connect('imaps'), served.connect('pop3s')
        dribbled.sendall(b'\x16\x03\x01\x00')	# a record that never gets whole
        clear = Raw(served.connect('imap'))
        upgraded = Raw(served.connect('imap'))
        lib.check(upgraded.tagged(b'a STARTTLS\r\n')[1].startswith(b'OK '), 'STARTTLS')
        begun = time.monotonic()
        for name, sock in (('silent', silent), ('dribbled', dribbled),
                           ('STARTTLS', upgraded.sock)):
            sock.settimeout(30)
            try:
                lib.same(sock.recv(10), b'', name)
            except ConnectionError:
                pass
        lib.check(time.monotonic() - begun < 30, 'long before login_timeout')
        clear.login('ann')	# who shakes no hands has the other time
        let_go(clear)
        raw = Raw(served.secure('imaps'))
        time.sleep(1.2)		# and so has who has shaken them
        raw.login('bob')
        let_go(raw)
    with tls.Served('login_timeout = 1 sec\n') as served:
        lib.check(b'BYE' in Raw(served.connect('imap')).line(), 'login_timeout')


def who_fails_again_and_again_waits_longer_each_time():
    """auth_failure_delay, doubled from the third failure on, for a network, not for others."""
    with tls.Served('auth_failure_delay = 1 sec\n') as served:
        def attempt(source, password):
            raw = Raw(served.connect('imap', source))
            began = time.monotonic()
            said = raw.tagged(b'a LOGIN ann %s\r\n' % password)[1]
            raw.close()
            return time.monotonic() - began, said
        took = []
        for _ in range(5):
            seconds, said = attempt('127.0.0.9', b'wrong')
            lib.check(said.startswith(b'NO [AUTHENTICATIONFAILED]'), 'wrong: %r', said)
            took.append(seconds)
        lib.check(all(t >= 0.9 for t in took), 'each is held back: %r', took)
        lib.check(took[4] >= 1.9, 'the fifth waits for twice as long: %r', took)
        seconds, said = attempt('127.0.0.9', b'secret-ann')
        lib.check(said.startswith(b'OK ') and seconds >= 3.9,
                  'the right password waits too: %.1f s, %r', seconds, said)
        other, said = attempt('127.0.0.77', b'secret-ann')
        lib.check(said.startswith(b'OK ') and other < seconds,
                  'from another address: %.1f s, %r', other, said)


def apop_after_stls():
    with tls.Served('auth_mechanisms = plain apop\nauth_failure_delay = 1 sec\n') as served:
        for password, right in (('secret-ann', True), ('secret-bob', False)):
            pop = poplib.POP3('127.0.0.1', served.ports['pop3'], timeout=60)
            pop.stls(served.context())
            try:
                pop.apop('ann', password)
                lib.check(right, 'a wrong password got in')
            except poplib.error_proto as e:
                lib.check(not right, 'APOP after STLS: %s', e)
            pop.close()


if __name__ == '__main__':
    lib.run_tests([
        a_user_has_so_many_from_one_address,
        each_protocol_may_have_its_own_number,
        sessions_of_a_protocol_have_a_limit,
        one_process_for_each_connection,
        a_process_that_dies_is_followed_by_another,
        who_waits_for_mailtree_auth_costs_nothing,
        when_all_processes_are_taken_the_oldest_goes,
        clients_of_a_process_have_a_limit,
        some_wait_ready,
        config_check_warns,
        handshakes_have_a_time_of_their_own,
        who_fails_again_and_again_waits_longer_each_time,
        apop_after_stls,
    ])
