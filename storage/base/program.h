/*
 * program: where our own programs lie. They find each other without a search path:
 * beside the running one (as built), else in ../libexec/mailtree of the running one (as
 * installed, wherever that was moved), else in the configured libexec directory. In
 * this order, so that two installations never mix.
 */
#ifndef BASE_PROGRAM_H
#define BASE_PROGRAM_H

#include <stddef.h>

/*
 * The path of program `name` into out[0..cap). 0, or -1 with ENOENT when it is in none
 * of the places, ENAMETOOLONG when the path does not fit.
 */
int program_find(const char *name, char *out, size_t cap);

/*
 * It as a descriptor, close-on-exec, for fexecve(3) after rights were dropped: another
 * user may not be able to reach the folder in which it lies (/root).
 */
int program_open(const char *name);

#endif
