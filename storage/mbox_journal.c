/* mbox_journal: written, carried out, removed. The steps are those of mbox.h. */
#include "storage/mbox_journal_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/base/hash.h"
#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/grow.h"

#define TMP_NAME  MBOX_JOURNAL ".tmp"
#define OUT_MAX   (256u << 10) /* pieces are whole in it */
#define MOVES_MAX 5
#define OUTPUT_STEP (8u << 20) /* octets that the disk is told to write at a time */

/* ---- writing ------------------------------------------------------------------------------------ */

int
mbox_journal_begin(struct mbox_journal *j, struct mbox *m, int file)
{
	unsigned depth;
	int saved;

	*j = (struct mbox_journal){
	    .m = m, .file = file, .fd = -1, .at = MBOX_JOURNAL_HEAD};
	if (fstat(file, &j->before) == -1)
		return -1;
	depth = cred_suspend(m->box->store);
	(void)unlinkat(box_index_dir(m->box), TMP_NAME, 0);
	j->fd = openat(box_index_dir(m->box), TMP_NAME,
	               O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	saved = errno;
	cred_resume(m->box->store, depth);
	errno = saved;
	return j->fd == -1 ? -1 : 0;
}

int
mbox_journal_patch(struct mbox_journal *j, uint64_t off, uint64_t old_n)
{
	if (GROW(j->patch, j->npatch, j->patch_cap) == -1)
		return -1;
	j->patch[j->npatch++] =
	    (struct mbox_patch){.off = off, .old_n = old_n, .data_off = j->at};
	return 0;
}

int
mbox_journal_append(struct mbox_journal *j)
{
	j->appending = true;
	j->append_off = j->at;
	return 0;
}

/* Octets [off, off + n) of a large file have been written: let the disk begin with them, so
 * that the sync at the end, which alone counts, has less to wait for. */
static void
begin_output(int fd, uint64_t off, uint64_t n)
{
	uint64_t from = off / OUTPUT_STEP * OUTPUT_STEP;

	if ((off + n) / OUTPUT_STEP * OUTPUT_STEP > from)
		(void)sync_file_range(fd, (off_t)from, OUTPUT_STEP, SYNC_FILE_RANGE_WRITE);
}

static int
flush_out(struct mbox_journal *j)
{
	if (j->out.n > 0 &&
	    io_pwrite_all(j->fd, buf_span(&j->out), (off_t)(j->at - j->out.n)) == -1)
		return -1;
	begin_output(j->fd, j->at - j->out.n, j->out.n);
	buf_reset(&j->out);
	return 0;
}

static void
count(struct mbox_journal *j, uint64_t n)
{
	j->at += n;
	if (j->appending)
		j->append_n += n;
	else if (j->npatch > 0)
		j->patch[j->npatch - 1].new_n += n;
}

int
mbox_journal_data(struct mbox_journal *j, struct span s)
{
	while (s.n > 0) {
		size_t n = OUT_MAX - j->out.n;

		if (n > s.n)
			n = s.n;
		if (buf_add(&j->out, (struct span){s.p, n}) == -1)
			return -1;
		count(j, n);
		s = span_from(s, n);
		if (j->out.n == OUT_MAX && flush_out(j) == -1)
			return -1;
	}
	return 0;
}

int
mbox_journal_copy(struct mbox_journal *j, int from, uint64_t off, uint64_t size)
{
	while (size > 0) {
		size_t room, most;
		ssize_t n;
		char *at;

		if (j->out.n == OUT_MAX && flush_out(j) == -1)
			return -1;
		room = OUT_MAX - j->out.n;
		most = size < room ? (size_t)size : room;
		if ((at = buf_room(&j->out, most)) == NULL)
			return -1;
		n = io_pread_full(from, at, most, (off_t)off);
		if (n != (ssize_t)most) {
			if (n != -1)
				errno = EIO;
			return -1;
		}
		j->out.n += most;
		count(j, most);
		off += most;
		size -= most;
	}
	return 0;
}

int
mbox_journal_stage(struct mbox_journal *j, const char *name)
{
	return buf_add(&j->stages, (struct span){name, strlen(name) + 1});
}

/* ---- pages --------------------------------------------------------------------------------------- */

uint64_t
mbox_journal_piece_end(const struct mbox_patch *p, uint64_t at)
{
	uint64_t end = (at / MBOX_JOURNAL_PIECE + 1) * MBOX_JOURNAL_PIECE;

	if (at < p->off + p->old_n && p->off + p->old_n < end)
		end = p->off + p->old_n;
	if (at < p->off + p->new_n && p->off + p->new_n < end)
		end = p->off + p->new_n;
	return end;
}

int
mbox_journal_read_piece(int fd, uint64_t off, char *room, size_t n)
{
	ssize_t got = io_pread_full(fd, room, n, (off_t)off);

	if (got == (ssize_t)n)
		return 0;
	if (got != -1)
		errno = EIO;
	return -1;
}

/* The pieces of what one patch replaces, read many at a time into `room` (OUT_MAX octets). */
static int
sum_patch(struct mbox_journal *j, struct mbox_patch *p, char *room)
{
	uint64_t all = p->off + p->old_n, from = p->off, read = p->off, end;

	for (uint64_t at = p->off; at < all; at = end) {
		end = mbox_journal_piece_end(p, at);
		if (end > read) {
			read = all - at < OUT_MAX ? all : at + OUT_MAX;
			from = at;
			if (mbox_journal_read_piece(j->file, from, room,
			                            (size_t)(read - from)) == -1)
				return -1;
		}
		if (GROW(j->sum, j->nsum, j->sum_cap) == -1)
			return -1;
		j->sum[j->nsum++] = hash_check(room + (at - from), (size_t)(end - at));
		p->nsum++;
	}
	return 0;
}

static int
sum_old(struct mbox_journal *j)
{
	char *room = malloc(OUT_MAX);
	int rc = room == NULL ? -1 : 0;

	for (size_t i = 0; i < j->npatch && rc == 0; i++)
		rc = sum_patch(j, &j->patch[i], room);
	free(room);
	return rc;
}

/* ---- the file of it -------------------------------------------------------------------------------- */

static uint64_t
size_after(const struct mbox_journal *j)
{
	uint64_t size = (uint64_t)j->before.st_size;

	for (size_t i = 0; i < j->npatch; i++)
		size = size + j->patch[i].new_n - j->patch[i].old_n;
	return size;
}

static int
add_tables(struct mbox_journal *j, struct buf *t)
{
	if ((j->npatch > 0 &&
	     buf_add(t, (struct span){(const char *)j->patch,
	                              j->npatch * sizeof *j->patch}) == -1) ||
	    (j->nsum > 0 &&
	     buf_add(t, (struct span){(const char *)j->sum,
	                              j->nsum * sizeof *j->sum}) == -1) ||
	    (j->stages.n > 0 && buf_add(t, buf_span(&j->stages)) == -1))
		return -1;
	return 0;
}

static int
write_journal(struct mbox_journal *j)
{
	struct mbox_journal_head h = {
	    .dev = j->before.st_dev,
	    .ino = j->before.st_ino,
	    .pre_size = (uint64_t)j->before.st_size,
	    .post_size = size_after(j),
	    .npatch = j->npatch,
	    .nsum = j->nsum,
	    .stages_n = j->stages.n,
	    .tables_off = j->at,
	    .append_off = j->append_off,
	    .append_n = j->append_n,
	};
	struct buf t = {0};
	int dir = box_index_dir(j->m->box), rc = -1;

	memcpy(h.magic, MBOX_JOURNAL_MAGIC, sizeof h.magic);
	if (add_tables(j, &t) == 0) {
		h.tables_check = hash_check(t.p, t.n);
		h.check = hash_check(&h, offsetof(struct mbox_journal_head, check));
		if (flush_out(j) == 0 &&
		    io_pwrite_all(j->fd, buf_span(&t), (off_t)j->at) == 0 &&
		    io_pwrite_all(j->fd, (struct span){(const char *)&h, sizeof h},
		                  0) == 0 &&
		    fsync(j->fd) == 0 &&
		    renameat(dir, TMP_NAME, dir, MBOX_JOURNAL) == 0)
			rc = io_fsync_dir(dir, ".");
	}
	buf_free(&t);
	return rc;
}

void
mbox_journal_remove_files(struct mbox_journal *j)
{
	int dir = box_index_dir(j->m->box);
	struct span rest = buf_span(&j->stages), name;

	while (span_cut(&rest, '\0', &name))
		(void)unlinkat(dir, name.p, 0);
	if (!j->moved) /* else another has taken its place, and is gone */
		(void)unlinkat(dir, MBOX_JOURNAL, 0);
}

/* ---- carrying it out -------------------------------------------------------------------------------- */

/* A write, behind which we may be killed, ends where a sector does. */
static int
copy_patch(const struct mbox_journal *j, const struct mbox_patch *p)
{
	char *room = malloc(OUT_MAX);
	int rc = room == NULL ? -1 : 0;

	for (uint64_t at = 0; at < p->new_n && rc == 0;) {
		size_t n = OUT_MAX - (p->off + at) % OUT_MAX;

		if (n > p->new_n - at)
			n = (size_t)(p->new_n - at);
		rc = mbox_journal_read_piece(j->fd, p->data_off + at, room, n);
		if (rc == 0)
			rc = io_pwrite_all(j->file, (struct span){room, n},
			                   (off_t)(p->off + at));
		if (rc == 0)
			begin_output(j->file, p->off + at, n);
		at += n;
	}
	free(room);
	return rc;
}

int
mbox_journal_copy_patches(const struct mbox_journal *j)
{
	for (size_t i = 0; i < j->npatch; i++)
		if (copy_patch(j, &j->patch[i]) == -1)
			return -1;
	return 0;
}

int
mbox_journal_cut(int file, uint64_t size)
{
	return ftruncate(file, (off_t)size) == -1 ? -1 : fsync(file);
}

/* Room first, and for good: what is written into it comes after. */
static int
make_longer(const struct mbox_journal *j, uint64_t post)
{
	uint64_t pre = (uint64_t)j->before.st_size;
	int rc = fallocate(j->file, 0, (off_t)pre, (off_t)(post - pre)), saved;
	struct stat st;

	if (rc == -1 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
		rc = io_pwrite_all(j->file, SPAN("\0"), (off_t)post - 1);
	if (rc == 0)
		return fdatasync(j->file);
	saved = errno;
	if (fstat(j->file, &st) == 0 && (uint64_t)st.st_size > pre &&
	    (uint64_t)st.st_size <= post)
		(void)mbox_journal_cut(j->file, pre);
	errno = saved;
	return -1;
}

/* One write, so that nobody comes in between. The journal is ours: it can be mapped. */
static int
append_all(struct mbox_journal *j)
{
	uint64_t base = j->append_off / MBOX_JOURNAL_HEAD * MBOX_JOURNAL_HEAD;
	size_t n = (size_t)(j->append_off - base + j->append_n);
	char *map = mmap(NULL, n, PROT_READ, MAP_SHARED, j->fd, (off_t)base);
	int flags = fcntl(j->file, F_GETFL), rc = -1, saved;
	ssize_t done;
	off_t end;

	if (map == MAP_FAILED)
		return -1;
	if (fcntl(j->file, F_SETFL, flags | O_APPEND) == 0) {
		done =
		    write(j->file, map + (j->append_off - base), (size_t)j->append_n);
		saved = done == -1 ? errno : ENOSPC;
		end = lseek(j->file, 0, SEEK_CUR);
		(void)fcntl(j->file, F_SETFL, flags);
		if (done == (ssize_t)j->append_n) {
			j->appended_at = (uint64_t)end - j->append_n;
			rc = 0;
		} else if (done > 0 && /* no room: as it was */
		           lseek(j->file, 0, SEEK_END) == end)
			(void)mbox_journal_cut(j->file, (uint64_t)(end - done));
		errno = saved;
	}
	saved = errno;
	munmap(map, n);
	errno = saved;
	return rc;
}

/* What was appended meanwhile, by somebody who takes other locks, follows what stays. */
int
mbox_journal_shorten(struct mbox_journal *j, uint64_t post, unsigned moves)
{
	struct stat st;

	if (fstat(j->file, &st) == -1)
		return -1;
	if (st.st_size > j->before.st_size && (j->moved = true))
		return mbox_journal_move_rest(
		    j->m, j->file, post, (uint64_t)j->before.st_size, moves);
	return mbox_journal_cut(j->file, post);
}

/* Whoever looks at the times whether there is new mail sees none where there was none. */
static void
keep_times(const struct mbox_journal *j)
{
	struct timespec t[2];
	struct stat st;

	if (j->appending || fstat(j->file, &st) == -1)
		return;
	if (j->before.st_atim.tv_sec < j->before.st_mtim.tv_sec)
		return;
	t[0] = t[1] = st.st_mtim;
	(void)futimens(j->file, t);
}

static int
carry_out(struct mbox_journal *j, unsigned moves)
{
	uint64_t pre = (uint64_t)j->before.st_size, post = size_after(j);

	if (post > pre && make_longer(j, post) == -1)
		return -1;
	j->halfway = true;
	if (mbox_journal_copy_patches(j) == -1)
		return -1;
	if (j->appending && j->append_n > 0) {
		j->halfway = j->npatch > 0;
		if (append_all(j) == -1)
			return -1;
		j->halfway = true;
	}
	if (fsync(j->file) == -1)
		return -1;
	return post < pre ? mbox_journal_shorten(j, post, moves) : 0;
}

static bool
is_unchanged(const struct mbox_journal *j)
{
	struct file_stamp was = file_stamp(&j->before), now;
	struct stat st;

	if (fstat(j->file, &st) == -1)
		return false;
	now = file_stamp(&st);
	return file_stamp_eq(&was, &now);
}

static int
run(struct mbox_journal *j, unsigned moves)
{
	unsigned depth = cred_suspend(j->m->box->store);
	int rc = -1, saved;

	if (sum_old(j) == 0 && write_journal(j) == 0) {
		j->written = true;
		if (!is_unchanged(j))
			errno = EAGAIN;
		else
			rc = carry_out(j, moves);
	}
	saved = errno;
	if (rc == 0) {
		keep_times(j);
		mbox_journal_remove_files(j);
		j->written = j->halfway = false;
	}
	cred_resume(j->m->box->store, depth);
	errno = saved;
	return rc;
}

int
mbox_journal_run(struct mbox_journal *j)
{
	return run(j, 0);
}

void
mbox_journal_end(struct mbox_journal *j)
{
	int saved = errno;
	unsigned depth;

	if (j->fd != -1) {
		depth = cred_suspend(j->m->box->store);
		if (!j->written)
			(void)unlinkat(box_index_dir(j->m->box), TMP_NAME, 0);
		else if (!j->halfway)
			(void)unlinkat(box_index_dir(j->m->box), MBOX_JOURNAL, 0);
		close(j->fd);
		cred_resume(j->m->box->store, depth);
	}
	free(j->patch);
	free(j->sum);
	buf_free(&j->stages);
	buf_free(&j->out);
	j->fd = -1;
	errno = saved;
}

/* ---- moving what others appended ---------------------------------------------------------------------- */

int
mbox_journal_move_rest(struct mbox *m, int file, uint64_t to, uint64_t from,
                       unsigned moves)
{
	struct mbox_journal j;
	int rc = -1;

	if (moves == MOVES_MAX) {
		errno = EAGAIN;
		return -1;
	}
	if (mbox_journal_begin(&j, m, file) == 0 &&
	    mbox_journal_patch(&j, to, (uint64_t)j.before.st_size - to) == 0 &&
	    mbox_journal_copy(&j, file, from, (uint64_t)j.before.st_size - from) == 0)
		rc = run(&j, moves + 1);
	mbox_journal_end(&j);
	return rc;
}
