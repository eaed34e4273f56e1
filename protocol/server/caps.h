/*
 * caps: how much of root's power each process of the server keeps. Nothing happens in a
 * server that is run by an ordinary user.
 */
#ifndef SERVER_CAPS_H
#define SERVER_CAPS_H

#include <linux/capability.h>
#include <stdint.h>

#define CAPS(c) (UINT64_C(1) << (c))

/* To reach, make and own files as any user. */
#define CAPS_FILES                                                                     \
	(CAPS(CAP_CHOWN) | CAPS(CAP_DAC_OVERRIDE) | CAPS(CAP_DAC_READ_SEARCH) |        \
	 CAPS(CAP_FOWNER) | CAPS(CAP_FSETID))
#define CAPS_IDS (CAPS(CAP_SETUID) | CAPS(CAP_SETGID))

/* It mounts, and acts on files as each user in turn. */
#define CAPS_MAILTREED (CAPS_FILES | CAPS_IDS | CAPS(CAP_SYS_ADMIN))

/* What PAM's modules may need beyond files: locked accounts, audit. */
#define CAPS_AUTH (CAPS_FILES | CAPS_IDS | CAPS(CAP_AUDIT_WRITE) | CAPS(CAP_SETPCAP))

/* It becomes a login user in an empty root, with descriptors for thousands. */
#define CAPS_LOGIN                                                                     \
	(CAPS_FILES | CAPS_IDS | CAPS(CAP_SYS_CHROOT) | CAPS(CAP_SYS_RESOURCE))

/* All of those, ports below 1024, signals to sessions, and detaching what was mounted. */
#define CAPS_SERVE                                                                     \
	(CAPS_MAILTREED | CAPS_AUTH | CAPS_LOGIN | CAPS(CAP_NET_BIND_SERVICE) |        \
	 CAPS(CAP_KILL))

/*
 * Keep no capability but these, now and after any exec. What was not there before does not
 * come. 0, or -1 errno.
 */
int caps_keep(uint64_t mask);

#endif
