/*
 * maildir_sync: bringing a mailbox's rows in line with its files and its uidlist: look;
 * look again under the uidlist's lock when something has to be written; tell the box.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "storage/base/log.h"
#include "storage/base/num.h"
#include "storage/maildir_look.h"

/* ---- looking --------------------------------------------------------------------- */

int
md_kill(struct maildir *m)
{
	m->killed = true;
	box_kill(m->box);
	errno = ESTALE;
	return -1;
}

static int
write_or_say(struct look *l)
{
	if (look_write(l) == 0) {
		look_count_rowless(l);
		return 0;
	}
	log_error("%s: cannot write " UIDLIST_FILE ": %m", md_who(l->m));
	return -1;
}

/* The second look, under the lock. */
static int
look_and_write(struct look *l)
{
	if (look_take(l, true) == -1)
		return -1;
	if (look_out_of_uids(l) && look_start_over(l) == -1)
		return -1;
	if (look_must_write(l))
		return write_or_say(l);
	look_count_rowless(l);
	return 0;
}

/* New messages wait for the next look; what has a UID is shown. */
static int
defer(struct look *l)
{
	if (!look_loaded(l) && !l->m->uids.exists)
		return -1; /* without a UIDVALIDITY there is nothing to show */
	for (size_t i = 0; i < l->nfresh; i++)
		l->fresh[i]->uid = 0;
	l->nfresh = 0;
	l->m->deferred = true;
	return 0;
}

/*
 * Has the lock come without anybody having given out UIDs in between, and is nothing to be
 * written but records of new files? Then these are still without: what became of the files
 * themselves meanwhile, the next look tells as it would a moment later.
 */
static bool
still_holds(const struct look *l)
{
	struct maildir *m = l->m;

	return look_only_appends(l) && !m->uids.pending && m->uids.rowless == 0 &&
	       !md_uids_changed(m);
}

static int
look_twice(struct look *l)
{
	struct maildir *m = l->m;
	struct dotlock lock;
	int rc;

	if (look_take(l, false) == -1)
		return -1;
	m->deferred = false;
	if (!look_must_write(l)) {
		look_count_rowless(l);
		return 0;
	}
	if (md_uids_lock(m, MD_LOCK_SYNC_MS, &lock) == -1)
		return defer(l);
	rc = still_holds(l) ? write_or_say(l) : look_and_write(l);
	md_uids_unlock(m, &lock);
	return rc == 0 || m->box->dead ? rc : defer(l);
}

/* ---- telling the box ------------------------------------------------------------- */

/* When the file cannot be asked: most names begin with the time of delivery. */
static int64_t
date_by_name(struct span base)
{
	uint64_t t;
	size_t n = 0;

	while (n < base.n && base.p[n] >= '0' && base.p[n] <= '9')
		n++;
	return num_u64((struct span){base.p, n}, &t) == 0 && t < 1ull << 40 ? (int64_t)t
									  : time(NULL);
}

static void
fill_dates(const struct maildir *m, enum md_where where, const char *name, struct span base,
	   struct mt_record *r)
{
	struct stat st;

	if (fstatat(m->dir[where].fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		r->date = st.st_mtim.tv_sec;
		r->save_date = (uint32_t)st.st_ctim.tv_sec;
	} else {
		r->date = date_by_name(base);
		r->save_date = (uint32_t)r->date;
	}
}

void
md_fill_record(const struct maildir *m, enum md_where where, const char *name, uint32_t uid,
	       bool uidl, struct mt_record *r)
{
	struct mdname parsed;

	mdname_parse(span_of(name), &parsed);
	*r = (struct mt_record){
	    .uid = uid,
	    .flags = parsed.flags,
	    .keywords = parsed.keywords & m->keyword_mask,
	    .bits = (uint16_t)((where == MD_NEW ? MT_RECENT : 0) | (uidl ? MT_UIDL : 0)),
	    .date = INT64_MIN,
	    .name_hash = hash_check(parsed.base.p, parsed.base.n)};
	if (m->box->loaded || !box_known(m->box, uid, r->name_hash))
		fill_dates(m, where, name, parsed.base, r);
}

static struct span
uidl_of(const struct md_list *l, const struct md_entry *e)
{
	struct span uidl = {"", 0};

	if (!uidlist_ext(md_entry_ext(l, e), 'P', &uidl) || uidl.n > 255)
		uidl.n = 0;
	return uidl;
}

struct loading {
	struct names names;
	struct mt_record *rec;
	size_t n;
};

static int
load_one(const struct look *l, struct loading *to, uint32_t uid, enum md_where where,
	 struct span name, struct span base, struct span uidl)
{
	char text[MDNAME_MAX + 1];

