/* SPDX-License-Identifier: BSD-3-Clause */
/* Remembering what the operator has named, and judging what is asked for. */
#include "daemon/grants.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/schema.h"

static bool has(char *const *list, uint32_t n, const char *text)
{
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

/* NULL is nothing to add. */
static int add(char ***list, uint32_t *n, const char *text)
{
	char **larger;

	if (!text || has(*list, *n, text))
		return 0;
	larger = realloc(*list, (*n + 1) * sizeof(char *));
	if (!larger)
		return -ENOMEM;
	*list = larger;
	larger[*n] = strdup(text);
	if (!larger[*n])
		return -ENOMEM;
	(*n)++;
	return 0;
}

/* A directory that programs of other purposes keep their sockets in: /run, /tmp. */
static bool is_shared(const char *dir)
{
	struct stat st;

	return strrchr(dir, '/') == dir || (stat(dir, &st) == 0 && st.st_mode & S_IWOTH);
}

/* Where our own files are belongs to us, unless the operator has put them beside others'. */
static int add_own_dirs(struct grants *grants, const struct cfg *cfg)
{
	char control[DAEMON_PATH_SIZE];
	int ret = 0;

	snprintf(control, sizeof(control), "%s", cfg->control);
	*strrchr(control, '/') = '\0';
	if (!is_shared(control))
		ret = add(&grants->dirs, &grants->nr_dirs, control);
	if (ret == 0 && !is_shared(cfg->run_dir))
		ret = add(&grants->dirs, &grants->nr_dirs, cfg->run_dir);
	return ret;
}

int grants_add(struct grants *grants, const struct cfg *cfg)
{
	int ret = add_own_dirs(grants, cfg);
	bool listens;

	for (uint32_t i = 0; ret == 0 && i < cfg->nr_socket_dirs; i++)
		ret = add(&grants->dirs, &grants->nr_dirs, cfg->socket_dirs[i]);
	for (uint32_t i = 0; ret == 0 && i < cfg->nr_ports; i++) {
		const struct cfg_port *port = cfg->ports[i];

		ret = add(&grants->sockets, &grants->nr_sockets, cfg_port_socket(port, &listens));
		if (ret == 0)
			ret = add(&grants->interfaces, &grants->nr_interfaces,
				  cfg_port_interface(port));
	}
	return ret;
}

/* Whether 'path' lies below 'dir', without a way out of it. */
static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && path[len] == '/' && !strstr(path, "/../") &&
	       !strstr(path, "//");
}

bool grants_has_socket(const struct grants *grants, const char *path)
{
	if (has(grants->sockets, grants->nr_sockets, path))
		return true;
	for (uint32_t i = 0; i < grants->nr_dirs; i++)
		if (is_below(path, grants->dirs[i]))
			return true;
	return false;
}

bool grants_has_interface(const struct grants *grants, const char *ifname)
{
	return has(grants->interfaces, grants->nr_interfaces, ifname);
}

static void free_list(char **list, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

void grants_fini(struct grants *grants)
{
	free_list(grants->sockets, grants->nr_sockets);
	free_list(grants->interfaces, grants->nr_interfaces);
	free_list(grants->dirs, grants->nr_dirs);
	*grants = (struct grants){ .sockets = NULL };
}
