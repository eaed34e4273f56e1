/*
 * The filter is made here, without a library: it takes some microseconds, where libseccomp took
 * 2 ms of every login.
 */
#include "protocol/seal.h"

#include <errno.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#elif defined __aarch64__ && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCH AUDIT_ARCH_AARCH64
#elif defined __riscv && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#endif

/* ThreadSanitizer makes calls of its own that no list foresees: there nothing is sealed. */
#if defined ARCH && !defined __SANITIZE_THREAD__ && !__has_feature(thread_sanitizer)

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/abi.h"
#include "storage/base/io.h"
#include "storage/base/span.h"

/* Calls that newer machines never had: their rows mean nothing there. */
#define NO_SUCH_CALL (-1)
#ifndef SYS_epoll_wait
#define SYS_epoll_wait NO_SUCH_CALL
#endif
#ifndef SYS_pipe
#define SYS_pipe NO_SUCH_CALL
#endif
#ifndef SYS_poll
#define SYS_poll NO_SUCH_CALL
#endif
#ifndef SYS_readlink
#define SYS_readlink NO_SUCH_CALL
#endif
#ifndef SYS_time
#define SYS_time NO_SUCH_CALL
#endif

/* For the log; the Makefile takes them from <sys/syscall.h>. */
static const struct {
	int call;
	const char *name;
} names[] = {
#include <callnames.inc>
};

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

/* What of the lower half of an argument must hold: masked, it is this. */
struct only {
	unsigned arg;
	uint32_t mask, is;
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
    {SYS_brk, ALL, ANY},
    {SYS_mmap, ALL, NOT_EXECUTABLE},
    {SYS_mprotect, ALL, NOT_EXECUTABLE},
    {SYS_mremap, ALL, ANY},
    {SYS_munmap, ALL, ANY},
    {SYS_madvise, ALL, ANY},
    {SYS_futex, ALL, ANY},
    {SYS_getrandom, ALL, ANY},
    {SYS_clock_gettime, ALL, ANY}, /* where the vdso has no clock */
    {SYS_gettimeofday, ALL, ANY},
    {SYS_time, ALL, ANY},
    {SYS_getpid, ALL, ANY},
    {SYS_gettid, ALL, ANY},
    {SYS_sysinfo, ALL, ANY},           /* qsort(3), before it asks for memory */
    {SYS_sched_getaffinity, ALL, ANY}, /* malloc(3), when there are threads */
    {SYS_rt_sigprocmask, ALL, ANY},
    {SYS_rt_sigreturn, ALL, ANY},
    {SYS_restart_syscall, ALL, ANY},
    {SYS_exit, ALL, ANY},
    {SYS_exit_group, ALL, ANY},

    /* descriptors that it has */
    {SYS_close, ALL, ANY},
    {SYS_read, ALL, ANY},
    {SYS_write, ALL, ANY},
    {SYS_writev, ALL, ANY},
    {SYS_sendmsg, ALL, ANY},
    {SYS_fstat, ALL, ANY},
    {SYS_newfstatat, ALL, ANY},
    {SYS_poll, SESSION | A, ANY},
    {SYS_ppoll, SESSION | A, ANY}, /* poll, of newer machines */
    {SYS_recvfrom, SERVER, ANY},
    {SYS_recvmsg, ALL, ANY}, /* a session: its user's next client */
    {SYS_sendto, SERVER, ANY},
    {SYS_fcntl, ALL, EXACTLY(1, F_GETFL)},
    {SYS_fcntl, ALL, EXACTLY(1, F_SETFL)},
    {SYS_setsockopt, SERVER, ANY},

    /* its part of the tree: which files, Landlock says */
    {SYS_openat, SESSION, ANY},
    {SYS_pread64, SESSION, ANY},
    {SYS_ioctl, SESSION, EXACTLY(1, MT_IOC_CTL)},
    {SYS_lseek, SESSION, ANY},
    {SYS_clock_nanosleep, SESSION, ANY},
    {SYS_nanosleep, SESSION, ANY},
    {SYS_flock, P, ANY},
    {SYS_pwrite64, I, ANY},
    {SYS_unlinkat, I, ANY},

    /* IDLE waits in a thread of its own */
    {SYS_clone, I, {0, CLONE_THREAD, CLONE_THREAD}},
    {SYS_rt_sigaction, I, EXACTLY(0, LIBC_SIGNAL)},
    {SYS_eventfd2, I, ANY},
    {SYS_rseq, I, ANY},
    {SYS_set_robust_list, I, ANY},

    /* clients before login */
    {SYS_accept4, L, ANY},
    {SYS_epoll_ctl, L, ANY},
    {SYS_epoll_wait, L, ANY},
    {SYS_epoll_pwait, L, ANY},
    {SYS_getsockname, L, ANY},
    {SYS_shutdown, L, ANY},
    {SYS_socketpair, L, EXACTLY(0, AF_UNIX)}, /* to a session, behind TLS */

