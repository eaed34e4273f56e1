/*
 * settings: names. Those that are honoured are in config.h's enum; here are those that
 * other servers know and this one does not honour, each with its reason.
 */
#ifndef SERVER_SETTINGS_H
#define SERVER_SETTINGS_H

#include "storage/base/span.h"

enum known_kind {
	KNOWN_LATER,       /* will mean something: ignored for now */
	KNOWN_MEANINGLESS, /* has nothing here that it could act on */
};

struct known {
	const char *name; /* a final `*` stands for anything */
	enum known_kind kind;
	const char *why; /* completes "... is ignored: " */
};

/* The row of a setting or block (`service imap-login` by its argument) or NULL. */
const struct known *known_setting(struct span name);
const struct known *known_block(struct span name);
const struct known *known_service(struct span name);

/* The row's number over all three tables, below 4096. */
size_t known_number(const struct known *);

/* The name nearest to a misspelt one, or NULL when none is near. Static. */
const char *known_nearest(struct span name);

#endif
