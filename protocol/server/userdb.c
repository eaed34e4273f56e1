#include "protocol/server/userdb.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "protocol/server/expand.h"
#include "protocol/server/mailwhere.h"
#include "protocol/server/passfile.h"
#include "storage/base/log.h"
#include "storage/base/num.h"

#define GROUPS_MAX 64
#define TEXT_MAX   4096 /* octets of a home or location */

/* ---- databases ------------------------------------------------------------------------ */

/* What a userdb knows; what it does not is empty and comes from the settings. */
struct facts {
	char uid[32], gid[32], home[1024], mail[1024];
	char *groups_of; /* the system user whose groups count; NULL: none */
};

static int
find_passwd(const char *user, struct facts *f)
{
	struct passwd *pw;

	errno = 0;
	if ((pw = getpwnam(user)) == NULL)
		return errno == 0 || errno == ENOENT || errno == ESRCH ? 0 : -1;
	snprintf(f->uid, sizeof f->uid, "%u", pw->pw_uid);
	snprintf(f->gid, sizeof f->gid, "%u", pw->pw_gid);
	f->groups_of = pw->pw_name;
	return span_cstr(span_of(pw->pw_dir), f->home, sizeof f->home) == 0 ? 1 : -1;
}

static int
copy_extra(const struct passwdfile_entry *e, struct span name, struct span otherwise,
           char *out, size_t cap)
{
	struct span value = otherwise, extra;

	if (passwdfile_extra(e, name, &extra))
		value = extra;
	if (value.n == 0) /* default_fields may have said it */
		return 0;
	return span_cstr(value, out, cap);
}

static int
find_file(const struct conf_db *db, const char *user, struct facts *f)
{
	struct passwdfile file;
	struct passwdfile_entry e;
	struct passfile a;
	int rc = passfile_find(db, span_of(user), &file, &e, &a, NULL, 0);

	if (rc == 1 &&
	    (copy_extra(&e, SPAN("userdb_uid"), e.uid, f->uid, sizeof f->uid) == -1 ||
	     copy_extra(&e, SPAN("userdb_gid"), e.gid, f->gid, sizeof f->gid) == -1 ||
	     copy_extra(&e, SPAN("userdb_home"), e.home, f->home, sizeof f->home) ==
	         -1 ||
	     copy_extra(&e, SPAN("userdb_mail"), SPAN(""), f->mail, sizeof f->mail) ==
	         -1)) {
		log_error("%s: a field of the password file is too long", user);
		rc = -1;
	}
	explicit_bzero(&file, sizeof file);
	return rc;
}

/* One word `name=value`: with `before` in front of the name, when it says so. */
static int
take_word(struct span word, struct span before, const struct expand_vars *v,
          struct facts *f)
{
	const struct {
		struct span name;
		char *to;
		size_t cap;
	} known[] = {
	    {SPAN("uid"), f->uid, sizeof f->uid},
	    {SPAN("gid"), f->gid, sizeof f->gid},
	    {SPAN("home"), f->home, sizeof f->home},
	    {SPAN("mail"), f->mail, sizeof f->mail},
	};
	struct buf b = {.max = sizeof f->home - 1};
	struct span name = word;
	int rc = 0;

	if (!span_starts(word, before))
		return 0;
	span_cut(&word, '=', &name);
	name = span_from(name, before.n);
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (!span_eq(name, known[i].name))
			continue;
		/* a location is expanded when the home is known */
		if (v == NULL || known[i].to == f->mail)
			rc = span_cstr(word, known[i].to, known[i].cap);
		else if ((rc = expand(word, v, &b)) == 0)
			rc = span_cstr(buf_span(&b), known[i].to, known[i].cap);
	}
	buf_free(&b);
	return rc;
}

static int
take_words(struct span words, struct span before, const struct expand_vars *v,
           const char *user, struct facts *f)
{
	struct span w;

	while (span_word(&words, &w))
		if (take_word(w, before, v, f) == -1) {
			log_error("%s: userdb: %.*s: %s", user, (int)w.n, w.p,
			          strerror(errno));
			return -1;
		}
	return 1;
}

/* Which names are users' only the passdbs know; one that cannot say rules nobody out. */
static int
is_somebody(const struct config *c, const char *user)
{
	struct passdb_found found = {0};
	int rc = 0;

	for (size_t i = 0; i < c->npassdb && rc == 0; i++) {
		const struct conf_db *db = &c->passdb[i];

		if (db->deny || db->master)
			continue;
		if (!passdb_has_lookup(db))
			rc = 1;
		else if (passdb_lookup(db, user, 0, NULL, &found) == AUTHDB_FOUND)
			rc = 1;
	}
	buf_free(&found.extra);
	return rc;
}

