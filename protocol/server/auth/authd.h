/*
 * authd: the event loop of mailtree-auth. It takes questions from the parent and from
 * login processes, has workers answer them, and holds every refusal back until the
 * same time after its question, whatever the reason.
 */
#ifndef AUTH_AUTHD_H
#define AUTH_AUTHD_H

#include "protocol/server/config.h"

/* What an outsider could push against. */
#define AUTHD_REQUESTS_MAX 12000 /* questions waiting; further ones are told `later` */
#define AUTHD_LOGINS_MAX   2048  /* login processes */
#define AUTHD_WORKERS_MAX  64
#define AUTHD_ANSWERS_MAX  1000  /* of one worker; then another begins afresh */
#define AUTHD_TIMEOUT_MS   30000 /* a worker has so long for one question */
#define AUTHD_DIALOGS_MAX  2048  /* SASL dialogues; then the oldest makes room */
#define AUTHD_DIALOG_MS    60000 /* one has so long from its first step to its last */

/* Serve `parent` (a SEQPACKET socket) until it is gone. Returns the exit status. */
int authd_run(const struct config *, int parent);

#endif
