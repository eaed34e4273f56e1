/*
 * num: numbers from untrusted text. The whole span must be digits: no sign, no
 * blanks, no overflow, at least one digit. -1 (EINVAL, or ERANGE when too big).
 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdint.h>

#include "storage/base/span.h"

int num_u32(struct span, uint32_t *);
int num_u64(struct span, uint64_t *);
int num_hex32(struct span, uint32_t *); /* 1-8 hexadecimal digits, either case */

#endif
