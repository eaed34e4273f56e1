/* stage: the inside of store.h's stage, shared by stage.c and the drivers. */
#ifndef STORAGE_STAGE_H
#define STORAGE_STAGE_H

#include "storage/box.h"

struct stage {
	struct box *box; /* reference */
	int fd;		 /* read-write, flock(LOCK_EX): tells recovery that we live */
	char *name;	 /* its file's name at present, the driver's to read */
	char *base;	 /* the base name that it will have once delivered */
	_Atomic uint64_t size; /* octets written so far */
	uint64_t kept;	 /* octets that the last flush made durable */
	bool deliverable;
	bool dirty; /* lock: something was written since the last flush */
	pthread_mutex_t lock;
};

void stage_free(struct stage *); /* its file was delivered or removed */

#endif
