/* SPDX-License-Identifier: ISC */
#include "base/pid.h"

#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

static pid_t pid; /* 0: not known */

static void forget(void)
{
	pid = 0;
}

pid_t own_pid(void)
{
	static bool watched;
	if (!watched)
		watched = pthread_atfork(NULL, NULL, forget) == 0;
	if (!watched)
		return getpid();
	if (!pid)
		pid = getpid();
	return pid;
}
