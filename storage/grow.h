/* grow: room for one more element in a malloc'ed array. Private to storage/. */
#ifndef STORAGE_GROW_H
#define STORAGE_GROW_H

#include <stdlib.h>

/* GROW(array, n, cap): 0, or -1 (ENOMEM) with everything as it was. */
#define GROW(a, n, cap)                                                                    \
	({                                                                                 \
		int grow_rc_ = 0;                                                          \
		if ((n) == (cap)) {                                                        \
			size_t grow_cap_ = (cap) < 16 ? 16 : (cap) + (cap) / 2;            \
			void *grow_p_ = reallocarray((a), grow_cap_, sizeof *(a));         \
			if (grow_p_ == NULL)                                               \
				grow_rc_ = -1;                                             \
			else {                                                             \
				(a) = grow_p_;                                             \
				(cap) = grow_cap_;                                         \
			}                                                                  \
		}                                                                          \
		grow_rc_;                                                                  \
	})

#endif
