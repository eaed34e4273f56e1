#include "protocol/confine.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The rights that kernels learned one after the other, counted here because the headers
 * may be older than the kernel: so many file-system rights has each ABI version.
 */
static const uint8_t fs_rights[] = {0, 13, 14, 15, 15, 16};
enum { ABI_NET = 4, ABI_SCOPE = 6, NET_RIGHTS = 2, SCOPES = 2 };

/* As the newest of these kernels has it; an older one takes its beginning. */
struct ruleset {
	uint64_t fs, net, scoped;
};

static size_t
ruleset_size(long abi)
{
	if (abi < ABI_NET)
		return offsetof(struct ruleset, net);
	return abi < ABI_SCOPE ? offsetof(struct ruleset, scoped)
	                       : sizeof(struct ruleset);
}

static uint64_t
lowest(unsigned n)
{
	return (1ULL << n) - 1;
}

static int
make_ruleset(long abi)
{
	size_t newest = sizeof fs_rights / sizeof *fs_rights - 1;
	struct ruleset rules = {
	    .fs = lowest(fs_rights[(size_t)abi < newest ? (size_t)abi : newest]),
	    .net = lowest(NET_RIGHTS),
	    .scoped = lowest(SCOPES),
	};

	return (int)syscall(SYS_landlock_create_ruleset, &rules, ruleset_size(abi), 0);
}

static int
allow_beneath(int ruleset, int dir, uint64_t rights)
{
	struct landlock_path_beneath_attr beneath = {.allowed_access = rights,
	                                             .parent_fd = dir};

	return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
	                    &beneath, 0);
}

/* dir -1: no file at all. */
static int
restrict_to(int dir, uint64_t rights)
{
	int abi = confine_landlock(), ruleset, rc, saved;

	if (abi < 1) {
		errno = ENOSYS;
		return -1;
	}
	if ((ruleset = make_ruleset(abi)) == -1)
		return -1;
	rc = dir == -1 ? 0 : allow_beneath(ruleset, dir, rights);
	if (rc == 0)
		rc = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
	saved = errno;
	close(ruleset);
	errno = saved;
	return rc;
}

int
confine_landlock(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	                   LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 1 ? 0 : (int)abi;
}

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ ||                     \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
void __sanitizer_set_report_fd(void *);
int __lsan_is_turned_off(void);

static bool untraced;

/* LeakSanitizer traces the process that it looks at, which is what was just forbidden. */
int
__lsan_is_turned_off(void)
{
	return untraced;
}

/* What a sanitiser finds from now on is written where there is no file to be opened for it. */
static void
tell_sanitiser(void)
{
	untraced = true;
	__sanitizer_set_report_fd((void *)(intptr_t)STDERR_FILENO);
}
#else
static void
tell_sanitiser(void)
{
}
#endif

int
confine_untraced(void)
{
	tell_sanitiser();
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* What it may use of the machine beyond what it has now. */
static int
limit(void)
{
	static const int none[] = {RLIMIT_CORE, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE};
	const struct rlimit zero = {0, 0};
	struct rlimit now;

	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		if (setrlimit((__rlimit_resource_t)none[i], &zero) == -1)
			return -1;
	if (getrlimit(RLIMIT_NOFILE, &now) == -1)
		return -1;
	now.rlim_max = now.rlim_cur;
	return setrlimit(RLIMIT_NOFILE, &now);
}

/* Landlock is last: its errno tells what the kernel has. */
static int
confine_to(int dir, uint64_t rights)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    confine_untraced() == -1 || limit() == -1)
		return -1;
	return restrict_to(dir, rights);
}

int
confine(int dir)
{
	return confine_to(dir, LANDLOCK_ACCESS_FS_READ_FILE |
	                           LANDLOCK_ACCESS_FS_WRITE_FILE);
}

int
confine_writing(int dir)
{
	return confine_to(
	    dir, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
	             LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
	             LANDLOCK_ACCESS_FS_REMOVE_FILE);
}

int
confine_to_nothing(void)
{
	return confine_to(-1, 0);
}
