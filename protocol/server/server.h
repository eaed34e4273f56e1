/*
 * server: the verbs of the `mailtree` command that belong to the server. Each takes
 * the words from its verb on (argv[0] is the verb itself, such as "serve"), prints
 * its own usage for -h and for mistakes, and returns the exit status: 0, 1 on
 * failure, 2 on wrong usage.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

/*
 * serve [-c FILE]: the parent of the server, in the foreground: listening sockets,
 * the mount, mailtree-auth, mailtree-login, sessions. Returns when asked to stop
 * (SIGTERM, SIGINT), 0, or at once with 1 when it cannot begin.
 */
int serve_main(int argc, char **argv);

/*
 * config show [-c FILE] [-n]: print the settings in force (-n: only those that differ
 * from their defaults). config check [-c FILE]: report every mistake and warning;
 * 1 when there are mistakes. config import [-o FILE] FILE...: print what a dovecot.conf or
 * Courier's files mean, as a configuration of ours.
 */
int config_main(int argc, char **argv);

/*
 * passwd [-s SCHEME] [-f FILE USER]: read a password (asked twice on a terminal, else
 * the first line of stdin), print its {SCHEME}hash, or put it into the passwd-file
 * FILE as USER's (replaced durably, the other lines untouched).
 */
int passwd_main(int argc, char **argv);

/*
 * cert [-c FILE] [-d DAYS] [-o CERT] [-k KEY] [NAME...]: make a self-signed certificate and
 * its key, in two files that are not there yet.
 */
int cert_main(int argc, char **argv);

#endif
