#include "protocol/server/hello.h"

#include <errno.h>
#include <sys/socket.h>

enum { HANDSHAKE = 22, CLIENT_HELLO = 1, RECORD_HEAD = 5, MESSAGE_HEAD = 4 };

/* RFC 8446 sections 5.1 and 4: type, version (2), length (2); type, length (3). */
size_t
hello_needs(struct span first)
{
	const unsigned char *p = (const unsigned char *)first.p;
	size_t record, message;

	if (first.n < HELLO_FIRST || p[0] != HANDSHAKE || p[1] != 3 ||
	    p[5] != CLIENT_HELLO)
		return 0;
	record = (size_t)p[3] << 8 | p[4];
	message = (size_t)p[6] << 16 | (size_t)p[7] << 8 | p[8];
	if (record < MESSAGE_HEAD || record > 16384 || message > HELLO_MAX)
		return 0;
	return RECORD_HEAD + record < HELLO_WAIT ? RECORD_HEAD + record : HELLO_WAIT;
}

/* Do not wake us before so many octets are there. */
static void
wait_for(int fd, int octets)
{
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &octets, sizeof octets);
}

int
hello_look(int fd, uint8_t *looks)
{
	char room[HELLO_WAIT];
	ssize_t n;
	size_t needs;

	while ((n = recv(fd, room, sizeof room, MSG_PEEK | MSG_DONTWAIT)) == -1 &&
	       errno == EINTR)
		;
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n <= 0)
		return -1;
	if (++*looks > HELLO_LOOKS && n < HELLO_FIRST)
		return -1;
	if (n < HELLO_FIRST) {
		wait_for(fd, HELLO_FIRST);
		return 0;
	}
	if ((needs = hello_needs((struct span){room, (size_t)n})) == 0)
		return -1;
	if (*looks > HELLO_LOOKS)
		needs = 1;
	wait_for(fd, (size_t)n < needs ? (int)needs : 1);
	return (size_t)n < needs ? 0 : 1;
}
