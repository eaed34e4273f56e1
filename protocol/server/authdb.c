#include "protocol/server/authdb.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "protocol/server/expand.h"
#include "protocol/server/mailwhere.h"
#include "protocol/server/passwdfile.h"
#include "protocol/server/pwhash.h"
#include "storage/base/log.h"
#include "storage/base/num.h"

#define GROUPS_MAX 64
#define TEXT_MAX   4096 /* octets of a home or location */

/* ---- names ---------------------------------------------------------------------------- */

/* The name as auth_username_format makes it. False: no user can be called this. */
static bool
normal_name(const struct config *c, struct span user, char out[static USERNAME_MAX + 1])
{
	struct expand_vars v = {.user = user};
	struct buf b = {.max = USERNAME_MAX};
	const char *chars = c->text[CONF_AUTH_USERNAME_CHARS];
	bool good;

	good = username_valid(user) &&
	       expand(span_of(c->text[CONF_AUTH_USERNAME_FORMAT]), &v, &b) == 0 &&
	       username_valid(buf_span(&b));
	for (size_t i = 0; good && chars[0] != '\0' && i < b.n; i++)
		good = strchr(chars, b.p[i]) != NULL;
	if (good)
		good = span_cstr(buf_span(&b), out, USERNAME_MAX + 1) == 0;
	buf_free(&b);
	return good;
}

/* ---- passwd-file ---------------------------------------------------------------------- */

/* args: `scheme=CRYPT username_format=%n /path`. All but the path is optional. */
struct file_args {
	struct span scheme, format, path;
};

static void
cut_args(const struct conf_db *db, struct file_args *a)
{
	struct span rest = span_of(db->args), w;

	*a = (struct file_args){SPAN("CRYPT"), SPAN("%u"), SPAN("")};
	while (span_word(&rest, &w))
		if (span_starts(w, SPAN("scheme=")))
			a->scheme = span_from(w, 7);
		else if (span_starts(w, SPAN("username_format=")))
			a->format = span_from(w, 16);
		else if (w.p[0] == '/')
			a->path = w;
}

