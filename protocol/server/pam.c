/* The passdb `pam`: it can only say yes or no. */
#include <security/pam_appl.h>
#include <stdlib.h>

#include "protocol/server/passdb.h"
#include "protocol/server/pwhash.h"
#include "storage/base/log.h"

struct asked {
	const char *user;
	char password[PWHASH_PASSWORD_MAX + 1];
};

/* An answer to each question; PAM frees them. NULL out of memory. */
static char *
answer(int style, const struct asked *a)
{
	if (style == PAM_PROMPT_ECHO_OFF)
		return strdup(a->password);
	if (style == PAM_PROMPT_ECHO_ON)
		return strdup(a->user);
	return NULL;
}

static int
converse(int n, const struct pam_message **question, struct pam_response **reply,
         void *arg)
{
	struct pam_response *r = calloc((size_t)n, sizeof *r);

	if (r == NULL)
		return PAM_BUF_ERR;
	for (int i = 0; i < n; i++)
		r[i].resp = answer(question[i]->msg_style, arg);
	*reply = r;
	return PAM_SUCCESS;
}

/* The delay after a failure is mailtree-auth's, the same for every reason. */
static void
no_delay(int rc, unsigned usec, void *arg)
{
	(void)rc;
	(void)usec;
	(void)arg;
}

static int
ask(pam_handle_t *pam, struct span address)
{
	union {
		void (*call)(int, unsigned, void *);
		const void *item;
	} delay = {.call = no_delay};
	char rhost[64];
	int rc;

	pam_set_item(pam, PAM_FAIL_DELAY, delay.item);
	pam_set_item(pam, PAM_TTY, "mailtree");
	if (span_cstr(address, rhost, sizeof rhost) == 0)
		pam_set_item(pam, PAM_RHOST, rhost);
	if ((rc = pam_authenticate(pam, PAM_SILENT)) != PAM_SUCCESS)
		return rc;
	return pam_acct_mgmt(pam, PAM_SILENT);
}

static enum authdb_is
judge(int rc, const char *service, const char *user)
{
	switch (rc) {
	case PAM_SUCCESS:
		return AUTHDB_FOUND;
	case PAM_AUTH_ERR:
	case PAM_USER_UNKNOWN:
	case PAM_MAXTRIES:
	case PAM_PERM_DENIED:
	case PAM_ACCT_EXPIRED:
	case PAM_CRED_EXPIRED:
	case PAM_NEW_AUTHTOK_REQD:
		return AUTHDB_NOBODY;
	}
	log_error("pam %s: %s: %s", service, user, pam_strerror(NULL, rc));
	return AUTHDB_FAILED;
}

enum authdb_is
authdb_pam(const char *service, const char *user, struct span password,
           struct span address)
{
	struct asked a = {.user = user};
	struct pam_conv conv = {converse, &a};
	pam_handle_t *pam = NULL;
	enum authdb_is is = AUTHDB_NOBODY;
	int rc;

	if (span_cstr(password, a.password, sizeof a.password) == -1)
		return AUTHDB_NOBODY;
	if ((rc = pam_start(service, user, &conv, &pam)) == PAM_SUCCESS) {
		rc = ask(pam, address);
		is = judge(rc, service, user);
		pam_end(pam, rc);
	} else {
		is = judge(rc, service, user);
	}
	explicit_bzero(&a, sizeof a);
	return is;
}