	if (span_cstr(name, text, sizeof text) == -1 ||
	    names_add(&to->names, where, name, base.n, uidl) == -1)
		return -1;
	md_fill_record(l->m, where, text, uid, uidl.n > 0, &to->rec[to->n++]);
	return 0;
}

/*
 * Every record with a file, and when the scan was not stable those without one too: a
 * message that was missed now could not come back under its UID. The next stable scan
 * takes it out if it is really gone.
 */
static int
load_rows(const struct look *l, struct loading *to)
{
	for (size_t i = 0; i < l->list.n; i++) {
		const struct md_entry *e = &l->list.e[i];
		struct span base = md_entry_base(&l->list, e), uidl = uidl_of(&l->list, e);
		struct md_file *f = md_scan_find(&l->scan, base);

		if (f != NULL && f->uid == e->uid) {
			if (load_one(l, to, e->uid, f->where, md_file_name(&l->scan, f), base,
				     uidl) == -1)
				return -1;
		} else if (f == NULL && !l->scan.stable && base.n <= MDNAME_MAX &&
			   load_one(l, to, e->uid, MD_CUR, base, base, uidl) == -1)
			return -1;
	}
	for (size_t i = 0; i < l->nfresh; i++) {
		struct md_file *f = l->fresh[i];

		if (load_one(l, to, f->uid, f->where, md_file_name(&l->scan, f),
			     md_file_base(&l->scan, f), (struct span){"", 0}) == -1)
			return -1;
	}
	return 0;
}

static void
fill_head(const struct maildir *m, struct mt_header *h)
{
	*h = (struct mt_header){.uidvalidity = m->uids.uidvalidity, .uidnext = m->uids.uidnext};
	memcpy(h->guid, m->uids.guid, sizeof h->guid);
	for (unsigned i = 0; i < MT_NKEYWORD; i++) {
		memcpy(h->keyword[i], m->keywords.name[i], sizeof h->keyword[i]);
		if (m->keyword_mask >> i & 1)
			h->nkeyword = i + 1;
	}
}

static int
load(struct look *l)
{
	struct loading to = {0};
	struct mt_header *head = malloc(sizeof *head);
	int rc = -1;

	box_expect(l->m->box, l->m->uids.uidvalidity, l->m->uids.guid);
	to.rec = reallocarray(NULL, l->list.n + l->nfresh + 1, sizeof *to.rec);
	if (head == NULL || to.rec == NULL || load_rows(l, &to) == -1) {
		names_free(&to.names);
		goto out;
	}
	fill_head(l->m, head);
	names_free(&l->m->names);
	l->m->names = to.names;
	if ((rc = box_load(l->m->box, head, to.rec, to.n)) == -1)
		names_free(&l->m->names);
out:
	free(to.rec);
	free(head);
	return rc;
}

static void
apply_rows(struct look *l)
{
	struct maildir *m = l->m;
	struct box *b = m->box;

	for (uint32_t row = 0; row < m->names.nrow; row++) {
		const struct md_file *f = l->file[row];
		struct mdname parsed;

		if (l->fate[row] == FATE_GONE && box_row_live(b, row)) {
			box_edit_gone(b, row, false);
			m->names.where[row] = MD_GONE;
		} else if (l->fate[row] == FATE_NAMED) {
			/* room was reserved: it cannot fail */
			(void)names_set(&m->names, row, (enum md_where)f->where,
					md_file_name(&l->scan, f), f->base);
			mdname_parse(md_file_name(&l->scan, f), &parsed);
			box_edit_flags(b, row, parsed.flags, parsed.keywords & m->keyword_mask);
			box_edit_recent(b, row, f->where == MD_NEW);
		}
	}
}

struct arrival {
	enum md_where where;
	struct span name, base, uidl;
	struct mt_record rec;
};

static struct arrival
arrival_of_file(const struct look *l, const struct md_file *f)
{
	return (struct arrival){.where = (enum md_where)f->where,
				.name = md_file_name(&l->scan, f),
				.base = md_file_base(&l->scan, f),
				.uidl = {"", 0}};
}

/* Without a file: under its base name, until a stable scan tells more. */
static struct arrival
arrival_of_record(const struct look *l, const struct found *f)
{
	struct span base = md_entry_base(&l->list, f->entry);
	struct arrival a = {.where = MD_CUR, .name = base, .base = base};

	if (f->file != NULL)
		a = arrival_of_file(l, f->file);
	a.uidl = uidl_of(&l->list, f->entry);
	return a;
}

/* Before box_begin, for it asks the files for their dates. The spans end in NULs. */
static struct arrival *
arrivals(const struct look *l, size_t *n)
{
	struct arrival *v = reallocarray(NULL, l->nfound + l->nfresh + 1, sizeof *v);

	*n = 0;
	for (size_t i = 0; v != NULL && i < l->nfound + l->nfresh; i++) {
		bool fresh = i >= l->nfound;
		struct arrival *a = &v[*n];

		*a = fresh ? arrival_of_file(l, l->fresh[i - l->nfound])
			   : arrival_of_record(l, &l->found[i]);
		if (a->name.n > MDNAME_MAX)
			continue;
		md_fill_record(l->m, a->where, a->name.p,
			       fresh ? l->fresh[i - l->nfound]->uid : l->found[i].entry->uid,
			       a->uidl.n > 0, &a->rec);
		++*n;
	}
	return v;
}

/* Rows and names grow together, or the rest waits. */
static int
apply_arrivals(struct look *l, const struct arrival *v, size_t n)
{
	struct maildir *m = l->m;

	for (size_t i = 0; i < n; i++) {
		if (names_add(&m->names, v[i].where, v[i].name, v[i].base.n, v[i].uidl) == -1)
			return -1;
		if (box_edit_add(m->box, &v[i].rec) == -1) {
			m->names.nrow--;
			return -1;
		}
	}
	return 0;
}

static int
apply(struct look *l, bool keywords, uint32_t old_mask)
{
	struct maildir *m = l->m;
	struct arrival *v;
	size_t n;
	int rc;

	if (!keywords && l->ngone + l->nnamed + l->nfound + l->nfresh == 0 &&
	    m->uids.uidnext <= m->box->head.uidnext)
		return 0;
	if ((v = arrivals(l, &n)) == NULL)
		return -1;
	box_begin(m->box);
	rc = names_reserve(&m->names, l->nnamed);
	if (rc == 0) {
		apply_rows(l);
		if (keywords)
			md_keywords_publish(m, old_mask);
		rc = apply_arrivals(l, v, n);
		box_edit_uidnext(m->box, m->uids.uidnext);
	}
	box_commit(m->box);
	free(v);
	return rc;
}

/* ---- the whole ------------------------------------------------------------------- */

/* The descriptors stay when the directories do not. */
static int
still_there(struct maildir *m)
{
	struct stat st;

	for (int w = MD_NEW; w <= MD_CUR; w++)
		if (fstat(m->dir[w].fd, &st) == -1 || st.st_nlink == 0)
			return md_kill(m);
	return 0;
}

static void
distrust(struct maildir *m)
{
	m->dir[MD_NEW].trust = m->dir[MD_CUR].trust = TRUST_NONE;
	m->uids.known = false;
}

static int
sync_with(struct maildir *m, int (*look)(struct look *))
{
	struct look l = {.m = m};
	uint32_t old_mask = m->keyword_mask;
	int keywords, rc = -1, saved;

	if (still_there(m) == -1)
		return -1;
	if ((keywords = md_keywords_refresh(m)) != -1 && look(&l) == 0)
		rc = m->box->loaded ? apply(&l, keywords == 1, old_mask) : load(&l);
	saved = errno;
	if (rc == -1)
		distrust(m);
	look_free(&l);
	errno = saved;
	return rc;
}

int
md_sync(struct box *b, bool doubt)
{
	struct maildir *m = md_of(b);

	for (int w = MD_NEW; w <= MD_CUR && doubt; w++)
		if (m->dir[w].trust == TRUST_OURS)
			m->dir[w].trust = TRUST_FRESH;
	return sync_with(m, look_twice);
}

int
md_sync_locked(struct maildir *m)
{
	return sync_with(m, look_and_write);
}
