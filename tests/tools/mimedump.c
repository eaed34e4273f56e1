/*
 * mimedump [-t] FILE...: what IMAP would say of a message: three lines of ENVELOPE, BODY and
 * BODYSTRUCTURE, each with its octets' number first, since literals may hold line ends. -t
 * times the parsing and printing instead. Stored octets become wire octets as in the tree.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "protocol/imap/bodystructure.h"
#include "protocol/imap/envelope.h"
#include "storage/base/io.h"
#include "storage/crlf.h"

static void
load(const char *path, struct buf *wire)
{
	struct buf stored = {0};
	struct crlf c = {0};
	char tail[2], *to;
	size_t used;
	int fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1 ||
	    io_slurp(fd, &stored) == -1)
		err(1, "%s", path);
	close(fd);
	if ((to = buf_room(wire, 2 * stored.n + 2)) == NULL)
		err(1, NULL);
	wire->n += crlf_push(&c, buf_span(&stored), to, 2 * stored.n + 2, &used);
	if (buf_add(wire, (struct span){tail, crlf_end(&c, tail)}) == -1)
		err(1, NULL);
	buf_free(&stored);
}

static void
show(const char *name, const struct buf *b)
{
	printf("%s %zu ", name, b->n);
	fwrite(b->p, 1, b->n, stdout);
	putchar('\n');
}

static void
dump(struct span wire, bool quiet)
{
	struct arena arena = {.max = 64 << 20};
	struct mime *m = mime_init(&arena);
	struct buf envelope = {0}, body = {0}, structure = {0};
	const struct part *root;

	if (m == NULL || mime_push(m, wire) == -1 || (root = mime_end(m)) == NULL)
		err(1, NULL);
	if (envelope_print(root->envelope, &envelope) == -1 ||
	    bodystructure_print(root, false, &body) == -1 ||
	    bodystructure_print(root, true, &structure) == -1)
		err(1, NULL);
	if (!quiet) {
		show("ENVELOPE", &envelope);
		show("BODY", &body);
		show("BODYSTRUCTURE", &structure);
	}
	buf_free(&envelope);
	buf_free(&body);
	buf_free(&structure);
	arena_free(&arena);
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	bool timed = argc > 1 && strcmp(argv[1], "-t") == 0;
	double spent = 0;
	uint64_t octets = 0;

	for (int i = timed ? 2 : 1; i < argc; i++) {
		struct buf wire = {0};
		double t;

		load(argv[i], &wire);
		t = seconds();
		dump(buf_span(&wire), timed);
		spent += seconds() - t;
		octets += wire.n;
		buf_free(&wire);
	}
	if (timed)
		printf("%" PRIu64 " octets, %.3f s, %.0f MB/s\n", octets, spent,
		       (double)octets / spent / 1e6);
	return 0;
}
