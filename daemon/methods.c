/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of the control API's methods. Checks (rpc_call.c), 'help' and documentation come from it. */
#include "daemon/methods.h"

#define PORT(needed, text)                     \
	{                                      \
		"port", RPC_TEXT, needed, text \
	}
#define MAC                                                        \
	{                                                          \
		"mac", RPC_TEXT, true, "such as 52:54:00:12:34:56" \
	}
#define VLAN                                                             \
	{                                                                \
		"vlan", RPC_NUMBER, false, "0 or left out: without VLAN" \
	}

const struct rpc_method rpc_methods[] = {
	{ .name = "status", .run = method_status, .help = "The daemon, its workers and counters." },
	{ .name = "stats",
	  .run = method_stats,
	  .help = "Counters of ports, by direction as the switch sees it.",
	  .params = { PORT(false, "only this one") } },
	{ .name = "port.list", .run = method_port_list, .help = "All ports in short." },
	{ .name = "port.show",
	  .run = method_port_show,
	  .help = "One port with its settings, its peer and its queues.",
	  .params = { { "name", RPC_TEXT, true, "the port's name" } } },
	{ .name = "port.add",
	  .run = method_port_add,
	  .help = "Adds a port; its keys are those of the configuration.",
	  .changes = true,
	  .open = true,
	  .params = { { "name", RPC_TEXT, true, "the port's name" },
		      { "type", RPC_TEXT, true, "such as vhost-user" } } },
	{ .name = "port.del",
	  .run = method_port_del,
	  .help = "Closes a port; answers when it is gone.",
	  .changes = true,
	  .params = { { "name", RPC_TEXT, true, "the port's name" } } },
	{ .name = "port.set",
	  .run = method_port_set,
	  .help = "Changes keys of a port; an empty value removes one. Anything but VLANs and "
		  "isolation closes and opens the port.",
	  .changes = true,
	  .open = true,
	  .params = { { "name", RPC_TEXT, true, "the port's name" } } },
	{ .name = "vlan.show", .run = method_vlan_show, .help = "Ports and their VLANs." },
	{ .name = "fdb.show",
	  .run = method_fdb_show,
	  .help = "The table of MAC addresses.",
	  .params = { PORT(false, "only those behind it"),
		      { "limit", RPC_NUMBER, false, "at most so many; 1000 if left out" } } },
	{ .name = "fdb.add",
	  .run = method_fdb_add,
	  .help = "Adds a static address.",
	  .changes = true,
	  .params = { MAC, PORT(true, "where it is"), VLAN } },
	{ .name = "fdb.del",
	  .run = method_fdb_del,
	  .help = "Removes an address.",
	  .changes = true,
	  .params = { MAC, VLAN } },
	{ .name = "fdb.flush",
	  .run = method_fdb_flush,
	  .help = "Forgets learned addresses.",
	  .params = { PORT(false, "only those behind it") } },
	{ .name = "capture.start",
	  .run = method_capture_start,
	  .help = "Copies frames to the descriptor that comes with the request, as pcap, until "
		  "capture.stop or the client's end.",
	  .params = { PORT(false, "only this one; left out or 'all': all"),
		      { "snaplen", RPC_NUMBER, false, "bytes of a frame; 65535 if left out" } } },
	{ .name = "capture.stop", .run = method_capture_stop, .help = "Ends the capture." },
	{ .name = "doctor",
	  .run = method_doctor,
	  .help = "What is wrong, and what to do about it." },
	{ .name = "set",
	  .run = method_set,
	  .help = "Changes a setting of the daemon.",
	  .changes = true,
	  .params = { { "poll_us", RPC_ANY, true, "a number, or always" } } },
	{ .name = "reload",
	  .run = method_reload,
	  .help = "Reads the --config file again and goes where it leads; a file with mistakes "
		  "changes nothing.",
	  .changes = true },
	{ .name = "save",
	  .run = method_save,
	  .help = "The running configuration as YAML, and the path of the --config file." },
	{ .name = "shutdown", .run = method_shutdown, .help = "Ends the daemon." },
	{ .name = "help", .run = method_help, .help = "This list." },
	{ .name = NULL },
};
