/* SPDX-License-Identifier: ISC */
#include "io/hostname.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"

/* The canonical name of a host whose own name has no dot. */
static void qualify(char *name, size_t size)
{
	struct addrinfo hints = { .ai_flags = AI_CANONNAME, .ai_family = AF_UNSPEC }, *found = NULL;
	if (strchr(name, '.') || getaddrinfo(name, NULL, &hints, &found) != 0)
		return;
	if (found->ai_canonname && strchr(found->ai_canonname, '.'))
		snprintf(name, size, "%s", found->ai_canonname);
	freeaddrinfo(found);
}

const char *hostname_full(void)
{
	static char name[LIMIT_DOMAIN + 1];
	if (*name)
		return name;
	if (gethostname(name, sizeof name - 1) < 0 || !*name)
		snprintf(name, sizeof name, "localhost");
	else
		qualify(name, sizeof name);
	return name;
}
