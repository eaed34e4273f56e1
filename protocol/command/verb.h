/*
 * verb: the verbs of the `mailtree` command that are not the server's. Each takes the
 * words from its verb on (argv[0] is the verb), prints what is wrong with the name of
 * the input, and returns the exit status: 0, 1 on failure, 2 on wrong usage.
 */
#ifndef COMMAND_VERB_H
#define COMMAND_VERB_H

int mount_main(int argc, char **argv);
int umount_main(int argc, char **argv);
int check_main(int argc, char **argv);
int version_main(int argc, char **argv);

/* `usage: mailtree VERB ARGS` and what its help says, on stderr. Returns 2. */
int verb_usage(const char *verb);

/* Replace this process by our program `name`; argv[0] is set to it. Returns 1, having
 * said why, when that fails. */
int verb_exec(const char *name, char **argv);

#endif
