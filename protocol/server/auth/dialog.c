#include "protocol/server/auth/dialog.h"

#include <stdlib.h>

#include "protocol/mech.h"
#include "protocol/server/auth/cyrus.h"

#define NAME_MAX_OCTETS 512 /* of what a client says its name is */

struct dialog {
	const struct config *conf;
	unsigned mech;
	struct authdb_peer peer;
	char protocol[16], local[64], remote[64],
	    certificate[256]; /* what peer shows */
	char name[NAME_MAX_OCTETS];
	size_t name_size;
	bool asked; /* the first challenge has been sent */
	struct cyrus *cyrus;
};

int
dialog_prepare(const struct config *c)
{
	return cyrus_prepare(config_mechanisms(c));
}

static int
copy(struct span from, char *room, size_t cap, struct span *to)
{
	if (span_cstr(from, room, cap) == -1)
		return -1;
	*to = span_of(room);
	return 0;
}

struct dialog *
dialog_begin(const struct config *c, unsigned mech, const struct authdb_peer *peer)
{
	struct dialog *d = calloc(1, sizeof *d);

	if (d == NULL)
		return NULL;
	d->conf = c;
	d->mech = mech;
	d->peer.secured = peer->secured;
	if (copy(peer->protocol, d->protocol, sizeof d->protocol, &d->peer.protocol) ==
	        -1 ||
	    copy(peer->local, d->local, sizeof d->local, &d->peer.local) == -1 ||
	    copy(peer->remote, d->remote, sizeof d->remote, &d->peer.remote) == -1 ||
	    copy(peer->certificate, d->certificate, sizeof d->certificate,
	         &d->peer.certificate) == -1)
		goto undo;
	if (mech & MECH_STORED && (d->cyrus = cyrus_begin(c, mech)) == NULL)
		goto undo;
	return d;
undo:
	free(d);
	return NULL;
}

static void
keep_name(struct dialog *d, struct span name)
{
	d->name_size = name.n < sizeof d->name ? name.n : sizeof d->name;
	memcpy(d->name, name.n > 0 ? name.p : "", d->name_size);
}

static enum dialog_ev
judge(enum authdb_is is)
{
	return is == AUTHDB_FOUND    ? DIALOG_FOUND
	       : is == AUTHDB_NOBODY ? DIALOG_NOBODY
	                             : DIALOG_FAILED;
}

/* auth_ssl_username_from_cert: whatever the client says. */
static struct span
name_of(const struct dialog *d, struct span said)
{
	return d->conf->num[CONF_AUTH_SSL_USERNAME_FROM_CERT] &&
	               d->peer.certificate.n > 0
	           ? d->peer.certificate
	           : said;
}

static enum dialog_ev
ask_for(struct span prompt, struct buf *out)
{
	return buf_add(out, prompt) == -1 ? DIALOG_FAILED : DIALOG_CHALLENGE;
}

/* ---- the mechanisms -------------------------------------------------------------------- */

/* RFC 4616: `[authzid] NUL authcid NUL passwd`. */
static enum dialog_ev
push_plain(struct dialog *d, const struct span *answer, struct buf *out,
           struct authdb_user *user)
{
	struct span rest, as = SPAN(""), name = SPAN("");

	if (answer == NULL)
		return ask_for(SPAN(""), out);
	rest = *answer;
	if (rest.n == 0 || !span_cut(&rest, '\0', &as) ||
	    memchr(rest.n > 0 ? rest.p : "", '\0', rest.n) == NULL)
		return DIALOG_NOBODY;
	span_cut(&rest, '\0', &name);
	name = name_of(d, name);
	keep_name(d, name);
	return judge(authdb_check(d->conf, name, span_eq(as, name) ? SPAN("") : as,
	                          rest, &d->peer, user));
}

/* Never a standard: the name, then the password. */
static enum dialog_ev
push_login(struct dialog *d, const struct span *answer, struct buf *out,
           struct authdb_user *user)
{
	if (answer == NULL)
		return ask_for(SPAN("Username:"), out);
	if (!d->asked) {
		if (answer->n == 0 || answer->n > sizeof d->name)
			return DIALOG_NOBODY;
		keep_name(d, name_of(d, *answer));
		d->asked = true;
		return ask_for(SPAN("Password:"), out);
	}
	return judge(
	    authdb_check(d->conf, dialog_name(d), SPAN(""), *answer, &d->peer, user));
}

/* RFC 4422 appendix A: who the certificate names, or whom it may act for. */
static enum dialog_ev
push_external(struct dialog *d, const struct span *answer, struct buf *out,
              struct authdb_user *user)
{
	struct span name = d->peer.certificate;

	if (answer == NULL)
		return ask_for(SPAN(""), out);
	keep_name(d, name);
	if (!d->peer.secured || name.n == 0 ||
	    (answer->n > 0 && !span_eq(*answer, name)))
		return DIALOG_NOBODY;
	return judge(authdb_trusted(d->conf, name, user));
}

/* RFC 4505: the trace that the client leaves is for the log. */
static enum dialog_ev
push_anonymous(struct dialog *d, const struct span *answer, struct buf *out,
               struct authdb_user *user)
{
	if (answer == NULL)
		return ask_for(SPAN(""), out);
	keep_name(d, *answer);
	if (answer->n > 255)
		return DIALOG_NOBODY;
	return judge(authdb_trusted(
	    d->conf, span_of(d->conf->text[CONF_AUTH_ANONYMOUS_USERNAME]), user));
}

/* Cyrus says that it is proved; the databases say who that is. */
static enum dialog_ev
push_cyrus(struct dialog *d, const struct span *answer, struct buf *out,
           struct authdb_user *user)
{
	enum dialog_ev ev = cyrus_push(d->cyrus, answer, out);

	keep_name(d, cyrus_user(d->cyrus));
	if (ev != DIALOG_FOUND)
		return ev;
	return judge(authdb_proved(d->conf, cyrus_user(d->cyrus), user));
}

enum dialog_ev
dialog_push(struct dialog *d, const struct span *answer, struct buf *out,
            struct authdb_user *user)
{
	switch (d->mech) {
	case MECH_PLAIN:
		return push_plain(d, answer, out, user);
	case MECH_LOGIN:
		return push_login(d, answer, out, user);
	case MECH_EXTERNAL:
		return push_external(d, answer, out, user);
	case MECH_ANONYMOUS:
		return push_anonymous(d, answer, out, user);
	}
	return d->cyrus != NULL ? push_cyrus(d, answer, out, user) : DIALOG_NOBODY;
}

struct span
dialog_name(const struct dialog *d)
{
	return (struct span){d->name, d->name_size};
}

void
dialog_end(struct dialog *d)
{
	if (d == NULL)
		return;
	cyrus_end(d->cyrus);
	explicit_bzero(d, sizeof *d);
	free(d);
}
