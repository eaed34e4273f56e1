#include "storage/indexfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/base/hash.h"
#include "storage/base/io.h"

#define TMP "index.tmp"

void
indexfile_seal_record(struct mt_record *r)
{
	r->check = hash_check(r, offsetof(struct mt_record, check));
}

void
indexfile_seal_header(struct mt_header *h)
{
	h->check = 0;
	h->check = hash_check(h, sizeof *h);
}

static bool
header_holds(const struct mt_header *h)
{
	struct mt_header copy = *h;

	copy.check = 0;
	return memcmp(h->magic, MT_MAGIC, sizeof h->magic) == 0 && h->version == MT_ABI_VERSION &&
	       h->header_size == MT_HEADER_SIZE && h->record_size == sizeof(struct mt_record) &&
	       h->nkeyword <= MT_NKEYWORD && h->check == hash_check(&copy, sizeof copy);
}

/* Keep the live records whose check holds and whose UIDs ascend, in place. */
static void
keep_believable(struct index_image *im, size_t n)
{
	uint32_t last = 0;

	im->whole = n == im->head.nrecord;
	for (size_t i = 0; i < n; i++) {
		const struct mt_record r = im->rec[i];

		if (r.check != hash_check(&r, offsetof(struct mt_record, check)) ||
		    r.uid <= last || r.uid >= im->head.uidnext) {
			im->whole = false;
			continue;
		}
		last = r.uid;
		if (!(r.bits & MT_EXPUNGED))
			im->rec[im->n++] = r;
	}
}

void
indexfile_read(int dir, struct index_image *im)
{
	ssize_t got;
	size_t room;
	int fd;

	*im = (struct index_image){0};
	if ((fd = openat(dir, "index", O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) == -1)
		return;
	if (io_pread_full(fd, &im->head, sizeof im->head, 0) != sizeof im->head ||
	    !header_holds(&im->head) || im->head.nrecord > UINT32_MAX)
		goto nothing;
	room = (size_t)im->head.nrecord * sizeof *im->rec;
	if ((im->rec = malloc(room + 1)) == NULL)
		goto nothing;
	if ((got = io_pread_full(fd, im->rec, room, sizeof im->head)) == -1)
		goto nothing;
	keep_believable(im, (size_t)got / sizeof *im->rec);
	close(fd);
	return;
nothing:
	close(fd);
	indexfile_free(im);
}

void
indexfile_free(struct index_image *im)
{
	free(im->rec);
	*im = (struct index_image){0};
}

const struct mt_record *
indexfile_find(const struct index_image *im, uint32_t uid)
{
	size_t lo = 0, hi = im->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (im->rec[mid].uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < im->n && im->rec[lo].uid == uid ? &im->rec[lo] : NULL;
}

int
indexfile_create(int dir, const struct mt_header *head, const struct mt_record *rec, size_t n)
{
	int fd, saved;

	if ((fd = openat(dir, TMP, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)) ==
	    -1)
		return -1;
	if (io_write_all(fd, (struct span){(const char *)head, sizeof *head}) == 0 &&
	    io_write_all(fd, (struct span){(const char *)rec, n * sizeof *rec}) == 0 &&
	    renameat(dir, TMP, dir, "index") == 0)
		return fd;
	saved = errno;
	unlinkat(dir, TMP, 0);
	close(fd);
	errno = saved;
	return -1;
}

void
indexfile_forget(int dir)
{
	unlinkat(dir, "index", 0);
}

void
indexfile_remove(int index_dir, uint32_t number)
{
	static const char *const file[] = {"index", TMP, "log", "log.tmp", "cache", "dovecot-uidlist",
					  "mbox-uids", "mbox-uids.tmp", "mbox-journal"};
	char name[48];

	for (size_t i = 0; i < ARRAY_LEN(file); i++) {
		snprintf(name, sizeof name, "%u/%s", number, file[i]);
		unlinkat(index_dir, name, 0);
	}
	snprintf(name, sizeof name, "%u", number);
	unlinkat(index_dir, name, AT_REMOVEDIR);
}
