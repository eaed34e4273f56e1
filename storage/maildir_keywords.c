/* maildir_keywords: the file `dovecot-keywords`, and what its letters mean for rows. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/maildir.h"

#define TMP_NAME KEYWORDS_FILE ".tmp" /* the uidlist's lock is held: it is ours */
#define FILE_MAX 65536

static uint32_t
named(const struct keywords *k)
{
	uint32_t mask = 0;

	for (unsigned i = 0; i < MT_NKEYWORD; i++)
		if (k->name[i][0] != '\0')
			mask |= 1u << i;
	return mask;
}

static void
take(struct maildir *m, const struct keywords *k, struct md_stamp stamp)
{
	keywords_free(&m->keywords);
	m->keywords = *k;
	m->keyword_mask = named(k);
	m->keywords_stamp = stamp;
}

static int
read_open(struct maildir *m, int fd, struct md_stamp stamp)
{
	struct buf text = {.max = FILE_MAX};
	struct keywords k = {0};
	int rc = io_slurp(fd, &text);

	if (rc == 0)
		rc = keywords_parse(buf_span(&text), &k);
	buf_free(&text);
	if (rc == -1) {
		keywords_free(&k);
		return -1;
	}
	if (k.bad > 0)
		log_warn("%s: " KEYWORDS_FILE ": %u lines make no sense, the first is line %zu",
			 md_who(m), k.bad, k.bad_line);
	take(m, &k, stamp);
	return 1;
}

int
md_keywords_refresh(struct maildir *m)
{
	struct md_stamp now = {0};
	struct stat st;
	int fd, rc, saved;

	/* by name first: the usual case costs no open */
	if (fstatat(m->top, KEYWORDS_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0)
		now = md_stamp(&st);
	else if (errno != ENOENT)
		return -1;
	if (md_stamp_eq(&now, &m->keywords_stamp))
		return 0;
	if (now.ino == 0) {
		take(m, &(struct keywords){0}, now);
		return 1;
	}
	if ((fd = io_open_regular(m->top, KEYWORDS_FILE, O_RDONLY, (uid_t)-1, false)) == -1) {
		log_error("%s: cannot read " KEYWORDS_FILE ": %m", md_who(m));
		return -1;
	}
	rc = fstat(fd, &st) == -1 ? -1 : read_open(m, fd, md_stamp(&st));
	saved = errno;
	close(fd);
	if (rc == -1) {
		errno = saved;
		log_error("%s: cannot read " KEYWORDS_FILE ": %m", md_who(m));
		errno = saved;
	}
	return rc;
}

void
md_keywords_publish(struct maildir *m, uint32_t old_mask)
{
	struct box *b = m->box;

	for (unsigned i = 0; i < MT_NKEYWORD; i++)
		box_edit_keyword(b, i, span_of(m->keywords.name[i]));
	if (old_mask == m->keyword_mask)
		return;
	for (uint32_t row = 0; row < m->names.nrow; row++) {
		struct mdname name;

		if (!box_row_live(b, row))
			continue;
		mdname_parse(span_of(names_get(&m->names, row)), &name);
		box_edit_flags(b, row, b->rec[row].flags, name.keywords & m->keyword_mask);
	}
}

/* Lock held and table fresh. */
static int
write_table(struct maildir *m, const struct keywords *k)
{
	struct buf text = {.max = FILE_MAX};
	struct stat st;
	mode_t mode = fstat(m->top, &st) == 0 ? (st.st_mode & 0666) | 0600 : 0600;
	int rc = keywords_print(k, &text);

	if (rc == 0)
		rc = io_replace(m->top, KEYWORDS_FILE, TMP_NAME, buf_span(&text), mode);
	buf_free(&text);
	return rc;
}

static int
add_locked(struct maildir *m, struct span name)
{
	int number;

	if (md_keywords_refresh(m) == -1)
		return -1;
	if ((number = keywords_find(&m->keywords, name)) != -1)
		return number;
	if ((number = keywords_add(&m->keywords, name)) == -1)
		return -1;
	if (write_table(m, &m->keywords) == -1) {
		m->keywords_stamp = (struct md_stamp){.dev = ~0ull}; /* read it again */
		return -1;
	}
	m->keyword_mask = named(&m->keywords);
	return number;
}

int
md_add_keyword(struct box *b, struct span name, unsigned *number)
{
	struct maildir *m = md_of(b);
	uint32_t old_mask = m->keyword_mask;
	struct dotlock lock;
	int n;

	if (!m->writable) {
		errno = EROFS;
		return -1;
	}
	if (md_uids_lock(m, MD_LOCK_MS, &lock) == -1)
		return -1;
	n = add_locked(m, name);
	md_uids_unlock(m, &lock);
	if (n == -1)
		return -1;
	(void)md_keywords_refresh(m); /* learns the stamp of what we wrote */
	box_begin(b);
	md_keywords_publish(m, old_mask);
	box_commit(b);
	*number = (unsigned)n;
	return 0;
}
