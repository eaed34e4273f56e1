/*
 * Fields that a database gives users besides what its driver finds: version 2's default_fields
 * and override_fields, and version 2.4's blocks `fields { }`.
 */
#include <stdlib.h>
#include <string.h>

#include "protocol/server/confreader.h"

static bool
is_one_of(struct span name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (span_eq(name, span_of(*names)))
			return true;
	return false;
}

/* May a userdb's field be taken? Notes what is not. */
static bool
takes(struct reader *r, struct span name)
{
	static const char *const ours[] = {"uid", "gid", "home", "mail", NULL};
	static const char *const theirs[] = {"user", "chroot", "system_groups_user",
	                                     "login_user", NULL};

	if (is_one_of(name, theirs))
		FAIL(r,
		     "the field %.*s is not in this version, and without it users "
		     "would be "
		     "others than you mean: remove it",
		     (int)name.n, name.p);
	else if (!is_one_of(name, ours))
		WARN(r,
		     "the field %.*s is ignored: uid, gid, home and mail are what "
		     "counts",
		     (int)name.n, name.p);
	return is_one_of(name, ours);
}

/* ` name=value` more of some words; NULL: none yet. */
static void
add_word(struct reader *r, char **words, struct span name, struct span value)
{
	struct buf out = {.max = 8192};
	char *text = NULL;

	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] <= ' ') {
			FAIL(r,
			     "%.*s: a field cannot hold a blank or a control character",
			     (int)name.n, name.p);
			return;
		}
	if (*words == NULL || (*words)[0] == '\0' ||
	    (buf_add(&out, span_of(*words)) == 0 && buf_addc(&out, ' ') == 0))
		if (buf_add(&out, name) == 0 && buf_addc(&out, '=') == 0 &&
		    buf_add(&out, value) == 0)
			text = confset_copy(r, buf_span(&out));
	buf_free(&out);
	if (text == NULL) {
		FAIL(r, "%.*s: the fields are too long", (int)name.n, name.p);
		return;
	}
	free(*words);
	*words = text;
}

static void
set_words(struct reader *r, char **words, struct span value)
{
	struct span w, name;

	free(*words);
	*words = NULL;
	while (span_word(&value, &w)) {
		name = w;
		if (!span_cut(&w, '=', &name))
			w = SPAN("");
		if (takes(r, name))
			add_word(r, words, name, w);
	}
}

void
conffields_defaults(struct reader *r, struct span value)
{
	set_words(r, &confset_db(r)->defaults, value);
}

void
conffields_overrides(struct reader *r, struct span value)
{
	set_words(r, &confset_db(r)->overrides, value);
}

/* `home:default` stands back behind what the driver finds. True: it does. */
static bool
cut_default(struct span *name)
{
	struct span suffix = *name, alone = *name;

	if (!span_cut(&suffix, ':', &alone) || !span_eq(suffix, SPAN("default")))
		return false;
	*name = alone;
	return true;
}

void
conffields_add(struct reader *r, struct span name, struct span value)
{
	bool pass = r->nest[r->depth - 1] == AT_PASSDB;
	struct conf_db *d = pass ? &r->conf->passdb[r->db] : &r->conf->userdb[r->db];
	bool def = cut_default(&name);

	if (strcmp(d->driver, "static") == 0)
		add_word(r, &d->args, name, value);
	else if (takes(r, name))
		add_word(r, def ? &d->defaults : &d->overrides, name, value);
}
