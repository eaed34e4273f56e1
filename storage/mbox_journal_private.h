/*
 * mbox_journal_private: what carrying a journal out and recovery share. The file of a journal:
 * a page for the head, octets, the table of patches, checks of old pieces, names of stages.
 */
#ifndef STORAGE_MBOX_JOURNAL_PRIVATE_H
#define STORAGE_MBOX_JOURNAL_PRIVATE_H

#include "storage/mbox_journal.h"

#define MBOX_JOURNAL_MAGIC "mtmboxj2"
#define MBOX_JOURNAL_HEAD  4096
#define MBOX_JOURNAL_PIECE 512u /* a sector: power cuts leave it old or new */

struct mbox_journal_head {
	char magic[8];
	uint64_t dev, ino, pre_size, post_size;
	uint64_t npatch, nsum, stages_n, tables_off;
	uint64_t append_off, append_n;
	uint32_t tables_check, check;
};

/* A patch is compared in pieces: the end of the one that begins at `at`, which is that of a
 * sector, of what was, or of what is to be. */
uint64_t mbox_journal_piece_end(const struct mbox_patch *, uint64_t at);
/* All `n` octets, or -1. */
int mbox_journal_read_piece(int fd, uint64_t off, char *room, size_t n);

/* Steps of carrying it out, that recovery takes again. */
int mbox_journal_copy_patches(const struct mbox_journal *);
/* Durably. A power cut meanwhile may leave the size, and NULs from there to the end of a page:
 * file systems clear the rest of the last block before they tell the new size. */
int mbox_journal_cut(int file, uint64_t size);
/* To `post` octets; what others appended meanwhile follows. `moves`: of that so far. */
int mbox_journal_shorten(struct mbox_journal *, uint64_t post, unsigned moves);
/* The file's octets from `from` on go to `to`, where it ends then. The journal of that takes
 * the place of the one that stands. */
int mbox_journal_move_rest(struct mbox *, int file, uint64_t to, uint64_t from,
                           unsigned moves);
/* It is done: what it delivered goes, then its file. */
void mbox_journal_remove_files(struct mbox_journal *);

#endif
