/* refresh: taking outside changes in, now or soon. Private to storage/. */
#ifndef STORAGE_REFRESH_H
#define STORAGE_REFRESH_H

#include "storage/box.h"

/* On a thread of the pool; several requests before it runs are one. Never blocks. */
void refresh_soon(struct box *);

/* As box_refresh, by one who holds box->io; `doubt`: whatever the stats say. */
int refresh_locked(struct box *, bool doubt);

#endif
