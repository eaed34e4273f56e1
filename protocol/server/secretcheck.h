/*
 * secretcheck: whether anybody could log in by the mechanisms of a configuration that are
 * never told a password: such a mechanism needs it as it is, or its own form of it.
 */
#ifndef SERVER_SECRETCHECK_H
#define SERVER_SECRETCHECK_H

#include "protocol/server/config.h"

/*
 * A note for each mechanism by which nobody could log in, though somebody has a password in the
 * password files or a static passdb. (That there is no such passdb is config_finish()'s to say.)
 * What cannot be read now is not judged. Blocks.
 */
void secretcheck(struct config *);

#endif
