/* content: what the Content fields of a header say of a part (RFC 2045, 2183, 3282). */
#ifndef MIME_CONTENT_H
#define MIME_CONTENT_H

#include "storage/mime/part.h"

/* Take a field in. 0 (also when it is none of these), or -1 when the arena is full. */
int content_field(struct part *, struct arena *, const struct field *);

/* Nobody said that this is MIME: then Content fields mean nothing (RFC 2045 section 4). */
void content_forget(struct part *);

/*
 * The header is complete: the type that a part has of which no field says one, or a broken
 * one (RFC 2045 section 5.2; RFC 2046 section 5.1.5 on digests).
 */
void content_default(struct part *);

#endif
