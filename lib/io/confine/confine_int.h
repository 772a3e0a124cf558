/* SPDX-License-Identifier: ISC
 *
 * Between confine.c (rules, limits, identity), confine_landlock.c and confine_seccomp.c.
 */
#ifndef WP_IO_CONFINE_INT_H
#define WP_IO_CONFINE_INT_H

#include <stddef.h>

#include "io/confine/confine.h"

struct confine_path {
	char *path;
	unsigned rights;
	dev_t dev; /* what it is now, with CONFINE_REPLACED */
	ino_t ino;
};
struct confine_filter {
	struct sock_filter *code;
	unsigned short n;
	unsigned calls; /* what it was made for */
	bool net;
};
struct confine_rules {
	struct confine_path *path;
	size_t n_path;
	uint16_t *port;
	size_t n_port;
	bool net;      /* sockets of the inet families */
	bool any_port; /* no rule about ports */
	unsigned calls;
	struct confine_filter filter; /* by confine_prepare */
};

/* The kernel's Landlock ABI, 0: none that is of use. */
int confine_landlock_abi(void);
/* 0 also when there is no Landlock. */
int confine_landlock(const struct confine_rules *r, struct err *err);
bool confine_seccomp_works(void);
void confine_filter_free(struct confine_filter *filter);
int confine_seccomp(const struct confine_rules *r, struct err *err);
/* Has confine() been here, and not with CONFINE_OFF? What it left. */
bool confine_is_on(unsigned *calls);

#endif
