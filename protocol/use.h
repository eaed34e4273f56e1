/* use: the names of special uses (RFC 6154 section 2, RFC 8457), `\Sent` and so on. */
#ifndef PROTOCOL_USE_H
#define PROTOCOL_USE_H

#include "protocol/view.h"

unsigned use_by_name(struct span); /* enum view_use; 0: none */

/* The name of the lowest bit of *uses, which is taken off; NULL when none is left. */
const char *use_name(unsigned *uses);

#endif