static int
find_static(const struct config *c, const struct conf_db *db, const char *user,
            const struct passdb_found *from, struct facts *f)
{
	struct expand_vars v = {.user = span_of(user)};
	struct span rest = span_of(db->args), w;
	bool all = from != NULL;

	while (span_word(&rest, &w))
		all |= span_eq(w, SPAN("allow_all_users=yes"));
	if (!all && is_somebody(c, user) == 0)
		return 0;
	return take_words(span_of(db->args), SPAN(""), &v, user, f);
}

/* What the passdb said; when nobody has logged in just now, what it would say. */
static int
find_prefetched(const struct config *c, const char *user,
                const struct passdb_found *from, struct facts *f)
{
	struct passdb_found found = {0};
	struct facts said = {0};
	int rc = 0;

	for (size_t i = 0; from == NULL && i < c->npassdb && found.extra.n == 0; i++)
		if (!c->passdb[i].deny && !c->passdb[i].master &&
		    passdb_has_lookup(&c->passdb[i]))
			(void)passdb_lookup(&c->passdb[i], user, 0, NULL, &found);
	if (from == NULL)
		from = &found;
	if (from->extra.n > 0)
		rc = take_words(buf_span(&from->extra), SPAN("userdb_"), NULL, user,
		                &said);
	if (rc == 1 && said.uid[0] == '\0' && said.home[0] == '\0' &&
	    said.mail[0] == '\0')
		rc = 0;
	if (rc == 1) /* what it does not say, default_fields may have said */
		rc = take_words(buf_span(&from->extra), SPAN("userdb_"), NULL, user, f);
	buf_free(&found.extra);
	return rc;
}

static int
find_one(const struct config *c, const struct conf_db *db, const char *user,
         const struct passdb_found *from, struct facts *f)
{
	if (strcmp(db->driver, "passwd") == 0)
		return find_passwd(user, f);
	if (strcmp(db->driver, "static") == 0)
		return find_static(c, db, user, from, f);
	if (strcmp(db->driver, "prefetch") == 0)
		return find_prefetched(c, user, from, f);
	return find_file(db, user, f);
}

/* What the database finds, between the fields that stand back and those that come first. */
static int
find_with_fields(const struct config *c, const struct conf_db *db, const char *user,
                 const struct passdb_found *from, struct facts *f)
{
	struct expand_vars v = {.user = span_of(user)};
	int rc;

	if (db->defaults != NULL &&
	    take_words(span_of(db->defaults), SPAN(""), &v, user, f) == -1)
		return -1;
	rc = find_one(c, db, user, from, f);
	if (rc == 1 && db->overrides != NULL &&
	    take_words(span_of(db->overrides), SPAN(""), &v, user, f) == -1)
		return -1;
	return rc;
}

static int
find_facts(const struct config *c, const char *user, const struct passdb_found *from,
           struct facts *f)
{
	int rc = 0;

	for (size_t i = 0; i < c->nuserdb && rc == 0; i++) {
		*f = (struct facts){0};
		rc = find_with_fields(c, &c->userdb[i], user, from, f);
	}
	return rc;
}

/* A number, or the name of a system user. -1: neither. */
static int
to_uid(const char *text, uint32_t *uid)
{
	struct passwd *pw;

	if (num_u32(span_of(text), uid) == 0)
		return 0;
	if ((pw = getpwnam(text)) == NULL)
		return -1;
	*uid = pw->pw_uid;
	return 0;
}

static int
to_gid(const char *text, uint32_t *gid)
{
	struct group *gr;

	if (num_u32(span_of(text), gid) == 0)
		return 0;
	if ((gr = getgrnam(text)) == NULL)
		return -1;
	*gid = gr->gr_gid;
	return 0;
}

static int
list_groups(const char *user, uint32_t gid, struct buf *out)
{
	gid_t group[GROUPS_MAX];
	int n = GROUPS_MAX;

	if (user == NULL)
		return buf_addc(out, '-');
	if (getgrouplist(user, gid, group, &n) == -1)
		n = GROUPS_MAX; /* the first ones count */
	for (int i = 0; i < n; i++)
		if (buf_addf(out, "%s%u", i > 0 ? "," : "", group[i]) == -1)
			return -1;
	return n > 0 ? 0 : buf_addc(out, '-');
}

/* mail_access_groups: each user's besides his own. */
static int
add_access_groups(const struct config *c, struct authdb_user *u)
{
	struct span rest = span_of(c->text[CONF_MAIL_ACCESS_GROUPS]), part, word;
	char name[64];
	uint32_t gid;

	while (span_cut(&rest, ',', &part))
		while (span_word(&part, &word)) {
			if (span_cstr(word, name, sizeof name) == -1 ||
			    to_gid(name, &gid) == -1 || gid == 0) {
				log_error(
				    "mail_access_groups: %.*s is no group that users "
				    "can have",
				    (int)word.n, word.p);
				return -1;
			}
			if (span_eq(buf_span(&u->groups), SPAN("-")))
				buf_reset(&u->groups);
			if (buf_addf(&u->groups, "%s%u", u->groups.n > 0 ? "," : "",
			             gid) == -1)
				return -1;
		}
	return 0;
}

