/* mboxscan_private: what the files of the scanner share: fields, and what is visible. */
#ifndef STORAGE_MBOXSCAN_PRIVATE_H
#define STORAGE_MBOXSCAN_PRIVATE_H

#include "storage/mboxscan.h"

/* ---- mboxscan.c ------------------------------------------------------------------------- */

/* The line that was gathered, without LF and CR. */
struct span mboxscan_line_text(const struct mboxscan *);

/* ---- mboxscan_field.c ------------------------------------------------------------------- */

/* The line is whole, or longer than line[]: its octets are fed to the field that it begins or
 * goes on with. */
void mboxscan_begin_line(struct mboxscan *);
/* More octets of that field. */
void mboxscan_feed(struct mboxscan *, struct span);
/* The field that was gathered is through. */
void mboxscan_finish_field(struct mboxscan *);

/* ---- mboxscan_visible.c ----------------------------------------------------------------- */

/* Octets of the visible header: hashed, and counted if need be, a block at a time. */
void mboxscan_visible(struct mboxscan *, struct span);
/* What is left of the block: the visible header is through. */
void mboxscan_end_visible(struct mboxscan *);
/* Octets of the message behind that: counted if need be. */
void mboxscan_count(struct mboxscan *, struct span);
/* All but the last `cut` octets, an empty line or none; `s->msg` is told. */
void mboxscan_end_count(struct mboxscan *, unsigned cut);

#endif
