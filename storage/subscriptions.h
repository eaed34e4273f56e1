/*
 * subscriptions: the text of Dovecot's `subscriptions`. Version 1 is one name a line
 * with the store's separator between levels; version 2 begins with `V<TAB>2`, an empty
 * line, and has levels split by tabs, each tab-escaped (\001 and a letter).
 *
 * In memory a name is its levels joined by '/', each spelled as the store spells it
 * (Dovecot: modified UTF-7, in both versions). A level that holds a '/' itself is kept
 * and printed but not found by name.
 */
#ifndef STORAGE_SUBSCRIPTIONS_H
#define STORAGE_SUBSCRIPTIONS_H

#include "storage/base/buf.h"

#define SUBSCRIPTIONS_FILE "subscriptions"
#define SUBSCRIPTIONS_MAX  65536 /* names */

struct subscriptions { /* {0} is an empty list, printed in version 1 with sep 0 */
	unsigned version; /* as found: 1 or 2 */
	char sep;	  /* of version 1 */
	size_t n, cap;
	struct subscription *list; /* owned; in the file's order */
};

struct subscription {
	char *name;  /* owned; levels joined by '/' */
	char *line;  /* owned; as the file has it, without LF */
	bool opaque; /* a level holds '/': name is not looked at */
};

/* `sep` is the store's separator (Maildir++: '.'). Doubles are dropped. -1: ENOMEM,
 * EINVAL when a version is announced that is not 2, EMSGSIZE: more than SUBSCRIPTIONS_MAX.
 * *s must be empty before. */
int subscriptions_parse(struct span text, char sep, struct subscriptions *s);
int subscriptions_print(const struct subscriptions *, struct buf *);
void subscriptions_free(struct subscriptions *);

bool subscriptions_has(const struct subscriptions *, struct span name);
/* 1: changed; 0: it was so already; -1: ENOMEM; EINVAL: empty, NUL, CR or LF inside,
 * or the separator within a level of a version 1 name. */
int subscriptions_add(struct subscriptions *, struct span name);
int subscriptions_remove(struct subscriptions *, struct span name);

#endif
