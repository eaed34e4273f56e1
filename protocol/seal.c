#include "protocol/seal.h"

#include <errno.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
/* ThreadSanitizer makes calls of its own that no list foresees: there nothing is sealed. */
#if defined MT_SECCOMP && !defined __SANITIZE_THREAD__ && !__has_feature(thread_sanitizer)

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/abi.h"
#include "storage/base/io.h"

#if defined __SANITIZE_ADDRESS__ || __has_feature(address_sanitizer)
#define SANITISED 1
#else
#define SANITISED 0
#endif

/* ---- who keeps what ------------------------------------------------------------------- */

enum {
	P = 1 << SEAL_POP3,
	I = 1 << SEAL_IMAP,
	L = 1 << SEAL_LOGIN,
	A = 1 << SEAL_AUTH,
	S = 1 << 4, /* whoever was built with a sanitiser */
	SESSION = P | I,
	SERVER = L | A,
	ALL = P | I | L | A | S,
};

/* What of an argument must hold: masked, it is this. */
struct only {
	unsigned arg;
	uint64_t mask, is;
};

#define ANY                                                                            \
	{                                                                              \
		0, 0, 0                                                                \
	}
#define NOT_EXECUTABLE                                                                 \
	{                                                                              \
		2, PROT_EXEC, 0                                                        \
	}
#define LIBC_SIGNAL 33 /* for setuid(2) in all threads: caught when the first is made */
#define EXACTLY(a, x)                                                                  \
	{                                                                              \
		a, UINT32_MAX, x                                                       \
	}

static const struct keep {
	int call;
	unsigned who;
	struct only only;
} kept[] = {
    /* what libc does by itself: memory, time, signals, the end */
    {SCMP_SYS(brk), ALL, ANY},
    {SCMP_SYS(mmap), ALL, NOT_EXECUTABLE},
    {SCMP_SYS(mprotect), ALL, NOT_EXECUTABLE},
    {SCMP_SYS(mremap), ALL, ANY},
    {SCMP_SYS(munmap), ALL, ANY},
    {SCMP_SYS(madvise), ALL, ANY},
    {SCMP_SYS(futex), ALL, ANY},
    {SCMP_SYS(getrandom), ALL, ANY},
    {SCMP_SYS(clock_gettime), ALL, ANY}, /* where the vdso has no clock */
    {SCMP_SYS(gettimeofday), ALL, ANY},
    {SCMP_SYS(time), ALL, ANY},
    {SCMP_SYS(getpid), ALL, ANY},
    {SCMP_SYS(gettid), ALL, ANY},
    {SCMP_SYS(sysinfo), ALL, ANY},           /* qsort(3), before it asks for memory */
    {SCMP_SYS(sched_getaffinity), ALL, ANY}, /* malloc(3), when there are threads */
    {SCMP_SYS(rt_sigprocmask), ALL, ANY},
    {SCMP_SYS(rt_sigreturn), ALL, ANY},
    {SCMP_SYS(restart_syscall), ALL, ANY},
    {SCMP_SYS(exit), ALL, ANY},
    {SCMP_SYS(exit_group), ALL, ANY},

    /* descriptors that it has */
    {SCMP_SYS(close), ALL, ANY},
    {SCMP_SYS(read), ALL, ANY},
    {SCMP_SYS(write), ALL, ANY},
    {SCMP_SYS(writev), ALL, ANY},
    {SCMP_SYS(sendmsg), ALL, ANY},
    {SCMP_SYS(fstat), ALL, ANY},
    {SCMP_SYS(newfstatat), ALL, ANY},
    {SCMP_SYS(poll), SESSION | A, ANY},
    {SCMP_SYS(ppoll), SESSION | A, ANY}, /* poll, of newer machines */
    {SCMP_SYS(recvfrom), SERVER, ANY},
    {SCMP_SYS(recvmsg), SERVER, ANY},
    {SCMP_SYS(sendto), SERVER, ANY},
    {SCMP_SYS(fcntl), ALL, EXACTLY(1, F_GETFL)},
    {SCMP_SYS(fcntl), ALL, EXACTLY(1, F_SETFL)},
    {SCMP_SYS(setsockopt), SERVER, ANY},

    /* its part of the tree: which files, Landlock says */
    {SCMP_SYS(openat), SESSION, ANY},
    {SCMP_SYS(pread64), SESSION, ANY},
    {SCMP_SYS(ioctl), SESSION, EXACTLY(1, MT_IOC_CTL)},
    {SCMP_SYS(lseek), SESSION, ANY},
    {SCMP_SYS(clock_nanosleep), SESSION, ANY},
    {SCMP_SYS(nanosleep), SESSION, ANY},
    {SCMP_SYS(flock), P, ANY},
    {SCMP_SYS(pwrite64), I, ANY},
    {SCMP_SYS(unlinkat), I, ANY},

    /* IDLE waits in a thread of its own */
    {SCMP_SYS(clone), I, {0, CLONE_THREAD, CLONE_THREAD}},
    {SCMP_SYS(rt_sigaction), I, EXACTLY(0, LIBC_SIGNAL)},
    {SCMP_SYS(eventfd2), I, ANY},
    {SCMP_SYS(rseq), I, ANY},
    {SCMP_SYS(set_robust_list), I, ANY},

    /* clients before login */
    {SCMP_SYS(accept4), L, ANY},
    {SCMP_SYS(epoll_ctl), L, ANY},
    {SCMP_SYS(epoll_wait), L, ANY},
    {SCMP_SYS(epoll_pwait), L, ANY},
    {SCMP_SYS(getsockname), L, ANY},
    {SCMP_SYS(shutdown), L, ANY},
    {SCMP_SYS(socketpair), L, EXACTLY(0, AF_UNIX)}, /* to a session, behind TLS */

    /* what a sanitiser does beside, reports included */
    {SCMP_SYS(clock_nanosleep), S, ANY},
    {SCMP_SYS(getppid), S, ANY},
    {SCMP_SYS(getrlimit), S, ANY},
    {SCMP_SYS(nanosleep), S, ANY},
    {SCMP_SYS(pipe), S, ANY},
    {SCMP_SYS(prctl), S, ANY},
    {SCMP_SYS(prlimit64), S, EXACTLY(0, 0)},
    {SCMP_SYS(readlink), S, ANY},
    {SCMP_SYS(rt_sigaction), S, ANY},
    {SCMP_SYS(sched_yield), S, ANY},
    {SCMP_SYS(sigaltstack), S, ANY},
};

