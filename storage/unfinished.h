/* unfinished: changes that a daemon left half done are completed when their store is opened. */
#ifndef STORAGE_UNFINISHED_H
#define STORAGE_UNFINISHED_H

struct store;

/* Open the mailboxes that have the driver's journal in their index folders, which completes
 * or takes back what it tells. The store is open, nothing of it is locked. */
void unfinished_complete(struct store *);

#endif
