#include "storage/vanished.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/base/hash.h"
#include "storage/base/io.h"

#define FILE_NAME "log"
#define TMP_NAME  "log.tmp"
#define MAGIC	  "mtgone01"
#define PART_MAX  256 /* rows written at once: so many too many may stand in the file */

struct head {
	char magic[8];
	uint64_t start, dropped;
	uint8_t guid[16];
	uint32_t uidvalidity;
	uint32_t pad[4];
	uint32_t check; /* hash_check over the octets before it */
};

_Static_assert(sizeof(struct head) == 64, "head layout");
_Static_assert(sizeof(struct vanished_row) == 16, "row layout");

static bool
row_holds(const struct vanished_row *r)
{
	return r->check == hash_check(r, offsetof(struct vanished_row, check));
}

void
vanished_close(struct vanished *v)
{
	if (v->fd != -1)
		close(v->fd);
	*v = VANISHED_NONE;
}

/* It cannot be relied on any more: not by us, nor by who opens it later. */
void
vanished_give_up(struct vanished *v)
{
	if (v->dir != -1)
		unlinkat(v->dir, FILE_NAME, 0);
	vanished_close(v);
}

/* ---- opening ----------------------------------------------------------------------- */

static bool
head_holds(const struct head *h, const struct mt_header *box)
{
	return memcmp(h->magic, MAGIC, sizeof h->magic) == 0 &&
	       h->check == hash_check(h, offsetof(struct head, check)) &&
	       h->uidvalidity == box->uidvalidity &&
	       memcmp(h->guid, box->guid, sizeof h->guid) == 0;
}

/* Whole rows in ascending order of modseqs. What a killed daemon left half written at the
 * end is no row: nobody was told of it. */
static bool
rows_hold(struct vanished *v, const struct vanished_row *row, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!row_holds(&row[i]) || row[i].modseq < (i == 0 ? v->start : row[i - 1].modseq))
			return false;
	v->nrow = n;
	return ftruncate(v->fd, (off_t)(sizeof(struct head) + n * sizeof *row)) == 0;
}

static bool
take(struct vanished *v, const struct mt_header *box)
{
	struct buf text = {.max = sizeof(struct head) +
				  (VANISHED_MAX + PART_MAX) * sizeof(struct vanished_row)};
	struct head h;
	bool good = false;

	if (io_slurp(v->fd, &text) == 0 && text.n >= sizeof h) {
		memcpy(&h, text.p, sizeof h);
		v->start = h.start;
		v->dropped = h.dropped;
		/* malloc'ed, and a head before them: rows are aligned */
		good = head_holds(&h, box) &&
		       rows_hold(v, (const struct vanished_row *)(const void *)(text.p + sizeof h),
				 (text.n - sizeof h) / sizeof(struct vanished_row));
	}
	buf_free(&text);
	return good;
}

static struct vanished
of_box(int dir, const struct mt_header *box)
{
	struct vanished v = {.dir = dir, .fd = -1, .uidvalidity = box->uidvalidity};

	memcpy(v.guid, box->guid, sizeof v.guid);
	return v;
}

bool
vanished_open(struct vanished *v, int dir, const struct mt_header *box, uint64_t count)
{
	*v = of_box(dir, box);
	v->fd = openat(dir, FILE_NAME, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (v->fd != -1 && take(v, box) && vanished_count(v) >= count)
		return true;
	vanished_close(v);
	return false;
}

/* ---- writing ------------------------------------------------------------------------ */

/* A file with these rows takes the place of what is there. */
static int
write_anew(struct vanished *v, const struct vanished_row *row, size_t n)
{
	struct head h = {.magic = MAGIC,
			 .start = v->start,
			 .dropped = v->dropped,
			 .uidvalidity = v->uidvalidity};
	int fd = openat(v->dir, TMP_NAME,
			O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int saved;

	memcpy(h.guid, v->guid, sizeof h.guid);
	h.check = hash_check(&h, offsetof(struct head, check));
	if (fd == -1)
		return -1;
	if (io_write_all(fd, (struct span){(const char *)&h, sizeof h}) == 0 &&
	    io_write_all(fd, (struct span){(const char *)row, n * sizeof *row}) == 0 &&
	    renameat(v->dir, TMP_NAME, v->dir, FILE_NAME) == 0) {
		if (v->fd != -1)
			close(v->fd);
		v->fd = fd;
		v->nrow = n;
		return 0;
	}
	saved = errno;
	unlinkat(v->dir, TMP_NAME, 0);
	close(fd);
	errno = saved;
	return -1;
}

int
vanished_begin(struct vanished *v, int dir, const struct mt_header *box, uint64_t start)
{
	int saved;

	*v = of_box(dir, box);
	v->start = start;
	if (write_anew(v, NULL, 0) == 0)
		return 0;
	saved = errno;
	vanished_give_up(v);
	errno = saved;
	return -1;
}

/* All rows of the file; the caller frees. */
static struct vanished_row *
read_rows(const struct vanished *v)
{
	size_t octets = (size_t)v->nrow * sizeof(struct vanished_row);
	struct vanished_row *row = malloc(octets + 1);

	if (row == NULL)
		return NULL;
	if (io_pread_full(v->fd, row, octets, sizeof(struct head)) == (ssize_t)octets)
		return row;
	free(row);
	errno = EIO;
	return NULL;
}

/* The newer half of what is most is kept. */
static int
shorten(struct vanished *v)
{
	struct vanished_row *row = read_rows(v);
	uint64_t old = v->nrow - VANISHED_MAX / 2;
	int rc;

	if (row == NULL)
		return -1;
	v->start = row[old - 1].modseq;
	v->dropped += old;
	rc = write_anew(v, row + old, VANISHED_MAX / 2);
	free(row);
	return rc;
}

static int
append(struct vanished *v, const struct vanished_row *row, size_t n)
{
	if (io_write_all(v->fd, (struct span){(const char *)row, n * sizeof *row}) == -1)
		return -1;
	v->nrow += n;
	return v->nrow > VANISHED_MAX ? shorten(v) : 0;
}

void
vanished_add(struct vanished *v, const struct vanished_row *row, size_t n)
{
	struct vanished_row sealed[PART_MAX];

	while (n > 0 && v->fd != -1) {
		size_t part = n < ARRAY_LEN(sealed) ? n : ARRAY_LEN(sealed);

		memcpy(sealed, row, part * sizeof *row);
		for (size_t i = 0; i < part; i++)
			sealed[i].check =
				hash_check(&sealed[i], offsetof(struct vanished_row, check));
		if (append(v, sealed, part) == -1)
			vanished_give_up(v);
		row += part;
		n -= part;
	}
}

uint64_t
vanished_count(const struct vanished *v)
{
	return v->dropped + v->nrow;
}

/* ---- reading ------------------------------------------------------------------------- */

int
vanished_read(const struct vanished *v, uint64_t since, uint32_t from, uint32_t **uids,
	      size_t *n)
{
	struct vanished_row *row;

	*uids = NULL;
	*n = 0;
	if (v->fd == -1 || since < v->start)
		return 1;
	if ((row = read_rows(v)) == NULL ||
	    (*uids = malloc(((size_t)v->nrow + 1) * sizeof **uids)) == NULL) {
		free(row);
		return -1;
	}
	for (size_t i = 0; i < v->nrow; i++)
		if (row[i].modseq > since && row[i].uid >= from)
			(*uids)[(*n)++] = row[i].uid;
	free(row);
	return 0;
}
