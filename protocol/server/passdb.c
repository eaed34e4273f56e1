#include "protocol/server/passdb.h"

#include <errno.h>
#include <pwd.h>
#include <shadow.h>
#include <stdio.h>

#include "protocol/mech.h"
#include "protocol/server/passfile.h"
#include "protocol/server/pwhash.h"
#include "storage/base/log.h"

/* A hash that takes as long as most: for users who are not there. */
static const char unlike[] = "{SHA512-CRYPT}$6$mailtreemailtree$";

static bool
is(const struct conf_db *db, const char *driver)
{
	return strcmp(db->driver, driver) == 0;
}

bool
passdb_has_lookup(const struct conf_db *db)
{
	return !is(db, "pam");
}

/* What a database has stored of somebody. All borrowed. */
struct stored {
	struct span where; /* the file, or the driver where there is none */
	const char *user;
	struct span text, scheme; /* scheme: of text that does not name its own */
};

/* The client is told no more than that it is wrong, so the admin is told why. */
static void
complain(const struct stored *s, enum pwhash_is is, unsigned mech)
{
	struct span text = s->text, scheme = s->scheme;

	pwhash_split(&text, &scheme);
	if (is == PWHASH_UNKNOWN)
		log_warn("%.*s: %s: there is no password scheme {%.*s}", (int)s->where.n,
		         s->where.p, s->user, (int)scheme.n, scheme.p);
	else if (text.n == 0)
		log_warn("%.*s: %s: no password is stored", (int)s->where.n, s->where.p,
		         s->user);
	else if (mech != 0 && !(pwhash_serves(scheme) & mech))
		log_warn("%.*s: %s: a password stored as {%.*s} cannot serve %s",
		         (int)s->where.n, s->where.p, s->user, (int)scheme.n, scheme.p,
		         mech_name(mech));
	else
		log_warn("%.*s: %s: what is stored as {%.*s} is none, so no password "
		         "matches it",
		         (int)s->where.n, s->where.p, s->user, (int)scheme.n, scheme.p);
}

static enum authdb_is
judge(const struct stored *s, struct span password)
{
	const struct pwhash_claim c = {span_of(s->user), password};
	enum pwhash_is is = pwhash_verify(&c, s->text, s->scheme);

	if (is != PWHASH_RIGHT && is != PWHASH_WRONG)
		complain(s, is, 0);
	return is == PWHASH_RIGHT ? AUTHDB_FOUND : AUTHDB_NOBODY;
}

/* As long as somebody's would take. */
static void
judge_nobody(const char *user, struct span password, const char *like, struct span scheme)
{
	const struct pwhash_claim c = {span_of(user), password};

	(void)pwhash_verify(&c, span_of(like[0] != '\0' ? like : unlike), scheme);
}

/* What may be known of a user besides the password. */
static void
keep_extra(struct passdb_found *found, struct span words)
{
	buf_reset(&found->extra);
	found->extra.max = PASSDB_EXTRA_MAX;
	if (buf_add(&found->extra, words) == -1)
		log_error("extra fields are longer than %d octets", PASSDB_EXTRA_MAX);
}

/*
 * What is stored, for a mechanism that is never told the password: the password, or the
 * mechanism's own form of it.
 */
static enum authdb_is
give_secret(const struct stored *from, unsigned mech, struct authdb_secret *s)
{
	struct buf text = {.max = sizeof s->text - 1};
	enum pwhash_is is;

	if (mech == 0)
		return AUTHDB_FOUND;
	is = pwhash_secret(from->text, from->scheme, mech, &text, &s->form);
	s->real = is == PWHASH_RIGHT &&
	          span_cstr(buf_span(&text), s->text, sizeof s->text) == 0;
	if (!s->real)
		complain(from, is, mech);
	if (text.p != NULL)
		explicit_bzero(text.p, text.cap);
	buf_free(&text);
	return s->real ? AUTHDB_FOUND : AUTHDB_NOBODY;
}

/* ---- passwd-file ---------------------------------------------------------------------- */

/* True and any password is right: `nopassword` beside an empty one. */
static bool
needs_none(const struct passwdfile_entry *e)
{
	struct span value;

	return e->password.n == 0 && passwdfile_extra(e, SPAN("nopassword"), &value);
}

