/*
 * epoch: may what index files say be believed? They are written without fsync. As long as
 * the machine runs, what was written is what is read; a power cut may leave them older than
 * what clients were told. So each carries the epoch in which it was written, and a new epoch
 * begins when the last daemon did not end in good order and the machine was started since.
 * What an index file of an earlier epoch says of sizes and dates is good all the same.
 *
 *	`.epoch` of index_path	next daemon
 *	ended			all was seen on disk: the epoch goes on
 *	running, this boot	it was killed: the epoch goes on
 *	running, another boot	a new epoch
 *	missing or spoilt	a new epoch
 */
#ifndef STORAGE_EPOCH_H
#define STORAGE_EPOCH_H

#include <stdint.h>

/* `dir`: index_path, which is ours alone. On return it is known that it runs, also after a
 * power cut. */
int epoch_begin(int dir, uint8_t epoch[16]);

/* Everything was written: see it on disk, and say so. */
void epoch_end(int dir, const uint8_t epoch[16]);

#endif
