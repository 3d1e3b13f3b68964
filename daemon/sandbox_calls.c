/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * seccomp: a filter made of the lists. A call that they do not have, or with other arguments, ends the
 * process; the kernel's log has its number (audit, type 1326).
 */
#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include <unistd.h>

#include "daemon/sandbox.h"

/* Those that fail instead, as the C library has another way. */
static const char *const refused[] = {
	"mremap", /* realloc() copies */
};

/* A call that this architecture does not have is not made by its C library either. */
static int add(scmp_filter_ctx filter, uint32_t action, const struct via_need *need)
{
	struct scmp_arg_cmp arg = { .arg = need->arg };
	const int call = seccomp_syscall_resolve_name(need->call);
	int ret;

	if (call < 0)
		return 0;
	if (need->rule == VIA_NEED_SELF) {
		arg.op = SCMP_CMP_EQ;
		arg.datum_a = (scmp_datum_t)getpid();
	} else {
		arg.op = SCMP_CMP_MASKED_EQ;
		arg.datum_a = need->mask;
		arg.datum_b = need->value;
	}
	ret = seccomp_rule_add_array(filter, action, call, need->rule == VIA_NEED_ANY ? 0 : 1,
				     &arg);
	return ret == -EEXIST ? 0 : ret; /* another list has it as well */
}

static int add_lists(scmp_filter_ctx filter, const struct via_need *const *lists)
{
	int ret = 0;

	for (; *lists; lists++)
		for (const struct via_need *need = *lists; need->call && ret == 0; need++)
			ret = add(filter, SCMP_ACT_ALLOW, need);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]) && ret == 0; i++)
		ret = add(filter, SCMP_ACT_ERRNO(ENOMEM),
			  &(struct via_need)VIA_NEED(refused[i], NULL));
	return ret;
}

static int load(scmp_filter_ctx filter, const struct via_need *const *lists)
{
	int ret = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	/* No code of others runs here that would spy by speculation; kernels before 5.16 would slow all
	 * of the process down for that. */
	if (ret == 0)
		ret = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	if (ret == 0)
		ret = add_lists(filter, lists);
	return ret == 0 ? seccomp_load(filter) : ret;
}

int sandbox_limit_calls(const struct via_need *const *lists, struct via_error *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int ret = filter ? load(filter, lists) : -ENOMEM;

	seccomp_release(filter);
	return ret < 0 ? via_fail(err, ret,
				  "seccomp: %s; this kernel (or what it runs in) lets no process "
				  "limit its system calls",
				  strerror(-ret))
		       : (int)calls_count(lists);
}
