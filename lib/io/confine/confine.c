/* SPDX-License-Identifier: ISC */
#include "io/confine/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "io/confine/confine_int.h"

#define AT(member) offsetof(struct confine_settings, member)
const struct opt confine_options[] = {
	{ "confine", 0, OPT_CHOICE, AT(mode), NULL, "give up all rights that are not needed", CONFINE_CHOICES, 0 },
	{ "confine-memory", 0, OPT_SIZE, AT(memory), "SIZE", "a process's memory at most; 0: no limit", NULL, 0 },
	{ 0 },
};
const struct opt confine_user_options[] = {
	{ "user", 0, OPT_STR, AT(user), "NAME", "begun as root, serve as this user", NULL, 0 },
	{ 0 },
};

/* ---- rules ---- */

/* What the C library reads when it likes: zones, iconv's modules, what they need to be loaded. */
static const char *const library_paths[] = { "/etc/localtime", "/usr/share/zoneinfo", "/usr/lib", "/usr/lib64", "/lib",
	"/etc/ld.so.cache", "/etc/ssl/openssl.cnf", "/dev/urandom", "/proc/sys/kernel/random/boot_id" };
static const char *const name_files[] = { "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf",
	"/etc/gai.conf", "/etc/services", "/etc/protocols" };

struct confine_rules *confine_rules_new(void)
{
	struct confine_rules *r = xcalloc(1, sizeof *r);
	for (size_t i = 0; i < sizeof library_paths / sizeof *library_paths; i++)
		confine_allow_path(r, library_paths[i], CONFINE_READ);
	confine_allow_path(r, "/dev/null", CONFINE_READ | CONFINE_WRITE);
	return r;
}

void confine_rules_free(struct confine_rules *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_path; i++)
		free(r->path[i].path);
	free(r->path);
	free(r->port);
	confine_filter_free(&r->filter);
	free(r);
}

static struct confine_path *find_path(struct confine_rules *r, const char *path)
{
	for (size_t i = 0; i < r->n_path; i++)
		if (!strcmp(r->path[i].path, path))
			return &r->path[i];
	r->path = xreallocarray(r->path, r->n_path + 1, sizeof *r->path);
	r->path[r->n_path] = (struct confine_path){ .path = xstrdup(path) };
	return &r->path[r->n_path++];
}

/* Notes what the name stands for now; true when it is something else than it was. A file that is away for a moment will
 * be there again. */
static bool look(struct confine_path *p)
{
	struct stat st;
	if (stat(p->path, &st) < 0 || (st.st_dev == p->dev && st.st_ino == p->ino))
		return false;
	p->dev = st.st_dev;
	p->ino = st.st_ino;
	return true;
}

void confine_allow_path(struct confine_rules *r, const char *path, unsigned rights)
{
	if (!path || !*path)
		return;
	struct confine_path *p = find_path(r, path);
	p->rights |= rights;
	if (rights & CONFINE_REPLACED)
		look(p);
}

bool confine_replaced(struct confine_rules *r)
{
	bool any = false;
	for (size_t i = 0; i < r->n_path; i++)
		if (r->path[i].rights & CONFINE_REPLACED)
			any |= look(&r->path[i]);
	return any;
}

void confine_allow_connect(struct confine_rules *r, uint16_t port)
{
	r->net = true;
	r->any_port |= port == 0;
	r->port = xreallocarray(r->port, r->n_port + 1, sizeof *r->port);
	r->port[r->n_port] = port;
	r->n_port += port != 0;
}

void confine_allow_names(struct confine_rules *r)
{
	for (size_t i = 0; i < sizeof name_files / sizeof *name_files; i++)
		confine_allow_path(r, name_files[i], CONFINE_READ);
	confine_allow_path(r, "/etc/resolv.conf", CONFINE_READ | CONFINE_REPLACED);
	confine_allow_connect(r, 53);
}

