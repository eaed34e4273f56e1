#include "protocol/server/secretcheck.h"

#include <fcntl.h>
#include <unistd.h>

#include "protocol/mech.h"
#include "protocol/server/passfile.h"
#include "protocol/server/pwhash.h"

/* What the databases have, all together. */
struct tally {
	bool unknown;     /* somebody may be there whose password was not seen */
	size_t passwords; /* those that were */
	unsigned serves;  /* of enum mech: those that some password can serve */
	char one[64];     /* the scheme of one that can serve none */
};

static void
count(struct tally *t, struct span stored, struct span scheme)
{
	t->passwords++;
	pwhash_split(&stored, &scheme);
	if (stored.n == 0)
		return;
	t->serves |= pwhash_serves(scheme);
	if (t->one[0] == '\0' && pwhash_serves(scheme) == 0)
		(void)span_cstr(scheme, t->one, sizeof t->one);
}

static void
count_file(struct tally *t, const struct conf_db *db)
{
	struct passwdfile f = {0};
	struct passwdfile_entry e;
	struct passfile a;
	char path[4096];
	int rc;

	passfile_args(db, &a);
	if (memchr(a.path.p, '%', a.path.n) != NULL || /* one file for each domain */
	    span_cstr(a.path, path, sizeof path) == -1 ||
	    (f.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) == -1) {
		t->unknown = true;
		return;
	}
	while ((rc = passwdfile_next(&f, &e)) == 1)
		count(t, e.password, a.scheme);
	t->unknown |= rc == -1;
	close(f.fd);
	explicit_bzero(&f, sizeof f);
}

static void
count_static(struct tally *t, const struct conf_db *db)
{
	struct span rest = span_of(db->args), w;

	while (span_word(&rest, &w))
		if (span_starts(w, SPAN("password=")))
			count(t, span_from(w, 9), SPAN("PLAIN"));
}

static void
note(struct config *c, unsigned mech, const struct tally *t)
{
	config_note(
	    c, true, NULL,
	    "auth_mechanisms: nobody could log in by %s: it is never told the "
	    "password, so it needs one stored as {PLAIN} or in a form of its own, and "
	    "what there is are others (%s%s%s): remove it, or store "
	    "such passwords (mailtree passwd -s)",
	    mech_name(mech), t->one[0] != '\0' ? "one-way hashes such as {" : "",
	    t->one[0] != '\0' ? t->one : "for other mechanisms, or empty",
	    t->one[0] != '\0' ? "}" : "");
}

void
secretcheck(struct config *c)
{
	unsigned mechs = config_mechanisms(c) & MECH_STORED;
	struct tally t = {0};

	if (mechs == 0)
		return;
	for (size_t i = 0; i < c->npassdb; i++)
		if (c->passdb[i].deny)
			continue;
		else if (strcmp(c->passdb[i].driver, "passwd-file") == 0)
			count_file(&t, &c->passdb[i]);
		else if (strcmp(c->passdb[i].driver, "static") == 0)
			count_static(&t, &c->passdb[i]);
	if (t.unknown || t.passwords == 0)
		return;
	for (unsigned mech = 1; mech <= mechs; mech <<= 1)
		if ((mechs & mech) && !(t.serves & mech))
			note(c, mech, &t);
}
