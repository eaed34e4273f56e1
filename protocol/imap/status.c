#include "protocol/imap/status.h"

#include <errno.h>
#include <inttypes.h>

#include "protocol/imap/names.h"

#define SCANS_MAX 16 /* times that the index may be laid out anew while it is read */
#define LOOKS_MAX                                                                      \
	16 /* times that messages of unknown size come while others are counted */

enum item {
	MESSAGES = 1,
	RECENT = 2,
	UIDNEXT = 4,
	UIDVALIDITY = 8,
	UNSEEN = 16,
	DELETED = 32,
	SIZE = 64,
	HIGHESTMODSEQ = 128,
	APPENDLIMIT = 256,
	MAILBOXID = 512,
};

static const struct {
	const char *name;
	enum item item;
} items_known[] = {
    {"MESSAGES", MESSAGES},
    {"RECENT", RECENT},
    {"UIDNEXT", UIDNEXT},
    {"UIDVALIDITY", UIDVALIDITY},
    {"UNSEEN", UNSEEN},
    {"DELETED", DELETED},
    {"SIZE", SIZE},
    {"HIGHESTMODSEQ", HIGHESTMODSEQ},
    {"APPENDLIMIT", APPENDLIMIT},
    {"MAILBOXID", MAILBOXID},
};

static unsigned
item_of(const struct arg *a)
{
	for (size_t i = 0; i < ARRAY_LEN(items_known); i++)
		if (arg_is_atom(a, items_known[i].name))
			return items_known[i].item;
	return 0;
}

bool
status_items(const struct arg *list, unsigned *items)
{
	*items = 0;
	if (list == NULL || list->type != ARG_LIST)
		return false;
	for (const struct arg *a = list->child; a != NULL; a = a->next) {
		unsigned item = item_of(a);

		if (item == 0)
			return false;
		*items |= item;
	}
	return *items != 0;
}

/* ---- taking ------------------------------------------------------------------------------ */

static int
count(void *arg, const struct mt_record *r)
{
	struct status *s = arg;

	s->recent += (r->bits & MT_RECENT) != 0;
	s->deleted += (r->flags & MT_DELETED) != 0;
	s->size += r->wire_size;
	return 0;
}

static int
count_all(struct view *v, struct status *s)
{
	int rc = -1;

	errno = ESTALE;
	for (int i = 0; i < SCANS_MAX && rc == -1 && errno == ESTALE; i++) {
		s->recent = s->deleted = s->size = 0;
		rc = view_scan(v, &s->head, count, s);
	}
	return rc;
}

static int
count_sizes(struct view *v)
{
	struct numset all = {0};
	int rc = numset_add(&all, 1, UINT32_MAX);

	if (rc == 0)
		rc = view_sizes(v, &all);
	numset_free(&all);
	if (rc == 1)
		errno = EAGAIN;
	return rc == 0 ? 0 : -1;
}

/* Look at the mailbox; with mode WHOLE after its sizes have been counted. */
static int
look(const struct view_conf *conf, unsigned items, struct status *s)
{
	struct view v;
	int rc, saved;

	if (view_open(conf, &v) == -1)
		return -1;
	rc = conf->mode == VIEW_WHOLE ? count_sizes(&v) : 0;
	if (rc == 0)
		rc = items & (RECENT | DELETED | SIZE) ? count_all(&v, s)
		                                       : view_header(&v, &s->head);
	saved = errno;
	view_close(&v);
	errno = saved;
	return rc;
}

int
status_take(struct imap *im, struct span path, unsigned items, struct status *s)
{
	struct view_conf conf = im->home.conf;
	char *name = arena_alloc(&im->arena, path.n + 1);

	*s = (struct status){0};
	if (name == NULL)
		return -1;
	conf.mailbox = memcpy(name, path.p, path.n);
	conf.mode = VIEW_LOOK;
	for (int i = 0; i < LOOKS_MAX; i++) {
		if (look(&conf, items, s) == -1)
			return -1;
		if (!(items & SIZE) || s->head.nunsized == 0)
			return 0;
		conf.mode = VIEW_WHOLE;
	}
	errno = EAGAIN;
	return -1;
}

/* ---- telling ------------------------------------------------------------------------------ */

static int
add_id(struct buf *b, const uint8_t guid[static 16])
{
	int rc = buf_addf(b, "MAILBOXID (");

	for (int i = 0; i < 16 && rc == 0; i++)
		rc = buf_addf(b, "%02x", guid[i]);
	return rc == 0 ? buf_addc(b, ')') : -1;
}

static int
add_number(struct imap *im, struct buf *b, size_t i, const struct status *s)
{
	uint64_t n = 0;

	switch (items_known[i].item) {
	case MESSAGES:
		n = s->head.nmessage;
		break;
	case RECENT:
		n = s->recent;
		break;
	case UIDNEXT:
		n = s->head.uidnext;
		break;
	case UIDVALIDITY:
		n = s->head.uidvalidity;
		break;
	case UNSEEN:
		n = s->head.nunseen;
		break;
	case DELETED:
		n = s->deleted;
		break;
	case SIZE:
		n = s->size;
		break;
	case HIGHESTMODSEQ:
		n = s->head.modseq;
		break;
	case APPENDLIMIT:
		n = im->conf->append_max;
		break;
	case MAILBOXID:
		return add_id(b, s->head.guid);
	}
	return buf_addf(b, "%s %" PRIu64, items_known[i].name, n);
}

int
status_print(struct imap *im, struct span path, unsigned items, const struct status *s)
{
	struct buf b = {0};
	const char *between = " (";
	int rc = buf_addf(&b, "* STATUS ");

	if (rc == 0)
		rc = imap_print_name(im, path, &b);
	for (size_t i = 0; i < ARRAY_LEN(items_known) && rc == 0; i++) {
		if (!(items & items_known[i].item))
			continue;
		rc = buf_add(&b, span_of(between));
		if (rc == 0)
			rc = add_number(im, &b, i, s);
		between = " ";
	}
	if (rc == 0)
		rc = buf_add(&b, SPAN(")\r\n"));
	if (rc == 0)
		rc = out_copy(im->out, buf_span(&b));
	buf_free(&b);
	/* it says that the client knows of modseqs (RFC 7162 section 3.1) */
	return rc == 0 && items & HIGHESTMODSEQ ? imap_enable(im, EN_CONDSTORE) : rc;
}

int
cmd_status(struct imap *im, const struct arg *args)
{
	struct status s;
	struct span path;
	unsigned items;
	const char *why;

	if (!arg_is_astring(args) || args->next == NULL || args->next->next != NULL ||
	    !status_items(args->next, &items))
		return imap_bad(im,
		                "STATUS takes a mailbox and a list of known items.");
	if (!imap_path(im, args, &path, &why))
		return imap_no(im, "CANNOT", "%s", why);
	if (status_take(im, path, items, &s) == -1)
		return imap_failed(im, "STATUS");
	if (status_print(im, path, items, &s) == -1)
		return -1;
	return imap_ok(im, NULL, "STATUS completed.");
}