void confine_allow_authorities(struct confine_rules *r)
{
	static const char *const paths[] = { "/etc/ssl/certs", "/etc/ssl/cert.pem", "/usr/share/ca-certificates",
		"/usr/local/share/ca-certificates", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted" };
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		confine_allow_path(r, paths[i], CONFINE_READ);
	confine_allow_path(r, getenv("SSL_CERT_FILE"), CONFINE_READ);
	confine_allow_path(r, getenv("SSL_CERT_DIR"), CONFINE_READ);
}

void confine_allow_calls(struct confine_rules *r, unsigned calls)
{
	r->calls |= calls;
}

/* ---- identity ---- */

int confine_user(struct confine *c, const char *name, struct err *err)
{
	c->user = NULL;
	if (!name)
		return 0;
	struct passwd *pw = getpwnam(name);
	if (!pw)
		return err_set(err, ERR_CONFIG, "there is no user '%s'", name);
	if (geteuid() != 0)
		return pw->pw_uid == geteuid() ? 0 : err_set(err, ERR_USAGE, "only root can become '%s'", name);
	c->user = name;
	c->uid = pw->pw_uid;
	c->gid = pw->pw_gid;
	return 0;
}

int confine_become(const struct confine *c, struct err *err)
{
	if (!c->user || geteuid() != 0)
		return 0;
	int death = 0;
	/* A new identity makes the kernel forget which signal tells our parent's end. */
	prctl(PR_GET_PDEATHSIG, &death);
	if (initgroups(c->user, c->gid) < 0 || setresgid(c->gid, c->gid, c->gid) < 0 ||
	    setresuid(c->uid, c->uid, c->uid) < 0)
		return err_sys(err, "cannot become %s", c->user);
	if (c->uid && setuid(0) == 0)
		return err_set(err, ERR_BUG, "root came back");
	if (death && prctl(PR_SET_PDEATHSIG, death) < 0)
		return err_sys(err, "cannot hear of the parent's end");
	return 0;
}

/* root without a --user: files of any owner, and no more. */
static int drop_capabilities(const struct confine_rules *r, struct err *err)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct cap[2];
	uint32_t keep = 1U << CAP_CHOWN | 1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH | 1U << CAP_FOWNER;
	if (r->calls & CONFINE_IDS)
		keep |= 1U << CAP_SETUID | 1U << CAP_SETGID;
	if (r->calls & CONFINE_SIGNAL)
		keep |= 1U << CAP_KILL;
	if (syscall(SYS_capget, &head, cap) < 0)
		return err_sys(err, "capabilities");
	if (!(cap[0].permitted | cap[1].permitted))
		return 0;
	cap[0].effective &= keep;
	cap[0].permitted &= keep;
	cap[0].inheritable = cap[1].inheritable = cap[1].effective = cap[1].permitted = 0;
	if (syscall(SYS_capset, &head, cap) < 0)
		return err_sys(err, "capabilities");
	return 0;
}

/* ---- limits ---- */

static int limit(__rlimit_resource_t what, rlim_t most, struct err *err)
{
	struct rlimit l;
	if (getrlimit(what, &l) < 0)
		return err_sys(err, "limits");
	if (l.rlim_max > most)
		l.rlim_max = most;
	if (l.rlim_cur > l.rlim_max)
		l.rlim_cur = l.rlim_max;
	return setrlimit(what, &l) < 0 ? err_sys(err, "limits") : 0;
}

static int set_limits(const struct confine *c, struct err *err)
{
	struct rlimit files;
	/* A core file would hold passwords and mail. */
	if (limit(RLIMIT_CORE, 0, err) < 0)
		return -1;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && limit(RLIMIT_NOFILE, files.rlim_cur, err) < 0)
		return -1;
	/* It counts all of the user's processes, so that no other number than 0 would mean anything. */
	if (!(c->rules->calls & CONFINE_FORK) && limit(RLIMIT_NPROC, 0, err) < 0)
		return -1;
#ifndef __SANITIZE_ADDRESS__
	if (c->memory && limit(RLIMIT_DATA, c->memory, err) < 0)
		return -1;
#endif
	return 0;
}

int confine_parent(int mode, struct err *err)
{
	if (mode == CONFINE_OFF)
		return 0;
	if (limit(RLIMIT_CORE, 0, err) < 0)
		return -1;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? err_sys(err, "no_new_privs") : 0;
}

/* ---- all ---- */

/* As text for one line of log; false when nothing. */
static bool is_missing(struct buf *why)
{
	int abi = confine_landlock_abi();
	if (!abi)
		buf_adds(why, "no Landlock: all files can be reached");
	else if (abi < 4)
		buf_addf(why, "Landlock ABI %d: all TCP ports can be reached", abi);
	if (!confine_seccomp_works())
		buf_addf(why, "%sno seccomp: all system calls can be made", why->len ? "; " : "");
	return why->len > 0;
}

int confine_check(int mode, struct err *err)
{
	struct buf why;
	int rc = 0;
	buf_init(&why, 500);
	if (mode != CONFINE_OFF && is_missing(&why)) {
		if (mode == CONFINE_REQUIRE)
			rc = err_set(err, ERR_CONFIG, "--confine=require: %s", why.p);
		else
			log_warn("confine missing=%s", log_quote(buf_span(&why)));
	}
	buf_free(&why);
	return rc;
}

static bool confined;
static unsigned calls_left;

bool confine_is_on(unsigned *calls)
{
	*calls = calls_left;
	return confined;
}

bool confine_hides(const char *path)
{
	int fd = confined ? open(path, O_RDONLY | O_CLOEXEC) : -1, sys = errno;
	if (fd >= 0)
		close(fd);
	return confined && fd < 0 && sys == EACCES;
}

int confine(const struct confine *c, struct err *err)
{
	/* The identity is no matter of what the kernel has. */
	if (confine_become(c, err) < 0)
		return -1;
	if (c->mode == CONFINE_OFF)
		return 0;
	if (c->mode == CONFINE_REQUIRE && confine_check(c->mode, err) < 0)
		return -1;
	tzset(); /* while all can be read */
	if (set_limits(c, err) < 0 || drop_capabilities(c->rules, err) < 0)
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "no_new_privs");
	if (confine_landlock(c->rules, err) < 0 || confine_seccomp(c->rules, err) < 0)
		return -1;
	confined = true;
	calls_left = c->rules->calls;
	return 0;
}

#ifdef __SANITIZE_ADDRESS__
/* Called by LeakSanitizer, which looks for leaks with ptrace from a thread, and can't in a confined process. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return confined;
}
#endif
