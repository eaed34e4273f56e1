/* mbox_quote: mboxrd: a line of `>`s and `From ` has one `>` more in the file. */
#include <errno.h>
#include <stdlib.h>

#include "storage/base/io.h"
#include "storage/mbox.h"

#define STEP 65536

static const char from_text[] = "From ";

/* ---- taking it away ----------------------------------------------------------------------- */

static int
put(struct mbox_unquote *u, struct span s)
{
	u->size += s.n;
	return io_write_all(u->to, s);
}

/* The beginning of a line, as far as it was held back. */
static int
put_held(struct mbox_unquote *u, uint64_t gt)
{
	static const char many[64] = ">>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>"
	                             ">>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>";

	while (gt > 0) {
		size_t n = gt < sizeof many - 1 ? (size_t)gt : sizeof many - 1;

		if (put(u, (struct span){many, n}) == -1)
			return -1;
		gt -= n;
	}
	if (put(u, (struct span){from_text, u->matched}) == -1)
		return -1;
	u->gt = u->matched = 0;
	u->in_line = true;
	return 0;
}

/* One octet at the beginning of a line. False: it is none of those, and is not taken. */
static bool
hold(struct mbox_unquote *u, char c)
{
	if (c == '>' && u->matched == 0)
		u->gt++;
	else if (u->matched < sizeof from_text - 1 && c == from_text[u->matched])
		u->matched++;
	else
		return false;
	return true;
}

static int
unquote(struct mbox_unquote *u, struct span in)
{
	while (in.n > 0) {
		const char *lf;
		size_t n;

		if (!u->in_line && hold(u, in.p[0])) {
			in = span_from(in, 1);
			if (u->matched == sizeof from_text - 1 &&
			    put_held(u, u->gt > 0 ? u->gt - 1 : 0) == -1)
				return -1;
			continue;
		}
		if (!u->in_line && put_held(u, u->gt) == -1)
			return -1;
		lf = memchr(in.p, '\n', in.n);
		n = lf == NULL ? in.n : (size_t)(lf - in.p) + 1;
		if (put(u, (struct span){in.p, n}) == -1)
			return -1;
		in = span_from(in, n);
		u->in_line = lf == NULL;
	}
	return 0;
}

int
mbox_unquote_copy(struct mbox_unquote *u, int from, uint64_t off, uint64_t size)
{
	char *room = malloc(STEP);
	int rc = room == NULL ? -1 : 0;

	while (size > 0 && rc == 0) {
		size_t most = size < STEP ? (size_t)size : STEP;
		ssize_t n = io_pread_full(from, room, most, (off_t)off);

		if (n != (ssize_t)most) {
			if (n != -1)
				errno = EIO;
			rc = -1;
			break;
		}
		rc = u->quoted ? unquote(u, (struct span){room, most})
		               : put(u, (struct span){room, most});
		off += most;
		size -= most;
	}
	free(room);
	return rc;
}

int
mbox_unquote_end(struct mbox_unquote *u)
{
	return u->gt > 0 || u->matched > 0 ? put_held(u, u->gt) : 0;
}
