/*
 * mbox_uids: `mbox-uids` of a mailbox's index folder: what the file itself does not tell.
 * Lines of text; a last one without its end was torn, and counts for nothing.
 *
 *	mailtree-mbox 1 UIDVALIDITY UIDNEXT CLAIMED GUID
 *	k KEYWORD			in the order of their numbers
 *	u UID IDENT DATE		a message whose UID the file does not tell
 *
 * Written anew as a whole, or lines `u` and `k` are appended; both durable on return.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/io.h"
#include "storage/base/log.h"
#include "storage/base/num.h"
#include "storage/grow.h"
#include "storage/mbox.h"

#define TMP_NAME MBOX_UIDS ".tmp"
#define MAGIC    "mailtree-mbox"
#define FILE_MAX (1u << 30)
#define VALIDITY "mbox-uidvalidity" /* of the store: the last one that was given */

static pthread_mutex_t validity_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- reading ----------------------------------------------------------------------------- */

static bool
next_u32(struct span *rest, uint32_t *n)
{
	struct span w;

	return span_word(rest, &w) && num_u32(w, n) == 0;
}

static bool
next_hex64(struct span *rest, uint64_t *n)
{
	uint32_t hi, lo;
	struct span w;

	if (!span_word(rest, &w) || w.n != 16 ||
	    num_hex32((struct span){w.p, 8}, &hi) == -1 ||
	    num_hex32((struct span){w.p + 8, 8}, &lo) == -1)
		return false;
	*n = (uint64_t)hi << 32 | lo;
	return true;
}

static bool
take_head(struct mbox *m, struct span line)
{
	struct span w;
	uint64_t hi, lo;

	if (!span_word(&line, &w) || !span_eq(w, SPAN(MAGIC)) ||
	    !span_word(&line, &w) || !span_eq(w, SPAN("1")) ||
	    !next_u32(&line, &m->uidvalidity) || !next_u32(&line, &m->uidnext) ||
	    !next_u32(&line, &m->claimed) || !next_hex64(&line, &hi) ||
	    !next_hex64(&line, &lo) || m->uidvalidity == 0)
		return false;
	for (int i = 0; i < 8; i++) {
		m->guid[i] = (uint8_t)(hi >> (56 - 8 * i));
		m->guid[8 + i] = (uint8_t)(lo >> (56 - 8 * i));
	}
	return true;
}

static void
take_uid(struct mbox *m, struct mbox_uids *u, struct span rest)
{
	struct mbox_uid one = {0};
	struct span w;
	uint64_t date;

	if (!next_u32(&rest, &one.uid) || !next_hex64(&rest, &one.ident) ||
	    !span_word(&rest, &w) || num_u64(w, &date) == -1 || one.uid == 0 ||
	    one.uid > MBOXSCAN_UID_MAX || (u->n > 0 && u->v[u->n - 1].uid >= one.uid))
		return;
	one.date = (int64_t)date;
	if (GROW(u->v, u->n, u->cap) == 0)
		u->v[u->n++] = one;
	if (one.uid >= m->uidnext)
		m->uidnext = one.uid + 1;
}

int
mbox_keyword(struct mbox *m, struct span name)
{
	for (unsigned i = 0; i < m->nkeyword; i++)
		if (span_caseeq(span_of(m->keyword[i]), name))
			return (int)i;
	if (m->nkeyword == MT_NKEYWORD || !keywords_valid(name))
		return -1;
	memcpy(m->keyword[m->nkeyword], name.p, name.n);
	memset(m->keyword[m->nkeyword] + name.n, 0, sizeof m->keyword[0] - name.n);
	return (int)m->nkeyword++;
}

static void
parse(struct mbox *m, struct span text, struct mbox_uids *u)
{
	struct span line;

	if (memchr(text.p, '\n', text.n) == NULL || !span_cut(&text, '\n', &line) ||
	    !take_head(m, line)) {
		m->uidvalidity = 0;
		return;
	}
	m->uids_written = true;
	while (text.n > 0 && memchr(text.p, '\n', text.n) != NULL &&
	       span_cut(&text, '\n', &line))
		if (span_starts(line, SPAN("u ")))
			take_uid(m, u, span_from(line, 2));
		else if (span_starts(line, SPAN("k ")))
			(void)mbox_keyword(m, span_from(line, 2));
}