/*
 * Libc asks for these without being told to, and can do without: a new connection to a
 * system log that was restarted, a way to start threads that a filter cannot look into, a
 * look at /proc. They fail; they do not end the process.
 */
static const struct refuse {
	int call;
	unsigned who;
	int error;
	struct only only;
} refused[] = {
    {SCMP_SYS(clone3), I | S, ENOSYS, ANY}, /* then it takes clone */
    {SCMP_SYS(socket), SERVER, EPERM, ANY},
    {SCMP_SYS(connect), SERVER, EPERM, ANY},
    {SCMP_SYS(openat), SERVER, EACCES, ANY},
    {SCMP_SYS(clone),
     S,
     EPERM,
     {0, CLONE_THREAD, 0}}, /* a program that names symbols */
};

/* ---- the end of who breaks it --------------------------------------------------------- */

static const char *sealed_program = "", *sealed_name = "";

/*
 * The call that raised this was no call of malloc's, which asks for nothing that is refused:
 * so what it takes to name the call can be done here. Refused once more, execve(2), which
 * nobody keeps, ends the process, because the handler is there only once.
 */
static void
on_refused(int sig, siginfo_t *info, void *context)
{
	char text[512];
	char *call =
	    seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, info->si_syscall);
	int n =
	    snprintf(text, sizeof text,
	             "%s: error: %s: ended because it called %s (%d), which a process "
	             "of its kind must not\n",
	             sealed_program, sealed_name, call != NULL ? call : "a system call",
	             info->si_syscall);

	(void)sig;
	(void)context;
	(void)io_write_all(STDERR_FILENO, (struct span){text, (size_t)n});
	syscall(SYS_execve, NULL, NULL, NULL);
	_exit(1);
}

static int
catch_refusals(void)
{
	struct sigaction act = {.sa_sigaction = on_refused,
	                        .sa_flags = SA_SIGINFO | SA_RESETHAND | SA_NODEFER};

	return sigaction(SIGSYS, &act, NULL);
}

/* ---- the filter ----------------------------------------------------------------------- */

static int
add(scmp_filter_ctx f, uint32_t action, int call, const struct only *o)
{
	if (o->mask == 0)
		return seccomp_rule_add(f, action, call, 0);
	return seccomp_rule_add(f, action, call, 1,
	                        SCMP_CMP(o->arg, SCMP_CMP_MASKED_EQ, o->mask, o->is));
}

/* abort(3), and the thread of IDLE, signal a thread of this process. */
static int
add_own_signals(scmp_filter_ctx f)
{
	const struct only own = EXACTLY(0, (uint32_t)getpid());

	return add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), &own);
}

static int
add_rules(scmp_filter_ctx f, unsigned who)
{
	int rc = add_own_signals(f);

	for (const struct keep *k = kept; rc == 0 && k < kept + ARRAY_LEN(kept); k++)
		if (k->who & who)
			rc = add(f, SCMP_ACT_ALLOW, k->call, &k->only);
	for (const struct refuse *r = refused;
	     rc == 0 && r < refused + ARRAY_LEN(refused); r++)
		if (r->who & who)
			rc = add(f, SCMP_ACT_ERRNO((uint32_t)r->error), r->call,
			         &r->only);
	return rc;
}

bool
seal_built(void)
{
	return true;
}

int
seal(enum seal_role role, const char *program, const char *name)
{
	unsigned who = 1U << role | (SANITISED ? S : 0);
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_TRAP);
	int rc;

	if (f == NULL) {
		errno = ENOMEM;
		return -1;
	}
	sealed_program = program;
	sealed_name = name;
	rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC,
	                      1); /* a sanitiser's thread too */
	if (rc == 0 && (rc = add_rules(f, who)) == 0 && catch_refusals() == -1)
		rc = -errno;
	if (rc == 0)
		rc = seccomp_load(f);
	seccomp_release(f);
	errno = -rc;
	return rc == 0 ? 0 : -1;
}

#else

bool
seal_built(void)
{
	return false;
}

int
seal(enum seal_role role, const char *program, const char *name)
{
	(void)role;
	(void)program;
	(void)name;
	errno = ENOSYS;
	return -1;
}

#endif
