/*
 * lang: the languages of reply texts (RFC 6856 section 3). We speak one: the tags are
 * `i-default` (RFC 2277, what everybody gets unasked) and `en`, with the same texts.
 */
#ifndef POP3_LANG_H
#define POP3_LANG_H

#include "storage/base/buf.h"

enum lang { LANG_DEFAULT, LANG_EN };

const char *lang_tag(enum lang);

/* By exact tag, without case; -1 when we do not have it. */
int lang_by_tag(struct span, enum lang *);

/*
 * Answer LANG with `range` (empty: list what there is) into `out`; *lang is changed
 * when the reply is +OK. 0, or -1 when `out` is full.
 */
int lang_command(struct span range, enum lang *, struct buf *out);

#endif
