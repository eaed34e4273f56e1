#include "storage/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "storage/base/io.h"

static const char *program = "mailtree";
static enum log_level most = LOG_LEVEL_INFO;
static bool to_syslog;

void
log_open(const char *name, enum log_level level, bool use_syslog)
{
	program = name;
	most = level;
	to_syslog = use_syslog;
	if (use_syslog)
		openlog(name, LOG_PID | LOG_NDELAY, LOG_MAIL);
}

/* Control characters become \xNN; what is UTF-8 or Latin passes. Returns octets. */
static size_t
escape(const char *in, char *out, size_t cap)
{
	size_t n = 0;

	for (; *in != '\0' && n + 5 < cap; in++)
		if ((unsigned char)*in >= 0x20 && *in != 0x7f)
			out[n++] = *in;
		else
			n += (size_t)snprintf(out + n, 5, "\\x%02x", (unsigned char)*in);
	return n;
}

static void
say(enum log_level level, const char *fmt, va_list ap)
{
	static const int prio[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
	static const char *const word[] = {"error: ", "warning: ", "", "debug: "};
	char raw[2048], line[4096];
	int saved = errno;
	size_t n;

	if (level > most)
		return;
	vsnprintf(raw, sizeof raw, fmt, ap);
	n = (size_t)snprintf(line, 128, "%s: %s", program, word[level]);
	n += escape(raw, line + n, sizeof line - n - 1);
	if (to_syslog)
		syslog(prio[level], "%.*s", (int)n, line);
	else {
		line[n++] = '\n';
		(void)io_write_all(STDERR_FILENO, (struct span){line, n});
	}
	errno = saved;
}

#define SAY(level)                                                                       \
	do {                                                                             \
		va_list ap;                                                              \
		va_start(ap, fmt);                                                       \
		say(level, fmt, ap);                                                     \
		va_end(ap);                                                              \
	} while (0)

void
log_error(const char *fmt, ...)
{
	SAY(LOG_LEVEL_ERROR);
}

void
log_warn(const char *fmt, ...)
{
	SAY(LOG_LEVEL_WARN);
}

void
log_info(const char *fmt, ...)
{
	SAY(LOG_LEVEL_INFO);
}

void
log_debug(const char *fmt, ...)
{
	SAY(LOG_LEVEL_DEBUG);
}
