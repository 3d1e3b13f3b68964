/* SPDX-License-Identifier: BSD-3-Clause */
/* Namespaces, ports, and the kernel that refuses io_uring. */
#include "tap_rig.h"

#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <viaduct/worker.h>

struct via_loop *loop;
int home = -1, away = -1;
bool refused;

int rig_setup(void **state)
{
	(void)state;
	/* As who serves queues; nobody waits for us. */
	via_worker_register("test");
	via_worker_offline();
	if (geteuid() == 0 && access("/dev/net/tun", R_OK | W_OK) == 0) {
		away = netns_create();
		home = netns_create();
	}
	if (home < 0)
		print_message("# skipped: needs root, /dev/net/tun and network namespaces\n");
	return via_loop_create(&loop, NULL);
}

int rig_teardown(void **state)
{
	(void)state;
	via_loop_free(loop);
	close(home);
	close(away);
	via_worker_unregister();
	return 0;
}

/* ---- ports ---- */

int nr_queue_changes, nr_link_changes;

static void on_queue(void *user, struct via_port *port, uint32_t q)
{
	(void)user, (void)port, (void)q;
	nr_queue_changes++;
}

static void on_link(void *user, struct via_port *port)
{
	(void)user, (void)port;
	nr_link_changes++;
}

int open_with(struct via_port **port, const char *name, const char *queues, const char *offloads,
	      uint32_t mtu, struct via_error *err)
{
	const struct via_port_option options[] = {
		{ "ifname", name }, { "queues", queues }, { "offloads", offloads }, { NULL, NULL }
	};
	const struct via_port_config config = { .name = "tap",
						.mtu = mtu,
						.options = options,
						.loop = loop,
						.queue_changed = on_queue,
						.link_changed = on_link };

	return via_port_type("tap")->open(port, &config, err);
}

struct via_port *open_tap(const char *name, const char *offloads)
{
	struct via_error err = { "" };
	struct via_port *port;

	if (open_with(&port, name, "1", offloads, 0, &err) < 0)
		fail_msg("%s", err.text);
	return port;
}

static void set_flag(void *user)
{
	*(bool *)user = true;
}

void close_port(struct via_port *port)
{
	bool closed = false;

	port->ops->close(port, set_flag, &closed);
	for (int turns = 0; turns < 200 && !closed; turns++)
		via_loop_turn(loop, 10);
	assert_true(closed);
}

/* ---- frames ---- */

int packet_socket(const char *ifname)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)if_nametoindex(ifname) };
	int sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));

	assert_int_equal(bind(sock, (struct sockaddr *)&to, sizeof(to)), 0);
	return sock;
}

struct frame frame;
struct via_piece pieces[70000];
struct via_view view;
struct via_view *const views[1] = { &view };

uint64_t dropped(const struct via_port *port, enum via_drop why)
{
	return via_counter_read(&port->transmit[0].drops[why]);
}

void put_udp_frame(uint32_t payload, uint32_t piece_size)
{
	frame_make(&frame, &(struct frame_shape){ .version = 4, .proto = 17, .payload = payload });
	frame_view(&view, &frame, pieces, piece_size);
}

/* ---- io_uring ---- */

static void refuse_io_uring(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = { ARRAY_SIZE(program), program };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
		exit(EXIT_FAILURE);
	refused = true;
}

void rig_arguments(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "refused") == 0)
		refuse_io_uring();
}

void no_frame_was_handed_to_a_thread_of_the_kernel(void **state)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *entry;

	(void)state;
	while ((entry = readdir(tasks))) {
		char path[300], name[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fgets(name, sizeof(name), file))
			assert_null(strstr(name, "iou-"));
		fclose(file);
	}
	closedir(tasks);
}
