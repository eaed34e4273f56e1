/*
 * mbox_recover: a journal that was found: read, judged, and carried out again or taken back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/base/hash.h"
#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/mbox_journal_private.h"

#define FROM_MOST (MBOXFROM_MAX + 8) /* so far back what others appended may begin */

/* ---- what it says -------------------------------------------------------------------------------- */

/* 1; 0: they are not whole; -1. */
static int
take_tables(struct mbox_journal *j, const struct mbox_journal_head *h, const char *p,
            size_t n)
{
	size_t patches = (size_t)h->npatch * sizeof *j->patch;
	size_t sums = (size_t)h->nsum * sizeof *j->sum;

	if (h->npatch > n || h->nsum > n || patches + sums + h->stages_n != n ||
	    hash_check(p, n) != h->tables_check)
		return 0;
	j->patch = malloc(patches + 1);
	j->sum = malloc(sums + 1);
	if (j->patch == NULL || j->sum == NULL ||
	    buf_add(&j->stages,
	            (struct span){p + patches + sums, (size_t)h->stages_n}) == -1)
		return -1;
	memcpy(j->patch, p, patches);
	memcpy(j->sum, p + patches, sums);
	j->npatch = (size_t)h->npatch;
	j->nsum = (size_t)h->nsum;
	return 1;
}

/* Patches of what was there, by what is in the journal; a check of each old piece. */
static bool
can_be(const struct mbox_journal *j, const struct mbox_journal_head *h)
{
	uint64_t from = 0, post = h->pre_size, nsum = 0;

	for (size_t i = 0; i < j->npatch; i++) {
		const struct mbox_patch *p = &j->patch[i];

		if (p->off < from || p->off > h->pre_size ||
		    p->old_n > h->pre_size - p->off || p->data_off > h->tables_off ||
		    p->new_n > h->tables_off - p->data_off)
			return false;
		from = p->off + p->old_n;
		for (uint64_t at = p->off; at < from && nsum <= j->nsum;
		     at = mbox_journal_piece_end(p, at))
			nsum++;
		post = post + p->new_n - p->old_n;
	}
	return nsum == j->nsum && post == h->post_size &&
	       h->append_off <= h->tables_off &&
	       h->append_n <= h->tables_off - h->append_off &&
	       (j->stages.n == 0 || j->stages.p[j->stages.n - 1] == '\0');
}

/* 1; 0: it is none; -1: it cannot be read now, which says nothing about it. */
static int
read_journal(struct mbox_journal *j, struct mbox_journal_head *h)
{
	struct stat st;
	char *tables;
	int whole = -1;
	size_t n;

	if (fstat(j->fd, &st) == -1)
		return -1;
	if (st.st_size < (off_t)sizeof *h)
		return 0;
	if (mbox_journal_read_piece(j->fd, 0, (char *)h, sizeof *h) == -1)
		return -1;
	if (memcmp(h->magic, MBOX_JOURNAL_MAGIC, sizeof h->magic) != 0 ||
	    h->check != hash_check(h, offsetof(struct mbox_journal_head, check)) ||
	    h->tables_off > (uint64_t)st.st_size)
		return 0;
	n = (size_t)((uint64_t)st.st_size - h->tables_off);
	if ((tables = malloc(n + 1)) == NULL)
		return -1;
	if (mbox_journal_read_piece(j->fd, h->tables_off, tables, n) == 0)
		whole = take_tables(j, h, tables, n);
	if (whole == 1 && !can_be(j, h))
		whole = 0;
	free(tables);
	j->append_off = h->append_off;
	j->append_n = h->append_n;
	j->appending = h->append_n > 0;
	j->before.st_size = (off_t)h->pre_size;
	return whole;
}

/* ---- patches ------------------------------------------------------------------------------------- */

static bool
is_nul(const char *p, size_t n)
{
	while (n > 0 && *p == '\0')
		p++, n--;
	return n == 0;
}

/*
 * Is the piece as it was, or as it is to be? NULs are what making longer leaves, and cutting
 * (mbox_journal_cut): nobody else writes them. -1: it cannot be told.
 */