static enum authdb_is
judge_entry(const struct passwdfile_entry *e, const struct passfile *a, const char *user,
            struct span password, struct passdb_found *found)
{
	const struct stored s = {a->path, user, e->password, a->scheme};
	const char *bar = passwdfile_restriction(e);
	enum authdb_is is;

	if (bar != NULL) {
		log_warn("%s: refused: the field %s is not in this version", user, bar);
		return AUTHDB_NOBODY;
	}
	is = needs_none(e) ? AUTHDB_FOUND : judge(&s, password);
	if (is == AUTHDB_FOUND)
		keep_extra(found, e->extra);
	return is;
}

static enum authdb_is
check_file(const struct conf_db *db, const char *user, struct span password,
           struct passdb_found *found)
{
	struct passwdfile f;
	struct passwdfile_entry e;
	struct passfile a;
	char like[256] = "";
	enum authdb_is is = AUTHDB_NOBODY;
	int rc = passfile_find(db, span_of(user), &f, &e, &a, like, sizeof like);

	if (rc == -1)
		return AUTHDB_FAILED;
	if (rc == 1)
		is = judge_entry(&e, &a, user, password, found);
	else
		judge_nobody(user, password, like, a.scheme);
	explicit_bzero(&f, sizeof f);
	explicit_bzero(like, sizeof like);
	return is;
}

static enum authdb_is
lookup_file(const struct conf_db *db, const char *user, unsigned mech,
            struct authdb_secret *s, struct passdb_found *found)
{
	struct passwdfile f;
	struct passwdfile_entry e;
	struct passfile a;
	char like[sizeof s->text] = "";
	enum authdb_is is = AUTHDB_NOBODY;
	int rc = passfile_find(db, span_of(user), &f, &e, &a, like, sizeof like);

	if (rc == 1 && mech != 0 && passwdfile_restriction(&e) != NULL)
		log_warn("%s: refused: the field %s is not in this version", user,
		         passwdfile_restriction(&e));
	else if (rc == 1)
		is = give_secret(
		    &(struct stored){a.path, user, e.password, a.scheme}, mech, s);
	if (is == AUTHDB_FOUND)
		keep_extra(found, e.extra);
	else if (mech != 0 && s->text[0] == '\0')
		snprintf(s->text, sizeof s->text, "%s", like);
	explicit_bzero(&f, sizeof f);
	explicit_bzero(like, sizeof like);
	return rc == -1 ? AUTHDB_FAILED : is;
}

static enum authdb_is
is_barred_in_file(const struct conf_db *db, const char *user)
{
	struct passwdfile f;
	struct passwdfile_entry e;
	struct passfile a;
	int rc = passfile_find(db, span_of(user), &f, &e, &a, NULL, 0);
	const char *bar = rc == 1 ? passwdfile_restriction(&e) : NULL;

	if (bar != NULL)
		log_warn("%s: refused: the field %s is not in this version", user, bar);
	explicit_bzero(&f, sizeof f);
	return rc == -1 ? AUTHDB_FAILED : bar != NULL ? AUTHDB_FOUND : AUTHDB_NOBODY;
}

/* ---- passwd and shadow ---------------------------------------------------------------- */

/* The stored hash of a system user; empty: there is none. -1: cannot tell. */
static int
system_hash(const struct conf_db *db, const char *user, char *out, size_t cap)
{
	struct passwd *pw = NULL;
	struct spwd *sp = NULL;
	const char *hash = "";

	errno = 0;
	if (is(db, "shadow"))
		sp = getspnam(user);
	else
		pw = getpwnam(user);
	if (pw == NULL && sp == NULL)
		return errno == 0 || errno == ENOENT || errno == ESRCH ? 0 : -1;
	hash = sp != NULL ? sp->sp_pwdp : pw->pw_passwd;
	return span_cstr(span_of(hash), out, cap) == 0 ? 1 : -1;
}

static enum authdb_is
check_system(const struct conf_db *db, const char *user, struct span password)
{
	char hash[512] = "";
	int rc = system_hash(db, user, hash, sizeof hash);
	const struct pwhash_claim c = {span_of(user), password};
	enum pwhash_is is;

	if (rc == -1)
		return AUTHDB_FAILED;
	is = pwhash_verify(&c, span_of(rc == 1 ? hash : unlike), SPAN("CRYPT"));
	explicit_bzero(hash, sizeof hash);
	return rc == 1 && is == PWHASH_RIGHT ? AUTHDB_FOUND : AUTHDB_NOBODY;
}