void
mbox_uids_read(struct mbox *m, struct mbox_uids *u)
{
	unsigned depth = cred_suspend(m->box->store);
	int fd =
	    openat(box_index_dir(m->box), MBOX_UIDS, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct buf text = {.max = FILE_MAX};

	m->uidvalidity = m->uidnext = 0;
	m->uids_written = false;
	if (fd != -1) {
		if (io_slurp(fd, &text) == 0 && text.n > 0)
			parse(m, buf_span(&text), u);
		close(fd);
	}
	if (m->uidnext == 0)
		m->uidnext = 1;
	buf_free(&text);
	cred_resume(m->box->store, depth);
}

void
mbox_uids_free(struct mbox_uids *u)
{
	free(u->v);
	*u = (struct mbox_uids){0};
}

/* ---- writing ----------------------------------------------------------------------------- */

static int
print_uid(const struct mbox_uid *one, struct buf *out)
{
	return buf_addf(out, "u %u %016llx %llu\n", one->uid,
	                (unsigned long long)one->ident,
	                (unsigned long long)(one->date < 0 ? 0 : one->date));
}

static int
print_uids(const struct mbox_uids *u, struct buf *out)
{
	for (size_t i = 0; i < u->n; i++)
		if (print_uid(&u->v[i], out) == -1)
			return -1;
	return 0;
}

static int
print(const struct mbox *m, const struct mbox_uids *u, struct buf *out)
{
	if (buf_addf(out, MAGIC " 1 %u %u %u ", m->uidvalidity, m->uidnext,
	             m->claimed) == -1)
		return -1;
	for (int i = 0; i < 16; i++)
		if (buf_addf(out, "%02x%s", m->guid[i],
		             i == 7    ? " "
		             : i == 15 ? "\n"
		                       : "") == -1)
			return -1;
	for (unsigned i = 0; i < m->nkeyword; i++)
		if (buf_addf(out, "k %s\n", m->keyword[i]) == -1)
			return -1;
	return print_uids(u, out);
}

int
mbox_uids_write(struct mbox *m, const struct mbox_uids *u)
{
	unsigned depth = cred_suspend(m->box->store);
	struct buf text = {.max = FILE_MAX};
	int rc = print(m, u, &text), saved;

	if (rc == 0)
		rc = io_replace(box_index_dir(m->box), MBOX_UIDS, TMP_NAME,
		                buf_span(&text), 0600);
	saved = errno;
	if (rc == 0)
		m->uids_written = true;
	else
		log_error("%s: cannot write " MBOX_UIDS ": %s", mbox_who(m),
		          strerror(saved));
	buf_free(&text);
	cred_resume(m->box->store, depth);
	errno = saved;
	return rc;
}

static int
append(struct mbox *m, struct span text)
{
	unsigned depth = cred_suspend(m->box->store);
	int fd, rc = -1, saved;

	fd = openat(box_index_dir(m->box), MBOX_UIDS,
	            O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (fd != -1) {
		rc = io_write_all(fd, text) == 0 ? fdatasync(fd) : -1;
		saved = errno;
		close(fd);
		errno = saved;
	}
	saved = errno;
	if (rc == -1) {
		log_error("%s: cannot write " MBOX_UIDS ": %s", mbox_who(m),
		          strerror(saved));
		m->uids_written =
		    false; /* half a line may stand there: next time as a whole */
	}
	cred_resume(m->box->store, depth);
	errno = saved;
	return rc;
}

int
mbox_uids_append(struct mbox *m, const struct mbox_uids *u)
{
	struct buf text = {.max = FILE_MAX};
	int rc = print_uids(u, &text);

	if (rc == 0)
		rc = append(m, buf_span(&text));
	buf_free(&text);
	return rc;
}

int
mbox_uids_append_keyword(struct mbox *m, struct span name)
{
	char text[MT_KEYWORD_MAX + 4];
	int n = snprintf(text, sizeof text, "k %.*s\n", (int)name.n, name.p);

	return append(m, (struct span){text, (size_t)n});
}

/* ---- UIDVALIDITY -------------------------------------------------------------------------- */

/* The time, and never one that a mailbox of this store has had from us. */
uint32_t
mbox_uidvalidity_next(struct mbox *m)
{
	struct store *s = m->box->store;
	unsigned depth = cred_suspend(s);
	uint32_t now = (uint32_t)time(NULL), last = 0;
	char text[32], tmp[64];
	ssize_t n = -1;
	int fd;

	pthread_mutex_lock(&validity_lock);
	if ((fd = openat(s->index_dir, VALIDITY, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) !=
	    -1) {
		n = io_pread_full(fd, text, sizeof text, 0);
		close(fd);
	}
	if (n > 0 && num_u32(span_trim((struct span){text, (size_t)n}), &last) == 0 &&
	    last >= now)
		now = last + 1;
	n = snprintf(text, sizeof text, "%u", now);
	snprintf(tmp, sizeof tmp, "%s.tmp", VALIDITY);
	if (io_replace(s->index_dir, VALIDITY, tmp, (struct span){text, (size_t)n},
	               0600) == -1)
		log_warn("%s: cannot write " VALIDITY ": %m", s->name);
	pthread_mutex_unlock(&validity_lock);
	cred_resume(s, depth);
	return now;
}