static int
is_old_or_new(const struct mbox_journal *j, const struct mbox_patch *p, uint64_t at,
              uint64_t end, const uint32_t *sum)
{
	char room[MBOX_JOURNAL_PIECE], want[MBOX_JOURNAL_PIECE];
	size_t n = (size_t)(end - at);

	if (mbox_journal_read_piece(j->file, at, room, n) == -1)
		return -1;
	if (end <= p->off + p->new_n) {
		if (mbox_journal_read_piece(j->fd, p->data_off + (at - p->off), want,
		                            n) == -1)
			return -1;
		if (memcmp(room, want, n) == 0)
			return 1;
	}
	if (end <= p->off + p->old_n && *sum == hash_check(room, n))
		return 1;
	return (at >= p->off + p->old_n || at >= p->off + p->new_n) && is_nul(room, n);
}

/* 1, 0; -1: it cannot be told. */
static int
patches_fit(const struct mbox_journal *j)
{
	const uint32_t *sum = j->sum;
	int fits;

	for (size_t i = 0; i < j->npatch; i++) {
		const struct mbox_patch *p = &j->patch[i];
		uint64_t all = p->off + (p->old_n > p->new_n ? p->old_n : p->new_n),
		         end;

		for (uint64_t at = p->off; at < all; at = end) {
			end = mbox_journal_piece_end(p, at);
			if ((fits = is_old_or_new(j, p, at, end, sum)) != 1)
				return fits;
			sum += end <= p->off + p->old_n;
		}
	}
	return 1;
}

/* ---- what was appended ----------------------------------------------------------------------------- */

/* So many octets behind what was there are those of what was to be appended, or NULs, which
 * cutting them off again leaves. *whole: all of them, none of them cleared. */
static uint64_t
appended_part(const struct mbox_journal *j, uint64_t size, bool *whole)
{
	char a[MBOX_JOURNAL_PIECE], b[MBOX_JOURNAL_PIECE];
	uint64_t pre = (uint64_t)j->before.st_size, done = 0,
	         most = size - pre < j->append_n ? size - pre : j->append_n;
	size_t i = 0, n = 0;

	*whole = true;
	for (; done < most && i == n; done += i) {
		n = most - done < sizeof a ? (size_t)(most - done) : sizeof a;
		if (mbox_journal_read_piece(j->file, pre + done, a, n) == -1 ||
		    mbox_journal_read_piece(j->fd, j->append_off + done, b, n) == -1)
			break;
		for (i = 0; i < n && (a[i] == b[i] || a[i] == '\0'); i++)
			*whole = *whole && a[i] == b[i];
	}
	*whole = *whole && done == j->append_n;
	return done;
}

/* Does somebody's message begin here, perhaps behind an empty line? */
static bool
is_from_at(int file, uint64_t off)
{
	char room[FROM_MOST];
	ssize_t n = io_pread_full(file, room, sizeof room, (off_t)off);
	struct span in = {room, n > 0 ? (size_t)n : 0}, line;
	struct mboxfrom f;

	if (in.n > 0 && in.p[0] == '\n')
		in = span_from(in, 1);
	return span_cut(&in, '\n', &line) && mboxfrom_parse(line, &f);
}

/* It is not whole: out with the part that is there. */
static int
undo_append(struct mbox_journal *j, uint64_t part, uint64_t size)
{
	uint64_t pre = (uint64_t)j->before.st_size, k = part;

	if (part == 0)
		return 0;
	if (pre + part == size)
		return mbox_journal_cut(j->file, pre);
	/* the beginning of another's From_ line may be as ours was to go on */
	while (k > 0 && part - k < FROM_MOST && !is_from_at(j->file, pre + k))
		k--;
	if (k == 0 || part - k == FROM_MOST)
		return 0; /* nothing of this is ours */
	j->moved = true;
	return mbox_journal_move_rest(j->m, j->file, pre, pre + k, 0);
}

static int
recover_append(struct mbox_journal *j, uint64_t size)
{
	bool whole;
	uint64_t part = appended_part(j, size, &whole);

	if (whole)
		return 0;
	buf_reset(&j->stages); /* they are delivered again */
	return undo_append(j, part, size);
}

/* ---- the whole --------------------------------------------------------------------------------------- */

