/*
 * selfcert: a self-signed certificate for a mail server, and its key: P-256, the names
 * as subjectAltName, a random serial number. Everything is in memory; who writes it to
 * files is certcmd.c.
 */
#ifndef SERVER_SELFCERT_H
#define SERVER_SELFCERT_H

#include "storage/base/buf.h"

#define SELFCERT_NAMES_MAX 100
/*
 * Two years: some clients refuse certificates of servers that are valid for more than 825
 * days, whoever signed them.
 */
#define SELFCERT_DAYS     730
#define SELFCERT_DAYS_MAX 36500

struct selfcert {
	struct buf cert, key; /* PEM; selfcert_free() wipes the key */
	struct buf about;     /* lines: subject, names, validity, fingerprint */
};

/* NULL when it can be a name in a certificate, else what is wrong with it (static). */
const char *selfcert_name_wrong(const char *name);

/*
 * Make one for `names`: host names, perhaps with `*.` in front, and addresses. `conf`, or
 * NULL, is an OpenSSL configuration as `openssl req` takes it: its distinguished name is
 * the subject, and its subjectAltName goes in front of `names`. Without any name in either
 * the common name is the name, and without one `usual` is (or NULL). 0, or -1 with what is
 * wrong in `why`.
 */
int selfcert_make(struct selfcert *, const char *conf, char *const *names,
                  size_t nnames, const char *usual, unsigned days, char *why,
                  size_t whycap);
void selfcert_free(struct selfcert *);

#endif
