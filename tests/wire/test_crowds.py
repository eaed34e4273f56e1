#!/usr/bin/env python3
# alone
# limit: 300
"""Crowds of clients, good and hostile: what they cost and how long the others wait."""
import resource
import socket
import ssl
import statistics
import threading
import time

import lib
import test_hostile
import test_serve
import tls

CEILING = 8192			# octets that a connection may cost mailtree-login
TLS_CEILING = 65536		# and one that shakes hands
CROWD = 5000


def many_logins_at_once_succeed():
    """1,000 logins of 50 users, 50 at a time; one session per maildrop."""
    users = ['u%d' % i for i in range(50)]
    failed = []
    with test_serve.served(*users) as server:
        def client(user):
            for _ in range(20):
                try:
                    test_serve.works(server, user)
                except (lib.Failed, EOFError, OSError) as e:
                    if '[IN-USE]' not in str(e):	# the one before is still leaving
                        failed.append('%s: %s' % (user, e))
        threads = [threading.Thread(target=client, args=(u,)) for u in users]
        began = time.monotonic()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        print('# 1,000 logins in %.1f s' % (time.monotonic() - began))
    lib.same(failed[:3], [], 'logins that failed')


def a_hostile_crowd_costs_little():
    """Thousands of silent, stuttering and endless clients: little memory, and good logins
    go on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, CROWD + 500), hard))
    crowd = []
    try:
        with test_serve.served() as server:
            pid = server.child('mailtree-login')
            test_serve.works(server)
            before = int(test_serve.status_of(pid, 'VmRSS')[0])
            for i in range(CROWD):
                sock = socket.create_connection(('127.0.0.1', server.port), 30)
                crowd.append(sock)
                sock.sendall((b'', b'USER ann', b'x' * 4000, b'CAPA\r\n' * 8)[i % 4])
            waits = []
            for _ in range(100):
                began = time.monotonic()
                test_serve.works(server)
                waits.append(time.monotonic() - began)
            each = (int(test_serve.status_of(pid, 'VmRSS')[0]) - before) * 1024 / CROWD
            waits.sort()
            print('# %d hostile connections: %d octets each; good logins: median %d ms, '
                  'p99 %d ms' % (CROWD, each, waits[50] * 1000, waits[98] * 1000))
            lib.check(each <= CEILING or lib.sanitised('mailtree-login'),
                      '%d octets for each connection', each)
            lib.check(waits[98] < 0.5, 'p99 of good logins: %.3f s', waits[98])
            for sock in crowd:
                sock.close()
            crowd.clear()
            test_serve.works(server)
    finally:
        for sock in crowd:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def hello():
    """What a client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.lax().wrap_bio(incoming, outgoing)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()


def a_hostile_crowd_costs_little_of_tls_too():
    """Handshakes that never begin, stall at any place, or get an octet now and then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, CROWD + 500), hard))
    first, crowd, waits = hello(), [], []
    # a record that is longer than any hello, and one that is cut
    parts = (b'', first[:1], first[:200], first, b'\x16\x03\x01\x40\x00\x01\x00\x3f\xfc' +
             b'\0' * 12000)
    try:
        with tls.Served() as served:
            pid = served.server.child('mailtree-login')

            def works():
                began = time.monotonic()
                pop = lib.Pop3(served.secure('pop3s'))
                pop.login('ann', 'secret-ann')
                pop.quit()
                waits.append(time.monotonic() - began)
            works()
            before = int(test_serve.status_of(pid, 'VmRSS')[0])
            for i in range(CROWD):
                sock = served.connect('imaps')
                crowd.append(sock)
                sock.sendall(parts[i % len(parts)])
            waits.clear()
            for i in range(100):
                for sock in crowd[50 * i + 2:50 * i + 50:5]:	# those with a cut hello
                    sock.sendall(first[200:201])
                works()
            each = (int(test_serve.status_of(pid, 'VmRSS')[0]) - before) * 1024 // CROWD
            waits.sort()
            print('# %d hostile handshakes: %d octets each; good logins: median %d ms, '
                  'p99 %d ms' % (CROWD, each, waits[50] * 1000, waits[98] * 1000))
            lib.check(each <= TLS_CEILING or lib.sanitised('mailtree-login'),
                      '%d octets for each connection', each)
            lib.check(waits[98] < 0.5, 'p99 of good logins: %.3f s', waits[98])
            for sock in crowd:
                sock.close()
            crowd.clear()
            works()
    finally:
        for sock in crowd:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def wrong_password_and_unknown_user_look_alike():
    with test_hostile.served() as (server, _):
        def attempt(user, password):
            pop = server.connect()
            pop.ok('USER ' + user)
            began = time.monotonic()
            said = pop.ask('PASS ' + password)
            took = time.monotonic() - began
            pop.close()
            return said, took
        rows = {'wrong': [], 'unknown': []}
        for _ in range(3):
            rows['wrong'].append(attempt('ann', 'wrong'))
            rows['unknown'].append(attempt('nobody-here', 'wrong'))
        replies = {said for row in rows.values() for said, _ in row}
        lib.same(len(replies), 1, 'different replies: %s' % replies)
        times = {k: statistics.median(t for _, t in row) for k, row in rows.items()}
        lib.check(abs(times['wrong'] - times['unknown']) < 0.3, 'different times: %s', times)


def many_idle_connections_harm_nobody():
    with test_hostile.served() as (server, _):
        idle = []
        try:
            for i in range(600):
                sock = socket.create_connection(('127.0.0.1', server.port), 10)
                sock.sendall((b'', b'U', b'USER ann\r\n', b'A' * 4000)[i % 4])
                idle.append(sock)
            began = time.monotonic()
            test_hostile.still_serves(server)
            lib.check(time.monotonic() - began < 5, 'a good login took %.1f s',
                      time.monotonic() - began)
            login = lib.run('pgrep', '-P', str(server.process.pid), '-f',
                            'mailtree-login').stdout.split()
            with open('/proc/%s/status' % login[0].decode()) as f:
                rss = next(int(l.split()[1]) for l in f if l.startswith('VmRSS'))
            lib.check(rss < 20000 + 64 * 600, 'mailtree-login has %d KB', rss)
        finally:
            for sock in idle:
                sock.close()
        test_hostile.still_serves(server)


if __name__ == '__main__':
    lib.run_tests([
        many_logins_at_once_succeed,
        a_hostile_crowd_costs_little,
        a_hostile_crowd_costs_little_of_tls_too,
        wrong_password_and_unknown_user_look_alike,
        many_idle_connections_harm_nobody,
    ])
