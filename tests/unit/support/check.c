#include "tests/unit/support/check.h"

#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void
show(const char *what, struct span s)
{
	fprintf(stderr, "%s (%zu octets): ", what, s.n);
	for (size_t i = 0; i < s.n && i < 400; i++)
		if (s.p[i] >= ' ' && s.p[i] < 0x7f && s.p[i] != '\\')
			fputc(s.p[i], stderr);
		else
			fprintf(stderr, "\\x%02x", (unsigned char)s.p[i]);
	fputc('\n', stderr);
}

static void
where(const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof text, fmt, ap);
	fail_msg("%s", text);
}

#define FAIL_AT()                                                                        \
	do {                                                                             \
		va_list ap;                                                              \
		va_start(ap, fmt);                                                       \
		where(fmt, ap);                                                          \
		va_end(ap);                                                              \
	} while (0)

void
check_span(struct span got, struct span want, const char *fmt, ...)
{
	if (span_eq(got, want))
		return;
	show("got ", got);
	show("want", want);
	FAIL_AT();
}

void
check_mem(const char *got, size_t n, const char *want, const char *fmt, ...)
{
	if (span_eq((struct span){got, n}, span_of(want)))
		return;
	show("got ", (struct span){got, n});
	show("want", span_of(want));
	FAIL_AT();
}

void
check_num(uint64_t got, uint64_t want, const char *fmt, ...)
{
	if (got == want)
		return;
	fprintf(stderr, "got %llu, want %llu\n", (unsigned long long)got,
		(unsigned long long)want);
	FAIL_AT();
}

void
check_true(bool holds, const char *fmt, ...)
{
	if (!holds)
		FAIL_AT();
}

void
check_fail(const char *fmt, ...)
{
	FAIL_AT();
	abort();
}

uint32_t
check_random(uint64_t *seed)
{
	/* xorshift64*: Vigna, 2016 */
	if (*seed == 0)
		*seed = 0x9e3779b97f4a7c15u;
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return (uint32_t)(*seed * 0x2545f4914f6cdd1du >> 32);
}

unsigned
check_rounds(unsigned n)
{
	const char *text = getenv("MT_FEWER");
	int fewer = text != NULL ? atoi(text) : 1;

	return fewer > 1 ? 1 + (n - 1) / (unsigned)fewer : n;
}

int
scratch_make(char path[static 64])
{
	const char *dir = getenv("TMPDIR");
	int fd;

	if (dir == NULL || strlen(dir) > 32)
		dir = "/tmp";
	snprintf(path, 64, "%s/mailtree-test.XXXXXX", dir);
	if (mkdtemp(path) == NULL || (fd = open(path, O_RDONLY | O_DIRECTORY)) == -1)
		err(1, "%s", path);
	return fd;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

void
scratch_remove(const char *path)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == -1)
		warn("%s", path);
}
