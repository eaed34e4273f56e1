/*
 * mboxdump FILE: what mboxscan makes of it, a line for each thing, in its order:
 *
 *	hidden OFF SIZE			a field that is no part of the message that follows
 *	message FROM HEADER END NEXT VISIBLE DATE UID FLAGS VALIDITY LAST PSEUDO
 *	end, or no-mbox
 *
 * The file is pushed in pieces of 1, 2, 3, 5, 64 octets and as a whole, with and without counting,
 * and scanned by several threads in chunks of several sizes; that all say the same is checked,
 * and the exit status is 1 when they do not. A file of more than a million octets is spared
 * the small ones.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/base/buf.h"
#include "storage/base/io.h"
#include "storage/mboxscan.h"
#include "tests/unit/support/mboxtwin.h"

#define SMALL (1u << 20)

static void
print(struct buf *out, const char *what, const uint64_t *v, size_t n)
{
	if (buf_addf(out, "%s", what) == -1)
		err(1, NULL);
	for (size_t i = 0; i < n; i++)
		if (buf_addf(out, " %" PRId64, (int64_t)v[i]) == -1)
			err(1, NULL);
	if (buf_addc(out, '\n') == -1)
		err(1, NULL);
}

static void
print_field(void *arg, const struct mboxscan_field *f)
{
	print(arg, "hidden", (uint64_t[]){f->off, f->size}, 2);
}

static void
print_message(struct buf *out, const struct mboxscan_msg *m)
{
	print(out, "message",
	      (uint64_t[]){m->off, m->header, m->end, m->next, m->visible,
	                   (uint64_t)m->date, m->uid, m->flags, m->uidvalidity,
	                   m->last_uid, m->pseudo},
	      11);
}

static void
scan(struct span file, size_t step, struct buf *out)
{
	static struct mboxscan s;
	enum mboxscan_ev ev = MBOXSCAN_MORE;

	mboxscan_begin(&s, 0, file.n, true);
	s.field = print_field;
	s.arg = out;
	while (ev == MBOXSCAN_MORE || ev == MBOXSCAN_MESSAGE) {
		struct span in = span_from(file, s.want);

		if (in.n > step)
			in.n = step;
		ev = mboxscan_push(&s, &in);
		if (ev == MBOXSCAN_MESSAGE)
			print_message(out, &s.msg);
	}
	print(out, ev == MBOXSCAN_END ? "end" : "no-mbox", NULL, 0);
}

static void
check_steps(struct span file, const struct buf *whole)
{
	static const size_t steps[] = {1, 2, 3, 5, 64};

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct buf out = {0};

		scan(file, steps[i], &out);
		if (!span_eq(buf_span(&out), buf_span(whole)))
			errx(1, "in pieces of %zu octets it is another file:\n%.*s",
			     steps[i], (int)out.n, out.p);
		buf_free(&out);
	}
}

static void
check_chunks(int fd, struct span file)
{
	static const uint64_t chunks[] = {1, 40, 100, 333, 4096, MBOX_CHUNK};
	struct twin want = {0};
	struct pool *pool;
	const char *why;

	if (pool_open(2, &pool) == -1)
		err(1, NULL);
	twin_scan(file, SIZE_MAX, true, &want);
	for (size_t i = file.n <= SMALL ? 0 : 4; i < ARRAY_LEN(chunks); i++)
		for (int count = 0; count < 2; count++) {
			struct twin got = {0};

			twin_chunks(fd, file.n, count, chunks[i], pool, &got);
			if ((why = twin_differ(&got, &want)) != NULL)
				errx(1, "in chunks of %ju octets %s is another",
				     (uintmax_t)chunks[i], why);
			twin_free(&got);
		}
	twin_free(&want);
	pool_close(pool);
}

int
main(int argc, char **argv)
{
	struct buf file = {0}, out = {0};
	int fd;

	if (argc != 2) {
		fprintf(stderr, "usage: mboxdump FILE\n");
		return 2;
	}
	if ((fd = open(argv[1], O_RDONLY | O_CLOEXEC)) == -1 ||
	    io_slurp(fd, &file) == -1)
		err(1, "%s", argv[1]);
	scan(buf_span(&file), SIZE_MAX, &out);
	if (file.n <= SMALL)
		check_steps(buf_span(&file), &out);
	check_chunks(fd, buf_span(&file));
	close(fd);
	fwrite(out.p, 1, out.n, stdout);
	buf_free(&file);
	buf_free(&out);
	return 0;
}
