#include "protocol/again.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "storage/base/buf.h"
#include "storage/base/io.h"

/* TAG NUL LANG NUL `8` or `-` NUL REST */
int
again_offer(int sock, int fd, const struct again_client *c)
{
	struct buf b = {.max = AGAIN_PACKET_MAX};
	int rc = -1;

	if (buf_addf(&b, "%.*s%c%.*s%c%c%c", (int)c->tag.n, c->tag.p, '\0',
	             (int)c->lang.n, c->lang.p, '\0', c->utf8 ? '8' : '-', '\0') == 0 &&
	    buf_add(&b, c->rest) == 0)
		rc = io_send_fd(sock, fd, buf_span(&b));
	buf_free(&b);
	return rc;
}

enum again_word
again_heard(int sock)
{
	char word[2];
	ssize_t n = recv(sock, word, sizeof word, MSG_DONTWAIT);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return AGAIN_NOTHING;
	if (n == 1 && word[0] == '.')
		return AGAIN_FREE;
	return n == 1 && word[0] == '+' ? AGAIN_TAKEN : AGAIN_GONE;
}

bool
again_unread(int sock)
{
	int octets;

	return ioctl(sock, SIOCOUTQ, &octets) == 0 && octets > 0;
}

static int
parse(struct span packet, struct again_client *c)
{
	struct span utf8;

	if (!span_cut(&packet, '\0', &c->tag) || !span_cut(&packet, '\0', &c->lang) ||
	    !span_cut(&packet, '\0', &utf8))
		return -1;
	c->utf8 = span_eq(utf8, SPAN("8"));
	c->rest = packet;
	return 0;
}

int
again_wait(int sock, char room[static AGAIN_PACKET_MAX], struct again_client *c)
{
	ssize_t n;
	int fd;

	if (write(sock, ".", 1) != 1 ||
	    (n = io_recv_fd(sock, &fd, room, AGAIN_PACKET_MAX)) <= 0)
		return -1;
	if (fd != -1 && parse((struct span){room, (size_t)n}, c) == 0)
		return fd;
	if (fd != -1)
		close(fd);
	return -1;
}

int
again_take(int sock)
{
	return write(sock, "+", 1) == 1 ? 0 : -1;
}
