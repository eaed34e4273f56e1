#include "protocol/server/authdb.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "protocol/base64.h"
#include "protocol/mech.h"
#include "protocol/server/expand.h"
#include "protocol/server/passfile.h"
#include "protocol/server/pwhash.h"
#include "protocol/server/userdb.h"
#include "storage/base/hash.h"
#include "storage/base/log.h"
#include "storage/base/num.h"

/* ---- names ---------------------------------------------------------------------------- */

/* auth_username_translation: pairs of characters, from and to. */
static void
translate(const char *pairs, struct buf *b)
{
	for (size_t i = 0; i < b->n; i++)
		for (const char *p = pairs; p[0] != '\0' && p[1] != '\0'; p += 2)
			if (b->p[i] == p[0]) {
				b->p[i] = p[1];
				break;
			}
}

/* What the client wrote, made whole: with a realm, in the characters that are meant. */
static int
write_name(const struct config *c, struct span user, struct buf *b)
{
	const char *realm = c->text[CONF_AUTH_DEFAULT_REALM];

	if (buf_add(b, user) == -1 ||
	    (realm[0] != '\0' && memchr(user.p, '@', user.n) == NULL &&
	     (buf_addc(b, '@') == -1 || buf_add(b, span_of(realm)) == -1)))
		return -1;
	translate(c->text[CONF_AUTH_USERNAME_TRANSLATION], b);
	return 0;
}

static bool
has_only(struct span s, const char *chars)
{
	for (size_t i = 0; chars[0] != '\0' && i < s.n; i++)
		if (strchr(chars, s.p[i]) == NULL)
			return false;
	return true;
}

/* The name as auth_username_format makes it. False: no user can be called this. */
static bool
normal_name(const struct config *c, struct span user, char out[static USERNAME_MAX + 1])
{
	struct buf written = {.max = USERNAME_MAX}, b = {.max = USERNAME_MAX};
	struct expand_vars v;
	bool good = username_valid(user) && write_name(c, user, &written) == 0;

	v = (struct expand_vars){.user = buf_span(&written)};
	good = good && username_valid(v.user) &&
	       expand(span_of(c->text[CONF_AUTH_USERNAME_FORMAT]), &v, &b) == 0 &&
	       username_valid(buf_span(&b)) &&
	       has_only(buf_span(&b), c->text[CONF_AUTH_USERNAME_CHARS]) &&
	       span_cstr(buf_span(&b), out, USERNAME_MAX + 1) == 0;
	buf_free(&written);
	buf_free(&b);
	return good;
}

/* Who proves it, and who it then is: they differ when a master acts for somebody. */
struct names {
	char who[USERNAME_MAX + 1], as[USERNAME_MAX + 1];
	bool master;
};

/* `user*master` is a master who acts for the user, with `*` auth_master_user_separator. */
static bool
cut_names(const struct config *c, struct span user, struct span as, struct names *n)
{
	const char *separator = c->text[CONF_AUTH_MASTER_USER_SEPARATOR];
	struct span rest = user, first = user;

	if (separator[0] != '\0' && as.n == 0 &&
	    memchr(user.p, separator[0], user.n) != NULL) {
		span_cut(&rest, separator[0], &first);
		as = first;
		user = rest;
	}
	if (!normal_name(c, user, n->who) ||
	    !normal_name(c, as.n > 0 ? as : user, n->as))
		return false;
	n->master = strcmp(n->who, n->as) != 0;
	return true;
}

/* ---- passdbs in their order ----------------------------------------------------------- */

/* How far it has come. */
struct walk {
	bool ok, failed; /* somebody said yes; somebody could not say */
	bool over;
};

static void
follow(struct walk *w, enum conf_result r)
{
	static const struct {
		bool sets, ok, over;
	} does[] = {
	    [CONF_RETURN_OK] = {true, true, true},
	    [CONF_RETURN_FAIL] = {true, false, true},
	    [CONF_RETURN] = {false, false, true},
	    [CONF_CONTINUE_OK] = {true, true, false},
	    [CONF_CONTINUE_FAIL] = {true, false, false},
	    [CONF_CONTINUE] = {false, false, false},
	};

	if (does[r].sets)
		w->ok = does[r].ok;
	w->over = does[r].over;
}

static bool
is_passed_over(const struct conf_db *db, const struct names *n, const struct walk *w)
{
	if (db->master != n->master)
		return true;
	return db->skip == CONF_SKIP_AUTHENTICATED     ? w->ok
	       : db->skip == CONF_SKIP_UNAUTHENTICATED ? !w->ok
	                                               : false;
}

static void
take_answer(struct walk *w, const struct conf_db *db, enum authdb_is is)
{
	if (is == AUTHDB_FAILED)
		w->failed = true;
	follow(w, is == AUTHDB_FOUND    ? db->success
	          : is == AUTHDB_FAILED ? db->internalfail
	                                : db->failure);
}