/* May octets of it be between? Else it is before, after, or another. */
static bool
is_long_enough(const struct mbox_journal_head *h, uint64_t size)
{
	return size >= h->pre_size && size >= h->post_size;
}

/* File systems make a file longer by and by: before it has all its room, nothing else has
 * been done. Back to what it was, unless something has come behind it. */
static int
undo_longer(const struct mbox_journal *j, const struct mbox_journal_head *h,
            uint64_t size)
{
	char room[MBOX_JOURNAL_PIECE];

	if (size <= h->pre_size || size >= h->post_size)
		return 0;
	for (uint64_t at = h->pre_size; at < size; at += sizeof room) {
		size_t n = size - at < sizeof room ? (size_t)(size - at) : sizeof room;

		if (mbox_journal_read_piece(j->file, at, room, n) == -1)
			return -1;
		if (!is_nul(room, n))
			return 0;
	}
	return mbox_journal_cut(j->file, h->pre_size);
}

static int
redo(struct mbox_journal *j, const struct mbox_journal_head *h, uint64_t size)
{
	if (j->npatch > 0 &&
	    (mbox_journal_copy_patches(j) == -1 || fsync(j->file) == -1))
		return -1;
	if (h->post_size < h->pre_size)
		return mbox_journal_shorten(j, h->post_size, 0);
	return j->appending ? recover_append(j, size) : 0;
}

/* 0: the journal may go; -1: it stays. */
static int
recover(struct mbox_journal *j)
{
	struct mbox_journal_head h;
	struct stat st;
	int whole, fits;

	if (fstat(j->file, &st) == -1 || (whole = read_journal(j, &h)) == -1)
		return -1;
	if (!whole || (uint64_t)st.st_ino != h.ino) {
		buf_reset(&j->stages);
		return 0;
	}
	if (!is_long_enough(&h, (uint64_t)st.st_size)) {
		buf_reset(&j->stages);
		return undo_longer(j, &h, (uint64_t)st.st_size);
	}
	if ((fits = patches_fit(j)) == -1)
		return -1;
	if (!fits) {
		log_warn(
		    "%s: a change was cut off, and another program has written the "
		    "file since: it is left as it is",
		    mbox_who(j->m));
		buf_reset(&j->stages);
		return 0;
	}
	if (redo(j, &h, (uint64_t)st.st_size) == -1)
		return -1;
	log_info("%s: a change that was cut off has been completed or taken back",
	         mbox_who(j->m));
	return 0;
}

static bool
is_there(const struct mbox *m)
{
	unsigned depth = cred_suspend(m->box->store);
	bool yes = faccessat(box_index_dir(m->box), MBOX_JOURNAL, F_OK,
	                     AT_SYMLINK_NOFOLLOW) == 0;

	cred_resume(m->box->store, depth);
	return yes;
}

/* The write locks of `file` are held. */
static int
recover_file(struct mbox *m, int file)
{
	struct mbox_journal j = {.m = m, .file = file};
	unsigned depth = cred_suspend(m->box->store);
	int rc, saved;

	j.fd = openat(box_index_dir(m->box), MBOX_JOURNAL,
	              O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	rc = j.fd != -1 ? recover(&j) : errno == ENOENT ? 0 : -1;
	saved = errno;
	if (rc == 0)
		mbox_journal_remove_files(&j);
	else
		log_error("%s: cannot complete a change that was cut off: %s",
		          mbox_who(m), strerror(saved));
	if (j.fd != -1)
		close(j.fd);
	j.fd = -1;
	mbox_journal_end(&j);
	cred_resume(m->box->store, depth);
	errno = saved;
	return rc;
}

int
mbox_recover(struct mbox *m)
{
	struct mbox_lock lock;
	int fd, rc, saved;

	if (!is_there(m))
		return 0;
	if ((fd = mbox_open_file(m, O_RDWR)) == -1)
		return errno == ENOENT ? 0 : -1;
	rc = mbox_lock_write(m, fd, mbox_lock_ms(), &lock);
	if (rc == 0) {
		rc = recover_file(m, fd);
		mbox_unlock(&lock);
	}
	saved = errno;
	close(fd);
	errno = saved;
	return rc;
}