/* ---- records -------------------------------------------------------------------------- */

static int
fill_ids(const struct config *c, const struct facts *f, struct authdb_user *u)
{
	const char *uid = f->uid[0] != '\0' ? f->uid : c->text[CONF_MAIL_UID];
	const char *gid = f->gid[0] != '\0' ? f->gid : c->text[CONF_MAIL_GID];
	struct record *r = &u->record;
	uint64_t last = c->num[CONF_LAST_VALID_UID];

	if (to_uid(uid, &r->uid) == -1 || to_gid(gid, &r->gid) == -1) {
		log_error(
		    "%s: no uid or gid: neither the userdb nor mail_uid and mail_gid "
		    "name one",
		    u->name);
		return -1;
	}
	if (r->uid == 0 || r->uid < c->num[CONF_FIRST_VALID_UID] ||
	    (last != 0 && r->uid > last) || r->uid == UINT32_MAX ||
	    r->gid == UINT32_MAX) {
		log_error(
		    "%s: uid %u is not between first_valid_uid and last_valid_uid",
		    u->name, r->uid);
		return -1;
	}
	if (geteuid() != 0 && r->uid != geteuid()) {
		log_error("%s: uid %u is not the one that the server runs as", u->name,
		          r->uid);
		return -1;
	}
	if (list_groups(f->groups_of, r->gid, &u->groups) == -1)
		return -1;
	return add_access_groups(c, u);
}

static int
fill_home(const struct config *c, const struct facts *f, struct authdb_user *u)
{
	struct expand_vars v = {.user = span_of(u->name)};

	if (f->home[0] != '\0')
		return buf_add(&u->home, span_of(f->home));
	return expand(span_of(c->text[CONF_MAIL_HOME]), &v, &u->home);
}

/* One path of a location, which must be whole afterwards. */
static int
add_location_path(struct span path, const struct expand_vars *v, const char *text,
                  struct authdb_user *u)
{
	size_t head = u->location.n;

	if (expand_path(path, v, &u->location) == -1)
		u->location.n = head;
	if (u->location.n == head || u->location.p[head] != '/') {
		log_error("%s: mail at %s needs a home, and the user has none", u->name,
		          text);
		return -1;
	}
	return 0;
}

/* `maildir:~/Maildir:INDEX=/x` to `maildir:/home/a/Maildir`; of an mbox the INBOX too. */
static int
fill_location(const struct config *c, const struct facts *f, struct authdb_user *u)
{
	const char *text = f->mail[0] != '\0' ? f->mail : c->text[CONF_MAIL_LOCATION];
	struct expand_vars v = {span_of(u->name), buf_span(&u->home)};
	struct mailwhere w;
	bool mbox;

	mailwhere_parse(span_of(text), &w);
	mbox = span_eq(w.driver, SPAN("mbox"));
	if (!mbox && !span_eq(w.driver, SPAN("maildir"))) {
		log_error("%s: mail at %s cannot be read by this version", u->name,
		          text);
		return -1;
	}
	if (w.refused.n > 0) {
		log_error("%s: mail at %s: %.*s cannot be had here: %s", u->name, text,
		          (int)w.refused.n, w.refused.p, w.why);
		return -1;
	}
	if (buf_add(&u->location, mbox ? SPAN("mbox:") : SPAN("maildir:")) == -1)
		return -1;
	/* an mbox without folders is `mbox::INBOX=/var/mail/%u` */
	if (!(mbox && w.path.n == 0) && add_location_path(w.path, &v, text, u) == -1)
		return -1;
	if (w.inbox.n == 0)
		return 0;
	return buf_add(&u->location, SPAN(":INBOX=")) == -1
	           ? -1
	           : add_location_path(w.inbox, &v, text, u);
}

static int
fill(const struct config *c, const struct facts *f, struct authdb_user *u)
{
	buf_reset(&u->groups);
	buf_reset(&u->home);
	buf_reset(&u->location);
	u->groups.max = u->home.max = u->location.max = TEXT_MAX;
	if (fill_ids(c, f, u) == -1 || fill_home(c, f, u) == -1)
		return -1;
	if (u->home.n > 0 && u->home.p[0] != '/') {
		log_error("%s: the home does not begin with /", u->name);
		return -1;
	}
	if (fill_location(c, f, u) == -1)
		return -1;
	u->record.user = span_of(u->name);
	u->record.groups = buf_span(&u->groups);
	u->record.home = buf_span(&u->home);
	u->record.location = buf_span(&u->location);
	return 0;
}

enum authdb_is
userdb_find(const struct config *c, struct authdb_user *u,
            const struct passdb_found *from)
{
	struct facts f;
	int rc = find_facts(c, u->name, from, &f);

	if (rc == 0)
		return AUTHDB_NOBODY;
	return rc == 1 && fill(c, &f, u) == 0 ? AUTHDB_FOUND : AUTHDB_FAILED;
}
