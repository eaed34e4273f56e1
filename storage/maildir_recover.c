/*
 * maildir_recover: what a daemon that died left in tmp/ (the table is in maildir.h).
 * Whoever lives holds the flock of his files, so no clock and no pid has to be asked.
 * Every step may be cut off and done again, and two daemons may do it at once.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/base/num.h"
#include "storage/grow.h"
#include "storage/maildir.h"

#define OLD_S	   (36 * 3600) /* as every Maildir reader has it */
#define COMMIT_MAX (64u << 20) /* octets of a journal that we carry out */

/* ---- the journal of several moves ------------------------------------------------ */

/* FROM NUL, `n` or `c` for the directory, TO NUL; so on. */
static int
print_commit(const struct md_placing *p, size_t n, struct buf *text)
{
	for (size_t i = 0; i < n; i++)
		if (buf_add(text, (struct span){p[i].from, strlen(p[i].from) + 1}) == -1 ||
		    buf_addc(text, p[i].where == MD_NEW ? 'n' : 'c') == -1 ||
		    buf_add(text, (struct span){p[i].to, strlen(p[i].to) + 1}) == -1)
			return -1;
	return 0;
}

static int
write_commit(struct maildir *m, const char *draft, struct span text, struct md_commit *c)
{
	if (flock(c->fd, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK)
		return -1; /* recovery has it: it takes it for an old draft */
	if (io_write_all(c->fd, text) == -1 || fsync(c->fd) == -1 ||
	    renameat(m->tmp, draft, m->tmp, c->name) == -1)
		return -1;
	return fsync(m->tmp);
}

int
md_commit_begin(struct maildir *m, const struct md_placing *p, size_t n, struct md_commit *c)
{
	struct buf text = {.max = COMMIT_MAX};
	char draft[40];
	uint64_t id;
	int rc = -1, saved;

	if (getrandom(&id, sizeof id, 0) != sizeof id || print_commit(p, n, &text) == -1)
		goto out;
	snprintf(draft, sizeof draft, "%016llx" MD_DRAFT, (unsigned long long)id);
	snprintf(c->name, sizeof c->name, "%016llx" MD_COMMIT, (unsigned long long)id);
	c->fd = openat(m->tmp, draft, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (c->fd == -1)
		goto out;
	if ((rc = write_commit(m, draft, buf_span(&text), c)) == -1) {
		saved = errno;
		unlinkat(m->tmp, draft, 0);
		unlinkat(m->tmp, c->name, 0);
		close(c->fd);
		c->fd = -1;
		errno = saved;
	}
out:
	buf_free(&text);
	return rc;
}

void
md_commit_end(struct maildir *m, struct md_commit *c)
{
	int saved = errno;

	if (c->fd == -1)
		return;
	(void)unlinkat(m->tmp, c->name, 0);
	close(c->fd);
	c->fd = -1;
	errno = saved;
}

/* ---- whose is it ----------------------------------------------------------------- */

/* Open and lock a leftover; -1: somebody has it, it is gone, or it is no file of ours. */
static int
seize(struct maildir *m, const char *name)
{
	int fd = io_open_regular(m->tmp, name, O_RDWR, (uid_t)-1, true);
	struct stat mine, there;

	if (fd == -1)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &mine) == 0 &&
	    fstatat(m->tmp, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    mine.st_ino == there.st_ino && mine.st_dev == there.st_dev)
		return fd;
	close(fd); /* it was delivered or renamed before we had the lock */
	return -1;
}

static bool
ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), k = strlen(suffix);

	return n > k && strcmp(name + n - k, suffix) == 0;
}

/* ---- commits --------------------------------------------------------------------- */

static bool
take_text(struct span *rest, struct span *text)
{
	return span_cut(rest, '\0', text) && mdname_valid(*text);
}

/* Redo one move. What is not in tmp/ any more was moved before. */
static void
redo(struct maildir *m, struct span from, char where, struct span to)
{
	char f[MDNAME_MAX + 1], t[MDNAME_MAX + 1];
	int dir = m->dir[where == 'n' ? MD_NEW : MD_CUR].fd;

	if (span_cstr(from, f, sizeof f) == -1 || span_cstr(to, t, sizeof t) == -1)
		return;
	if (md_rename(m->tmp, f, dir, t) == 0)
		log_info("%s: delivered %s, which was left over", md_who(m), t);
	else if (errno == EEXIST)
		(void)unlinkat(m->tmp, f, 0);
	else if (errno != ENOENT)
		log_error("%s: cannot deliver tmp/%s: %m", md_who(m), f);
}

static void
redo_all(struct maildir *m, struct span rest)
{
	struct span from, to;

	while (take_text(&rest, &from)) {
		char where = rest.n > 0 ? rest.p[0] : '?';

		rest = span_from(rest, 1);
		if ((where != 'n' && where != 'c') || !take_text(&rest, &to))
			return;
		redo(m, from, where, to);
	}
}

static void
recover_commit(struct maildir *m, const char *name)
{
	struct buf text = {.max = COMMIT_MAX};
	int fd = seize(m, name);

	if (fd == -1)
		return;
	if (io_slurp(fd, &text) == 0) {
		redo_all(m, buf_span(&text));
		if (fsync(m->dir[MD_NEW].fd) == 0 && fsync(m->dir[MD_CUR].fd) == 0)
			(void)unlinkat(m->tmp, name, 0);
	}
	buf_free(&text);
	close(fd);
}

/* ---- stages ---------------------------------------------------------------------- */

