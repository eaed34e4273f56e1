/*
 * config: what a configuration says: the settings in force, the listeners, the
 * password and user databases, and every mistake and warning with its place. Reading
 * never stops at a mistake, so that all of them are reported at once.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <stdint.h>

#include "protocol/server/confservice.h"
#include "storage/base/buf.h"

/* What an outsider could push against. */
#define CONF_FILE_MAX    (1 << 20) /* octets of one file */
#define CONF_NEST_MAX    16        /* blocks within blocks */
#define CONF_INCLUDE_MAX 8         /* files within files */
#define CONF_FILES_MAX   256       /* files in all */
#define CONF_NOTES_MAX   1000      /* mistakes and warnings kept */
#define CONF_LIST_MAX    256       /* listeners; databases of each kind; mailboxes */

#define CONF_DEFAULT_FILE MT_SYSCONFDIR "/mailtree/mailtree.conf"

/* Settings that are honoured, in the order of `config show`. config.c has the table. */
enum conf_key {
	CONF_PROTOCOLS,
	CONF_LISTEN,
	CONF_MAIL_LOCATION,
	CONF_MAIL_HOME,
	CONF_MAIL_UID,
	CONF_MAIL_GID,
	CONF_FIRST_VALID_UID,
	CONF_LAST_VALID_UID,
	CONF_MAIL_ALLOW_SHARED_UID,
	CONF_MOUNT_PATH,
	CONF_INDEX_PATH,
	CONF_SSL,
	CONF_SSL_ALT_CERT,
	CONF_SSL_ALT_KEY,
	CONF_SSL_CA,
	CONF_SSL_CERT,
	CONF_SSL_CERT_USERNAME_FIELD,
	CONF_SSL_CIPHER_LIST,
	CONF_SSL_CIPHER_SUITES,
	CONF_SSL_CURVE_LIST,
	CONF_SSL_DH,
	CONF_SSL_DH_PARAMETERS_LENGTH,
	CONF_SSL_KEY,
	CONF_SSL_KEY_PASSWORD,
	CONF_SSL_MIN_PROTOCOL,
	CONF_SSL_OPTIONS,
	CONF_SSL_PREFER_SERVER_CIPHERS,
	CONF_SSL_PROTOCOLS,
	CONF_SSL_REQUIRE_CRL,
	CONF_SSL_VERIFY_CLIENT_CERT,
	CONF_VERBOSE_SSL,
	CONF_DISABLE_PLAINTEXT_AUTH,
	CONF_AUTH_MECHANISMS,
	CONF_AUTH_ANONYMOUS_USERNAME,
	CONF_AUTH_DEFAULT_REALM,
	CONF_AUTH_MASTER_USER_SEPARATOR,
	CONF_AUTH_USERNAME_FORMAT,
	CONF_AUTH_USERNAME_CHARS,
	CONF_AUTH_USERNAME_TRANSLATION,
	CONF_AUTH_FAILURE_DELAY,
	CONF_AUTH_SSL_REQUIRE_CLIENT_CERT,
	CONF_AUTH_SSL_USERNAME_FROM_CERT,
	CONF_AUTH_WORKER_MAX_COUNT,
	CONF_DEFAULT_LOGIN_USER,
	CONF_LOGIN_GREETING,
	CONF_LOGIN_TIMEOUT,
	CONF_LOGIN_HANDSHAKE_TIMEOUT,
	CONF_MAIL_MAX_USERIP_CONNECTIONS,
	CONF_POP3_UIDL_FORMAT,
	CONF_MBOX_READ_LOCKS, /* from here on to MAIL_PRIVILEGED_GROUP: mailtreed's --mbox */
	CONF_MBOX_WRITE_LOCKS,
	CONF_MBOX_LOCK_TIMEOUT,
	CONF_MBOX_DOTLOCK_CHANGE_TIMEOUT,
	CONF_MBOX_MIN_INDEX_SIZE,
	CONF_MBOX_DIRTY_SYNCS,
	CONF_MAIL_PRIVILEGED_GROUP,
	CONF_MAIL_ACCESS_GROUPS,
	CONF_LOG_PATH,
	CONF_NKEY,
};

enum conf_ssl { CONF_SSL_NO, CONF_SSL_YES, CONF_SSL_REQUIRED };

struct conf_note {
	bool error; /* else a warning */
	char *file; /* owned; NULL: no place */
	unsigned line, col;
	char *text; /* owned */
};

/* One inet_listener. */
struct conf_listener {
	char *service; /* "pop3-login", "imap-login" */
	char *name;    /* "pop3" */
	char *address; /* NULL: the addresses of `listen` */
	uint32_t port; /* 0: off */
	bool ssl;
};

/* `local_name mail.example.org {`: the certificate for clients that ask for these names. */
struct conf_local {
	char *names;                /* blank between; `*.` at the beginning of one: any */
	char *cert, *key;           /* `</path`; "" when it has none */
	char *password;             /* as ssl_key_password; "" */
	unsigned line;
	char *file;
};

/* What an answer of a passdb leads to. `continue`: the next one is asked. */
enum conf_result {
	CONF_RETURN_OK,
	CONF_RETURN_FAIL,
	CONF_RETURN, /* as it is by now */
	CONF_CONTINUE_OK,
	CONF_CONTINUE_FAIL,
	CONF_CONTINUE,
};

