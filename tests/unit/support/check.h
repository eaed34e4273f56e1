/* check: cmocka, and comparisons that say which row of a table failed. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/base/buf.h"

/* Fail the test, both texts shown escaped, unless the octets are equal. */
void check_span(struct span got, struct span want, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void check_mem(const char *got, size_t n, const char *want, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void check_num(uint64_t got, uint64_t want, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void check_true(bool, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Fail as fmt says; does not return. */
void check_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Pseudo-random numbers, the same in every run: seed 0 begins again. */
uint32_t check_random(uint64_t *seed);

/*
 * Rounds of a long loop: n, or a part of n where $MT_FEWER is set (n / $MT_FEWER, not 0).
 * scripts/test sets it for programs that a sanitiser makes slow; without one all are done.
 */
unsigned check_rounds(unsigned n);

/* A fresh directory in $TMPDIR (/tmp), opened; scratch_remove takes it and all in it away. */
int scratch_make(char path[static 64]);
void scratch_remove(const char *path);

#endif
