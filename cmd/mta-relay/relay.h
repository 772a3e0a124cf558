/* SPDX-License-Identifier: ISC
 *
 * What the subcommands of mta-relay share. Each is one function that parses its own options table and returns an exit
 * status; main.c only finds it. All read the configuration section [mta-relay]: a key there that belongs to another
 * subcommand's table is no error (struct opts.also = relay_tables). A key of several subcommands (queue, hostname,
 * mda, resolver, trace, ...) has the same name, type and meaning in each table.
 */
#ifndef WP_MTA_RELAY_RELAY_H
#define WP_MTA_RELAY_RELAY_H

#include "base/opts.h"

#define RELAY_SECTION "mta-relay"
#define RELAY_DEFAULT_QUEUE "/var/spool/waypost"

/* argv[0] is "mta-relay SUBCOMMAND". The signals and the log are set up by main. */
int relay_serve(int argc, char **argv);
int relay_inject(int argc, char **argv);
int relay_run(int argc, char **argv);
int relay_queue(int argc, char **argv);
int relay_state(int argc, char **argv);
int relay_explain(int argc, char **argv);

/* Every subcommand's table, NULL-terminated: for struct opts.also. */
extern const struct opt *const relay_tables[];
extern const struct opt relay_serve_options[];
extern const struct opt relay_inject_options[];
extern const struct opt relay_run_options[];
extern const struct opt relay_queue_options[];
extern const struct opt relay_state_options[];
extern const struct opt relay_explain_options[];

/* Parses argv with a subcommand's table as one should: fills opts from these and calls opts_parse. On an error it is
 * printed to stderr. OPTS_OK, or what opts_parse said with *status set to the exit status. */
enum opts_result relay_options(int argc, char **argv, const struct opts *o, int *first, int *status);

/* An error of the command line or the configuration, to where the user looks: stderr, or syslog under inetd. */
void relay_complain(const char *prog, const struct err *err);

/* --ready: EX_OK when the server that keeps ready_file is up and the queue has room, else EX_TEMPFAIL and why on
 * stderr. */
int relay_ready(const char *prog, const char *ready_file, const char *queue);

/* --ip of every subcommand that has it, and the enum mx_family of a choice. */
#define RELAY_IP_CHOICES "any|4|6|4first|6first"
int relay_family(int choice);

/* Our own name for greetings, Message-IDs and Received fields: `configured`, or the host's fully qualified name when it
 * is NULL or "". Static storage. */
const char *relay_hostname(const char *configured);

#endif