enum conf_skip { CONF_SKIP_NEVER, CONF_SKIP_AUTHENTICATED, CONF_SKIP_UNAUTHENTICATED };

/* One passdb or userdb. */
struct conf_db {
	char *name;   /* "" when it has none */
	char *driver; /* passwd-file, pam, passwd, ... */
	char *args;   /* the driver's; "" when none */
	/* of a userdb: words `uid=x home=/y`, for who lacks them, and for everybody; NULL: none */
	char *defaults, *overrides;
	/* of a passdb: */
	enum conf_result success, failure, internalfail;
	enum conf_skip skip;
	bool deny;   /* whoever is in it cannot log in */
	bool master; /* those in it may act for others */
	unsigned line;
	char *file;
};

/* One namespace; which one counts: namespaces.h. */
struct conf_namespace {
	char *name;      /* "" when it has none */
	char *type;      /* private, shared, public */
	char *separator; /* "": the usual one */
	char *prefix, *location;
	bool inbox, disabled;
	unsigned line;
	char *file;
};

enum conf_auto { CONF_AUTO_NO, CONF_AUTO_CREATE, CONF_AUTO_SUBSCRIBE };

/* `mailbox Sent {` in one. */
struct conf_mailbox {
	size_t ns;         /* row of its namespace */
	char *name;        /* as clients see it, without the prefix */
	char *special_use; /* `\Sent`, perhaps several, or "" */
	enum conf_auto make;
	unsigned line;
	char *file;
};

struct conf_at {
	char *file; /* owned; NULL: nowhere */
	unsigned line, col;
};

struct config {
	char *text[CONF_NKEY];          /* as written, or the default; never NULL */
	uint64_t num[CONF_NKEY];        /* numbers, seconds, booleans, enums */
	bool given[CONF_NKEY];          /* stood in a file: */
	struct conf_at at[CONF_NKEY];   /* this one */
	struct conf_local *local; /* owned */
	size_t nlocal;
	struct conf_listener *listener; /* owned */
	size_t nlistener;
	struct conf_limits service[CONF_NSERVICE];
	struct conf_db *passdb, *userdb; /* in the order in which they are asked */
	size_t npassdb, nuserdb;
	struct conf_namespace *ns; /* owned */
	size_t nns;
	struct conf_mailbox *mailbox; /* owned */
	size_t nmailbox;
	struct conf_note *note;
	size_t nnote, nerror;
	size_t nfile;        /* private: files read so far */
	uint8_t warned[512]; /* private: which rows of known.c have had their warning */
};

/* Ready to be filled, everything at its default. 0, or -1 ENOMEM. */
int config_init(struct config *);
void config_free(struct config *);

/*
 * How `!include` reaches other files: calls config_text for each. NULL: includes are
 * mistakes. `from` is the file in which it stands. NULL, or why it failed.
 */
struct conf_place {
	const char *file;
	unsigned line, col;
	unsigned depth; /* files around this one */
};
typedef const char *conf_include(struct config *, const char *pattern, bool must,
                                 const struct conf_place *from);

/* Take in a text (borrowed for the call); pure when `include` is NULL. */
void config_text(struct config *, struct span text, const char *file, unsigned depth,
                 conf_include *include);

/* Judge the whole, when all texts are in: what must be there, what excludes what. */
void config_finish(struct config *);

/* init, the file and what it includes, finish. -1 when it has mistakes (see notes). */
int config_load(struct config *, const char *path);
/* The same into one that is initialised already, perhaps to other defaults. */
int config_load_into(struct config *, const char *path);

/* Add a mistake or a warning; `at` NULL: about the whole. */
void config_note(struct config *, bool error, const struct conf_place *at,
                 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* One line per note, `file:line:col: error: text`, in the order of the files. */
int config_print_notes(const struct config *, struct buf *);

/*
 * The settings in force, in the same syntax: reading it back gives the same (what
 * auth and login are given). changed_only: leave out what has its default.
 */
int config_print(const struct config *, bool changed_only, struct buf *);

/*
 * Set a honoured setting from its text: 0, or -1 with *why (static) when the value
 * is no such thing. -1 with *why NULL: out of memory.
 */
int config_set(struct config *, enum conf_key, struct span value, const char **why);

/*
 * The value of a setting that is a file, `</path` or `/path`, in the first form (the caller
 * frees it); an empty one stays empty. NULL with *why as config_set has it.
 */
char *config_file(struct span value, const char **why);

/* Is TLS to be offered: there is a certificate and `ssl` does not forbid it? */
bool config_has_tls(const struct config *);

/* Is this word among the blank- or comma-separated words of the setting? */
bool config_has_word(const struct config *, enum conf_key, struct span word);

/* Is the setting a list of words? False for CONF_NKEY. */
bool config_is_list(enum conf_key);

/* Is the protocol (imap, pop3) to be served, be it with TLS from the start only? */
bool config_serves(const struct config *, const char *protocol);

/* The mechanisms of auth_mechanisms, as a set of protocol/mech.h; unknown ones are not in it. */
unsigned config_mechanisms(const struct config *);

/* The honoured setting of that name, or CONF_NKEY. */
enum conf_key config_key(struct span name);
const char *config_key_name(enum conf_key);
const char *config_key_default(enum conf_key);
bool config_key_is_file(enum conf_key); /* is its value a file, `</path`? */

#endif