/* deny: whoever is in it is nobody. */
static bool
is_denied(const struct conf_db *db, const char *user)
{
	struct passdb_found found = {0};
	bool denied =
	    db->deny && passdb_lookup(db, user, 0, NULL, &found) != AUTHDB_NOBODY;

	buf_free(&found.extra);
	return denied;
}

/* One that says yes adds to what is known; `found` keeps what the last of them said. */
static enum authdb_is
ask(const struct conf_db *db, const struct names *n, struct span password,
    const struct authdb_peer *peer, struct passdb_found *found)
{
	struct passdb_found now = {0};
	enum authdb_is is = passdb_check(db, n->who, password, peer, &now);

	if (is != AUTHDB_FOUND) {
		buf_free(&now.extra);
		return is;
	}
	buf_free(&found->extra);
	*found = now;
	return is;
}

static enum authdb_is
check_all(const struct config *c, const struct names *n, struct span password,
          const struct authdb_peer *peer, struct passdb_found *found)
{
	struct walk w = {0};

	for (size_t i = 0; i < c->npassdb && !w.over; i++) {
		const struct conf_db *db = &c->passdb[i];

		if (is_denied(db, n->as))
			return AUTHDB_NOBODY;
		if (!db->deny && !is_passed_over(db, n, &w))
			take_answer(&w, db, ask(db, n, password, peer, found));
	}
	return w.ok ? AUTHDB_FOUND : w.failed ? AUTHDB_FAILED : AUTHDB_NOBODY;
}

/* With `mech` 0 somebody has proved who it is, and is let in only where a password would. */
static enum authdb_is
look_up(const struct conf_db *db, const char *user, unsigned mech,
        struct authdb_secret *s, struct passdb_found *found)
{
	enum authdb_is barred = mech == 0 ? passdb_barred(db, user) : AUTHDB_NOBODY;

	if (barred != AUTHDB_NOBODY)
		return barred == AUTHDB_FAILED ? AUTHDB_FAILED : AUTHDB_NOBODY;
	return passdb_lookup(db, user, mech, s, found);
}

/* The first that has a secret for the mechanism and whose yes counts. */
static enum authdb_is
lookup_all(const struct config *c, const struct names *n, unsigned mech,
           struct authdb_secret *s, struct passdb_found *found)
{
	enum authdb_is is = AUTHDB_NOBODY, one;

	for (size_t i = 0; i < c->npassdb; i++) {
		const struct conf_db *db = &c->passdb[i];

		if (is_denied(db, n->as))
			return AUTHDB_NOBODY;
		if (db->deny || db->master != n->master ||
		    db->skip == CONF_SKIP_UNAUTHENTICATED ||
		    (db->success != CONF_RETURN_OK && db->success != CONF_CONTINUE_OK))
			continue;
		if ((one = look_up(db, n->who, mech, s, found)) == AUTHDB_FOUND)
			return one;
		if (one == AUTHDB_FAILED)
			is = one;
	}
	return is;
}

/* ---- logins --------------------------------------------------------------------------- */

/* It is who it says; a userdb must know that user. */
static enum authdb_is
find_record(const struct config *c, const struct names *n,
            const struct passdb_found *found, struct authdb_user *u)
{
	enum authdb_is is;

	memcpy(u->name, n->as, sizeof u->name);
	/* what a passdb said of a master is not said of the user */
	is = userdb_find(c, u, n->master ? NULL : found);
	if (is != AUTHDB_NOBODY)
		return is;
	if (n->master) /* a name that a master has mistyped */
		return AUTHDB_NOBODY;
	log_error("%s: the password is right, but no userdb knows the user", u->name);
	return AUTHDB_FAILED;
}

static enum authdb_is
finish(const struct config *c, const struct names *n, enum authdb_is is,
       const struct passdb_found *found, struct authdb_user *u)
{
	if (is == AUTHDB_FOUND)
		is = find_record(c, n, found, u);
	if (is == AUTHDB_FOUND && n->master)
		log_info("%s logs in as %s", n->who, n->as);
	return is;
}

enum authdb_is
authdb_check(const struct config *c, struct span user, struct span as,
             struct span password, const struct authdb_peer *peer,
             struct authdb_user *u)
{
	struct passdb_found found = {0};
	struct names n;
	enum authdb_is is;

	if (!span_eq(peer->protocol, SPAN("pop3")) &&
	    !span_eq(peer->protocol, SPAN("imap")))
		return AUTHDB_NOBODY;
	if (password.n == 0 || password.n > PWHASH_PASSWORD_MAX ||
	    memchr(password.p, '\0', password.n) != NULL || !cut_names(c, user, as, &n))
		return AUTHDB_NOBODY;
	is = finish(c, &n, check_all(c, &n, password, peer, &found), &found, u);
	buf_free(&found.extra);
	return is;
}

