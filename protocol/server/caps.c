#include "protocol/server/caps.h"

#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What an exec by root could bring back. Ends at the first number that the kernel lacks. */
static int
shrink_bounds(uint64_t mask)
{
	int in;

	for (unsigned cap = 0; cap < 64 && (in = prctl(PR_CAPBSET_READ, cap)) != -1;
	     cap++)
		if (in == 1 && (mask & CAPS(cap)) == 0 &&
		    prctl(PR_CAPBSET_DROP, cap) == -1)
			return -1;
	return 0;
}

int
caps_keep(uint64_t mask)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct now[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, now) == -1)
		return -1;
	if (now[0].permitted == 0 && now[1].permitted == 0)
		return 0;
	if (now[0].effective & CAPS(CAP_SETPCAP) && shrink_bounds(mask) == -1)
		return -1;
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		now[i].permitted &= (uint32_t)(mask >> 32 * i);
		now[i].effective = now[i].permitted;
		now[i].inheritable = 0;
	}
	return (int)syscall(SYS_capset, &head, now);
}
