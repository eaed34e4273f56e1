/*
 * confine: a session gives up what it will not need, once everything is open: it stays
 * that user for good, cannot be traced by others of the same uid, sees no file but those
 * beneath one directory, opens no connection and signals nobody outside. Which system calls
 * it keeps is seal.h's part.
 */
#ifndef PROTOCOL_CONFINE_H
#define PROTOCOL_CONFINE_H

/*
 * For good. What is beneath `dir` can still be read, and written where it is a file that is
 * there: of a mailbox that are commands, and no message. 0, or -1 with errno: ENOSYS or
 * EOPNOTSUPP when the kernel has no Landlock (the rest holds all the same).
 */
int confine(int dir);

/*
 * The same for a session that changes mail: beneath `dir` it also lists directories, makes
 * files and removes them. Not: make or remove directories, links, special files,
 * truncate, run.
 */
int confine_writing(int dir);

/* The same for a process that needs no file at all any more. */
int confine_to_nothing(void);

/* The version of the kernel's Landlock; 0: it has none. From 6 on it keeps signals apart too. */
int confine_landlock(void);

/* Only this much of it: others of the same uid cannot trace the process. 0 or -1 with errno. */
int confine_untraced(void);

#endif
