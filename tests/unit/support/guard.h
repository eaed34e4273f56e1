/* guard: test bytes that lie flush against an unreadable page on either side. */
#ifndef TESTS_GUARD_H
#define TESTS_GUARD_H

#include "storage/base/span.h"

/* A copy whose end is followed by a page that faults. Valid until guard_free_all. */
struct span guarded(struct span);

/* As above, and its beginning follows the page that faults. */
struct span guarded_front(struct span);

/* Room of n octets for output, its end against the page that faults. */
char *guarded_room(size_t n);

void guard_free_all(void);

#endif
