/* msg: what the server's processes may say to each other, and nothing else. */
#include "tests/unit/support/check.h"
#include "tests/unit/support/guard.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/server/msg.h"

static void
parses(void **state)
{
	static const struct {
		struct span packet;
		enum msg_peer from, to;
		int rc;
		enum msg_type type;
		size_t n;
	} row[] = {
	    {SPAN("ok\0001"), MSG_AUTHD, MSG_LOGIN, 0, MSG_OK, 1},
	    {SPAN("ok\0"), MSG_AUTHD, MSG_LOGIN, 0, MSG_OK, 1},
	    {SPAN("auth\0001\0imap\0000\0::1\0::1\0al\0pw"), MSG_LOGIN, MSG_AUTHD, 0,
	     MSG_AUTH, 7},
	    {SPAN("auth\0001\0pop3\0001\0\0\0al\0"), MSG_LOGIN, MSG_AUTHD, 0, MSG_AUTH,
	     7},
	    {SPAN("begin\0001\0imap\0001\0::1\0::1\0\0PLAIN\0=\0al\0pw"), MSG_LOGIN,
	     MSG_AUTHD, 0, MSG_BEGIN, 8},
	    {SPAN("begin\0001\0imap\0001\0::1\0::1\0\0PLAIN\0"), MSG_AUTHD, MSG_WORKER,
	     0, MSG_SAY, 8},
	    {SPAN("answer\0001\0a\0b"), MSG_LOGIN, MSG_AUTHD, 0, MSG_ANSWER, 2},
	    {SPAN("answer\0001\0"), MSG_AUTHD, MSG_WORKER, 0, MSG_GO_ON, 2},
	    {SPAN("challenge\0001\0\0\0"), MSG_AUTHD, MSG_LOGIN, 0, MSG_CHALLENGE, 2},
	    {SPAN("challenge\0\0"), MSG_WORKER, MSG_AUTHD, 0, MSG_TURN, 1},
	    {SPAN("abort\0001"), MSG_LOGIN, MSG_AUTHD, 0, MSG_ABORT, 1},
	    {SPAN("begin\0001\0imap\0001\0::1\0::1\0\0PLAIN"), MSG_LOGIN, MSG_AUTHD, -1,
	     0, 0},
	    {SPAN("answer\0001"), MSG_LOGIN, MSG_AUTHD, -1, 0, 0},
	    {SPAN("challenge\0001\0"), MSG_LOGIN, MSG_AUTHD, -1, 0, 0},
	    {SPAN("abort\0001\0x"), MSG_LOGIN, MSG_AUTHD, -1, 0, 0},
	    {SPAN("all"), MSG_AUTHD, MSG_WORKER, 0, MSG_ALL, 0},
	    {SPAN("start\0001\0pop3\0\0en\0-\0::1\0a\0b\0"), MSG_LOGIN, MSG_PARENT, 0,
	     MSG_START, 7},
	    {SPAN("start\0001\0imap\0a7\0i-default\0-\0::1\0"), MSG_LOGIN, MSG_PARENT, 0,
	     MSG_START, 7},
	    /* too few, too many, none */
	    {SPAN("ok"), MSG_AUTHD, MSG_LOGIN, -1, 0, 0},
	    {SPAN("ok\0001\0002"), MSG_AUTHD, MSG_LOGIN, -1, 0, 0},
	    {SPAN("all\0"), MSG_AUTHD, MSG_WORKER, -1, 0, 0},
	    {SPAN("auth\0001\0al\0pw\0::1"), MSG_LOGIN, MSG_AUTHD, -1, 0, 0},
	    {SPAN("start\0001\0pop3\0\0en\0-\0::1"), MSG_LOGIN, MSG_PARENT, -1, 0, 0},
	    {SPAN(""), MSG_AUTHD, MSG_LOGIN, -1, 0, 0},
	    {SPAN("\0"), MSG_AUTHD, MSG_LOGIN, -1, 0, 0},
	    {SPAN("nonsense\0001"), MSG_AUTHD, MSG_LOGIN, -1, 0, 0},
	    /* login must not speak for auth, nor the other way round */
	    {SPAN("session\0001\0al\0005\0005\0-\0\0maildir:/m"), MSG_LOGIN, MSG_PARENT,
	     -1, 0, 0},
	    {SPAN("session\0001\0al\0005\0005\0-\0\0maildir:/m"), MSG_AUTHD, MSG_PARENT,
	     0, MSG_SESSION, 7},
	    {SPAN("start\0001\0pop3\0\0en\0-\0::1\0"), MSG_AUTHD, MSG_PARENT, -1, 0, 0},
	    {SPAN("ok\0001"), MSG_LOGIN, MSG_AUTHD, -1, 0, 0},
	};
	struct msg m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		check_num((uint64_t)msg_parse(guarded(row[i].packet), row[i].from,
		                              row[i].to, &m),
		          (uint64_t)row[i].rc, "row %zu", i);
		if (row[i].rc == 0) {
			check_num(m.type, row[i].type, "row %zu: type", i);
			check_num(m.n, row[i].n, "row %zu: fields", i);
		}
		guard_free_all();
	}
}

