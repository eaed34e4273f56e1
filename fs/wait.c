#include "fs/wait.h"

#include <stdatomic.h>

#define PIECE_MS    200
#define WAITER_MOST 32 /* half of the threads that the loop may have */

static _Atomic unsigned waiters;

static int
wait_in_pieces(fuse_req_t req, struct box *box, const struct numset *set, int timeout_ms)
{
	int64_t now = fs_now_ms(), end = now + timeout_ms;
	int status;

	do {
		int64_t left = end - now;

		status = box_want_sizes(box, set, left > PIECE_MS ? PIECE_MS : (int)left);
		if (status != 0)
			return status;
		if (fuse_req_interrupted(req)) {
			errno = EINTR;
			return -1;
		}
		now = fs_now_ms();
	} while (now < end);
	return 0;
}

int
wait_sizes(fuse_req_t req, struct box *box, const struct numset *set, int timeout_ms)
{
	int status;

	if (waiters++ >= WAITER_MOST)
		timeout_ms = 0;
	status = wait_in_pieces(req, box, set, timeout_ms);
	waiters--;
	return status;
}