/* What the mailbox has already, read when the first stage to deliver is met. */
struct present {
	struct md_scan scan;
	struct md_list list;
	bool read;
};

static bool
anything(const struct md_scan *s, void *arg)
{
	(void)s, (void)arg;
	return true;
}

static bool
is_present(struct maildir *m, struct present *have, struct span base)
{
	if (!have->read) {
		have->read = true;
		if (md_scan(m, &have->scan, true, anything, NULL) == -1 ||
		    md_uids_read(m, &have->list) == -1)
			log_warn("%s: recovery: %m", md_who(m));
	}
	if (md_scan_find(&have->scan, base) != NULL)
		return true;
	for (size_t i = 0; i < have->list.n; i++)
		if (span_eq(md_entry_base(&have->list, &have->list.e[i]), base))
			return true;
	return false;
}

/* `BASE.mt-keep-N` taken apart. */
static bool
parse_keep(const char *name, struct span *base, uint64_t *kept)
{
	const char *mark = strstr(name, MD_KEEP);

	if (mark == NULL || mark == name)
		return false;
	*base = (struct span){name, (size_t)(mark - name)};
	return num_u64(span_of(mark + sizeof MD_KEEP - 1), kept) == 0;
}

static int
deliver_keep(struct maildir *m, const char *name, int fd, struct span base, uint64_t kept)
{
	char to[MDNAME_MAX + 1];
	struct stat st;

	if (span_cstr(base, to, sizeof to) == -1 || fstat(fd, &st) == -1)
		return -1;
	/* what was written after the last flush was promised to nobody */
	if ((uint64_t)st.st_size > kept &&
	    (ftruncate(fd, (off_t)kept) == -1 || fsync(fd) == -1))
		return -1;
	if (md_rename(m->tmp, name, m->dir[MD_NEW].fd, to) == -1 ||
	    fsync(m->dir[MD_NEW].fd) == -1)
		return -1;
	log_info("%s: delivered %s, which was left over", md_who(m), to);
	return 0;
}

static void
recover_keep(struct maildir *m, const char *name, struct present *have)
{
	struct span base;
	uint64_t kept;
	int fd;

	if (!parse_keep(name, &base, &kept) || (fd = seize(m, name)) == -1)
		return;
	if (is_present(m, have, base))
		(void)unlinkat(m->tmp, name, 0);
	else if (deliver_keep(m, name, fd, base, kept) == -1)
		log_error("%s: cannot deliver tmp/%s: %m", md_who(m), name);
	close(fd);
}

static void
recover_draft(struct maildir *m, const char *name)
{
	struct stat st;
	int fd;

	/* by ctime: the mtime of a linked copy is the date of the message */
	if (fstatat(m->tmp, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    st.st_ctim.tv_sec > time(NULL) - OLD_S || (fd = seize(m, name)) == -1)
		return;
	(void)unlinkat(m->tmp, name, 0);
	close(fd);
}

/* ---- held files ------------------------------------------------------------------ */

static void
recover_held(struct maildir *m, const char *name)
{
	const char *mark = strstr(name, MD_HELD_MARK);
	char holder[40];
	struct stat st;

	if (mark == NULL || strlen(mark) != strlen(MD_HELD_MARK) + 16)
		return;
	snprintf(holder, sizeof holder, "%s" MD_HOLDER, mark + strlen(MD_HELD_MARK));
	/* holders of the dead were removed before: what is there now lives */
	if (fstatat(m->tmp, holder, &st, AT_SYMLINK_NOFOLLOW) == -1 && errno == ENOENT)
		(void)unlinkat(m->tmp, name, 0);
}

static void
recover_holder(struct maildir *m, const char *name)
{
	int fd = seize(m, name);

	if (fd == -1)
		return;
	(void)unlinkat(m->tmp, name, 0);
	close(fd);
}

/* ---- the whole ------------------------------------------------------------------- */

/* In this order: a commit may take a stage, a held file needs its holder judged. */
static void
recover_names(struct maildir *m, const char *names, size_t n, struct present *have)
{
	const char *end;

	if (n == 0) /* no buffer either */
		return;
	end = names + n;
	for (const char *s = names; s < end; s += strlen(s) + 1)
		if (ends_in(s, MD_COMMIT))
			recover_commit(m, s);
		else if (ends_in(s, MD_HOLDER))
			recover_holder(m, s);
	for (const char *s = names; s < end; s += strlen(s) + 1)
		if (strstr(s, MD_KEEP) != NULL)
			recover_keep(m, s, have);
		else if (ends_in(s, MD_DRAFT))
			recover_draft(m, s);
		else if (strstr(s, MD_HELD_MARK) != NULL)
			recover_held(m, s);
}

void
md_recover(struct maildir *m)
{
	struct present have = {0};
	struct buf names = {0};
	struct dirent *d;
	DIR *dp;
	int fd;

	m->tmp = io_open_beneath(m->top, "tmp", O_RDONLY | O_DIRECTORY, 0);
	if (m->tmp == -1 ||
	    (fd = openat(m->tmp, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return;
	if ((dp = fdopendir(fd)) == NULL) {
		close(fd);
		return;
	}
	while ((d = readdir(dp)) != NULL)
		if (strstr(d->d_name, ".mt-") != NULL &&
		    buf_add(&names, (struct span){d->d_name, strlen(d->d_name) + 1}) == -1)
			break;
	closedir(dp);
	recover_names(m, names.p, names.n, &have);
	buf_free(&names);
	md_scan_free(&have.scan);
	md_list_free(&have.list);
}
