/*
 * mbox_journal: one change of an mbox file, all or nothing. Patches replace octets in place
 * (the last one may make the file longer or shorter: it then reaches to the end); what is
 * appended goes to the end, wherever that is by then.
 *
 * The order of calls: begin; patches in ascending order, each followed by its octets; append
 * and its octets; stages; run. End it in any case.
 */
#ifndef STORAGE_MBOX_JOURNAL_H
#define STORAGE_MBOX_JOURNAL_H

#include "storage/mbox.h"

struct mbox_patch {
	uint64_t off; /* in the file */
	uint64_t
	    old_n; /* octets of the file that it replaces: new_n, or up to the end */
	uint64_t new_n;
	uint64_t data_off; /* in the journal */
	uint64_t nsum;     /* checks of the old octets, by sectors of the file */
};

struct mbox_journal {
	struct mbox *m;
	int file;           /* borrowed, O_RDWR, write-locked */
	int fd;             /* the journal; -1 */
	struct stat before; /* of the file */
	struct mbox_patch *patch;
	size_t npatch, patch_cap;
	uint32_t *sum;
	size_t nsum, sum_cap;
	bool appending;
	uint64_t append_off, append_n; /* in the journal */
	struct buf stages;             /* names, a NUL behind each */
	uint64_t at;                   /* octets in the journal so far */
	struct buf out;                /* not yet written */
	uint64_t appended_at;          /* after run: where in the file */
	bool written, halfway,
	    moved; /* its file stands; the file may be between; another
					 journal took its place */
};

/* The file is `file`, the way m->stamp has it. Daemon's own rights are taken where needed. */
int mbox_journal_begin(struct mbox_journal *, struct mbox *, int file);
int mbox_journal_patch(struct mbox_journal *, uint64_t off, uint64_t old_n);
int mbox_journal_append(struct mbox_journal *);
int mbox_journal_data(struct mbox_journal *, struct span);
int mbox_journal_copy(struct mbox_journal *, int from, uint64_t off, uint64_t size);
int mbox_journal_stage(struct mbox_journal *, const char *name);

/*
 * Carry it out: durable on return. EAGAIN: the file was changed by somebody who did not
 * mind the locks; nothing was done. Other errors: before, or what recovery makes of it.
 */
int mbox_journal_run(struct mbox_journal *);
/* Forget it: its file too, unless running it stopped halfway. Stages are left alone. */
void mbox_journal_end(struct mbox_journal *);

#endif