enum authdb_is
authdb_proved(const struct config *c, struct span user, struct authdb_user *u)
{
	struct passdb_found found = {0};
	struct names n;
	enum authdb_is is;

	if (!cut_names(c, user, SPAN(""), &n))
		return AUTHDB_NOBODY;
	is = finish(c, &n, lookup_all(c, &n, 0, NULL, &found), &found, u);
	buf_free(&found.extra);
	return is;
}

/* Does any passdb keep out this user, whom none is asked to let in? FAILED: cannot tell. */
static enum authdb_is
kept_out(const struct config *c, const char *user)
{
	enum authdb_is is = AUTHDB_NOBODY;

	for (size_t i = 0; i < c->npassdb && is != AUTHDB_FOUND; i++) {
		const struct conf_db *db = &c->passdb[i];
		enum authdb_is one = is_denied(db, user) ? AUTHDB_FOUND
		                     : db->deny          ? AUTHDB_NOBODY
		                                         : passdb_barred(db, user);

		if (one != AUTHDB_NOBODY)
			is = one;
	}
	return is;
}

enum authdb_is
authdb_trusted(const struct config *c, struct span user, struct authdb_user *u)
{
	enum authdb_is out;

	if (!normal_name(c, user, u->name))
		return AUTHDB_NOBODY;
	out = kept_out(c, u->name);
	if (out != AUTHDB_NOBODY)
		return out == AUTHDB_FOUND ? AUTHDB_NOBODY : AUTHDB_FAILED;
	return userdb_find(c, u, NULL);
}

/* ---- secrets -------------------------------------------------------------------------- */

static int
add_random(struct buf *b, size_t n)
{
	char octets[64];

	if (getrandom(octets, n, 0) != (ssize_t)n)
		return -1;
	return base64_encode((struct span){octets, n}, b);
}

/* The salt of a user who is not there: the same each time, as that of others is. */
static int
add_salt(struct span user, struct buf *b)
{
	static struct hash_key key[2];
	uint64_t half[2];

	if (key[0].k0 == 0)
		hash_random(&key[0]), hash_random(&key[1]);
	half[0] = hash64(&key[0], user);
	half[1] = hash64(&key[1], user);
	return base64_encode((struct span){(char *)half, sizeof half}, b);
}

/* `iterations,salt,stored key,server key`, with the iterations of a real one. */
static int
invent_scram(struct span user, struct span real, unsigned mech, struct buf *b)
{
	size_t key = mech == MECH_SCRAM_SHA_1 ? 20 : 32;
	struct span iterations = SPAN("4096");

	span_cut(&real, ',', &iterations);
	return buf_add(b, iterations) == -1 || buf_addc(b, ',') == -1 ||
	               add_salt(user, b) == -1 || buf_addc(b, ',') == -1 ||
	               add_random(b, key) == -1 || buf_addc(b, ',') == -1 ||
	               add_random(b, key) == -1
	           ? -1
	           : 0;
}

/* s->text has some secret of the database, or nothing: it becomes one that nobody knows. */
static int
invent(struct span user, unsigned mech, struct authdb_secret *s)
{
	struct span like = span_of(s->text), scheme = SPAN("");
	struct buf b = {.max = sizeof s->text - 1};
	int rc;

	pwhash_split(&like, &scheme);
	s->form = 0;
	if (mech_named(scheme) == mech &&
	    (mech == MECH_SCRAM_SHA_1 || mech == MECH_SCRAM_SHA_256)) {
		s->form = mech;
		rc = invent_scram(user, like, mech, &b);
	} else {
		rc = add_random(&b, 24);
	}
	s->real = false;
	if (rc == 0)
		rc = span_cstr(buf_span(&b), s->text, sizeof s->text);
	buf_free(&b);
	return rc;
}

int
authdb_secret(const struct config *c, struct span user, unsigned mech,
              struct authdb_secret *s)
{
	struct passdb_found found = {0};
	enum authdb_is is = AUTHDB_NOBODY;
	struct names n;

	*s = (struct authdb_secret){0};
	if (cut_names(c, user, SPAN(""), &n))
		is = lookup_all(c, &n, mech, s, &found);
	buf_free(&found.extra);
	if (is == AUTHDB_NOBODY)
		return invent(user, mech, s);
	return is == AUTHDB_FOUND ? 0 : -1;
}

/* ---- the mount ------------------------------------------------------------------------ */

enum authdb_is
authdb_find(const struct config *c, struct span user, struct authdb_user *u)
{
	/* another spelling of a name would be a second tree over the same mail */
	if (!normal_name(c, user, u->name) || !span_eq(user, span_of(u->name)))
		return AUTHDB_NOBODY;
	return userdb_find(c, u, NULL);
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
		struct passfile a;

		passfile_args(&c->userdb[i], &a);
		/* one file for each domain, or names that are not whole: no list */
		if (strcmp(c->userdb[i].driver, "passwd-file") != 0 ||
		    memchr(a.path.p, '%', a.path.n) != NULL ||
		    !span_eq(a.format, SPAN("%u")))
			continue;
		if ((f.fd = passfile_open(&a, SPAN("-"))) == -1)
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
