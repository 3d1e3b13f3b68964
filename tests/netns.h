/* SPDX-License-Identifier: BSD-3-Clause */
/* Private network namespaces and their interfaces, for tests that meet the kernel's stack. */
#ifndef TEST_NETNS_H
#define TEST_NETNS_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/test.h"

/* Of one interface, or of all to come ("default"). An interface with it sends frames unasked, when it likes. */
static inline void netns_set_ipv6(const char *ifname, int on)
{
	char path[64 + IFNAMSIZ];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", ifname);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(on ? "0" : "1", file);
	assert_int_equal(fclose(file), 0);
}

/* Puts the calling thread into a new namespace, whose interfaces have no IPv6 until netns_add_ipv6(). Returns
 * its descriptor, or -1 if that is not allowed. */
static inline int netns_create(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	netns_set_ipv6("default", 0);
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

static inline void netns_enter(int ns)
{
	assert_int_equal(setns(ns, CLONE_NEWNET), 0);
}

static inline void netns_name(struct ifreq *request, const char *ifname)
{
	memset(request, 0, sizeof(*request));
	snprintf(request->ifr_name, IFNAMSIZ, "%s", ifname);
}

static inline void netns_set_mtu(const char *ifname, int mtu)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request;

	netns_name(&request, ifname);
	request.ifr_mtu = mtu;
	assert_int_equal(ioctl(sock, SIOCSIFMTU, &request), 0);
	close(sock);
}

static inline void netns_set_up(const char *ifname, int up)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request;

	netns_name(&request, ifname);
	assert_int_equal(ioctl(sock, SIOCGIFFLAGS, &request), 0);
	request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
	assert_int_equal(ioctl(sock, SIOCSIFFLAGS, &request), 0);
	close(sock);
}

/* 'address' with a /24 net. */
static inline void netns_add_ipv4(const char *ifname, const char *address)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct ifreq request;

	netns_name(&request, ifname);
	assert_int_equal(inet_pton(AF_INET, address, &in.sin_addr), 1);
	memcpy(&request.ifr_addr, &in, sizeof(in));
	assert_int_equal(ioctl(sock, SIOCSIFADDR, &request), 0);
	in.sin_addr.s_addr = htonl(0xffffff00);
	memcpy(&request.ifr_netmask, &in, sizeof(in));
	assert_int_equal(ioctl(sock, SIOCSIFNETMASK, &request), 0);
	close(sock);
}

/* 'address' with a /64 net, usable at once. */
static inline void netns_add_ipv6(const char *ifname, const char *address)
{
	struct {
		struct nlmsghdr head;
		struct ifaddrmsg body;
		struct rtattr attr;
		struct in6_addr address;
	} request = {
		.head = { .nlmsg_len = sizeof(request),
			  .nlmsg_type = RTM_NEWADDR,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK },
		.body = { .ifa_family = AF_INET6,
			  .ifa_prefixlen = 64,
			  .ifa_flags = IFA_F_NODAD,
			  .ifa_index = if_nametoindex(ifname) },
		.attr = { .rta_len = sizeof(struct rtattr) + 16, .rta_type = IFA_LOCAL },
	};
	struct {
		struct nlmsghdr head;
		struct nlmsgerr body;
	} reply;
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	netns_set_ipv6(ifname, 1);
	assert_int_equal(inet_pton(AF_INET6, address, &request.address), 1);
	assert_int_equal(send(sock, &request, sizeof(request), 0), sizeof(request));
	assert_true(recv(sock, &reply, sizeof(reply), MSG_TRUNC) >= (ssize_t)sizeof(reply.head));
	assert_int_equal(reply.body.error, 0);
	close(sock);
}

static inline void netns_delete(const char *ifname)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg body;
	} request = {
		.head = { .nlmsg_len = sizeof(request),
			  .nlmsg_type = RTM_DELLINK,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.body = { .ifi_index = (int)if_nametoindex(ifname) },
	};
	char reply[256];
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	assert_int_equal(send(sock, &request, sizeof(request), 0), sizeof(request));
	assert_true(recv(sock, reply, sizeof(reply), 0) > 0);
	close(sock);
}

#endif