    /* what a sanitiser does beside, reports included */
    {SYS_clock_nanosleep, S, ANY},
    {SYS_getppid, S, ANY},
    {SYS_getrlimit, S, ANY},
    {SYS_nanosleep, S, ANY},
    {SYS_pipe, S, ANY},
    {SYS_prctl, S, ANY},
    {SYS_prlimit64, S, EXACTLY(0, 0)},
    {SYS_readlink, S, ANY},
    {SYS_rt_sigaction, S, ANY},
    {SYS_sched_yield, S, ANY},
    {SYS_sigaltstack, S, ANY},
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
    {SYS_clone3, I | S, ENOSYS, ANY}, /* then it takes clone */
    {SYS_socket, SERVER, EPERM, ANY},
    {SYS_connect, SERVER, EPERM, ANY},
    {SYS_openat, SERVER, EACCES, ANY},
    {SYS_clone,
     S,
     EPERM,
     {0, CLONE_THREAD, 0}}, /* a program that names symbols */
};

/* ---- the end of who breaks it --------------------------------------------------------- */

static const char *sealed_program = "", *sealed_name = "";

static const char *
name_of(int call)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].call == call)
			return names[i].name;
	return "a system call";
}

/*
 * The call that raised this was no call of malloc's, which asks for nothing that is refused:
 * so what it takes to name the call can be done here. Refused once more, execve(2), which
 * nobody keeps, ends the process, because the handler is there only once.
 */
static void
on_refused(int sig, siginfo_t *info, void *context)
{
	char text[512];
	const char *call = name_of(info->si_syscall);
	int n =
	    snprintf(text, sizeof text,
	             "%s: error: %s: ended because it called %s (%d), which a process "
	             "of its kind must not\n",
	             sealed_program, sealed_name, call,
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

#define FILTER_MAX 1024 /* instructions */

struct filter {
	unsigned short n;
	struct sock_filter at[FILTER_MAX];
};

static void
emit(struct filter *f, unsigned code, uint32_t k, unsigned yes, unsigned no)
{
	if (f->n < FILTER_MAX)
		f->at[f->n] = (struct sock_filter){(uint16_t)code, (uint8_t)yes,
		                                   (uint8_t)no, k};
	f->n++;
}

static void
load(struct filter *f, size_t offset)
{
	emit(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* If what is loaded is not `k`, skip so many instructions. */
static void
unless_skip(struct filter *f, uint32_t k, unsigned skip)
{
	emit(f, BPF_JMP | BPF_JEQ | BPF_K, k, 0, skip);
}

static void
decide(struct filter *f, uint32_t action)
{
	emit(f, BPF_RET | BPF_K, action, 0, 0);
}

/* One row. The number of the call is loaded before it, and after it. */
static void
add(struct filter *f, uint32_t action, int call, const struct only *o)
{
	if (call == NO_SUCH_CALL)
		return;
	if (o->mask == 0) {
		unless_skip(f, (uint32_t)call, 1);
		decide(f, action);
		return;
	}
	unless_skip(f, (uint32_t)call, 5);
	load(f, offsetof(struct seccomp_data, args[o->arg])); /* little-endian */
	emit(f, BPF_ALU | BPF_AND | BPF_K, o->mask, 0, 0);
	unless_skip(f, o->is, 1);
	decide(f, action);
	load(f, offsetof(struct seccomp_data, nr));
}

/* Calls made in the way of another machine are numbered otherwise. */
static void
begin(struct filter *f)
{
	f->n = 0;
	load(f, offsetof(struct seccomp_data, arch));
	emit(f, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	decide(f, SECCOMP_RET_KILL_PROCESS);
	load(f, offsetof(struct seccomp_data, nr));
}

static void
make(struct filter *f, unsigned who)
{
	/* abort(3), and the thread of IDLE, signal a thread of this process */
	const struct only own = EXACTLY(0, (uint32_t)getpid());

	begin(f);
	for (const struct keep *k = kept; k < kept + ARRAY_LEN(kept); k++)
		if (k->who & who)
			add(f, SECCOMP_RET_ALLOW, k->call, &k->only);
	add(f, SECCOMP_RET_ALLOW, SYS_tgkill, &own);
	for (const struct refuse *r = refused; r < refused + ARRAY_LEN(refused); r++)
		if (r->who & who)
			add(f, SECCOMP_RET_ERRNO | (uint32_t)r->error, r->call, &r->only);
	decide(f, SECCOMP_RET_TRAP);
}

bool
seal_built(void)
{
	return true;
}

int
seal(enum seal_role role, const char *program, const char *name)
{
	static struct filter f;
	struct sock_fprog prog = {.filter = f.at};

	make(&f, 1U << role | (SANITISED ? S : 0));
	if (f.n > FILTER_MAX) {
		errno = E2BIG;
		return -1;
	}
	prog.len = f.n;
	sealed_program = program;
	sealed_name = name;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 || catch_refusals() == -1)
		return -1;
	/* for all threads: a sanitiser's too */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
	               &prog) == 0
	           ? 0
	           : -1;
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