/* Open the file that serves this user. -1 errno (logged when it is an error). */
static int
open_file(const struct file_args *a, struct span user)
{
	struct expand_vars v = {.user = user};
	struct buf path = {.max = TEXT_MAX};
	int fd = -1;

	if (expand(a->path, &v, &path) == 0 && buf_addc(&path, '\0') == 0 &&
	    (fd = open(path.p, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) == -1)
		log_error("%s: %s", path.p, strerror(errno));
	buf_free(&path);
	return fd;
}

/*
 * The entry of `user`. `like` (64 octets or more) gets some password of the file, to
 * take as long over a user who is not there. 1, 0, -1 as passwdfile_find.
 */
static int
find_entry(struct passwdfile *f, struct span key, struct passwdfile_entry *e,
           char *like, size_t cap)
{
	int rc;

	while ((rc = passwdfile_next(f, e)) == 1) {
		if (like != NULL && like[0] == '\0')
			(void)span_cstr(e->password, like, cap);
		if (span_eq(e->user, key))
			return 1;
	}
	if (rc == -1)
		log_error("password file: %s", strerror(errno));
	return rc;
}

/* Look the user up in a passwd-file. *e points into *f. */
static int
lookup_file(const struct conf_db *db, struct span user, struct passwdfile *f,
            struct passwdfile_entry *e, struct file_args *a, char *like, size_t cap)
{
	struct expand_vars v = {.user = user};
	struct buf key = {.max = USERNAME_MAX};
	int rc = -1;

	cut_args(db, a);
	*f = (struct passwdfile){.fd = open_file(a, user)};
	if (f->fd != -1) {
		if (expand(a->format, &v, &key) == 0)
			rc = find_entry(f, buf_span(&key), e, like, cap);
		close(f->fd);
	}
	buf_free(&key);
	return rc;
}

static enum authdb_is
judge_hash(enum pwhash_is is, const char *user)
{
	if (is == PWHASH_UNUSABLE)
		log_warn("%s: the stored password has an unknown scheme", user);
	return is == PWHASH_RIGHT ? AUTHDB_FOUND : AUTHDB_NOBODY;
}

static enum authdb_is
check_file(const struct conf_db *db, const char *user, struct span password)
{
	static const char unlike[] = "{SHA512-CRYPT}$6$mailtreemailtree$";
	struct passwdfile f;
	struct passwdfile_entry e;
	struct file_args a;
	char like[256] = "";
	enum authdb_is is = AUTHDB_NOBODY;
	const char *bar;
	int rc;

	rc = lookup_file(db, span_of(user), &f, &e, &a, like, sizeof like);
	if (rc == -1)
		return AUTHDB_FAILED;
	if (rc == 1 && (bar = passwdfile_restriction(&e)) == NULL)
		is = judge_hash(pwhash_verify(password, e.password, a.scheme), user);
	else if (rc == 1)
		log_warn("%s: refused: the field %s is not in this version", user, bar);
	else /* for its duration only */
		(void)pwhash_verify(password, span_of(like[0] != '\0' ? like : unlike),
		                    a.scheme);
	explicit_bzero(&f, sizeof f);
	explicit_bzero(like, sizeof like);
	return is;
}

/* ---- passdbs -------------------------------------------------------------------------- */

static enum authdb_is
check_passwd(const char *user, struct span password)
{
	struct passwd *pw;

	errno = 0;
	if ((pw = getpwnam(user)) == NULL)
		return errno == 0 || errno == ENOENT ? AUTHDB_NOBODY : AUTHDB_FAILED;
	return pwhash_verify(password, span_of(pw->pw_passwd), SPAN("CRYPT")) ==
	               PWHASH_RIGHT
	           ? AUTHDB_FOUND
	           : AUTHDB_NOBODY;
}

/* args: options, then the service; `*` is the protocol's name. Default: mailtree. */
static enum authdb_is
check_pam(const struct conf_db *db, const char *user, struct span password,
          struct span address, struct span protocol)
{
	struct span rest = span_of(db->args), w;
	char service[64] = "mailtree";

	while (span_word(&rest, &w))
		if (memchr(w.p, '=', w.n) == NULL && w.p[0] != '-' &&
		    span_cstr(span_eq(w, SPAN("*")) ? protocol : w, service,
		              sizeof service) == -1)
			return AUTHDB_FAILED;
	return authdb_pam(service, user, password, address);
}

static enum authdb_is
check_one(const struct conf_db *db, const char *user, struct span password,
          struct span address, struct span protocol)
{
	if (strcmp(db->driver, "passwd-file") == 0)
		return check_file(db, user, password);
	if (strcmp(db->driver, "pam") == 0)
		return check_pam(db, user, password, address, protocol);
	return check_passwd(user, password);
}

/* Yes from any; a failure counts only when no other says yes. */
static enum authdb_is
check_all(const struct config *c, const char *user, struct span password,
          struct span address, struct span protocol)
{
	enum authdb_is is = AUTHDB_NOBODY;

	for (size_t i = 0; i < c->npassdb; i++) {
		enum authdb_is one =
		    check_one(&c->passdb[i], user, password, address, protocol);

		if (one == AUTHDB_FOUND)
			return one;
		if (one == AUTHDB_FAILED)
			is = one;
	}
	return is;
}

/* ---- userdbs -------------------------------------------------------------------------- */

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
	return span_cstr(value, out, cap);
}