static enum authdb_is
lookup_system(const struct conf_db *db, const char *user, unsigned mech)
{
	char hash[512] = "";
	int rc = system_hash(db, user, hash, sizeof hash);

	explicit_bzero(hash, sizeof hash);
	if (rc == -1)
		return AUTHDB_FAILED;
	return rc == 1 && mech == 0 ? AUTHDB_FOUND : AUTHDB_NOBODY;
}

/* ---- pam ------------------------------------------------------------------------------ */

/* args: options, then the service; `*` is the protocol's name. Default: mailtree. */
static enum authdb_is
check_pam(const struct conf_db *db, const char *user, struct span password,
          const struct authdb_peer *peer)
{
	struct span rest = span_of(db->args), w;
	char service[64] = "mailtree";

	while (span_word(&rest, &w))
		if (memchr(w.p, '=', w.n) == NULL && w.p[0] != '-' &&
		    span_cstr(span_eq(w, SPAN("*")) ? peer->protocol : w, service,
		              sizeof service) == -1)
			return AUTHDB_FAILED;
	return authdb_pam(service, user, password, peer->remote);
}

/* ---- static --------------------------------------------------------------------------- */

/* config_finish() refuses such args; should they come here all the same, they let nobody in. */
static bool
is_restricted(const struct conf_db *db, const char *user)
{
	const struct passwdfile_entry e = {.extra = span_of(db->args)};
	const char *bar = passwdfile_restriction(&e);

	if (bar != NULL)
		log_warn("%s: refused: the field %s is not in this version", user, bar);
	return bar != NULL;
}

/* args: `password={PLAIN}x` or `nopassword`, and extra fields. */
struct fixed {
	struct span password;
	bool none; /* any will do */
};

static struct fixed
fixed_args(const struct conf_db *db)
{
	struct span rest = span_of(db->args), w;
	struct fixed f = {SPAN(""), false};

	while (span_word(&rest, &w))
		if (span_starts(w, SPAN("password=")))
			f.password = span_from(w, 9);
		else if (span_eq(w, SPAN("nopassword")) ||
		         span_starts(w, SPAN("nopassword=y")))
			f.none = true;
	return f;
}

static enum authdb_is
check_static(const struct conf_db *db, const char *user, struct span password,
             struct passdb_found *found)
{
	struct fixed f = fixed_args(db);

	if (is_restricted(db, user))
		return AUTHDB_NOBODY;
	keep_extra(found, span_of(db->args));
	if (f.none)
		return AUTHDB_FOUND;
	return judge(
	    &(struct stored){SPAN("passdb static"), user, f.password, SPAN("PLAIN")},
	    password);
}

static enum authdb_is
lookup_static(const struct conf_db *db, const char *user, unsigned mech,
              struct authdb_secret *s, struct passdb_found *found)
{
	if (mech != 0 && is_restricted(db, user))
		return AUTHDB_NOBODY;
	keep_extra(found, span_of(db->args));
	return give_secret(&(struct stored){SPAN("passdb static"), user,
	                                    fixed_args(db).password, SPAN("PLAIN")},
	                   mech, s);
}

/* ---- any ------------------------------------------------------------------------------ */

enum authdb_is
passdb_check(const struct conf_db *db, const char *user, struct span password,
             const struct authdb_peer *peer, struct passdb_found *found)
{
	buf_reset(&found->extra);
	if (is(db, "passwd-file"))
		return check_file(db, user, password, found);
	if (is(db, "pam"))
		return check_pam(db, user, password, peer);
	if (is(db, "static"))
		return check_static(db, user, password, found);
	return check_system(db, user, password);
}

enum authdb_is
passdb_lookup(const struct conf_db *db, const char *user, unsigned mech,
              struct authdb_secret *s, struct passdb_found *found)
{
	buf_reset(&found->extra);
	if (is(db, "passwd-file"))
		return lookup_file(db, user, mech, s, found);
	if (is(db, "static"))
		return lookup_static(db, user, mech, s, found);
	if (is(db, "pam"))
		return AUTHDB_NOBODY;
	return lookup_system(db, user, mech);
}

enum authdb_is
passdb_barred(const struct conf_db *db, const char *user)
{
	if (is(db, "passwd-file"))
		return is_barred_in_file(db, user);
	return is(db, "static") && is_restricted(db, user) ? AUTHDB_FOUND : AUTHDB_NOBODY;
}
