/* stamp: what tells that a file is not as it was; compared for inequality. */
#ifndef STORAGE_STAMP_H
#define STORAGE_STAMP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct file_stamp {
	uint64_t dev, ino;
	int64_t size, mtime_ns, ctime_ns;
};

static inline struct file_stamp
file_stamp(const struct stat *st)
{
	return (struct file_stamp){
	    .dev = st->st_dev,
	    .ino = st->st_ino,
	    .size = st->st_size,
	    .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
	    .ctime_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec};
}

static inline bool
file_stamp_eq(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

#endif