static int
find_file(const struct conf_db *db, const char *user, struct facts *f)
{
	struct passwdfile file;
	struct passwdfile_entry e;
	struct file_args a;
	int rc = lookup_file(db, span_of(user), &file, &e, &a, NULL, 0);

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

static int
find_facts(const struct config *c, const char *user, struct facts *f)
{
	int rc = 0;

	for (size_t i = 0; i < c->nuserdb && rc == 0; i++) {
		*f = (struct facts){0};
		rc = strcmp(c->userdb[i].driver, "passwd") == 0
		         ? find_passwd(user, f)
		         : find_file(&c->userdb[i], user, f);
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
				log_error("mail_access_groups: %.*s is no group that users "
				          "can have",
				          (int)word.n, word.p);
				return -1;
			}
			if (span_eq(buf_span(&u->groups), SPAN("-")))
				buf_reset(&u->groups);
			if (buf_addf(&u->groups, "%s%u", u->groups.n > 0 ? "," : "", gid) ==
			    -1)
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

/* u->name is who; whether that is known, and then the record. */
static enum authdb_is
find_named(const struct config *c, struct authdb_user *u)
{
	struct facts f;
	int rc = find_facts(c, u->name, &f);

	if (rc == 0)
		return AUTHDB_NOBODY;
	return rc == 1 && fill(c, &f, u) == 0 ? AUTHDB_FOUND : AUTHDB_FAILED;
}

enum authdb_is
authdb_check(const struct config *c, struct span user, struct span password,
             struct span address, struct span protocol, struct authdb_user *u)
{
	enum authdb_is is;

	/* from login, which is not trusted */
	if (!span_eq(protocol, SPAN("pop3")) && !span_eq(protocol, SPAN("imap")))
		return AUTHDB_NOBODY;
	if (password.n == 0 || memchr(password.p, '\0', password.n) != NULL ||
	    !normal_name(c, user, u->name))
		return AUTHDB_NOBODY;
	if ((is = check_all(c, u->name, password, address, protocol)) != AUTHDB_FOUND)
		return is;
	if ((is = find_named(c, u)) == AUTHDB_NOBODY) {
		log_error("%s: the password is right, but no userdb knows the user",
		          u->name);
		is = AUTHDB_FAILED;
	}
	return is;
}

enum authdb_is
authdb_find(const struct config *c, struct span user, struct authdb_user *u)
{
	/* another spelling of a name would be a second tree over the same mail */
	if (!normal_name(c, user, u->name) || !span_eq(user, span_of(u->name)))
		return AUTHDB_NOBODY;
	return find_named(c, u);
}

/* Would a number in a password file be refused? Names are judged when they are asked. */
static bool
is_refused(const struct config *c, struct span uid)
{
	uint64_t last = c->num[CONF_LAST_VALID_UID];
	uint32_t n;

	return num_u32(uid, &n) == 0 &&
	       (n == 0 || n < c->num[CONF_FIRST_VALID_UID] || (last != 0 && n > last));
}

/* ---- lists ---------------------------------------------------------------------------- */

static int
add_names(const struct config *c, struct passwdfile *f, struct buf *out)
{
	struct passwdfile_entry e;
	char name[USERNAME_MAX + 1];

	while (passwdfile_next(f, &e) == 1) {
		if (!normal_name(c, e.user, name) || !span_eq(e.user, span_of(name)) ||
		    is_refused(c, e.uid))
			continue;
		if (out->n + 1 + e.user.n > out->max)
			return 0;
		if ((out->n > 0 && buf_addc(out, ' ') == -1) ||
		    buf_add(out, e.user) == -1)
			return -1;
	}
	return 0;
}

int
authdb_names(const struct config *c, struct buf *out)
{
	int rc = 0;

	for (size_t i = 0; i < c->nuserdb && rc == 0; i++) {
		struct passwdfile f = {0};
		struct file_args a;

		cut_args(&c->userdb[i], &a);
		/* one file for each domain, or names that are not whole: no list */
		if (strcmp(c->userdb[i].driver, "passwd-file") != 0 ||
		    memchr(a.path.p, '%', a.path.n) != NULL ||
		    !span_eq(a.format, SPAN("%u")))
			continue;
		if ((f.fd = open_file(&a, SPAN("-"))) == -1)
			continue;
		rc = add_names(c, &f, out);
		close(f.fd);
	}
	return rc;
}

void
authdb_user_free(struct authdb_user *u)
{
	buf_free(&u->groups);
	buf_free(&u->home);
	buf_free(&u->location);
}
