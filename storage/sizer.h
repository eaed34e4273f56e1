/* sizer: counting wire sizes, once, in parallel, ahead of who asks. Private to storage/. */
#ifndef STORAGE_SIZER_H
#define STORAGE_SIZER_H

#include "storage/box_private.h"

/* Count what is unsized in the background, if anything is. No lock held. */
void sizer_kick(struct box *);
void sizer_free(struct box *);

#endif
