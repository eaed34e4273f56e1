/* fuzz: what every target has: its entry, and a property that must hold. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert it stays whatever NDEBUG says. */
#define REQUIRE(what)                                                                    \
	do {                                                                             \
		if (!(what)) {                                                           \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);       \
			abort();                                                         \
		}                                                                        \
	} while (0)

/* A prefix of the input that says how the rest is to be cut into pieces. */
static inline size_t
fuzz_take(struct span *in, size_t least, size_t most)
{
	size_t v = in->n > 0 ? (unsigned char)in->p[0] : 0;

	*in = span_from(*in, 1);
	return least + v % (most - least + 1);
}

static inline struct span
fuzz_piece(struct span in, size_t step)
{
	return (struct span){in.p, in.n < step ? in.n : step};
}

#endif
