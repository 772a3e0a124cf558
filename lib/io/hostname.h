/* SPDX-License-Identifier: ISC
 *
 * What this host is called on the network.
 */
#ifndef WP_IO_HOSTNAME_H
#define WP_IO_HOSTNAME_H

/* The host's own name; its canonical one, when that has a dot and its own has none. "localhost" when it has none.
 * Static: found out once for the process. */
const char *hostname_full(void);

#endif
