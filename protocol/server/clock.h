/* clock: time that never jumps, for deadlines. */
#ifndef SERVER_CLOCK_H
#define SERVER_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t
clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* For poll(2): milliseconds until `due`, at least 0; -1 for ever when due is INT64_MAX. */
static inline int
clock_until(int64_t due)
{
	int64_t left;

	if (due == INT64_MAX)
		return -1;
	left = due - clock_ms();
	return left <= 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

#endif