static void
last_field_is_raw(void **state)
{
	struct msg m;

	(void)state;
	check_num((uint64_t)msg_parse(SPAN("start\0001\0pop3\0\0en\0008\0::1\0a\0b\0"),
	                              MSG_LOGIN, MSG_PARENT, &m),
	          0, "start");
	check_span(m.f[6], SPAN("a\0b\0"), "what was read ahead");
}

static void
records(void **state)
{
	static const struct {
		struct span packet;
		bool good;
	} row[] = {
	    {SPAN("record\0al\0005\0006\0007,8\0/h\0maildir:/m"), true},
	    {SPAN("record\0al\0005\0006\0-\0\0maildir:/m"), true},
	    {SPAN("record\0../x\0005\0006\0-\0\0maildir:/m"), false},
	    {SPAN("record\0al\0x\0006\0-\0\0maildir:/m"), false},
	    {SPAN("record\0al\0005\0\0-\0\0maildir:/m"), false},
	    {SPAN("record\0al\0005\0006\0\0\0maildir:/m"), false},
	    {SPAN("record\0al\0005\0006\0007,\0\0maildir:/m"), false},
	    {SPAN("record\0al\0005\0006\0a\0\0maildir:/m"), false},
	    {SPAN("record\0al\0005\0006\0-\0h\0maildir:/m"), false},
	    {SPAN("record\0al\0005\0006\0-\0/h\0"), false},
	};
	struct record r;
	struct msg m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		check_num((uint64_t)msg_parse(row[i].packet, MSG_WORKER, MSG_AUTHD, &m),
		          0, "row %zu", i);
		check_num(record_parse(&m, 0, &r) == 0, row[i].good, "row %zu", i);
	}
}

static void
travels(void **state)
{
	struct record in = {SPAN("al"), 5,          6,
	                    SPAN("7"),  SPAN("/h"), SPAN("maildir:/m")},
	              out;
	struct span f[1 + RECORD_FIELDS] = {SPAN("9")};
	struct record_room numbers;
	char room[MSG_PACKET_MAX];
	struct msg m;
	int s[2], fd;

	(void)state;
	check_num((uint64_t)socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), 0, "sockets");
	record_fields(&in, &numbers, f + 1);
	check_num((uint64_t)msg_send(s[0], -1, MSG_USER, f, ARRAY_LEN(f)), 0, "send");
	check_num(
	    (uint64_t)msg_recv(s[1], MSG_AUTHD, MSG_PARENT, room, sizeof room, &m, &fd),
	    1, "receive");
	check_num((uint64_t)record_parse(&m, 1, &out), 0, "a record");
	check_span(out.user, in.user, "user");
	check_num(out.uid, in.uid, "uid");
	check_span(out.location, in.location, "location");
	check_num((uint64_t)fd, (uint64_t)-1, "no descriptor");

	check_num((uint64_t)MSG_SEND(s[0], -1, MSG_OK, SPAN("a\0b")), (uint64_t)-1,
	          "a NUL");
	check_num((uint64_t)errno, EINVAL, "why");
	close(s[0]);
	check_num(
	    (uint64_t)msg_recv(s[1], MSG_AUTHD, MSG_PARENT, room, sizeof room, &m, &fd),
	    0, "the other end is gone");
	close(s[1]);
}

/* A message that has a descriptor needs it, and one that has none must not bring one. */
static void
descriptors(void **state)
{
	static const struct {
		enum msg_type type;
		bool send_fd;
		int rc;
	} row[] = {
	    {MSG_PEER_AUTH, true, 1},
	    {MSG_PEER_AUTH, false, -1},
	};
	char room[MSG_PACKET_MAX];
	struct msg m;
	int s[2], fd;

	(void)state;
	check_num((uint64_t)socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), 0, "sockets");
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		check_num((uint64_t)msg_send(s[0], row[i].send_fd ? 0 : -1, row[i].type,
		                             NULL, 0),
		          0, "row %zu", i);
		check_num((uint64_t)msg_recv(s[1], MSG_PARENT, MSG_LOGIN, room,
		                             sizeof room, &m, &fd),
		          (uint64_t)row[i].rc, "row %zu", i);
		check_num(fd != -1, row[i].rc == 1, "row %zu", i);
		if (fd != -1)
			close(fd);
	}
	check_num((uint64_t)MSG_SEND(s[0], 0, MSG_NOUSER, SPAN("1")), 0, "too much");
	check_num(
	    (uint64_t)msg_recv(s[1], MSG_AUTHD, MSG_PARENT, room, sizeof room, &m, &fd),
	    (uint64_t)-1, "too much");
	check_num((uint64_t)fd, (uint64_t)-1, "it was closed");
	close(s[0]);
	close(s[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parses),      cmocka_unit_test(last_field_is_raw),
	    cmocka_unit_test(records),     cmocka_unit_test(travels),
	    cmocka_unit_test(descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
