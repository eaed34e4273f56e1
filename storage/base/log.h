/*
 * log: one line per event, to stderr or syslog. The layer that gives up logs,
 * once, with the user, mailbox and UID or path. Bytes from outside are printed
 * escaped, so that no line can be forged. Safe from any thread.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "storage/base/span.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `program` is kept (borrowed for ever). Everything up to `most` is written. */
void log_open(const char *program, enum log_level most, bool to_syslog);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
