/* SPDX-License-Identifier: ISC
 *
 * The process's id without a system call: for log lines and the names of messages, of which there are many.
 */
#ifndef WP_BASE_PID_H
#define WP_BASE_PID_H

#include <sys/types.h>

/* getpid(2); right also after fork(2). */
pid_t own_pid(void);

#endif
